//! What a thread does, and why there is no more of them.

use super::MAX_THREADS;

/// What a thread does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Waits for its turn.
    Ready,
    /// Has the core.
    Running,
    /// Waits to be unparked; or was created and not yet made ready.
    Parked,
    /// Waits for memory behind a fault.
    Faulted,
    /// Will never run again; its record waits to be reaped.
    Ended,
}

/// What a parked thread's stack may be used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It is in the event loop: handlers and tasks may run on it.
    Loop,
    /// It waits for one channel's answer and nothing else may run on it.
    Leaf,
}

/// There is no room for another thread: [`MAX_THREADS`], or no memory for the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

impl core::fmt::Display for Full {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "no room for another thread: at most {MAX_THREADS}, and memory for their table")
    }
}

impl core::error::Error for Full {}
