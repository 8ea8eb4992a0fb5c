//! Whatever a peer sends: no panic, bounded memory, capabilities accounted for, and others unharmed.

mod fake;
mod probe;

use abi::CapAddr;
use abi::packet::{FLAG_BYTES, FLAG_CAPABILITY, FLAG_MORE, Header, Packet};
use fake::{CLIENT, FakePort, SERVER, World};
use ipc::{CallError, Receiver, Service, Stub};
use probe::{CALLER, ProbeClient, ProbeServer, Prober, connect};
use proptest::prelude::*;
use std::collections::HashSet;

/// Packets that are nearly right more often than chance would have it.
fn packets() -> impl Strategy<Value = Vec<(Packet, Option<CapAddr>)>> {
    let kind = prop_oneof![6 => 0u8..10, 1 => any::<u8>()];
    let method = prop_oneof![9 => 0u8..13, 1 => any::<u8>()];
    let length = prop_oneof![4 => Just(56u8), 2 => 0u8..=56, 2 => Just(16u8), 1 => any::<u8>()];
    let flags = prop_oneof![
        Just(0u8),
        Just(FLAG_BYTES),
        Just(FLAG_BYTES | FLAG_MORE),
        any::<u8>().prop_map(|flags| flags & !FLAG_CAPABILITY)
    ];
    let sequence = prop_oneof![6 => 0u32..4, 1 => 1020u32..1030, 1 => any::<u32>()];
    let word =
        prop_oneof![Just(0u64), Just(1), 0u64..70_000, any::<u64>(), Just(ProbeServer::<Prober>::INTERFACE)];
    let words = prop::array::uniform7(word);
    let capability = prop::option::weighted(0.3, 1u64..1 << 40);
    let packet = (kind, method, length, flags, sequence, words, capability).prop_map(
        |(kind, method, length, flags, sequence, words, capability)| {
            let header = Header::new(kind, method, length, flags, sequence).0;
            (Packet { header, words }, capability.map(CapAddr))
        },
    );
    prop::collection::vec(packet, 0..60)
}

fn feed(world: &World, end: usize, packets: &[(Packet, Option<CapAddr>)]) {
    for (packet, capability) in packets {
        world.rings[end].borrow_mut().push_back((*packet, *capability));
        while world.deliver(end) {}
        // Somebody at the other end takes the answers.
        world.rings[1 - end].borrow_mut().clear();
        world.offer_room(1 - end);
    }
}

/// A greeting that the server accepts.
fn hello(interface: u64) -> (Packet, Option<CapAddr>) {
    let header = Header::new(ipc::KIND_HELLO, 0, 8, 0, 0).0;
    (Packet { header, words: [interface, 0, 0, 0, 0, 0, 0] }, None)
}

fn capabilities(packets: &[(Packet, Option<CapAddr>)]) -> Vec<CapAddr> {
    packets.iter().filter_map(|(_, capability)| *capability).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_server_survives_any_packets(packets in packets(), greeted in any::<bool>()) {
        let (world, state, _client) = connect(8);
        world.rings[SERVER].borrow_mut().clear();
        if greeted {
            feed(&world, SERVER, &[hello(ProbeServer::<Prober>::INTERFACE)]);
        }
        feed(&world, SERVER, &packets);
        state.replies.take();
        world.kill(CLIENT);
        world.run();
        prop_assert_eq!(world.tasks(), 0);
        prop_assert_eq!(state.gone.borrow().len(), 1);
        // Each capability that came was handed to a handler or deleted, once.
        let mut came = capabilities(&packets);
        came.extend(&*state.given.borrow());
        let mut ended = world.discarded.take();
        ended.extend(&*state.received.borrow());
        came.sort();
        ended.sort();
        prop_assert_eq!(came, ended);
    }

    #[test]
    fn a_client_survives_any_packets(packets in packets()) {
        let (world, _state, client) = connect(8);
        for key in 0..3 {
            let (later, echo) = (client.later_async(key), client.echo_async(&[1; 500]));
            world.spawn(async move { drop(later.await) });
            world.spawn(async move { drop(echo.await) });
        }
        for _ in 0..6 {
            world.step();
        }
        feed(&world, CLIENT, &packets);
        world.kill(SERVER);
        world.run();
        prop_assert_eq!(world.tasks(), 0, "no call hangs");
        prop_assert!(client.add(1, 1).is_err());
        let (mut came, mut deleted) = (capabilities(&packets), world.discarded.take());
        came.sort();
        deleted.sort();
        prop_assert_eq!(came, deleted);
    }

    #[test]
    fn what_decodes_encodes_to_the_same(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(item) = ipc::wire::decode_bytes::<probe::Item>(&bytes, None) {
            prop_assert_eq!(ipc::wire::ByteSink::collect(&item).0, Some(bytes));
        }
    }

    #[test]
    fn structures_survive_the_wire(
        name in ".*", size: u64, tag: Option<i16>, more in prop::collection::vec(any::<(u8, bool)>(), 0..50)
    ) {
        let item = probe::Item { name, size, tag, more };
        let (bytes, _) = ipc::wire::ByteSink::collect(&item);
    let bytes = bytes.unwrap();
        prop_assert_eq!(ipc::wire::decode_bytes::<probe::Item>(&bytes, None), Ok(item));
    }
}

fn fragment(kind: u8, sequence: u32, more: bool, length: u8) -> (Packet, Option<CapAddr>) {
    let flags = FLAG_BYTES | if more { FLAG_MORE } else { 0 };
    (Packet { header: Header::new(kind, 2, length, flags, sequence).0, words: [0; 7] }, None)
}

/// Why the server closed the channel, if it did.
fn closed(world: &World) -> Option<CallError> {
    let answers = world.rings[CLIENT].borrow();
    let close = answers.iter().find(|(p, _)| Header(p.header).kind() == ipc::KIND_CLOSE);
    close.map(|(packet, _)| CallError::from_number(packet.words[0]))
}

#[test]
fn each_violation_of_the_protocol_closes_the_channel() {
    let call = |more, length| fragment(ipc::KIND_CALL, 1, more, length);
    let next = |sequence, more, length| fragment(ipc::KIND_FRAGMENT, sequence, more, length);
    let with_cap = (next(1, false, 4).0, Some(CapAddr(8)));
    let mut endless = vec![call(true, 56)];
    endless.extend(std::iter::repeat_n(next(1, true, 56), 400));
    let cases = [
        ("an unknown kind", vec![fragment(99, 0, false, 0)], CallError::BadPeer),
        ("an answer", vec![fragment(ipc::KIND_REPLY, 0, false, 0)], CallError::BadPeer),
        ("a fragment of nothing", vec![next(1, false, 4)], CallError::BadPeer),
        ("a fragment of another", vec![call(true, 56), next(2, true, 56)], CallError::BadPeer),
        ("a first fragment twice", vec![call(true, 56), call(true, 56)], CallError::BadPeer),
        ("a fragment with a gap", vec![call(true, 55)], CallError::BadPeer),
        ("more than a packet holds", vec![call(true, 56), next(1, false, 57)], CallError::BadPeer),
        ("a late capability", vec![call(true, 56), with_cap], CallError::BadPeer),
        ("a message without end", endless, CallError::TooLong),
        ("a second greeting", vec![hello(1)], CallError::BadPeer),
    ];
    for (name, packets, reason) in cases {
        let (world, _, _client) = connect(1000);
        world.run();
        world.rings[SERVER].borrow_mut().extend(packets);
        while world.deliver(SERVER) {}
        assert_eq!(closed(&world), Some(reason), "{name}");
        // What comes after is not looked at, and its capabilities are deleted.
        let sent = world.sent.get();
        world.rings[SERVER].borrow_mut().push_back((call(false, 4).0, Some(CapAddr(9))));
        while world.deliver(SERVER) {}
        assert!(world.discarded.borrow().contains(&CapAddr(9)), "{name}");
        assert_eq!(world.sent.get(), sent, "{name}");
    }
}

#[test]
fn a_client_that_asks_and_never_reads_is_cut_off_before_it_fills_the_memory() {
    let (world, state, client) = connect(4);
    world.run();
    let header = Header::new(ipc::KIND_CALL, 0, 16, 0, 5).0;
    for _ in 0..10_000 {
        let packet = Packet { header, words: [1, 2, 0, 0, 0, 0, 0] };
        world.rings[SERVER].borrow_mut().push_back((packet, None));
        while world.deliver(SERVER) {}
    }
    let served = state.calls.get();
    // What waits takes more than the words that go out, and that counts.
    assert!((1024..2000).contains(&served), "{served} requests were served");
    world.run();
    assert!(client.add(1, 1).is_err());
}

#[test]
fn other_clients_of_the_server_go_on() {
    let (world, state, _bad) = connect(4);
    let other = World::new(4);
    let server = ProbeServer::new(Prober(state));
    other.attach(SERVER, server.open(other.port(SERVER), CALLER));
    let client: ProbeClient<FakePort> = ProbeClient::new(other.port(CLIENT));
    other.attach(CLIENT, client.client().clone());
    world.rings[SERVER].borrow_mut().push_back(fragment(99, 0, false, 0));
    while world.deliver(SERVER) {}
    assert_eq!(client.add(1, 1), Ok(2));
}

#[test]
fn a_long_answer_that_nobody_wants_gives_its_capability_up() {
    let (world, _, client) = connect(8);
    let (first, _) = fragment(ipc::KIND_REPLY, 7, true, 56);
    let (last, _) = fragment(ipc::KIND_FRAGMENT, 7, false, 5);
    world.rings[CLIENT].borrow_mut().extend([(first, Some(CapAddr(3))), (last, None)]);
    world.run();
    assert_eq!(*world.discarded.borrow(), [CapAddr(3)]);
    assert_eq!(client.add(1, 1), Ok(2));
}

#[test]
fn what_follows_a_value_is_an_error() {
    let item = probe::Item { name: "a".into(), size: 1, tag: None, more: vec![(1, true)] };
    let (bytes, _) = ipc::wire::ByteSink::collect(&item);
    let mut bytes = bytes.unwrap();
    bytes.push(0);
    assert_eq!(ipc::wire::decode_bytes::<probe::Item>(&bytes, None), Err(ipc::DecodeError::Malformed));
    bytes.truncate(bytes.len() - 2);
    assert_eq!(ipc::wire::decode_bytes::<probe::Item>(&bytes, None), Err(ipc::DecodeError::Malformed));
}

#[test]
fn repeated_answers_give_their_capabilities_up() {
    // A peer that repeats an answer with a capability gives us one to delete each time.
    let (world, _, client) = connect(8);
    assert_eq!(client.add(1, 1), Ok(2));
    let stray = Packet { header: Header::new(ipc::KIND_REPLY, 0, 8, 0, 0).0, words: [0; 7] };
    let mut packet = stray;
    for n in 1..5 {
        client.client().on_packet(&mut packet, Some(CapAddr(n)));
    }
    let deleted: HashSet<_> = world.discarded.borrow().iter().copied().collect();
    assert_eq!(deleted.len(), 4);
    assert_eq!(client.add(1, 1), Ok(2));
}
