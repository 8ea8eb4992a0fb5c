//! Calls of every shape, over rings that fill up and peers that die.

mod fake;
mod probe;

use abi::CapAddr;
use abi::packet::{Header, Packet};
use fake::{CLIENT, COPY, FakePort, SERVER, World};
use ipc::{CallError, Capability, Stub};
use probe::{CALLER, Item, ProbeClient, ProbeError, connect};
use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

#[test]
fn a_call_in_words_takes_one_packet_each_way() {
    let (world, _, client) = connect(4);
    assert_eq!(client.add(40, 2), Ok(42));
    let before = world.sent.get();
    assert_eq!(client.add(u64::MAX, 1), Ok(0));
    assert_eq!(client.seven([1, 2, 3, 4, 5, 6, 7]), Ok([7, 6, 5, 4, 3, 2, 1]));
    assert_eq!(world.sent.get() - before, 4);
    assert_eq!(client.soon(6), Ok(7));
    assert_eq!(client.refuse(9), Err(ProbeError::Refused { code: 9 }));
    assert_eq!(world.tasks(), 0, "handlers that do not wait are no tasks");
}

#[test]
fn bytes_of_every_length_come_back_whole_through_rings_of_every_size() {
    for capacity in [1, 2, 3, 16, 256] {
        let (_, _, client) = connect(capacity);
        for length in (0..300).chain([1000, 5000, 19_000]) {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 7 + length) as u8).collect();
            assert_eq!(client.echo(&bytes), Ok(bytes), "{length} bytes, ring of {capacity}");
        }
    }
}

#[test]
fn a_long_message_costs_a_packet_per_56_bytes() {
    let (world, _, client) = connect(8);
    world.run();
    let before = world.sent.get();
    client.note(&"x".repeat(56 * 200 - 4)).unwrap();
    world.run();
    assert_eq!(world.sent.get() - before, 200);
}

#[test]
fn the_servers_end_counts_messages_their_bytes_and_what_waits() {
    for capacity in [1, 4, 256] {
        let (world, state, client) = connect(capacity);
        let server = world.receiver(SERVER).unwrap();
        // What was sent and received since.
        let since = |before: ipc::Traffic| {
            let now = server.traffic();
            let difference = |now: ipc::Amount, before: ipc::Amount| {
                (now.messages - before.messages, now.bytes - before.bytes)
            };
            (difference(now.received, before.received), difference(now.sent, before.sent), now.in_flight)
        };
        let nothing = server.traffic();
        assert_eq!(nothing, ipc::Traffic::default());
        client.add(1, 2).unwrap();
        assert_eq!(since(nothing), ((1, 16), (1, 8), 0));
        client.seven([0; 7]).unwrap();
        assert_eq!(since(nothing), ((2, 16 + 56), (2, 8 + 56), 0));

        let before = server.traffic();
        client.echo(&[0; 1000]).unwrap();
        let ((requests, bytes_in), (answers, bytes_out), _) = since(before);
        assert_eq!((requests, answers, bytes_in), (1, 1, bytes_out));
        assert!((1000..1016).contains(&bytes_in), "{bytes_in}");

        let before = server.traffic();
        client.note(&"x".repeat(500)).unwrap();
        world.run();
        let ((requests, bytes_in), sent, _) = since(before);
        assert_eq!((requests, sent), (1, (0, 0)), "nobody answers a note");
        assert!((500..516).contains(&bytes_in), "{bytes_in}");

        let before = server.traffic();
        let mut waiting = Box::pin(client.later_async(7));
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        world.run();
        let ((requests, _), sent, in_flight) = since(before);
        assert_eq!((requests, sent, in_flight), (1, (0, 0), 1));
        let (_, reply) = state.replies.borrow_mut().pop().unwrap();
        reply.send(&Ok("now".into())).unwrap();
        let (_, (answers, _), in_flight) = since(before);
        assert_eq!((answers, in_flight), (1, 0));
    }
}

#[test]
fn structures_travel() {
    let (_, _, client) = connect(2);
    let item =
        Item { name: "πολύ".into(), size: 1 << 40, tag: Some(-3), more: vec![(1, true), (255, false)] };
    assert_eq!(client.items(20, &item), Ok(vec![item; 20]));
}

#[test]
fn what_is_too_long_is_refused_before_anything_is_sent() {
    let (world, _, client) = connect(4);
    world.run();
    let before = world.sent.get();
    assert_eq!(client.echo(&[0; 20_000]), Err(CallError::TooLong));
    assert_eq!(world.sent.get(), before);
    let item = Item { name: "x".repeat(500), size: 0, tag: None, more: vec![] };
    assert_eq!(client.items(100, &item), Err(ProbeError::Call(CallError::TooLong)));
    assert_eq!(client.add(1, 1), Ok(2), "the channel goes on");
}

/// For polling by hand.
fn noop() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Runs `future` as a task and keeps what it came to.
fn start<T: 'static>(world: &Rc<World>, future: impl Future<Output = T> + 'static) -> Rc<RefCell<Option<T>>> {
    let result = Rc::new(RefCell::new(None));
    let slot = result.clone();
    world.spawn(async move { *slot.borrow_mut() = Some(future.await) });
    result
}

#[test]
fn answers_come_in_any_order() {
    let (world, state, client) = connect(4);
    let results: Vec<_> = (0..40).map(|key| start(&world, client.later_async(key))).collect();
    let gates: Vec<_> = (0..40).map(|n| start(&world, client.gate_async(40 - n))).collect();
    world.run();
    assert_eq!(state.replies.borrow().len(), 40);
    assert_eq!(client.add(1, 2), Ok(3), "a call overtakes those that wait");
    for (key, reply) in state.replies.take().into_iter().rev() {
        reply.send(&Ok(format!("answer {key}"))).unwrap();
        world.run();
        assert_eq!(*results[key as usize].borrow(), Some(Ok(format!("answer {key}"))));
    }
    for open in 1..=40 {
        state.open_gate(open);
        world.run();
        assert_eq!(gates.iter().filter(|gate| gate.borrow().is_some()).count(), open as usize);
    }
    assert_eq!(world.tasks(), 0);
}

#[test]
fn a_blocking_call_waits_for_a_stored_reply() {
    let (world, state, client) = connect(4);
    world.then(move || {
        let (key, reply) = state.replies.borrow_mut().pop().unwrap();
        assert_eq!(key, 5);
        reply.send(&Ok("data".repeat(100))).unwrap();
    });
    assert_eq!(client.later(5), Ok("data".repeat(100)));
}

#[test]
fn a_dropped_reply_fails_the_request() {
    let (world, state, client) = connect(4);
    world.then(move || state.replies.borrow_mut().clear());
    assert_eq!(client.later(1), Err(ProbeError::Call(CallError::Unanswered)));
    assert_eq!(client.add(1, 1), Ok(2));
}

#[test]
fn messages_of_one_sender_stay_in_order_when_the_ring_is_full() {
    for capacity in [1, 2, 5] {
        let (world, state, client) = connect(capacity);
        let texts: Vec<String> = (0..50).map(|i| format!("{i}").repeat(1 + i * 3)).collect();
        let mut sent: Vec<_> = texts.iter().map(|t| Box::pin(client.note_async(t))).collect();
        // All are queued, but those that fit in the ring, before anything is delivered.
        sent.retain_mut(|note| note.as_mut().poll(&mut noop()).is_pending());
        assert!(sent.len() > 45);
        world.run();
        sent.retain_mut(|note| note.as_mut().poll(&mut noop()) != Poll::Ready(Ok(())));
        assert!(sent.is_empty());
        assert_eq!(*state.notes.borrow(), texts);
        texts.iter().for_each(|text| client.note(text).unwrap());
        world.run();
        assert_eq!(state.notes.borrow().len(), 100);
    }
}

#[test]
fn a_client_that_does_not_read_makes_the_server_wait_and_loses_nothing() {
    let (world, state, client) = connect(2);
    let mut calls: Vec<_> = (0..30).map(|i| Box::pin(client.echo_async(&[i; 100]))).collect();
    for call in &mut calls {
        assert!(call.as_mut().poll(&mut noop()).is_pending());
        while world.deliver(SERVER) {}
    }
    assert_eq!(world.rings[CLIENT].borrow().len(), 2, "the client's ring is full");
    assert!(state.replies.borrow().is_empty());
    world.run();
    for (i, call) in calls.iter_mut().enumerate() {
        let answer = call.as_mut().poll(&mut noop());
        assert_eq!(answer, Poll::Ready(Ok(vec![i as u8; 100])));
    }
}

#[test]
fn the_server_dies_and_every_call_knows() {
    let (world, _, client) = connect(4);
    let waiting: Vec<_> = (0..10).map(|key| start(&world, client.later_async(key))).collect();
    let gate = start(&world, client.gate_async(3));
    let killer = world.clone();
    world.then(move || killer.kill(SERVER));
    assert_eq!(client.later(77), Err(ProbeError::Call(CallError::PeerGone)));
    world.run();
    for call in waiting {
        assert_eq!(*call.borrow(), Some(Err(ProbeError::Call(CallError::PeerGone))));
    }
    assert!(gate.borrow().as_ref().is_some_and(Result::is_err));
    assert_eq!(client.add(1, 1), Err(CallError::PeerGone));
    assert_eq!(client.note("too late"), Err(CallError::PeerGone));
    assert_eq!(*start_and_run(&world, client.add_async(1, 1)), Some(Err(CallError::PeerGone)));
}

fn start_and_run<T: 'static>(world: &Rc<World>, future: impl Future<Output = T> + 'static) -> Box<Option<T>> {
    let result = start(world, future);
    world.run();
    Box::new(result.take())
}

#[test]
fn the_server_dies_at_any_moment_of_a_conversation() {
    for moment in 0..150 {
        let (world, state, client) = connect(3);
        let long = start(&world, client.echo_async(&[7; 1500]));
        let later = start(&world, client.later_async(1));
        let gate = start(&world, client.gate_async(1));
        let noted = start(&world, client.note_async(&"n".repeat(300)));
        let add = start(&world, client.add_async(1, 2));
        for _ in 0..moment {
            world.step();
        }
        state.open_gate(1);
        world.kill(SERVER);
        state.replies.take();
        world.run();
        let text = format!("killed after {moment} steps");
        assert!(matches!(*long.borrow(), Some(Ok(_) | Err(CallError::PeerGone))), "{text}");
        assert!(matches!(*add.borrow(), Some(Ok(3) | Err(CallError::PeerGone))), "{text}");
        assert!(noted.borrow().is_some() && gate.borrow().is_some(), "{text}");
        let gone = later.borrow().clone();
        assert!(matches!(gone, Some(Err(ProbeError::Call(_)))), "{text}: {gone:?}");
        assert_eq!(client.add(1, 1), Err(CallError::PeerGone));
    }
}

#[test]
fn the_client_dies_and_its_tasks_and_replies_go_with_it() {
    let (world, state, client) = connect(4);
    for n in 1..=5 {
        let call = client.gate_async(n);
        world.spawn(async move { drop(call.await) });
    }
    let later = start(&world, client.later_async(9));
    world.run();
    assert_eq!(state.at_gate.borrow().len(), 5 * 2, "each polled in the upcall and as a task");
    assert!(state.replies.borrow()[0].1.is_wanted());
    let server = world.receiver(SERVER).unwrap();
    world.kill(CLIENT);
    world.run();
    assert_eq!(state.gates_dropped.get(), 5, "handlers that waited are dropped");
    assert_eq!(*state.gone.borrow(), [CALLER]);
    server.on_peer_gone();
    assert_eq!(state.gone.borrow().len(), 1, "told once");
    let (_, reply) = state.replies.borrow_mut().pop().unwrap();
    assert!(!reply.is_wanted());
    assert_eq!(reply.send(&Ok("nobody reads this".into())), Err(ipc::NotWanted));
    assert!(later.borrow().is_none());
}

#[test]
fn a_cancelled_call_ends_at_the_server_and_its_late_answer_meets_nobody() {
    let (world, state, client) = connect(4);
    let mut later = Box::pin(client.later_async(1));
    let mut gate = Box::pin(client.gate_async(1));
    assert!(later.as_mut().poll(&mut noop()).is_pending());
    assert!(gate.as_mut().poll(&mut noop()).is_pending());
    world.run();
    drop((later, gate));
    world.run();
    assert_eq!(state.gates_dropped.get(), 1);
    assert_eq!(world.tasks(), 0);
    let (_, reply) = state.replies.borrow_mut().pop().unwrap();
    assert_eq!(reply.send(&Ok("late".into())), Err(ipc::NotWanted));
    assert_eq!(client.add(2, 2), Ok(4));
}

#[test]
fn an_answer_that_crosses_a_cancel_is_not_given_to_the_next_call() {
    let (world, state, client) = connect(8);
    let mut later = Box::pin(client.later_async(1));
    assert!(later.as_mut().poll(&mut noop()).is_pending());
    while world.deliver(SERVER) {}
    let (_, reply) = state.replies.borrow_mut().pop().unwrap();
    reply.send(&Ok("of the first".into())).unwrap();
    drop(later);
    let mut second = Box::pin(client.later_async(2));
    assert!(second.as_mut().poll(&mut noop()).is_pending());
    world.run();
    assert!(second.as_mut().poll(&mut noop()).is_pending());
    let (key, reply) = state.replies.borrow_mut().pop().unwrap();
    assert_eq!(key, 2);
    reply.send(&Ok("of the second".into())).unwrap();
    world.run();
    assert_eq!(second.as_mut().poll(&mut noop()), Poll::Ready(Ok("of the second".into())));
}

#[test]
fn a_call_that_was_never_sent_is_withdrawn() {
    let (world, state, client) = connect(1);
    let mut first = Box::pin(client.note_async("first"));
    let mut second = Box::pin(client.note_async("second"));
    let mut third = Box::pin(client.add_async(1, 1));
    assert!(first.as_mut().poll(&mut noop()).is_pending(), "the greeting fills the ring");
    assert!(second.as_mut().poll(&mut noop()).is_pending());
    assert!(third.as_mut().poll(&mut noop()).is_pending());
    drop((second, third));
    world.run();
    assert_eq!(*state.notes.borrow(), ["first"]);
    assert_eq!(state.calls.get(), 0);
}

#[test]
fn a_capability_goes_there_and_back_beside_a_message_of_any_length() {
    for length in [0, 10, 500] {
        let (world, _, client) = connect(2);
        let passed = client.pass(&"t".repeat(length), Capability::lend(CapAddr(300)));
        assert_eq!(passed.map(Capability::address), Ok(CapAddr(300 + 2 * COPY)));
        assert!(world.discarded.borrow().is_empty());
    }
}

#[test]
fn a_given_capability_is_deleted_by_its_sender_once() {
    let (world, _, client) = connect(2);
    let back = client.pass("", Capability::give(CapAddr(300)));
    assert_eq!(back.map(Capability::address), Ok(CapAddr(300 + 2 * COPY)));
    assert_eq!(*world.discarded.borrow(), [CapAddr(300)]);
    let given = client.give(55).unwrap().unwrap();
    assert_eq!(given.address(), CapAddr(55 + COPY));
    assert_eq!(*world.discarded.borrow(), [CapAddr(300), CapAddr(55)]);
    assert_eq!(client.give(1), Ok(None));
}

#[test]
fn a_given_capability_is_deleted_once_wherever_its_message_stops() {
    for steps in 0..12 {
        let (world, _, client) = connect(2);
        let given = Capability::give(CapAddr(300));
        let mut call = Box::pin(client.pass_async(&"t".repeat(400), given));
        let mut waits = true;
        for _ in 0..steps {
            waits = waits && call.as_mut().poll(&mut noop()).is_pending();
            world.step();
        }
        world.kill(SERVER);
        assert!(!waits || steps == 0 || call.as_mut().poll(&mut noop()).is_ready());
        drop((call, client));
        world.forget_receivers();
        let deleted = world.discarded.borrow();
        let own = deleted.iter().filter(|address| **address == CapAddr(300)).count();
        assert_eq!(own, 1, "stopped after {steps} steps");
    }
}

#[test]
fn a_small_message_does_not_overtake_one_that_waits() {
    let (world, state, client) = connect(4);
    world.run();
    world.no_landing[SERVER].set(true);
    let mut pass = Box::pin(client.pass_async("", Capability::lend(CapAddr(5))));
    assert!(pass.as_mut().poll(&mut noop()).is_pending());
    let again = world.clone();
    world.then(move || {
        again.no_landing[SERVER].set(false);
        again.offer_room(SERVER);
    });
    assert_eq!(client.add(1, 1), Ok(2));
    assert_eq!(state.received.borrow().len(), 1, "the message that waited came first");
}

#[test]
fn a_capability_that_cannot_be_sent_is_an_error_of_its_call_alone() {
    let (_, _, client) = connect(2);
    let refused = Err(ProbeError::Call(CallError::BadCapability));
    assert_eq!(client.pass("", Capability::lend(CapAddr::NULL)), refused);
    assert_eq!(client.give(0), Err(ProbeError::Call(CallError::BadCapability)));
    assert_eq!(client.add(1, 1), Ok(2));
}

#[test]
fn a_capability_that_is_lost_on_the_way_is_an_error_of_its_call_alone() {
    for (end, length) in [(SERVER, 0), (SERVER, 10), (SERVER, 500), (CLIENT, 0), (CLIENT, 500)] {
        let (world, _, client) = connect(2);
        assert_eq!(client.add(1, 1), Ok(2));
        world.loses[end].set(true);
        let given = Capability::give(CapAddr(300));
        let lost = client.pass(&"t".repeat(length), given);
        assert_eq!(lost, Err(ProbeError::Call(CallError::BadCapability)), "to {end} with {length} bytes");
        assert!(world.discarded.borrow().contains(&CapAddr(300)));
        world.loses[end].set(false);
        assert_eq!(client.add(2, 2), Ok(4));
        assert!(client.pass("", Capability::lend(CapAddr(5))).is_ok());
    }
}

#[test]
fn without_a_landing_slot_the_sender_waits() {
    let (world, _, client) = connect(4);
    assert_eq!(client.add(1, 1), Ok(2));
    world.no_landing[CLIENT].set(true);
    let again = world.clone();
    world.then(move || {
        again.no_landing[CLIENT].set(false);
        again.offer_room(CLIENT);
    });
    let passed = client.pass("", Capability::lend(CapAddr(5)));
    assert_eq!(passed.map(Capability::address), Ok(CapAddr(5 + 2 * COPY)));
}

#[test]
fn capabilities_of_answers_that_nobody_wants_are_deleted() {
    let (world, _, client) = connect(8);
    let mut call = Box::pin(client.pass_async("", Capability::lend(CapAddr(7))));
    assert!(call.as_mut().poll(&mut noop()).is_pending());
    while world.deliver(SERVER) {}
    drop(call);
    world.run();
    assert_eq!(*world.discarded.borrow(), [CapAddr(7 + 2 * COPY)]);
}

#[test]
fn the_server_knows_its_caller_by_the_channel() {
    let (_, _, client) = connect(2);
    assert_eq!(client.whoami(), Ok((CALLER.channel, CALLER.domain)));
}

#[ipc::interface]
trait Other {
    fn add(&self, a: u64, b: u64) -> u64;
}

#[test]
fn another_interface_is_a_clear_error() {
    let (world, state, _client) = connect(4);
    let other = OtherClient::new(world.port(CLIENT));
    world.attach(CLIENT, other.client().clone());
    // The greeting of the first client went first; this one speaks out of turn.
    assert_eq!(other.add(1, 1), Err(CallError::BadPeer));
    assert_eq!(state.calls.get(), 0);

    let world = World::new(4);
    let prober = probe::Prober(state.clone());
    world.attach(SERVER, probe::ProbeServer::new(prober).open(world.port(SERVER), CALLER));
    let other = OtherClient::new(world.port(CLIENT));
    world.attach(CLIENT, other.client().clone());
    assert_eq!(other.add(1, 1), Err(CallError::WrongInterface));
    assert_eq!(other.add(1, 1), Err(CallError::WrongInterface));
    assert_eq!(state.calls.get(), 0);
    assert_ne!(
        <ProbeClient<FakePort> as Stub<FakePort>>::INTERFACE,
        <OtherClient<FakePort> as Stub<FakePort>>::INTERFACE
    );
}

#[test]
fn one_channel_has_a_limit_of_requests_and_says_so() {
    let (world, state, client) = connect(16);
    let calls: Vec<_> =
        (0..ipc::MAX_REQUESTS).map(|key| start(&world, client.later_async(key as u32))).collect();
    world.run();
    assert_eq!(state.replies.borrow().len(), ipc::MAX_REQUESTS);
    assert_eq!(client.add(1, 1), Err(CallError::TooManyRequests));
    state.replies.take();
    world.run();
    assert!(calls.iter().all(|call| call.borrow().is_some()));
    assert_eq!(client.add(1, 1), Ok(2));
}

#[test]
fn an_unknown_method_and_undecodable_arguments_are_errors_of_the_call_alone() {
    let (world, _, client) = connect(4);
    let raw = client.client();
    assert_eq!(raw.call::<(u64,), u64>(200, &(1,)), Err(CallError::UnknownMethod));
    assert_eq!(raw.call::<(u64,), u64>(0, &(1,)), Err(CallError::Malformed));
    assert_eq!(raw.call::<_, u64>(0, &(&[1u8, 2][..],)), Err(CallError::Malformed));
    assert_eq!(raw.call::<(u64, u64), (u64, u64)>(0, &(1, 1)), Err(CallError::BadReply));
    let cap = Capability::lend(CapAddr(9));
    assert_eq!(raw.call::<_, u64>(0, &(1u64, 1u64, cap)), Err(CallError::Malformed));
    assert_eq!(raw.call::<_, u64>(200, &(cap,)), Err(CallError::UnknownMethod));
    assert_eq!(*world.discarded.borrow(), [CapAddr(9 + COPY); 2]);
    assert_eq!(client.add(1, 1), Ok(2));
}

#[test]
fn a_greeting_must_come_first() {
    let (world, state, _client) = connect(4);
    world.rings[SERVER].borrow_mut().clear();
    let call = Header::new(ipc::KIND_CALL, 0, 16, 0, 0);
    let packet = Packet { header: call.0, words: [1, 1, 0, 0, 0, 0, 0] };
    world.rings[SERVER].borrow_mut().push_back((packet, None));
    world.deliver(SERVER);
    assert_eq!(state.calls.get(), 0);
    assert_eq!(Header(world.rings[CLIENT].borrow()[0].0.header).kind(), ipc::KIND_CLOSE);
}
