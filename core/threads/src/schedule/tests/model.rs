//! Random operations on the table and on a naive model of it, compared after each.

use std::collections::{BTreeMap, VecDeque};
use std::vec::Vec;

use proptest::prelude::*;

use super::super::{Fate, Joined, Kind, PRIORITIES, Priority, State, ThreadId, Threads};

struct Thread {
    state: State,
    started: bool,
    priority: u8,
    token: bool,
    detached: bool,
    joins: Option<u32>,
}

/// All threads that were not reaped by the bits of their ids, and the queues.
struct Model {
    threads: BTreeMap<u32, Thread>,
    current: u32,
    ready: [VecDeque<u32>; PRIORITIES],
    /// Last parked last.
    parked: [Vec<u32>; 2],
    /// In the order in which they came.
    joiners: Vec<u32>,
}

impl Model {
    fn new() -> Model {
        let mut model = Model {
            threads: BTreeMap::new(),
            current: 0,
            ready: Default::default(),
            parked: Default::default(),
            joiners: Vec::new(),
        };
        model.create(0, Priority::NORMAL.level());
        let main = model.threads.get_mut(&0).unwrap();
        (main.state, main.started) = (State::Running, true);
        model
    }
    fn create(&mut self, id: u32, priority: u8) {
        let (state, started, token, detached, joins) = (State::Parked, false, false, false, None);
        let old = self.threads.insert(id, Thread { state, started, priority, token, detached, joins });
        assert!(old.is_none(), "an id was given twice");
    }
    fn me(&mut self) -> &mut Thread {
        self.threads.get_mut(&self.current).unwrap()
    }
    fn take_out(&mut self, id: u32) {
        self.ready.iter_mut().for_each(|queue| queue.retain(|&it| it != id));
        self.parked.iter_mut().for_each(|list| list.retain(|&it| it != id));
    }
    fn make_ready(&mut self, id: u32) {
        self.take_out(id);
        let thread = self.threads.get_mut(&id).unwrap();
        (thread.state, thread.started) = (State::Ready, true);
        self.ready[thread.priority as usize].push_back(id);
    }
    fn nudge(&mut self, id: u32) {
        if self.threads.get(&id).is_some_and(|it| it.state == State::Parked && it.started) {
            self.make_ready(id);
        }
    }
    fn unpark(&mut self, id: u32) {
        if let Some(thread) = self.threads.get_mut(&id).filter(|it| it.state != State::Ended) {
            thread.token = true;
            self.nudge(id);
        }
    }
    fn leave(&mut self, id: u32) {
        self.joiners.retain(|&it| it != id);
        self.threads.get_mut(&id).unwrap().joins = None;
    }
    fn join(&mut self, id: u32) -> Joined {
        let current = self.current;
        self.leave(current);
        if !self.threads.get(&id).is_some_and(|it| it.state != State::Ended) {
            return Joined::Ended;
        }
        self.me().joins = Some(id);
        self.joiners.push(current);
        Joined::Wait
    }
    fn end(&mut self, id: u32) -> Fate {
        self.leave(id);
        let thread = self.threads.get_mut(&id).unwrap();
        thread.state = State::Ended;
        let fate = if thread.detached { Fate::Reaped } else { Fate::Joined };
        for joiner in self.joiners.clone() {
            if self.threads[&joiner].joins == Some(id) {
                self.leave(joiner);
                self.unpark(joiner);
            }
        }
        fate
    }
    fn pick(&mut self) -> Option<u32> {
        self.ready.iter_mut().rev().find_map(VecDeque::pop_front)
    }
    fn switch_to(&mut self, id: u32) {
        self.take_out(id);
        self.current = id;
        self.me().state = State::Running;
    }
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Create,
    Ready,
    Unpark,
    UnparkAll,
    Nudge,
    Yield,
    Rotate,
    Preempt,
    Park(bool),
    TakeToken,
    Fault,
    FaultDone,
    Join,
    LeaveJoin,
    End,
    EndFaulted,
    Detach,
    Reap,
    SetPriority(u8),
}
use Operation as O;

fn operation() -> impl Strategy<Value = Operation> {
    let weighted = [
        (6, O::Create),
        (6, O::Ready),
        (4, O::Unpark),
        (1, O::UnparkAll),
        (2, O::Nudge),
        (3, O::Yield),
        (4, O::Rotate),
        (2, O::Preempt),
        (4, O::Park(false)),
        (4, O::Park(true)),
        (2, O::TakeToken),
        (3, O::Fault),
        (3, O::FaultDone),
        (4, O::Join),
        (1, O::LeaveJoin),
        (3, O::End),
        (1, O::EndFaulted),
        (2, O::Detach),
        (4, O::Reap),
    ];
    let fixed = weighted.map(|(weight, it)| (weight, Just(it).boxed()));
    let priority = (3, (0..PRIORITIES as u8).prop_map(O::SetPriority).boxed());
    proptest::strategy::Union::new_weighted(fixed.into_iter().chain([priority]).collect())
}

struct Run {
    real: Threads,
    model: Model,
    /// Every id that there ever was.
    ids: Vec<ThreadId>,
}

impl Run {
    /// Applies an operation to both; `which` chooses the thread that it is about.
    fn step(&mut self, operation: Operation, which: usize) {
        let id = self.ids[which % self.ids.len()];
        let bits = id.bits();
        let Run { real, model, .. } = self;
        match operation {
            O::Create => {
                let priority = Priority::new(which as u8 % 8).unwrap();
                let id = real.create(priority).unwrap();
                model.create(id.bits(), priority.level());
                self.ids.push(id);
            }
            O::Ready => {
                real.ready(id);
                if model.threads.get(&bits).is_some_and(|it| !it.started) {
                    model.make_ready(bits);
                }
            }
            O::Unpark => (real.unpark(id), model.unpark(bits)).0,
            O::UnparkAll => {
                real.unpark_all();
                // The table goes by index.
                let mut all: Vec<u32> = model.threads.keys().copied().collect();
                all.sort_by_key(|id| id & 0xffff);
                all.into_iter().for_each(|id| model.unpark(id));
            }
            O::Nudge => (real.nudge(id), model.nudge(bits)).0,
            O::Rotate => {
                let former = model.current;
                model.make_ready(former);
                let next = model.pick().unwrap();
                model.switch_to(next);
                assert_eq!(real.rotate().map(ThreadId::bits), (next != former).then_some(next));
            }
            O::TakeToken => assert_eq!(real.take_token(), std::mem::take(&mut model.me().token)),
            O::FaultDone => {
                real.fault_done(id);
                if model.threads.get(&bits).is_some_and(|it| it.state == State::Faulted) {
                    model.make_ready(bits);
                }
            }
            O::Join if bits != model.current => assert_eq!(real.join(id), model.join(bits)),
            O::Join => {}
            O::LeaveJoin => (real.leave_join(), model.leave(model.current)).0,
            O::EndFaulted => {
                let faulted = model.threads.get(&bits).is_some_and(|it| it.state == State::Faulted);
                assert_eq!(real.end_faulted(id), faulted.then(|| model.end(bits)));
            }
            O::Detach => {
                let ended = model.threads.get_mut(&bits).map(|it| {
                    it.detached = true;
                    it.state == State::Ended
                });
                assert_eq!(real.detach(id), (ended == Some(true)).then_some(Fate::Reaped));
            }
            O::Reap => {
                let ended = model.threads.get(&bits).is_some_and(|it| it.state == State::Ended);
                let reaped = ended && bits != model.current;
                assert_eq!(real.reap(id), reaped);
                if reaped {
                    model.threads.remove(&bits);
                }
            }
            O::SetPriority(level) => {
                real.set_priority(id, Priority::new(level).unwrap());
                let changed = model.threads.get_mut(&bits).filter(|it| it.priority != level);
                let queued = changed.map(|it| {
                    it.priority = level;
                    it.state == State::Ready
                });
                if queued == Some(true) {
                    model.make_ready(bits);
                }
            }
            O::Yield | O::Preempt | O::Park(_) | O::Fault | O::End => self.leave_the_core(operation),
        }
        self.compare();
    }

    /// The current thread stops running, and another is switched to; at times there is none that can run.
    fn leave_the_core(&mut self, operation: Operation) {
        let Run { real, model, .. } = self;
        let current = model.current;
        let kind = |leaf| if leaf { Kind::Leaf } else { Kind::Loop };
        match operation {
            O::Yield => (real.yield_current(), model.make_ready(current)).0,
            O::Preempt => (real.preempt_current(), model.make_ready(current)).0,
            O::Park(leaf) => {
                real.park_current(kind(leaf));
                model.me().state = State::Parked;
                model.parked[usize::from(leaf)].push(current);
            }
            O::Fault => (real.fault_current(), model.me().state = State::Faulted).0,
            O::End => assert_eq!(real.end_current(), model.end(current)),
            _ => unreachable!("not one of these"),
        }
        self.compare();
        let Run { real, model, .. } = self;
        let next = real.pick();
        assert_eq!(next.map(ThreadId::bits), model.pick());
        let parked = [Kind::Loop, Kind::Leaf].into_iter().find_map(|kind| real.any_parked(kind));
        let next = next.or(parked).unwrap_or_else(|| {
            // Nobody can run: another begins.
            let id = real.create(Priority::LOWEST).unwrap();
            model.create(id.bits(), 0);
            real.ready(id);
            model.make_ready(id.bits());
            self.ids.push(id);
            assert_eq!((real.pick(), model.pick()), (Some(id), Some(id.bits())));
            id
        });
        real.switch_to(next);
        model.switch_to(next.bits());
    }

    fn compare(&self) {
        let Run { real, model, ids } = self;
        assert_eq!(real.current().bits(), model.current);
        let ready: usize = model.ready.iter().map(VecDeque::len).sum();
        assert_eq!((real.ready_count(), real.has_ready()), (ready, ready > 0));
        for (kind, list) in [Kind::Loop, Kind::Leaf].into_iter().zip(&model.parked) {
            assert_eq!(real.any_parked(kind).map(ThreadId::bits), list.last().copied());
        }
        for &id in ids {
            let thread = model.threads.get(&id.bits());
            assert_eq!(real.state(id), thread.map(|it| it.state));
            assert_eq!(real.priority(id).map(Priority::level), thread.map(|it| it.priority));
            assert_eq!(real.is_alive(id), thread.is_some_and(|it| it.state != State::Ended));
        }
        // The order of the queues, by emptying copies.
        let mut copy = real.clone();
        let order: Vec<u32> = std::iter::from_fn(|| copy.pick()).map(ThreadId::bits).collect();
        assert_eq!(order, model.ready.iter().rev().flatten().copied().collect::<Vec<_>>());
    }
}

fn cases() -> u32 {
    if std::env::var_os("BARRELDISH_LONG").is_some() { 10_000 } else { 80 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_agrees_with_the_naive_model(
        steps in prop::collection::vec((operation(), any::<usize>()), 0..200),
    ) {
        let mut run = Run { real: Threads::new(), model: Model::new(), ids: std::vec![ThreadId::MAIN] };
        for (operation, which) in steps {
            run.step(operation, which);
        }
    }
}
