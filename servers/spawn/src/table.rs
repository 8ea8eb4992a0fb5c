//! The processes: who lives, how the others ended, and who waits for an end.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use abi::domain::{core_of, first_program, is_program, next_program};
use interfaces::{ExitStatus, Pid, SpawnError};

/// Most processes at a time.
pub const MAX_PROCESSES: usize = 200;
/// Requests to be told of an end that one domain may have waiting.
const MAX_WAITING: usize = 256;
/// What any process may have started, if all before it may have more.
const MIN_DESCENDANTS: usize = 4;
/// Most ancestors of a process. On one core there are always fewer; it is for those who start themselves on core after core.
const MAX_ANCESTORS: usize = 32;
/// How many ends are remembered, the oldest forgotten first.
pub const MAX_REMEMBERED: usize = 1024;

/// A process that has not ended. `C` is how the server holds it, once it is built.
pub struct Process<C> {
    /// The program's name.
    pub name: String,
    /// Most bytes that it may have; what it starts may have no more either.
    pub limit: Option<u64>,
    /// The domain itself; none while it is being made.
    pub child: Option<C>,
    /// Somebody wants it ended.
    pub doomed: bool,
    /// It has ended, and what it had is being taken back.
    pub ended: bool,
    /// Who started it, directly or indirectly, the first of them first. Of those of this core that have ended one after the other
    /// only the first is kept, so a program that starts itself again and again has no longer a list for it.
    ancestors: Vec<Pid>,
}

/// What a process has from the one that starts it, which may be on another core.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heritage {
    /// Most bytes that it may have.
    pub limit: Option<u64>,
    /// Its ancestors, the first of them first.
    pub ancestors: Vec<Pid>,
}

impl Heritage {
    /// The limit of a process that is to have `wanted` bytes at most (0: as many as can be): no more than its starter itself.
    fn limit_for(&self, wanted: u64) -> Option<u64> {
        self.limit.into_iter().chain((wanted != 0).then_some(wanted)).min()
    }
}

/// How many processes one may have started, directly or indirectly, by the number of its ancestors: half of what is left
/// by each of them, so that none leaves nothing for those beside it. The first in line, a shell, may have all.
fn most_descendants(ancestors: usize) -> usize {
    (MAX_PROCESSES >> ancestors.min(usize::BITS as usize - 1)).max(MIN_DESCENDANTS)
}

/// All processes. `W` is a request that waits for an end.
pub struct Table<C, W> {
    next: Pid,
    living: BTreeMap<Pid, Process<C>>,
    /// With the domain that waits.
    waiting: BTreeMap<Pid, Vec<(Pid, W)>>,
    /// The oldest first. Made as large as it ever is: programs that come and go must not make the service grow.
    ends: VecDeque<(Pid, ExitStatus)>,
}

impl<C, W> Table<C, W> {
    /// No processes yet on `core`.
    pub fn new(core: u32) -> Table<C, W> {
        Table {
            next: first_program(core),
            living: BTreeMap::new(),
            waiting: BTreeMap::new(),
            ends: VecDeque::with_capacity(MAX_REMEMBERED),
        }
    }

    /// What is inherited by what a domain of this core starts.
    ///
    /// # Errors
    /// `NoProcess` if it has ended meanwhile: nobody knows any more what it was allowed.
    pub fn heritage(&self, starter: Pid) -> Result<Heritage, SpawnError> {
        if !is_program(starter) {
            return Ok(Heritage { limit: None, ancestors: Vec::new() });
        }
        let limit = self.living.get(&starter).ok_or(SpawnError::NoProcess)?.limit;
        Ok(Heritage { limit, ancestors: self.line_of(starter) })
    }

    /// A new process that is being made, with `wanted` bytes of memory at most, 0 for as many as can be. Its number is never
    /// used again.
    ///
    /// # Errors
    /// `Exhausted`; `TooManyProcesses` if the starter, or one that it descends from, has as many as it may.
    pub fn begin(&mut self, heritage: Heritage, name: &str, wanted: u64) -> Result<Pid, SpawnError> {
        if self.living.len() >= MAX_PROCESSES {
            return Err(SpawnError::Exhausted);
        }
        let limit = heritage.limit_for(wanted);
        let ancestors = heritage.ancestors;
        let full =
            |(before, ancestor): (usize, &Pid)| self.descendants(*ancestor) >= most_descendants(before);
        if ancestors.len() > MAX_ANCESTORS || ancestors.iter().enumerate().any(full) {
            return Err(SpawnError::TooManyProcesses);
        }
        let pid = self.next;
        self.next = next_program(pid);
        let process =
            Process { name: name.into(), limit, child: None, doomed: false, ended: false, ancestors };
        self.living.insert(pid, process);
        Ok(pid)
    }

    /// The ancestors of what `starter` starts.
    fn line_of(&self, starter: Pid) -> Vec<Pid> {
        let mut line = Vec::new();
        let Some(process) = self.living.get(&starter) else { return line };
        let mut gone_before = false;
        for &pid in process.ancestors.iter().chain([&starter]) {
            // Of those on other cores nobody knows here.
            let gone = core_of(pid) == core_of(starter) && !self.living.contains_key(&pid);
            if !(gone && gone_before) {
                line.push(pid);
            }
            gone_before = gone;
        }
        line
    }

    fn descendants(&self, ancestor: Pid) -> usize {
        self.living.values().filter(|process| process.ancestors.contains(&ancestor)).count()
    }

    /// Whether `domain` may end the process: it is a part of the system, the process itself, or has started it, directly or
    /// indirectly.
    ///
    /// # Errors
    /// `NoProcess`, `NotYours`.
    pub fn check_authority(&self, domain: Pid, pid: Pid) -> Result<(), SpawnError> {
        let process = self.living.get(&pid).ok_or(SpawnError::NoProcess)?;
        let own = !is_program(domain) || domain == pid || process.ancestors.contains(&domain);
        if own { Ok(()) } else { Err(SpawnError::NotYours) }
    }

    /// The making of a process failed: it never was.
    pub fn abandon(&mut self, pid: Pid) -> Vec<W> {
        self.living.remove(&pid);
        self.woken(pid)
    }

    fn woken(&mut self, pid: Pid) -> Vec<W> {
        let waiting = self.waiting.remove(&pid).unwrap_or_default();
        waiting.into_iter().map(|(_, request)| request).collect()
    }

    /// The process is built.
    pub fn started(&mut self, pid: Pid, child: C) {
        if let Some(process) = self.living.get_mut(&pid) {
            process.child = Some(child);
        }
    }

    /// A living process.
    ///
    /// # Errors
    /// `NoProcess`.
    pub fn get_mut(&mut self, pid: Pid) -> Result<&mut Process<C>, SpawnError> {
        self.living.get_mut(&pid).ok_or(SpawnError::NoProcess)
    }

    /// All living processes, by number.
    pub fn living(&self) -> impl Iterator<Item = (Pid, &Process<C>)> {
        self.living.iter().map(|(&pid, process)| (pid, process))
    }

    /// The process has ended, and all that it had is to be taken back: gives what the server holds of it. `None` if that is
    /// under way.
    pub fn ending(&mut self, pid: Pid) -> Option<C> {
        let process = self.living.get_mut(&pid).filter(|process| !process.ended)?;
        process.ended = true;
        process.child.take()
    }

    /// Nothing of the process is left: gives the requests to be answered with `status`.
    pub fn ended(&mut self, pid: Pid, status: ExitStatus) -> Vec<W> {
        if self.living.remove(&pid).is_some() {
            if self.ends.len() == MAX_REMEMBERED {
                self.ends.pop_front();
            }
            self.ends.push_back((pid, status));
        }
        self.woken(pid)
    }

    /// Keeps a request of `domain` until the process has ended.
    ///
    /// # Errors
    /// The request comes back with its answer: how the process ended, `NoProcess`, or `TooManyWaits`.
    pub fn wait(
        &mut self,
        domain: Pid,
        pid: Pid,
        request: W,
    ) -> Result<(), (W, Result<ExitStatus, SpawnError>)> {
        if self.living.contains_key(&pid) {
            let of_domain = self.waiting.values().flatten().filter(|(waiting, _)| *waiting == domain);
            if is_program(domain) && of_domain.count() >= MAX_WAITING {
                return Err((request, Err(SpawnError::TooManyWaits)));
            }
            self.waiting.entry(pid).or_default().push((domain, request));
            return Ok(());
        }
        // The end that is asked for is mostly a late one.
        let end = self.ends.iter().rev().find(|(ended, _)| *ended == pid);
        Err((request, end.map(|&(_, status)| status).ok_or(SpawnError::NoProcess)))
    }

    /// Forgets requests that nobody waits for any more.
    pub fn keep_waiters(&mut self, wanted: impl Fn(&W) -> bool) {
        self.waiting.retain(|_, waiters| {
            waiters.retain(|(_, request)| wanted(request));
            !waiters.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Processes = Table<&'static str, u32>;
    fn begin(table: &mut Processes, starter: Pid, name: &str) -> Result<Pid, SpawnError> {
        let heritage = table.heritage(starter)?;
        table.begin(heritage, name, 0)
    }

    const GOOD: ExitStatus = ExitStatus::Exited { code: 0 };

    fn names(table: &Processes) -> Vec<(Pid, &str)> {
        table.living().map(|(pid, process)| (pid, process.name.as_str())).collect()
    }

    #[test]
    fn numbers_ascend_and_are_never_used_twice() {
        let mut table = Processes::new(0);
        let first = begin(&mut table, 1, "a").unwrap();
        assert_eq!(first, 256);
        let _ = table.ended(first, GOOD);
        let second = begin(&mut table, 1, "b").unwrap();
        assert!(table.abandon(second).is_empty());
        assert_eq!(begin(&mut table, 1, "c"), Ok(256 + 2 * 16));
        assert_eq!(begin(&mut Processes::new(3), 1, "a"), Ok(259));
    }

    #[test]
    fn any_number_of_requests_wait_and_each_gets_the_status() {
        let mut table = Processes::new(0);
        let pid = begin(&mut table, 1, "a").unwrap();
        table.started(pid, "child");
        assert_eq!(table.wait(1, pid, 1), Ok(()));
        assert_eq!(table.wait(1, pid, 2), Ok(()));
        assert_eq!(table.ending(pid), Some("child"));
        // It is there until all of it is gone.
        assert_eq!(table.wait(1, pid, 3), Ok(()));
        assert_eq!((table.ending(pid), names(&table)), (None, vec![(pid, "a")]));
        assert_eq!(table.ended(pid, ExitStatus::Killed), [1, 2, 3]);
        assert_eq!(table.wait(1, pid, 3), Err((3, Ok(ExitStatus::Killed))));
        assert_eq!(table.wait(1, pid, 4), Err((4, Ok(ExitStatus::Killed))));
    }

    #[test]
    fn a_process_ends_once() {
        let mut table = Processes::new(0);
        let pid = begin(&mut table, 1, "a").unwrap();
        assert!(table.ended(pid, GOOD).is_empty());
        assert!(table.ended(pid, ExitStatus::Killed).is_empty());
        assert_eq!(table.wait(1, pid, 1), Err((1, Ok(GOOD))));
    }

    #[test]
    fn what_never_was_has_no_end() {
        let mut table = Processes::new(0);
        assert_eq!(table.wait(1, 99, 1), Err((1, Err(SpawnError::NoProcess))));
        let pid = begin(&mut table, 1, "a").unwrap();
        assert_eq!(table.wait(1, pid, 5), Ok(()));
        assert_eq!(table.abandon(pid), [5]);
        assert_eq!(table.wait(1, pid, 1), Err((1, Err(SpawnError::NoProcess))));
        assert!(table.get_mut(pid).is_err());
    }

    #[test]
    fn there_is_a_limit_and_old_ends_are_forgotten() {
        let mut table = Processes::new(0);
        for _ in 0..MAX_PROCESSES {
            begin(&mut table, 1, "a").unwrap();
        }
        assert_eq!(begin(&mut table, 1, "a"), Err(SpawnError::Exhausted));
        assert_eq!(names(&table).len(), MAX_PROCESSES);
        let mut table = Processes::new(1);
        for _ in 0..=MAX_REMEMBERED {
            let pid = begin(&mut table, 1, "a").unwrap();
            let _ = table.ended(pid, GOOD);
        }
        let first = first_program(1);
        assert_eq!(table.wait(1, first, 0), Err((0, Err(SpawnError::NoProcess))));
        assert_eq!(table.wait(1, next_program(first), 0), Err((0, Ok(GOOD))));
    }

    #[test]
    fn nobody_gets_more_than_who_started_it() {
        let mut table = Processes::new(0);
        let free = begin(&mut table, 1, "a").unwrap();
        let heritage = table.heritage(free).unwrap();
        let limited = table.begin(heritage, "b", 100).unwrap();
        let limits = [(1, 0), (1, 50), (free, 0), (free, 50), (limited, 0), (limited, 50), (limited, 150)];
        let given = limits.map(|(starter, wanted)| table.heritage(starter).unwrap().limit_for(wanted));
        assert_eq!(given, [None, Some(50), None, Some(50), Some(100), Some(50), Some(100)]);
        let _ = table.ended(limited, GOOD);
        assert_eq!(table.heritage(limited), Err(SpawnError::NoProcess));
    }

    #[test]
    fn what_is_started_on_another_core_inherits_limit_and_line() {
        let (mut here, mut there) = (Processes::new(0), Processes::new(1));
        let shell = begin(&mut here, 1, "sh").unwrap();
        let heritage = here.heritage(shell).unwrap();
        let inner = here.begin(heritage, "sh", 100).unwrap();
        let first = there.begin(here.heritage(inner).unwrap(), "a", 0).unwrap();
        let second = begin(&mut there, first, "b").unwrap();
        assert_eq!(there.get_mut(second).unwrap().limit, Some(100));
        for domain in [shell, inner, first, second] {
            assert_eq!(there.check_authority(domain, second), Ok(()));
        }
        assert_eq!(there.check_authority(first, shell), Err(SpawnError::NoProcess));
        assert_eq!(there.check_authority(shell + 32, second), Err(SpawnError::NotYours));
    }

    #[test]
    fn a_program_that_starts_itself_on_core_after_core_comes_to_an_end() {
        let mut tables = [Processes::new(0), Processes::new(1)];
        let (mut last, mut core) = (begin(&mut tables[0], 1, "a").unwrap(), 0);
        for round in 0.. {
            let heritage = tables[core].heritage(last).unwrap();
            core = 1 - core;
            match tables[core].begin(heritage, "a", 0) {
                Ok(next) => {
                    let _ = tables[1 - core].ended(last, GOOD);
                    last = next;
                }
                Err(error) => {
                    assert_eq!((round, error), (MAX_ANCESTORS, SpawnError::TooManyProcesses));
                    break;
                }
            }
        }
    }

    #[test]
    fn requests_that_were_given_up_are_forgotten() {
        let mut table = Processes::new(0);
        let pid = begin(&mut table, 1, "a").unwrap();
        for request in 0..10 {
            table.wait(1, pid, request).unwrap();
        }
        table.keep_waiters(|&request| request % 2 == 0);
        assert_eq!(table.ended(pid, GOOD), [0, 2, 4, 6, 8]);
    }

    #[test]
    fn a_process_is_ended_by_whoever_started_it_and_nobody_else() {
        let mut table = Processes::new(0);
        let shell = begin(&mut table, 1, "sh").unwrap();
        let program = begin(&mut table, shell, "a").unwrap();
        let child = begin(&mut table, program, "b").unwrap();
        let other = begin(&mut table, shell, "c").unwrap();
        let answers = |table: &Processes, pid| {
            [1, shell, program, child, other].map(|domain| table.check_authority(domain, pid).is_ok())
        };
        assert_eq!(answers(&table, shell), [true, true, false, false, false]);
        assert_eq!(answers(&table, program), [true, true, true, false, false]);
        assert_eq!(answers(&table, child), [true, true, true, true, false]);
        assert_eq!(table.check_authority(other, child), Err(SpawnError::NotYours));
        // Those further up keep it when one between has ended.
        let _ = table.ended(program, GOOD);
        let grandchild = begin(&mut table, child, "d").unwrap();
        assert_eq!(answers(&table, grandchild), [true, true, true, true, false]);
        assert_eq!(table.check_authority(shell, 99), Err(SpawnError::NoProcess));
    }

    #[test]
    fn no_program_and_what_it_starts_takes_all_processes() {
        let mut table = Processes::new(0);
        let shell = begin(&mut table, 1, "sh").unwrap();
        let program = begin(&mut table, shell, "a").unwrap();
        // Each starts the next and ends; those that stay are started here and there.
        let (mut last, mut count) = (program, 0);
        loop {
            match begin(&mut table, last, "b") {
                Ok(next) => {
                    count += 1;
                    if count % 2 == 0 {
                        let _ = table.ended(last, GOOD);
                        last = next;
                    }
                }
                Err(error) => break assert_eq!(error, SpawnError::TooManyProcesses),
            }
        }
        assert!(table.descendants(program) <= MAX_PROCESSES / 2);
        let others = (0..).take_while(|_| begin(&mut table, shell, "c").is_ok()).count();
        assert!(others >= MAX_PROCESSES / 2 - 10, "{others}");
    }

    #[test]
    fn a_program_that_starts_itself_again_and_again_has_a_short_line() {
        let mut table = Processes::new(0);
        let mut last = begin(&mut table, 1, "sh").unwrap();
        for _ in 0..1000 {
            let next = begin(&mut table, last, "a").unwrap();
            let _ = table.ended(last, GOOD);
            last = next;
        }
        assert!(table.line_of(last).len() <= 3);
    }

    #[test]
    fn one_domain_waits_so_often_and_others_go_on() {
        let mut table = Processes::new(0);
        let pid = begin(&mut table, 1, "a").unwrap();
        for request in 0..MAX_WAITING as u32 {
            table.wait(1000, pid, request).unwrap();
        }
        assert_eq!(table.wait(1000, pid, 0), Err((0, Err(SpawnError::TooManyWaits))));
        assert_eq!((table.wait(1001, pid, 0), table.wait(1, pid, 0)), (Ok(()), Ok(())));
        table.keep_waiters(|&request| request == 0);
        assert_eq!(table.wait(1000, pid, 0), Ok(()));
    }
}
