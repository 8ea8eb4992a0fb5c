//! Threads: from one to the other, and from the start of one to its end.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use barreldish::thread;

use crate::counters;
use crate::{Outcome, failed, report};

/// Times that each of two threads gives way in one measurement: shorter than a slice.
const YIELDS: u64 = 100;
/// Threads that are started before one is measured: by then there is a stack that was kept.
const BEFORE: u32 = 4;

pub(crate) fn measure() -> Outcome {
    give_way()?;
    create_and_join()
}

/// Two threads that give way to each other: the main one's loop counts.
fn give_way() -> Outcome {
    let done = Arc::new(AtomicBool::new(false));
    let seen = done.clone();
    let other = thread::Builder::new()
        .spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                thread::yield_now();
            }
        })
        .map_err(failed("a thread"))?;
    // The first time it begins; after that it is in its loop.
    thread::yield_now();
    let cost = counters::least(16, || (0..YIELDS).for_each(|_| thread::yield_now()));
    done.store(true, Ordering::Relaxed);
    other.join().map_err(failed("a thread's end"))?;
    // There and back.
    report("thread_yield", cost.all.div_ceil(2 * YIELDS));
    Ok(())
}

fn create_and_join() -> Outcome {
    let mut outcome = Ok(());
    let mut one = || {
        let ended = thread::Builder::new().spawn(|| ()).map_err(failed("a thread"));
        let ended = ended.and_then(|thread| thread.join().map_err(failed("a thread's end")));
        if ended.is_err() {
            outcome = ended;
        }
    };
    (0..BEFORE).for_each(|_| one());
    let cost = counters::least(16, one);
    outcome?;
    report("thread_create_join", cost.all);
    report("thread_create_join_kernel", cost.kernel);
    Ok(())
}
