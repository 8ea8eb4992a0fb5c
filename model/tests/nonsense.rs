//! In each state that can be reached, each message that can be thought of, from each core: either it belongs there, or it is
//! refused and changes nothing. So a monitor that goes wrong is found out, and harms no more than what it may say anyway.

use std::collections::HashSet;

use capops::{
    CoreId, Finding, Holder, HolderEvent, Home, HomeEvent, Refusal, Request, ToCore, ToHome, Verdict,
};
use model::system::System;
use model::world::{Cap, Config, State, Type, World};

const CORES: usize = 2;

fn every_state(world: &World<CORES>, mut look: impl FnMut(&State<CORES>)) {
    let mut seen = HashSet::new();
    let mut left = vec![world.initial()];
    let (mut bytes, mut actions) = (Vec::new(), Vec::new());
    while let Some(state) = left.pop() {
        world.encode(&state, true, &mut bytes);
        if !seen.insert(bytes.clone()) {
            continue;
        }
        look(&state);
        actions.clear();
        world.actions(&state, false, &mut actions);
        left.extend(actions.iter().map(|action| world.step(&state, *action).expect("the protocol is right")));
    }
}

fn caps() -> impl Iterator<Item = Cap> + Clone {
    [(0, 2), (0, 1), (1, 2)].into_iter().map(|(start, end)| Cap::new(Type::Ram, start, end))
}

fn requests() -> impl Iterator<Item = Request<Cap>> {
    let retypes = caps().flat_map(|src| caps().map(move |new| Request::Retype { src, new }));
    let others = caps().flat_map(|key| {
        let sends = (0..3).map(move |to| Request::Send { key, to: CoreId(to) });
        sends.chain([Request::Revoke { top: key }])
    });
    retypes.chain(others)
}

fn to_home() -> Vec<ToHome<Cap>> {
    let mut all: Vec<_> = requests().map(ToHome::Request).collect();
    for a in [false, true] {
        for b in [false, true] {
            all.push(ToHome::Delivered { accepted: a, empty: b });
            all.push(ToHome::IsCut { lower_empty: a, upper_empty: b });
        }
        all.extend([ToHome::Swept { empty: a }, ToHome::Surveyed { spanned: a }]);
    }
    all.extend([Finding::Conflict, Finding::Inside, Finding::Nothing].map(ToHome::Checked));
    all.extend([ToHome::Gone, ToHome::Marked]);
    all
}

fn to_core() -> Vec<ToCore<Cap>> {
    let mut all = vec![ToCore::Sweep, ToCore::Survey { at: 1 }, ToCore::Cut { at: 1 }];
    all.extend([Verdict::Failed, Verdict::Granted, Verdict::GrantedAlone].map(ToCore::Done));
    for cap in caps() {
        for flag in [false, true] {
            all.push(ToCore::Deliver { key: cap, exclusive: flag });
            all.push(ToCore::Mark { top: cap, keeps_top: flag });
        }
        all.extend(caps().map(|new| ToCore::Check { src: cap, new }));
    }
    all
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let config = Config {
        refusals: true,
        forced_deletes: true,
        owed: true,
        stepped: true,
        cut: 1,
        core_stops: true,
        ..Config::plain(2)
    };
    let world = World::<CORES>::new(config);
    let (up, down) = (to_home(), to_core());
    let (mut taken, mut refused) = (0u64, 0u64);
    every_state(&world, |state| {
        let mut count = |result: bool| *(if result { &mut taken } else { &mut refused }) += 1;
        for unit in &state.units {
            for from in (0..=CORES as u8).map(CoreId) {
                for message in &up {
                    count(home_takes(&unit.home, HomeEvent::Receive { from, message: *message }));
                }
            }
            for k in 0..CORES {
                for message in &down {
                    let event = HolderEvent::Receive { message: *message, accepts: true };
                    count(holder_takes(&world, state, &unit.holders[k], unit.held[k], event));
                }
            }
        }
    });
    println!("{taken} messages made sense, {refused} did not");
    assert!(refused > taken);
}

fn home_takes(home: &Home<Cap, CORES>, event: HomeEvent<Cap>) -> bool {
    let mut after = *home;
    match after.step(event) {
        Ok(_) => true,
        Err(refusal) => {
            assert!(matches!(refusal, Refusal::Nonsense | Refusal::Stopped), "{event:?}: {refusal:?}");
            assert_eq!(after, *home, "{event:?} was refused, but changed something");
            false
        }
    }
}

fn holder_takes(
    world: &World<CORES>,
    state: &State<CORES>,
    holder: &Holder<Cap>,
    held: model::world::Holding,
    event: HolderEvent<Cap>,
) -> bool {
    let (mut after, mut holding) = (*holder, held);
    match after.step(&mut world.view(&mut holding), event) {
        Ok(_) => true,
        Err(refusal) => {
            assert_eq!(refusal, Refusal::Nonsense, "{event:?} in {state:?}");
            assert_eq!((after, holding), (*holder, held), "{event:?} was refused, but changed something");
            false
        }
    }
}
