use std::cell::Cell;

use threads::sync::RawBarrier;

use crate::world::{Model, Shared, check, in_handler, once, run};

struct Rounds {
    barrier: RawBarrier<Model>,
    arrived: [Cell<usize>; 3],
    last: Cell<usize>,
}

#[test]
fn nobody_goes_on_before_all_are_there_in_any_round() {
    check(|| {
        let rounds = Rounds { barrier: RawBarrier::new(3), arrived: Default::default(), last: Cell::new(0) };
        let rounds = Shared::new(rounds);
        run(3, &rounds, |_, rounds| {
            for arrived in &rounds.arrived {
                arrived.set(arrived.get() + 1);
                if rounds.barrier.wait() {
                    rounds.last.set(rounds.last.get() + 1);
                }
                assert_eq!(arrived.get(), 3);
            }
        });
        assert_eq!(rounds.last.get(), 3);
    });
}

#[test]
fn a_barrier_for_one_holds_up_nobody() {
    once(|| in_handler(|| assert!(RawBarrier::<Model>::new(1).wait() && RawBarrier::<Model>::new(0).wait())));
}

#[test]
#[should_panic(expected = "a handler must not wait at a barrier")]
fn a_handler_does_not_wait() {
    once(|| {
        in_handler(|| RawBarrier::<Model>::new(2).wait());
    });
}
