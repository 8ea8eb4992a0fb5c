//! Counting instructions: all of them, and those of the kernel.

/// Instructions between two points.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cost {
    /// User space and kernel.
    pub all: u64,
    /// The kernel alone.
    pub kernel: u64,
}

/// Whether programs may read the counters: CR and ER of PMUSERENR_EL0, which every program may read where the processor
/// has counters at all.
#[cfg(target_os = "none")]
pub(crate) fn are_open() -> bool {
    const OPEN: u64 = 0b1100;
    let access: u64;
    // SAFETY: reads what programs are allowed to do.
    unsafe {
        core::arch::asm!("mrs {}, pmuserenr_el0", out(reg) access, options(nomem, nostack, preserves_flags))
    };
    access & OPEN == OPEN
}

/// On a hosted target there is nothing to count.
#[cfg(not(target_os = "none"))]
pub(crate) fn are_open() -> bool {
    false
}

/// Whether what is counted are instructions: QEMU's `-icount`. Anywhere else a fixed number of them takes some other
/// number of cycles, and another one the next time.
// Not inlined: the compiler thinks the block shorter than it is, and jumps over several would not reach.
#[inline(never)]
pub(crate) fn count_instructions() -> bool {
    /// The block and what belongs to counting.
    const EXPECTED: core::ops::RangeInclusive<u64> = 1024..=1032;
    (0..3).all(|_| EXPECTED.contains(&measure(block).all))
}

/// 1024 instructions.
#[cfg(target_os = "none")]
fn block() {
    // SAFETY: does nothing.
    unsafe { core::arch::asm!(".rept 1024", "nop", ".endr", options(nomem, nostack, preserves_flags)) };
}

#[cfg(not(target_os = "none"))]
fn block() {}

/// The counters now: PMCCNTR_EL0 counts everything, event counter 0 instructions at EL1 (the kernel sets them up so).
#[cfg(target_os = "none")]
#[inline(always)]
fn now() -> Cost {
    let (all, kernel): (u64, u64);
    // SAFETY: reads two counters, which user space may when the kernel was started with `pmu=user`.
    unsafe {
        core::arch::asm!(
            "isb",
            "mrs {}, pmccntr_el0",
            "mrs {}, pmevcntr0_el0",
            out(reg) all,
            out(reg) kernel,
            options(nostack)
        );
    }
    Cost { all, kernel }
}

/// On a hosted target there is nothing to count.
#[cfg(not(target_os = "none"))]
fn now() -> Cost {
    Cost { all: 0, kernel: 0 }
}

/// What `operation` costs, less what the counting itself costs.
pub(crate) fn measure(operation: impl FnOnce()) -> Cost {
    let empty = {
        let start = now();
        since(start)
    };
    let start = now();
    operation();
    let cost = since(start);
    Cost { all: cost.all - empty.all.min(cost.all), kernel: cost.kernel }
}

/// The least of several measurements: what is above it were interrupts.
pub(crate) fn least(times: u32, mut operation: impl FnMut()) -> Cost {
    let mut best = Cost { all: u64::MAX, kernel: u64::MAX };
    for _ in 0..times {
        let cost = measure(&mut operation);
        best = Cost { all: best.all.min(cost.all), kernel: best.kernel.min(cost.kernel) };
    }
    best
}

#[inline(always)]
fn since(start: Cost) -> Cost {
    let end = now();
    // Event counters have 32 bits.
    Cost { all: end.all.wrapping_sub(start.all), kernel: end.kernel.wrapping_sub(start.kernel) & 0xffff_ffff }
}
