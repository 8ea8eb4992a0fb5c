//! Messages between monitors, and how they lie in the seven words that a packet carries.
//!
//! ```text
//!   word 0   kind, bits 0-7; core, 8-15; small answers, 16-23
//!   word 1   unit: page number of its base, bits 0-31; home core, 32-39
//!   words 2, 3 and 4, 5   keys, or the address of a cut in word 2
//!   word 6   tag
//! ```
//!
//! What is not used is zero. What comes from a peer is decoded fallibly: any word that this monitor would not have written
//! makes it no message.

use capops::{CoreId, Finding, Key, MAX_CORES, Request, ToCore, ToHome, Verdict};

/// Words that a packet carries.
pub const WORDS: usize = 7;
/// Units begin at, and are cut at, multiples of this.
pub const PAGE: u64 = 4096;

/// A key that can be written in two words.
pub trait WireKey: Key {
    /// The two words.
    fn words(self) -> [u64; 2];
    /// What was written, if it makes sense.
    fn from_words(words: [u64; 2]) -> Option<Self>;
}

/// The name of a unit while it lives: its home, and where it begins. A cut makes the name of the upper part.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UnitId {
    /// The core whose memory server it belongs to.
    pub home: CoreId,
    /// Its first address in units of [`PAGE`].
    pub page: u32,
}

impl UnitId {
    /// The unit of the same home that begins at this address, if one can.
    pub fn at(self, address: u64) -> Option<UnitId> {
        let page = u32::try_from(address / PAGE).ok()?;
        address.is_multiple_of(PAGE).then_some(UnitId { page, ..self })
    }

    const fn word(self) -> u64 {
        self.page as u64 | (self.home.0 as u64) << 32
    }

    fn from_word(word: u64) -> Option<UnitId> {
        let home = core_from(word >> 32)?;
        Some(UnitId { home, page: word as u32 })
    }
}

/// To which role of the receiver a message goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Body<K> {
    /// To the home, from a core.
    ToHome(ToHome<K>),
    /// To a core, from the home.
    ToCore(ToCore<K>),
}

/// A message between two monitors.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Message<K> {
    /// The unit that it is about.
    pub unit: UnitId,
    /// What it says.
    pub body: Body<K>,
    /// Who takes what is delivered, and with which rights: a matter between the ends. It comes with a request and goes on with
    /// the delivery; 0 elsewhere.
    pub tag: u64,
}

mod kind {
    pub(super) const SEND: u8 = 0x01;
    pub(super) const RETYPE: u8 = 0x02;
    pub(super) const REVOKE: u8 = 0x03;
    pub(super) const GONE: u8 = 0x04;
    pub(super) const DELIVERED: u8 = 0x05;
    pub(super) const CHECKED: u8 = 0x06;
    pub(super) const MARKED: u8 = 0x07;
    pub(super) const SWEPT: u8 = 0x08;
    pub(super) const SURVEYED: u8 = 0x09;
    pub(super) const IS_CUT: u8 = 0x0a;
    pub(super) const DELIVER: u8 = 0x81;
    pub(super) const CHECK: u8 = 0x82;
    pub(super) const MARK: u8 = 0x83;
    pub(super) const SWEEP: u8 = 0x84;
    pub(super) const SURVEY: u8 = 0x85;
    pub(super) const CUT: u8 = 0x86;
    pub(super) const DONE: u8 = 0x87;
}

/// The words that depend on what is said.
struct Parts {
    kind: u8,
    core: u8,
    bits: u8,
    words: [u64; 4],
}

impl Parts {
    const fn bits(kind: u8, bits: u8) -> Parts {
        Parts { kind, core: 0, bits, words: [0; 4] }
    }
    fn key<K: WireKey>(kind: u8, key: K) -> Parts {
        let [a, b] = key.words();
        Parts { words: [a, b, 0, 0], ..Parts::bits(kind, 0) }
    }
    fn keys<K: WireKey>(kind: u8, first: K, second: K) -> Parts {
        let ([a, b], [c, d]) = (first.words(), second.words());
        Parts { words: [a, b, c, d], ..Parts::bits(kind, 0) }
    }
    const fn address(kind: u8, at: u64) -> Parts {
        Parts { words: [at, 0, 0, 0], ..Parts::bits(kind, 0) }
    }
}

impl<K: WireKey> Message<K> {
    /// As the words of a packet.
    pub fn encode(&self) -> [u64; WORDS] {
        let parts = match self.body {
            Body::ToHome(message) => to_home(message),
            Body::ToCore(message) => to_core(message),
        };
        let first = u64::from(parts.kind) | u64::from(parts.core) << 8 | u64::from(parts.bits) << 16;
        let [a, b, c, d] = parts.words;
        [first, self.unit.word(), a, b, c, d, self.tag]
    }

    /// What a peer has said, if it can have said that.
    pub fn decode(words: [u64; WORDS]) -> Option<Message<K>> {
        let unit = UnitId::from_word(words[1])?;
        let message = Message { unit, body: body(&words)?, tag: words[6] };
        // One way to write each message: what was not looked at has to be as it would have been written.
        (message.encode() == words).then_some(message)
    }
}

fn to_home<K: WireKey>(message: ToHome<K>) -> Parts {
    match message {
        ToHome::Request(Request::Send { key, to }) => Parts { core: to.0, ..Parts::key(kind::SEND, key) },
        ToHome::Request(Request::Retype { src, new }) => Parts::keys(kind::RETYPE, src, new),
        ToHome::Request(Request::Revoke { top }) => Parts::key(kind::REVOKE, top),
        ToHome::Gone => Parts::bits(kind::GONE, 0),
        ToHome::Delivered { accepted, empty } => {
            Parts::bits(kind::DELIVERED, u8::from(accepted) | u8::from(empty) << 1)
        }
        ToHome::Checked(finding) => Parts::bits(kind::CHECKED, finding as u8),
        ToHome::Marked => Parts::bits(kind::MARKED, 0),
        ToHome::Swept { empty } => Parts::bits(kind::SWEPT, u8::from(empty)),
        ToHome::Surveyed { spanned } => Parts::bits(kind::SURVEYED, u8::from(spanned)),
        ToHome::IsCut { lower_empty, upper_empty } => {
            Parts::bits(kind::IS_CUT, u8::from(lower_empty) | u8::from(upper_empty) << 1)
        }
    }
}

fn to_core<K: WireKey>(message: ToCore<K>) -> Parts {
    match message {
        ToCore::Deliver { key, exclusive } => {
            Parts { bits: u8::from(exclusive), ..Parts::key(kind::DELIVER, key) }
        }
        ToCore::Check { src, new } => Parts::keys(kind::CHECK, src, new),
        ToCore::Mark { top, keeps_top } => Parts { bits: u8::from(keeps_top), ..Parts::key(kind::MARK, top) },
        ToCore::Sweep => Parts::bits(kind::SWEEP, 0),
        ToCore::Survey { at } => Parts::address(kind::SURVEY, at),
        ToCore::Cut { at } => Parts::address(kind::CUT, at),
        ToCore::Done(verdict) => Parts::bits(kind::DONE, verdict as u8),
    }
}

fn body<K: WireKey>(words: &[u64; WORDS]) -> Option<Body<K>> {
    let bits = (words[0] >> 16) as u8;
    let (low, high) = (bits & 1 != 0, bits & 2 != 0);
    let key = || K::from_words([words[2], words[3]]);
    let second = || K::from_words([words[4], words[5]]);
    let request = |request| Some(Body::ToHome(ToHome::Request(request)));
    match words[0] as u8 {
        kind::SEND => request(Request::Send { key: key()?, to: core_from(words[0] >> 8 & 0xff)? }),
        kind::RETYPE => request(Request::Retype { src: key()?, new: second()? }),
        kind::REVOKE => request(Request::Revoke { top: key()? }),
        kind::GONE => Some(Body::ToHome(ToHome::Gone)),
        kind::DELIVERED => Some(Body::ToHome(ToHome::Delivered { accepted: low, empty: high })),
        kind::CHECKED => Some(Body::ToHome(ToHome::Checked(finding(bits)?))),
        kind::MARKED => Some(Body::ToHome(ToHome::Marked)),
        kind::SWEPT => Some(Body::ToHome(ToHome::Swept { empty: low })),
        kind::SURVEYED => Some(Body::ToHome(ToHome::Surveyed { spanned: low })),
        kind::IS_CUT => Some(Body::ToHome(ToHome::IsCut { lower_empty: low, upper_empty: high })),
        kind::DELIVER => Some(Body::ToCore(ToCore::Deliver { key: key()?, exclusive: low })),
        kind::CHECK => Some(Body::ToCore(ToCore::Check { src: key()?, new: second()? })),
        kind::MARK => Some(Body::ToCore(ToCore::Mark { top: key()?, keeps_top: low })),
        kind::SWEEP => Some(Body::ToCore(ToCore::Sweep)),
        kind::SURVEY => Some(Body::ToCore(ToCore::Survey { at: words[2] })),
        kind::CUT => Some(Body::ToCore(ToCore::Cut { at: words[2] })),
        kind::DONE => Some(Body::ToCore(ToCore::Done(verdict(bits)?))),
        _ => None,
    }
}

fn core_from(number: u64) -> Option<CoreId> {
    (number < MAX_CORES as u64).then_some(CoreId(number as u8))
}

fn finding(bits: u8) -> Option<Finding> {
    [Finding::Conflict, Finding::Inside, Finding::Nothing].into_iter().find(|&it| it as u8 == bits)
}

fn verdict(bits: u8) -> Option<Verdict> {
    [Verdict::Failed, Verdict::Granted, Verdict::GrantedAlone].into_iter().find(|&it| it as u8 == bits)
}
