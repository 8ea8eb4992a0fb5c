//! Remote procedure calls between domains.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod port;

pub use port::{Lock, Outcome, Port, Receiver, SendError, Task};
