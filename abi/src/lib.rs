//! What the CPU driver (kernel) and user space agree on, and nothing else: system-call numbers and
//! registers, capability types and rights, errors, the layout of shared memory, packet headers.
//!
//! ```text
//!   kernel, platform/* ──┐                 ┌── lib/* ── servers, apps
//!                        ├────►  abi  ◄────┘
//!   core/* ──────────────┘   (no unsafe, no code that runs)
//! ```
//!
//! Everything is `#[repr(C)]` data, constants and small conversions. The crate contains no `unsafe`
//! and depends on nothing.
#![no_std]
#![forbid(unsafe_code)]

pub mod boot;
pub mod cap;
pub mod domain;
pub mod error;
pub mod frame;
pub mod layout;
pub mod packet;
pub mod syscall;

pub use cap::{CapAddr, CapType, Rights};
pub use error::{Error, ErrorKind};
pub use syscall::Syscall;

/// Bytes of a base page, the smallest unit of mapping and of retyping (4 KiB granule).
pub const PAGE_SIZE: u64 = 4096;
