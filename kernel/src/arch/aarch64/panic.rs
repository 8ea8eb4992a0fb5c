//! The end of a kernel that cannot go on: a report on the console, then power-off.
//!
//! The report stands between two marked lines, so that a tool on the host finds it and puts names to its addresses.
//! Nothing here trusts anything: no `Core`, no log, no memory but the stacks. `TPIDRRO_EL0` counts how deep
//! in trouble we are (see `vectors.rs`): 1 while reporting, 2 if that failed.

use core::arch::asm;
use core::fmt::Write;
use core::panic::PanicInfo;

use super::record::{CoreRecord, record};
use super::vectors::Frame;
use crate::board::{Board, Console, Mmio};
use crate::boot_facts::BootFacts;

const BEGIN: &str = "\n[barreldish: panic]\n";
const END: &str = "[barreldish: end of panic]";
/// What makes the host's command fail; PSCI has no exit status.
const EXIT_STATUS: u64 = 101;
/// Most frames of a backtrace.
const MAX_FRAMES: usize = 64;

unsafe extern "C" {
    #[link_name = "__image_start"]
    static IMAGE_START: u8;
    #[link_name = "__text_end"]
    static TEXT_END: u8;
    #[link_name = "__stack_guard"]
    static STACK_GUARD: u8;
    #[link_name = "__stack_bottom"]
    static STACK_BOTTOM: u8;
    #[link_name = "__stack_top"]
    static STACK_TOP: u8;
    #[link_name = "__emergency_bottom"]
    static EMERGENCY_BOTTOM: u8;
    #[link_name = "__emergency_top"]
    static EMERGENCY_TOP: u8;
}

#[panic_handler]
fn on_panic(info: &PanicInfo) -> ! {
    if depth() != 0 {
        give_up();
    }
    report(&|out| {
        let _ = writeln!(out, "{}", info.message());
        if let Some(location) = info.location() {
            let _ = out.write_str("at ");
            let _ = out.write_str(location.file());
            let _ = writeln!(out, ":{}", u64::from(location.line()));
        }
        backtrace(out, own_frame_pointer());
    })
}

/// Called by `vectors.rs` on the emergency stack.
#[unsafe(no_mangle)]
extern "C" fn exception_in_kernel(frame: &Frame) -> ! {
    report(&|out| {
        let _ = out.write_str(kind(frame));
        let _ = out.write_str(" in the kernel\n");
        registers(out, frame);
        line(out, frame.elr);
        backtrace(out, frame.x[29]);
    })
}

/// Called by `vectors.rs` on the emergency stack, emptied, when reporting has failed.
#[unsafe(no_mangle)]
extern "C" fn panic_in_panic() -> ! {
    give_up()
}

/// Panics on purpose, as the command line asks: `panic=test` panics, `panic=fault` writes to address 0,
/// `panic=stack` overflows the stack. For tests of this file.
pub fn provoke(facts: &BootFacts) {
    if facts.has_option("panic=test") {
        panic!("asked for by the command line");
    }
    if facts.has_option("panic=fault") {
        // SAFETY: never returns from the fault: nothing is mapped at 0.
        unsafe { asm!("str xzr, [{}]", in(reg) 0u64, options(nostack)) };
    }
    if facts.has_option("panic=stack") {
        overflow(0);
    }
}

#[expect(unconditional_recursion, reason = "this is how a stack overflows")]
#[inline(never)]
fn overflow(depth: u64) -> u64 {
    let mut frame = [depth; 32];
    // The frame must exist: its address is given away.
    core::hint::black_box(&mut frame);
    overflow(depth + 1) + core::hint::black_box(frame[0])
}

fn report(print: &dyn Fn(&mut dyn Write)) -> ! {
    set_depth(1);
    let Some(CoreRecord { console, power, .. }) = record() else { sleep() };
    let mut out = *console;
    out.enable();
    let _ = out.write_str(BEGIN);
    print(&mut out);
    let _ = out.write_str(END);
    end_line(out, EXIT_STATUS);
    power.off()
}

fn give_up() -> ! {
    set_depth(2);
    let Some(CoreRecord { console, power, .. }) = record() else { sleep() };
    end_line(*console, EXIT_STATUS);
    power.off()
}

/// The line that tells a tool on the host how the system ended, on a line of its own, and waits until it is out.
pub fn trailer(board: &Board, status: u64) {
    end_line(board.console, status);
}

fn end_line(mut out: Console<Mmio>, status: u64) {
    out.enable();
    let _ = writeln!(out, "\n[barreldish: exit status {status}]");
    out.flush();
}

/// Before boot has found a console and a way to switch off, there is only this.
fn sleep() -> ! {
    loop {
        // SAFETY: waits.
        unsafe { asm!("wfi", options(nomem, nostack)) };
    }
}

fn depth() -> u64 {
    let depth: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, tpidrro_el0", out(reg) depth, options(nomem, nostack, preserves_flags)) };
    depth
}

fn set_depth(depth: u64) {
    // SAFETY: user space, which could read the register, does not run any more.
    unsafe { asm!("msr tpidrro_el0, {}", in(reg) depth, options(nomem, nostack, preserves_flags)) };
}

/// What an exception was (ESR_EL1.EC, Arm ARM D24.2.40).
fn kind(frame: &Frame) -> &'static str {
    let stack = address(&raw const STACK_GUARD)..address(&raw const STACK_BOTTOM);
    match (frame.vector & 3, frame.esr >> 26) {
        (1 | 2, _) => "unexpected interrupt",
        (3, _) => "SError",
        (_, 0x25) if stack.contains(&frame.far) => "stack overflow",
        (_, 0x25) => "data abort",
        (_, 0x21) => "instruction abort",
        (_, 0x22) => "PC alignment fault",
        (_, 0x26) => "SP alignment fault",
        (_, 0x00) => "undefined instruction",
        (_, 0x07) => "use of FP or SIMD",
        (_, 0x3c) => "breakpoint",
        _ => "exception",
    }
}

fn registers(out: &mut dyn Write, frame: &Frame) {
    const NAMES: [&str; 6] = ["esr", "far", "elr", "spsr", "sp", "vector"];
    let values = [frame.esr, frame.far, frame.elr, frame.spsr, frame.sp, frame.vector];
    for (name, value) in NAMES.iter().zip(values) {
        let _ = out.write_str("  ");
        let _ = out.write_str(name);
        end_register(out, value);
    }
    for (number, &value) in frame.x.iter().enumerate() {
        let _ = write!(out, "  x{number:02}");
        end_register(out, value);
    }
}

#[inline(never)]
fn end_register(out: &mut dyn Write, value: u64) {
    let _ = out.write_str(" ");
    hexadecimal(out, value);
    let _ = out.write_str("\n");
}

/// The return addresses of the frames from `pointer` on (AAPCS64 6.4.6: pairs of previous frame and return address).
fn backtrace(out: &mut dyn Write, mut pointer: u64) {
    for _ in 0..MAX_FRAMES {
        let Some([previous, returns_to]) = frame_record(pointer) else { return };
        if returns_to == 0 {
            return;
        }
        // Minus 4: the call, not what follows it.
        line(out, returns_to - 4);
        if previous <= pointer {
            return;
        }
        pointer = previous;
    }
}

/// The frame record at `pointer`, if it lies on one of the kernel's stacks.
fn frame_record(pointer: u64) -> Option<[u64; 2]> {
    let on_stack = |bottom, top| pointer >= bottom && pointer <= top - 16;
    let main = on_stack(address(&raw const STACK_BOTTOM), address(&raw const STACK_TOP));
    let emergency = on_stack(address(&raw const EMERGENCY_BOTTOM), address(&raw const EMERGENCY_TOP));
    if !pointer.is_multiple_of(8) || !(main || emergency) {
        return None;
    }
    // SAFETY: the stacks are mapped; any bits do for two numbers.
    Some(unsafe { (pointer as *const [u64; 2]).read_volatile() })
}

fn line(out: &mut dyn Write, place: u64) {
    if (address(&raw const IMAGE_START)..address(&raw const TEXT_END)).contains(&place) {
        let _ = out.write_str("  at ");
        hexadecimal(out, place);
        let _ = out.write_str("\n");
    }
}

fn hexadecimal(out: &mut dyn Write, value: u64) {
    let _ = out.write_str("0x");
    for shift in (0..64).step_by(4).rev() {
        let digit = b"0123456789abcdef"[(value >> shift) as usize & 15];
        let _ = out.write_char(char::from(digit));
    }
}

fn own_frame_pointer() -> u64 {
    let pointer: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, x29", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer
}

/// Where the kernel's stack is empty.
pub fn stack_top() -> u64 {
    address(&raw const STACK_TOP)
}

fn address(symbol: *const u8) -> u64 {
    symbol as u64
}
