//! What is done once, and where threads wait for each other.

use alloc::string::ToString;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

use barreldish::sync::{Barrier, LazyLock, Once, OnceLock};

use crate::{Checked, each, same, spin, that};

/// Threads that come at a time.
const THREADS: u32 = 5;

pub(crate) fn once(rounds: u32) -> Checked {
    for _ in 0..rounds {
        let shared = Arc::new((Once::new(), AtomicU32::new(0)));
        let seen = each(THREADS, move |_| {
            let (once, count) = &*shared;
            once.call_once(|| {
                spin(12);
                count.fetch_add(1, Ordering::Relaxed);
            });
            count.load(Ordering::Relaxed)
        })?;
        same("times", seen, [1; THREADS as usize].to_vec())?;
    }
    Ok(())
}

pub(crate) fn once_lock(rounds: u32) -> Checked {
    for _ in 0..rounds {
        let cell = Arc::new(OnceLock::new());
        let seen = each(THREADS, move |number| {
            *cell.get_or_init(|| {
                spin(12);
                number
            })
        })?;
        that(seen.iter().all(|value| *value == seen[0]), || alloc::format!("several values: {seen:?}"))?;
    }
    Ok(())
}

pub(crate) fn lazy_lock(_: u32) -> Checked {
    static MADE: AtomicU32 = AtomicU32::new(0);
    static LAZY: LazyLock<alloc::string::String> = LazyLock::new(|| {
        spin(12);
        MADE.fetch_add(1, Ordering::Relaxed);
        "made".to_string()
    });
    let seen = each(THREADS, |_| LAZY.as_str() == "made")?;
    same("values", seen, [true; THREADS as usize].to_vec())?;
    same("times", MADE.load(Ordering::Relaxed), 1)
}

/// Nobody begins a round before all have ended the one before; each has one leader.
pub(crate) fn barrier(rounds: u32) -> Checked {
    let shared = Arc::new((Barrier::new(THREADS as usize), AtomicU32::new(0)));
    let led = each(THREADS, move |number| {
        let (barrier, arrived) = &*shared;
        let mut led = 0;
        for round in 1..=10 * rounds {
            arrived.fetch_add(1, Ordering::Relaxed);
            spin(u64::from((round + number) % 7 == 0) * 6);
            led += u32::from(barrier.wait().is_leader());
            if arrived.load(Ordering::Relaxed) != round * THREADS {
                return None;
            }
            led += u32::from(barrier.wait().is_leader());
        }
        Some(led)
    })?;
    let sum: Option<u32> = led.into_iter().sum();
    same("leaders", sum, Some(20 * rounds))
}
