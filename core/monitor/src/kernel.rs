//! What a monitor needs of its kernel, of its domains and of the memory server of its core.

use capops::{CoreId, CoreSet, Held, Holder, Refusal, Verdict};

use crate::{DomainId, UnitId, WireKey};

/// A unit at its home while nothing goes on: what its slot in the kernel remembers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Idle {
    /// Whether it is handed out.
    pub live: bool,
    /// Whether its memory is zero, while it is not handed out.
    pub zeroed: bool,
    /// The cores that hold something of it.
    pub sharers: CoreSet,
}

/// A copy that the monitor has in its own CSpace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Copied<K> {
    /// The one that [`Held::insert`] made in this call.
    Fresh {
        /// Of which unit.
        unit: UnitId,
        /// Which capability.
        key: K,
    },
    /// The one that came with a request, in this slot.
    Pinned(u32),
}

/// Who gets a capability.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taker {
    /// The domain that asked, with the answer.
    Asker {
        /// Who asked.
        domain: DomainId,
        /// By what it knows the answer.
        token: u64,
    },
    /// Whom the tag of a delivery names.
    Tag(u64),
}

/// A message or event that was refused. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nonsense {
    /// From whom it came.
    pub from: CoreId,
    /// About which unit, if it could be read.
    pub unit: Option<UnitId>,
    /// Why it was refused.
    pub why: Refusal,
}

/// What is below and beside the monitor. Every call takes bounded time, and none calls back.
pub trait Kernel {
    /// Names a capability.
    type Key: WireKey;
    /// What this core holds of one unit.
    type Held<'a>: Held<Key = Self::Key>
    where
        Self: 'a;

    /// What this core holds of a unit. The copy of its top that a sweep keeps is the one of the request: see `guard`.
    fn held(&mut self, unit: UnitId) -> Self::Held<'_>;
    /// What is frozen and asked has changed: the guards of the kernel look at this from now on, for ever if nothing else is said.
    /// `place` is the slot of the monitor with the copy that the unanswered request pins.
    fn guard(&mut self, unit: UnitId, holder: &Holder<Self::Key>, place: Option<u32>);
    /// Whether the last capability of the unit went, and the home was not told. Each deletion in the kernel that is the last sets
    /// it, those of a sweep as well.
    fn owes_gone(&self, unit: UnitId) -> bool;
    /// Sets or clears that.
    fn set_owes_gone(&mut self, unit: UnitId, owes: bool);
    /// A unit of this home that [owes](Kernel::owes_gone) it.
    fn next_emptied(&self, home: CoreId) -> Option<UnitId>;
    /// Whether the copy that came with a request is still in this slot: a revocation takes those of requests that wait. Empty or not,
    /// the slot belongs to the request until the copy is given or discarded, and serves no other.
    fn is_pinned(&self, place: u32) -> bool;
    /// A unit is two units on this core from now on.
    fn cut(&mut self, unit: UnitId, at: u64, upper: UnitId);

    /// A unit of this core's memory server.
    fn idle(&self, unit: UnitId) -> Option<Idle>;
    /// Nothing goes on with the unit any more.
    fn set_idle(&mut self, unit: UnitId, idle: Idle);
    /// The first unit of this core's memory server behind this one: all, in some order.
    fn next_unit(&self, after: Option<UnitId>) -> Option<UnitId>;
    /// The cut is decided: there is a new unit at this home.
    fn split(&mut self, unit: UnitId, at: u64, upper: UnitId);
    /// Goes on with zeroing the free unit. Says whether all is zero.
    fn zero(&mut self, unit: UnitId) -> bool;
    /// Nobody holds anything of the unit: it is the memory server's again.
    fn reclaimed(&mut self, unit: UnitId);
    /// What the memory server asked for is done, or cannot be.
    fn cut_ended(&mut self, unit: UnitId, at: u64, done: bool);

    /// Whether somebody takes what the tag goes with.
    fn accepts(&mut self, unit: UnitId, key: Self::Key, tag: u64) -> bool;
    /// Moves the monitor's copy to somebody. If that fails it is still the monitor's.
    fn give(&mut self, copy: Copied<Self::Key>, to: Taker) -> bool;
    /// Deletes the monitor's copy, if it is still there: a revocation may have taken it.
    fn discard(&mut self, copy: Copied<Self::Key>);
    /// Tells a domain how its request ended, or that it could not be begun.
    fn reply(&mut self, domain: DomainId, token: u64, how: Result<Verdict, Refusal>);
    /// A peer has said what it cannot have meant.
    fn report(&mut self, nonsense: Nonsense);
}
