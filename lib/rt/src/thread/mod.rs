//! Threads of a domain: they take turns on its core, and share all it has.
//!
//! ```text
//!   spawn, join, park, sleep, thread-locals        this file, locals
//!   who runs, switching, preemption                table, arch
//!   stacks                                         stack
//!   whose turn it is                               core/threads
//! ```
//!
//! A switch stays in user space unless an upcall took the processor from the thread that goes on. The main thread is the one
//! that runs handlers and tasks, while it is parked, and the one that waits in the kernel; the others hand the
//! processor to it when nobody is ready. While the main thread computes, whoever is parked takes in the answers to
//! calls; requests wait for the main thread.

mod fault;
mod locals;
mod stack;
mod table;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::time::Duration;

pub use locals::LocalKey;
pub use stack::{DEFAULT_STACK, give_back_stacks};
pub use table::yield_now;
pub use threads::schedule::{MAX_THREADS, PRIORITIES, Priority, ThreadId};

#[cfg(target_os = "none")]
pub(crate) use fault::faulted;
#[cfg(test)]
pub(crate) use table::add_played;
pub(crate) use table::park as park_as;
#[cfg(target_os = "none")]
pub(crate) use table::preempted;
pub(crate) use table::{
    current, give_way, has_others, has_token, init, is_alive, is_alone, others_exist, others_ready,
    own_stack, own_stack_if_started, stay_alone, take_token, unpark, with_name,
};

use crate::cell::Guarded;
use crate::error::RtError;
use crate::{dispatch, executor, time};
pub(crate) use stack::Stack;
use table::Block;
use threads::schedule::Joined;

/// Why there is no result of a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JoinError {
    /// A fault has ended it; its report says where.
    Faulted,
}

impl core::fmt::Display for JoinError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            JoinError::Faulted => f.write_str("a fault has ended the thread"),
        }
    }
}

impl core::error::Error for JoinError {}

/// How a thread is to be.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    name: Option<String>,
    stack: Option<u64>,
    priority: Priority,
}

impl Builder {
    /// Without a name, with [`DEFAULT_STACK`] and [`Priority::NORMAL`].
    pub fn new() -> Builder {
        Builder::default()
    }
    /// A name, which reports of faults tell.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = Some(name.into());
        self
    }
    /// Bytes that its stack may grow to.
    pub fn stack_size(mut self, bytes: u64) -> Builder {
        self.stack = Some(bytes);
        self
    }
    /// How urgent it is.
    pub fn priority(mut self, priority: Priority) -> Builder {
        self.priority = priority;
        self
    }

    /// Starts a thread that runs `f`.
    ///
    /// # Errors
    /// `OutOfMemory`, `NoAddress`; `NotAvailable` on a hosted target.
    pub fn spawn<T: Send + 'static>(
        self,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>, RtError> {
        if cfg!(not(any(target_os = "none", test))) {
            return Err(RtError::NotAvailable);
        }
        let stack = Stack::new(self.stack.unwrap_or(DEFAULT_STACK))?;
        let result = Arc::new(Guarded::new(None));
        let place = result.clone();
        let start = Box::new(move || {
            let value = f();
            // In two steps: dropping what the handle's owner put there never runs in the critical section.
            let former = place.with(|place| place.replace(value));
            drop(former);
        });
        let range = stack.range();
        let block = Block::new(Some(stack), range, self.name, Some(start));
        let id = table::add(Box::new(block), self.priority).map_err(|_| RtError::OutOfMemory)?;
        Ok(JoinHandle { id, result, joined: false })
    }
}

/// Starts a thread that runs `f`.
///
/// # Panics
/// When there is no memory for its stack; see [`Builder::spawn`] for an error instead.
pub fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    match Builder::new().spawn(f) {
        Ok(handle) => handle,
        Err(error) => panic!("no thread could be started: {error}"),
    }
}

/// A thread that was started. Dropping it lets the thread run on by itself.
pub struct JoinHandle<T> {
    id: ThreadId,
    result: Arc<Guarded<Option<T>>>,
    joined: bool,
}

impl<T> JoinHandle<T> {
    /// Which thread.
    pub fn thread(&self) -> ThreadId {
        self.id
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        !is_alive(self.id)
    }

    /// Waits for its end and takes its result.
    ///
    /// # Errors
    /// [`JoinError::Faulted`].
    ///
    /// # Panics
    /// In a handler or task, if it has not ended (invariant M2), and for the thread that would join itself.
    pub fn join(mut self) -> Result<T, JoinError> {
        while table::join(self.id) == Joined::Wait {
            dispatch::park();
        }
        self.joined = true;
        table::reap(self.id);
        self.result.with(Option::take).ok_or(JoinError::Faulted)
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if !self.joined {
            table::detach(self.id);
        }
    }
}

/// The running thread.
pub fn id() -> ThreadId {
    current()
}

/// Parks the running thread until it is unparked; may return spuriously. An unpark since it last parked makes it return at
/// once.
///
/// # Panics
/// In a handler or task (invariant M2).
pub fn park() {
    dispatch::park();
}

/// Makes a thread return from its present or next [`park`]. Does nothing if it has ended.
pub fn unpark_thread(id: ThreadId) {
    unpark(id);
}

/// Waits for so long.
///
/// # Panics
/// In a handler or task: there it is `time::sleep(..).await`.
pub fn sleep(time: Duration) {
    executor::block_on(time::sleep(time));
}
