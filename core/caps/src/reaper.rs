//! The reaper: emptying and ending CNodes and dispatchers whose last capability is gone.
//!
//! Such a capability moves into the slot that the kernel has in the object itself and stays in the tree, as a zombie, so that
//! K4 holds and the memory cannot be used for anything else yet. Zombies form a stack. An action of the reaper deletes one
//! capability from the topmost; if that was the last one to another CNode or dispatcher, it is pushed
//! on top. So there is no recursion, and zombies that contain each other are no special case.

use abi::CapType;
use tree::NONE;

use crate::db::View;
use crate::machine::Machine;
use crate::slot::{Flags, SlotRef};
use crate::types::Container;
use crate::{Db, Progress, cost};

impl Db {
    /// Whether the reaper has something to do.
    pub const fn has_zombies(&self) -> bool {
        self.zombies != 0
    }

    /// Lets the reaper work for about `budget` units of [`crate::cost`].
    pub fn step<M: Machine>(&mut self, m: &mut M, budget: u32) -> Progress {
        let mut left = budget;
        while self.zombies != 0 {
            if left == 0 {
                return Progress::More;
            }
            left = left.saturating_sub(self.reap_action(m, left));
        }
        Progress::Done
    }

    /// Moves the last capability to a CNode or dispatcher into the object. Its slot is free then.
    pub(crate) fn bury<M: Machine>(&mut self, m: &mut M, slot: SlotRef) {
        let s = m.slot(slot);
        let (ty, base, size) = (s.ty, s.base, s.size);
        if ty == CapType::Dispatcher {
            m.dispatcher_ends(base, size);
        }
        let grave = Container::of(ty, base, size).grave;
        let held = m.slot(slot).is(Flags::HELD);
        self.relocate(m, slot, grave);
        if held {
            m.held_ends(slot);
        }
        let below = core::mem::replace(&mut self.zombies, grave.0);
        let s = m.slot_mut(grave);
        s.flags = s.flags.without(Flags::HELD).or(Flags::ZOMBIE.or(Flags::IN_DELETE));
        (s.aux32, s.aux64) = (0, below as u64);
    }

    /// One action on the topmost zombie, or a look at empty slots for at most `budget`. Says what it cost.
    pub(crate) fn reap_action<M: Machine>(&mut self, m: &mut M, budget: u32) -> u32 {
        let zombie = SlotRef(self.zombies);
        let s = m.slot(zombie);
        let slots = Container::of(s.ty, s.base, s.size);
        let mut next = s.aux32;
        let mut spent = 0;
        while next < slots.count && spent < budget && m.slot(slots.first.plus(next)).is_empty() {
            next += 1;
            spent += cost::LOOK;
        }
        m.slot_mut(zombie).aux32 = next;
        if spent >= budget {
            return spent;
        }
        if next < slots.count {
            let _ = self.delete_action(m, slots.first.plus(next));
            return spent + cost::DELETE;
        }
        spent + self.finish_action(m, zombie)
    }

    /// One action on a zombie without capabilities: ends an event of a dispatcher, or the zombie itself.
    fn finish_action<M: Machine>(&mut self, m: &mut M, zombie: SlotRef) -> u32 {
        if let Some(event) = self.dependant(m, zombie) {
            let victim = self.victim(m, event);
            let _ = self.delete_action(m, victim);
            return cost::DELETE;
        }
        let s = m.slot(zombie);
        let (ty, base, size) = (s.ty, s.base, s.size);
        self.zombies = s.aux64 as u32;
        self.remove_node(m, zombie);
        if ty != CapType::Dispatcher {
            // All slots of a CNode are empty, so its memory is zero already.
            return cost::DELETE;
        }
        m.zero(base, size);
        (size / abi::PAGE_SIZE) as u32 * cost::ZERO_PAGE
    }

    /// The first endpoint or notification of this object, which is a dispatcher or has none.
    pub(crate) fn dependant<M: Machine>(&self, m: &M, object: SlotRef) -> Option<SlotRef> {
        let next = self.tree.next(&View(m), object.0);
        if next == NONE {
            return None;
        }
        let s = m.slot(SlotRef(next));
        let is = matches!(s.ty, CapType::EndPoint | CapType::Notify);
        (is && s.base == m.slot(object).base).then_some(SlotRef(next))
    }

    /// The capability to delete first of the ring of a representative: a further copy if there is one, because that
    /// leaves the tree alone.
    pub(crate) fn victim<M: Machine>(&self, m: &M, representative: SlotRef) -> SlotRef {
        let s = m.slot(representative);
        let next = SlotRef(s.next);
        // A Unit's ring is a list of other units; a Mapping's ring is of what it shows.
        let single = matches!(s.ty, CapType::Unit | CapType::Mapping);
        if single || m.slot(next).ty == CapType::Mapping { representative } else { next }
    }
}
