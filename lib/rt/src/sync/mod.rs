//! What threads share and wait for: locks, conditions, permits, things done once, each other, values.
//!
//! ```text
//!   Mutex Condvar RwLock Semaphore Once OnceLock LazyLock Barrier mpsc      values, guards: here
//!   ────────────────────────────────────────────────────────────────
//!   who may go on, who waits, in which order                                threads::sync
//!   ────────────────────────────────────────────────────────────────
//!   park, unpark, critical sections, time                                   Domain
//! ```
//!
//! Shaped like the standard library's, with these differences:
//! - First come, first served: a lock is handed to the thread that has waited longest.
//! - A panic ends the domain, so nothing is poisoned by one. Instead, what a thread held that a *fault* ended is
//!   abandoned: [`Mutex::lock`] panics then, [`Mutex::checked_lock`] says so.
//! - In handlers and tasks everything works that need not wait; what would have to panics and says so. A guard that a
//!   task keeps over an `await` is the main thread's: `main` panics when it wants that lock.
//!
//! **Why it is sound.** The threads of a domain take turns on one core, and no other core sees its memory. So there are no
//! races between loads and stores, only half-done changes that another thread comes upon. Changes of the primitives
//! themselves are critical sections ([`crate::critical`]), in which no other thread comes between; their boundaries
//! are barriers to the compiler. What they protect is reached through a guard, or after it is complete; the
//! primitives see to it that a guard that may change it is the only one. On a hosted target there are no threads.

mod barrier;
mod condvar;
mod lazy;
pub mod mpsc;
mod mutex;
mod once;
mod rwlock;
mod semaphore;

use core::time::Duration;

pub use barrier::{Barrier, BarrierWaitResult};
pub use condvar::{Condvar, WaitTimeoutResult};
pub use lazy::LazyLock;
pub use mutex::{Mutex, MutexGuard, TryLockError};
pub use once::{Once, OnceLock};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{Permit, Semaphore};
pub use threads::sync::Abandoned;

use threads::schedule::ThreadId;
use threads::sync::Platform;

use crate::time::{self, Instant};
use crate::{arch, critical, dispatch, executor, thread};

/// The threads of this domain, as the primitives see them.
#[derive(Debug)]
pub(crate) enum Domain {}

impl Platform for Domain {
    type Thread = ThreadId;

    #[inline(always)]
    fn current() -> ThreadId {
        thread::current()
    }

    fn park() {
        dispatch::park();
    }

    fn park_until(deadline: u64) {
        executor::park_beside(time::sleep_until(Instant::from_ticks(deadline)));
    }

    fn now() -> u64 {
        arch::ticks()
    }

    fn unpark(thread: ThreadId) {
        dispatch::unpark(thread);
    }

    #[inline(always)]
    fn critical<R>(f: impl FnOnce() -> R) -> R {
        critical::section(f)
    }

    /// Asked in the section of a primitive, which is one; a second one is the caller's, who must not wait in it.
    fn may_wait() -> bool {
        !dispatch::in_handler() && critical::depth() <= 1
    }

    fn is_alive(thread: ThreadId) -> bool {
        thread::is_alive(thread)
    }
}

/// When a wait of at most `time` that begins now is over.
fn deadline(time: Duration) -> u64 {
    time::now().after(time).ticks()
}

/// For locks that somebody took with him.
#[cold]
#[track_caller]
fn abandoned() -> ! {
    panic!("a lock is abandoned: {Abandoned}");
}
