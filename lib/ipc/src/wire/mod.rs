//! How values travel: as words of one packet where every value of the type fits, as bytes otherwise.
//!
//! One description of a type serves both forms: integers go into a word each, or into as many
//! little-endian bytes as they have; enums are a number followed by the fields of the variant;
//! sequences are a 32-bit count followed by the elements. A [`Capability`] takes no room: it goes beside
//! the payload. Which form a message has is known at compile time on both sides.

mod types;

use crate::error::DecodeError::{self, Malformed, OutOfMemory};
use abi::CapAddr;
use abi::packet::{FLAG_BYTES, Header, PAYLOAD_BYTES, PAYLOAD_WORDS};
use alloc::vec::Vec;

/// The payload words of a packet.
pub type Words = [u64; PAYLOAD_WORDS];

/// `WORDS` of a type whose values have no fixed size. Large enough for any sum with it to exceed a packet.
pub const DYNAMIC: usize = 1 << 20;

/// A capability in the arguments or the result of a method; at most one of each.
///
/// A received one names a slot that belongs to the receiver, who deletes it when done with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a capability that is ignored keeps its slot for ever"]
pub struct Capability {
    address: CapAddr,
    given: bool,
}

impl Capability {
    /// Sends a copy; the sender's own stays.
    pub const fn lend(address: CapAddr) -> Capability {
        Capability { address, given: false }
    }
    /// Sends a copy and deletes the sender's own once the message is out (or never will be).
    pub const fn give(address: CapAddr) -> Capability {
        Capability { address, given: true }
    }
    /// The slot where it lies.
    pub const fn address(self) -> CapAddr {
        self.address
    }
    /// Whether the sender's own is to be deleted.
    pub const fn is_given(self) -> bool {
        self.given
    }
}

/// Where an encoded value goes.
pub trait Sink {
    /// An integer of `size` bytes: 1, 2, 4 or 8.
    fn integer(&mut self, value: u64, size: usize);
    /// Bytes as they are. Only in messages of [`DYNAMIC`] size.
    fn bytes(&mut self, bytes: &[u8]);
    /// The capability of the message.
    fn capability(&mut self, capability: Capability);
}

/// Where a value is decoded from. Nothing in it is trusted.
pub trait Source {
    /// An integer of `size` bytes: 1, 2, 4 or 8.
    fn integer(&mut self, size: usize) -> Result<u64, DecodeError>;
    /// The next `length` bytes.
    fn bytes(&mut self, length: usize) -> Result<&[u8], DecodeError>;
    /// An upper bound for the bytes that are still to come.
    fn remaining(&self) -> usize;
    /// The capability of the message.
    fn capability(&mut self) -> Result<Capability, DecodeError>;
}

/// A type that can be sent. `#[derive(Wire)]` implements it for structs and enums.
pub trait Encode {
    /// Words that any value needs at most, or [`DYNAMIC`] (or more).
    const WORDS: usize;
    /// Capabilities that any value holds at most.
    const CAPABILITIES: usize;
    /// Appends the value.
    fn encode<S: Sink>(&self, sink: &mut S);
    /// Appends the values of a sequence, without their count.
    #[inline]
    fn encode_all<S: Sink>(items: &[Self], sink: &mut S)
    where
        Self: Sized,
    {
        for item in items {
            item.encode(sink);
        }
    }
}

/// A type that can be received; its [`Encode`] form must be the same.
pub trait Decode: Encode + Sized {
    /// Takes the next value out of `source`.
    fn decode<S: Source>(source: &mut S) -> Result<Self, DecodeError>;
    /// Takes `count` values, which the source has room for, each at least a byte.
    #[inline]
    fn decode_all<S: Source>(count: usize, source: &mut S) -> Result<Vec<Self>, DecodeError> {
        let mut items = Vec::new();
        for _ in 0..count {
            items.try_reserve(1).map_err(|_| OutOfMemory)?;
            items.push(Self::decode(source)?);
        }
        Ok(items)
    }
}

/// Whether a message of this type goes as words of one packet.
pub const fn fits<T: Encode + ?Sized>() -> bool {
    T::WORDS <= PAYLOAD_WORDS
}

/// The larger of two numbers, for constants.
pub const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

/// Fills the words of a packet.
pub struct WordSink<'a> {
    words: &'a mut Words,
    at: usize,
    capability: Option<Capability>,
}

impl<'a> WordSink<'a> {
    /// Starts at the first word.
    #[inline(always)]
    pub fn new(words: &'a mut Words) -> WordSink<'a> {
        WordSink { words, at: 0, capability: None }
    }
    /// The capability that the value held.
    #[inline(always)]
    pub fn into_capability(self) -> Option<Capability> {
        self.capability
    }
}

impl Sink for WordSink<'_> {
    #[inline(always)]
    fn integer(&mut self, value: u64, _size: usize) {
        if let Some(word) = self.words.get_mut(self.at) {
            *word = value;
        }
        self.at += 1;
    }
    #[inline(always)]
    fn bytes(&mut self, _bytes: &[u8]) {}
    #[inline(always)]
    fn capability(&mut self, capability: Capability) {
        self.capability = Some(capability);
    }
}

/// Reads the words of a packet.
pub struct WordSource<'a> {
    words: &'a Words,
    at: usize,
    capability: Option<CapAddr>,
}

impl Source for WordSource<'_> {
    #[inline(always)]
    fn integer(&mut self, _size: usize) -> Result<u64, DecodeError> {
        let word = *self.words.get(self.at).ok_or(Malformed)?;
        self.at += 1;
        Ok(word)
    }
    #[inline(always)]
    fn bytes(&mut self, _length: usize) -> Result<&[u8], DecodeError> {
        Err(Malformed)
    }
    #[inline(always)]
    fn remaining(&self) -> usize {
        (PAYLOAD_WORDS - self.at.min(PAYLOAD_WORDS)) * 8
    }
    #[inline(always)]
    fn capability(&mut self) -> Result<Capability, DecodeError> {
        self.capability.take().map(Capability::lend).ok_or(Malformed)
    }
}

/// Appends to a byte string.
#[derive(Default)]
pub struct ByteSink {
    bytes: Vec<u8>,
    /// There was no memory for all of it.
    failed: bool,
    capability: Option<Capability>,
}

impl ByteSink {
    /// The encoded bytes, `None` if there is no memory for them, and the capability of `value`.
    pub fn collect<T: Encode + ?Sized>(value: &T) -> (Option<Vec<u8>>, Option<Capability>) {
        let mut sink = ByteSink::default();
        value.encode(&mut sink);
        ((!sink.failed).then_some(sink.bytes), sink.capability)
    }
}

impl Sink for ByteSink {
    #[inline]
    fn integer(&mut self, value: u64, size: usize) {
        self.bytes(&value.to_le_bytes()[..size.min(8)]);
    }
    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        if self.bytes.try_reserve(bytes.len()).is_ok() {
            self.bytes.extend_from_slice(bytes);
        } else {
            self.failed = true;
        }
    }
    #[inline]
    fn capability(&mut self, capability: Capability) {
        self.capability = Some(capability);
    }
}

/// Reads a byte string.
struct ByteSource<'a> {
    rest: &'a [u8],
    capability: Option<CapAddr>,
}

impl Source for ByteSource<'_> {
    #[inline]
    fn integer(&mut self, size: usize) -> Result<u64, DecodeError> {
        let mut buffer = [0; 8];
        buffer.get_mut(..size).ok_or(Malformed)?.copy_from_slice(self.bytes(size)?);
        Ok(u64::from_le_bytes(buffer))
    }
    #[inline]
    fn bytes(&mut self, length: usize) -> Result<&[u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }
    #[inline]
    fn remaining(&self) -> usize {
        self.rest.len()
    }
    #[inline]
    fn capability(&mut self) -> Result<Capability, DecodeError> {
        self.capability.take().map(Capability::lend).ok_or(Malformed)
    }
}

/// Decodes a message that came in one packet.
///
/// # Errors
/// [`DecodeError::Malformed`], also when the value has no place for the capability, which is still the caller's to delete then.
#[inline(always)]
pub fn decode_packet<T: Decode>(
    header: Header,
    words: &Words,
    capability: Option<CapAddr>,
) -> Result<T, DecodeError> {
    let length = header.length() as usize;
    if const { !fits::<T>() } {
        return decode_short(header, words, capability);
    }
    if header.flags() & FLAG_BYTES != 0 || length != const { T::WORDS * 8 } {
        return Err(Malformed);
    }
    let mut source = WordSource { words, at: 0, capability };
    let value = T::decode(&mut source)?;
    if source.capability.is_some() { Err(Malformed) } else { Ok(value) }
}

/// Decodes bytes that came in one packet.
#[inline(never)]
fn decode_short<T: Decode>(
    header: Header,
    words: &Words,
    capability: Option<CapAddr>,
) -> Result<T, DecodeError> {
    let bytes = bytes_of(words);
    let payload = bytes.get(..header.length() as usize).ok_or(Malformed)?;
    if header.flags() & FLAG_BYTES == 0 {
        return Err(Malformed);
    }
    decode_bytes(payload, capability)
}

/// Decodes a message that came as bytes, in one packet or many.
///
/// # Errors
/// As [`decode_packet`].
pub fn decode_bytes<T: Decode>(bytes: &[u8], capability: Option<CapAddr>) -> Result<T, DecodeError> {
    if const { fits::<T>() } {
        return Err(Malformed);
    }
    let mut source = ByteSource { rest: bytes, capability };
    let value = T::decode(&mut source)?;
    if !source.rest.is_empty() || source.capability.is_some() { Err(Malformed) } else { Ok(value) }
}

/// Copies word by word: the compiler calls `memcpy` for 56 bytes, which costs several times as much.
#[inline(always)]
pub fn copy_words(to: &mut Words, from: &Words) {
    to[0] = from[0];
    to[1] = from[1];
    to[2] = from[2];
    to[3] = from[3];
    to[4] = from[4];
    to[5] = from[5];
    to[6] = from[6];
}

/// The payload of a packet as bytes.
pub fn bytes_of(words: &Words) -> [u8; PAYLOAD_BYTES] {
    let mut bytes = [0; PAYLOAD_BYTES];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// Fills payload words with `bytes`, at most [`PAYLOAD_BYTES`] of them, padded with 0.
pub fn fill_words(words: &mut Words, bytes: &[u8]) {
    *words = [0; PAYLOAD_WORDS];
    let (whole, rest) = bytes.as_chunks();
    for (word, chunk) in words.iter_mut().zip(whole) {
        *word = u64::from_le_bytes(*chunk);
    }
    if let Some(word) = words.get_mut(whole.len()) {
        for (index, &byte) in rest.iter().enumerate() {
            *word |= u64::from(byte) << (8 * index);
        }
    }
}
