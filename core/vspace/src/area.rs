//! Areas: which addresses are reserved, and for what.
use abi::{PAGE_SIZE, Rights};
use tree::NONE;

use crate::pool::Entry;
use crate::spans::{ALIGNMENTS, Spans};
use crate::{Error, LARGE_PAGE, Space, range_end};

/// A reserved range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// First address, a multiple of the page.
    pub base: u64,
    /// Bytes, a multiple of the page.
    pub size: u64,
    /// What it is for.
    pub attributes: Attributes,
}

impl Area {
    /// One past the last address.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.base + self.size
    }
}

/// What an area is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// How its pieces are to be mapped.
    pub rights: Rights,
    /// Where its memory comes from.
    pub backing: Backing,
    /// The caller's own mark, a thread's number perhaps.
    pub tag: u32,
}

impl Attributes {
    fn check(&self) -> Result<(), Error> {
        match self.backing {
            Backing::Lazy { chunk }
                if !chunk.is_power_of_two() || !(PAGE_SIZE..=LARGE_PAGE).contains(&chunk) =>
            {
                Err(Error::BadChunk { chunk })
            }
            _ => Ok(()),
        }
    }
}

/// Where the memory of an area comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// Nowhere: an access is an error, such as below a stack.
    Guard,
    /// The caller maps frames that it has.
    Given,
    /// A fault maps memory there, in aligned chunks.
    Lazy {
        /// Bytes of a chunk: a power of two from the page to [`LARGE_PAGE`].
        chunk: u64,
    },
}

impl Space<'_> {
    /// Reserves `size` bytes in the smallest free range, the lowest among equals, that has them at an address that is a
    /// multiple of `align`: a power of two that counts as the next larger one of page, 2 MiB and 1 GiB. Returns the base.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], [`Error::Misaligned`] of the size; [`Error::BadChunk`], [`Error::BadAlignment`],
    /// [`Error::AlignmentTooLarge`]; [`Error::NoSpace`], [`Error::OutOfNodes`].
    pub fn reserve(&mut self, size: u64, align: u64, attributes: Attributes) -> Result<u64, Error> {
        range_end(0, size, PAGE_SIZE)?;
        attributes.check()?;
        let class = class(align)?;
        let free = self.spans.best_fit(&self.pool, size, class);
        if free == NONE {
            return Err(Error::NoSpace);
        }
        let base = self.pool.node(free).base.next_multiple_of(ALIGNMENTS[class]);
        self.claim(free, base, size, attributes)?;
        Ok(base)
    }

    /// Reserves the `size` bytes from `base` on.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], [`Error::Overflow`], [`Error::Misaligned`] of the range; [`Error::BadChunk`];
    /// [`Error::NotFree`] or [`Error::OutsideWindows`], whichever its first unavailable byte is; [`Error::OutOfNodes`].
    pub fn reserve_at(&mut self, base: u64, size: u64, attributes: Attributes) -> Result<(), Error> {
        let end = range_end(base, size, PAGE_SIZE)?;
        attributes.check()?;
        let free = self.free_span(base, end)?;
        self.claim(free, base, size, attributes)
    }

    /// Gives an area up that has no pieces any more, and returns it. Never lacks a node.
    ///
    /// # Errors
    /// [`Error::NotReserved`], [`Error::NotABase`], [`Error::InUse`].
    pub fn release(&mut self, base: u64) -> Result<Area, Error> {
        let (found, area) = self.area_from(base)?;
        if let Some(piece) = self.pieces(area.base..area.end()).next() {
            return Err(Error::InUse { base: piece.base });
        }
        self.spans.release(&mut self.pool, found);
        self.counts.areas -= 1;
        self.counts.reserved -= area.size;
        Ok(area)
    }

    /// Changes the rights of an area. Pieces that are mapped already are the caller's to map anew.
    ///
    /// # Errors
    /// [`Error::NotReserved`], [`Error::NotABase`].
    pub fn set_rights(&mut self, base: u64, rights: Rights) -> Result<(), Error> {
        let (found, Area { attributes, .. }) = self.area_from(base)?;
        self.pool.node_mut(found).entry = Entry::Area(Attributes { rights, ..attributes });
        Ok(())
    }

    /// The area that holds an address.
    #[must_use]
    pub fn area(&self, address: u64) -> Option<Area> {
        let found = self.spans.holding(&self.pool, address);
        if found == NONE { None } else { self.pool.node(found).area() }
    }

    /// All areas in ascending order.
    pub fn areas(&self) -> impl Iterator<Item = Area> {
        self.spans.iter(&self.pool).filter_map(|node| node.area())
    }

    /// The area that holds an address.
    pub(crate) fn area_holding(&self, address: u64) -> Result<Area, Error> {
        self.area(address).ok_or(Error::NotReserved { address })
    }

    /// The area that begins at `base`, and its node.
    fn area_from(&self, base: u64) -> Result<(u32, Area), Error> {
        let area = self.area_holding(base)?;
        if area.base != base {
            return Err(Error::NotABase { base: area.base });
        }
        Ok((self.spans.holding(&self.pool, base), area))
    }

    /// The free range that holds the addresses from `base` to `end`.
    fn free_span(&self, base: u64, end: u64) -> Result<u32, Error> {
        let found = self.spans.holding(&self.pool, base);
        let is_free = found != NONE && self.pool.node(found).is_free();
        let unavailable = if is_free { self.pool.node(found).end() } else { base };
        if unavailable >= end {
            return Ok(found);
        }
        // Free ranges that touch are one, so what follows is an area or nothing.
        Err(match self.area(unavailable) {
            Some(area) => Error::NotFree { base: area.base },
            None => Error::OutsideWindows { address: unavailable },
        })
    }

    fn claim(&mut self, free: u32, base: u64, size: u64, attributes: Attributes) -> Result<(), Error> {
        self.require_nodes(Spans::cuts(&self.pool, free, base, size))?;
        self.spans.claim(&mut self.pool, free, base, size, attributes);
        self.counts.areas += 1;
        self.counts.reserved += size;
        Ok(())
    }
}

/// Which of the alignments that are told apart serves one.
fn class(align: u64) -> Result<usize, Error> {
    if !align.is_power_of_two() {
        return Err(Error::BadAlignment { align });
    }
    ALIGNMENTS.iter().position(|&served| align <= served).ok_or(Error::AlignmentTooLarge { align })
}
