//! Lines, and how a shared frame is divided into them.

use crate::atomic::AtomicU64;
use crate::{Receiver, Sender};

/// Bytes of a line: the unit in which cores pass memory to each other.
pub const LINE_SIZE: usize = 64;
/// Fewest lines of a ring.
pub const MIN_LINES: usize = 2;
/// Most lines of a ring: what a frame has beyond that stays unused.
pub const MAX_LINES: usize = 4096;

/// Control lines of a ring: the reader's, and the writer's.
const CONTROL_LINES: usize = 2;

/// In the reader's control line: how many packets it has taken out, in all.
pub(crate) const CONSUMED: usize = 0;
/// In both control lines: the number of the sleep that its side has announced, 0 while it is awake.
pub(crate) const SLEEP: usize = 1;

/// A line of shared memory, all zero at first: a packet whose header is word 0, or a side's control line.
///
/// The peer may write any word at any time (K6), so everything here is atomic and nothing is believed.
#[derive(Default)]
#[repr(C, align(64))]
pub struct Line(pub [AtomicU64; 8]);

/// Which of the two domains one is: whoever makes the channel hands out the roles.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Writes the first ring of the frame and reads the second.
    First,
    /// Reads the first ring of the frame and writes the second.
    Second,
}

/// The frame has no room for two rings of [`MIN_LINES`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooSmall;

/// How a frame is divided:
///
/// ```text
///   First writes, Second reads                  Second writes, First reads            unused
/// ┌──────────┬──────────┬─────────────────────┬──────────┬──────────┬───────────────┬─ ─ ─ ─ ┐
/// │ reader's │ writer's │ lines 0 1 2 ...     │ reader's │ writer's │ lines 0 1 ... │
/// └──────────┴──────────┴─────────────────────┴──────────┴──────────┴───────────────┴─ ─ ─ ─ ┘
///   Second      First        First               First      Second      Second            who writes the line
/// ```
///
/// No line is written by both sides, so none goes to and fro between two writers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    ring_lines: usize,
}

impl Layout {
    /// The layout of a frame of `bytes`: both rings get the same number of lines, as many as there is room for.
    pub const fn of_frame(bytes: usize) -> Result<Self, TooSmall> {
        let lines = (bytes / LINE_SIZE / 2).saturating_sub(CONTROL_LINES);
        match lines {
            0..MIN_LINES => Err(TooSmall),
            MIN_LINES..=MAX_LINES => Ok(Self { ring_lines: lines }),
            _ => Ok(Self { ring_lines: MAX_LINES }),
        }
    }

    /// Packets that each direction holds.
    pub const fn ring_lines(self) -> usize {
        self.ring_lines
    }

    /// Bytes of the frame that are used, counted from its begin.
    pub const fn used_bytes(self) -> usize {
        2 * self.direction_lines() * LINE_SIZE
    }

    const fn direction_lines(self) -> usize {
        CONTROL_LINES + self.ring_lines
    }
}

/// One side's ends of the channel that lies in `frame`.
///
/// The frame was all zero when the first side opened it, and each side opens it once: indices are private, so an end
/// cannot go on where another left off.
pub fn open(frame: &[Line], side: Side) -> Result<(Sender<'_>, Receiver<'_>), TooSmall> {
    let lines = Layout::of_frame(frame.len() * LINE_SIZE)?.direction_lines();
    let (first, rest) = frame.split_at(lines);
    let (first, second) = (Ring::new(first), Ring::new(&rest[..lines]));
    Ok(match side {
        Side::First => (Sender::new(first), Receiver::new(second)),
        Side::Second => (Sender::new(second), Receiver::new(first)),
    })
}

/// One direction of a channel.
#[derive(Clone, Copy)]
pub(crate) struct Ring<'a> {
    /// Written by the reader alone.
    pub(crate) reader: &'a Line,
    /// Written by the writer alone.
    pub(crate) writer: &'a Line,
    /// One packet each; written by the writer alone.
    pub(crate) lines: &'a [Line],
}

impl<'a> Ring<'a> {
    /// Two control lines and at least [`MIN_LINES`] more.
    pub(crate) fn new(direction: &'a [Line]) -> Self {
        let (control, lines) = direction.split_at(CONTROL_LINES);
        Self { reader: &control[0], writer: &control[1], lines }
    }

    /// Packets that it holds.
    pub(crate) fn capacity(&self) -> u64 {
        self.lines.len() as u64
    }
}
