//! Pieces: what is mapped in the areas.
use core::ops::Range;

use abi::{CapAddr, PAGE_SIZE};
use tree::NONE;

use crate::pool::Entry;
use crate::table::{span, table_base};
use crate::{Backing, Error, LARGE_PAGE, Space, range_end};

/// A `Mapping` capability, and the bytes that it shows.
///
/// It never crosses the end of its page table: one of level 3 (2 MiB), or, when large, one of level 2 (1 GiB).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// First address: a multiple of the page, or, when large, of [`LARGE_PAGE`].
    pub base: u64,
    /// Bytes, a multiple of the same.
    pub size: u64,
    /// The mapping.
    pub mapping: CapAddr,
    /// The frame that it shows, if it goes with the piece; [`CapAddr::NULL`] if it is somebody else's.
    pub frame: CapAddr,
    /// Whether it consists of 2 MiB entries of a level 2 table.
    pub large: bool,
}

impl Piece {
    /// One past the last address.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.base + self.size
    }

    /// Bytes of one entry of its table.
    const fn granule(&self) -> u64 {
        if self.large { LARGE_PAGE } else { PAGE_SIZE }
    }

    /// The level of the table that it is in.
    const fn level(&self) -> u8 {
        if self.large { 2 } else { 3 }
    }
}

impl Space<'_> {
    /// Enters a piece.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], [`Error::Overflow`], [`Error::Misaligned`] of the range; [`Error::CrossesTable`];
    /// [`Error::NotReserved`] of its base, [`Error::Guarded`], [`Error::BeyondArea`]; [`Error::Covered`],
    /// [`Error::TableBelow`]; [`Error::NoTable`], [`Error::OutOfNodes`].
    pub fn insert_piece(&mut self, piece: Piece) -> Result<(), Error> {
        let end = range_end(piece.base, piece.size, piece.granule())?;
        let table_end = table_base(piece.level(), piece.base).saturating_add(span(piece.level()));
        if end > table_end {
            return Err(Error::CrossesTable { end: table_end });
        }
        self.check_area(piece.base, end)?;
        self.check_uncovered(&piece)?;
        let (table, _) = self.existing_table(piece.level(), piece.base)?;
        self.require_nodes(1)?;
        let Piece { base, size, mapping, frame, large } = piece;
        let node = self.pool.take(base, size, Entry::Piece { mapping, frame, large });
        self.pieces.insert(&mut self.pool, node);
        self.change_table(table, |table| table.users += 1);
        self.counts.pieces += 1;
        self.counts.backed += size;
        Ok(())
    }

    /// Removes the piece that begins at `base`, and returns it. Never lacks a node.
    ///
    /// # Errors
    /// [`Error::NoPiece`], [`Error::NotAPieceBase`].
    pub fn remove_piece(&mut self, base: u64) -> Result<Piece, Error> {
        let piece = self.piece(base).ok_or(Error::NoPiece { address: base })?;
        if piece.base != base {
            return Err(Error::NotAPieceBase { base: piece.base });
        }
        let (table, _) = self.existing_table(piece.level(), base)?;
        let node = self.pieces.holding(&self.pool, base);
        self.pieces.remove(&mut self.pool, node);
        self.pool.give_back(node);
        self.change_table(table, |table| table.users -= 1);
        self.counts.pieces -= 1;
        self.counts.backed -= piece.size;
        Ok(piece)
    }

    /// The piece that shows an address.
    #[must_use]
    pub fn piece(&self, address: u64) -> Option<Piece> {
        let found = self.pieces.holding(&self.pool, address);
        if found == NONE { None } else { self.pool.node(found).piece() }
    }

    /// The pieces that show any byte of a range, in ascending order. Who removes them as he goes asks for the first one
    /// again and again.
    pub fn pieces(&self, range: Range<u64>) -> impl Iterator<Item = Piece> {
        // Pieces do not overlap, so their ends ascend as their bases do.
        let mut at = self.pieces.first_after(&self.pool, |node| node.end() <= range.start);
        core::iter::from_fn(move || {
            let found = (at != NONE && !range.is_empty()).then_some(at)?;
            let piece = self.pool.node(found).piece().filter(|piece| piece.base < range.end)?;
            at = self.pieces.next(&self.pool, found);
            Some(piece)
        })
    }

    /// What a fault at an address is to back: of the chunk around it, as far as its lazy area has it, the part around the
    /// address that no piece shows. None where the area is not lazy, or where a piece shows the address.
    ///
    /// Chunks are aligned to their own size, at most [`LARGE_PAGE`], so the range lies in one level 3 table.
    #[must_use]
    pub fn gap(&self, address: u64) -> Option<Range<u64>> {
        let area = self.area(address)?;
        let Backing::Lazy { chunk } = area.attributes.backing else { return None };
        let chunk_base = address & !(chunk - 1);
        let mut gap = area.base.max(chunk_base)..area.end().min(chunk_base + chunk);
        let before = self.pieces.last(&self.pool, |node| node.base <= address);
        let after = if before == NONE {
            self.pieces.first(&self.pool)
        } else {
            gap.start = gap.start.max(self.pool.node(before).end());
            self.pieces.next(&self.pool, before)
        };
        if after != NONE {
            gap.end = gap.end.min(self.pool.node(after).base);
        }
        gap.contains(&address).then_some(gap)
    }

    /// Whether a large page may be put around an address: the whole aligned 2 MiB lie in one lazy area whose chunks are
    /// as large, no piece shows any of them, and no level 3 table, not even an empty one, has their entry.
    #[must_use]
    pub fn takes_large_page(&self, address: u64) -> bool {
        // Only chunks of that size have gaps of it.
        let whole = self.gap(address).is_some_and(|gap| gap.end - gap.start == LARGE_PAGE);
        whole && self.table(3, address).is_none()
    }

    /// Whether the range lies in one area that may have pieces.
    fn check_area(&self, base: u64, end: u64) -> Result<(), Error> {
        let area = self.area_holding(base)?;
        if area.attributes.backing == Backing::Guard {
            return Err(Error::Guarded { base: area.base });
        }
        if end > area.end() {
            return Err(Error::BeyondArea { end: area.end() });
        }
        Ok(())
    }

    /// Whether the entries that the piece wants are empty, as far as the books know.
    fn check_uncovered(&self, piece: &Piece) -> Result<(), Error> {
        if let Some(other) = self.pieces(piece.base..piece.end()).next() {
            return Err(Error::Covered { base: other.base });
        }
        match self.first_table(3, piece.base) {
            Some(table) if piece.large && table.base < piece.end() => {
                Err(Error::TableBelow { base: table.base })
            }
            _ => Ok(()),
        }
    }
}
