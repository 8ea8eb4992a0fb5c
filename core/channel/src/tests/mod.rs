//! What users rely on, one test a promise; beside a naive queue; against a peer that writes garbage.

use std::vec::Vec;

use abi::packet::{Header, Packet};

use crate::{LINE_SIZE, Layout, Line, Receiver, Sender, Side, open};

mod examples;
mod garbage;
mod model;

/// A frame whose rings hold `lines` packets each.
fn frame(lines: usize) -> Vec<Line> {
    let mut frame = Vec::new();
    frame.resize_with(2 * (2 + lines), Line::default);
    assert_eq!(Layout::of_frame(frame.len() * LINE_SIZE).unwrap().ring_lines(), lines);
    frame
}

/// Both ends of one direction.
fn direction(frame: &[Line]) -> (Sender<'_>, Receiver<'_>) {
    (open(frame, Side::First).unwrap().0, open(frame, Side::Second).unwrap().1)
}

/// A packet unlike that of any other number.
fn packet(number: u64) -> Packet {
    let words = core::array::from_fn(|index| number << 8 | index as u64);
    Packet { header: Header::new(1, 2, 56, 3, number as u32).0, words }
}
