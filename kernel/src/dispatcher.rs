//! The dispatcher object: what lies in the memory that a Dispatcher capability names.
//!
//! ```text
//!   0      8 slots: [0] its own capability while it dies, [1] CSpace root, [2] VSpace root,
//!                   [3] dispatcher frame, [4] Notify of its watcher, [5] the root CNode that
//!                   its CSpace moves out of while it grows           (core/caps cleans them)
//!   512    the kernel's state of it (struct `Dispatcher`)
//!   1024   its events: endpoints and notifications, 32 bytes each, by index
//! ```
//!
//! These capabilities are read at every use, never cached: when one is revoked its slot is empty. A dispatcher
//! without address space or frame cannot run and ends; one without a CSpace can name nothing any more.

use abi::cap::{DISPATCHER_HEAD_SIZE, EVENT_SIZE};
use abi::frame::{Cause, State};
use caps::{DISPATCHER_SLOTS, Slot};
use tree::Links;

/// Slots of a dispatcher, by use.
pub mod slot {
    /// The root CNode of its CSpace.
    pub const CSPACE: usize = 1;
    /// The root VNode of its address space.
    pub const VSPACE: usize = 2;
    /// The frame that it shares with the kernel.
    pub const FRAME: usize = 3;
    /// The notification to signal when it ends.
    pub const WATCHER: usize = 4;
    /// The root CNode that the capabilities are moved out of, while the CSpace grows.
    pub const OLD_CSPACE: usize = 5;
}

/// How a dispatcher goes on when its turn comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Entry {
    /// An upcall `Run`; true: it was preempted while enabled and its context is in `Area::Enabled`.
    Run(bool),
    /// Its context in `Area::Disabled` is restored.
    Disabled,
    /// Its context is the core's saved one: nothing ran since it was interrupted.
    Interrupted,
    /// An upcall `Fault` with ESR and FAR; its context is in `Area::Trap`.
    Fault(u64, u64),
}

/// A dispatcher. Made by retype as zeroes, which is a fresh one.
#[repr(C)]
pub struct Dispatcher {
    /// Its capabilities; see [`slot`].
    pub slots: [Slot; DISPATCHER_SLOTS as usize],
    /// User address of the dispatcher frame.
    pub frame_address: u64,
    /// User address of the upcall vector.
    pub vector: u64,
    /// [`State`].
    state: u8,
    /// [`Cause`].
    cause: u8,
    /// Whether it is in the timer queue.
    pub has_deadline: bool,
    /// Whether entering it concerns the timer: it has a deadline, or its runtime asked for slices.
    pub timed: bool,
    /// Events that were ever used: those from here on are all zero.
    pub events_used: u16,
    /// Once it has ended: events whose peers know it.
    pub events_cut: u16,
    /// Whether it is among those that have ended and have events left.
    pub ending: bool,
    /// Bytes of the object; 0 until configured.
    pub size: u32,
    /// When it wants to be woken, in counter ticks.
    pub deadline: u64,
    /// Its place in the timer queue.
    pub timer: Links,
    /// Height of its subtree there.
    pub timer_height: u8,
    /// Identifier of its address space: that of the VNode in its slot, while it is there.
    pub asid: u16,
    /// Neighbours in the run queue, or among those that have ended and have events left.
    pub next: Option<DispatcherRef>,
    /// The one before there.
    pub previous: Option<DispatcherRef>,
    /// The next `SendWait` has to take the ordinary way: an event was posted while the dispatcher ran or was ready, of
    /// which it may not know, or the FP unit was opened for it.
    pub indirect: bool,
    /// It has used FP: the unit or its frame has its registers.
    pub fp_begun: bool,
    /// How it goes on.
    pub entry: Entry,
    /// Ticks of a slice that its runtime asked for; 0: none.
    pub slice: u64,
    /// Counter ticks that it has run.
    pub ticks: u64,
    /// Exit code, or the address of the fault that ended it.
    pub end_value: u64,
    /// Program counter of the fault that ended it.
    pub end_pc: u64,
    /// ESR of the fault that ended it.
    pub end_esr: u64,
}

const _: () = assert!(size_of::<Dispatcher>() as u64 <= DISPATCHER_HEAD_SIZE);
const _: () = assert!(size_of::<Event>() as u64 == EVENT_SIZE);

impl Dispatcher {
    /// Its state.
    #[inline(always)]
    pub fn state(&self) -> State {
        match self.state {
            0 => State::Fresh,
            1 => State::Ready,
            2 => State::Waiting,
            _ => State::Ended,
        }
    }
    /// Sets the state.
    #[inline(always)]
    pub fn set_state(&mut self, state: State) {
        self.state = state as u8;
    }
    /// Why it ended.
    pub fn cause(&self) -> u8 {
        self.cause
    }
    /// Notes the end.
    pub fn set_ended(&mut self, cause: Cause, value: u64, pc: u64, esr: u64) {
        self.state = State::Ended as u8;
        self.cause = cause as u8;
        (self.end_value, self.end_pc, self.end_esr) = (value, pc, esr);
    }
}

/// Names a dispatcher by its physical address, never 0.
///
/// Made only from a Dispatcher capability or read from the kernel's own links, which `end` cuts before
/// the object's memory can become something else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct DispatcherRef(core::num::NonZeroU64);

impl DispatcherRef {
    /// The dispatcher at this physical address; `None` for 0.
    #[inline(always)]
    pub fn at(base: u64) -> Option<DispatcherRef> {
        core::num::NonZeroU64::new(base).map(DispatcherRef)
    }
    /// Its physical address.
    #[inline(always)]
    pub fn base(self) -> u64 {
        self.0.get()
    }
    /// As the number that the timer tree uses: units of 64 bytes, as slots are named.
    #[inline(always)]
    pub fn number(self) -> u32 {
        (self.base() >> 6) as u32
    }
    /// From the number that the timer tree uses.
    #[inline(always)]
    pub fn from_number(number: u32) -> Option<DispatcherRef> {
        DispatcherRef::at(u64::from(number) << 6)
    }
}

/// What an event index is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum EventKind {
    /// Nothing yet.
    Free = 0,
    /// An LMP endpoint.
    EndPoint = 1,
    /// A notification.
    Notify = 2,
}

/// An endpoint or a notification of a dispatcher. All zero: free.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Event {
    /// Byte offset of the ring in the dispatcher frame; 0: no ring.
    pub ring: u32,
    /// Packets of the ring less one.
    pub mask: u16,
    /// [`EventKind`].
    kind: u8,
    /// `BLOCKED`, `GONE`.
    flags: u8,
    /// Packets put in so far, wrapping.
    pub tail: u32,
    /// Of an endpoint: capability address of the landing slot; 0: none. Of a notification: see [`Event::exported`].
    pub landing: u32,
    /// The dispatcher of the connected endpoint.
    pub peer: Option<DispatcherRef>,
    /// The index of the connected endpoint.
    pub peer_index: u32,
    /// For a notification: the interrupt bound to it; 0: none.
    pub interrupt: u32,
}

/// A sender met the ring full.
const BLOCKED: u8 = 1;
/// The connected endpoint is gone.
const GONE: u8 = 2;

impl Event {
    /// What it is used for.
    #[inline(always)]
    pub fn kind(&self) -> EventKind {
        match self.kind {
            1 => EventKind::EndPoint,
            2 => EventKind::Notify,
            _ => EventKind::Free,
        }
    }
    /// Starts a use.
    pub fn begin(&mut self, kind: EventKind) {
        self.kind = kind as u8;
    }
    /// Of a notification: the bit of this core's doorbell by which others ring it.
    pub fn exported(&self) -> Option<u32> {
        if self.kind() == EventKind::Notify { self.landing.checked_sub(1) } else { None }
    }
    /// Sets that, of a notification.
    pub fn set_exported(&mut self, bit: Option<u32>) {
        self.landing = bit.map_or(0, |bit| bit + 1);
    }
    /// A free event.
    pub const FREE: Event = Event {
        ring: 0,
        mask: 0,
        kind: 0,
        flags: 0,
        tail: 0,
        landing: 0,
        peer: None,
        peer_index: 0,
        interrupt: 0,
    };
    /// Notes that a sender met the ring full.
    pub fn set_sender_blocked(&mut self) {
        self.flags |= BLOCKED;
    }
    /// Whether a sender met the ring full since this was last asked.
    pub fn take_sender_blocked(&mut self) -> bool {
        let was = self.flags & BLOCKED != 0;
        self.flags &= !BLOCKED;
        was
    }
    /// Notes that the connected endpoint is gone.
    pub fn set_peer_gone(&mut self) {
        self.peer = None;
        self.flags |= GONE;
    }
    /// Whether the connected endpoint is gone.
    pub fn is_peer_gone(&self) -> bool {
        self.flags & GONE != 0
    }
}
