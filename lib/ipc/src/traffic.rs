//! What goes over a channel, counted at the server's end.

use core::cell::Cell;

/// What has gone over a channel so far, as its server's end knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Requests that came, and the bytes in them.
    pub received: Amount,
    /// Answers that went out or wait to, and the bytes in them.
    pub sent: Amount,
    /// Requests that are being served: by a task, or by a reply that is kept.
    pub in_flight: u32,
}

/// Messages, whatever their length.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Amount {
    /// How many.
    pub messages: u64,
    /// Bytes of their encoded arguments or results.
    pub bytes: u64,
}

/// Counts messages one way. Both numbers lie together: a message costs a load, two additions and a store.
#[derive(Default)]
pub(crate) struct Counter(Cell<Amount>);

impl Counter {
    #[inline(always)]
    pub(crate) fn add(&self, bytes: usize) {
        let Amount { messages, bytes: before } = self.0.get();
        self.0.set(Amount { messages: messages.wrapping_add(1), bytes: before.wrapping_add(bytes as u64) });
    }

    pub(crate) fn get(&self) -> Amount {
        self.0.get()
    }
}
