//! Requests as handlers' dispatch sees them, and what it makes of them.

use crate::error::CallError;
use crate::reply::{Answer, Answering, Reply};
use crate::wire::{Capability, Decode, Encode, WordSink, copy_words, decode_bytes, decode_packet, fits};
use abi::CapAddr;
use abi::packet::{Header, PAYLOAD_WORDS, Packet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;

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
    pub(crate) header: Header,
    pub(crate) words: [u64; PAYLOAD_WORDS],
    pub(crate) long: Option<Vec<u8>>,
    pub(crate) capability: Option<CapAddr>,
}

impl Request {
    /// A request in one packet.
    #[inline(always)]
    pub(crate) fn of(packet: &Packet, capability: Option<CapAddr>) -> Request {
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

    /// The arguments.
    ///
    /// # Errors
    /// The answer [`CallError::Malformed`], when what came is no such arguments, or [`CallError::OutOfMemory`].
    #[inline(always)]
    pub fn arguments<A: Decode>(&self) -> Result<A, Answer> {
        const { assert!(A::CAPABILITIES <= 1, "a message carries one capability at most") };
        let decoded = match &self.long {
            None => decode_packet(self.header, &self.words, self.capability),
            Some(bytes) => decode_bytes(bytes, self.capability),
        };
        decoded.map_err(|error| Answer::error(error.or(CallError::Malformed), self.capability))
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
    pub(crate) channel: &'a dyn Deferring,
    pub(crate) sequence: u32,
    pub(crate) method: u8,
}

impl Replies<'_> {
    /// The arguments of a deferred request, and its reply.
    ///
    /// # Errors
    /// The answer to give at once: that of [`Request::arguments`], [`CallError::TooManyRequests`], or
    /// [`CallError::BadPeer`] when a request of this number waits already.
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
pub(crate) trait Deferring {
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
