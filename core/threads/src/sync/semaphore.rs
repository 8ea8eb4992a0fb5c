//! A number of permits.

use core::cell::Cell;

use super::Platform;
use super::waiters::{self, Start, Step, Ticket, Waiters};

/// Permits that threads take and anybody puts back.
///
/// A permit that is put back goes to the thread that has waited longest, not to who comes next: nobody starves, and
/// permits are free only while nobody waits. Permits have no owner: one that a thread took which then ended is gone.
pub struct RawSemaphore<P: Platform> {
    /// Read and written only inside a critical section.
    free: Cell<usize>,
    waiters: Waiters<P>,
}

impl<P: Platform> RawSemaphore<P> {
    /// So many permits are free.
    #[must_use]
    pub const fn new(permits: usize) -> Self {
        RawSemaphore { free: Cell::new(permits), waiters: Waiters::new() }
    }

    /// Takes a permit; waits until there is one.
    ///
    /// # Panics
    /// If the current thread must not wait but would have to.
    pub fn acquire(&self) {
        if let Start::Queued(ticket) = self.start() {
            waiters::park_until_some::<P, _>(|| self.granted(ticket));
        }
    }

    /// Takes a permit; waits until there is one, or until `deadline`. Whether it got one.
    ///
    /// # Panics
    /// If the current thread must not wait but would have to.
    pub fn acquire_until(&self, deadline: u64) -> bool {
        let Start::Queued(ticket) = self.start() else { return true };
        let give_up = || {
            self.waiters.remove(ticket);
            false
        };
        waiters::park_with_deadline::<P, _>(deadline, || self.granted(ticket).map(|()| true), give_up)
    }

    /// Takes a permit if one is free. Never waits.
    pub fn try_acquire(&self) -> bool {
        P::critical(|| self.take())
    }

    /// Puts back, or adds, a permit. Never waits.
    ///
    /// # Panics
    /// If there would be more than `usize::MAX` free ones.
    pub fn release(&self) {
        let next = P::critical(|| match self.waiters.pop() {
            Some(thread) => Some(Some(thread)),
            None => self.free.get().checked_add(1).map(|free| {
                self.free.set(free);
                None
            }),
        });
        next.expect("more permits than can be counted").into_iter().for_each(P::unpark);
    }

    /// Permits that are free.
    #[must_use]
    pub fn available(&self) -> usize {
        P::critical(|| self.free.get())
    }

    fn start(&self) -> Start<()> {
        let in_handler = "a handler must not wait for a semaphore: use try_acquire, or a task of its own";
        let step = || if self.take() { Step::Done(()) } else { self.waiters.queue(in_handler) };
        waiters::start::<P, _>(step, || self.waiters.grow())
    }

    /// Inside: takes one if one is free.
    fn take(&self) -> bool {
        let left = self.free.get().checked_sub(1);
        left.into_iter().for_each(|left| self.free.set(left));
        left.is_some()
    }

    /// Inside: who is no longer in the queue was given a permit.
    fn granted(&self, ticket: Ticket) -> Option<()> {
        (!self.waiters.contains(ticket)).then_some(())
    }
}
