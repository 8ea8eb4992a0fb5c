//! The runtime under every domain: start, upcalls, event loop, channels, memory, heap, tasks, time, last words.
//!
//! ```text
//!            main, handlers, tasks
//!   ┌──────────────┬───────────────┬──────────┐
//!   │ names        │ executor time │ console  │   connect, serve; block_on, spawn, sleep; lines of output
//!   │ channel      │ notify        │ report   │   ipc's Port; doorbells, interrupts; panics and faults
//!   ├──────────────┴───────────────┴──────────┤
//!   │ thread, sync                             │   whose turn it is; locks, conditions, channels
//!   │ dispatch: what a parked thread does      │   events ◄── frame: ready bits, rings
//!   ├──────────────────────────────────────────┤
//!   │ heap ─► vspace, pager ─► memory ─► slots │   each grows by the next
//!   ├──────────────────────────────────────────┤
//!   │ arch: entry, upcalls, Wait and SendWait  │
//!   └──────────────────────────────────────────┘
//! ```
//!
//! A domain starts with its main thread, which runs `main`; while that is parked (in a blocking call, [`block_on`], [`run`])
//! the event loop runs handlers and tasks on its stack, and on no other. More threads come by [`thread`], and share what is
//! here in critical sections ([`critical`]); faults bring memory ([`pager`]). The book's chapter 13 tells how it fits together.
//!
//! What a builder of domains must set up is told in [`start`]. On a hosted target the crate runs over the model
//! kernel of `sys::fake`, for tests.
#![cfg_attr(target_os = "none", no_std)]
// What only the start on bare metal and the tests use.
#![cfg_attr(not(target_os = "none"), allow(dead_code))]

extern crate alloc;

mod arch;
mod cell;
pub mod channel;
mod clients;
pub mod console;
pub mod critical;
mod dispatch;
mod domain;
mod error;
mod event_set;
mod events;
mod executor;
mod frame;
mod heap;
mod local;
pub mod memory;
pub mod names;
mod notify;
mod owned;
pub mod pager;
mod proxy;
mod ranges;
mod report;
pub mod slots;
pub mod start;
pub mod sync;
pub mod thread;
pub mod time;
pub mod vspace;

#[cfg(test)]
mod tests;

pub use cell::Guarded;
pub use channel::LmpPort;
pub use dispatch::in_handler;
pub use error::RtError;
pub use executor::{block_on, join_all, run, spawn, yield_now};
pub use heap::provide as provide_heap;
pub use notify::{Irq, Notify};
pub use owned::OwnedCap;
pub use proxy::{Proxy, ProxyEvent};
pub use report::{FAULT_CODE, PANIC_CODE};
pub use thread::ThreadId;

/// Address of the upcall vector of this program: its ELF entry point.
pub fn upcall_vector() -> u64 {
    arch::vector()
}

/// Ends the domain, after what was printed is on its way.
pub fn exit(code: i32) -> ! {
    console::flush();
    sys::exit(code as u32 as u64)
}
