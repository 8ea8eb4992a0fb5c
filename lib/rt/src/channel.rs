//! One end of an LMP channel: an own endpoint with its ring, and the peer's endpoint to send to.

use alloc::sync::{Arc, Weak};
use core::cell::{Cell, RefCell};

use abi::frame::{RING_PEER_GONE, RING_SENDER_BLOCKED, RING_WRITABLE};
use abi::packet::{HEADER_CAPABILITY, Packet};
use abi::{CapAddr, ErrorKind, Rights};
use ipc::Traffic;
use ipc::port::{Outcome, Port, Receiver, SendError, Task};
use sys::{Any, Cap, EndPoint};

use crate::cell::Guarded;
use crate::dispatch;
use crate::error::RtError;
use crate::event_set::EventSet;
use crate::events::{self, Event};
use crate::frame::{Frame, Ring, ring_bytes};
use crate::local::local;
use crate::thread::{self, ThreadId};
use crate::{critical, slots};

/// Who gets a channel's packets.
enum Target {
    Nobody,
    /// A client: it holds the channel, so the channel must not hold it.
    Client(Weak<dyn Receiver>),
    /// A server's end: the channel keeps it alive until the peer is gone.
    Server(Arc<dyn Receiver>),
}

/// The state of one end.
pub(crate) struct Channel {
    event: u32,
    own: Cap<EndPoint>,
    peer: Cell<Cap<EndPoint>>,
    ring: Ring,
    ring_offset: u64,
    /// Where the next capability lands; null while there is none.
    landing: Cell<CapAddr>,
    target: RefCell<Target>,
    closed: Cell<bool>,
    /// The peer is gone, and that has been noticed.
    left: Cell<bool>,
    /// Calls on it may wait even inside a handler, with everything else put off (the memory service).
    leaf: Cell<bool>,
}

// SAFETY: the cells are looked at in critical sections, or belong to the main thread, which alone delivers what is for
// servers; a server's end is never touched by another. `peer` and `leaf` are set before the channel is shared.
unsafe impl Send for Channel {}
// SAFETY: as above.
unsafe impl Sync for Channel {}

impl Channel {
    /// Makes an endpoint of this domain's dispatcher with a ring of `packets` packets. No peer yet.
    pub(crate) fn create(packets: u32) -> Result<Arc<Channel>, RtError> {
        let event = events::allocate()?;
        let made = Channel::create_at(event, packets);
        if made.is_err() {
            events::set(event, Event::Free);
        }
        made
    }

    fn create_at(event: u32, packets: u32) -> Result<Arc<Channel>, RtError> {
        let slot = slots::allocate()?;
        let own = Cap::new(slot);
        let made = abi::layout::SELF_DISPATCHER;
        if let Err(error) = Cap::<sys::Dispatcher>::new(made).make_endpoint(event.into(), slot) {
            slots::release(slot);
            return Err(error.into());
        }
        Channel::place(event, own, packets).inspect_err(|_| {
            // The endpoint is ours alone and just made: deleting it cannot be refused.
            let _ = own.delete();
            slots::release(slot);
        })
    }

    fn place(event: u32, own: Cap<EndPoint>, packets: u32) -> Result<Arc<Channel>, RtError> {
        let offset = events::allocate_ring(ring_bytes(packets))?;
        Channel::with_ring(event, own, packets, offset)
            .inspect_err(|_| events::release_ring(offset, ring_bytes(packets)))
    }

    /// The end of the own endpoint `own`, which has this event index already.
    pub(crate) fn adopt(event: u32, own: Cap<EndPoint>, packets: u32) -> Result<Arc<Channel>, RtError> {
        events::reserve(event)?;
        Channel::place(event, own, packets)
    }

    /// The end of the own endpoint `own`, with the ring at a given place.
    pub(crate) fn with_ring(
        event: u32,
        own: Cap<EndPoint>,
        packets: u32,
        offset: u64,
    ) -> Result<Arc<Channel>, RtError> {
        let ring = dispatch::frame().ring(offset, packets).ok_or(RtError::NoRing)?;
        let landing = slots::allocate()?;
        if let Err(error) = own.configure(offset, packets.into(), Some(landing)) {
            slots::release(landing);
            return Err(error.into());
        }
        let channel = Arc::new(Channel {
            event,
            own,
            peer: Cell::new(Cap::new(CapAddr::NULL)),
            ring,
            ring_offset: offset,
            landing: Cell::new(landing),
            target: RefCell::new(Target::Nobody),
            closed: Cell::new(false),
            left: Cell::new(false),
            leaf: Cell::new(false),
        });
        events::set(event, Event::Channel(channel.clone()));
        Ok(channel)
    }

    #[inline(always)]
    pub(crate) fn event(&self) -> u32 {
        self.event
    }

    pub(crate) fn own(&self) -> Cap<EndPoint> {
        self.own
    }

    pub(crate) fn peer(&self) -> Cap<EndPoint> {
        self.peer.get()
    }

    /// Gives it the endpoint to send to, which it owns from now on.
    pub(crate) fn set_peer(&self, peer: Cap<EndPoint>) {
        self.peer.set(peer);
    }

    /// A copy of the own endpoint that can only be sent to, in a slot of the caller's.
    pub(crate) fn sending_copy(&self) -> Result<CapAddr, RtError> {
        let slot = slots::allocate()?;
        if let Err(error) = self.own.copy_to(slot, Rights::WRITE) {
            slots::release(slot);
            return Err(error.into());
        }
        Ok(slot)
    }

    fn set_target(&self, target: Target) {
        let former = self.target.replace(target);
        // Dropping a server's end may come back here.
        drop(former);
    }

    /// Whether requests come over it: only the main thread takes them.
    #[inline]
    pub(crate) fn is_server(&self) -> bool {
        critical::section(|| matches!(&*self.target.borrow(), Target::Server(_)))
    }

    #[inline]
    fn receiver(&self) -> Option<Arc<dyn Receiver>> {
        critical::section(|| match &*self.target.borrow() {
            Target::Nobody => None,
            Target::Client(client) => client.upgrade(),
            Target::Server(server) => Some(server.clone()),
        })
    }

    /// Queues a packet in the peer's ring.
    #[inline]
    pub(crate) fn send(&self, packet: &Packet, capability: Option<CapAddr>) -> Result<(), SendError> {
        self.peer.get().send(packet, capability.map(Cap::<Any>::new)).map_err(refusal)
    }

    /// A packet came. `Some`: the packet is an answer now, to be sent with that capability.
    #[inline(always)]
    pub(crate) fn deliver(&self, packet: &mut Packet) -> Option<Option<CapAddr>> {
        let capability = self.landed_with(packet);
        // What runs in a receiver never changes who its own packets go to: a server's end is let go of by the loop.
        let outcome = match &*self.target.borrow() {
            Target::Server(server) => server.on_packet(packet, capability),
            Target::Client(client) => match client.upgrade() {
                Some(client) => critical::section(|| client.on_packet(packet, capability)),
                None => unwanted(capability),
            },
            Target::Nobody => unwanted(capability),
        };
        answer_of(outcome)
    }

    /// As [`Channel::deliver`], to the receiver that this channel has, which the caller knows already.
    #[inline(always)]
    pub(crate) fn deliver_to<R: Receiver>(
        &self,
        receiver: &R,
        packet: &mut Packet,
    ) -> Option<Option<CapAddr>> {
        let capability = self.landed_with(packet);
        answer_of(receiver.on_packet(packet, capability))
    }

    #[inline(always)]
    fn landed_with(&self, packet: &Packet) -> Option<CapAddr> {
        if packet.header & HEADER_CAPABILITY != 0 { self.take_landed() } else { None }
    }

    /// An answer could not be sent.
    #[cold]
    pub(crate) fn unsent(&self, packet: &Packet, capability: Option<CapAddr>, error: SendError) {
        let Some(receiver) = self.receiver() else { return };
        match error {
            SendError::PeerGone => self.lost(),
            // What is wrong with a capability shows again when the receiver sends it from its queue.
            SendError::Full | SendError::NoLandingSlot | SendError::BadCapability => {
                receiver.on_unsent(packet, capability);
            }
        }
    }

    /// Sends an answer; what cannot go out goes back to the receiver.
    pub(crate) fn answer(&self, packet: &Packet, capability: Option<CapAddr>) {
        if let Err(error) = self.send(packet, capability) {
            self.unsent(packet, capability, error);
        }
    }

    /// The capability that just landed. Another landing slot is offered at once.
    #[cold]
    pub(crate) fn take_landed(&self) -> Option<CapAddr> {
        let landed = self.take_landed_only();
        self.offer_landing();
        landed
    }

    /// As [`Channel::take_landed`], without offering another: that needs a slot.
    pub(crate) fn take_landed_only(&self) -> Option<CapAddr> {
        let landed = critical::section(|| self.landing.replace(CapAddr::NULL));
        (landed != CapAddr::NULL).then_some(landed)
    }

    /// Names a slot for the next capability, if there is none. If no slot is to be had, or it is refused, the loop tries again
    /// when it may be otherwise ([`offer_landings`]); until then the kernel holds senders back.
    fn offer_landing(&self) {
        critical::section(|| {
            if self.landing.get() != CapAddr::NULL || self.closed.get() {
                return;
            }
            // Never waits: this may be the answer of the memory service that is being taken in.
            if let Ok(slot) = slots::allocate_reserved() {
                match self.own.set_landing(Some(slot)) {
                    Ok(()) => return self.landing.set(slot),
                    Err(_) => slots::release(slot),
                }
            }
            LANDLESS.with(|events| events.insert(self.event));
        });
    }

    /// A capability and packet that were put off earlier.
    pub(crate) fn deliver_late(&self, packet: &mut Packet, capability: Option<CapAddr>) {
        packet.header &= !HEADER_CAPABILITY;
        self.offer_landing();
        let Some(receiver) = self.receiver() else {
            capability.into_iter().for_each(slots::discard);
            return;
        };
        if let Outcome::Reply(answer) = receiver.on_packet(packet, capability) {
            self.answer(packet, answer);
        }
    }

    /// The packets in the ring, at most a full ring of them.
    #[cold]
    fn drain_packets(&self) {
        let mut packet = Packet::default();
        for _ in 0..self.ring.packets() {
            // What was put off in a leaf of the handler is older than what is still in the ring.
            if dispatch::has_put_off(self.event) {
                return dispatch::frame().set_ready(self.event);
            }
            if !self.ring.take(&mut packet) {
                return;
            }
            if let Some(capability) = self.deliver(&mut packet) {
                self.answer(&packet, capability);
            }
        }
    }

    /// A packet came directly: those in the ring were sent before it.
    #[inline(always)]
    pub(crate) fn drain_older(&self) {
        if self.has_packets() {
            self.drain_packets();
        }
    }

    /// Whether the peer is gone, perhaps not without packets that nobody has looked at.
    pub(crate) fn is_left(&self) -> bool {
        self.left.get() || self.ring.has_flags(RING_PEER_GONE)
    }

    /// Whether packets are in the ring.
    #[inline]
    fn has_packets(&self) -> bool {
        !self.ring.is_empty()
    }

    /// Does what a ready event asks for: packets, then flags. What is left over makes the event ready again.
    ///
    /// A client's are taken in one critical section, since any thread may do it, and the order counts.
    pub(crate) fn drain(&self, frame: Frame) {
        if self.is_server() { self.drain_all(frame) } else { critical::section(|| self.drain_all(frame)) }
    }

    fn drain_all(&self, frame: Frame) {
        if dispatch::has_put_off(self.event) {
            return frame.set_ready(self.event);
        }
        self.drain_packets();
        let flags = self.ring.take_flags(RING_SENDER_BLOCKED | RING_WRITABLE);
        if flags & RING_SENDER_BLOCKED != 0 {
            // Refused only when the endpoint is gone, and then nobody is blocked.
            let _ = self.own.drained();
        }
        if flags & RING_WRITABLE != 0
            && let Some(receiver) = self.receiver()
        {
            receiver.on_writable();
        }
        if self.closed.get() {
        } else if self.has_packets() {
            frame.set_ready(self.event);
        } else if self.ring.take_flags(RING_PEER_GONE) != 0 {
            self.lost();
        }
    }

    /// The peer is gone for good.
    fn lost(&self) {
        self.left.set(true);
        if let Some(receiver) = self.receiver() {
            receiver.on_peer_gone();
        }
        if matches!(&*self.target.borrow(), Target::Server(_)) {
            // After the loop is done with the channel: the server's end goes, and the channel with its port.
            dispatch::bury(self.event);
        }
    }

    /// What has gone over it so far, if this is a server's end whose peer is there.
    pub(crate) fn traffic(&self) -> Option<Traffic> {
        match &*self.target.borrow() {
            Target::Server(server) => Some(server.traffic()),
            Target::Client(_) | Target::Nobody => None,
        }
    }

    /// Lets go of a server's end whose peer is gone.
    pub(crate) fn release_server(&self) {
        self.set_target(Target::Nobody);
    }

    /// Ends it: the peer learns that this end is gone, and ring, slots and event are free again (R1).
    pub(crate) fn close(&self) {
        if self.closed.replace(true) {
            return;
        }
        // Copies may be anywhere; none of these is refused for a reason that matters to us.
        let _ = self.own.revoke();
        slots::discard(self.own.address());
        let peer = self.peer.replace(Cap::new(CapAddr::NULL));
        if !peer.is_null() {
            slots::discard(peer.address());
        }
        if let Some(landing) = self.take_landed_only() {
            // Something may have landed there that nobody has looked at.
            slots::discard(landing);
        }
        dispatch::forget_put_off(self.event);
        self.set_target(Target::Nobody);
        events::set(self.event, Event::Free);
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // Whoever was looking at the ring when the channel was closed has looked away.
        events::release_ring(self.ring_offset, ring_bytes(self.ring.packets()));
    }
}

local! {
    /// Channels that have no landing slot, since there was none to be had.
    static LANDLESS: EventSet = EventSet::new();
}

/// Offers landing slots where there were none to be had. What fails again waits for the next slot that is free.
pub(crate) fn offer_landings() {
    if LANDLESS.with(EventSet::is_empty) {
        return;
    }
    LANDLESS.with(|set| {
        set.take(|event| match events::get(event) {
            Event::Channel(channel) => channel.offer_landing(),
            Event::Proxy(proxy) => proxy.offer_landing(),
            Event::Bell(_) | Event::Free | Event::Reserved => {}
        });
    });
}

/// The endpoint of this event has no landing slot.
pub(crate) fn landless(event: u32) {
    LANDLESS.with(|set| set.insert(event));
}

/// A slot is free: there may be somebody who had none.
pub(crate) fn slot_is_free() {
    if !LANDLESS.with(EventSet::is_empty) {
        dispatch::note_task();
    }
}

#[inline(always)]
fn answer_of(outcome: Outcome) -> Option<Option<CapAddr>> {
    match outcome {
        Outcome::None => None,
        Outcome::Reply(capability) => Some(capability),
    }
}

/// What becomes of a packet that nobody is there for.
#[cold]
fn unwanted(capability: Option<CapAddr>) -> Outcome {
    capability.into_iter().for_each(slots::discard);
    Outcome::None
}

/// What a refused send means for the channel.
pub(crate) fn refusal(error: sys::Error) -> SendError {
    match error.kind {
        ErrorKind::Full => SendError::Full,
        ErrorKind::NoLandingSlot => SendError::NoLandingSlot,
        _ if error.argument == 2 => SendError::BadCapability,
        _ => SendError::PeerGone,
    }
}

/// One end of an LMP channel, for RPC. Dropping it closes the channel.
pub struct LmpPort(Arc<Channel>);

impl LmpPort {
    pub(crate) fn new(channel: Arc<Channel>) -> LmpPort {
        LmpPort(channel)
    }

    pub(crate) fn channel(&self) -> &Arc<Channel> {
        &self.0
    }

    /// Delivers packets to a client, for as long as others hold it.
    pub fn attach_client<R: Receiver + 'static>(&self, client: &Arc<R>) {
        let client: Weak<dyn Receiver> = Arc::downgrade(client) as Weak<dyn Receiver>;
        self.0.set_target(Target::Client(client));
    }

    /// Lets calls on this channel wait inside handlers, with all other events put off. Only for services that wait
    /// for nobody (memory).
    pub(crate) fn make_leaf(&self) {
        self.0.leaf.set(true);
    }
}

/// Delivers the packets of `channel` to a server's end, until the peer is gone.
pub(crate) fn attach_server(channel: &Channel, server: Arc<dyn Receiver>) {
    channel.set_target(Target::Server(server));
}

impl Drop for LmpPort {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Port for LmpPort {
    type Thread = ThreadId;
    type Lock<T> = Guarded<T>;

    #[inline]
    fn send(&self, packet: &Packet, capability: Option<CapAddr>) -> Result<(), SendError> {
        self.0.send(packet, capability)
    }

    #[inline]
    fn send_and_park<R: Receiver>(
        &self,
        packet: &Packet,
        capability: Option<CapAddr>,
        receiver: &R,
    ) -> Result<(), SendError> {
        if self.0.leaf.get() {
            // The answer may bring a capability, and the slot for the next one comes out of the reserve.
            let _ = slots::provide();
            self.0.send(packet, capability)?;
            dispatch::park_leaf(&self.0);
            return Ok(());
        }
        dispatch::send_and_park(&self.0, packet, capability, receiver)
    }

    #[inline]
    fn park(&self) {
        if self.0.leaf.get() { dispatch::park_leaf(&self.0) } else { dispatch::park() }
    }

    #[inline]
    fn current(&self) -> ThreadId {
        thread::current()
    }

    #[inline]
    fn unpark(&self, thread: ThreadId) {
        dispatch::unpark(thread);
    }

    fn discard(&self, capability: CapAddr) {
        slots::discard(capability);
    }

    fn spawn(&self, task: Task) {
        crate::executor::spawn_boxed(task);
    }
}
