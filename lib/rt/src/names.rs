//! Services: finding them by name; being one is re-exported from the module `clients`.
//!
//! Every domain but the name service itself has a channel to that from birth; all others are made through it. The
//! memory service is connected as soon as that channel is used for the first time, so that the heap can grow from
//! then on wherever the domain happens to be.

use alloc::sync::Arc;
use core::cell::{Cell, RefCell};

use abi::CapAddr;
use abi::layout::{NAMES_OWN, NAMES_PEER};
use interfaces::{MemoryClient, MemoryError, NamesClient, NamesError};
use ipc::{Capability, Client, Stub};
use sys::{Any, Cap, EndPoint};

use crate::channel::{self, Channel, LmpPort};
use crate::clients::open;
pub use crate::clients::{Acceptor, Clients, Offer, OfferError, accept, offer, serve, serve_on_core};
use crate::error::RtError;
use crate::heap::reserve_only;
use crate::local::local;
use crate::owned::OwnedCap;
use crate::start::{NAMES_RING, NAMES_RING_PACKETS};
use crate::{critical, dispatch, executor, memory};

/// Name of the memory service.
pub const MEMORY: &str = "mem";
/// Event index of the channel to the name service.
const NAMES_EVENT: u32 = 0;
/// Packets of a new ring: the first that there is room for.
pub(crate) const RING_PACKETS: [u32; 3] = [8, 4, 2];

struct Known {
    names: Option<Arc<NamesClient<LmpPort>>>,
    memory: Option<Arc<MemoryClient<LmpPort>>>,
}

local! {
    static KNOWN: RefCell<Known> = RefCell::new(Known { names: None, memory: None });
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
pub(crate) fn new_port() -> Result<LmpPort, RtError> {
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
    open(adopt(event, own, peer)?, domain, Clients::new(), service);
    Ok(())
}

fn adopt(event: u32, own: CapAddr, peer: CapAddr) -> Result<LmpPort, RtError> {
    let channel = Channel::adopt(event, Cap::new(own), RING_PACKETS[0])?;
    channel.set_peer(Cap::new(peer));
    Ok(LmpPort::new(channel))
}

pub(crate) fn connect_error(error: NamesError) -> RtError {
    match error {
        NamesError::NotFound | NamesError::BadName => RtError::NoService,
        NamesError::Taken => RtError::NameTaken,
        NamesError::BadEndpoint
        | NamesError::Reserved
        | NamesError::Silent
        | NamesError::Refused
        | NamesError::ServiceGone
        | NamesError::TooMany
        | NamesError::Exhausted => RtError::Refused,
        NamesError::Call(error) => RtError::Call(error),
    }
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
