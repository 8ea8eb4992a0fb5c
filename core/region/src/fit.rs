//! The two orders: all regions by address, and free regions by size with what they can give for each alignment.
use crate::pool::{Index, NIL, Node, Pool};
use crate::tree::{LEFT, Order, RIGHT, Tree};

/// Number of alignments that are told apart: 1, 2, 4, ... 2^21 granules (8 GiB for granules of 4 KiB).
pub(crate) const CLASSES: usize = 22;

/// All regions, free and used, by address.
#[derive(Debug)]
pub(crate) struct ByAddress;

impl Order for ByAddress {
    const LINK: usize = 0;

    fn before(a: &Node, b: &Node) -> bool {
        a.base < b.base
    }

    type Summary = ();

    fn summary(_: &Node, _: [Option<&Node>; 2]) {}

    fn keep(_: &mut Node, (): ()) -> bool {
        false
    }
}

/// Free regions by size, then address. Each node knows, for each alignment, the most granules that some region of its
/// subtree can give from an aligned granule on.
#[derive(Debug)]
pub(crate) struct BySize;

impl Order for BySize {
    const LINK: usize = 1;

    fn before(a: &Node, b: &Node) -> bool {
        (a.size, a.base) < (b.size, b.base)
    }

    type Summary = [u32; CLASSES];

    fn summary(node: &Node, children: [Option<&Node>; 2]) -> [u32; CLASSES] {
        let mut best = core::array::from_fn(|class| usable(node, class));
        for child in children.into_iter().flatten() {
            for (best, below) in best.iter_mut().zip(&child.best) {
                *best = (*best).max(*below);
            }
        }
        best
    }

    fn keep(node: &mut Node, best: [u32; CLASSES]) -> bool {
        let changed = node.best != best;
        node.best = best;
        changed
    }
}

/// Granules before the first one of the node that is aligned to 2^`class` granules.
pub(crate) fn padding(node: &Node, class: usize) -> u64 {
    node.base.wrapping_neg() & ((1 << class) - 1)
}

/// Granules that the node can give from an aligned one on.
fn usable(node: &Node, class: usize) -> u32 {
    // No padding reaches 2^(CLASSES - 1), so it fits in 32 bits.
    node.size.saturating_sub(padding(node, class) as u32)
}

/// The smallest free region, the lowest among equals, that holds `size` granules from an aligned granule on; or [`NIL`].
///
/// One way down: the smallest region that fits is the leftmost, and each subtree says whether it has one.
pub(crate) fn best_fit(tree: &Tree<BySize>, pool: &Pool<'_>, size: u32, class: usize) -> Index {
    let has = |index: Index| index != NIL && pool.node(index).best[class] >= size;
    let mut at = tree.root();
    if !has(at) {
        return NIL;
    }
    loop {
        let left = Tree::<BySize>::child(pool, at, LEFT);
        if has(left) {
            at = left;
        } else if usable(pool.node(at), class) >= size {
            return at;
        } else {
            at = Tree::<BySize>::child(pool, at, RIGHT);
        }
    }
}

/// Granules of the largest free region.
pub(crate) fn largest(tree: &Tree<BySize>, pool: &Pool<'_>) -> u32 {
    if tree.root() == NIL { 0 } else { pool.node(tree.root()).best[0] }
}
