//! A token that goes round.

use std::fmt;

use crate::system::{Fairness, System, Violation};

/// How the token moves while nobody wants it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spin {
    /// It rests.
    Rests,
    /// It goes on: internal steps that do not end.
    Spins,
    /// It rests, and it need not move at all.
    IsLazy,
}

/// Nodes in a ring. One has the token and may serve what it was asked for; then, or if it was not asked, it passes the token on.
///
/// There are nodes * 2^nodes states, all reached if there is more than one node, and if turned rings are the same, 2^nodes.
/// Promise n: node n, once asked, serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// How many, 1 to 32.
    pub nodes: u32,
    /// What happens in a ring that nobody asks.
    pub spin: Spin,
}

/// What happens in a ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Move {
    /// A node is asked.
    Ask(u32),
    /// The node with the token does what it was asked for.
    Serve,
    /// It gives the token to the next one.
    Pass,
}

impl fmt::Display for Move {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask(node) => write!(out, "node {node} is asked"),
            Self::Serve => write!(out, "the node with the token serves"),
            Self::Pass => write!(out, "the token goes on"),
        }
    }
}

impl Ring {
    fn turned(&self, asked: u64, by: u32) -> u64 {
        (asked >> by | asked << (self.nodes - by)) & ((1 << self.nodes) - 1)
    }
}

impl System for Ring {
    /// Who has the token, and who was asked.
    type State = (u32, u64);
    type Action = Move;

    fn initial(&self) -> Self::State {
        (0, 0)
    }

    fn actions(&self, &(token, asked): &Self::State, _: bool, actions: &mut Vec<Move>) {
        actions.extend((0..self.nodes).filter(|node| asked >> node & 1 == 0).map(Move::Ask));
        if asked >> token & 1 == 1 {
            actions.push(Move::Serve);
        } else if asked != 0 || self.spin == Spin::Spins {
            actions.push(Move::Pass);
        }
    }

    fn step(&self, &(token, asked): &Self::State, action: Move) -> Result<Self::State, Violation> {
        Ok(match action {
            Move::Ask(node) => (token, asked | 1 << node),
            Move::Serve => (token, asked & !(1 << token)),
            Move::Pass => ((token + 1) % self.nodes, asked),
        })
    }

    fn check(&self, _: &Self::State) -> Result<(), Violation> {
        Ok(())
    }

    fn encode(&self, &(token, asked): &Self::State, canonical: bool, bytes: &mut Vec<u8>) {
        let (token, asked) = if canonical { (0, self.turned(asked, token)) } else { (token, asked) };
        bytes.push(token as u8);
        bytes.extend_from_slice(&(asked as u32).to_le_bytes());
    }

    fn decode(&self, bytes: &[u8]) -> Self::State {
        let asked = bytes[1..].iter().rev().fold(0, |asked, byte| asked << 8 | u64::from(*byte));
        (bytes[0].into(), asked)
    }

    fn fairness(&self, action: Move) -> Fairness {
        match action {
            Move::Ask(_) => Fairness::None,
            Move::Pass if self.spin == Spin::IsLazy => Fairness::None,
            Move::Serve => Fairness::Weak(0),
            // Weakly fair is too little: a node that is asked again and again would keep the token.
            Move::Pass => Fairness::Strong(1),
        }
    }

    fn waiting(&self, &(_, asked): &Self::State) -> u64 {
        asked
    }
}
