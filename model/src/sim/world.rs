//! The cores, what is between them, and what happens at random.

use std::collections::VecDeque;

use capops::{CoreId, Refusal, Request, Verdict};
use monitor::{Ask, DomainId, Limits, Message, Monitor, PAGE, UnitId, WORDS};

use super::kernel::{DOMAINS, SLOTS, SimKernel, SlotId, Told};
use super::key::{Keys, PAGES, SimKey, Type};
use super::naive::place;
use super::rng::Rng;
use super::{Config, Counts, Mistake};
use crate::system::Violation;

/// Regions of memory that a memory server has.
pub(super) const REGIONS: usize = 2;
/// Requests that a domain may have waiting.
const SHARE: usize = 3;
const LIMITS: Limits = Limits { credits: 2, server: 4 };
/// Allocations that a memory server works on.
const ORDERS: usize = 3;
/// How often a step looks for something that can happen.
const TRIES: usize = 6;
/// Rounds in which all has to come to rest.
const ROUNDS: usize = 2_000;

type TheMonitor<const N: usize, const HOMES: usize, const HOLDERS: usize, const OUT: usize> =
    Monitor<SimKey, N, HOMES, HOLDERS, DOMAINS, SHARE, OUT>;

pub(super) struct Core<M, const N: usize, const HOMES: usize, const HOLDERS: usize, const OUT: usize> {
    pub(super) kernel: M,
    pub(super) monitor: Box<TheMonitor<N, HOMES, HOLDERS, OUT>>,
    pub(super) up: bool,
    domains: [Domain; DOMAINS],
    /// What the memory server has promised.
    orders: Vec<Order>,
    /// The cores whose stop was not told yet.
    untold: Vec<CoreId>,
}

#[derive(Clone, Debug, Default)]
struct Domain {
    id: u32,
    /// Its requests that are not answered.
    tokens: Vec<u64>,
    /// It has ended, and the monitor was not told yet.
    untold: bool,
    /// It is revoking what is in this slot.
    revoking: Option<SlotId>,
}

#[derive(Clone, Copy, Debug)]
struct Order {
    unit: UnitId,
    pages: usize,
    to: CoreId,
    tag: u64,
}

/// A machine.
pub struct World<M, const N: usize, const HOMES: usize, const HOLDERS: usize, const OUT: usize> {
    pub(super) config: Config,
    pub(super) cores: Vec<Core<M, N, HOMES, HOLDERS, OUT>>,
    /// From each core to each: `from * N + to`.
    pub(super) rings: Vec<VecDeque<[u64; WORDS]>>,
    pub(super) checks: super::check::Checks<N>,
    ring_size: usize,
    rng: Rng,
    weights: [usize; OPS.len()],
    total: usize,
    next_id: u32,
    next_token: u64,
    step: u64,
    pub(super) counts: Counts,
    story: Option<Vec<String>>,
    /// Something has happened in this step.
    did: bool,
}

/// What can happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Op {
    Receive,
    Flush,
    Work,
    Reap,
    Serve,
    Copy,
    Store,
    Fetch,
    Retype,
    Revoke,
    Delete,
    Send,
    Write,
    Allocate,
    Spawn,
    Kill,
    TellKill,
    Cut,
    Stop,
    TellStop,
}

/// All, with how often each may happen: each seed draws one of the three.
const OPS: [(Op, [usize; 3]); 20] = [
    (Op::Receive, [3, 20, 100]),
    (Op::Flush, [3, 20, 100]),
    (Op::Work, [5, 30, 100]),
    (Op::Reap, [5, 20, 40]),
    (Op::Serve, [5, 20, 40]),
    (Op::Copy, [0, 4, 20]),
    (Op::Store, [0, 4, 20]),
    (Op::Fetch, [0, 1, 5]),
    (Op::Retype, [2, 10, 30]),
    (Op::Revoke, [0, 3, 20]),
    (Op::Delete, [2, 6, 20]),
    (Op::Send, [5, 20, 60]),
    (Op::Write, [1, 2, 5]),
    (Op::Allocate, [1, 4, 15]),
    (Op::Spawn, [2, 4, 10]),
    (Op::Kill, [0, 1, 4]),
    (Op::TellKill, [2, 5, 10]),
    (Op::Cut, [0, 4, 20]),
    (Op::Stop, [0, 1, 2]),
    (Op::TellStop, [1, 5, 10]),
];

macro_rules! tell {
    ($world:expr, $($arg:tt)*) => {
        $world.did = true;
        if let Some(story) = &mut $world.story {
            story.push(format!("{:6}  {}", $world.step, format_args!($($arg)*)));
        }
    };
}

impl<M: SimKernel, const N: usize, const HOMES: usize, const HOLDERS: usize, const OUT: usize>
    World<M, N, HOMES, HOLDERS, OUT>
{
    /// The machine before its first step; each core has one domain.
    pub fn new(config: Config, seed: u64, tell: bool, kernel: impl Fn(CoreId) -> M) -> Self {
        let mut rng = Rng::new(seed);
        let mut weights = OPS.map(|(_, choices)| choices[rng.below(3)]);
        weights[OPS.iter().position(|(op, _)| *op == Op::Stop).expect("it is there")] *=
            usize::from(config.stops);
        let core = |i| Core {
            kernel: kernel(CoreId(i as u8)),
            monitor: Box::new(Monitor::new(CoreId(i as u8), LIMITS)),
            up: true,
            domains: Default::default(),
            orders: vec![],
            untold: vec![],
        };
        World {
            config,
            cores: (0..N).map(core).collect(),
            rings: vec![VecDeque::with_capacity(4); N * N],
            checks: super::check::Checks::new(N * REGIONS),
            ring_size: 1 + rng.below(4),
            rng,
            weights,
            total: weights.iter().sum(),
            next_id: 0,
            next_token: 0,
            step: 0,
            counts: Counts::default(),
            story: tell.then(Vec::new),
            did: false,
        }
    }

    /// Takes all steps, brings everything to rest, and checks that all memory came home.
    ///
    /// # Errors
    /// Something does not hold.
    pub fn run(&mut self) -> Result<(), Violation> {
        for _ in 0..self.config.steps {
            for _ in 0..TRIES {
                self.did = false;
                self.random_step()?;
                if self.did {
                    break;
                }
            }
            self.step += 1;
            if self.step.is_multiple_of(256) {
                self.check_messages()?;
            }
        }
        self.rest()?;
        self.check_answers()?;
        for core in 0..N {
            for domain in 0..DOMAINS {
                if self.cores[core].up && self.cores[core].kernel.lives(domain) {
                    self.kill(core, domain);
                }
            }
        }
        self.rest()?;
        self.check_all_home()
    }

    /// The step that is being taken.
    pub fn steps(&self) -> u64 {
        self.step
    }
    /// What was seen so far.
    pub fn counts(&self) -> Counts {
        Counts { steps: self.step, ..self.counts }
    }
    /// What happened so far, if that was asked for.
    pub fn story(&mut self) -> Vec<String> {
        self.story.take().unwrap_or_default()
    }

    fn pick(&mut self) -> Op {
        let mut at = self.rng.below(self.total);
        for (i, weight) in self.weights.iter().enumerate() {
            if at < *weight {
                return OPS[i].0;
            }
            at -= weight;
        }
        Op::Work
    }

    fn random_step(&mut self) -> Result<(), Violation> {
        let op = self.pick();
        if matches!(op, Op::Work | Op::Reap) {
            return self.one_works(op);
        }
        match self.place_for(op) {
            Some(core) => self.act(op, core),
            None => Ok(()),
        }
    }

    /// Some core does a piece of what is left to do, if any has some.
    fn one_works(&mut self, op: Op) -> Result<(), Violation> {
        let first = self.rng.below(N);
        for i in 0..N {
            let core = (first + i) % N;
            if !self.cores[core].up {
                continue;
            }
            let worked = if op == Op::Work { self.work(core) } else { self.reap(core) };
            if worked {
                return self.after(core);
            }
        }
        Ok(())
    }

    /// A core where this can happen, if there is one.
    fn place_for(&mut self, op: Op) -> Option<usize> {
        let first = self.rng.below(N);
        let mut cores = (0..N).map(|i| (first + i) % N).filter(|core| self.cores[*core].up);
        match op {
            Op::Receive => cores.find(|to| (0..N).any(|from| !self.rings[from * N + to].is_empty())),
            Op::Flush => cores.find(|from| (0..N).any(|to| self.may_flush(*from, to))),
            _ => cores.next().filter(|core| *core == first),
        }
    }

    /// Whether there is a packet for a ring, and room for it.
    fn may_flush(&self, from: usize, to: usize) -> bool {
        let (core, to_core) = (&self.cores[from], CoreId(to as u8));
        let room = self.rings[from * N + to].len() < self.ring_size || !self.cores[to].up;
        let waits =
            core.monitor.queued(to_core).next().is_some() || core.kernel.next_emptied(to_core).is_some();
        from != to && (room || self.config.mistake == Some(Mistake::FullRingLoses)) && waits
    }

    fn act(&mut self, op: Op, core: usize) -> Result<(), Violation> {
        match op {
            Op::Receive => self.receive(core),
            Op::Flush => self.flush(core),
            Op::Serve => self.serve(core),
            Op::Spawn => self.spawn(core),
            Op::Kill => self.kill_some(core),
            Op::TellKill => self.tell_kill(core),
            Op::Cut => self.cut(core),
            Op::Stop => self.stop(core),
            Op::TellStop => self.tell_stop(core),
            _ => self.domain_acts(op, core)?,
        }
        self.after(core)
    }

    /// Brings to the ones concerned what the monitor has told, and checks what the step has touched.
    fn after(&mut self, core: usize) -> Result<(), Violation> {
        if !self.cores[core].kernel.told().is_empty() {
            let told = std::mem::take(self.cores[core].kernel.told());
            for it in told {
                self.told(core, it)?;
            }
        }
        self.check_touched(core)
    }

    fn told(&mut self, core: usize, told: Told) -> Result<(), Violation> {
        tell!(self, "  core {core} is told {told:?}");
        match told {
            Told::Reply(id, token, how) => self.replied(core, id, token, how),
            Told::Reclaimed(unit) => {
                self.counts.reclaimed += 1;
                self.check_reclaimed(unit)?;
                self.cores[core].kernel.unmake_unit(unit);
                Ok(())
            }
            Told::CutEnded(_, done) => {
                self.counts.cuts += u64::from(done);
                Ok(())
            }
            Told::Nonsense(nonsense) => {
                let text = format!("core {core} refused what its peers cannot say: {nonsense:?}");
                Err(Violation { check: "nonsense", text })
            }
        }
    }

    fn replied(
        &mut self,
        core: usize,
        id: DomainId,
        token: u64,
        how: Result<Verdict, Refusal>,
    ) -> Result<(), Violation> {
        match how {
            Ok(Verdict::Granted | Verdict::GrantedAlone) => self.counts.granted += 1,
            _ => self.counts.denied += 1,
        }
        let domains = &mut self.cores[core].domains;
        let asked = domains.iter_mut().filter(|domain| domain.id == id.0);
        for domain in asked {
            if let Some(at) = domain.tokens.iter().position(|it| *it == token) {
                domain.tokens.swap_remove(at);
                return Ok(());
            }
        }
        Err(Violation { check: "answers", text: format!("core {core}: nobody waits for {id:?}, {token}") })
    }

    // What monitors and kernels do by themselves.

    fn receive(&mut self, core: usize) {
        let first = self.rng.below(N);
        let senders = (0..N).map(|i| (first + i) % N);
        let Some(from) = senders.into_iter().find(|from| !self.rings[from * N + core].is_empty()) else {
            return;
        };
        self.receive_from(core, from);
    }

    fn receive_from(&mut self, core: usize, from: usize) {
        let Some(words) = self.rings[from * N + core].pop_front() else {
            return;
        };
        tell!(self, "core {core} gets from {from}: {:?}", Message::<SimKey>::decode(words));
        self.counts.packets += 1;
        self.checks.touch(words[1] as u32 as usize / PAGES);
        let Core { kernel, monitor, .. } = &mut self.cores[core];
        monitor.receive(kernel, CoreId(from as u8), words);
    }

    fn flush(&mut self, core: usize) {
        let first = self.rng.below(N);
        let cores = (0..N).map(|i| (first + i) % N);
        if let Some(to) = cores.into_iter().find(|to| self.may_flush(core, *to)) {
            self.flush_to(core, to);
        }
    }

    fn flush_to(&mut self, core: usize, to: usize) {
        let ring = &mut self.rings[core * N + to];
        let loses = self.config.mistake == Some(Mistake::FullRingLoses);
        if to == core || ring.len() >= self.ring_size && !loses {
            return;
        }
        let Core { kernel, monitor, .. } = &mut self.cores[core];
        let Some(words) = monitor.take(kernel, CoreId(to as u8)) else {
            return;
        };
        tell!(self, "core {core} puts into the ring to {to}");
        if !self.cores[to].up || ring.len() >= self.ring_size {
            return;
        }
        ring.push_back(words);
        if self.config.mistake == Some(Mistake::PacketsOvertake) && ring.len() > 1 && self.rng.one_in(4) {
            ring.swap(0, 1);
        }
    }

    fn work(&mut self, core: usize) -> bool {
        let Core { kernel, monitor, .. } = &mut self.cores[core];
        let worked = monitor.work(kernel);
        if worked {
            for region in core * REGIONS..(core + 1) * REGIONS {
                self.checks.touch(region);
            }
            tell!(self, "core {core} works");
        }
        worked
    }

    fn reap(&mut self, core: usize) -> bool {
        self.cores[core].kernel.reap()
    }

    // The memory server.

    fn serve(&mut self, core: usize) {
        let Core { kernel, monitor, orders, .. } = &mut self.cores[core];
        if orders.is_empty() {
            return;
        }
        let which = self.rng.below(orders.len());
        let Order { unit, pages, to, tag } = orders[which];
        let zeroed = kernel.idle(unit).is_some_and(|idle| idle.zeroed);
        self.checks.touch(place(unit).0);
        if !zeroed {
            let done = monitor.zero(kernel, unit);
            tell!(self, "core {core} zeroes {unit:?}: {done:?}");
            return;
        }
        let (region, first) = place(unit);
        let root = SimKey::ram(region as u8, first, first + pages);
        let handed = monitor.allocate(kernel, unit, to, root, tag);
        tell!(self, "core {core} allocates {root} to core {}: {handed:?}", to.0);
        match handed {
            Err(Refusal::Busy) => return,
            Err(_) => kernel.unmake_unit(unit),
            Ok(()) => self.checks.handed_out(region, root, *kernel.dirty(region)),
        }
        orders.swap_remove(which);
    }

    fn order(&mut self, core: usize, domain: usize) {
        let home = self.rng.below(N);
        let pages = if self.rng.one_in(3) { PAGES } else { 1 + self.rng.below(PAGES) };
        let region = home * REGIONS + self.rng.below(REGIONS);
        let first = self.rng.below(PAGES - pages + 1);
        let server = &mut self.cores[home];
        let unit = UnitId { home: CoreId(home as u8), page: (region * PAGES + first) as u32 };
        if server.up && server.orders.len() < ORDERS && server.kernel.make_unit(unit, pages) {
            let order = Order { unit, pages, to: CoreId(core as u8), tag: domain as u64 };
            server.orders.push(order);
            tell!(self, "core {core} domain {domain} orders {order:?}");
        }
    }

    fn cut(&mut self, core: usize) {
        let page = (core * REGIONS + self.rng.below(REGIONS)) * PAGES + self.rng.below(PAGES);
        let unit = UnitId { home: CoreId(core as u8), page: page as u32 };
        let Core { kernel, monitor, .. } = &mut self.cores[core];
        let Some((pages, _)) = kernel.unit(unit).filter(|(pages, _)| *pages > 1) else {
            return;
        };
        let at = (page + 1 + self.rng.below(pages - 1)) as u64 * PAGE;
        let begun = monitor.cut(kernel, unit, at);
        self.checks.touch(place(unit).0);
        tell!(self, "core {core} cuts {unit:?} at page {}: {begun:?}", at / PAGE);
    }

    // Domains and cores come and go.

    fn spawn(&mut self, core: usize) {
        let first = self.rng.below(DOMAINS);
        let Core { kernel, domains, .. } = &mut self.cores[core];
        let mut places = (0..DOMAINS).map(|i| (first + i) % DOMAINS);
        let place = places.find(|it| !kernel.lives(*it)).unwrap_or(first);
        if !domains[place].untold && kernel.spawn(place, DomainId(self.next_id + 1)) {
            self.next_id += 1;
            domains[place] = Domain { id: self.next_id, ..Domain::default() };
            tell!(self, "core {core} spawns domain {place} ({})", self.next_id);
        }
    }

    fn kill_some(&mut self, core: usize) {
        let domain = self.rng.below(DOMAINS);
        if self.cores[core].kernel.lives(domain) {
            self.kill(core, domain);
        }
    }

    fn kill(&mut self, core: usize, domain: usize) {
        let Core { kernel, domains, .. } = &mut self.cores[core];
        kernel.kill(domain);
        domains[domain].untold = true;
        domains[domain].revoking = None;
        tell!(self, "core {core} domain {domain} ends");
    }

    fn tell_kill(&mut self, core: usize) {
        let Core { kernel, monitor, domains, .. } = &mut self.cores[core];
        if let Some(domain) = domains.iter_mut().find(|it| it.untold) {
            monitor.domain_ended(kernel, DomainId(domain.id));
            *domain = Domain::default();
            tell!(self, "core {core} learns of the end");
        }
    }

    fn stop(&mut self, core: usize) {
        // One stops, at any time of a run.
        if self.cores.iter().any(|it| !it.up) || !self.rng.one_in(16) {
            return;
        }
        tell!(self, "core {core} stops");
        self.cores[core].up = false;
        for other in &mut self.cores {
            other.untold.push(CoreId(core as u8));
        }
        for from in 0..N {
            self.rings[from * N + core].clear();
        }
    }

    fn tell_stop(&mut self, core: usize) {
        let Core { monitor, untold, orders, kernel, .. } = &mut self.cores[core];
        if let Some(stopped) = untold.pop() {
            monitor.core_stopped(stopped);
            let (kept, dropped) = orders.iter().copied().partition(|it| it.to != stopped);
            *orders = kept;
            let dropped: Vec<Order> = dropped;
            dropped.iter().for_each(|it| kernel.unmake_unit(it.unit));
            tell!(self, "core {core} learns that core {} has stopped", stopped.0);
        }
    }

    // What domains do.

    fn domain_acts(&mut self, op: Op, core: usize) -> Result<(), Violation> {
        let first = self.rng.below(DOMAINS);
        let mut domains = (0..DOMAINS).map(|i| (first + i) % DOMAINS);
        let Some(domain) = domains.find(|it| self.cores[core].kernel.lives(*it)) else {
            return Ok(());
        };
        if op == Op::Allocate {
            self.order(core, domain);
            return Ok(());
        }
        if op == Op::Revoke
            && let Some(slot) = self.cores[core].domains[domain].revoking
        {
            return self.revoke(core, domain, slot);
        }
        let first = self.rng.below(SLOTS);
        let slots = (0..SLOTS).map(|i| domain * SLOTS + (first + i) % SLOTS);
        let kernel = &mut self.cores[core].kernel;
        let full = slots.into_iter().find(|slot| kernel.cap(*slot).is_some());
        let free = kernel.free_slot(domain);
        match (op, full, free) {
            (Op::Fetch, _, Some(free)) => {
                let which = self.rng.below(64);
                let fetched = kernel.fetch(which, free);
                self.used(core, free, fetched)
            }
            (Op::Copy, Some(slot), Some(free)) => {
                let mint = self.rng.one_in(4);
                let copied = kernel.copy(slot, free, mint);
                self.used(core, slot, copied)
            }
            (Op::Store, Some(slot), _) => {
                let which = self.rng.below(64);
                let stored = kernel.store(slot, which);
                self.used(core, slot, stored)
            }
            (Op::Retype, Some(slot), Some(free)) => self.retype(core, domain, slot, free),
            (Op::Revoke, Some(slot), _) => self.revoke(core, domain, slot),
            (Op::Delete, Some(slot), _) => {
                tell!(self, "core {core} domain {domain} deletes {}", show(kernel, slot));
                kernel.delete(slot);
                Ok(())
            }
            (Op::Send, Some(slot), _) => self.send(core, domain, slot),
            (Op::Write, Some(slot), _) => {
                self.write(core, slot);
                Ok(())
            }
            (_, None, _) => {
                self.order(core, domain);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What was used must not have been revoked.
    fn used(&mut self, core: usize, slot: SlotId, how: Result<(), Refusal>) -> Result<(), Violation> {
        if how != Err(Refusal::NotHeld) {
            tell!(self, "core {core} uses {}: {how:?}", show(&self.cores[core].kernel, slot));
        }
        match self.cores[core].kernel.cap(slot) {
            Some(cap) if how.is_ok() => self.check_used(core, cap.key),
            _ => Ok(()),
        }
    }

    fn retype(&mut self, core: usize, domain: usize, slot: SlotId, free: SlotId) -> Result<(), Violation> {
        let kernel = &mut self.cores[core].kernel;
        let Some(src) = kernel.cap(slot).map(|cap| cap.key) else {
            return Ok(());
        };
        let possible: Keys = src.row().inside & !src.bit();
        if possible == 0 {
            return Ok(());
        }
        let new = SimKey { region: src.region, index: self.rng.member(possible) };
        let made = kernel.retype(slot, new, free);
        tell!(self, "core {core} domain {domain} retypes {src} to {new}: {made:?}");
        if made == Err(Refusal::Shared) {
            self.ask(core, domain, slot, Request::Retype { src, new }, 0);
            return Ok(());
        }
        self.used(core, slot, made)
    }

    fn revoke(&mut self, core: usize, domain: usize, slot: SlotId) -> Result<(), Violation> {
        let Core { kernel, domains, .. } = &mut self.cores[core];
        domains[domain].revoking = None;
        let Some(cap) = kernel.cap(slot).filter(|cap| cap.revoke) else {
            return Ok(());
        };
        let revoked = kernel.revoke(slot);
        tell!(self, "core {core} domain {domain} revokes {}: {revoked:?}", cap.key);
        match revoked {
            Ok(more) => {
                self.cores[core].domains[domain].revoking = more.then_some(slot);
                self.check_used(core, cap.key)
            }
            Err(Refusal::Shared) => {
                self.ask(core, domain, slot, Request::Revoke { top: cap.key }, 0);
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }

    fn send(&mut self, core: usize, domain: usize, slot: SlotId) -> Result<(), Violation> {
        let Some(cap) = self.cores[core].kernel.cap(slot).filter(|cap| cap.key.ty() != Type::CNode) else {
            return Ok(());
        };
        let to = CoreId(self.rng.below(N) as u8);
        let drops_right = !cap.revoke || self.rng.one_in(4);
        let tag = self.rng.below(DOMAINS) as u64 | u64::from(drops_right) << 32;
        self.ask(core, domain, slot, Request::Send { key: cap.key, to }, tag);
        Ok(())
    }

    fn ask(&mut self, core: usize, domain: usize, slot: SlotId, request: Request<SimKey>, tag: u64) {
        let Core { kernel, monitor, domains, .. } = &mut self.cores[core];
        let Some(place) = kernel.pin(slot) else {
            return;
        };
        self.next_token += 1;
        let token = self.next_token;
        let (unit, id) = (kernel.unit_of(request.pinned()), DomainId(domains[domain].id));
        let asked = monitor.ask(Ask { domain: id, token, place, unit, request, tag });
        tell!(self, "core {core} domain {domain} asks {request:?} ({token}): {asked:?}");
        match asked {
            Ok(()) => domains[domain].tokens.push(token),
            Err(_) => kernel.discard(monitor::Copied::Pinned(place)),
        }
    }

    /// Writes into memory, through a frame that may be about to be revoked.
    fn write(&mut self, core: usize, slot: SlotId) {
        let Some(key) = self.cores[core].kernel.cap(slot).map(|cap| cap.key) else {
            return;
        };
        if key.ty() == Type::Frame {
            let region = key.region as usize;
            *self.cores[region / REGIONS].kernel.dirty(region) |= key.pages();
            tell!(self, "core {core} writes through {key}");
        }
    }

    // The end.

    /// Goes on without new requests until nothing is left to do.
    fn rest(&mut self) -> Result<(), Violation> {
        for round in 0..ROUNDS {
            let mut worked = false;
            for core in (0..N).filter(|core| self.cores[*core].up).collect::<Vec<_>>() {
                worked |= self.rest_core(core)?;
            }
            if !worked {
                tell!(self, "all rests after {round} rounds");
                return Ok(());
            }
        }
        Err(Violation { check: "L1", text: "what goes on by itself does not end".to_owned() })
    }

    fn rest_core(&mut self, core: usize) -> Result<bool, Violation> {
        let mut worked = false;
        for from in 0..N {
            worked |= !self.rings[from * N + core].is_empty();
            self.receive_from(core, from);
            self.after(core)?;
            self.step += 1;
        }
        for to in 0..N {
            let before = self.rings[core * N + to].len();
            self.flush_to(core, to);
            worked |= self.rings[core * N + to].len() != before;
            self.after(core)?;
        }
        worked |= self.work(core);
        self.after(core)?;
        worked |= self.reap(core);
        self.after(core)?;
        let Core { orders, untold, domains, .. } = &self.cores[core];
        worked |= !orders.is_empty() || !untold.is_empty() || domains.iter().any(|it| it.untold);
        self.serve(core);
        self.after(core)?;
        self.tell_stop(core);
        self.tell_kill(core);
        self.after(core)?;
        Ok(worked)
    }

    fn check_answers(&self) -> Result<(), Violation> {
        for (core, it) in self.cores.iter().enumerate().filter(|(_, it)| it.up) {
            if let Some(domain) = it.domains.iter().find(|domain| !domain.tokens.is_empty()) {
                let text = format!("core {core}: never answered: {domain:?}");
                return Err(Violation { check: "L2", text });
            }
        }
        Ok(())
    }
}

fn show<M: SimKernel>(kernel: &M, slot: SlotId) -> String {
    kernel.cap(slot).map_or_else(|| "nothing".to_owned(), |cap| cap.key.to_string())
}
