//! Builds a new domain from an executable: its capability space, its address space, its dispatcher.
//!
//! ```text
//!   Image ──► Plan ──────► how much Ram ──► build ──► Child ──► give, start
//!            (pure: what           ▲          │
//!             lies where)     one Ram         └─ any failure: everything is undone
//! ```
//!
//! All objects of a domain are made of **one** Ram capability, so that one revoke brings all of it back ([`Child::dismantle`]),
//! however the domain ended and wherever it copied its capabilities to.
//!
//! ```text
//!   Ram: | large zeros | L1CNode | task CNode | page CNodes | VNodes | Dispatcher | frame | start | image | stack | early Ram |
//!          one Frame                                                               └───── body: one Frame ─────┘
//! ```
//!
//! The books of the address space (every page table, every mapping, and which slots of which page CNode they take) are
//! made first, in the plan; building obeys them, and the child gets them with its start information
//! ([`abi::layout::SpaceRecord`]). Nothing of them stays here.
//!
//! Whole 2 MiB of zeros in the image (of `.bss`, say) are shown by large pages, and take neither page tables nor contents.
//!
//! The builder hangs CNodes of the child into its own root CNode while it works ([`Bench`]), so that it makes every
//! capability right where the child will find it ([`abi::layout`]) and nothing has to be moved.
//!
//! Rights: a segment is mapped with its own rights, never writable and executable. The child gets no capability that could
//! map its image otherwise: what holds the memory of its image has no rights at all.
//!
//! What is not here: reading the executable (`loader`), getting Ram, choosing names and numbers.
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

mod arch;
mod build;
mod fill;
mod host;
mod plan;
mod runtime;
pub mod servers;
mod start;

#[cfg(test)]
mod tests;

pub use build::{Bench, BuildError, Child, ChildSlots, Spec, build};
pub use host::{Host, Place, System};
pub use plan::{MAX_FRAME_SIZE, MAX_RECORDS, Plan, PlanError, Sizes};
pub use runtime::runtime;
pub use start::{MAX_START_BYTES, StartBlock, StartError};
