//! An intrusive balanced search tree (AVL, parent links) over nodes that are named by `u32` references.
//!
//! The tree owns no memory: its links live inside the nodes, which a [`Nodes`] implementation finds by
//! reference. Reference 0 ([`NONE`]) names no node. The kernel orders its capabilities and its timers
//! with it, without allocation (K3); every operation takes at most a logarithmic number of steps (K2).
//!
//! ```text
//!            40 h3            links: parent, left, right
//!           /     \           height: 1 for a leaf; siblings differ by at most 1
//!        20 h2    50 h1       augmentation: whatever Nodes::refresh keeps of a subtree
//!        /
//!     10 h1
//! ```
//!
//! Order is not stored: searches take a closure that says whether a node lies *before* the place that
//! is looked for. Equal keys are allowed; a new one goes behind the old ones or wherever the closure says.
//!
//! Source of the algorithm: Adelson-Velsky and Landis, 1962; removal with parent links as in Knuth,
//! The Art of Computer Programming, volume 3, section 6.2.3.
#![no_std]
#![forbid(unsafe_code)]

mod balance;
mod search;

/// The reference that names no node.
pub const NONE: u32 = 0;

/// The links of a node. All zero when it is in no tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Links {
    /// The node above, [`NONE`] for the root.
    pub parent: u32,
    /// The root of the subtree of nodes before this one.
    pub left: u32,
    /// The root of the subtree of nodes after this one.
    pub right: u32,
}

impl Links {
    /// Links of a node in no tree.
    pub const EMPTY: Links = Links { parent: NONE, left: NONE, right: NONE };

    /// The child on one side.
    #[inline(always)]
    fn child(&self, left: bool) -> u32 {
        if left { self.left } else { self.right }
    }

    /// The child on one side, to change it.
    #[inline(always)]
    fn child_mut(&mut self, left: bool) -> &mut u32 {
        if left { &mut self.left } else { &mut self.right }
    }
}

/// Finds nodes by reference, to read them.
pub trait Nodes {
    /// The links of node `node`, which is never [`NONE`].
    fn links(&self, node: u32) -> &Links;
    /// The height that was last set, 0 for a node in no tree.
    fn height(&self, node: u32) -> u8;
}

/// Finds nodes by reference, to change them.
pub trait NodesMut: Nodes {
    /// The links of node `node`, to change them.
    fn links_mut(&mut self, node: u32) -> &mut Links;
    /// Keeps the height of the subtree at `node`, at most 48 for the 2^32 nodes that references can name.
    fn set_height(&mut self, node: u32, height: u8);
    /// Computes again what `node` keeps about its subtree, from itself and its two children, which are
    /// right already. Says whether it changed. The default keeps nothing.
    #[inline(always)]
    fn refresh(&mut self, _node: u32) -> bool {
        false
    }
    /// Computes the height of `node` and, by `refresh`, what it keeps, from its two children, which are right already. Says
    /// whether anything changed. Whoever can do both in one go may do so here.
    #[inline(always)]
    fn recompute(&mut self, node: u32) -> bool {
        let Links { left, right, .. } = *self.links(node);
        let left = if left == NONE { 0 } else { self.height(left) };
        let right = if right == NONE { 0 } else { self.height(right) };
        let height = 1 + left.max(right);
        let same = self.height(node) == height;
        if !same {
            self.set_height(node, height);
        }
        self.refresh(node) || !same
    }
    /// As `refresh`, when all that has happened is that `new` was inserted below `node`: a chance to be faster.
    #[inline(always)]
    fn absorb(&mut self, node: u32, _new: u32) -> bool {
        self.refresh(node)
    }
}

/// A tree: the reference of its root. The nodes are elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tree {
    root: u32,
}

impl Tree {
    /// A tree without nodes.
    pub const fn new() -> Tree {
        Tree { root: NONE }
    }
    /// The tree with this root, which somebody keeps elsewhere.
    pub const fn from_root(root: u32) -> Tree {
        Tree { root }
    }
    /// The reference of the root, [`NONE`] when the tree is empty.
    pub const fn root(&self) -> u32 {
        self.root
    }
    /// Whether there are no nodes.
    pub const fn is_empty(&self) -> bool {
        self.root == NONE
    }
}
