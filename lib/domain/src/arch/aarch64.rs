//! Cache maintenance by address.

use core::arch::asm;

/// Cleans `bytes` from the data cache to where instruction fetches meet it (the point of unification). The kernel
/// invalidates the instruction cache when the pages are mapped executable.
///
/// Arm ARM (DDI 0487), B2.4.4: DC CVAU over the range, then DSB.
pub(crate) fn clean_to_fetch(bytes: &[u8]) {
    let cache_type: u64;
    // SAFETY: reads a register that the kernel opens to user space (SCTLR_EL1.UCT).
    unsafe { asm!("mrs {}, ctr_el0", out(reg) cache_type, options(nomem, nostack, preserves_flags)) };
    const IDC: u64 = 1 << 28;
    if cache_type & IDC == 0 {
        let line = 4usize << (cache_type >> 16 & 15);
        let range = bytes.as_ptr_range();
        let mut at = range.start as usize & !(line - 1);
        while at < range.end as usize {
            // SAFETY: cleaning changes no memory; the line holds a byte of `bytes`, which is mapped.
            unsafe { asm!("dc cvau, {}", in(reg) at, options(nostack, preserves_flags)) };
            at += line;
        }
    }
    // SAFETY: a barrier.
    unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
}
