//! Each mistake made on purpose is found, by the check that is there for it.

use capops::CoreId;
use model::explore::{End, Options, explore};
use model::story::replay;
use model::system::System;
use model::world::{Bug, Config, World};

/// What can be done to one unit, in steps, with messages that have to wait for room.
fn stepped(size: u8) -> Config {
    Config {
        refusals: true,
        forced_deletes: true,
        owed: true,
        stepped: true,
        zeroing: true,
        ..Config::plain(size)
    }
}

/// Looks for a mistake. Its story must lead there again.
fn find<const N: usize>(bug: Bug, config: Config) -> &'static str {
    let world = World::<N>::new(Config { bug: Some(bug), ..config });
    let options = Options { canonical: true, threads: 1, max_states: 2_000_000, ..Options::default() };
    let report = explore(&world, &options);
    let End::Violated { violation, story } = report.end else {
        panic!("{bug:?} is not found in {} states: {:?}", report.states, report.end);
    };
    let story = story.expect("a short run has a story");
    println!("{bug:?}, after {} states:\n{story}", report.states);
    let again = replay(&world, &story.steps).map(|state| world.check(&state));
    assert!(matches!(again, Err(_) | Ok(Err(_))), "{bug:?}: the story leads to nothing: {again:?}");
    violation.check
}

#[test]
fn guards() {
    assert_eq!(find::<2>(Bug::RetypeShared, stepped(2)), "R");
    assert_eq!(find::<2>(Bug::UseFrozen, stepped(2)), "I4");
    assert_eq!(find::<2>(Bug::DeletePinned, stepped(2)), "I7");
    assert_eq!(find::<2>(Bug::ShareItselfOnly, stepped(2)), "I3");
}

#[test]
fn retypes() {
    assert_eq!(find::<2>(Bug::NoSecondLook, stepped(2)), "R");
    assert_eq!(find::<2>(Bug::GrantAlone, stepped(2)), "I3");
}

#[test]
fn what_overlaps_without_nesting_takes_three_granules() {
    assert_eq!(find::<2>(Bug::OnlyInside, stepped(3)), "R");
    let two = World::<2>::new(Config { bug: Some(Bug::OnlyInside), ..stepped(2) });
    let report = explore(&two, &Options { canonical: true, ..Options::default() });
    assert!(matches!(report.end, End::Complete), "in two granules it is no mistake");
}

#[test]
fn what_has_come_and_gone() {
    assert_eq!(find::<2>(Bug::GoneDespiteDelivery, stepped(2)), "I5");
    assert_eq!(find::<2>(Bug::ForgetEmpty, stepped(2)), "L3");
    assert_eq!(find::<2>(Bug::GoneTwice, stepped(2)), "I6");
    assert_eq!(find::<2>(Bug::NotZeroed, stepped(2)), "K7");
}

#[test]
fn revocations() {
    assert_eq!(find::<2>(Bug::NoCancel, stepped(2)), "I4");
    assert!(["I4", "I7"].contains(&find::<2>(Bug::CancelEarly, stepped(2))), "both are as near");
    assert_eq!(find::<2>(Bug::CommitEarly, stepped(2)), "I4");
    assert_eq!(find::<2>(Bug::SweepToday, stepped(2)), "L1");
    assert_eq!(find::<2>(Bug::SweptEarly, stepped(2)), "R");
}

#[test]
fn cuts() {
    let config = Config { cut: 1, ..stepped(2) };
    assert_eq!(find::<2>(Bug::CutBlind, config), "sense");
    assert_eq!(find::<2>(Bug::CutForgets, config), "sense");
}

#[test]
fn cores_that_stop() {
    let config = Config { core_stops: true, ..stepped(2) };
    assert_eq!(find::<2>(Bug::StoppedShares, config), "L1");
}

#[test]
fn cascades_over_two_units() {
    let config = Config { second: 1, second_home: CoreId(0), typed: true, ..stepped(1) };
    assert_eq!(find::<2>(Bug::CascadeWaits, config), "L1");
}
