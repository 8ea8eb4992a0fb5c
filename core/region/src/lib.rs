//! The region allocator: which ranges of an address space are free, and which are handed out.
//!
//! The memory server keeps the physical memory of its core in one, each pager the virtual addresses of its domain.
//! Nothing here touches the memory that is managed.
//!
//! ```text
//!   root 7                                       root 9
//!   | used  | free      | used | used | free   | free       | used     |
//!                              ^^^^^^^^ never one: each has its owner
//!                                              ^^^^^^^^ never one: no capability spans two roots
//! ```
//!
//! - All regions, free and used, are in one balanced tree by address: neighbours, allocations by their base, fixed
//!   addresses and partial frees are found in it.
//! - Free regions are also in one by (size, address), in which each node knows for each alignment the most that its
//!   subtree can give. So the best fit *with* its alignment is one way down the tree.
//! - Free neighbours merge if they belong to the same root. Allocations stay distinct.
//!
//! **Alignments.** The caller names those that it asks for, a few powers of two: `Regions::new([4096, 2 << 20])`. The
//! first is the granule, of which all addresses and sizes are multiples. A request for another alignment is served as
//! one for the next larger that is named.
//!
//! **Cost.** With `n` regions and `c` alignments, every operation visits O(log n) nodes in the worst case, spends
//! O(c) on each that it changes, and never recurses. Exact best fit for *every* power of two would need a summary for
//! each of them in each node; that is why they are named. A search without such summaries (by size, then looking
//! whether the alignment fits) is linear in the number of regions whose size lies between `size` and `size + align`,
//! which a hostile client can make all of them. A ready-made tree (intrusive-collections' `RBTree`) has no room for
//! summaries of subtrees.
//!
//! **Nodes.** A region costs a [`Node`] of about 48 bytes. They come from the caller, in chunks
//! ([`Regions::add_nodes`]), and are never given back. An operation that lacks a node fails with
//! [`Error::OutOfNodes`] and changes nothing; who looks at [`Regions::nodes_needed`] *before* an operation, and refills,
//! never sees that. The operations that the refill itself makes count as well. Freeing whole allocations needs no node.
//!
//! ```
//! use region::{Error, Node, Regions, RootId};
//!
//! let mut nodes = [Node::EMPTY; 32];
//! let mut memory = Regions::new([4096, 2 << 20])?;
//! memory.add_nodes(&mut nodes)?;
//! memory.add_root(RootId(7), 0x4000_0000, 0x100_0000)?;
//!
//! let page = memory.allocate(4096, 4096)?;
//! let large = memory.allocate(2 << 20, 2 << 20)?;
//! assert_eq!((page.base, large.base), (0x4000_0000, 0x4020_0000));
//! memory.free_part(large.base + (1 << 20), 4096)?; // Leaves two allocations.
//! assert_eq!(memory.allocate_at(large.base, 4096), Err(Error::NotFree));
//! # Ok::<(), Error>(())
//! ```
//!
//! Not here: capabilities, quotas, page tables. An owner of allocations finds its own records by their base.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod error;
mod fit;
mod pool;
#[cfg(test)]
mod tests;
mod tree;

pub use error::Error;
pub use pool::{MAX_CHUNKS, Node};

use fit::{ByAddress, BySize, best_fit, largest, padding};
use pool::{Index, NIL, Pool};
use tree::Tree;

/// Most nodes that one operation takes: a region is cut into three.
pub const NODES_PER_OPERATION: usize = 2;

/// The caller's name for what a range was cut from; for physical memory, a capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootId(pub u32);

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The root that it belongs to.
    pub root: RootId,
    /// First address.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

/// Whether a region is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Can be allocated.
    Free,
    /// One allocation, or what partial frees have left of one.
    Used,
}

/// What is managed, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// All roots together.
    pub total: u64,
    /// Handed out.
    pub used: u64,
    /// Not handed out.
    pub free: u64,
    /// The largest free region.
    pub largest_free: u64,
}

/// Free and used ranges under any number of roots; `'n` is how long the nodes are lent, `CLASSES` the number of
/// alignments that are told apart.
#[derive(Debug)]
pub struct Regions<'n, const CLASSES: usize> {
    /// A granule is 2^`shift` bytes.
    shift: u32,
    pool: Pool<'n, CLASSES>,
    by_address: Tree<ByAddress, CLASSES>,
    by_size: Tree<BySize, CLASSES>,
    /// Granules under all roots.
    total: u32,
    /// Granules handed out.
    used: u32,
}

impl<'n, const CLASSES: usize> Regions<'n, CLASSES> {
    /// An allocator of nothing. The alignments, in bytes, are ascending powers of two; the first is the granule (a page,
    /// usually), the last is at most 2^31 granules.
    ///
    /// # Errors
    /// [`Error::BadAlignments`].
    pub fn new(alignments: [u64; CLASSES]) -> Result<Self, Error> {
        let powers = alignments.iter().all(|align| align.is_power_of_two());
        let first = alignments.first().filter(|_| powers && alignments.is_sorted_by(|a, b| a < b));
        let shift = first.ok_or(Error::BadAlignments)?.trailing_zeros();
        if alignments.iter().any(|align| align >> shift > 1 << 31) {
            return Err(Error::BadAlignments);
        }
        Ok(Self {
            shift,
            pool: Pool::new(alignments.map(|align| ((align >> shift) - 1) as u32)),
            by_address: Tree::new(),
            by_size: Tree::new(),
            total: 0,
            used: 0,
        })
    }

    /// Lends a chunk of nodes, for regions to come. Takes time linear in its length; what it held is overwritten.
    ///
    /// Each chunk should be about as large as all before it: there can be [`MAX_CHUNKS`], of 2^24 - 1 nodes at most
    /// (more in one chunk are left alone).
    ///
    /// # Errors
    /// [`Error::TooManyChunks`].
    pub fn add_nodes(&mut self, chunk: &'n mut [Node<CLASSES>]) -> Result<(), Error> {
        self.pool.add(chunk)
    }

    /// Nodes that hold no region.
    #[must_use]
    pub const fn spare_nodes(&self) -> usize {
        self.pool.spare_count()
    }

    /// How many nodes must be added before so many operations, whatever they are, cannot lack one.
    #[must_use]
    pub const fn nodes_needed(&self, operations: usize) -> usize {
        operations.saturating_mul(NODES_PER_OPERATION).saturating_sub(self.spare_nodes())
    }

    /// Adds a free range. Ranges with the same root may come in any order and number: where they touch, they merge.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], [`Error::Misaligned`], [`Error::Overflow`] of the range; [`Error::Overlap`],
    /// [`Error::TooLarge`], [`Error::OutOfNodes`].
    pub fn add_root(&mut self, root: RootId, base: u64, size: u64) -> Result<(), Error> {
        let (base, size) = self.range(base, size)?;
        let below_end = self.by_address.last(&self.pool, |node| node.base < base + size);
        if below_end != NIL && self.pool.node(below_end).end() > base {
            return Err(Error::Overlap { base: self.bytes(self.pool.node(below_end).base) });
        }
        let size = u32::try_from(size).map_err(|_| Error::TooLarge)?;
        let total = self.total.checked_add(size).ok_or(Error::TooLarge)?;
        self.require_nodes(1)?;
        self.total = total;
        let node = self.pool.take(base, size, root.0, false);
        self.by_address.insert(&mut self.pool, node);
        self.settle(node);
        Ok(())
    }

    /// Takes `size` bytes from the smallest free region, the lowest among equals, that has them at an address that
    /// is a multiple of `align`, a power of two that counts as the next larger one among the named alignments.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], [`Error::Misaligned`] of the size; [`Error::BadAlignment`], [`Error::AlignmentTooLarge`];
    /// [`Error::NoSpace`], [`Error::OutOfNodes`].
    pub fn allocate(&mut self, size: u64, align: u64) -> Result<Region, Error> {
        let (found, base, size) = self.best(size, align)?;
        self.claim(found, base, size)
    }

    /// What [`Regions::allocate`] would take; changes nothing. For those who have something to do that can fail before they
    /// take it ([`Regions::allocate_at`]).
    ///
    /// # Errors
    /// As [`Regions::allocate`].
    pub fn fit(&self, size: u64, align: u64) -> Result<Region, Error> {
        let (found, base, size) = self.best(size, align)?;
        self.require_nodes(self.cuts(found, base, size))?;
        let root = RootId(self.pool.node(found).root);
        Ok(Region { root, base: self.bytes(base), size: self.bytes(size.into()) })
    }

    /// Takes the `size` bytes from `base` on.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], [`Error::Misaligned`], [`Error::Overflow`] of the range; [`Error::NotFree`] if any byte of
    /// it is used or not managed, or if it spans two roots; [`Error::OutOfNodes`].
    pub fn allocate_at(&mut self, base: u64, size: u64) -> Result<Region, Error> {
        let (base, size) = self.range(base, size)?;
        let found = self.holding(base);
        if found == NIL || self.pool.node(found).used || self.pool.node(found).end() < base + size {
            return Err(Error::NotFree);
        }
        self.claim(found, base, size as u32)
    }

    /// Frees the allocation that begins at `base`, and returns it. Never lacks a node.
    ///
    /// # Errors
    /// [`Error::NotAllocated`], [`Error::NotABase`].
    pub fn free(&mut self, base: u64) -> Result<Region, Error> {
        let found = self.allocation_holding(base)?;
        let region = self.region(found);
        if region.base != base {
            return Err(Error::NotABase { base: region.base });
        }
        self.release(found);
        Ok(region)
    }

    /// Frees a part of an allocation; what remains on either side are allocations of their own.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], [`Error::Misaligned`], [`Error::Overflow`] of the range; [`Error::NotAllocated`] of
    /// its base; [`Error::BeyondAllocation`]; [`Error::OutOfNodes`].
    pub fn free_part(&mut self, base: u64, size: u64) -> Result<Region, Error> {
        let found = self.allocation_holding(base)?;
        let (base, size) = self.range(base, size)?;
        let end = self.pool.node(found).end();
        if end < base + size {
            return Err(Error::BeyondAllocation { end: self.bytes(end) });
        }
        self.require_nodes(self.cuts(found, base, size as u32))?;
        let [_, part, _] = self.carve(found, base, size as u32);
        let region = self.region(part);
        self.release(part);
        Ok(region)
    }

    /// The region that holds an address, and whether it is used; none if the address is not managed.
    #[must_use]
    pub fn find(&self, address: u64) -> Option<(Region, State)> {
        let found = self.holding(address >> self.shift);
        (found != NIL).then(|| (self.region(found), self.state(found)))
    }

    /// All regions in ascending order; each step takes logarithmic time.
    pub fn iter(&self) -> impl Iterator<Item = (Region, State)> {
        let mut at = self.by_address.first_after(&self.pool, |_| false);
        core::iter::from_fn(move || {
            let found = (at != NIL).then_some(at)?;
            at = self.after(found);
            Some((self.region(found), self.state(found)))
        })
    }

    /// The counters; takes constant time.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let [total, used, free, largest] =
            [self.total, self.used, self.total - self.used, largest(&self.by_size, &self.pool)]
                .map(|granules| self.bytes(granules.into()));
        Statistics { total, used, free, largest_free: largest }
    }

    /// The free region to take `size` bytes from, and the range to take, in granules.
    fn best(&self, size: u64, align: u64) -> Result<(Index, u64, u32), Error> {
        let (_, size) = self.range(0, size)?;
        let class = self.class(align)?;
        let size = u32::try_from(size).map_err(|_| Error::NoSpace)?;
        let found = best_fit(&self.by_size, &self.pool, size, class);
        if found == NIL {
            return Err(Error::NoSpace);
        }
        let node = self.pool.node(found);
        Ok((found, node.base + u64::from(padding(node, self.pool.masks[class])), size))
    }

    /// Marks a part of a free region as used. The caller has checked that it lies inside.
    fn claim(&mut self, free: Index, base: u64, size: u32) -> Result<Region, Error> {
        self.require_nodes(self.cuts(free, base, size))?;
        self.by_size.remove(&mut self.pool, free);
        let [front, part, back] = self.carve(free, base, size);
        for rest in [front, back] {
            if rest != NIL {
                self.by_size.insert(&mut self.pool, rest);
            }
        }
        self.pool.node_mut(part).used = true;
        self.used += size;
        Ok(self.region(part))
    }

    /// Makes a used region free.
    fn release(&mut self, node: Index) {
        self.pool.node_mut(node).used = false;
        self.used -= self.pool.node(node).size;
        self.settle(node);
    }

    /// Merges a free region, which is not in the tree by size, with its free neighbours, and puts it there.
    fn settle(&mut self, node: Index) {
        let before = self.before(node);
        let after = self.after(node);
        let merged = if self.may_merge(before, node) {
            self.by_size.remove(&mut self.pool, before);
            self.absorb(before, node);
            before
        } else {
            node
        };
        if self.may_merge(merged, after) {
            self.by_size.remove(&mut self.pool, after);
            self.absorb(merged, after);
        }
        self.by_size.insert(&mut self.pool, merged);
    }

    /// Whether two neighbours, either of which may be missing, are one free range of one root.
    fn may_merge(&self, low: Index, high: Index) -> bool {
        if low == NIL || high == NIL {
            return false;
        }
        let (low, high) = (self.pool.node(low), self.pool.node(high));
        !low.used && !high.used && low.root == high.root && low.end() == high.base
    }

    /// Extends a region by the one after it. Neither is in the tree by size.
    fn absorb(&mut self, low: Index, high: Index) {
        self.by_address.remove(&mut self.pool, high);
        self.pool.node_mut(low).size += self.pool.node(high).size;
        self.pool.give_back(high);
    }

    /// Into how many more regions than one the region is cut if this part becomes one.
    fn cuts(&self, whole: Index, base: u64, size: u32) -> usize {
        let whole = self.pool.node(whole);
        usize::from(whole.base < base) + usize::from(base + u64::from(size) < whole.end())
    }

    /// Cuts a region, which is not in the tree by size, so that this part is one; returns what is before it, the part,
    /// and what is behind it, [`NIL`] where there is nothing. All stay used or free as the whole was.
    fn carve(&mut self, whole: Index, base: u64, size: u32) -> [Index; 3] {
        let node = *self.pool.node(whole);
        let end = base + u64::from(size);
        let mut cut = |base: u64, end: u64| {
            let piece = self.pool.take(base, (end - base) as u32, node.root, node.used);
            self.by_address.insert(&mut self.pool, piece);
            piece
        };
        let back = if end < node.end() { cut(end, node.end()) } else { NIL };
        if node.base < base {
            let part = cut(base, end);
            self.pool.node_mut(whole).size = (base - node.base) as u32;
            [whole, part, back]
        } else {
            self.pool.node_mut(whole).size = size;
            [NIL, whole, back]
        }
    }

    fn require_nodes(&self, count: usize) -> Result<(), Error> {
        if self.spare_nodes() < count { Err(Error::OutOfNodes) } else { Ok(()) }
    }

    /// The region that holds a granule, or [`NIL`].
    fn holding(&self, granule: u64) -> Index {
        let found = self.by_address.last(&self.pool, |node| node.base <= granule);
        if found != NIL && granule < self.pool.node(found).end() { found } else { NIL }
    }

    /// The used region that holds an address.
    fn allocation_holding(&self, address: u64) -> Result<Index, Error> {
        let found = self.holding(address >> self.shift);
        if found == NIL || !self.pool.node(found).used {
            return Err(Error::NotAllocated { address });
        }
        Ok(found)
    }

    /// The region before another one, or [`NIL`].
    fn before(&self, node: Index) -> Index {
        let base = self.pool.node(node).base;
        self.by_address.last(&self.pool, |other| other.base < base)
    }

    /// The region after another one, or [`NIL`].
    fn after(&self, node: Index) -> Index {
        let base = self.pool.node(node).base;
        self.by_address.first_after(&self.pool, |other| other.base <= base)
    }

    /// A range in granules; its end does not overflow.
    fn range(&self, base: u64, size: u64) -> Result<(u64, u64), Error> {
        if size == 0 {
            return Err(Error::ZeroSize);
        }
        if base.checked_add(size).is_none() {
            return Err(Error::Overflow);
        }
        Ok((self.granules(base)?, self.granules(size)?))
    }

    fn granules(&self, value: u64) -> Result<u64, Error> {
        let granule = 1 << self.shift;
        if !value.is_multiple_of(granule) {
            return Err(Error::Misaligned { value, granule });
        }
        Ok(value >> self.shift)
    }

    const fn bytes(&self, granules: u64) -> u64 {
        granules << self.shift
    }

    /// Which of the named alignments serves one.
    fn class(&self, align: u64) -> Result<usize, Error> {
        if !align.is_power_of_two() {
            return Err(Error::BadAlignment { align });
        }
        let mask = (align - 1) >> self.shift;
        let masks = &self.pool.masks;
        masks.iter().position(|&named| mask <= named.into()).ok_or_else(|| {
            let most = masks.last().map_or(0, |&last| self.bytes(u64::from(last) + 1));
            Error::AlignmentTooLarge { align, most }
        })
    }

    fn region(&self, index: Index) -> Region {
        let node = self.pool.node(index);
        Region { root: RootId(node.root), base: self.bytes(node.base), size: self.bytes(node.size.into()) }
    }

    fn state(&self, index: Index) -> State {
        if self.pool.node(index).used { State::Used } else { State::Free }
    }
}
