//! Messages between monitors, and how they lie in lines of 64 bytes.
//!
//! ```text
//!   word 0   kind, bits 0-7; what becomes of the capability, 8-15
//!   word 1   the receiver's record: index, bits 0-15; generation, 32-63
//!   word 2   a record of the sender, or the other one of the receiver
//!   word 3   bit of a notification, credits, or number of a service
//!   word 4   number of a domain
//! ```
//!
//! All else is zero. `Data` has a second line: the packet as it is. Any line that this monitor would not have written is no message.

use abi::packet::{HEADER_CAPABILITY, PAYLOAD_WORDS, Packet};

/// A line of a ring between cores, as words.
pub type Line = [u64; 8];

/// The number of a core.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CoreId(pub u8);

impl CoreId {
    /// As an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A record of a monitor, of one use of its place in the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RecordId {
    /// Its place.
    pub index: u16,
    /// Which use of the place.
    pub generation: u32,
}

impl RecordId {
    const fn word(self) -> u64 {
        self.index as u64 | (self.generation as u64) << 32
    }

    const fn from_word(word: u64) -> RecordId {
        RecordId { index: word as u16, generation: (word >> 32) as u32 }
    }
}

/// What a transfer by the capability protocol is known by where it arrives: a packet of a record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tag {
    /// The record.
    pub record: RecordId,
    /// The number of the packet, modulo 65,536.
    pub sequence: u16,
}

impl Tag {
    /// As a word: index, bits 0-15; sequence, 16-31; generation, 32-63.
    pub const fn word(self) -> u64 {
        self.record.word() | (self.sequence as u64) << 16
    }
    /// From such a word: each is one.
    pub const fn from_word(word: u64) -> Tag {
        Tag { record: RecordId::from_word(word), sequence: (word >> 16) as u16 }
    }
}

/// What becomes of the capability that a packet had with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Along {
    /// It had none.
    Nothing,
    /// It could not go along.
    Lost,
    /// It was sent by the capability protocol and is there already.
    Arrived,
    /// A doorbell: the bit of the sender's core.
    Notify(u32),
    /// An endpoint that the receiver knows nothing of; the sender's new record.
    Offer(RecordId),
    /// What the proxy of this record of the receiver stands for: a copy of the proxy. This accepts the route.
    Proxy(RecordId),
    /// The peer of the proxy of this record of the receiver: it is home again.
    Peer(RecordId),
}

/// What one monitor says to another. `to` is a record of the receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// A packet of the route.
    Data {
        /// The route.
        to: RecordId,
        /// Its capability.
        along: Along,
        /// The packet, of which [`HEADER_CAPABILITY`] is not set.
        packet: Packet,
    },
    /// Answers an offer, or `Open`: this is the record here.
    Opened {
        /// What was offered.
        to: RecordId,
        /// The sender's record.
        record: RecordId,
    },
    /// Answers an offer, or `Open`: there is nothing here.
    Refused {
        /// What was offered.
        to: RecordId,
    },
    /// Somebody has connected what stands for the endpoint that was offered.
    Accept {
        /// The route.
        to: RecordId,
    },
    /// So many packets have gone on to their receiver.
    Credit {
        /// The route.
        to: RecordId,
        /// How many, at least 1.
        packets: u16,
    },
    /// The last that the sender ever says of this record.
    Close {
        /// The route.
        to: RecordId,
    },
    /// Offers an endpoint to a service that has a well-known number.
    Open {
        /// The sender's new record.
        record: RecordId,
        /// Which service.
        service: u64,
        /// Which domain wants it.
        domain: u64,
    },
}

mod kind {
    pub(super) const DATA: u8 = 0x40;
    pub(super) const OPENED: u8 = 0x41;
    pub(super) const REFUSED: u8 = 0x42;
    pub(super) const ACCEPT: u8 = 0x43;
    pub(super) const CREDIT: u8 = 0x44;
    pub(super) const CLOSE: u8 = 0x45;
    pub(super) const OPEN: u8 = 0x46;
}

/// The kinds of these messages, in the lowest byte of a line; those of other protocols on the same ring differ.
pub const KINDS: core::ops::RangeInclusive<u8> = kind::DATA..=kind::OPEN;

/// Whether a packet follows this line.
pub const fn packet_follows(line: &Line) -> bool {
    line[0] as u8 == kind::DATA
}

impl Message {
    /// As a line, and a second one if it has a packet.
    pub fn encode(&self) -> (Line, Option<Line>) {
        match *self {
            Message::Data { to, along, packet } => {
                let (what, record, bit) = encode_along(along);
                let first = line(u64::from(kind::DATA) | what << 8, to.word(), record, bit, 0);
                (first, Some(packet_line(&packet)))
            }
            Message::Opened { to, record } => (plain(kind::OPENED, to, record.word(), 0), None),
            Message::Refused { to } => (plain(kind::REFUSED, to, 0, 0), None),
            Message::Accept { to } => (plain(kind::ACCEPT, to, 0, 0), None),
            Message::Credit { to, packets } => (plain(kind::CREDIT, to, 0, packets.into()), None),
            Message::Close { to } => (plain(kind::CLOSE, to, 0, 0), None),
            Message::Open { record, service, domain } => {
                (line(kind::OPEN.into(), 0, record.word(), service, domain), None)
            }
        }
    }

    /// What was said, if it can have been: `second` is there exactly if [`packet_follows`].
    pub fn decode(first: &Line, second: Option<&Line>) -> Option<Message> {
        let (to, record) = (RecordId::from_word(first[1]), RecordId::from_word(first[2]));
        let message = match first[0] as u8 {
            kind::DATA => {
                let packet = packet_of(second?);
                Message::Data { to, along: decode_along(first[0] >> 8, record, first[3])?, packet }
            }
            kind::OPENED => Message::Opened { to, record },
            kind::REFUSED => Message::Refused { to },
            kind::ACCEPT => Message::Accept { to },
            kind::CREDIT => {
                Message::Credit { to, packets: u16::try_from(first[3]).ok().filter(|&it| it > 0)? }
            }
            kind::CLOSE => Message::Close { to },
            kind::OPEN => Message::Open { record, service: first[3], domain: first[4] },
            _ => return None,
        };
        // One way to write each message: what was not looked at has to be as it would have been written.
        (message.encode() == (*first, second.copied())).then_some(message)
    }
}

const fn line(kind: u64, to: u64, record: u64, number: u64, domain: u64) -> Line {
    [kind, to, record, number, domain, 0, 0, 0]
}

const fn plain(kind: u8, to: RecordId, record: u64, number: u64) -> Line {
    line(kind as u64, to.word(), record, number, 0)
}

/// Its number, and words 2 and 3.
const fn encode_along(along: Along) -> (u64, u64, u64) {
    match along {
        Along::Nothing => (0, 0, 0),
        Along::Lost => (1, 0, 0),
        Along::Arrived => (2, 0, 0),
        Along::Notify(bit) => (3, 0, bit as u64),
        Along::Offer(record) => (4, record.word(), 0),
        Along::Proxy(record) => (5, record.word(), 0),
        Along::Peer(record) => (6, record.word(), 0),
    }
}

fn decode_along(what: u64, record: RecordId, bit: u64) -> Option<Along> {
    match what {
        0 => Some(Along::Nothing),
        1 => Some(Along::Lost),
        2 => Some(Along::Arrived),
        3 => Some(Along::Notify(u32::try_from(bit).ok()?)),
        4 => Some(Along::Offer(record)),
        5 => Some(Along::Proxy(record)),
        6 => Some(Along::Peer(record)),
        _ => None,
    }
}

pub(crate) fn packet_line(packet: &Packet) -> Line {
    let mut line = [0; 8];
    line[0] = packet.header & !HEADER_CAPABILITY;
    line[1..].copy_from_slice(&packet.words);
    line
}

/// The packet that is in a line. A [`Packet`] takes as much as two lines where something stands beside it.
pub(crate) fn packet_of(line: &Line) -> Packet {
    let mut words = [0; PAYLOAD_WORDS];
    words.copy_from_slice(&line[1..]);
    Packet { header: line[0], words }
}
