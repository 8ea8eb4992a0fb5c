//! A peer writes what the bytes say into the shared frame while our side sends, receives and sleeps: nothing panics, a
//! dead channel stays dead, no packet shows the ring's own flag, and we ring no oftener than we had something to tell.
#![no_main]

use abi::packet::{HEADER_EPOCH, Packet};
use channel::{Line, Receiver, SendError, Sender, Side, open};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use std::sync::atomic::Ordering::Relaxed;

/// Two rings of three lines: a few packets go round.
const LINES: usize = 10;

fuzz_target!(|bytes: &[u8]| {
    let frame: [Line; LINES] = Default::default();
    let (sender, receiver) = open(&frame, Side::First).expect("ten lines are two rings");
    let mut ours = Ours { sender, receiver, dead: false, packets: 0, rings: 0 };
    let mut input = Unstructured::new(bytes);
    while !input.is_empty() && step(&frame, &mut ours, &mut input).is_ok() {}
    assert!(ours.rings <= ours.packets, "{} rings for {} packets", ours.rings, ours.packets);
});

struct Ours<'a> {
    sender: Sender<'a>,
    receiver: Receiver<'a>,
    dead: bool,
    packets: u64,
    rings: u64,
}

fn step(frame: &[Line], ours: &mut Ours, input: &mut Unstructured) -> Result<()> {
    match input.int_in_range(0..=8)? {
        0..=2 => write(frame, input)?,
        3 => ours.send(input.arbitrary()?),
        4 => ours.receive(),
        5 => ours.rings += u64::from(ours.sender.must_wake()),
        6 => ours.rings += u64::from(ours.receiver.must_wake()),
        7 => assert!(!ours.sender.wait_for_room() || !ours.dead, "waits for the dead"),
        _ => _ = ours.receiver.announce_sleep(),
    }
    Ok(())
}

/// The peer writes a word: any value, or one near what is there.
fn write(frame: &[Line], input: &mut Unstructured) -> Result<()> {
    let word = &frame[input.choose_index(LINES)?].0[input.choose_index(8)?];
    let value = match input.int_in_range(0..=2)? {
        0 => input.arbitrary()?,
        1 => word.load(Relaxed) ^ HEADER_EPOCH,
        _ => word.load(Relaxed).wrapping_add_signed(input.arbitrary::<i8>()?.into()),
    };
    word.store(value, Relaxed);
    Ok(())
}

impl Ours<'_> {
    fn send(&mut self, header: u64) {
        self.packets += 1;
        let result = self.sender.send(&Packet { header, words: [header; 7] });
        assert!(!self.dead || result == Err(SendError::Misbehaved), "{result:?} from the dead");
        self.dead |= result == Err(SendError::Misbehaved);
    }

    fn receive(&mut self) {
        if let Some(packet) = self.receiver.receive() {
            self.packets += 1;
            assert_eq!(packet.header & HEADER_EPOCH, 0);
        }
    }
}
