//! The server's end of a channel: requests become calls of handlers, answers become packets.
//!
//! A handler answers in one of three ways, fixed by the interface: at once (`fn`), when its future is
//! ready (`async fn`: polled right in the upcall, and made a task only if it has to wait), or through a
//! [`crate::Reply`] that it may store (`#[deferred] fn`).

use crate::channel::{CLOSED, Channel, DeferringChannel, NEW, OPEN};
use crate::error::CallError;
use crate::message::{
    Assembled, Body, KIND_CALL, KIND_CANCEL, KIND_FRAGMENT, KIND_HELLO, KIND_ONE_WAY, KIND_REPLY, Message,
    discard_given, is_crippled, is_whole,
};
use crate::port::{Lock, Outcome, Port, Receiver, Task};
use crate::reply::{Answer, Answering};
use crate::request::{Caller, Deferring, Replies, Request, Served, Service};
use crate::traffic::Traffic;
use crate::wire::{Capability, bytes_of, copy_words, fill_words};
use abi::CapAddr;
use abi::packet::{FLAG_BYTES, Header, PAYLOAD_BYTES, PAYLOAD_WORDS, Packet};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::Ordering;
use core::task::{Context, Poll, Waker};

/// The future of a handler, in a box that is used again and again while handlers do not wait.
type Slot<F> = Pin<Box<Option<F>>>;

/// Whether there is memory for a `Box` of this type, which is to be made next. There is no fallible way to make one; but what
/// a vector of one element takes and gives back is a block of the very same layout.
fn has_room<T>() -> bool {
    Vec::<T>::new().try_reserve_exact(1).is_ok()
}

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
    let channel = Arc::new(Channel::new(port, S::LIMIT));
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
        self.channel.received.add(request.long.as_ref().map_or(header.length().into(), Vec::len));
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
        if header.kind() == KIND_CALL && direct {
            match capability {
                // It must be gone here before the wait that a reply goes out with.
                Some(given) if given.is_given() => {
                    if self.channel.port.send(packet, Some(given.address())).is_ok() {
                        self.channel.sent.add(length.into());
                        self.channel.port.discard(given.address());
                        return Outcome::None;
                    }
                }
                lent => {
                    self.channel.sent.add(length.into());
                    return Outcome::Reply(lent.map(Capability::address));
                }
            }
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
                fill_words(&mut packet.words, &bytes);
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
        let spare = self.spare.with(Option::take);
        if spare.is_none() && !has_room::<Option<F>>() {
            return self.no_memory(header, request.capability);
        }
        let future = (self.run)(self.service.clone(), self.caller, request);
        let mut slot = spare.unwrap_or_else(|| Box::pin(None));
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

    /// A request for which there is no memory.
    #[cold]
    fn no_memory(&self, header: Header, capability: Option<CapAddr>) -> Outcome {
        self.fail(header, capability, CallError::OutOfMemory)
    }

    /// A request fails, and the channel goes on.
    #[cold]
    fn fail(&self, header: Header, capability: Option<CapAddr>, error: CallError) -> Outcome {
        self.channel.discard(capability);
        if header.kind() == KIND_CALL {
            self.channel.error(header, error);
        }
        Outcome::None
    }

    #[cold]
    fn spawn(&self, header: Header, future: Slot<F>) -> Outcome {
        let sequence = header.sequence();
        if !has_room::<Flight<P, F>>() {
            // Dropping it undoes what it has begun.
            drop(future);
            return self.no_memory(header, None);
        }
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
            (OPEN, KIND_CALL | KIND_ONE_WAY) if is_crippled(header) => {
                return self.fail(header, capability, CallError::BadCapability);
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
            self.channel.open();
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
                let Assembled { header, bytes, failure, capability } = message;
                if let Some(error) = failure {
                    return self.fail(header, capability, error);
                }
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
        match self.channel.state.with(|state| state.outgoing.push_front(message)) {
            Ok(()) => self.channel.pump(),
            // An answer is lost, and its client must not wait for it.
            Err(_) => self.channel.close(CallError::Overloaded),
        }
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

    fn traffic(&self) -> Traffic {
        self.channel.traffic()
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
