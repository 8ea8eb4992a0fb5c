//! Units: how many capabilities belong to an allocation, its zeroing, and the list of those that have none left.

use abi::{CapType, ErrorKind};
use tree::NONE;

use crate::db::{View, usable};
use crate::key::Key;
use crate::machine::Machine;
use crate::slot::{Flags, SlotRef};
use crate::{Db, Progress};

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

    /// Counts `count` more capabilities of a unit, which may be none.
    #[inline]
    pub(crate) fn hold<M: Machine>(&mut self, m: &mut M, unit: SlotRef, count: u32) {
        if unit.is_none() {
            return;
        }
        let u = m.slot_mut(unit);
        u.aux32 += count;
        if u.is(Flags::LISTED) {
            self.unlist(m, unit);
        }
    }

    /// Counts one capability of a unit less.
    #[inline]
    pub(crate) fn release<M: Machine>(&mut self, m: &mut M, unit: SlotRef) {
        let u = m.slot_mut(unit);
        u.aux32 -= 1;
        // A Unit that is being deleted is nobody's to pull.
        if u.aux32 == 0 && !u.is(Flags::IN_DELETE) {
            u.aux64 = 0;
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
    fn unlist<M: Machine>(&mut self, m: &mut M, unit: SlotRef) {
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
    /// Zombies among them are not waited for, because the Unit may lie in one of them: they lose their unit and go on
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
            let z = m.slot_mut(member);
            z.unit = 0;
            let resume = z.base + 1;
            let u = m.slot_mut(unit);
            u.aux32 -= 1;
            u.aux64 = resume;
        }
    }
}
