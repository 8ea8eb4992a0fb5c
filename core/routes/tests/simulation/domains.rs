//! Domains that behave as those of the system do, and then some: they find each other by a name service, send what they have to each
//! other, and end when they like.

use std::collections::{BTreeMap, VecDeque};

use abi::packet::Packet;
use routes::{CoreId, PutError};

use crate::kernel::{Cap, LOST, Owner, Rng, SimKernel, What};

pub(crate) const NAMES: u64 = 1;

/// What a packet says: its words are sender, receiver, number, operation, two arguments, and what goes along.
pub(crate) mod op {
    pub(crate) const HELLO: u64 = 0;
    pub(crate) const DATA: u64 = 1;
    /// To the name service, with the endpoint (argument 0) where the sender is called.
    pub(crate) const REGISTER: u64 = 2;
    /// The answer to that, with the name service's (argument 0).
    pub(crate) const REGISTERED: u64 = 3;
    /// To the name service and on to a server, with the endpoint (argument 0); argument 1: who asks.
    pub(crate) const CONNECT: u64 = 4;
    /// Back again, with the server's endpoint (argument 0) for that one (argument 1).
    pub(crate) const ANSWER: u64 = 5;
}

const WITH_MEMORY: u64 = 1 << 56;
const WITH_NOTIFY: u64 = 2 << 56;
const WITH_OTHER: u64 = 3 << 56;
const WITH_ENDPOINT: u64 = 4 << 56;

struct Out {
    operation: u64,
    arguments: [u64; 2],
    with: u64,
    cap: Option<Cap>,
}

/// An own endpoint.
pub(crate) struct End {
    pub(crate) id: u64,
    pub(crate) peer: Option<Cap>,
    /// The endpoint that this one is joined with, wherever that is.
    pub(crate) partner: u64,
    pub(crate) gone: bool,
    out: VecDeque<Out>,
    /// The request that a server's answer goes to, in the name service.
    asked_by: BTreeMap<u64, u64>,
}

pub(crate) struct Domain {
    pub(crate) number: u64,
    pub(crate) core: CoreId,
    pub(crate) ends: BTreeMap<u64, End>,
    /// Capabilities that came along, and the endpoint that they are for.
    held: Vec<(Cap, u64)>,
    /// Where the name service is called.
    names: Option<u64>,
    /// In the name service: where servers are called.
    services: Vec<u64>,
    bits: Vec<u32>,
    server: bool,
    slow: bool,
}

/// What was sent and received between two endpoints, and what has ended.
#[derive(Default)]
pub(crate) struct Ledger {
    /// By sender: each has one receiver.
    pub(crate) sent: BTreeMap<u64, u64>,
    /// By sender and receiver.
    pub(crate) received: BTreeMap<(u64, u64), u64>,
    /// Endpoints that are no more, and those whose owner was told that the peer is no more.
    pub(crate) dead: std::collections::BTreeSet<u64>,
    pub(crate) told: std::collections::BTreeSet<u64>,
    /// Endpoints that have sent and were not connected: connecting failed, or their peer has ended.
    pub(crate) unconnected: std::collections::BTreeSet<u64>,
    pub(crate) lost: u64,
    pub(crate) caps: u64,
    pub(crate) answers: u64,
    pub(crate) homes: u64,
    /// Nothing fails on purpose, and no core stops.
    pub(crate) strict: bool,
    /// No core stops.
    pub(crate) complete: bool,
    pub(crate) memory: u64,
}

impl Domain {
    pub(crate) fn new(number: u64, core: CoreId, rng: &mut Rng) -> Domain {
        Domain {
            number,
            core,
            ends: BTreeMap::new(),
            held: vec![],
            names: None,
            services: vec![],
            bits: vec![],
            server: rng.one_in(3),
            slow: rng.one_in(4),
        }
    }

    fn end(&mut self, kernel: &mut SimKernel) -> u64 {
        let id = kernel.make_endpoint(Owner::Domain(self.number));
        self.adopt(id);
        id
    }

    fn adopt(&mut self, id: u64) {
        let end =
            End { id, peer: None, partner: 0, gone: false, out: VecDeque::new(), asked_by: BTreeMap::new() };
        self.ends.insert(id, end);
    }

    /// Its first endpoint, to be joined with the name service.
    pub(crate) fn first_end(&mut self, kernel: &mut SimKernel) -> Cap {
        let id = self.end(kernel);
        self.names = Some(id);
        kernel.make_cap(What::EndPoint(id))
    }

    /// That endpoint is joined, or will not be.
    pub(crate) fn opened(&mut self, kernel: &mut SimKernel, cap: Option<Cap>, ledger: &mut Ledger) {
        let Some(id) = self.names.filter(|id| self.ends.contains_key(id)) else {
            return cap.into_iter().for_each(|cap| kernel.drop_cap(cap));
        };
        match cap {
            Some(cap) => self.ends.get_mut(&id).expect("is there").peer = Some(cap),
            None => self.close(kernel, id, ledger),
        }
    }

    /// As the name service: joins a new domain. The answer is to go to it.
    pub(crate) fn attach(&mut self, kernel: &mut SimKernel, cap: Cap) -> Option<Cap> {
        let What::EndPoint(theirs) = cap.what else { panic!("an endpoint") };
        let id = self.end(kernel);
        if kernel.connect_endpoints(id, theirs).is_err() {
            self.ends.remove(&id);
            kernel.delete_endpoint(id);
            kernel.drop_cap(cap);
            return None;
        }
        let end = self.ends.get_mut(&id).expect("just made");
        end.peer = Some(cap);
        end.out.push_back(Out { operation: op::HELLO, arguments: [0; 2], with: 0, cap: None });
        Some(kernel.make_cap(What::EndPoint(id)))
    }

    pub(crate) fn close(&mut self, kernel: &mut SimKernel, id: u64, ledger: &mut Ledger) {
        let Some(end) = self.ends.remove(&id) else { return };
        kernel.delete_endpoint(id);
        ledger.dead.insert(id);
        let caps = end.peer.into_iter().chain(end.out.into_iter().filter_map(|out| out.cap));
        caps.for_each(|cap| kernel.drop_cap(cap));
        self.services.retain(|it| *it != id);
    }

    pub(crate) fn die(&mut self, kernel: &mut SimKernel, ledger: &mut Ledger) {
        for id in self.ends.keys().copied().collect::<Vec<_>>() {
            self.close(kernel, id, ledger);
        }
        self.held.drain(..).for_each(|(cap, _)| kernel.drop_cap(cap));
        self.bits.drain(..).for_each(|bit| assert!(kernel.bits.remove(&bit).is_some()));
    }

    fn post(&mut self, id: u64, operation: u64, arguments: [u64; 2], with: u64, cap: Option<Cap>) {
        let out = Out { operation, arguments, with, cap };
        self.ends.get_mut(&id).expect("is there").out.push_back(out);
    }

    /// Something by itself.
    pub(crate) fn act(&mut self, kernel: &mut SimKernel, rng: &mut Rng, ledger: &mut Ledger) {
        if self.number == NAMES {
            return self.held.pop().into_iter().for_each(|(cap, _)| kernel.drop_cap(cap));
        }
        let ids: Vec<u64> =
            self.ends.iter().filter(|(_, end)| end.out.len() < 3).map(|(id, _)| *id).collect();
        let Some(&id) = ids.get(rng.below(ids.len())) else { return };
        match (rng.below(12), self.names.filter(|it| ids.contains(it))) {
            (0 | 1, Some(names)) => {
                let own = self.end(kernel);
                let cap = kernel.make_cap(What::EndPoint(own));
                let operation = if self.server && rng.one_in(2) { op::REGISTER } else { op::CONNECT };
                self.post(names, operation, [own, 0], WITH_ENDPOINT | own, Some(cap));
            }
            (2, _) if !self.held.is_empty() => {
                let (cap, _) = self.held.swap_remove(rng.below(self.held.len()));
                kernel.drop_cap(cap);
            }
            (3, _) if self.ends.len() > 1 && Some(id) != self.names => self.close(kernel, id, ledger),
            _ if Some(id) != self.names => self.post_data(kernel, rng, ledger, id),
            _ => {}
        }
    }

    fn post_data(&mut self, kernel: &mut SimKernel, rng: &mut Rng, ledger: &mut Ledger, id: u64) {
        let (with, cap) = match rng.below(12) {
            0 => {
                ledger.memory += 1;
                (WITH_MEMORY | ledger.memory, Some(kernel.make_cap(What::Memory(ledger.memory))))
            }
            1 => {
                let bit = rng.next() as u32;
                kernel.bits.insert(bit, self.number);
                self.bits.push(bit);
                (WITH_NOTIFY | u64::from(bit), Some(kernel.make_cap(What::Notify(bit))))
            }
            2 => (WITH_OTHER, Some(kernel.make_cap(What::Other))),
            3 => {
                let own = self.end(kernel);
                (WITH_ENDPOINT | own, Some(kernel.make_cap(What::EndPoint(own))))
            }
            4 if !self.held.is_empty() => {
                let (cap, about) = self.held.swap_remove(rng.below(self.held.len()));
                (WITH_ENDPOINT | about, Some(cap))
            }
            _ => (0, None),
        };
        self.post(id, op::DATA, [0; 2], with, cap);
    }

    /// Sends what waits, as far as there is room.
    pub(crate) fn flush(&mut self, kernel: &mut SimKernel, ledger: &mut Ledger) -> bool {
        let (mut sent, mut gone) = (false, vec![]);
        for end in self.ends.values_mut().filter(|end| end.partner != 0 || end.is_greeting()) {
            while let (Some(peer), Some(out)) = (&end.peer, end.out.front()) {
                let number = ledger.sent.entry(end.id).or_default();
                let [a, b] = out.arguments;
                let words = [end.id, end.partner, *number, out.operation, a, b, out.with];
                match kernel.send(peer, &Packet { header: 0, words }, out.cap.as_ref()) {
                    Ok(()) => {
                        *number += 1;
                        if kernel.endpoint(end.id).peer.is_none() {
                            ledger.unconnected.insert(end.id);
                        }
                    }
                    Err(PutError::Full) => break,
                    // Its capability is no more: the packet is pointless.
                    Err(PutError::BadCapability) => {}
                    Err(PutError::Gone) => {
                        // Who is connected is told when it has taken what is in its ring.
                        end.out.drain(..).filter_map(|it| it.cap).for_each(|cap| kernel.drop_cap(cap));
                        gone.push(end.id);
                        break;
                    }
                }
                let out = end.out.pop_front();
                out.and_then(|it| it.cap).into_iter().for_each(|cap| kernel.drop_cap(cap));
                sent = true;
            }
        }
        for id in gone {
            if kernel.endpoint(id).peer.is_none() && !kernel.endpoint(id).peer_gone {
                self.close(kernel, id, ledger);
            }
        }
        sent
    }

    /// Takes packets out of its rings, and looks who has ended.
    pub(crate) fn drain(
        &mut self,
        kernel: &mut SimKernel,
        rng: &mut Rng,
        ledger: &mut Ledger,
        eager: bool,
    ) -> bool {
        let mut drained = false;
        for id in self.ends.keys().copied().collect::<Vec<_>>() {
            if !eager && (self.slow || rng.one_in(2)) && !rng.one_in(8) {
                continue;
            }
            while self.ends.contains_key(&id)
                && let Some((packet, cap)) = kernel.take_from(id)
            {
                drained = true;
                self.take(kernel, ledger, id, &packet, cap);
            }
            if self.ends.contains_key(&id) && kernel.endpoint(id).peer_gone && !self.ends[&id].gone {
                drained = true;
                self.told(kernel, ledger, id);
            }
        }
        drained
    }

    fn told(&mut self, kernel: &mut SimKernel, ledger: &mut Ledger, id: u64) {
        let end = self.ends.get_mut(&id).expect("is there");
        end.gone = true;
        let partner = end.partner;
        let excused = kernel.excused.contains(&id) || ledger.unconnected.contains(&partner);
        if ledger.complete && ledger.dead.contains(&partner) && !excused {
            let sent = ledger.sent.get(&partner).copied().unwrap_or(0);
            let received = ledger.received.get(&(partner, id)).copied().unwrap_or(0);
            assert_eq!(
                received, sent,
                "what was sent before an end comes before it is told: {partner:x} to {id:x}"
            );
        }
        if ledger.strict && partner != 0 {
            assert!(ledger.dead.contains(&partner), "who is told of an end was joined with what has ended");
        }
        ledger.told.insert(id);
        self.close(kernel, id, ledger);
    }

    fn take(
        &mut self,
        kernel: &mut SimKernel,
        ledger: &mut Ledger,
        id: u64,
        packet: &Packet,
        cap: Option<Cap>,
    ) {
        let [from, to, number, operation, a, b, with] = packet.words;
        let expected = ledger.received.entry((from, id)).or_default();
        assert_eq!(number, *expected, "each once, in order: {from:x} to {id:x}");
        *expected += 1;
        let end = self.ends.get_mut(&id).expect("is there");
        if operation == op::HELLO {
            end.partner = from;
        } else {
            assert_eq!(to, id, "capabilities mean what they meant");
            if end.partner == 0 {
                end.partner = from;
            }
        }
        self.check_cap(kernel, ledger, packet, cap.as_ref());
        match (operation, cap) {
            (op::REGISTER, Some(cap)) if self.number == NAMES => self.register(kernel, ledger, id, cap, a),
            (op::REGISTERED, Some(cap)) => self.joined(kernel, cap, b, a),
            (op::CONNECT, Some(cap)) if self.number == NAMES => self.forward(kernel, id, cap, a),
            (op::CONNECT, Some(cap)) => self.accept(kernel, ledger, id, cap, a),
            (op::ANSWER, cap) if self.number == NAMES => self.answer(kernel, id, cap, a, b),
            (op::ANSWER, Some(cap)) => {
                ledger.answers += 1;
                self.joined(kernel, cap, b, a);
            }
            // The endpoint did not get there.
            (op::ANSWER | op::REGISTERED, None) => self.close(kernel, b, ledger),
            (op::DATA, Some(cap)) if with >> 56 == WITH_ENDPOINT >> 56 && self.held.len() < 8 => {
                self.held.push((cap, with & !WITH_ENDPOINT));
            }
            (_, cap) => cap.into_iter().for_each(|cap| kernel.drop_cap(cap)),
        }
    }

    fn check_cap(&self, kernel: &SimKernel, ledger: &mut Ledger, packet: &Packet, cap: Option<&Cap>) {
        let (kind, about) = (packet.words[6] >> 56 << 56, packet.words[6] & !(0xff << 56));
        let lost = packet.header & LOST != 0;
        assert_eq!(kind != 0, lost || cap.is_some(), "a packet has its capability, or it is said to be lost");
        ledger.caps += u64::from(cap.is_some());
        ledger.lost += u64::from(lost);
        match cap.map(|cap| cap.what) {
            Some(What::Memory(memory)) => assert_eq!((kind, about), (WITH_MEMORY, memory)),
            Some(What::Notify(bit) | What::Imported(_, bit)) => {
                assert_eq!((kind, about), (WITH_NOTIFY, bit.into()));
            }
            Some(What::Other) => assert_eq!(kind, WITH_OTHER),
            Some(What::EndPoint(id)) => {
                assert_eq!(kind, WITH_ENDPOINT);
                ledger.homes += u64::from(id == about && id >> 32 != packet.words[0] >> 32);
                assert!(id == about || matches!(kernel.endpoint(id).owner, Owner::Monitor(_)));
            }
            None if lost && ledger.strict => {
                let excused = match kind {
                    // An answer is for an endpoint that may be no more.
                    WITH_ENDPOINT => ledger.dead.contains(&about) || ledger.dead.contains(&packet.words[5]),
                    kind => kind == WITH_OTHER || kind == WITH_NOTIFY,
                };
                assert!(excused, "lost without a reason: {:x}", packet.words[6]);
            }
            None => {}
        }
    }

    fn register(&mut self, kernel: &mut SimKernel, ledger: &mut Ledger, id: u64, cap: Cap, theirs: u64) {
        if let Some(own) = self.join(kernel, ledger, cap, theirs) {
            self.services.push(own);
            let copy = kernel.make_cap(What::EndPoint(own));
            self.post(id, op::REGISTERED, [own, theirs], WITH_ENDPOINT | own, Some(copy));
        }
    }

    /// Connects a new endpoint with this one.
    fn join(&mut self, kernel: &mut SimKernel, ledger: &mut Ledger, cap: Cap, theirs: u64) -> Option<u64> {
        let What::EndPoint(theirs_here) = cap.what else { panic!("an endpoint") };
        let own = self.end(kernel);
        if kernel.connect_endpoints(own, theirs_here).is_err() {
            self.close(kernel, own, ledger);
            kernel.drop_cap(cap);
            return None;
        }
        let end = self.ends.get_mut(&own).expect("just made");
        (end.peer, end.partner) = (Some(cap), theirs);
        Some(own)
    }

    /// What this domain offered was connected with that endpoint.
    fn joined(&mut self, kernel: &mut SimKernel, cap: Cap, own: u64, theirs: u64) {
        match self.ends.get_mut(&own) {
            Some(end) => {
                assert!(end.peer.is_none(), "offered once, joined once");
                (end.peer, end.partner) = (Some(cap), theirs);
            }
            None => kernel.drop_cap(cap),
        }
    }

    fn forward(&mut self, kernel: &mut SimKernel, id: u64, cap: Cap, theirs: u64) {
        let choice = kernel.rng.below(self.services.len());
        let Some(&service) = self.services.get(choice) else { return kernel.drop_cap(cap) };
        self.ends.get_mut(&service).expect("is there").asked_by.insert(theirs, id);
        self.post(service, op::CONNECT, [theirs, 0], WITH_ENDPOINT | theirs, Some(cap));
    }

    fn accept(&mut self, kernel: &mut SimKernel, ledger: &mut Ledger, id: u64, cap: Cap, theirs: u64) {
        if kernel.rng.one_in(6) {
            return kernel.drop_cap(cap);
        }
        if let Some(own) = self.join(kernel, ledger, cap, theirs) {
            let copy = kernel.make_cap(What::EndPoint(own));
            self.post(id, op::ANSWER, [own, theirs], WITH_ENDPOINT | own, Some(copy));
        }
    }

    fn answer(&mut self, kernel: &mut SimKernel, id: u64, cap: Option<Cap>, own: u64, theirs: u64) {
        let asked_by = self.ends.get_mut(&id).and_then(|end| end.asked_by.remove(&theirs));
        match asked_by.filter(|it| self.ends.contains_key(it)) {
            Some(client) => {
                let with = if cap.is_some() { WITH_ENDPOINT | own } else { 0 };
                self.post(client, op::ANSWER, [own, theirs], with, cap);
            }
            None => cap.into_iter().for_each(|cap| kernel.drop_cap(cap)),
        }
    }
}

impl End {
    /// Whether something waits for room that could go.
    pub(crate) fn is_stuck(&self) -> bool {
        self.peer.is_some() && self.partner != 0 && !self.out.is_empty()
    }
    fn is_greeting(&self) -> bool {
        self.out.front().is_some_and(|out| out.operation == op::HELLO)
    }
}
