//! The writing end.

use abi::packet::Packet;

use crate::atomic::{self, Ordering};
use crate::cursor::Cursor;
use crate::line::{CONSUMED, Ring, SLEEP};
use crate::sleep::Sleep;

/// Why a packet was not sent. Nothing of it can be seen by the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendError {
    /// The peer has not taken out enough yet: see [`Sender::wait_for_room`].
    Full,
    /// The peer says that it took out what was never sent, or fewer than it said before. The channel is dead: every
    /// later attempt ends like this.
    Misbehaved,
}

/// Writes packets into a ring. Its indices are its own; only lines are shared.
pub struct Sender<'a> {
    ring: Ring<'a>,
    cursor: Cursor,
    /// Packets sent, in all.
    sent: u64,
    /// Of these, what the reader is known to have taken out. `sent - consumed` is never more than the ring holds.
    consumed: u64,
    misbehaved: bool,
    sleep: Sleep<'a>,
}

impl<'a> Sender<'a> {
    pub(crate) fn new(ring: Ring<'a>) -> Self {
        let sleep = Sleep::new(&ring.writer.0[SLEEP], &ring.reader.0[SLEEP]);
        Self { ring, cursor: Cursor::START, sent: 0, consumed: 0, misbehaved: false, sleep }
    }

    /// Publishes a packet; the peer can take it out at once. Never waits, never drops.
    ///
    /// The peer may be asleep: after this packet, or after the last of several, [`Sender::must_wake`] is to be asked.
    #[inline]
    pub fn send(&mut self, packet: &Packet) -> Result<(), SendError> {
        self.sleep.awake();
        if self.is_full() {
            self.learn_room()?;
        }
        let line = self.cursor.line(&self.ring);
        for (word, value) in line.0[1..].iter().zip(packet.words) {
            atomic::write_payload(word, value);
        }
        // Whoever sees the header sees the words.
        line.0[0].store(self.cursor.mark(packet.header), Ordering::Release);
        self.cursor.advance(&self.ring);
        self.sent += 1;
        self.sleep.published();
        Ok(())
    }

    /// Whether the reader sleeps and its doorbell has to be rung, because of what was sent since this was last asked.
    /// True once for each of its sleeps.
    #[inline]
    #[must_use = "a peer that nobody wakes sleeps on"]
    pub fn must_wake(&mut self) -> bool {
        self.sleep.must_wake()
    }

    /// Asks the reader to ring when it has made room: true if the caller may sleep until then.
    ///
    /// False if there is something to do first: ask [`Sender::must_wake`], and send again. A dead channel is never
    /// worth waiting for either; sending says so. After any wake-up send, or call this again.
    #[must_use = "only if it is true will the reader ring"]
    pub fn wait_for_room(&mut self) -> bool {
        self.sleep.announce();
        let full = self.is_full() && self.learn_room() == Err(SendError::Full);
        self.sleep.decide(full)
    }

    #[inline(always)]
    fn is_full(&self) -> bool {
        self.sent - self.consumed == self.ring.capacity()
    }

    /// Looks how far the reader is, when the ring is full as far as is known.
    #[cold]
    fn learn_room(&mut self) -> Result<(), SendError> {
        // What the reader read from the lines, it read before this: they may be overwritten.
        let consumed = self.ring.reader.0[CONSUMED].load(Ordering::Acquire);
        // Never fewer than before, never more than were sent; wrapping, because it is the peer's number.
        let newly = consumed.wrapping_sub(self.consumed);
        self.misbehaved |= newly > self.sent - self.consumed;
        match (self.misbehaved, newly) {
            (true, _) => Err(SendError::Misbehaved),
            (false, 0) => Err(SendError::Full),
            (false, _) => {
                self.consumed = consumed;
                Ok(())
            }
        }
    }
}
