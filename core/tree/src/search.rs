//! Walking and searching: nothing here changes a node.

use crate::{NONE, Nodes, Tree};

impl Tree {
    /// The first node in order, [`NONE`] when the tree is empty.
    #[inline]
    pub fn first(&self, nodes: &impl Nodes) -> u32 {
        if self.root == NONE { NONE } else { leftmost(nodes, self.root) }
    }

    /// The last node in order, [`NONE`] when the tree is empty.
    #[inline]
    pub fn last(&self, nodes: &impl Nodes) -> u32 {
        if self.root == NONE { NONE } else { rightmost(nodes, self.root) }
    }

    /// The node after `node`, [`NONE`] at the end. Constant time on average over a walk.
    #[inline]
    pub fn next(&self, nodes: &impl Nodes, node: u32) -> u32 {
        let right = nodes.links(node).right;
        if right != NONE {
            return leftmost(nodes, right);
        }
        let (mut below, mut at) = (node, nodes.links(node).parent);
        while at != NONE && nodes.links(at).right == below {
            (below, at) = (at, nodes.links(at).parent);
        }
        at
    }

    /// The node before `node`, [`NONE`] at the start.
    #[inline]
    pub fn prev(&self, nodes: &impl Nodes, node: u32) -> u32 {
        let left = nodes.links(node).left;
        if left != NONE {
            return rightmost(nodes, left);
        }
        let (mut below, mut at) = (node, nodes.links(node).parent);
        while at != NONE && nodes.links(at).left == below {
            (below, at) = (at, nodes.links(at).parent);
        }
        at
    }

    /// The first node that is not `before` the place looked for, or [`NONE`]. `before` must hold for a
    /// prefix of the order and for nothing behind it.
    #[inline]
    pub fn lower_bound<N: Nodes>(&self, nodes: &N, before: impl Fn(&N, u32) -> bool) -> u32 {
        let (mut at, mut found) = (self.root, NONE);
        while at != NONE {
            if before(nodes, at) {
                at = nodes.links(at).right;
            } else {
                (found, at) = (at, nodes.links(at).left);
            }
        }
        found
    }

    /// The last node that is `before` the place looked for, or [`NONE`].
    #[inline]
    pub fn predecessor<N: Nodes>(&self, nodes: &N, before: impl Fn(&N, u32) -> bool) -> u32 {
        let (mut at, mut found) = (self.root, NONE);
        while at != NONE {
            if before(nodes, at) {
                (found, at) = (at, nodes.links(at).right);
            } else {
                at = nodes.links(at).left;
            }
        }
        found
    }

    /// The last node that is `before` a place, as [`Tree::predecessor`], and the last of those before it that is a
    /// `hit`, each [`NONE`] if there is none.
    ///
    /// `subtree` says from what a node keeps about its subtree (see [`crate::NodesMut::refresh`]) whether there
    /// is a hit in it; it must neither miss one nor promise one that is not there. Then the search
    /// takes at most two ways down.
    #[inline]
    pub fn predecessor_and_hit<N: Nodes>(
        &self,
        nodes: &N,
        before: impl Fn(&N, u32) -> bool,
        hit: impl Fn(&N, u32) -> bool,
        subtree: impl Fn(&N, u32) -> bool,
    ) -> (u32, u32) {
        let (mut at, mut place, mut found, mut whole) = (self.root, NONE, NONE, false);
        while at != NONE {
            if !before(nodes, at) {
                at = nodes.links(at).left;
                continue;
            }
            // All that lies left of a node where the way turns right is before the place, and before
            // all that comes on the way later.
            place = at;
            let left = nodes.links(at).left;
            if hit(nodes, at) {
                (found, whole) = (at, false);
            } else if left != NONE && subtree(nodes, left) {
                (found, whole) = (left, true);
            }
            at = nodes.links(at).right;
        }
        let found = if whole { last_hit_below(nodes, found, hit, subtree) } else { found };
        (place, found)
    }
}

/// The last hit in the subtree at `at`, which has one.
#[inline]
fn last_hit_below<N: Nodes>(
    nodes: &N,
    mut at: u32,
    hit: impl Fn(&N, u32) -> bool,
    subtree: impl Fn(&N, u32) -> bool,
) -> u32 {
    loop {
        let right = nodes.links(at).right;
        if right != NONE && subtree(nodes, right) {
            at = right;
        } else if hit(nodes, at) {
            return at;
        } else {
            at = nodes.links(at).left;
            if at == NONE {
                return NONE;
            }
        }
    }
}

/// The first node of the subtree at `at`.
#[inline]
pub(crate) fn leftmost(nodes: &impl Nodes, mut at: u32) -> u32 {
    loop {
        let left = nodes.links(at).left;
        if left == NONE {
            return at;
        }
        at = left;
    }
}

/// The last node of the subtree at `at`.
#[inline]
pub(crate) fn rightmost(nodes: &impl Nodes, mut at: u32) -> u32 {
    loop {
        let right = nodes.links(at).right;
        if right == NONE {
            return at;
        }
        at = right;
    }
}
