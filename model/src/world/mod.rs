//! A closed system: some cores, a unit or two, the messages between them, and users who do whatever they may.
//!
//! ```text
//!   unit 0:   Home (at core `home`)   Holder and Holding of each core   a channel up and one down for each core but the home's
//!   unit 1:   the same; what a cut has split off, or a unit of its own
//! ```
//!
//! One action is one step: of a user, of a core that takes a message, of the home. What the home's core says to its own home
//! arrives in the same step, unless [`Config::home_channel`] is set.

mod action;
mod bugs;
mod caps;
mod check;
mod code;
mod refine;
mod step;
mod symmetry;

pub use action::Action;
pub use bugs::Bug;
use capops::{Active, CoreId, CoreSet, Holder, Home, MAX_IN_FLIGHT, ToCore, ToHome, Verdict};
pub use caps::{Cap, Holding, MAX_SIZE, Set, Type, View, each};
pub use symmetry::Symmetry;

use crate::system::{Fairness, System, Violation};

/// What a world has, and what can happen in it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Config {
    /// Granules of unit 0, at most [`MAX_SIZE`].
    pub size: u8,
    /// Granules of unit 1, 0 for none. Objects of unit 0 can then hold a capability of unit 1.
    pub second: u8,
    /// The home core of unit 1.
    pub second_home: CoreId,
    /// Frames and objects, not only Ram.
    pub typed: bool,
    /// Deliveries can be refused.
    pub refusals: bool,
    /// Users can delete what is frozen, as the deletion of a CNode does.
    pub forced_deletes: bool,
    /// Sweeps and local revocations delete one capability a step.
    pub stepped: bool,
    /// `Gone` is sent some time after the last deletion, when there is room, rather than at once.
    pub owed: bool,
    /// The home's core talks to its home by a channel as the others do.
    pub home_channel: bool,
    /// A free unit has to be zeroed before it is handed out, as a step of its own.
    pub zeroing: bool,
    /// Where unit 0 can be cut in two, 0 for never.
    pub cut: u8,
    /// A core other than the home can stop.
    pub core_stops: bool,
    /// The home can stop.
    pub home_stops: bool,
    /// Requests that can be under way in the whole system.
    pub operations: u8,
    /// A granted retype marks all that is held inside its source as exclusive, as the specification in TLA+ has it, not the
    /// source alone.
    pub marks_inside: bool,
    /// A mistake made on purpose.
    pub bug: Option<Bug>,
}

impl Config {
    /// One untyped unit, nothing in steps, and nothing that goes wrong.
    pub const fn plain(size: u8) -> Config {
        Config {
            size,
            second: 0,
            second_home: CoreId(0),
            typed: false,
            refusals: false,
            forced_deletes: false,
            stepped: false,
            owed: false,
            home_channel: false,
            zeroing: false,
            cut: 0,
            core_stops: false,
            home_stops: false,
            operations: u8::MAX,
            marks_inside: false,
            bug: None,
        }
    }
}

/// Messages that were sent and have not arrived, oldest first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Channel<M> {
    messages: [Option<M>; MAX_IN_FLIGHT],
}

impl<M: Copy> Channel<M> {
    const EMPTY: Channel<M> = Channel { messages: [None; MAX_IN_FLIGHT] };

    fn push(&mut self, message: M) -> Result<(), Violation> {
        match self.messages.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(message),
            None => return Err(violation("bound", "more messages under way than MAX_IN_FLIGHT")),
        }
        Ok(())
    }
    fn pop(&mut self) -> Option<M> {
        let first = self.messages[0].take();
        self.messages.rotate_left(1);
        first
    }
    /// The oldest message.
    pub fn front(&self) -> Option<M> {
        self.messages[0]
    }
    /// All messages, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = M> {
        self.messages.into_iter().flatten()
    }
    fn len(&self) -> usize {
        self.iter().count()
    }
}

/// A unit: its home, and what each core has to do with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unit<const N: usize> {
    /// The state at the home.
    pub home: Home<Cap, N>,
    /// The state of each core.
    pub holders: [Holder<Cap>; N],
    /// What each core holds.
    pub held: [Holding; N],
    /// Messages to the home.
    pub up: [Channel<ToHome<Cap>>; N],
    /// Messages from the home.
    pub down: [Channel<ToCore<Cap>>; N],
    /// Whether users have written to its memory since it was zeroed.
    pub dirty: bool,
}

/// The capability of unit 1 that lies in an object of unit 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content {
    /// The core.
    pub core: CoreId,
    /// The object, of unit 0.
    pub object: Cap,
    /// What lies in it, of unit 1.
    pub cap: Cap,
    /// Whether it is the only copy on its core.
    pub only: bool,
    /// Whether the object is being emptied: nobody has a capability to it any more.
    pub dying: bool,
}

/// A state of a world of `N` cores.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State<const N: usize> {
    /// The units; the second one is there if [`Config::second`] or a cut made it.
    pub units: [Unit<N>; 2],
    /// Whether unit 0 has been cut: then it ends where unit 1 begins.
    pub is_cut: bool,
    /// What lies in an object.
    pub content: Option<Content>,
    /// The core that does nothing any more.
    pub stopped: Option<CoreId>,
    /// Cores that know that the home has stopped.
    pub bereaved: CoreSet,
}

/// A world of `N` cores.
pub struct World<const N: usize> {
    /// What can happen in it.
    pub config: Config,
    symmetry: Symmetry<N>,
}

fn violation(check: &'static str, text: impl Into<String>) -> Violation {
    Violation { check, text: text.into() }
}

impl<const N: usize> World<N> {
    /// A world.
    ///
    /// # Panics
    /// For sizes that are too large, and features that do not go together.
    pub fn new(config: Config) -> World<N> {
        assert!(config.size <= MAX_SIZE && config.second <= MAX_SIZE && config.cut < config.size);
        assert!(config.cut == 0 || config.second == 0, "unit 1 is one or the other");
        assert!(!config.home_stops || config.second == 0, "one home at a time");
        World { config, symmetry: Symmetry::new(&config) }
    }

    /// The home core of a unit.
    pub fn home_of(&self, unit: usize) -> CoreId {
        if unit == 1 && self.config.second != 0 { self.config.second_home } else { CoreId(0) }
    }

    /// Whether a core and the home of a unit talk within one step.
    fn is_inline(&self, unit: usize, core: CoreId) -> bool {
        self.home_of(unit) == core && !self.config.home_channel
    }

    /// The capability of a whole unit.
    fn root(&self, state: &State<N>, unit: usize) -> Cap {
        let Config { size, second, cut, .. } = self.config;
        let (start, end) = match (unit, state.is_cut) {
            (0, false) => (0, size),
            (0, true) => (0, cut),
            _ if second != 0 => (0, second),
            _ => (cut, size),
        };
        Cap::new(Type::Ram, start, end)
    }

    /// Units that exist.
    fn unit_count(&self, state: &State<N>) -> usize {
        if self.config.second != 0 || state.is_cut { 2 } else { 1 }
    }

    /// Whether a core runs.
    fn is_up(&self, state: &State<N>, core: CoreId) -> bool {
        state.stopped != Some(core)
    }

    /// Whether a home runs.
    fn home_is_up(&self, state: &State<N>, unit: usize) -> bool {
        state.stopped != Some(self.home_of(unit))
    }

    /// Whether a core and a home still talk.
    fn is_linked(&self, state: &State<N>, core: CoreId) -> bool {
        !state.bereaved.has(core)
    }
}

impl<const N: usize> Unit<N> {
    fn new() -> Unit<N> {
        Unit {
            home: Home::new(CoreSet::first(N)),
            holders: [Holder::IDLE; N],
            held: [Holding::default(); N],
            up: [Channel::EMPTY; N],
            down: [Channel::EMPTY; N],
            dirty: false,
        }
    }
}

impl<const N: usize> System for World<N> {
    type State = State<N>;
    type Action = Action;

    fn initial(&self) -> State<N> {
        let mut unit = Unit::new();
        unit.home.zeroed = true;
        State { units: [unit; 2], is_cut: false, content: None, stopped: None, bereaved: CoreSet::NONE }
    }

    fn actions(&self, state: &State<N>, reduce: bool, actions: &mut Vec<Action>) {
        if reduce && let Some(action) = self.eager(state) {
            actions.push(action);
            return;
        }
        self.internal_actions(state, actions);
        self.user_actions(state, actions);
    }

    fn step(&self, state: &State<N>, action: Action) -> Result<State<N>, Violation> {
        let mut next = *state;
        self.apply(&mut next, action)?;
        Ok(next)
    }

    fn check(&self, state: &State<N>) -> Result<(), Violation> {
        self.check_state(state)
    }

    fn encode(&self, state: &State<N>, canonical: bool, bytes: &mut Vec<u8>) {
        self.write(state, canonical, bytes);
    }

    fn decode(&self, bytes: &[u8]) -> State<N> {
        self.read(bytes)
    }

    fn fairness(&self, action: Action) -> Fairness {
        action.fairness(N, self.config.bug == Some(Bug::Unfair))
    }

    /// Promise `unit * N + core`: a request is answered. Promises from 32 on: a unit without capabilities comes back.
    fn waiting(&self, state: &State<N>) -> u64 {
        let mut waiting = 0;
        for (u, unit) in state.units.iter().enumerate() {
            for (k, holder) in unit.holders.iter().enumerate() {
                if holder.pending.is_some() && self.is_up(state, CoreId(k as u8)) {
                    waiting |= 1 << (u * N + k);
                }
            }
            let unused = (0..N).all(|k| {
                let dead = state.stopped == Some(CoreId(k as u8));
                dead || (unit.held[k].have == 0 && unit.holders[k].pending.is_none())
            });
            if unit.home.live && unused && self.home_is_up(state, u) && !is_delivering(unit) {
                waiting |= 1 << (32 + u);
            }
        }
        waiting
    }
}

fn is_delivering<const N: usize>(unit: &Unit<N>) -> bool {
    matches!(unit.home.active, Active::Allocate { .. } | Active::Send { .. })
}

/// Whether a `Done` that refuses is on its way.
fn is_refused(down: &Channel<ToCore<Cap>>) -> bool {
    down.iter().any(|message| message == ToCore::Done(Verdict::Failed))
}
