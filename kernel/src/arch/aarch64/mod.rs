//! The kernel on AArch64 hardware.

mod boot;
mod entry;
pub mod mmu;
pub mod panic;
pub mod record;
pub mod vectors;
