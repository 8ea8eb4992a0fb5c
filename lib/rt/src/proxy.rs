//! Endpoints of whose packets the owner takes one when it wants: for who forwards them, and has to push back (M1).
//!
//! A [`Channel`](crate::channel) empties its ring whenever something comes; what the receiver cannot deal with yet is on its
//! own heap then. Here the ring stays as full as it is, and the sender is refused.
//!
//! Packets never come the kernel's direct way, past the ring: that is open only while the ring is empty, and what the kernel is told of
//! how far it has been emptied stays one packet behind. That also takes one packet of its room.

use alloc::boxed::Box;
use alloc::rc::Rc;
use core::cell::Cell;

use abi::frame::{
    RING_CONNECTED, RING_NO_SENDERS, RING_PEER_GONE, RING_SENDER_BLOCKED, RING_WATCHED, RING_WRITABLE,
};
use abi::layout::SELF_DISPATCHER;
use abi::packet::{HEADER_CAPABILITY, Packet};
use abi::{CapAddr, Rights};
use ipc::port::SendError;
use sys::{Any, Cap, Dispatcher, EndPoint};

use crate::channel::{landless, refusal};
use crate::dispatch;
use crate::error::RtError;
use crate::events::{self, Event};
use crate::frame::{Ring, ring_bytes};
use crate::slots;

/// What a proxy tells its owner, on the main thread, with nothing of the runtime locked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProxyEvent {
    /// It has been connected.
    Connected,
    /// There is a packet to take. It is said again only after [`Proxy::take`] has found none.
    Ready,
    /// The ring of the endpoint that it is connected with has room again.
    Writable,
    /// That endpoint is gone. Packets may be left to take.
    PeerGone,
    /// It is not connected, and nobody but the owner has a capability to it.
    NoSenders,
}

/// What the event loop sees of a proxy.
pub(crate) struct State {
    event: u32,
    own: Cap<EndPoint>,
    ring: Ring,
    offset: u64,
    /// Packets taken so far, wrapping.
    taken: Cell<u32>,
    landing: Cell<CapAddr>,
    told: Box<dyn Fn(ProxyEvent)>,
}

impl State {
    /// The event is ready.
    pub(crate) fn happened(&self) {
        let flags = self.ring.take_flags(RING_CONNECTED | RING_WRITABLE | RING_PEER_GONE | RING_NO_SENDERS);
        if flags & RING_CONNECTED != 0 {
            (self.told)(ProxyEvent::Connected);
        }
        if self.ring.peek(self.taken.get()).is_some() {
            (self.told)(ProxyEvent::Ready);
        }
        for (flag, event) in [
            (RING_WRITABLE, ProxyEvent::Writable),
            (RING_PEER_GONE, ProxyEvent::PeerGone),
            (RING_NO_SENDERS, ProxyEvent::NoSenders),
        ] {
            if flags & flag != 0 {
                (self.told)(event);
            }
        }
    }

    /// Names a slot for the next capability, if there is none.
    pub(crate) fn offer_landing(&self) {
        if self.landing.get() != CapAddr::NULL {
            return;
        }
        let offered = slots::allocate().and_then(|slot| {
            self.own.set_landing(Some(slot)).inspect_err(|_| slots::release(slot))?;
            Ok(slot)
        });
        match offered {
            Ok(slot) => self.landing.set(slot),
            Err(_) => landless(self.event),
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        events::release_ring(self.offset, ring_bytes(self.ring.packets()));
    }
}

/// An own endpoint that is emptied packet by packet. Dropping it deletes all capabilities to it, and what is in its ring.
pub struct Proxy(Rc<State>);

impl Proxy {
    /// Makes one with a ring for `packets` less one (a power of two from 2 to 256), not connected.
    ///
    /// # Errors
    /// `NoEvent`, `NoRing`, `OutOfMemory`, and those of the kernel.
    pub fn new(packets: u32, told: Box<dyn Fn(ProxyEvent)>) -> Result<Proxy, RtError> {
        let event = events::allocate()?;
        Proxy::at(event, packets, told).inspect_err(|_| events::set(event, Event::Free))
    }

    fn at(event: u32, packets: u32, told: Box<dyn Fn(ProxyEvent)>) -> Result<Proxy, RtError> {
        let offset = events::allocate_ring(ring_bytes(packets))?;
        let Some(ring) = dispatch::frame().ring(offset, packets) else {
            events::release_ring(offset, ring_bytes(packets));
            return Err(RtError::NoRing);
        };
        // From here on dropping `state` gives the ring back.
        let slot = slots::allocate().inspect_err(|_| events::release_ring(offset, ring_bytes(packets)))?;
        let (own, landing) = (Cap::new(slot), Cell::new(CapAddr::NULL));
        let state = State { event, own, ring, offset, taken: Cell::new(0), landing, told };
        let made = Cap::<Dispatcher>::new(SELF_DISPATCHER)
            .make_endpoint(event.into(), slot)
            .and_then(|()| own.configure(offset, packets.into(), None));
        if let Err(error) = made {
            slots::discard(slot);
            return Err(error.into());
        }
        ring.set_head(u32::MAX);
        ring.set_flags(RING_WATCHED);
        state.offer_landing();
        let state = Rc::new(state);
        events::set(event, Event::Proxy(state.clone()));
        Ok(Proxy(state))
    }

    /// Its event, by which `EndpointPeer` names it.
    pub fn event(&self) -> u32 {
        self.0.event
    }

    /// The capability to it.
    pub fn capability(&self) -> Cap<EndPoint> {
        self.0.own
    }

    /// The next packet, and the slot of what came with it, which is the caller's.
    pub fn take(&self) -> Option<(Packet, Option<CapAddr>)> {
        let state = &self.0;
        let mut packet = state.ring.peek(state.taken.get())?;
        let mut capability = None;
        if packet.header & HEADER_CAPABILITY != 0 {
            packet.header &= !HEADER_CAPABILITY;
            let landed = state.landing.replace(CapAddr::NULL);
            capability = (landed != CapAddr::NULL).then_some(landed);
            state.offer_landing();
        }
        state.ring.set_head(state.taken.replace(state.taken.get().wrapping_add(1)));
        if state.ring.take_flags(RING_SENDER_BLOCKED) != 0 {
            // Refused only when the endpoint is gone, and then nobody is blocked.
            let _ = state.own.drained();
        }
        Some((packet, capability))
    }

    /// Sends to an endpoint, with a copy of a capability.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn put(
        &self,
        peer: Cap<EndPoint>,
        packet: &Packet,
        capability: Option<CapAddr>,
    ) -> Result<(), SendError> {
        peer.send(packet, capability.map(Cap::<Any>::new)).map_err(refusal)
    }

    /// Connects it with another domain's endpoint.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn connect(&self, peer: Cap<EndPoint>) -> Result<(), RtError> {
        Ok(self.0.own.connect(peer)?)
    }

    /// A copy that can only be sent to, in a slot of the caller's.
    ///
    /// # Errors
    /// `OutOfMemory`, and those of the kernel.
    pub fn sending_copy(&self) -> Result<CapAddr, RtError> {
        let slot = slots::allocate()?;
        self.0.own.copy_to(slot, Rights::WRITE).inspect_err(|_| slots::release(slot))?;
        Ok(slot)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Copies may be anywhere; none of these is refused for a reason that matters to us.
        let _ = self.0.own.revoke();
        slots::discard(self.0.own.address());
        let landing = self.0.landing.replace(CapAddr::NULL);
        if landing != CapAddr::NULL {
            // Something may have landed there that nobody has looked at.
            slots::discard(landing);
        }
        events::set(self.0.event, Event::Free);
    }
}
