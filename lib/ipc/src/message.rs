//! Messages as packets: what a header's kind means, cutting long messages up, putting them together.
//!
//! ```text
//!   one packet:    [kind|…|len|flags      |seq] payload
//!   many packets:  [kind|…| 56|BYTES|MORE |seq] bytes 0..56      (a capability goes with this one)
//!                  [FRAG|…| 56|BYTES|MORE |seq] bytes 56..112
//!                  [FRAG|…|  n|BYTES      |seq] the rest
//! ```
//!
//! The messages of one sender follow one another; but a whole message in one packet may come between the
//! fragments of another, since a thread may send it directly while an upcall goes on with a queue.

use crate::error::CallError;
use crate::port::{Port, SendError};
use crate::wire::{Capability, Words, bytes_of, copy_words, fill_words};
use abi::CapAddr;
use abi::packet::{FLAG_BYTES, FLAG_CAPABILITY, FLAG_LOST, FLAG_MORE, Header, PAYLOAD_BYTES, Packet};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Client: a request that wants an answer.
pub const KIND_CALL: u8 = 1;
/// Server: the answer to the request of this sequence number.
pub const KIND_REPLY: u8 = 2;
/// Server: the request of this sequence number failed; word 0 is a [`CallError`].
pub const KIND_ERROR: u8 = 3;
/// Client: a message without an answer.
pub const KIND_ONE_WAY: u8 = 4;
/// Client: the request of this sequence number is not wanted any more.
pub const KIND_CANCEL: u8 = 5;
/// Client, first of all: word 0 is the interface that it speaks.
pub const KIND_HELLO: u8 = 6;
/// Server: the channel is closed; word 0 is a [`CallError`].
pub const KIND_CLOSE: u8 = 7;
/// More of the message that began with another kind.
pub const KIND_FRAGMENT: u8 = 8;

/// Most requests that wait for their answers on one channel.
pub const MAX_REQUESTS: usize = 1024;
/// Longest message of an interface that does not say otherwise, in encoded bytes.
pub const DEFAULT_LIMIT: usize = 1 << 20;

/// Whether a packet is a whole message, going by its flags (its length is checked when decoded).
#[inline(always)]
pub(crate) fn is_whole(header: Header) -> bool {
    header.flags() & !(FLAG_CAPABILITY | FLAG_BYTES) == 0
}

/// Whether a packet would be a whole message, had its capability not been lost on the way: that message fails, and no other.
#[inline]
pub(crate) fn is_crippled(header: Header) -> bool {
    header.flags() & !(FLAG_CAPABILITY | FLAG_BYTES) == FLAG_LOST
}

/// The payload of a message that goes out.
pub(crate) enum Body {
    Words { words: Words, length: u8 },
    Bytes(Vec<u8>),
}

impl Body {
    /// Bytes that it encodes.
    pub(crate) fn length(&self) -> usize {
        match self {
            Body::Words { length, .. } => usize::from(*length),
            Body::Bytes(bytes) => bytes.len(),
        }
    }
    /// A payload of one word.
    pub(crate) fn word(word: u64) -> Body {
        Body::Words { words: [word, 0, 0, 0, 0, 0, 0], length: 8 }
    }
    /// Bytes in a block of its own.
    fn block(&self) -> usize {
        match self {
            Body::Words { .. } => 0,
            Body::Bytes(bytes) => bytes.capacity(),
        }
    }
}

/// A message on its way out.
pub(crate) struct Message {
    pub(crate) kind: u8,
    pub(crate) method: u8,
    pub(crate) sequence: u32,
    pub(crate) body: Body,
    pub(crate) capability: Option<Capability>,
    /// Bytes that are out already; for the first packet of a message, 0.
    sent: usize,
}

impl Message {
    pub(crate) fn new(
        kind: u8,
        method: u8,
        sequence: u32,
        body: Body,
        capability: Option<Capability>,
    ) -> Message {
        Message { kind, method, sequence, body, capability, sent: 0 }
    }

    /// Fills in the next packet: how many bytes of the body are out with it.
    fn next_packet(&self, packet: &mut Packet) -> usize {
        let bytes = match &self.body {
            Body::Words { words, length } => {
                packet.header = Header::new(self.kind, self.method, *length, 0, self.sequence).0;
                copy_words(&mut packet.words, words);
                return *length as usize;
            }
            Body::Bytes(bytes) => bytes,
        };
        let end = bytes.len().min(self.sent + PAYLOAD_BYTES);
        let chunk = &bytes[self.sent..end];
        let kind = if self.sent == 0 { self.kind } else { KIND_FRAGMENT };
        let more = if end < bytes.len() { FLAG_MORE } else { 0 };
        packet.header = Header::new(kind, self.method, chunk.len() as u8, FLAG_BYTES | more, self.sequence).0;
        fill_words(&mut packet.words, chunk);
        end
    }

    /// Bytes that it takes while it waits.
    fn size(&self) -> usize {
        size_of::<Message>() + self.body.block()
    }

    fn is_out(&self) -> bool {
        match &self.body {
            Body::Words { .. } => true,
            Body::Bytes(bytes) => self.sent == bytes.len(),
        }
    }
}

/// What one step of [`Outgoing::step`] did.
pub(crate) enum Step {
    /// Nothing (left) to send, or no room: a later `on_writable` goes on.
    Rest,
    /// One packet is out, more of the message remain.
    Sent,
    /// The message is out.
    Finished { kind: u8, sequence: u32 },
    /// The message cannot go out because of its capability; it is dropped.
    Refused { method: u8, sequence: u32 },
    /// The peer is gone.
    PeerGone,
}

/// Messages that wait for room, in order. Empty nearly always.
pub(crate) struct Outgoing {
    queue: VecDeque<Message>,
    size: usize,
    /// What goes out behind the queue: it has a place even when there is no memory.
    last: Option<Message>,
}

impl Outgoing {
    pub(crate) const fn new() -> Outgoing {
        Outgoing { queue: VecDeque::new(), size: 0, last: None }
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes that the messages take which wait.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Gives the message back if there is no memory to keep it.
    pub(crate) fn push(&mut self, message: Message) -> Result<(), Message> {
        if self.queue.try_reserve(1).is_err() {
            return Err(message);
        }
        self.size += message.size();
        self.queue.push_back(message);
        Ok(())
    }

    /// As [`Outgoing::push`]; the message goes out next.
    pub(crate) fn push_front(&mut self, message: Message) -> Result<(), Message> {
        if self.queue.try_reserve(1).is_err() {
            return Err(message);
        }
        self.size += message.size();
        self.queue.push_front(message);
        Ok(())
    }

    /// The very last message of this end: it needs no memory.
    pub(crate) fn push_last(&mut self, message: Message) {
        self.size += message.size();
        self.last = Some(message);
    }

    fn pop(&mut self) -> Option<Message> {
        self.queue.pop_front().or_else(|| self.last.take())
    }

    /// Takes a message back of which nothing is out yet.
    pub(crate) fn withdraw<P: Port>(&mut self, port: &P, kind: u8, sequence: u32) -> bool {
        let at = self.queue.iter().position(|m| m.kind == kind && m.sequence == sequence && m.sent == 0);
        match at.and_then(|at| self.queue.remove(at)) {
            Some(message) => {
                self.drop_message(port, message);
                true
            }
            None => false,
        }
    }

    /// Drops everything that waits, and the memory that it waited in: the channel of a peer that took no answers may be kept for
    /// a while.
    pub(crate) fn clear<P: Port>(&mut self, port: &P) {
        while let Some(message) = self.pop() {
            self.drop_message(port, message);
        }
        self.queue = VecDeque::new();
    }

    fn drop_message<P: Port>(&mut self, port: &P, message: Message) {
        self.size -= message.size();
        if message.sent == 0 {
            discard_given(port, message.capability);
        }
    }

    /// Sends one packet of the first message. Runs inside the lock, so that no packet of another
    /// thread or upcall gets between looking and sending.
    pub(crate) fn step<P: Port>(&mut self, port: &P) -> Step {
        let Some(message) = self.queue.front_mut().or(self.last.as_mut()) else { return Step::Rest };
        let mut packet = Packet::default();
        let end = message.next_packet(&mut packet);
        let capability = if message.sent == 0 { message.capability } else { None };
        match port.send(&packet, capability.map(Capability::address)) {
            Ok(()) => discard_given(port, capability),
            Err(SendError::Full | SendError::NoLandingSlot) => return Step::Rest,
            Err(SendError::PeerGone) => return Step::PeerGone,
            Err(SendError::BadCapability) => {
                let (method, sequence) = (message.method, message.sequence);
                if let Some(message) = self.pop() {
                    self.drop_message(port, message);
                }
                return Step::Refused { method, sequence };
            }
        }
        message.sent = end;
        if !message.is_out() {
            return Step::Sent;
        }
        let (kind, sequence) = (message.kind, message.sequence);
        self.size -= message.size();
        self.pop();
        Step::Finished { kind, sequence }
    }
}

/// Deletes the sender's copy if it was given away.
pub(crate) fn discard_given<P: Port>(port: &P, capability: Option<Capability>) {
    if let Some(capability) = capability
        && capability.is_given()
    {
        port.discard(capability.address());
    }
}

/// A message of several packets, received.
pub(crate) struct Assembled {
    /// Header of its first packet.
    pub(crate) header: Header,
    pub(crate) bytes: Vec<u8>,
    /// Why it fails although all of its packets came: there was no memory for its bytes, which are not there, or its
    /// capability was lost.
    pub(crate) failure: Option<CallError>,
    pub(crate) capability: Option<CapAddr>,
}

impl Assembled {
    /// A message that cannot be used any more fails alone: its packets are let pass, so that those of the next one are
    /// understood.
    fn append(&mut self, bytes: &[u8]) {
        if self.failure.is_some() {
        } else if self.bytes.try_reserve(bytes.len()).is_ok() {
            self.bytes.extend_from_slice(bytes);
        } else {
            self.failure = Some(CallError::OutOfMemory);
            self.bytes = Vec::new();
        }
    }
}

/// The message that is coming in packet by packet, if one is.
pub(crate) struct Assembly {
    current: Option<Assembled>,
    /// Bytes of it that came so far.
    length: usize,
    limit: usize,
}

impl Assembly {
    /// Messages longer than `limit` bytes are a violation of the protocol.
    pub(crate) const fn new(limit: usize) -> Assembly {
        Assembly { current: None, length: 0, limit }
    }

    /// Takes a packet that is not a whole message. On an error the channel is to be closed, and the
    /// packet's capability is still the caller's to delete.
    pub(crate) fn take(
        &mut self,
        packet: &Packet,
        capability: Option<CapAddr>,
    ) -> Result<Option<Assembled>, CallError> {
        let header = Header(packet.header);
        let more = header.flags() & FLAG_MORE != 0;
        let known = FLAG_BYTES | FLAG_MORE | FLAG_CAPABILITY | FLAG_LOST;
        if header.flags() & FLAG_BYTES == 0 || header.flags() & !known != 0 {
            return Err(CallError::BadPeer);
        }
        let length = header.length() as usize;
        // All but the last packet are full: that bounds the work for a message by its length.
        if length > PAYLOAD_BYTES || (more && length != PAYLOAD_BYTES) {
            return Err(CallError::BadPeer);
        }
        if header.kind() == KIND_FRAGMENT {
            self.extend(header, &bytes_of(&packet.words)[..length], capability)?;
        } else {
            self.begin(header, &bytes_of(&packet.words)[..length], capability)?;
        }
        Ok(if more { None } else { self.current.take() })
    }

    fn begin(&mut self, header: Header, bytes: &[u8], capability: Option<CapAddr>) -> Result<(), CallError> {
        if self.current.is_some() {
            return Err(CallError::BadPeer);
        }
        let failure = (header.flags() & FLAG_LOST != 0).then_some(CallError::BadCapability);
        let mut begun = Assembled { header, bytes: Vec::new(), failure, capability };
        begun.append(bytes);
        self.current = Some(begun);
        self.length = bytes.len();
        Ok(())
    }

    fn extend(&mut self, header: Header, bytes: &[u8], capability: Option<CapAddr>) -> Result<(), CallError> {
        let current = self.current.as_mut().ok_or(CallError::BadPeer)?;
        let same =
            current.header.sequence() == header.sequence() && current.header.method() == header.method();
        // A capability goes with the first packet.
        if !same || capability.is_some() || header.flags() & FLAG_LOST != 0 {
            return Err(CallError::BadPeer);
        }
        self.length += bytes.len();
        if self.length > self.limit {
            return Err(CallError::TooLong);
        }
        current.append(bytes);
        Ok(())
    }

    /// Drops what has come so far; returns its capability.
    pub(crate) fn clear(&mut self) -> Option<CapAddr> {
        self.current.take().and_then(|message| message.capability)
    }
}
