//! What boot found out about this core's machine, for the code that has no `Core` at hand: panics, above all.
//!
//! It lies in a page of the core's own boot pages, is written once before anything reads it, and is mapped read-only
//! from then on: a constant of the core, not a mutable static (K1).

use crate::board::Board;
use crate::boot_map::KERNEL_BASE;

/// The constants of a core.
#[repr(C)]
pub struct CoreRecord {
    /// [`MAGIC`] once the record is complete; boot clears it first.
    magic: u64,
    /// Physical address of the image.
    pub image: u64,
    /// The machine as this core drives it.
    pub board: Board,
}

const MAGIC: u64 = u64::from_le_bytes(*b"bdrecord");

const _: () = assert!(size_of::<CoreRecord>() <= 4096);

unsafe extern "C" {
    #[link_name = "__core_record"]
    static mut CORE_RECORD: [u8; 4096];
}

/// Writes the record.
///
/// # Safety
/// Once, at boot, before anything else of this module is called and while the page is mapped writable.
pub(super) unsafe fn write(image: u64, board: Board) {
    // SAFETY: the link script gives the record a page of its own; the caller says that nobody else looks yet.
    unsafe { (&raw mut CORE_RECORD).cast::<CoreRecord>().write(CoreRecord { magic: MAGIC, image, board }) };
}

/// The record, unless boot has not come that far.
pub fn record() -> Option<&'static CoreRecord> {
    let record = (&raw const CORE_RECORD).cast::<CoreRecord>();
    // SAFETY: the page is mapped; its first word is 0 until the record is complete and does not change after that.
    unsafe { ((&raw const (*record).magic).read_volatile() == MAGIC).then(|| &*record) }
}

/// The machine as this core drives it.
#[inline(always)]
pub fn board() -> &'static Board {
    // SAFETY: boot writes the record before it calls the kernel, whose code is the only caller.
    unsafe { &(*(&raw const CORE_RECORD).cast::<CoreRecord>()).board }
}

/// Physical address of something in the kernel's window (image, stack, boot memory).
pub fn window_physical(va: u64) -> u64 {
    // SAFETY: as `board`.
    let image = unsafe { (*(&raw const CORE_RECORD).cast::<CoreRecord>()).image };
    va - KERNEL_BASE + image
}
