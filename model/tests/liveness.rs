//! What goes on for ever is found, and nothing else is.

use std::fmt;
use std::time::Duration;

use model::explore::{End, Limit, Options};
use model::liveness::{STARVATION, TERMINATION, liveness};
use model::story::{DEADLOCK, Story, replay};
use model::system::{Fairness, System, Violation};
use model::toys::{Act, Move, Philosophers, Ring, Spin};

fn check<S: System>(system: &S) -> Option<Story<S::Action>> {
    match liveness(system, &Options::default()).end {
        End::Complete => None,
        End::Stopped(limit) => panic!("{limit:?}"),
        End::Violated { story, .. } => Some(story.unwrap()),
    }
}

fn states<S: System>(system: &S, story: &Story<S::Action>) -> Vec<S::State> {
    (0..=story.steps.len()).map(|it| replay(system, &story.steps[..it]).unwrap()).collect()
}

#[test]
fn a_ring_that_rests_keeps_its_promises() {
    let report = liveness(&Ring { nodes: 6, spin: Spin::Rests }, &Options::default());
    assert!(matches!(report.end, End::Complete));
    assert_eq!(report.states, 6 << 6);
    // Serving without passing on, one component for each promise and place of the token, and no fair one.
    assert!(report.components > 0 && report.largest > 1);
}

#[test]
fn a_ring_that_spins_does_not_come_to_rest() {
    let story = check(&Ring { nodes: 3, spin: Spin::Spins }).unwrap();
    assert_eq!((story.violation.check, story.repeats_from), (TERMINATION, Some(0)));
    assert_eq!(story.steps, [Move::Pass; 3]);
    assert!(story.to_string().starts_with("     again and again:\n  1. the token goes on\n"), "{story}");
}

#[test]
fn a_ring_that_need_not_move_is_stuck() {
    let story = check(&Ring { nodes: 3, spin: Spin::IsLazy }).unwrap();
    assert_eq!((story.violation.check, story.steps.len()), (DEADLOCK, 1));
}

#[test]
fn philosophers_are_stuck_or_starve_or_eat() {
    let plain = Philosophers { count: 3, one_turns: false, strong: false };
    let story = check(&plain).unwrap();
    assert_eq!((story.violation.check, story.steps.len()), (DEADLOCK, 6));
    // Weakly fair: a fork that is taken again and again in between is not always free.
    let turning = Philosophers { one_turns: true, ..plain };
    let story = check(&turning).unwrap();
    assert_eq!(story.violation.check, STARVATION);
    let from = story.repeats_from.unwrap();
    assert!(story.steps[from..].iter().any(|it| matches!(it, Act::Second(_))), "{story}");
    let states = states(&turning, &story);
    assert_eq!(states[from], states[story.steps.len()]);
    // Strongly fair: all eat.
    assert_eq!(check(&Philosophers { strong: true, ..turning }), None);
}

#[test]
fn a_limit_stops_and_says_so() {
    let ring = Ring { nodes: 10, spin: Spin::Rests };
    let end = |options| liveness(&ring, &options).end;
    let few = Options { max_states: 1000, ..Options::default() };
    assert!(matches!(end(few), End::Stopped(Limit::States)));
    let small = Options { max_bytes: 10_000, ..Options::default() };
    assert!(matches!(end(small), End::Stopped(Limit::Memory)));
    let short = Options { max_time: Duration::ZERO, ..Options::default() };
    assert!(matches!(end(short), End::Stopped(Limit::Time)));
}

/// A system that is written down: states are numbers.
#[derive(Debug)]
struct Written {
    edges: Vec<Edge>,
    waiting: Vec<u64>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
struct Edge {
    from: u8,
    to: u8,
    fairness: Fairness,
}

impl fmt::Display for Edge {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "from {} to {}", self.from, self.to)
    }
}

impl System for Written {
    type State = u8;
    type Action = Edge;

    fn initial(&self) -> u8 {
        0
    }
    fn actions(&self, state: &u8, _: bool, actions: &mut Vec<Edge>) {
        actions.extend(self.edges.iter().filter(|it| it.from == *state));
    }
    fn step(&self, _: &u8, edge: Edge) -> Result<u8, Violation> {
        Ok(edge.to)
    }
    fn check(&self, _: &u8) -> Result<(), Violation> {
        Ok(())
    }
    fn encode(&self, state: &u8, _: bool, bytes: &mut Vec<u8>) {
        bytes.push(*state);
    }
    fn decode(&self, bytes: &[u8]) -> u8 {
        bytes[0]
    }
    fn fairness(&self, edge: Edge) -> Fairness {
        edge.fairness
    }
    fn waiting(&self, state: &u8) -> u64 {
        self.waiting[usize::from(*state)]
    }
}

impl Written {
    /// The states that can be reached from one, in one step or more, by way of these and steps like that.
    fn reached(&self, from: u8, within: u32, counts: impl Fn(&Edge) -> bool) -> u32 {
        let mut reached = 0;
        loop {
            let is_at = |it: &&Edge| it.from == from || reached >> it.from & 1 == 1;
            let steps = self.edges.iter().filter(is_at).filter(|it| counts(it) && within >> it.to & 1 == 1);
            let more = steps.fold(reached, |all, it| all | 1 << it.to);
            if more == reached {
                return reached;
            }
            reached = more;
        }
    }

    /// By looking at every set of states.
    fn verdict(&self) -> Option<&'static str> {
        let reached = 1 | self.reached(0, u32::MAX, |_| true);
        let is_internal = |it: &Edge| it.fairness != Fairness::None;
        let mut all = (0..self.waiting.len() as u8).filter(|it| reached >> it & 1 == 1);
        let is_stuck = |it: u8| {
            self.waiting[usize::from(it)] != 0
                && !self.edges.iter().any(|edge| edge.from == it && is_internal(edge))
        };
        if all.clone().any(is_stuck) {
            return Some(DEADLOCK);
        }
        if all.any(|it| self.reached(it, u32::MAX, is_internal) >> it & 1 == 1) {
            return Some(TERMINATION);
        }
        let mut sets = (1..1u32 << self.waiting.len()).filter(|set| set & !reached == 0);
        sets.any(|set| self.is_starving(set)).then_some(STARVATION)
    }

    /// Whether some promise waits in all these states, and they have a fair cycle through all of them.
    fn is_starving(&self, states: u32) -> bool {
        let nodes = || (0..self.waiting.len() as u8).filter(|it| states >> it & 1 == 1);
        let waits = nodes().fold(u64::MAX, |all, it| all & self.waiting[usize::from(it)]) != 0;
        let within = |it: &&Edge| states >> it.from & 1 == 1 && states >> it.to & 1 == 1;
        let taken: Vec<_> = self.edges.iter().filter(within).collect();
        let is_cycle = nodes().all(|it| self.reached(it, states, |edge| within(&edge)) == states);
        waits && is_cycle && self.is_fair(&nodes().collect::<Vec<_>>(), &taken)
    }

    fn is_fair(&self, states: &[u8], taken: &[&Edge]) -> bool {
        let can =
            |state: u8, fairness| self.edges.iter().any(|it| it.from == state && it.fairness == fairness);
        self.edges.iter().map(|it| it.fairness).all(|fairness| {
            let is_taken = taken.iter().any(|it| it.fairness == fairness);
            match fairness {
                Fairness::None => true,
                Fairness::Weak(_) => is_taken || states.iter().any(|it| !can(*it, fairness)),
                Fairness::Strong(_) => is_taken || states.iter().all(|it| !can(*it, fairness)),
            }
        })
    }
}

/// Marsaglia's xorshift.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u8) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) % u64::from(bound)) as u8
    }

    fn system(&mut self) -> Written {
        let states = 2 + self.below(5);
        // Mostly without cycles of internal steps, which would hide the rest.
        let ordered = self.below(8) > 0;
        let edges: Vec<_> =
            (0..states + self.below(2 * states + 4)).map(|_| self.edge(states, ordered)).collect();
        // Mostly not stuck, for the same reason.
        let is_stuck = |state| edges.iter().all(|it| it.from != state || it.fairness == Fairness::None);
        let mut promises =
            |state| if is_stuck(state) && self.below(16) > 0 { 0 } else { self.below(4).into() };
        let waiting = (0..states).map(&mut promises).collect();
        Written { edges, waiting }
    }

    fn edge(&mut self, states: u8, ordered: bool) -> Edge {
        let (from, to) = (self.below(states), self.below(states));
        let fairness = match self.below(8) {
            0..4 => Fairness::None,
            it @ 4..6 => Fairness::Weak(it),
            it => Fairness::Strong(it),
        };
        let is_against = ordered && fairness != Fairness::None && from >= to;
        Edge { from, to, fairness: if is_against { Fairness::None } else { fairness } }
    }
}

#[test]
fn verdicts_are_those_of_a_look_at_every_set_of_states() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut seen = std::collections::HashMap::new();
    for _ in 0..20_000 {
        let system = dice.system();
        let story = check(&system);
        let found = story.as_ref().map(|it| it.violation.check);
        assert_eq!(found, system.verdict(), "{system:?}");
        *seen.entry(found).or_insert(0) += 1;
        let Some((story, from)) = story.as_ref().and_then(|it| Some((it, it.repeats_from?))) else {
            continue;
        };
        let states = states(&system, story);
        let (round, steps) = (&states[from..], &story.steps[from..]);
        assert!(steps.len() + 1 == round.len() && round[0] == round[steps.len()], "{system:?}\n{story}");
        match story.violation.check {
            TERMINATION => assert!(steps.iter().all(|it| it.fairness != Fairness::None), "{story}"),
            _ => {
                assert!(system.is_fair(round, &steps.iter().collect::<Vec<_>>()), "{system:?}\n{story}");
                assert_ne!(round.iter().fold(3, |all, it| all & system.waiting(it)), 0, "{story}");
            }
        }
    }
    assert!(
        [None, Some(DEADLOCK), Some(TERMINATION), Some(STARVATION)].iter().all(|it| seen[it] > 100),
        "{seen:?}"
    );
}
