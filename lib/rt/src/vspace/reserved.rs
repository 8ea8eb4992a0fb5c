//! Addresses that get memory when they are first used.

use core::cell::Cell;
use core::ops::{Deref, Range};

use abi::{CapAddr, PAGE_SIZE, Rights};
use sys::Frame;
use vspace::{Area, Attributes, Backing, LARGE_PAGE, Piece};

use super::mapped::whole_pages;
use super::{Region, drop_empty_tables, place, reserve_area, reserve_area_at, unmap_in};
use crate::error::RtError;
use crate::local::local;
use crate::owned::OwnedCap;
use crate::{critical, pager};

/// How much memory a fault brings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Paging {
    /// 64 KiB at a time, in pages of 4 KiB.
    Small,
    /// 2 MiB at a time in one entry, where the whole of it is reserved and such a piece of memory is to be had; else as
    /// [`Paging::Small`].
    Large,
}

/// Reserved addresses. Dropping it gives addresses and memory back.
#[derive(Debug)]
pub struct Reserved(Region);

impl Deref for Reserved {
    type Target = Region;
    fn deref(&self) -> &Region {
        &self.0
    }
}

/// Reserves `bytes`, rounded up to pages, that read as zeroes and get memory when they are first used.
///
/// # Errors
/// `NoAddress`, `OutOfMemory`.
pub fn reserve(bytes: u64, rights: Rights, paging: Paging) -> Result<Reserved, RtError> {
    let bytes = whole_pages(bytes)?;
    let align = if bytes >= LARGE_PAGE { LARGE_PAGE } else { PAGE_SIZE };
    let base = reserve_area(bytes, align, lazy(rights, paging))?;
    pager::expect_faults();
    Ok(Reserved(Region::new(base, bytes)))
}

/// As [`reserve`], at a given address, a multiple of the page.
///
/// # Errors
/// Those of [`reserve`]; `NoAddress` if any of it is in use, or not for this domain to map at.
pub fn reserve_at(address: u64, bytes: u64, rights: Rights, paging: Paging) -> Result<Reserved, RtError> {
    let bytes = whole_pages(bytes)?;
    reserve_area_at(address, bytes, lazy(rights, paging))?;
    pager::expect_faults();
    Ok(Reserved(Region::new(address, bytes)))
}

/// Marks the areas of the heap's large blocks.
const HEAP: u32 = 1;

local! {
    /// Bytes of the heap's large blocks that have no memory yet.
    static PROMISED: Cell<u64> = Cell::new(0);
}

/// Bytes of the heap's large blocks that have no memory yet.
pub(crate) fn promised() -> u64 {
    PROMISED.with(Cell::get)
}

/// An area has got so many bytes of memory, or (negative) lost them; a heap's area begins by losing all.
pub(super) fn note_backed(area: &Area, bytes: i64) {
    if area.attributes.tag == HEAP && matches!(area.attributes.backing, Backing::Lazy { .. }) {
        PROMISED.with(|promised| promised.set(promised.get().saturating_add_signed(-bytes)));
    }
}

/// Marks the areas of stacks, whose first frames are smaller than a chunk.
pub(crate) const STACK: u32 = 2;

/// Whether a piece shows a frame of a chunk that can serve again: it has to be zeroed by writing to it.
pub(super) fn is_chunk(area: &Area, piece: &Piece) -> bool {
    matches!(area.attributes.backing, Backing::Lazy { .. })
        && area.attributes.tag != STACK
        && area.attributes.rights.contains(Rights::WRITE)
        && !piece.large
}

/// Addresses for a large block of the heap.
pub(crate) fn reserve_for_heap(bytes: u64) -> Result<Range<u64>, RtError> {
    let bytes = whole_pages(bytes)?;
    let attributes = Attributes { tag: HEAP, ..lazy(Rights::READ.or(Rights::WRITE), Paging::Small) };
    let align = if bytes >= LARGE_PAGE { LARGE_PAGE } else { PAGE_SIZE };
    let base = reserve_area(bytes, align, attributes)?;
    note_backed(&Area { base, size: bytes, attributes }, -(bytes as i64));
    pager::expect_faults();
    Ok(base..base + bytes)
}

fn lazy(rights: Rights, paging: Paging) -> Attributes {
    let chunk = match paging {
        Paging::Small => pager::CHUNK,
        Paging::Large => LARGE_PAGE,
    };
    Attributes { rights, backing: Backing::Lazy { chunk }, tag: 0 }
}

impl Reserved {
    /// Gives the memory of the bytes `range` (counted from the first) back, as far as it came in parts that lie wholly in
    /// it; they read as zeroes when they are used again. Bytes of it are lost: nobody may rely on them.
    pub fn discard(&self, range: Range<u64>) {
        let (start, end) =
            (self.address().saturating_add(range.start), self.address().saturating_add(range.end));
        // In one section: a fault between the look and the unmapping would map more than was looked at.
        critical::section(|| self.discard_whole_pieces(start, end));
    }

    fn discard_whole_pieces(&self, start: u64, end: u64) {
        let inside = super::with(|books| {
            let from = books
                .piece(start)
                .map_or(start, |piece| if piece.base < start { piece.end() } else { start });
            let to = end.min(self.range().end);
            let to = if to == 0 {
                0
            } else {
                books.piece(to - 1).map_or(to, |piece| if piece.end() > to { piece.base } else { to })
            };
            from..to
        });
        if inside.start < inside.end {
            if let Some(area) = super::with(|books| books.area(inside.start)) {
                unmap_in(&area, inside);
            }
            drop_empty_tables();
        }
    }
    /// Gives up charge: it stays for the life of the domain.
    pub fn into_range(self) -> Range<u64> {
        self.0.into_range()
    }
}

/// Maps a whole frame where room is; it goes with the mapping.
pub(crate) fn map_owned(frame: OwnedCap<Frame>, bytes: u64, rights: Rights) -> Result<Reserved, RtError> {
    let align = if bytes >= LARGE_PAGE { LARGE_PAGE } else { PAGE_SIZE };
    let attributes = Attributes { rights, backing: Backing::Given, tag: 0 };
    let base = reserve_area(bytes, align, attributes)?;
    let reserved = Reserved(Region::new(base, bytes));
    let shown = frame.cap();
    let mut owner = Some(frame);
    let mut at = base;
    while at < base + bytes {
        let end = (base + bytes).min((at / LARGE_PAGE + 1) * LARGE_PAGE);
        // The frame goes with the first piece, and the mappings of the others with it.
        let with = owner.as_ref().map_or(CapAddr::NULL, OwnedCap::address);
        place(shown, at - base, at, end - at, rights, with)?;
        owner.take().map(OwnedCap::into_cap);
        at = end;
    }
    Ok(reserved)
}
