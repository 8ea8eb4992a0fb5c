//! Counters that go up, each on its own.

use std::fmt;

use crate::system::{Fairness, System, Violation};

/// So many counters there may be.
const MOST: usize = 16;

/// Counters from 0 to a top: (top + 1)^count states, count * top * (top + 1)^(count - 1) steps.
///
/// As a reduction, only the first counter that can goes up: one way from the first to the last of count * top + 1 states.
/// The counters are all alike: the states are as many as there are multisets, (count + top) over top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// How many, at most 16.
    pub count: usize,
    /// The last value of each.
    pub top: u8,
    /// The sum that no state may have.
    pub forbidden_sum: Option<u32>,
    /// The value that no step may leave.
    pub last: Option<u8>,
}

impl Counters {
    /// Nothing is wrong with these.
    #[must_use]
    pub const fn new(count: usize, top: u8) -> Self {
        Self { count, top, forbidden_sum: None, last: None }
    }
}

/// A counter goes up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count(pub u8);

impl fmt::Display for Count {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "counter {} goes up", self.0)
    }
}

impl System for Counters {
    type State = [u8; MOST];
    type Action = Count;

    fn initial(&self) -> Self::State {
        [0; MOST]
    }

    fn actions(&self, state: &Self::State, reduce: bool, actions: &mut Vec<Count>) {
        let can = (0u8..).zip(&state[..self.count]).filter(|it| *it.1 < self.top).map(|it| Count(it.0));
        actions.extend(can.take(if reduce { 1 } else { self.count }));
    }

    fn step(&self, state: &Self::State, Count(counter): Count) -> Result<Self::State, Violation> {
        let mut state = *state;
        let value = &mut state[usize::from(counter)];
        if self.last == Some(*value) {
            return Err(Violation { check: "last", text: format!("counter {counter} leaves {value}") });
        }
        *value += 1;
        Ok(state)
    }

    fn check(&self, state: &Self::State) -> Result<(), Violation> {
        let sum = state.iter().map(|it| u32::from(*it)).sum();
        match self.forbidden_sum {
            Some(forbidden) if forbidden == sum => {
                Err(Violation { check: "sum", text: format!("the sum is {sum}") })
            }
            _ => Ok(()),
        }
    }

    fn encode(&self, state: &Self::State, canonical: bool, bytes: &mut Vec<u8>) {
        let mut state = *state;
        if canonical {
            state[..self.count].sort_unstable();
        }
        bytes.extend_from_slice(&state[..self.count]);
    }

    fn decode(&self, bytes: &[u8]) -> Self::State {
        let mut state = [0; MOST];
        state[..bytes.len()].copy_from_slice(bytes);
        state
    }

    fn fairness(&self, _: Count) -> Fairness {
        Fairness::Weak(0)
    }

    fn waiting(&self, _: &Self::State) -> u64 {
        0
    }
}
