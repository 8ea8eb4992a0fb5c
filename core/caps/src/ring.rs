//! The ring that joins the copies of a capability and the mappings of what it names.
//!
//! Beginning at the representative: representative, other copies, mappings. A ring of one points to itself.

use crate::machine::Machine;
use crate::slot::SlotRef;

/// Makes `slot` a ring of its own.
#[inline(always)]
pub(crate) fn alone(m: &mut impl Machine, slot: SlotRef) {
    let s = m.slot_mut(slot);
    (s.next, s.prev) = (slot.0, slot.0);
}

/// Puts `new` behind `place`.
#[inline]
pub(crate) fn link_after(m: &mut impl Machine, place: SlotRef, new: SlotRef) {
    let next = core::mem::replace(&mut m.slot_mut(place).next, new.0);
    m.slot_mut(SlotRef(next)).prev = new.0;
    let s = m.slot_mut(new);
    (s.next, s.prev) = (next, place.0);
}

/// Puts `new` at the end of the ring that begins at `representative`.
#[inline]
pub(crate) fn link_last(m: &mut impl Machine, representative: SlotRef, new: SlotRef) {
    let last = SlotRef(m.slot(representative).prev);
    link_after(m, last, new);
}

/// Takes `slot` out; its own links become stale.
#[inline]
pub(crate) fn unlink(m: &mut impl Machine, slot: SlotRef) {
    let s = m.slot(slot);
    let (next, prev) = (s.next, s.prev);
    m.slot_mut(SlotRef(prev)).next = next;
    m.slot_mut(SlotRef(next)).prev = prev;
}

/// Puts `new` in the place of `old`, whose links become stale.
pub(crate) fn replace(m: &mut impl Machine, old: SlotRef, new: SlotRef) {
    link_after(m, old, new);
    unlink(m, old);
}
