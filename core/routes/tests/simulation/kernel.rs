//! The kernel of a core, as naive as can be: endpoints, capabilities that are counted, rings with an end, and failures on purpose.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use abi::packet::Packet;
use routes::{Carried, Class, CoreId, Failed, Kernel, Nonsense, NotBegun, Proxy, PutError, RecordId, Tag};

/// In a packet's header: its capability was lost. It travels on by itself.
pub(crate) const LOST: u64 = 0x80 << 24;
/// Transfers of memory that a core may have under way.
const TRANSFERS: usize = 2;

pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        n > 0 && self.below(n) == 0
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    EndPoint(u64),
    Notify(u32),
    Imported(CoreId, u32),
    Memory(u64),
    Other,
}

/// A capability in one slot. It has to be handed to [`SimKernel::drop_cap`].
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Cap {
    pub(crate) id: u64,
    pub(crate) what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    Monitor(Proxy),
    Domain(u64),
}

#[derive(Debug)]
pub(crate) struct EndPoint {
    pub(crate) owner: Owner,
    pub(crate) alive: bool,
    pub(crate) peer: Option<u64>,
    pub(crate) peer_gone: bool,
    pub(crate) ring: VecDeque<(Packet, Option<Cap>)>,
    /// Capabilities that send to it.
    senders: usize,
    /// Somebody was refused.
    blocked: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    Ready(Proxy),
    Writable(Proxy),
    PeerGone(Proxy),
    NoSenders(Proxy),
    Connected(Proxy),
}

impl Event {
    pub(crate) fn proxy(self) -> Proxy {
        let (Event::Ready(it)
        | Event::Writable(it)
        | Event::PeerGone(it)
        | Event::NoSenders(it)
        | Event::Connected(it)) = self;
        it
    }
}

pub(crate) struct Transfer {
    pub(crate) to: CoreId,
    pub(crate) memory: u64,
    pub(crate) tag: Tag,
    pub(crate) record: RecordId,
    pub(crate) delivered: Option<bool>,
}

pub(crate) struct SimKernel {
    pub(crate) core: CoreId,
    pub(crate) rng: Rng,
    /// One call in so many fails; 0: none.
    pub(crate) fail: usize,
    pub(crate) ring: usize,
    pub(crate) endpoints: BTreeMap<u64, EndPoint>,
    proxies: BTreeMap<Proxy, u64>,
    /// The monitor's capabilities.
    pub(crate) slots: BTreeSet<u64>,
    pub(crate) events: Vec<Event>,
    pub(crate) transfers: Vec<Transfer>,
    pub(crate) served: VecDeque<(u64, Cap)>,
    pub(crate) opened: Vec<(u64, Option<Cap>)>,
    /// Doorbells with a bit, and the domain whose they are.
    pub(crate) bits: BTreeMap<u32, u64>,
    pub(crate) reports: Vec<(CoreId, Nonsense)>,
    /// Endpoints that may end without their peer's doing, because making a capability failed.
    pub(crate) excused: BTreeSet<u64>,
    counter: u64,
}

impl SimKernel {
    pub(crate) fn new(core: CoreId, seed: u64, fail: usize, ring: usize) -> SimKernel {
        SimKernel {
            core,
            rng: Rng(seed ^ u64::from(core.0) << 40),
            fail,
            ring,
            endpoints: BTreeMap::new(),
            proxies: BTreeMap::new(),
            slots: BTreeSet::new(),
            events: vec![],
            transfers: vec![],
            served: VecDeque::new(),
            opened: vec![],
            bits: BTreeMap::new(),
            reports: vec![],
            excused: BTreeSet::new(),
            counter: 0,
        }
    }

    fn number(&mut self) -> u64 {
        self.counter += 1;
        u64::from(self.core.0 + 1) << 32 | self.counter
    }

    fn fails(&mut self) -> bool {
        let one_in = self.fail;
        self.rng.one_in(one_in)
    }

    fn post(&mut self, event: Event) {
        if !self.events.contains(&event) {
            self.events.push(event);
        }
    }

    pub(crate) fn endpoint(&self, id: u64) -> &EndPoint {
        &self.endpoints[&id]
    }

    fn endpoint_mut(&mut self, id: u64) -> &mut EndPoint {
        self.endpoints.get_mut(&id).expect("endpoints stay known")
    }

    pub(crate) fn make_endpoint(&mut self, owner: Owner) -> u64 {
        let id = self.number();
        let endpoint = EndPoint {
            owner,
            alive: true,
            peer: None,
            peer_gone: false,
            ring: VecDeque::new(),
            senders: 0,
            blocked: false,
        };
        self.endpoints.insert(id, endpoint);
        id
    }

    pub(crate) fn make_cap(&mut self, what: What) -> Cap {
        if let What::EndPoint(id) = what {
            self.endpoint_mut(id).senders += 1;
        }
        Cap { id: self.number(), what }
    }

    pub(crate) fn drop_cap(&mut self, cap: Cap) {
        if let What::EndPoint(id) = cap.what {
            let endpoint = self.endpoint_mut(id);
            endpoint.senders -= 1;
            if let (0, true, Owner::Monitor(proxy)) = (endpoint.senders, endpoint.alive, endpoint.owner) {
                self.post(Event::NoSenders(proxy));
            }
        }
    }

    pub(crate) fn delete_endpoint(&mut self, id: u64) {
        let endpoint = self.endpoint_mut(id);
        assert!(endpoint.alive, "an endpoint is deleted once");
        endpoint.alive = false;
        let (peer, ring) = (endpoint.peer.take(), std::mem::take(&mut endpoint.ring));
        if let Owner::Monitor(proxy) = endpoint.owner {
            self.proxies.remove(&proxy);
            self.events.retain(|event| event.proxy() != proxy);
        }
        ring.into_iter().filter_map(|(_, cap)| cap).for_each(|cap| self.drop_cap(cap));
        if let Some(peer) = peer {
            let other = self.endpoint_mut(peer);
            (other.peer, other.peer_gone) = (None, true);
            if let Owner::Monitor(proxy) = other.owner {
                self.post(Event::PeerGone(proxy));
            }
        }
    }

    pub(crate) fn connect_endpoints(&mut self, a: u64, b: u64) -> Result<(), Failed> {
        let free = |it: &EndPoint| it.alive && it.peer.is_none() && !it.peer_gone;
        if a == b || !free(self.endpoint(a)) || !free(self.endpoint(b)) {
            return Err(Failed);
        }
        for (one, other) in [(a, b), (b, a)] {
            self.endpoint_mut(one).peer = Some(other);
            if let Owner::Monitor(proxy) = self.endpoint(one).owner {
                self.post(Event::Connected(proxy));
            }
        }
        Ok(())
    }

    /// Puts a packet with a copy of the capability.
    pub(crate) fn send(&mut self, to: &Cap, packet: &Packet, cap: Option<&Cap>) -> Result<(), PutError> {
        let What::EndPoint(id) = to.what else { panic!("only endpoints are sent to") };
        if !self.endpoint(id).alive {
            return Err(PutError::Gone);
        }
        // Now and then there is no landing slot: as a full ring, until something is taken out.
        let landless = cap.is_some() && !self.endpoint(id).ring.is_empty() && self.rng.one_in(4);
        if landless || self.endpoint(id).ring.len() >= self.ring {
            self.endpoint_mut(id).blocked = true;
            return Err(PutError::Full);
        }
        let cap = match cap {
            Some(cap) if self.is_dead(cap) => return Err(PutError::BadCapability),
            cap => cap.map(|cap| self.make_cap(cap.what)),
        };
        self.endpoint_mut(id).ring.push_back((*packet, cap));
        if let Owner::Monitor(proxy) = self.endpoint(id).owner {
            self.post(Event::Ready(proxy));
        }
        Ok(())
    }

    pub(crate) fn take_from(&mut self, id: u64) -> Option<(Packet, Option<Cap>)> {
        let endpoint = self.endpoint_mut(id);
        let taken = endpoint.ring.pop_front()?;
        if std::mem::take(&mut endpoint.blocked)
            && let Some(peer) = endpoint.peer
            && let Owner::Monitor(proxy) = self.endpoint(peer).owner
        {
            self.post(Event::Writable(proxy));
        }
        Some(taken)
    }

    pub(crate) fn is_dead(&self, cap: &Cap) -> bool {
        matches!(cap.what, What::EndPoint(id) if !self.endpoint(id).alive)
    }

    /// Makes a capability the monitor's.
    pub(crate) fn own(&mut self, cap: Cap) -> Cap {
        assert!(self.slots.insert(cap.id), "a slot holds one capability");
        cap
    }

    /// Takes a capability from the monitor.
    pub(crate) fn disown(&mut self, cap: Cap) -> Cap {
        assert!(self.slots.remove(&cap.id), "the monitor has what it gives away");
        cap
    }

    fn proxy(&self, id: Option<u64>) -> Option<Proxy> {
        match self.endpoint(id?).owner {
            Owner::Monitor(proxy) => Some(proxy),
            Owner::Domain(_) => None,
        }
    }

    pub(crate) fn proxies(&self) -> usize {
        self.proxies.len()
    }
}

impl Kernel for SimKernel {
    type Cap = Cap;

    fn take_packet(&mut self, proxy: Proxy) -> Option<(Packet, Option<Cap>)> {
        let (packet, cap) = self.take_from(self.proxies[&proxy])?;
        Some((packet, cap.map(|cap| self.own(cap))))
    }

    fn put_packet(
        &mut self,
        proxy: Proxy,
        peer: &Cap,
        packet: &Packet,
        carried: Carried<&Cap>,
    ) -> Result<(), PutError> {
        let What::EndPoint(id) = peer.what else { panic!("only endpoints are sent to") };
        assert!(!self.endpoint(id).alive || self.endpoint(id).peer == Some(self.proxies[&proxy]));
        let mut packet = *packet;
        let cap = match carried {
            Carried::Nothing => None,
            Carried::Cap(cap) => Some(cap),
            Carried::Lost => {
                packet.header |= LOST;
                None
            }
        };
        self.send(peer, &packet, cap)
    }

    fn make_proxy(&mut self, proxy: Proxy) -> Result<(), Failed> {
        if self.fails() {
            return Err(Failed);
        }
        let id = self.make_endpoint(Owner::Monitor(proxy));
        assert!(self.proxies.insert(proxy, id).is_none(), "one proxy of a number");
        Ok(())
    }

    fn delete_proxy(&mut self, proxy: Proxy) {
        self.delete_endpoint(self.proxies[&proxy]);
    }

    fn sending_copy(&mut self, proxy: Proxy) -> Result<Cap, Failed> {
        let id = self.proxies[&proxy];
        if self.fails() {
            self.excused.extend(self.endpoint(id).peer);
            return Err(Failed);
        }
        let cap = self.make_cap(What::EndPoint(id));
        Ok(self.own(cap))
    }

    fn is_connected(&self, proxy: Proxy) -> bool {
        self.endpoint(self.proxies[&proxy]).peer.is_some()
    }

    fn connect(&mut self, proxy: Proxy, with: &Cap) -> Result<(), Failed> {
        let What::EndPoint(id) = with.what else { panic!("only endpoints are connected") };
        if self.fails() { Err(Failed) } else { self.connect_endpoints(self.proxies[&proxy], id) }
    }

    fn classify(&self, cap: &Cap) -> Class {
        assert!(self.slots.contains(&cap.id), "the monitor looks at its own");
        match cap.what {
            What::EndPoint(id) if self.endpoint(id).alive => {
                Class::EndPoint { own: self.proxy(Some(id)), peer: self.proxy(self.endpoint(id).peer) }
            }
            What::Notify(_) => Class::Notify,
            What::Memory(_) => Class::Memory,
            What::EndPoint(_) | What::Imported(..) | What::Other => Class::Other,
        }
    }

    fn copy(&mut self, cap: &Cap) -> Result<Cap, Failed> {
        assert!(self.slots.contains(&cap.id), "the monitor copies its own");
        if self.fails() || self.is_dead(cap) {
            return Err(Failed);
        }
        let copy = self.make_cap(cap.what);
        Ok(self.own(copy))
    }

    fn discard(&mut self, cap: Cap) {
        let cap = self.disown(cap);
        self.drop_cap(cap);
    }

    fn export_notify(&mut self, cap: &Cap) -> Result<u32, Failed> {
        let What::Notify(bit) = cap.what else { panic!("only doorbells are exported") };
        if self.fails() || !self.bits.contains_key(&bit) { Err(Failed) } else { Ok(bit) }
    }

    fn import_notify(&mut self, core: CoreId, bit: u32) -> Result<Cap, Failed> {
        if self.fails() {
            return Err(Failed);
        }
        let cap = self.make_cap(What::Imported(core, bit));
        Ok(self.own(cap))
    }

    fn begin_transfer(
        &mut self,
        to: CoreId,
        cap: Cap,
        tag: Tag,
        record: RecordId,
    ) -> Result<(), NotBegun<Cap>> {
        let What::Memory(memory) = cap.what else { panic!("only memory is sent so") };
        if self.fails() {
            return Err(NotBegun::Never(cap));
        }
        if self.transfers.len() == TRANSFERS {
            return Err(NotBegun::Later(cap));
        }
        let cap = self.disown(cap);
        self.drop_cap(cap);
        self.transfers.push(Transfer { to, memory, tag, record, delivered: None });
        Ok(())
    }

    fn serve(&mut self, _: CoreId, service: u64, domain: u64, endpoint: Cap) -> Result<(), Failed> {
        let endpoint = self.disown(endpoint);
        if service != 1 || self.fails() {
            self.drop_cap(endpoint);
            return Err(Failed);
        }
        self.served.push_back((domain, endpoint));
        Ok(())
    }

    fn opened(&mut self, token: u64, endpoint: Option<Cap>) {
        let endpoint = endpoint.map(|cap| self.disown(cap));
        self.opened.push((token, endpoint));
    }

    fn report(&mut self, from: CoreId, nonsense: Nonsense) {
        self.reports.push((from, nonsense));
    }
}
