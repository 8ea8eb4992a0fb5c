//! The requests of domains that wait to be started: a few a domain, the domain that was served least recently first.
//!
//! A request that cannot be started (its unit has one unanswered, or there is no credit at its home) blocks its domain, and no
//! other, until one ends that could have been the reason. As the domain that has waited longest comes first, it gets what
//! has become free: none starves.

use capops::{CoreId, Request};

use crate::UnitId;
use crate::pool::Fifo;
use crate::wire::WireKey;

/// A domain, for ever: numbers are not used again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DomainId(pub u32);

/// What a domain asks its monitor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask<K> {
    /// Who asks.
    pub domain: DomainId,
    /// By what the domain knows the answer.
    pub token: u64,
    /// The slot of the monitor with the copy that came with the request: it pins the capability.
    pub place: u32,
    /// The unit of the capability.
    pub unit: UnitId,
    /// What is asked.
    pub request: Request<K>,
    /// For a send: who takes it, with which rights. See [`crate::Message::tag`].
    pub tag: u64,
}

/// There is no room: the domain has its share waiting, or there are too many domains.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

#[derive(Debug)]
struct Client<K, const SHARE: usize> {
    domain: DomainId,
    asks: Fifo<Ask<K>, SHARE>,
    /// When it was served last.
    turn: u64,
    /// Its first request could not be started.
    blocked: bool,
}

/// The domains that have requests waiting.
#[derive(Debug)]
pub(crate) struct Clients<K, const CLIENTS: usize, const SHARE: usize> {
    clients: [Option<Client<K, SHARE>>; CLIENTS],
    /// Counts what was served.
    turn: u64,
}

impl<K: WireKey, const CLIENTS: usize, const SHARE: usize> Clients<K, CLIENTS, SHARE> {
    pub(crate) const fn new() -> Self {
        Clients { clients: [const { None }; CLIENTS], turn: 0 }
    }

    pub(crate) fn push(&mut self, ask: Ask<K>) -> Result<(), Full> {
        let of_domain = |it: &&mut Client<K, SHARE>| it.domain == ask.domain;
        if let Some(client) = self.clients.iter_mut().flatten().find(of_domain) {
            return client.asks.push(ask).map_err(|_| Full);
        }
        let place = self.clients.iter_mut().find(|it| it.is_none()).ok_or(Full)?;
        self.turn += 1;
        let mut client = Client { domain: ask.domain, asks: Fifo::new(), turn: self.turn, blocked: false };
        client.asks.push(ask).map_err(|_| Full)?;
        *place = Some(client);
        Ok(())
    }

    /// Whose turn it is, and what it asks.
    pub(crate) fn next(&self) -> Option<(usize, Ask<K>)> {
        let ready = self.clients.iter().enumerate().filter_map(|(i, it)| it.as_ref().map(|it| (i, it)));
        let (place, client) = ready.filter(|(_, it)| !it.blocked).min_by_key(|(_, it)| it.turn)?;
        client.asks.head().map(|ask| (place, *ask))
    }

    /// The first request of the domain in this place cannot be started now.
    pub(crate) fn block(&mut self, place: usize) {
        if let Some(client) = &mut self.clients[place] {
            client.blocked = true;
        }
    }

    /// The first request of the domain in this place has been dealt with.
    pub(crate) fn served(&mut self, place: usize) {
        self.turn += 1;
        if let Some(client) = &mut self.clients[place] {
            client.turn = self.turn;
            client.asks.pop();
            if client.asks.len() == 0 {
                self.clients[place] = None;
            }
        }
    }

    /// What may have blocked requests at this home may be over.
    pub(crate) fn unblock(&mut self, home: CoreId) {
        for client in self.clients.iter_mut().flatten() {
            client.blocked &= client.asks.head().is_some_and(|ask| ask.unit.home != home);
        }
    }

    /// A domain is no more: gives back its requests, one a call.
    pub(crate) fn take(&mut self, domain: DomainId) -> Option<Ask<K>> {
        let place = self.clients.iter_mut().find(|it| matches!(it, Some(it) if it.domain == domain))?;
        let ask = place.as_mut()?.asks.pop();
        if ask.is_none() {
            *place = None;
        }
        ask
    }

    /// A unit was cut: what is asked about the upper part is asked about the new unit.
    pub(crate) fn cut(&mut self, unit: UnitId, at: u64, upper: UnitId) {
        let asks = self.clients.iter_mut().flatten().flat_map(|client| client.asks.iter_mut());
        for ask in asks.filter(|ask| ask.unit == unit && ask.request.pinned().is_above(at)) {
            ask.unit = upper;
        }
        self.unblock(unit.home);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Ask<K>> {
        self.clients.iter().flatten().flat_map(|client| client.asks.iter())
    }
}
