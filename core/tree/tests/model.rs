//! The tree beside a `BTreeMap`, with order, balance, links and augmentation checked after every step.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tree::{Links, NONE, Nodes, NodesMut, Tree};

#[derive(Clone, Copy, Default)]
struct Node {
    links: Links,
    height: u8,
    key: u64,
    end: u64,
    max_end: u64,
}

struct Arena(Vec<Node>);

impl Nodes for Arena {
    fn links(&self, node: u32) -> &Links {
        &self.0[node as usize].links
    }
    fn height(&self, node: u32) -> u8 {
        self.0[node as usize].height
    }
}

impl NodesMut for Arena {
    fn links_mut(&mut self, node: u32) -> &mut Links {
        &mut self.0[node as usize].links
    }
    fn set_height(&mut self, node: u32, height: u8) {
        self.0[node as usize].height = height;
    }
    fn refresh(&mut self, node: u32) -> bool {
        let links = self.0[node as usize].links;
        let mut max = self.0[node as usize].end;
        for child in [links.left, links.right] {
            if child != NONE {
                max = max.max(self.0[child as usize].max_end);
            }
        }
        std::mem::replace(&mut self.0[node as usize].max_end, max) != max
    }
    fn absorb(&mut self, node: u32, new: u32) -> bool {
        let end = self.0[new as usize].end;
        let kept = &mut self.0[node as usize].max_end;
        let grows = end > *kept;
        *kept = end.max(*kept);
        grows
    }
}

/// Height and greatest end of the subtree; the keys go to `keys` in order.
fn check(arena: &Arena, node: u32, parent: u32, keys: &mut Vec<u64>) -> (u8, u64) {
    if node == NONE {
        return (0, 0);
    }
    let n = &arena.0[node as usize];
    assert_eq!(n.links.parent, parent, "parent link");
    let (left, left_end) = check(arena, n.links.left, node, keys);
    keys.push(n.key);
    let (right, right_end) = check(arena, n.links.right, node, keys);
    assert!(left.abs_diff(right) <= 1, "balance");
    assert_eq!(n.height, 1 + left.max(right), "height");
    assert_eq!(n.max_end, n.end.max(left_end).max(right_end), "augmentation");
    (n.height, n.max_end)
}

fn check_all(tree: &Tree, arena: &Arena, model: &BTreeMap<u64, u32>) {
    let mut keys = Vec::new();
    check(arena, tree.root(), NONE, &mut keys);
    assert!(keys.iter().eq(model.keys()), "order");
    let mut forward = Vec::new();
    let mut at = tree.first(arena);
    while at != NONE {
        forward.push(at);
        at = tree.next(arena, at);
    }
    assert!(forward.iter().eq(model.values()), "walk by next");
    let mut at = tree.last(arena);
    while let Some(expected) = forward.pop() {
        assert_eq!(at, expected, "walk by prev");
        at = tree.prev(arena, at);
    }
    assert_eq!(at, NONE);
}

fn check_searches(tree: &Tree, arena: &Arena, model: &BTreeMap<u64, u32>, place: u64, reach: u64) {
    let before = |a: &Arena, n: u32| a.0[n as usize].key < place;
    let above = model.range(place..).next().map_or(NONE, |(_, &n)| n);
    assert_eq!(tree.lower_bound(arena, before), above);
    let below = model.range(..place).next_back().map_or(NONE, |(_, &n)| n);
    assert_eq!(tree.predecessor(arena, before), below);
    let expected = model.range(..place).rev().map(|(_, &n)| n).find(|&n| arena.0[n as usize].end > reach);
    let (found_below, found) = tree.predecessor_and_hit(
        arena,
        before,
        |a, n| a.0[n as usize].end > reach,
        |a, n| a.0[n as usize].max_end > reach,
    );
    assert_eq!(found_below, below);
    assert_eq!(found, expected.unwrap_or(NONE), "pruned search");
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64, u64),
    InsertAfter(u64, u64),
    Remove(u64),
    Replace(u64),
    Search(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..200u64;
    prop_oneof![
        4 => (key.clone(), 0..400u64).prop_map(|(k, e)| Step::Insert(k, e)),
        2 => (key.clone(), 0..400u64).prop_map(|(k, e)| Step::InsertAfter(k, e)),
        3 => key.clone().prop_map(Step::Remove),
        1 => key.clone().prop_map(Step::Replace),
        2 => (key, 0..400u64).prop_map(|(k, r)| Step::Search(k, r)),
    ]
}

fn run(steps: Vec<Step>) {
    let mut arena = Arena(vec![Node::default()]);
    let mut tree = Tree::new();
    let mut model: BTreeMap<u64, u32> = BTreeMap::new();
    for step in steps {
        match step {
            Step::Insert(key, end) | Step::InsertAfter(key, end) if !model.contains_key(&key) => {
                let node = arena.0.len() as u32;
                arena.0.push(Node { key, end, ..Node::default() });
                if matches!(step, Step::Insert(..)) {
                    tree.insert(&mut arena, node, |a, n| a.0[n as usize].key < key);
                } else {
                    let place = model.range(..key).next_back().map_or(NONE, |(_, &n)| n);
                    tree.insert_after(&mut arena, place, node);
                }
                model.insert(key, node);
            }
            Step::Insert(..) | Step::InsertAfter(..) => {}
            Step::Remove(key) => {
                if let Some((&key, &node)) = model.range(key..).next() {
                    tree.remove(&mut arena, node);
                    model.remove(&key);
                    assert_eq!(arena.0[node as usize].links, Links::EMPTY);
                }
            }
            Step::Replace(key) => {
                if let Some((&key, &old)) = model.range(key..).next() {
                    let new = arena.0.len() as u32;
                    let end = arena.0[old as usize].end;
                    arena.0.push(Node { key, end, ..Node::default() });
                    tree.replace(&mut arena, old, new);
                    model.insert(key, new);
                }
            }
            Step::Search(place, reach) => check_searches(&tree, &arena, &model, place, reach),
        }
        check_all(&tree, &arena, &model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn agrees_with_an_ordered_map_after_every_step(steps in prop::collection::vec(step(), 0..300)) {
        run(steps);
    }
}

#[test]
fn equal_keys_stay_in_the_order_of_their_insertion() {
    let mut arena = Arena(vec![Node::default()]);
    let mut tree = Tree::new();
    for node in 1..=100u32 {
        arena.0.push(Node { key: 7, ..Node::default() });
        tree.insert(&mut arena, node, |a, n| a.0[n as usize].key <= 7);
    }
    let mut at = tree.first(&arena);
    for node in 1..=100 {
        assert_eq!(at, node);
        at = tree.next(&arena, at);
    }
}

#[test]
fn a_million_ascending_keys_make_a_tree_of_logarithmic_height() {
    let mut arena = Arena(vec![Node::default()]);
    let mut tree = Tree::new();
    for node in 1..=1_000_000u32 {
        arena.0.push(Node { key: u64::from(node), end: u64::from(node), ..Node::default() });
        let last = node - 1;
        tree.insert_after(&mut arena, last, node);
    }
    assert_eq!(arena.height(tree.root()), 20);
}
