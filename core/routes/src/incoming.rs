//! What comes from another core. A message is looked at as a whole before anything changes.

use abi::packet::Packet;

use crate::record::{Route, Side};
use crate::wire::packet_line;
use crate::{Along, Carried, CoreId, Kernel, Line, Message, Nonsense, OFFERS, Proxy, RecordId, Routes};

impl<C, const N: usize, const R: usize, const W: usize> Routes<C, N, R, W> {
    /// A message of another core: `second` is there exactly if [`packet_follows`](crate::packet_follows). What makes no sense
    /// changes nothing, and is counted and reported.
    pub fn receive<M: Kernel<Cap = C>>(
        &mut self,
        kernel: &mut M,
        from: CoreId,
        first: &Line,
        second: Option<&Line>,
    ) {
        let checked = match Message::decode(first, second) {
            Some(message) => self.check(from, &message).map(|()| message),
            None => Err(Nonsense::Undecodable),
        };
        match checked {
            Ok(message) => self.apply(kernel, from, message),
            Err(nonsense) => {
                self.nonsense += 1;
                kernel.report(from, nonsense);
            }
        }
    }

    /// The record that another core names. It must not do so once it has said its last word.
    fn named(&self, from: CoreId, id: RecordId) -> Result<&Route<C, W>, Nonsense> {
        let route = self.table.get(id).filter(|route| route.other == from).ok_or(Nonsense::UnknownRecord)?;
        if route.heard { Err(Nonsense::WrongState) } else { Ok(route) }
    }

    /// As [`Routes::named`], where the other core has answered the offer or is the one that made it.
    fn joined(&self, from: CoreId, id: RecordId) -> Result<&Route<C, W>, Nonsense> {
        self.named(from, id).and_then(|route| state(route.theirs.is_some(), route))
    }

    fn check(&self, from: CoreId, message: &Message) -> Result<(), Nonsense> {
        if !self.is_beside(from) {
            return Err(Nonsense::NoSuchCore);
        }
        match *message {
            Message::Data { to, along, .. } => {
                let route = self.joined(from, to)?;
                state(route.accepted, ())?;
                if route.window.is_full() {
                    return Err(Nonsense::BeyondWindow);
                }
                self.check_along(from, along)
            }
            Message::Opened { to, .. } | Message::Refused { to } => {
                let route = self.named(from, to)?;
                state(route.theirs.is_none() && route.asked, ())
            }
            Message::Accept { to } => {
                let route = self.joined(from, to)?;
                state(route.side == Side::Near && !route.accepted, ())
            }
            Message::Credit { to, packets } => {
                let route = self.joined(from, to)?;
                let fits = usize::from(route.credits) + usize::from(packets) <= W;
                if fits { Ok(()) } else { Err(Nonsense::BeyondWindow) }
            }
            Message::Close { to } => self.joined(from, to).map(|_| ()),
            Message::Open { .. } => self.check_offer(from),
        }
    }

    fn check_along(&self, from: CoreId, along: Along) -> Result<(), Nonsense> {
        match along {
            Along::Nothing | Along::Lost | Along::Arrived | Along::Notify(_) => Ok(()),
            Along::Offer(_) => self.check_offer(from),
            // Before it is accepted only the far side's proxy is known to anybody, and that on its own core.
            Along::Proxy(id) | Along::Peer(id) => {
                let route = self.joined(from, id)?;
                state(route.accepted || route.side == Side::Near, ())
            }
        }
    }

    fn check_offer(&self, from: CoreId) -> Result<(), Nonsense> {
        if self.beside[from.index()].unanswered < OFFERS { Ok(()) } else { Err(Nonsense::TooManyOffers) }
    }

    fn apply<M: Kernel<Cap = C>>(&mut self, kernel: &mut M, from: CoreId, message: Message) {
        match message {
            Message::Data { to, along, packet } => self.packet(kernel, from, to.index, along, packet),
            Message::Opened { to, record } => {
                self.beside[from.index()].offers -= 1;
                self.table.get_mut(to).into_iter().for_each(|route| route.theirs = Some(record));
            }
            Message::Refused { to } => {
                self.beside[from.index()].offers -= 1;
                self.drop_record(kernel, to.index);
            }
            Message::Accept { to } => self.accept(kernel, to.index),
            Message::Credit { to, packets } => {
                self.table.get_mut(to).into_iter().for_each(|route| route.credits += packets);
            }
            Message::Close { to } => {
                self.table.get_mut(to).into_iter().for_each(|route| route.heard = true);
                self.settle(kernel, to.index);
            }
            Message::Open { record, service, domain } => {
                self.serve(kernel, from, record, (service, domain));
            }
        }
    }

    fn packet<M: Kernel<Cap = C>>(
        &mut self,
        kernel: &mut M,
        from: CoreId,
        index: u16,
        along: Along,
        packet: Packet,
    ) {
        let Some(route) = self.table.at_mut(index) else { return };
        let arrived = route.window.take_arrived();
        let wanted = route.is_live();
        let carried = self.land(kernel, from, along, arrived, wanted);
        let Some(route) = self.table.at_mut(index) else { return };
        if route.is_live() {
            route.window.push(packet_line(&packet), carried);
            self.deliver(kernel, index);
        } else {
            route.window.skip();
            carried.cap().into_iter().for_each(|cap| kernel.discard(cap));
        }
    }

    /// What comes along with a packet, as a capability of this core. What is not `wanted` need not be made.
    fn land<M: Kernel<Cap = C>>(
        &mut self,
        kernel: &mut M,
        from: CoreId,
        along: Along,
        arrived: Option<C>,
        wanted: bool,
    ) -> Carried<C> {
        let cap = match (along, arrived) {
            (Along::Arrived, arrived) => arrived,
            (along, arrived) => {
                arrived.into_iter().for_each(|cap| kernel.discard(cap));
                match along {
                    Along::Nothing => return Carried::Nothing,
                    Along::Lost | Along::Arrived => None,
                    Along::Notify(bit) if wanted => kernel.import_notify(from, bit).ok(),
                    Along::Notify(_) => None,
                    Along::Offer(record) => self.take_offer(kernel, from, record, wanted),
                    Along::Proxy(id) => self.proxy_of(kernel, id),
                    Along::Peer(id) => self.peer_of(kernel, id),
                }
            }
        };
        cap.map_or(Carried::Lost, Carried::Cap)
    }

    fn take_offer<M: Kernel<Cap = C>>(
        &mut self,
        kernel: &mut M,
        from: CoreId,
        theirs: RecordId,
        wanted: bool,
    ) -> Option<C> {
        let beside = &mut self.beside[from.index()];
        beside.unanswered += 1;
        let made = if wanted { self.stand_for(kernel, from, theirs) } else { None };
        if made.is_none() {
            self.beside[from.index()].refusals.push(theirs);
        }
        made.map(|(_, cap)| cap)
    }

    /// Makes a proxy that stands for an endpoint of another core.
    fn stand_for<M: Kernel<Cap = C>>(
        &mut self,
        kernel: &mut M,
        from: CoreId,
        theirs: RecordId,
    ) -> Option<(u16, C)> {
        let index = self.table.free_index()?;
        kernel.make_proxy(Proxy(index)).ok()?;
        let Ok(cap) = kernel.sending_copy(Proxy(index)) else {
            kernel.delete_proxy(Proxy(index));
            return None;
        };
        let mut route = Route::new(from, Side::Far, Some(theirs), None);
        route.proxy = true;
        route.to_say.opened = true;
        self.table.put(index, route);
        Some((index, cap))
    }

    fn serve<M: Kernel<Cap = C>>(
        &mut self,
        kernel: &mut M,
        from: CoreId,
        theirs: RecordId,
        (service, domain): (u64, u64),
    ) {
        let Some((index, cap)) = ({
            self.beside[from.index()].unanswered += 1;
            self.stand_for(kernel, from, theirs)
        }) else {
            return self.beside[from.index()].refusals.push(theirs);
        };
        if kernel.serve(from, service, domain, cap).is_err() {
            self.drop_record(kernel, index);
            self.beside[from.index()].refusals.push(theirs);
        }
    }

    /// Forgets a record that the other core does not know.
    fn drop_record<M: Kernel<Cap = C>>(&mut self, kernel: &mut M, index: u16) {
        if let Some(route) = self.table.at_mut(index) {
            route.said = true;
            route.heard = true;
        }
        self.settle(kernel, index);
    }

    fn proxy_of<M: Kernel<Cap = C>>(&mut self, kernel: &mut M, id: RecordId) -> Option<C> {
        if self.table.get(id).is_some_and(|route| !route.accepted) {
            self.accept(kernel, id.index);
        }
        self.table.get(id).filter(|route| route.is_live())?;
        kernel.sending_copy(Proxy(id.index)).ok()
    }

    fn peer_of<M: Kernel<Cap = C>>(&mut self, kernel: &mut M, id: RecordId) -> Option<C> {
        let route = self.table.get(id).filter(|route| route.is_live())?;
        kernel.copy(route.peer.as_ref()?).ok()
    }

    /// Somebody has connected what stands for the endpoint that is kept here: connects that with its proxy.
    fn accept<M: Kernel<Cap = C>>(&mut self, kernel: &mut M, index: u16) {
        let Some(route) = self.table.at_mut(index) else { return };
        // Also if nothing comes of it: packets may follow until the other side has heard.
        route.accepted = true;
        let Some(peer) = route.peer.as_ref().filter(|_| !route.given_up) else { return };
        if kernel.connect(Proxy(index), peer).is_err() {
            return self.give_up(kernel, index);
        }
        route.ready = true;
        let Some(token) = route.opener.take() else { return };
        match kernel.sending_copy(Proxy(index)) {
            Ok(cap) => kernel.opened(token, Some(cap)),
            Err(_) => {
                route.opener = Some(token);
                self.give_up(kernel, index);
            }
        }
    }
}

fn state<T>(right: bool, value: T) -> Result<T, Nonsense> {
    if right { Ok(value) } else { Err(Nonsense::WrongState) }
}
