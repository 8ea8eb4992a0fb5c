//! The memory server of a core: hands out its RAM by capability.
//!
//! ```text
//!   root Ram ──retype──► Unit ──zero, in steps──► retype ──► Ram ──► client, who alone holds it
//!      ▲                   │ kept here
//!      └── free again ◄── deleted ◄── pulled when the last capability over it is gone
//! ```
//!
//! There is no call to free memory: the kernel rings a doorbell when a unit has no capabilities left, and the server takes it
//! back. So what a client loses in any way, the client itself included, returns (R1), and nothing is polled.
//!
//! Zeroing goes in steps of the kernel with other clients served in between (K2, K7). The server asks nobody for
//! anything: it lives on what its builder gave and then on its own roots.
//!
//! What its builder passes is told in [`domain::servers::mem`]. It serves [`Memory`](interfaces::Memory) as
//! [`MEMORY`](rt::names::MEMORY), [`Accounts`](interfaces::Accounts) as
//! [`MEMORY_ACCOUNTS`](domain::servers::MEMORY_ACCOUNTS) to parts of the system alone, and for each of the two a way in for the
//! name service.
#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod books;
mod server;

pub use books::{Books, Grant, RESERVE_FOR_SMALL, RESERVE_FOR_SYSTEM, SMALL, Status};
pub use server::{StartError, serve};
