//! Where nodes live: chunks of them that the caller lends, addressed by number.
use abi::CapAddr;
use tree::{Links, NONE, Nodes, NodesMut};

use crate::spans::{ALIGNMENTS, usable};
use crate::{Area, Attributes, Error, Piece, Table};

/// Most chunks of nodes. A caller that lends a chunk as large as all before it never reaches this.
pub const MAX_CHUNKS: usize = 32;
/// Most nodes that one chunk contributes: offsets count from 1, as reference 0 names no node.
const MAX_CHUNK_NODES: usize = (1 << OFFSET_BITS) - 1;
const OFFSET_BITS: u32 = 24;

/// The place of a node in the order by address.
pub(crate) const BY_ADDRESS: usize = 0;
/// The place of a node in the order by size, then address.
pub(crate) const BY_SIZE: usize = 1;

/// Storage for one free range, area, piece or page table (80 bytes); what it holds is the books'.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// First address.
    pub(crate) base: u64,
    /// Bytes; of a table, those that it spans.
    pub(crate) size: u64,
    pub(crate) entry: Entry,
    places: [Place; 2],
}

/// What a node holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry {
    /// Nothing: chained through its first links.
    Spare,
    /// A part of a window that no area has, with the most bytes that its subtree by size can give from an address on that
    /// has each of the alignments.
    Free {
        most: [u64; ALIGNMENTS.len()],
    },
    Area(Attributes),
    Piece {
        mapping: CapAddr,
        frame: CapAddr,
        large: bool,
    },
    Table(TableEntry),
}

/// A page table, but for where it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableEntry {
    pub(crate) level: u8,
    pub(crate) pinned: bool,
    /// Pieces and tables in it.
    pub(crate) users: u32,
    pub(crate) vnode: CapAddr,
    pub(crate) mapping: CapAddr,
}

/// The place of a node in one tree.
#[derive(Clone, Copy, Debug)]
struct Place {
    links: Links,
    height: u8,
}

impl Node {
    /// A node that holds nothing, to fill chunks with.
    pub const EMPTY: Self = Self::new(0, 0, Entry::Spare);

    const fn new(base: u64, size: u64, entry: Entry) -> Self {
        Self { base, size, entry, places: [Place { links: Links::EMPTY, height: 0 }; 2] }
    }

    /// One past the last address.
    pub(crate) const fn end(&self) -> u64 {
        self.base + self.size
    }

    pub(crate) const fn is_free(&self) -> bool {
        matches!(self.entry, Entry::Free { .. })
    }

    pub(crate) const fn area(&self) -> Option<Area> {
        match self.entry {
            Entry::Area(attributes) => Some(Area { base: self.base, size: self.size, attributes }),
            _ => None,
        }
    }

    pub(crate) const fn piece(&self) -> Option<Piece> {
        match self.entry {
            Entry::Piece { mapping, frame, large } => {
                Some(Piece { base: self.base, size: self.size, mapping, frame, large })
            }
            _ => None,
        }
    }

    pub(crate) const fn table(&self) -> Option<Table> {
        match self.entry {
            Entry::Table(TableEntry { level, vnode, mapping, .. }) => {
                Some(Table { level, base: self.base, vnode, mapping })
            }
            _ => None,
        }
    }

    /// Whether it is a table that may go.
    pub(crate) const fn is_idle_table(&self) -> bool {
        matches!(self.entry, Entry::Table(TableEntry { users: 0, pinned: false, .. }))
    }
}

/// All nodes that the caller lent; those that hold nothing are chained.
#[derive(Debug)]
pub(crate) struct Pool<'n> {
    chunks: [Option<&'n mut [Node]>; MAX_CHUNKS],
    count: usize,
    spare: u32,
    pub(crate) spare_count: usize,
    /// How often a node was looked at, to pin down what operations cost.
    #[cfg(test)]
    pub(crate) visits: core::cell::Cell<usize>,
}

impl<'n> Pool<'n> {
    pub(crate) const fn new() -> Self {
        Self {
            chunks: [const { None }; MAX_CHUNKS],
            count: 0,
            spare: NONE,
            spare_count: 0,
            #[cfg(test)]
            visits: core::cell::Cell::new(0),
        }
    }

    /// Takes in a chunk; takes time linear in its length.
    pub(crate) fn add(&mut self, chunk: &'n mut [Node]) -> Result<(), Error> {
        let place = self.chunks.get_mut(self.count).ok_or(Error::TooManyChunks)?;
        let length = chunk.len().min(MAX_CHUNK_NODES);
        *place = Some(chunk);
        let first = (self.count as u32) << OFFSET_BITS;
        self.count += 1;
        // From the back, so that nodes are handed out in ascending order: they share cache lines and pages.
        for offset in (1..=length as u32).rev() {
            self.give_back(first | offset);
        }
        Ok(())
    }

    /// A node for an entry. The caller has looked at `spare_count` before it changed anything.
    pub(crate) fn take(&mut self, base: u64, size: u64, entry: Entry) -> u32 {
        let node = self.spare;
        self.spare = self.node(node).places[BY_ADDRESS].links.right;
        self.spare_count -= 1;
        *self.node_mut(node) = Node::new(base, size, entry);
        node
    }

    /// Takes a node back that is in no tree any more.
    pub(crate) fn give_back(&mut self, node: u32) {
        let spare = self.spare;
        let empty = self.node_mut(node);
        empty.entry = Entry::Spare;
        empty.places[BY_ADDRESS].links.right = spare;
        self.spare = node;
        self.spare_count += 1;
    }

    /// The node of this number. Numbers come from [`Self::take`] only, and chunks are never taken away.
    #[inline]
    pub(crate) fn node(&self, node: u32) -> &Node {
        #[cfg(test)]
        self.visits.set(self.visits.get() + 1);
        let chunk = self.chunks[(node >> OFFSET_BITS) as usize % MAX_CHUNKS].as_deref();
        &chunk.unwrap_or_default()[(node as usize & MAX_CHUNK_NODES) - 1]
    }

    #[inline]
    pub(crate) fn node_mut(&mut self, node: u32) -> &mut Node {
        let chunk = self.chunks[(node >> OFFSET_BITS) as usize % MAX_CHUNKS].as_deref_mut();
        &mut chunk.unwrap_or_default()[(node as usize & MAX_CHUNK_NODES) - 1]
    }
}

/// The pool as the trees of one place see it.
pub(crate) struct View<P, const PLACE: usize>(pub(crate) P);

impl<const PLACE: usize> Nodes for View<&Pool<'_>, PLACE> {
    #[inline]
    fn links(&self, node: u32) -> &Links {
        &self.0.node(node).places[PLACE].links
    }
    #[inline]
    fn height(&self, node: u32) -> u8 {
        self.0.node(node).places[PLACE].height
    }
}

impl<const PLACE: usize> Nodes for View<&mut Pool<'_>, PLACE> {
    #[inline]
    fn links(&self, node: u32) -> &Links {
        &self.0.node(node).places[PLACE].links
    }
    #[inline]
    fn height(&self, node: u32) -> u8 {
        self.0.node(node).places[PLACE].height
    }
}

impl<const PLACE: usize> NodesMut for View<&mut Pool<'_>, PLACE> {
    #[inline]
    fn links_mut(&mut self, node: u32) -> &mut Links {
        &mut self.0.node_mut(node).places[PLACE].links
    }
    #[inline]
    fn set_height(&mut self, node: u32, height: u8) {
        self.0.node_mut(node).places[PLACE].height = height;
    }
    /// Free ranges by size know what their subtree can give; all others know nothing.
    fn refresh(&mut self, node: u32) -> bool {
        if PLACE != BY_SIZE || !self.0.node(node).is_free() {
            return false;
        }
        let mut best = ALIGNMENTS.map(|align| usable(self.0.node(node), align));
        let Links { left, right, .. } = *self.links(node);
        for child in [left, right] {
            if child != NONE
                && let Entry::Free { most } = self.0.node(child).entry
            {
                best.iter_mut().zip(most).for_each(|(best, below)| *best = below.max(*best));
            }
        }
        match &mut self.0.node_mut(node).entry {
            Entry::Free { most } => {
                let former = core::mem::replace(most, best);
                // Not as arrays, which would be compared byte by byte.
                former.iter().zip(&best).any(|(former, best)| former != best)
            }
            _ => false,
        }
    }
}
