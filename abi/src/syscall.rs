//! System calls: numbers and registers.
//!
//! `svc #0` with the number in `x8` and arguments in `x0` to `x6`. On return `x0` is 0 or an
//! [`Error`](crate::Error) word and `x1` to `x7` are results. `x0` to `x18` are lost (those without a
//! result come back as 0); `x19` to `x30`, `sp` and the FP/SIMD registers are kept, as over a function
//! call of the AAPCS64. That is why the kernel saves nothing on a system call.
//!
//! A *packet* of eight words (header first) travels in `x20` to `x27`: registers that compiled kernel
//! code keeps, so a packet crosses the kernel without being moved.
//!
//! A *slot* argument is a pair (CNode, slot): CNode 0 means the caller's own CSpace and the slot is a
//! capability address; otherwise CNode is the address of an `L1CNode` or `L2CNode` capability and the
//! slot an index into it.

macro_rules! syscalls {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        /// System-call numbers, with arguments and results.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u8)]
        pub enum Syscall { $($(#[$doc])* $name = $number,)* }
        impl Syscall {
            /// The system call with this number, if there is one.
            pub const fn from_number(number: u64) -> Option<Syscall> {
                match number { $($number => Some(Syscall::$name),)* _ => None }
            }
            /// How many there are; their numbers are those below.
            pub const COUNT: u64 = [$($number),*].len() as u64;
        }
        const _: () = {
            let numbers: [u64; Syscall::COUNT as usize] = [$($number),*];
            let mut next = 0;
            while next < numbers.len() {
                assert!(numbers[next] == next as u64, "system calls are numbered without a gap");
                next += 1;
            }
        };
    };
}

syscalls! {
    /// Nothing.
    Null = 0;
    /// `x0` endpoint (WRITE), `x2` capability to go along or 0, packet. Queues the packet; errors `Full`, `PeerGone`, `NoLandingSlot`.
    Send = 1;
    /// As `Send`, then waits until the deadline in `x1` (counter ticks, `u64::MAX`: for ever). Returns only on an error;
    /// otherwise the dispatcher is next entered by an upcall. Issue it disabled.
    SendWait = 2;
    /// Waits until the deadline in `x0`. Returns at once if an event is pending; otherwise the dispatcher is
    /// next entered by an upcall. Issue it disabled.
    Wait = 3;
    /// Lets the other ready dispatchers run first. Returns at once if there is none; otherwise the dispatcher is next entered by
    /// an upcall. Issue it disabled.
    Yield = 4;
    /// Resumes the context in save area `x0` and leaves disabled mode: [`Area::Enabled`](crate::frame::Area::Enabled) (0) or
    /// [`Area::Trap`](crate::frame::Area::Trap) (2), no other. Returns 0 without resuming when events are ready: handle them and
    /// call again.
    Resume = 5;
    /// Ends the calling dispatcher with exit code `x0`. Does not return.
    Exit = 6;
    /// Appends `x0` (1 to 48) bytes, packed little-endian in `x1` to `x6`, to the kernel's log.
    DebugPrint = 7;
    /// `x0` capability. `x1`: type | rights << 8 | flags << 16; `x2` base; `x3` size in bytes.
    CapIdentify = 8;
    /// `x0` source capability; (`x1`, `x2`) destination slot; `x3` rights mask.
    CapCopy = 9;
    /// `x0` source; `x1` type; `x2` offset in bytes; `x3` bytes of an object (0: the type's own size); `x4` count;
    /// (`x5`, `x6`) first destination slot, the rest follow. For `EndPoint` and `Notify`: `x2` is the event index, `x3` 0.
    CapRetype = 10;
    /// (`x0`, `x1`) slot. `x1`: 0 done, 1 call again. Done is when the slot is empty; what lies in a CNode or dispatcher
    /// that went with it goes by and by.
    CapDelete = 11;
    /// (`x0`, `x1`) slot. Deletes all other copies and all descendants. `x1`: 0 done, 1 call again.
    CapRevoke = 12;
    /// `x0` dispatcher, `x1` new `L1CNode`, empty and larger than the present root. Moves the capabilities over. `x1`: 0 done, 1 call again.
    CSpaceResize = 13;
    /// `x0` VNode; (`x1`, `x2`) slot for the Mapping; `x3` Frame, DevFrame or VNode of the next level; `x4` byte offset in it;
    /// `x5`: first entry | entries << 16; `x6` rights | [`MAP_FILL`]. Without `MAP_FILL` the window is created empty.
    Map = 14;
    /// `x0` Mapping; `x1` first entry of the window; `x2` entries: makes them show their part of the frame.
    MappingFill = 15;
    /// As `MappingFill`, and makes them invalid.
    MappingClear = 16;
    /// `x0` Mapping; `x1` rights, no more than it was made with.
    MappingProtect = 17;
    /// `x0` dispatcher; `x1` L1CNode; `x2` VNodeL0; `x3` Frame of at least a page for the dispatcher frame; `x4` its user address;
    /// `x5` address of the upcall vector; `x6` Notify to signal when it ends, or 0. Only a fresh dispatcher can be configured.
    DispatcherConfigure = 18;
    /// `x0` dispatcher: ready to run, first by an upcall.
    DispatcherStart = 19;
    /// `x0` dispatcher: ends it (cause: stopped).
    DispatcherStop = 20;
    /// `x0` dispatcher. `x1` state | cause << 8; `x2` exit code or fault address; `x3` program counter; `x4` ESR; `x5` ticks run.
    DispatcherInfo = 21;
    /// `x0` own EndPoint (READ); `x1` byte offset of its ring in the dispatcher frame; `x2` packets (power of two, 1 to 256);
    /// `x3` capability address of the first landing slot, or 0.
    EndpointConfigure = 22;
    /// `x0`, `x1` EndPoints (WRITE): connects them, so that each learns of the other's end.
    EndpointConnect = 23;
    /// `x0` own EndPoint (READ): wakes a sender that met a full ring.
    EndpointDrained = 24;
    /// `x0` own EndPoint (READ); `x1` capability address of an empty slot for the next capability, or 0. Wakes a sender that
    /// met `NoLandingSlot`, as `EndpointDrained` does.
    EndpointLanding = 25;
    /// `x0` Notify or Doorbell (WRITE).
    NotifySignal = 26;
    /// `x0` IrqSource of one interrupt; `x1` Notify (WRITE): each interrupt signals it and is masked until `IrqAck`.
    IrqBind = 27;
    /// `x0` IrqSource: ready for the next interrupt.
    IrqAck = 28;
    /// `x0` Kernel; `x1` [`KernelFact`]. `x1` the answer.
    KernelInfo = 29;
    /// `x0` Kernel; `x1` position in the log. `x1` next position; `x2` bytes given (0 to 40); `x3` to `x7` the bytes.
    LogRead = 30;
    /// `x0` Kernel; `x1` 0: power off, 1: restart; `x2` exit status of the machine, 0 to 255. Does not return.
    PowerOff = 31;
    /// `x0` Unit: zeroes the next part. `x1`: 0 done, 1 call again.
    UnitZero = 32;
    /// `x0` root Ram. Takes the next unit without capabilities: `x1` base, `x2` size; `x3` 1: there are more, of any root.
    /// Error `Nothing` when there is none.
    UnitPull = 33;
    /// `x0` root Ram; `x1` Notify (WRITE) to signal when units become empty.
    UnitWatch = 34;
    /// `x0` dispatcher; `x1` ticks: the runtime has another thread, so wants an upcall after that slice (0: no). A slice is
    /// never longer than the core's own.
    SliceRequest = 35;
    /// `x0` Kernel: a driver owns the console from now on; the kernel's log goes there no longer.
    ConsoleRelease = 36;
    /// `x0` Unit, zeroed to its end; `x1` byte offset, `x2` bytes: this part goes back to the root that the Unit was made of. What
    /// is left before and behind are units of their own. (`x3`, `x4`) empty slot for the one behind; it stays empty if
    /// nothing is left on one of the sides. Error `Overlap` when a capability covers any of the part.
    UnitTrim = 37;
    /// `x0` Kernel; `x1` core; `x2` root Ram, of which nothing was made: what that core gets, at least 32 MiB. It is deleted. `x3`
    /// Frame (READ, WRITE) that the monitors of both cores share. Errors `NoCore`, `CoreRuns`, `CoreFailed`.
    CoreStart = 38;
    /// `x0` Kernel; `x1` base, `x2` bytes of a frame that another monitor gives this one; (`x3`, `x4`) slot for a Frame (READ, WRITE).
    MonitorFrame = 39;
    /// `x0` Kernel; `x1` Notify (WRITE); `x2` bit that it is to have, or `u64::MAX`: other cores can ring it from now on. `x1` the bit.
    NotifyExport = 40;
    /// `x0` Kernel; `x1` core; `x2` bit; (`x3`, `x4`) slot for a Doorbell (WRITE).
    DoorbellMake = 41;
    /// `x0` Kernel; `x1` EndPoint. `x1` [`Connection`]; `x2` its event if it is the caller's own, `x3` that of its peer if that is; otherwise
    /// `u64::MAX`.
    EndpointPeer = 42;
}

/// What an endpoint is connected with (`EndpointPeer`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Connection {
    /// Nothing yet.
    None = 0,
    /// Another endpoint.
    Made = 1,
    /// One that is gone, or it has ended itself.
    Ended = 2,
}

impl Connection {
    /// The state with this number, if there is one.
    pub const fn from_number(number: u64) -> Option<Connection> {
        match number {
            0 => Some(Connection::None),
            1 => Some(Connection::Made),
            2 => Some(Connection::Ended),
            _ => None,
        }
    }
}

/// Flag of [`Syscall::Map`]: fill the window at once.
pub const MAP_FILL: u64 = 1 << 8;

/// What `KernelInfo` can be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum KernelFact {
    /// The core's number.
    Core = 0,
    /// Capabilities in the mapping database (nodes and copies).
    Capabilities = 1,
    /// Bytes of RAM that the core's kernel keeps for itself.
    KernelBytes = 2,
    /// Dispatchers that exist.
    Dispatchers = 3,
    /// Interrupts taken since boot.
    Interrupts = 4,
    /// Dispatcher switches since boot.
    Switches = 5,
}

impl KernelFact {
    /// The fact with this number, if there is one.
    pub const fn from_number(number: u64) -> Option<KernelFact> {
        match number {
            0 => Some(KernelFact::Core),
            1 => Some(KernelFact::Capabilities),
            2 => Some(KernelFact::KernelBytes),
            3 => Some(KernelFact::Dispatchers),
            4 => Some(KernelFact::Interrupts),
            5 => Some(KernelFact::Switches),
            _ => None,
        }
    }
}
