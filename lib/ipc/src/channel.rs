//! The state of a server's channel, shared by its end, its tasks and its stored replies: requests that are being
//! served, and answers that wait for room.

use crate::error::CallError;
use crate::message::{
    Assembly, Body, KIND_CLOSE, KIND_ERROR, MAX_REQUESTS, Message, Outgoing, Step, discard_given,
};
use crate::port::{Lock, Port, SendError};
use crate::reply::{Answer, Answering};
use crate::request::Deferring;
use crate::traffic::{Counter, Traffic};
use abi::CapAddr;
use abi::packet::{Header, Packet};
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use core::task::Waker;

/// Requests that are being served, and what waits for room in the client's ring.
pub(crate) struct State {
    /// By sequence number: the waker of the task that serves it, if a task does.
    pub(crate) flights: BTreeMap<u32, Option<Waker>>,
    pub(crate) outgoing: Outgoing,
    pub(crate) assembly: Assembly,
}

/// The client has not said yet which interface it speaks.
pub(crate) const NEW: u8 = 0;
/// Requests are served.
pub(crate) const OPEN: u8 = 1;
/// Nothing is taken any more: the client broke the protocol, or is gone.
pub(crate) const CLOSED: u8 = 2;

/// The channel itself, shared with tasks and stored replies.
pub(crate) struct Channel<P: Port> {
    pub(crate) port: P,
    status: AtomicU8,
    /// The service knows that the client is gone.
    pub(crate) gone: AtomicBool,
    limit: usize,
    pub(crate) state: P::Lock<State>,
    pub(crate) received: Counter,
    pub(crate) sent: Counter,
}

impl<P: Port> Channel<P> {
    /// A channel whose client has said nothing yet, for messages of at most `limit` bytes.
    pub(crate) fn new(port: P, limit: usize) -> Channel<P> {
        let state =
            State { flights: BTreeMap::new(), outgoing: Outgoing::new(), assembly: Assembly::new(limit) };
        let (status, gone) = (AtomicU8::new(NEW), AtomicBool::new(false));
        let (received, sent) = (Counter::default(), Counter::default());
        Channel { port, status, gone, limit, state: P::Lock::new(state), received, sent }
    }

    /// The client speaks our interface.
    pub(crate) fn open(&self) {
        self.status.store(OPEN, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(crate) fn status(&self) -> u8 {
        self.status.load(Ordering::Relaxed)
    }

    pub(crate) fn traffic(&self) -> Traffic {
        let in_flight = self.state.with(|state| state.flights.len() as u32);
        Traffic { received: self.received.get(), sent: self.sent.get(), in_flight }
    }

    pub(crate) fn discard(&self, capability: Option<CapAddr>) {
        if let Some(capability) = capability {
            self.port.discard(capability);
        }
    }

    /// Queues a message and sends what there is room for.
    #[cold]
    pub(crate) fn enqueue(&self, message: Message) {
        if self.status() == CLOSED {
            return discard_given(&self.port, message.capability);
        }
        self.sent.add(message.body.length());
        let message = self.state.with(|state| {
            // What a client does not read must not fill this domain's memory: an answer to each request that it may have
            // waiting, and a few of the longest.
            if state.outgoing.size() > 4 * self.limit + MAX_REQUESTS * size_of::<Message>() {
                return Some(message);
            }
            state.outgoing.push(message).err()
        });
        match message {
            None => self.pump(),
            Some(message) => {
                discard_given(&self.port, message.capability);
                self.close(CallError::Overloaded);
            }
        }
    }

    pub(crate) fn pump(&self) {
        loop {
            match self.state.with(|state| state.outgoing.step(&self.port)) {
                Step::Sent | Step::Finished { .. } => {}
                Step::Refused { method, sequence, .. } => {
                    let body = Body::word(CallError::BadCapability as u64);
                    let message = Message::new(KIND_ERROR, method, sequence, body, None);
                    // The message that was taken out has left its place.
                    let _ = self.state.with(|state| state.outgoing.push_front(message));
                }
                Step::Rest => return,
                // The runtime reports it too, to `on_peer_gone`, which has the service to tell.
                Step::PeerGone => return self.shut(),
            }
        }
    }

    /// Ends everything on this channel. Tasks are woken and find that they are not wanted.
    pub(crate) fn shut(&self) {
        self.status.store(CLOSED, Ordering::Relaxed);
        let (half, flights) = self.state.with(|state| {
            state.outgoing.clear(&self.port);
            (state.assembly.clear(), core::mem::take(&mut state.flights))
        });
        self.discard(half);
        flights.into_values().flatten().for_each(Waker::wake);
    }

    /// Closes the channel and tells the client why, if its ring has room.
    #[cold]
    pub(crate) fn close(&self, reason: CallError) {
        self.shut();
        let header = Header::new(KIND_CLOSE, 0, 8, 0, 0);
        let packet = Packet { header: header.0, words: [reason as u64, 0, 0, 0, 0, 0, 0] };
        if self.port.send(&packet, None) == Err(SendError::Full) {
            let message = Message::new(KIND_CLOSE, 0, 0, Body::word(reason as u64), None);
            self.state.with(|state| state.outgoing.push_last(message));
        }
    }

    pub(crate) fn error(&self, header: Header, error: CallError) {
        let (method, sequence) = (header.method(), header.sequence());
        self.enqueue(Message::new(KIND_ERROR, method, sequence, Body::word(error as u64), None));
    }

    /// Sends an answer that does not go out straight from the upcall.
    pub(crate) fn send_answer(&self, method: u8, sequence: u32, answer: Answer) {
        let Answer { kind, body, capability, unwanted } = answer;
        self.discard(unwanted);
        if let Body::Bytes(bytes) = &body
            && bytes.len() > self.limit
        {
            discard_given(&self.port, capability);
            return self.error(Header::new(kind, method, 0, 0, sequence), CallError::TooLong);
        }
        self.enqueue(Message::new(kind, method, sequence, body, capability));
    }

    /// A request is no longer served. `false`: it was cancelled meanwhile.
    pub(crate) fn leave(&self, sequence: u32) -> bool {
        let flight = self.state.with(|state| state.flights.remove(&sequence));
        flight.is_some()
    }

    /// The client does not want an answer any more.
    pub(crate) fn cancel(&self, sequence: u32) {
        if let Some(Some(waker)) = self.state.with(|state| state.flights.remove(&sequence)) {
            waker.wake();
        }
    }
}

impl<P: Port> Answering for Channel<P> {
    fn answer(&self, method: u8, sequence: u32, answer: Answer) -> Result<(), Answer> {
        if !self.leave(sequence) {
            return Err(answer);
        }
        self.send_answer(method, sequence, answer);
        Ok(())
    }

    fn is_wanted(&self, sequence: u32) -> bool {
        self.state.with(|state| state.flights.contains_key(&sequence))
    }

    fn drop_answer(&self, answer: Answer) {
        self.discard(answer.unwanted);
        discard_given(&self.port, answer.capability);
    }
}

/// A channel as handlers see it while they defer.
pub(crate) struct DeferringChannel<'a, P: Port>(pub(crate) &'a Arc<Channel<P>>);

impl<P: Port> Deferring for DeferringChannel<'_, P> {
    fn enter(&self, sequence: u32) -> Result<(), CallError> {
        self.0.state.with(|state| {
            if state.flights.len() >= MAX_REQUESTS {
                return Err(CallError::TooManyRequests);
            }
            match state.flights.entry(sequence) {
                Entry::Vacant(free) => free.insert(None),
                // The same number twice: no client of ours does that.
                Entry::Occupied(_) => return Err(CallError::BadPeer),
            };
            Ok(())
        })
    }
    fn abandon(&self, sequence: u32) {
        self.0.leave(sequence);
    }
    fn answering(&self) -> Arc<dyn Answering> {
        self.0.clone()
    }
}
