//! The windows, cut into free ranges and areas; as `core/region` does it, but in the nodes that all books share.
use abi::PAGE_SIZE;
use tree::NONE;

use crate::order::Order;
use crate::pool::{BY_ADDRESS, BY_SIZE, Entry, Node, Pool};
use crate::{Attributes, GIGABYTE, LARGE_PAGE};

/// The alignments that are told apart.
pub(crate) const ALIGNMENTS: [u64; 3] = [PAGE_SIZE, LARGE_PAGE, GIGABYTE];

/// A free range that is not in the order by size yet.
const FREE: Entry = Entry::Free { most: [0; ALIGNMENTS.len()] };

/// Bytes that the node can give from an aligned address on.
pub(crate) const fn usable(node: &Node, align: u64) -> u64 {
    node.end().saturating_sub(node.base.next_multiple_of(align))
}

/// Free ranges, which merge where they touch, and areas, which never do.
#[derive(Debug)]
pub(crate) struct Spans {
    /// All of them.
    by_address: Order<BY_ADDRESS>,
    /// Free ones.
    by_size: Order<BY_SIZE>,
}

impl Spans {
    pub(crate) const fn new() -> Self {
        Self { by_address: Order::new(), by_size: Order::new() }
    }

    /// The span that holds an address, or [`NONE`].
    pub(crate) fn holding(&self, pool: &Pool<'_>, address: u64) -> u32 {
        self.by_address.holding(pool, address)
    }

    /// The last span that begins before an address, or [`NONE`].
    pub(crate) fn last_before(&self, pool: &Pool<'_>, address: u64) -> u32 {
        self.by_address.last(pool, |node| node.base < address)
    }

    /// Both orders, to be checked.
    #[cfg(test)]
    pub(crate) const fn orders(&self) -> (&Order<BY_ADDRESS>, &Order<BY_SIZE>) {
        (&self.by_address, &self.by_size)
    }

    /// All nodes by address.
    pub(crate) fn iter(&self, pool: &Pool<'_>) -> impl Iterator<Item = Node> {
        let mut at = self.by_address.first(pool);
        core::iter::from_fn(move || {
            let found = (at != NONE).then_some(at)?;
            at = self.by_address.next(pool, found);
            Some(*pool.node(found))
        })
    }

    /// The smallest free range, the lowest among equals, that holds `size` bytes from an aligned address on; or [`NONE`].
    ///
    /// One way down: the smallest one that fits is the leftmost, and each subtree says whether it has one.
    pub(crate) fn best_fit(&self, pool: &Pool<'_>, size: u64, class: usize) -> u32 {
        let has = |node: u32| {
            node != NONE && matches!(pool.node(node).entry, Entry::Free { most } if most[class] >= size)
        };
        let mut at = self.by_size.root();
        if !has(at) {
            return NONE;
        }
        loop {
            let links = Order::<BY_SIZE>::links(pool, at);
            if has(links.left) {
                at = links.left;
            } else if usable(pool.node(at), ALIGNMENTS[class]) >= size {
                return at;
            } else {
                at = links.right;
            }
        }
    }

    /// How many nodes it takes to make an area of a part of a free range.
    pub(crate) fn cuts(pool: &Pool<'_>, free: u32, base: u64, size: u64) -> usize {
        let free = pool.node(free);
        usize::from(free.base < base) + usize::from(base + size < free.end())
    }

    /// Makes a part of a free range an area. The caller has checked that it lies inside, and that nodes are there.
    pub(crate) fn claim(&mut self, pool: &mut Pool<'_>, free: u32, base: u64, size: u64, area: Attributes) {
        let whole = *pool.node(free);
        let end = base + size;
        self.by_size.remove(pool, free);
        if end < whole.end() {
            let back = pool.take(end, whole.end() - end, FREE);
            self.by_address.insert(pool, back);
            self.by_size.insert(pool, back);
        }
        let part = if whole.base < base {
            pool.node_mut(free).size = base - whole.base;
            self.by_size.insert(pool, free);
            let part = pool.take(base, size, FREE);
            self.by_address.insert(pool, part);
            part
        } else {
            free
        };
        pool.node_mut(part).size = size;
        pool.node_mut(part).entry = Entry::Area(area);
    }

    /// Adds a free range. The caller has checked that it overlaps none, and that a node is there.
    pub(crate) fn add(&mut self, pool: &mut Pool<'_>, base: u64, size: u64) {
        let node = pool.take(base, size, FREE);
        self.by_address.insert(pool, node);
        self.release(pool, node);
    }

    /// Makes an area, or a new span, free, and merges it with its free neighbours.
    pub(crate) fn release(&mut self, pool: &mut Pool<'_>, node: u32) {
        pool.node_mut(node).entry = FREE;
        let before = self.by_address.prev(pool, node);
        let after = self.by_address.next(pool, node);
        let merged = if Self::may_merge(pool, before, node) {
            self.by_size.remove(pool, before);
            self.absorb(pool, before, node);
            before
        } else {
            node
        };
        if Self::may_merge(pool, merged, after) {
            self.by_size.remove(pool, after);
            self.absorb(pool, merged, after);
        }
        self.by_size.insert(pool, merged);
    }

    /// Whether two neighbours, either of which may be missing, are one free range.
    fn may_merge(pool: &Pool<'_>, low: u32, high: u32) -> bool {
        if low == NONE || high == NONE {
            return false;
        }
        let (low, high) = (pool.node(low), pool.node(high));
        low.is_free() && high.is_free() && low.end() == high.base
    }

    /// Extends a span by the one after it. Neither is in the order by size.
    fn absorb(&mut self, pool: &mut Pool<'_>, low: u32, high: u32) {
        self.by_address.remove(pool, high);
        pool.node_mut(low).size += pool.node(high).size;
        pool.give_back(high);
    }
}
