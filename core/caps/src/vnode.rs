//! What the representative of a VNode keeps: in `aux64` where it stands in its address space, in `aux32` the
//! root of the tree of the mappings into it.

use abi::CapType;
use tree::Tree;

use crate::db::{Edit, New, View, write};
use crate::key::Key;
use crate::machine::Machine;
use crate::slot::{Flags, Slot, SlotRef};
use crate::{Db, ring, types};

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

/// The mappings into the VNode whose representative `s` is, in the order of their first entries.
#[inline]
pub(crate) const fn mappings(s: &Slot) -> Tree {
    Tree::from_root(s.aux32)
}

impl Db {
    /// The address space identifier of an installed VNode, of which `slot` holds any copy; `None` for anything else.
    pub fn asid<M: Machine>(&self, m: &M, slot: SlotRef) -> Option<u16> {
        m.slot(slot).ty.vnode_level()?;
        Some(Place::of(m.slot(self.representative(m, slot)))?.asid)
    }

    /// The first Mapping into the VNode whose representative this is.
    pub(crate) fn first_mapping<M: Machine>(&self, m: &M, vnode: SlotRef) -> Option<SlotRef> {
        let first = SlotRef(mappings(m.slot(vnode)).first(&View(m)));
        (!first.is_none()).then_some(first)
    }

    /// Writes a Mapping into an empty slot, and puts it behind the Mapping `place` of its VNode.
    #[inline]
    pub(crate) fn add_mapping<M: Machine>(
        &mut self,
        m: &mut M,
        slot: SlotRef,
        new: &New,
        vnode: SlotRef,
        place: u32,
    ) {
        write(m, slot, new, Flags::IN_TREE.or(Flags::EXCL));
        let mut tree = mappings(m.slot(vnode));
        tree.insert_after(&mut Edit(m), place, slot.0);
        m.slot_mut(vnode).aux32 = tree.root();
        self.count += 1;
    }

    /// Removes a Mapping from its VNode, from the ring of what it shows, and from its slot.
    pub(crate) fn remove_mapping<M: Machine>(&mut self, m: &mut M, slot: SlotRef) {
        ring::unlink(m, slot);
        let s = m.slot(slot);
        let depth = types::depth(CapType::VNodeL0, false);
        let vnode = SlotRef(self.find(m, &Key { base: s.base, size: s.size, depth, index: 0 }));
        let mut tree = mappings(m.slot(vnode));
        tree.remove(&mut Edit(m), slot.0);
        m.slot_mut(vnode).aux32 = tree.root();
        self.forget(m, slot);
    }
}
