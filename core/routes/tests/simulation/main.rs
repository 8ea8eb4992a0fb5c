//! Whole machines: monitors that know nothing but this crate, naive kernels, and domains that do what comes to their minds.
//!
//! Checked are: each packet once and in order; what was sent before an end is delivered before the end is told; nobody joined with what
//! has ended is not told; nothing is stuck; and when all domains have ended, nothing is left anywhere.

mod domains;
mod kernel;

use std::collections::{BTreeMap, VecDeque};

use domains::{Domain, Ledger, NAMES};
use kernel::{Event, Rng, SimKernel, What};
use routes::{CoreId, Line, Routes};

const CORES: usize = 5;

type Ring = VecDeque<(Line, Option<Line>)>;

struct Core<const R: usize, const W: usize> {
    kernel: SimKernel,
    routes: Routes<kernel::Cap, CORES, R, W>,
    up: bool,
}

struct World<const R: usize, const W: usize> {
    rng: Rng,
    cores: Vec<Core<R, W>>,
    rings: Vec<Vec<Ring>>,
    ring: usize,
    domains: BTreeMap<u64, Domain>,
    next_domain: u64,
    ledger: Ledger,
}

#[derive(Clone, Copy)]
struct Setup {
    steps: usize,
    /// One call in so many fails.
    fail: usize,
    /// A core may stop.
    stops: bool,
}

fn core(i: usize) -> CoreId {
    CoreId(i as u8)
}

impl<const R: usize, const W: usize> World<R, W> {
    fn new(seed: u64, setup: Setup) -> Self {
        let mut rng = Rng(seed);
        let n = 2 + rng.below(CORES - 1);
        let (ring, lmp) = (1 + rng.below(4), 1 + rng.below(4));
        let one = |i| Core {
            kernel: SimKernel::new(core(i), seed, setup.fail, lmp),
            routes: Routes::new(core(i)),
            up: true,
        };
        let ledger = Ledger {
            strict: setup.fail == 0 && !setup.stops && R >= 64,
            complete: !setup.stops,
            ..Ledger::default()
        };
        let mut world = World {
            cores: (0..n).map(one).collect(),
            rings: vec![vec![VecDeque::new(); n]; n],
            ring,
            domains: BTreeMap::new(),
            next_domain: NAMES + 1,
            ledger,
            rng,
        };
        world.domains.insert(NAMES, Domain::new(NAMES, core(0), &mut world.rng));
        world
    }

    fn spawn(&mut self) {
        let at = self.rng.below(self.cores.len());
        if !self.cores[at].up || !self.domains.contains_key(&NAMES) {
            return;
        }
        let number = self.next_domain;
        self.next_domain += 1;
        let mut domain = Domain::new(number, core(at), &mut self.rng);
        let Core { kernel, routes, .. } = &mut self.cores[at];
        let cap = domain.first_end(kernel);
        if at == 0 {
            kernel.served.push_back((number, cap));
        } else {
            let cap = kernel.own(cap);
            if let Err(cap) = routes.open(kernel, core(0), (1, number), cap, number) {
                let cap = kernel.disown(cap);
                kernel.drop_cap(cap);
                domain.die(kernel, &mut self.ledger);
                return;
            }
        }
        self.domains.insert(number, domain);
    }

    fn kill(&mut self, number: u64) {
        if let Some(mut domain) = self.domains.remove(&number) {
            domain.die(&mut self.cores[domain.core.index()].kernel, &mut self.ledger);
        }
    }

    fn any_domain(&mut self) -> Option<u64> {
        let choice = self.rng.below(self.domains.len());
        self.domains.keys().nth(choice).copied()
    }

    /// The name service takes a domain.
    fn attach(&mut self) -> bool {
        let Core { kernel, routes, .. } = &mut self.cores[0];
        let Some((number, cap)) = kernel.served.pop_front() else { return false };
        let Some(names) = self.domains.get_mut(&NAMES) else {
            kernel.drop_cap(cap);
            return true;
        };
        let local = !matches!(cap.what, What::EndPoint(id)
            if matches!(kernel.endpoint(id).owner, kernel::Owner::Monitor(_)));
        let answer = names.attach(kernel, cap);
        if local {
            match self.domains.get_mut(&number) {
                Some(domain) => domain.opened(kernel, answer, &mut self.ledger),
                None => answer.into_iter().for_each(|cap| kernel.drop_cap(cap)),
            }
        } else if let Some(answer) = answer {
            let answer = kernel.own(answer);
            routes.answered(kernel, answer);
        }
        true
    }

    fn event(&mut self, at: usize) -> bool {
        let Core { kernel, routes, .. } = &mut self.cores[at];
        if kernel.events.is_empty() {
            return false;
        }
        let choice = self.rng.below(kernel.events.len());
        match kernel.events.swap_remove(choice) {
            Event::Ready(proxy) => routes.ready(kernel, proxy),
            Event::Writable(proxy) => routes.writable(kernel, proxy),
            Event::PeerGone(proxy) => routes.peer_gone(kernel, proxy),
            Event::NoSenders(proxy) => routes.no_senders(kernel, proxy),
            Event::Connected(proxy) => routes.connected(proxy),
        }
        self.tell_opened(at);
        true
    }

    fn tell_opened(&mut self, at: usize) {
        let kernel = &mut self.cores[at].kernel;
        for (number, cap) in std::mem::take(&mut kernel.opened) {
            match self.domains.get_mut(&number) {
                Some(domain) => domain.opened(kernel, cap, &mut self.ledger),
                None => cap.into_iter().for_each(|cap| kernel.drop_cap(cap)),
            }
        }
    }

    fn take(&mut self, from: usize, to: usize) -> bool {
        if self.rings[from][to].len() >= self.ring || !self.cores[from].up {
            return false;
        }
        let Core { kernel, routes, .. } = &mut self.cores[from];
        let message = routes.take(kernel, core(to));
        self.tell_opened(from);
        self.rings[from][to].extend(message.map(|message| message.encode()));
        message.is_some()
    }

    fn deliver(&mut self, from: usize, to: usize) -> bool {
        let Some((first, second)) = self.rings[from][to].pop_front() else { return false };
        let Core { kernel, routes, .. } = &mut self.cores[to];
        routes.receive(kernel, core(from), &first, second.as_ref());
        assert_eq!(kernel.reports, [], "monitors make sense to each other");
        self.tell_opened(to);
        true
    }

    fn transfer(&mut self, at: usize) -> bool {
        let len = self.cores[at].kernel.transfers.len();
        if len == 0 {
            return false;
        }
        let choice = self.rng.below(len);
        let transfer = &mut self.cores[at].kernel.transfers[choice];
        let (to, memory, tag, fail) =
            (transfer.to.index(), transfer.memory, transfer.tag, self.cores[at].kernel.fail);
        let granted = self.cores[to].up && !self.rng.one_in(fail);
        let transfer = &mut self.cores[at].kernel.transfers[choice];
        if transfer.delivered.is_none() {
            transfer.delivered = Some(granted);
            if granted {
                let Core { kernel, routes, .. } = &mut self.cores[to];
                let cap = kernel.make_cap(What::Memory(memory));
                let cap = kernel.own(cap);
                routes.arrived(kernel, tag, cap);
            }
            return true;
        }
        let transfer = self.cores[at].kernel.transfers.swap_remove(choice);
        self.cores[at].routes.transfer_ended(transfer.record, transfer.delivered == Some(true));
        true
    }

    fn with_domain(&mut self, number: u64, what: usize, eager: bool) -> bool {
        let Some(domain) = self.domains.get_mut(&number) else { return false };
        let kernel = &mut self.cores[domain.core.index()].kernel;
        match what {
            0 => domain.act(kernel, &mut self.rng, &mut self.ledger),
            1 => return domain.flush(kernel, &mut self.ledger),
            _ => return domain.drain(kernel, &mut self.rng, &mut self.ledger, eager),
        }
        true
    }

    fn work(&mut self, at: usize) -> bool {
        let Core { kernel, routes, .. } = &mut self.cores[at];
        routes.work(kernel)
    }

    fn stop(&mut self, at: usize) {
        self.cores[at].up = false;
        for i in 0..self.cores.len() {
            self.rings[i][at].clear();
            self.rings[at][i].clear();
            self.cores[i].routes.core_stopped(core(at));
        }
        let there: Vec<u64> =
            self.domains.values().filter(|it| it.core == core(at)).map(|it| it.number).collect();
        there.into_iter().for_each(|number| self.kill(number));
        self.cores[at].kernel.transfers.clear();
    }

    fn step(&mut self, setup: Setup) {
        let (n, at) = (self.cores.len(), self.rng.below(self.cores.len()));
        let to = self.rng.below(n);
        let up = self.cores[at].up;
        match self.rng.below(40) {
            0..8 if up => _ = self.event(at),
            8..14 if at != to => _ = self.take(at, to),
            14..20 => _ = self.deliver(at, to),
            20 if up => _ = self.transfer(at),
            21 => _ = self.attach(),
            22 if self.domains.len() < 12 => self.spawn(),
            23 if self.rng.one_in(6) => {
                if let Some(number) = self.any_domain().filter(|it| *it != NAMES || self.rng.one_in(40)) {
                    self.kill(number);
                }
            }
            24 if up => _ = self.work(at),
            25 if setup.stops && at != 0 && up && self.rng.one_in(60) => self.stop(at),
            _ => {
                let what = self.rng.below(3);
                if let Some(number) = self.any_domain() {
                    self.with_domain(number, what, false);
                }
            }
        }
        self.tell_opened(at);
    }

    /// Goes on until nothing moves.
    fn settle(&mut self) {
        let (n, mut rounds, mut going) = (self.cores.len(), 0, true);
        while going {
            rounds += 1;
            assert!(rounds < 20_000, "it comes to rest");
            going = self.attach();
            for at in (0..n).filter(|&at| self.cores[at].up).collect::<Vec<_>>() {
                going |= self.event(at) | self.transfer(at);
                going |= self.work(at);
                self.tell_opened(at);
                for to in (0..n).filter(|&to| to != at) {
                    going |= self.take(at, to) | self.deliver(at, to);
                }
            }
            // A transfer may have been begun with no message to show for it.
            going |= self.cores.iter().any(|core| !core.kernel.transfers.is_empty());
            for number in self.domains.keys().copied().collect::<Vec<_>>() {
                going |= self.with_domain(number, 1, true) | self.with_domain(number, 2, true);
            }
        }
    }

    fn check_at_rest(&self) {
        let Ledger { sent, received, dead, .. } = &self.ledger;
        for domain in self.domains.values() {
            let kernel = &self.cores[domain.core.index()].kernel;
            for end in domain.ends.values() {
                assert!(!end.is_stuck(), "nothing waits for ever: {:x}", end.id);
                // Where connecting failed, who has nothing to send is not told: nor would it be on one core.
                let joined =
                    end.partner != 0 && (self.ledger.strict || kernel.endpoint(end.id).peer.is_some());
                if joined {
                    assert!(!dead.contains(&end.partner), "an end is told: {:x}, {:x}", end.id, end.partner);
                    let received = received.get(&(end.id, end.partner)).copied().unwrap_or(0);
                    let sent = sent.get(&end.id).copied().unwrap_or(0);
                    assert_eq!(received, sent, "nothing is lost: {:x} to {:x}", end.id, end.partner);
                }
            }
        }
    }

    fn check_empty(&self) {
        for Core { kernel, routes, .. } in self.cores.iter().filter(|core| core.up) {
            assert!(routes.is_empty(), "no records are left: {routes:?}");
            assert_eq!(kernel.proxies(), 0, "no proxies are left");
            assert!(kernel.slots.is_empty(), "no capabilities are left");
            assert!(kernel.endpoints.values().all(|it| !it.alive), "no endpoints are left");
            assert!(kernel.bits.is_empty() && kernel.transfers.is_empty() && kernel.served.is_empty());
        }
    }
}

/// Packets that arrived, capabilities that did and did not, answers of servers, endpoints that came home.
type Count = [u64; 5];

fn run<const R: usize, const W: usize>(seed: u64, setup: Setup) -> Count {
    let mut world = World::<R, W>::new(seed, setup);
    for _ in 0..3 {
        for _ in 0..setup.steps / 3 {
            world.step(setup);
        }
        world.settle();
        world.check_at_rest();
    }
    (0..setup.steps / 3).for_each(|_| world.step(setup));
    world.domains.keys().copied().collect::<Vec<_>>().into_iter().for_each(|number| world.kill(number));
    world.settle();
    world.check_empty();
    let Ledger { received, caps, lost, answers, homes, .. } = &world.ledger;
    [received.values().sum(), *caps, *lost, *answers, *homes]
}

/// How many seeds: more when asked for.
fn seeds() -> std::ops::Range<u64> {
    let count = std::env::var("ROUTES_SEEDS").ok().and_then(|it| it.parse().ok()).unwrap_or(150);
    let first = std::env::var("ROUTES_FIRST").ok().and_then(|it| it.parse().ok()).unwrap_or(0);
    first..first + count
}

fn run_all<const R: usize, const W: usize>(setup: Setup) -> Count {
    let mut sum = [0; 5];
    for seed in seeds() {
        let count = std::panic::catch_unwind(|| run::<R, W>(seed, setup));
        let count = count.unwrap_or_else(|_| panic!("seed {seed}"));
        sum.iter_mut().zip(count).for_each(|(sum, it)| *sum += it);
    }
    eprintln!(
        "packets {}, capabilities {}, lost {}, answers {}, home {}",
        sum[0], sum[1], sum[2], sum[3], sum[4]
    );
    sum
}

#[test]
fn nothing_is_lost_when_nothing_fails() {
    let [packets, caps, _, answers, homes] = run_all::<256, 4>(Setup { steps: 9000, fail: 0, stops: false });
    assert!(packets > 1000 && caps > 100 && answers > 100 && homes > 10, "it tries what it means to try");
}

#[test]
fn what_fails_is_told_and_leaves_nothing() {
    run_all::<256, 2>(Setup { steps: 6000, fail: 12, stops: false });
}

#[test]
fn few_records_are_enough_to_go_on() {
    run_all::<6, 4>(Setup { steps: 6000, fail: 0, stops: false });
}

#[test]
fn a_core_that_stops_takes_its_routes_along() {
    run_all::<256, 4>(Setup { steps: 6000, fail: 40, stops: true });
}
