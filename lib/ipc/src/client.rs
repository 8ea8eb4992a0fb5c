//! The client's end of a channel: calls, blocking or as futures, any number at once.

use crate::error::{CallError, DecodeError};
use crate::message::{
    Assembled, Assembly, Body, KIND_CALL, KIND_CANCEL, KIND_CLOSE, KIND_ERROR, KIND_FRAGMENT, KIND_HELLO,
    KIND_ONE_WAY, KIND_REPLY, Message, Outgoing, Step, discard_given, is_crippled, is_whole,
};
use crate::pending::{GivenUp, Pending, Taken, Waiter, decode_long};
use crate::port::{Lock, Outcome, Port, Receiver};
use crate::wire::{ByteSink, Capability, Decode, Encode, WordSink, Words, decode_packet, fits};
use abi::CapAddr;
use abi::packet::{FLAG_BYTES, FLAG_MORE, Header, PAYLOAD_WORDS, Packet};
use alloc::sync::Arc;
use core::future::Future;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll};

/// A client stub that `#[interface]` made, for code that connects to any service by its type.
pub trait Stub<P: Port>: Sized {
    /// The name of the interface.
    const NAME: &'static str;
    /// The number of the interface: a hash of its name and of the signatures of its methods.
    const INTERFACE: u64;
    /// Longest message, in encoded bytes.
    const LIMIT: usize;
    /// Wraps a client that was made with [`Stub::INTERFACE`] and [`Stub::LIMIT`].
    fn over(client: Arc<Client<P>>) -> Self;
    /// The client under the stub: what the runtime delivers packets to.
    fn client(&self) -> &Arc<Client<P>>;
}

struct State<T> {
    pending: Pending<T>,
    outgoing: Outgoing,
    assembly: Assembly,
}

/// The client's end of a channel. Threads and tasks share it.
pub struct Client<P: Port> {
    port: P,
    state: P::Lock<State<P::Thread>>,
    limit: usize,
}

impl<P: Port> Client<P> {
    /// A client that speaks the interface of number `interface`, whose messages are at most `limit`
    /// bytes long. The channel must be connected: the greeting is sent at once.
    pub fn new(port: P, interface: u64, limit: usize) -> Client<P> {
        let state =
            State { pending: Pending::new(), outgoing: Outgoing::new(), assembly: Assembly::new(limit) };
        let client = Client { port, state: P::Lock::new(state), limit };
        client.enqueue(Message::new(KIND_HELLO, 0, 0, Body::word(interface), None));
        client
    }

    /// The channel's end.
    pub fn port(&self) -> &P {
        &self.port
    }

    /// Calls `method` and parks this thread until the answer is there.
    ///
    /// # Errors
    /// `TooLong` and `TooManyRequests`: nothing was sent; `BadCapability`; what the server answered instead of a result;
    /// `BadReply`; and why the channel has ended (`PeerGone`, `BadPeer`, `Closed`).
    #[inline]
    pub fn call<A: Encode, R: Decode>(&self, method: u8, arguments: &A) -> Result<R, CallError> {
        const { assert!(A::CAPABILITIES <= 1, "a message carries one capability at most") };
        let sequence = if const { fits::<A>() } {
            self.start_words(method, arguments)?
        } else {
            let message = self.message(KIND_CALL, method, arguments)?;
            self.start(message, Waiter::Thread(self.port.current()))?
        };
        self.wait(sequence)
    }

    /// Parks this thread until the answer is there.
    #[inline(always)]
    fn wait<R: Decode>(&self, sequence: u32) -> Result<R, CallError> {
        let mut words = [0; PAYLOAD_WORDS];
        loop {
            match self.state.with(|state| state.pending.take(sequence, &mut words)) {
                Ok((header, capability)) => return self.decode(header, &words, capability),
                Err(Taken::NotYet) => self.port.park(),
                Err(rare) => return self.finish(rare),
            }
        }
    }

    #[inline(always)]
    fn decode<R: Decode>(
        &self,
        header: Header,
        words: &Words,
        capability: Option<CapAddr>,
    ) -> Result<R, CallError> {
        match decode_packet(header, words, capability) {
            Ok(value) => Ok(value),
            Err(error) => self.bad_reply((error, capability)),
        }
    }

    /// An answer that is no value of the expected type.
    #[cold]
    fn bad_reply<R>(&self, (error, capability): (DecodeError, Option<CapAddr>)) -> Result<R, CallError> {
        self.discard(capability);
        Err(error.or(CallError::BadReply))
    }

    /// Sends a message of one packet of words, and may already have waited for its answer.
    #[inline(always)]
    fn start_words<A: Encode>(&self, method: u8, arguments: &A) -> Result<u32, CallError> {
        let mut packet = Packet::default();
        let mut sink = WordSink::new(&mut packet.words);
        arguments.encode(&mut sink);
        let capability = sink.into_capability();
        let waiter = Waiter::Thread(self.port.current());
        let (sequence, direct) = self.state.with(|state| {
            let sequence = state.pending.begin(waiter);
            (sequence, state.outgoing.is_empty())
        });
        let sequence = sequence?;
        let length = const { (A::WORDS * 8) as u8 };
        packet.header = Header::new(KIND_CALL, method, length, 0, sequence).0;
        if direct && !capability.is_some_and(Capability::is_given) {
            let sent = self.port.send_and_park(&packet, capability.map(Capability::address), self);
            if sent.is_ok() {
                return Ok(sequence);
            }
        }
        self.start_queued(packet, capability);
        Ok(sequence)
    }

    /// Queues a packet that could not go out directly. What is wrong with it shows again there.
    #[cold]
    fn start_queued(&self, packet: Packet, capability: Option<Capability>) {
        let header = Header(packet.header);
        let body = Body::Words { words: packet.words, length: header.length() };
        let (method, sequence) = (header.method(), header.sequence());
        self.enqueue(Message::new(KIND_CALL, method, sequence, body, capability));
    }

    /// Begins a request whose message is made already.
    fn start(&self, mut message: Message, waiter: Waiter<P::Thread>) -> Result<u32, CallError> {
        match self.state.with(|state| state.pending.begin(waiter)) {
            Ok(sequence) => {
                message.sequence = sequence;
                self.enqueue(message);
                Ok(sequence)
            }
            Err(error) => {
                discard_given(&self.port, message.capability);
                Err(error)
            }
        }
    }

    /// Encodes; the sequence number is set when the request begins.
    fn message<A: Encode>(&self, kind: u8, method: u8, arguments: &A) -> Result<Message, CallError> {
        const { assert!(A::CAPABILITIES <= 1, "a message carries one capability at most") };
        if const { fits::<A>() } {
            let mut words = [0; 7];
            let mut sink = WordSink::new(&mut words);
            arguments.encode(&mut sink);
            let capability = sink.into_capability();
            let body = Body::Words { words, length: (A::WORDS * 8) as u8 };
            return Ok(Message::new(kind, method, 0, body, capability));
        }
        let (bytes, capability) = ByteSink::collect(arguments);
        let bytes = bytes.ok_or(CallError::OutOfMemory);
        let checked =
            bytes.and_then(|it| if it.len() > self.limit { Err(CallError::TooLong) } else { Ok(it) });
        let bytes = checked.inspect_err(|_| discard_given(&self.port, capability))?;
        Ok(Message::new(kind, method, 0, Body::Bytes(bytes), capability))
    }

    /// Calls `method`; the answer comes through the future. The arguments are encoded now, the
    /// request is sent when the future is first polled, and cancelled when it is dropped.
    pub fn call_async<A: Encode, R: Decode>(self: &Arc<Self>, method: u8, arguments: &A) -> Call<P, R> {
        let state = CallState::New(self.message(KIND_CALL, method, arguments));
        Call { client: self.clone(), state, result: PhantomData }
    }

    /// Sends a message that has no answer; parks this thread while the channel is full.
    ///
    /// # Errors
    /// Those of [`Client::call`] but for the server's answers and `BadReply`.
    pub fn notify<A: Encode>(&self, method: u8, arguments: &A) -> Result<(), CallError> {
        let message = self.message(KIND_ONE_WAY, method, arguments)?;
        let sequence = self.start(message, Waiter::Thread(self.port.current()))?;
        self.wait(sequence)
    }

    /// Sends a message that has no answer; the future is ready once it is on its way.
    pub fn notify_async<A: Encode>(self: &Arc<Self>, method: u8, arguments: &A) -> Call<P, ()> {
        let state = CallState::New(self.message(KIND_ONE_WAY, method, arguments));
        Call { client: self.clone(), state, result: PhantomData }
    }

    /// All but the straight path of what [`Pending::take`] finds.
    #[cold]
    fn finish<R: Decode>(&self, taken: Taken) -> Result<R, CallError> {
        match taken {
            Taken::Failed(error) => Err(error),
            Taken::Long(message) => decode_long(message).or_else(|bad| self.bad_reply(bad)),
            Taken::NotYet => Err(CallError::BadReply),
        }
    }

    fn discard(&self, capability: Option<CapAddr>) {
        if let Some(capability) = capability {
            self.port.discard(capability);
        }
    }

    /// Queues a message and sends what there is room for.
    fn enqueue(&self, message: Message) {
        let refused = self.state.with(|state| {
            if state.pending.dead().is_some() {
                return Some(message);
            }
            state.outgoing.push(message).err()
        });
        match refused {
            Some(message) => self.not_queued(&message),
            None => self.pump(),
        }
    }

    /// There is no memory to queue a message, or the channel has ended: then its request has failed with all others, or
    /// will when it is looked at.
    #[cold]
    fn not_queued(&self, message: &Message) {
        discard_given(&self.port, message.capability);
        match message.kind {
            KIND_CALL | KIND_ONE_WAY => {
                let failed = |state: &mut State<P::Thread>| {
                    state.pending.fail(message.sequence, CallError::OutOfMemory)
                };
                let waiter = self.state.with(failed);
                self.wake(waiter);
            }
            // Without the greeting no request would be understood.
            KIND_HELLO => self.fail_all(CallError::OutOfMemory),
            // An answer that nobody wants will come, and meet nobody.
            _ => {}
        }
    }

    /// Sends packets until nothing is left or the peer's ring is full.
    fn pump(&self) {
        loop {
            match self.state.with(|state| state.outgoing.step(&self.port)) {
                Step::Sent => {}
                Step::Finished { kind: KIND_ONE_WAY, sequence } => self.complete(sequence),
                Step::Finished { .. } => {}
                Step::Refused { sequence, .. } => self.fail(sequence, CallError::BadCapability),
                Step::Rest => return,
                Step::PeerGone => return self.fail_all(CallError::PeerGone),
            }
        }
    }

    /// A message without an answer is out: that is its answer.
    fn complete(&self, sequence: u32) {
        let header = Header::new(KIND_REPLY, 0, 0, 0, sequence);
        let packet = Packet { header: header.0, words: [0; 7] };
        let waiter = self.state.with(|state| state.pending.answer(&packet, None));
        self.wake(waiter);
    }

    #[inline(always)]
    fn wake(&self, waiter: Option<Waiter<P::Thread>>) {
        match waiter {
            Some(Waiter::Thread(thread)) => self.port.unpark(thread),
            Some(Waiter::Task(waker)) => waker.wake(),
            Some(Waiter::Nobody) | None => {}
        }
    }

    /// One request fails, if somebody waits for it.
    fn fail(&self, sequence: u32, error: CallError) {
        let waiter = self.state.with(|state| state.pending.fail(sequence, error));
        self.wake(waiter);
    }

    /// Every request, now and later, fails.
    fn fail_all(&self, error: CallError) {
        let half = self.state.with(|state| {
            state.outgoing.clear(&self.port);
            state.assembly.clear()
        });
        self.discard(half);
        let mut from = 0;
        // One at a time: waking may run code that comes back here.
        loop {
            match self.state.with(|state| state.pending.fail_next(error, &mut from)) {
                None => return,
                waiter => self.wake(waiter),
            }
        }
    }

    /// Everything but an answer in one packet.
    #[cold]
    fn on_other(&self, packet: &Packet, capability: Option<CapAddr>) {
        let header = Header(packet.header);
        match header.kind() {
            KIND_REPLY if is_crippled(header) => {
                self.discard(capability);
                self.fail(header.sequence(), CallError::BadCapability);
            }
            KIND_REPLY | KIND_FRAGMENT if header.flags() & (FLAG_MORE | FLAG_BYTES) != 0 => {
                self.on_part(packet, capability);
            }
            KIND_ERROR => {
                self.discard(capability);
                self.fail(header.sequence(), CallError::from_number(packet.words[0]));
            }
            KIND_CLOSE => {
                self.discard(capability);
                self.fail_all(CallError::from_number(packet.words[0]));
            }
            _ => {
                self.discard(capability);
                self.fail_all(CallError::BadPeer);
            }
        }
    }

    /// A part of an answer of many packets.
    fn on_part(&self, packet: &Packet, capability: Option<CapAddr>) {
        match self.state.with(|state| state.assembly.take(packet, capability)) {
            Ok(None) => {}
            Ok(Some(message)) => self.on_long(message),
            Err(error) => {
                self.discard(capability);
                self.fail_all(error);
            }
        }
    }

    fn on_long(&self, message: Assembled) {
        if let Some(error) = message.failure {
            self.discard(message.capability);
            return self.fail(message.header.sequence(), error);
        }
        match self.state.with(|state| state.pending.answer_long(message)) {
            Ok(waiter) => self.wake(Some(waiter)),
            // The request was given up meanwhile.
            Err(message) => self.discard(message.capability),
        }
    }

    /// A request is not wanted any more: the server is told, unless it never heard of it.
    fn cancel(&self, sequence: u32, kind: u8) {
        match self.state.with(|state| state.pending.give_up(sequence)) {
            GivenUp::Waiting(waiter) => drop(waiter),
            GivenUp::Answered(capability) => return self.discard(capability),
            GivenUp::Nothing => return,
        }
        let withdrawn = self.state.with(|state| state.outgoing.withdraw(&self.port, kind, sequence));
        if !withdrawn && kind == KIND_CALL {
            let nothing = Body::Words { words: [0; 7], length: 0 };
            self.enqueue(Message::new(KIND_CANCEL, 0, sequence, nothing, None));
        }
    }
}

impl<P: Port> Receiver for Client<P> {
    #[inline]
    fn on_packet(&self, packet: &mut Packet, capability: Option<CapAddr>) -> Outcome {
        let header = Header(packet.header);
        if header.kind() == KIND_REPLY && is_whole(header) {
            match self.state.with(|state| state.pending.answer(packet, capability)) {
                None => self.discard(capability),
                waiter => self.wake(waiter),
            }
        } else {
            self.on_other(packet, capability);
        }
        Outcome::None
    }

    /// A client never answers, so nothing comes back either.
    fn on_unsent(&self, _packet: &Packet, _capability: Option<CapAddr>) {}

    fn on_writable(&self) {
        self.pump();
    }

    fn on_peer_gone(&self) {
        self.fail_all(CallError::PeerGone);
    }
}

enum CallState {
    New(Result<Message, CallError>),
    Waiting { sequence: u32, kind: u8 },
    Done,
}

/// A request on its way: a future of its answer. Dropping it cancels the request.
#[must_use = "nothing is sent before the future is polled"]
pub struct Call<P: Port, R> {
    client: Arc<Client<P>>,
    state: CallState,
    result: PhantomData<fn() -> R>,
}

impl<P: Port, R: Decode> Future for Call<P, R> {
    type Output = Result<R, CallError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let CallState::New(_) = self.state {
            let CallState::New(message) = core::mem::replace(&mut self.state, CallState::Done) else {
                return Poll::Pending;
            };
            let message = message?;
            let kind = message.kind;
            let sequence = self.client.start(message, Waiter::Task(context.waker().clone()))?;
            self.state = CallState::Waiting { sequence, kind };
        }
        let CallState::Waiting { sequence, .. } = self.state else { return Poll::Pending };
        let mut words = [0; PAYLOAD_WORDS];
        let (taken, former) =
            self.client.state.with(|state| match state.pending.take(sequence, &mut words) {
                Err(Taken::NotYet) => (Err(Taken::NotYet), state.pending.wait_as(sequence, context.waker())),
                taken => (taken, None),
            });
        drop(former);
        let result = match taken {
            Ok((header, capability)) => self.client.decode(header, &words, capability),
            Err(Taken::NotYet) => return Poll::Pending,
            Err(rare) => self.client.finish(rare),
        };
        self.state = CallState::Done;
        Poll::Ready(result)
    }
}

impl<P: Port, R> Drop for Call<P, R> {
    fn drop(&mut self) {
        match core::mem::replace(&mut self.state, CallState::Done) {
            CallState::Waiting { sequence, kind } => self.client.cancel(sequence, kind),
            CallState::New(Ok(message)) => discard_given(&self.client.port, message.capability),
            CallState::New(Err(_)) | CallState::Done => {}
        }
    }
}

impl<P: Port> Drop for Client<P> {
    fn drop(&mut self) {
        let half = self.state.with(|state| {
            state.outgoing.clear(&self.port);
            state.assembly.clear()
        });
        self.discard(half);
    }
}
