//! Deleting one capability, in steps where it takes many.

use abi::{CapType, ErrorKind};

use crate::machine::Machine;
use crate::slot::{Flags, Slot, SlotRef};
use crate::{BUDGET, Db, Progress, cost, types};

impl Db {
    /// Deletes the capability in `slot`.
    ///
    /// A copy that is not the last simply goes, and mappings made through it stay. The last one of a frame takes the frame's mappings
    /// along; of a VNode what is mapped in it, and its own place: call again while `More` comes back. The last one of a
    /// CNode or dispatcher takes everything in it along: its slot is free at once, and that is all that `Done` says. What is
    /// not cleared away within this call is left to the reaper, or to a revocation of what the object was made of.
    ///
    /// # Errors
    /// `EmptySlot`; `UnitBusy` for a Unit with capabilities, on whatever core, or one that is frozen or asked about.
    pub fn delete<M: Machine>(&mut self, m: &mut M, slot: SlotRef) -> Result<Progress, ErrorKind> {
        self.delete_within(m, slot, BUDGET)
    }

    /// [`Db::delete`] with another budget, in units of [`crate::cost`].
    ///
    /// # Errors
    /// Those of [`Db::delete`].
    pub fn delete_within<M: Machine>(
        &mut self,
        m: &mut M,
        slot: SlotRef,
        mut budget: u32,
    ) -> Result<Progress, ErrorKind> {
        let s = m.slot(slot);
        if s.is_empty() {
            return Err(ErrorKind::EmptySlot);
        }
        if s.ty == CapType::Unit && !self.is_unit_idle(m, slot) {
            return Err(ErrorKind::UnitBusy);
        }
        let before = self.last_zombie;
        while budget >= cost::DELETE {
            budget -= cost::DELETE;
            if self.delete_action(m, slot) {
                if self.last_zombie != before {
                    self.settle(m, SlotRef(self.last_zombie), budget);
                }
                return Ok(Progress::Done);
            }
        }
        Ok(Progress::More)
    }

    /// One action towards emptying `slot`; says whether it is empty now. Bounded; never empties another slot
    /// that belongs to a user, except mappings of a frame or VNode and what belongs to a Unit.
    pub(crate) fn delete_action<M: Machine>(&mut self, m: &mut M, slot: SlotRef) -> bool {
        let ty = m.slot(slot).ty;
        if ty == CapType::Unit {
            return self.unit_action(m, slot);
        }
        if ty == CapType::Mapping {
            return self.unmap_action(m, slot);
        }
        if !self.is_last(m, slot) {
            let s = m.slot(slot);
            let alone = (ty == CapType::EndPoint && s.next == s.prev).then(|| (s.base(), s.index()));
            self.remove_copy(m, slot);
            if let Some((dispatcher, index)) = alone {
                // It may be the owner's that is left.
                m.endpoint_alone(dispatcher, index);
            }
            return true;
        }
        match ty {
            CapType::Frame | CapType::DevFrame => self.frame_action(m, slot),
            CapType::VNodeL0 | CapType::VNodeL1 | CapType::VNodeL2 | CapType::VNodeL3 => {
                self.vnode_action(m, slot)
            }
            _ if types::is_container(ty) => {
                self.bury(m, slot);
                true
            }
            _ => {
                let s = *m.slot(slot);
                self.remove_node(m, slot);
                end(m, &s);
                true
            }
        }
    }

    /// One action towards the end of the last capability to a frame: its mappings go first.
    fn frame_action<M: Machine>(&mut self, m: &mut M, slot: SlotRef) -> bool {
        let s = m.slot_mut(slot);
        let next = SlotRef(s.next);
        if next == slot {
            self.remove_node(m, slot);
            return true;
        }
        s.flags = s.flags.or(Flags::IN_DELETE);
        let _ = self.unmap_action(m, next);
        false
    }
}

/// Tells the machine that the last capability `s` is gone.
fn end(m: &mut impl Machine, s: &Slot) {
    match s.ty {
        CapType::EndPoint | CapType::Notify => m.event_ends(s.base(), s.index()),
        CapType::IrqSource => m.interrupts_end(s.base(), s.size),
        _ => {}
    }
}
