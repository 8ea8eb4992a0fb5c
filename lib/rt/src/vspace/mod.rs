//! The address space of this domain: its books (`core/vspace`), and the system calls that they stand for.
//!
//! ```text
//!   Mapped      frames that the program has, shown where room is or at a given place        mapped.rs
//!   Reserved    addresses that get memory when they are first used                           reserved.rs
//!   pager       what a fault does; memory in stock for it                                    ../pager.rs
//!   ─────────────────────────────────────────────────────────────────────────────────
//!   books       areas, pieces, tables                                                        core/vspace
//! ```
//!
//! The books live in memory that is always there, and are only looked at in critical sections on a stack that is known
//! to reach far enough (`with`); so a fault never finds them half changed. Page tables are made when the first piece
//! needs them and go with the last.

mod handover;
mod mapped;
mod region;
mod reserved;

use core::cell::{Cell, RefCell};
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::cap::VNODE_SIZE;
use abi::{CapAddr, PAGE_SIZE, Rights};
use sys::{Any, Cap, CapKind, Mappable, Mapping, VNode, VNodeL0, VNodeL1, VNodeL2, VNodeL3, Window};
use vspace::{Area, Attributes, Error, LARGE_PAGE, Node, Piece, Space, Statistics};

use crate::error::RtError;
use crate::local::{local, raw_local};
use crate::owned::OwnedCap;
use crate::{arch, critical, memory, pager, slots};

#[cfg_attr(not(any(target_os = "none", test)), expect(unused_imports))]
pub(crate) use handover::init;
pub use mapped::{Mapped, map, map_at};
pub use region::Region;
pub use reserved::{Paging, Reserved, reserve, reserve_at};
pub(crate) use reserved::{STACK, map_owned, promised, reserve_for_heap};

/// Nodes that are left for faults, and for the operations by which the heap grows while nodes are added.
const SPARE_NODES: usize = 48;
/// Nodes that are added at first.
const FIRST_NODES: usize = 128;
/// Nodes that are added at most: 1,280 KiB.
const MOST_NODES: usize = 16384;

local! {
    static SPACE: RefCell<Space<'static>> = RefCell::new(Space::new());
}
raw_local! {
    /// What the builder handed over is in the books. Most programs never look at them, and save the time.
    static BEGUN: AtomicBool = AtomicBool::new(false);
}
local! {
    /// Nodes to be added next, and whether that is going on.
    static ADDING: Cell<(usize, bool)> = Cell::new((FIRST_NODES, false));
}

/// Looks at the books.
pub(crate) fn with<R>(f: impl FnOnce(&mut Space<'static>) -> R) -> R {
    critical::probe_stack();
    SPACE.with(|space| {
        let mut space = space.borrow_mut();
        if !BEGUN.with(|begun| begun.load(Ordering::Relaxed)) {
            BEGUN.with(|begun| begun.store(true, Ordering::Relaxed));
            handover::begin(&mut space);
        }
        // The books allocate nothing.
        f(&mut space)
    })
}

/// How much is reserved and mapped by the books.
pub fn statistics() -> Statistics {
    with(|space| space.statistics())
}

/// Adds nodes before they run short, for `operations` operations to come.
///
/// They come in frames of their own, not from the heap, which may be growing by what needs them. Mapping such a frame takes
/// fewer nodes than are kept spare.
pub(crate) fn provide_nodes(operations: usize) -> Result<(), RtError> {
    let least = operations * ::vspace::NODES_PER_OPERATION;
    loop {
        let spare = with(|space| space.spare_nodes());
        let (count, adding) = ADDING.with(Cell::get);
        if spare >= least + SPARE_NODES || adding && spare >= least {
            return Ok(());
        }
        if adding {
            return Err(RtError::OutOfMemory);
        }
        ADDING.with(|state| state.set((count, true)));
        let added = add_nodes(count);
        let next = if added.is_ok() { (count * 2).min(MOST_NODES) } else { count };
        ADDING.with(|state| state.set((next, false)));
        if let Err(error) = added {
            return if spare >= least { Ok(()) } else { Err(error) };
        }
    }
}

/// Adds nodes in a frame of their own, which they keep for the life of the domain.
fn add_nodes(count: usize) -> Result<(), RtError> {
    let bytes = ((count * size_of::<Node>()) as u64).next_multiple_of(PAGE_SIZE);
    let data = Rights::READ.or(Rights::WRITE);
    let mapped = map_owned(memory::frame(bytes)?, bytes, data)?;
    let first: *mut Node = core::ptr::with_exposed_provenance_mut(arch::memory(&mapped).start as usize);
    // SAFETY: the range was just mapped, for good if the books take the nodes, nobody else knows of it, it is aligned to a
    // page and large enough.
    let nodes = unsafe {
        (0..count).for_each(|index| first.add(index).write(Node::EMPTY));
        core::slice::from_raw_parts_mut(first, count)
    };
    with(|space| space.add_nodes(nodes)).map_err(refusal)?;
    mapped.into_range();
    Ok(())
}

/// Reserves addresses.
pub(crate) fn reserve_area(bytes: u64, align: u64, attributes: Attributes) -> Result<u64, RtError> {
    let made = with(|space| {
        let enough = space.spare_nodes() >= SPARE_NODES + ::vspace::NODES_PER_OPERATION;
        enough.then(|| space.reserve(bytes, align, attributes))
    });
    if let Some(made) = made {
        return made.map_err(refusal);
    }
    critical::section(|| {
        provide_nodes(1)?;
        with(|space| space.reserve(bytes, align, attributes)).map_err(refusal)
    })
}

/// Reserves given addresses.
pub(crate) fn reserve_area_at(base: u64, bytes: u64, attributes: Attributes) -> Result<(), RtError> {
    critical::section(|| {
        provide_nodes(1)?;
        with(|space| space.reserve_at(base, bytes, attributes)).map_err(refusal)
    })
}

/// Gives an area up with all that is mapped in it.
pub(crate) fn release_area(base: u64) {
    critical::section(|| {
        let Some(area) = with(|space| space.area(base)) else { return };
        unmap_in(&area, area.base..area.end());
        reserved::note_backed(&area, area.size as i64);
        let released = with(|space| space.release(area.base));
        debug_assert!(released.is_ok(), "{released:?}");
        tables_may_be_empty();
    });
}

/// Areas that a domain that pages gives up before it looks for empty page tables: whoever maps a page and takes it away,
/// again and again, would make one and drop it each time.
const PATIENCE: u32 = 128;

local! {
    /// Areas given up since then.
    static GIVEN_UP: Cell<u32> = Cell::new(0);
}

fn tables_may_be_empty() {
    let count = GIVEN_UP.with(|count| count.replace(count.get() + 1)) + 1;
    if count >= PATIENCE || !pager::is_active() {
        drop_empty_tables();
    }
}

/// Takes the pieces of an area that show any byte of `range` away, with the frames that go with them.
fn unmap_in(area: &Area, range: Range<u64>) {
    let mut from = range.start;
    while from < range.end {
        let gone = with(|space| {
            let piece = space.pieces(from..range.end).next()?;
            space.remove_piece(piece.base).ok()
        });
        let Some(piece) = gone else { return };
        from = piece.end();
        reserved::note_backed(area, -(piece.size as i64));
        pager::recycle_slot(piece.mapping);
        match piece.frame {
            // It is somebody else's.
            CapAddr::NULL => {}
            frame if reserved::is_chunk(area, &piece) => pager::recycle(frame),
            frame => slots::discard(frame),
        }
    }
}

/// Page tables that nothing is in any more go, the deepest first; some into the stock, for the next mapping.
pub(crate) fn drop_empty_tables() {
    GIVEN_UP.with(|count| count.set(0));
    while let Some(table) = with(|space| {
        let table = space.empty_table()?;
        space.remove_table(table.level, table.base).ok()
    }) {
        pager::recycle_slot(table.mapping);
        pager::recycle_table(table.level, table.vnode);
    }
}

/// Shows a part of an object at `base`, in one piece. Its table is made if it is missing.
///
/// `frame` is what goes with the piece, or null.
pub(crate) fn place<T: Mappable>(
    object: Cap<T>,
    offset: u64,
    base: u64,
    bytes: u64,
    rights: Rights,
    frame: CapAddr,
) -> Result<(), RtError> {
    critical::section(|| {
        provide_nodes(4)?;
        let large = frame_is_large(object, offset, base, bytes);
        let placed = make_tables(base, if large { 2 } else { 3 }).and_then(|()| {
            let slot = OwnedSlot::new()?;
            enter(object, offset, Piece { base, size: bytes, mapping: slot.0, frame, large }, rights)?;
            slot.keep();
            Ok(())
        });
        if placed.is_err() {
            drop_empty_tables();
        }
        placed
    })
}

/// Whether 2 MiB entries can show that part of a frame. Costs a system call only where it may be so.
fn frame_is_large<T: Mappable>(object: Cap<T>, offset: u64, base: u64, bytes: u64) -> bool {
    let aligned = |value: u64| value.is_multiple_of(LARGE_PAGE);
    if aligned(base) && aligned(bytes) {
        // An empty table is in the way as well as one that is in use.
        drop_empty_tables();
    }
    aligned(base)
        && aligned(bytes)
        && object.identify().is_ok_and(|identity| aligned(identity.base.wrapping_add(offset)))
        && with(|space| {
            (base..base + bytes).step_by(LARGE_PAGE as usize).all(|at| space.table(3, at).is_none())
        })
}

/// Maps a piece and enters it. Its table is there, and its slot is empty. For faults too: it allocates nothing.
pub(crate) fn enter<T: Mappable>(
    object: Cap<T>,
    offset: u64,
    piece: Piece,
    rights: Rights,
) -> Result<(), RtError> {
    let level = if piece.large { 2 } else { 3 };
    let found = with(|space| Some((space.table(level, piece.base)?, space.area(piece.base)?)));
    let (table, area) = found.ok_or(RtError::NotAvailable)?;
    enter_in(table, object, offset, piece, &area, rights)
}

/// As [`enter`], where the table and the area are known.
pub(crate) fn enter_in<T: Mappable>(
    table: CapAddr,
    object: Cap<T>,
    offset: u64,
    piece: Piece,
    area: &Area,
    rights: Rights,
) -> Result<(), RtError> {
    let entry = if piece.large { LARGE_PAGE } else { PAGE_SIZE };
    let window =
        Window { first: piece.base / entry % 512, entries: piece.size / entry, offset, rights, fill: true };
    with(|space| space.insert_piece(piece)).map_err(refusal)?;
    let mapped = if piece.large {
        Cap::<VNodeL2>::new(table).map(object, window, piece.mapping)
    } else {
        Cap::<VNodeL3>::new(table).map(object, window, piece.mapping)
    };
    match mapped {
        Ok(()) => {
            reserved::note_backed(area, piece.size as i64);
            Ok(())
        }
        Err(error) => {
            let _ = with(|space| space.remove_piece(piece.base));
            Err(error.into())
        }
    }
}

/// Makes the tables over `address` that are missing, down to `level`.
pub(crate) fn make_tables(address: u64, level: u8) -> Result<(), RtError> {
    if with(|space| space.table(level, address)).is_some() {
        return Ok(());
    }
    for missing in 1..=level {
        if with(|space| space.table(missing, address)).is_some() {
            continue;
        }
        let (table, slot) = (make_table(missing)?, OwnedSlot::new()?);
        // The heap may have grown meanwhile, by a mapping that needs the same table.
        if with(|space| space.table(missing, address)).is_some() {
            continue;
        }
        install(missing, address, table.address(), slot.0)?;
        slot.keep();
        table.into_cap();
    }
    Ok(())
}

/// A slot that is given back unless it is kept.
struct OwnedSlot(CapAddr);

impl OwnedSlot {
    fn new() -> Result<OwnedSlot, RtError> {
        slots::allocate().map(OwnedSlot)
    }
    fn keep(self) {
        core::mem::forget(self);
    }
}

impl Drop for OwnedSlot {
    fn drop(&mut self) {
        slots::release(self.0);
    }
}

/// A page table of this level: one of the stock, or a new one.
pub(crate) fn make_table(level: u8) -> Result<OwnedCap<Any>, RtError> {
    match pager::spare_table(level) {
        Some(table) => Ok(OwnedCap::new(table)),
        None => new_table(level),
    }
}

/// A new page table of this level.
pub(crate) fn new_table(level: u8) -> Result<OwnedCap<Any>, RtError> {
    fn make<K: CapKind>() -> Result<OwnedCap<Any>, RtError> {
        memory::own_object::<K>(VNODE_SIZE).map(|table| OwnedCap::new(table.into_cap().address()))
    }
    match level {
        1 => make::<VNodeL1>(),
        2 => make::<VNodeL2>(),
        _ => make::<VNodeL3>(),
    }
}

/// Maps a table into the one above and enters it. For faults too: it allocates nothing.
pub(crate) fn install(level: u8, address: u64, table: CapAddr, slot: CapAddr) -> Result<(), RtError> {
    fn map<V: VNode, T: Mappable>(
        parent: CapAddr,
        table: CapAddr,
        first: u64,
        slot: CapAddr,
    ) -> sys::Result<()> {
        let window = Window { first, entries: 1, offset: 0, rights: Rights::READ, fill: true };
        Cap::<V>::new(parent).map(Cap::<T>::new(table), window, slot)
    }
    let parent = match level {
        1 => abi::layout::ROOT_VNODE,
        _ => with(|space| space.table(level - 1, address)).ok_or(RtError::NotAvailable)?,
    };
    // Where there is no memory service the memory of a table would not come back: it is kept for the next piece.
    let pinned = !memory::asks();
    with(|space| space.insert_table(level, address, table, slot, pinned)).map_err(refusal)?;
    let mapped = match level {
        1 => map::<VNodeL0, VNodeL1>(parent, table, address / VNodeL0::ENTRY_BYTES % 512, slot),
        2 => map::<VNodeL1, VNodeL2>(parent, table, address / VNodeL1::ENTRY_BYTES % 512, slot),
        _ => map::<VNodeL2, VNodeL3>(parent, table, address / VNodeL2::ENTRY_BYTES % 512, slot),
    };
    mapped.map_err(|error| {
        let _ = with(|space| space.remove_table(level, address));
        error.into()
    })
}

/// Changes the rights of all that is mapped in an area, and of what will be.
pub(crate) fn protect_area(base: u64, rights: Rights) -> Result<(), RtError> {
    critical::section(|| {
        let area = with(|space| space.area(base)).ok_or(RtError::NoAddress)?;
        let mut at = area.base;
        while at < area.end()
            && let Some(piece) = with(|space| space.pieces(at..area.end()).next())
        {
            Cap::<Mapping>::new(piece.mapping).protect(rights)?;
            at = piece.end();
        }
        with(|space| space.set_rights(base, rights)).map_err(refusal)
    })
}

/// What an error of the books means to who asked.
fn refusal(error: Error) -> RtError {
    match error {
        Error::OutOfNodes | Error::TooManyChunks => RtError::OutOfMemory,
        Error::NoTable { .. } => RtError::NotAvailable,
        _ => RtError::NoAddress,
    }
}
