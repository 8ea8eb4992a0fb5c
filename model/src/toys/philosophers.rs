//! Philosophers at a round table, and a fork between any two of them.

use std::fmt;

use crate::system::{Fairness, System, Violation};

/// So many philosophers there may be.
const MOST: usize = 8;

/// Each thinks, gets hungry, takes one fork, takes the other one, eats, and puts both back.
///
/// Promise n: philosopher n, once hungry, eats. They may all have one fork and wait. If one takes the forks in the other order,
/// that cannot happen; and each eats, provided that a fork that is free again and again is taken some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Philosophers {
    /// How many, 2 to 8.
    pub count: u8,
    /// The last one takes his right fork first.
    pub one_turns: bool,
    /// Taking a fork is strongly fair, not only weakly.
    pub strong: bool,
}

/// What one of them does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// He stops thinking.
    Hunger(u8),
    /// He takes his first fork.
    First(u8),
    /// He takes his second fork, and eats.
    Second(u8),
    /// He puts both back.
    Leave(u8),
}

impl fmt::Display for Act {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hunger(who) => write!(out, "philosopher {who} gets hungry"),
            Self::First(who) => write!(out, "philosopher {who} takes one fork"),
            Self::Second(who) => write!(out, "philosopher {who} takes the other fork and eats"),
            Self::Leave(who) => write!(out, "philosopher {who} puts his forks back"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Thinks,
    Hungry,
    HasOne,
    Eats,
}

/// What all of them are doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table([Phase; MOST]);

impl Philosophers {
    /// His first and his second fork. Fork n lies between n - 1 and n.
    fn forks(&self, who: u8) -> [u8; 2] {
        let (left, right) = (who, (who + 1) % self.count);
        if self.one_turns && who + 1 == self.count { [right, left] } else { [left, right] }
    }

    fn is_taken(&self, table: &Table, fork: u8) -> bool {
        (0..self.count).any(|who| {
            let [first, second] = self.forks(who);
            match table.0[usize::from(who)] {
                Phase::Thinks | Phase::Hungry => false,
                Phase::HasOne => fork == first,
                Phase::Eats => fork == first || fork == second,
            }
        })
    }

    fn next(&self, table: &Table, who: u8) -> Option<Act> {
        let [first, second] = self.forks(who);
        match table.0[usize::from(who)] {
            Phase::Thinks => Some(Act::Hunger(who)),
            Phase::Hungry => (!self.is_taken(table, first)).then_some(Act::First(who)),
            Phase::HasOne => (!self.is_taken(table, second)).then_some(Act::Second(who)),
            Phase::Eats => Some(Act::Leave(who)),
        }
    }
}

impl System for Philosophers {
    type State = Table;
    type Action = Act;

    fn initial(&self) -> Table {
        Table([Phase::Thinks; MOST])
    }

    fn actions(&self, table: &Table, _: bool, actions: &mut Vec<Act>) {
        actions.extend((0..self.count).filter_map(|who| self.next(table, who)));
    }

    fn step(&self, table: &Table, act: Act) -> Result<Table, Violation> {
        let (who, phase) = match act {
            Act::Hunger(who) => (who, Phase::Hungry),
            Act::First(who) => (who, Phase::HasOne),
            Act::Second(who) => (who, Phase::Eats),
            Act::Leave(who) => (who, Phase::Thinks),
        };
        let mut table = table.clone();
        table.0[usize::from(who)] = phase;
        Ok(table)
    }

    fn check(&self, table: &Table) -> Result<(), Violation> {
        let eats = |who: u8| table.0[usize::from(who)] == Phase::Eats;
        let both = (0..self.count).find(|&who| eats(who) && eats((who + 1) % self.count));
        both.map_or(Ok(()), |who| {
            Err(Violation { check: "fork", text: format!("philosophers {who} and {} eat", who + 1) })
        })
    }

    fn encode(&self, table: &Table, _: bool, bytes: &mut Vec<u8>) {
        bytes.extend(table.0[..usize::from(self.count)].iter().map(|it| *it as u8));
    }

    fn decode(&self, bytes: &[u8]) -> Table {
        let mut table = self.initial();
        for (phase, byte) in table.0.iter_mut().zip(bytes) {
            *phase = [Phase::Thinks, Phase::Hungry, Phase::HasOne, Phase::Eats][usize::from(*byte)];
        }
        table
    }

    fn fairness(&self, act: Act) -> Fairness {
        match act {
            Act::Hunger(_) => Fairness::None,
            Act::First(who) if self.strong => Fairness::Strong(who),
            Act::Second(who) if self.strong => Fairness::Strong(MOST as u8 + who),
            Act::First(who) => Fairness::Weak(who),
            Act::Second(who) => Fairness::Weak(MOST as u8 + who),
            Act::Leave(who) => Fairness::Weak(2 * MOST as u8 + who),
        }
    }

    fn waiting(&self, table: &Table) -> u64 {
        let waits = |who: &u8| matches!(table.0[usize::from(*who)], Phase::Hungry | Phase::HasOne);
        (0..self.count).filter(waits).fold(0, |all, who| all | 1 << who)
    }
}
