//! A peer that writes what it wants where it wants.

use std::sync::atomic::Ordering::Relaxed;
use std::vec::Vec;

use abi::packet::{FLAG_EPOCH, HEADER_EPOCH, Header};
use proptest::prelude::*;

use super::{frame, packet};
use crate::{Line, Receiver, SendError, Sender, Side, open};

#[derive(Clone, Debug)]
enum Step {
    /// The peer writes `value` into a word of the frame, or adds it to what is there.
    Write(prop::sample::Index, u64, bool),
    Send,
    SenderLooks,
    SenderWaits,
    Receive,
    ReceiverLooks,
    ReceiverSleeps,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use Step::*;
    let value =
        prop_oneof![any::<u64>(), 0..20u64, (0..20u64).prop_map(u64::wrapping_neg), Just(HEADER_EPOCH)];
    let step = prop_oneof![
        4 => (any::<prop::sample::Index>(), value, any::<bool>()).prop_map(|(word, value, add)| Write(word, value, add)),
        4 => Just(Send),
        1 => Just(SenderLooks),
        1 => Just(SenderWaits),
        4 => Just(Receive),
        1 => Just(ReceiverLooks),
        1 => Just(ReceiverSleeps),
    ];
    proptest::collection::vec(step, 1..400)
}

/// One side, whose peer is no program at all.
struct Alone<'a> {
    frame: &'a [Line],
    sender: Sender<'a>,
    receiver: Receiver<'a>,
    dead: bool,
    /// How often this side was told to wake its peer, and how often it had something to say.
    rings: u64,
    calls: u64,
}

impl Alone<'_> {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Write(word, value, add) => self.write(word.index(self.frame.len() * 8), *value, *add),
            Step::Send => self.send(),
            Step::SenderLooks => self.rings += u64::from(self.sender.must_wake()),
            Step::SenderWaits => {
                let may_sleep = self.sender.wait_for_room();
                assert!(!may_sleep || !self.dead, "waits for the dead");
            }
            Step::Receive => self.receive(),
            Step::ReceiverLooks => self.rings += u64::from(self.receiver.must_wake()),
            Step::ReceiverSleeps => _ = self.receiver.announce_sleep(),
        }
    }

    fn write(&self, word: usize, value: u64, add: bool) {
        let word = &self.frame[word / 8].0[word % 8];
        word.store(if add { word.load(Relaxed).wrapping_add(value) } else { value }, Relaxed);
    }

    fn send(&mut self) {
        self.calls += 1;
        let result = self.sender.send(&packet(7));
        assert!(!self.dead || result == Err(SendError::Misbehaved), "{result:?} from the dead");
        self.dead |= result == Err(SendError::Misbehaved);
    }

    fn receive(&mut self) {
        self.calls += 1;
        if let Some(packet) = self.receiver.receive() {
            assert_eq!(Header(packet.header).flags() & FLAG_EPOCH, 0);
        }
    }
}

proptest! {
    #[test]
    fn no_peer_makes_an_end_panic_or_ring_for_ever(lines in 2..6usize, steps in steps()) {
        let frame = frame(lines);
        let (sender, receiver) = open(&frame, Side::First).unwrap();
        let mut alone = Alone { frame: &frame, sender, receiver, dead: false, rings: 0, calls: 0 };
        steps.iter().for_each(|step| alone.step(step));
        prop_assert!(alone.rings <= alone.calls, "{} rings for {} packets", alone.rings, alone.calls);
    }
}
