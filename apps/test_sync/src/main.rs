//! `test_sync [ROUNDS [NAME]]`: threads, preempted at any time, use everything there is to share and to wait for.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

mod channels;
mod locks;
mod meetings;
mod threads;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::hint;
use core::time::Duration;

use barreldish::{args, eprintln, println, thread, time};

/// Status after wrong usage.
const USAGE_STATUS: i32 = 2;
/// Rounds without an argument.
const ROUNDS: u32 = 5;

/// What went wrong, if anything.
type Checked = Result<(), String>;
/// One line of the output: its name and what it does, so many rounds.
type Check = (&'static str, fn(u32) -> Checked);

const CHECKS: [Check; 19] = [
    ("mutex", locks::mutex),
    ("condvar", locks::condvar),
    ("condvar timeout", locks::condvar_timeout),
    ("rwlock", locks::rwlock),
    ("semaphore", locks::semaphore),
    ("once", meetings::once),
    ("once lock", meetings::once_lock),
    ("lazy lock", meetings::lazy_lock),
    ("barrier", meetings::barrier),
    ("mpsc", channels::many_senders),
    ("mpsc bounded", channels::bounded),
    ("mpsc timeout", channels::timeout),
    ("mpsc disconnection", channels::disconnection),
    ("sleep", threads::sleep),
    ("thread locals", threads::locals),
    ("priorities", threads::priorities),
    ("urgent spinner", threads::urgent_spinner),
    ("many short threads", threads::short_lives),
    ("fault", threads::fault),
];

#[barreldish::main]
fn main() -> i32 {
    let arguments = args();
    let rounds = match arguments.get(1).map(|text| text.parse::<u32>()) {
        None => ROUNDS,
        Some(Ok(rounds)) if arguments.len() <= 3 && rounds > 0 => rounds,
        _ => {
            eprintln!(
                "test_sync: expected a number of rounds, and the name of a test if it is to be the only one"
            );
            return USAGE_STATUS;
        }
    };
    let chosen = |name| arguments.get(2).is_none_or(|only| *only == name);
    for (name, check) in CHECKS.into_iter().filter(|check| chosen(check.0)) {
        if let Err(error) = check(rounds) {
            println!("{name}: FAILED: {error}");
            return 1;
        }
        println!("{name}: ok");
    }
    0
}

/// Computes for so long without giving way: upcalls take the processor.
fn spin(milliseconds: u64) {
    let (begin, time) = (time::now(), Duration::from_millis(milliseconds));
    while begin.elapsed() < time {
        hint::spin_loop();
    }
}

/// Runs `f` in `count` threads, each of which knows its number, and takes their results.
fn each<T: Send + 'static>(
    count: u32,
    f: impl Fn(u32) -> T + Clone + Send + 'static,
) -> Result<Vec<T>, String> {
    let mut started = Vec::new();
    for number in 0..count {
        let f = f.clone();
        let thread = thread::Builder::new().spawn(move || f(number));
        started.push(thread.map_err(|error| error.to_string())?);
    }
    started.into_iter().map(|thread| thread.join().map_err(|error| error.to_string())).collect()
}

/// That two values are the same.
fn same<T: PartialEq + core::fmt::Debug>(what: &str, found: T, expected: T) -> Checked {
    that(found == expected, || alloc::format!("{what}: {found:?}, not {expected:?}"))
}

/// That something is true.
fn that(fine: bool, what: impl FnOnce() -> String) -> Checked {
    if fine { Ok(()) } else { Err(what()) }
}
