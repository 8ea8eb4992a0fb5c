//! `fp [ROUNDS [PATTERN]]`: fills all FP and SIMD registers, computes for several time slices, sleeps and prints, and
//! checks each time that they are as before. Without PATTERN, a second domain does the same with other contents at
//! the same time: it shows that the kernel keeps these registers apart. `fp -t ROUNDS`: four threads do it in one domain.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod registers;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use abi::frame::FpContext;
use barreldish::process::Processes;
use barreldish::{args, eprintln, println, thread, time};

use registers::{difference, load, pattern, store};

/// Status after wrong usage.
const USAGE_STATUS: i32 = 2;
/// Rounds without an argument.
const ROUNDS: u64 = 10;
/// How long a round computes: three time slices.
const COMPUTING: Duration = Duration::from_millis(15);

#[barreldish::main]
fn main() -> i32 {
    let arguments = args();
    if let ["-t", rounds] = arguments.get(1..).unwrap_or_default()
        && let Ok(rounds) = rounds.parse()
    {
        return threads(rounds).map_or_else(failed, |()| 0);
    }
    match parse(arguments.get(1..).unwrap_or_default()) {
        Some((rounds, pattern)) => run(rounds, pattern).unwrap_or_else(failed),
        None => {
            eprintln!("fp: expected ROUNDS and PATTERN, ROUNDS, -t and ROUNDS, or nothing");
            USAGE_STATUS
        }
    }
}

fn failed(what: String) -> i32 {
    eprintln!("fp: {what}");
    1
}

/// Threads whose registers the runtime keeps apart: each begins with zeroes.
fn threads(rounds: u64) -> Result<(), String> {
    // In use before the others are there.
    begin(1)?;
    let others: Vec<_> = (2..=4).map(|number| thread::spawn(move || check(rounds, number))).collect();
    rounds_of(rounds, 1)?;
    others.into_iter().try_for_each(|other| other.join().map_err(|error| error.to_string())?)
}

/// Rounds, and the pattern of a domain that starts no other.
fn parse(arguments: &[&str]) -> Option<(u64, Option<u64>)> {
    match *arguments {
        [] => Some((ROUNDS, None)),
        [rounds] => Some((rounds.parse().ok()?, None)),
        [rounds, pattern] => Some((rounds.parse().ok()?, Some(pattern.parse().ok()?))),
        _ => None,
    }
}

/// The status is that of the second domain, or 0.
fn run(rounds: u64, number: Option<u64>) -> Result<i32, String> {
    if let Some(number) = number {
        check(rounds, number)?;
        return Ok(0);
    }
    // Registers are in use before the other begins: it must not see them.
    begin(1)?;
    let processes = Processes::connect().map_err(|error| error.to_string())?;
    let other = processes.spawn("fp", &[&rounds.to_string(), "2"]).map_err(|error| error.to_string())?;
    rounds_of(rounds, 1)?;
    Ok(other.wait().map_err(|error| error.to_string())?.code())
}

fn check(rounds: u64, number: u64) -> Result<(), String> {
    begin(number)?;
    rounds_of(rounds, number)
}

/// The first use of the registers: they are zero, and then the pattern of round 0.
fn begin(number: u64) -> Result<(), String> {
    same(&FpContext::default(), "at the beginning")?;
    load(&pattern(number, 0));
    Ok(())
}

fn rounds_of(rounds: u64, number: u64) -> Result<(), String> {
    same(&pattern(number, 0), "after the other was started")?;
    for round in 1..=rounds {
        let expected = pattern(number, round);
        load(&expected);
        compute();
        same(&expected, "after computing")?;
        barreldish::sleep(Duration::from_millis(1));
        same(&expected, "after sleeping")?;
        println!("fp: pattern {number}, round {round}");
        barreldish::flush();
        same(&expected, "after printing")?;
    }
    println!("fp: pattern {number} was kept");
    Ok(())
}

/// Compiled code uses none of the registers, so they stay what they are as far as this domain is concerned.
fn compute() {
    let start = time::now();
    while start.elapsed() < COMPUTING {
        core::hint::spin_loop();
    }
}

fn same(expected: &FpContext, when: &str) -> Result<(), String> {
    match difference(expected, &store()) {
        None => Ok(()),
        Some(what) => Err(format!("{what} {when}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_and_pattern_are_taken() {
        assert_eq!(parse(&[]), Some((ROUNDS, None)));
        assert_eq!(parse(&["3"]), Some((3, None)));
        assert_eq!(parse(&["3", "7"]), Some((3, Some(7))));
        for wrong in [&["x"] as &[_], &["1", "x"], &["1", "2", "3"], &["-1"]] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
