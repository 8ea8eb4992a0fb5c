//! Where a side stands in its ring.

use abi::packet::HEADER_EPOCH;

use crate::line::{Line, Ring};

/// A line, and the epoch in which the side comes to it. Private to the side, so the line exists whatever the peer does.
pub(crate) struct Cursor {
    index: usize,
    /// [`HEADER_EPOCH`] in the first round, since fresh memory is 0 and holds nothing; 0 in the second, and so on.
    epoch: u64,
}

impl Cursor {
    pub(crate) const START: Cursor = Cursor { index: 0, epoch: HEADER_EPOCH };

    #[inline(always)]
    pub(crate) fn line<'a>(&self, ring: &Ring<'a>) -> &'a Line {
        &ring.lines[self.index]
    }

    /// The header as it is published in this round.
    #[inline(always)]
    pub(crate) fn mark(&self, header: u64) -> u64 {
        header & !HEADER_EPOCH | self.epoch
    }

    /// The header without its mark, if it is of this round. The line of a round ago has the other epoch.
    #[inline(always)]
    pub(crate) fn unmark(&self, header: u64) -> Option<u64> {
        (header & HEADER_EPOCH == self.epoch).then_some(header & !HEADER_EPOCH)
    }

    #[inline(always)]
    pub(crate) fn advance(&mut self, ring: &Ring<'_>) {
        self.index += 1;
        if self.index == ring.lines.len() {
            self.index = 0;
            self.epoch ^= HEADER_EPOCH;
        }
    }
}
