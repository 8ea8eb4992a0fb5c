//! `badcalls [SEED [COUNT]]`: makes system calls that make no sense: unknown numbers, forged capability addresses,
//! arguments at random. Each should be refused, or do something to this program alone. Then says what became of them.
#![cfg_attr(target_os = "none", no_std, no_main)]

mod arch;
mod nonsense;

use abi::{Error, ErrorKind};
use barreldish::{ExitCode, args, eprintln, println};

use arch::raw_call;
use nonsense::Nonsense;

/// Calls that are made if nothing else is said.
const COUNT: u64 = 10_000;

/// What became of the calls.
#[derive(Default)]
struct Tally {
    taken: u64,
    unknown: u64,
    refused: u64,
}

#[barreldish::main]
fn main() -> ExitCode {
    let arguments = args();
    let number = |index: usize, default| arguments.get(index).map_or(Ok(default), |text| text.parse::<u64>());
    let (Ok(seed), Ok(count), true) = (number(1, 1), number(2, COUNT), arguments.len() <= 3) else {
        eprintln!("badcalls: expected SEED and COUNT, SEED, or nothing");
        return ExitCode::USAGE;
    };
    // Before the calls, since what they do to this program may keep it from opening its session at the console.
    println!("badcalls: {count} calls with seed {seed}");
    let tally = run(seed, count);
    println!("badcalls: {} refused, {} unknown, {} taken", tally.refused, tally.unknown, tally.taken);
    ExitCode::SUCCESS
}

fn run(seed: u64, count: u64) -> Tally {
    let mut tally = Tally::default();
    let mut nonsense = Nonsense::new(seed);
    for _ in 0..count {
        let (call, arguments) = nonsense.choose();
        match Error::from_word(raw_call(call, arguments)) {
            None => tally.taken += 1,
            Some(error) if error.kind == ErrorKind::UnknownSyscall => tally.unknown += 1,
            Some(_) => tally.refused += 1,
        }
    }
    tally
}
