//! What an explorer needs to know of a system.

use std::fmt::{Debug, Display};

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The name of the check, as in the book: `I3`, `R`, `L1`.
    pub check: &'static str,
    /// What is wrong.
    pub text: String,
}

/// Which actions have to be taken, some time, while they can be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fairness {
    /// Never: what users and the environment may do or leave.
    None,
    /// If it can be taken from some time on without a break, it is taken.
    Weak(u8),
    /// If it can be taken again and again, it is taken.
    Strong(u8),
}

/// A closed system of finitely many states.
pub trait System: Sync {
    /// A state, as it is worked with.
    type State: Clone + Send + Debug;
    /// What can happen. It prints as a line of a story.
    type Action: Copy + Send + PartialEq + Debug + Display;

    /// Where it begins.
    fn initial(&self) -> Self::State;
    /// What can happen in a state. With `reduce`, it may be a subset that suffices to reach every kind of violation (partial-order
    /// reduction).
    fn actions(&self, state: &Self::State, reduce: bool, actions: &mut Vec<Self::Action>);
    /// What an action leads to; checks that the step is one that is allowed (refinement, progress).
    ///
    /// # Errors
    /// The step breaks a property.
    fn step(&self, state: &Self::State, action: Self::Action) -> Result<Self::State, Violation>;
    /// Checks what must hold in every state.
    ///
    /// # Errors
    /// The state breaks a property.
    fn check(&self, state: &Self::State) -> Result<(), Violation>;
    /// Writes the state in few bytes, so that `decode` gives it back. With `canonical`, all states that are the same but for the
    /// names of things (symmetry) are written alike.
    fn encode(&self, state: &Self::State, canonical: bool, bytes: &mut Vec<u8>);
    /// Reads what `encode` wrote.
    fn decode(&self, bytes: &[u8]) -> Self::State;
    /// Whether an action is one that must not be put off for ever.
    fn fairness(&self, action: Self::Action) -> Fairness;
    /// Bit n: promise n is waiting to be kept. No promise may wait for ever (liveness).
    fn waiting(&self, state: &Self::State) -> u64;
}
