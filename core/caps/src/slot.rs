//! The slot: one capability and its place in the mapping database, in 64 bytes.

use abi::cap::SLOT_SIZE;
use abi::{CapType, Rights};
use tree::Links;

use crate::key;

/// The name of a slot: its physical address divided by 64, so slots must lie below 256 GiB.
/// 0 names no slot (no RAM for objects begins at physical address 0).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct SlotRef(pub u32);

impl SlotRef {
    /// No slot.
    pub const NONE: SlotRef = SlotRef(0);
    /// The slot at a physical address, which is a multiple of 64 below [`crate::OBJECT_LIMIT`].
    #[inline(always)]
    pub const fn at(address: u64) -> SlotRef {
        SlotRef((address / SLOT_SIZE) as u32)
    }
    /// Its physical address.
    #[inline(always)]
    pub const fn address(self) -> u64 {
        self.0 as u64 * SLOT_SIZE
    }
    /// The slot that lies `count` slots further on in the same object.
    #[inline(always)]
    pub const fn plus(self, count: u32) -> SlotRef {
        SlotRef(self.0 + count)
    }
    /// Whether it names none.
    #[inline(always)]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// Facts about a capability that are one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct Flags(u8);

impl Flags {
    /// Of a representative: no copy and no descendant is on another core. Of a Unit: no other core has anything of it.
    pub const EXCL: Flags = Flags(1);
    /// A Unit in which a revoke that is on its way over the cores has frozen something. Of a zombie: its estate waits for a Unit
    /// in it (`reaper.rs`).
    pub const FROZEN: Flags = Flags(2);
    /// A stepwise deletion has begun.
    pub const IN_DELETE: Flags = Flags(4);
    /// A memory server's root: retypes to `Unit`.
    pub const ROOT: Flags = Flags(8);
    /// The last capability to a CNode or dispatcher, waiting for the reaper in the object's own memory.
    pub const ZOMBIE: Flags = Flags(16);
    /// It is the representative of its key: a node of the tree.
    pub const IN_TREE: Flags = Flags(32);
    /// A `Unit` without capabilities, in the list of those.
    pub const LISTED: Flags = Flags(64);
    /// What a dispatcher cannot run without, in a slot of its own.
    pub const HELD: Flags = Flags(128);

    /// As a number: `CapIdentify` gives it to user space.
    pub const fn bits(self) -> u8 {
        self.0
    }
    /// Whether any bit of `other` is set.
    #[inline(always)]
    pub const fn any(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }
    /// The bits of both.
    #[inline(always)]
    pub const fn or(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
    /// The bits of `self` that `other` does not have.
    #[inline(always)]
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }
    /// The bits that both have.
    #[inline(always)]
    pub const fn and(self, other: Flags) -> Flags {
        Flags(self.0 & other.0)
    }
}

/// A capability in its slot. All zero bytes: an empty slot.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Slot {
    pub(crate) ty: CapType,
    pub(crate) rights: Rights,
    pub(crate) flags: Flags,
    /// Height of its subtree, 0 outside the tree.
    pub(crate) height: u8,
    /// Mapping: the number of the first 4 KiB page that it shows. Unit: who shares it; proxy: the home core. What the monitor
    /// has pinned: see `share.rs`.
    pub(crate) page: u32,
    /// First address or number, with the key space in its top bits (`key.rs`).
    pub(crate) base: u64,
    /// Bytes, or how many numbers.
    pub(crate) size: u64,
    /// Greatest end of a region in its subtree.
    pub(crate) max_end: u64,
    pub(crate) links: Links,
    /// The ring of copies; for a Unit, which has none, the list of units without capabilities, and for a zombie the queue
    /// of the reaper.
    pub(crate) next: u32,
    pub(crate) prev: u32,
    /// EndPoint, Notify: event index. Mapping: first entry | entries << 16.
    /// Unit: see `frozen.rs`. CNode, Dispatcher (representative): next slot to move or to clean. VNode (representative): its mappings.
    pub(crate) aux32: u32,
    /// VNode (representative), Mapping: see `vnode.rs` and `map.rs`. Unit: bytes zeroed, all of them when
    /// a capability is made of it; while it is frozen, what; while it is deleted, where to go on. Zombie: see `reaper.rs`.
    pub(crate) aux64: u64,
}

const _: () = assert!(core::mem::size_of::<Slot>() as u64 == SLOT_SIZE);

impl Slot {
    /// An empty slot.
    pub const EMPTY: Slot = Slot {
        ty: CapType::Null,
        rights: Rights::NONE,
        flags: Flags(0),
        height: 0,
        page: 0,
        base: 0,
        size: 0,
        max_end: 0,
        links: Links::EMPTY,
        next: 0,
        prev: 0,
        aux32: 0,
        aux64: 0,
    };

    /// What kind of capability.
    #[inline(always)]
    pub const fn cap_type(&self) -> CapType {
        self.ty
    }
    /// Whether there is none.
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        matches!(self.ty, CapType::Null)
    }
    /// What it allows.
    #[inline(always)]
    pub const fn rights(&self) -> Rights {
        self.rights
    }
    /// Its bits.
    #[inline(always)]
    pub const fn flags(&self) -> Flags {
        self.flags
    }
    /// Physical address of the region or object, or first interrupt or number. For EndPoint and Notify: of the
    /// dispatcher; for a Mapping: of the VNode.
    #[inline(always)]
    pub const fn base(&self) -> u64 {
        self.base & key::BASE_MASK
    }
    /// Bytes of the region or object, or how many numbers; for EndPoint, Notify, Mapping as for `base`.
    #[inline(always)]
    pub const fn size(&self) -> u64 {
        self.size
    }
    /// For EndPoint and Notify: the event index. For a Mapping: the first entry of its window. Otherwise 0.
    #[inline(always)]
    pub const fn index(&self) -> u32 {
        key::index(self)
    }
    /// Sets or clears flags.
    #[inline(always)]
    pub(crate) const fn set(&mut self, flags: Flags, on: bool) {
        self.flags = if on { self.flags.or(flags) } else { self.flags.without(flags) };
    }
    /// One past its last address or number, in its key space.
    #[inline(always)]
    pub(crate) const fn end(&self) -> u64 {
        self.base + self.size
    }
    /// Whether any of these flags is set.
    #[inline(always)]
    pub(crate) const fn is(&self, flags: Flags) -> bool {
        self.flags.any(flags)
    }
}
