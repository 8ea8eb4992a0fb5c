//! The reading end.

use abi::packet::Packet;

use crate::atomic::{self, Ordering};
use crate::cursor::Cursor;
use crate::line::{CONSUMED, Ring, SLEEP};
use crate::sleep::Sleep;

/// The reader tells the writer of room in portions of this share of the ring.
const SHARE: u64 = 4;

/// Takes packets out of a ring. Its indices are its own; only lines are shared.
pub struct Receiver<'a> {
    ring: Ring<'a>,
    cursor: Cursor,
    /// Packets taken out, in all.
    taken: u64,
    /// Of these, what the writer has been told.
    published: u64,
    sleep: Sleep<'a>,
}

impl<'a> Receiver<'a> {
    pub(crate) fn new(ring: Ring<'a>) -> Self {
        let sleep = Sleep::new(&ring.reader.0[SLEEP], &ring.writer.0[SLEEP]);
        Self { ring, cursor: Cursor::START, taken: 0, published: 0, sleep }
    }

    /// Takes the next packet out, if there is one.
    ///
    /// It is a copy that the peer cannot change any more, and whatever it holds is the peer's word: length, kind and
    /// flags are to be validated, and no bit of it says anything about capabilities.
    ///
    /// The writer may be waiting for room: after this packet, or after the last of several, [`Receiver::must_wake`] is
    /// to be asked.
    #[inline]
    pub fn receive(&mut self) -> Option<Packet> {
        self.sleep.awake();
        let line = self.cursor.line(&self.ring);
        let header = self.cursor.unmark(line.0[0].load(Ordering::Acquire))?;
        let words = core::array::from_fn(|index| atomic::read_payload(&line.0[index + 1]));
        self.cursor.advance(&self.ring);
        self.taken += 1;
        if self.taken - self.published >= (self.ring.capacity() / SHARE).max(1) {
            self.publish();
        }
        Some(Packet { header, words })
    }

    /// Whether the writer waits for room and its doorbell has to be rung, because of what was taken out since this was
    /// last asked. True once for each of its waits.
    #[inline]
    #[must_use = "a peer that nobody wakes sleeps on"]
    pub fn must_wake(&mut self) -> bool {
        self.sleep.must_wake()
    }

    /// Asks the writer to ring when it has sent something: true if the caller may sleep until then.
    ///
    /// False if there is something to do first: ask [`Receiver::must_wake`], and receive. After any wake-up receive, or
    /// call this again. The writer is told of all room, so a reader that has no use for packets now can call this too.
    #[must_use = "only if it is true will the writer ring"]
    pub fn announce_sleep(&mut self) -> bool {
        self.publish();
        self.sleep.announce();
        let header = self.cursor.line(&self.ring).0[0].load(Ordering::Acquire);
        let empty = self.cursor.unmark(header).is_none();
        self.sleep.decide(empty)
    }

    /// Tells the writer what it may overwrite.
    fn publish(&mut self) {
        if self.taken != self.published {
            self.published = self.taken;
            // Whoever sees the count comes after the reads of what it counts.
            self.ring.reader.0[CONSUMED].store(self.taken, Ordering::Release);
            self.sleep.published();
        }
    }
}
