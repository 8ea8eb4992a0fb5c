//! `bigbss`: a program with 300 MiB of zeroed memory in its image. It looks at the first and the last byte of each 2 MiB, which
//! must be zero, writes them, and reads them again.
#![cfg_attr(target_os = "none", no_std, no_main)]

use core::arch::global_asm;

use barreldish::{eprintln, println};

/// Bytes of zeroed memory.
const BYTES: usize = 300 << 20;
/// Bytes of a large page.
const STEP: usize = 2 << 20;

// A Rust static would be 300 MiB in the compiler too.
global_asm!(".bss", ".p2align 4", "bigbss_zeros:", ".skip {bytes}", ".text", bytes = const BYTES);

unsafe extern "C" {
    /// Only its address is used.
    #[link_name = "bigbss_zeros"]
    static ZEROS: u8;
}

/// The first and the last byte in each 2 MiB of the address space, by address.
fn places() -> impl Iterator<Item = *mut u8> {
    let start = (&raw const ZEROS).cast_mut();
    let mut offset = 0;
    core::iter::from_fn(move || {
        (offset < BYTES).then(|| {
            let first = offset;
            offset += STEP - start.wrapping_add(offset).addr() % STEP;
            [start.wrapping_add(first), start.wrapping_add(offset.min(BYTES) - 1)]
        })
    })
    .flatten()
}

#[barreldish::main]
fn main() -> i32 {
    for at in places() {
        // SAFETY: it lies in the memory above, which nobody else uses.
        let found = unsafe { at.read_volatile() };
        if found != 0 {
            eprintln!("bigbss: {at:p} holds {found}: expected 0");
            return 1;
        }
        // SAFETY: as before.
        unsafe { at.write_volatile(mark(at)) };
    }
    for at in places() {
        // SAFETY: as before.
        let found = unsafe { at.read_volatile() };
        if found != mark(at) {
            eprintln!("bigbss: {at:p} holds {found}: expected {}, as it was written", mark(at));
            return 1;
        }
    }
    println!("{} MiB", BYTES >> 20);
    0
}

/// What is written to a place: different from its neighbours, and never 0.
fn mark(at: *mut u8) -> u8 {
    (at.addr() >> 19 ^ at.addr()) as u8 | 1
}
