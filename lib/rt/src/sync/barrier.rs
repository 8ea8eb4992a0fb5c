//! Where a number of threads wait for each other.

use core::fmt;

use threads::sync::RawBarrier;

use super::Domain;

/// Lets threads go on when so many of them have come; then it starts anew.
pub struct Barrier {
    raw: RawBarrier<Domain>,
}

// SAFETY: its cells are touched in critical sections alone, in which no other thread of the domain comes between.
unsafe impl Sync for Barrier {}

/// What [`Barrier::wait`] tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// True for one thread of each round, the last that came.
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

impl Barrier {
    /// For `threads` threads; for 0 as for 1, nobody waits.
    pub const fn new(threads: usize) -> Barrier {
        Barrier { raw: RawBarrier::new(threads) }
    }

    /// Waits until all are here.
    ///
    /// # Panics
    /// If a handler or task would have to wait.
    pub fn wait(&self) -> BarrierWaitResult {
        BarrierWaitResult(self.raw.wait())
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Barrier { .. }")
    }
}
