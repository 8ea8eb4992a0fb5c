//! The partial-order reduction leaves out orders of steps, not where they lead: each state in which nothing is under way is
//! reached with it as well as without.

use std::collections::HashSet;

use model::system::System;
use model::world::{Config, State, World};

fn at_rest<const N: usize>(state: &State<N>) -> bool {
    state.units.iter().all(|unit| {
        let still = |k: usize| unit.up[k].front().is_none() && unit.down[k].front().is_none();
        unit.home.is_quiet() && (0..N).all(still) && unit.holders.iter().all(|it| it.pending.is_none())
    })
}

fn states_at_rest<const N: usize>(config: Config, reduce: bool) -> (usize, HashSet<Vec<u8>>) {
    let world = World::<N>::new(config);
    let (mut seen, mut rest) = (HashSet::new(), HashSet::new());
    let mut left = vec![world.initial()];
    let (mut bytes, mut actions) = (Vec::new(), Vec::new());
    while let Some(state) = left.pop() {
        world.encode(&state, true, &mut bytes);
        if !seen.insert(bytes.clone()) {
            continue;
        }
        if at_rest(&state) {
            rest.insert(bytes.clone());
        }
        actions.clear();
        world.actions(&state, reduce, &mut actions);
        left.extend(actions.iter().map(|action| world.step(&state, *action).expect("the protocol is right")));
    }
    (seen.len(), rest)
}

fn compare<const N: usize>(config: Config) {
    let (all, wanted) = states_at_rest::<N>(config, false);
    let (fewer, reached) = states_at_rest::<N>(config, true);
    assert!(fewer < all, "nothing was left out: {fewer} of {all}");
    assert_eq!(wanted, reached);
}

#[test]
fn the_reduction_leaves_out_no_state_at_rest() {
    let free = Config { refusals: true, forced_deletes: true, ..Config::plain(2) };
    let real = Config { stepped: true, owed: true, zeroing: true, ..free };
    compare::<2>(free);
    compare::<2>(real);
    compare::<2>(Config { home_channel: true, ..real });
    compare::<2>(Config { typed: true, size: 1, ..real });
    compare::<3>(Config { size: 1, ..free });
}
