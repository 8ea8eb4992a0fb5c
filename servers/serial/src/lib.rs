//! The serial server: one UART, shared by sessions.
//!
//! ```text
//!   clients ──RPC──► Desk ──► console::Console ──► pl011::Uart ◄── interrupt
//!              who asked, long writes   lines, turns, echo     FIFO
//! ```
//!
//! The UART works by interrupt; every answer is sent when it is due, and nothing is polled. A session is a channel
//! and ends with it (R1). What its builder passes is told in [`domain::servers::serial`].
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

mod desk;
mod server;

pub use desk::{Desk, Order, Requests};
pub use server::{BAUD, StartError, serve};
