//! What must hold inside the allocator between any two operations.
use std::vec::Vec;

use crate::pool::{Index, NIL, Node};
use crate::tree::{LEFT, Order, RIGHT, Tree};
use crate::{Regions, State};

/// The nodes of a tree in order, after checking its heights, its balance and its summaries.
fn walk<O: Order>(regions: &Regions<'_>, at: Index, nodes: &mut Vec<Node>) -> u8 {
    if at == NIL {
        return 0;
    }
    let pool = &regions.pool;
    let [left, right] = [LEFT, RIGHT].map(|side| Tree::<O>::child(pool, at, side));
    let low = walk::<O>(regions, left, nodes);
    let mut node = *pool.node(at);
    nodes.push(node);
    let high = walk::<O>(regions, right, nodes);
    assert!(low.abs_diff(high) <= 1, "unbalanced: {low} against {high}");
    assert_eq!(node.links[O::LINK].height, 1 + low.max(high), "height");
    let children = [left, right].map(|child| (child != NIL).then(|| pool.node(child)));
    let summary = O::summary(&node, children);
    assert!(!O::keep(&mut node, summary), "stale summary");
    1 + low.max(high)
}

fn in_order<O: Order>(regions: &Regions<'_>, tree: &Tree<O>) -> Vec<Node> {
    let mut nodes = Vec::new();
    walk::<O>(regions, tree.root(), &mut nodes);
    assert!(nodes.windows(2).all(|pair| O::before(&pair[0], &pair[1])), "out of order");
    nodes
}

/// Checks both trees, and that each of the nodes is a region or spare.
pub(super) fn check(regions: &Regions<'_>, nodes: usize) {
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
