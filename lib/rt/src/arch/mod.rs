//! The machine under the domain: entry, upcalls, waiting, counter, stack walking.
//!
//! Each variant offers the same functions; `Wake` says how a wait ended.

#[cfg(target_os = "none")]
mod aarch64;
#[cfg(target_os = "none")]
pub(crate) use aarch64::*;

#[cfg(not(target_os = "none"))]
mod hosted;
#[cfg(not(target_os = "none"))]
pub(crate) use hosted::*;

/// How a wait ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wake {
    /// Events are ready, or the deadline has passed, or nothing at all.
    Run,
    /// A packet for this event is in the buffer.
    Message(u32),
}
