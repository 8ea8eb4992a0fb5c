//! The spawn service: makes processes of programs, watches them, and takes their memory back.
//!
//! ```text
//!   program ──► prepare ──► Ram from mem ──► domain::build ──► names (attach) ──► start
//!                                                                                  │ doorbell: it has ended
//!   waiters ◄── status ◄── Ram revoked and deleted: all memory is back ◄───────────┘
//! ```
//!
//! The service alone holds the Ram that a process is made of, so an end, however it came, gives everything back (R1).
//! What its builder passes is told in [`domain::servers::spawn`].
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

mod birth;
mod program;
mod server;
mod table;

pub use program::{Program, Refusal, exists, names, prepare};
pub use server::{StartError, serve};
pub use table::{Heritage, MAX_PROCESSES, MAX_REMEMBERED, Process, Table};
