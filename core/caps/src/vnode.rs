//! Where a VNode stands in its address space: kept in `aux64` of its representative.

use crate::Db;
use crate::machine::Machine;
use crate::slot::{Slot, SlotRef};

/// Bit 0: installed; bits 12 to 47: virtual address; bits 48 to 63: address space identifier.
const INSTALLED: u64 = 1;
/// `aux64` of a VNode that is part of no address space.
pub(crate) const NOT_INSTALLED: u64 = 0;
/// The bits of a page-aligned virtual address of 48 bits.
pub(crate) const VA_MASK: u64 = 0x0000_ffff_ffff_f000;
/// Where the address space identifier begins.
pub(crate) const ASID_SHIFT: u32 = 48;
/// Entries of a translation table.
pub(crate) const ENTRIES: u64 = 512;

/// The place of an installed VNode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// Virtual address of its first entry.
    pub va: u64,
    /// Address space identifier.
    pub asid: u16,
}

impl Place {
    /// The place of a VNodeL0, which is installed from its beginning.
    pub(crate) const fn root(asid: u16) -> Place {
        Place { va: 0, asid }
    }
    /// As kept in `aux64`.
    pub(crate) const fn pack(self) -> u64 {
        INSTALLED | self.va | (self.asid as u64) << ASID_SHIFT
    }
    /// The place of the VNode whose representative `s` is.
    pub(crate) const fn of(s: &Slot) -> Option<Place> {
        if s.aux64 & INSTALLED == 0 {
            return None;
        }
        Some(Place { va: s.aux64 & VA_MASK, asid: (s.aux64 >> ASID_SHIFT) as u16 })
    }
}

/// Bytes of address space that an entry of a level spans.
pub(crate) const fn entry_span(level: u8) -> u64 {
    1 << (39 - 9 * level as u32)
}

impl Db {
    /// The address space identifier of an installed VNode, of which `slot` holds any copy; `None` for anything else.
    pub fn asid<M: Machine>(&self, m: &M, slot: SlotRef) -> Option<u16> {
        m.slot(slot).ty.vnode_level()?;
        Some(Place::of(m.slot(self.representative(m, slot)))?.asid)
    }
}
