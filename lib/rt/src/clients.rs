//! Being a service: taking clients, as many as each may be, and knowing them.

use alloc::rc::Rc;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Poll, Waker};

use abi::CapAddr;
use abi::domain::{core_of, is_program};
use interfaces::{ChannelInfo, ChannelKind, Service, ServiceError, ServiceServer, instance_name};
use ipc::{Caller, Capability, Traffic};
use sys::{Cap, EndPoint};

use crate::channel::{Channel, LmpPort, attach_server};
use crate::error::RtError;
use crate::frame::{RINGS_OFFSET, ring_bytes};
use crate::local::local;
use crate::names::{RING_PACKETS, connect_error, names, new_port};
use crate::owned::OwnedCap;
use crate::{executor, slots, start};

/// Most channels that a program may have to this domain; parts of the system have as many as they want.
const MOST_CHANNELS: usize = 16;

/// Channels that are kept for programs that have none yet: as many as there can be programs.
const FIRST_CHANNELS: usize = 200;

/// Whether a program that has `own` of the `open` channels may have another, if there is room for `capacity` of them: the
/// first in any case, further ones as long as it takes no more than a quarter of what is left to all.
const fn may_open(own: usize, open: usize, capacity: usize) -> bool {
    let shared = capacity.saturating_sub(open + FIRST_CHANNELS) / 4;
    own == 0 || own < if shared < MOST_CHANNELS { shared } else { MOST_CHANNELS }
}

/// A channel to a client.
struct Connection {
    caller: Caller,
    clients: Clients,
    channel: Weak<Channel>,
}

local! {
    /// The last number of a channel that was accepted.
    static CHANNELS: Cell<u64> = Cell::new(0);
}

local! {
    /// The channels to clients, by their numbers.
    static CLIENTS: RefCell<Vec<Connection>> = RefCell::new(Vec::new());
}

local! {
    /// The last number of a service of this domain.
    static SERVICES: Cell<u64> = Cell::new(0);
}

/// Delivers the packets of `port` to a new end of `service`.
pub(crate) fn open<S: ipc::Service>(port: LmpPort, domain: u64, clients: Clients, service: S) {
    let channel = port.channel().clone();
    let number = CHANNELS.with(|channels| channels.replace(channels.get() + 1)) + 1;
    let caller = Caller { channel: number, domain };
    let connection = Connection { caller, clients, channel: Arc::downgrade(&channel) };
    CLIENTS.with(|all| all.borrow_mut().push(connection));
    attach_server(&channel, ipc::serve(port, caller, service));
}

/// Whether `domain` may have another channel to this one.
fn admit(domain: u64) -> Result<(), RtError> {
    let capacity = start::info().map_or(usize::MAX, |info| {
        let room = u64::from(info.frame_size).saturating_sub(RINGS_OFFSET);
        (room / ring_bytes(RING_PACKETS[0])) as usize
    });
    let (own, open) = CLIENTS.with(|clients| {
        let mut clients = clients.borrow_mut();
        clients.retain(|it| it.channel.strong_count() > 0);
        // Whoever closes a channel and asks for another may be here before its end has been looked at.
        let is_open = |it: &Connection| it.channel.upgrade().is_some_and(|channel| !channel.is_left());
        let own = clients.iter().filter(|it| it.caller.domain == domain && is_open(it));
        (own.count(), clients.len())
    });
    if !is_program(domain) || may_open(own, open, capacity) { Ok(()) } else { Err(RtError::Refused) }
}

/// Makes a channel to a client whose endpoint came by other ways than the name service (a server of names does that).
/// The answer is a copy of the new own endpoint, for the client to send to.
///
/// # Errors
/// `Refused` if a program has as many channels as it may have; `NoEvent`, `NoRing`, `OutOfMemory`, and those of the
/// kernel when the endpoint cannot be connected.
pub fn accept<S: ipc::Service>(
    domain: u64,
    endpoint: CapAddr,
    service: S,
) -> Result<OwnedCap<EndPoint>, RtError> {
    Clients::new().accept(domain, endpoint, service)
}

/// The clients of one service of this domain, wherever they come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clients(u64);

impl Clients {
    /// Nobody yet.
    #[expect(clippy::new_without_default, reason = "each is another")]
    pub fn new() -> Clients {
        Clients(SERVICES.with(|services| services.replace(services.get() + 1)) + 1)
    }

    /// As [`accept`]; from now on this client is one of them.
    ///
    /// # Errors
    /// As [`accept`].
    pub fn accept<S: ipc::Service>(
        self,
        domain: u64,
        endpoint: CapAddr,
        service: S,
    ) -> Result<OwnedCap<EndPoint>, RtError> {
        let peer = OwnedCap::<EndPoint>::new(endpoint);
        admit(domain)?;
        let port = new_port()?;
        port.channel().own().connect(peer.cap())?;
        let copy = OwnedCap::new(port.channel().sending_copy()?);
        port.channel().set_peer(peer.into_cap());
        open(port, domain, self, service);
        Ok(copy)
    }

    /// Their channels, by number, and what has gone over each.
    pub fn channels(self) -> Vec<ChannelInfo> {
        let here = own_core();
        CLIENTS.with(|all| {
            let all = all.borrow();
            let own = all.iter().filter(|it| it.clients == self);
            own.filter_map(|it| Some(info(it.caller, it.channel.upgrade()?.traffic()?, here))).collect()
        })
    }
}

/// What is told of a channel to a client, by a domain on core `here`.
fn info(Caller { channel, domain }: Caller, traffic: Traffic, here: u32) -> ChannelInfo {
    ChannelInfo {
        number: channel,
        kind: if core_of(domain) == here { ChannelKind::Lmp } else { ChannelKind::Routed },
        client: domain,
        received: traffic.received.messages,
        received_bytes: traffic.received.bytes,
        sent: traffic.sent.messages,
        sent_bytes: traffic.sent.bytes,
        in_flight: traffic.in_flight,
    }
}

/// Opens once: what must not be answered before it can be.
#[derive(Default)]
struct Gate {
    open: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Gate {
    fn open(&self) {
        self.open.set(true);
        self.waiting.take().into_iter().for_each(Waker::wake);
    }
    async fn pass(&self) {
        poll_fn(|context| {
            if self.open.get() {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Takes clients for a service, and tells who they are: what servers of [`Service`] are made of.
#[derive(Clone)]
pub struct Acceptor<S> {
    service: S,
    clients: Clients,
    admits: fn(u64) -> bool,
}

impl<S: ipc::Service> Acceptor<S> {
    /// Takes any domain, as one of `clients`.
    pub fn new(clients: Clients, service: S) -> Acceptor<S> {
        Acceptor { service, clients, admits: |_| true }
    }

    /// Takes those domains alone that it `admits`.
    pub fn admitting(self, admits: fn(u64) -> bool) -> Acceptor<S> {
        Acceptor { admits, ..self }
    }

    /// As [`serve`] of its service: clients that come by this name are like all others.
    ///
    /// # Errors
    /// As [`serve`].
    pub fn serve(&self, name: &str) -> Result<(), RtError> {
        let names = names()?;
        let offered =
            executor::block_on(offer(self.clone(), async |own| names.register_async(name, own).await));
        let offer = offered.map_err(|error| match error {
            OfferError::Runtime(error) => error,
            OfferError::Refused(error) => connect_error(error),
        })?;
        // For as long as this domain lives.
        core::mem::forget(offer);
        crate::console::serving();
        Ok(())
    }
}

/// A [`Service`] that a name service knows by its endpoint. Dropping it closes the channel to that.
pub struct Offer(Arc<Channel>);

impl Drop for Offer {
    fn drop(&mut self) {
        self.0.release_server();
    }
}

/// Why a service was not offered.
pub enum OfferError<E> {
    /// There is no channel for it.
    Runtime(RtError),
    /// Whoever was to register it has not.
    Refused(E),
}

/// Makes an endpoint where `service` is served, and has it registered: `register` gets a copy to send to, and answers with its
/// peer.
///
/// # Errors
/// [`OfferError`].
pub async fn offer<S: Service, E>(
    service: S,
    register: impl AsyncFnOnce(Capability) -> Result<Capability, E>,
) -> Result<Offer, OfferError<E>> {
    let port = new_port().map_err(OfferError::Runtime)?;
    let channel = port.channel().clone();
    let own = Capability::give(channel.sending_copy().map_err(OfferError::Runtime)?);
    let gate = Rc::new(Gate::default());
    open(port, 0, Clients::new(), ServiceServer::new(Gated { service, registered: gate.clone() }));
    // Closes the channel unless it is kept.
    let offer = Offer(channel);
    let peer = register(own).await.map_err(OfferError::Refused)?;
    offer.0.set_peer(Cap::new(peer.address()));
    gate.open();
    Ok(offer)
}

/// A service that answers when it is known where to.
struct Gated<S> {
    service: S,
    registered: Rc<Gate>,
}

impl<S: Service> Service for Gated<S> {
    async fn accept(
        &self,
        caller: &Caller,
        domain: u64,
        endpoint: Capability,
    ) -> Result<Capability, ServiceError> {
        self.registered.pass().await;
        self.service.accept(caller, domain, endpoint).await
    }

    async fn channels(&self, caller: &Caller) -> Result<Vec<ChannelInfo>, ServiceError> {
        self.registered.pass().await;
        self.service.channels(caller).await
    }
}

impl<S: ipc::Service> Service for Acceptor<S> {
    async fn accept(
        &self,
        _caller: &Caller,
        domain: u64,
        endpoint: Capability,
    ) -> Result<Capability, ServiceError> {
        if !(self.admits)(domain) {
            slots::discard(endpoint.address());
            return Err(ServiceError::Refused);
        }
        match self.clients.accept(domain, endpoint.address(), self.service.clone()) {
            Ok(copy) => Ok(Capability::give(copy.into_cap().address())),
            Err(RtError::Kernel(_)) => Err(ServiceError::BadEndpoint),
            Err(RtError::Refused) => Err(ServiceError::TooMany),
            Err(_) => Err(ServiceError::Exhausted),
        }
    }

    async fn channels(&self, _caller: &Caller) -> Result<Vec<ChannelInfo>, ServiceError> {
        Ok(self.clients.channels())
    }
}

/// Offers `service` (an interface's `NameServer`) under a name, for as long as this domain lives. Clients are served whenever
/// the thread is parked: in a blocking call, [`crate::block_on`] or [`crate::run`].
///
/// # Errors
/// `NameTaken`, `NotAvailable`, `NoEvent`, `NoRing`, `Call`.
pub fn serve<S: ipc::Service>(name: &str, service: S) -> Result<(), RtError> {
    Acceptor::new(Clients::new(), service).serve(name)
}

/// As [`serve`], as the instance of this core: found as `name` by all domains on it. For parts of the system.
///
/// # Errors
/// As [`serve`].
pub fn serve_on_core<S: ipc::Service>(name: &str, service: S) -> Result<(), RtError> {
    serve(&instance_name(name, own_core()), service)
}

/// The core of this domain.
fn own_core() -> u32 {
    start::info().map_or(0, |info| core_of(info.domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_program_takes_all_channels_and_each_gets_one() {
        let capacity = 448;
        let mut open = 0;
        let mut take = |domain: usize| {
            let own = (0..).take_while(|&own| may_open(own, open + own, capacity)).take(20).count();
            open += own;
            assert!((1..=MOST_CHANNELS).contains(&own), "domain {domain}: {own}");
            own
        };
        let taken: Vec<usize> = (0..FIRST_CHANNELS).map(&mut take).collect();
        assert_eq!((taken[0], taken[FIRST_CHANNELS - 1]), (MOST_CHANNELS, 1));
        assert!(taken.iter().sum::<usize>() <= capacity);
    }
}
