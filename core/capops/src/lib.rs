//! HOMESEQ: capabilities on any number of cores, as a pure state machine.
//!
//! A *unit* is what one allocation of a memory server handed out. Its *home*, the core of that server, puts all operations
//! on it in order that concern more than one core; each core that holds some of it is a *holder*. Holders talk only to the
//! home, and messages arrive in the order in which they were sent. Units share no state.
//!
//! ```text
//!                   requests, answers, Gone
//!   Holder (core 1) ───────────────────────► Home (core 0)       one Home a unit:  who shares it, what goes on, who waits
//!     Held: what the ◄─────────────────────    │    ▲            one Holder a unit and core:  what is frozen, what is asked
//!     core has         Deliver, Check, Mark,   ▼    │            one Held a unit and core:  the core's mapping database
//!                      Sweep, Done          Holder (core 0)
//! ```
//!
//! | operation | messages |
//! |---|---|
//! | copy, retype or revoke what is [exclusive](Held::is_exclusive) | none |
//! | delete | none, or one [`ToHome::Gone`] for the last of a unit |
//! | send | `Request`, `Deliver`, `Delivered`, `Done` |
//! | retype | `Request`, then `Check` and `Checked` with each other sharer, `Done` |
//! | revoke | `Request`, then `Mark` and `Marked`, `Sweep` and `Swept` with each sharer, `Done` |
//! | cut (the memory server takes back a part) | `Survey` and `Surveyed`, `Cut` and `IsCut` with each sharer |
//!
//! [`Holder::step`] and [`Home::step`] take one event, say what to send, and return. Neither waits, allocates or keeps more
//! than its few words. An event that makes no sense is refused and changes nothing. Each step is one bounded system call:
//! the kernel and the monitor apply this crate to the real mapping database, the model checker to a set of bits.
//!
//! What is relied upon: messages between a core and the home are neither lost nor reordered. A core has at most one unanswered
//! request a unit, so at most three messages of a unit are under way in either direction ([`MAX_IN_FLIGHT`]).
#![no_std]
#![forbid(unsafe_code)]

mod cores;
mod guard;
mod holder;
mod home;
mod message;

use core::fmt::Debug;

pub use cores::{CoreId, CoreSet, MAX_CORES};
pub use guard::{Facts, Refusal};
pub use holder::{Frozen, Holder, HolderEffects, HolderEvent};
pub use home::{Active, Home, HomeEffects, HomeEvent};
pub use message::{Finding, Request, ToCore, ToHome, Verdict};

/// Messages of one unit that can be on their way between a core and the home, in one direction.
pub const MAX_IN_FLIGHT: usize = 3;

/// What identifies a capability in its unit: region and type.
pub trait Key: Copy + Eq + Debug {
    /// Whether `other` is the same, or a descendant.
    fn contains(&self, other: &Self) -> bool;
    /// Whether it begins at this address or behind it.
    fn is_above(&self, at: u64) -> bool;
}

/// What one core holds of one unit: a view of its mapping database. Several copies of a capability count once.
///
/// Each call takes bounded time, logarithmic in what is held.
pub trait Held {
    /// Names a capability.
    type Key: Key;

    /// Whether nothing is held.
    fn is_empty(&self) -> bool;
    /// Whether this capability is held.
    fn holds(&self, key: Self::Key) -> bool;
    /// Whether it is held, and known to have no copy and no descendant on another core, or on its way to one. `false` is
    /// always safe.
    fn is_exclusive(&self, key: Self::Key) -> bool;
    /// Whether it or a descendant is held.
    fn holds_inside(&self, key: Self::Key) -> bool;
    /// Whether each held capability is disjoint from `new` or contains `src`.
    fn is_free(&self, src: Self::Key, new: Self::Key) -> bool;
    /// Whether a held capability begins below this address and ends above it.
    fn spans(&self, at: u64) -> bool;

    /// Adds a capability, or a copy of one that is held already. `false`: there was no place for it, and nothing has changed.
    #[must_use]
    fn insert(&mut self, key: Self::Key, exclusive: bool) -> bool;
    /// Removes the last copy of a capability.
    fn remove(&mut self, key: Self::Key);
    /// Takes the exclusive mark from a capability and all its ancestors.
    fn share(&mut self, key: Self::Key);
    /// Marks a held capability as exclusive.
    fn own(&mut self, key: Self::Key);
    /// Goes on deleting the descendants of `top`, and `top` itself unless it is kept. Says whether all are gone.
    fn sweep(&mut self, top: Self::Key, keeps_top: bool) -> bool;
}
