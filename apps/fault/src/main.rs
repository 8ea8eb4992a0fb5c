//! `fault KIND`: does what a program may not do. It should end with a report, and nobody else should notice.
#![cfg_attr(target_os = "none", no_std, no_main)]

mod arch;

use barreldish::{ExitCode, args, eprintln, println};

use arch::undefined_instruction;

/// An address of the kernel's half.
const KERNEL_ADDRESS: usize = 0xffff_8000_0000_0000;

/// Names of the kinds and what they do.
const KINDS: [(&str, fn()); 6] = [
    ("null", read_null),
    ("text", write_text),
    ("data", execute_data),
    ("kernel", read_kernel),
    ("stack", overflow_stack),
    ("undefined", undefined_instruction),
];

#[barreldish::main]
fn main() -> ExitCode {
    let arguments = args();
    let kind = KINDS.iter().find(|(name, _)| arguments.get(1..) == Some(&[*name]));
    let Some((name, act)) = kind else {
        let [a, b, c, d, e, f] = KINDS.map(|(name, _)| name);
        eprintln!("fault: expected {a}, {b}, {c}, {d}, {e} or {f}");
        return ExitCode::USAGE;
    };
    act();
    println!("fault: {name}: nothing has happened");
    ExitCode::FAILURE
}

fn read_null() {
    read(0);
}

fn read_kernel() {
    read(KERNEL_ADDRESS);
}

fn read(address: usize) {
    // SAFETY: no object of this program lies there, and the access does not return: it is the fault that this program
    // is for.
    unsafe { core::ptr::with_exposed_provenance::<u8>(address).read_volatile() };
}

fn write_text() {
    let text = read_null as fn() as usize;
    // SAFETY: as in `read`: text is never writable.
    unsafe { core::ptr::with_exposed_provenance_mut::<u8>(text).write_volatile(0) };
}

fn execute_data() {
    // `ret`, in AArch64.
    static mut DATA: u32 = 0xd65f_03c0;
    let data = &raw mut DATA;
    // SAFETY: as in `read`: data is never executable. Were it, the instruction would return at once.
    let function: extern "C" fn() = unsafe { core::mem::transmute(data) };
    function();
}

fn overflow_stack() {
    core::hint::black_box(deeper(core::hint::black_box(1)));
}

/// Never comes to its end before the stack does.
fn deeper(depth: u64) -> u64 {
    let block = core::hint::black_box([depth; 64]);
    if depth == 0 { 0 } else { deeper(depth.wrapping_add(1)) + core::hint::black_box(&block)[0] }
}
