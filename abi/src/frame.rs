//! The dispatcher frame: memory that a dispatcher shares with its kernel.
//!
//! User space may write any of it at any time; the kernel trusts none of it (K6). The kernel knows
//! where it lies from `DispatcherConfigure`, by capability, never by a user pointer.
//!
//! ```text
//!   0x000  DispatcherFrame   flag, ready events, save areas, start information
//!   0x600  free for the runtime
//!   0x800  FpContext         FP and SIMD registers, while another dispatcher uses the unit
//!   0xa10  free for the runtime
//!   0x1000 rings of endpoints, wherever EndpointConfigure puts them (RingHead, then packets)
//! ```

/// Most endpoints and notifications of a dispatcher that can be ready at once (bits of the map).
pub const MAX_EVENTS: usize = 2048;

/// A saved user context: everything but FP and SIMD, which are in [`FpContext`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Context {
    /// `x0` to `x30`.
    pub x: [u64; 31],
    /// `SP_EL0`.
    pub sp: u64,
    /// Program counter.
    pub pc: u64,
    /// `SPSR_EL1`; only the condition flags are restored.
    pub pstate: u64,
    /// `TPIDR_EL0`.
    pub tpidr: u64,
    /// Keeps the size a multiple of 16 bytes.
    pub reserved: u64,
}

/// The registers of FP and SIMD, at [`FP_OFFSET`] of the dispatcher frame.
///
/// They are a dispatcher's, not a save area's: system calls and upcalls leave them alone, and the kernel moves them
/// only when another dispatcher uses the unit. It writes here what it takes out of the unit and reads it back later;
/// what lies here while the dispatcher runs means nothing.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[repr(C, align(16))]
pub struct FpContext {
    /// `q0` to `q31`, the lower half of each first.
    pub q: [[u64; 2]; 32],
    /// `FPCR`.
    pub fpcr: u64,
    /// `FPSR`.
    pub fpsr: u64,
}

/// Assembly that moves `q0` to `q31` from or to an [`FpContext`](crate::frame::FpContext) at `{at}`, by pairs (`"ldp"` or
/// `"stp"`).
///
/// Everything is compiled without these registers: the compiler keeps nothing there, and the assembler has to be told.
#[macro_export]
macro_rules! fp_registers {
    ($op:literal) => {
        concat!(
            ".arch_extension fp\n",
            $op,
            " q0, q1, [{at}, #0]\n",
            $op,
            " q2, q3, [{at}, #32]\n",
            $op,
            " q4, q5, [{at}, #64]\n",
            $op,
            " q6, q7, [{at}, #96]\n",
            $op,
            " q8, q9, [{at}, #128]\n",
            $op,
            " q10, q11, [{at}, #160]\n",
            $op,
            " q12, q13, [{at}, #192]\n",
            $op,
            " q14, q15, [{at}, #224]\n",
            $op,
            " q16, q17, [{at}, #256]\n",
            $op,
            " q18, q19, [{at}, #288]\n",
            $op,
            " q20, q21, [{at}, #320]\n",
            $op,
            " q22, q23, [{at}, #352]\n",
            $op,
            " q24, q25, [{at}, #384]\n",
            $op,
            " q26, q27, [{at}, #416]\n",
            $op,
            " q28, q29, [{at}, #448]\n",
            $op,
            " q30, q31, [{at}, #480]\n",
        )
    };
}

/// Which save area.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Area {
    /// Preempted while enabled.
    Enabled = 0,
    /// Preempted while disabled: resumed by the kernel itself.
    Disabled = 1,
    /// Faulted while enabled.
    Trap = 2,
}

/// The head of the dispatcher frame.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct DispatcherFrame {
    /// Not 0: no upcalls now. The kernel sets it with every upcall and clears it with `Resume`.
    pub disabled: u64,
    /// Bit n: word n of `ready` is not 0.
    pub ready_summary: u64,
    /// User virtual address of the start information ([`crate::layout::StartInfo`]), for the runtime.
    pub start_info: u64,
    /// For the runtime: the thread pointer that `TPIDR_EL0` does not hold while in an upcall.
    pub runtime: [u64; 5],
    /// Bit i: event i happened. The kernel sets, user space clears (atomically).
    pub ready: [u64; MAX_EVENTS / 64],
    /// The save areas, by [`Area`].
    pub areas: [Context; 3],
    /// The kernel sets it to 1 when the dispatcher uses FP for the first time; its registers begin as zero then. Who
    /// switches between preempted threads of the dispatcher has to switch the FP registers too from then on.
    pub fp_used: u64,
}

/// Offset of [`DispatcherFrame::ready`] in bytes.
pub const READY_OFFSET: u64 = 64;
/// Offset of [`DispatcherFrame::areas`] in bytes.
pub const AREAS_OFFSET: u64 = READY_OFFSET + (MAX_EVENTS / 8) as u64;
/// Bytes of a [`Context`].
pub const CONTEXT_SIZE: u64 = 288;
/// Offset of [`DispatcherFrame::fp_used`] in bytes.
pub const FP_USED_OFFSET: u64 = AREAS_OFFSET + 3 * CONTEXT_SIZE;
/// Offset of the [`FpContext`] in the dispatcher frame.
pub const FP_OFFSET: u64 = 0x800;
/// Bytes of an [`FpContext`].
pub const FP_SIZE: u64 = 528;

/// Head of an endpoint's ring in the dispatcher frame; the packets follow.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct RingHead {
    /// Packets taken out so far, wrapping; written by the receiver.
    pub head: u32,
    /// Packets put in so far, wrapping; written by the kernel, which keeps its own.
    pub tail: u32,
    /// `RING_*` bits; set by the kernel, cleared by the receiver.
    pub flags: u32,
}

/// A sender met a full ring: call `EndpointDrained` after taking packets out.
pub const RING_SENDER_BLOCKED: u32 = 1;
/// The peer is gone; nothing will come any more.
pub const RING_PEER_GONE: u32 = 2;
/// The peer's ring has room again after this side met `Full`.
pub const RING_WRITABLE: u32 = 4;
/// Set by the receiver, who wants to be told by the next two.
pub const RING_WATCHED: u32 = 8;
/// The endpoint has been connected.
pub const RING_CONNECTED: u32 = 16;
/// The endpoint is not connected, and the owner's is the only capability to it that is left: nobody can send, or connect it.
pub const RING_NO_SENDERS: u32 = 32;

/// Why the kernel enters a dispatcher at `vector + kind * UPCALL_STRIDE`.
///
/// In every upcall `x0` is the user address of the dispatcher frame, `TPIDR_EL0` too, `sp` is 0, disabled is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Upcall {
    /// Scheduled with nothing particular: the first time, after preemption while enabled (context in `Area::Enabled`
    /// and `x1` = 1), after a wait (`x1` = 0), when events are ready or the deadline has passed.
    Run = 0,
    /// A packet: `x1` the event index, `x20` to `x27` the packet; it is not in the ring.
    Message = 1,
    /// A fault while enabled: `x1` ESR, `x2` FAR, context in `Area::Trap`.
    Fault = 2,
}

/// Bytes between the entries of the upcall vector.
pub const UPCALL_STRIDE: u64 = 128;

/// States of a dispatcher, as `DispatcherInfo` tells them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum State {
    /// Made, not started.
    Fresh = 0,
    /// Running or ready to run.
    Ready = 1,
    /// Waiting for an event or a deadline.
    Waiting = 2,
    /// Ended; see [`Cause`].
    Ended = 3,
}

/// Why a dispatcher ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Cause {
    /// It has not.
    None = 0,
    /// It called `Exit`.
    Exited = 1,
    /// It faulted while disabled, where no handler can help.
    Faulted = 2,
    /// Somebody stopped it.
    Stopped = 3,
}

const _: () = {
    assert!(core::mem::size_of::<Context>() as u64 == CONTEXT_SIZE);
    assert!(core::mem::offset_of!(DispatcherFrame, ready) as u64 == READY_OFFSET);
    assert!(core::mem::offset_of!(DispatcherFrame, areas) as u64 == AREAS_OFFSET);
    assert!(core::mem::offset_of!(DispatcherFrame, fp_used) as u64 == FP_USED_OFFSET);
    assert!(core::mem::size_of::<DispatcherFrame>() <= 0x600);
    assert!(core::mem::size_of::<FpContext>() as u64 == FP_SIZE && FP_OFFSET.is_multiple_of(16));
    assert!(FP_OFFSET + FP_SIZE <= crate::PAGE_SIZE);
    assert!(core::mem::size_of::<RingHead>() == 64);
};
