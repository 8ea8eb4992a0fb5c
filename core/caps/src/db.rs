//! The mapping database: its root, adding and removing capabilities, and what boot puts into it.

use core::cmp::Ordering;

use abi::{CapType, ErrorKind, Rights};
use tree::{Links, NONE, Nodes, NodesMut, Tree};

use crate::key::{self, Key};
use crate::machine::Machine;
use crate::ring;
use crate::slot::{Flags, Slot, SlotRef};
use crate::types::{self, Size};
use crate::vnode::{self, Place};
use crate::{FRAME_LIMIT, OBJECT_LIMIT};

/// The mapping database of a core, with the lists of zombies and of empty units. Its nodes are the slots.
#[derive(Debug, Default)]
pub struct Db {
    pub(crate) tree: Tree,
    pub(crate) count: u64,
    /// The queue of estates: the first zombies of the one that the reaper works on, and of the last, 0 for none.
    pub(crate) zombies: u32,
    pub(crate) last_zombie: u32,
    /// The first zombie of the estate that something is being deleted from, 0 for none.
    pub(crate) reaping: u32,
    /// Units without capabilities: those without sharers, and the others with the proxies.
    pub(crate) empty: [UnitList; 2],
    /// How many times a Unit is frozen, or a request about one is unanswered. None: nobody has to look for Units.
    pub(crate) unsettled: u32,
    /// Estates that wait for a Unit in them.
    pub(crate) parked: u32,
}

/// A list of Units: the one that is pulled next, and the last, 0 for none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UnitList {
    pub first: u32,
    pub last: u32,
}

/// A capability that comes from nowhere: what the kernel finds or makes at boot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Root {
    /// PhysAddr, Ram (which becomes a root), Frame, DevFrame, IrqSource, Kernel, Id, Doorbell, or a CNode, VNode, Dispatcher.
    pub ty: CapType,
    /// What it allows.
    pub rights: Rights,
    /// Physical address or first number; for Kernel the number of the core.
    pub base: u64,
    /// Bytes, or how many numbers; for Kernel 1.
    pub size: u64,
}

/// What identifies a new capability, before it has a place.
#[derive(Clone, Copy)]
pub(crate) struct New {
    pub ty: CapType,
    pub rights: Rights,
    pub flags: Flags,
    pub page: u32,
    pub base: u64,
    pub size: u64,
    pub aux32: u32,
    pub aux64: u64,
}

/// The slots as nodes of the tree, to read them.
pub(crate) struct View<'m, M>(pub &'m M);
/// The slots as nodes of the tree, to change them.
pub(crate) struct Edit<'m, M>(pub &'m mut M);

impl<M: Machine> Nodes for View<'_, M> {
    #[inline(always)]
    fn links(&self, node: u32) -> &Links {
        &self.0.slot(SlotRef(node)).links
    }
    #[inline(always)]
    fn height(&self, node: u32) -> u8 {
        self.0.slot(SlotRef(node)).height
    }
}

impl<M: Machine> Nodes for Edit<'_, M> {
    #[inline(always)]
    fn links(&self, node: u32) -> &Links {
        &self.0.slot(SlotRef(node)).links
    }
    #[inline(always)]
    fn height(&self, node: u32) -> u8 {
        self.0.slot(SlotRef(node)).height
    }
}

impl<M: Machine> NodesMut for Edit<'_, M> {
    #[inline(always)]
    fn links_mut(&mut self, node: u32) -> &mut Links {
        &mut self.0.slot_mut(SlotRef(node)).links
    }
    #[inline(always)]
    fn set_height(&mut self, node: u32, height: u8) {
        self.0.slot_mut(SlotRef(node)).height = height;
    }
    #[inline(always)]
    fn refresh(&mut self, node: u32) -> bool {
        let slot = self.0.slot(SlotRef(node));
        let mut end = slot.end();
        let (left, right, old) = (slot.links.left, slot.links.right, slot.max_end);
        if left != NONE {
            end = end.max(self.0.slot(SlotRef(left)).max_end);
        }
        if right != NONE {
            end = end.max(self.0.slot(SlotRef(right)).max_end);
        }
        self.0.slot_mut(SlotRef(node)).max_end = end;
        end != old
    }
    #[inline(always)]
    fn recompute(&mut self, node: u32) -> bool {
        let s = self.0.slot(SlotRef(node));
        let (mut height, mut end) = (0, s.end());
        for child in [s.links.left, s.links.right] {
            if child != NONE {
                let child = self.0.slot(SlotRef(child));
                (height, end) = (child.height.max(height), child.max_end.max(end));
            }
        }
        let changed = s.height != height + 1 || s.max_end != end;
        let s = self.0.slot_mut(SlotRef(node));
        (s.height, s.max_end) = (height + 1, end);
        changed
    }
    #[inline(always)]
    fn absorb(&mut self, node: u32, new: u32) -> bool {
        let end = self.0.slot(SlotRef(new)).end();
        let slot = self.0.slot_mut(SlotRef(node));
        let grows = end > slot.max_end;
        if grows {
            slot.max_end = end;
        }
        grows
    }
}

impl Db {
    /// A database without capabilities.
    pub const fn new() -> Db {
        Db {
            tree: Tree::new(),
            count: 0,
            zombies: 0,
            last_zombie: 0,
            reaping: 0,
            empty: [UnitList { first: 0, last: 0 }; 2],
            unsettled: 0,
            parked: 0,
        }
    }

    /// Capabilities, copies and mappings counted.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The first representative in the order of the database, [`SlotRef::NONE`] when it is empty.
    pub fn first(&self, m: &impl Machine) -> SlotRef {
        SlotRef(self.tree.first(&View(m)))
    }

    /// The representative after `slot`, which is one, [`SlotRef::NONE`] at the end.
    #[inline]
    pub fn next(&self, m: &impl Machine, slot: SlotRef) -> SlotRef {
        SlotRef(self.tree.next(&View(m), slot.0))
    }

    /// Puts a capability of boot into an empty slot. Objects must have been zeroed by the caller; a
    /// VNodeL0 gets its address space identifier.
    ///
    /// # Errors
    /// `SlotOccupied`; `BadType` for types that only retype or map makes; `BadSize`, `Unaligned`; `OutOfRange`
    /// when it ends beyond [`OBJECT_LIMIT`] (Ram and objects) or [`FRAME_LIMIT`]; `Overlap` with another
    /// capability; `NoAsid`.
    pub fn insert_root<M: Machine>(
        &mut self,
        m: &mut M,
        slot: SlotRef,
        root: &Root,
    ) -> Result<(), ErrorKind> {
        check_root(root)?;
        require_empty(m, slot, 1)?;
        let base = root.base | key::space(root.ty);
        let end = base + root.size;
        let (place, overlapping) = self.around(m, base, end);
        if overlapping != NONE {
            return Err(ErrorKind::Overlap);
        }
        let aux64 = match root.ty {
            CapType::VNodeL0 => Place::root(m.new_asid().ok_or(ErrorKind::NoAsid)?).pack(),
            _ => vnode::NOT_INSTALLED,
        };
        let flags = if root.ty == CapType::Ram { Flags::ROOT } else { Flags::default() };
        let Root { ty, rights, size, .. } = *root;
        let new = New { ty, rights, flags, page: 0, base, size, aux32: 0, aux64 };
        self.add_node(m, slot, &new, place);
        Ok(())
    }

    /// As [`Db::insert_root`], or a further copy if there is such a capability already.
    ///
    /// # Errors
    /// Those of [`Db::insert_root`].
    pub fn insert_number<M: Machine>(
        &mut self,
        m: &mut M,
        slot: SlotRef,
        root: &Root,
    ) -> Result<(), ErrorKind> {
        check_root(root)?;
        let there = self.find(m, &Key::new(root.ty, root.base, root.size, 0));
        if there == NONE {
            self.insert_root(m, slot, root)
        } else {
            self.copy(m, SlotRef(there), slot, root.rights)
        }
    }

    /// Checks that a capability is a root Ram, and the only one to any part of it.
    ///
    /// # Errors
    /// `EmptySlot`, `InDelete`; `WrongType` for what is none; `UnitBusy` when there is a copy, something was made of it, or it
    /// lies in another.
    pub fn check_lone_root<M: Machine>(&self, m: &M, slot: SlotRef) -> Result<(), ErrorKind> {
        let s = usable(m.slot(slot))?;
        if s.ty != CapType::Ram || !s.is(Flags::ROOT) {
            return Err(ErrorKind::WrongType);
        }
        let next = if self.is_last(m, slot) { self.next(m, slot) } else { slot };
        let inside = !next.is_none() && m.slot(next).base < s.end();
        let around = !self.innermost(m, &Key::of(s), s.base).is_none();
        if inside || around { Err(ErrorKind::UnitBusy) } else { Ok(()) }
    }

    /// The last node that begins before `end`, and the last of those that also ends behind `base`.
    #[inline]
    pub(crate) fn around<M: Machine>(&self, m: &M, base: u64, end: u64) -> (u32, u32) {
        self.tree.predecessor_and_hit(
            &View(m),
            |v, n| v.0.slot(SlotRef(n)).base < end,
            |v, n| v.0.slot(SlotRef(n)).end() > base,
            |v, n| v.0.slot(SlotRef(n)).max_end > base,
        )
    }

    /// Writes a capability with a new key into an empty slot and puts it into the tree behind `place`.
    #[inline(never)]
    pub(crate) fn add_node<M: Machine>(&mut self, m: &mut M, slot: SlotRef, new: &New, place: u32) {
        // It is made here, so it is exclusive.
        write(m, slot, new, Flags::IN_TREE.or(Flags::EXCL));
        ring::alone(m, slot);
        self.tree.insert_after(&mut Edit(m), place, slot.0);
        self.count += 1;
    }

    /// Writes a further copy into an empty slot, behind `copy`, which is one and no mapping.
    #[inline]
    pub(crate) fn add_copy<M: Machine>(&mut self, m: &mut M, slot: SlotRef, new: &New, copy: SlotRef) {
        write(m, slot, new, Flags::default());
        ring::link_after(m, copy, slot);
        self.count += 1;
    }

    /// The node at exactly this place, or [`NONE`].
    pub(crate) fn find<M: Machine>(&self, m: &M, key: &Key) -> u32 {
        let mut at = self.tree.root();
        while at != NONE {
            let slot = m.slot(SlotRef(at));
            match key.cmp_slot(slot) {
                Ordering::Equal => break,
                Ordering::Less => at = slot.links.right,
                Ordering::Greater => at = slot.links.left,
            }
        }
        at
    }

    /// The representative of the key of the capability in `slot`.
    #[inline(always)]
    pub(crate) fn representative<M: Machine>(&self, m: &M, slot: SlotRef) -> SlotRef {
        let s = m.slot(slot);
        if s.is(Flags::IN_TREE) { slot } else { SlotRef(self.find(m, &Key::of(s))) }
    }

    /// Whether no other copy is left. Mappings may still be in its ring.
    #[inline]
    pub(crate) fn is_last<M: Machine>(&self, m: &M, slot: SlotRef) -> bool {
        let s = m.slot(slot);
        if !s.is(Flags::IN_TREE) {
            return false;
        }
        matches!(s.ty, CapType::Unit | CapType::Mapping)
            || s.next == slot.0
            || m.slot(SlotRef(s.next)).ty == CapType::Mapping
    }

    /// Removes a copy that is not the last.
    #[inline]
    pub(crate) fn remove_copy<M: Machine>(&mut self, m: &mut M, slot: SlotRef) {
        let s = m.slot(slot);
        if s.is(Flags::IN_TREE) {
            let heir = SlotRef(s.next);
            self.promote(m, slot, heir);
        }
        ring::unlink(m, slot);
        self.forget(m, slot);
    }

    /// Removes a representative that has no other copies, and nothing else in its ring. It may have been the last of a unit.
    #[inline(never)]
    pub(crate) fn remove_node<M: Machine>(&mut self, m: &mut M, slot: SlotRef) {
        let unit = self.unit_above(m, slot);
        self.tree.remove(&mut Edit(m), slot.0);
        self.forget(m, slot);
        if !unit.is_none() {
            self.list_if_empty(m, unit);
        }
    }

    /// Makes a copy the representative instead of `old`. The ring is the caller's matter.
    pub(crate) fn promote<M: Machine>(&mut self, m: &mut M, old: SlotRef, heir: SlotRef) {
        self.tree.replace(&mut Edit(m), old.0, heir.0);
        let s = m.slot_mut(old);
        let handed = s.flags.and(Flags::IN_TREE.or(Flags::EXCL));
        s.flags = s.flags.without(handed);
        let (aux32, aux64) = (s.aux32, s.aux64);
        let s = m.slot_mut(heir);
        s.flags = s.flags.or(handed);
        (s.aux32, s.aux64) = (aux32, aux64);
    }

    /// Moves the capability in `from` to the empty slot `to`, with its place in tree and ring.
    pub(crate) fn relocate<M: Machine>(&mut self, m: &mut M, from: SlotRef, to: SlotRef) {
        let mut copy = *m.slot(from);
        let alone = copy.next == from.0;
        (copy.links, copy.height) = (Links::EMPTY, 0);
        *m.slot_mut(to) = copy;
        if alone {
            ring::alone(m, to);
        } else {
            ring::replace(m, from, to);
        }
        if copy.is(Flags::IN_TREE) {
            self.tree.replace(&mut Edit(m), from.0, to.0);
        }
        *m.slot_mut(from) = Slot::EMPTY;
    }

    /// Empties a slot that is in no tree and no ring any more.
    #[inline]
    pub(crate) fn forget<M: Machine>(&mut self, m: &mut M, slot: SlotRef) {
        let held = m.slot(slot).is(Flags::HELD);
        *m.slot_mut(slot) = Slot::EMPTY;
        self.count -= 1;
        if held {
            m.held_ends(slot);
        }
    }
}

/// Writes a capability without a place.
#[inline]
pub(crate) fn write(m: &mut impl Machine, slot: SlotRef, new: &New, flags: Flags) {
    let flags = new.flags.or(flags);
    let New { ty, rights, page, base, size, aux32, aux64, .. } = *new;
    let s = m.slot_mut(slot);
    *s = Slot { ty, rights, flags, page, base, size, aux32, aux64, ..Slot::EMPTY };
}

/// Checks that `count` slots from `first` are empty. The one site of `SlotOccupied`.
#[inline]
pub(crate) fn require_empty(m: &impl Machine, first: SlotRef, count: u32) -> Result<(), ErrorKind> {
    for i in 0..count {
        if !m.slot(first.plus(i)).is_empty() {
            return Err(ErrorKind::SlotOccupied);
        }
    }
    Ok(())
}

/// Checks that a capability exists and is not on its way out on this core: what every operation but deletion needs.
#[inline]
pub(crate) fn usable(s: &Slot) -> Result<&Slot, ErrorKind> {
    if s.is_empty() {
        return Err(ErrorKind::EmptySlot);
    }
    if s.is(Flags::IN_DELETE.or(Flags::FROZEN)) {
        return Err(if s.is(Flags::FROZEN) { ErrorKind::Frozen } else { ErrorKind::InDelete });
    }
    Ok(s)
}

fn check_root(root: &Root) -> Result<(), ErrorKind> {
    let row = types::row(root.ty, root.ty == CapType::Ram);
    let unit = match (root.ty, row.size) {
        (CapType::Kernel, _) if root.size == 1 => 1,
        (CapType::Kernel, _) => return Err(ErrorKind::BadSize),
        (CapType::Unit, _) | (_, Size::Event | Size::Never) => return Err(ErrorKind::BadType),
        (_, _) if root.size == 0 => return Err(ErrorKind::BadSize),
        _ => row.object_size(root.size)?.1,
    };
    if !root.base.is_multiple_of(unit) {
        return Err(ErrorKind::Unaligned);
    }
    require_limit(root.ty, root.base, root.size)
}

/// Checks that a region lies where those of its type may.
pub(crate) fn require_limit(ty: CapType, base: u64, size: u64) -> Result<(), ErrorKind> {
    let limit = match ty {
        CapType::PhysAddr | CapType::Frame | CapType::DevFrame => FRAME_LIMIT,
        CapType::IrqSource | CapType::Id | CapType::Kernel | CapType::Doorbell => key::BASE_MASK,
        _ => OBJECT_LIMIT,
    };
    match base.checked_add(size) {
        Some(end) if end <= limit => Ok(()),
        _ => Err(ErrorKind::OutOfRange),
    }
}
