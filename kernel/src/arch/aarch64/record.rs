//! What boot found out about this core's machine, for the code that has no `Core` at hand: panics, above all.
//!
//! It lies in a page of the core's own boot pages, is written once before anything reads it, and is mapped read-only
//! from then on: a constant of the core, not a mutable static (K1).

use core::mem::MaybeUninit;

use crate::board::{Board, Console, Mmio, Power};

/// The constants of a core.
#[repr(C)]
pub struct CoreRecord {
    /// [`MAGIC`] once there is a record; boot clears it first.
    magic: u64,
    /// Where panics are reported.
    pub console: Console<Mmio>,
    /// How the machine is switched off.
    pub power: Power,
    /// The machine as this core drives it; written last.
    board: MaybeUninit<Board>,
}

const MAGIC: u64 = u64::from_le_bytes(*b"bdrecord");

const _: () = assert!(size_of::<CoreRecord>() <= 4096);

unsafe extern "C" {
    #[link_name = "__core_record"]
    static mut CORE_RECORD: [u8; 4096];
}

/// Begins the record with what a panic needs.
///
/// # Safety
/// Once, at boot, before anything else of this module is called and while the page is mapped writable.
pub(super) unsafe fn begin(console: Console<Mmio>, power: Power) {
    let record = CoreRecord { magic: MAGIC, console, power, board: MaybeUninit::uninit() };
    // SAFETY: the link script gives the record a page of its own; the caller says that nobody else looks yet.
    unsafe { (&raw mut CORE_RECORD).cast::<CoreRecord>().write(record) };
}

/// Completes the record.
///
/// # Safety
/// Once, at boot, after [`begin`], before [`board`] is called and while the page is mapped writable.
pub(super) unsafe fn complete(board: Board) {
    let record = (&raw mut CORE_RECORD).cast::<CoreRecord>();
    // SAFETY: as `begin`.
    unsafe { (&raw mut (*record).board).write(MaybeUninit::new(board)) };
}

/// The record, unless boot has not come that far.
pub fn record() -> Option<&'static CoreRecord> {
    let record = (&raw const CORE_RECORD).cast::<CoreRecord>();
    // SAFETY: the page is mapped; its first word is 0 until the record is there; but for `board`, nothing
    // in it changes after that.
    unsafe { ((&raw const (*record).magic).read_volatile() == MAGIC).then(|| &*record) }
}

/// The machine as this core drives it.
#[inline(always)]
pub fn board() -> &'static Board {
    // SAFETY: boot completes the record before it calls the kernel, whose code is the only caller.
    unsafe { (*(&raw const CORE_RECORD).cast::<CoreRecord>()).board.assume_init_ref() }
}
