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
    /// The unit of the capability. When the request starts it is the one of what is in `place`: see [`crate::Kernel::pinned`].
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct Number(u64);

    impl capops::Key for Number {
        fn contains(&self, other: &Self) -> bool {
            self == other
        }
        fn is_above(&self, at: u64) -> bool {
            self.0 >= at
        }
    }

    impl WireKey for Number {
        fn words(self) -> [u64; 2] {
            [self.0, 0]
        }
        fn from_words([number, zero]: [u64; 2]) -> Option<Self> {
            (zero == 0).then_some(Number(number))
        }
    }

    fn ask(domain: u32, home: u8, token: u64) -> Ask<Number> {
        let unit = UnitId { home: CoreId(home), page: 0 };
        let request = Request::Revoke { top: Number(token) };
        Ask { domain: DomainId(domain), token, place: 0, unit, request, tag: 0 }
    }

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Push(u32, u8),
        Serve,
        Block,
        Unblock(u8),
        End(u32),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => (0u32..5, 0u8..3).prop_map(|(domain, home)| Op::Push(domain, home)),
            2 => Just(Op::Serve),
            2 => Just(Op::Block),
            1 => (0u8..3).prop_map(Op::Unblock),
            1 => (0u32..5).prop_map(Op::End),
        ]
    }

    /// For each domain: when it was served, whether it is blocked, its requests.
    type Naive = BTreeMap<u32, (u64, bool, Vec<Ask<Number>>)>;

    fn next(naive: &Naive) -> Option<Ask<Number>> {
        let ready = naive.values().filter(|(_, blocked, _)| !blocked);
        ready.min_by_key(|(turn, ..)| *turn).map(|(.., asks)| asks[0])
    }

    proptest! {
        #[test]
        fn domains_take_turns_as_in_the_naive_model(ops in prop::collection::vec(op(), 0..300)) {
            let (mut clients, mut naive, mut turn) = (Clients::<Number, 4, 3>::new(), Naive::new(), 0);
            for (token, op) in ops.into_iter().enumerate() {
                turn += 1;
                match op {
                    Op::Push(domain, home) => {
                        let ask = ask(domain, home, token as u64);
                        let full = naive.len() == 4 && !naive.contains_key(&domain)
                            || naive.get(&domain).is_some_and(|it| it.2.len() == 3);
                        prop_assert_eq!(clients.push(ask), if full { Err(Full) } else { Ok(()) });
                        if !full {
                            naive.entry(domain).or_insert((turn, false, vec![])).2.push(ask);
                        }
                    }
                    Op::Serve | Op::Block => {
                        let expected = next(&naive);
                        let found = clients.next();
                        prop_assert_eq!(found.map(|(_, ask)| ask), expected);
                        let Some((place, ask)) = found else { continue };
                        let Some(domain) = naive.get_mut(&ask.domain.0) else { continue };
                        if let Op::Block = op {
                            clients.block(place);
                            domain.1 = true;
                            continue;
                        }
                        clients.served(place);
                        domain.0 = turn;
                        domain.2.remove(0);
                        if domain.2.is_empty() {
                            naive.remove(&ask.domain.0);
                        }
                    }
                    Op::Unblock(home) => {
                        clients.unblock(CoreId(home));
                        for (_, blocked, asks) in naive.values_mut() {
                            *blocked &= asks[0].unit.home.0 != home;
                        }
                    }
                    Op::End(domain) => {
                        let asks = naive.remove(&domain).map_or(vec![], |it| it.2);
                        let taken: Vec<_> = std::iter::from_fn(|| clients.take(DomainId(domain))).collect();
                        prop_assert_eq!(taken, asks);
                    }
                }
                prop_assert_eq!(clients.iter().count(), naive.values().map(|it| it.2.len()).sum::<usize>());
            }
        }
    }

    #[test]
    fn a_flood_of_one_domain_is_served_in_turn_with_others() {
        let mut clients = Clients::<Number, 4, 3>::new();
        (0..3).for_each(|token| clients.push(ask(1, 0, token)).expect("its share"));
        assert_eq!(clients.push(ask(1, 0, 3)), Err(Full));
        clients.push(ask(2, 0, 10)).expect("a share of its own");
        let order: Vec<_> = std::iter::from_fn(|| {
            let (place, ask) = clients.next()?;
            clients.served(place);
            Some(ask.token)
        })
        .collect();
        assert_eq!(order, [0, 10, 1, 2]);
    }

    #[test]
    fn a_cut_renames_what_lies_above_it() {
        let mut clients = Clients::<Number, 4, 3>::new();
        let (unit, upper) = (UnitId { home: CoreId(0), page: 0 }, UnitId { home: CoreId(0), page: 5 });
        (4..7).for_each(|token| clients.push(ask(1, 0, token)).expect("its share"));
        clients.cut(unit, 5, upper);
        assert!(clients.iter().map(|ask| ask.unit).eq([unit, upper, upper]));
    }
}
