//! One thread at a time.

use core::cell::Cell;

use super::waiters::{self, Start, Step, Waiters};
use super::{Abandoned, Platform};

/// A lock that one thread holds at a time; the cell that it protects is the caller's.
///
/// **Hand-over.** [`unlock`](RawMutex::unlock) makes the thread that has waited longest the holder, before that runs. The
/// other way is to set the lock free and let the waiter try again. That would be faster for a thread that locks again
/// at once, but such a thread, on one core, always finds the lock free: the waiter has not run in between, and may never
/// get it. Here it gets it next. The price, a switch between threads, is due only if there is contention, which on one
/// core needs a holder that parked or was preempted while it held the lock.
///
/// **Priorities** are not inherited: a holder is as urgent as it was.
///
/// **Abandoned.** If the holder has ended, what the lock protects may be half changed, and nobody will ever unlock: all
/// who wait and all who come get [`Abandoned`]. Waiters learn of it because the platform unparks everybody after such an
/// end. A thread that returned normally and yet holds a lock (it forgot the guard) tells those who come, but wakes
/// nobody.
pub struct RawMutex<P: Platform> {
    /// Read and written only inside a critical section.
    holder: Cell<Option<P::Thread>>,
    waiters: Waiters<P>,
}

impl<P: Platform> Default for RawMutex<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Platform> RawMutex<P> {
    /// A lock that nobody holds.
    #[must_use]
    pub const fn new() -> Self {
        RawMutex { holder: Cell::new(None), waiters: Waiters::new() }
    }

    /// Makes the current thread the holder; waits while another one is.
    ///
    /// # Errors
    /// [`Abandoned`].
    ///
    /// # Panics
    /// If the current thread holds it, or must not wait but would have to.
    pub fn lock(&self) -> Result<(), Abandoned> {
        match waiters::start::<P, _>(|| self.enter(), || self.waiters.grow()) {
            Start::Done(result) => result,
            Start::Queued(ticket) => waiters::park_until_some::<P, _>(|| {
                let result = self.outcome()?;
                self.waiters.remove(ticket);
                Some(result)
            }),
        }
    }

    /// Makes the current thread the holder if nobody is. Never waits.
    ///
    /// # Errors
    /// [`Abandoned`].
    pub fn try_lock(&self) -> Result<bool, Abandoned> {
        P::critical(|| match self.holder.get() {
            None => {
                self.holder.set(Some(P::current()));
                Ok(true)
            }
            Some(holder) if P::is_alive(holder) => Ok(false),
            Some(_) => Err(Abandoned),
        })
    }

    /// Hands the lock to the thread that has waited longest, or sets it free.
    ///
    /// # Panics
    /// If the current thread does not hold it.
    pub fn unlock(&self) {
        let held = P::critical(|| self.release());
        held.expect("a mutex is unlocked by the thread that holds it").into_iter().for_each(P::unpark);
    }

    /// The thread that holds the lock, or held it when it ended.
    #[must_use]
    pub fn holder(&self) -> Option<P::Thread> {
        P::critical(|| self.holder.get())
    }

    /// Whether the holder has ended.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        P::critical(|| self.holder.get().is_some_and(|holder| !P::is_alive(holder)))
    }

    /// Inside: the first step of [`Self::lock`].
    fn enter(&self) -> Step<Result<(), Abandoned>> {
        let current = P::current();
        match self.holder.get() {
            None => {
                self.holder.set(Some(current));
                Step::Done(Ok(()))
            }
            Some(holder) if !P::is_alive(holder) => Step::Done(Err(Abandoned)),
            Some(holder) if holder == current && P::may_wait() => {
                Step::Refused("a thread locks a mutex that it holds: it would wait for itself")
            }
            Some(_) => {
                self.waiters.queue("a handler must not wait for a mutex: use try_lock, or a task of its own")
            }
        }
    }

    /// Inside: as [`Self::holder`].
    pub(super) fn holder_inside(&self) -> Option<P::Thread> {
        self.holder.get()
    }

    /// Inside: what a waiter has got, if its wait is over.
    fn outcome(&self) -> Option<Result<(), Abandoned>> {
        let holder = self.holder.get()?;
        if holder == P::current() {
            return Some(Ok(()));
        }
        (!P::is_alive(holder)).then_some(Err(Abandoned))
    }

    /// Inside: gives the lock up, and says whom to unpark. None if the current thread does not hold it.
    pub(super) fn release(&self) -> Option<Option<P::Thread>> {
        self.holder.get().filter(|&holder| holder == P::current())?;
        let next = self.waiters.pop();
        self.holder.set(next);
        Some(next)
    }
}
