//! `test_memory WHAT`: tries what address spaces promise and what they refuse, and prints a line for each.
//!
//! | WHAT | tries |
//! |---|---|
//! | `refusals` | mappings and reservations that must not be |
//! | `paging` | memory that comes with its use, goes back, and is zero; protection; large pages |
//! | `churn COUNT` | so many mappings made and taken away at random: nothing is left behind |
//! | `trims` | giving back all but a page of an allocation |
//! | `threads` | faults of many threads at once, at the same pages and at different ones |
//! | `deep KIB` | a main stack of that depth |
//! | `overflow` | a thread that runs over its stack, which ends it alone |
//! | `readonly`, `execute` | an access that ends the program |
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod paging;
mod refusals;
mod stacks;
mod trims;

use alloc::string::String;
use core::str::FromStr;

use barreldish::{ExitCode, args, eprintln, println};

/// What went wrong.
pub(crate) type Outcome = Result<(), String>;

#[barreldish::main]
fn main() -> ExitCode {
    let arguments = args();
    let outcome = match arguments.get(1..).unwrap_or_default() {
        ["refusals"] => refusals::all(),
        ["paging"] => paging::all(),
        ["churn", count] => number(count, "COUNT").and_then(paging::churn),
        ["trims"] => trims::all(),
        ["threads"] => paging::threads(),
        ["deep", kib] => number(kib, "KIB").and_then(stacks::deep),
        ["overflow"] => stacks::overflow(),
        ["readonly"] => refusals::write_to_read_only(),
        ["execute"] => refusals::execute_data(),
        _ => {
            eprintln!(
                "test_memory: expected one of refusals, paging, churn COUNT, trims, threads, deep KIB, overflow, readonly, execute"
            );
            return ExitCode::USAGE;
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("test_memory: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The number that stands for `what`.
fn number<N: FromStr>(text: &str, what: &str) -> Result<N, String> {
    text.parse().map_err(|_| alloc::format!("expected a number for {what}, not `{text}`"))
}

/// Says that something is as it must be, or fails.
pub(crate) fn check(what: &str, holds: bool) -> Outcome {
    if !holds {
        return Err(alloc::format!("{what}: not so"));
    }
    println!("{what}: ok");
    Ok(())
}
