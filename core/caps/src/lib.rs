//! The capabilities of one core: types and legal retypes, the two-level CSpace, the mapping database, and
//! copy, retype, map, delete and revoke over it. No hardware: what touches memory, page tables, dispatchers
//! and interrupts goes through [`Machine`], which the kernel implements, and a fake one in tests.
//!
//! ```text
//!   CSpace: L1CNode ──► L2CNode ──► Slot (64 bytes)         found by address: Db::lookup
//!
//!   database: tree of keys, parents before children         found by region
//!        Ram 0..1M ── Frame 0..64K ── VNodeL3 64K..68K ── tree of the mappings into it: Mapping (entry 3)
//!           │            │                                                           │
//!           ring:     copy, copy, Mapping ◄──────────────────────────────────────────┘ (in the ring of what it shows)
//! ```
//!
//! The database costs no memory of its own: all its links lie in the slots (K3). The tree holds one node for
//! a key (base, size, depth of the type, index); further copies hang in a ring from that node's slot, its
//! *representative*. So making or deleting a copy that is not the last never touches the tree.
//!
//! Regions are *laminar* (K4): two are disjoint, or nested as ancestor and descendant. So the descendants of a
//! capability are exactly the nodes that follow it in order and begin inside it.
//!
//! Deletion goes in steps (K2). Deleting the last capability to a CNode or dispatcher moves it into the
//! object's own memory, where it is a *zombie* until the reaper has emptied the object: see `reaper.rs`.
//!
//! Every operation decodes first (may fail, changes nothing), then commits (cannot fail).
//!
//! What this is not: the protocol between cores, which is `capops`. This crate applies its guards ([`capops::Facts`]): what is
//! shared with other cores is refused with [`abi::ErrorKind::AskMonitor`] where that matters. And it has what a monitor needs to
//! do its core's part: to freeze and sweep, to pin and share, to deliver, to cut.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod cspace;
mod db;
mod delete;
mod deliver;
#[cfg(test)]
mod fake;
mod frozen;
mod held;
mod key;
mod machine;
mod map;
mod reaper;
mod retype;
mod revoke;
mod ring;
mod share;
mod slot;
mod sweep;
mod types;
mod unit;
mod unmap;
mod vnode;

#[cfg(test)]
mod tests;

pub use cspace::CNode;
pub use db::{Db, Root};
pub use deliver::Arrival;
pub use held::{Making, UnitView};
pub use key::Key;
pub use machine::{Machine, Window};
pub use map::MapArgs;
pub use retype::RetypeArgs;
pub use share::Ask;
pub use slot::{Flags, Slot, SlotRef};
pub use types::DISPATCHER_SLOTS;

/// Physical addresses of kernel objects must lie below this (256 GiB), so that a slot has a 32-bit name.
pub const OBJECT_LIMIT: u64 = 1 << 38;
/// Physical addresses that can be mapped must lie below this (16 TiB).
pub const FRAME_LIMIT: u64 = 1 << 44;

/// Whether a stepwise operation has come to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Progress {
    /// All done.
    Done,
    /// Call again.
    More,
}

/// Work that one system call does before it returns `More` (K2), in the units of [`cost`].
pub const BUDGET: u32 = 32 * cost::DELETE;

/// What actions cost, in units of looking at an empty slot.
pub mod cost {
    /// Looking at an empty slot, or at a list entry.
    pub const LOOK: u32 = 1;
    /// Deleting one capability.
    pub const DELETE: u32 = 8;
    /// Zeroing 4 KiB.
    pub const ZERO_PAGE: u32 = 8;
}
