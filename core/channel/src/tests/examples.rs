use std::sync::atomic::Ordering;
use std::vec::Vec;

use abi::packet::HEADER_EPOCH;

use super::{direction, frame, packet};
use crate::{LINE_SIZE, Layout, MAX_LINES, SendError, Side, TooSmall, open};

#[test]
fn a_page_holds_thirty_packets_each_way() {
    let page = Layout::of_frame(4096).unwrap();
    assert_eq!((page.ring_lines(), page.used_bytes()), (30, 4096));
    let large = Layout::of_frame(2 << 20).unwrap();
    assert_eq!((large.ring_lines(), large.used_bytes()), (MAX_LINES, 2 * (2 + MAX_LINES) * 64));
    assert_eq!(Layout::of_frame(8 * LINE_SIZE).unwrap().ring_lines(), 2);
    for bytes in [0, 1, 64, 8 * LINE_SIZE - 1] {
        assert_eq!(Layout::of_frame(bytes), Err(TooSmall));
    }
    assert!(open(&frame(2)[..7], Side::First).is_err());
}

#[test]
fn both_directions_of_a_frame_carry_packets() {
    let frame = frame(4);
    let (mut to_second, mut from_second) = open(&frame, Side::First).unwrap();
    let (mut to_first, mut from_first) = open(&frame, Side::Second).unwrap();
    for number in 0..100 {
        to_second.send(&packet(number)).unwrap();
        to_first.send(&packet(number + 1000)).unwrap();
        assert_eq!(from_first.receive(), Some(packet(number)));
        assert_eq!(from_second.receive(), Some(packet(number + 1000)));
    }
    assert_eq!((from_first.receive(), from_second.receive()), (None, None));
}

#[test]
fn a_full_ring_refuses_and_goes_on_when_a_quarter_was_taken() {
    let frame = frame(8);
    let (mut sender, mut receiver) = direction(&frame);
    for number in 0..8 {
        sender.send(&packet(number)).unwrap();
    }
    assert_eq!(sender.send(&packet(8)), Err(SendError::Full));
    assert_eq!(receiver.receive(), Some(packet(0)));
    assert_eq!(sender.send(&packet(8)), Err(SendError::Full));
    assert_eq!(receiver.receive(), Some(packet(1)));
    sender.send(&packet(8)).unwrap();
    for number in 2..9 {
        assert_eq!(receiver.receive(), Some(packet(number)));
    }
    assert_eq!(receiver.receive(), None);
}

#[test]
fn a_user_cannot_set_the_epoch_nor_see_it() {
    let frame = frame(2);
    let (mut sender, mut receiver) = direction(&frame);
    for number in 0..6 {
        let mut marked = packet(number);
        marked.header |= HEADER_EPOCH;
        sender.send(&marked).unwrap();
        assert_eq!(receiver.receive(), Some(packet(number)));
        assert_eq!(receiver.receive(), None);
    }
}

#[test]
fn a_sleeping_reader_is_woken_once() {
    let frame = frame(4);
    let (mut sender, mut receiver) = direction(&frame);
    sender.send(&packet(0)).unwrap();
    assert!(!sender.must_wake());
    assert!(!receiver.announce_sleep(), "there is a packet");
    assert_eq!(receiver.receive(), Some(packet(0)));
    assert!(receiver.announce_sleep());
    sender.send(&packet(1)).unwrap();
    sender.send(&packet(2)).unwrap();
    assert!(sender.must_wake());
    sender.send(&packet(3)).unwrap();
    assert!(!sender.must_wake());
    while receiver.receive().is_some() {}
    sender.send(&packet(4)).unwrap();
    assert!(!sender.must_wake(), "it is awake");
}

#[test]
fn nobody_rings_for_a_side_that_woke_by_itself() {
    let frame = frame(2);
    let (mut sender, mut receiver) = direction(&frame);
    assert!(receiver.announce_sleep());
    assert_eq!(receiver.receive(), None);
    sender.send(&packet(0)).unwrap();
    assert!(!sender.must_wake());
    sender.send(&packet(1)).unwrap();
    assert!(sender.wait_for_room());
    assert_eq!(sender.send(&packet(2)), Err(SendError::Full));
    receiver.receive().unwrap();
    assert!(!receiver.must_wake());
}

#[test]
fn a_reader_that_wakes_for_another_reason_and_sleeps_again_is_woken() {
    let frame = frame(4);
    let (mut sender, mut receiver) = direction(&frame);
    for number in 0..3 {
        assert!(receiver.announce_sleep());
        assert!(receiver.announce_sleep());
        sender.send(&packet(number)).unwrap();
        assert!(sender.must_wake());
        assert_eq!(receiver.receive(), Some(packet(number)));
    }
}

#[test]
fn a_writer_that_waits_is_woken_once_there_is_room() {
    let frame = frame(8);
    let (mut sender, mut receiver) = direction(&frame);
    assert!(!sender.wait_for_room(), "there is room");
    while sender.send(&packet(0)).is_ok() {}
    assert!(sender.wait_for_room());
    receiver.receive().unwrap();
    assert!(!receiver.must_wake(), "not for one packet");
    receiver.receive().unwrap();
    assert!(receiver.must_wake());
    receiver.receive().unwrap();
    receiver.receive().unwrap();
    assert!(!receiver.must_wake());
    sender.send(&packet(0)).unwrap();
}

#[test]
fn nobody_sleeps_before_the_peer_was_woken() {
    let frame = frame(2);
    let (mut sender, mut receiver) = direction(&frame);
    assert!(receiver.announce_sleep());
    while sender.send(&packet(0)).is_ok() {}
    assert!(!sender.wait_for_room());
    assert!(sender.must_wake());
    assert!(sender.wait_for_room());

    while receiver.receive().is_some() {}
    assert!(!receiver.announce_sleep());
    assert!(receiver.must_wake());
    assert!(receiver.announce_sleep());
}

#[test]
fn going_to_sleep_tells_the_writer_of_all_room() {
    let frame = frame(16);
    let (mut sender, mut receiver) = direction(&frame);
    while sender.send(&packet(0)).is_ok() {}
    receiver.receive().unwrap();
    assert_eq!(sender.send(&packet(1)), Err(SendError::Full));
    assert!(!receiver.announce_sleep());
    sender.send(&packet(1)).unwrap();
}

#[test]
fn an_impossible_count_kills_the_channel_for_good() {
    // After four packets, of which two are known to be taken.
    for count in [1, 0, 5, 6, u64::MAX, 1 << 63] {
        let frame = frame(2);
        let (mut sender, mut receiver) = direction(&frame);
        let mut pass = |sender: &mut crate::Sender<'_>| {
            sender.send(&packet(0)).unwrap();
            receiver.receive().unwrap();
        };
        (0..3).for_each(|_| pass(&mut sender));
        sender.send(&packet(3)).unwrap();
        let consumed = &frame[0].0[0];
        let honest = consumed.swap(count, Ordering::Relaxed);
        assert_eq!(sender.send(&packet(4)), Err(SendError::Misbehaved), "{count}");
        consumed.store(honest, Ordering::Relaxed);
        assert_eq!(sender.send(&packet(4)), Err(SendError::Misbehaved), "{count}");
        assert!(!sender.wait_for_room());
    }
}

#[test]
fn sending_and_receiving_write_no_control_line() {
    let frame = frame(64);
    let (mut sender, mut receiver) = direction(&frame);
    let control = || -> Vec<u64> {
        frame[..2].iter().flat_map(|line| &line.0).map(|word| word.load(Ordering::Relaxed)).collect()
    };
    for number in 0..15 {
        sender.send(&packet(number)).unwrap();
        assert!(!sender.must_wake());
        receiver.receive().unwrap();
        assert!(!receiver.must_wake());
        assert_eq!(control(), [0; 16]);
    }
}
