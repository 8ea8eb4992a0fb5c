//! The explorer finds what there is, and what is wrong, by the shortest way.

use std::collections::HashSet;

use model::explore::{End, Limit, Options, Report, explore};
use model::story::{DEADLOCK, REPLAY, Story, read, replay};
use model::system::System;
use model::toys::{Act, Count, Counters, Move, Philosophers, Ring, Spin};

const PLAIN: Philosophers = Philosophers { count: 4, one_turns: false, strong: true };

fn options(threads: usize) -> Options {
    Options { threads, ..Options::default() }
}

fn figures<A>(report: &Report<A>) -> (u64, u64, usize, u64) {
    (report.states, report.transitions, report.depth, report.widest)
}

fn story<A: Clone>(report: &Report<A>) -> Story<A> {
    match &report.end {
        End::Violated { story: Ok(story), .. } => story.clone(),
        End::Violated { story: Err(why), .. } => panic!("{why}"),
        _ => panic!("nothing was found"),
    }
}

/// The same without any compaction: states and steps.
fn naive<S: System>(system: &S, reduce: bool, canonical: bool) -> (u64, u64) {
    let encoded = |state: &S::State| {
        let mut bytes = vec![];
        system.encode(state, canonical, &mut bytes);
        bytes
    };
    let mut seen = HashSet::from([encoded(&system.initial())]);
    let mut open: Vec<_> = seen.iter().cloned().collect();
    let mut transitions = 0;
    while let Some(bytes) = open.pop() {
        let (state, mut actions) = (system.decode(&bytes), vec![]);
        system.actions(&state, reduce, &mut actions);
        for action in actions {
            transitions += 1;
            let next = encoded(&system.step(&state, action).unwrap());
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    (seen.len() as u64, transitions)
}

#[test]
fn counters_are_as_many_as_they_must_be() {
    let report = explore(&Counters::new(5, 6), &options(2));
    assert!(matches!(report.end, End::Complete));
    // In the middle: the number of ways to write 15 as a sum of five digits from 0 to 6.
    assert_eq!(figures(&report), (7u64.pow(5), 5 * 6 * 7u64.pow(4), 30, 1451));
    assert!(report.omitted() < 1e-10 && report.peak_bytes > 8 << 20);
}

#[test]
fn symmetry_counts_multisets_and_reduction_takes_one_way() {
    let counters = Counters::new(5, 6);
    let canonical = explore(&counters, &Options { canonical: true, ..options(2) });
    assert_eq!(canonical.states, 11 * 10 * 9 * 8 * 7 / (5 * 4 * 3 * 2));
    let reduced = explore(&counters, &Options { reduce: true, ..options(2) });
    assert_eq!(figures(&reduced), (31, 30, 30, 1));
}

#[test]
fn rings_are_turned_into_each_other() {
    let ring = Ring { nodes: 10, spin: Spin::Rests };
    assert_eq!(explore(&ring, &options(2)).states, 10 << 10);
    assert_eq!(explore(&ring, &Options { canonical: true, ..options(2) }).states, 1 << 10);
}

#[test]
fn nothing_is_omitted_that_a_set_of_states_has() {
    let turning = Philosophers { one_turns: true, count: 7, ..PLAIN };
    let report = explore(&turning, &options(2));
    assert_eq!((report.states, report.transitions), naive(&turning, false, false));
    let counters = Counters::new(4, 9);
    for (reduce, canonical) in [(false, false), (false, true), (true, false)] {
        let report = explore(&counters, &Options { reduce, canonical, seed: 5, ..options(1) });
        assert_eq!((report.states, report.transitions), naive(&counters, reduce, canonical));
    }
}

#[test]
fn a_table_that_grows_loses_nothing() {
    // More than the first table holds.
    let report = explore(&Counters::new(5, 15), &options(2));
    assert!(matches!(report.end, End::Complete));
    assert_eq!(report.states, 1 << 20);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    for system in [PLAIN, Philosophers { one_turns: true, ..PLAIN }] {
        let reports = [1, 2, 5].map(|threads| explore(&system, &options(threads)));
        for report in &reports[1..] {
            assert_eq!(figures(report), figures(&reports[0]));
            assert_eq!(format!("{:?}", report.end), format!("{:?}", reports[0].end));
        }
    }
}

#[test]
fn a_state_that_is_wrong_is_reached_by_the_shortest_way() {
    let counters = Counters { forbidden_sum: Some(7), ..Counters::new(3, 9) };
    for (reduce, canonical) in [(false, false), (false, true), (true, true)] {
        let story = story(&explore(&counters, &Options { reduce, canonical, ..options(2) }));
        assert_eq!((story.steps.len(), story.violation.check), (7, "sum"));
        assert_eq!(replay(&counters, &story.steps), Err(story.violation));
    }
}

#[test]
fn a_step_that_is_wrong_is_the_last_of_its_story() {
    let counters = Counters { last: Some(3), ..Counters::new(3, 9) };
    let story = story(&explore(&counters, &options(2)));
    assert_eq!(story.steps.len(), 4);
    assert!(replay(&counters, &story.steps[..3]).is_ok());
    assert_eq!(replay(&counters, &story.steps), Err(story.violation));
}

#[test]
fn an_initial_state_that_is_wrong_has_a_story_without_steps() {
    let counters = Counters { forbidden_sum: Some(0), ..Counters::new(2, 2) };
    let story = story(&explore(&counters, &options(1)));
    assert_eq!(story.to_string(), "sum: the sum is 0\n");
}

#[test]
fn philosophers_with_a_fork_each_are_stuck() {
    let story = story(&explore(&PLAIN, &options(2)));
    assert_eq!((story.steps.len(), story.violation.check), (8, DEADLOCK));
    assert_eq!(replay(&PLAIN, &story.steps).unwrap_err().check, DEADLOCK);
}

#[test]
fn a_ring_that_need_not_move_is_stuck_once_another_node_is_asked() {
    let ring = Ring { nodes: 3, spin: Spin::IsLazy };
    let told = |canonical| story(&explore(&ring, &Options { canonical, ..options(2) }));
    for story in [told(false), told(true)] {
        assert!(matches!(story.steps[..], [Move::Ask(1 | 2)]), "{story}");
        assert_eq!(story.violation.check, DEADLOCK);
    }
}

#[test]
fn a_printed_story_is_read_again_and_kept_as_a_test() {
    let story = story(&explore(&PLAIN, &options(2)));
    let text = story.to_string();
    assert!(text.starts_with("  1. philosopher "), "{text}");
    assert!(text.ends_with("L-deadlock: promise 0 waits, and nothing goes on\n"), "{text}");
    assert_eq!(read(&PLAIN, &text).as_ref(), Ok(&story.steps));
    assert!(story.as_test().starts_with("replay(&system, &[\n    Hunger("), "{}", story.as_test());
    assert!(read(&PLAIN, "1. philosopher 9 gets hungry").unwrap_err().starts_with("step 1: "));
}

#[test]
fn a_step_that_cannot_be_taken_is_refused() {
    assert_eq!(replay(&PLAIN, &[Act::Hunger(0), Act::Second(0)]).unwrap_err().check, REPLAY);
    assert_eq!(replay(&Counters::new(1, 1), &[Count(0)]).unwrap()[0], 1);
}

#[test]
fn limits_stop_and_say_so() {
    let counters = Counters::new(7, 7);
    for (limit, options) in [
        (Limit::States, Options { max_states: 10_000, ..options(2) }),
        (Limit::Time, Options { max_time: std::time::Duration::ZERO, ..options(2) }),
        (Limit::Memory, Options { max_bytes: 12 << 20, ..options(2) }),
    ] {
        let report = explore(&counters, &options);
        assert!(matches!(report.end, End::Stopped(it) if it == limit), "{limit:?}: {:?}", report.end);
        assert!(report.states < 1 << 21 && report.peak_bytes <= 13 << 20);
    }
}
