//! One side of a route, and the table of them.

use core::fmt;

use crate::{Along, Carried, CoreId, Kernel, Line, RecordId};

/// Which side of a route this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    /// The endpoint that was offered is here: `peer` from the beginning.
    Near,
    /// Here is what stands for it: `peer` is who connected that, once it was seen.
    Far,
}

/// What the capability of a packet that waits is waiting for.
#[derive(Debug)]
pub(crate) enum Pending<C> {
    /// Nothing.
    Settled(Along),
    /// The end of its transfer.
    UnderWay,
    /// That an offer or a transfer can be begun.
    Unsorted(C),
}

/// A packet that was taken out of the proxy's ring and cannot go on yet.
#[derive(Debug)]
pub(crate) struct Held<C> {
    pub(crate) packet: Line,
    pub(crate) pending: Pending<C>,
}

/// What is to be said, before anything else.
#[derive(Debug, Default)]
pub(crate) struct ToSay {
    /// `Open`: service and domain.
    pub(crate) open: Option<(u64, u64)>,
    pub(crate) opened: bool,
    pub(crate) accept: bool,
}

#[derive(Debug)]
struct Cell<C> {
    packet: Option<(Line, Carried<C>)>,
    /// The capability of a packet that is yet to come: it takes another way.
    arrived: Option<C>,
}

/// The packets that came from the other core and are not with their receiver yet.
#[derive(Debug)]
pub(crate) struct Window<C, const W: usize> {
    cells: [Cell<C>; W],
    received: u16,
    delivered: u16,
    /// Delivered, and the other side has not got the credit back.
    pub(crate) to_return: u16,
}

impl<C, const W: usize> Window<C, W> {
    const fn new() -> Self {
        let cells = [const { Cell { packet: None, arrived: None } }; W];
        Window { cells, received: 0, delivered: 0, to_return: 0 }
    }
    fn room(&self) -> u16 {
        W as u16 - self.received.wrapping_sub(self.delivered)
    }
    pub(crate) fn is_full(&self) -> bool {
        self.room() == 0
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.cells[usize::from(self.delivered) % W].packet.is_none()
    }
    pub(crate) fn front(&mut self) -> Option<&mut (Line, Carried<C>)> {
        self.cells[usize::from(self.delivered) % W].packet.as_mut()
    }
    /// The first is with its receiver; what it carried comes back.
    pub(crate) fn pop(&mut self) -> Option<C> {
        let (_, carried) = self.cells[usize::from(self.delivered) % W].packet.take()?;
        self.delivered = self.delivered.wrapping_add(1);
        self.to_return += 1;
        carried.cap()
    }
    /// Takes what has arrived for the next packet.
    pub(crate) fn take_arrived(&mut self) -> Option<C> {
        self.cells[usize::from(self.received) % W].arrived.take()
    }
    /// There has to be room.
    pub(crate) fn push(&mut self, packet: Line, carried: Carried<C>) {
        self.cells[usize::from(self.received) % W].packet = Some((packet, carried));
        self.received = self.received.wrapping_add(1);
    }
    /// A packet came that nobody wants any more, and nothing waits.
    pub(crate) fn skip(&mut self) {
        self.push([0; 8], Carried::Nothing);
        self.pop();
    }
    /// The capability of packet number `sequence`. It comes back if that is no packet that may be under way.
    pub(crate) fn put_arrived(&mut self, sequence: u16, cap: C) -> Result<(), C> {
        let cell = &mut self.cells[usize::from(sequence) % W];
        if sequence.wrapping_sub(self.received) >= W as u16 - self.received.wrapping_sub(self.delivered)
            || cell.arrived.is_some()
        {
            return Err(cap);
        }
        cell.arrived = Some(cap);
        Ok(())
    }
    /// Throws away what waits. The other side gets the credit back: it has to get rid of what it took before its own end.
    pub(crate) fn clear<M: Kernel<Cap = C>>(&mut self, kernel: &mut M) {
        while !self.is_empty() {
            self.pop().into_iter().for_each(|cap| kernel.discard(cap));
        }
    }
    /// Throws away what has arrived for packets that will not come.
    pub(crate) fn clear_arrived<M: Kernel<Cap = C>>(&mut self, kernel: &mut M) {
        self.cells.iter_mut().filter_map(|cell| cell.arrived.take()).for_each(|cap| kernel.discard(cap));
    }
}

impl<C> Carried<C> {
    /// The capability, if there is one.
    pub(crate) fn cap(self) -> Option<C> {
        match self {
            Carried::Cap(cap) => Some(cap),
            Carried::Nothing | Carried::Lost => None,
        }
    }
    /// As a reference.
    pub(crate) const fn as_ref(&self) -> Carried<&C> {
        match self {
            Carried::Nothing => Carried::Nothing,
            Carried::Cap(cap) => Carried::Cap(cap),
            Carried::Lost => Carried::Lost,
        }
    }
}

/// One side of a route.
#[derive(Debug)]
pub(crate) struct Route<C, const W: usize> {
    pub(crate) other: CoreId,
    pub(crate) side: Side,
    /// The other side's record: known once it has answered.
    pub(crate) theirs: Option<RecordId>,
    /// Whether the offer has been sent.
    pub(crate) asked: bool,
    /// Whether somebody has connected what stands for the offered endpoint: before that nothing goes over the route.
    pub(crate) accepted: bool,
    /// Who waits for [`Kernel::opened`].
    pub(crate) opener: Option<u64>,
    /// Sends to the proxy's peer.
    pub(crate) peer: Option<C>,
    pub(crate) proxy: bool,
    pub(crate) to_say: ToSay,
    /// Whether there may be packets in the proxy's ring.
    pub(crate) ready: bool,
    pub(crate) held: Option<Held<C>>,
    /// Packets that may still be sent.
    pub(crate) credits: u16,
    /// Packets that were sent.
    pub(crate) sent: u16,
    pub(crate) window: Window<C, W>,
    /// The proxy's peer is no more: what it has sent before still goes on.
    pub(crate) gone: bool,
    /// It ends at once.
    pub(crate) given_up: bool,
    /// `Close` was sent.
    pub(crate) said: bool,
    /// `Close` has come.
    pub(crate) heard: bool,
}

impl<C, const W: usize> Route<C, W> {
    pub(crate) const fn new(other: CoreId, side: Side, theirs: Option<RecordId>, peer: Option<C>) -> Self {
        Route {
            other,
            side,
            theirs,
            asked: false,
            accepted: false,
            opener: None,
            peer,
            proxy: false,
            to_say: ToSay { open: None, opened: false, accept: false },
            ready: false,
            held: None,
            credits: W as u16,
            sent: 0,
            window: Window::new(),
            gone: false,
            given_up: false,
            said: false,
            heard: false,
        }
    }
    /// Whether nothing is wanted from the other side any more.
    pub(crate) const fn is_ending(&self) -> bool {
        self.gone || self.given_up
    }
    /// Whether both sides can still name it.
    pub(crate) const fn is_live(&self) -> bool {
        self.theirs.is_some() && !self.is_ending() && !self.said && !self.heard
    }
}

#[derive(Debug)]
struct Place<C, const W: usize> {
    generation: u32,
    route: Option<Route<C, W>>,
}

/// The records of a monitor. A place that is used again has another generation.
pub(crate) struct Table<C, const R: usize, const W: usize> {
    places: [Place<C, W>; R],
    len: usize,
}

impl<C: fmt::Debug, const R: usize, const W: usize> fmt::Debug for Table<C, R, W> {
    /// Only the places that are in use.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used = self.places.iter().enumerate().filter(|(_, place)| place.route.is_some());
        f.debug_map().entries(used).finish()
    }
}

impl<C, const R: usize, const W: usize> Table<C, R, W> {
    pub(crate) const fn new() -> Self {
        Table { places: [const { Place { generation: 0, route: None } }; R], len: 0 }
    }
    pub(crate) const fn len(&self) -> usize {
        self.len
    }
    pub(crate) fn free_index(&self) -> Option<u16> {
        let free = self.places.iter().position(|place| place.route.is_none())?;
        u16::try_from(free).ok()
    }
    /// The place has to be free.
    pub(crate) fn put(&mut self, index: u16, route: Route<C, W>) {
        self.places[usize::from(index)].route = Some(route);
        self.len += 1;
    }
    pub(crate) fn remove(&mut self, index: u16) -> Option<Route<C, W>> {
        let place = self.places.get_mut(usize::from(index))?;
        let route = place.route.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.len -= 1;
        Some(route)
    }
    pub(crate) fn at(&self, index: u16) -> Option<&Route<C, W>> {
        self.places.get(usize::from(index))?.route.as_ref()
    }
    pub(crate) fn at_mut(&mut self, index: u16) -> Option<&mut Route<C, W>> {
        self.places.get_mut(usize::from(index))?.route.as_mut()
    }
    /// What the record in this place is called, or will be if it is free.
    pub(crate) fn id(&self, index: u16) -> RecordId {
        RecordId { index, generation: self.places[usize::from(index)].generation }
    }
    pub(crate) fn get(&self, id: RecordId) -> Option<&Route<C, W>> {
        self.at(id.index).filter(|_| self.id(id.index) == id)
    }
    pub(crate) fn get_mut(&mut self, id: RecordId) -> Option<&mut Route<C, W>> {
        if self.at(id.index).is_none() || self.id(id.index) != id {
            return None;
        }
        self.at_mut(id.index)
    }
    /// The first record of which this is true.
    pub(crate) fn find(&self, wanted: impl Fn(&Route<C, W>) -> bool) -> Option<u16> {
        Self::around(0).find(|&index| self.at(index).is_some_and(&wanted))
    }
    /// The places from `start` on, around the table.
    pub(crate) fn around(start: u16) -> impl Iterator<Item = u16> {
        (0..R).map(move |i| ((usize::from(start) + i) % R) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_costs_what_the_docs_say() {
        assert_eq!(size_of::<Cell<u64>>(), 96);
        assert_eq!(size_of::<Place<u64, 4>>(), 192 + 4 * 96);
    }
}
