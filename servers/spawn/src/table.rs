//! The processes: who lives, how the others ended, and who waits for an end.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use interfaces::{ExitStatus, Pid, SpawnError};

/// Most processes at a time.
pub const MAX_PROCESSES: usize = 200;
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
}

/// All processes. `W` is a request that waits for an end.
pub struct Table<C, W> {
    first: Pid,
    next: Pid,
    living: BTreeMap<Pid, Process<C>>,
    waiting: BTreeMap<Pid, Vec<W>>,
    /// The oldest first. Made as large as it ever is: programs that come and go must not make the service grow.
    ends: VecDeque<(Pid, ExitStatus)>,
}

impl<C, W> Table<C, W> {
    /// No processes; the first will have number `first`.
    pub fn new(first: Pid) -> Table<C, W> {
        Table {
            first,
            next: first,
            living: BTreeMap::new(),
            waiting: BTreeMap::new(),
            ends: VecDeque::with_capacity(MAX_REMEMBERED),
        }
    }

    /// What a process that `starter` starts may have, if `wanted` bytes are asked for (0: as much as can be): no more than the
    /// starter itself. None: no limit of its own.
    ///
    /// # Errors
    /// `NoProcess` if the starter has ended meanwhile: nobody knows any more what it was allowed.
    pub fn limit_for(&self, starter: Pid, wanted: u64) -> Result<Option<u64>, SpawnError> {
        let own = if starter < self.first {
            None
        } else {
            self.living.get(&starter).ok_or(SpawnError::NoProcess)?.limit
        };
        Ok(own.into_iter().chain((wanted != 0).then_some(wanted)).min())
    }

    /// A new process that is being made. Its number is never used again.
    ///
    /// # Errors
    /// `Exhausted`.
    pub fn begin(&mut self, name: &str, limit: Option<u64>) -> Result<Pid, SpawnError> {
        if self.living.len() >= MAX_PROCESSES {
            return Err(SpawnError::Exhausted);
        }
        let pid = self.next;
        self.next += 1;
        self.living.insert(pid, Process { name: name.into(), limit, child: None, doomed: false });
        Ok(pid)
    }

    /// The making of a process failed: it never was.
    pub fn abandon(&mut self, pid: Pid) -> Vec<W> {
        self.living.remove(&pid);
        self.waiting.remove(&pid).unwrap_or_default()
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

    /// The process has ended: gives what the server held, and the requests to be answered with `status`.
    pub fn ended(&mut self, pid: Pid, status: ExitStatus) -> (Option<Process<C>>, Vec<W>) {
        let process = self.living.remove(&pid);
        if process.is_some() {
            if self.ends.len() == MAX_REMEMBERED {
                self.ends.pop_front();
            }
            self.ends.push_back((pid, status));
        }
        (process, self.waiting.remove(&pid).unwrap_or_default())
    }

    /// Keeps a request until the process has ended.
    ///
    /// # Errors
    /// The request comes back with its answer: how the process ended, or `NoProcess`.
    pub fn wait(&mut self, pid: Pid, request: W) -> Result<(), (W, Result<ExitStatus, SpawnError>)> {
        if self.living.contains_key(&pid) {
            self.waiting.entry(pid).or_default().push(request);
            return Ok(());
        }
        // The end that is asked for is mostly a late one.
        let end = self.ends.iter().rev().find(|(ended, _)| *ended == pid);
        Err((request, end.map(|&(_, status)| status).ok_or(SpawnError::NoProcess)))
    }

    /// Forgets requests that nobody waits for any more.
    pub fn keep_waiters(&mut self, wanted: impl Fn(&W) -> bool) {
        self.waiting.retain(|_, waiters| {
            waiters.retain(&wanted);
            !waiters.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Processes = Table<&'static str, u32>;
    const GOOD: ExitStatus = ExitStatus::Exited { code: 0 };

    fn names(table: &Processes) -> Vec<(Pid, &str)> {
        table.living().map(|(pid, process)| (pid, process.name.as_str())).collect()
    }

    #[test]
    fn numbers_ascend_and_are_never_used_twice() {
        let mut table = Processes::new(16);
        let first = table.begin("a", None).unwrap();
        assert_eq!(first, 16);
        let _ = table.ended(first, GOOD);
        let second = table.begin("b", None).unwrap();
        assert!(table.abandon(second).is_empty());
        assert_eq!(table.begin("c", None), Ok(18));
    }

    #[test]
    fn any_number_of_requests_wait_and_each_gets_the_status() {
        let mut table = Processes::new(16);
        let pid = table.begin("a", None).unwrap();
        table.started(pid, "child");
        assert_eq!(table.wait(pid, 1), Ok(()));
        assert_eq!(table.wait(pid, 2), Ok(()));
        let (process, woken) = table.ended(pid, ExitStatus::Killed);
        assert_eq!(process.unwrap().child, Some("child"));
        assert_eq!(woken, [1, 2]);
        assert_eq!(table.wait(pid, 3), Err((3, Ok(ExitStatus::Killed))));
        assert_eq!(table.wait(pid, 4), Err((4, Ok(ExitStatus::Killed))));
    }

    #[test]
    fn a_process_ends_once() {
        let mut table = Processes::new(16);
        let pid = table.begin("a", None).unwrap();
        assert!(table.ended(pid, GOOD).0.is_some());
        assert!(table.ended(pid, ExitStatus::Killed).0.is_none());
        assert_eq!(table.wait(pid, 1), Err((1, Ok(GOOD))));
    }

    #[test]
    fn what_never_was_has_no_end() {
        let mut table = Processes::new(16);
        assert_eq!(table.wait(99, 1), Err((1, Err(SpawnError::NoProcess))));
        let pid = table.begin("a", None).unwrap();
        assert_eq!(table.wait(pid, 5), Ok(()));
        assert_eq!(table.abandon(pid), [5]);
        assert_eq!(table.wait(pid, 1), Err((1, Err(SpawnError::NoProcess))));
        assert!(table.get_mut(pid).is_err());
    }

    #[test]
    fn there_is_a_limit_and_old_ends_are_forgotten() {
        let mut table = Processes::new(16);
        for _ in 0..MAX_PROCESSES {
            table.begin("a", None).unwrap();
        }
        assert_eq!(table.begin("a", None), Err(SpawnError::Exhausted));
        assert_eq!(names(&table).len(), MAX_PROCESSES);
        let mut table = Processes::new(1);
        for _ in 0..=MAX_REMEMBERED {
            let pid = table.begin("a", None).unwrap();
            let _ = table.ended(pid, GOOD);
        }
        assert_eq!(table.wait(1, 0), Err((0, Err(SpawnError::NoProcess))));
        assert_eq!(table.wait(2, 0), Err((0, Ok(GOOD))));
    }

    #[test]
    fn nobody_gets_more_than_who_started_it() {
        let mut table = Processes::new(16);
        let free = table.begin("a", table.limit_for(1, 0).unwrap()).unwrap();
        let limited = table.begin("b", table.limit_for(free, 100).unwrap()).unwrap();
        let limits = [(1, 0), (1, 50), (free, 0), (free, 50), (limited, 0), (limited, 50), (limited, 150)];
        let given = limits.map(|(starter, wanted)| table.limit_for(starter, wanted).unwrap());
        assert_eq!(given, [None, Some(50), None, Some(50), Some(100), Some(50), Some(100)]);
        let _ = table.ended(limited, GOOD);
        assert_eq!(table.limit_for(limited, 0), Err(SpawnError::NoProcess));
    }

    #[test]
    fn requests_that_were_given_up_are_forgotten() {
        let mut table = Processes::new(16);
        let pid = table.begin("a", None).unwrap();
        for request in 0..10 {
            table.wait(pid, request).unwrap();
        }
        table.keep_waiters(|&request| request % 2 == 0);
        assert_eq!(table.ended(pid, GOOD).1, [0, 2, 4, 6, 8]);
    }
}
