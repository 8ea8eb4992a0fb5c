//! The state of a monitor, its events, and the work that is left between them.

use capops::{CoreId, CoreSet, Holder, HolderEvent, Home, HomeEvent, MAX_CORES, Refusal, ToCore, ToHome};

use crate::clients::{Clients, Full};
use crate::holders::Busy;
use crate::homes::UnderWay;
use crate::pool::{Fifo, Table};
use crate::wire::{Body, Message, WORDS, WireKey};
use crate::{Ask, Copied, DomainId, Kernel, Nonsense, UnitId};

/// How much may be under way at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Unanswered requests of a core at a home; at least 1, and the same on all cores.
    pub credits: u8,
    /// What a memory server may have under way at its monitor: an allocation counts one, a cut two.
    pub server: u8,
}

/// A monitor of a machine of `N` cores, with a budget that is fixed when it is made: units under way at this home (`HOMES`)
/// and as a holder (`HOLDERS`), domains (`CLIENTS`) and requests that each may have waiting (`SHARE`), messages to each core
/// that wait for room (`OUT`). The opening of this crate says what suffices.
#[derive(Debug)]
pub struct Monitor<
    K,
    const N: usize,
    const HOMES: usize,
    const HOLDERS: usize,
    const CLIENTS: usize,
    const SHARE: usize,
    const OUT: usize,
> {
    pub(crate) core: CoreId,
    pub(crate) up: CoreSet,
    pub(crate) limits: Limits,
    pub(crate) clients: Clients<K, CLIENTS, SHARE>,
    /// Requests that may still be sent to each home.
    pub(crate) credits: [u8; N],
    pub(crate) holders: Table<Busy<K>, HOLDERS>,
    /// How many holders have a sweep to go on with, and where the last one was.
    pub(crate) sweeping: usize,
    sweep_place: usize,
    pub(crate) homes: Table<UnderWay<K, N>, HOMES>,
    /// How many units have a request that can be begun, and where the last one was.
    pub(crate) ready: usize,
    ready_place: usize,
    /// Requests of each core at this home of which the answer has not left.
    pub(crate) served: [u8; N],
    /// Answers to each core, as a home, that wait for room.
    answers: [usize; N],
    /// What the memory server has under way.
    pub(crate) server: u8,
    out: [Fifo<Message<K>, OUT>; N],
    walk: Walk,
    turn: usize,
    nonsense: u64,
}

/// Telling all units that a core has stopped.
#[derive(Clone, Copy, Debug)]
enum Walk {
    Done,
    /// First what is under way.
    Busy,
    /// Then the units of this home behind this one.
    Units(Option<UnitId>),
}

/// Kinds of work, which take turns.
const KINDS: usize = 5;

impl<
    K: WireKey,
    const N: usize,
    const HOMES: usize,
    const HOLDERS: usize,
    const CLIENTS: usize,
    const SHARE: usize,
    const OUT: usize,
> Monitor<K, N, HOMES, HOLDERS, CLIENTS, SHARE, OUT>
{
    /// The monitor of `core`; all cores run.
    ///
    /// # Panics
    /// The budget does not suffice: see the opening of this crate.
    pub fn new(core: CoreId, limits: Limits) -> Self {
        let (credits, server) = (limits.credits as usize, limits.server as usize);
        assert!(
            N <= MAX_CORES && core.index() < N && credits > 0 && SHARE > 0,
            "no such core, or no credits"
        );
        assert!(HOMES >= N * credits + server, "too few units under way at a home");
        assert!(HOLDERS >= N * (HOMES + credits), "too few holders under way");
        assert!(OUT >= 2 * HOMES + 2 * credits, "queues that are too short");
        Monitor {
            core,
            up: CoreSet::first(N),
            limits,
            clients: Clients::new(),
            credits: [limits.credits; N],
            holders: Table::new(),
            sweeping: 0,
            sweep_place: 0,
            homes: Table::new(),
            ready: 0,
            ready_place: 0,
            served: [0; N],
            answers: [0; N],
            server: 0,
            out: [const { Fifo::new() }; N],
            walk: Walk::Done,
            turn: 0,
            nonsense: 0,
        }
    }

    /// A domain asks. It is told by [`Kernel::reply`], and has what it gets before that.
    ///
    /// # Errors
    /// [`Full`]: nothing was taken; the domain may ask again when one of its requests has ended.
    pub fn ask(&mut self, ask: Ask<K>) -> Result<(), Full> {
        self.clients.push(ask)
    }

    /// A packet of a peer.
    pub fn receive<M: Kernel<Key = K>>(&mut self, kernel: &mut M, from: CoreId, words: [u64; WORDS]) {
        let Some(message) = Message::decode(words) else {
            return self.refuse(kernel, Nonsense { from, unit: None, why: Refusal::Nonsense });
        };
        self.dispatch(kernel, from, message);
    }

    /// The next packet for a core, which the caller has room for. It has to be put into the ring at once.
    pub fn take<M: Kernel<Key = K>>(&mut self, kernel: &mut M, to: CoreId) -> Option<[u64; WORDS]> {
        self.pull(kernel, to).map(|message| message.encode())
    }

    /// A domain has ended: what it asked is forgotten, what comes for it is deleted.
    pub fn domain_ended<M: Kernel<Key = K>>(&mut self, kernel: &mut M, domain: DomainId) {
        while let Some(ask) = self.clients.take(domain) {
            kernel.discard(Copied::Pinned(ask.place));
        }
        self.forget_asker(domain);
    }

    /// A core has stopped, for good. What it sent is thrown away from now on.
    pub fn core_stopped(&mut self, core: CoreId) {
        if core.index() >= N || core == self.core {
            return;
        }
        self.up = self.up.without(core);
        self.out[core.index()].clear();
        self.answers[core.index()] = 0;
        self.clients.unblock(core);
        self.walk = Walk::Busy;
    }

    /// Does one bounded piece of what is left. Says whether there was any.
    pub fn work<M: Kernel<Key = K>>(&mut self, kernel: &mut M) -> bool {
        let first = self.turn;
        for kind in (0..KINDS).map(|i| (first + i) % KINDS) {
            let worked = match kind {
                0 => self.own_message(kernel),
                1 => self.start_ask(kernel),
                2 => self.start_waiting(kernel),
                3 => self.sweep_on(kernel),
                _ => self.walk_on(kernel),
            };
            if worked {
                self.turn = (kind + 1) % KINDS;
                return true;
            }
        }
        false
    }

    fn own_message<M: Kernel<Key = K>>(&mut self, kernel: &mut M) -> bool {
        let Some(message) = self.pull(kernel, self.core) else {
            return false;
        };
        self.dispatch(kernel, self.core, message);
        true
    }

    fn start_waiting<M: Kernel<Key = K>>(&mut self, kernel: &mut M) -> bool {
        if self.ready == 0 {
            return false;
        }
        let Some((place, unit)) = self.homes.next(self.ready_place, UnderWay::is_ready) else {
            return false;
        };
        self.ready_place = place;
        self.start_turn(kernel, unit);
        true
    }

    fn sweep_on<M: Kernel<Key = K>>(&mut self, kernel: &mut M) -> bool {
        if self.sweeping == 0 {
            return false;
        }
        let Some((place, unit)) = self.holders.next(self.sweep_place, Busy::is_sweeping) else {
            return false;
        };
        self.sweep_place = place;
        let stepped = self.holder_step(kernel, unit, HolderEvent::SweepOn, None);
        debug_assert!(stepped.is_ok(), "a sweep goes on until it is done");
        true
    }

    /// Tells one more unit which cores have stopped.
    fn walk_on<M: Kernel<Key = K>>(&mut self, kernel: &mut M) -> bool {
        match self.walk {
            Walk::Done => return false,
            Walk::Busy => {
                let up = self.up;
                let orphaned = self.holders.iter().map(|(unit, _)| unit).find(|unit| !up.has(unit.home));
                let behind = self.homes.iter().find(|(_, it)| it.home.up != up).map(|(unit, _)| unit);
                if let Some(unit) = orphaned {
                    self.home_stopped(kernel, unit);
                } else if let Some(unit) = behind {
                    self.catch_up(kernel, unit);
                } else {
                    self.walk = Walk::Units(None);
                }
            }
            Walk::Units(after) => match kernel.next_unit(after) {
                Some(unit) => {
                    self.catch_up(kernel, unit);
                    self.walk = Walk::Units(Some(unit));
                }
                None => self.walk = Walk::Done,
            },
        }
        true
    }

    /// The next message for a core. What a core owes its home is said when nothing else is left to say.
    fn pull<M: Kernel<Key = K>>(&mut self, kernel: &mut M, to: CoreId) -> Option<Message<K>> {
        if !self.up.has(to) {
            return None;
        }
        if let Some(message) = self.out[to.index()].pop() {
            match message.body {
                Body::ToCore(ToCore::Done(_)) => self.served[to.index()] -= 1,
                body if is_answer(&body) => self.answers[to.index()] -= 1,
                _ => {}
            }
            return Some(message);
        }
        let unit = kernel.next_emptied(to)?;
        let said = self.holder_step(kernel, unit, HolderEvent::SayGone, None);
        debug_assert!(said.is_ok(), "a unit that owes it can say it");
        self.out[to.index()].pop()
    }

    fn dispatch<M: Kernel<Key = K>>(&mut self, kernel: &mut M, from: CoreId, message: Message<K>) {
        let Message { unit, body, tag } = message;
        let done = match body {
            _ if !self.up.has(from) => Err(Refusal::Stopped),
            Body::ToHome(_) if unit.home != self.core => Err(Refusal::Nonsense),
            Body::ToCore(_) if unit.home != from => Err(Refusal::Nonsense),
            Body::ToCore(message) if !self.may_be_asked(unit, message) => Err(Refusal::Nonsense),
            Body::ToHome(message) => self.home_step(kernel, unit, HomeEvent::Receive { from, message }, tag),
            Body::ToCore(message) => self.take_from_home(kernel, unit, message, tag),
        };
        if let Err(why) = done {
            self.refuse(kernel, Nonsense { from, unit: Some(unit), why });
        }
    }

    /// A home has no more units under way than it has records, and one message for each that waits for an answer of this core.
    fn may_be_asked(&self, unit: UnitId, message: ToCore<K>) -> bool {
        if let ToCore::Done(_) = message {
            return true;
        }
        let of_home = self.holders.iter().filter(|(id, _)| id.home == unit.home);
        let (mut frozen, mut owed) = (0, self.answers[unit.home.index()]);
        for (_, busy) in of_home {
            frozen += usize::from(busy.holder.frozen.is_some());
            // The answer of a sweep comes when it ends.
            owed += usize::from(busy.is_sweeping());
        }
        let marks = matches!(message, ToCore::Mark { .. });
        owed < HOMES && !(marks && frozen >= HOMES)
    }

    fn refuse<M: Kernel<Key = K>>(&mut self, kernel: &mut M, nonsense: Nonsense) {
        // What a core sent before it stopped is thrown away, and no fault of anybody.
        if nonsense.why != Refusal::Stopped {
            self.nonsense += 1;
            kernel.report(nonsense);
        }
    }

    /// Puts a message into the queue to a core.
    pub(crate) fn push(&mut self, to: CoreId, message: Message<K>) {
        if self.up.has(to) {
            self.answers[to.index()] += usize::from(is_answer(&message.body));
            let pushed = self.out[to.index()].push(message);
            assert!(pushed.is_ok(), "a queue between monitors has a bound, and was made for it");
        }
    }

    /// Messages and events that were refused.
    pub fn nonsense(&self) -> u64 {
        self.nonsense
    }

    /// The cores that run, as far as is known here.
    pub fn up(&self) -> CoreSet {
        self.up
    }

    /// What goes on with a unit of this home, if anything does.
    pub fn home(&self, unit: UnitId) -> Option<&Home<K, N>> {
        self.homes.get(unit).map(|it| &it.home)
    }

    /// All units of this home with which something goes on.
    pub fn homes(&self) -> impl Iterator<Item = (UnitId, &Home<K, N>)> {
        self.homes.iter().map(|(unit, it)| (unit, &it.home))
    }

    /// What is frozen and asked on this core in a unit, if anything is.
    pub fn holder(&self, unit: UnitId) -> Option<&Holder<K>> {
        self.holders.get(unit).map(|it| &it.holder)
    }

    /// All units in which something is frozen or asked on this core.
    pub fn holders(&self) -> impl Iterator<Item = (UnitId, &Holder<K>)> {
        self.holders.iter().map(|(unit, it)| (unit, &it.holder))
    }

    /// The messages for a core that wait for room.
    pub fn queued(&self, to: CoreId) -> impl Iterator<Item = &Message<K>> {
        self.out[to.index()].iter()
    }

    /// The requests of domains that have not been started.
    pub fn asks(&self) -> impl Iterator<Item = &Ask<K>> {
        self.clients.iter()
    }

    /// Whether nothing is under way, asked or queued here.
    pub fn is_quiet(&self) -> bool {
        self.holders.len() == 0
            && self.homes.len() == 0
            && self.clients.iter().next().is_none()
            && self.out.iter().all(|queue| queue.len() == 0)
            && matches!(self.walk, Walk::Done)
    }
}

/// Whether it answers a message of a home: one that waits for it.
fn is_answer<K>(body: &Body<K>) -> bool {
    matches!(body, Body::ToHome(message) if !matches!(message, ToHome::Request(_) | ToHome::Gone))
}
