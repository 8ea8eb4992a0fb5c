//! The reaper: emptying and ending CNodes and dispatchers whose last capability is gone.
//!
//! Such a capability moves into the slot that the kernel has in the object itself and stays in the tree, as a zombie, so that
//! K4 holds and the memory cannot be used for anything else yet. A zombie that somebody's deletion made begins an
//! *estate*, and estates form a queue: the reaper takes them in the order in which they came, so none waits for later ones.
//!
//! What becomes a zombie because a zombie was emptied goes on top of the same estate, which is a stack: an action always
//! works on the topmost. So there is no recursion, zombies that contain each other are no special case, and what lies above
//! a zombie is exactly what hung from it. Nobody can put anything into an estate: its zombies have no capabilities left.
//!
//! Whoever waits for a zombie (a revocation that finds it) works on its estate, wherever that stands in the queue, and on no
//! other. An estate takes at most `HEIRS` zombies in, and what more hung from it begins others; because otherwise
//! somebody who still has capabilities to what hangs there could fill it again and again just before its turn.
//!
//! A Unit that other cores share, that is frozen or asked about cannot end: its memory would be used again. A CNode in which such
//! a one lies waits for it, with what lies below it in its estate: the estate is *parked*, which means that it leaves the queue
//! until the Unit is settled. Nobody else waits for it: a revocation that finds a parked zombie is refused, and a sweep passes it.
//! Until then the zombie goes on blocking its memory, and the Unit can be told what its monitor has to tell it.
//!
//! ```text
//!   queue:   estate ◄──────► estate ◄──────► estate            ring links of the first zombie, 0 at the ends
//!   stack:   top ─► zombie   itself          top ─► zombie      aux64: below (of the first: top) | first << 32
//!                      └─► first                      └─► ...
//! ```

use abi::CapType;
use tree::NONE;

use crate::db::View;
use crate::key::Key;
use crate::machine::Machine;
use crate::slot::{Flags, Slot, SlotRef};
use crate::types::Container;
use crate::{Db, Progress, cost};

/// Zombies that an estate takes in beside its first: the L2CNodes of a domain with 65,000 capabilities. Few in tests, so
/// that they meet the limit.
pub(crate) const HEIRS: u32 = if cfg!(test) { 8 } else { 255 };
/// `aux32` of a zombie: below this bit the next slot to look at, for the first of an estate above it how many more may come.
const HEIRS_SHIFT: u32 = 16;

/// For the first zombie of an estate: the topmost. For another: the one below it.
const fn link(zombie: &Slot) -> u32 {
    zombie.aux64 as u32
}

/// The first zombie of the estate of this one.
pub(crate) const fn estate(zombie: &Slot) -> SlotRef {
    SlotRef((zombie.aux64 >> 32) as u32)
}

const fn pack(link: u32, estate: SlotRef) -> u64 {
    link as u64 | (estate.0 as u64) << 32
}

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
            left = left.saturating_sub(self.reap_action(m, SlotRef(self.zombies), left));
        }
        Progress::Done
    }

    /// Works on the estate that a zombie begins, and on no other, for about `budget`.
    pub(crate) fn settle<M: Machine>(&mut self, m: &mut M, first: SlotRef, budget: u32) {
        let mut left = budget;
        while left != 0 && m.slot(first).is(Flags::ZOMBIE) && !self.is_parked(m, first) {
            left = left.saturating_sub(self.reap_action(m, first, left));
        }
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
        let s = m.slot_mut(grave);
        s.flags = s.flags.without(Flags::HELD).or(Flags::ZOMBIE.or(Flags::IN_DELETE));
        let first = SlotRef(self.reaping);
        if !first.is_none() && m.slot(first).aux32 >> HEIRS_SHIFT != 0 {
            let f = m.slot_mut(first);
            f.aux32 -= 1 << HEIRS_SHIFT;
            let below = link(f);
            f.aux64 = pack(grave.0, first);
            let s = m.slot_mut(grave);
            (s.aux32, s.aux64) = (0, pack(below, first));
            return;
        }
        let s = m.slot_mut(grave);
        (s.aux32, s.aux64) = (HEIRS << HEIRS_SHIFT, pack(grave.0, grave));
        self.enqueue(m, grave);
    }

    /// Puts an estate at the end of the queue.
    fn enqueue<M: Machine>(&mut self, m: &mut M, first: SlotRef) {
        let last = core::mem::replace(&mut self.last_zombie, first.0);
        let s = m.slot_mut(first);
        (s.prev, s.next) = (last, 0);
        if last == 0 {
            self.zombies = first.0;
        } else {
            m.slot_mut(SlotRef(last)).next = first.0;
        }
        m.remains();
    }

    /// Takes an estate out of the queue.
    fn dequeue<M: Machine>(&mut self, m: &mut M, first: SlotRef) {
        let s = m.slot(first);
        let (prev, next) = (s.prev, s.next);
        match prev {
            0 => self.zombies = next,
            _ => m.slot_mut(SlotRef(prev)).next = next,
        }
        match next {
            0 => self.last_zombie = prev,
            _ => m.slot_mut(SlotRef(next)).prev = prev,
        }
    }

    /// Whether the estate of a zombie waits for a Unit.
    pub(crate) fn is_parked<M: Machine>(&self, m: &M, zombie: SlotRef) -> bool {
        self.parked != 0 && m.slot(estate(m.slot(zombie))).is(Flags::FROZEN)
    }

    /// Lets the estate go on in which a Unit lies about which something has changed, if it lies in one.
    pub(crate) fn unpark<M: Machine>(&mut self, m: &mut M, unit: SlotRef) {
        if self.parked == 0 {
            return;
        }
        // The slot's object is the innermost over it, but for the events of a dispatcher.
        let (_, node) = self.around(m, unit.address(), unit.address() + 1);
        if node == NONE {
            return;
        }
        let s = m.slot(SlotRef(node));
        let object = match s.ty {
            CapType::EndPoint | CapType::Notify => {
                self.find(m, &Key::new(CapType::Dispatcher, s.base, s.size, 0))
            }
            _ => node,
        };
        if !m.slot(SlotRef(object)).is(Flags::ZOMBIE) {
            return;
        }
        let first = estate(m.slot(SlotRef(object)));
        if m.slot(first).is(Flags::FROZEN) {
            m.slot_mut(first).set(Flags::FROZEN, false);
            self.parked -= 1;
            self.enqueue(m, first);
        }
    }

    /// One action on the estate of a zombie, or a look at empty slots for at most `budget`. Says what it cost.
    pub(crate) fn reap_action<M: Machine>(&mut self, m: &mut M, zombie: SlotRef, budget: u32) -> u32 {
        let first = estate(m.slot(zombie));
        if self.is_parked(m, first) {
            return budget;
        }
        let top = SlotRef(link(m.slot(first)));
        let s = m.slot_mut(top);
        let slots = Container::of(s.ty, s.base, s.size);
        let start = s.aux32 & ((1 << HEIRS_SHIFT) - 1);
        let mut next = start;
        let mut spent = 0;
        while next < slots.count && spent < budget && m.slot(slots.first.plus(next)).is_empty() {
            next += 1;
            spent += cost::LOOK;
        }
        m.slot_mut(top).aux32 += next - start;
        if spent >= budget {
            return spent;
        }
        if next < slots.count && self.holds_up(m.slot(slots.first.plus(next))).is_err() {
            self.dequeue(m, first);
            m.slot_mut(first).set(Flags::FROZEN, true);
            self.parked += 1;
            return spent + cost::DELETE;
        }
        if next < slots.count {
            self.reaping = first.0;
            let _ = self.delete_action(m, slots.first.plus(next));
            self.reaping = 0;
            return spent + cost::DELETE;
        }
        spent + self.finish_action(m, top)
    }

    /// One action on a topmost zombie without capabilities: ends an event of a dispatcher, or the zombie itself.
    fn finish_action<M: Machine>(&mut self, m: &mut M, zombie: SlotRef) -> u32 {
        if let Some(event) = self.dependant(m, zombie) {
            let victim = self.victim(m, event);
            let _ = self.delete_action(m, victim);
            return cost::DELETE;
        }
        let s = m.slot(zombie);
        let (ty, base, size) = (s.ty, s.base, s.size);
        self.leave_estate(m, zombie);
        self.remove_node(m, zombie);
        if ty != CapType::Dispatcher {
            // All slots of a CNode are empty, so its memory is zero already.
            return cost::DELETE;
        }
        m.zero(base, size);
        (size / abi::PAGE_SIZE) as u32 * cost::ZERO_PAGE
    }

    /// Takes a topmost zombie off its estate; the first one ends it.
    fn leave_estate<M: Machine>(&mut self, m: &mut M, zombie: SlotRef) {
        let s = m.slot(zombie);
        let (first, below) = (estate(s), link(s));
        if first != zombie {
            m.slot_mut(first).aux64 = pack(below, first);
            return;
        }
        self.dequeue(m, zombie);
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
