//! Where nodes live: chunks of them that the caller gives, addressed by number.
use crate::Error;

/// Most chunks of a pool. A caller that gives a chunk as large as all before it never reaches this.
pub const MAX_CHUNKS: usize = 32;
/// Most nodes that one chunk contributes.
const MAX_CHUNK_NODES: usize = 1 << OFFSET_BITS;
const OFFSET_BITS: u32 = 24;

/// The number of a node: its chunk in the upper bits, its place there in the lower ones.
pub(crate) type Index = u32;
/// No node.
pub(crate) const NIL: Index = Index::MAX;

/// Storage for one region, free or used; what it holds is the allocator's.
///
/// 40 bytes and 4 for each alignment, rounded up to a multiple of 8.
#[derive(Clone, Copy, Debug)]
pub struct Node<const CLASSES: usize> {
    /// First granule.
    pub(crate) base: u64,
    /// Granules.
    pub(crate) size: u32,
    /// The caller's name of the root that it belongs to.
    pub(crate) root: u32,
    /// Children in the tree by address and in the tree by size.
    pub(crate) links: [Links; 2],
    /// Handed out.
    pub(crate) used: bool,
    /// For the tree by size: the most granules that its subtree can give, for each alignment.
    pub(crate) best: [u32; CLASSES],
}

/// The place of a node in one tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links {
    /// Left and right child.
    pub(crate) child: [Index; 2],
    /// Height of the subtree: 1 for a leaf.
    pub(crate) height: u8,
}

impl Links {
    pub(crate) const LEAF: Self = Self { child: [NIL, NIL], height: 1 };
}

impl<const CLASSES: usize> Node<CLASSES> {
    /// A node that holds nothing, to fill chunks with.
    pub const EMPTY: Self =
        Self { base: 0, size: 0, root: 0, links: [Links::LEAF; 2], used: false, best: [0; CLASSES] };

    /// One past the last granule.
    pub(crate) const fn end(&self) -> u64 {
        self.base + self.size as u64
    }
}

/// All nodes that the caller gave; those that hold nothing are chained through their first link.
#[derive(Debug)]
pub(crate) struct Pool<'n, const CLASSES: usize> {
    chunks: [&'n mut [Node<CLASSES>]; MAX_CHUNKS],
    count: usize,
    /// For each alignment, ascending: its granules, less one.
    pub(crate) masks: [u32; CLASSES],
    spare: Index,
    spare_count: usize,
    /// How often a node was looked at, to pin down what operations cost.
    #[cfg(test)]
    pub(crate) visits: core::cell::Cell<usize>,
}

impl<'n, const CLASSES: usize> Pool<'n, CLASSES> {
    pub(crate) fn new(masks: [u32; CLASSES]) -> Self {
        Self {
            chunks: core::array::from_fn(|_| Default::default()),
            count: 0,
            masks,
            spare: NIL,
            spare_count: 0,
            #[cfg(test)]
            visits: core::cell::Cell::new(0),
        }
    }

    /// Takes in a chunk; takes time linear in its length.
    pub(crate) fn add(&mut self, chunk: &'n mut [Node<CLASSES>]) -> Result<(), Error> {
        let place = self.chunks.get_mut(self.count).ok_or(Error::TooManyChunks)?;
        // The last offset of the last chunk would be NIL.
        let length = chunk.len().min(MAX_CHUNK_NODES - 1);
        *place = chunk;
        let first = (self.count as u32) << OFFSET_BITS;
        self.count += 1;
        // From the back, so that nodes are handed out in ascending order: they share cache lines and pages.
        for offset in (0..length as u32).rev() {
            self.give_back(first | offset);
        }
        Ok(())
    }

    /// Number of nodes that hold nothing.
    pub(crate) const fn spare_count(&self) -> usize {
        self.spare_count
    }

    /// A node for a region. The caller has looked at [`Self::spare_count`] before it changed anything.
    pub(crate) fn take(&mut self, base: u64, size: u32, root: u32, used: bool) -> Index {
        let index = self.spare;
        self.spare = self.node(index).links[0].child[0];
        self.spare_count -= 1;
        *self.node_mut(index) = Node { base, size, root, used, ..Node::EMPTY };
        index
    }

    /// Takes a node back that is in no tree any more.
    pub(crate) fn give_back(&mut self, index: Index) {
        let spare = self.spare;
        self.node_mut(index).links[0].child[0] = spare;
        self.spare = index;
        self.spare_count += 1;
    }

    /// The node of this number. Numbers come from [`Self::take`] only, and chunks are never taken away.
    #[inline]
    pub(crate) fn node(&self, index: Index) -> &Node<CLASSES> {
        #[cfg(test)]
        self.visits.set(self.visits.get() + 1);
        &self.chunks[(index >> OFFSET_BITS) as usize][index as usize & (MAX_CHUNK_NODES - 1)]
    }

    #[inline]
    pub(crate) fn node_mut(&mut self, index: Index) -> &mut Node<CLASSES> {
        &mut self.chunks[(index >> OFFSET_BITS) as usize][index as usize & (MAX_CHUNK_NODES - 1)]
    }
}
