use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use threads::sync::{RawCondvar, RawMutex, Waited};

use crate::world::{Model, Shared, check, end, in_handler, once, run};

/// A queue of two places, the usual way.
#[derive(Default)]
struct Pipe {
    mutex: RawMutex<Model>,
    not_full: RawCondvar<Model>,
    not_empty: RawCondvar<Model>,
    values: RefCell<VecDeque<usize>>,
    sum: Cell<usize>,
}

impl Pipe {
    fn put(&self, value: usize) {
        self.mutex.lock().unwrap();
        while self.values.borrow().len() == 2 {
            self.not_full.wait(&self.mutex).unwrap();
        }
        self.values.borrow_mut().push_back(value);
        self.mutex.unlock();
        self.not_empty.notify_one();
    }
    fn take(&self) -> usize {
        self.mutex.lock().unwrap();
        while self.values.borrow().is_empty() {
            self.not_empty.wait(&self.mutex).unwrap();
        }
        let value = self.values.borrow_mut().pop_front().unwrap();
        self.not_full.notify_one();
        self.mutex.unlock();
        value
    }
}

#[test]
fn no_notification_is_lost() {
    check(|| {
        let pipe = Shared::new(Pipe::default());
        run(4, &pipe, |number, pipe| match number {
            0 | 1 => (1..=3).for_each(|value| pipe.put(value)),
            _ => (0..3).for_each(|_| pipe.sum.set(pipe.take() + pipe.sum.get())),
        });
        assert_eq!((pipe.sum.get(), pipe.mutex.holder()), (12, None));
    });
}

#[test]
fn all_who_wait_are_notified() {
    check(|| {
        let pipe = Shared::new(Pipe::default());
        run(4, &pipe, |number, pipe| {
            pipe.mutex.lock().unwrap();
            if number == 0 {
                pipe.sum.set(1);
                pipe.not_empty.notify_all();
            }
            while pipe.sum.get() == 0 {
                pipe.not_empty.wait(&pipe.mutex).unwrap();
            }
            pipe.mutex.unlock();
        });
    });
}

#[test]
fn a_wait_ends_by_its_deadline_and_takes_no_notification_with_it() {
    check(|| {
        let pipe = Shared::new(Pipe::default());
        run(3, &pipe, |number, pipe| {
            pipe.mutex.lock().unwrap();
            match number {
                // Notified or timed out; in either case the other one is notified in the end.
                0 => {
                    if pipe.not_empty.wait_until(&pipe.mutex, 10).unwrap() == Waited::Notified {
                        pipe.not_empty.notify_one();
                    }
                }
                1 => {
                    while pipe.sum.get() == 0 {
                        pipe.not_empty.wait(&pipe.mutex).unwrap();
                    }
                }
                _ => {
                    pipe.sum.set(1);
                    pipe.not_empty.notify_one();
                }
            }
            pipe.mutex.unlock();
        });
    });
}

#[test]
fn one_who_waits_learns_that_the_holder_ended() {
    check(|| {
        let pipe = Shared::new(Pipe::default());
        run(3, &pipe, |number, pipe| {
            if pipe.mutex.lock().is_err() {
                return;
            }
            if number == 0 {
                pipe.sum.set(1);
                pipe.not_empty.notify_all();
                return end();
            }
            while pipe.sum.get() == 0 {
                if pipe.not_empty.wait(&pipe.mutex).is_err() {
                    return;
                }
            }
            pipe.mutex.unlock();
        });
        assert!(pipe.mutex.is_abandoned());
    });
}

#[test]
#[should_panic(expected = "a handler must not wait on a condition variable")]
fn a_handler_does_not_wait() {
    once(|| {
        let (mutex, condvar) = (RawMutex::<Model>::new(), RawCondvar::new());
        mutex.lock().unwrap();
        in_handler(|| condvar.wait(&mutex)).unwrap();
    });
}

#[test]
#[should_panic(expected = "must hold its mutex")]
fn waiting_needs_the_mutex() {
    once(|| RawCondvar::new().wait(&RawMutex::<Model>::new()).unwrap());
}
