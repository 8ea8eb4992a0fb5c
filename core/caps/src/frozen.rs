//! What a Unit knows of the other cores: what is frozen, whether the home has been asked something, who shares it.
//!
//! A Unit stays with the memory server at the unit's *home*. Another core that holds something of the unit has a *proxy* of it,
//! a Unit too, with its monitor. What belongs to either is told by the tree.
//!
//! To freeze a range is to write it into the Unit: one step, however much lies inside. So whoever uses a capability has to
//! look at its Unit; but only while `Db::unsettled` says that there is one to look at.

use abi::{CapType, ErrorKind, PAGE_SIZE};
use capops::{CoreId, CoreSet, Facts, Key as _, Refusal};
use tree::NONE;

use crate::Db;
use crate::db::usable;
use crate::key::{self, Key};
use crate::machine::Machine;
use crate::slot::{Flags, Slot, SlotRef};
use crate::types;

/// `aux32` of a Unit: this core has asked the home something and has no answer.
pub(crate) const BUSY: u32 = 1;
/// The home of this unit is elsewhere.
pub(crate) const PROXY: u32 = 2;
/// This core is the revoker's, which keeps what is revoked.
pub(crate) const KEEPS_TOP: u32 = 4;
/// What is frozen is being deleted.
pub(crate) const SWEEPING: u32 = 8;
/// All of it was zero when it was frozen.
pub(crate) const ZEROED: u32 = 16;
/// Depth of what is frozen.
const DEPTH_SHIFT: u32 = 5;
const DEPTH_MASK: u32 = 7 << DEPTH_SHIFT;
/// Upper bits of the size of what is frozen; its index if it has one.
const HIGH_SHIFT: u32 = 16;
/// `aux64` of a frozen Unit: below this bit where what is frozen begins, above it the lower bits of its size.
const SIZE_SHIFT: u32 = 40;
const SIZE_BITS: u32 = 64 - SIZE_SHIFT;

/// Most granules of a unit.
pub(crate) const MAX_GRANULES: u64 = 1 << SIZE_SHIFT;

/// What a unit is counted in where this address or number lies.
pub(crate) const fn granule(base: u64) -> u64 {
    if base > key::BASE_MASK { 1 } else { PAGE_SIZE }
}

/// A key inside a region that begins at `base`, in the 64 and 16 bits that a slot has free.
pub(crate) const fn pack(base: u64, key: &Key) -> (u64, u16) {
    let unit = granule(base);
    let (offset, size) = ((key.base - base) / unit, key.size / unit);
    let high = if key.depth == types::DEPENDANT { key.index as u64 } else { size >> SIZE_BITS };
    (offset | size << SIZE_SHIFT, high as u16)
}

/// The key of [`pack`].
pub(crate) const fn unpack(base: u64, low: u64, high: u16, depth: u8) -> Key {
    let (unit, offset, size) = (granule(base), low & (MAX_GRANULES - 1), low >> SIZE_SHIFT);
    let base = base + offset * unit;
    if depth == types::DEPENDANT {
        return Key { base, size: size * unit, depth, index: high as u32 };
    }
    Key { base, size: (size | (high as u64) << SIZE_BITS) * unit, depth, index: 0 }
}

/// A key that lies around `inner`, in the bits of [`pack`].
pub(crate) const fn pack_around(inner: u64, key: &Key) -> (u64, u16) {
    pack(key.base, &Key { base: inner, ..*key })
}

/// The key of [`pack_around`].
pub(crate) const fn unpack_around(inner: u64, low: u64, high: u16, depth: u8) -> Key {
    let ahead = unpack(inner, low, high, depth);
    Key { base: inner - (ahead.base - inner), ..ahead }
}

/// What is frozen in a Unit that is.
pub(crate) const fn top(u: &Slot) -> Key {
    let depth = (u.aux32 & DEPTH_MASK) >> DEPTH_SHIFT;
    unpack(u.base, u.aux64, (u.aux32 >> HIGH_SHIFT) as u16, depth as u8)
}

/// The error for what a guard says.
pub(crate) const fn refused(refusal: Refusal) -> ErrorKind {
    match refusal {
        Refusal::NotHeld => ErrorKind::EmptySlot,
        Refusal::Frozen => ErrorKind::Frozen,
        Refusal::Shared => ErrorKind::AskMonitor,
        Refusal::Busy | Refusal::Pinned => ErrorKind::Pending,
        Refusal::Conflict => ErrorKind::Overlap,
        Refusal::Exclusive | Refusal::Nonsense | Refusal::NoRoom | Refusal::Stopped => ErrorKind::BadState,
    }
}

impl Db {
    /// What the protocol's guards look at, of a capability that exists. Whether it is exclusive is the caller's to say.
    #[inline]
    pub(crate) fn facts<M: Machine>(&self, m: &M, s: &Slot, exclusive: bool) -> Facts {
        let facts = Facts { held: true, frozen: false, exclusive, busy: false };
        if self.unsettled == 0 { facts } else { self.unsettled_facts(m, s, facts) }
    }

    #[cold]
    #[inline(never)]
    fn unsettled_facts<M: Machine>(&self, m: &M, s: &Slot, facts: Facts) -> Facts {
        if s.is(Flags::ROOT) {
            return facts;
        }
        let unit = self.unit_over(m, s.base);
        if unit.is_none() {
            return facts;
        }
        let u = m.slot(unit);
        let frozen = u.is(Flags::FROZEN) && top(u).contains(&Key::of(s));
        Facts { frozen, busy: u.aux32 & BUSY != 0, ..facts }
    }

    /// [`usable`], also as far as other cores are concerned.
    #[inline]
    pub(crate) fn usable<'m, M: Machine>(&self, m: &'m M, slot: SlotRef) -> Result<&'m Slot, ErrorKind> {
        let s = usable(m.slot(slot))?;
        self.facts(m, s, true).usable().map_err(refused)?;
        Ok(s)
    }

    /// Whether there is a capability that is not on its way out, in one way or the other: no operation but deletion takes such a one.
    pub fn is_usable<M: Machine>(&self, m: &M, slot: SlotRef) -> bool {
        self.usable(m, slot).is_ok()
    }

    /// The Unit or proxy, if it is one and not on its way out.
    pub(crate) fn unit<'m, M: Machine>(&self, m: &'m M, unit: SlotRef) -> Result<&'m Slot, ErrorKind> {
        let u = m.slot(unit);
        match u.ty {
            CapType::Null => Err(ErrorKind::EmptySlot),
            CapType::Unit if u.is(Flags::IN_DELETE) => Err(ErrorKind::InDelete),
            CapType::Unit => Ok(u),
            _ => Err(ErrorKind::WrongType),
        }
    }

    /// The Unit or proxy over an address or number, if there is one: the first of what lies over it that is no root. The roots
    /// over one are few: boot and the memory server make them.
    pub fn unit_over<M: Machine>(&self, m: &M, base: u64) -> SlotRef {
        let mut at = self.next_over(m, NONE, base);
        while at != NONE {
            let s = m.slot(SlotRef(at));
            if s.ty == CapType::Unit {
                return SlotRef(at);
            }
            if !s.is(Flags::ROOT) && s.ty != CapType::PhysAddr {
                break;
            }
            at = self.next_over(m, at, base);
        }
        SlotRef::NONE
    }

    /// The first node behind `after` that lies over `base`, from the beginning if that is [`NONE`].
    fn next_over<M: Machine>(&self, m: &M, after: u32, base: u64) -> u32 {
        let reaches = |node: u32| node != NONE && m.slot(SlotRef(node)).max_end > base;
        let mut at = if after == NONE { self.tree.root() } else { m.slot(SlotRef(after)).links.right };
        let mut from = after;
        while !reaches(at) {
            // Up to the next node behind all of this subtree.
            let parent = if from == NONE { NONE } else { m.slot(SlotRef(from)).links.parent };
            if parent == NONE {
                return NONE;
            }
            let p = m.slot(SlotRef(parent));
            if p.links.left == from {
                if p.end() > base {
                    return self.if_over(m, parent, base);
                }
                at = p.links.right;
            }
            from = parent;
        }
        loop {
            let s = m.slot(SlotRef(at));
            if reaches(s.links.left) {
                at = s.links.left;
            } else if s.end() > base {
                return self.if_over(m, at, base);
            } else {
                at = s.links.right;
            }
        }
    }

    fn if_over<M: Machine>(&self, m: &M, node: u32, base: u64) -> u32 {
        if m.slot(SlotRef(node)).base <= base { node } else { NONE }
    }

    /// Freezes `top` and all its descendants. `keeps_top`: they are deleted on behalf of this core, which keeps one capability to
    /// `top`, the one that is pinned.
    ///
    /// # Errors
    /// Those of `Db::unit`; `BadState` when something is frozen already; `OutOfRange` for what is not inside the unit.
    pub fn freeze<M: Machine>(
        &mut self,
        m: &mut M,
        unit: SlotRef,
        top: &Key,
        keeps_top: bool,
    ) -> Result<(), ErrorKind> {
        let u = self.unit(m, unit)?;
        if u.is(Flags::FROZEN) {
            return Err(refused(Refusal::Nonsense));
        }
        let unit_of_size = granule(u.base);
        if !Key::of(u).contains(top) || top.depth <= Key::of(u).depth || top.size == 0 {
            return Err(ErrorKind::OutOfRange);
        }
        if !top.base.is_multiple_of(unit_of_size) || !top.size.is_multiple_of(unit_of_size) {
            return Err(ErrorKind::Unaligned);
        }
        let (low, high) = pack(u.base, top);
        let u = m.slot_mut(unit);
        u.set(Flags::FROZEN, true);
        u.aux32 = u.aux32 & (BUSY | PROXY)
            | if keeps_top { KEEPS_TOP } else { 0 }
            | if u.aux64 == u.size { ZEROED } else { 0 }
            | (top.depth as u32) << DEPTH_SHIFT
            | (high as u32) << HIGH_SHIFT;
        u.aux64 = low;
        self.unsettled += 1;
        Ok(())
    }

    /// Nothing is frozen in a Unit any more.
    pub(crate) fn thaw<M: Machine>(&mut self, m: &mut M, unit: SlotRef) {
        let u = m.slot_mut(unit);
        if u.is(Flags::FROZEN) {
            u.set(Flags::FROZEN, false);
            u.aux64 = if u.aux32 & ZEROED != 0 { u.size } else { 0 };
            u.aux32 &= BUSY | PROXY;
            self.unsettled -= 1;
            self.unpark(m, unit);
        }
    }

    /// A request about a Unit has been asked, or answered.
    pub(crate) fn set_busy<M: Machine>(&mut self, m: &mut M, unit: SlotRef, busy: bool) {
        let u = m.slot_mut(unit);
        let was = u.aux32 & BUSY;
        u.aux32 = u.aux32 & !BUSY | busy as u32;
        self.unsettled = self.unsettled + busy as u32 - was;
    }

    /// Makes a Unit remember that none of it, or all, is zero.
    pub(crate) fn set_zeroed<M: Machine>(&mut self, m: &mut M, unit: SlotRef, zeroed: bool) {
        let u = m.slot_mut(unit);
        if u.is(Flags::FROZEN) {
            u.aux32 = u.aux32 & !ZEROED | if zeroed { ZEROED } else { 0 };
        } else {
            u.aux64 = if zeroed { u.size } else { 0 };
        }
    }

    /// The cores that hold something of a unit, or are about to, as its home has them.
    ///
    /// # Errors
    /// Those of `Db::unit`; `WrongType` for a proxy.
    pub fn sharers<M: Machine>(&self, m: &M, unit: SlotRef) -> Result<CoreSet, ErrorKind> {
        let u = self.unit(m, unit)?;
        if u.aux32 & PROXY != 0 { Err(ErrorKind::WrongType) } else { Ok(CoreSet(u.page)) }
    }

    /// Sets the cores that hold something of a unit, at its home, which is `own`. When they are none any more, a Unit without
    /// capabilities joins the list that [`Db::pull_unit`] takes from. Whether or not they were any before, it has to be zeroed again
    /// then: so a monitor says that a unit may have come back dirty.
    ///
    /// # Errors
    /// Those of [`Db::sharers`]; `UnitNotZeroed` when it is to be handed out to another core.
    pub fn set_sharers<M: Machine>(
        &mut self,
        m: &mut M,
        unit: SlotRef,
        sharers: CoreSet,
        own: CoreId,
    ) -> Result<(), ErrorKind> {
        let old = self.sharers(m, unit)?;
        let (u, others) = (m.slot(unit), !sharers.without(own).is_empty());
        if others && old.is_empty() && u.aux64 != u.size {
            return Err(ErrorKind::UnitNotZeroed);
        }
        let listed = u.is(Flags::LISTED);
        if listed {
            self.unlist(m, unit);
        }
        let u = m.slot_mut(unit);
        u.set(Flags::EXCL, !others);
        u.page = sharers.0;
        if (others || sharers.is_empty()) && self.is_unit_empty(m, unit) {
            // Others write to it now, or may have.
            self.set_zeroed(m, unit, false);
        }
        if listed || sharers.is_empty() && !old.is_empty() {
            self.list_if_empty(m, unit);
        }
        self.unpark(m, unit);
        Ok(())
    }
}
