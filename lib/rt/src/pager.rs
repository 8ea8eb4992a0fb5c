//! Faults at addresses that get memory when they are first used.
//!
//! ```text
//!   fault ──► area? ──► rights? ──► tables, frame, slot out of the stock ──► Map ──► books ──► the thread goes on
//!                │         │                      ▲
//!                ▼         ▼                      │ filled up where that is allowed
//!              report    report                  memory service
//! ```
//!
//! **Why nothing here can wait for itself.** A fault is handled on a stack of its own, in a critical section: no other
//! thread runs until it is through, so two threads never fault at one place at a time, and whoever comes second finds
//! it backed. The handler waits for one thing only, the memory service, which is nobody's client; while it waits the
//! domain takes in nothing but that answer. If the fault came out of a critical section, the books of slots,
//! heap and channels may be half changed: then the handler takes from its *stock* alone, which it fills up when the section
//! has ended. The stock itself and the books of the address space are looked at only where no fault can come: they
//! lie in memory that is always there, and the stack is probed before. So filling up never needs what it fills up.

use core::cell::{Cell, RefCell};
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::{CapAddr, PAGE_SIZE, Rights};
use sys::{Cap, Frame};
use vspace::{Area, Backing, LARGE_PAGE, Piece};

use crate::error::RtError;
use crate::local::{local, raw_local};
use crate::{arch, critical, memory, names, slots, vspace as space};

/// Bytes that a fault backs at a time.
pub(crate) const CHUNK: u64 = 64 * 1024;
/// Frames in stock at most.
const FRAMES: usize = 16;
/// Frames in stock before the first fault: what critical sections may use.
const LEAST_FRAMES: usize = 2;
/// Tables of level 3 and 2 in stock at most, each.
const TABLES: usize = 4;
/// And before the first fault.
const LEAST_TABLES: usize = 2;
/// Slots in stock: one a frame and one a table.
const SLOTS: usize = FRAMES + 2 * TABLES;

/// Why a fault ends its thread or domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unbacked {
    /// Nothing is reserved there, or what was mapped is not there any more.
    Nothing,
    /// It is not allowed there.
    Denied,
    /// The guard below the stack of this thread.
    Guard(u32),
    /// There is no memory for it.
    OutOfMemory,
}

/// A few things of one kind, without allocation.
struct Few<T: Copy, const N: usize> {
    items: [Option<T>; N],
    count: usize,
}

impl<T: Copy, const N: usize> Few<T, N> {
    const fn new() -> Few<T, N> {
        Few { items: [None; N], count: 0 }
    }
    fn push(&mut self, item: T) -> bool {
        let free = self.count < N;
        if free {
            self.items[self.count] = Some(item);
            self.count += 1;
        }
        free
    }
    /// The last one that will do.
    fn take_where(&mut self, will_do: impl Fn(&T) -> bool) -> Option<T> {
        let index = self.items[..self.count].iter().rposition(|item| item.as_ref().is_some_and(&will_do))?;
        self.count -= 1;
        self.items.swap(index, self.count);
        self.items[self.count].take()
    }
    fn pop(&mut self) -> Option<T> {
        self.count = self.count.checked_sub(1)?;
        self.items[self.count].take()
    }
}

struct Stock {
    /// Frames of [`CHUNK`] bytes, and whether they were in use before.
    frames: Few<(CapAddr, bool), FRAMES>,
    /// Page tables of level 2 and 3.
    tables: [Few<CapAddr, TABLES>; 2],
    /// Empty slots.
    slots: Few<CapAddr, SLOTS>,
    /// Frames that there should be.
    wanted: usize,
}

local! {
    static STOCK: RefCell<Stock> = RefCell::new(Stock {
        frames: Few::new(),
        tables: [const { Few::new() }; 2],
        slots: Few::new(),
        wanted: LEAST_FRAMES,
    });
}
raw_local! {
    /// This domain has reserved addresses, and keeps a stock.
    static ACTIVE: AtomicBool = AtomicBool::new(false);
}
local! {
    /// It was taken from where it could not be filled up.
    static LOW: Cell<bool> = Cell::new(false);
}
local! {
    /// It is being filled up.
    static FILLING: Cell<bool> = Cell::new(false);
}

fn stock<R>(f: impl FnOnce(&mut Stock) -> R) -> R {
    critical::probe_stack();
    STOCK.with(|stock| f(&mut stock.borrow_mut()))
}

/// There are addresses that may fault from now on: also where only the stock can serve.
pub(crate) fn expect_faults() {
    if stock(|stock| stock.serves()) {
        return;
    }
    names::provide_memory();
    // Without a memory service there is what the domain has; a fault asks again.
    let _ = fill_up();
}

/// Whether this domain has reserved addresses, and keeps a stock.
#[inline]
pub(crate) fn is_active() -> bool {
    ACTIVE.with(|active| active.load(Ordering::Relaxed))
}

/// Fills the stock up that a critical section has taken from.
pub(crate) fn after_section() {
    if LOW.with(|low| low.replace(false)) {
        let _ = fill_up();
    }
}

/// Frames that the stock holds.
pub fn in_stock() -> usize {
    stock(|stock| stock.frames.count)
}

/// Gives back what is in stock, for those who look at their account.
pub fn give_back_stock() {
    critical::section(space::drop_empty_tables);
    while let Some((frame, _)) = stock(|stock| stock.frames.pop()) {
        slots::discard(frame);
    }
    for level in 0..2 {
        while let Some(table) = stock(|stock| stock.tables[level].pop()) {
            slots::discard(table);
        }
    }
    while let Some(slot) = stock(|stock| stock.slots.pop()) {
        slots::release(slot);
    }
    stock(|stock| stock.wanted = LEAST_FRAMES);
}

/// Takes the slot of a mapping that is gone, if there is use for it; otherwise it is free again.
pub(crate) fn recycle_slot(slot: CapAddr) {
    if !slots::empty(slot) {
        return;
    }
    if !(is_active() && stock(|stock| stock.slots.push(slot))) {
        slots::release(slot);
    }
}

/// Takes a page table that nothing is in and that is mapped nowhere, if there is use for it; otherwise it goes back.
pub(crate) fn recycle_table(level: u8, table: CapAddr) {
    let kept = level > 1 && is_active() && stock(|stock| stock.tables[usize::from(level) - 2].push(table));
    if !kept {
        slots::discard(table);
    }
}

/// A table that faults in critical sections can spare.
pub(crate) fn spare_table(level: u8) -> Option<CapAddr> {
    if level < 2 {
        return None;
    }
    stock(|stock| {
        let tables = &mut stock.tables[usize::from(level) - 2];
        if tables.count > 1 { tables.pop() } else { None }
    })
}

/// Takes a frame of [`CHUNK`] bytes that was unmapped, if there is use for it; otherwise it goes back.
pub(crate) fn recycle(frame: CapAddr) {
    let kept = stock(|stock| {
        let most = stock.wanted.max(LEAST_FRAMES + 2);
        stock.frames.count < most && stock.frames.push((frame, true))
    });
    if !kept {
        slots::discard(frame);
    }
}

/// Backs `address` so that an access with these `rights` can be made again. `inside`: the fault came out of a critical
/// section.
pub(crate) fn back(address: u64, rights: Rights, inside: bool) -> Result<(), Unbacked> {
    let found = space::with(|books| {
        let (area, gap) = (books.area(address)?, books.gap(address));
        Some((area, gap, books.table(3, address), books.spare_nodes()))
    });
    let (area, gap, table, nodes) = found.ok_or(Unbacked::Nothing)?;
    let chunk = match area.attributes.backing {
        Backing::Guard => return Err(Unbacked::Guard(area.attributes.tag)),
        Backing::Given => return Err(Unbacked::Nothing),
        Backing::Lazy { chunk } => chunk,
    };
    if !area.attributes.rights.contains(rights) {
        return Err(Unbacked::Denied);
    }
    // A piece is there and yet the address faults: its frame was revoked.
    let gap = gap.ok_or(Unbacked::Nothing)?;
    if inside {
        let done = back_small(address, &area, &gap, table);
        LOW.with(|low| low.set(true));
        critical::want();
        return done;
    }
    if chunk == LARGE_PAGE && back_large(address, &area).is_ok() {
        return Ok(());
    }
    let filled = fill_up_for_fault(nodes)?;
    if !area.attributes.rights.contains(Rights::WRITE) {
        provide_fresh();
    } else if chunk != LARGE_PAGE && !filled {
        return back_small(address, &area, &gap, table);
    }
    // Tables may have come or gone meanwhile.
    let table = space::with(|books| books.table(3, address));
    back_small(address, &area, &gap, table)
}

/// Sees to it that the stock has a frame that was not in use before, if there is one to be had.
#[cold]
fn provide_fresh() {
    let (fresh, full) = stock(|stock| {
        let fresh = stock.frames.items.iter().flatten().any(|(_, used)| !used);
        (fresh, if stock.frames.count == FRAMES { stock.frames.pop() } else { None })
    });
    if let Some((frame, _)) = full {
        slots::discard(frame);
    }
    if !fresh && let Ok(frame) = memory::own_frame(CHUNK, PAGE_SIZE) {
        let frame = frame.into_cap().address();
        stock(|stock| stock.frames.push((frame, false)));
    }
}

/// Maps a frame of the stock over what of its chunk around `address` is in `gap`.
fn back_small(address: u64, area: &Area, gap: &Range<u64>, table: Option<CapAddr>) -> Result<(), Unbacked> {
    let table = match table {
        Some(table) => table,
        None => tables_from_stock(address)?,
    };
    let start = address / CHUNK * CHUNK;
    let (base, end) = (start.max(gap.start), (start + CHUNK).min(gap.end));
    // A frame that was in use is zeroed by writing to it, which must be allowed here.
    let writable = area.attributes.rights.contains(Rights::WRITE);
    let taken = STOCK.with(|stock| {
        let mut stock = stock.borrow_mut();
        let slot = stock.slots.pop()?;
        let frame = stock.frames.take_where(|&(_, used)| writable || !used);
        if frame.is_none() {
            stock.slots.push(slot);
        }
        Some((frame?, slot))
    });
    let ((frame, used), mapping) = taken.ok_or(Unbacked::OutOfMemory)?;
    let piece = Piece { base, size: end - base, mapping, frame, large: false };
    let rights = area.attributes.rights;
    if space::enter_in(table, Cap::<Frame>::new(frame), 0, piece, area, rights).is_err() {
        stock(|stock| (stock.frames.push((frame, used)), stock.slots.push(mapping)));
        return Err(Unbacked::OutOfMemory);
    }
    if used {
        // SAFETY: just mapped, writable (as was asked for above), and nobody has seen it yet.
        unsafe { arch::zero(base, end - base) };
    }
    Ok(())
}

/// Makes the tables over `address` of what is in stock: the one of level 3.
#[cold]
fn tables_from_stock(address: u64) -> Result<CapAddr, Unbacked> {
    for level in [2, 3] {
        if space::with(|books| books.table(level, address)).is_some() {
            continue;
        }
        let place = usize::from(level) - 2;
        let (table, slot) = stock(|stock| Some((stock.tables[place].pop()?, stock.slots.pop()?)))
            .ok_or(Unbacked::OutOfMemory)?;
        if space::install(level, address, table, slot).is_err() {
            stock(|stock| (stock.tables[place].push(table), stock.slots.push(slot)));
            return Err(Unbacked::OutOfMemory);
        }
    }
    space::with(|books| books.table(3, address)).ok_or(Unbacked::OutOfMemory)
}

/// Puts a large page around `address`, if the books allow it and there is memory for one.
fn back_large(address: u64, area: &Area) -> Result<(), RtError> {
    let takes = || space::with(|books| books.takes_large_page(address));
    if !takes() {
        // An empty table is in the way as well as one that is in use.
        space::drop_empty_tables();
        if !takes() {
            return Err(RtError::NoAddress);
        }
    }
    let frame = memory::own_frame(LARGE_PAGE, LARGE_PAGE)?;
    let base = address / LARGE_PAGE * LARGE_PAGE;
    space::place(frame.cap(), 0, base, LARGE_PAGE, area.attributes.rights, frame.address())?;
    // It goes with its piece.
    frame.into_cap();
    Ok(())
}

/// Fills the stock up if a fault would leave less than what critical sections may need, and more than before if that
/// happens again and again. `nodes` are spare in the books. Says whether it was filled up.
#[inline]
fn fill_up_for_fault(nodes: usize) -> Result<bool, Unbacked> {
    // The stack of faults reaches far enough.
    let low = STOCK.with(|stock| {
        let mut stock = stock.borrow_mut();
        let low = !stock.serves();
        if stock.frames.count < LEAST_FRAMES {
            stock.wanted = (stock.wanted * 2).min(FRAMES);
        }
        low
    });
    if low || nodes < NODES {
        fill_up().map_err(|_| Unbacked::OutOfMemory)?;
        return Ok(true);
    }
    Ok(false)
}

/// Nodes of the books below which a fault adds some.
const NODES: usize = 32;

impl Stock {
    /// Whether a fault leaves what critical sections may need.
    fn serves(&self) -> bool {
        self.frames.count >= LEAST_FRAMES
            && self.slots.count > 2 * LEAST_TABLES
            && self.tables.iter().all(|tables| tables.count > 0)
    }
}

/// Fills the stock up to what is wanted. An error where there is nothing for the next fault.
fn fill_up() -> Result<(), RtError> {
    critical::section(|| {
        if FILLING.with(|filling| filling.replace(true)) {
            return Ok(());
        }
        let filled = fill();
        FILLING.with(|filling| filling.set(false));
        let usable = stock(|stock| stock.frames.count > 0 && stock.slots.count > 2);
        if usable { Ok(()) } else { filled }
    })
}

fn fill() -> Result<(), RtError> {
    space::provide_nodes(4)?;
    while stock(|stock| stock.slots.count < SLOTS / 2) {
        let slot = slots::allocate()?;
        stock(|stock| stock.slots.push(slot));
        ACTIVE.with(|active| active.store(true, Ordering::Relaxed));
    }
    for level in [2, 3] {
        while stock(|stock| stock.tables[level - 2].count < LEAST_TABLES) {
            let table = space::new_table(level as u8)?.into_cap().address();
            stock(|stock| stock.tables[level - 2].push(table));
        }
    }
    // Many at a time, but only when they are needed.
    let short = stock(|stock| stock.frames.count < LEAST_FRAMES);
    while short && stock(|stock| stock.frames.count < stock.wanted) {
        let frame = memory::own_frame(CHUNK, PAGE_SIZE)?.into_cap().address();
        stock(|stock| stock.frames.push((frame, false)));
    }
    Ok(())
}
