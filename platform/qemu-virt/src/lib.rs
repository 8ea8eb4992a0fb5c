//! The board of QEMU's `virt` machine (`-M virt,gic-version=3`), as far as the CPU driver needs it.
//!
//! ```text
//!   device tree ──► facts::Facts   what there is: RAM, modules, cores, devices   (pure, host-tested)
//!                       │
//!                       ▼
//!                  Board { console, interrupts, timer, power }                    (registers)
//! ```
//!
//! What every other board has to offer too: [`NAME`], [`facts::Facts`] and, on the target, `Board` with the same
//! methods. The kernel takes them by these names from one place, so that no board is named outside this folder.
//! It is not a driver collection: what user space drives (UART by interrupt, PCIe, clock) is only listed here.
#![no_std]

pub mod console;
pub mod facts;
pub mod fdt;
pub mod gicv3;
pub mod mmio;

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
mod board;
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
pub use board::{Board, CpuInterface, Interrupts, Power, StartError, Timer, affinity};

/// Name of the platform, as the banner and `BootInfo` tell it (at most 16 bytes).
pub const NAME: &str = "qemu-virt";
/// INTID of the virtual timer's interrupt: a PPI, the same on all server-like Arm boards (Arm BSA, DEN 0094).
pub const TIMER_INTERRUPT: u32 = 27;
/// INTID of the interrupt by which a kernel tells another that it has set notifications: an SGI.
pub const DOORBELL_INTERRUPT: u32 = 0;
