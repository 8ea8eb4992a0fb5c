//! The shell's logic, without I/O: a program around it moves bytes and runs programs.
//!
//! ```text
//!   typed bytes ──> edit::Editor ──> a line ──> language::evaluate ──> Host::run(["ls", "-l"]) ──> status
//!                     │    ^                                             │
//!     bytes to print <┘    └ Complete                command::Table <────┘ (built-in commands)
//! ```
//!
//! - [`language`]: quoting, variables, `;` `&&` `||`, and what a line means.
//! - [`edit`]: the line editor with history and completion.
//! - [`command`]: built-in commands, one table entry each.
//!
//! The line editor is our own: `noline` was considered, but it has no completion, and redraws in a way that
//! makes a long paste cost the square of its length.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod command;
pub mod edit;
pub mod language;
