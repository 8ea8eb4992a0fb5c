//! Time, priorities, values of one's own, and ends.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::hint;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use core::time::Duration;

use barreldish::sync::{Barrier, Mutex, OnceLock, Semaphore, TryLockError};
use barreldish::thread::{Builder, JoinError, JoinHandle, Priority};
use barreldish::{block_on, thread, thread_local, time};

use crate::{Checked, each, same, spin, that};

/// Threads that sleep wake in the order of their deadlines, not in that of their start, beside one that computes.
///
/// A machine that stands still until several deadlines are over may run their threads in any order. Such an attempt says nothing,
/// and is made again; threads that always wake in a wrong order are found all the same.
pub(crate) fn sleep(_: u32) -> Checked {
    const ATTEMPTS: u32 = 10;
    let right: Vec<u32> = (0..SLEEPERS).collect();
    let mut order = sleepers()?;
    for _ in 1..ATTEMPTS {
        if order == right {
            break;
        }
        order = sleepers()?;
    }
    same("order", order, right)
}

const SLEEPERS: u32 = 8;

/// The order in which threads wake. Time begins when all of them are there, however long that takes.
fn sleepers() -> Result<Vec<u32>, String> {
    let (order, begin) = (Arc::new(Mutex::new(Vec::new())), Arc::new(OnceLock::new()));
    let (noted, all) = (order.clone(), Arc::new(Barrier::new(SLEEPERS as usize)));
    let spinner = thread::spawn(|| spin(150));
    let early = each(SLEEPERS, move |number| {
        all.wait();
        let begin = *begin.get_or_init(time::now);
        let turn = number * 5 % SLEEPERS;
        let deadline = begin.after(Duration::from_millis(50) + Duration::from_millis(10) * turn);
        block_on(time::sleep_until(deadline));
        noted.lock().push(turn);
        time::now() < deadline
    })?;
    spinner.join().map_err(|error| error.to_string())?;
    same("too early", early.contains(&true), false)?;
    let order = order.lock().clone();
    Ok(order)
}

/// Each thread counts for itself; all values are dropped.
pub(crate) fn locals(rounds: u32) -> Checked {
    struct Counter(Cell<u32>);
    static DROPPED: AtomicU32 = AtomicU32::new(0);
    impl Drop for Counter {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
    thread_local! {
        static COUNTER: Counter = Counter(Cell::new(0));
    }
    let counts = each(4, move |number| {
        for _ in 0..rounds + number {
            COUNTER.with(|counter| {
                let before = counter.0.get();
                spin(6);
                counter.0.set(before + 1);
            });
        }
        COUNTER.with(|counter| counter.0.get())
    })?;
    same("counts", counts, (rounds..rounds + 4).collect())?;
    same("dropped", DROPPED.load(Ordering::Relaxed), 4)
}

/// What spinning threads note of each other's turns.
#[derive(Default)]
struct Turns {
    stop: AtomicBool,
    /// Whose turn it was last.
    last: AtomicU32,
    /// Turns that began although somebody more urgent should have woken. `ALARM` is when, in ticks; 0: not yet.
    late: AtomicU32,
    alarm: core::sync::atomic::AtomicU64,
}

impl Turns {
    fn spin(&self, me: u32) {
        while !self.stop.load(Ordering::Relaxed) {
            if self.last.swap(me, Ordering::Relaxed) != me {
                let alarm = self.alarm.load(Ordering::Relaxed);
                let late = alarm != 0 && time::now().ticks() > alarm;
                self.late.fetch_add(u32::from(late), Ordering::Relaxed);
            }
            hint::spin_loop();
        }
    }
}

/// Starts an urgent thread that sleeps now and then, and says how many turns others began after its sleep was over,
/// at most.
fn urgent_sleeper(turns: &Arc<Turns>, rounds: u32) -> Result<JoinHandle<u32>, String> {
    let turns = turns.clone();
    let started = Builder::new().priority(Priority::HIGHEST).spawn(move || {
        let mut most = 0;
        for round in 0..rounds {
            // At first the others come to their places meanwhile.
            let sleep = if round == 0 { 150 } else { 23 };
            let deadline = time::now().after(Duration::from_millis(sleep));
            turns.late.store(0, Ordering::Relaxed);
            turns.alarm.store(deadline.ticks(), Ordering::Relaxed);
            block_on(time::sleep_until(deadline));
            turns.alarm.store(0, Ordering::Relaxed);
            most = most.max(turns.late.load(Ordering::Relaxed));
        }
        turns.stop.store(true, Ordering::Relaxed);
        most
    });
    started.map_err(|error| error.to_string())
}

/// One that is more urgent runs after the slice in which it wakes, however many others want to run, or wait too.
pub(crate) fn priorities(rounds: u32) -> Checked {
    let turns = Arc::new(Turns::default());
    let sleeper = urgent_sleeper(&turns, rounds)?;
    let spun = turns.clone();
    let waiting = Arc::new(Semaphore::new(0));
    each(18, move |number| {
        if number < 6 {
            return waiting.acquire().keep();
        }
        spun.spin(number);
        if number < 12 {
            waiting.release();
        }
    })?;
    let late = sleeper.join().map_err(|error| error.to_string())?;
    // One can begin just before the time, and look at the clock just after it.
    that(late <= 1, || alloc::format!("{late} others had a turn before"))
}

/// Nor does a thread between the main thread's priority and its own keep it waiting.
pub(crate) fn urgent_spinner(rounds: u32) -> Checked {
    let turns = Arc::new(Turns::default());
    let sleeper = urgent_sleeper(&turns, rounds)?;
    let spun = turns.clone();
    let spinner = Builder::new().priority(Priority::new(5).unwrap_or(Priority::NORMAL)).spawn(move || {
        let begin = time::now();
        while !spun.stop.load(Ordering::Relaxed) {
            if begin.elapsed() > Duration::from_secs(20) {
                return false;
            }
            hint::spin_loop();
        }
        true
    });
    let woken = spinner.map_err(|error| error.to_string())?.join();
    sleeper.join().map_err(|error| error.to_string())?;
    same("woken", woken, Ok(true))
}

/// Threads that end while others are started and end.
pub(crate) fn short_lives(rounds: u32) -> Checked {
    let sums = each(4, move |number| {
        (0..100 * rounds)
            .map(|round| {
                spin(u64::from(round % 50 == number));
                thread::spawn(move || round).join().unwrap_or_default()
            })
            .sum::<u32>()
    })?;
    let count = 100 * rounds;
    same("sums", sums, [count * (count - 1) / 2; 4].to_vec())
}

/// Uses more stack than there is.
fn deep(level: u32) -> u32 {
    let array = hint::black_box([level; 256]);
    if level == 0 { array[0] } else { deep(level - 1) + hint::black_box(array)[255] }
}

/// A thread that runs over its stack ends alone, and what it held is known to be abandoned, by who waits too.
pub(crate) fn fault(_: u32) -> Checked {
    let mutex = Arc::new(Mutex::new(0));
    let held = mutex.clone();
    let faulty = Builder::new().name("deep").stack_size(64 * 1024).spawn(move || {
        let mut guard = held.lock();
        thread::sleep(Duration::from_millis(20));
        *guard = deep(u32::MAX);
    });
    let faulty = faulty.map_err(|error| error.to_string())?;
    thread::sleep(Duration::from_millis(5));
    let wanted = mutex.clone();
    let waiting = thread::spawn(move || wanted.checked_lock().is_err());
    same("join", faulty.join(), Err(JoinError::Faulted))?;
    same("waiter", waiting.join(), Ok(true))?;
    same("abandoned", mutex.is_abandoned(), true)?;
    same("try_lock", mutex.try_lock().err(), Some(TryLockError::Abandoned))
}
