//! The rules of routes, one a test, between two monitors over the naive kernel of the simulation.
#[path = "simulation/kernel.rs"]
#[allow(dead_code, reason = "the simulation needs more of it")]
mod kernel;

use abi::packet::Packet;
use kernel::{Cap, Event, LOST, Owner, SimKernel, What};
use proptest::prelude::*;
use routes::{Along, CoreId, Line, Message, Nonsense, OFFERS, Proxy, RecordId, Routes, Tag};

const W: usize = 2;

struct Core {
    kernel: SimKernel,
    routes: Routes<Cap, 3, 8, W>,
}

/// Two cores of three; the third does nothing.
struct Machine([Core; 2]);

impl Machine {
    fn new() -> Machine {
        let core = |i| Core { kernel: SimKernel::new(CoreId(i), 7, 0, 2), routes: Routes::new(CoreId(i)) };
        Machine([core(0), core(1)])
    }

    fn events(&mut self, at: usize) {
        let Core { kernel, routes } = &mut self.0[at];
        while let Some(event) = kernel.events.pop() {
            match event {
                Event::Ready(proxy) => routes.ready(kernel, proxy),
                Event::Writable(proxy) => routes.writable(kernel, proxy),
                Event::PeerGone(proxy) => routes.peer_gone(kernel, proxy),
                Event::NoSenders(proxy) => routes.no_senders(kernel, proxy),
                Event::Connected(proxy) => routes.connected(proxy),
            }
        }
        while routes.work(kernel) {}
    }

    fn take(&mut self, from: usize) -> Option<Message> {
        self.events(from);
        let Core { kernel, routes } = &mut self.0[from];
        routes.take(kernel, CoreId(1 - from as u8))
    }

    fn give(&mut self, to: usize, message: &Message) {
        let (first, second) = message.encode();
        self.lines(to, &first, second.as_ref());
    }

    fn lines(&mut self, to: usize, first: &Line, second: Option<&Line>) {
        let Core { kernel, routes } = &mut self.0[to];
        routes.receive(kernel, CoreId(1 - to as u8), first, second);
        self.events(to);
    }

    /// Carries messages until there are none; says which.
    fn settle(&mut self) -> Vec<Message> {
        let mut all = vec![];
        loop {
            let before = all.len();
            for from in 0..2 {
                while let Some(message) = self.take(from) {
                    self.give(1 - from, &message);
                    all.push(message);
                }
            }
            if all.len() == before {
                assert!(self.0.iter().all(|core| core.kernel.reports.is_empty()));
                return all;
            }
        }
    }

    fn endpoint(&mut self, at: usize) -> (u64, Cap) {
        let kernel = &mut self.0[at].kernel;
        let id = kernel.make_endpoint(Owner::Domain(at as u64));
        (id, kernel.make_cap(What::EndPoint(id)))
    }

    /// Offers a new endpoint of core 1 to a new one of core 0, which connects what stands for it. No answer is under way.
    fn connected(&mut self) -> [(u64, Cap); 2] {
        let (client, cap) = self.endpoint(1);
        let Core { kernel, routes } = &mut self.0[1];
        let cap = kernel.own(cap);
        assert!(routes.open(kernel, CoreId(0), (1, 5), cap, 9).is_ok());
        let open = self.take(1).expect("Open");
        self.give(0, &open);
        let (service, answer) = self.endpoint(0);
        let kernel = &mut self.0[0].kernel;
        let (domain, stands_for) = kernel.served.pop_front().expect("it is served");
        assert_eq!(domain, 5);
        let What::EndPoint(far) = stands_for.what else { panic!("an endpoint") };
        kernel.connect_endpoints(service, far).expect("it is free");
        [(client, answer), (service, stands_for)]
    }

    /// A route between new endpoints of core 1 and core 0, and what sends from each to the other.
    fn joined(&mut self) -> [(u64, Cap); 2] {
        let [(client, answer), (service, stands_for)] = self.connected();
        let Core { kernel, routes } = &mut self.0[0];
        let answer = kernel.own(answer);
        routes.answered(kernel, answer);
        self.settle();
        let (token, to_service) = self.0[1].kernel.opened.pop().expect("it is told");
        assert_eq!(token, 9);
        [(client, to_service.expect("it is opened")), (service, stands_for)]
    }

    fn send(&mut self, at: usize, to: &Cap, number: u64, cap: Option<What>) -> bool {
        let kernel = &mut self.0[at].kernel;
        let cap = cap.map(|what| kernel.make_cap(what));
        let packet = Packet { header: 0, words: [number; 7] };
        let sent = kernel.send(to, &packet, cap.as_ref()).is_ok();
        cap.into_iter().for_each(|cap| kernel.drop_cap(cap));
        sent
    }

    fn receive(&mut self, at: usize, id: u64) -> Option<(u64, bool, Option<Cap>)> {
        let taken = self.0[at].kernel.take_from(id);
        taken.map(|(packet, cap)| (packet.words[0], packet.header & LOST != 0, cap))
    }

    fn assert_empty(&self) {
        for Core { kernel, routes } in &self.0 {
            assert!(routes.is_empty() && kernel.slots.is_empty() && kernel.proxies() == 0, "{routes:?}");
        }
    }
}

fn record(index: u16, generation: u32) -> RecordId {
    RecordId { index, generation }
}

fn data(to: RecordId, along: Along) -> Message {
    Message::Data { to, along, packet: Packet::default() }
}

#[test]
fn packets_go_both_ways_once_it_is_accepted() {
    let mut m = Machine::new();
    let [(client, to_service), (service, to_client)] = m.joined();
    assert!(m.send(1, &to_service, 1, None) && m.send(0, &to_client, 2, None));
    m.settle();
    assert_eq!(m.receive(0, service), Some((1, false, None)));
    assert_eq!(m.receive(1, client), Some((2, false, None)));
}

#[test]
fn a_full_receiver_holds_its_sender_back_and_nobody_else() {
    let mut m = Machine::new();
    let [(_, slow), (slow_end, _)] = m.joined();
    let [(_, fast), (fast_end, _)] = m.joined();
    let sent = (0..100).take_while(|&n| {
        m.settle();
        m.send(1, &slow, n, None)
    });
    // The receiver's ring, the window, the proxy's ring.
    assert_eq!(sent.count(), 2 + W + 2);
    assert!(m.send(1, &fast, 7, None));
    m.settle();
    assert_eq!(m.receive(0, fast_end), Some((7, false, None)));
    for n in 0..6 {
        assert_eq!(m.receive(0, slow_end), Some((n, false, None)));
        m.settle();
    }
}

#[test]
fn what_was_sent_before_an_end_comes_before_the_end() {
    let mut m = Machine::new();
    let [(client, to_service), (service, _)] = m.joined();
    for n in 0..2 {
        assert!(m.send(1, &to_service, n, None));
        m.settle();
    }
    assert!(m.send(1, &to_service, 2, None) && m.send(1, &to_service, 3, None));
    m.0[1].kernel.delete_endpoint(client);
    m.settle();
    for n in 0..4 {
        // It is told when the last is in the ring.
        assert_eq!(m.0[0].kernel.endpoint(service).peer_gone, n >= 2);
        assert_eq!(m.receive(0, service), Some((n, false, None)));
        m.settle();
    }
    assert!(m.0[0].kernel.endpoint(service).peer_gone);
    m.assert_empty();
}

#[test]
fn both_ends_may_close_at_once() {
    let mut m = Machine::new();
    let [(client, _), (service, _)] = m.joined();
    m.0[1].kernel.delete_endpoint(client);
    m.0[0].kernel.delete_endpoint(service);
    let (one, other) = (m.take(0).expect("Close"), m.take(1).expect("Close"));
    assert!(matches!((one, other), (Message::Close { .. }, Message::Close { .. })));
    m.give(1, &one);
    m.give(0, &other);
    assert_eq!(m.settle(), []);
    m.assert_empty();
}

#[test]
fn an_offer_that_nobody_takes_ends_with_the_last_who_could() {
    let mut m = Machine::new();
    let [(_, to_service), (service, _)] = m.joined();
    let (offered, cap) = m.endpoint(1);
    m.0[1].kernel.drop_cap(cap);
    assert!(m.send(1, &to_service, 1, Some(What::EndPoint(offered))));
    m.settle();
    let (_, _, cap) = m.receive(0, service).expect("it came");
    assert_eq!(m.0[1].routes.len(), 2);
    m.0[0].kernel.drop_cap(cap.expect("what stands for it"));
    m.settle();
    assert_eq!([m.0[0].routes.len(), m.0[1].routes.len()], [1, 1]);
    assert!(m.0[1].kernel.endpoint(offered).alive && !m.0[1].kernel.endpoint(offered).peer_gone);
}

#[test]
fn an_endpoint_that_comes_home_is_itself() {
    let mut m = Machine::new();
    let [(client, to_service), (service, to_client)] = m.joined();
    let (offered, _) = m.endpoint(1);
    assert!(m.send(1, &to_service, 1, Some(What::EndPoint(offered))));
    m.settle();
    let cap = m.receive(0, service).and_then(|it| it.2).expect("what stands for it");
    assert!(m.send(0, &to_client, 2, Some(cap.what)));
    m.settle();
    let home = m.receive(1, client).and_then(|it| it.2).expect("it is home");
    assert_eq!(home.what, What::EndPoint(offered));
}

#[test]
fn an_end_that_is_sent_over_its_own_route_is_the_proxy_there() {
    let mut m = Machine::new();
    let [(client, to_service), (service, to_client)] = m.joined();
    let slots = m.0.each_ref().map(|core| core.kernel.slots.len());
    assert!(m.send(1, &to_service, 1, Some(What::EndPoint(client))));
    m.settle();
    let cap = m.receive(0, service).and_then(|it| it.2).expect("it came");
    assert_eq!(cap.what, to_client.what);
    assert_eq!(m.0.each_ref().map(|core| core.kernel.slots.len()), slots);
}

#[test]
fn what_cannot_go_along_is_lost_alone() {
    let mut m = Machine::new();
    let [(_, to_service), (service, _)] = m.joined();
    assert!(m.send(1, &to_service, 1, Some(What::Other)));
    let (offered, _) = m.endpoint(1);
    m.settle();
    assert_eq!(m.receive(0, service), Some((1, true, None)));
    m.0[0].kernel.fail = 1;
    assert!(m.send(1, &to_service, 2, Some(What::EndPoint(offered))));
    let messages = m.settle();
    assert!(messages.iter().any(|it| matches!(it, Message::Refused { .. })), "{messages:?}");
    assert_eq!(m.receive(0, service), Some((2, true, None)));
    assert_eq!([m.0[0].routes.len(), m.0[1].routes.len()], [1, 1], "a refused offer leaves nothing");
}

#[test]
fn memory_goes_ahead_and_its_packet_waits_for_it() {
    let mut m = Machine::new();
    let [(_, to_service), (service, _)] = m.joined();
    assert!(m.send(1, &to_service, 1, Some(What::Memory(4))) && m.send(1, &to_service, 2, None));
    assert_eq!(m.settle(), [], "packets stay in order");
    let transfer = m.0[1].kernel.transfers.pop().expect("it was begun");
    let Core { kernel, routes } = &mut m.0[0];
    let cap = kernel.make_cap(What::Memory(transfer.memory));
    let cap = kernel.own(cap);
    routes.arrived(kernel, transfer.tag, cap);
    m.0[1].routes.transfer_ended(transfer.record, true);
    m.settle();
    let (number, _, cap) = m.receive(0, service).expect("it came");
    assert_eq!((number, cap.map(|it| it.what)), (1, Some(What::Memory(4))));
    assert_eq!(m.receive(0, service), Some((2, false, None)));
}

#[test]
fn memory_may_overtake_the_answer_to_the_offer() {
    let mut m = Machine::new();
    let [(client, _), (_, to_client)] = m.connected();
    let (opened, accept) = (m.take(0).expect("Opened"), m.take(0).expect("Accept"));
    assert!(m.send(0, &to_client, 1, Some(What::Memory(4))));
    assert_eq!(m.take(0), None);
    let transfer = m.0[0].kernel.transfers.pop().expect("it was begun");
    let Core { kernel, routes } = &mut m.0[1];
    let cap = kernel.make_cap(What::Memory(transfer.memory));
    let cap = kernel.own(cap);
    routes.arrived(kernel, transfer.tag, cap);
    m.0[0].routes.transfer_ended(transfer.record, true);
    m.give(1, &opened);
    m.give(1, &accept);
    m.settle();
    let (_, _, cap) = m.receive(1, client).expect("it came");
    assert_eq!(cap.map(|it| it.what), Some(What::Memory(4)));
}

#[test]
fn who_is_connected_is_accepted_though_nobody_can_send() {
    let mut m = Machine::new();
    let [_, (service, stands_for)] = m.connected();
    m.0[0].kernel.drop_cap(stands_for);
    m.settle();
    assert!(matches!(m.0[1].kernel.opened.pop(), Some((9, Some(_)))));
    m.0[0].kernel.delete_endpoint(service);
    m.settle();
    m.assert_empty();
}

#[test]
fn what_comes_late_for_a_record_does_not_meet_the_next_one_there() {
    let mut m = Machine::new();
    let [(client, _), _] = m.joined();
    m.0[1].kernel.delete_endpoint(client);
    m.settle();
    m.assert_empty();
    m.joined();
    let held = m.0[0].kernel.slots.len();
    let Core { kernel, routes } = &mut m.0[0];
    let cap = kernel.make_cap(What::Memory(1));
    let cap = kernel.own(cap);
    routes.arrived(kernel, Tag { record: record(0, 0), sequence: 0 }, cap);
    assert_eq!(m.0[0].kernel.slots.len(), held, "it was deleted");
}

#[test]
fn a_core_that_stops_ends_its_routes_and_what_it_had_sent_is_delivered() {
    let mut m = Machine::new();
    let [(_, to_service), (service, _)] = m.joined();
    for n in 0..3 {
        assert!(m.send(1, &to_service, n, None));
        m.settle();
    }
    m.0[0].routes.core_stopped(CoreId(1));
    m.events(0);
    for n in 0..3 {
        assert_eq!(m.0[0].kernel.endpoint(service).peer_gone, n >= 1);
        assert_eq!(m.receive(0, service), Some((n, false, None)));
        m.events(0);
    }
    assert!(m.0[0].kernel.endpoint(service).peer_gone && m.0[0].routes.is_empty());
}

#[test]
fn what_makes_no_sense_changes_nothing_and_is_reported() {
    let mut m = Machine::new();
    m.joined();
    let (known, unknown) = (record(0, 0), record(0, 1));
    for (message, why) in [
        (data(unknown, Along::Nothing), Nonsense::UnknownRecord),
        (data(record(9, 0), Along::Nothing), Nonsense::UnknownRecord),
        (data(known, Along::Proxy(unknown)), Nonsense::UnknownRecord),
        (data(known, Along::Peer(unknown)), Nonsense::UnknownRecord),
        (Message::Opened { to: known, record: known }, Nonsense::WrongState),
        (Message::Refused { to: known }, Nonsense::WrongState),
        (Message::Accept { to: known }, Nonsense::WrongState),
        (Message::Credit { to: known, packets: 1 }, Nonsense::BeyondWindow),
        (Message::Close { to: unknown }, Nonsense::UnknownRecord),
    ] {
        let before = format!("{:?}", m.0[0].routes);
        m.give(0, &message);
        assert_eq!(m.0[0].kernel.reports.pop(), Some((CoreId(1), why)), "{message:?}");
        let after = format!("{:?}", m.0[0].routes);
        let changed = |text: &str| text.split("nonsense").next().map(str::to_owned);
        assert_eq!(changed(&before), changed(&after), "{message:?}");
    }
    assert_eq!(m.0[0].routes.nonsense(), 9);
}

#[test]
fn no_more_comes_than_there_is_room_for() {
    let mut m = Machine::new();
    m.joined();
    // Two are in the receiver's ring, and a window waits.
    (0..2 + W).for_each(|_| m.give(0, &data(record(0, 0), Along::Nothing)));
    assert_eq!(m.0[0].kernel.reports, []);
    m.give(0, &data(record(0, 0), Along::Nothing));
    assert_eq!(m.0[0].kernel.reports.pop(), Some((CoreId(1), Nonsense::BeyondWindow)));
    for index in 0..=OFFERS as u16 {
        m.give(0, &Message::Open { record: record(index + 1, 0), service: 1, domain: 1 });
    }
    assert_eq!(m.0[0].kernel.reports.pop(), Some((CoreId(1), Nonsense::TooManyOffers)));
}

/// What a monitor out of its mind might say of the few records that there are.
fn babble() -> impl Strategy<Value = (Line, Line)> {
    let word = || (0u64..4, 0u64..3).prop_map(|(index, generation)| index | generation << 32);
    (0x3fu64..0x48, 0u64..8, word(), word(), 0u64..4).prop_map(|(kind, along, to, other, number)| {
        let control = kind & 0xf != 0;
        let other = if control || along > 3 { other } else { 0 };
        let number = if kind > 0x43 || along == 3 { number } else { 0 };
        ([kind | if control { 0 } else { along << 8 }, to, other, number, 0, 0, 0, 0], [0; 8])
    })
}

proptest! {
    #[test]
    fn whatever_is_said_nothing_panics(lines in prop::collection::vec(babble(), 0..200)) {
        let mut m = Machine::new();
        m.joined();
        m.joined();
        for (first, second) in lines {
            m.lines(0, &first, routes::packet_follows(&first).then_some(&second));
            m.take(0);
            m.0[0].kernel.opened.clear();
        }
    }
}

#[test]
fn proxies_of_free_records_have_no_events() {
    let mut m = Machine::new();
    let Core { kernel, routes } = &mut m.0[0];
    routes.connected(Proxy(3));
    routes.ready(kernel, Proxy(3));
    routes.peer_gone(kernel, Proxy(3));
    routes.no_senders(kernel, Proxy(9));
    routes.writable(kernel, Proxy(9));
    m.assert_empty();
}
