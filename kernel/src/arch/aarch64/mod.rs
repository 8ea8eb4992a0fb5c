//! The kernel on AArch64 hardware.

mod boot;
mod entry;
mod hardware;
pub mod mmu;
pub mod panic;
pub mod record;
pub mod vectors;

pub use boot::{boot_bytes, core_entry, facts_offset};
pub use entry::{leave, set_core};
pub use hardware::{DOORBELL_INTERRUPT, Hardware, TIMER_INTERRUPT, asid_count, copy_context};

/// Mirrors the kernel's log to the console, until user space owns it.
pub fn mirror(bytes: &[u8]) {
    record::board().console.write_text(bytes);
}
