//! `test_threads N`: starts N threads at once, each of which prints 15 lines; no two lines mix.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::vec::Vec;

use barreldish::{args, eprintln, println, thread};

/// Status after wrong usage.
const USAGE_STATUS: i32 = 2;
/// Lines that each thread prints.
const LINES: u32 = 15;

#[barreldish::main]
fn main() -> i32 {
    let arguments = args();
    let count = match arguments.get(1).map(|text| text.parse::<u32>()) {
        Some(Ok(count)) if arguments.len() == 2 => count,
        _ => {
            eprintln!("test_threads: expected the number of threads");
            return USAGE_STATUS;
        }
    };
    match run(count) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("test_threads: {error}");
            1
        }
    }
}

/// All threads are there before the first is waited for.
fn run(count: u32) -> Result<(), alloc::string::String> {
    let mut threads = Vec::new();
    for number in 0..count {
        let started = thread::Builder::new().spawn(move || print(number));
        threads.push(started.map_err(|error| alloc::format!("thread {number}: {error}"))?);
    }
    for (number, thread) in threads.into_iter().enumerate() {
        thread.join().map_err(|error| alloc::format!("thread {number}: {error}"))?;
    }
    println!("{count} threads have ended");
    Ok(())
}

fn print(number: u32) {
    for line in 1..=LINES {
        println!("thread {number}: line {line} of {LINES}");
        thread::yield_now();
    }
}
