//! Boots the image in QEMU and talks to its console as a person would.
//!
//! The scenarios under `tests/scenarios/` are numbered by the layer that they need: when `s00` fails, nothing
//! above can be trusted. `cargo xtask test` builds the image and runs them; without an image (plain
//! `cargo test`) they say so and pass over.
//!
//! ```no_run
//! # use tests::Guest;
//! let Some(mut guest) = Guest::boot() else { return };
//! assert_eq!(guest.run("echo hello"), "hello\n");
//! assert_eq!(guest.shutdown(3), 3);
//! ```
//!
//! No wait has a fixed length: each is woken by what arrives. [`PATIENCE`] is only a safety net.

#![forbid(unsafe_code)]

pub mod bytes;
mod guest;

pub use guest::{Guest, Machine, PATIENCE, plain};
