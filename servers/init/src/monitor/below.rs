//! What the routes need: proxies and capabilities of this domain, and calls of the kernel.

use alloc::boxed::Box;
use alloc::rc::Weak;
use alloc::vec::Vec;

use abi::cap::DOORBELL_BITS;
use abi::layout::KERNEL;
use abi::packet::{HEADER_LOST, Packet};
use abi::syscall::Connection;
use abi::{CapAddr, CapType, Rights};
use ipc::port::SendError;
use routes::{Carried, Class, CoreId, Failed, Kernel as Below, Nonsense, NotBegun, PutError, RecordId, Tag};
use rt::{RtError, slots};
use sys::{Any, Cap, EndPoint, Kernel, Notify};

use super::Inner;

const CORE: Cap<Kernel> = Cap::new(KERNEL);
/// Packets of a proxy's ring; one less can be in it.
const RING_PACKETS: u32 = 4;

/// A slot with a capability. Who has the value owns it.
#[derive(Debug)]
pub(crate) struct Held(pub(crate) CapAddr);

impl Held {
    fn cap<K>(&self) -> Cap<K> {
        Cap::new(self.0)
    }
}

/// Makes a capability in a fresh slot.
fn fresh(make: impl FnOnce(CapAddr) -> sys::Result<()>) -> Result<Held, Failed> {
    let slot = slots::allocate().map_err(|_| Failed)?;
    match make(slot) {
        Ok(()) => Ok(Held(slot)),
        Err(_) => {
            slots::release(slot);
            Err(Failed)
        }
    }
}

/// The proxies, by number, and by event.
pub(crate) struct Proxies {
    monitor: Weak<Inner>,
    proxies: Vec<Option<rt::Proxy>>,
    by_event: Vec<Option<u16>>,
}

impl Proxies {
    pub(crate) fn new(monitor: Weak<Inner>) -> Proxies {
        Proxies { monitor, proxies: Vec::new(), by_event: Vec::new() }
    }

    fn get(&self, proxy: routes::Proxy) -> Option<&rt::Proxy> {
        self.proxies.get(usize::from(proxy.0))?.as_ref()
    }

    /// The proxy with an event.
    fn of_event(&self, event: u32) -> Option<routes::Proxy> {
        self.by_event.get(event as usize).copied().flatten().map(routes::Proxy)
    }

    fn note(&mut self, event: u32, proxy: Option<u16>) {
        let event = event as usize;
        if self.by_event.len() <= event {
            self.by_event.resize(event + 1, None);
        }
        self.by_event[event] = proxy;
    }

    fn endpoint(&self, cap: Cap<EndPoint>) -> Class {
        let Ok(it) = CORE.endpoint_peer(cap) else { return Class::Other };
        let proxy = |event: Option<u32>| event.and_then(|event| self.of_event(event));
        Class::EndPoint { own: proxy(it.own), peer: proxy(it.peer) }
    }
}

impl Below for Proxies {
    type Cap = Held;

    fn take_packet(&mut self, proxy: routes::Proxy) -> Option<(Packet, Option<Held>)> {
        let (packet, landed) = self.get(proxy)?.take()?;
        Some((packet, landed.map(Held)))
    }

    fn put_packet(
        &mut self,
        proxy: routes::Proxy,
        peer: &Held,
        packet: &Packet,
        carried: Carried<&Held>,
    ) -> Result<(), PutError> {
        let Some(proxy) = self.get(proxy) else { return Err(PutError::Gone) };
        let mut packet = *packet;
        let capability = match carried {
            Carried::Cap(held) => Some(held.0),
            Carried::Nothing => None,
            Carried::Lost => {
                packet.header |= HEADER_LOST;
                None
            }
        };
        proxy.put(peer.cap(), &packet, capability).map_err(|error| match error {
            SendError::Full | SendError::NoLandingSlot => PutError::Full,
            SendError::PeerGone => PutError::Gone,
            SendError::BadCapability => PutError::BadCapability,
        })
    }

    fn make_proxy(&mut self, proxy: routes::Proxy) -> Result<(), Failed> {
        let monitor = self.monitor.clone();
        let told = move |event| {
            if let Some(monitor) = monitor.upgrade() {
                monitor.proxy_event(proxy, event);
            }
        };
        let made = rt::Proxy::new(RING_PACKETS, Box::new(told)).map_err(|_| Failed)?;
        self.note(made.event(), Some(proxy.0));
        let index = usize::from(proxy.0);
        if self.proxies.len() <= index {
            self.proxies.resize_with(index + 1, || None);
        }
        self.proxies[index] = Some(made);
        Ok(())
    }

    fn delete_proxy(&mut self, proxy: routes::Proxy) {
        let gone = self.proxies.get_mut(usize::from(proxy.0)).and_then(Option::take);
        if let Some(gone) = gone {
            self.note(gone.event(), None);
        }
    }

    fn sending_copy(&mut self, proxy: routes::Proxy) -> Result<Held, Failed> {
        let copy = self.get(proxy).ok_or(Failed)?.sending_copy().map_err(|_| Failed)?;
        Ok(Held(copy))
    }

    fn is_connected(&self, proxy: routes::Proxy) -> bool {
        let own = self.get(proxy).map(rt::Proxy::capability);
        own.is_some_and(|own| CORE.endpoint_peer(own).is_ok_and(|it| it.connection == Connection::Made))
    }

    fn connect(&mut self, proxy: routes::Proxy, with: &Held) -> Result<(), Failed> {
        self.get(proxy).ok_or(Failed)?.connect(with.cap()).map_err(|_: RtError| Failed)
    }

    fn classify(&self, cap: &Held) -> Class {
        let Ok(identity) = cap.cap::<Any>().identify() else { return Class::Other };
        match identity.kind {
            CapType::EndPoint => self.endpoint(cap.cap()),
            CapType::Notify | CapType::Doorbell => Class::Notify,
            CapType::Ram | CapType::Frame => Class::Memory,
            _ => Class::Other,
        }
    }

    fn copy(&mut self, cap: &Held) -> Result<Held, Failed> {
        fresh(|slot| cap.cap::<Any>().copy_to(slot, Rights::ALL))
    }

    fn discard(&mut self, cap: Held) {
        slots::discard(cap.0);
    }

    /// A doorbell of another core keeps its number, so it need not be rung by way of this core.
    fn export_notify(&mut self, cap: &Held) -> Result<u32, Failed> {
        let identity = cap.cap::<Any>().identify().map_err(|_| Failed)?;
        if identity.kind == CapType::Doorbell {
            return Ok(identity.base as u32);
        }
        let own = self.monitor.upgrade().ok_or(Failed)?.core;
        let bit = CORE.export(cap.cap::<Notify>(), None).map_err(|_| Failed)?;
        Ok(own * DOORBELL_BITS as u32 + bit)
    }

    fn import_notify(&mut self, _core: CoreId, number: u32) -> Result<Held, Failed> {
        let (core, bit) = (number / DOORBELL_BITS as u32, number % DOORBELL_BITS as u32);
        fresh(|slot| CORE.make_doorbell(core, bit, slot))
    }

    fn begin_transfer(&mut self, _: CoreId, cap: Held, _: Tag, _: RecordId) -> Result<(), NotBegun<Held>> {
        Err(NotBegun::Never(cap))
    }

    fn serve(&mut self, _from: CoreId, service: u64, domain: u64, endpoint: Held) -> Result<(), Failed> {
        let monitor = self.monitor.upgrade();
        match monitor.and_then(|monitor| monitor.service(service)) {
            Some(service) => {
                service(domain, endpoint);
                Ok(())
            }
            None => {
                slots::discard(endpoint.0);
                Err(Failed)
            }
        }
    }

    fn opened(&mut self, token: u64, endpoint: Option<Held>) {
        match self.monitor.upgrade() {
            Some(monitor) => monitor.opened(token, endpoint),
            None => endpoint.into_iter().for_each(|cap| slots::discard(cap.0)),
        }
    }

    fn report(&mut self, from: CoreId, nonsense: Nonsense) {
        barreldish::println!("monitor: core {} has sent what makes no sense: {nonsense:?}", from.0);
    }
}
