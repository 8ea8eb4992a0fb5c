//! An AVL tree whose nodes are numbers of a pool, with room for what a subtree knows about itself.
//!
//! Nodes have no parent links: each change remembers its way down in a fixed array, so nothing recurses. A tree of
//! `n` nodes is at most 1.44 log2(n + 2) high, which bounds insertion, removal and search in the worst case
//! (Knuth, The Art of Computer Programming 3, section 6.2.3).
use core::marker::PhantomData;

use crate::pool::{Index, Links, NIL, Node, Pool};

/// Left, as an index of [`Links::child`].
pub(crate) const LEFT: usize = 0;
/// Right.
pub(crate) const RIGHT: usize = 1;

/// More than the height of any AVL tree of less than 2^32 nodes.
const MAX_HEIGHT: usize = 48;

/// What makes one tree different from another.
pub(crate) trait Order<const CLASSES: usize> {
    /// Which of a node's links the tree uses.
    const LINK: usize;
    /// Whether `a` stands before `b`; different nodes of a tree are never equal.
    fn before(a: &Node<CLASSES>, b: &Node<CLASSES>) -> bool;
    /// What a node knows of its subtree.
    type Summary;
    /// That of `node` with its two children, either of which may be [`NIL`].
    fn summary(pool: &Pool<'_, CLASSES>, node: Index, children: [Index; 2]) -> Self::Summary;
    /// Writes it down in the node; says whether it changed.
    fn keep(node: &mut Node<CLASSES>, summary: Self::Summary) -> bool;
}

/// A tree of nodes that are in the pool given to each call.
#[derive(Debug)]
pub(crate) struct Tree<O, const CLASSES: usize> {
    root: Index,
    order: PhantomData<O>,
}

/// The way from the root to a place below its last step.
struct Path {
    nodes: [Index; MAX_HEIGHT],
    /// A bit for each step that went right.
    sides: u64,
    length: usize,
}

impl Path {
    const fn new() -> Self {
        Self { nodes: [NIL; MAX_HEIGHT], sides: 0, length: 0 }
    }

    fn push(&mut self, node: Index, side: usize) {
        self.nodes[self.length] = node;
        self.sides = self.sides << 1 | side as u64;
        self.length += 1;
    }

    fn pop(&mut self) -> Option<(Index, usize)> {
        self.length = self.length.checked_sub(1)?;
        let side = self.sides & 1;
        self.sides >>= 1;
        Some((self.nodes[self.length], side as usize))
    }
}

impl<O: Order<CLASSES>, const CLASSES: usize> Tree<O, CLASSES> {
    pub(crate) const fn new() -> Self {
        Self { root: NIL, order: PhantomData }
    }

    /// The topmost node, or [`NIL`].
    pub(crate) const fn root(&self) -> Index {
        self.root
    }

    /// A child of a node, or [`NIL`].
    pub(crate) fn child(pool: &Pool<'_, CLASSES>, node: Index, side: usize) -> Index {
        pool.node(node).links[O::LINK].child[side]
    }

    /// Puts a node in that is not in the tree.
    pub(crate) fn insert(&mut self, pool: &mut Pool<'_, CLASSES>, node: Index) {
        let mut path = Path::new();
        let mut at = self.root;
        while at != NIL {
            let side = if O::before(pool.node(node), pool.node(at)) { LEFT } else { RIGHT };
            path.push(at, side);
            at = Self::child(pool, at, side);
        }
        pool.node_mut(node).links[O::LINK] = Links::LEAF;
        Self::update(pool, node);
        let depth = path.length;
        self.climb(pool, path, node, depth);
    }

    /// Takes a node out that is in the tree; what the order compares must be as it was when it was put in.
    pub(crate) fn remove(&mut self, pool: &mut Pool<'_, CLASSES>, node: Index) {
        let mut path = Path::new();
        let mut at = self.root;
        while at != node {
            let side = if O::before(pool.node(node), pool.node(at)) { LEFT } else { RIGHT };
            path.push(at, side);
            at = Self::child(pool, at, side);
        }
        let hole = path.length;
        let [left, right] = pool.node(node).links[O::LINK].child;
        let heir = match (left, right) {
            (left, NIL) => left,
            (NIL, right) => right,
            _ => Self::take_over(pool, node, &mut path),
        };
        self.climb(pool, path, heir, hole);
    }

    /// Puts the successor of `node`, which has two children, at its place, extends the path to where the successor was,
    /// and returns what must be linked there.
    fn take_over(pool: &mut Pool<'_, CLASSES>, node: Index, path: &mut Path) -> Index {
        let hole = path.length;
        path.push(node, RIGHT);
        let mut successor = Self::child(pool, node, RIGHT);
        while Self::child(pool, successor, LEFT) != NIL {
            path.push(successor, LEFT);
            successor = Self::child(pool, successor, LEFT);
        }
        let orphan = Self::child(pool, successor, RIGHT);
        pool.node_mut(successor).links[O::LINK] = pool.node(node).links[O::LINK];
        path.nodes[hole] = successor;
        orphan
    }

    /// Links `child` at the path's end, then balances upwards. Once a subtree looks as before, the rest may stay as it
    /// is; but not below step `settled`, where a removal has moved nodes.
    fn climb(&mut self, pool: &mut Pool<'_, CLASSES>, mut path: Path, mut child: Index, settled: usize) {
        while let Some((at, side)) = path.pop() {
            pool.node_mut(at).links[O::LINK].child[side] = child;
            let (top, changed) = Self::balance(pool, at);
            if !changed && path.length < settled {
                return;
            }
            child = top;
        }
        self.root = child;
    }

    /// Restores the balance of a node whose subtrees are balanced; returns the top of its subtree and whether that
    /// looks different from above.
    fn balance(pool: &mut Pool<'_, CLASSES>, at: Index) -> (Index, bool) {
        let [left, right] = pool.node(at).links[O::LINK].child;
        let (left_height, right_height) = (Self::height(pool, left), Self::height(pool, right));
        if left_height > right_height + 1 {
            (Self::straighten_and_rotate(pool, at, LEFT), true)
        } else if right_height > left_height + 1 {
            (Self::straighten_and_rotate(pool, at, RIGHT), true)
        } else {
            (at, Self::update(pool, at))
        }
    }

    /// Lifts the child on the heavy side above `at`; a child that is heavy on its inner side is rotated first.
    fn straighten_and_rotate(pool: &mut Pool<'_, CLASSES>, at: Index, heavy: usize) -> Index {
        let child = Self::child(pool, at, heavy);
        let inner = Self::height(pool, Self::child(pool, child, 1 - heavy));
        let outer = Self::height(pool, Self::child(pool, child, heavy));
        if inner > outer {
            let lifted = Self::rotate(pool, child, 1 - heavy);
            pool.node_mut(at).links[O::LINK].child[heavy] = lifted;
        }
        Self::rotate(pool, at, heavy)
    }

    /// Lifts the child on `side` above `at` and returns it.
    fn rotate(pool: &mut Pool<'_, CLASSES>, at: Index, side: usize) -> Index {
        let top = Self::child(pool, at, side);
        let between = Self::child(pool, top, 1 - side);
        pool.node_mut(at).links[O::LINK].child[side] = between;
        pool.node_mut(top).links[O::LINK].child[1 - side] = at;
        Self::update(pool, at);
        Self::update(pool, top);
        top
    }

    /// Recomputes a node's height and what it knows of its subtree; says whether either changed.
    fn update(pool: &mut Pool<'_, CLASSES>, at: Index) -> bool {
        let [left, right] = pool.node(at).links[O::LINK].child;
        let height = 1 + Self::height(pool, left).max(Self::height(pool, right));
        let summary = O::summary(pool, at, [left, right]);
        let node = pool.node_mut(at);
        let grown = node.links[O::LINK].height != height;
        node.links[O::LINK].height = height;
        O::keep(node, summary) || grown
    }

    fn height(pool: &Pool<'_, CLASSES>, at: Index) -> u8 {
        if at == NIL { 0 } else { pool.node(at).links[O::LINK].height }
    }

    /// The last node for which `early` holds, or [`NIL`]; it must hold for a first part of the order and then no more.
    pub(crate) fn last(&self, pool: &Pool<'_, CLASSES>, early: impl Fn(&Node<CLASSES>) -> bool) -> Index {
        let (mut at, mut found) = (self.root, NIL);
        while at != NIL {
            let is_early = early(pool.node(at));
            if is_early {
                found = at;
            }
            at = Self::child(pool, at, if is_early { RIGHT } else { LEFT });
        }
        found
    }

    /// The first node for which `early` does not hold, or [`NIL`].
    pub(crate) fn first_after(
        &self,
        pool: &Pool<'_, CLASSES>,
        early: impl Fn(&Node<CLASSES>) -> bool,
    ) -> Index {
        let (mut at, mut found) = (self.root, NIL);
        while at != NIL {
            let is_early = early(pool.node(at));
            if !is_early {
                found = at;
            }
            at = Self::child(pool, at, if is_early { RIGHT } else { LEFT });
        }
        found
    }
}
