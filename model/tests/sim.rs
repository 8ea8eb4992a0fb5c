//! The whole-system simulation, briefly, and that it notices what it is there to notice.

use model::sim::{Config, Failure, Mistake, replay, run};

/// What breaks first when messages go astray depends on the message.
const MANY: &[&str] = &["I1", "I3", "I4", "I5", "I6", "I7", "L1", "L2", "L3", "R", "nonsense", "revoked"];

const BRIEF: Config = Config { cores: 4, steps: 1_000, stops: false, mistake: None };

fn holds(config: Config, seeds: u64) {
    let report = run(config, seeds, 2);
    if let Some(failure) = report.failure {
        let (_, story) = replay(config, failure.seed, 60);
        panic!("{config:?}\n{}\n{failure}", story.join("\n"));
    }
    assert_eq!(report.runs, seeds);
    let counts = report.counts;
    assert!(
        counts.granted > 100 && counts.reclaimed > 100 && counts.packets > 1_000,
        "too quiet: {counts:?}"
    );
}

/// Runs until the mistake is noticed, by one of these checks.
fn is_noticed(mistake: Mistake, checks: &[&str]) -> Failure {
    let config = Config { steps: 4_000, mistake: Some(mistake), ..BRIEF };
    let failure = run(config, 400, 2).failure.unwrap_or_else(|| panic!("{mistake:?} was not noticed"));
    assert!(checks.contains(&failure.violation.check), "{mistake:?}: {failure}");
    failure
}

#[test]
fn two_cores() {
    holds(Config { cores: 2, ..BRIEF }, 200);
}

#[test]
fn four_cores() {
    holds(BRIEF, 200);
}

#[test]
fn eight_cores() {
    holds(Config { cores: 8, ..BRIEF }, 200);
}

#[test]
fn sixteen_cores() {
    holds(Config { cores: 16, ..BRIEF }, 200);
}

#[test]
fn four_cores_of_which_one_may_stop() {
    holds(Config { stops: true, ..BRIEF }, 200);
}

#[test]
fn a_seed_decides_a_run() {
    let config = Config { mistake: Some(Mistake::FrozenIsUsed), ..BRIEF };
    let failure = is_noticed(Mistake::FrozenIsUsed, MANY);
    let again = replay(Config { steps: 4_000, ..config }, failure.seed, 5);
    assert_eq!(again.0, Some(failure));
    assert_eq!(again.1.len(), 5);
}

#[test]
fn a_run_that_holds_is_told_too() {
    let (failure, story) = replay(Config { steps: 50, ..BRIEF }, 0, 7);
    assert_eq!((failure, story.len()), (None, 7));
}

#[test]
fn ancestors_that_stay_exclusive_are_noticed() {
    is_noticed(Mistake::AncestorsStayExclusive, &["I3"]);
}

#[test]
fn a_sweep_that_skips_cnodes_is_noticed() {
    is_noticed(Mistake::SweepSkipsCNodes, &["I3", "R", "I7"]);
}

#[test]
fn memory_that_stays_dirty_is_noticed() {
    is_noticed(Mistake::MemoryStaysDirty, &["K7"]);
}

#[test]
fn use_of_what_is_frozen_is_noticed() {
    is_noticed(Mistake::FrozenIsUsed, MANY);
}

#[test]
fn packets_that_overtake_are_noticed() {
    is_noticed(Mistake::PacketsOvertake, MANY);
}

#[test]
fn packets_that_are_lost_are_noticed() {
    is_noticed(Mistake::FullRingLoses, MANY);
}

#[test]
fn a_capability_kept_for_a_dead_domain_is_noticed() {
    is_noticed(Mistake::OrphanIsKept, &["L3"]);
}

#[test]
fn a_retype_over_something_is_noticed() {
    is_noticed(Mistake::ConflictIsNotSeen, &["I1", "I3"]);
}

#[test]
fn a_cnode_that_does_not_count_while_it_is_emptied_is_noticed() {
    is_noticed(Mistake::ZombieIsForgotten, MANY);
}

#[test]
fn a_step_of_a_holder_that_is_several_calls_is_noticed() {
    is_noticed(Mistake::StepIsSeveralCalls, &["L3", "nonsense"]);
}

#[test]
fn a_request_that_is_marked_behind_the_look_at_its_pin_is_noticed() {
    is_noticed(Mistake::BusyComesLate, &["I7"]);
}
