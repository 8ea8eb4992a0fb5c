//! How it comes to a violation: to read, to run again, to keep as a test.

use std::fmt;

use crate::system::{Fairness, System, Violation};

/// The name of the check that something goes on while a promise waits.
pub const DEADLOCK: &str = "L-deadlock";
/// The name of what is said of a story that does not fit its system.
pub const REPLAY: &str = "replay";

/// What happened, step by step, and what is wrong at its end.
///
/// It prints with a line a step. [`read`] reads that again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story<A> {
    /// From the initial state on. If a step is what is wrong, it is the last one.
    pub steps: Vec<A>,
    /// The steps from this one on go round and round.
    pub repeats_from: Option<usize>,
    /// What is wrong.
    pub violation: Violation,
}

impl<A: fmt::Debug> Story<A> {
    /// The steps in Rust, for a test.
    #[must_use]
    pub fn as_test(&self) -> String {
        let steps: String = self.steps.iter().map(|it| format!("    {it:?},\n")).collect();
        format!("replay(&system, &[\n{steps}])")
    }
}

impl<A: fmt::Display> fmt::Display for Story<A> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.steps.iter().enumerate() {
            if self.repeats_from == Some(number) {
                writeln!(out, "     again and again:")?;
            }
            writeln!(out, "{:>3}. {step}", number + 1)?;
        }
        writeln!(out, "{}", self.violation)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.check, self.text)
    }
}

/// Checks a state, and lists what can happen in it.
///
/// # Errors
/// The state breaks a property, or a promise waits in it and nothing goes on by itself.
pub fn inspect<S: System>(
    system: &S,
    state: &S::State,
    reduce: bool,
    actions: &mut Vec<S::Action>,
) -> Result<(), Violation> {
    actions.clear();
    system.check(state)?;
    system.actions(state, reduce, actions);
    let waiting = system.waiting(state);
    let goes_on = |actions: &[S::Action]| actions.iter().any(|&it| system.fairness(it) != Fairness::None);
    if waiting == 0 || goes_on(actions) {
        return Ok(());
    }
    if reduce {
        let mut all = vec![];
        system.actions(state, false, &mut all);
        if goes_on(&all) {
            return Ok(());
        }
    }
    let text = format!("promise {} waits, and nothing goes on", waiting.trailing_zeros());
    Err(Violation { check: DEADLOCK, text })
}

/// Takes steps from the initial state on, and checks every state on the way.
///
/// # Errors
/// The first property that is broken, or [`REPLAY`] for a step that cannot be taken.
pub fn replay<S: System>(system: &S, steps: &[S::Action]) -> Result<S::State, Violation> {
    let mut walk = Walk::new(system);
    walk.inspect()?;
    for &step in steps {
        if !walk.actions.contains(&step) {
            let text = format!("`{step}` cannot happen as step {}", walk.steps.len() + 1);
            return Err(Violation { check: REPLAY, text });
        }
        walk.step(step)?;
        walk.inspect()?;
    }
    Ok(walk.state)
}

/// Reads the steps of a story that was printed. Lines without a number are left out.
///
/// # Errors
/// A line that is nothing that can happen, in words.
pub fn read<S: System>(system: &S, text: &str) -> Result<Vec<S::Action>, String> {
    let mut walk = Walk::new(system);
    for line in text.lines().filter_map(step_of) {
        // Whether something is wrong here is what `replay` is for.
        let _ = walk.inspect();
        let mut fitting = walk.all_actions().into_iter().filter(|it| it.to_string() == line);
        let number = walk.steps.len() + 1;
        let Some(step) = fitting.next() else {
            return Err(format!("step {number}: `{line}` cannot happen here"));
        };
        if fitting.next().is_some() {
            return Err(format!("step {number}: `{line}` can mean several things here"));
        }
        if walk.step(step).is_err() {
            break;
        }
    }
    Ok(walk.steps)
}

/// The step in a line like `  3. core 1 sends`.
fn step_of(line: &str) -> Option<&str> {
    let (number, step) = line.trim().split_once(". ")?;
    number.parse::<usize>().ok().map(|_| step)
}

/// Finds the steps that lead from state to state, each told by its hash, to a violation in the last one or in a step from it.
///
/// # Errors
/// A state from which no step leads to the next one, in words.
pub(crate) fn follow<S: System>(
    system: &S,
    states: &[u64],
    hash_of: impl Fn(&S::State, &mut Vec<u8>) -> u64,
    violation: Violation,
) -> Result<Story<S::Action>, String> {
    let mut walk = Walk::new(system);
    let mut bytes = vec![];
    for &next in &states[1..] {
        let mut reached = walk.all_actions().into_iter().filter_map(|it| {
            let state = system.step(&walk.state, it).ok()?;
            (hash_of(&state, &mut bytes) == next).then_some((it, state))
        });
        let Some((step, state)) = reached.next() else {
            return Err(lost(&walk.steps, "states that are written alike are not alike"));
        };
        drop(reached);
        walk.steps.push(step);
        walk.state = state;
    }
    let Err(wrong_state) = walk.inspect() else {
        let breaks =
            |it: &S::Action| system.step(&walk.state, *it).err().filter(|it| it.check == violation.check);
        let last = walk.all_actions().into_iter().find_map(|it| Some((it, breaks(&it)?)));
        let Some((step, violation)) = last else {
            return Err(lost(
                &walk.steps,
                "what was wrong in another state that is written alike is not wrong here",
            ));
        };
        walk.steps.push(step);
        return Ok(Story { steps: walk.steps, repeats_from: None, violation });
    };
    Ok(Story { steps: walk.steps, repeats_from: None, violation: wrong_state })
}

fn lost<A: fmt::Display>(steps: &[A], why: &str) -> String {
    let steps: String = steps.iter().map(|it| format!("\n  {it}")).collect();
    format!("the story is lost: {why}, after{steps}")
}

/// A way through a system.
pub(crate) struct Walk<'a, S: System> {
    system: &'a S,
    pub(crate) state: S::State,
    pub(crate) steps: Vec<S::Action>,
    /// What can happen, after `inspect`.
    actions: Vec<S::Action>,
}

impl<'a, S: System> Walk<'a, S> {
    pub(crate) fn new(system: &'a S) -> Self {
        Self { system, state: system.initial(), steps: vec![], actions: vec![] }
    }

    pub(crate) fn inspect(&mut self) -> Result<(), Violation> {
        inspect(self.system, &self.state, false, &mut self.actions)
    }

    pub(crate) fn step(&mut self, step: S::Action) -> Result<(), Violation> {
        self.steps.push(step);
        self.state = self.system.step(&self.state, step)?;
        Ok(())
    }

    fn all_actions(&self) -> Vec<S::Action> {
        let mut actions = vec![];
        self.system.actions(&self.state, false, &mut actions);
        actions
    }
}
