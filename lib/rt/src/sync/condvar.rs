//! Waiting until what a mutex protects has changed.

use core::fmt;
use core::mem;
use core::time::Duration;

use threads::sync::{Abandoned, RawCondvar, Waited};

use super::{Domain, MutexGuard, deadline};

/// Where threads wait until a value under a [`Mutex`](super::Mutex) is as they need it.
///
/// Nobody wakes without a notification, but when a thread has the mutex again another may have been faster:
/// [`Condvar::wait_while`] looks again.
pub struct Condvar {
    raw: RawCondvar<Domain>,
}

// SAFETY: its cells are touched in critical sections alone, in which no other thread of the domain comes between.
unsafe impl Sync for Condvar {}

/// How a wait with a limit ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether the time was over before what was waited for.
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    /// Nobody waits.
    pub const fn new() -> Condvar {
        Condvar { raw: RawCondvar::new() }
    }

    /// Unlocks the mutex, waits for a notification, and locks it again.
    ///
    /// # Panics
    /// In a handler or task, and if the mutex is abandoned then.
    #[track_caller]
    pub fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let waited = self.raw.wait(guard.raw());
        locked_again(guard, waited).0
    }

    /// Waits while `condition` is true of the value.
    ///
    /// # Panics
    /// As [`Self::wait`].
    #[track_caller]
    pub fn wait_while<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        while condition(&mut guard) {
            guard = self.wait(guard);
        }
        guard
    }

    /// As [`Self::wait`], for at most `time` (and then as long as it takes to lock the mutex).
    ///
    /// # Panics
    /// As [`Self::wait`].
    #[track_caller]
    pub fn wait_timeout<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        time: Duration,
    ) -> (MutexGuard<'a, T>, WaitTimeoutResult) {
        self.wait_until(guard, deadline(time))
    }

    /// As [`Self::wait_while`], for at most `time`. If it timed out, the condition is still true.
    ///
    /// # Panics
    /// As [`Self::wait`].
    #[track_caller]
    pub fn wait_timeout_while<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        time: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> (MutexGuard<'a, T>, WaitTimeoutResult) {
        let deadline = deadline(time);
        let mut result = WaitTimeoutResult(false);
        while condition(&mut guard) {
            if result.timed_out() {
                return (guard, result);
            }
            (guard, result) = self.wait_until(guard, deadline);
        }
        (guard, WaitTimeoutResult(false))
    }

    /// Ends the wait of the thread that has waited longest.
    pub fn notify_one(&self) {
        self.raw.notify_one();
    }

    /// Ends the waits of all that wait now.
    pub fn notify_all(&self) {
        self.raw.notify_all();
    }

    #[track_caller]
    fn wait_until<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: u64,
    ) -> (MutexGuard<'a, T>, WaitTimeoutResult) {
        let waited = self.raw.wait_until(guard.raw(), deadline);
        let (guard, waited) = locked_again(guard, waited);
        (guard, WaitTimeoutResult(waited == Waited::TimedOut))
    }
}

/// The guard, which was not used while others had the mutex, if the mutex is the thread's again.
#[track_caller]
fn locked_again<'a, T: ?Sized, R>(
    guard: MutexGuard<'a, T>,
    waited: Result<R, Abandoned>,
) -> (MutexGuard<'a, T>, R) {
    match waited {
        Ok(result) => (guard, result),
        Err(Abandoned) => {
            // There is nothing to unlock.
            mem::forget(guard);
            super::abandoned()
        }
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Condvar::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condvar { .. }")
    }
}
