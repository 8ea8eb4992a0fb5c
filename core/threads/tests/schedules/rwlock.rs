use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use threads::sync::{Abandoned, RawRwLock};

use crate::world::{Model, Shared, check, end, in_handler, leave, once, pause, run};

#[derive(Default)]
struct Guarded {
    lock: RawRwLock<Model>,
    readers: Cell<usize>,
    writing: Cell<bool>,
    most_readers: Cell<usize>,
}

impl Guarded {
    fn look(&self) {
        self.readers.set(self.readers.get() + 1);
        self.most_readers.set(self.most_readers.get().max(self.readers.get()));
        assert!(!self.writing.get(), "a reader beside a writer");
        pause();
        self.readers.set(self.readers.get() - 1);
    }
    fn change(&self) {
        assert!(!self.writing.replace(true), "two writers");
        assert_eq!(self.readers.get(), 0, "a writer beside a reader");
        pause();
        self.writing.set(false);
    }
}

#[test]
fn writers_are_alone_and_all_come_in() {
    check(|| {
        let guarded = Shared::new(Guarded::default());
        run(4, &guarded, |number, guarded| {
            for _ in 0..2 {
                if number < 2 {
                    guarded.lock.read().unwrap();
                    guarded.look();
                    guarded.lock.unlock_read();
                } else {
                    guarded.lock.write().unwrap();
                    guarded.change();
                    guarded.lock.unlock_write();
                }
            }
        });
        assert_eq!(guarded.lock.try_write(), Ok(true));
    });
}

#[test]
fn readers_read_together() {
    static MOST: AtomicUsize = AtomicUsize::new(0);
    check(|| {
        let guarded = Shared::new(Guarded::default());
        guarded.lock.read().unwrap();
        run(3, &guarded, |_, guarded| {
            guarded.lock.read().unwrap();
            guarded.look();
            guarded.lock.unlock_read();
        });
        guarded.lock.unlock_read();
        MOST.fetch_max(guarded.most_readers.get(), Relaxed);
    });
    assert_eq!(MOST.load(Relaxed), 3);
}

#[test]
fn a_reader_reads_again_though_a_writer_waits() {
    check(|| {
        let guarded = Shared::new(Guarded::default());
        run(3, &guarded, |number, guarded| {
            if number == 0 {
                guarded.lock.write().unwrap();
                guarded.change();
                return guarded.lock.unlock_write();
            }
            guarded.lock.read().unwrap();
            guarded.lock.read().unwrap();
            guarded.look();
            guarded.lock.unlock_read();
            guarded.look();
            guarded.lock.unlock_read();
        });
    });
}

#[test]
fn a_reader_that_ended_keeps_writers_out_and_no_readers() {
    check(|| {
        let shared = Shared::new((Guarded::default(), Cell::new(false)));
        run(5, &shared, |number, (guarded, ended)| {
            if number >= 3 {
                if guarded.lock.write() == Ok(()) {
                    assert!(!ended.get(), "a writer beside what the reader left");
                    guarded.change();
                    guarded.lock.unlock_write();
                }
                return;
            }
            guarded.lock.read().unwrap();
            if number == 0 {
                ended.set(true);
                return end();
            }
            guarded.look();
            guarded.lock.unlock_read();
        });
        assert_eq!((shared.0.lock.try_write(), shared.0.lock.write()), (Err(Abandoned), Err(Abandoned)));
        assert_eq!(shared.0.lock.try_read(), Ok(true));
    });
}

#[test]
fn who_comes_after_a_reader_that_returned_with_the_lock_tells_the_writers_that_wait() {
    check(|| {
        let shared = Shared::new((Guarded::default(), Cell::new(false)));
        run(4, &shared, |number, (guarded, gone)| match number {
            0 => {
                guarded.lock.read().unwrap();
                pause();
                leave();
                gone.set(true);
            }
            1 | 2 => {
                if guarded.lock.write() == Ok(()) {
                    guarded.change();
                    guarded.lock.unlock_write();
                }
            }
            _ => {
                while !gone.get() {
                    pause();
                }
                guarded.lock.read().unwrap();
                guarded.look();
                guarded.lock.unlock_read();
            }
        });
        assert_eq!(shared.0.lock.try_write(), Err(Abandoned));
    });
}

#[test]
fn all_learn_that_the_writer_ended() {
    check(|| {
        let guarded = Shared::new(Guarded::default());
        run(4, &guarded, |number, guarded| {
            if number == 0 {
                return guarded.lock.write().map_or((), |()| end());
            }
            if number == 1 {
                return guarded.lock.write().map_or((), |()| guarded.lock.unlock_write());
            }
            if guarded.lock.read() == Ok(()) {
                guarded.look();
                guarded.lock.unlock_read();
            }
        });
        assert_eq!((guarded.lock.read(), guarded.lock.try_write()), (Err(Abandoned), Err(Abandoned)));
    });
}

#[test]
fn readers_queue_behind_a_writer_that_waits() {
    check(|| {
        let shared = Shared::new((Guarded::default(), Cell::new(false), Cell::new(false)));
        run(3, &shared, |number, (guarded, reading, seen)| match number {
            0 => {
                guarded.lock.read().unwrap();
                reading.set(true);
                while !seen.get() {
                    pause();
                }
                guarded.lock.unlock_read();
            }
            1 => {
                while !reading.get() {
                    pause();
                }
                guarded.lock.write().unwrap();
                guarded.change();
                guarded.lock.unlock_write();
            }
            // Comes in, until the writer waits.
            _ => {
                while !reading.get() {
                    pause();
                }
                while guarded.lock.try_read().unwrap() {
                    guarded.lock.unlock_read();
                    pause();
                }
                seen.set(true);
                guarded.lock.read().unwrap();
                guarded.look();
                guarded.lock.unlock_read();
            }
        });
    });
}

#[test]
fn a_handler_comes_in_if_the_lock_is_open() {
    once(|| {
        let lock = RawRwLock::<Model>::new();
        in_handler(|| {
            lock.read().unwrap();
            assert_eq!((lock.try_write(), lock.try_read()), (Ok(false), Ok(true)));
            (0..2).for_each(|_| lock.unlock_read());
            lock.write().unwrap();
            assert_eq!((lock.try_write(), lock.try_read()), (Ok(false), Ok(false)));
            lock.unlock_write();
        });
    });
}

#[test]
#[should_panic(expected = "a handler must not wait for a lock")]
fn a_handler_does_not_wait() {
    once(|| {
        let lock = Shared::new(RawRwLock::<Model>::new());
        run(1, &lock, |_, lock| lock.write().unwrap());
        in_handler(|| lock.read()).unwrap();
    });
}

#[test]
#[should_panic(expected = "it would wait for itself")]
fn a_reader_that_wants_to_write_is_refused() {
    once(|| {
        let lock = RawRwLock::<Model>::new();
        lock.read().unwrap();
        lock.write().unwrap();
    });
}

#[test]
#[should_panic(expected = "for what it holds it")]
fn a_reader_does_not_end_a_write() {
    once(|| {
        let lock = RawRwLock::<Model>::new();
        lock.read().unwrap();
        lock.unlock_write();
    });
}
