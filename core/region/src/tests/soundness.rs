//! What must hold inside the allocator between any two operations.
use std::vec::Vec;

use crate::pool::{Index, NIL, Node};
use crate::tree::{LEFT, Order, RIGHT, Tree};
use crate::{Regions, State};

/// The nodes of a tree in order, after checking its heights, its balance and its summaries.
fn walk<O: Order<C>, const C: usize>(regions: &Regions<'_, C>, at: Index, nodes: &mut Vec<Node<C>>) -> u8 {
    if at == NIL {
        return 0;
    }
    let pool = &regions.pool;
    let [left, right] = [LEFT, RIGHT].map(|side| Tree::<O, C>::child(pool, at, side));
    let low = walk::<O, C>(regions, left, nodes);
    let mut node = *pool.node(at);
    nodes.push(node);
    let high = walk::<O, C>(regions, right, nodes);
    assert!(low.abs_diff(high) <= 1, "unbalanced: {low} against {high}");
    assert_eq!(node.links[O::LINK].height, 1 + low.max(high), "height");
    let summary = O::summary(pool, at, [left, right]);
    assert!(!O::keep(&mut node, summary), "stale summary");
    1 + low.max(high)
}

fn in_order<O: Order<C>, const C: usize>(regions: &Regions<'_, C>, tree: &Tree<O, C>) -> Vec<Node<C>> {
    let mut nodes = Vec::new();
    walk::<O, C>(regions, tree.root(), &mut nodes);
    assert!(nodes.windows(2).all(|pair| O::before(&pair[0], &pair[1])), "out of order");
    nodes
}

/// Checks both trees, and that each of the nodes is a region or spare.
pub(super) fn check<const C: usize>(regions: &Regions<'_, C>, nodes: usize) {
    let all = in_order(regions, &regions.by_address);
    assert!(all.windows(2).all(|pair| pair[0].end() <= pair[1].base), "overlap");
    let mut free: Vec<_> = all.iter().filter(|node| !node.used).map(|node| (node.size, node.base)).collect();
    free.sort_unstable();
    let by_size = in_order(regions, &regions.by_size);
    assert!(by_size.iter().map(|node| (node.size, node.base)).eq(free), "free regions");
    assert_eq!(regions.spare_nodes() + all.len(), nodes, "nodes leaked");
    assert_eq!(
        regions.iter().filter(|(_, state)| *state == State::Used).count(),
        all.iter().filter(|n| n.used).count()
    );
}
