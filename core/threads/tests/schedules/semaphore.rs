use std::cell::Cell;

use threads::sync::RawSemaphore;

use crate::world::{Model, Shared, check, in_handler, once, pause, run};

struct Permits {
    semaphore: RawSemaphore<Model>,
    inside: Cell<usize>,
    got: Cell<usize>,
}

impl Permits {
    fn new(permits: usize) -> Shared<Permits> {
        Shared::new(Permits {
            semaphore: RawSemaphore::new(permits),
            inside: Cell::new(0),
            got: Cell::new(0),
        })
    }
    fn visit(&self) {
        self.inside.set(self.inside.get() + 1);
        assert!(self.inside.get() <= 2, "more are in than there are permits");
        pause();
        self.inside.set(self.inside.get() - 1);
    }
}

#[test]
fn as_many_come_in_as_there_are_permits_and_all_do() {
    check(|| {
        let permits = Permits::new(2);
        run(4, &permits, |_, permits| {
            for _ in 0..2 {
                permits.semaphore.acquire();
                permits.visit();
                permits.semaphore.release();
            }
        });
        assert_eq!(permits.semaphore.available(), 2);
    });
}

#[test]
fn each_release_ends_one_wait() {
    check(|| {
        let permits = Permits::new(0);
        run(4, &permits, |number, permits| match number {
            0 => (0..3).for_each(|_| permits.semaphore.release()),
            _ => permits.semaphore.acquire(),
        });
        assert_eq!(permits.semaphore.available(), 0);
    });
}

#[test]
fn no_permit_is_lost_in_a_wait_that_ends_by_its_deadline() {
    check(|| {
        let permits = Permits::new(0);
        run(4, &permits, |number, permits| match number {
            0 => (0..2).for_each(|_| permits.semaphore.release()),
            1 => permits.semaphore.acquire(),
            _ if permits.semaphore.acquire_until(5) => {
                permits.got.set(permits.got.get() + 1);
                permits.semaphore.release();
            }
            _ => {}
        });
        assert!(permits.got.get() <= 2);
        assert_eq!(permits.semaphore.available(), 1);
    });
}

#[test]
fn a_handler_takes_what_is_free() {
    once(|| {
        let semaphore = RawSemaphore::<Model>::new(1);
        in_handler(|| {
            semaphore.acquire();
            assert!(!semaphore.try_acquire());
            semaphore.release();
            assert!(semaphore.try_acquire());
        });
    });
}

#[test]
#[should_panic(expected = "a handler must not wait for a semaphore")]
fn a_handler_does_not_wait() {
    once(|| in_handler(|| RawSemaphore::<Model>::new(0).acquire()));
}
