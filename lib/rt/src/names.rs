//! Services: finding them by name, and being one.
//!
//! Every domain but the name service itself has a channel to that from birth; all others are made through it. The
//! memory service is connected as soon as that channel is used for the first time, so that the heap can grow from
//! then on wherever the domain happens to be.

use alloc::rc::Rc;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Poll, Waker};

use abi::CapAddr;
use abi::layout::{NAMES_OWN, NAMES_PEER};
use interfaces::{MemoryClient, MemoryError, NamesClient, NamesError, Service, ServiceError, ServiceServer};
use ipc::{Caller, Capability, Client, Stub};
use sys::{Any, Cap, EndPoint};

use crate::channel::{self, Channel, LmpPort, attach_server};
use crate::error::RtError;
use crate::frame::{RINGS_OFFSET, ring_bytes};
use crate::heap::reserve_only;
use crate::local::local;
use crate::owned::OwnedCap;
use crate::start::{NAMES_RING, NAMES_RING_PACKETS};
use crate::{critical, dispatch, executor, memory, start};

/// Name of the memory service.
pub const MEMORY: &str = "mem";
/// Event index of the channel to the name service.
const NAMES_EVENT: u32 = 0;
/// Packets of a new ring: the first that there is room for.
const RING_PACKETS: [u32; 3] = [8, 4, 2];

/// The first number of a domain that is a program; those below are parts of the system, which have as many channels as they
/// want.
const FIRST_PROGRAM: u64 = 16;
/// Most channels that a program may have to this domain.
const MOST_CHANNELS: usize = 16;
/// Channels that are kept for programs that have none yet: as many as there can be programs.
const FIRST_CHANNELS: usize = 200;

/// Whether a program that has `own` of the `open` channels may have another, if there is room for `capacity` of them: the
/// first in any case, further ones as long as it takes no more than a quarter of what is left to all.
const fn may_open(own: usize, open: usize, capacity: usize) -> bool {
    let shared = capacity.saturating_sub(open + FIRST_CHANNELS) / 4;
    own == 0 || own < if shared < MOST_CHANNELS { shared } else { MOST_CHANNELS }
}

struct Known {
    names: Option<Arc<NamesClient<LmpPort>>>,
    memory: Option<Arc<MemoryClient<LmpPort>>>,
}

local! {
    static KNOWN: RefCell<Known> = RefCell::new(Known { names: None, memory: None });
}
local! {
    /// The last number of a channel that was accepted.
    static CHANNELS: Cell<u64> = Cell::new(0);
}
local! {
    /// The channels to clients, by the domain at the other end.
    static CLIENTS: RefCell<Vec<(u64, Weak<Channel>)>> = RefCell::new(Vec::new());
}
local! {
    /// The connection to the memory service is being made.
    static CONNECTING: Cell<bool> = Cell::new(false);
}

/// The stub of a client over `port`, with its packets delivered to it.
fn client<C: Stub<LmpPort>>(port: LmpPort) -> C {
    let client = Arc::new(Client::new(port, C::INTERFACE, C::LIMIT));
    client.port().attach_client(&client);
    C::over(client)
}

/// A new endpoint with the largest ring that there is room for.
fn new_port() -> Result<LmpPort, RtError> {
    let mut error = RtError::NoRing;
    for packets in RING_PACKETS {
        match Channel::create(packets) {
            Err(RtError::NoRing) => error = RtError::NoRing,
            made => return made.map(LmpPort::new),
        }
    }
    Err(error)
}

/// The name service.
///
/// # Errors
/// `NotAvailable` in a domain without a channel to it.
pub fn names() -> Result<Arc<NamesClient<LmpPort>>, RtError> {
    if let Some(names) = KNOWN.with(|known| known.borrow().names.clone()) {
        return Ok(names);
    }
    for end in [NAMES_OWN, NAMES_PEER] {
        Cap::<Any>::new(end).identify().map_err(|_| RtError::NotAvailable)?;
    }
    let channel = Channel::with_ring(NAMES_EVENT, Cap::new(NAMES_OWN), NAMES_RING_PACKETS, NAMES_RING)?;
    channel.set_peer(Cap::new(NAMES_PEER));
    let names = Arc::new(client::<NamesClient<LmpPort>>(LmpPort::new(channel)));
    KNOWN.with(|known| known.borrow_mut().names = Some(names.clone()));
    // Without a memory service there is what the builder gave; growing tries again.
    provide_memory();
    Ok(names)
}

/// Whether the memory service is connected, or will never be.
pub(crate) fn has_memory() -> bool {
    !memory::asks() || KNOWN.with(|known| known.borrow().memory.is_some())
}

/// Connects to the memory service, if that is not done and can be done here.
pub(crate) fn provide_memory() {
    if memory::asks() && KNOWN.with(|known| known.borrow().memory.is_none()) {
        let _ = connect_memory();
    }
}

/// Whether this domain has used the name service: then services can be reached.
pub(crate) fn available() -> bool {
    KNOWN.with(|known| known.borrow().names.is_some())
}

/// Connects to the service `name`, from a task or handler.
///
/// # Errors
/// `NoService`, `Refused`, `NoEvent` or `NoRing` when this domain has too many channels, `Call`.
pub async fn connect_async<C: Stub<LmpPort>>(name: &str) -> Result<C, RtError> {
    let names = names()?;
    let port = new_port()?;
    let own = Capability::give(port.channel().sending_copy()?);
    let peer = names.connect_async(name, own).await.map_err(connect_error)?;
    port.channel().set_peer(Cap::new(peer.address()));
    Ok(client(port))
}

/// Connects to the service `name`.
///
/// # Errors
/// As [`connect_async`].
///
/// # Panics
/// In a handler or task (invariant M2).
pub fn connect<C: Stub<LmpPort>>(name: &str) -> Result<C, RtError> {
    executor::block_on(connect_async(name))
}

/// Waits until a service of this name is there, then connects to it.
///
/// # Errors
/// As [`connect_async`].
pub async fn connect_when_there<C: Stub<LmpPort>>(name: &str) -> Result<C, RtError> {
    names()?.wait_for_async(name).await.map_err(connect_error)?;
    connect_async(name).await
}

/// A client over an own endpoint and a peer's that the builder handed over and connected. The channel owns both.
///
/// # Errors
/// `NoRing`, and those of the kernel.
pub fn adopt_client<C: Stub<LmpPort>>(event: u32, own: CapAddr, peer: CapAddr) -> Result<C, RtError> {
    Ok(client(adopt(event, own, peer)?))
}

/// A server's end over an own endpoint (with this event index) and a peer's that were handed over and connected.
///
/// # Errors
/// `NoRing`, and those of the kernel.
pub fn adopt_server<S: ipc::Service>(
    event: u32,
    own: CapAddr,
    peer: CapAddr,
    domain: u64,
    service: S,
) -> Result<(), RtError> {
    open(adopt(event, own, peer)?, domain, service);
    Ok(())
}

fn adopt(event: u32, own: CapAddr, peer: CapAddr) -> Result<LmpPort, RtError> {
    let channel = Channel::adopt(event, Cap::new(own), RING_PACKETS[0])?;
    channel.set_peer(Cap::new(peer));
    Ok(LmpPort::new(channel))
}

/// Delivers the packets of `port` to a new end of `service`.
fn open<S: ipc::Service>(port: LmpPort, domain: u64, service: S) {
    let channel = port.channel().clone();
    CLIENTS.with(|clients| clients.borrow_mut().push((domain, Arc::downgrade(&channel))));
    let number = CHANNELS.with(|channels| channels.replace(channels.get() + 1)) + 1;
    attach_server(&channel, ipc::serve(port, Caller { channel: number, domain }, service));
}

/// Whether `domain` may have another channel to this one.
fn admit(domain: u64) -> Result<(), RtError> {
    let capacity = start::info().map_or(usize::MAX, |info| {
        let room = u64::from(info.frame_size).saturating_sub(RINGS_OFFSET);
        (room / ring_bytes(RING_PACKETS[0])) as usize
    });
    let (own, open) = CLIENTS.with(|clients| {
        let mut clients = clients.borrow_mut();
        clients.retain(|(_, channel)| channel.strong_count() > 0);
        (clients.iter().filter(|(other, _)| *other == domain).count(), clients.len())
    });
    if domain < FIRST_PROGRAM || may_open(own, open, capacity) { Ok(()) } else { Err(RtError::Refused) }
}

fn connect_error(error: NamesError) -> RtError {
    match error {
        NamesError::NotFound | NamesError::BadName => RtError::NoService,
        NamesError::Taken => RtError::NameTaken,
        NamesError::BadEndpoint
        | NamesError::Refused
        | NamesError::ServiceGone
        | NamesError::TooMany
        | NamesError::Exhausted => RtError::Refused,
        NamesError::Call(error) => RtError::Call(error),
    }
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
    let peer = OwnedCap::<EndPoint>::new(endpoint);
    admit(domain)?;
    let port = new_port()?;
    port.channel().own().connect(peer.cap())?;
    let copy = OwnedCap::new(port.channel().sending_copy()?);
    port.channel().set_peer(peer.into_cap());
    open(port, domain, service);
    Ok(copy)
}

/// Makes a channel, of which this domain is the client, to a server whose endpoint came by other ways than the name
/// service: (client, copy of the own endpoint for the server to send to).
///
/// # Errors
/// As [`accept`].
pub fn attach<C: Stub<LmpPort>>(endpoint: CapAddr) -> Result<(C, OwnedCap<EndPoint>), RtError> {
    let peer = OwnedCap::<EndPoint>::new(endpoint);
    let port = new_port()?;
    port.channel().own().connect(peer.cap())?;
    let copy = OwnedCap::new(port.channel().sending_copy()?);
    port.channel().set_peer(peer.into_cap());
    Ok((client(port), copy))
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

/// Takes clients for a service.
struct Acceptor<S> {
    service: S,
    registered: Rc<Gate>,
}

impl<S: ipc::Service> Service for Acceptor<S> {
    async fn accept(
        &self,
        _caller: &Caller,
        domain: u64,
        endpoint: Capability,
    ) -> Result<Capability, ServiceError> {
        // The name service may ask before it is known where the answer goes.
        self.registered.pass().await;
        match accept(domain, endpoint.address(), self.service.clone()) {
            Ok(copy) => Ok(Capability::give(copy.into_cap().address())),
            Err(RtError::Kernel(_)) => Err(ServiceError::BadEndpoint),
            Err(RtError::Refused) => Err(ServiceError::TooMany),
            Err(_) => Err(ServiceError::Exhausted),
        }
    }
}

/// Offers `service` (an interface's `NameServer`) under a name, for as long as this domain lives. Clients are served whenever
/// the thread is parked: in a blocking call, [`crate::block_on`] or [`crate::run`].
///
/// # Errors
/// `NameTaken`, `NotAvailable`, `NoEvent`, `NoRing`, `Call`.
pub fn serve<S: ipc::Service>(name: &str, service: S) -> Result<(), RtError> {
    let names = names()?;
    let port = new_port()?;
    let channel = port.channel().clone();
    let own = Capability::give(channel.sending_copy()?);
    let registered = Rc::new(Gate::default());
    open(port, 0, ServiceServer::new(Acceptor { service, registered: registered.clone() }));
    let answer = executor::block_on(names.register_async(name, own));
    match answer {
        Ok(peer) => {
            channel.set_peer(Cap::new(peer.address()));
            registered.open();
            crate::console::serving();
            Ok(())
        }
        Err(error) => {
            channel.release_server();
            Err(connect_error(error))
        }
    }
}

/// The memory service, for those who want to know how it is doing.
///
/// # Errors
/// `NotAvailable` when it cannot be reached.
pub fn memory_service() -> Result<Arc<MemoryClient<LmpPort>>, RtError> {
    if KNOWN.with(|known| known.borrow().memory.is_none()) {
        connect_memory()?;
    }
    KNOWN.with(|known| known.borrow().memory.clone()).ok_or(RtError::NotAvailable)
}

/// Uses `client` as the memory service from now on: for those to whom it was handed over.
pub fn set_memory_service(client: MemoryClient<LmpPort>) {
    client.client().port().make_leaf();
    KNOWN.with(|known| known.borrow_mut().memory = Some(Arc::new(client)));
}

fn connect_memory() -> Result<(), RtError> {
    // It waits, and may do so neither in a handler nor in a critical section.
    if dispatch::in_handler() || critical::inside() || CONNECTING.with(|flag| flag.replace(true)) {
        return Err(RtError::NotAvailable);
    }
    let connected = reserve_only(|| connect::<MemoryClient<LmpPort>>(MEMORY));
    CONNECTING.with(|flag| flag.set(false));
    set_memory_service(connected?);
    Ok(())
}

/// An allocation of the memory service.
pub(crate) fn ask_memory(bytes: u64, align: u64) -> Result<CapAddr, RtError> {
    // The loop, which would do it otherwise, does not run while the answer is waited for.
    channel::offer_landings();
    match memory_service()?.allocate(bytes, align) {
        Ok(ram) => Ok(ram.address()),
        Err(MemoryError::Call(error)) => Err(RtError::Call(error)),
        Err(
            MemoryError::OutOfMemory
            | MemoryError::OverQuota
            | MemoryError::Exhausted
            | MemoryError::BadSize
            | MemoryError::BadAlignment
            | MemoryError::NotManaged
            | MemoryError::NotAllocated
            | MemoryError::NotYours
            | MemoryError::BeyondAllocation
            | MemoryError::InUse,
        ) => Err(RtError::OutOfMemory),
    }
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
