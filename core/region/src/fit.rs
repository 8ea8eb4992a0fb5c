//! The two orders: all regions by address, and free regions by size with what they can give for each alignment.
use crate::pool::{Index, NIL, Node, Pool};
use crate::tree::{LEFT, Order, RIGHT, Tree};

/// All regions, free and used, by address.
#[derive(Debug)]
pub(crate) struct ByAddress;

impl<const CLASSES: usize> Order<CLASSES> for ByAddress {
    const LINK: usize = 0;

    fn before(a: &Node<CLASSES>, b: &Node<CLASSES>) -> bool {
        a.base < b.base
    }

    type Summary = ();

    fn summary(_: &Pool<'_, CLASSES>, _: Index, _: [Index; 2]) {}

    fn keep(_: &mut Node<CLASSES>, (): ()) -> bool {
        false
    }
}

/// Free regions by size, then address. Each node knows, for each alignment, the most granules that some region of its
/// subtree can give from an aligned granule on.
#[derive(Debug)]
pub(crate) struct BySize;

impl<const CLASSES: usize> Order<CLASSES> for BySize {
    const LINK: usize = 1;

    fn before(a: &Node<CLASSES>, b: &Node<CLASSES>) -> bool {
        (a.size, a.base) < (b.size, b.base)
    }

    type Summary = [u32; CLASSES];

    fn summary(pool: &Pool<'_, CLASSES>, node: Index, children: [Index; 2]) -> [u32; CLASSES] {
        let node = pool.node(node);
        let mut best = pool.masks.map(|mask| usable(node, mask));
        for child in children {
            if child != NIL {
                for (best, below) in best.iter_mut().zip(&pool.node(child).best) {
                    *best = (*best).max(*below);
                }
            }
        }
        best
    }

    fn keep(node: &mut Node<CLASSES>, best: [u32; CLASSES]) -> bool {
        // Comparing the arrays as a whole would be a call, which costs more than the few numbers are worth.
        let mut difference = 0;
        for (old, new) in node.best.iter_mut().zip(best) {
            difference |= *old ^ new;
            *old = new;
        }
        difference != 0
    }
}

/// Granules of the node before its first aligned one; the alignment is given in granules, less one.
pub(crate) fn padding<const CLASSES: usize>(node: &Node<CLASSES>, mask: u32) -> u32 {
    (node.base as u32).wrapping_neg() & mask
}

/// Granules that the node can give from an aligned one on.
fn usable<const CLASSES: usize>(node: &Node<CLASSES>, mask: u32) -> u32 {
    node.size.saturating_sub(padding(node, mask))
}

/// The smallest free region, the lowest among equals, that holds `size` granules from an aligned granule on; or [`NIL`].
///
/// One way down: the smallest region that fits is the leftmost, and each subtree says whether it has one.
pub(crate) fn best_fit<const CLASSES: usize>(
    tree: &Tree<BySize, CLASSES>,
    pool: &Pool<'_, CLASSES>,
    size: u32,
    class: usize,
) -> Index {
    let has = |index: Index| index != NIL && pool.node(index).best[class] >= size;
    let mut at = tree.root();
    if !has(at) {
        return NIL;
    }
    loop {
        let left = Tree::<BySize, CLASSES>::child(pool, at, LEFT);
        if has(left) {
            at = left;
        } else if usable(pool.node(at), pool.masks[class]) >= size {
            return at;
        } else {
            at = Tree::<BySize, CLASSES>::child(pool, at, RIGHT);
        }
    }
}

/// Granules of the largest free region.
pub(crate) fn largest<const CLASSES: usize>(tree: &Tree<BySize, CLASSES>, pool: &Pool<'_, CLASSES>) -> u32 {
    // The first alignment is one granule.
    if tree.root() == NIL { 0 } else { pool.node(tree.root()).best[0] }
}
