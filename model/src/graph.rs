//! All states of a small system with all steps between them, exactly: no hashes in place of states, no reduction.

use std::time::Instant;

use crate::explore::{Limit, Options, hash};
use crate::story::{Story, inspect};
use crate::system::{Fairness, System, Violation};

/// A state.
pub(crate) type Node = u32;
/// A set of labels.
pub(crate) type Labels = u64;

/// The state where everything begins.
pub(crate) const ROOT: Node = 0;
/// The label of steps that may be put off for ever.
pub(crate) const NO_LABEL: u8 = u8::MAX;
/// So many labels fit in a set.
const MOST_LABELS: usize = Labels::BITS as usize;

/// States, numbered in the order in which they were reached, and steps.
pub(crate) struct Graph<'a, S: System> {
    pub(crate) system: &'a S,
    encoded: Interned,
    /// Where the steps of each state begin, and the last ones end.
    first: Vec<u32>,
    targets: Vec<Node>,
    labels: Vec<u8>,
    /// From where each state was reached first.
    parents: Vec<Node>,
    /// Which promises wait in each state.
    pub(crate) waiting: Vec<u64>,
    /// What the labels stand for.
    kinds: Vec<Fairness>,
}

/// Why there is no graph.
pub(crate) enum Failed<A> {
    /// There is too much.
    Stopped(Limit),
    /// A property of states or steps does not hold.
    Violated(Story<A>),
}

impl<'a, S: System> Graph<'a, S> {
    /// Takes all steps from all states, breadth first. Of the options, only the limits count.
    pub(crate) fn build(system: &'a S, options: &Options) -> Result<Self, Failed<S::Action>> {
        let begin = Instant::now();
        let mut graph = Self {
            system,
            encoded: Interned::default(),
            first: vec![],
            targets: vec![],
            labels: vec![],
            parents: vec![],
            waiting: vec![],
            kinds: vec![],
        };
        let (mut actions, mut node) = (vec![], ROOT);
        graph.reach(&system.initial(), ROOT);
        while (node as usize) < graph.len() {
            graph.expand(node, &mut actions)?;
            if graph.len() as u64 > options.max_states {
                return Err(Failed::Stopped(Limit::States));
            }
            if begin.elapsed() >= options.max_time {
                return Err(Failed::Stopped(Limit::Time));
            }
            if graph.bytes() > options.max_bytes || graph.targets.len() >= u32::MAX as usize / 2 {
                return Err(Failed::Stopped(Limit::Memory));
            }
            node += 1;
        }
        graph.first.push(graph.targets.len() as u32);
        Ok(graph)
    }

    pub(crate) fn len(&self) -> usize {
        self.encoded.len()
    }

    pub(crate) fn edges(&self) -> usize {
        self.targets.len()
    }

    /// What it takes of the memory, with the most that the search for components adds: six words of 32 bits in its lists for each
    /// state, and its way.
    pub(crate) fn bytes(&self) -> usize {
        self.encoded.bytes()
            + self.targets.capacity() * 5
            + self.parents.capacity() * (2 * 4 + 8)
            + self.len() * 16
    }

    /// The steps of a state: where they lead, and how they are labelled.
    pub(crate) fn steps(&self, node: Node) -> impl Iterator<Item = (Node, u8)> {
        let range = self.range(node);
        self.targets[range.clone()].iter().copied().zip(self.labels[range].iter().copied())
    }

    pub(crate) fn range(&self, node: Node) -> std::ops::Range<usize> {
        self.first[node as usize] as usize..self.first[node as usize + 1] as usize
    }

    pub(crate) fn step(&self, at: usize) -> (Node, u8) {
        (self.targets[at], self.labels[at])
    }

    /// The labels of all that can happen in a state.
    pub(crate) fn enabled(&self, node: Node) -> Labels {
        self.steps(node).fold(0, |all, (_, label)| all | set(label))
    }

    /// The labels of weak and those of strong fairness.
    pub(crate) fn fair_labels(&self) -> (Labels, Labels) {
        let weak = |it: &Fairness| matches!(it, Fairness::Weak(_));
        (0u8..).zip(&self.kinds).fold((0, 0), |(weakly, strongly), (label, kind)| {
            if weak(kind) { (weakly | set(label), strongly) } else { (weakly, strongly | set(label)) }
        })
    }

    /// The states on the shortest way to this one, with both ends.
    pub(crate) fn way_to(&self, node: Node) -> Vec<Node> {
        let before = |it: &Node| (*it != ROOT).then(|| self.parents[*it as usize]);
        let mut way: Vec<_> = std::iter::successors(Some(node), before).collect();
        way.reverse();
        way
    }

    /// The actions that lead from state to state, from the initial one on, each with the label that is asked for, if one is.
    pub(crate) fn actions(&self, way: &[Node], labels: &[Option<u8>]) -> Vec<S::Action> {
        let mut state = self.system.initial();
        let (mut taken, mut actions, mut bytes) = (vec![], vec![], vec![]);
        for (&next, &label) in way[1..].iter().zip(labels) {
            actions.clear();
            self.system.actions(&state, false, &mut actions);
            let mut fitting = actions.iter().filter(|it| label.is_none_or(|label| self.known(**it) == label));
            let found = fitting.find_map(|&action| {
                let reached = self.system.step(&state, action).ok()?;
                bytes.clear();
                self.system.encode(&reached, false, &mut bytes);
                (bytes == self.encoded.get(next)).then_some((action, reached))
            });
            let (action, reached) = found.expect("this step was taken before");
            taken.push(action);
            state = reached;
        }
        taken
    }

    fn expand(&mut self, node: Node, actions: &mut Vec<S::Action>) -> Result<(), Failed<S::Action>> {
        let state = self.system.decode(self.encoded.get(node));
        self.first.push(self.targets.len() as u32);
        self.waiting.push(self.system.waiting(&state));
        inspect(self.system, &state, false, actions).map_err(|it| self.violated(node, None, it))?;
        for &action in &*actions {
            let next =
                self.system.step(&state, action).map_err(|it| self.violated(node, Some(action), it))?;
            let target = self.reach(&next, node);
            let label = self.label(action);
            self.targets.push(target);
            self.labels.push(label);
        }
        Ok(())
    }

    fn violated(&self, node: Node, last: Option<S::Action>, violation: Violation) -> Failed<S::Action> {
        let way = self.way_to(node);
        let mut steps = self.actions(&way, &vec![None; way.len()]);
        steps.extend(last);
        Failed::Violated(Story { steps, repeats_from: None, violation })
    }

    fn reach(&mut self, state: &S::State, parent: Node) -> Node {
        let system = self.system;
        let (node, is_new) = self.encoded.intern(|bytes| system.encode(state, false, bytes));
        if is_new {
            self.parents.push(parent);
        }
        node
    }

    /// The label of an action that was seen.
    fn known(&self, action: S::Action) -> u8 {
        let fairness = self.system.fairness(action);
        self.kinds.iter().position(|it| *it == fairness).map_or(NO_LABEL, |it| it as u8)
    }

    fn label(&mut self, action: S::Action) -> u8 {
        let (label, fairness) = (self.known(action), self.system.fairness(action));
        if label != NO_LABEL || fairness == Fairness::None {
            return label;
        }
        assert!(self.kinds.len() < MOST_LABELS, "a system has at most {MOST_LABELS} labels of fairness");
        self.kinds.push(fairness);
        self.known(action)
    }
}

/// The set of one label; empty for [`NO_LABEL`].
pub(crate) fn set(label: u8) -> Labels {
    1u64.checked_shl(label.into()).unwrap_or(0)
}

/// Encoded states, each once, by number.
struct Interned {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    encoded: Vec<u8>,
    /// Numbers by hash, in open addressing.
    slots: Vec<Node>,
}

const FREE: Node = Node::MAX;

impl Default for Interned {
    fn default() -> Self {
        Self { bytes: vec![], ends: vec![], encoded: vec![], slots: vec![FREE; 1 << 10] }
    }
}

impl Interned {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn bytes(&self) -> usize {
        self.bytes.capacity()
            + self.ends.capacity() * size_of::<usize>()
            + self.slots.len() * size_of::<Node>()
    }

    fn get(&self, node: Node) -> &[u8] {
        let node = node as usize;
        &self.bytes[if node == 0 { 0 } else { self.ends[node - 1] }..self.ends[node]]
    }

    /// The number of what is written, and whether it is new.
    fn intern(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> (Node, bool) {
        let mut encoded = std::mem::take(&mut self.encoded);
        encoded.clear();
        write(&mut encoded);
        let slot = self.slot(&encoded);
        let (node, is_new) = match self.slots[slot] {
            FREE => (self.add(slot, &encoded), true),
            node => (node, false),
        };
        self.encoded = encoded;
        (node, is_new)
    }

    fn add(&mut self, slot: usize, encoded: &[u8]) -> Node {
        let node = self.len() as Node;
        self.slots[slot] = node;
        self.bytes.extend_from_slice(encoded);
        self.ends.push(self.bytes.len());
        if self.len() > self.slots.len() / 4 * 3 {
            self.grow();
        }
        node
    }

    /// Where this is, or where it belongs.
    fn slot(&self, encoded: &[u8]) -> usize {
        let mut slot = hash(encoded, 0) as usize % self.slots.len();
        while self.slots[slot] != FREE && self.get(self.slots[slot]) != encoded {
            slot = (slot + 1) % self.slots.len();
        }
        slot
    }

    fn grow(&mut self) {
        self.slots = vec![FREE; 2 * self.slots.len()];
        for node in 0..self.len() as Node {
            let slot = self.slot(self.get(node));
            self.slots[slot] = node;
        }
    }
}
