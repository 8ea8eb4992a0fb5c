//! The host side of Barreldish: everything behind `cargo xtask`.
//!
//! ```text
//!   setup -> build -> image -> run | test | bench
//!              |        |        \____ session: QEMU and its console, driven or passed through
//!              |        \_____________ Image (flat kernel), modules.cpio (init, servers, apps), symbols/
//!              \______________________ one cargo invocation for the bare-metal target
//!   check: format, clippy, layering, host tests        size: text, data, lines, unsafe
//!   verify: the model checker, a program of its own
//! ```
//!
//! The library half exists so that the `tests` crate drives the console with the same code as `run --exec`
//! and `bench`. It is not a place for anything that runs on the target.

#![forbid(unsafe_code)]

pub mod bench;
pub mod bounds;
pub mod build;
pub mod check;
pub mod cli;
pub mod console;
pub mod failure;
pub mod image;
pub mod layering;
pub mod plot;
pub mod process;
pub mod qemu;
pub mod run;
pub mod session;
pub mod setup;
pub mod size;
pub mod source;
pub mod symbols;
pub mod terminal;
pub mod test;
pub mod toolchain;
pub mod verify;
pub mod workspace;

pub use failure::{Failure, Result};
