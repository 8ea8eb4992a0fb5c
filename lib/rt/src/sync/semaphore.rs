//! Permits of which there is a number.

use core::fmt;
use core::mem;
use core::time::Duration;

use threads::sync::RawSemaphore;

use super::{Domain, deadline};

/// Permits that threads take and give back: the thread that has waited longest gets the next.
pub struct Semaphore {
    raw: RawSemaphore<Domain>,
}

// SAFETY: its cells are touched in critical sections alone, in which no other thread of the domain comes between.
unsafe impl Sync for Semaphore {}

impl Semaphore {
    /// So many permits are free.
    pub const fn new(permits: usize) -> Semaphore {
        Semaphore { raw: RawSemaphore::new(permits) }
    }

    /// Takes a permit; waits until there is one.
    ///
    /// # Panics
    /// If a handler or task would have to wait.
    pub fn acquire(&self) -> Permit<'_> {
        self.raw.acquire();
        Permit { semaphore: self }
    }

    /// As [`Self::acquire`]; none if there is none within `time`.
    ///
    /// # Panics
    /// As [`Self::acquire`].
    pub fn acquire_timeout(&self, time: Duration) -> Option<Permit<'_>> {
        self.raw.acquire_until(deadline(time)).then_some(())?;
        Some(Permit { semaphore: self })
    }

    /// Takes a permit if one is free.
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.raw.try_acquire().then_some(())?;
        Some(Permit { semaphore: self })
    }

    /// Adds a permit, or gives one back that was kept.
    ///
    /// # Panics
    /// If there would be more than `usize::MAX` free ones.
    pub fn release(&self) {
        self.raw.release();
    }

    /// Permits that are free.
    pub fn available(&self) -> usize {
        self.raw.available()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("available", &self.available()).finish()
    }
}

/// A permit of a [`Semaphore`]. Dropping it gives it back.
#[must_use = "the permit is given back at once otherwise"]
#[derive(Debug)]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
}

impl Permit<'_> {
    /// Keeps it: for who calls [`Semaphore::release`] later, or never.
    pub fn keep(self) {
        mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.semaphore.release();
    }
}
