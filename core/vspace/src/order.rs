//! Trees of nodes of the pool, each in the one order that its place stands for.
use tree::{Links, NONE, Nodes, Tree};

use crate::pool::{BY_SIZE, Node, Pool, View};

/// Nodes in order of address, or of size and then address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order<const PLACE: usize>(Tree);

impl<const PLACE: usize> Order<PLACE> {
    pub(crate) const fn new() -> Self {
        Self(Tree::new())
    }

    /// What the nodes are ordered by. It must not change while a node is in the tree.
    fn key(node: &Node) -> (u64, u64) {
        if PLACE == BY_SIZE { (node.size, node.base) } else { (node.base, 0) }
    }

    pub(crate) fn insert(&mut self, pool: &mut Pool<'_>, node: u32) {
        let key = Self::key(pool.node(node));
        self.0.insert(&mut View::<_, PLACE>(pool), node, |view, at| Self::key(view.0.node(at)) < key);
    }

    pub(crate) fn remove(&mut self, pool: &mut Pool<'_>, node: u32) {
        self.0.remove(&mut View::<_, PLACE>(pool), node);
    }

    /// The last node for which `early` holds, or [`NONE`]; it must hold for a first part of the order and then no more.
    pub(crate) fn last(&self, pool: &Pool<'_>, early: impl Fn(&Node) -> bool) -> u32 {
        self.0.predecessor(&View::<_, PLACE>(pool), |view, at| early(view.0.node(at)))
    }

    /// The first node for which `early` does not hold, or [`NONE`].
    pub(crate) fn first_after(&self, pool: &Pool<'_>, early: impl Fn(&Node) -> bool) -> u32 {
        self.0.lower_bound(&View::<_, PLACE>(pool), |view, at| early(view.0.node(at)))
    }

    /// The first node, or [`NONE`].
    pub(crate) fn first(&self, pool: &Pool<'_>) -> u32 {
        self.0.first(&View::<_, PLACE>(pool))
    }

    /// The node after one, or [`NONE`].
    pub(crate) fn next(&self, pool: &Pool<'_>, node: u32) -> u32 {
        self.0.next(&View::<_, PLACE>(pool), node)
    }

    /// The node before one, or [`NONE`].
    pub(crate) fn prev(&self, pool: &Pool<'_>, node: u32) -> u32 {
        self.0.prev(&View::<_, PLACE>(pool), node)
    }

    /// The topmost node, or [`NONE`].
    pub(crate) const fn root(&self) -> u32 {
        self.0.root()
    }

    /// The links of a node, to find one's own way down.
    pub(crate) fn links(pool: &Pool<'_>, node: u32) -> Links {
        *View::<_, PLACE>(pool).links(node)
    }

    /// The node whose addresses hold this one, or [`NONE`]. The order is by address.
    pub(crate) fn holding(&self, pool: &Pool<'_>, address: u64) -> u32 {
        let found = self.last(pool, |node| node.base <= address);
        if found != NONE && address < pool.node(found).end() { found } else { NONE }
    }
}
