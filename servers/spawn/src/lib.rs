//! The spawn service: makes processes of programs, watches them, and takes their memory back.
//!
//! ```text
//!   program ──► prepare ──► Ram from mem ──► domain::build ──► names (attach) ──► start
//!                                                                                  │ doorbell: it has ended
//!   waiters ◄── status ◄── Ram revoked and deleted: all memory is back ◄───────────┘
//! ```
//!
//! The service alone holds the Ram that a process is made of, so an end, however it came, gives everything back (R1).
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod program;
mod table;

pub use program::{EARLY_RAM, Program, Refusal, exists, prepare};
pub use table::{MAX_PROCESSES, MAX_REMEMBERED, Process, Table};
