//! Units: allocations, their zeroing, giving back a part, and the list of those that have no capabilities left.
//!
//! A unit counts nothing, and no capability knows its unit: the tree tells. What belongs to a unit follows it in the order and begins
//! inside it, and no units lie in each other. So a unit is empty when what follows it begins behind its end, and what
//! is removed can only have been the last of a unit if it follows that at once. That is why a part can be cut out of a unit
//! in one step, however many capabilities lie before and behind.

use abi::{CapType, ErrorKind};
use capops::Refusal;
use tree::{NONE, NodesMut};

use crate::db::{Edit, New, View, require_empty, usable};
use crate::frozen::{BUSY, PROXY, granule, refused};
use crate::key::Key;
use crate::machine::Machine;
use crate::retype::RetypeArgs;
use crate::slot::{Flags, Slot, SlotRef};
use crate::{Db, Progress, types};

/// Bytes of a unit that one call zeroes.
const ZERO_CHUNK: u64 = 64 * 1024;
/// The list of Units that no core shares, and that of the others and of proxies.
const OWN: usize = 0;
const SHARED: usize = 1;
/// Units that one pull looks at.
const PULL_LOOKS: u32 = 32;

impl Db {
    /// Zeroes the next part of a Unit, so that it can be retyped. A Unit that has become empty, or has come back from other cores,
    /// starts again.
    ///
    /// # Errors
    /// `EmptySlot`, `InDelete`, `Frozen`, `WrongType`; `AskMonitor` while other cores have something of it; `UnitBusy` when it is not
    /// zero and has capabilities, which come from other cores then.
    pub fn zero_unit<M: Machine>(&mut self, m: &mut M, unit: SlotRef) -> Result<Progress, ErrorKind> {
        let s = usable(m.slot(unit))?;
        if s.ty != CapType::Unit {
            return Err(ErrorKind::WrongType);
        }
        if !s.is(Flags::EXCL) {
            return Err(refused(Refusal::Shared));
        }
        let (base, size, done) = (s.base, s.size, s.aux64);
        if done != size && !self.is_unit_empty(m, unit) {
            return Err(ErrorKind::UnitBusy);
        }
        let chunk = ZERO_CHUNK.min(size - done);
        if chunk != 0 {
            m.zero(base + done, chunk);
            m.slot_mut(unit).aux64 = done + chunk;
        }
        Ok(if done + chunk == size { Progress::Done } else { Progress::More })
    }

    /// Takes the Unit that has been without capabilities for longest, inside a root Ram, off the list of those:
    /// its base and size. The Unit itself stays where it is. One that has sharers is not in that list.
    ///
    /// # Errors
    /// `EmptySlot`, `InDelete`, `Frozen`; `WrongType` when `root` is no root Ram; `Nothing` when there is none (of the
    /// 32 oldest).
    pub fn pull_unit<M: Machine>(&mut self, m: &mut M, root: SlotRef) -> Result<(u64, u64), ErrorKind> {
        let r = usable(m.slot(root))?;
        if r.ty != CapType::Ram || !r.is(Flags::ROOT) {
            return Err(ErrorKind::WrongType);
        }
        let (from, to) = (r.base, r.end());
        let mut unit = self.empty[OWN].first;
        for _ in 0..PULL_LOOKS {
            if unit == 0 {
                break;
            }
            let u = m.slot(SlotRef(unit));
            let (base, size, next) = (u.base, u.size, u.next);
            if from <= base && base + size <= to {
                self.unlist(m, SlotRef(unit));
                return Ok((base, size));
            }
            unit = next;
        }
        Err(ErrorKind::Nothing)
    }

    /// Takes the proxy, or Unit that has sharers, that has been without capabilities for longest off the list of those:
    /// its key. It is not deleted, and may get some again.
    ///
    /// # Errors
    /// `Nothing` when there is none.
    pub fn pull_shared<M: Machine>(&mut self, m: &mut M) -> Result<Key, ErrorKind> {
        let unit = SlotRef(self.empty[SHARED].first);
        if unit.is_none() {
            return Err(ErrorKind::Nothing);
        }
        self.unlist(m, unit);
        Ok(Key::of(m.slot(unit)))
    }

    /// Whether any unit, of whatever root, is without capabilities.
    pub fn has_empty_units(&self) -> bool {
        self.empty[OWN].first != 0
    }

    /// Gives `bytes` bytes from `offset` on back to the root that the Unit was made of: no capability may lie over any of them.
    /// What is left before and behind are units of their own. When both are there, the one behind is new, in the
    /// empty slot `dst`; otherwise nothing comes there. One that has no capabilities joins the list of those.
    ///
    /// # Errors
    /// `EmptySlot`, `InDelete`, `Frozen`, `WrongType`; `BadSize` for nothing or all of it, `Unaligned`, `OutOfRange`;
    /// `UnitNotZeroed`; `AskMonitor`; `Pending`; `Overlap`; `SlotOccupied`.
    pub fn trim_unit<M: Machine>(
        &mut self,
        m: &mut M,
        unit: SlotRef,
        offset: u64,
        bytes: u64,
        dst: SlotRef,
    ) -> Result<(), ErrorKind> {
        let s = *usable(m.slot(unit))?;
        if s.ty != CapType::Unit {
            return Err(ErrorKind::WrongType);
        }
        if bytes == s.size {
            return Err(ErrorKind::BadSize);
        }
        self.facts(m, &s, s.is(Flags::EXCL)).revoke().map_err(refused)?;
        // What has to hold is what would let a Ram be made there.
        let args = RetypeArgs { ty: CapType::Ram, offset, object_size: bytes, count: 1 };
        let plan = self.plan(m, &s, types::row(CapType::Ram, false), &args, false)?;
        require_empty(m, dst, 1)?;
        let (behind, rest) = (s.base + offset + bytes, s.size - offset - bytes);
        if offset == 0 {
            // Nothing begins before `behind` but the Unit and what it lies in: it keeps its place in the order.
            self.resize_unit(m, unit, behind, rest);
        } else {
            self.resize_unit(m, unit, s.base, offset);
            if rest != 0 {
                let new = New { ty: s.ty, page: s.page, base: behind, size: rest, aux64: rest, ..plan.first };
                self.add_node(m, dst, &new, plan.place);
                self.list_if_empty(m, dst);
            }
        }
        self.list_if_empty(m, unit);
        Ok(())
    }

    /// Cuts a Unit or proxy in two at `at` ([`Key::base`]); the upper part comes into the empty slot `dst`. `upper_busy`: the request
    /// that is unanswered is about something in the upper part.
    ///
    /// # Errors
    /// Those of `Db::unit`, `Frozen`; `OutOfRange`, `Unaligned` for the place; `Overlap` when a capability spans it;
    /// `SlotOccupied`.
    pub fn cut_unit<M: Machine>(
        &mut self,
        m: &mut M,
        unit: SlotRef,
        at: u64,
        dst: SlotRef,
        upper_busy: bool,
    ) -> Result<(), ErrorKind> {
        usable(self.unit(m, unit)?)?;
        let u = *m.slot(unit);
        if at <= u.base || at >= u.end() {
            return Err(ErrorKind::OutOfRange);
        }
        if !at.is_multiple_of(granule(u.base)) {
            return Err(ErrorKind::Unaligned);
        }
        if self.spans(m, unit, at) {
            return Err(ErrorKind::Overlap);
        }
        require_empty(m, dst, 1)?;
        let whole = u.aux64 == u.size;
        let moves = upper_busy && u.aux32 & BUSY != 0;
        self.resize_unit(m, unit, u.base, at - u.base);
        let upper = New {
            ty: u.ty,
            rights: u.rights,
            flags: Flags::default(),
            page: u.page,
            base: at,
            size: u.end() - at,
            aux32: u.aux32 & PROXY,
            aux64: 0,
        };
        let place = self.tree.predecessor(&View(m), |v, n| v.0.slot(SlotRef(n)).base < at);
        self.add_node(m, dst, &upper, place);
        m.slot_mut(dst).set(Flags::EXCL, u.is(Flags::EXCL));
        if moves {
            self.set_busy(m, unit, false);
            self.set_busy(m, dst, true);
            self.unpark(m, unit);
        }
        for part in [unit, dst] {
            self.set_zeroed(m, part, whole);
            self.list_if_empty(m, part);
        }
        Ok(())
    }

    /// Whether a capability of a Unit begins below an address inside it and ends above.
    pub fn spans<M: Machine>(&self, m: &M, unit: SlotRef, at: u64) -> bool {
        // The last of those is the innermost, and the Unit is one of them.
        self.around(m, at, at).1 != unit.0
    }

    /// Gives a Unit another region, inside its own; it is zeroed to its end.
    fn resize_unit<M: Machine>(&mut self, m: &mut M, unit: SlotRef, base: u64, size: u64) {
        let u = m.slot_mut(unit);
        (u.base, u.size, u.aux64) = (base, size, size);
        let mut at = unit.0;
        while at != NONE && Edit(m).refresh(at) {
            at = m.slot(SlotRef(at)).links.parent;
        }
    }

    /// Whether a Unit has no capabilities, and nothing goes on about it. At home nobody may share it: what the list says that
    /// [`Db::pull_unit`] takes from. A proxy need not know about other cores.
    pub(crate) fn is_unit_idle<M: Machine>(&self, m: &M, unit: SlotRef) -> bool {
        let u = m.slot(unit);
        let unshared = u.aux32 & PROXY != 0 || u.page == 0;
        unshared && !u.is(Flags::FROZEN) && u.aux32 & BUSY == 0 && self.is_unit_empty(m, unit)
    }

    /// Whether a Unit has no capabilities on this core.
    pub(crate) fn is_unit_empty<M: Machine>(&self, m: &M, unit: SlotRef) -> bool {
        let next = self.tree.next(&View(m), unit.0);
        next == NONE || m.slot(SlotRef(next)).base >= m.slot(unit).end()
    }

    /// The Unit that a node follows at once, inside it.
    #[inline]
    pub(crate) fn unit_above<M: Machine>(&self, m: &M, node: SlotRef) -> SlotRef {
        let before = SlotRef(self.tree.prev(&View(m), node.0));
        if before.is_none() {
            return SlotRef::NONE;
        }
        let u = m.slot(before);
        if u.ty == CapType::Unit && m.slot(node).base < u.end() { before } else { SlotRef::NONE }
    }

    /// Puts a Unit into the list of empty ones if it is one and not there; not if it is being deleted, because then it is
    /// nobody's to pull.
    pub(crate) fn list_if_empty<M: Machine>(&mut self, m: &mut M, unit: SlotRef) {
        if !m.slot(unit).is(Flags::IN_DELETE.or(Flags::LISTED)) && self.is_unit_empty(m, unit) {
            self.set_zeroed(m, unit, false);
            self.list(m, unit);
            m.unit_empty();
        }
    }

    /// Puts a unit at the end of the list of empty ones.
    #[inline(never)]
    fn list<M: Machine>(&mut self, m: &mut M, unit: SlotRef) {
        let list = &mut self.empty[list_of(m.slot(unit))];
        let last = core::mem::replace(&mut list.last, unit.0);
        if last == 0 {
            list.first = unit.0;
        }
        let u = m.slot_mut(unit);
        u.flags = u.flags.or(Flags::LISTED);
        (u.prev, u.next) = (last, 0);
        if last != 0 {
            m.slot_mut(SlotRef(last)).next = unit.0;
        }
    }

    /// Takes a unit out of the list of empty ones.
    pub(crate) fn unlist<M: Machine>(&mut self, m: &mut M, unit: SlotRef) {
        let u = m.slot_mut(unit);
        u.flags = u.flags.without(Flags::LISTED);
        let (next, prev) = (u.next, u.prev);
        let list = &mut self.empty[list_of(u)];
        if prev == 0 {
            list.first = next;
        } else {
            m.slot_mut(SlotRef(prev)).next = next;
        }
        if next == 0 {
            list.last = prev;
        } else {
            m.slot_mut(SlotRef(next)).prev = prev;
        }
    }

    /// Whether something is a Unit that cannot end, with what it has, although its CNode dies or its root is revoked: other cores have
    /// something of it, or expect an answer about it. What is known of a proxy is that it blocks no memory of this core.
    pub(crate) fn holds_up(&self, s: &Slot) -> Result<(), Refusal> {
        if s.ty != CapType::Unit || s.aux32 & PROXY != 0 || s.is(Flags::IN_DELETE) {
            Ok(())
        } else if !s.is(Flags::EXCL) {
            Err(Refusal::Shared)
        } else if s.is(Flags::FROZEN) || s.aux32 & BUSY != 0 {
            Err(Refusal::Busy)
        } else {
            Ok(())
        }
    }

    /// One action towards the end of a Unit, in a cascade or revocation: its capabilities go first. Says whether the Unit is gone.
    ///
    /// Zombies among them are not waited for, because the Unit may lie in one of them: they belong to no unit then, and go on
    /// blocking their part of the root until they are done.
    pub(crate) fn unit_action<M: Machine>(&mut self, m: &mut M, unit: SlotRef) -> bool {
        if !m.slot(unit).is(Flags::IN_DELETE) {
            // Of a proxy: nobody is left to ask about it, or to thaw it.
            self.thaw(m, unit);
            self.set_busy(m, unit, false);
            let u = m.slot_mut(unit);
            u.flags = u.flags.or(Flags::IN_DELETE);
            // Zeroing is over; from now on this is the address to look for capabilities from.
            u.aux64 = u.base;
        }
        let u = m.slot(unit);
        let (key, end, resume) = (Key::of(u), u.end(), u.aux64);
        let next = self.tree.lower_bound(&View(m), |v, n| {
            let s = v.0.slot(SlotRef(n));
            s.base < resume || key.cmp_slot(s).is_le()
        });
        if next == NONE || m.slot(SlotRef(next)).base >= end {
            if m.slot(unit).is(Flags::LISTED) {
                self.unlist(m, unit);
            }
            self.remove_node(m, unit);
            return true;
        }
        self.unit_member_action(m, unit, SlotRef(next));
        false
    }

    /// One action on a capability of a unit that is being deleted.
    fn unit_member_action<M: Machine>(&mut self, m: &mut M, unit: SlotRef, member: SlotRef) {
        if !m.slot(member).is(Flags::ZOMBIE) {
            let victim = self.victim(m, member);
            let _ = self.delete_action(m, victim);
        } else if let Some(event) = self.dependant(m, member) {
            let victim = self.victim(m, event);
            let _ = self.delete_action(m, victim);
        } else {
            m.slot_mut(unit).aux64 = m.slot(member).base + 1;
        }
    }
}

/// Which of the lists of empty units one belongs to: whether it is the memory server's to pull, or the monitor's.
pub(crate) const fn list_of(u: &Slot) -> usize {
    if u.aux32 & PROXY == 0 && u.page == 0 { OWN } else { SHARED }
}
