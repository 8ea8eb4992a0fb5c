//! What goes to another core: a message at a time, when there is room for one.

use crate::record::{Held, Pending, Route, Table};
use crate::wire::{packet_line, packet_of};
use crate::{Along, Class, CoreId, Kernel, Message, NotBegun, OFFERS, Proxy, RecordId, Routes, Tag};

impl<C, const N: usize, const R: usize, const W: usize> Routes<C, N, R, W> {
    /// The next message to a core, which the caller has room for (two lines). It has to be put into the ring at once.
    ///
    /// Answers, acceptances and credits come first: they are few, since each answers something. Then routes take turns.
    pub fn take<M: Kernel<Cap = C>>(&mut self, kernel: &mut M, to: CoreId) -> Option<Message> {
        if !self.is_beside(to) {
            return None;
        }
        let beside = &mut self.beside[to.index()];
        if let Some(record) = beside.refusals.pop() {
            beside.unanswered -= 1;
            return Some(Message::Refused { to: record });
        }
        let turn = beside.turn;
        let mut indices = Table::<C, R, W>::around(0);
        if let Some(message) = indices.find_map(|index| self.control_of(index, to)) {
            return Some(message);
        }
        Table::<C, R, W>::around(turn).find_map(|index| {
            let message = self.message_of(kernel, index, to)?;
            self.beside[to.index()].turn = (index + 1) % R as u16;
            Some(message)
        })
    }

    /// What a route has to say before any packet.
    fn control_of(&mut self, index: u16, to: CoreId) -> Option<Message> {
        let id = self.table.id(index);
        let route = self.table.at_mut(index).filter(|route| route.other == to && !route.said)?;
        let beside = &mut self.beside[to.index()];
        let Some(theirs) = route.theirs else {
            if beside.offers == OFFERS {
                return None;
            }
            let (service, domain) = route.to_say.open.take()?;
            beside.offers += 1;
            route.asked = true;
            return Some(Message::Open { record: id, service, domain });
        };
        if core::mem::take(&mut route.to_say.opened) {
            beside.unanswered -= 1;
            return Some(Message::Opened { to: theirs, record: id });
        }
        if core::mem::take(&mut route.to_say.accept) {
            return Some(Message::Accept { to: theirs });
        }
        let packets = route.window.to_return;
        if usize::from(packets) < W / 2 || route.heard {
            return None;
        }
        route.window.to_return = 0;
        Some(Message::Credit { to: theirs, packets })
    }

    /// A packet of a route, or its last word.
    fn message_of<M: Kernel<Cap = C>>(&mut self, kernel: &mut M, index: u16, to: CoreId) -> Option<Message> {
        let route = self.table.at(index).filter(|route| route.other == to && !route.said)?;
        let theirs = route.theirs?;
        if !route.heard && !route.given_up {
            if route.accepted && route.credits > 0 {
                let message = self.packet_of(kernel, index, to, theirs);
                if message.is_some() {
                    return message;
                }
            }
            let route = self.table.at(index)?;
            let more = route.accepted && (route.ready || route.held.is_some());
            if !route.gone || more {
                return None;
            }
        }
        self.table.at_mut(index)?.said = true;
        self.settle(kernel, index);
        Some(Message::Close { to: theirs })
    }

    fn packet_of<M: Kernel<Cap = C>>(
        &mut self,
        kernel: &mut M,
        index: u16,
        to: CoreId,
        theirs: RecordId,
    ) -> Option<Message> {
        let Held { packet, pending } = self.next_packet(kernel, index)?;
        let along = match pending {
            Pending::Settled(along) => Ok(along),
            Pending::UnderWay => Err(Pending::UnderWay),
            Pending::Unsorted(cap) => self.send_cap(kernel, index, to, cap),
        };
        let route = self.table.at_mut(index)?;
        match along {
            Ok(along) => {
                route.credits -= 1;
                route.sent = route.sent.wrapping_add(1);
                Some(Message::Data { to: theirs, along, packet: packet_of(&packet) })
            }
            Err(pending) => {
                route.held = Some(Held { packet, pending });
                None
            }
        }
    }

    /// The packet that is held, or else the next of the ring.
    fn next_packet<M: Kernel<Cap = C>>(&mut self, kernel: &mut M, index: u16) -> Option<Held<C>> {
        let route = self.table.at_mut(index)?;
        if route.held.is_some() || !route.ready {
            return route.held.take();
        }
        let taken = kernel.take_packet(Proxy(index));
        route.ready = taken.is_some();
        let (packet, cap) = taken?;
        let pending = cap.map_or(Pending::Settled(Along::Nothing), Pending::Unsorted);
        Some(Held { packet: packet_line(&packet), pending })
    }

    /// Finds the way on which a capability leaves this core. What has to wait comes back.
    fn send_cap<M: Kernel<Cap = C>>(
        &mut self,
        kernel: &mut M,
        index: u16,
        to: CoreId,
        cap: C,
    ) -> Result<Along, Pending<C>> {
        match kernel.classify(&cap) {
            Class::EndPoint { own, peer } => self.send_endpoint(kernel, to, cap, own, peer),
            Class::Notify => {
                let along = kernel.export_notify(&cap).map_or(Along::Lost, Along::Notify);
                kernel.discard(cap);
                Ok(along)
            }
            Class::Memory => self.send_memory(kernel, index, to, cap),
            Class::Other => {
                kernel.discard(cap);
                Ok(Along::Lost)
            }
        }
    }

    fn send_memory<M: Kernel<Cap = C>>(
        &mut self,
        kernel: &mut M,
        index: u16,
        to: CoreId,
        cap: C,
    ) -> Result<Along, Pending<C>> {
        let Some((theirs, sequence)) = self.table.at(index).and_then(|it| Some((it.theirs?, it.sent))) else {
            return Err(Pending::Unsorted(cap));
        };
        let tag = Tag { record: theirs, sequence };
        match kernel.begin_transfer(to, cap, tag, self.table.id(index)) {
            Ok(()) => Err(Pending::UnderWay),
            Err(NotBegun::Later(cap)) => Err(Pending::Unsorted(cap)),
            Err(NotBegun::Never(cap)) => {
                kernel.discard(cap);
                Ok(Along::Lost)
            }
        }
    }

    fn send_endpoint<M: Kernel<Cap = C>>(
        &mut self,
        kernel: &mut M,
        to: CoreId,
        cap: C,
        own: Option<Proxy>,
        peer: Option<Proxy>,
    ) -> Result<Along, Pending<C>> {
        if let Some(route) = own.and_then(|it| self.route_to(it, to)) {
            let home = route.theirs.filter(|_| route.is_live());
            kernel.discard(cap);
            return Ok(home.map_or(Along::Lost, Along::Peer));
        }
        let Some((proxy, route)) = peer.and_then(|it| Some((it, self.route_to(it, to)?))) else {
            return self.offer(kernel, to, cap);
        };
        let Some(theirs) = route.theirs.filter(|_| route.is_live()) else {
            kernel.discard(cap);
            return Ok(Along::Lost);
        };
        self.found_peer(kernel, proxy.0, cap);
        if let Some(route) = self.table.at_mut(proxy.0) {
            route.to_say.accept = false;
        }
        Ok(Along::Proxy(theirs))
    }

    fn route_to(&self, proxy: Proxy, to: CoreId) -> Option<&Route<C, W>> {
        self.table.at(proxy.0).filter(|route| route.other == to)
    }

    fn offer<M: Kernel<Cap = C>>(&mut self, kernel: &mut M, to: CoreId, cap: C) -> Result<Along, Pending<C>> {
        if self.beside[to.index()].offers == OFFERS {
            return Err(Pending::Unsorted(cap));
        }
        match self.keep(kernel, to, cap) {
            Ok(index) => {
                self.beside[to.index()].offers += 1;
                self.table.at_mut(index).into_iter().for_each(|route| route.asked = true);
                Ok(Along::Offer(self.table.id(index)))
            }
            Err(cap) => {
                kernel.discard(cap);
                Ok(Along::Lost)
            }
        }
    }
}
