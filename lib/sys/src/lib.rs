//! System calls for user space: capabilities with types, invocations as their methods.
//!
//! ```text
//!   Cap<Ram>::retype ──► native() : Syscalls ──┬─ arch::aarch64   svc #0          (bare metal)
//!   Cap<EndPoint>::send ───────────┘           └─ fake::Fake      a small model   (hosted tests)
//! ```
//!
//! A [`Cap`] is an address with a type that only the compiler sees: copying it copies no capability, and dropping
//! it deletes none (`rt` has the owning kind). Whether a capability of that type really lies there is for the
//! kernel to say; a wrong guess is an [`Error`], never unsafety. Calls that the kernel does in steps (delete,
//! revoke, resizing, zeroing) are repeated here until they are done.
//!
//! What is not here: `SendWait`, `Wait`, `Yield` and `Resume`, which leave the caller's context; those belong to `rt`.
#![cfg_attr(target_os = "none", no_std)]

mod arch;
mod cap;
mod invoke;
mod syscalls;

#[cfg(not(target_os = "none"))]
pub mod fake;

pub use abi::{CapAddr, CapType, Error, ErrorKind, Rights, Syscall};
pub use arch::native;
pub use cap::{
    Any, Cap, CapKind, DevFrame, Dispatcher, Doorbell, EndPoint, Frame, Id, IrqSource, Kernel, L1CNode,
    L2CNode, Mappable, Mapping, Notify, PhysAddr, Ram, Retypable, Slot, Unit, VNode, VNodeL0, VNodeL1,
    VNodeL2, VNodeL3,
};
pub use invoke::{Configuration, DispatcherInfo, EmptyUnit, EndpointPeer, Identity, Log, Window, null};
pub use syscalls::{Answer, Arguments, Syscalls, debug_print, exit};

/// What a system call gives.
pub type Result<T> = core::result::Result<T, Error>;
