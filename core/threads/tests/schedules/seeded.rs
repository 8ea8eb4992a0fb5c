//! That the checker finds what it is there for: primitives with a mistake, which it must not pass.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use threads::sync::Platform;

use crate::world::{Model, Shared, check, run};

/// A gate that looks in one critical section and queues in another.
#[derive(Default)]
struct LookedOutside {
    open: Cell<bool>,
    waiters: RefCell<VecDeque<usize>>,
}

impl LookedOutside {
    fn pass(&self) {
        if Model::critical(|| self.open.get()) {
            return;
        }
        // Opened here: nobody finds this thread in the queue.
        Model::critical(|| self.waiters.borrow_mut().push_back(Model::current()));
        while Model::critical(|| self.waiters.borrow().contains(&Model::current())) {
            Model::park();
        }
    }
    fn open(&self) {
        Model::critical(|| self.open.set(true));
        while let Some(thread) = Model::critical(|| self.waiters.borrow_mut().pop_front()) {
            Model::unpark(thread);
        }
    }
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_condition_checked_outside_the_critical_section_is_caught() {
    check(|| {
        let gate = Shared::new(LookedOutside::default());
        run(2, &gate, |number, gate| if number == 0 { gate.open() } else { gate.pass() });
    });
}

#[test]
#[should_panic(expected = "two threads are in")]
fn a_lock_that_is_looked_at_before_it_is_taken_is_caught() {
    check(|| {
        let lock = Shared::new((Cell::new(false), Cell::new(0)));
        run(2, &lock, |_, (locked, inside)| {
            if !Model::critical(|| locked.get()) {
                Model::critical(|| locked.set(true));
                inside.set(inside.get() + 1);
                assert_eq!(inside.get(), 1, "two threads are in");
                Model::critical(|| locked.set(false));
                inside.set(inside.get() - 1);
            }
        });
    });
}
