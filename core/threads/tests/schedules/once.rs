use std::cell::Cell;

use threads::sync::{Entered, RawOnce};

use crate::world::{Model, Shared, check, end, in_handler, once, pause, run};

#[derive(Default)]
struct Lazy {
    once: RawOnce<Model>,
    begun: Cell<usize>,
    value: Cell<Option<usize>>,
}

impl Lazy {
    fn get(&self) -> usize {
        if self.once.enter() == Entered::First {
            self.begun.set(self.begun.get() + 1);
            pause();
            self.value.set(Some(7));
            self.once.complete();
        }
        assert!(self.once.is_done());
        self.value.get().expect("it is done before anybody goes on")
    }
}

#[test]
fn it_is_done_once_before_anybody_goes_on() {
    check(|| {
        let lazy = Shared::new(Lazy::default());
        run(4, &lazy, |_, lazy| assert_eq!(lazy.get(), 7));
        assert_eq!(lazy.begun.get(), 1);
    });
}

#[test]
fn another_does_what_one_gave_up() {
    check(|| {
        let lazy = Shared::new(Lazy::default());
        run(4, &lazy, |number, lazy| {
            if number == 0 && lazy.once.enter() == Entered::First {
                pause();
                lazy.once.cancel();
            }
            assert_eq!(lazy.get(), 7);
        });
        assert_eq!(lazy.begun.get(), 1);
    });
}

#[test]
fn another_does_what_one_left_when_it_ended() {
    check(|| {
        let lazy = Shared::new(Lazy::default());
        run(4, &lazy, |number, lazy| {
            if number == 0 {
                return if lazy.once.enter() == Entered::First {
                    end()
                };
            }
            assert_eq!(lazy.get(), 7);
        });
        assert_eq!(lazy.begun.get(), 1);
    });
}

#[test]
fn a_handler_does_it_and_sees_that_it_is_done() {
    once(|| {
        let lazy = Lazy::default();
        in_handler(|| assert_eq!((lazy.get(), lazy.get()), (7, 7)));
    });
}

#[test]
#[should_panic(expected = "a handler must not wait until another thread has initialised")]
fn a_handler_does_not_wait() {
    once(|| {
        let lazy = RawOnce::<Model>::new();
        lazy.enter();
        in_handler(|| lazy.enter());
    });
}

#[test]
#[should_panic(expected = "needs its own result")]
fn what_needs_itself_is_refused() {
    once(|| {
        let lazy = RawOnce::<Model>::new();
        lazy.enter();
        lazy.enter();
    });
}
