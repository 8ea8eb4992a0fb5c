//! Upcalls and waiting on AArch64.
//!
//! The upcall vector is the program's entry point: `_start` for `Run`, then an entry every 128 bytes. A wait pushes
//! what the AAPCS64 lets a function lose, leaves its stack pointer in the frame, and issues `Wait` or `SendWait`;
//! the upcall that ends the wait takes that stack pointer up again and returns from the function. To its caller a
//! wait is thus a call like any other, and an upcall needs no stack, except for faults and preemption.
//!
//! A thread that gives way to another of the same domain ([`switch`]) leaves the same things on its stack; so each thread
//! that does not run is a stack pointer, or, if an upcall took the processor from it, a saved context.
//!
//! ```text
//!   wait ── push x19..x30, buffer ── parked := sp ── disabled := 1 ── svc ┄┄┄ kernel ┄┄┄┐
//!   caller ◄─ ret ── disabled := 0 ── pop x19..x30 ── sp := parked ◄── Run / Message ◄──┘
//! ```

use core::arch::{asm, global_asm};
use core::mem::offset_of;
use core::ops::Range;
use core::ptr::NonNull;

use abi::frame::{Context, FpContext};
use abi::packet::Packet;
use abi::{CapAddr, Error};

use super::Wake;
use crate::frame::{COLLECTED_OFFSET, Frame, PARKED_OFFSET};
use crate::vspace::Region;

/// Bytes of the stack of upcalls.
const UPCALL_STACK: usize = 4 * 1024;
/// Bytes of the stack on which faults are handled: the memory service may be asked, and reports are made.
const FAULT_STACK: usize = 24 * 1024;

#[repr(C, align(16))]
struct Stack<const BYTES: usize>(core::cell::UnsafeCell<[u8; BYTES]>);
// SAFETY: only its address is used, by the assembly below; upcalls do not nest, and neither do faults that are handled.
unsafe impl<const BYTES: usize> Sync for Stack<BYTES> {}

static UPCALL: Stack<UPCALL_STACK> = Stack(core::cell::UnsafeCell::new([0; UPCALL_STACK]));
static FAULT: Stack<FAULT_STACK> = Stack(core::cell::UnsafeCell::new([0; FAULT_STACK]));

/// What is left on the stack of a thread that waits or has given way: x29, x30, x19 to x28, and one word for waits.
#[repr(C)]
struct Saved {
    frame_pointer: u64,
    link: u64,
    registers: [u64; 10],
    buffer: u64,
    padding: u64,
}
const _: () = assert!(size_of::<Saved>() == 112);

/// Leaves [`Saved`] on the stack, but for its last two words.
macro_rules! push_saved {
    () => {
        concat!(
            "stp x29, x30, [sp, #-112]!\n",
            "stp x19, x20, [sp, #16]\n",
            "stp x21, x22, [sp, #32]\n",
            "stp x23, x24, [sp, #48]\n",
            "stp x25, x26, [sp, #64]\n",
            "stp x27, x28, [sp, #80]\n",
        )
    };
}

/// Takes it up again.
macro_rules! pop_saved {
    () => {
        concat!(
            "ldp x19, x20, [sp, #16]\n",
            "ldp x21, x22, [sp, #32]\n",
            "ldp x23, x24, [sp, #48]\n",
            "ldp x25, x26, [sp, #64]\n",
            "ldp x27, x28, [sp, #80]\n",
            "ldp x29, x30, [sp], #112\n",
        )
    };
}

/// Set in the result of a wait that ended by a packet; the event index is in the low half.
const MESSAGE: u64 = 1 << 32;

global_asm!(
    ".pushsection .text._start, \"ax\", %progbits",
    ".global _start",
    ".balign 128",
    // Run: x0 frame, x1 whether preempted while enabled.
    "_start:",
    "    cbnz x1, 1f",
    "    ldr x9, [x0, #{parked}]",
    "    cbz x9, 2f",
    "    mov sp, x9",
    "    mov x1, #0",
    "    b {leave}",
    "1:  adrp x9, {stack}",
    "    add x9, x9, :lo12:{stack}",
    "    add sp, x9, #{stack_size}",
    "    bl {preempted}",
    "2:  mov x29, #0",
    "    mov x30, #0",
    "    movz x9, #{top0}",
    "    movk x9, #{top1}, lsl #16",
    "    movk x9, #{top2}, lsl #32",
    "    mov sp, x9",
    "    b {first}",
    // Message: x0 frame, x1 event, x20 to x27 the packet.
    ".balign 128",
    "    ldr x9, [x0, #{parked}]",
    "    mov sp, x9",
    "    ldr x10, [sp, #96]",
    "    stp x20, x21, [x10]",
    "    stp x22, x23, [x10, #16]",
    "    stp x24, x25, [x10, #32]",
    "    stp x26, x27, [x10, #48]",
    "    orr x1, x1, #{message}",
    "    b {leave}",
    // Fault: x0 frame, x1 ESR, x2 FAR. The stack of faults is taken unless it is in use: then handling one has gone wrong.
    ".balign 128",
    "    adrp x9, {fault_stack}",
    "    add x9, x9, :lo12:{fault_stack}",
    "    add x10, x9, #{fault_half}, lsl #12",
    "    ldr x11, [x0, #{trap_sp}]",
    "    sub x12, x11, x9",
    "    mov sp, x10",
    "    mov x29, #0",
    "    mov x30, #0",
    "    cmp x12, #{fault_half}, lsl #12",
    "    b.ls 3f",
    "    b {fault}",
    "3:  adrp x9, {stack}",
    "    add x9, x9, :lo12:{stack}",
    "    add sp, x9, #{stack_size}",
    "    b {fault_in_fault}",
    ".balign 128",
    ".popsection",
    parked = const PARKED_OFFSET,
    message = const MESSAGE,
    stack = sym UPCALL,
    stack_size = const UPCALL_STACK,
    fault_stack = sym FAULT,
    fault_half = const FAULT_STACK >> 12,
    trap_sp = const abi::frame::AREAS_OFFSET as usize
        + abi::frame::Area::Trap as usize * size_of::<abi::frame::Context>()
        + offset_of!(abi::frame::Context, sp),
    top0 = const abi::layout::STACK_TOP & 0xffff,
    top1 = const abi::layout::STACK_TOP >> 16 & 0xffff,
    top2 = const abi::layout::STACK_TOP >> 32 & 0xffff,
    leave = sym leave,
    preempted = sym preempted,
    first = sym first,
    fault = sym fault,
    fault_in_fault = sym fault_in_fault,
);

unsafe extern "C" {
    /// The program's entry point and upcall vector.
    safe static _start: [u8; 0];
}

/// Address of the upcall vector, which is the entry point of the program.
pub(crate) fn vector() -> u64 {
    (&raw const _start) as u64
}

/// Ends a wait: `x0` frame, `x1` result, `sp` as [`raw_wait`] and [`raw_send_wait`] left it.
#[unsafe(naked)]
unsafe extern "C" fn leave() {
    core::arch::naked_asm!(pop_saved!(), "str xzr, [x0]", "mov x0, x1", "ret",)
}

/// `x0` frame, `x1` deadline, `x2` packet buffer, `x3` system call (`Wait` or `Yield`).
/// With collected events it returns at once: the test comes after the flag is set, hence no upcall can collect between.
#[unsafe(naked)]
unsafe extern "C" fn raw_wait(frame: *mut u8, deadline: u64, buffer: *mut Packet, call: u64) -> u64 {
    core::arch::naked_asm!(
        push_saved!(),
        "str x2, [sp, #96]",
        "mov x29, sp",
        "str x29, [x0, #{parked}]",
        // Any number but 0 disables.
        "str x29, [x0]",
        "mov x19, x0",
        "ldr x10, [x0, #{collected}]",
        "cbnz x10, 1f",
        "mov x8, x3",
        "mov x0, x1",
        "svc #0",
        // It returned: an event was pending.
        "1:  mov x1, #0",
        "mov x0, x19",
        "b {leave}",
        parked = const PARKED_OFFSET,
        collected = const COLLECTED_OFFSET,
        leave = sym leave,
    )
}

/// `x0` frame, `x1` deadline, `x2` capability, `x3` endpoint, `x4` packet, `x5` buffer, which may be the
/// same. Sends without waiting if collected events are there.
#[unsafe(naked)]
unsafe extern "C" fn raw_send_wait(
    frame: *mut u8,
    deadline: u64,
    capability: u64,
    endpoint: u64,
    packet: *const Packet,
    buffer: *mut Packet,
) -> u64 {
    core::arch::naked_asm!(
        push_saved!(),
        "str x5, [sp, #96]",
        "mov x29, sp",
        "str x29, [x0, #{parked}]",
        // Any number but 0 disables.
        "str x29, [x0]",
        "ldp x20, x21, [x4]",
        "ldp x22, x23, [x4, #16]",
        "ldp x24, x25, [x4, #32]",
        "ldp x26, x27, [x4, #48]",
        "ldr x10, [x0, #{collected}]",
        "mov x19, x0",
        "mov x0, x3",
        "cbnz x10, 1f",
        "mov x8, #{send_wait}",
        "svc #0",
        "b 2f",
        "1:  mov x8, #{send}",
        "svc #0",
        // It returned: refused, or sent without waiting.
        "2:  mov x1, x0",
        "mov x0, x19",
        "b {leave}",
        parked = const PARKED_OFFSET,
        collected = const COLLECTED_OFFSET,
        send = const abi::Syscall::Send as u64,
        send_wait = const abi::Syscall::SendWait as u64,
        leave = sym leave,
    )
}

fn decode(result: u64) -> Wake {
    if result & MESSAGE != 0 { Wake::Message(result as u32) } else { Wake::Run }
}

/// Waits until an event or the deadline; a packet that comes directly is put into `buffer`.
#[inline]
pub(crate) fn wait(frame: Frame, deadline: u64, buffer: &mut Packet) -> Wake {
    // SAFETY: the function keeps what the AAPCS64 asks for, and writes nothing but the buffer and the frame's flag.
    decode(unsafe { raw_wait(frame.base(), deadline, buffer, abi::Syscall::Wait as u64) })
}

/// Lets the other ready dispatchers run.
pub(crate) fn yield_now(frame: Frame) {
    let mut buffer = Packet::default();
    // SAFETY: as in `wait`. The kernel reads no argument of `Yield`.
    unsafe { raw_wait(frame.base(), 0, &mut buffer, abi::Syscall::Yield as u64) };
}

/// Sends `packet` (`None`: what is in `buffer`) and waits as [`wait`] does. After an error the buffer is as before.
///
/// # Errors
/// The packet was not sent, and there was no wait.
#[inline(always)]
pub(crate) fn send_wait(
    frame: Frame,
    endpoint: CapAddr,
    capability: CapAddr,
    packet: Option<&Packet>,
    deadline: u64,
    buffer: &mut Packet,
) -> Result<Wake, Error> {
    let buffer: *mut Packet = buffer;
    let packet = packet.map_or(buffer.cast_const(), core::ptr::from_ref);
    // SAFETY: as in `wait`. The packet is in registers before anything is written to the buffer.
    let result = unsafe { raw_send_wait(frame.base(), deadline, capability.0, endpoint.0, packet, buffer) };
    if result & MESSAGE == 0
        && let Some(error) = Error::from_word(result)
    {
        return Err(error);
    }
    Ok(decode(result))
}

/// Gives the processor to another thread of this domain: leaves the running one on its stack and its stack pointer in
/// `from`, then goes on where `to`, such a stack pointer, was left.
///
/// # Safety
/// `to` was left by this function or made by [`prepare_stack`], and is not running. `from` stays valid until somebody
/// switches back. The caller is in a critical section, and so is whoever goes on.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn switch(from: *mut u64, to: u64) {
    core::arch::naked_asm!(push_saved!(), "mov x9, sp", "str x9, [x0]", "mov sp, x1", pop_saved!(), "ret",)
}

/// As [`switch`], to a thread from which an upcall took the processor, with its context.
///
/// # Safety
/// As for [`switch`]; the context was saved by an upcall and goes on once. Nobody is in a critical section when it does.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn switch_to_context(from: *mut u64, frame: *mut u8, context: *const Context) {
    core::arch::naked_asm!(
        push_saved!(),
        "mov x9, sp",
        "str x9, [x0]",
        // Any number but 0 disables; from here on nothing may fault.
        "str x9, [x1]",
        "adrp x9, {stack}",
        "add x9, x9, :lo12:{stack}",
        "add sp, x9, #{stack_size}",
        "mov x0, x1",
        "mov x1, x2",
        "b {resume_context}",
        stack = sym UPCALL,
        stack_size = const UPCALL_STACK,
        resume_context = sym resume_context,
    )
}

/// Goes on with a context that an upcall saved. Upcalls are disabled. On the upcall stack.
///
/// # Safety
/// `context` is such a context.
pub(crate) unsafe extern "C" fn resume_context(base: *mut u8, context: *const Context) -> ! {
    let area = abi::frame::Area::Enabled;
    // Not before upcalls are disabled: one that found the thread out of its section would take this for its context.
    crate::critical::set_depth(0);
    // SAFETY: the caller's promise, and as in `preempted`.
    unsafe {
        Frame::new(NonNull::new_unchecked(base), crate::frame::RINGS_OFFSET).set_context(area, &*context);
    }
    resume(base, area as u64)
}

/// Leaves an upcall to the thread whose stack pointer is `to`, which was left by [`switch`] or [`prepare_stack`].
///
/// # Safety
/// As for [`switch`]. Upcalls are disabled, and nothing on the present stack is needed any more.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn enter_thread(frame: *mut u8, to: u64) -> ! {
    core::arch::naked_asm!("mov sp, x1", "mov x1, #0", "b {leave}", leave = sym leave)
}

/// Prepares the stack that ends at `top` for a thread that begins with `first(argument)`, which does not return: the
/// stack pointer for [`switch`]. The thread begins in a critical section.
///
/// # Safety
/// `top` is a multiple of 16, and the bytes below it are a stack that nobody uses, backed with memory.
pub(crate) unsafe fn prepare_stack(top: u64, first: extern "C" fn(u64) -> !, argument: u64) -> u64 {
    let place = top - size_of::<Saved>() as u64;
    let mut registers = [0; 10];
    (registers[0], registers[1]) = (argument, first as usize as u64);
    let link = begin as *const () as u64;
    // SAFETY: the caller's promise.
    unsafe {
        (place as *mut Saved).write(Saved { frame_pointer: 0, link, registers, buffer: 0, padding: 0 });
    }
    place
}

/// Saves all FP and SIMD registers. To be called only when this domain uses them ([`Frame::uses_fp`]).
///
/// # Safety
/// `to` can be written.
pub(crate) unsafe fn save_fp(to: *mut FpContext) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            abi::fp_registers!("stp"),
            "mrs {control}, fpcr",
            "mrs {status}, fpsr",
            "str {control}, [{at}, #{fpcr}]",
            "str {status}, [{at}, #{fpsr}]",
            at = in(reg) to,
            control = out(reg) _,
            status = out(reg) _,
            fpcr = const offset_of!(FpContext, fpcr),
            fpsr = const offset_of!(FpContext, fpsr),
            options(nostack, preserves_flags)
        );
    }
}

/// Puts back what [`save_fp`] saved.
///
/// # Safety
/// `from` can be read. What was in the registers is lost.
pub(crate) unsafe fn load_fp(from: *const FpContext) {
    // SAFETY: the caller's promise. Programs are compiled without FP, so the compiler keeps nothing in these registers.
    unsafe {
        asm!(
            abi::fp_registers!("ldp"),
            "ldr {control}, [{at}, #{fpcr}]",
            "ldr {status}, [{at}, #{fpsr}]",
            "msr fpcr, {control}",
            "msr fpsr, {status}",
            at = in(reg) from,
            control = out(reg) _,
            status = out(reg) _,
            fpcr = const offset_of!(FpContext, fpcr),
            fpsr = const offset_of!(FpContext, fpsr),
            options(nostack, preserves_flags)
        );
    }
}

/// Where a new thread goes on: `x19` and `x20` are its argument and first function.
#[unsafe(naked)]
unsafe extern "C" fn begin() {
    core::arch::naked_asm!("mov x0, x19", "mov x29, #0", "mov x30, #0", "br x20")
}

/// Preempted while enabled: takes over the ready events, then goes on where it was, or lets another thread run. Runs on
/// the upcall stack.
extern "C" fn preempted(base: *mut u8) -> ! {
    // SAFETY: the kernel passes the address of the frame; only its head is used here.
    let frame = unsafe { Frame::new(NonNull::new_unchecked(base), crate::frame::RINGS_OFFSET) };
    frame.collect();
    crate::thread::preempted(frame);
    resume(base, abi::frame::Area::Enabled as u64)
}

/// Goes on with the context in a save area. Upcalls are disabled until it does. On the upcall stack or that of faults.
pub(crate) extern "C" fn resume(base: *mut u8, area: u64) -> ! {
    // SAFETY: as in `preempted`.
    let frame = unsafe { Frame::new(NonNull::new_unchecked(base), crate::frame::RINGS_OFFSET) };
    loop {
        let result: u64;
        // SAFETY: `Resume` either continues the context, to which all this is invisible, or returns here.
        unsafe {
            asm!(
                "svc #0",
                inlateout("x0") area => result,
                inlateout("x8") abi::Syscall::Resume as u64 => _,
                clobber_abi("C"),
                options(nostack),
            );
        }
        if Error::from_word(result).is_some() {
            sys::exit(crate::report::FAULT_CODE);
        }
        // Events that came meanwhile are no reason to stay.
        frame.collect();
    }
}

/// The first entry, on the main thread's stack.
extern "C" fn first(base: *mut u8) -> ! {
    // SAFETY: the builder of the domain put a dispatcher frame there, which is for kernel and runtime alone.
    unsafe { crate::start::enter(base) }
}

/// A fault while enabled. Runs on the stack of faults, with upcalls disabled.
extern "C" fn fault(base: *mut u8, esr: u64, far: u64) -> ! {
    // SAFETY: as in `preempted`.
    let frame = unsafe { Frame::new(NonNull::new_unchecked(base), crate::frame::RINGS_OFFSET) };
    crate::thread::faulted(frame, esr, far)
}

/// A fault while one was being handled: nothing can be relied on. Runs on the upcall stack.
extern "C" fn fault_in_fault(base: *mut u8, esr: u64, far: u64) -> ! {
    // SAFETY: as in `preempted`.
    let frame = unsafe { Frame::new(NonNull::new_unchecked(base), crate::frame::RINGS_OFFSET) };
    crate::report::fault_in_fault(esr, far, &frame.context(abi::frame::Area::Trap))
}

/// Disables upcalls.
///
/// # Safety
/// `base` is the dispatcher frame. The caller does not wait, and nothing on its way can fault.
pub(crate) unsafe fn disable(base: *mut u8) {
    // SAFETY: the flag is the first word of the frame.
    unsafe { base.cast::<u64>().write_volatile(1) };
}

/// Leaves disabled mode.
///
/// # Safety
/// `base` is the dispatcher frame.
pub(crate) unsafe fn enable(base: *mut u8) {
    // SAFETY: the flag is the first word of the frame.
    unsafe { base.cast::<u64>().write_volatile(0) };
}

/// Counter ticks since boot.
#[inline]
pub(crate) fn ticks() -> u64 {
    let ticks: u64;
    // SAFETY: reads a register that user mode may read.
    unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack)) };
    ticks
}

/// Counter ticks a second.
pub(crate) fn ticks_per_second() -> u64 {
    let frequency: u64;
    // SAFETY: as in `ticks`.
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) frequency, options(nomem, nostack)) };
    frequency.max(1)
}

/// The frame pointer of the caller.
#[inline(always)]
pub(crate) fn frame_pointer() -> u64 {
    let pointer: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, x29", out(reg) pointer, options(nomem, nostack)) };
    pointer
}

/// The stacks that belong to no thread: those of upcalls and faults.
pub(crate) fn own_stacks() -> [Range<u64>; 2] {
    let stack = |start: u64, bytes: usize| start..start + bytes as u64;
    [stack(UPCALL.0.get() as u64, UPCALL_STACK), stack(FAULT.0.get() as u64, FAULT_STACK)]
}

/// The frame record at `pointer`: the caller's frame pointer and return address. `None` when that is not on `stack`, or on
/// one of those that belong to no thread.
pub(crate) fn frame_record(pointer: u64, stack: &Range<u64>) -> Option<(u64, u64)> {
    let holds = |stack: &Range<u64>| pointer >= stack.start && pointer.saturating_add(16) <= stack.end;
    if !(holds(stack) || own_stacks().iter().any(holds)) || !pointer.is_multiple_of(16) {
        return None;
    }
    // SAFETY: two words in the part of a stack that is in use, hence backed with memory.
    unsafe { Some(((pointer as *const u64).read(), (pointer as *const u64).add(1).read())) }
}

/// Where the stack of the caller is: its stack pointer, or a little below.
#[inline(always)]
pub(crate) fn stack_pointer() -> u64 {
    let pointer: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack)) };
    pointer
}

/// Reads a byte, for the fault that it may cause.
///
/// # Safety
/// The address may be read once a fault there has been handled.
#[inline(always)]
pub(crate) unsafe fn touch(address: u64) {
    // SAFETY: the caller's promise.
    unsafe { asm!("ldrb wzr, [{}]", in(reg) address, options(nostack, readonly)) };
}

/// Where to reach the memory that was mapped there.
#[inline(always)]
pub(crate) fn memory(mapped: &Region) -> Range<u64> {
    mapped.range()
}

/// Touches the stack as far down as [`switch`] goes, and a bit more.
#[inline(always)]
pub(crate) fn touch_below_stack() {
    // SAFETY: below the stack pointer of a thread is its stack, or what ends it when it is too small.
    unsafe { asm!("ldurb wzr, [sp, #-256]", options(nostack, readonly)) };
}

/// Zeroes whole pages.
///
/// # Safety
/// They are mapped writable, and nobody else looks at them.
pub(crate) unsafe fn zero(address: u64, bytes: u64) {
    let block: u64;
    // SAFETY: reads a register that user mode may read (DDI 0487, DCZID_EL0).
    unsafe { asm!("mrs {}, dczid_el0", out(reg) block, options(nomem, nostack)) };
    // Lines of 64 bytes, and the instruction is allowed: as on all processors that this runs on.
    if block & 0x1f != 4 {
        // SAFETY: the caller's promise.
        return unsafe { (address as *mut u8).write_bytes(0, bytes as usize) };
    }
    let end = address + bytes;
    // SAFETY: the caller's promise; a page is a multiple of what one round zeroes.
    unsafe {
        asm!(
            "2:  dc zva, {at}",
            "    add {next}, {at}, #64",
            "    dc zva, {next}",
            "    add {next}, {at}, #128",
            "    dc zva, {next}",
            "    add {next}, {at}, #192",
            "    dc zva, {next}",
            "    add {at}, {at}, #256",
            "    cmp {at}, {end}",
            "    b.lo 2b",
            at = inout(reg) address => _,
            next = out(reg) _,
            end = in(reg) end,
            options(nostack),
        );
    }
}
