//! The rules of a monitor, one a test, over the naive kernel of the simulation.

use capops::{CoreId, Refusal, Request, ToHome, Verdict};
use model::sim::{Naive, SLOTS, SimKernel, SimKey, SlotId, Told};
use monitor::{Ask, Body, Copied, DomainId, Full, Kernel, Limits, Message, Monitor, PAGE, UnitId, WORDS};

const N: usize = 3;
const REGIONS: usize = 2;
const LIMITS: Limits = Limits { credits: 2, server: 4 };
const VERDICT: Result<Verdict, Refusal> = Ok(Verdict::Granted);

type TheMonitor = Monitor<SimKey, N, 10, 36, 4, 3, 24>;

struct Core {
    kernel: Naive,
    monitor: TheMonitor,
    told: Vec<Told>,
}

/// Three cores; rings are as long as a test wants, because it moves the packets itself.
struct Machine {
    cores: Vec<Core>,
    token: u64,
}

fn core(i: usize) -> CoreId {
    CoreId(i as u8)
}

/// The unit that is the whole of a region.
fn unit(region: usize) -> UnitId {
    UnitId { home: core(region / REGIONS), page: region as u32 * 8 }
}

fn ram(region: usize) -> SimKey {
    SimKey::ram(region as u8, 0, 8)
}

/// The domain in a place of a core has this number.
fn id(domain: usize) -> DomainId {
    DomainId(domain as u32 + 1)
}

impl Machine {
    fn new() -> Machine {
        let core = |i| {
            let mut kernel = Naive::new(core(i), N, REGIONS, None);
            (0..2).for_each(|domain| assert!(kernel.spawn(domain, id(domain))));
            Core { kernel, monitor: Monitor::new(CoreId(i as u8), LIMITS), told: vec![] }
        };
        Machine { cores: (0..N).map(core).collect(), token: 0 }
    }

    /// Moves one packet.
    fn packet(&mut self, from: usize, to: usize) -> bool {
        let Core { kernel, monitor, .. } = &mut self.cores[from];
        let Some(words) = monitor.take(kernel, core(to)) else {
            return false;
        };
        self.deliver(from, to, words);
        true
    }

    fn deliver(&mut self, from: usize, to: usize, words: [u64; WORDS]) {
        let Core { kernel, monitor, told } = &mut self.cores[to];
        monitor.receive(kernel, core(from), words);
        told.append(kernel.told());
    }

    fn work(&mut self, at: usize) -> bool {
        let Core { kernel, monitor, told } = &mut self.cores[at];
        let worked = monitor.work(kernel) | kernel.reap();
        told.append(kernel.told());
        worked
    }

    /// Goes on until nothing is left to do; says what was told.
    fn settle(&mut self) -> Vec<Told> {
        let mut going = true;
        while going {
            going = false;
            for from in 0..N {
                going |= self.work(from);
                for to in (0..N).filter(|to| *to != from) {
                    going |= self.packet(from, to);
                }
            }
        }
        self.cores.iter_mut().flat_map(|core| std::mem::take(&mut core.told)).collect()
    }

    fn zero(&mut self, unit: UnitId) {
        let Core { kernel, monitor, .. } = &mut self.cores[unit.home.index()];
        while !monitor.zero(kernel, unit).expect("it is free") {}
    }

    /// Hands a whole region out to the first domain of a core.
    fn allocate(&mut self, region: usize, to: usize) {
        let home = unit(region).home.index();
        assert!(self.cores[home].kernel.make_unit(unit(region), 8));
        self.zero(unit(region));
        let Core { kernel, monitor, .. } = &mut self.cores[home];
        monitor.allocate(kernel, unit(region), core(to), ram(region), 0).expect("it is zero");
        self.settle();
    }

    fn slot(&self, at: usize, domain: usize, key: SimKey) -> Option<SlotId> {
        let kernel = &self.cores[at].kernel;
        (domain * SLOTS..(domain + 1) * SLOTS)
            .find(|slot| kernel.cap(*slot).is_some_and(|cap| cap.key == key))
    }

    fn ask(&mut self, at: usize, domain: usize, request: Request<SimKey>) -> Result<u64, Full> {
        let slot = self.slot(at, domain, request.pinned()).expect("the domain has it");
        let Core { kernel, monitor, .. } = &mut self.cores[at];
        let place = kernel.pin(slot).expect("a slot of the monitor");
        self.token += 1;
        let unit = kernel.unit_of(request.pinned());
        let ask = Ask { domain: id(domain), token: self.token, place, unit, request, tag: 0 };
        let asked = monitor.ask(ask);
        if asked.is_err() {
            kernel.discard(Copied::Pinned(place));
        }
        asked.map(|()| self.token)
    }

    fn send(&mut self, at: usize, domain: usize, region: usize, to: usize) -> Result<u64, Full> {
        self.ask(at, domain, Request::Send { key: ram(region), to: core(to) })
    }

    fn delete(&mut self, at: usize, domain: usize, key: SimKey) {
        let slot = self.slot(at, domain, key).expect("the domain has it");
        self.cores[at].kernel.delete(slot);
    }

    fn copy_to_second(&mut self, at: usize, key: SimKey) {
        let slot = self.slot(at, 0, key).expect("the first domain has it");
        self.cores[at].kernel.copy(slot, SLOTS, false).expect("the second has room");
    }

    fn end(&mut self, at: usize, domain: usize) {
        let Core { kernel, monitor, .. } = &mut self.cores[at];
        kernel.kill(domain);
        monitor.domain_ended(kernel, id(domain));
    }
}

fn replies(told: &[Told]) -> Vec<(u64, Result<Verdict, Refusal>)> {
    let reply = |told: &Told| if let Told::Reply(_, token, how) = told { Some((*token, *how)) } else { None };
    told.iter().filter_map(reply).collect()
}

fn reclaimed(told: &[Told]) -> Vec<UnitId> {
    told.iter().filter_map(|told| if let Told::Reclaimed(unit) = told { Some(*unit) } else { None }).collect()
}

#[test]
fn a_capability_is_sent_and_comes_home_when_all_are_deleted() {
    let mut machine = Machine::new();
    machine.allocate(0, 1);
    let token = machine.send(1, 0, 0, 2).expect("room");
    assert_eq!(replies(&machine.settle()), [(token, VERDICT)]);
    assert!(machine.slot(2, 0, ram(0)).is_some());
    machine.delete(1, 0, ram(0));
    assert_eq!(reclaimed(&machine.settle()), []);
    machine.delete(2, 0, ram(0));
    assert_eq!(reclaimed(&machine.settle()), [unit(0)]);
    assert!(machine.cores.iter().all(|core| core.kernel.is_empty() && core.monitor.is_quiet()));
}

#[test]
fn a_domain_has_its_share_and_others_have_theirs() {
    let mut machine = Machine::new();
    machine.allocate(0, 1);
    machine.copy_to_second(1, ram(0));
    (0..3).for_each(|_| assert!(machine.send(1, 0, 0, 2).is_ok()));
    assert_eq!(machine.send(1, 0, 0, 2), Err(Full));
    let other = machine.send(1, 1, 0, 2).expect("a share of its own");
    let order: Vec<u64> = replies(&machine.settle()).iter().map(|(token, _)| *token).collect();
    assert_eq!(order.iter().position(|token| *token == other), Some(1), "second, not last: {order:?}");
}

#[test]
fn one_request_a_unit_is_unanswered_and_the_others_wait_without_polling() {
    let mut machine = Machine::new();
    machine.allocate(0, 1);
    machine.copy_to_second(1, ram(0));
    machine.send(1, 0, 0, 2).expect("room");
    machine.send(1, 1, 0, 2).expect("room");
    while machine.work(1) {}
    assert_eq!(machine.cores[1].monitor.queued(core(0)).count(), 1);
    assert_eq!(machine.cores[1].monitor.asks().count(), 1);
    assert!(!machine.work(1), "nothing to do until the first has ended");
    assert_eq!(replies(&machine.settle()).len(), 2);
}

#[test]
fn a_home_has_no_more_requests_of_a_core_than_its_credits() {
    let mut machine = Machine::new();
    // Core 0 is the home of two regions; a cut makes a third unit.
    (0..2).for_each(|region| machine.allocate(region, 1));
    let parts = [SimKey::ram(0, 0, 4), SimKey::ram(0, 4, 8)];
    for part in parts {
        let whole = machine.slot(1, 0, ram(0)).expect("it has it");
        let free = machine.cores[1].kernel.free_slot(0).expect("room");
        machine.cores[1].kernel.retype(whole, part, free).expect("it is exclusive");
    }
    machine.delete(1, 0, ram(0));
    let Core { kernel, monitor, .. } = &mut machine.cores[0];
    monitor.cut(kernel, unit(0), 4 * PAGE).expect("it is idle");
    let told = machine.settle();
    assert!(told.iter().any(|it| matches!(it, Told::CutEnded(_, true))));
    for key in [ram(1), parts[0], parts[1]] {
        machine.ask(1, 0, Request::Send { key, to: core(2) }).expect("room");
    }
    while machine.work(1) {}
    assert_eq!(machine.cores[1].monitor.queued(core(0)).count(), LIMITS.credits as usize);
    assert_eq!(replies(&machine.settle()).len(), 3);
}

#[test]
fn gone_is_said_behind_what_waits_for_room() {
    let mut machine = Machine::new();
    (0..2).for_each(|region| machine.allocate(region, 1));
    machine.send(1, 0, 1, 2).expect("room");
    while machine.work(1) {}
    machine.delete(1, 0, ram(0));
    let Core { kernel, monitor, .. } = &mut machine.cores[1];
    let mut said = || monitor.take(kernel, core(0)).and_then(Message::<SimKey>::decode).map(|it| it.body);
    assert!(matches!(said(), Some(Body::ToHome(ToHome::Request(_)))));
    assert_eq!(said(), Some(Body::ToHome(ToHome::Gone)));
    assert_eq!(said(), None);
}

#[test]
fn what_an_ended_domain_asked_is_forgotten_and_what_comes_is_deleted() {
    let mut machine = Machine::new();
    machine.allocate(0, 1);
    machine.send(1, 0, 0, 2).expect("room");
    machine.settle();
    // One request is unanswered, one waits.
    machine.ask(1, 0, Request::Revoke { top: ram(0) }).expect("room");
    machine.send(1, 0, 0, 2).expect("room");
    while machine.work(1) {}
    assert!(machine.packet(1, 0));
    machine.end(1, 0);
    let told = machine.settle();
    assert_eq!(replies(&told), []);
    assert_eq!(reclaimed(&told), [unit(0)]);
    assert!(machine.cores[1].kernel.is_empty());
}

#[test]
fn what_comes_for_a_domain_that_ended_meanwhile_is_deleted() {
    let mut machine = Machine::new();
    machine.allocate(0, 1);
    machine.send(1, 0, 0, 2).expect("room");
    machine.end(2, 0);
    machine.end(1, 0);
    assert_eq!(reclaimed(&machine.settle()), [unit(0)]);
}

#[test]
fn a_sweep_goes_on_when_something_else_happens_in_its_unit() {
    let mut machine = Machine::new();
    machine.allocate(0, 1);
    let parts = [SimKey::ram(0, 0, 4), SimKey::ram(0, 4, 8)];
    for part in parts {
        let (whole, free) =
            (machine.slot(1, 0, ram(0)).expect("it has it"), machine.cores[1].kernel.free_slot(0));
        machine.cores[1].kernel.retype(whole, part, free.expect("room")).expect("it is exclusive");
    }
    machine.ask(1, 0, Request::Send { key: parts[0], to: core(2) }).expect("room");
    machine.settle();
    // More copies than a step deletes.
    let slot = machine.slot(2, 0, parts[0]).expect("it came");
    (1..SLOTS).for_each(|to| machine.cores[2].kernel.copy(slot, to, false).expect("room"));
    machine.ask(1, 0, Request::Send { key: parts[1], to: core(2) }).expect("room");
    machine.settle();
    machine.delete(2, 0, parts[0]);
    machine.ask(1, 0, Request::Send { key: parts[1], to: core(2) }).expect("room");
    machine.settle();
    machine.ask(1, 0, Request::Revoke { top: parts[0] }).expect("room");
    while machine.cores[2].monitor.holder(unit(0)).is_none_or(|it| it.frozen.is_none_or(|it| !it.sweeping)) {
        assert!(
            machine.work(1)
                | machine.packet(1, 0)
                | machine.work(0)
                | machine.packet(0, 1)
                | machine.packet(0, 2)
                | machine.packet(2, 0)
        );
    }
    machine.ask(2, 0, Request::Send { key: parts[1], to: core(1) }).expect("room");
    let told = machine.settle();
    assert_eq!(replies(&told).len(), 2, "{told:?}");
    assert!(machine.slot(2, 0, parts[0]).is_none());
}

#[test]
fn a_request_whose_copy_was_revoked_while_it_waited_is_not_begun() {
    let mut machine = Machine::new();
    machine.allocate(0, 1);
    machine.send(1, 0, 0, 2).expect("room");
    machine.settle();
    let first = machine.ask(1, 0, Request::Revoke { top: ram(0) }).expect("room");
    let second = machine.send(1, 0, 0, 2).expect("room");
    // The second is looked at before anything is frozen, and waits.
    while machine.work(1) {}
    assert_eq!(replies(&machine.settle()), [(first, VERDICT), (second, Err(Refusal::NotHeld))]);
    assert!(machine.slot(1, 0, ram(0)).is_some() && machine.slot(2, 0, ram(0)).is_none());
}

#[test]
fn an_idle_unit_comes_home_when_the_last_sharer_has_stopped() {
    let mut machine = Machine::new();
    machine.allocate(0, 2);
    machine.cores[0].monitor.core_stopped(core(2));
    let mut told = vec![];
    while machine.work(0) {
        told.append(&mut machine.cores[0].told);
    }
    assert_eq!(reclaimed(&told), [unit(0)]);
}

#[test]
fn requests_that_need_a_stopped_core_fail() {
    let mut machine = Machine::new();
    machine.allocate(0, 1);
    machine.allocate(4, 1);
    // One is unanswered, one is asked later: both need core 2 as the home. The third needs it as the taker.
    let first = machine.send(1, 0, 4, 0).expect("room");
    while machine.work(1) {}
    machine.cores[1].monitor.core_stopped(core(2));
    let second = machine.send(1, 0, 4, 0).expect("room");
    let third = machine.send(1, 0, 0, 2).expect("room");
    while machine.work(1) {}
    let mut told = replies(&machine.cores[1].told);
    told.sort_by_key(|(token, _)| *token);
    let stopped = Err(Refusal::Stopped);
    assert_eq!(told, [(first, Ok(Verdict::Failed)), (second, stopped), (third, stopped)]);
}

#[test]
fn a_unit_is_cut_where_nothing_spans() {
    let mut machine = Machine::new();
    machine.allocate(0, 1);
    let half = SimKey::ram(0, 4, 8);
    let whole = machine.slot(1, 0, ram(0)).expect("it has it");
    let free = machine.cores[1].kernel.free_slot(0).expect("room");
    machine.cores[1].kernel.retype(whole, half, free).expect("it is exclusive");
    let cut = |machine: &mut Machine| {
        let Core { kernel, monitor, .. } = &mut machine.cores[0];
        monitor.cut(kernel, unit(0), 4 * PAGE).expect("it is idle");
        machine.settle()
    };
    assert!(cut(&mut machine).iter().any(|it| matches!(it, Told::CutEnded(_, false))));
    machine.delete(1, 0, ram(0));
    let told = cut(&mut machine);
    assert!(told.iter().any(|it| matches!(it, Told::CutEnded(_, true))));
    assert_eq!(reclaimed(&told), [unit(0)], "the lower half is free");
    let upper = UnitId { page: 4, ..unit(0) };
    assert!(machine.cores[0].kernel.idle(upper).is_some_and(|idle| idle.live && idle.sharers.has(core(1))));
}

#[test]
fn the_memory_server_is_held_to_its_limit_and_to_zero_memory() {
    let mut machine = Machine::new();
    let Core { kernel, monitor, .. } = &mut machine.cores[0];
    assert!(kernel.make_unit(unit(0), 8));
    assert_eq!(monitor.allocate(kernel, unit(0), core(1), ram(0), 0), Err(Refusal::Nonsense), "not zero");
    kernel.unmake_unit(unit(0));
    let pages: Vec<UnitId> = (0..5).map(|page| UnitId { page, ..unit(0) }).collect();
    for (i, page) in pages.iter().enumerate() {
        let Core { kernel, monitor, .. } = &mut machine.cores[0];
        assert!(kernel.make_unit(*page, 1));
        assert_eq!(monitor.zero(kernel, *page), Ok(true));
        let root = SimKey::ram(0, i, i + 1);
        let expected = if i < LIMITS.server as usize { Ok(()) } else { Err(Refusal::Busy) };
        assert_eq!(monitor.allocate(kernel, *page, core(1), root, 0), expected);
    }
}

#[test]
fn nonsense_is_refused_counted_and_reported_and_changes_nothing() {
    let mut machine = Machine::new();
    machine.allocate(0, 1);
    let say =
        |home: usize, body| Message { unit: UnitId { home: core(home), page: 0 }, body, tag: 0 }.encode();
    let gone = Body::<SimKey>::ToHome(ToHome::Gone);
    let request = Body::ToHome(ToHome::Request(Request::Revoke { top: ram(0) }));
    let nowhere = Body::ToHome(ToHome::Request(Request::Send { key: ram(0), to: core(31) }));
    let nonsense = [
        (1, [u64::MAX; WORDS]),
        (1, say(1, gone)),
        (1, say(0, Body::ToHome(ToHome::Marked))),
        (1, say(0, nowhere)),
        (2, say(0, request)),
        (2, say(0, Body::ToCore(capops::ToCore::Sweep))),
        (2, say(2, Body::ToCore(capops::ToCore::Sweep))),
        (2, say(2, Body::ToCore(capops::ToCore::Done(Verdict::Granted)))),
    ];
    let before = machine.cores[0].kernel.idle(unit(0));
    for (count, (from, words)) in nonsense.into_iter().enumerate() {
        machine.deliver(from, 0, words);
        assert_eq!(machine.cores[0].monitor.nonsense(), count as u64 + 1, "{words:x?}");
        assert!(matches!(machine.cores[0].told.pop(), Some(Told::Nonsense(it)) if it.from == core(from)));
    }
    assert_eq!(machine.cores[0].kernel.idle(unit(0)), before);
    assert!(machine.cores[0].monitor.is_quiet());
}

#[test]
#[should_panic(expected = "queues that are too short")]
fn a_budget_that_does_not_suffice_is_refused() {
    let _ = Monitor::<SimKey, N, 10, 36, 4, 3, 23>::new(core(0), LIMITS);
}

/// Core 1 asks something that is granted, and its slots are full when the answer comes.
fn full_when_granted(machine: &mut Machine, request: Request<SimKey>) -> (u64, Vec<Told>) {
    (0..2).for_each(|region| machine.allocate(region, 1));
    machine.send(1, 0, 0, 2).expect("room");
    machine.settle();
    let token = machine.ask(1, 0, request).expect("room");
    while machine.work(1) {}
    let other = machine.slot(1, 0, ram(1)).expect("it came");
    let whole = machine.slot(1, 0, ram(0));
    let kernel = &mut machine.cores[1].kernel;
    if let (Request::Revoke { .. }, Some(whole)) = (request, whole) {
        kernel.delete(whole);
    }
    while let Some(free) = kernel.free_slot(0) {
        kernel.copy(other, free, false).expect("it is usable");
    }
    let told = std::mem::take(&mut machine.cores[1].told);
    (token, told.into_iter().chain(machine.settle()).collect())
}

#[test]
fn the_last_copy_of_what_was_revoked_is_left_to_a_domain_without_room() {
    let mut machine = Machine::new();
    let mut told = full_when_granted(&mut machine, Request::Revoke { top: ram(0) });
    told.1.append(&mut machine.settle());
    assert_eq!(reclaimed(&told.1), [], "{:?}", told.1);
    let answers: Vec<_> = replies(&told.1).into_iter().filter(|(token, _)| *token == told.0).collect();
    assert_eq!(answers, [(told.0, VERDICT)]);
    assert!(machine.slot(1, 0, ram(0)).is_none());
    machine.delete(1, 0, ram(1));
    machine.settle();
    assert!(machine.slot(1, 0, ram(0)).is_some(), "it comes as soon as there is room");
    machine.end(1, 0);
    assert_eq!(reclaimed(&machine.settle()).len(), 2);
    assert!(machine.cores[1].kernel.is_empty());
}

#[test]
fn a_retype_for_which_the_domain_has_no_room_is_not_said_to_be_done() {
    let mut machine = Machine::new();
    let new = SimKey::ram(0, 4, 8);
    let (token, told) = full_when_granted(&mut machine, Request::Retype { src: ram(0), new });
    assert!(replies(&told).contains(&(token, Err(Refusal::NoRoom))), "{told:?}");
    machine.end(1, 0);
    machine.end(2, 0);
    assert_eq!(reclaimed(&machine.settle()).len(), 2);
}

#[test]
fn a_peer_that_ignores_its_credit_is_refused() {
    let mut machine = Machine::new();
    machine.allocate(0, 1);
    let request = Request::Send { key: ram(0), to: core(0) };
    let say = |body| Message { unit: unit(0), body, tag: 0 }.encode();
    // It never takes its answers: more requests than its credit are not taken either.
    for _ in 0..100 {
        machine.deliver(1, 0, say(Body::ToHome(ToHome::Request(request))));
        while machine.work(0) {}
    }
    assert_eq!(machine.cores[0].monitor.nonsense(), 100 - u64::from(LIMITS.credits));
    assert_eq!(machine.cores[0].monitor.queued(core(1)).count(), LIMITS.credits as usize);
    while machine.packet(0, 1) {}
    machine.deliver(1, 0, say(Body::ToHome(ToHome::Request(request))));
    assert_eq!(machine.cores[0].monitor.nonsense(), 100 - u64::from(LIMITS.credits));
}

#[test]
fn a_home_that_does_not_wait_for_answers_is_refused() {
    let mut machine = Machine::new();
    let survey = Body::<SimKey>::ToCore(capops::ToCore::Survey { at: 4 * PAGE });
    let words = Message { unit: unit(0), body: survey, tag: 0 }.encode();
    (0..100).for_each(|_| machine.deliver(0, 1, words));
    assert_eq!(machine.cores[1].monitor.nonsense(), 90, "it may have ten units under way");
    assert_eq!(machine.cores[1].monitor.queued(core(0)).count(), 10);
}
