//! What must hold inside the books between any two operations, and all that they hold, as lists.
use std::vec::Vec;

use abi::PAGE_SIZE;
use tree::{NONE, Nodes};

use crate::order::Order;
use crate::pool::{BY_SIZE, Entry, Node, Pool, View};
use crate::spans::{ALIGNMENTS, usable};
use crate::{Area, Piece, Space, Statistics, Table};

/// Everything in the books, each list in ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    /// Bases and sizes.
    pub(super) free: Vec<(u64, u64)>,
    pub(super) areas: Vec<Area>,
    pub(super) pieces: Vec<Piece>,
    /// By level first; with whether it is pinned, and its users.
    pub(super) tables: Vec<(Table, bool, u32)>,
    pub(super) empty: Option<Table>,
    pub(super) statistics: Statistics,
}

/// The nodes below one go to `nodes` in order; returns height and what the subtree can give for each alignment.
fn walk<const P: usize>(pool: &Pool<'_>, at: u32, parent: u32, nodes: &mut Vec<Node>) -> (u8, [u64; 3]) {
    if at == NONE {
        return (0, [0; 3]);
    }
    let links = Order::<P>::links(pool, at);
    let node = *pool.node(at);
    assert_eq!(links.parent, parent, "parent link");
    let (low, low_gives) = walk::<P>(pool, links.left, at, nodes);
    nodes.push(node);
    let (high, high_gives) = walk::<P>(pool, links.right, at, nodes);
    assert!(low.abs_diff(high) <= 1, "unbalanced: {low} against {high}");
    assert_eq!(View::<_, P>(pool).height(at), 1 + low.max(high), "height");
    let gives = core::array::from_fn(|i| usable(&node, ALIGNMENTS[i]).max(low_gives[i]).max(high_gives[i]));
    match node.entry {
        Entry::Free { most } if P == BY_SIZE => assert_eq!(most, gives, "stale summary"),
        _ => {}
    }
    (1 + low.max(high), gives)
}

/// The nodes of a tree in order.
fn in_order<const P: usize>(space: &Space<'_>, order: &Order<P>) -> Vec<Node> {
    let mut nodes = Vec::new();
    walk::<P>(&space.pool, order.root(), NONE, &mut nodes);
    let key = |node: &Node| if P == BY_SIZE { (node.size, node.base) } else { (node.base, 0) };
    assert!(nodes.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])), "out of order");
    nodes
}

/// Nodes of a tree by address, which do not overlap.
fn disjoint(nodes: Vec<Node>) -> Vec<Node> {
    assert!(nodes.windows(2).all(|pair| pair[0].end() <= pair[1].base), "overlap");
    assert!(nodes.iter().all(|node| node.size > 0 && (node.base | node.size).is_multiple_of(PAGE_SIZE)));
    nodes
}

/// Checks all trees, the counters, and that each of the nodes is in use or spare; returns what the books hold.
pub(super) fn check(space: &Space<'_>, nodes: usize) -> Contents {
    let (by_address, by_size) = space.spans.orders();
    let spans = disjoint(in_order(space, by_address));
    let touching_free = spans.windows(2).any(|p| p[0].is_free() && p[1].is_free() && p[0].end() == p[1].base);
    assert!(!touching_free, "free ranges that touch");
    let free: Vec<_> =
        spans.iter().filter(|node| node.is_free()).map(|node| (node.base, node.size)).collect();
    let mut sorted = free.clone();
    sorted.sort_unstable_by_key(|&(base, size)| (size, base));
    assert!(in_order(space, by_size).iter().map(|node| (node.base, node.size)).eq(sorted), "free ranges");

    let areas: Vec<_> = spans.iter().filter_map(Node::area).collect();
    assert_eq!(areas.len() + free.len(), spans.len(), "spans are free or areas");
    assert!(space.areas().eq(areas.iter().copied()));
    let piece_nodes = disjoint(in_order(space, &space.pieces));
    let pieces: Vec<_> = piece_nodes.iter().filter_map(Node::piece).collect();
    assert_eq!(pieces.len(), piece_nodes.len());
    let table_nodes: Vec<_> =
        space.tables.iter().flat_map(|level| disjoint(in_order(space, level))).collect();
    let tables: Vec<_> = table_nodes.iter().filter_map(table).collect();
    assert_eq!(tables.len(), table_nodes.len());
    let idle =
        tables.iter().filter(|(_, pinned, users)| !pinned && *users == 0).map(|(table, ..)| table.base);
    let mut idle: Vec<_> = idle.collect();
    let mut empty: Vec<_> = in_order(space, &space.empty).iter().map(|node| node.base).collect();
    idle.sort_unstable();
    empty.sort_unstable();
    assert_eq!(idle, empty, "empty tables");
    assert_eq!(space.spare_nodes() + spans.len() + pieces.len() + tables.len(), nodes, "nodes leaked");
    let (empty, statistics) = (space.empty_table(), space.statistics());
    Contents { free, areas, pieces, tables, empty, statistics }
}

fn table(node: &Node) -> Option<(Table, bool, u32)> {
    match node.entry {
        Entry::Table(entry) => node.table().map(|table| (table, entry.pinned, entry.users)),
        _ => None,
    }
}
