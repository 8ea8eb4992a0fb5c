//! A number of threads wait for each other.

use core::cell::Cell;

use super::Platform;
use super::waiters::{self, Start, Step, Waiters};

/// Lets threads go on when so many of them have come; then it starts anew.
///
/// A thread that ends before it comes leaves the others waiting: the barrier does not know whom to expect.
pub struct RawBarrier<P: Platform> {
    size: usize,
    /// How many of this round are here. Read and written only inside a critical section.
    arrived: Cell<usize>,
    waiters: Waiters<P>,
}

impl<P: Platform> RawBarrier<P> {
    /// A barrier for `size` threads; for 0 as for 1, nobody waits.
    #[must_use]
    pub const fn new(size: usize) -> Self {
        RawBarrier { size, arrived: Cell::new(0), waiters: Waiters::new() }
    }

    /// Waits until all are here. True for one of them, the last.
    ///
    /// # Panics
    /// If the current thread must not wait but would have to.
    pub fn wait(&self) -> bool {
        match waiters::start::<P, _>(|| self.arrive(), || self.waiters.grow()) {
            Start::Done(end) => {
                // Those of the next round have larger tickets.
                while let Some(thread) = P::critical(|| self.waiters.pop_before(end)) {
                    P::unpark(thread);
                }
                true
            }
            Start::Queued(ticket) => {
                waiters::park_until_some::<P, _>(|| (!self.waiters.contains(ticket)).then_some(()));
                false
            }
        }
    }

    /// Inside. For the last of a round, the ticket at which the next round begins.
    fn arrive(&self) -> Step<u64> {
        if self.arrived.get() + 1 >= self.size {
            self.arrived.set(0);
            return Step::Done(self.waiters.next_ticket());
        }
        let step = self.waiters.queue("a handler must not wait at a barrier");
        if let Step::Queued(_) = step {
            self.arrived.set(self.arrived.get() + 1);
        }
        step
    }
}
