//! Translation tables: descriptors, and the order in which tables and TLB change.
//!
//! Source: Arm ARM (DDI 0487), D8.3 (VMSAv8-64 descriptors), D8.14 (TLB maintenance), 4 KiB granule, 4 levels.
//!
//! The three classic mistakes, and where they cannot happen (the host tests replay them on an emulated machine):
//! - no `dsb ishst` between writing a descriptor and using it: every function here ends with `publish`;
//! - a sign-extended address in a TLBI operand that corrupts its ASID field: [`tlbi_operand`] masks it;
//! - walks through a table that was taken out: clearing a *table* entry flushes the whole address space,
//!   walk caches included, not just last-level entries.

use abi::Rights;
use caps::Window;

use crate::descriptor::{
    ACCESSED, DEVICE, INNER_SHAREABLE, NOT_GLOBAL, PRIVILEGED_EXECUTE_NEVER, READ_ONLY, READ_ONLY_BIT,
    TABLE_OR_PAGE, USER, USER_EXECUTE_NEVER, USER_EXECUTE_NEVER_BIT, VALID,
};

/// What page-table code needs of the machine: the tables' memory and the TLB. The real one is in `arch`, tests have an emulated one.
pub trait Tlb {
    /// Writes descriptor `index` of the table at physical address `table`.
    fn write(&mut self, table: u64, index: u16, descriptor: u64);
    /// Reads descriptor `index` of the table at physical address `table`.
    fn read(&self, table: u64, index: u16) -> u64;
    /// Makes descriptor writes visible to the table walker (`dsb ishst; isb`).
    fn publish(&mut self);
    /// Forgets the last-level translation that `operand` names ([`tlbi_operand`]).
    fn flush_page(&mut self, operand: u64);
    /// Forgets everything of an address space, cached walks included (`TLBI ASIDE1`).
    fn flush_asid(&mut self, asid: u16);
    /// Waits until the flushes have happened (`dsb ish; isb`).
    fn complete(&mut self);
    /// Makes instruction fetches see what was written to memory that becomes executable.
    fn sync_instructions(&mut self);
}

const _: () = assert!(Rights::WRITE.bits() == 1 << 1 && Rights::EXECUTE.bits() == 1 << 2);

/// Entries flushed one by one; for more than that the whole address space is cheaper.
const FLUSH_EACH_UP_TO: u16 = 32;

/// The operand of `TLBI VAE1` and its kin: address bits 55 to 12 in bits 43 to 0, ASID in bits 63 to 48.
pub fn tlbi_operand(asid: u16, address: u64) -> u64 {
    (address >> 12) & ((1 << 44) - 1) | u64::from(asid) << 48
}

/// Bytes that one entry of a table of this level covers.
pub fn entry_bytes(level: u8) -> u64 {
    1 << (39 - 9 * u32::from(level))
}

/// The descriptor of a page or block of the window, or of its child table, without the output address.
#[inline(always)]
fn attributes(w: &Window) -> u64 {
    if w.child {
        return VALID | TABLE_OR_PAGE;
    }
    const COMMON: u64 = VALID | USER | ACCESSED | NOT_GLOBAL | PRIVILEGED_EXECUTE_NEVER;
    let rights = w.rights.bits();
    let mut descriptor = COMMON | READ_ONLY | USER_EXECUTE_NEVER;
    // A right to write implies one to read: the architecture has no write-only pages.
    descriptor ^= (rights & Rights::WRITE.bits()) << (READ_ONLY_BIT - 1);
    if w.device {
        descriptor |= DEVICE;
    } else {
        descriptor |= INNER_SHAREABLE;
        descriptor ^= (rights & Rights::EXECUTE.bits()) << (USER_EXECUTE_NEVER_BIT - 2);
    }
    if w.level == 3 { descriptor | TABLE_OR_PAGE } else { descriptor }
}

/// Writes entries `[first, first + count)` of the window. The entries were invalid, so the TLB holds nothing of them.
#[inline(always)]
pub fn fill(tlb: &mut impl Tlb, w: &Window, first: u16, count: u16) {
    if w.rights.contains(Rights::EXECUTE) && !w.child {
        tlb.sync_instructions();
    }
    let stride = entry_bytes(w.level);
    let attributes = attributes(w);
    let mut output = w.target + u64::from(first) * stride;
    let start = w.first + first;
    for entry in start..start + count {
        tlb.write(w.table, entry, output | attributes);
        output += stride;
    }
    tlb.publish();
}

/// Makes entries `[first, first + count)` of the window invalid, and the TLB forget them.
pub fn clear(tlb: &mut impl Tlb, w: &Window, first: u16, count: u16) {
    for entry in w.first + first..w.first + first + count {
        tlb.write(w.table, entry, 0);
    }
    tlb.publish();
    flush(tlb, w, first, count);
}

/// Gives the valid entries of the window its present rights. Only permissions change, never the output address or
/// the memory type, so that break-before-make is not needed (DDI 0487 D8.14.1).
pub fn protect(tlb: &mut impl Tlb, w: &Window) {
    if w.rights.contains(Rights::EXECUTE) {
        tlb.sync_instructions();
    }
    let stride = entry_bytes(w.level);
    let attributes = attributes(w);
    for i in 0..w.count {
        let entry = w.first + i;
        if tlb.read(w.table, entry) & VALID != 0 {
            tlb.write(w.table, entry, (w.target + u64::from(i) * stride) | attributes);
        }
    }
    tlb.publish();
    flush(tlb, w, 0, w.count);
}

fn flush(tlb: &mut impl Tlb, w: &Window, first: u16, count: u16) {
    if w.child {
        // Everything below the table goes, walks through it included.
        tlb.flush_asid(w.asid);
    } else if count > FLUSH_EACH_UP_TO {
        tlb.flush_asid(w.asid);
    } else {
        let stride = entry_bytes(w.level);
        for i in first..first + count {
            tlb.flush_page(tlbi_operand(w.asid, w.va + u64::from(i) * stride));
        }
    }
    tlb.complete();
}
