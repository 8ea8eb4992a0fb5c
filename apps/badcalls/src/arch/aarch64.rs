//! `svc #0`, as `abi::syscall` tells.

use core::arch::asm;

/// Makes system call `number`: what comes back in `x0`.
pub(crate) fn raw_call(number: u64, x: [u64; 7]) -> u64 {
    let result;
    // SAFETY: a system call changes x0 to x18 and nothing else of this program, unless it is one that gives up memory or
    // the dispatcher; `choose` in the main module does not make those with capabilities that exist.
    unsafe {
        asm!(
            "svc #0",
            inlateout("x8") number => _,
            inlateout("x0") x[0] => result,
            inlateout("x1") x[1] => _, inlateout("x2") x[2] => _, inlateout("x3") x[3] => _,
            inlateout("x4") x[4] => _, inlateout("x5") x[5] => _, inlateout("x6") x[6] => _, lateout("x7") _,
            lateout("x9") _, lateout("x10") _, lateout("x11") _, lateout("x12") _, lateout("x13") _,
            lateout("x14") _, lateout("x15") _, lateout("x16") _, lateout("x17") _, lateout("x18") _,
            options(nostack),
        );
    }
    result
}
