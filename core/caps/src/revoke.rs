//! Revoke: deleting all other copies of a capability and all its descendants, in steps.

use abi::{CapType, ErrorKind, Rights};
use capops::Refusal;
use tree::NONE;

use crate::db::{View, usable};
use crate::frozen::refused;
use crate::machine::Machine;
use crate::slot::{Flags, SlotRef};
use crate::{BUDGET, Db, Progress, cost, ring};

impl Db {
    /// Deletes all other copies of the capability in `slot`, its mappings, and all its descendants; for a VNode what is mapped in it
    /// and its own place, for a dispatcher its endpoints and notifications. What lies in a CNode or dispatcher that
    /// is deleted goes with it. When `Done` comes back, no descendant is left, zombies included; and what hung from those
    /// and lies elsewhere has gone too, up to 255 CNodes and dispatchers for each (`reaper.rs`): more than that is left to
    /// the reaper, so that how long a revocation takes is a matter of what it covers.
    ///
    /// If `slot` itself lies in something that dies of it, the revocation ends there with `Done`.
    ///
    /// # Errors
    /// `EmptySlot`, `InDelete`, `Frozen`; `MissingRight` without REVOKE; `AskMonitor`, for a root also at the first
    /// shared Unit; `Pending`, for a root also at the first Unit that is frozen or asked about, and for everything at a
    /// dying CNode in which a Unit lies that is shared, frozen or asked about (`reaper.rs`).
    pub fn revoke<M: Machine>(&mut self, m: &mut M, slot: SlotRef) -> Result<Progress, ErrorKind> {
        self.revoke_within(m, slot, BUDGET)
    }

    /// [`Db::revoke`] with another budget, in units of [`crate::cost`].
    ///
    /// # Errors
    /// Those of [`Db::revoke`].
    pub fn revoke_within<M: Machine>(
        &mut self,
        m: &mut M,
        slot: SlotRef,
        mut budget: u32,
    ) -> Result<Progress, ErrorKind> {
        let s = usable(m.slot(slot))?;
        if !s.rights.contains(Rights::REVOKE) {
            return Err(ErrorKind::MissingRight);
        }
        let representative = self.representative(m, slot);
        let exclusive = m.slot(representative).is(Flags::EXCL);
        self.facts(m, s, exclusive).revoke().map_err(refused)?;
        self.lead(m, slot);
        while budget >= cost::DELETE {
            match self.revoke_action(m, slot, budget)? {
                None => return Ok(Progress::Done),
                Some(spent) => budget = budget.saturating_sub(spent),
            }
            if m.slot(slot).is_empty() {
                return Ok(Progress::Done);
            }
        }
        Ok(Progress::More)
    }

    /// Makes a copy the representative and the first of its ring.
    pub(crate) fn lead<M: Machine>(&mut self, m: &mut M, slot: SlotRef) {
        if m.slot(slot).is(Flags::IN_TREE) {
            return;
        }
        let old = self.representative(m, slot);
        ring::unlink(m, slot);
        ring::link_last(m, old, slot);
        self.promote(m, old, slot);
    }

    /// One action of a revocation; `slot` is a representative. Says what it cost, or `None` at the end.
    fn revoke_action<M: Machine>(
        &mut self,
        m: &mut M,
        slot: SlotRef,
        budget: u32,
    ) -> Result<Option<u32>, ErrorKind> {
        if let Some(other) = self.other_in_ring(m, slot) {
            let _ = self.delete_action(m, other);
            return Ok(Some(cost::DELETE));
        }
        let Some(descendant) = self.first_descendant(m, slot) else {
            return Ok(None);
        };
        let d = m.slot(descendant);
        // It has to come home first, or be answered.
        self.holds_up(d).map_err(refused)?;
        if d.is(Flags::ZOMBIE) && self.is_parked(m, descendant) {
            return Err(refused(Refusal::Busy));
        }
        Ok(Some(self.end_action(m, descendant, budget)))
    }

    /// A further copy of a representative or a mapping of what it names.
    pub(crate) fn other_in_ring<M: Machine>(&self, m: &M, slot: SlotRef) -> Option<SlotRef> {
        let s = m.slot(slot);
        let alone = matches!(s.ty, CapType::Unit | CapType::Mapping) || s.next == slot.0;
        (!alone).then_some(SlotRef(s.next))
    }

    /// The first descendant of a representative: it follows in the order and begins inside. What is keyed by an index has
    /// none, and a VNode has its mappings.
    fn first_descendant<M: Machine>(&self, m: &M, slot: SlotRef) -> Option<SlotRef> {
        let s = m.slot(slot);
        if matches!(s.ty, CapType::EndPoint | CapType::Notify | CapType::Mapping) {
            return None;
        }
        if s.ty.vnode_level().is_some() {
            return self.first_mapping(m, slot);
        }
        let next = self.tree.next(&View(m), slot.0);
        (next != NONE && m.slot(SlotRef(next)).base < s.end()).then_some(SlotRef(next))
    }
}
