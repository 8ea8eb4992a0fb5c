//! Ways in from user space and out to it.
//!
//! ```text
//!   el0_sync ─ svc ─┬─ SendWait: straight to `send_wait_direct`; the packet stays in x20 to x27
//!              │    └─ others: through `HANDLERS`; nothing of the user is saved,
//!              │                since compiled code keeps x19 to x30 anyway
//!              └─ fault: all registers into Core::context, `fault`, or `use_fp` if the FP unit was closed
//!   el0_irq ──────── all registers into Core::context, `interrupt`
//! ```
//!
//! In user mode SP_EL1 is the top of the kernel's stack and TPIDR_EL1 points to the core's `Core`.
//! Ways that do not return to the caller reset the stack: nothing on it is needed then.

use core::arch::{asm, global_asm};
use core::mem::offset_of;

use abi::frame::Context;
use abi::packet::{HEADER_CAPABILITY, Packet};
use abi::{Error, Syscall};
use caps::Progress;

use crate::cpu::Core;
use crate::dispatcher::Dispatcher;
use crate::events;
use crate::schedule::{self, Next};
use crate::syscall::{self, Reply};
use crate::{fp, lmp, trap};

/// What a handler tells the entry code: `x0` and `x1` of the caller, or, where bit 63 of `status` is set, one of the
/// `GO_*` words.
#[repr(C)]
struct Answer {
    status: u64,
    value: u64,
}

/// The caller's `x1` to `x7` are in `Core::results`.
const GO_RESULTS: u64 = 1 << 63;
/// Whoever is next runs.
const GO_SWITCH: u64 = 1 << 63 | 1;

global_asm!(
    r#"
    // Saves the user's registers in Core::context; x0 = core afterwards.
    .macro save_user_context
    stp     x0, x1, [sp, #-16]
    mrs     x0, tpidr_el1
    stp     x2, x3, [x0, #16]
    ldp     x2, x3, [sp, #-16]
    stp     x2, x3, [x0]
    stp     x4, x5, [x0, #32]
    stp     x6, x7, [x0, #48]
    stp     x8, x9, [x0, #64]
    stp     x10, x11, [x0, #80]
    stp     x12, x13, [x0, #96]
    stp     x14, x15, [x0, #112]
    stp     x16, x17, [x0, #128]
    stp     x18, x19, [x0, #144]
    stp     x20, x21, [x0, #160]
    stp     x22, x23, [x0, #176]
    stp     x24, x25, [x0, #192]
    stp     x26, x27, [x0, #208]
    stp     x28, x29, [x0, #224]
    mrs     x1, sp_el0
    stp     x30, x1, [x0, #240]
    mrs     x1, elr_el1
    mrs     x2, spsr_el1
    stp     x1, x2, [x0, #256]
    mrs     x1, tpidr_el0
    str     x1, [x0, #272]
    mov     x29, xzr
    mov     x30, xzr
    .endm

    // Puts the packet where the handlers of Send and SendWait find it; x7 = core.
    .macro store_packet
    stp     x20, x21, [x7, #{packet}]
    stp     x22, x23, [x7, #{packet} + 16]
    stp     x24, x25, [x7, #{packet} + 32]
    stp     x26, x27, [x7, #{packet} + 48]
    .endm

    .section .text.entry, "ax"
    .global el0_sync
    .balign 64
el0_sync:
    stp     x16, x17, [sp, #-16]
    mrs     x16, esr_el1
    lsr     x17, x16, #26
    cmp     x17, #0x15
    b.ne    8f
    mrs     x7, tpidr_el1
    cmp     x8, #{send_wait}
    b.eq    3f
    b.lo    2f
1:  adrp    x16, {handlers}
    add     x16, x16, :lo12:{handlers}
    mov     x17, #{count}
    cmp     x8, x17
    str     x8, [x7, #{number}]
    csel    x8, x8, x17, lo
    ldr     x16, [x16, x8, lsl #3]
    str     x30, [sp, #-16]!
    blr     x16
    ldr     x30, [sp], #16
    tbnz    x0, #63, 6f
    mov     x2, xzr
    mov     x3, xzr
    mov     x4, xzr
    mov     x5, xzr
    mov     x6, xzr
    mov     x7, xzr
5:  mov     x8, xzr
    mov     x9, xzr
    mov     x10, xzr
    mov     x11, xzr
    mov     x12, xzr
    mov     x13, xzr
    mov     x14, xzr
    mov     x15, xzr
    mov     x16, xzr
    mov     x17, xzr
    mov     x18, xzr
    eret

    // Null and Send.
2:  cbz     x8, 1b
    store_packet
    b       1b

    // SendWait. x0 to x2 and x30 wait on the stack, in case the direct way is closed.
3:  stp     x30, x0, [sp, #-32]!
    stp     x1, x2, [sp, #16]
    mov     x3, x7
    bl      {send_wait_direct}
    cbz     x0, 4f
    add     sp, sp, #32
    // x0: receiver, x1: event index.
    ldr     x2, [x0, #{vector}]
    ldr     x0, [x0, #{frame_address}]
    add     x2, x2, #{stride}
    msr     elr_el1, x2
    msr     spsr_el1, xzr
    msr     sp_el0, xzr
    msr     tpidr_el0, x0
    and     x20, x20, #{no_capability}
    mov     x2, xzr
    mov     x3, xzr
    mov     x4, xzr
    mov     x5, xzr
    mov     x6, xzr
    mov     x7, xzr
    mov     x19, xzr
    mov     x28, xzr
    mov     x29, xzr
    mov     x30, xzr
    b       5b

4:  ldp     x1, x2, [sp, #16]
    ldp     x30, x0, [sp], #32
    mov     x8, #{send_wait}
    mrs     x7, tpidr_el1
    store_packet
    b       1b

6:  mrs     x8, tpidr_el1
    tbnz    x0, #0, 7f
    // More results than one.
    mov     x0, xzr
    ldr     x1, [x8, #{results} + 8]
    ldp     x2, x3, [x8, #{results} + 16]
    ldp     x4, x5, [x8, #{results} + 32]
    ldp     x6, x7, [x8, #{results} + 48]
    b       5b

    // Somebody else runs now.
7:  mov     x0, x8
    ldr     x9, [x0, #{stack_top}]
    mov     sp, x9
    mov     x29, xzr
    mov     x30, xzr
    b       {leave}

    // A fault of user space. Flags are those of the class beside a system call's.
8:  ldp     x16, x17, [sp, #-16]
    save_user_context
    mrs     x1, esr_el1
    mrs     x2, far_el1
    b.hs    {fault}
    lsr     x3, x1, #26
    cmp     x3, #{fp_closed}
    b.ne    {fault}
    b       {use_fp}

    .global el0_irq
    .balign 64
el0_irq:
    save_user_context
    b       {interrupt}
"#,
    send_wait = const Syscall::SendWait as u64,
    handlers = sym HANDLERS,
    count = const COUNT,
    send_wait_direct = sym send_wait_direct,
    leave = sym leave,
    fault = sym fault,
    fp_closed = const FP_CLOSED,
    use_fp = sym use_fp,
    interrupt = sym interrupt,
    packet = const offset_of!(Core, packet),
    results = const offset_of!(Core, results),
    number = const offset_of!(Core, number),
    stack_top = const offset_of!(Core, stack_top),
    vector = const offset_of!(Dispatcher, vector),
    frame_address = const offset_of!(Dispatcher, frame_address),
    stride = const abi::frame::UPCALL_STRIDE,
    no_capability = const !HEADER_CAPABILITY,
);

/// ESR_EL1.EC: use of FP or SIMD that CPACR_EL1 traps.
const FP_CLOSED: u64 = 0x07;

/// Numbers of system calls, and one more for those that do not exist.
const COUNT: usize = 43;

type Handler = extern "C" fn(u64, u64, u64, u64, u64, u64, u64, &mut Core) -> Answer;

/// The handler of system call `N`: [`syscall::call`], of which the compiler keeps the one arm. For the calls whose
/// instructions are counted; [`common_handler`] serves the others.
extern "C" fn handler<const N: u64>(
    x0: u64,
    x1: u64,
    x2: u64,
    x3: u64,
    x4: u64,
    x5: u64,
    x6: u64,
    core: &mut Core,
) -> Answer {
    answer(syscall::call(core, N, [x0, x1, x2, x3, x4, x5, x6]))
}

/// The handler of all other numbers.
extern "C" fn common_handler(
    x0: u64,
    x1: u64,
    x2: u64,
    x3: u64,
    x4: u64,
    x5: u64,
    x6: u64,
    core: &mut Core,
) -> Answer {
    let number = core.number;
    answer(syscall::dispatch::<false>(core, number, [x0, x1, x2, x3, x4, x5, x6]))
}

#[inline(always)]
fn answer(reply: Result<Reply, Error>) -> Answer {
    match reply {
        Ok(Reply::Value(value)) => Answer { status: 0, value },
        Ok(Reply::Results) => Answer { status: GO_RESULTS, value: 0 },
        Ok(Reply::Switch) => Answer { status: GO_SWITCH, value: 0 },
        Err(error) => Answer { status: error.to_word(), value: 0 },
    }
}

/// By number; the last is for numbers that no system call has.
static HANDLERS: [Handler; COUNT + 1] = {
    let mut handlers: [Handler; COUNT + 1] = [common_handler; COUNT + 1];
    handlers[Syscall::Null as usize] = handler::<{ Syscall::Null as u64 }>;
    handlers[Syscall::Send as usize] = handler::<{ Syscall::Send as u64 }>;
    handlers[Syscall::Wait as usize] = handler::<{ Syscall::Wait as u64 }>;
    handlers[Syscall::Resume as usize] = handler::<{ Syscall::Resume as u64 }>;
    handlers[Syscall::CapCopy as usize] = handler::<{ Syscall::CapCopy as u64 }>;
    handlers[Syscall::CapDelete as usize] = handler::<{ Syscall::CapDelete as u64 }>;
    handlers[Syscall::CapRevoke as usize] = handler::<{ Syscall::CapRevoke as u64 }>;
    handlers[Syscall::Map as usize] = handler::<{ Syscall::Map as u64 }>;
    handlers[Syscall::MappingFill as usize] = handler::<{ Syscall::MappingFill as u64 }>;
    handlers
};

const _: () =
    assert!(Syscall::from_number(COUNT as u64 - 1).is_some() && Syscall::from_number(COUNT as u64).is_none());

/// Tries the direct way: the receiver's dispatcher in `x0` and the event index in `x1`, or 0.
extern "C" fn send_wait_direct(endpoint: u64, deadline: u64, capability: u64, core: &mut Core) -> Answer {
    match lmp::send_wait_direct(core, endpoint, deadline, capability) {
        Some((receiver, index)) => Answer {
            status: core.machine.hardware.direct_map(receiver.base()) as u64,
            value: u64::from(index),
        },
        None => Answer { status: 0, value: 0 },
    }
}

/// A fault of user space; its registers are saved.
extern "C" fn fault(core: &mut Core, esr: u64, far: u64) -> ! {
    trap::fault(core, esr, far);
    leave(core)
}

/// An FP instruction of user space while the unit was closed; its registers are saved.
extern "C" fn use_fp(core: &mut Core) -> ! {
    if fp::claim(&mut core.machine) { restore(core) } else { leave(core) }
}

/// An interrupt of user space; its registers are saved.
extern "C" fn interrupt(core: &mut Core) -> ! {
    trap::interrupt(core);
    leave(core)
}

/// Makes `core` the state of this core.
pub fn set_core(core: &mut Core) {
    // SAFETY: the entry code reads it back as `&mut Core`; the caller made it for good, and the kernel leaves through
    // `leave`, which ends every other borrow.
    unsafe { asm!("msr tpidr_el1, {}", in(reg) core as *mut Core, options(nostack, preserves_flags)) };
}

/// Leaves the kernel for whoever is next.
pub extern "C" fn leave(core: &mut Core) -> ! {
    loop {
        match schedule::next(core) {
            Next::Restore => restore(core),
            Next::Upcall { kind: _, frame, pc, arguments } => upcall(core, frame, pc, arguments),
            Next::Again => trap::interrupt(core),
            Next::Idle => {
                // With nothing else to do, what is left of deleted objects goes first.
                if events::reap(core) == Progress::Done {
                    core.machine.hardware.wait_for_interrupt();
                }
                trap::interrupt(core);
            }
        }
    }
}

/// Flags that a saved context may bring back: N, Z, C, V. All else is what user mode with interrupts on has (0).
const USER_PSTATE: u64 = 0xf000_0000;

/// Restores `core.context`.
#[inline(always)]
fn restore(core: &mut Core) -> ! {
    core.context.pstate &= USER_PSTATE;
    // SAFETY: enters user mode (PSTATE.M is 0) with registers that are the user's own; the kernel's stack is at its
    // top again, and nothing on it is needed.
    unsafe {
        asm!(
            "mov sp, {stack}",
            "ldp x1, x2, [x0, #256]",
            "msr elr_el1, x1",
            "msr spsr_el1, x2",
            "ldr x1, [x0, #272]",
            "msr tpidr_el0, x1",
            "ldp x30, x1, [x0, #240]",
            "msr sp_el0, x1",
            "ldp x2, x3, [x0, #16]",
            "ldp x4, x5, [x0, #32]",
            "ldp x6, x7, [x0, #48]",
            "ldp x8, x9, [x0, #64]",
            "ldp x10, x11, [x0, #80]",
            "ldp x12, x13, [x0, #96]",
            "ldp x14, x15, [x0, #112]",
            "ldp x16, x17, [x0, #128]",
            "ldp x18, x19, [x0, #144]",
            "ldp x20, x21, [x0, #160]",
            "ldp x22, x23, [x0, #176]",
            "ldp x24, x25, [x0, #192]",
            "ldp x26, x27, [x0, #208]",
            "ldp x28, x29, [x0, #224]",
            "ldp x0, x1, [x0]",
            "eret",
            stack = in(reg) core.stack_top,
            in("x0") core as *mut Core,
            options(noreturn)
        );
    }
}

/// Enters user mode at `pc` as an upcall.
fn upcall(core: &Core, frame: u64, pc: u64, arguments: [u64; 2]) -> ! {
    // SAFETY: enters user mode (SPSR 0: EL0t, interrupts on) at an address that faults if it is not the user's; all
    // registers are set, so that nothing of the kernel or of another domain is left in them.
    unsafe {
        asm!(
            "mov sp, {stack}",
            "msr elr_el1, {pc}",
            "msr spsr_el1, xzr",
            "msr sp_el0, xzr",
            "msr tpidr_el0, x0",
            "mov x3, xzr", "mov x4, xzr", "mov x5, xzr", "mov x6, xzr", "mov x7, xzr",
            "mov x8, xzr", "mov x9, xzr", "mov x10, xzr", "mov x11, xzr", "mov x12, xzr",
            "mov x13, xzr", "mov x14, xzr", "mov x15, xzr", "mov x16, xzr", "mov x17, xzr",
            "mov x18, xzr", "mov x19, xzr", "mov x20, xzr", "mov x21, xzr", "mov x22, xzr",
            "mov x23, xzr", "mov x24, xzr", "mov x25, xzr", "mov x26, xzr", "mov x27, xzr",
            "mov x28, xzr", "mov x29, xzr", "mov x30, xzr",
            "eret",
            stack = in(reg) core.stack_top,
            pc = in(reg) pc,
            in("x0") frame,
            in("x1") arguments[0],
            in("x2") arguments[1],
            options(noreturn)
        );
    }
}

const _: () = {
    assert!(
        offset_of!(Core, context) == 0 && offset_of!(Context, sp) == 248 && offset_of!(Context, pc) == 256
    );
    assert!(size_of::<Packet>() == 64);
};
