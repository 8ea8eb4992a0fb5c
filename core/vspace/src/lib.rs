//! The books of a domain's address space: what is reserved, what is mapped where, and which page tables are there.
//!
//! A page fault is answered from them while the domain is in an upcall, where nothing can be allocated; so they live in
//! nodes that were lent to them before. They make no system calls: who does, in `lib/rt`, asks them what to do, does it,
//! and enters it.
//!
//! ```text
//!   windows   |<------------------------------------------------------->|      may be reserved
//!   areas     | guard | lazy: a stack       |   free    | given         |      are reserved, each for one purpose
//!   pieces            |         |xxxx|xx|xxx|           |xx|xxxx|  |xx|        one Mapping capability each
//!   tables    | level 3           | level 3             | level 3       |      each counts what is in it:
//!             | level 2 ...                                             |        pieces, and tables below
//!             | level 1 ...                                             |
//! ```
//!
//! - An **area** has one owner and one purpose ([`Attributes`]). It is [`Backing::Given`] (its owner maps frames that he
//!   has), [`Backing::Lazy`] (a fault maps memory) or [`Backing::Guard`] (an access is an error). The guard below a
//!   stack is an area like any other: whoever wants both next to each other reserves them at once, releases that, and
//!   takes the parts by address.
//! - A **piece** lies in one area and in one page table.
//! - A **table** is entered after the one above it. One without users can go ([`Space::empty_table`]), unless it is
//!   pinned.
//!
//! **A fault** is answered thus: [`Space::area`] (is the access allowed?), [`Space::gap`] (what is to be backed?),
//! [`Space::takes_large_page`] (by one entry?), [`Space::table`] from level 1 down (what is missing?), then
//! [`Space::insert_table`] and [`Space::insert_piece`].
//!
//! **Cost.** There is an entry for each area, free range, piece and table, never one for each page. With `n` of them,
//! every operation visits O(log n) nodes in the worst case, and none recurses. An iteration costs that for each step.
//!
//! **Nodes.** An entry costs a [`Node`] of 80 bytes. They come from the caller, in chunks ([`Space::add_nodes`]), and are
//! never given back. An operation that lacks a node fails with [`Error::OutOfNodes`]; who looks at
//! [`Space::nodes_needed`] *before* an operation, and refills, never sees that. The operations that the refill itself
//! makes count as well. Releasing and removing need no node. Whatever the error, a refused operation changes nothing.
//!
//! ```
//! use abi::{CapAddr, Rights};
//! use vspace::{Attributes, Backing, Error, Node, Piece, Space};
//!
//! let mut nodes = [Node::EMPTY; 32];
//! let mut space = Space::new();
//! space.add_nodes(&mut nodes)?;
//! space.add_window(0x20_0000..0x4000_0000)?;
//! for level in 1..=3 {
//!     space.insert_table(level, 0x20_0000, CapAddr(level.into()), CapAddr(8), false)?;
//! }
//! let attributes =
//!     Attributes { rights: Rights::READ, backing: Backing::Lazy { chunk: 0x1_0000 }, tag: 7 };
//! let base = space.reserve(0x1_8000, 0x1000, attributes)?;
//! assert_eq!((base, space.gap(base + 0x1_0123)), (0x20_0000, Some(0x21_0000..0x21_8000)));
//!
//! let [mapping, frame] = [CapAddr(9), CapAddr(10)];
//! space.insert_piece(Piece { base: 0x21_0000, size: 0x8000, mapping, frame, large: false })?;
//! assert_eq!(space.gap(base + 0x1_0123), None);
//! assert_eq!(space.release(base), Err(Error::InUse { base: 0x21_0000 }));
//! # Ok::<(), Error>(())
//! ```
//!
//! Not here: capabilities and system calls, where memory comes from, what a frame is worth, and the root table, which an
//! address space always has.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod area;
mod error;
mod order;
mod piece;
mod pool;
mod spans;
mod table;
#[cfg(test)]
mod tests;

use core::ops::Range;

use abi::PAGE_SIZE;
use tree::NONE;

pub use area::{Area, Attributes, Backing};
pub use error::Error;
pub use piece::Piece;
pub use pool::{MAX_CHUNKS, Node};
pub use table::Table;

use order::Order;
use pool::{BY_ADDRESS, BY_SIZE, Pool};
use spans::Spans;

/// Bytes of an entry of a level 2 table, and what a level 3 table translates.
pub const LARGE_PAGE: u64 = 2 << 20;
/// Bytes that a level 2 table translates.
pub(crate) const GIGABYTE: u64 = 1 << 30;
/// One past the last address that a root table translates.
pub const SPACE_END: u64 = 1 << 48;

/// Most nodes that one operation takes: a free range is cut into three.
pub const NODES_PER_OPERATION: usize = 2;

/// How much is in the books.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Areas.
    pub areas: usize,
    /// Pieces.
    pub pieces: usize,
    /// Page tables, but for the root.
    pub tables: usize,
    /// Bytes of all areas.
    pub reserved: u64,
    /// Bytes of all pieces.
    pub backed: u64,
}

/// The books of one address space; `'n` is how long the nodes are lent.
#[derive(Debug)]
pub struct Space<'n> {
    pool: Pool<'n>,
    spans: Spans,
    pieces: Order<BY_ADDRESS>,
    /// Level 1 to 3.
    tables: [Order<BY_ADDRESS>; 3],
    /// Tables that may go. The deeper ones span less.
    empty: Order<BY_SIZE>,
    counts: Statistics,
}

impl Default for Space<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'n> Space<'n> {
    /// The books of an address space in which nothing is and nothing may be reserved.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            pool: Pool::new(),
            spans: Spans::new(),
            pieces: Order::new(),
            tables: [const { Order::new() }; 3],
            empty: Order::new(),
            counts: Statistics { areas: 0, pieces: 0, tables: 0, reserved: 0, backed: 0 },
        }
    }

    /// Lends a chunk of nodes, for entries to come. Takes time linear in its length; what it held is overwritten.
    ///
    /// Each chunk should be about as large as all before it: there can be [`MAX_CHUNKS`], of 2^24 - 1 nodes at most
    /// (more in one chunk are left alone).
    ///
    /// # Errors
    /// [`Error::TooManyChunks`].
    pub fn add_nodes(&mut self, chunk: &'n mut [Node]) -> Result<(), Error> {
        self.pool.add(chunk)
    }

    /// Nodes that hold no entry.
    #[must_use]
    pub const fn spare_nodes(&self) -> usize {
        self.pool.spare_count
    }

    /// How many nodes must be added before so many operations, whatever they are, cannot lack one. Each table and each
    /// piece that is entered is an operation.
    #[must_use]
    pub const fn nodes_needed(&self, operations: usize) -> usize {
        operations.saturating_mul(NODES_PER_OPERATION).saturating_sub(self.spare_nodes())
    }

    /// Allows areas in a range, whose ends are multiples of the page. Windows that touch are one.
    ///
    /// # Errors
    /// [`Error::ZeroSize`] also where the end is before the start, [`Error::Misaligned`],
    /// [`Error::BeyondAddressSpace`]; [`Error::Overlap`], [`Error::OutOfNodes`].
    pub fn add_window(&mut self, window: Range<u64>) -> Result<(), Error> {
        let size = window.end.saturating_sub(window.start);
        let end = range_end(window.start, size, PAGE_SIZE)?;
        check_address(end - 1)?;
        let below_end = self.spans.last_before(&self.pool, end);
        if below_end != NONE && self.pool.node(below_end).end() > window.start {
            return Err(Error::Overlap { base: self.pool.node(below_end).base });
        }
        self.require_nodes(1)?;
        self.spans.add(&mut self.pool, window.start, size);
        Ok(())
    }

    /// The counters; takes constant time.
    #[must_use]
    pub const fn statistics(&self) -> Statistics {
        self.counts
    }

    fn require_nodes(&self, count: usize) -> Result<(), Error> {
        if self.spare_nodes() < count { Err(Error::OutOfNodes) } else { Ok(()) }
    }
}

/// The end of a range, which is not empty and consists of whole granules.
fn range_end(base: u64, size: u64, granule: u64) -> Result<u64, Error> {
    if size == 0 {
        return Err(Error::ZeroSize);
    }
    let end = base.checked_add(size).ok_or(Error::Overflow)?;
    match [base, size].into_iter().find(|value| !value.is_multiple_of(granule)) {
        Some(value) => Err(Error::Misaligned { value, granule }),
        None => Ok(end),
    }
}

/// Whether there can be a table for an address.
fn check_address(address: u64) -> Result<(), Error> {
    if address < SPACE_END { Ok(()) } else { Err(Error::BeyondAddressSpace { address }) }
}
