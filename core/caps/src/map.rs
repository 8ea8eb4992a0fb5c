//! Mappings: windows of entries of one VNode that show one frame or one child VNode.
//!
//! A Mapping stands in a small tree that its VNode has for itself, by its first entry, and in the ring of what it
//! shows, behind all copies. So mapping costs by what the VNode shows, not by what the core holds. It keeps all that
//! a [`Window`] says, so filling and clearing search nothing.

use abi::{CapType, ErrorKind, PAGE_SIZE, Rights, layout};
use tree::NONE;

use crate::db::{New, View, require_empty, usable};
use crate::machine::{Machine, Window};
use crate::slot::{Flags, Slot, SlotRef};
use crate::vnode::{self, ASID_SHIFT, ENTRIES, Place, VA_MASK, entry_span};
use crate::{Db, FRAME_LIMIT, ring};

/// What to map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapArgs {
    /// Where the window begins in the frame, in bytes; 0 for a VNode.
    pub offset: u64,
    /// First entry of the VNode.
    pub first: u64,
    /// Entries; 1 for a VNode.
    pub count: u64,
    /// Read, write, execute; ignored for a VNode.
    pub rights: Rights,
    /// Fill the window at once. A window on a VNode is always filled.
    pub fill: bool,
}

const LEVEL: u64 = 3;
const CHILD: u64 = 4;
const DEVICE: u64 = 8;
const RIGHTS_SHIFT: u32 = 4;
/// The rights that entries have.
const ACCESS: Rights = Rights::from_bits(Rights::READ.bits() | Rights::WRITE.bits() | Rights::EXECUTE.bits());

/// The window of a Mapping.
pub(crate) const fn window(s: &Slot) -> Window {
    Window {
        table: s.base,
        level: (s.aux64 & LEVEL) as u8,
        first: s.aux32 as u16,
        count: (s.aux32 >> 16) as u16,
        target: s.page as u64 * PAGE_SIZE,
        child: s.aux64 & CHILD != 0,
        device: s.aux64 & DEVICE != 0,
        rights: Rights::from_bits(s.aux64 >> RIGHTS_SHIFT),
        va: s.aux64 & VA_MASK,
        asid: (s.aux64 >> ASID_SHIFT) as u16,
    }
}

/// The Mapping of a window, made with the rights in it.
fn mapping(w: &Window) -> New {
    New {
        ty: CapType::Mapping,
        rights: w.rights,
        flags: Flags::default(),
        page: (w.target / PAGE_SIZE) as u32,
        base: w.table,
        size: abi::cap::VNODE_SIZE,
        aux32: w.first as u32 | (w.count as u32) << 16,
        aux64: w.level as u64
            | if w.child { CHILD } else { 0 }
            | if w.device { DEVICE } else { 0 }
            | w.rights.bits() << RIGHTS_SHIFT
            | w.va
            | (w.asid as u64) << ASID_SHIFT,
    }
}

impl Db {
    /// Makes, in the empty slot `dst`, the Mapping of a window of `vnode` that shows part of `target`: a Frame or DevFrame
    /// (levels 2 and 3), or a VNode of the next level.
    ///
    /// # Errors
    /// `EmptySlot`, `InDelete`, `Frozen`; `WrongType`; `MissingRight` (WRITE on the VNodes; the frame's own rights);
    /// `WrongLevel`; `BadWindow`; `WriteAndExecute`; `Unaligned`, `OutOfRange` for the offset; `NotInstalled` when the VNode is
    /// not part of an address space; `AlreadyInstalled` when the child is; `BadAddress` below the user's lowest;
    /// `WindowTaken`; `SlotOccupied`.
    pub fn map<M: Machine>(
        &mut self,
        m: &mut M,
        vnode: SlotRef,
        dst: SlotRef,
        target: SlotRef,
        args: &MapArgs,
    ) -> Result<(), ErrorKind> {
        let (v, t) = (self.usable(m, vnode)?, self.usable(m, target)?);
        let level = v.ty.vnode_level().ok_or(ErrorKind::WrongType)?;
        if !v.rights.contains(Rights::WRITE) {
            return Err(ErrorKind::MissingRight);
        }
        if args.count == 0 || args.count > ENTRIES || args.first > ENTRIES - args.count {
            return Err(ErrorKind::BadWindow);
        }
        let (child, rights) = check_target(level, t, args)?;
        let (base, device) = (t.base + args.offset, t.ty == CapType::DevFrame);
        let table = self.representative(m, vnode);
        let shown = self.representative(m, target);
        let place = Place::of(m.slot(table)).ok_or(ErrorKind::NotInstalled)?;
        let va = place.va + args.first * entry_span(level);
        if child && m.slot(SlotRef(m.slot(shown).prev)).ty == CapType::Mapping {
            return Err(ErrorKind::AlreadyInstalled);
        }
        if !child && va < layout::USER_LOWEST {
            return Err(ErrorKind::BadAddress);
        }
        let after = window_place(m, table, args)?;
        require_empty(m, dst, 1)?;
        let (first, count) = (args.first as u16, args.count as u16);
        let asid = place.asid;
        let vnode = table;
        let table = m.slot(table).base;
        let w = Window { table, level, first, count, target: base, child, device, rights, va, asid };
        self.add_mapping(m, dst, &mapping(&w), vnode, after);
        ring::link_last(m, shown, dst);
        if child {
            m.slot_mut(shown).aux64 = Place { va, asid }.pack();
        }
        if child || args.fill {
            m.fill(&w, 0, count);
        }
        Ok(())
    }

    /// Makes entries `first` to `first + count` of a Mapping's window show what it maps. That works also when what it maps is frozen:
    /// until the sweep comes to it, a Mapping is as good as before, and the sweep takes it along with all that it shows.
    ///
    /// # Errors
    /// `EmptySlot`, `InDelete`; `WrongType`; `BadWindow`.
    #[inline]
    pub fn fill<M: Machine>(m: &mut M, mapping: SlotRef, first: u64, count: u64) -> Result<(), ErrorKind> {
        let w = part(m, mapping, first, count)?;
        m.fill(&w, first as u16, count as u16);
        Ok(())
    }

    /// Makes entries `first` to `first + count` of a Mapping's window invalid.
    ///
    /// # Errors
    /// Those of [`Db::fill`].
    #[inline]
    pub fn clear_window<M: Machine>(
        m: &mut M,
        mapping: SlotRef,
        first: u64,
        count: u64,
    ) -> Result<(), ErrorKind> {
        let w = part(m, mapping, first, count)?;
        m.clear(&w, first as u16, count as u16);
        Ok(())
    }

    /// Gives a Mapping other rights, no more than it was made with.
    ///
    /// # Errors
    /// `EmptySlot`, `InDelete`; `WrongType`, also for the mapping of a VNode; `MissingRight`; `WriteAndExecute`.
    pub fn protect<M: Machine>(m: &mut M, mapping: SlotRef, rights: Rights) -> Result<(), ErrorKind> {
        let s = usable(m.slot(mapping))?;
        if s.ty != CapType::Mapping || s.aux64 & CHILD != 0 {
            return Err(ErrorKind::WrongType);
        }
        let rights = check_access(s.rights, rights)?;
        let s = m.slot_mut(mapping);
        s.aux64 = s.aux64 & !(ACCESS.bits() << RIGHTS_SHIFT) | rights.bits() << RIGHTS_SHIFT;
        let w = window(s);
        m.protect(&w);
        Ok(())
    }
}

/// The Mapping of the VNode `table` behind which a new window has its place, [`NONE`] for the beginning. The windows of a
/// VNode are disjoint, so only the last that begins before this one's end can overlap it.
fn window_place<M: Machine>(m: &M, table: SlotRef, args: &MapArgs) -> Result<u32, ErrorKind> {
    let end = (args.first + args.count) as u32;
    let mappings = vnode::mappings(m.slot(table));
    let place = mappings.predecessor(&View(m), |v, n| u32::from(v.0.slot(SlotRef(n)).aux32 as u16) < end);
    if place != NONE {
        let before = window(m.slot(SlotRef(place)));
        if u64::from(before.first) + u64::from(before.count) > args.first {
            return Err(ErrorKind::WindowTaken);
        }
    }
    Ok(place)
}

/// The window of a Mapping, when `first` and `count` lie inside it.
#[inline]
fn part<M: Machine>(m: &M, slot: SlotRef, first: u64, count: u64) -> Result<Window, ErrorKind> {
    let s = usable(m.slot(slot))?;
    if s.ty != CapType::Mapping {
        return Err(ErrorKind::WrongType);
    }
    let w = window(s);
    let entries = u64::from(w.count);
    if count == 0 || count > entries || first > entries - count {
        return Err(ErrorKind::BadWindow);
    }
    Ok(w)
}

/// The access rights in `wanted`, if `held` has them, READ is among them and W^X is kept.
fn check_access(held: Rights, wanted: Rights) -> Result<Rights, ErrorKind> {
    let wanted = wanted.and(ACCESS);
    if !held.contains(wanted) {
        return Err(ErrorKind::MissingRight);
    }
    // The architecture has no memory that is only written or only executed: what can be either can be read.
    if !wanted.contains(Rights::READ) || wanted.contains(Rights::WRITE.or(Rights::EXECUTE)) {
        return Err(ErrorKind::WriteAndExecute);
    }
    Ok(wanted)
}

/// Checks that a VNode of this level can show the target: whether it is a child table, and the rights of the entries.
fn check_target(level: u8, t: &Slot, args: &MapArgs) -> Result<(bool, Rights), ErrorKind> {
    match t.ty {
        CapType::Frame | CapType::DevFrame => {
            if level < 2 {
                return Err(ErrorKind::WrongLevel);
            }
            let rights = check_access(t.rights, args.rights)?;
            check_extent(t, args, entry_span(level))?;
            Ok((false, rights))
        }
        _ => check_child(level, t, args),
    }
}

/// Checks that the window lies inside the frame, at a multiple of what an entry spans.
fn check_extent(t: &Slot, args: &MapArgs, span: u64) -> Result<(), ErrorKind> {
    match args.offset.checked_add(args.count * span) {
        Some(end) if end <= t.size && t.base + end <= FRAME_LIMIT => {}
        _ => return Err(ErrorKind::OutOfRange),
    }
    if (t.base + args.offset).is_multiple_of(span) { Ok(()) } else { Err(ErrorKind::Unaligned) }
}

/// Checks a child table.
fn check_child(level: u8, t: &Slot, args: &MapArgs) -> Result<(bool, Rights), ErrorKind> {
    let child = t.ty.vnode_level().ok_or(ErrorKind::WrongType)?;
    if child != level + 1 {
        return Err(ErrorKind::WrongLevel);
    }
    if args.count != 1 {
        return Err(ErrorKind::BadWindow);
    }
    if args.offset != 0 {
        return Err(ErrorKind::OutOfRange);
    }
    if t.rights.contains(Rights::WRITE) { Ok((true, ACCESS)) } else { Err(ErrorKind::MissingRight) }
}
