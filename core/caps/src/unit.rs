//! Units: allocations, their zeroing, giving back a part, and the list of those that have no capabilities left.
//!
//! A unit counts nothing, and no capability knows its unit: the tree tells. What belongs to a unit follows it in the order and begins
//! inside it, and no units lie in each other. So a unit is empty when what follows it begins behind its end, and what
//! is removed can only have been the last of a unit if it follows that at once. That is why a part can be cut out of a unit
//! in one step, however many capabilities lie before and behind.

use abi::{CapType, ErrorKind};
use tree::{NONE, NodesMut};

use crate::db::{Edit, New, View, require_empty, usable};
use crate::key::Key;
use crate::machine::Machine;
use crate::retype::RetypeArgs;
use crate::slot::{Flags, SlotRef};
use crate::{Db, Progress, types};

/// Bytes of a unit that one call zeroes.
const ZERO_CHUNK: u64 = 64 * 1024;
/// Units that one pull looks at.
const PULL_LOOKS: u32 = 32;

impl Db {
    /// Zeroes the next part of a Unit, so that it can be retyped. A Unit that has become empty starts again.
    ///
    /// # Errors
    /// `EmptySlot`, `InDelete`, `Frozen`, `WrongType`.
    pub fn zero_unit<M: Machine>(&mut self, m: &mut M, unit: SlotRef) -> Result<Progress, ErrorKind> {
        let s = usable(m.slot(unit))?;
        if s.ty != CapType::Unit {
            return Err(ErrorKind::WrongType);
        }
        let (base, size, done) = (s.base, s.size, s.aux64);
        let chunk = ZERO_CHUNK.min(size - done);
        if chunk != 0 {
            m.zero(base + done, chunk);
            m.slot_mut(unit).aux64 = done + chunk;
        }
        Ok(if done + chunk == size { Progress::Done } else { Progress::More })
    }

    /// Takes the Unit that has been without capabilities for longest, inside a root Ram, off the list of those:
    /// its base and size. The Unit itself stays where it is.
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
        let mut unit = self.empty_first;
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

    /// Whether any unit, of whatever root, is without capabilities.
    pub fn has_empty_units(&self) -> bool {
        self.empty_first != 0
    }

    /// Gives `bytes` bytes from `offset` on back to the root that the Unit was made of: no capability may lie over any of them.
    /// What is left before and behind are units of their own. When both are there, the one behind is new, in the
    /// empty slot `dst`; otherwise nothing comes there. One that has no capabilities joins the list of those.
    ///
    /// # Errors
    /// `EmptySlot`, `InDelete`, `Frozen`, `WrongType`; `BadSize` for nothing or all of it, `Unaligned`, `OutOfRange`;
    /// `UnitNotZeroed`; `AskMonitor`; `Overlap`; `SlotOccupied`.
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
        // What has to hold is what would let a Ram be made there.
        let args = RetypeArgs { ty: CapType::Ram, offset, object_size: bytes, count: 1 };
        let plan = self.plan(m, &s, types::row(CapType::Ram, false), &args)?;
        require_empty(m, dst, 1)?;
        let (behind, rest) = (s.base + offset + bytes, s.size - offset - bytes);
        if offset == 0 {
            // Nothing begins before `behind` but the Unit and what it lies in: it keeps its place in the order.
            self.resize_unit(m, unit, behind, rest);
        } else {
            self.resize_unit(m, unit, s.base, offset);
            if rest != 0 {
                let new = New { ty: s.ty, base: behind, size: rest, aux64: rest, ..plan.first };
                self.add_node(m, dst, &new, plan.place);
                self.list_if_empty(m, dst);
            }
        }
        self.list_if_empty(m, unit);
        Ok(())
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

    /// Whether a Unit has no capabilities.
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
            m.slot_mut(unit).aux64 = 0;
            self.list(m, unit);
            m.unit_empty();
        }
    }

    /// Puts a unit at the end of the list of empty ones.
    #[inline(never)]
    fn list<M: Machine>(&mut self, m: &mut M, unit: SlotRef) {
        let last = core::mem::replace(&mut self.empty_last, unit.0);
        let u = m.slot_mut(unit);
        u.flags = u.flags.or(Flags::LISTED);
        (u.prev, u.next) = (last, 0);
        if last == 0 {
            self.empty_first = unit.0;
        } else {
            m.slot_mut(SlotRef(last)).next = unit.0;
        }
    }

    /// Takes a unit out of the list of empty ones.
    pub(crate) fn unlist<M: Machine>(&mut self, m: &mut M, unit: SlotRef) {
        let u = m.slot_mut(unit);
        u.flags = u.flags.without(Flags::LISTED);
        let (next, prev) = (u.next, u.prev);
        if prev == 0 {
            self.empty_first = next;
        } else {
            m.slot_mut(SlotRef(prev)).next = next;
        }
        if next == 0 {
            self.empty_last = prev;
        } else {
            m.slot_mut(SlotRef(next)).prev = prev;
        }
    }

    /// One action towards the end of a Unit, in a cascade or revocation: its capabilities go first. Says whether the Unit is gone.
    ///
    /// Zombies among them are not waited for, because the Unit may lie in one of them: they belong to no unit then, and go on
    /// blocking their part of the root until they are done.
    pub(crate) fn unit_action<M: Machine>(&mut self, m: &mut M, unit: SlotRef) -> bool {
        let u = m.slot_mut(unit);
        if !u.is(Flags::IN_DELETE) {
            u.flags = u.flags.or(Flags::IN_DELETE);
            // Zeroing is over; from now on this is the address to look for capabilities from.
            u.aux64 = u.base;
        }
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
