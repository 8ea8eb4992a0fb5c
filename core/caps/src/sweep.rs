//! Sweeping: deleting what is frozen in a Unit, in steps.

use abi::ErrorKind;
use capops::{Key as _, Refusal};

use crate::db::View;
use crate::frozen::{self, KEEPS_TOP, SWEEPING, refused};
use crate::key::Key;
use crate::machine::Machine;
use crate::slot::{Flags, SlotRef};
use crate::{BUDGET, Db, Progress, cost};

impl Db {
    /// Deletes what is frozen in a Unit or proxy, as [`Db::revoke`] does; on the revoker's core the capability that is pinned stays.
    /// `Done`: nothing else is left, zombies included, and nothing is frozen any more. What is left all the same, and goes on blocking
    /// its part, is a dying CNode in which a Unit lies that is shared, frozen or asked about (`reaper.rs`): to wait for that could
    /// be to wait for this sweep.
    ///
    /// # Errors
    /// Those of `Db::unit`; `BadState` when nothing is frozen.
    pub fn sweep<M: Machine>(&mut self, m: &mut M, unit: SlotRef) -> Result<Progress, ErrorKind> {
        self.sweep_within(m, unit, BUDGET)
    }

    /// [`Db::sweep`] with another budget, in units of [`crate::cost`].
    ///
    /// # Errors
    /// Those of [`Db::sweep`].
    pub fn sweep_within<M: Machine>(
        &mut self,
        m: &mut M,
        unit: SlotRef,
        mut budget: u32,
    ) -> Result<Progress, ErrorKind> {
        if !self.unit(m, unit)?.is(Flags::FROZEN) {
            return Err(refused(Refusal::Nonsense));
        }
        m.slot_mut(unit).aux32 |= SWEEPING;
        while budget >= cost::DELETE {
            let Some(spent) = self.sweep_action(m, unit, budget) else {
                self.thaw(m, unit);
                return Ok(Progress::Done);
            };
            budget = budget.saturating_sub(spent);
            // It may have lain in what was swept.
            if !m.slot(unit).is(Flags::FROZEN) {
                return Ok(Progress::Done);
            }
        }
        Ok(Progress::More)
    }

    /// One action of a sweep. Says what it cost, or `None` at the end.
    fn sweep_action<M: Machine>(&mut self, m: &mut M, unit: SlotRef, budget: u32) -> Option<u32> {
        let u = m.slot(unit);
        let (top, keeps_top) = (frozen::top(u), u.aux32 & KEEPS_TOP != 0);
        let mut node = SlotRef(self.lower_bound(m, &top));
        if keeps_top && !node.is_none() && Key::of(m.slot(node)) == top {
            if let Some(other) = self.other_in_ring(m, node) {
                let _ = self.delete_action(m, other);
                return Some(cost::DELETE);
            }
            node = self.next(m, node);
        }
        let mut looked = 0;
        while !node.is_none() && m.slot(node).is(Flags::ZOMBIE) && self.is_parked(m, node) {
            looked += cost::LOOK;
            if looked >= budget {
                return Some(looked);
            }
            node = self.next(m, node);
        }
        if node.is_none() || !top.contains(&Key::of(m.slot(node))) {
            return None;
        }
        Some(looked + self.end_action(m, node, budget - looked))
    }

    /// One action towards the end of a representative and its ring, which may be a zombie. Says what it cost.
    pub(crate) fn end_action<M: Machine>(&mut self, m: &mut M, node: SlotRef, budget: u32) -> u32 {
        if m.slot(node).is(Flags::ZOMBIE) {
            return self.reap_action(m, node, budget);
        }
        let victim = self.victim(m, node);
        let _ = self.delete_action(m, victim);
        cost::DELETE
    }

    /// The first node at this place or behind, or [`NONE`].
    pub(crate) fn lower_bound<M: Machine>(&self, m: &M, key: &Key) -> u32 {
        self.tree.lower_bound(&View(m), |v, n| key.cmp_slot(v.0.slot(SlotRef(n))).is_lt())
    }
}
