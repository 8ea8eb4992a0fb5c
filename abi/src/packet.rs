//! Packets: 64 bytes, one header word and seven payload words, the same for every kind of channel.

/// Payload words of a packet.
pub const PAYLOAD_WORDS: usize = 7;
/// Payload bytes of a packet.
pub const PAYLOAD_BYTES: usize = PAYLOAD_WORDS * 8;
/// Bytes of a packet.
pub const PACKET_SIZE: u64 = 64;

/// A packet as it lies in a ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C, align(64))]
pub struct Packet {
    /// See [`Header`].
    pub header: u64,
    /// Payload; words past the length are 0.
    pub words: [u64; PAYLOAD_WORDS],
}

/// The header word: `kind:8 | method:8 | length:8 | flags:8 | sequence:32`, kind in the lowest bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Header(pub u64);

/// Set by the kernel alone: a capability came with the packet and lies in the landing slot.
pub const FLAG_CAPABILITY: u8 = 1;
/// More packets of the same message follow.
pub const FLAG_MORE: u8 = 2;
/// The payload is a stream of bytes rather than words (see `lib/ipc`).
pub const FLAG_BYTES: u8 = 4;
/// Belongs to the ring in which a packet crosses from core to core (`core/channel`): it flips with each round, so that
/// a line says by itself whether it is new. Sending overwrites it and receiving clears it; users of packets leave it 0.
pub const FLAG_EPOCH: u8 = 0x80;

/// A capability went along, and was lost on the way from another core.
pub const FLAG_LOST: u8 = 0x40;

/// [`FLAG_LOST`] at its place in the header word.
pub const HEADER_LOST: u64 = (FLAG_LOST as u64) << 24;
/// [`FLAG_CAPABILITY`] at its place in the header word.
pub const HEADER_CAPABILITY: u64 = (FLAG_CAPABILITY as u64) << 24;
/// [`FLAG_EPOCH`] at its place in the header word.
pub const HEADER_EPOCH: u64 = (FLAG_EPOCH as u64) << 24;

impl Header {
    /// A header. `length` counts payload bytes in this packet, 0 to 56.
    pub const fn new(kind: u8, method: u8, length: u8, flags: u8, sequence: u32) -> Header {
        Header(
            kind as u64
                | (method as u64) << 8
                | (length as u64) << 16
                | (flags as u64) << 24
                | (sequence as u64) << 32,
        )
    }
    /// What the packet is.
    pub const fn kind(self) -> u8 {
        self.0 as u8
    }
    /// Which method of the interface.
    pub const fn method(self) -> u8 {
        (self.0 >> 8) as u8
    }
    /// Payload bytes of this packet: an allegation until compared with [`PAYLOAD_BYTES`].
    pub const fn length(self) -> u8 {
        (self.0 >> 16) as u8
    }
    /// `FLAG_*`.
    pub const fn flags(self) -> u8 {
        (self.0 >> 24) as u8
    }
    /// Matches a reply with its request.
    pub const fn sequence(self) -> u32 {
        (self.0 >> 32) as u32
    }
}
