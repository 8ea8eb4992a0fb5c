//! What authors of programs import.
//!
//! ```text
//! #![cfg_attr(target_os = "none", no_std, no_main)]
//! use barreldish::println;
//!
//! #[barreldish::main]
//! fn main() {
//!     println!("hello");
//! }
//! ```
//!
//! | for | see |
//! |---|---|
//! | output and input | [`println!`], [`eprintln!`], [`input`] |
//! | arguments, environment, exit code | [`args`], [`env()`], [`exit`], [`Termination`] |
//! | services | [`connect`], [`serve`], [`interface`](macro@interface) |
//! | other programs | [`process`] |
//! | time | [`time`] |
//! | threads | [`thread`], [`thread_local!`], [`sync`] |
//! | tasks | [`spawn`], [`block_on`], [`run`] |
//!
//! A program starts with one thread, its main one; while that waits in a blocking call, handlers of its services and its
//! tasks run on it. On a hosted target the crate exists so that programs can be checked there; output goes to the host's.
#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod input;
mod output;
pub mod process;
mod termination;

use alloc::string::String;
use alloc::vec::Vec;

pub use barreldish_macros::main;
pub use interfaces;
pub use ipc::{Caller, Capability, Reply, Wire, interface};
pub use output::{eprint_args, flush, print_args};
pub use rt::names::{connect, connect_async, connect_when_there, serve};
pub use rt::{LmpPort, RtError as Error, block_on, run, spawn, sync, thread, thread_local, time};
pub use termination::{ExitCode, Termination, start};

/// The arguments, the program's name first.
pub fn args() -> Vec<&'static str> {
    rt::start::arguments()
}

/// The value of an environment variable.
pub fn env(name: &str) -> Option<String> {
    rt::start::variable(name)
}

/// All environment variables, as pairs of name and value.
pub fn env_all() -> Vec<(&'static str, &'static str)> {
    rt::start::environment()
}

/// Ends the program with `code`. What was printed is sent before; no destructors run.
pub fn exit(code: i32) -> ! {
    rt::exit(code)
}

/// Waits for so long; tasks and handlers run meanwhile.
///
/// # Panics
/// In a task or handler: there it is `time::sleep(..).await`.
pub fn sleep(time: core::time::Duration) {
    block_on(time::sleep(time));
}
