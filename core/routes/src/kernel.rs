//! What the monitor that drives the routes does for them: kernel calls, transfers of memory, and who is told.

use abi::packet::Packet;

use crate::{CoreId, RecordId, Tag};

/// A proxy: an endpoint of this monitor. Its number is that of the record it belongs to, and there is at most one of a number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Proxy(pub u16);

/// What a capability is, as far as it matters for leaving the core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// An endpoint.
    EndPoint {
        /// The proxy that it is, if it is one.
        own: Option<Proxy>,
        /// The proxy that it is connected with, if it is.
        peer: Option<Proxy>,
    },
    /// A doorbell.
    Notify,
    /// Memory, which the capability protocol can send.
    Memory,
    /// What cannot leave its core, or is no more.
    Other,
}

/// Something is used up (slots, events, bits), or the capability is not one that this works with, or is no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failed;

/// Why a transfer was not begun. The capability comes back.
#[derive(Debug)]
pub enum NotBegun<C> {
    /// Too many are under way: it is tried again when one has ended.
    Later(C),
    /// It cannot be sent.
    Never(C),
}

/// What a packet has with it for its receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carried<C> {
    /// Nothing.
    Nothing,
    /// A capability.
    Cap(C),
    /// It had one, which was lost on the way.
    Lost,
}

/// Why a packet was not put. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PutError {
    /// The ring is full or there is no landing slot: [`Routes::writable`](crate::Routes::writable) will be called.
    Full,
    /// The peer is no more.
    Gone,
    /// The capability that goes along is no more.
    BadCapability,
}

/// Why a message was refused. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nonsense {
    /// It is none.
    Undecodable,
    /// It comes from this core, or from one that is none or has stopped.
    NoSuchCore,
    /// It names a record that is not there, or that belongs to another core.
    UnknownRecord,
    /// The record is not in a state in which this can be said of it.
    WrongState,
    /// More packets than the window has, or credits for packets that were not sent.
    BeyondWindow,
    /// More offers without an answer than [`OFFERS`](crate::OFFERS).
    TooManyOffers,
}

/// What is below and beside the routes. Every call takes bounded time, and none calls back.
///
/// A capability (`Cap`) is one in a slot of the monitor. Who has the value owns the slot: it is kept, moved on, or given to
/// [`discard`](Kernel::discard), exactly once.
pub trait Kernel {
    /// A capability of the monitor.
    type Cap;

    /// The next packet in a proxy's ring, and what landed with it. `None`: the ring is empty, and
    /// [`Routes::ready`](crate::Routes::ready) will be called when it no longer is.
    fn take_packet(&mut self, proxy: Proxy) -> Option<(Packet, Option<Self::Cap>)>;
    /// Puts a packet into the ring of a proxy's peer, with a copy of the capability. [`Carried::Lost`] becomes a flag in
    /// the packet's header that the receiver sees, and that stays there if the receiver is another proxy.
    ///
    /// # Errors
    /// See [`PutError`].
    fn put_packet(
        &mut self,
        proxy: Proxy,
        peer: &Self::Cap,
        packet: &Packet,
        carried: Carried<&Self::Cap>,
    ) -> Result<(), PutError>;

    /// Makes a proxy, not connected.
    ///
    /// # Errors
    /// [`Failed`]: there is none.
    fn make_proxy(&mut self, proxy: Proxy) -> Result<(), Failed>;
    /// Deletes a proxy, all capabilities to it, and what is in its ring. Its peer is told. No event of it comes any more.
    fn delete_proxy(&mut self, proxy: Proxy);
    /// A capability that can send to a proxy.
    ///
    /// # Errors
    /// [`Failed`].
    fn sending_copy(&mut self, proxy: Proxy) -> Result<Self::Cap, Failed>;
    /// Whether a proxy is connected.
    fn is_connected(&self, proxy: Proxy) -> bool;
    /// Connects a proxy. The owners of both ends are told: of one that is a proxy by
    /// [`Routes::connected`](crate::Routes::connected), also if it is this one.
    ///
    /// # Errors
    /// [`Failed`]: one of them is connected already, or no more.
    fn connect(&mut self, proxy: Proxy, with: &Self::Cap) -> Result<(), Failed>;

    /// What a capability is.
    fn classify(&self, cap: &Self::Cap) -> Class;
    /// Another copy.
    ///
    /// # Errors
    /// [`Failed`].
    fn copy(&mut self, cap: &Self::Cap) -> Result<Self::Cap, Failed>;
    /// Deletes it.
    fn discard(&mut self, cap: Self::Cap);

    /// The number of the notification bit of this core by which others ring this doorbell. The bit is free again with the
    /// doorbell.
    ///
    /// # Errors
    /// [`Failed`].
    fn export_notify(&mut self, cap: &Self::Cap) -> Result<u32, Failed>;
    /// A capability that rings this bit of another core.
    ///
    /// # Errors
    /// [`Failed`].
    fn import_notify(&mut self, core: CoreId, bit: u32) -> Result<Self::Cap, Failed>;
    /// Begins to send memory by the capability protocol. It comes with `tag` to the other monitor's
    /// [`Routes::arrived`](crate::Routes::arrived), before [`Routes::transfer_ended`](crate::Routes::transfer_ended) is called here for
    /// `record`.
    ///
    /// # Errors
    /// See [`NotBegun`].
    fn begin_transfer(
        &mut self,
        to: CoreId,
        cap: Self::Cap,
        tag: Tag,
        record: RecordId,
    ) -> Result<(), NotBegun<Self::Cap>>;

    /// A domain of another core wants a service that has a well-known number. `endpoint` sends to the domain. When the
    /// service has connected it, what it answers with goes to [`Routes::answered`](crate::Routes::answered).
    ///
    /// # Errors
    /// [`Failed`]: there is no such service; `endpoint` is deleted.
    fn serve(&mut self, from: CoreId, service: u64, domain: u64, endpoint: Self::Cap) -> Result<(), Failed>;
    /// What became of [`Routes::open`](crate::Routes::open): what sends to the service, or nothing.
    fn opened(&mut self, token: u64, endpoint: Option<Self::Cap>);
    /// Another monitor has said what it cannot have meant.
    fn report(&mut self, from: CoreId, nonsense: Nonsense);
}
