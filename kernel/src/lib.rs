//! The CPU driver: one core's kernel of Barreldish.
//!
//! ```text
//!   arch/        entry, exit, page-table instructions, timer, interrupts   (aarch64; hosted for tests)
//!      │
//!   syscall/     decode ─► commit, one function a call        trap      interrupts and faults
//!      │                                                        │
//!   lmp  events  schedule  page_table  interrupts  asid  fp ◄───┘
//!      │
//!   machine      what capability operations act on      dispatcher, shared_frame: object layouts
//!      │
//!   core/caps    the mapping database (pure)            cpu: `Core`, all state of a core (K1)
//! ```
//!
//! The kernel runs to completion with interrupts masked (K2), never allocates (K3) and has no mutable
//! statics (K1). Everything but `arch` compiles for the host, where tests and a fuzzer call
//! [`syscall::call`].
#![cfg_attr(target_os = "none", no_std)]

pub mod arch;
pub mod asid;
pub mod board;
pub mod boot_facts;
#[cfg(target_os = "none")]
pub mod boot_main;
pub mod boot_map;
pub mod cores;
pub mod cpu;
pub mod descriptor;
pub mod dispatcher;
pub mod doorbell;
pub mod events;
pub mod first_domain;
pub mod fp;
pub mod interrupts;
pub mod lmp;
pub mod log;
pub mod machine;
pub mod page_table;
pub mod schedule;
pub mod shared_frame;
pub mod syscall;
pub mod trap;

#[cfg(target_os = "none")]
pub use boot_main::boot_main;
