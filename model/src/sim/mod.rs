//! Whole-system simulation: the monitors as they will run, on many cores, with kernels, domains, memory servers and rings around
//! them, driven by random numbers.
//!
//! ```text
//!   domains ─ copy, mint, retype, revoke, delete, store ──► SimKernel (a naive one)
//!      │ ask                                                    ▲
//!      ▼                                                        │ Kernel
//!   Monitor (core/monitor: all of it) ──────────────────────────┘
//!      │ take, receive
//!   rings of few packets, each way between each two cores: drained at random
//! ```
//!
//! Domains also run between the calls that one event of a monitor makes to its kernel: they copy, revoke and delete there.
//!
//! One seed decides a run. After every step all regions that the step touched are checked (`check.rs`); at the end all domains
//! end, everything comes to rest, and all memory has to be back at its servers. A violation names its seed and step, and
//! [`replay`] tells the steps that led to it.
//!
//! Where the model checker looks at all states of a small system, this looks at a few of a large one: units, types, CNodes that
//! cascade into other units, floods, full rings, dying domains, stopping cores, all at once.

mod check;
mod kernel;
mod key;
mod naive;
mod rng;
mod world;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use kernel::{Cap, DOMAINS, SLOTS, SimKernel, SlotId, Told};
pub use key::{Keys, SimKey, Type};
pub use naive::Naive;
pub use world::World;

use crate::system::Violation;

/// What a run is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// Cores: one of [`cores`].
    pub cores: usize,
    /// Random steps; then all is brought to rest.
    pub steps: u64,
    /// Whether a core may stop.
    pub stops: bool,
    /// What is done wrong, to see that it is noticed.
    pub mistake: Option<Mistake>,
}

/// Mistakes that the surroundings of the monitors can make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mistake {
    /// Sending takes the exclusive mark from the capability, but not from its ancestors.
    AncestorsStayExclusive,
    /// A sweep does not look into CNodes.
    SweepSkipsCNodes,
    /// Memory is called zero without being zeroed.
    MemoryStaysDirty,
    /// The kernel's guards do not look at what is frozen.
    FrozenIsUsed,
    /// Now and then a packet overtakes another.
    PacketsOvertake,
    /// A packet for a full ring is lost.
    FullRingLoses,
    /// What comes for a domain that has ended stays.
    OrphanIsKept,
    /// A retype to Frame does not see what is in the way.
    ConflictIsNotSeen,
    /// A CNode that is not empty yet does not count as held.
    ZombieIsForgotten,
    /// Domains run between what a step of a holder does and what it marks as owed.
    StepIsSeveralCalls,
    /// Domains run between the look at what a request pins and its mark of being under way.
    BusyComesLate,
}

/// What was seen in one run.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Steps, with those that brought all to rest.
    pub steps: u64,
    /// Packets between cores.
    pub packets: u64,
    /// Sends, retypes and revocations that the homes granted.
    pub granted: u64,
    /// Those that ended otherwise.
    pub denied: u64,
    /// Units that came home.
    pub reclaimed: u64,
    /// Cuts that were done.
    pub cuts: u64,
    /// The most messages that waited for room in one queue.
    pub queue: u64,
}

/// A run that broke a property.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The seed that decides the run.
    pub seed: u64,
    /// The step, from 0.
    pub step: u64,
    /// What does not hold.
    pub violation: Violation,
}

/// What came of a number of runs.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Report {
    /// Runs that were made.
    pub runs: u64,
    /// Sums over all runs; of `queue` the maximum.
    pub counts: Counts,
    /// The failure with the least seed of those that were found before the others gave up.
    pub failure: Option<Failure>,
}

/// Runs the seeds `0 .. seeds` on some threads, until one fails.
///
/// # Panics
/// The number of cores is not one of [`cores`].
pub fn run(config: Config, seeds: u64, threads: usize) -> Report {
    run_from(config, 0, seeds, threads)
}

/// Runs `seeds` seeds from `first` on: see [`run`].
///
/// # Panics
/// The number of cores is not one of [`cores`].
pub fn run_from(config: Config, first: u64, seeds: u64, threads: usize) -> Report {
    let (next, stop) = (AtomicU64::new(first), AtomicBool::new(false));
    let work = || {
        let mut report = Report::default();
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                break;
            }
            let (counts, failure, _) = one(config, seed, false);
            report.add(1, counts, failure);
            if report.failure.is_some() {
                stop.store(true, Ordering::Relaxed);
            }
        }
        report
    };
    let mut sum = Report::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let part = worker.join().expect("a worker that does not panic");
            sum.add(part.runs, part.counts, part.failure);
        }
    });
    sum
}

/// Runs one seed again, exactly. Tells the last `lines` steps of it, and how it failed if it did.
///
/// # Panics
/// The number of cores is not one of [`cores`].
pub fn replay(config: Config, seed: u64, lines: usize) -> (Option<Failure>, Vec<String>) {
    let (_, failure, mut story) = one(config, seed, true);
    story.drain(..story.len().saturating_sub(lines));
    (failure, story)
}

/// What came of one run, and its story if it was to be told.
type One = (Counts, Option<Failure>, Vec<String>);
type Run = fn(Config, u64, bool) -> One;

/// The machines that can be simulated. Behind the cores: units under way at a home, holders under way, queues, as `monitor` says for
/// 2 credits and 4 of the memory server.
const MACHINES: [(usize, Run); 5] = [
    (2, one_of::<2, 8, 20, 20>),
    (3, one_of::<3, 10, 36, 24>),
    (4, one_of::<4, 12, 56, 28>),
    (8, one_of::<8, 20, 176, 44>),
    (16, one_of::<16, 36, 608, 76>),
];

/// How many cores a simulated machine can have.
#[must_use]
pub fn cores() -> [usize; MACHINES.len()] {
    MACHINES.map(|(cores, _)| cores)
}

fn one(config: Config, seed: u64, tell: bool) -> One {
    let machine = MACHINES.iter().find(|it| it.0 == config.cores);
    let (_, run) = machine.unwrap_or_else(|| panic!("{} cores cannot be simulated", config.cores));
    run(config, seed, tell)
}

fn one_of<const N: usize, const HOMES: usize, const HOLDERS: usize, const OUT: usize>(
    config: Config,
    seed: u64,
    tell: bool,
) -> One {
    let kernel = |core: capops::CoreId| {
        let own = seed.wrapping_mul(64).wrapping_add(core.0.into());
        Naive::new(core, N, world::REGIONS, config.mistake).preempting(own)
    };
    let mut world = World::<Naive, N, HOMES, HOLDERS, OUT>::new(config, seed, tell, kernel);
    let failed = world.run().err();
    let failure = failed.map(|violation| Failure { seed, step: world.steps(), violation });
    (world.counts(), failure, world.story())
}

impl Report {
    fn add(&mut self, runs: u64, counts: Counts, failure: Option<Failure>) {
        self.runs += runs;
        let sum = &mut self.counts;
        sum.steps += counts.steps;
        sum.packets += counts.packets;
        sum.granted += counts.granted;
        sum.denied += counts.denied;
        sum.reclaimed += counts.reclaimed;
        sum.cuts += counts.cuts;
        sum.queue = sum.queue.max(counts.queue);
        let first = |it: &Failure| self.failure.as_ref().is_none_or(|old| it.seed < old.seed);
        if let Some(failure) = failure.filter(first) {
            self.failure = Some(failure);
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Violation { check, text } = &self.violation;
        write!(f, "seed {}, step {}: {check} does not hold: {text}", self.seed, self.step)
    }
}
