//! Faults at addresses that get memory when they are first used.
//!
//! **Why nothing here can wait for itself.** A fault is handled on a stack of its own, in a critical section: no other
//! thread runs until it is through, so two threads never fault at one place at a time, and whoever comes second finds
//! it backed. The handler waits for one thing only, the memory service, which is nobody's client; while it waits the
//! domain takes in nothing but that answer. If the fault came out of a critical section, the books of slots,
//! heap and channels may be half changed: then the handler takes from its *stock* alone, which is filled up when the section
//! has ended. The stock itself and the books of the address space are looked at only where no fault can come: they
//! lie in memory that is always there, and the stack is probed before. So filling up never needs what it fills up.

use core::ops::Range;

use abi::{CapAddr, Rights};
use vspace::{Area, Backing, LARGE_PAGE, Piece};

use crate::{CHUNK, Domain, Section, Stock, section};

/// Why a fault ends its thread or domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unbacked {
    /// Nothing is reserved there, or what was mapped is not there any more.
    Nothing,
    /// It is not allowed there.
    Denied,
    /// The guard below the stack of this thread.
    Guard(u32),
    /// There is no memory for it.
    OutOfMemory,
}

/// Nodes of the books below which a fault adds some.
const NODES: usize = 32;

fn stock<D: Domain, R>(f: impl FnOnce(&mut Stock) -> R) -> R {
    D::probe_stack();
    D::stock(f)
}

/// There are addresses that may fault from now on: also where only the stock can serve.
pub fn expect_faults<D: Domain>() {
    if stock::<D, _>(|stock| stock.serves()) {
        return;
    }
    D::provide_memory();
    D::probe_stack_for_call();
    // Without a memory service there is what the domain has; a fault asks again.
    let _ = fill_up::<D>();
}

/// Fills the stock up that a critical section has taken from.
pub fn fill_up_after_section<D: Domain>() {
    if stock::<D, _>(|stock| stock.is_taken_from()) {
        // In the section below only the stock would serve, and there may be nothing left in it. Upcalls leave this thread alone
        // until then.
        D::probe_stack_for_call();
        let _ = fill_up::<D>();
    }
}

/// Backs `address` so that an access with these `rights` can be made again. `inside`: the fault came out of a critical
/// section. In one of its own.
///
/// # Errors
/// The access cannot be made.
pub fn back<D: Domain>(address: u64, rights: Rights, inside: bool) -> Result<(), Unbacked> {
    let found = D::books(|books| {
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
        let done = back_small::<D>(address, &area, &gap, table);
        D::stock(|stock| stock.low = true);
        D::state(Section::want);
        return done;
    }
    if chunk == LARGE_PAGE && D::new_large_page(address, &area).is_ok() {
        return Ok(());
    }
    let filled = fill_up_for_fault::<D>(nodes)?;
    if !area.attributes.rights.contains(Rights::WRITE) {
        provide_fresh::<D>();
    } else if chunk != LARGE_PAGE && !filled {
        return back_small::<D>(address, &area, &gap, table);
    }
    // Tables may have come or gone meanwhile.
    let table = D::books(|books| books.table(3, address));
    back_small::<D>(address, &area, &gap, table)
}

/// Sees to it that the stock has a frame that was not in use before, if there is one to be had.
#[cold]
fn provide_fresh<D: Domain>() {
    let (fresh, full) = stock::<D, _>(Stock::look_for_fresh);
    if let Some(frame) = full {
        D::discard(frame);
    }
    if !fresh && let Ok(frame) = D::new_frame() {
        stock::<D, _>(|stock| stock.add_frame(frame, false));
    }
}

/// Maps a frame of the stock over what of its chunk around `address` is in `gap`.
#[inline]
fn back_small<D: Domain>(
    address: u64,
    area: &Area,
    gap: &Range<u64>,
    table: Option<CapAddr>,
) -> Result<(), Unbacked> {
    let table = match table {
        Some(table) => table,
        None => tables_from_stock::<D>(address)?,
    };
    let start = address / CHUNK * CHUNK;
    let (base, end) = (start.max(gap.start), (start + CHUNK).min(gap.end));
    let rights = area.attributes.rights;
    let taken = D::stock(|stock| stock.take(rights.contains(Rights::WRITE)));
    let ((frame, used), mapping) = taken.ok_or(Unbacked::OutOfMemory)?;
    let piece = Piece { base, size: end - base, mapping, frame, large: false };
    if D::map(table, piece, area, rights).is_err() {
        stock::<D, _>(|stock| (stock.add_frame(frame, used), stock.add_slot(mapping)));
        return Err(Unbacked::OutOfMemory);
    }
    if used {
        D::zero(base, end - base);
    }
    Ok(())
}

/// Makes the tables over `address` of what is in stock: the one of level 3.
#[cold]
fn tables_from_stock<D: Domain>(address: u64) -> Result<CapAddr, Unbacked> {
    for level in [2, 3] {
        if D::books(|books| books.table(level, address)).is_some() {
            continue;
        }
        let (table, slot) = stock::<D, _>(|stock| stock.take_table(level)).ok_or(Unbacked::OutOfMemory)?;
        if D::install(level, address, table, slot).is_err() {
            stock::<D, _>(|stock| (stock.add_table(level, table), stock.add_slot(slot)));
            return Err(Unbacked::OutOfMemory);
        }
    }
    D::books(|books| books.table(3, address)).ok_or(Unbacked::OutOfMemory)
}

/// Fills the stock up if a fault would leave less than what critical sections may need. `nodes` are spare in the books.
/// Says whether it was filled up.
#[inline]
fn fill_up_for_fault<D: Domain>(nodes: usize) -> Result<bool, Unbacked> {
    // The stack of faults reaches far enough.
    if D::stock(Stock::is_low_for_fault) || nodes < NODES {
        fill_up::<D>().map_err(|_| Unbacked::OutOfMemory)?;
        return Ok(true);
    }
    Ok(false)
}

/// Fills the stock up to what is wanted. Nothing that this calls reserves addresses, so it is not called out of itself.
///
/// # Errors
/// There is nothing for the next fault.
pub fn fill_up<D: Domain>() -> Result<(), D::Error> {
    section::<D, _>(|| {
        // What is taken from here on is filled up at the end of this section.
        stock::<D, _>(|stock| stock.low = false);
        let filled = fill::<D>();
        if stock::<D, _>(|stock| stock.is_usable()) { Ok(()) } else { filled }
    })
}

fn fill<D: Domain>() -> Result<(), D::Error> {
    D::new_nodes()?;
    while stock::<D, _>(|stock| stock.lacks_slots()) {
        let slot = D::new_slot()?;
        stock::<D, _>(|stock| stock.add_slot(slot));
    }
    for level in [2, 3] {
        while stock::<D, _>(|stock| stock.lacks_tables(level)) {
            let table = D::new_table(level)?;
            stock::<D, _>(|stock| stock.add_table(level, table));
        }
    }
    let short = stock::<D, _>(|stock| stock.is_short_of_frames());
    while short && stock::<D, _>(|stock| stock.lacks_frames()) {
        let frame = D::new_frame()?;
        stock::<D, _>(|stock| stock.add_frame(frame, false));
    }
    Ok(())
}
