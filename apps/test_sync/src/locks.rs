//! Locks, conditions, permits.

use alloc::collections::VecDeque;
use alloc::string::ToString;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use barreldish::sync::{Condvar, Mutex, RwLock, Semaphore};
use barreldish::{thread, time};

use crate::{Checked, each, same, spin, that};

/// Threads that want the same at a time.
const THREADS: u32 = 4;
/// Longer than two slices.
const LONG: u64 = 12;

/// A sum whose parts are far apart in time, under a lock.
pub(crate) fn mutex(rounds: u32) -> Checked {
    let sum = Arc::new(Mutex::new(0));
    let counted = sum.clone();
    each(THREADS, move |number| {
        for round in 0..rounds {
            let mut guard = counted.lock();
            let before = *guard;
            spin(if round % 2 == 0 { LONG } else { 0 });
            *guard = before + 1;
            drop(guard);
            spin(if (round + number) % 3 == 0 { LONG } else { 0 });
        }
    })?;
    same("sum", *sum.lock(), THREADS * rounds)
}

/// A buffer of four places between two producers and two consumers.
pub(crate) fn condvar(rounds: u32) -> Checked {
    const PLACES: usize = 4;
    let shared = Arc::new((Mutex::new(VecDeque::new()), Condvar::new(), Condvar::new()));
    let count = 50 * rounds;
    let sums = each(4, move |number| {
        let (buffer, filled, emptied) = &*shared;
        let mut sum = 0;
        for value in 0..count {
            if number < 2 {
                let mut buffer = emptied.wait_while(buffer.lock(), |buffer| buffer.len() == PLACES);
                buffer.push_back(value);
                filled.notify_one();
            } else {
                let mut buffer = filled.wait_while(buffer.lock(), |buffer| buffer.is_empty());
                sum += buffer.pop_front().unwrap_or_default();
                emptied.notify_one();
            }
            spin(u64::from(value % 16 == number) * LONG / 2);
        }
        sum
    })?;
    same("sum", sums.iter().sum::<u32>(), count * (count - 1))
}

/// Nobody notifies; then all are notified.
pub(crate) fn condvar_timeout(_: u32) -> Checked {
    let shared = Arc::new((Mutex::new(false), Condvar::new()));
    let begin = time::now();
    let limit = Duration::from_millis(20);
    let (guard, result) = shared.1.wait_timeout(shared.0.lock(), limit);
    that(result.timed_out() && begin.elapsed() >= limit, || "a wait ended too early".to_string())?;
    drop(guard);
    let other = shared.clone();
    let waker = thread::spawn(move || {
        spin(LONG);
        *other.0.lock() = true;
        other.1.notify_all();
    });
    let other = shared.clone();
    let timed_out = each(THREADS, move |_| {
        let (_guard, result) =
            other.1.wait_timeout_while(other.0.lock(), Duration::from_secs(30), |done| !*done);
        result.timed_out()
    })?;
    waker.join().map_err(|error| error.to_string())?;
    same("timed out", timed_out.contains(&true), false)
}

/// A pair whose halves are equal while nobody writes.
pub(crate) fn rwlock(rounds: u32) -> Checked {
    let shared = Arc::new((RwLock::new((0, 0)), AtomicU32::new(0), AtomicU32::new(0)));
    let looked = shared.clone();
    let fine = each(6, move |number| {
        let (lock, readers, most) = &*looked;
        (0..rounds).all(|round| {
            if number < 2 {
                let mut pair = lock.write();
                pair.0 += 1;
                spin(LONG / 2);
                pair.1 += 1;
                return readers.load(Ordering::Relaxed) == 0;
            }
            let pair = lock.read();
            most.fetch_max(readers.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            let before = *pair;
            spin(LONG / 2);
            let fine = before.0 == before.1 && *pair == before && lock.read().0 == before.0;
            readers.fetch_sub(1, Ordering::Relaxed);
            drop(pair);
            spin(u64::from(round % 2));
            fine
        })
    })?;
    same("halves", fine.contains(&false), false)?;
    same("sums", *shared.0.read(), (2 * rounds, 2 * rounds))?;
    that(shared.2.load(Ordering::Relaxed) > 1, || "readers never read at the same time".to_string())
}

/// Eight threads, three permits.
pub(crate) fn semaphore(rounds: u32) -> Checked {
    const PERMITS: usize = 3;
    let shared = Arc::new((Semaphore::new(PERMITS), AtomicU32::new(0), AtomicU32::new(0)));
    let taken = shared.clone();
    each(8, move |_| {
        let (semaphore, inside, most) = &*taken;
        for _ in 0..rounds {
            let _permit = semaphore.acquire();
            most.fetch_max(inside.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            spin(LONG / 2);
            inside.fetch_sub(1, Ordering::Relaxed);
        }
    })?;
    same("most at a time", shared.2.load(Ordering::Relaxed) as usize, PERMITS)?;
    same("permits in the end", shared.0.available(), PERMITS)?;
    let kept: alloc::vec::Vec<_> = (0..PERMITS).map(|_| shared.0.acquire()).collect();
    same("a permit too many", shared.0.acquire_timeout(Duration::from_millis(20)).is_some(), false)?;
    drop(kept);
    same("permits", shared.0.available(), PERMITS)
}
