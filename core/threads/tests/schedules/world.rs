//! A platform whose threads are the checker's.

use std::cell::RefCell;
use std::ops::Deref;
use std::sync::Arc;

use shuttle::rand::Rng;
use shuttle::sync::{Condvar, Mutex};
use threads::sync::Platform;

/// Schedules of each of the two kinds for every test: more than 1,000 for every primitive.
const QUICK: usize = 250;
/// Points at which the second kind takes the core from a thread that would run on.
const DEPTH: usize = 3;

/// Runs a test under random schedules, then under such as find rare bugs with few switches (PCT).
pub(crate) fn check(test: impl Fn() + Send + Sync + Copy + 'static) {
    let wanted = std::env::var("BARRELDISH_LONG").ok().map(|it| it.parse().unwrap_or(1));
    let schedules = match wanted {
        None => QUICK,
        Some(0 | 1) => 100 * QUICK,
        Some(wanted) => wanted,
    };
    let fresh = move || {
        WORLD.set(World::default());
        test();
    };
    shuttle::check_random(fresh, schedules);
    shuttle::check_pct(fresh, schedules, DEPTH);
}

/// Runs a test of a single thread.
pub(crate) fn once(test: impl Fn() + Send + Sync + Copy + 'static) {
    shuttle::check_random(
        move || {
            WORLD.set(World::default());
            test();
        },
        1,
    );
}

/// A thread's token.
#[derive(Default)]
struct Seat {
    token: Mutex<bool>,
    unparked: Condvar,
}

#[derive(Default)]
struct World {
    /// Held in a critical section.
    core: Arc<Mutex<()>>,
    in_critical: bool,
    in_handler: bool,
    clock: u64,
    /// By the number of the thread.
    seats: Vec<Arc<Seat>>,
    ended: Vec<usize>,
}

thread_local! {
    // The checker runs all its threads on the one that calls it.
    static WORLD: RefCell<World> = RefCell::default();
}

fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with_borrow_mut(f)
}

fn seat(thread: usize) -> Arc<Seat> {
    with(|world| {
        while world.seats.len() <= thread {
            world.seats.push(Arc::default());
        }
        world.seats[thread].clone()
    })
}

/// The platform of the tests. Parks return spuriously at random.
#[derive(Debug)]
pub(crate) struct Model;

impl Platform for Model {
    type Thread = usize;

    fn current() -> usize {
        shuttle::current::me().into()
    }

    fn park() {
        assert!(!with(|world| world.in_critical || world.in_handler), "nobody parks here");
        if shuttle::rand::thread_rng().gen_ratio(1, 8) {
            return;
        }
        let seat = seat(Self::current());
        let mut token = seat.token.lock().unwrap();
        while !*token {
            token = seat.unparked.wait(token).unwrap();
        }
        *token = false;
    }

    fn park_until(deadline: u64) {
        assert!(!with(|world| world.in_critical || world.in_handler), "nobody parks here");
        let seat = seat(Self::current());
        while !std::mem::take(&mut *seat.token.lock().unwrap()) {
            if shuttle::rand::thread_rng().gen_ratio(1, 4) {
                return with(|world| world.clock = world.clock.max(deadline));
            }
            shuttle::thread::yield_now();
        }
    }

    fn now() -> u64 {
        with(|world| world.clock)
    }

    fn unpark(thread: usize) {
        assert!(!with(|world| world.in_critical), "nobody is unparked in a critical section");
        let seat = seat(thread);
        *seat.token.lock().unwrap() = true;
        seat.unparked.notify_one();
    }

    fn critical<R>(f: impl FnOnce() -> R) -> R {
        let core = with(|world| world.core.clone());
        let held = core.lock().unwrap();
        assert!(!with(|world| std::mem::replace(&mut world.in_critical, true)), "they are never nested");
        let result = f();
        with(|world| world.in_critical = false);
        drop(held);
        result
    }

    fn may_wait() -> bool {
        with(|world| !world.in_handler)
    }

    fn is_alive(thread: usize) -> bool {
        with(|world| !world.ended.contains(&thread))
    }
}

/// What the current thread does counts as a handler's.
pub(crate) fn in_handler<R>(f: impl FnOnce() -> R) -> R {
    with(|world| world.in_handler = true);
    let result = f();
    with(|world| world.in_handler = false);
    result
}

/// The current thread ends as by a fault: with all it holds. It must return after this.
pub(crate) fn end() {
    // It has held it for some time.
    pause();
    let current = Model::current();
    let all = with(|world| {
        world.ended.push(current);
        world.seats.len()
    });
    (0..all).filter(|&thread| thread != current).for_each(Model::unpark);
}

/// The current thread returns with all it holds: nobody is told. It must return after this.
pub(crate) fn leave() {
    with(|world| world.ended.push(Model::current()));
}

/// Something that the threads of a test share.
pub(crate) struct Shared<T>(Arc<T>);

// SAFETY: the checker runs all threads of a test on one thread of the host, one at a time, and a test drops what is
// shared before it returns there.
unsafe impl<T> Send for Shared<T> {}

impl<T> Shared<T> {
    pub(crate) fn new(value: T) -> Self {
        Shared(Arc::new(value))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Shared(self.0.clone())
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// Runs a thread for each number below `count`, and waits for all.
pub(crate) fn run<T: 'static>(
    count: usize,
    shared: &Shared<T>,
    body: impl Fn(usize, &T) + Copy + Send + 'static,
) {
    let threads: Vec<_> = (0..count)
        .map(|number| {
            let shared = shared.clone();
            shuttle::thread::spawn(move || {
                // From here on it is unparked with all others, even before it first parks.
                seat(Model::current());
                body(number, &shared);
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// Lets another thread run.
pub(crate) fn pause() {
    shuttle::thread::yield_now();
}
