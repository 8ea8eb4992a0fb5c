use std::cell::Cell;

use threads::sync::{Abandoned, Platform, RawMutex};

use crate::world::{Model, Shared, check, end, in_handler, once, pause, run};

#[derive(Default)]
struct Guarded {
    mutex: RawMutex<Model>,
    inside: Cell<bool>,
    count: Cell<usize>,
}

impl Guarded {
    fn visit(&self) {
        assert!(!self.inside.replace(true), "two threads hold the mutex");
        let count = self.count.get();
        pause();
        self.count.set(count + 1);
        assert!(self.inside.replace(false));
    }
}

#[test]
fn one_thread_holds_it_at_a_time_and_all_get_it() {
    check(|| {
        let guarded = Shared::new(Guarded::default());
        run(4, &guarded, |_, guarded| {
            for _ in 0..2 {
                guarded.mutex.lock().unwrap();
                assert_eq!(guarded.mutex.holder(), Some(Model::current()));
                guarded.visit();
                guarded.mutex.unlock();
            }
        });
        assert_eq!((guarded.count.get(), guarded.mutex.holder()), (8, None));
    });
}

#[test]
fn those_who_only_try_hold_it_alone_too() {
    check(|| {
        let guarded = Shared::new(Guarded::default());
        run(3, &guarded, |number, guarded| {
            if number == 0 {
                guarded.mutex.lock().unwrap();
            } else if !guarded.mutex.try_lock().unwrap() {
                return;
            }
            guarded.visit();
            guarded.mutex.unlock();
        });
        assert_eq!(guarded.mutex.holder(), None);
    });
}

#[test]
fn all_learn_that_the_holder_ended() {
    check(|| {
        let guarded = Shared::new(Guarded::default());
        run(4, &guarded, |number, guarded| match guarded.mutex.lock() {
            Ok(()) if number == 0 => end(),
            Ok(()) => {
                guarded.visit();
                guarded.mutex.unlock();
            }
            Err(Abandoned) => assert!(guarded.mutex.is_abandoned()),
        });
        assert_eq!((guarded.mutex.lock(), guarded.mutex.try_lock()), (Err(Abandoned), Err(Abandoned)));
        assert!(guarded.mutex.holder().is_some());
    });
}

#[test]
fn a_handler_locks_what_is_free() {
    once(|| {
        let mutex = RawMutex::<Model>::new();
        in_handler(|| {
            mutex.lock().unwrap();
            assert_eq!(mutex.try_lock(), Ok(false));
            mutex.unlock();
        });
    });
}

#[test]
#[should_panic(expected = "a handler must not wait for a mutex")]
fn a_handler_does_not_wait() {
    once(|| {
        let mutex = Shared::new(RawMutex::<Model>::new());
        run(1, &mutex, |_, mutex| mutex.lock().unwrap());
        in_handler(|| mutex.lock()).unwrap();
    });
}

#[test]
#[should_panic(expected = "it would wait for itself")]
fn locking_twice_is_refused() {
    once(|| {
        let mutex = RawMutex::<Model>::new();
        mutex.lock().unwrap();
        mutex.lock().unwrap();
    });
}

#[test]
#[should_panic(expected = "unlocked by the thread that holds it")]
fn unlocking_what_another_holds_is_refused() {
    once(|| RawMutex::<Model>::new().unlock());
}
