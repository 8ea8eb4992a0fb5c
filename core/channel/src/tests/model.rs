//! Random use of both ends beside a naive queue.

use std::collections::VecDeque;
use std::vec::Vec;

use proptest::prelude::*;

use super::{direction, frame, packet};
use crate::{Receiver, SendError, Sender};

#[derive(Clone, Copy, Debug)]
enum Step {
    Send,
    WriterLooks,
    WriterWaits,
    Receive,
    ReaderLooks,
    ReaderSleeps,
}

/// One side: whether it sleeps, and how often it said so and was woken.
#[derive(Default)]
struct Side {
    asleep: bool,
    announced: u64,
    rung: u64,
}

impl Side {
    fn ring(&mut self) {
        self.asleep = false;
        self.rung += 1;
        assert!(self.rung <= self.announced, "a ring for nothing");
    }

    fn lie_down(&mut self, may_sleep: bool) {
        self.announced += 1;
        self.asleep = may_sleep;
    }
}

struct Pair<'a> {
    sender: Sender<'a>,
    receiver: Receiver<'a>,
    capacity: u64,
    queue: VecDeque<u64>,
    sent: u64,
    /// Packets that the writer may know to be taken out.
    published: u64,
    writer: Side,
    reader: Side,
}

impl<'a> Pair<'a> {
    fn new((sender, receiver): (Sender<'a>, Receiver<'a>), capacity: u64) -> Self {
        let (writer, reader) = Default::default();
        Self { sender, receiver, capacity, queue: VecDeque::new(), sent: 0, published: 0, writer, reader }
    }

    fn taken(&self) -> u64 {
        self.sent - self.queue.len() as u64
    }

    /// A side that is asleep and does something has woken for another reason.
    fn step(&mut self, step: Step) {
        match step {
            Step::Send => self.send(),
            Step::WriterLooks => self.writer_looks(),
            Step::WriterWaits => {
                let may_sleep = self.sender.wait_for_room();
                self.writer.lie_down(may_sleep);
                assert!(!may_sleep || self.is_full(), "waits beside free lines");
                assert!(!may_sleep || !self.reader.asleep, "both sleep");
            }
            Step::Receive => self.receive(),
            Step::ReaderLooks => self.reader_looks(),
            Step::ReaderSleeps => {
                let may_sleep = self.receiver.announce_sleep();
                self.published = self.taken();
                self.reader.lie_down(may_sleep);
                assert!(!may_sleep || self.queue.is_empty(), "sleeps beside a packet");
                assert!(!may_sleep || !self.writer.asleep, "both sleep");
            }
        }
    }

    fn is_full(&self) -> bool {
        self.sent - self.published == self.capacity
    }

    fn send(&mut self) {
        self.writer.asleep = false;
        let expected = if self.is_full() { Err(SendError::Full) } else { Ok(()) };
        assert_eq!(self.sender.send(&packet(self.sent)), expected);
        if expected.is_ok() {
            self.queue.push_back(self.sent);
            self.sent += 1;
        }
    }

    fn receive(&mut self) {
        self.reader.asleep = false;
        assert_eq!(self.receiver.receive(), self.queue.pop_front().map(packet));
        if self.taken() - self.published >= (self.capacity / 4).max(1) {
            self.published = self.taken();
        }
    }

    fn writer_looks(&mut self) {
        if self.sender.must_wake() {
            self.reader.ring();
        }
        assert!(!self.reader.asleep || self.queue.is_empty(), "the reader sleeps on");
    }

    fn reader_looks(&mut self) {
        if self.receiver.must_wake() {
            self.writer.ring();
        }
        assert!(!self.writer.asleep || self.is_full(), "the writer sleeps on");
    }

    /// Both sides do as the documentation says until `total` packets have crossed.
    fn finish(&mut self, total: u64) {
        while self.sent < total || !self.queue.is_empty() {
            let before = (self.sent, self.taken(), self.writer.announced, self.reader.announced);
            while !self.writer.asleep && self.sent < total && !self.is_full() {
                self.step(Step::Send);
            }
            if !self.writer.asleep {
                self.step(Step::WriterLooks);
                if self.sent < total {
                    self.step(Step::WriterWaits);
                }
            }
            while !self.reader.asleep && !self.queue.is_empty() {
                self.step(Step::Receive);
            }
            if !self.reader.asleep {
                self.step(Step::ReaderLooks);
                self.step(Step::ReaderSleeps);
            }
            let after = (self.sent, self.taken(), self.writer.announced, self.reader.announced);
            assert_ne!(before, after, "both sleep");
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use Step::*;
    let step = prop_oneof![
        8 => Just(Send),
        8 => Just(Receive),
        1 => Just(WriterLooks),
        1 => Just(WriterWaits),
        1 => Just(ReaderLooks),
        1 => Just(ReaderSleeps),
    ];
    // In runs, so that rings fill and empty.
    let run = (step, 1..20usize).prop_map(|(step, times)| [step].repeat(times));
    proptest::collection::vec(run, 1..100).prop_map(|runs| runs.concat())
}

proptest! {
    #[test]
    fn random_use_agrees_with_a_queue(lines in 2..40usize, steps in steps()) {
        let frame = frame(lines);
        let mut pair = Pair::new(direction(&frame), lines as u64);
        for step in steps {
            pair.step(step);
        }
        let total = pair.sent + 3 * pair.capacity;
        pair.finish(total);
    }
}
