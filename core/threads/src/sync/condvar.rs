//! Waiting for a condition that a mutex protects.

use super::waiters::{self, Start, Step, Ticket, Waiters};
use super::{Abandoned, Platform, RawMutex};

/// How a wait with a deadline ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waited {
    /// By a notification.
    Notified,
    /// The deadline came first.
    TimedOut,
}

/// Threads that wait for a condition under a mutex to change. There are no spurious returns, but the condition may no
/// longer hold when the mutex is locked again: callers wait in a loop.
///
/// A thread queues here and gives up the mutex in one critical section. Who changes the condition has locked the mutex
/// after that, and so finds the thread in the queue.
pub struct RawCondvar<P: Platform> {
    waiters: Waiters<P>,
}

impl<P: Platform> Default for RawCondvar<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Platform> RawCondvar<P> {
    /// Nobody waits.
    #[must_use]
    pub const fn new() -> Self {
        RawCondvar { waiters: Waiters::new() }
    }

    /// Unlocks `mutex`, waits to be notified, and locks it again.
    ///
    /// # Errors
    /// [`Abandoned`]: the mutex is not held then.
    ///
    /// # Panics
    /// If the current thread does not hold `mutex`, or must not wait.
    pub fn wait(&self, mutex: &RawMutex<P>) -> Result<(), Abandoned> {
        let ticket = self.enter(mutex);
        waiters::park_until_some::<P, _>(|| self.notified(ticket));
        mutex.lock()
    }

    /// As [`Self::wait`], until `deadline` at the latest (and then as long as it takes to lock `mutex`).
    ///
    /// # Errors
    /// [`Abandoned`]: the mutex is not held then.
    ///
    /// # Panics
    /// If the current thread does not hold `mutex`, or must not wait.
    pub fn wait_until(&self, mutex: &RawMutex<P>, deadline: u64) -> Result<Waited, Abandoned> {
        let ticket = self.enter(mutex);
        let give_up = || {
            self.waiters.remove(ticket);
            Waited::TimedOut
        };
        let waited = waiters::park_with_deadline::<P, _>(deadline, || self.notified(ticket), give_up);
        mutex.lock()?;
        Ok(waited)
    }

    /// Ends the wait of the thread that has waited longest. Never waits itself.
    pub fn notify_one(&self) {
        P::critical(|| self.waiters.pop()).into_iter().for_each(P::unpark);
    }

    /// Ends the waits of all that wait now. Never waits itself.
    pub fn notify_all(&self) {
        self.waiters.wake_all();
    }

    /// Queues and unlocks, in one.
    fn enter(&self, mutex: &RawMutex<P>) -> Ticket {
        let step = || {
            if mutex.holder_inside() != Some(P::current()) {
                return Step::Refused("who waits on a condition variable must hold its mutex");
            }
            match self.waiters.queue("a handler must not wait on a condition variable: use a task") {
                Step::Queued(ticket) => Step::Done((ticket, mutex.release().flatten())),
                Step::NoRoom => Step::NoRoom,
                Step::Refused(reason) => Step::Refused(reason),
                Step::Done(done) => Step::Done(done),
            }
        };
        match waiters::start::<P, _>(step, || self.waiters.grow()) {
            Start::Done((ticket, next)) => {
                next.into_iter().for_each(P::unpark);
                ticket
            }
            Start::Queued(ticket) => ticket,
        }
    }

    fn notified(&self, ticket: Ticket) -> Option<Waited> {
        (!self.waiters.contains(ticket)).then_some(Waited::Notified)
    }
}
