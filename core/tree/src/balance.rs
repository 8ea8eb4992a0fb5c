//! Inserting, removing and replacing nodes, and keeping the tree balanced.

use crate::search::{leftmost, rightmost};
use crate::{Links, NONE, NodesMut, Tree};

impl Tree {
    /// Inserts `node` behind all nodes that are `before` it. `before` must hold for a prefix of the order.
    #[inline]
    pub fn insert<N: NodesMut>(&mut self, nodes: &mut N, node: u32, before: impl Fn(&N, u32) -> bool) {
        let (mut at, mut parent, mut right) = (self.root, NONE, false);
        while at != NONE {
            parent = at;
            right = before(nodes, at);
            let links = nodes.links(at);
            at = if right { links.right } else { links.left };
        }
        self.attach(nodes, node, parent, right);
    }

    /// Inserts `node` right behind `place`, or as the first when `place` is [`NONE`]; needs no comparison.
    pub fn insert_after<N: NodesMut>(&mut self, nodes: &mut N, place: u32, node: u32) {
        if place == NONE {
            let first = self.first(nodes);
            return self.attach(nodes, node, first, false);
        }
        let right = nodes.links(place).right;
        if right == NONE {
            self.attach(nodes, node, place, true);
        } else {
            let next = leftmost(nodes, right);
            self.attach(nodes, node, next, false);
        }
    }

    /// Takes `node` out.
    pub fn remove<N: NodesMut>(&mut self, nodes: &mut N, node: u32) {
        let links = *nodes.links(node);
        if links.left != NONE && links.right != NONE {
            self.remove_inner(nodes, node, links);
        } else {
            let child = if links.left != NONE { links.left } else { links.right };
            self.swap_child(nodes, links.parent, node, child);
            self.retrace(nodes, links.parent, NONE);
        }
        *nodes.links_mut(node) = Links::EMPTY;
        nodes.set_height(node, 0);
    }

    /// Puts `new`, which is in no tree, in the place of `old`, which leaves it. Their keys must be
    /// equal as far as order and augmentation go. Constant time.
    #[inline]
    pub fn replace<N: NodesMut>(&mut self, nodes: &mut N, old: u32, new: u32) {
        self.take_place(nodes, old, new);
        nodes.refresh(new);
        *nodes.links_mut(old) = Links::EMPTY;
        nodes.set_height(old, 0);
    }

    /// Makes `node` a leaf under `parent`.
    fn attach<N: NodesMut>(&mut self, nodes: &mut N, node: u32, parent: u32, right: bool) {
        *nodes.links_mut(node) = Links { parent, left: NONE, right: NONE };
        nodes.set_height(node, 1);
        nodes.refresh(node);
        if parent == NONE {
            self.root = node;
            return;
        }
        *nodes.links_mut(parent).child_mut(!right) = node;
        self.grow(nodes, node, parent);
    }

    /// Makes heights, balance and augmentation right above the new leaf `node`. One rotation at most.
    fn grow<N: NodesMut>(&mut self, nodes: &mut N, node: u32, mut at: u32) {
        let (mut below, mut height_below, mut absorbs) = (node, 1, true);
        while at != NONE {
            let Links { parent, left, right } = *nodes.links(at);
            absorbs = absorbs && nodes.absorb(at, node);
            if nodes.height(at) > height_below {
                at = parent;
                break;
            }
            if height_below > 1 + height(nodes, if left == below { right } else { left }) {
                self.rotate(nodes, at, left == below);
                at = parent;
                break;
            }
            height_below += 1;
            nodes.set_height(at, height_below);
            (below, at) = (at, parent);
        }
        // Above, no height changes any more.
        while absorbs && at != NONE {
            absorbs = nodes.absorb(at, node);
            at = nodes.links(at).parent;
        }
    }

    /// Takes out a node with two children: a neighbour in order, from the higher side, takes its place.
    fn remove_inner<N: NodesMut>(&mut self, nodes: &mut N, node: u32, links: Links) {
        let from_left = nodes.height(links.left) > nodes.height(links.right);
        let heir = if from_left { rightmost(nodes, links.left) } else { leftmost(nodes, links.right) };
        let old = *nodes.links(heir);
        let orphan = if from_left { old.left } else { old.right };
        self.swap_child(nodes, old.parent, heir, orphan);
        self.take_place(nodes, node, heir);
        let start = if old.parent == node { heir } else { old.parent };
        self.retrace(nodes, start, heir);
    }

    /// Gives `new` the links and height of `old`, and tells the nodes around.
    #[inline]
    fn take_place<N: NodesMut>(&mut self, nodes: &mut N, old: u32, new: u32) {
        let links = *nodes.links(old);
        let height = nodes.height(old);
        *nodes.links_mut(new) = links;
        nodes.set_height(new, height);
        if links.left != NONE {
            nodes.links_mut(links.left).parent = new;
        }
        if links.right != NONE {
            nodes.links_mut(links.right).parent = new;
        }
        self.set_child(nodes, links.parent, old, new);
    }

    /// Puts `child` (or nothing) in the place of `old` below `parent`.
    #[inline]
    fn swap_child<N: NodesMut>(&mut self, nodes: &mut N, parent: u32, old: u32, child: u32) {
        if child != NONE {
            nodes.links_mut(child).parent = parent;
        }
        self.set_child(nodes, parent, old, child);
    }

    /// Lets `parent`, or the root, point to `child` where it pointed to `old`.
    #[inline]
    fn set_child<N: NodesMut>(&mut self, nodes: &mut N, parent: u32, old: u32, child: u32) {
        if parent == NONE {
            self.root = child;
            return;
        }
        let links = nodes.links_mut(parent);
        if links.left == old {
            links.left = child;
        } else {
            links.right = child;
        }
    }

    /// Makes heights, balance and augmentation right from `at` upwards, until nothing changes any more.
    /// What `moved` kept came from another place, so the way never ends before it nor at it.
    fn retrace<N: NodesMut>(&mut self, nodes: &mut N, mut at: u32, moved: u32) {
        let mut must = moved != NONE;
        while at != NONE {
            let Links { parent, left, right } = *nodes.links(at);
            let (left, right) = (height(nodes, left), height(nodes, right));
            if left.abs_diff(right) > 1 {
                self.rotate(nodes, at, left > right);
            } else if !nodes.recompute(at) && !must {
                return;
            }
            if at == moved {
                must = false;
            }
            at = parent;
        }
    }

    /// Rebalances at `at`, whose left or right subtree is too high by one.
    fn rotate<N: NodesMut>(&mut self, nodes: &mut N, at: u32, left_high: bool) {
        let child = nodes.links(at).child(left_high);
        let links = *nodes.links(child);
        if height(nodes, links.child(left_high)) < height(nodes, links.child(!left_high)) {
            self.raise(nodes, child, !left_high);
        }
        self.raise(nodes, at, left_high);
    }

    /// The left or right child of `at` goes up, and `at` becomes its child on the other side.
    fn raise<N: NodesMut>(&mut self, nodes: &mut N, at: u32, left: bool) {
        let links = *nodes.links(at);
        let up = links.child(left);
        let middle = core::mem::replace(nodes.links_mut(up).child_mut(!left), at);
        self.swap_child(nodes, links.parent, at, up);
        nodes.links_mut(at).parent = up;
        *nodes.links_mut(at).child_mut(left) = middle;
        if middle != NONE {
            nodes.links_mut(middle).parent = at;
        }
        // The lower before the upper.
        nodes.recompute(at);
        nodes.recompute(up);
    }
}

/// Height of the subtree at `node`, which may be [`NONE`].
#[inline]
fn height(nodes: &impl NodesMut, node: u32) -> u8 {
    if node == NONE { 0 } else { nodes.height(node) }
}
