//! The serial server: one UART, shared by sessions.
//!
//! ```text
//!   clients ──RPC──► Desk ──► console::Console ──► pl011::Uart ◄── interrupt
//!              who asked, long writes   lines, turns, echo     FIFO
//! ```
//!
//! The UART works by interrupt; every answer is sent when it is due, and nothing is polled. A session is a channel
//! and ends with it (R1).
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod desk;

pub use desk::{Desk, MAX_REQUEST, Order, Requests};
