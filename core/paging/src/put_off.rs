//! Packets that came while a leaf waited for something else.

use crate::{Domain, section};

/// Packets that are put off at most; when so many are, a leaf yields instead of waiting, and packets go to their rings.
pub const MOST_PUT_OFF: usize = 16;

/// Packets that were put off, oldest first.
#[derive(Debug)]
pub struct PutOff<T> {
    items: [Option<T>; MOST_PUT_OFF],
    count: usize,
}

impl<T> Default for PutOff<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> PutOff<T> {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        PutOff { items: [const { None }; MOST_PUT_OFF], count: 0 }
    }

    /// Whether there are as many as there can be.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.count == MOST_PUT_OFF
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Puts one more off.
    ///
    /// # Panics
    /// If it is full.
    pub fn push(&mut self, item: T) {
        self.items[self.count] = Some(item);
        self.count += 1;
    }

    /// Whether there is one of a kind.
    pub fn any(&self, is_so: impl FnMut(&T) -> bool) -> bool {
        self.items.iter().flatten().any(is_so)
    }

    /// Takes the oldest of a kind out; the others stay in order.
    pub fn take_first(&mut self, mut is_so: impl FnMut(&T) -> bool) -> Option<T> {
        let items = &mut self.items[..self.count];
        let index = items.iter().position(|item| item.as_ref().is_some_and(&mut is_so))?;
        items[index..].rotate_left(1);
        self.count -= 1;
        self.items[self.count].take()
    }
}

/// Delivers packets for clients that were put off, where the main thread may not come to it soon. Those for servers stay.
///
/// Each is taken and delivered in one critical section, since any thread may do it, and the order counts. Delivering one may
/// put off more, which come behind.
pub fn deliver_for_clients<D: Domain>() {
    if !D::others_exist() || D::put_off(|queue| queue.is_empty()) {
        return;
    }
    section::<D, _>(deliver_clients::<D>);
}

fn deliver_clients<D: Domain>() {
    while let Some(packet) = D::put_off(|queue| queue.take_first(|packet| !D::is_for_main(packet))) {
        D::deliver(packet);
    }
}

/// Delivers all packets that were put off, on the main thread. They are older than what is in the rings.
pub fn deliver_put_off<D: Domain>() {
    loop {
        section::<D, _>(deliver_clients::<D>);
        // Only the main thread takes these, so their order is safe outside of sections, where handlers run.
        let Some(packet) = D::put_off(|queue| queue.take_first(D::is_for_main)) else { return };
        D::deliver(packet);
    }
}
