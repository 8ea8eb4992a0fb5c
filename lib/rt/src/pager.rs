//! Faults at addresses that get memory when they are first used: the stock, and what it is filled up with.
//!
//! What a fault does with them, and why it never waits for itself, is `core/paging`.

use core::cell::RefCell;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::{CapAddr, PAGE_SIZE};
pub(crate) use paging::CHUNK;
use paging::{Item, Stock};
use vspace::{Area, LARGE_PAGE};

use crate::domain::Runtime;
use crate::error::RtError;
use crate::local::{local, raw_local};
use crate::{critical, memory, slots, vspace as space};

local! {
    static STOCK: RefCell<Stock> = RefCell::new(Stock::new());
}
raw_local! {
    /// This domain has reserved addresses, and keeps a stock.
    static ACTIVE: AtomicBool = AtomicBool::new(false);
}

/// The stock, on a stack that reaches far enough.
#[inline(always)]
pub(crate) fn with_stock<R>(f: impl FnOnce(&mut Stock) -> R) -> R {
    STOCK.with(|stock| f(&mut stock.borrow_mut()))
}

fn stock<R>(f: impl FnOnce(&mut Stock) -> R) -> R {
    critical::probe_stack();
    with_stock(f)
}

/// There are addresses that may fault from now on: also where only the stock can serve.
pub(crate) fn expect_faults() {
    paging::expect_faults::<Runtime>();
}

/// Whether this domain has reserved addresses, and keeps a stock.
#[inline]
pub(crate) fn is_active() -> bool {
    ACTIVE.with(|active| active.load(Ordering::Relaxed))
}

/// Frames that the stock holds.
pub fn in_stock() -> usize {
    stock(|stock| stock.frames())
}

/// Gives back what is in stock, for those who look at their account.
pub fn give_back_stock() {
    critical::section(space::drop_empty_tables);
    while let Some(item) = stock(Stock::give_back) {
        match item {
            Item::Full(slot) => slots::discard(slot),
            Item::Slot(slot) => slots::release(slot),
        }
    }
}

/// Takes the slot of a mapping that is gone, if there is use for it; otherwise it is free again.
pub(crate) fn recycle_slot(slot: CapAddr) {
    if !slots::empty(slot) {
        return;
    }
    if !(is_active() && stock(|stock| stock.add_slot(slot))) {
        slots::release(slot);
    }
}

/// Takes a page table that nothing is in and that is mapped nowhere, if there is use for it; otherwise it goes back.
pub(crate) fn recycle_table(level: u8, table: CapAddr) {
    if !(level > 1 && is_active() && stock(|stock| stock.add_table(level, table))) {
        slots::discard(table);
    }
}

/// A table that faults in critical sections can spare.
pub(crate) fn spare_table(level: u8) -> Option<CapAddr> {
    if level < 2 { None } else { stock(|stock| stock.spare_table(level)) }
}

/// Takes a frame of [`CHUNK`] bytes that was unmapped, if there is use for it; otherwise it goes back.
pub(crate) fn recycle(frame: CapAddr) {
    if !stock(|stock| stock.recycle_frame(frame)) {
        slots::discard(frame);
    }
}

/// A slot for the stock, which is kept from now on.
pub(crate) fn new_slot() -> Result<CapAddr, RtError> {
    let slot = slots::allocate()?;
    ACTIVE.with(|active| active.store(true, Ordering::Relaxed));
    Ok(slot)
}

/// A frame for the stock.
pub(crate) fn new_frame() -> Result<CapAddr, RtError> {
    Ok(memory::own_frame(CHUNK, PAGE_SIZE)?.into_cap().address())
}

/// Puts a large page around `address`, if the books allow it and there is memory for one.
pub(crate) fn back_large(address: u64, area: &Area) -> Result<(), RtError> {
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
