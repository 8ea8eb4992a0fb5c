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
        CapType::Doorbell => 4 << 60,
        _ => 0,
    }
}

/// A place in the order. It names a capability, of which there may be many copies, on all cores.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    pub(crate) base: u64,
    pub(crate) size: u64,
    pub(crate) depth: u8,
    pub(crate) index: u32,
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

impl capops::Key for Key {
    /// Regions are laminar, so where both can exist at once this is descent.
    fn contains(&self, other: &Key) -> bool {
        if self.base == other.base && self.size == other.size {
            return self.depth < other.depth || self == other;
        }
        let inside = self.base <= other.base && other.end() <= self.end();
        inside && self.depth <= other.depth && self.depth != types::DEPENDANT
    }
    fn is_above(&self, at: u64) -> bool {
        self.base >= at
    }
}

impl Key {
    /// The key of a capability that is no root, from what `CapIdentify` says of it.
    pub const fn new(ty: CapType, base: u64, size: u64, index: u32) -> Key {
        Key { base: base & BASE_MASK | space(ty), size, depth: types::depth(ty, false), index }
    }
    /// Its first address or number, with the key space in its top bits: where a unit may be cut.
    pub const fn base(&self) -> u64 {
        self.base
    }
    /// One past its last.
    pub const fn end(&self) -> u64 {
        self.base.saturating_add(self.size)
    }
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
