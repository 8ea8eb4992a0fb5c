//! Strongly connected components (Tarjan 1972, without recursion).

use crate::graph::{Graph, Node};
use crate::system::System;

const UNSEEN: u32 = u32::MAX;

/// Finds components in parts of one graph, again and again.
pub(crate) struct Components {
    /// In which part each node is: only steps within it count.
    part: Vec<u32>,
    last_part: u32,
    /// When each node was seen; [`UNSEEN`] in a part that was not searched.
    order: Vec<u32>,
    /// The earliest node on the stack that can be reached from each; [`UNSEEN`] when it has left the stack.
    low: Vec<u32>,
    /// Nodes whose component is not complete.
    stack: Vec<Node>,
    /// The way to where the search is: nodes and their next steps.
    way: Vec<(Node, usize)>,
}

impl Components {
    pub(crate) fn new(nodes: usize) -> Self {
        let unseen = || vec![UNSEEN; nodes];
        Self {
            part: vec![0; nodes],
            last_part: 0,
            order: unseen(),
            low: unseen(),
            stack: vec![],
            way: vec![],
        }
    }

    /// Whether a node is in a part.
    pub(crate) fn is_in(&self, node: Node, part: u32) -> bool {
        self.part[node as usize] == part
    }

    /// Makes a part of nodes.
    pub(crate) fn part(&mut self, nodes: &[Node]) -> u32 {
        self.last_part += 1;
        nodes.iter().for_each(|&node| self.part[node as usize] = self.last_part);
        self.last_part
    }

    /// The components of these nodes that have a cycle, made of the steps that count.
    pub(crate) fn find<S: System>(
        &mut self,
        graph: &Graph<'_, S>,
        nodes: &[Node],
        counts: impl Fn(u8) -> bool,
    ) -> Vec<Vec<Node>> {
        let part = self.part(nodes);
        for &node in nodes {
            self.order[node as usize] = UNSEEN;
        }
        let (mut found, mut seen) = (vec![], 0);
        for &node in nodes {
            if self.order[node as usize] == UNSEEN {
                self.enter(graph, node, &mut seen);
                self.search(graph, part, &counts, &mut seen, &mut found);
            }
        }
        found
    }

    fn enter<S: System>(&mut self, graph: &Graph<'_, S>, node: Node, seen: &mut u32) {
        self.order[node as usize] = *seen;
        self.low[node as usize] = *seen;
        *seen += 1;
        self.stack.push(node);
        self.way.push((node, graph.range(node).start));
    }

    fn search<S: System>(
        &mut self,
        graph: &Graph<'_, S>,
        part: u32,
        counts: &impl Fn(u8) -> bool,
        seen: &mut u32,
        found: &mut Vec<Vec<Node>>,
    ) {
        while let Some((node, step)) = self.way.last_mut() {
            let node = *node;
            if *step == graph.range(node).end {
                self.way.pop();
                self.leave(graph, node, counts, found);
                continue;
            }
            let (target, label) = graph.step(*step);
            *step += 1;
            if !counts(label) || !self.is_in(target, part) {
                continue;
            }
            match self.order[target as usize] {
                UNSEEN => self.enter(graph, target, seen),
                order if self.low[target as usize] != UNSEEN => self.lower(node, order),
                _ => {}
            }
        }
    }

    fn lower(&mut self, node: Node, low: u32) {
        let old = &mut self.low[node as usize];
        *old = low.min(*old);
    }

    fn leave<S: System>(
        &mut self,
        graph: &Graph<'_, S>,
        node: Node,
        counts: &impl Fn(u8) -> bool,
        found: &mut Vec<Vec<Node>>,
    ) {
        let low = self.low[node as usize];
        if let Some(&(before, _)) = self.way.last() {
            self.lower(before, low);
        }
        if low != self.order[node as usize] {
            return;
        }
        let start = self
            .stack
            .iter()
            .rposition(|it| *it == node)
            .expect("a node stays until its component is complete");
        let is_cycle = self.stack.len() - start > 1
            || graph.steps(node).any(|(target, label)| target == node && counts(label));
        let nodes = self.stack.drain(start..).inspect(|&it| self.low[it as usize] = UNSEEN);
        if is_cycle {
            found.push(nodes.collect());
        } else {
            nodes.for_each(drop);
        }
    }
}
