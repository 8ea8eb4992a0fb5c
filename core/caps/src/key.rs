//! The order of the mapping database: (base, size descending, depth of the type, index).
//!
//! Regions of different nature live in key spaces of their own, told apart by the top bits of the base.
//! Endpoints and notifications carry the key of their dispatcher, with a greater depth and their index: so they
//! follow it in the order. Mappings are no part of it: each VNode has them in a tree of its own (`vnode.rs`).

use core::cmp::Ordering;

use abi::CapType;

use crate::slot::{Flags, Slot};
use crate::types;

/// The bits of a base that are an address or number.
pub(crate) const BASE_MASK: u64 = (1 << 60) - 1;

/// Where the bases of a type lie.
pub(crate) const fn space(ty: CapType) -> u64 {
    match ty {
        CapType::IrqSource => 1 << 60,
        CapType::Id => 2 << 60,
        CapType::Kernel => 3 << 60,
        _ => 0,
    }
}

/// A place in the order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Key {
    pub base: u64,
    pub size: u64,
    pub depth: u8,
    pub index: u32,
}

/// The index of a capability that is keyed by object and index, 0 for others.
#[inline(always)]
pub(crate) const fn index(slot: &Slot) -> u32 {
    match slot.ty {
        CapType::EndPoint | CapType::Notify => slot.aux32,
        CapType::Mapping => slot.aux32 & 0xffff,
        _ => 0,
    }
}

impl Key {
    /// Where a capability stands.
    #[inline(always)]
    pub(crate) const fn of(slot: &Slot) -> Key {
        Key {
            base: slot.base,
            size: slot.size,
            depth: types::depth(slot.ty, slot.flags.any(Flags::ROOT)),
            index: index(slot),
        }
    }

    /// How `slot` stands to this place.
    #[inline(always)]
    pub(crate) fn cmp_slot(&self, slot: &Slot) -> Ordering {
        if slot.base != self.base {
            return slot.base.cmp(&self.base);
        }
        if slot.size != self.size {
            return self.size.cmp(&slot.size);
        }
        let other = Key::of(slot);
        (other.depth, other.index).cmp(&(self.depth, self.index))
    }
}
