//! The first FP instruction of a turn, when nobody else has used FP since the last: what the trap costs.

use core::time::Duration;

use crate::{Outcome, counters, report};

pub(crate) fn measure() -> Outcome {
    let mut least = u64::MAX;
    for _ in 0..8 {
        // The turn ends; the registers stay in the unit.
        barreldish::sleep(Duration::from_millis(1));
        least = least.min(counters::measure(use_fp).kernel);
    }
    report("fp_trap", least);
    Ok(())
}

#[cfg(target_os = "none")]
fn use_fp() {
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!(".arch_extension fp", "mrs {}, fpsr", out(reg) _, options(nomem, nostack, preserves_flags))
    };
}

#[cfg(not(target_os = "none"))]
fn use_fp() {}
