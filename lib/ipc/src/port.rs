//! The boundary between RPC and the runtime: what a channel's end must offer, and what it calls.
//!
//! ```text
//!    client thread                      server handler (in the upcall, or a task)
//!         │ call                                 ▲ dispatch        │ reply
//!   ┌─────▼───────┐  Receiver::on_packet   ┌─────┴─────────────────▼──┐
//!   │ ipc::Client │◄──────────┐            │       ipc::Server        │
//!   └─────┬───────┘           │            └─────▲─────────────┬──────┘
//!         │ Port::send…       │                  │ on_packet   │ Outcome::Reply or Port::send
//!   ══════▼═══════════════════╧══════════════════╧═════════════▼══════  runtime, then kernel
//! ```
//!
//! # What the runtime promises
//!
//! * All [`Receiver`] methods, and all polls of tasks given to [`Port::spawn`], run one at a time
//!   within a domain. A server's handlers therefore never interleave except where they await, and may
//!   keep their state in a `RefCell`.
//! * Where a thread can be interrupted by an upcall that calls a receiver, [`Lock::with`] keeps the upcall off.
//! * A handler must not park (invariant M2); [`Port::park`] from a receiver or a task is a bug of the caller
//!   that the runtime should report by a panic.
//! * The heap works wherever receivers run: messages longer than a packet are assembled there.

use crate::traffic::Traffic;
use abi::CapAddr;
use abi::packet::Packet;
use alloc::boxed::Box;
use core::future::Future;
use core::pin::Pin;

/// Why a packet was not queued. Nothing was sent and no capability moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendError {
    /// The peer's ring is full. [`Receiver::on_writable`] will be called when it is worth trying again.
    Full,
    /// A capability was to go along and the peer has no landing slot free right now. Treated as
    /// [`SendError::Full`]: the runtime calls [`Receiver::on_writable`] when it is worth trying again.
    NoLandingSlot,
    /// The peer or its endpoint is gone, for good.
    PeerGone,
    /// The capability that was to go along cannot be sent (the slot is empty, or its type cannot be copied).
    BadCapability,
}

/// A value that threads, tasks and receivers of a domain share.
///
/// The runtime keeps everything else off for the time of [`Lock::with`], for instance by disabling upcalls (and restoring
/// the former state after). The closures that this crate passes are short, call
/// nothing but [`Port::send`], and never enter the same lock again; an implementation may panic if one does.
pub trait Lock<T> {
    /// A lock around `value`.
    fn new(value: T) -> Self;
    /// Runs `f` alone on the value.
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R;
}

/// A future that the runtime's executor owns and polls until it is done.
pub type Task = Pin<Box<dyn Future<Output = ()>>>;

/// One end of a channel, as the runtime gives it (LMP or UMP).
///
/// All methods but `park` and `send_and_park` may be called by receivers, tasks and inside [`Lock::with`].
pub trait Port: 'static {
    /// Names a thread of this domain.
    type Thread: Copy + 'static;
    /// See [`Lock`].
    type Lock<T>: Lock<T>;

    /// Queues one packet, with a copy of at most one capability. Never blocks.
    ///
    /// The flag `FLAG_CAPABILITY` in the header is the kernel's: the caller leaves it 0.
    fn send(&self, packet: &Packet, capability: Option<CapAddr>) -> Result<(), SendError>;

    /// [`Port::send`] followed by [`Port::park`], in one system call where no other thread can run.
    /// After an error the thread has not been parked.
    ///
    /// `receiver` is the caller, who gets this channel's packets: those that come meanwhile may be given to it without
    /// looking for it.
    fn send_and_park<R: Receiver>(
        &self,
        packet: &Packet,
        capability: Option<CapAddr>,
        receiver: &R,
    ) -> Result<(), SendError>;

    /// Parks the calling thread until it is unparked; may return spuriously.
    ///
    /// An `unpark` since the thread last returned from `park` makes it return at once (as
    /// `std::thread::park`), so nothing is lost between a look at the state and the park.
    fn park(&self);

    /// The calling thread.
    fn current(&self) -> Self::Thread;

    /// Makes `thread` return from its present or next `park`. Does nothing if it has ended.
    fn unpark(&self, thread: Self::Thread);

    /// Deletes a capability that came with a message nobody wants, or that was given away with one.
    /// May be done later: the address is not used again by the caller.
    fn discard(&self, capability: CapAddr);

    /// Hands a task to the executor, which polls it soon for the first time.
    fn spawn(&self, task: Task);
}

/// What an upcall does after [`Receiver::on_packet`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Nothing more.
    None,
    /// The packet buffer now holds an answer: send it, with this capability, over the same channel.
    /// The runtime can do that with `SendWait`, straight from the upcall. If it cannot be sent (full),
    /// the runtime must hand it back through [`Receiver::on_unsent`].
    Reply(Option<CapAddr>),
}

/// What the runtime calls for a channel, one call at a time. Nothing here blocks.
pub trait Receiver {
    /// A packet came, in order. `capability` is the slot where the capability that came along lies (the
    /// runtime has already offered the kernel another landing slot); it belongs to the receiver now.
    /// The buffer is the runtime's; an answer is written over it, see [`Outcome`].
    fn on_packet(&self, packet: &mut Packet, capability: Option<CapAddr>) -> Outcome;

    /// An answer of [`Outcome::Reply`] met [`SendError::Full`] or [`SendError::NoLandingSlot`]: it is
    /// queued and goes out at the next [`Receiver::on_writable`] or earlier.
    fn on_unsent(&self, packet: &Packet, capability: Option<CapAddr>);

    /// The peer takes packets again, after a send was refused as full. May be called spuriously.
    fn on_writable(&self);

    /// The peer is gone. Packets that it sent before have been delivered. Calling it again does nothing.
    fn on_peer_gone(&self);

    /// What has gone over the channel so far. Only a server's end counts.
    fn traffic(&self) -> Traffic {
        Traffic::default()
    }
}
