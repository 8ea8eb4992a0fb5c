//! The server's end of a channel: requests become calls of handlers, answers become packets.
//!
//! A handler answers in one of three ways, fixed by the interface: at once (`fn`), when its future is
//! ready (`async fn`: polled right in the upcall, and made a task only if it has to wait), or through a
//! [`Reply`] that it may store (`#[deferred] fn`).

use crate::error::{CallError, Malformed};
use crate::message::{
    Assembled, Assembly, Body, KIND_CALL, KIND_CANCEL, KIND_CLOSE, KIND_ERROR, KIND_FRAGMENT, KIND_HELLO,
    KIND_ONE_WAY, KIND_REPLY, MAX_REQUESTS, Message, Outgoing, Step, discard_given, is_whole,
};
use crate::port::{Lock, Outcome, Port, Receiver, SendError, Task};
use crate::reply::{Answer, Answering, Reply};
use crate::wire::{
    Capability, Decode, Encode, WordSink, bytes_of, copy_words, decode_bytes, decode_packet, fits, words_of,
};
use abi::CapAddr;
use abi::packet::{FLAG_BYTES, Header, PAYLOAD_BYTES, PAYLOAD_WORDS, Packet};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use core::task::{Context, Poll, Waker};

/// Who calls: known from the channel alone, so nothing in a message can change it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Caller {
    /// The channel, by a number that this server's domain never uses twice.
    pub channel: u64,
    /// The domain at the other end, as the binding service attested it; 0 where nobody did.
    pub domain: u64,
}

/// A request as it came, for the code that `#[interface]` makes.
pub struct Request {
    header: Header,
    words: [u64; PAYLOAD_WORDS],
    long: Option<Vec<u8>>,
    capability: Option<CapAddr>,
}

impl Request {
    /// A request in one packet.
    #[inline(always)]
    fn of(packet: &Packet, capability: Option<CapAddr>) -> Request {
        let header = Header(packet.header);
        let mut request = Request { header, words: [0; PAYLOAD_WORDS], long: None, capability };
        copy_words(&mut request.words, &packet.words);
        request
    }

    /// The number of the method.
    #[inline(always)]
    pub fn method(&self) -> u8 {
        self.header.method()
    }

    /// The answer to a request for a method that does not exist.
    #[cold]
    pub fn unknown(&self) -> Answer {
        Answer::error(CallError::UnknownMethod, self.capability)
    }

    /// The arguments. What has none of them fails with [`CallError::Malformed`].
    #[inline(always)]
    pub fn arguments<A: Decode>(&self) -> Result<A, Answer> {
        const { assert!(A::CAPABILITIES <= 1, "a message carries one capability at most") };
        let decoded = match &self.long {
            None => decode_packet(self.header, &self.words, self.capability),
            Some(bytes) => decode_bytes(bytes, self.capability),
        };
        decoded.map_err(|Malformed| Answer::error(CallError::Malformed, self.capability))
    }
}

/// What became of a request, for the code that `#[interface]` makes.
pub enum Served {
    /// The result lies in the words of the packet, `length` bytes of it.
    Words {
        /// Payload bytes.
        length: u8,
        /// What goes along.
        capability: Option<Capability>,
    },
    /// Any other answer that is there at once.
    Answer(Answer),
    /// To be polled: [`Service::run`] has the rest.
    Run,
    /// A [`Reply`] has it, or there is nothing to answer.
    Later,
}

/// An interface with its implementation: what `#[interface]` makes of a server trait.
pub trait Service: Clone + 'static {
    /// The number of the interface, see [`crate::Stub::INTERFACE`].
    const INTERFACE: u64;
    /// Longest message, in encoded bytes.
    const LIMIT: usize;

    /// Serves a request as far as that goes without waiting. A result that fits is written to `words`,
    /// which are 0.
    fn serve(
        &self,
        caller: &Caller,
        request: &Request,
        words: &mut [u64; PAYLOAD_WORDS],
        replies: Replies<'_>,
    ) -> Served;

    /// Serves a request for which [`Service::serve`] said [`Served::Run`].
    fn run(self, caller: Caller, request: Request) -> impl Future<Output = Answer> + 'static;

    /// The client is gone; what it had here goes too (R1).
    fn gone(&self, caller: &Caller);
}

/// Makes the [`Reply`] of a deferred request.
pub struct Replies<'a> {
    channel: &'a dyn Deferring,
    sequence: u32,
    method: u8,
}

impl Replies<'_> {
    /// The arguments of a deferred request, and its reply.
    pub fn defer<A: Decode, R: Encode>(self, request: &Request) -> Result<(A, Reply<R>), Answer> {
        const { assert!(R::CAPABILITIES <= 1, "a message carries one capability at most") };
        // Before the arguments: from there on the handler owns their capability.
        let entered = self.channel.enter(self.sequence);
        entered.map_err(|error| Answer::error(error, request.capability))?;
        match request.arguments() {
            Ok(arguments) => {
                let channel = self.channel.answering();
                Ok((arguments, Reply::new(channel, self.sequence, self.method)))
            }
            Err(answer) => {
                self.channel.abandon(self.sequence);
                Err(answer)
            }
        }
    }
}

/// What [`Replies`] needs of a channel, whatever its port.
trait Deferring {
    fn enter(&self, sequence: u32) -> Result<(), CallError>;
    fn abandon(&self, sequence: u32);
    fn answering(&self) -> Arc<dyn Answering>;
}

/// Writes a result that is there at once.
#[inline(always)]
pub fn at_once<R: Encode>(result: &R, words: &mut [u64; PAYLOAD_WORDS]) -> Served {
    const { assert!(R::CAPABILITIES <= 1, "a message carries one capability at most") };
    if const { fits::<R>() } {
        let mut sink = WordSink::new(words);
        result.encode(&mut sink);
        let capability = sink.into_capability();
        Served::Words { length: const { (R::WORDS * 8) as u8 }, capability }
    } else {
        Served::Answer(Answer::of(result))
    }
}

/// Requests that are being served, and what waits for room in the client's ring.
struct State {
    /// By sequence number: the waker of the task that serves it, if a task does.
    flights: BTreeMap<u32, Option<Waker>>,
    outgoing: Outgoing,
    assembly: Assembly,
}

/// The client has not said yet which interface it speaks.
const NEW: u8 = 0;
/// Requests are served.
const OPEN: u8 = 1;
/// Nothing is taken any more: the client broke the protocol, or is gone.
const CLOSED: u8 = 2;

/// The channel itself, shared with tasks and stored replies.
struct Channel<P: Port> {
    port: P,
    status: AtomicU8,
    /// The service knows that the client is gone.
    gone: AtomicBool,
    limit: usize,
    state: P::Lock<State>,
}

impl<P: Port> Channel<P> {
    #[inline(always)]
    fn status(&self) -> u8 {
        self.status.load(Ordering::Relaxed)
    }

    fn discard(&self, capability: Option<CapAddr>) {
        if let Some(capability) = capability {
            self.port.discard(capability);
        }
    }

    /// Queues a message and sends what there is room for.
    #[cold]
    fn enqueue(&self, message: Message) {
        if self.status() == CLOSED {
            return discard_given(&self.port, message.capability);
        }
        let message = self.state.with(|state| {
            // What a client does not read must not fill this domain's memory.
            if state.outgoing.size() > 4 * self.limit + MAX_REQUESTS * PAYLOAD_BYTES {
                return Some(message);
            }
            state.outgoing.push(message);
            None
        });
        match message {
            None => self.pump(),
            Some(message) => {
                discard_given(&self.port, message.capability);
                self.close(CallError::Overloaded);
            }
        }
    }

    fn pump(&self) {
        loop {
            match self.state.with(|state| state.outgoing.step(&self.port)) {
                Step::Sent | Step::Finished { .. } => {}
                Step::Refused { method, sequence, .. } => {
                    let body = Body::word(CallError::BadCapability as u64);
                    let message = Message::new(KIND_ERROR, method, sequence, body, None);
                    self.state.with(|state| state.outgoing.push_front(message));
                }
                Step::Rest => return,
                // The runtime reports it too, to `on_peer_gone`, which has the service to tell.
                Step::PeerGone => return self.shut(),
            }
        }
    }

    /// Ends everything on this channel. Tasks are woken and find that they are not wanted.
    fn shut(&self) {
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
    fn close(&self, reason: CallError) {
        self.shut();
        let header = Header::new(KIND_CLOSE, 0, 8, 0, 0);
        let packet = Packet { header: header.0, words: [reason as u64, 0, 0, 0, 0, 0, 0] };
        if self.port.send(&packet, None) == Err(SendError::Full) {
            let message = Message::new(KIND_CLOSE, 0, 0, Body::word(reason as u64), None);
            self.state.with(|state| state.outgoing.push(message));
        }
    }

    fn error(&self, header: Header, error: CallError) {
        let (method, sequence) = (header.method(), header.sequence());
        self.enqueue(Message::new(KIND_ERROR, method, sequence, Body::word(error as u64), None));
    }

    /// Sends an answer that does not go out straight from the upcall.
    fn send_answer(&self, method: u8, sequence: u32, answer: Answer) {
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
    fn leave(&self, sequence: u32) -> bool {
        let flight = self.state.with(|state| state.flights.remove(&sequence));
        flight.is_some()
    }

    /// The client does not want an answer any more.
    fn cancel(&self, sequence: u32) {
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
struct DeferringChannel<'a, P: Port>(&'a Arc<Channel<P>>);

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

/// The future of a handler, in a box that is used again and again while handlers do not wait.
type Slot<F> = Pin<Box<Option<F>>>;

/// The server's end of one channel.
struct Server<P: Port, S: Service, R, F> {
    channel: Arc<Channel<P>>,
    caller: Caller,
    service: S,
    /// [`Service::run`]; a field, because the type of its future has no other name.
    run: R,
    spare: P::Lock<Option<Slot<F>>>,
}

/// The server's end of a channel, for the runtime to deliver packets to. `caller` says who is at the
/// other end; handlers are given it with every request.
pub fn serve<P: Port, S: Service>(port: P, caller: Caller, service: S) -> Arc<dyn Receiver> {
    serve_with(port, caller, service, S::run)
}

fn serve_with<P, S, R, F>(port: P, caller: Caller, service: S, run: R) -> Arc<dyn Receiver>
where
    P: Port,
    S: Service,
    R: Fn(S, Caller, Request) -> F + 'static,
    F: Future<Output = Answer> + 'static,
{
    let state =
        State { flights: BTreeMap::new(), outgoing: Outgoing::new(), assembly: Assembly::new(S::LIMIT) };
    let channel = Arc::new(Channel {
        port,
        status: AtomicU8::new(NEW),
        gone: AtomicBool::new(false),
        limit: S::LIMIT,
        state: P::Lock::new(state),
    });
    Arc::new(Server { channel, caller, service, run, spare: P::Lock::new(None) })
}

impl<P, S, R, F> Server<P, S, R, F>
where
    P: Port,
    S: Service,
    R: Fn(S, Caller, Request) -> F,
    F: Future<Output = Answer> + 'static,
{
    #[inline(always)]
    fn request(&self, request: Request, packet: &mut Packet) -> Outcome {
        let header = request.header;
        packet.words = [0; PAYLOAD_WORDS];
        let channel = DeferringChannel(&self.channel);
        let replies = Replies { channel: &channel, sequence: header.sequence(), method: header.method() };
        match self.service.serve(&self.caller, &request, &mut packet.words, replies) {
            Served::Words { length, capability } => self.reply(header, packet, length, 0, capability),
            Served::Run => self.run(request, packet),
            Served::Later => Outcome::None,
            Served::Answer(answer) => self.answer(header, answer, packet),
        }
    }

    /// Answers with the words of `packet`: straight from the upcall if nothing else waits to go out.
    #[inline(always)]
    fn reply(
        &self,
        header: Header,
        packet: &mut Packet,
        length: u8,
        flags: u8,
        capability: Option<Capability>,
    ) -> Outcome {
        packet.header = Header::new(KIND_REPLY, header.method(), length, flags, header.sequence()).0;
        let direct = self.channel.state.with(|state| state.outgoing.is_empty());
        if header.kind() == KIND_CALL && direct && !capability.is_some_and(Capability::is_given) {
            return Outcome::Reply(capability.map(Capability::address));
        }
        self.reply_queued(header, packet, capability)
    }

    #[cold]
    fn reply_queued(&self, header: Header, packet: &Packet, capability: Option<Capability>) -> Outcome {
        if header.kind() == KIND_ONE_WAY {
            discard_given(&self.channel.port, capability);
        } else {
            self.channel.enqueue(message_of(packet, capability));
        }
        Outcome::None
    }

    /// Answers with what a handler made; in the buffer of the runtime where it fits.
    #[inline(always)]
    fn answer(&self, header: Header, answer: Answer, packet: &mut Packet) -> Outcome {
        match answer {
            Answer { kind: KIND_REPLY, body: Body::Words { words, length }, capability, .. } => {
                copy_words(&mut packet.words, &words);
                self.reply(header, packet, length, 0, capability)
            }
            Answer { kind: KIND_REPLY, body: Body::Bytes(bytes), capability, .. }
                if bytes.len() <= PAYLOAD_BYTES =>
            {
                packet.words = words_of(&bytes);
                self.reply(header, packet, bytes.len() as u8, FLAG_BYTES, capability)
            }
            answer => self.answer_long(header, answer),
        }
    }

    #[cold]
    fn answer_long(&self, header: Header, answer: Answer) -> Outcome {
        if header.kind() == KIND_ONE_WAY {
            self.channel.discard(answer.unwanted);
            discard_given(&self.channel.port, answer.capability);
        } else {
            self.channel.send_answer(header.method(), header.sequence(), answer);
        }
        Outcome::None
    }

    /// Polls the handler's future once. Only if it has to wait does it become a task.
    #[inline]
    fn run(&self, request: Request, packet: &mut Packet) -> Outcome {
        let header = request.header;
        let future = (self.run)(self.service.clone(), self.caller, request);
        let mut slot = self.spare.with(Option::take).unwrap_or_else(|| Box::pin(None));
        slot.as_mut().set(Some(future));
        // The task is polled again at once when it is spawned: this waker need not wake anybody.
        match poll_slot(&mut slot, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => {
                slot.as_mut().set(None);
                drop(self.spare.with(|spare| spare.replace(slot)));
                self.answer(header, answer, packet)
            }
            Poll::Pending => self.spawn(header, slot),
        }
    }

    #[cold]
    fn spawn(&self, header: Header, future: Slot<F>) -> Outcome {
        let sequence = header.sequence();
        match DeferringChannel(&self.channel).enter(sequence) {
            Ok(()) => {
                let channel = self.channel.clone();
                let task: Task = Box::pin(Flight { channel, header, future });
                self.channel.port.spawn(task);
            }
            Err(CallError::TooManyRequests) => {
                self.channel.error(header, CallError::TooManyRequests);
            }
            Err(error) => self.channel.close(error),
        }
        Outcome::None
    }

    /// Everything but a request in one packet.
    #[cold]
    fn on_other(&self, packet: &mut Packet, capability: Option<CapAddr>) -> Outcome {
        let header = Header(packet.header);
        match (self.channel.status(), header.kind()) {
            (OPEN, KIND_ONE_WAY) if is_whole(header) => {
                return self.request(Request::of(packet, capability), packet);
            }
            (OPEN, KIND_CALL | KIND_ONE_WAY | KIND_FRAGMENT) => {
                return self.on_part(packet, capability);
            }
            (OPEN, KIND_CANCEL) => self.channel.cancel(header.sequence()),
            (NEW, KIND_HELLO) => self.on_hello(packet),
            (CLOSED, _) => {}
            _ => self.channel.close(CallError::BadPeer),
        }
        self.channel.discard(capability);
        Outcome::None
    }

    fn on_hello(&self, packet: &Packet) {
        if packet.words[0] == S::INTERFACE {
            self.channel.status.store(OPEN, Ordering::Relaxed);
        } else {
            self.channel.close(CallError::WrongInterface);
        }
    }

    /// A part of a request of many packets.
    fn on_part(&self, packet: &mut Packet, capability: Option<CapAddr>) -> Outcome {
        match self.channel.state.with(|state| state.assembly.take(packet, capability)) {
            Ok(None) => Outcome::None,
            Ok(Some(message)) => {
                let words = [0; PAYLOAD_WORDS];
                let Assembled { header, bytes, capability } = message;
                self.request(Request { header, words, long: Some(bytes), capability }, packet)
            }
            Err(error) => {
                self.channel.discard(capability);
                self.channel.close(error);
                Outcome::None
            }
        }
    }
}

impl<P, S, R, F> Receiver for Server<P, S, R, F>
where
    P: Port,
    S: Service,
    R: Fn(S, Caller, Request) -> F,
    F: Future<Output = Answer> + 'static,
{
    #[inline]
    fn on_packet(&self, packet: &mut Packet, capability: Option<CapAddr>) -> Outcome {
        let header = Header(packet.header);
        let plain = header.kind() == KIND_CALL && is_whole(header);
        if !plain || self.channel.status() != OPEN {
            return self.on_other(packet, capability);
        }
        self.request(Request::of(packet, capability), packet)
    }

    fn on_unsent(&self, packet: &Packet, capability: Option<CapAddr>) {
        let message = message_of(packet, capability.map(Capability::lend));
        self.channel.state.with(|state| state.outgoing.push_front(message));
        self.channel.pump();
    }

    fn on_writable(&self) {
        self.channel.pump();
    }

    fn on_peer_gone(&self) {
        self.channel.shut();
        if !self.channel.gone.swap(true, Ordering::Relaxed) {
            self.service.gone(&self.caller);
        }
    }
}

/// A message again of an answer in one packet that cannot go out now.
fn message_of(packet: &Packet, capability: Option<Capability>) -> Message {
    let header = Header(packet.header);
    let length = header.length();
    let body = if header.flags() & FLAG_BYTES == 0 {
        Body::Words { words: packet.words, length }
    } else {
        let bytes = bytes_of(&packet.words);
        Body::Bytes(bytes[..PAYLOAD_BYTES.min(length as usize)].into())
    };
    Message::new(header.kind(), header.method(), header.sequence(), body, capability)
}

#[inline(always)]
fn poll_slot<F: Future>(slot: &mut Slot<F>, context: &mut Context<'_>) -> Poll<F::Output> {
    match slot.as_mut().as_pin_mut() {
        Some(future) => future.poll(context),
        None => Poll::Pending,
    }
}

/// A handler that waits: a task until it is ready, or nobody wants its answer any more.
struct Flight<P: Port, F> {
    channel: Arc<Channel<P>>,
    header: Header,
    future: Slot<F>,
}

impl<P: Port, F: Future<Output = Answer>> Future for Flight<P, F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let sequence = self.header.sequence();
        let waker = context.waker().clone();
        let former = self
            .channel
            .state
            .with(|state| state.flights.get_mut(&sequence).map(|flight| flight.replace(waker)));
        if former.is_none() {
            return Poll::Ready(());
        }
        drop(former);
        let Poll::Ready(answer) = poll_slot(&mut self.future, context) else {
            return Poll::Pending;
        };
        let method = self.header.method();
        if self.header.kind() == KIND_ONE_WAY {
            self.channel.leave(sequence);
            self.channel.drop_answer(answer);
        } else if let Err(answer) = self.channel.answer(method, sequence, answer) {
            self.channel.drop_answer(answer);
        }
        Poll::Ready(())
    }
}
