//! Measures the system from inside: instructions an operation, a line `bench NAME VALUE UNIT` each.
//!
//! Needs a counter that user space may read (`pmu=user` on the kernel's command line) and, for figures that repeat
//! to the instruction, QEMU's `-icount`. `cargo xtask bench` gives both and puts the figures beside their bounds.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod capabilities;
mod counters;
mod faults;
mod fp;
mod growth;
mod mappings;
mod memory;
mod messages;
mod paging;
mod threads;

use barreldish::{ExitCode, println};

/// Why a measurement failed: which step, and what was wrong.
pub(crate) type Outcome = Result<(), alloc::string::String>;

/// What is printed where the counters cannot be read.
const CLOSED: &str = "the processor's counters are closed to programs: `cargo xtask run --append pmu=user` opens them, \
                      with `--icount` they count instructions (`cargo xtask bench` gives both)";

/// Prints a figure of the counters, in instructions if that is what they count.
pub(crate) fn report(name: &str, value: u64) {
    let unit = if counters::count_instructions() { "instructions" } else { "cycles" };
    println!("bench {name} {value} {unit}");
}

/// Puts the step in front of an error.
pub(crate) fn failed<E: core::fmt::Display>(step: &'static str) -> impl Fn(E) -> alloc::string::String {
    move |error| alloc::format!("{step}: {error}")
}

#[barreldish::main]
fn main() -> ExitCode {
    if barreldish::args().get(1) == Some(&messages::ECHO) {
        return finish(messages::serve());
    }
    if !counters::are_open() {
        println!("bench: {CLOSED}");
        return ExitCode(1);
    }
    boot();
    for (name, measure) in [
        ("system calls", system_call as fn() -> Outcome),
        ("messages", messages::measure),
        ("memory", memory::measure),
        ("mappings", mappings::measure),
        ("paging", paging::measure),
        ("threads", threads::measure),
        ("faults", faults::measure),
        ("capabilities", capabilities::measure),
        ("fp", fp::measure),
        // At the end: they leave all books larger than they were.
        ("reservations", growth::reservations),
        ("allocations", growth::allocations),
    ] {
        if let Err(error) = measure() {
            println!("bench: {name}: {error}");
            return ExitCode(1);
        }
    }
    ExitCode(0)
}

fn finish(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode(0),
        Err(error) => {
            println!("bench: {error}");
            ExitCode(1)
        }
    }
}

/// From power-on to the first prompt: the shell tells when that was. Under `-icount shift=0` virtual nanoseconds are
/// instructions.
fn boot() {
    if let Some(nanoseconds) = barreldish::env("PROMPT_NANOSECONDS").and_then(|text| text.parse().ok()) {
        match counters::count_instructions() {
            true => report("boot_to_prompt", nanoseconds),
            false => println!("bench boot_to_prompt {nanoseconds} ns"),
        }
    }
}

fn system_call() -> Outcome {
    let cost = counters::least(16, || {
        sys::null();
    });
    report("null_syscall", cost.all);
    Ok(())
}
