//! The shipped ring in every interleaving of two threads, and every value that the memory model of C++11 allows a load
//! to see (`loom`). Rings are the smallest, two lines, so that a few packets go round and fill them.
//!
//! Each ordering and each fence is needed: the tests named `without_...` take it away and find the data race, or the
//! sleep from which nobody wakes.
//!
//! | taken away | found as |
//! |---|---|
//! | Release of a header | race of the packet's words |
//! | Acquire of a header | race of the packet's words |
//! | Release of the consumed count | race of the words of a line that is written again |
//! | Acquire of the consumed count | the same |
//! | fence after a packet | reader that sleeps on |
//! | fence after the reader says that it sleeps | reader that sleeps on |
//! | fence after a consumed count | writer that sleeps on |
//! | fence after the writer says that it waits | writer that sleeps on |
//!
//! The tests fail, too, when a fence is only AcqRel, when a side looks before it says that it sleeps, when a header goes
//! before its words, and when announcements all have the same number (tried by hand).
//!
//! loom treats sequentially consistent *accesses* as weaker than they are, but models fences, and those are all that the
//! ring has.

#![allow(dead_code, unreachable_pub, reason = "the modules are the crate's, seen from inside")]

mod atomic;
#[path = "../../src/cursor.rs"]
mod cursor;
#[path = "../../src/line.rs"]
mod line;
#[path = "../../src/receiver.rs"]
mod receiver;
#[path = "../../src/sender.rs"]
mod sender;
#[path = "../../src/sleep.rs"]
mod sleep;

use abi::packet::Packet;
use line::{CONSUMED, Line, Ring};
use loom::sync::Notify;
use loom::thread;
use receiver::Receiver;
use sender::{SendError, Sender};
use std::sync::Arc;

/// What a test takes away.
#[derive(Clone, Copy, PartialEq)]
enum Missing {
    Nothing,
    HeaderRelease,
    HeaderAcquire,
    CountRelease,
    CountAcquire,
    WriterFences,
    ReaderFences,
}

/// One direction of a channel, and the doorbells of its ends: they remember one ring, as notifications do.
struct World {
    lines: Vec<Line>,
    readers_bell: Notify,
    writers_bell: Notify,
    missing: Missing,
}

impl World {
    fn new(missing: Missing) -> Arc<Self> {
        atomic::set_up();
        let mut lines: Vec<Line> = (0..4).map(|_| Line::default()).collect();
        let count = &mut lines[0].0[CONSUMED];
        count.weak_stores = missing == Missing::CountRelease;
        count.weak_loads = missing == Missing::CountAcquire;
        for line in &mut lines[2..] {
            line.0[0].weak_stores = missing == Missing::HeaderRelease;
            line.0[0].weak_loads = missing == Missing::HeaderAcquire;
        }
        Arc::new(Self { lines, readers_bell: Notify::new(), writers_bell: Notify::new(), missing })
    }

    /// Makes this thread the writer.
    fn sender(&self) -> Sender<'_> {
        if self.missing == Missing::WriterFences {
            atomic::drop_fences();
        }
        Sender::new(Ring::new(&self.lines))
    }

    /// Makes this thread the reader.
    fn receiver(&self) -> Receiver<'_> {
        if self.missing == Missing::ReaderFences {
            atomic::drop_fences();
        }
        Receiver::new(Ring::new(&self.lines))
    }
}

fn spawn<T: 'static>(world: &Arc<World>, body: fn(&World) -> T) -> thread::JoinHandle<T> {
    let world = world.clone();
    thread::spawn(move || body(&world))
}

fn packet(number: u64) -> Packet {
    Packet { header: number, words: [number; 7] }
}

/// The number of a packet that is whole.
fn number(packet: Packet) -> u64 {
    assert_eq!(packet.words, [packet.header; 7]);
    packet.header
}

/// Sends as a user does, waiting for room.
fn send(world: &World, sender: &mut Sender<'_>, packet: &Packet) {
    while sender.send(packet) == Err(SendError::Full) {
        if sender.must_wake() {
            world.readers_bell.notify();
        }
        if sender.wait_for_room() {
            world.writers_bell.wait();
        }
    }
}

/// Receives as a user does, sleeping while there is nothing.
fn receive(world: &World, receiver: &mut Receiver<'_>) -> u64 {
    loop {
        if let Some(packet) = receiver.receive() {
            return number(packet);
        }
        if receiver.must_wake() {
            world.writers_bell.notify();
        }
        if receiver.announce_sleep() {
            world.readers_bell.wait();
        }
    }
}

/// Runs a body in which threads sleep. There are too many ways to look at all of them: those come first in which threads
/// are seldom interrupted, other than by their own sleep.
fn in_most_ways(body: impl Fn() + Sync + Send + 'static) {
    let mut checker = loom::model::Builder::new();
    let long = std::env::var_os("BARRELDISH_LONG").is_some();
    checker.preemption_bound = Some(if long { 4 } else { 3 });
    checker.check(body);
}

/// The writer tries to send four packets, the reader to take out four, nobody waits. What was sent comes out, in order,
/// once.
fn try_to_pass_four(missing: Missing) {
    loom::model(move || {
        let world = World::new(missing);
        let writer = spawn(&world, |world| {
            let mut sender = world.sender();
            (1..=4).filter(|it| sender.send(&packet(*it)).is_ok()).collect::<Vec<_>>()
        });
        let mut receiver = world.receiver();
        let mut received: Vec<_> = (0..4).filter_map(|_| receiver.receive()).map(number).collect();
        let sent = writer.join().unwrap();
        received.extend(std::iter::from_fn(|| receiver.receive()).map(number));
        assert_eq!(received, sent);
        assert!(sent.len() >= 2);
    });
}

/// The ring never fills; the reader sleeps whenever there is nothing.
fn reader_sleeps(missing: Missing) {
    in_most_ways(move || {
        let world = World::new(missing);
        let writer = spawn(&world, |world| {
            let mut sender = world.sender();
            for it in 1..=2 {
                sender.send(&packet(it)).unwrap();
                if sender.must_wake() {
                    world.readers_bell.notify();
                }
            }
        });
        let mut receiver = world.receiver();
        assert_eq!([1, 2].map(|_| receive(&world, &mut receiver)), [1, 2]);
        writer.join().unwrap();
    });
}

/// The reader never sleeps; the writer begins with a full ring and waits for room.
fn writer_waits(missing: Missing) {
    in_most_ways(move || {
        let world = World::new(missing);
        let mut sender = world.sender();
        (1..=2).for_each(|it| sender.send(&packet(it)).unwrap());
        let reader = spawn(&world, |world| {
            let mut receiver = world.receiver();
            for it in 1..=2 {
                assert_eq!(receiver.receive().map(number), Some(it));
                if receiver.must_wake() {
                    world.writers_bell.notify();
                }
            }
        });
        (3..=4).for_each(|it| send(&world, &mut sender, &packet(it)));
        reader.join().unwrap();
    });
}

#[test]
fn packets_cross_in_order_and_once_while_the_ring_fills_empties_and_wraps() {
    try_to_pass_four(Missing::Nothing);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn without_release_of_headers_packets_tear() {
    try_to_pass_four(Missing::HeaderRelease);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn without_acquire_of_headers_packets_tear() {
    try_to_pass_four(Missing::HeaderAcquire);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn without_release_of_counts_packets_are_overwritten() {
    try_to_pass_four(Missing::CountRelease);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn without_acquire_of_counts_packets_are_overwritten() {
    try_to_pass_four(Missing::CountAcquire);
}

#[test]
fn a_reader_that_sleeps_is_woken() {
    reader_sleeps(Missing::Nothing);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_writers_fence_the_reader_sleeps_on() {
    reader_sleeps(Missing::WriterFences);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_readers_fence_the_reader_sleeps_on() {
    reader_sleeps(Missing::ReaderFences);
}

#[test]
fn a_writer_that_waits_for_room_is_woken() {
    writer_waits(Missing::Nothing);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_readers_fence_the_writer_waits_on() {
    writer_waits(Missing::ReaderFences);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_writers_fence_the_writer_waits_on() {
    writer_waits(Missing::WriterFences);
}

#[test]
fn both_ends_sleep_and_everything_arrives() {
    in_most_ways(|| {
        let world = World::new(Missing::Nothing);
        let writer = spawn(&world, |world| {
            let mut sender = world.sender();
            (1..=3).for_each(|it| send(world, &mut sender, &packet(it)));
            if sender.must_wake() {
                world.readers_bell.notify();
            }
        });
        let mut receiver = world.receiver();
        assert_eq!([1, 2, 3].map(|_| receive(&world, &mut receiver)), [1, 2, 3]);
        if receiver.must_wake() {
            world.writers_bell.notify();
        }
        writer.join().unwrap();
    });
}
