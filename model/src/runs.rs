//! The table of what is verified, and how its lines are run.
//!
//! Another system is a variant of [`Subject`] and its line in [`Run::run`]; another run is a line in [`RUNS`].

use std::fmt::{self, Debug, Display};
use std::time::Duration;

use capops::CoreId;

use crate::explore::{End, Limit, Options, explore};
use crate::liveness::liveness;
use crate::system::System;
use crate::toys::{Counters, Philosophers, Ring, Spin};
use crate::world::{Bug, Config, World};

/// What is run under a name.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// It is asked for by this.
    pub name: &'static str,
    /// Whether it takes seconds. If it is no toy either, it is run by default.
    pub quick: bool,
    /// Which system.
    pub subject: Subject,
    /// What is looked for.
    pub search: Search,
    /// What comes of it.
    pub expected: Expected,
}

/// A system.
#[derive(Clone, Copy, Debug)]
pub enum Subject {
    /// For the explorer's speed and counts.
    Counters(Counters),
    /// For fairness.
    Philosophers(Philosophers),
    /// For symmetry.
    Ring(Ring),
    /// The protocol, on so many cores.
    Cores(usize, Config),
}

/// What is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Search {
    /// What is wrong with a state or a step.
    Safety {
        /// With the system's partial-order reduction.
        reduce: bool,
        /// Up to symmetry.
        canonical: bool,
    },
    /// What goes on for ever, without any reduction; and all that `Safety` finds.
    Liveness,
}

/// Every state, every step.
pub const ALL: Search = Search::Safety { reduce: false, canonical: false };
/// One of all states that are the same but for names.
pub const CANONICAL: Search = Search::Safety { reduce: false, canonical: true };
/// That, and not every order of steps.
pub const REDUCED: Search = Search::Safety { reduce: true, canonical: true };

/// What comes of a run if nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// Nothing is wrong, with so many states.
    States(u64),
    /// Nothing is wrong. So it is written while the number is not known.
    Holds,
    /// This check is broken: a mistake was made on purpose.
    Broken(&'static str),
}

use Expected::{Broken, Holds, States};
use Search::Liveness;
use Subject::{Cores, Counters as Count, Philosophers as Eat, Ring as Turn};

const PLAIN: Philosophers = Philosophers { count: 4, one_turns: false, strong: true };

/// Users may do all that they may.
const fn free(size: u8) -> Config {
    Config { refusals: true, forced_deletes: true, ..Config::plain(size) }
}

/// As the system is: sweeps in steps, messages that wait for room, memory that is zeroed.
const fn real(size: u8) -> Config {
    Config { stepped: true, owed: true, zeroing: true, ..free(size) }
}

/// With types.
const fn typed(config: Config) -> Config {
    Config { typed: true, ..config }
}

/// The home's core talks to its home by a channel.
const fn channel(config: Config) -> Config {
    Config { home_channel: true, ..config }
}

/// A second unit with its home on another core; objects of the first hold what is of the second.
const fn two_units(config: Config) -> Config {
    Config { typed: true, second: 1, second_home: CoreId(1), ..config }
}

/// With so many operations at once in the whole system.
const fn few(operations: u8, config: Config) -> Config {
    Config { operations, ..config }
}

/// As the specification in `model/tla` is, whose counts these are, less what its README explains.
const fn tla(config: Config) -> Config {
    Config { marks_inside: true, ..config }
}

const fn cut(config: Config) -> Config {
    Config { cut: 1, ..config }
}

/// Any core can stop.
const fn stops(config: Config) -> Config {
    Config { core_stops: true, home_stops: true, ..config }
}

/// All runs. Names say cores x granules. Those of [`toys`](crate::toys) are there for the tools' own tests.
#[rustfmt::skip]
pub const RUNS: &[Run] = &[
    Run { name: "toy/counters", quick: true, subject: Count(Counters::new(6, 9)), search: ALL, expected: States(1_000_000) },
    Run { name: "toy/counters-all-alike", quick: true, subject: Count(Counters::new(8, 12)), search: CANONICAL, expected: States(125_970) },
    Run { name: "toy/counters-one-way", quick: true, subject: Count(Counters::new(8, 12)), search: REDUCED, expected: States(97) },
    Run { name: "toy/ring", quick: true, subject: Turn(Ring { nodes: 10, spin: Spin::Rests }), search: Liveness, expected: States(10_240) },
    Run { name: "toy/ring-turned", quick: true, subject: Turn(Ring { nodes: 16, spin: Spin::Rests }), search: CANONICAL, expected: States(65_536) },
    Run { name: "toy/ring-that-spins", quick: true, subject: Turn(Ring { nodes: 5, spin: Spin::Spins }), search: Liveness, expected: Broken("L1") },
    Run { name: "toy/philosophers-stuck", quick: true, subject: Eat(PLAIN), search: ALL, expected: Broken("L-deadlock") },
    Run { name: "toy/philosophers-starve", quick: true, subject: Eat(Philosophers { one_turns: true, strong: false, ..PLAIN }), search: Liveness, expected: Broken("L2") },
    Run { name: "toy/philosophers-eat", quick: true, subject: Eat(Philosophers { one_turns: true, ..PLAIN }), search: Liveness, expected: Holds },
    Run { name: "toy/counters-many", quick: false, subject: Count(Counters::new(8, 7)), search: ALL, expected: States(16_777_216) },

    Run { name: "tla/2x2", quick: true, subject: Cores(2, tla(Config::plain(2))), search: ALL, expected: States(18_605) },
    Run { name: "tla/2x2-free", quick: true, subject: Cores(2, tla(free(2))), search: ALL, expected: States(21_744) },
    Run { name: "tla/2x3-1", quick: true, subject: Cores(2, few(1, tla(Config::plain(3)))), search: ALL, expected: States(247_468) },
    Run { name: "tla/3x1-free", quick: true, subject: Cores(3, tla(free(1))), search: ALL, expected: States(4_344) },

    Run { name: "plain/2x2", quick: true, subject: Cores(2, Config::plain(2)), search: ALL, expected: States(18_663) },
    Run { name: "free/2x2", quick: true, subject: Cores(2, free(2)), search: ALL, expected: States(21_802) },
    Run { name: "free/2x3", quick: true, subject: Cores(2, free(3)), search: REDUCED, expected: States(1_203_960) },
    Run { name: "free/3x2", quick: true, subject: Cores(3, free(2)), search: REDUCED, expected: States(938_314) },
    Run { name: "free/4x2", quick: false, subject: Cores(4, free(2)), search: REDUCED, expected: States(84_630_906) },
    Run { name: "free/3x3-2", quick: false, subject: Cores(3, few(2, free(3))), search: REDUCED, expected: States(163_243_574) },
    Run { name: "free/3x3-3", quick: false, subject: Cores(3, few(3, free(3))), search: REDUCED, expected: Holds },
    Run { name: "free/2x4", quick: false, subject: Cores(2, free(4)), search: REDUCED, expected: States(161_790_262) },

    Run { name: "real/2x2", quick: true, subject: Cores(2, real(2)), search: CANONICAL, expected: States(22_738) },
    Run { name: "real/2x2-channel", quick: true, subject: Cores(2, channel(real(2))), search: CANONICAL, expected: States(68_309) },
    Run { name: "real/2x3", quick: false, subject: Cores(2, real(3)), search: CANONICAL, expected: States(3_585_726) },
    Run { name: "real/3x2", quick: false, subject: Cores(3, real(2)), search: CANONICAL, expected: States(5_277_128) },
    Run { name: "real/2x3-channel", quick: false, subject: Cores(2, channel(real(3))), search: REDUCED, expected: States(5_947_153) },

    Run { name: "typed/2x1", quick: true, subject: Cores(2, typed(real(1))), search: CANONICAL, expected: States(2_860) },
    Run { name: "typed/2x2", quick: true, subject: Cores(2, typed(real(2))), search: REDUCED, expected: States(2_723_055) },
    Run { name: "typed/3x1", quick: true, subject: Cores(3, typed(real(1))), search: REDUCED, expected: States(105_012) },
    Run { name: "typed/4x1", quick: false, subject: Cores(4, typed(real(1))), search: REDUCED, expected: States(3_713_729) },
    Run { name: "typed/3x2-1", quick: false, subject: Cores(3, few(1, typed(real(2)))), search: REDUCED, expected: States(11_801_781) },
    Run { name: "typed/2x3-1", quick: false, subject: Cores(2, few(1, typed(real(3)))), search: REDUCED, expected: States(120_136_621) },
    Run { name: "typed/3x2-2", quick: false, subject: Cores(3, few(2, typed(real(2)))), search: REDUCED, expected: States(336_893_963) },

    Run { name: "cut/2x2", quick: true, subject: Cores(2, cut(free(2))), search: CANONICAL, expected: States(55_102) },
    Run { name: "cut/2x2-real", quick: true, subject: Cores(2, cut(real(2))), search: CANONICAL, expected: States(65_234) },
    Run { name: "cut/3x2", quick: false, subject: Cores(3, cut(real(2))), search: CANONICAL, expected: States(29_109_292) },
    Run { name: "cut/2x3-2", quick: false, subject: Cores(2, few(2, cut(real(3)))), search: CANONICAL, expected: States(7_307_759) },

    Run { name: "stops/2x2", quick: true, subject: Cores(2, stops(real(2))), search: CANONICAL, expected: States(38_688) },
    Run { name: "stops/2x2-cut", quick: true, subject: Cores(2, stops(cut(real(2)))), search: CANONICAL, expected: States(138_788) },
    Run { name: "stops/3x2", quick: false, subject: Cores(3, stops(real(2))), search: CANONICAL, expected: States(13_093_471) },

    Run { name: "cascade/2x1+1-1", quick: true, subject: Cores(2, few(1, two_units(real(1)))), search: CANONICAL, expected: States(236_170) },
    Run { name: "cascade/2x1+1", quick: false, subject: Cores(2, two_units(real(1))), search: CANONICAL, expected: States(13_149_616) },

    Run { name: "live/2x2", quick: true, subject: Cores(2, free(2)), search: Liveness, expected: States(21_802) },
    Run { name: "live/2x2-real", quick: true, subject: Cores(2, real(2)), search: Liveness, expected: States(22_738) },
    Run { name: "live/2x2-stops", quick: true, subject: Cores(2, stops(real(2))), search: Liveness, expected: States(38_688) },
    Run { name: "live/2x2-cut", quick: true, subject: Cores(2, cut(real(2))), search: Liveness, expected: States(65_234) },
    Run { name: "live/2x1-typed", quick: true, subject: Cores(2, typed(real(1))), search: Liveness, expected: States(2_860) },
    Run { name: "live/2x2-unfair", quick: true, subject: Cores(2, Config { bug: Some(Bug::Unfair), ..free(2) }), search: Liveness, expected: Broken("L2") },
    Run { name: "live/3x1", quick: false, subject: Cores(3, real(1)), search: Liveness, expected: States(5_481) },
    Run { name: "live/3x2-2", quick: false, subject: Cores(3, few(2, free(2))), search: Liveness, expected: States(2_098_243) },
];

/// What a run may use.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Workers.
    pub threads: usize,
    /// For each run.
    pub max_time: Duration,
    /// For table and frontier.
    pub max_bytes: usize,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    name: &'static str,
    expected: Expected,
    states: u64,
    transitions: u64,
    /// Only of an exploration: its depth, its widest level, and how likely it is that a state was omitted.
    levels: Option<(usize, u64, f64)>,
    time: Duration,
    bytes: usize,
    result: Result,
    /// How it comes to a violation.
    story: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Result {
    Holds,
    Stopped(Limit),
    Broken(&'static str),
}

impl Run {
    /// Whether it checks the tools rather than the protocol: it is run only if its name is asked for.
    #[must_use]
    pub fn is_toy(&self) -> bool {
        !matches!(self.subject, Subject::Cores(..))
    }

    /// Runs it.
    #[must_use]
    pub fn run(&self, bounds: &Bounds) -> Outcome {
        match self.subject {
            Subject::Counters(system) => self.on(&system, bounds),
            Subject::Philosophers(system) => self.on(&system, bounds),
            Subject::Ring(system) => self.on(&system, bounds),
            Subject::Cores(2, config) => self.on(&World::<2>::new(config), bounds),
            Subject::Cores(3, config) => self.on(&World::<3>::new(config), bounds),
            Subject::Cores(4, config) => self.on(&World::<4>::new(config), bounds),
            Subject::Cores(cores, _) => panic!("{}: no world of {cores} cores is compiled", self.name),
        }
    }

    fn on<S: System>(&self, system: &S, bounds: &Bounds) -> Outcome {
        let Bounds { threads, max_time, max_bytes } = *bounds;
        let options = Options { threads, max_time, max_bytes, progress: true, ..Options::default() };
        match self.search {
            Search::Safety { reduce, canonical } => {
                let report = explore(system, &Options { reduce, canonical, ..options });
                Outcome {
                    states: report.states,
                    transitions: report.transitions,
                    levels: Some((report.depth, report.widest, report.omitted())),
                    time: report.time,
                    bytes: report.peak_bytes,
                    ..self.outcome(&report.end)
                }
            }
            Search::Liveness => {
                let report = liveness(system, &options);
                Outcome {
                    states: report.states,
                    transitions: report.transitions,
                    time: report.time,
                    bytes: report.peak_bytes,
                    ..self.outcome(&report.end)
                }
            }
        }
    }

    /// Without figures.
    fn outcome<A: Debug + Display>(&self, end: &End<A>) -> Outcome {
        let (result, story) = match end {
            End::Complete => (Result::Holds, None),
            End::Stopped(limit) => (Result::Stopped(*limit), None),
            End::Violated { violation, story: Ok(story) } => {
                (Result::Broken(violation.check), Some(format!("{story}\n{}\n", story.as_test())))
            }
            End::Violated { violation, story: Err(why) } => {
                (Result::Broken(violation.check), Some(format!("{violation}\n{why}\n")))
            }
        };
        let Self { name, expected, .. } = *self;
        let (states, transitions, levels, time, bytes) = (0, 0, None, Duration::ZERO, 0);
        Outcome { name, expected, states, transitions, levels, time, bytes, result, story }
    }
}

impl Outcome {
    /// Whether there was enough time and memory for it.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        !matches!(self.result, Result::Stopped(_))
    }

    /// Whether it is as it was expected. A run that was not finished never is.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        match (self.result, self.expected) {
            (Result::Holds, Expected::States(states)) => self.states == states,
            (Result::Holds, Expected::Holds) => true,
            (Result::Broken(check), Expected::Broken(expected)) => check == expected,
            _ => false,
        }
    }

    /// How it comes to a violation that was not expected.
    #[must_use]
    pub fn unexpected_story(&self) -> Option<&str> {
        self.story.as_deref().filter(|_| !self.is_as_expected())
    }

    /// What stands above the lines of a table.
    #[must_use]
    pub fn header() -> String {
        format!(
            "{:<34} {:>13} {:>15} {:>6} {:>12} {:>8} {:>6} {:>8}  result",
            "run", "states", "steps", "depth", "widest", "seconds", "MiB", "omitted"
        )
    }

    fn verdict(&self) -> String {
        let result = match self.result {
            Result::Holds => "holds".to_owned(),
            Result::Broken(check) => format!("{check} broken"),
            Result::Stopped(Limit::States) => "not finished: too many states".to_owned(),
            Result::Stopped(Limit::Time) => "not finished: out of time".to_owned(),
            Result::Stopped(Limit::Memory) => "not finished: out of memory".to_owned(),
        };
        match self.expected {
            Expected::Broken(_) if self.is_as_expected() => format!("{result}, on purpose"),
            _ if self.is_as_expected() || !self.is_finished() => result,
            Expected::States(states) => format!("{result}: NOT EXPECTED, but {} states", grouped(states)),
            Expected::Holds => format!("{result}: NOT EXPECTED"),
            Expected::Broken(check) => format!("{result}: NOT EXPECTED, but {check} broken"),
        }
    }
}

impl Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (states, steps) = (grouped(self.states), grouped(self.transitions));
        write!(out, "{:<34} {states:>13} {steps:>15} ", self.name)?;
        match self.levels {
            Some((depth, widest, _)) => write!(out, "{depth:>6} {:>12} ", grouped(widest))?,
            None => write!(out, "{:>6} {:>12} ", "-", "-")?,
        }
        write!(out, "{:>8.1} {:>6} ", self.time.as_secs_f64(), self.bytes >> 20)?;
        match self.levels {
            Some((_, _, omitted)) => write!(out, "{omitted:>8.0e}")?,
            None => write!(out, "{:>8}", "none")?,
        }
        write!(out, "  {}", self.verdict())
    }
}

/// With a comma before each three digits.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let comma = |at: usize| if at > 0 && (digits.len() - at).is_multiple_of(3) { "," } else { "" };
    digits.chars().enumerate().map(|(at, digit)| format!("{}{digit}", comma(at))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { threads: 2, max_time: Duration::MAX, max_bytes: 1 << 30 };

    fn named(name: &str) -> Run {
        *RUNS.iter().find(|it| it.name == name).unwrap()
    }

    #[test]
    fn toys_are_named_so() {
        assert!(RUNS.iter().all(|it| it.is_toy() == it.name.starts_with("toy/")));
    }

    #[test]
    fn quick_runs_come_out_as_expected() {
        for run in RUNS.iter().filter(|it| it.quick && it.is_toy()) {
            let outcome = run.run(&BOUNDS);
            assert!(outcome.is_as_expected() && outcome.unexpected_story().is_none(), "{outcome}");
        }
    }

    #[test]
    fn what_is_not_expected_is_told() {
        let run = |expected, bounds: &Bounds| Run { expected, ..RUNS[0] }.run(bounds);
        let text = run(States(7), &BOUNDS).to_string();
        assert!(text.contains("1,000,000") && text.ends_with("holds: NOT EXPECTED, but 7 states"), "{text}");
        let bounds = Bounds { max_time: Duration::ZERO, ..BOUNDS };
        for run in [Run { expected: States(7), ..RUNS[0] }, named("live/2x2")] {
            let outcome = run.run(&bounds);
            assert!(!outcome.is_as_expected() && !outcome.is_finished(), "{outcome}");
            assert!(outcome.to_string().ends_with("  not finished: out of time"), "{outcome}");
        }
        let stuck = named("toy/philosophers-stuck");
        let outcome = Run { expected: Holds, ..stuck }.run(&BOUNDS);
        let story = outcome.unexpected_story().unwrap();
        assert!(story.starts_with("  1. philosopher") && story.contains("replay(&system"), "{story}");
    }

    #[test]
    fn names_are_there_once() {
        for (at, run) in RUNS.iter().enumerate() {
            assert!(RUNS[..at].iter().all(|it| it.name != run.name), "{}", run.name);
        }
    }

    #[test]
    fn numbers_are_read_easily() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
