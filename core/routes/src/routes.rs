//! The state of the routes, the events of this core, and how a route ends.

use crate::record::{Pending, Route, Side, Table};
use crate::wire::packet_of;
use crate::{Along, CoreId, Kernel, OFFERS, Proxy, PutError, RecordId, Tag};

/// Offers of another core that are to be refused.
#[derive(Debug)]
pub(crate) struct Refusals {
    records: [Option<RecordId>; OFFERS],
}

impl Refusals {
    pub(crate) fn push(&mut self, record: RecordId) {
        if let Some(free) = self.records.iter_mut().find(|it| it.is_none()) {
            *free = Some(record);
        }
    }
    pub(crate) fn pop(&mut self) -> Option<RecordId> {
        self.records.iter_mut().find_map(Option::take)
    }
}

/// What goes on with another core.
#[derive(Debug)]
pub(crate) struct Beside {
    pub(crate) stopped: bool,
    /// Offers that it has not answered.
    pub(crate) offers: usize,
    /// Its offers without an answer: those in `refusals`, and records that have to say `Opened`.
    pub(crate) unanswered: usize,
    pub(crate) refusals: Refusals,
    /// The record behind the one that sent last.
    pub(crate) turn: u16,
}

/// The routes of a monitor of a machine of `N` cores: at most `R`, each with a window of `W` packets in each direction.
#[derive(Debug)]
pub struct Routes<C, const N: usize, const R: usize, const W: usize> {
    pub(crate) core: CoreId,
    pub(crate) table: Table<C, R, W>,
    pub(crate) beside: [Beside; N],
    pub(crate) nonsense: u64,
}

impl<C, const N: usize, const R: usize, const W: usize> Routes<C, N, R, W> {
    /// The routes of the monitor of `core`, of which there are none yet. `W` is the same on all cores.
    ///
    /// # Panics
    /// There is no such core, or `W` is no power of two from 2 to 256, or `R` is beyond 65,535 or 0.
    pub fn new(core: CoreId) -> Self {
        assert!(core.index() < N && N <= 256, "no such core");
        assert!(W.is_power_of_two() && W >= 2 && W <= 256, "the window is a power of two, 2 to 256");
        assert!(R > 0 && R < 1 << 16, "records are numbered with 16 bits");
        let beside = || Beside {
            stopped: false,
            offers: 0,
            unanswered: 0,
            refusals: Refusals { records: [None; OFFERS] },
            turn: 0,
        };
        Routes { core, table: Table::new(), beside: core::array::from_fn(|_| beside()), nonsense: 0 }
    }

    /// Records in use.
    pub const fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no route.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many messages were refused.
    pub const fn nonsense(&self) -> u64 {
        self.nonsense
    }

    /// Whether there is another core of this number, which runs.
    pub(crate) fn is_beside(&self, core: CoreId) -> bool {
        core != self.core && self.beside.get(core.index()).is_some_and(|it| !it.stopped)
    }

    /// Offers `endpoint` to a service of another core that has a well-known number, for a domain. [`Kernel::opened`] says what
    /// became of it.
    ///
    /// # Errors
    /// The endpoint comes back: there is no such core, or no record or proxy is free.
    pub fn open<M: Kernel<Cap = C>>(
        &mut self,
        kernel: &mut M,
        to: CoreId,
        (service, domain): (u64, u64),
        endpoint: C,
        token: u64,
    ) -> Result<(), C> {
        let index = self.keep(kernel, to, endpoint)?;
        if let Some(route) = self.table.at_mut(index) {
            route.opener = Some(token);
            route.to_say.open = Some((service, domain));
        }
        Ok(())
    }

    /// A record for an endpoint that is going to be offered.
    pub(crate) fn keep<M: Kernel<Cap = C>>(&mut self, kernel: &mut M, to: CoreId, cap: C) -> Result<u16, C> {
        match self.table.free_index() {
            Some(index) if self.is_beside(to) && kernel.make_proxy(Proxy(index)).is_ok() => {
                let mut route = Route::new(to, Side::Near, None, Some(cap));
                route.proxy = true;
                self.table.put(index, route);
                Ok(index)
            }
            _ => Err(cap),
        }
    }

    /// What a service answered to [`Kernel::serve`]: an endpoint that is connected with what it was given.
    pub fn answered<M: Kernel<Cap = C>>(&mut self, kernel: &mut M, endpoint: C) {
        match kernel.classify(&endpoint) {
            crate::Class::EndPoint { peer: Some(proxy), .. } => self.found_peer(kernel, proxy.0, endpoint),
            _ => kernel.discard(endpoint),
        }
    }

    /// An endpoint was seen that is connected with this proxy.
    pub(crate) fn found_peer<M: Kernel<Cap = C>>(&mut self, kernel: &mut M, index: u16, cap: C) {
        let Some(route) = self.table.at_mut(index).filter(|it| it.is_live() && it.peer.is_none()) else {
            return kernel.discard(cap);
        };
        route.peer = Some(cap);
        self.connected(Proxy(index));
        self.deliver(kernel, index);
    }

    /// Somebody has connected a proxy.
    pub fn connected(&mut self, proxy: Proxy) {
        if let Some(route) = self.table.at_mut(proxy.0)
            && route.side == Side::Far
            && !route.accepted
            && route.is_live()
        {
            route.accepted = true;
            route.to_say.accept = true;
            route.ready = true;
        }
    }

    /// There are packets in a proxy's ring.
    ///
    /// Who sends to what was offered and has not connected it would wait for ever, because nothing goes over the route: it ends.
    pub fn ready<M: Kernel<Cap = C>>(&mut self, kernel: &mut M, proxy: Proxy) {
        let Some(route) = self.table.at_mut(proxy.0) else { return };
        route.ready = true;
        if Self::is_untaken(route) && !kernel.is_connected(proxy) {
            self.give_up(kernel, proxy.0);
        }
    }

    /// The peer of a proxy has room again, for a packet or a capability.
    pub fn writable<M: Kernel<Cap = C>>(&mut self, kernel: &mut M, proxy: Proxy) {
        self.deliver(kernel, proxy.0);
    }

    /// The peer of a proxy is no more. What it sent before is in the ring.
    pub fn peer_gone<M: Kernel<Cap = C>>(&mut self, kernel: &mut M, proxy: Proxy) {
        if let Some(route) = self.table.at_mut(proxy.0) {
            route.gone = true;
            route.ready = true;
        }
        self.settle(kernel, proxy.0);
    }

    /// Nobody but this monitor's own endpoint can send to a proxy. Nobody takes what was offered, unless somebody has: who
    /// is connected is told when the other end goes, and ends it itself.
    pub fn no_senders<M: Kernel<Cap = C>>(&mut self, kernel: &mut M, proxy: Proxy) {
        if self.table.at(proxy.0).is_some_and(Self::is_untaken) && !kernel.is_connected(proxy) {
            self.give_up(kernel, proxy.0);
        }
    }

    fn is_untaken(route: &Route<C, W>) -> bool {
        route.side == Side::Far && !route.accepted
    }

    /// A transfer that was begun for this record has ended.
    pub fn transfer_ended(&mut self, record: RecordId, granted: bool) {
        if let Some(held) = self.table.get_mut(record).and_then(|route| route.held.as_mut())
            && matches!(held.pending, Pending::UnderWay)
        {
            held.pending = Pending::Settled(if granted { Along::Arrived } else { Along::Lost });
        }
    }

    /// A capability has come by the capability protocol, ahead of its packet or of nothing, if its route has ended.
    pub fn arrived<M: Kernel<Cap = C>>(&mut self, kernel: &mut M, tag: Tag, cap: C) {
        // It may have overtaken even the answer to the offer, and the acceptance.
        let wanted = |route: &&mut Route<C, W>| !route.is_ending() && !route.said && !route.heard;
        let route = self.table.get_mut(tag.record).filter(wanted);
        let left = match route {
            Some(route) => route.window.put_arrived(tag.sequence, cap).err(),
            None => Some(cap),
        };
        left.into_iter().for_each(|cap| kernel.discard(cap));
    }

    /// Another core has stopped, for good: [`Routes::work`] ends its routes.
    pub fn core_stopped(&mut self, core: CoreId) {
        if core != self.core
            && let Some(beside) = self.beside.get_mut(core.index())
        {
            beside.stopped = true;
            beside.refusals = Refusals { records: [None; OFFERS] };
        }
    }

    /// Does one bounded piece of what is left. Says whether there was any.
    pub fn work<M: Kernel<Cap = C>>(&mut self, kernel: &mut M) -> bool {
        self.end_orphan(kernel) || self.drain_ended(kernel)
    }

    /// Ends a route to a core that has stopped.
    fn end_orphan<M: Kernel<Cap = C>>(&mut self, kernel: &mut M) -> bool {
        let orphaned =
            |route: &Route<C, W>| self.beside[route.other.index()].stopped && !(route.said && route.heard);
        let Some(index) = self.table.find(orphaned) else { return false };
        if let Some(route) = self.table.at_mut(index) {
            route.said = true;
            route.heard = true;
        }
        self.settle(kernel, index);
        true
    }

    /// Throws away a packet for an end that is no more, while what came from there still waits for room: its peer may be another
    /// proxy, of a route in the same state, which waits for room in this ring.
    fn drain_ended<M: Kernel<Cap = C>>(&mut self, kernel: &mut M) -> bool {
        let Some(index) = self.table.find(|route| route.heard && route.proxy && route.ready) else {
            return false;
        };
        let taken = kernel.take_packet(Proxy(index));
        if let Some(route) = self.table.at_mut(index) {
            route.ready = taken.is_some();
        }
        taken.and_then(|(_, cap)| cap).into_iter().for_each(|cap| kernel.discard(cap));
        true
    }

    /// Gives packets of the other core to the proxy's peer, as far as there is room.
    pub(crate) fn deliver<M: Kernel<Cap = C>>(&mut self, kernel: &mut M, index: u16) {
        let Some(route) = self.table.at_mut(index) else { return };
        while let (Some(peer), Some((packet, carried))) = (&route.peer, route.window.front()) {
            match kernel.put_packet(Proxy(index), peer, &packet_of(packet), carried.as_ref()) {
                Ok(()) => route.window.pop().into_iter().for_each(|cap| kernel.discard(cap)),
                Err(PutError::Full) => break,
                Err(PutError::Gone) => {
                    route.gone = true;
                    route.ready = true;
                    break;
                }
                Err(PutError::BadCapability) => {
                    let former = core::mem::replace(carried, crate::Carried::Lost);
                    former.cap().into_iter().for_each(|cap| kernel.discard(cap));
                }
            }
        }
        self.settle(kernel, index);
    }

    /// Ends a route at once.
    pub(crate) fn give_up<M: Kernel<Cap = C>>(&mut self, kernel: &mut M, index: u16) {
        if let Some(route) = self.table.at_mut(index) {
            route.given_up = true;
        }
        self.settle(kernel, index);
    }

    /// Lets go of what a route needs no longer, and of the route when both sides have said their last word and what had come before is
    /// delivered.
    pub(crate) fn settle<M: Kernel<Cap = C>>(&mut self, kernel: &mut M, index: u16) {
        let Some(route) = self.table.at_mut(index) else { return };
        if !route.is_ending() && !route.heard {
            return;
        }
        route.opener.take().into_iter().for_each(|token| kernel.opened(token, None));
        if route.heard || route.given_up {
            let held = route.held.take();
            if let Some(Pending::Unsorted(cap)) = held.map(|it| it.pending) {
                kernel.discard(cap);
            }
        }
        route.window.clear_arrived(kernel);
        if route.is_ending() || route.peer.is_none() {
            route.window.clear(kernel);
        }
        if route.is_ending() || route.window.is_empty() {
            route.peer.take().into_iter().for_each(|cap| kernel.discard(cap));
            // What is in the ring of a proxy whose peer is gone still has to go on, until `Close` is said.
            let drained = route.given_up || route.heard || route.said;
            if drained && core::mem::take(&mut route.proxy) {
                kernel.delete_proxy(Proxy(index));
            }
        }
        if route.said && route.heard && !route.proxy {
            self.table.remove(index);
        }
    }
}
