//! The vector table of EL1 (Arm ARM D1.3.1).
//!
//! System calls, faults and interrupts of user space go to `el0_sync` and `el0_irq` of the entry code, with all
//! registers as they were and SP at the top of the kernel stack. Everything else is the end of the kernel: the
//! kernel runs with interrupts masked and does not fault. That path takes the emergency stack, since the reason may be that
//! the stack has overflowed, and two registers of user space as scratch, which it will not see again.

use core::arch::global_asm;

/// Registers of the kernel at an exception that ends it.
#[repr(C)]
pub struct Frame {
    /// `x0` to `x30`.
    pub x: [u64; 31],
    /// Stack pointer.
    pub sp: u64,
    /// Which entry of the vector table.
    pub vector: u64,
    /// `ELR_EL1`: where it happened.
    pub elr: u64,
    /// `SPSR_EL1`.
    pub spsr: u64,
    /// `ESR_EL1`: what happened.
    pub esr: u64,
    /// `FAR_EL1`: the address it was about.
    pub far: u64,
    /// Keeps the stack pointer aligned.
    pub reserved: u64,
}

const _: () = assert!(size_of::<Frame>() == 304 && core::mem::offset_of!(Frame, vector) == 256);

global_asm!(
    r#"
.macro fatal number
        .balign 128
        msr     tpidr_el0, x0
        mov     x0, #\number
        b       fatal_exception
.endm

.section .text.vectors, "ax"
.balign 2048
.global vectors
vectors:
        fatal   0
        fatal   1
        fatal   2
        fatal   3
        fatal   4
        fatal   5
        fatal   6
        fatal   7
        .balign 128
        b       el0_sync
        .balign 128
        b       el0_irq
        fatal   10
        fatal   11
        fatal   12
        fatal   13
        fatal   14
        fatal   15

        .balign 128

// Between the entry code and the table there is room, since the table is aligned.
// x0: entry of the table; TPIDR_EL0: x0.
.section .text.entry, "ax"
fatal_exception:
        msr     contextidr_el1, x0
        mov     x0, sp
        msr     sp_el0, x0
        mrs     x0, tpidrro_el0
        cbnz    x0, fatal_again
        adrp    x0, __emergency_top
        mov     sp, x0
        sub     sp, sp, #{size}
        stp     x2, x3, [sp, #16]
        stp     x4, x5, [sp, #32]
        stp     x6, x7, [sp, #48]
        stp     x8, x9, [sp, #64]
        stp     x10, x11, [sp, #80]
        stp     x12, x13, [sp, #96]
        stp     x14, x15, [sp, #112]
        stp     x16, x17, [sp, #128]
        stp     x18, x19, [sp, #144]
        stp     x20, x21, [sp, #160]
        stp     x22, x23, [sp, #176]
        stp     x24, x25, [sp, #192]
        stp     x26, x27, [sp, #208]
        stp     x28, x29, [sp, #224]
        mrs     x2, tpidr_el0
        stp     x2, x1, [sp]
        mrs     x2, sp_el0
        stp     x30, x2, [sp, #240]
        mrs     x2, contextidr_el1
        mrs     x3, elr_el1
        stp     x2, x3, [sp, #256]
        mrs     x2, spsr_el1
        mrs     x3, esr_el1
        stp     x2, x3, [sp, #272]
        mrs     x2, far_el1
        stp     x2, xzr, [sp, #288]
        mov     x0, sp
        mov     x29, xzr
        mov     x30, xzr
        b       exception_in_kernel

// An exception while a panic is reported: a clean stack, and nothing but the end. One in that: sleep.
fatal_again:
        cmp     x0, #2
        b.hs    1f
        adrp    x0, __emergency_top
        mov     sp, x0
        mov     x29, xzr
        mov     x30, xzr
        b       panic_in_panic
1:      wfi
        b       1b
"#,
    size = const size_of::<Frame>(),
);
