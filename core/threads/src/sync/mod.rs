//! What threads wait for: locks, conditions, permits, each other, values.
//!
//! These are the state machines; what they protect is kept beside them, in cells of the runtime's. Each is a few cells
//! and a queue, made by a `const fn`, and generic over [`Platform`], which parks and unparks threads.
//!
//! ```text
//!   the waiter                                      the one who makes its wait end
//!   critical: look ── as wanted ──► done            critical: change the state, take the waiter
//!      │ not so: queue                                 │      out of the queue
//!      ▼                                               ▼
//!   park ◄──────────── a token ───────────────────  unpark it
//!      ▼
//!   critical: look whether it is over ── no ──► park
//! ```
//!
//! **No wake-up is lost.**
//! 1. A waiter finds that it has to wait and puts itself into the queue in *one* critical section. Whatever ends its
//!    wait happens in a critical section of its own, so before the look, which then sees it, or after the queueing.
//! 2. In the latter case the change of the state and the removal from the queue are one critical section too, and the
//!    unparking follows. So a waiter is in the queue, or its wait is over and it has been or will be unparked.
//! 3. An unpark before the park leaves a token, by which the park returns at once.
//! 4. A waiter goes on when the *state* says so, never because it was unparked. So tokens left by others, and
//!    whatever else makes a park return, do no harm; and one who consumes a token looks at the state afterwards.
//! 5. A waiter who gives up, by its deadline, looks and takes itself out in one critical section: nothing is handed
//!    to one who has left, and nothing that was handed over is refused.
//!
//! **In a critical section** nothing is allocated or freed, no code of the user runs, nothing panics, and nobody is
//! unparked. A queue that is full is grown outside, and the attempt made anew. The cells are touched nowhere else.
//! Each section takes constant time, but for growing a queue, taking out one who gave up, readers of a lock, and a
//! binary search.
//!
//! **First come, first served.** What is given back (a lock, a permit, room in a channel) is handed to the thread
//! that has waited longest; who comes later cannot get ahead. [`RawMutex`] says why.
//!
//! **In a handler**, where [`Platform::may_wait`] is false, everything works that does not have to wait; what would
//! have to panics, and says so.
//!
//! **Ends of threads.** One who has ended is passed over in every queue. A lock that an ended thread holds is
//! [`Abandoned`], by a reader for writers alone; something begun once is begun anew. So what a guard lends stays as it is
//! for ever, if it was leaked: whoever has it.

mod barrier;
mod channel;
mod condvar;
mod error;
mod mutex;
mod once;
mod platform;
mod rwlock;
mod semaphore;
mod waiters;

pub use barrier::RawBarrier;
pub use channel::Channel;
pub use condvar::{RawCondvar, Waited};
pub use error::{Abandoned, RecvError, RecvUntilError, SendError, TryRecvError, TrySendError};
pub use mutex::RawMutex;
pub use once::{Entered, RawOnce};
pub use platform::Platform;
pub use rwlock::RawRwLock;
pub use semaphore::RawSemaphore;
