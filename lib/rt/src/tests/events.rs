//! Rings, ready bits, waiting: nothing is lost, nothing comes twice, nothing comes out of order.

use alloc::sync::Arc;
use core::cell::{Cell, RefCell};
use core::task::Poll;
use core::time::Duration;
use std::vec::Vec;

use abi::packet::{HEADER_CAPABILITY, Packet};
use abi::{CapAddr, ErrorKind, Rights};
use ipc::port::{Outcome, Port, Receiver, SendError};
use sys::fake::Capability;
use sys::{Cap, CapType};

use super::{domain, packet};
use crate::arch::{Wake, script, waits};
use crate::channel::{Channel, LmpPort, attach_server};
use crate::dispatch;
use crate::thread::ThreadId;
use crate::{Notify, block_on, executor, slots, time};

/// Notes what it is told; answers with the same packet if asked to.
#[derive(Default)]
pub(super) struct Log {
    pub(super) numbers: RefCell<Vec<u64>>,
    pub(super) capabilities: RefCell<Vec<CapAddr>>,
    unsent: RefCell<Vec<u64>>,
    writable: Cell<u32>,
    gone: Cell<u32>,
    answers: Cell<bool>,
    pub(super) unpark_at: Cell<u64>,
}

impl Receiver for Log {
    fn on_packet(&self, packet: &mut Packet, capability: Option<CapAddr>) -> Outcome {
        self.numbers.borrow_mut().push(packet.words[0]);
        self.capabilities.borrow_mut().extend(capability);
        if packet.words[0] == self.unpark_at.get() {
            dispatch::unpark(ThreadId::MAIN);
        }
        if self.answers.get() { Outcome::Reply(None) } else { Outcome::None }
    }
    fn on_unsent(&self, packet: &Packet, _: Option<CapAddr>) {
        self.unsent.borrow_mut().push(packet.words[0]);
    }
    fn on_writable(&self) {
        self.writable.set(self.writable.get() + 1);
    }
    fn on_peer_gone(&self) {
        self.gone.set(self.gone.get() + 1);
        dispatch::unpark(ThreadId::MAIN);
    }
}

/// A channel with a peer, and who notes what comes.
pub(super) fn channel(packets: u32) -> (Arc<Channel>, Arc<Log>) {
    let channel = Channel::create(packets).unwrap();
    let peer = slots::allocate().unwrap();
    sys::fake::with(|fake| fake.install(peer, CapType::EndPoint, 500, 0));
    channel.set_peer(Cap::new(peer));
    #[expect(clippy::arc_with_non_send_sync)]
    let log = Arc::new(Log::default());
    attach_server(&channel, log.clone());
    (channel, log)
}

fn deliver(event: u32, number: u64) -> Result<(), sys::Error> {
    sys::fake::with(|fake| fake.deliver(event.into(), packet(number), None))
}

/// Runs the loop once more than nothing: until what is ready now has been handled.
fn handle_ready() {
    dispatch::unpark(ThreadId::MAIN);
    dispatch::park();
    dispatch::unpark(ThreadId::MAIN);
    script(|_| {
        dispatch::unpark(ThreadId::MAIN);
        Wake::Run
    });
    dispatch::park();
    dispatch::park();
}

#[test]
fn packets_in_the_ring_come_in_order_across_its_end() {
    domain(1 << 20);
    let (channel, log) = channel(4);
    for round in 0..5 {
        for number in 0..3 {
            deliver(channel.event(), round * 3 + number).unwrap();
        }
        handle_ready();
    }
    assert_eq!(*log.numbers.borrow(), (0..15).collect::<Vec<_>>());
}

#[test]
fn a_sender_that_met_a_full_ring_is_woken() {
    domain(1 << 20);
    let (channel, log) = channel(2);
    deliver(channel.event(), 1).unwrap();
    deliver(channel.event(), 2).unwrap();
    assert_eq!(deliver(channel.event(), 3).unwrap_err().kind, ErrorKind::Full);
    handle_ready();
    let drained = sys::fake::with(|fake| {
        fake.calls.iter().filter(|call| call.0 == sys::Syscall::EndpointDrained).count()
    });
    assert_eq!(drained, 1);
    assert_eq!(*log.numbers.borrow(), [1, 2]);
}

#[test]
fn what_is_in_the_ring_comes_before_a_direct_packet() {
    domain(1 << 20);
    let (channel, log) = channel(4);
    let event = channel.event();
    log.unpark_at.set(2);
    script(move |buffer| {
        deliver(event, 1).unwrap();
        *buffer = packet(2);
        Wake::Message(event)
    });
    dispatch::park();
    assert_eq!(*log.numbers.borrow(), [1, 2]);
}

#[test]
fn an_event_between_the_last_look_and_the_wait_is_not_lost() {
    let frame = domain(1 << 20);
    let (channel, log) = channel(4);
    log.unpark_at.set(7);
    // Ready before the wait: the wait returns at once, though the script has nothing.
    deliver(channel.event(), 7).unwrap();
    dispatch::park();
    assert_eq!(*log.numbers.borrow(), [7]);
    assert!(!frame.any_ready());
}

#[test]
fn an_event_that_an_upcall_took_over_is_not_lost() {
    let frame = domain(1 << 20);
    let (channel, log) = channel(4);
    log.unpark_at.set(7);
    deliver(channel.event(), 7).unwrap();
    // What the upcall after a preemption does.
    frame.collect();
    assert!(!sys::fake::with(|fake| fake.pending()), "the kernel sees nothing ready, so it resumes");
    assert!(frame.any_ready());
    dispatch::park();
    assert_eq!(*log.numbers.borrow(), [7]);
}

#[test]
fn an_unpark_before_the_park_makes_it_return_at_once() {
    domain(1 << 20);
    dispatch::unpark(ThreadId::MAIN);
    let before = waits();
    dispatch::park();
    assert_eq!(waits(), before);
}

#[test]
fn all_ready_events_are_given_whatever_word_they_are_in() {
    let frame = domain(1 << 20);
    for event in [0, 1, 63, 64, 700, 2047] {
        sys::fake::with(|fake| fake.ring_bell(event));
    }
    frame.set_ready(65);
    let mut given = Vec::new();
    frame.take_ready(|event| given.push(event));
    given.sort_unstable();
    assert_eq!(given, [0, 1, 63, 64, 65, 700, 2047]);
    assert!(!frame.any_ready());
}

#[test]
fn an_answer_goes_out_with_the_next_wait() {
    domain(1 << 20);
    let (channel, log) = channel(4);
    let event = channel.event();
    log.answers.set(true);
    script(move |buffer| {
        *buffer = packet(5);
        Wake::Message(event)
    });
    script(move |_| {
        let sent = sys::fake::with(|fake| fake.sent.clone());
        assert_eq!(sent.len(), 1, "the answer is out before the wait begins");
        assert_eq!(sent[0].packet.words[0], 5);
        dispatch::unpark(ThreadId::MAIN);
        Wake::Run
    });
    dispatch::park();
}

#[test]
fn an_answer_that_meets_a_full_ring_goes_back() {
    domain(1 << 20);
    let (channel, log) = channel(4);
    let event = channel.event();
    log.answers.set(true);
    log.unpark_at.set(5);
    script(move |buffer| {
        *buffer = packet(5);
        Wake::Message(event)
    });
    sys::fake::with(|fake| fake.refusals.push_back(Some(ErrorKind::Full.into())));
    dispatch::park();
    assert_eq!(*log.unsent.borrow(), [5]);
    sys::fake::with(|fake| fake.writable(event.into()));
    handle_ready();
    assert_eq!(log.writable.get(), 1);
}

#[test]
fn a_capability_lands_and_another_slot_is_offered() {
    domain(1 << 20);
    let (channel, log) = channel(4);
    let frame_cap = Capability { kind: CapType::Frame, rights: Rights::ALL, base: 0x9000_0000, size: 4096 };
    for number in 0..3 {
        sys::fake::with(|fake| fake.deliver(channel.event().into(), packet(number), Some(frame_cap)))
            .unwrap();
        assert_eq!(
            sys::fake::with(|fake| fake.land(channel.event().into(), frame_cap)).unwrap_err().kind,
            ErrorKind::NoLandingSlot
        );
        handle_ready();
    }
    let landed = log.capabilities.borrow().clone();
    assert_eq!(landed.len(), 3);
    for slot in &landed {
        assert_eq!(sys::fake::with(|fake| fake.slots[&slot.0].kind), CapType::Frame);
    }
}

#[test]
fn the_last_packets_come_before_the_end_of_the_peer() {
    domain(1 << 20);
    let (channel, log) = channel(4);
    let event = channel.event();
    deliver(event, 1).unwrap();
    deliver(event, 2).unwrap();
    sys::fake::with(|fake| fake.peer_gone(event.into()));
    dispatch::park();
    assert_eq!((log.numbers.borrow().clone(), log.gone.get()), (alloc::vec![1, 2], 1));
}

#[test]
fn a_closed_channel_gives_back_event_ring_and_slots() {
    domain(1 << 20);
    let first = LmpPort::new(Channel::create(8).unwrap());
    let event = first.channel().event();
    drop(first);
    let free = slots::available();
    for _ in 0..500 {
        let port = LmpPort::new(Channel::create(8).unwrap());
        assert_eq!(port.channel().event(), event);
    }
    assert_eq!(slots::available(), free);
    assert_eq!(sys::fake::with(|fake| fake.count(CapType::EndPoint)), 0);
}

#[test]
fn a_full_frame_is_an_error_and_not_the_end() {
    domain(1 << 20);
    let mut ports = Vec::new();
    let error = loop {
        match Channel::create(8) {
            Ok(channel) => ports.push(LmpPort::new(channel)),
            Err(error) => break error,
        }
    };
    assert_eq!(error, crate::RtError::NoRing);
    let (free, count) = (slots::available(), ports.len());
    assert!(count >= 15);
    assert!(Channel::create(8).is_err());
    assert_eq!(slots::available(), free, "a failed attempt leaves nothing behind");
    ports.pop();
    assert!(Channel::create(8).is_ok());
}

#[test]
fn a_refused_send_says_why() {
    domain(1 << 20);
    let (channel, _log) = channel(4);
    let table = [
        (ErrorKind::Full, 0, SendError::Full),
        (ErrorKind::NoLandingSlot, 2, SendError::NoLandingSlot),
        (ErrorKind::EmptySlot, 2, SendError::BadCapability),
        (ErrorKind::PeerGone, 0, SendError::PeerGone),
        (ErrorKind::EmptySlot, 0, SendError::PeerGone),
    ];
    for (kind, argument, expected) in table {
        sys::fake::with(|fake| fake.refusals.push_back(Some(sys::Error::new(kind, argument))));
        assert_eq!(channel.send(&packet(0), None), Err(expected));
    }
}

#[test]
#[should_panic(expected = "a handler must not wait")]
fn waiting_in_a_task_is_refused() {
    domain(1 << 20);
    executor::spawn(async { dispatch::park() });
    dispatch::park();
}

#[test]
fn tasks_run_while_the_thread_waits_and_only_when_woken() {
    domain(1 << 20);
    let steps = std::rc::Rc::new(RefCell::new(Vec::new()));
    let noted = steps.clone();
    executor::spawn(async move {
        for step in 0..3 {
            time::sleep(Duration::from_millis(10)).await;
            noted.borrow_mut().push(step);
        }
    });
    block_on(time::sleep(Duration::from_millis(25)));
    assert_eq!(*steps.borrow(), [0, 1]);
    assert!(waits() <= 5, "the domain slept from deadline to deadline");
}

#[test]
fn a_task_that_wakes_itself_goes_on_without_an_event() {
    domain(1 << 20);
    let done = std::rc::Rc::new(Cell::new(false));
    let seen = done.clone();
    executor::spawn(async move {
        for _ in 0..5 {
            let mut polled = false;
            core::future::poll_fn(|context| {
                context.waker().wake_by_ref();
                if core::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
        seen.set(true);
        dispatch::unpark(ThreadId::MAIN);
    });
    dispatch::park();
    assert!(done.get());
}

#[test]
fn sleepers_of_one_deadline_all_wake() {
    domain(1 << 20);
    let count = std::rc::Rc::new(Cell::new(0));
    let until = time::now().after(Duration::from_millis(5));
    for _ in 0..4 {
        let count = count.clone();
        executor::spawn(async move {
            time::sleep_until(until).await;
            count.set(count.get() + 1);
        });
    }
    block_on(time::sleep(Duration::from_millis(6)));
    assert_eq!(count.get(), 4);
}

#[test]
fn a_bell_that_rang_before_anybody_waited_is_heard_once() {
    domain(1 << 20);
    let bell = Notify::new().unwrap();
    sys::fake::with(|fake| {
        fake.ring_bell(1);
        fake.ring_bell(1);
    });
    bell.wait_blocking();
    assert!(!bell.take());
}

#[test]
fn a_leaf_puts_everything_else_off_and_keeps_its_order() {
    domain(1 << 20);
    let (other, log) = channel(4);
    let (leaf, answer) = channel(4);
    let (event, own) = (other.event(), leaf.event());
    answer.unpark_at.set(100);
    let landed = Capability { kind: CapType::Frame, rights: Rights::ALL, base: 0x9000_0000, size: 4096 };
    script(move |buffer| {
        sys::fake::with(|fake| fake.land(event.into(), landed)).unwrap();
        *buffer = packet(1);
        buffer.header |= HEADER_CAPABILITY;
        Wake::Message(event)
    });
    script(move |buffer| {
        *buffer = packet(2);
        Wake::Message(event)
    });
    script(move |_| {
        deliver(event, 3).unwrap();
        Wake::Run
    });
    script(move |buffer| {
        *buffer = packet(100);
        Wake::Message(own)
    });
    dispatch::park_leaf(&leaf);
    assert_eq!(*answer.numbers.borrow(), [100]);
    assert!(log.numbers.borrow().is_empty());
    log.unpark_at.set(3);
    dispatch::park();
    assert_eq!(*log.numbers.borrow(), [1, 2, 3]);
    assert_eq!(log.capabilities.borrow().len(), 1);
}

#[test]
fn a_leaf_with_a_full_stash_yields_instead_of_waiting() {
    domain(1 << 20);
    let (other, log) = channel(4);
    let (leaf, answer) = channel(4);
    let (event, own) = (other.event(), leaf.event());
    answer.unpark_at.set(100);
    for number in 0..16 {
        script(move |buffer| {
            *buffer = packet(number);
            Wake::Message(event)
        });
    }
    // `yield_now` of the model fails the test if a packet came directly now.
    script(move |_| {
        deliver(own, 100).unwrap();
        Wake::Run
    });
    dispatch::park_leaf(&leaf);
    log.unpark_at.set(15);
    dispatch::park();
    assert_eq!(*log.numbers.borrow(), (0..16).collect::<Vec<_>>());
}

#[test]
fn a_port_sends_what_it_is_given() {
    domain(1 << 20);
    let (channel, _log) = channel(4);
    let port = LmpPort::new(channel);
    port.send(&packet(9), None).unwrap();
    assert_eq!(sys::fake::with(|fake| fake.sent[0].packet), packet(9));
}

/// Sends like a caller, who gets what comes meanwhile.
fn call(channel: &Arc<Channel>, log: &Log, number: u64) -> Result<(), SendError> {
    dispatch::send_and_park(channel, &packet(number), None, log)
}

#[test]
fn a_caller_gets_its_answer_behind_the_older_packets_of_its_ring() {
    domain(1 << 20);
    let (channel, log) = channel(4);
    let event = channel.event();
    log.unpark_at.set(2);
    script(move |buffer| {
        deliver(event, 1).unwrap();
        *buffer = packet(2);
        Wake::Message(event)
    });
    call(&channel, &log, 9).unwrap();
    assert_eq!(*log.numbers.borrow(), [1, 2]);
    // The ring's event is still ready; nothing comes twice by that.
    handle_ready();
    assert_eq!(*log.numbers.borrow(), [1, 2]);
}

#[test]
fn a_caller_that_is_disturbed_by_another_channel_leaves_it_its_packet() {
    domain(1 << 20);
    let ((own, caller), (other, log)) = (channel(4), channel(4));
    let (event, others) = (own.event(), other.event());
    caller.unpark_at.set(7);
    script(move |buffer| {
        *buffer = packet(6);
        Wake::Message(others)
    });
    script(move |buffer| {
        *buffer = packet(7);
        Wake::Message(event)
    });
    call(&own, &caller, 5).unwrap();
    assert_eq!(*caller.numbers.borrow(), [7]);
    assert_eq!(*log.numbers.borrow(), [6]);
}

#[test]
fn a_caller_gets_the_capability_of_its_answer() {
    domain(1 << 20);
    let (channel, log) = channel(4);
    let event = channel.event();
    log.unpark_at.set(1);
    let landed = Capability { kind: CapType::Frame, rights: Rights::ALL, base: 0x9000_0000, size: 4096 };
    script(move |buffer| {
        sys::fake::with(|fake| fake.land(event.into(), landed)).unwrap();
        *buffer = packet(1);
        buffer.header |= HEADER_CAPABILITY;
        Wake::Message(event)
    });
    call(&channel, &log, 9).unwrap();
    assert_eq!(log.capabilities.borrow().len(), 1);
}

#[test]
fn after_an_answer_the_next_packet_goes_to_the_channel_that_it_came_over() {
    domain(1 << 20);
    let ((first, answering), (second, log)) = (channel(4), channel(4));
    let (event, others) = (first.event(), second.event());
    answering.answers.set(true);
    log.unpark_at.set(4);
    // The second packet comes over the channel that was just answered, the third over another.
    for (to, number) in [(event, 2), (event, 3), (others, 4)] {
        script(move |buffer| {
            *buffer = packet(number);
            Wake::Message(to)
        });
    }
    dispatch::park();
    assert_eq!(*answering.numbers.borrow(), [2, 3]);
    assert_eq!(*log.numbers.borrow(), [4]);
    assert_eq!(sys::fake::with(|fake| fake.sent.len()), 2);
}

/// On packet `at`, waits in a leaf.
struct Leafing {
    at: u64,
    leaf: Arc<Channel>,
    answer: Arc<Log>,
    numbers: RefCell<Vec<u64>>,
    until: Cell<u64>,
}
impl Receiver for Leafing {
    fn on_packet(&self, packet: &mut Packet, _: Option<CapAddr>) -> Outcome {
        let number = packet.words[0];
        self.numbers.borrow_mut().push(number);
        if number == self.at {
            let before = self.answer.numbers.borrow().len();
            while self.answer.numbers.borrow().len() == before {
                dispatch::park_leaf(&self.leaf);
            }
            dispatch::unpark(ThreadId::MAIN);
        }
        if number == self.until.get() {
            dispatch::unpark(ThreadId::MAIN);
        }
        Outcome::None
    }
    fn on_unsent(&self, _: &Packet, _: Option<CapAddr>) {}
    fn on_writable(&self) {}
    fn on_peer_gone(&self) {}
}

#[test]
fn a_leaf_while_put_off_packets_are_delivered_loses_none() {
    domain(1 << 20);
    let (leaf, answer) = channel(4);
    let own = leaf.event();
    answer.unpark_at.set(100);
    let clients: Vec<_> = (0..4).map(|_| Channel::create(4).unwrap()).collect();
    #[expect(clippy::arc_with_non_send_sync)]
    let log = Arc::new(Leafing {
        at: 1,
        leaf: leaf.clone(),
        answer: answer.clone(),
        numbers: RefCell::default(),
        until: Cell::new(99),
    });
    clients.iter().for_each(|client| attach_server(client, log.clone()));
    let direct = |event: u32, number: u64| {
        script(move |buffer| {
            *buffer = packet(number);
            Wake::Message(event)
        })
    };
    direct(clients[0].event(), 1);
    direct(clients[1].event(), 2);
    direct(own, 100);
    // While packet 1 is handled:
    direct(clients[2].event(), 3);
    direct(clients[3].event(), 4);
    direct(own, 100);
    dispatch::park_leaf(&leaf);
    for _ in 0..4 {
        dispatch::unpark(ThreadId::MAIN);
        dispatch::park();
    }
    let mut numbers = log.numbers.borrow().clone();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4]);
}

#[test]
fn a_leaf_in_a_drain_keeps_the_order_of_a_channel() {
    domain(1 << 20);
    let (leaf, answer) = channel(4);
    let own = leaf.event();
    answer.unpark_at.set(100);
    let client = Channel::create(4).unwrap();
    #[expect(clippy::arc_with_non_send_sync)]
    let log = Arc::new(Leafing {
        at: 1,
        leaf: leaf.clone(),
        answer: answer.clone(),
        numbers: RefCell::default(),
        until: Cell::new(99),
    });
    attach_server(&client, log.clone());
    let event = client.event();
    deliver(event, 1).unwrap();
    script(move |buffer| {
        *buffer = packet(2);
        Wake::Message(event)
    });
    script(move |_| {
        // The answer of the memory service made us ready; before we run, the client sends again.
        deliver(own, 100).unwrap();
        deliver(event, 3).unwrap();
        Wake::Run
    });
    dispatch::park();
    for _ in 0..4 {
        dispatch::unpark(ThreadId::MAIN);
        dispatch::park();
    }
    handle_ready();
    assert_eq!(*log.numbers.borrow(), [1, 2, 3]);
}

#[test]
fn closing_a_channel_deletes_what_has_landed() {
    domain(1 << 20);
    let (channel, _log) = channel(4);
    let landed = Capability { kind: CapType::Frame, rights: Rights::ALL, base: 0x9000_0000, size: 4096 };
    let before = slots::available();
    sys::fake::with(|fake| fake.land(channel.event().into(), landed)).unwrap();
    channel.close();
    // The slot is free in the books; what is in it?
    assert!(slots::available() > before);
    for _ in 0..slots::available() {
        let slot = slots::allocate_reserved().unwrap();
        assert!(Cap::<sys::Any>::new(slot).identify().is_err(), "{slot:?} is given out, and not empty");
    }
}
