//! Every state of a system, breadth first.
//!
//! ```text
//!   level n: blocks of packed states ──► worker: decode, check, step, encode, hash ──► table of 64-bit hashes
//!                                        worker:   "      "      "      "      "              │ new ones
//!   level n + 1: blocks ◄─────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Of a state that was seen, only a hash of 64 bits is kept (hash compaction). Two states with the same hash would be taken
//! for one: [`Report::omitted`] says how likely it is that this hid anything. A run with another [`Options::seed`] confuses
//! other states.
//!
//! A level is always finished before a violation in it is reported, and the least of its violations is, so that the result
//! does not depend on the number of threads. Its story comes from a second run that remembers where states came from.

mod frontier;
mod hash;
mod table;
mod worker;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::story::{self, Story};
use crate::system::{System, Violation};
use frontier::Block;
pub use hash::hash;
use table::{NO_PARENT, Table};

/// How often a long run says where it is.
const PROGRESS: Duration = Duration::from_secs(10);

/// What is explored, and how far.
#[derive(Clone, Debug)]
pub struct Options {
    /// Take the system's partial-order reduction.
    pub reduce: bool,
    /// Take states that are the same but for names as one.
    pub canonical: bool,
    /// How many workers.
    pub threads: usize,
    /// Stop at about so many states.
    pub max_states: u64,
    /// Stop after this time.
    pub max_time: Duration,
    /// Stop where table and frontier need more than these bytes.
    pub max_bytes: usize,
    /// Of the hash.
    pub seed: u64,
    /// Run again for the story of a violation.
    pub story: bool,
    /// Say on the error output, now and then, how far it is.
    pub progress: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            reduce: false,
            canonical: false,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            max_states: u64::MAX,
            max_time: Duration::MAX,
            max_bytes: 2 << 30,
            seed: 0,
            story: true,
            progress: false,
        }
    }
}

/// What an exploration found.
#[derive(Clone, Debug)]
pub struct Report<A> {
    /// How many states were reached.
    pub states: u64,
    /// How many steps were taken, also those to states that were known.
    pub transitions: u64,
    /// The longest of the shortest ways to a state, in steps.
    pub depth: usize,
    /// The most states at one distance.
    pub widest: u64,
    /// How long it took, without the second run for a story.
    pub time: Duration,
    /// The most bytes in table and frontier.
    pub peak_bytes: usize,
    /// How it ended.
    pub end: End<A>,
}

/// How an exploration ended.
#[derive(Clone, Debug)]
pub enum End<A> {
    /// All states were seen, and nothing is wrong with them.
    Complete,
    /// Not finished: nothing was wrong so far.
    Stopped(Limit),
    /// A property does not hold.
    Violated {
        /// Which.
        violation: Violation,
        /// How it comes to that, or why there is no story.
        story: Result<Story<A>, String>,
    },
}

/// What ended an exploration early.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// [`Options::max_states`].
    States,
    /// [`Options::max_time`].
    Time,
    /// [`Options::max_bytes`].
    Memory,
}

impl<A> Report<A> {
    /// At most so likely it is that a state was taken for another one: the number of pairs by the number of hashes.
    #[must_use]
    pub fn omitted(&self) -> f64 {
        let states = self.states as f64;
        states * states / 2.0 / 2f64.powi(64)
    }
}

/// Explores a system.
pub fn explore<S: System>(system: &S, options: &Options) -> Report<S::Action> {
    let search = Search::new(system, options, false);
    let (depth, widest) = search.run();
    let time = search.begin.elapsed();
    let found = search.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let end = match (found, search.stopped.get()) {
        (Some(found), _) => {
            let violation = found.violation.clone();
            drop(search.table);
            End::Violated { violation, story: tell(system, options, found) }
        }
        (None, Some(limit)) => End::Stopped(*limit),
        (None, None) => End::Complete,
    };
    Report {
        states: search.states.into_inner(),
        transitions: search.transitions.into_inner(),
        depth,
        widest,
        time,
        peak_bytes: search.peak_bytes.into_inner(),
        end,
    }
}

/// Runs again, remembers where each state came from, and follows that from the violation to the beginning.
fn tell<S: System>(system: &S, options: &Options, found: Found) -> Result<Story<S::Action>, String> {
    if !options.story {
        return Err("no story was asked for".to_owned());
    }
    let again = Options { threads: 1, max_time: Duration::MAX, max_states: u64::MAX, ..options.clone() };
    let search = Search::new(system, &again, true);
    search.run();
    let table = search.table.read().unwrap_or_else(PoisonError::into_inner);
    let Some(first) = table.parent(found.state) else {
        return Err("the story needs more memory than there is".to_owned());
    };
    let before = |hash: &u64| Some(*hash).filter(|it| *it != NO_PARENT);
    let mut states = vec![found.state];
    states.extend(std::iter::successors(before(&first), |it| table.parent(*it).as_ref().and_then(before)));
    states.reverse();
    let hash_of = |state: &S::State, bytes: &mut Vec<u8>| {
        bytes.clear();
        system.encode(state, options.canonical, bytes);
        hash(bytes, options.seed)
    };
    story::follow(system, &states, hash_of, found.violation)
}

/// A violation, and where.
struct Found {
    /// The hash of the state that is wrong, or in which a step is.
    state: u64,
    /// Whose step.
    action: Option<usize>,
    violation: Violation,
}

impl Found {
    /// The least one has the shortest story; among those it matters only that it is always the same.
    fn rank(&self) -> (Option<usize>, u64) {
        (self.action.map(|_| 1), self.state)
    }

    fn is_before(&self, other: &Self) -> bool {
        (self.rank(), self.action) < (other.rank(), other.action)
    }
}

/// What the workers share.
struct Search<'a, S: System> {
    system: &'a S,
    options: &'a Options,
    /// Remember parents.
    traced: bool,
    begin: Instant,
    table: RwLock<Table>,
    /// At so many states the table has to grow.
    room: AtomicU64,
    states: AtomicU64,
    transitions: AtomicU64,
    table_bytes: AtomicUsize,
    frontier_bytes: AtomicUsize,
    peak_bytes: AtomicUsize,
    /// Empty blocks.
    pool: Mutex<Vec<Block>>,
    found: Mutex<Option<Found>>,
    stopped: OnceLock<Limit>,
}

impl<'a, S: System> Search<'a, S> {
    fn new(system: &'a S, options: &'a Options, traced: bool) -> Self {
        let table = Table::new(traced);
        Self {
            system,
            options,
            traced,
            begin: Instant::now(),
            room: AtomicU64::new(table.capacity().0),
            states: AtomicU64::new(0),
            transitions: AtomicU64::new(0),
            table_bytes: AtomicUsize::new(table.bytes()),
            frontier_bytes: AtomicUsize::new(0),
            peak_bytes: AtomicUsize::new(table.bytes()),
            table: RwLock::new(table),
            pool: Mutex::default(),
            found: Mutex::default(),
            stopped: OnceLock::new(),
        }
    }

    /// Explores level after level; returns the depth and the widest level.
    fn run(&self) -> (usize, u64) {
        let mut level = vec![self.first_block()];
        let (mut depth, mut widest, mut before) = (0, 0, 0);
        let mut spoke = self.begin;
        loop {
            let states = self.states.load(Relaxed);
            widest = widest.max(states - before);
            before = states;
            level = self.expand(level);
            let is_found = self.found.lock().is_ok_and(|it| it.is_some());
            if level.is_empty() || is_found || self.stopped.get().is_some() {
                return (depth, widest);
            }
            depth += 1;
            if self.options.progress && spoke.elapsed() > PROGRESS {
                spoke = Instant::now();
                self.say(depth);
            }
        }
    }

    fn say(&self, depth: usize) {
        let bytes = self.table_bytes.load(Relaxed) + self.frontier_bytes.load(Relaxed);
        let (states, seconds) = (self.states.load(Relaxed), self.begin.elapsed().as_secs());
        eprintln!("  {seconds} s: depth {depth}, {states} states, {} MiB", bytes >> 20);
    }

    /// The initial state, in the table and in a block.
    fn first_block(&self) -> Block {
        let mut bytes = vec![];
        self.system.encode(&self.system.initial(), self.options.canonical, &mut bytes);
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.insert(hash(&bytes, self.options.seed), NO_PARENT);
        self.states.store(1, Relaxed);
        let mut block = self.block();
        block.push(&bytes);
        block
    }

    /// Takes all steps from the states of one level; returns the states of the next one.
    fn expand(&self, level: Vec<Block>) -> Vec<Block> {
        self.shrink_pool(level.len() / 8 + self.options.threads);
        let queue = Mutex::new(level.into_iter());
        let work = || worker::Worker::new(self).run(&queue);
        if self.options.threads <= 1 {
            return work();
        }
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.options.threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().flat_map(|it| it.join().expect("a worker does not panic")).collect()
        })
    }

    fn shrink_pool(&self, most: usize) {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = pool.len().min(most);
        let dropped: usize = pool.drain(spare..).map(|it| it.footprint()).sum();
        self.frontier_bytes.fetch_sub(dropped, Relaxed);
    }

    /// An empty block.
    fn block(&self) -> Block {
        let spare = self.pool.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| {
            let block = Block::new();
            self.frontier_bytes.fetch_add(block.footprint(), Relaxed);
            self.count_bytes();
            block
        })
    }

    fn give_back(&self, mut block: Block) {
        block.clear();
        self.pool.lock().unwrap_or_else(PoisonError::into_inner).push(block);
    }

    fn count_bytes(&self) {
        let bytes = self.table_bytes.load(Relaxed) + self.frontier_bytes.load(Relaxed);
        self.peak_bytes.fetch_max(bytes, Relaxed);
        if bytes > self.options.max_bytes {
            self.stop(Limit::Memory);
        }
    }

    /// Counts what is new, and stops or makes room where that is too much.
    fn count(&self, fresh: u64) {
        let states = self.states.fetch_add(fresh, Relaxed) + fresh;
        if states > self.room.load(Relaxed) {
            self.make_room();
        }
        if states >= self.options.max_states {
            self.stop(Limit::States);
        }
        if self.begin.elapsed() >= self.options.max_time {
            self.stop(Limit::Time);
        }
    }

    fn make_room(&self) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let room = self.room.load(Relaxed);
        if self.states.load(Relaxed) <= room {
            // Another worker was here.
            return;
        }
        // What is left for the frontier must not be all taken now.
        let frontier = self.frontier_bytes.load(Relaxed) / 4 * 5;
        let (wanted, most) = if table.grow(self.options.max_bytes.saturating_sub(frontier)) {
            table.capacity()
        } else {
            (room, table.capacity().1)
        };
        self.table_bytes.store(table.bytes(), Relaxed);
        self.count_bytes();
        if wanted > room {
            self.room.store(wanted, Relaxed);
        } else if most > room {
            self.room.store(most, Relaxed);
        } else {
            self.stop(Limit::Memory);
        }
    }

    fn stop(&self, limit: Limit) {
        // The first reason counts.
        let _ = self.stopped.set(limit);
    }

    fn report(&self, found: Found) {
        let mut least = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if least.as_ref().is_none_or(|it| found.is_before(it)) {
            *least = Some(found);
        }
    }
}
