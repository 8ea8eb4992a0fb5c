//! Ends of threads: who waits for them, and when the record is free again.

use super::list::{Index, NIL};
use super::{Place, State, ThreadId, Threads};

/// What [`Threads::join`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Joined {
    /// The thread has ended.
    Ended,
    /// It has not: the current thread is to park, and to ask again when it is unparked.
    Wait,
}

/// Who reaps a thread that has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Who joins it, or detaches it later.
    Joined,
    /// Nobody will ask for it: the runtime, as soon as its stack is not in use.
    Reaped,
}

impl Threads {
    /// Asks whether a thread has ended, and if not has the current thread unparked when it does. A thread waits for one
    /// end at a time: this takes the place of what it joined before. An id that is stale has ended.
    ///
    /// # Panics
    /// If a thread joins itself.
    pub fn join(&mut self, id: ThreadId) -> Joined {
        let current = self.current;
        self.leave(current);
        let Some(target) = self.find(id).filter(|&target| self.state_at(target) != Some(State::Ended)) else {
            return Joined::Ended;
        };
        assert_ne!(target, current, "a thread that joins itself waits for ever");
        let mut joiners = self.record(target).joiners;
        joiners.push_back(&mut self.records, current);
        self.record_mut(target).joiners = joiners;
        self.record_mut(current).joins = target;
        Joined::Wait
    }

    /// The current thread no longer waits for the end that it joined, if any.
    pub fn leave_join(&mut self) {
        self.leave(self.current);
    }

    /// The current thread ends, and all that joined it are unparked, in the order in which they came. It stays current
    /// until the switch to another.
    ///
    /// # Panics
    /// If it does not run.
    pub fn end_current(&mut self) -> Fate {
        let index = self.running();
        self.end_at(index)
    }

    /// Ends a thread that waits for memory which it will not get; none, and nothing is done, if it is not faulted.
    pub fn end_faulted(&mut self, id: ThreadId) -> Option<Fate> {
        let index = self.find(id).filter(|&index| self.state_at(index) == Some(State::Faulted))?;
        Some(self.end_at(index))
    }

    /// Nobody will join this thread. Says who reaps it if it has ended already; none if it has not, or the id is stale.
    pub fn detach(&mut self, id: ThreadId) -> Option<Fate> {
        let index = self.find(id)?;
        self.record_mut(index).detached = true;
        (self.state_at(index) == Some(State::Ended)).then_some(Fate::Reaped)
    }

    /// Frees the record of a thread that has ended: the id is stale from now on. False, and nothing has changed, if it
    /// has not ended, its stack is in use (it is current), or the id is stale.
    pub fn reap(&mut self, id: ThreadId) -> bool {
        let found = self.find(id).filter(|&index| self.state_at(index) == Some(State::Ended));
        let Some(index) = found.filter(|&index| index != self.current) else { return false };
        let record = self.record_mut(index);
        record.state = None;
        // A record whose generations are used up is retired, or an old id would name a new thread.
        if let Some(next) = record.generation.checked_add(1) {
            record.generation = next;
            self.free.push_back(&mut self.records, index);
        }
        true
    }

    fn end_at(&mut self, index: Index) -> Fate {
        debug_assert_eq!(self.record(index).place, Place::Nowhere);
        self.leave(index);
        self.record_mut(index).state = Some(State::Ended);
        let mut joiners = self.record(index).joiners;
        while let Some(joiner) = joiners.pop_front(&mut self.records) {
            self.record_mut(joiner).joins = NIL;
            self.unpark_at(joiner);
        }
        self.record_mut(index).joiners = joiners;
        if self.record(index).detached { Fate::Reaped } else { Fate::Joined }
    }

    /// A thread stops waiting for another's end.
    fn leave(&mut self, joiner: Index) {
        let target = core::mem::replace(&mut self.record_mut(joiner).joins, NIL);
        if target != NIL {
            let mut joiners = self.record(target).joiners;
            joiners.remove(&mut self.records, joiner);
            self.record_mut(target).joiners = joiners;
        }
    }
}
