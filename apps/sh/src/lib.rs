//! The shell: reads lines at its console session, and runs commands of its own and programs by name.
//!
//! ```text
//!   console ──bytes──> interactive ──line──> Shell ──words──> commands (built in)
//!                      (shell::edit)  (shell::language) └───> a program, through the spawn service
//!                                            │
//!                                          World: all that is outside of the shell
//!                                            ├── domain: the services of the system
//!                                            └── tests: a world that is made up
//! ```
//!
//! - [`commands`]: one table entry and one small function a command; adding one is adding these.
//! - [`World`]: whatever a command asks of the system goes through it, so that all commands are tested on the host.
//!
//! Called as `sh`, it talks to a person; as `sh -c LINE`, it runs that line and ends with its status.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod capabilities;
mod columns;
pub mod commands;
mod cores;
mod domain;
mod interactive;
mod interpreter;
mod programs;
mod report;
mod world;

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::string::String;

pub use capabilities::Capability;
pub use cores::ByCore;
pub use domain::Domain;
pub use interactive::interact;
pub use interpreter::Shell;
pub use world::{End, Failure, Program, RunError, Service, World};

/// Bytes that commands need, taken before the first prompt so that `free` does not change by asking it.
#[cfg(target_os = "none")]
const FOR_COMMANDS: usize = 64 * 1024;

/// The shell as a program: its exit code.
pub fn main() -> i32 {
    let mut shell = Shell::new(Box::new(Domain::default()), environment());
    let arguments = barreldish::args();
    match arguments.get(1..).unwrap_or_default() {
        [] => {
            #[cfg(target_os = "none")]
            rt::provide_heap(FOR_COMMANDS);
            interact(&mut shell)
        }
        ["-c", line] => shell.evaluate(line),
        _ => {
            barreldish::eprintln!("sh: expected no arguments, or -c and a line\nusage: sh [-c LINE]");
            barreldish::ExitCode::USAGE.0
        }
    }
}

fn environment() -> impl Iterator<Item = (String, String)> {
    barreldish::env_all().into_iter().map(|(name, value)| (name.into(), value.into()))
}
