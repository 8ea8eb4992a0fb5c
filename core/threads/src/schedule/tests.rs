//! Tests of the thread table: single behaviours, then random operations beside a naive model.

use std::vec::Vec;

use super::{Fate, Joined, Kind, PRIORITIES, Priority, Room, State, ThreadId, Threads};

mod model;

/// A table with `count` threads beside the main one, all ready.
fn with_ready(count: usize) -> (Threads, Vec<ThreadId>) {
    let mut threads = Threads::new();
    let ids: Vec<_> = (0..count).map(|_| threads.create(Priority::NORMAL).unwrap()).collect();
    ids.iter().for_each(|&id| threads.ready(id));
    (threads, ids)
}

fn switch_to_next(threads: &mut Threads) -> ThreadId {
    let next = threads.pick().expect("somebody is ready");
    threads.switch_to(next);
    next
}

#[test]
fn equals_take_turns_in_the_order_of_arrival() {
    let (mut threads, ids) = with_ready(2);
    let mut order = Vec::new();
    for _ in 0..6 {
        threads.yield_current();
        order.push(switch_to_next(&mut threads));
    }
    let [a, b] = [ids[0], ids[1]];
    assert_eq!(order, [a, b, ThreadId::MAIN, a, b, ThreadId::MAIN]);
}

#[test]
fn who_rotates_goes_behind_its_equals_and_before_the_less_urgent() {
    let (mut threads, ids) = with_ready(3);
    let [a, b, c] = [ids[0], ids[1], ids[2]];
    threads.set_priority(c, Priority::LOWEST);
    let order: Vec<_> = (0..4).map(|_| threads.rotate()).collect();
    assert_eq!(order, [Some(a), Some(b), Some(ThreadId::MAIN), Some(a)]);
    threads.set_priority(a, Priority::HIGHEST);
    assert_eq!((threads.rotate(), threads.current(), threads.ready_count()), (None, a, 3));
    threads.set_priority(c, Priority::HIGHEST);
    threads.set_priority(a, Priority::LOWEST);
    assert_eq!((threads.rotate(), threads.state(a)), (Some(c), Some(State::Ready)));
    let order: Vec<_> = std::iter::from_fn(|| threads.pick()).collect();
    assert_eq!(order, [b, ThreadId::MAIN, a]);
}

#[test]
#[should_panic(expected = "does not run")]
fn a_parked_thread_cannot_rotate() {
    let (mut threads, _) = with_ready(1);
    threads.park_current(Kind::Loop);
    threads.rotate();
}

#[test]
fn a_more_urgent_thread_goes_first() {
    let (mut threads, ids) = with_ready(3);
    threads.set_priority(ids[2], Priority::HIGHEST);
    threads.set_priority(ids[0], Priority::LOWEST);
    let order: Vec<_> = std::iter::from_fn(|| threads.pick()).collect();
    assert_eq!(order, [ids[2], ids[1], ids[0]]);
}

#[test]
fn picking_changes_neither_the_current_thread_nor_its_state() {
    let (mut threads, ids) = with_ready(1);
    assert_eq!(threads.pick(), Some(ids[0]));
    assert_eq!((threads.current(), threads.state(ThreadId::MAIN)), (ThreadId::MAIN, Some(State::Running)));
    assert!(!threads.has_ready());
    threads.put_back(ids[0]);
    assert_eq!((threads.ready_count(), threads.pick()), (1, Some(ids[0])));
}

#[test]
fn an_unpark_before_the_park_leaves_a_token_once() {
    let mut threads = Threads::new();
    threads.unpark(ThreadId::MAIN);
    assert!(threads.take_token());
    assert!(!threads.take_token());
    threads.park_current(Kind::Loop);
    threads.unpark(ThreadId::MAIN);
    assert_eq!(switch_to_next(&mut threads), ThreadId::MAIN);
    assert!(threads.take_token());
}

#[test]
fn a_nudge_makes_ready_without_a_token() {
    let mut threads = Threads::new();
    threads.park_current(Kind::Leaf);
    threads.nudge(ThreadId::MAIN);
    switch_to_next(&mut threads);
    assert!(!threads.take_token());
}

#[test]
fn the_thread_that_parked_last_is_found_and_can_run_the_loop() {
    let (mut threads, ids) = with_ready(2);
    threads.park_current(Kind::Loop);
    switch_to_next(&mut threads);
    threads.park_current(Kind::Leaf);
    switch_to_next(&mut threads);
    threads.park_current(Kind::Loop);
    assert_eq!(threads.any_parked(Kind::Leaf), Some(ids[0]));
    assert_eq!(threads.any_parked(Kind::Loop), Some(ids[1]));
    threads.switch_to(ids[1]);
    assert_eq!(threads.any_parked(Kind::Loop), Some(ThreadId::MAIN));
}

#[test]
fn a_thread_that_was_not_started_is_not_started_by_an_unpark() {
    let mut threads = Threads::new();
    let id = threads.create(Priority::NORMAL).unwrap();
    threads.unpark(id);
    threads.nudge(id);
    threads.unpark_all();
    assert_eq!((threads.pick(), threads.any_parked(Kind::Loop)), (None, None));
    threads.ready(id);
    assert_eq!(threads.pick(), Some(id));
}

#[test]
fn a_faulted_thread_is_ready_when_its_memory_is_there_and_not_before() {
    let (mut threads, _) = with_ready(1);
    threads.fault_current();
    threads.unpark(ThreadId::MAIN);
    assert_eq!(threads.state(ThreadId::MAIN), Some(State::Faulted));
    threads.fault_done(ThreadId::MAIN);
    assert_eq!((threads.state(ThreadId::MAIN), threads.ready_count()), (Some(State::Ready), 2));
    threads.fault_done(ThreadId::MAIN);
    assert_eq!(threads.ready_count(), 2);
}

#[test]
fn all_joiners_are_unparked_by_the_end_and_later_ones_do_not_wait() {
    let (mut threads, ids) = with_ready(2);
    assert_eq!(threads.join(ids[1]), Joined::Wait);
    threads.park_current(Kind::Loop);
    switch_to_next(&mut threads);
    assert_eq!(threads.join(ids[1]), Joined::Wait);
    threads.park_current(Kind::Leaf);
    switch_to_next(&mut threads);
    assert_eq!(threads.end_current(), Fate::Joined);
    assert_eq!(switch_to_next(&mut threads), ThreadId::MAIN);
    assert!(threads.take_token());
    assert_eq!(threads.join(ids[1]), Joined::Ended);
    assert!(threads.reap(ids[1]));
    assert_eq!(threads.join(ids[1]), Joined::Ended);
    assert_eq!(threads.pick(), Some(ids[0]));
}

#[test]
fn one_who_no_longer_joins_is_not_unparked() {
    let (mut threads, ids) = with_ready(1);
    assert_eq!(threads.join(ids[0]), Joined::Wait);
    threads.leave_join();
    threads.park_current(Kind::Loop);
    switch_to_next(&mut threads);
    threads.end_current();
    assert_eq!(threads.state(ThreadId::MAIN), Some(State::Parked));
}

#[test]
fn a_detached_thread_is_the_runtimes_to_reap() {
    let (mut threads, ids) = with_ready(2);
    assert_eq!(threads.detach(ids[0]), None);
    threads.park_current(Kind::Loop);
    switch_to_next(&mut threads);
    assert_eq!(threads.end_current(), Fate::Reaped);
    assert!(!threads.reap(ids[0]), "its stack is in use");
    switch_to_next(&mut threads);
    assert!(threads.reap(ids[0]));
    assert!(!threads.reap(ids[0]));
    threads.end_current();
    assert_eq!(threads.detach(ids[1]), Some(Fate::Reaped));
}

#[test]
fn a_stale_id_meets_nobody() {
    let (mut threads, ids) = with_ready(1);
    let old = ids[0];
    threads.fault_current();
    switch_to_next(&mut threads);
    threads.end_current();
    threads.fault_done(ThreadId::MAIN);
    switch_to_next(&mut threads);
    assert!(threads.reap(old));
    let new = threads.create(Priority::NORMAL).unwrap();
    assert_eq!((new.index(), new != old), (old.index(), true));
    threads.ready(old);
    threads.unpark(old);
    threads.set_priority(old, Priority::HIGHEST);
    assert_eq!((threads.state(old), threads.detach(old), threads.priority(old)), (None, None, None));
    assert!(!threads.is_alive(old) && !threads.has_ready());
    assert_eq!((threads.state(new), threads.priority(new)), (Some(State::Parked), Some(Priority::NORMAL)));
}

#[test]
fn a_record_whose_generations_are_used_up_is_retired() {
    let mut threads = Threads::new();
    let mut last = ThreadId::MAIN;
    for _ in 0..=usize::from(u16::MAX) {
        last = threads.create(Priority::NORMAL).unwrap();
        assert_eq!(last.index(), 1);
        threads.ready(last);
        threads.yield_current();
        switch_to_next(&mut threads);
        threads.end_current();
        switch_to_next(&mut threads);
        assert!(threads.reap(last));
    }
    assert_eq!(last.bits() >> 16, 0xffff);
    assert_eq!(threads.create(Priority::NORMAL).unwrap().index(), 2);
    assert_eq!(threads.state(last), None);
}

#[test]
fn the_table_is_full_at_the_end_of_the_indices() {
    let mut threads = Threads::new();
    for _ in 1..super::MAX_THREADS {
        threads.create(Priority::LOWEST).unwrap();
    }
    assert_eq!(threads.create(Priority::LOWEST), Err(super::Full));
}

#[test]
fn a_table_with_room_allocates_nothing() {
    let mut threads = Threads::new();
    for number in 1..100 {
        if let Some(missing) = threads.missing_room() {
            assert!(missing > number);
            let mut room = Room::new(missing).unwrap();
            threads.move_into(&mut room);
            assert!(room.0.is_empty() && threads.missing_room().is_none());
        }
        let before = threads.records.as_ptr();
        let id = threads.create(Priority::NORMAL).unwrap();
        threads.ready(id);
        assert_eq!((threads.records.as_ptr(), threads.records.len()), (before, number + 1));
    }
    // A smaller one is of no use, and a record that is free is room.
    let before = threads.records.capacity();
    threads.move_into(&mut Room::new(1).unwrap());
    assert_eq!((threads.records.capacity(), threads.ready_count()), (before, 99));
    while threads.missing_room().is_none() {
        threads.create(Priority::NORMAL).unwrap();
    }
    let ended = threads.rotate().unwrap();
    threads.end_current();
    switch_to_next(&mut threads);
    assert!(threads.reap(ended));
    assert_eq!(threads.missing_room(), None);
}

#[test]
fn priorities_are_the_numbers_below_eight() {
    assert_eq!(Priority::new(PRIORITIES as u8), None);
    assert_eq!(Priority::new(7), Some(Priority::HIGHEST));
    assert!(Priority::HIGHEST > Priority::NORMAL && Priority::NORMAL > Priority::LOWEST);
}

#[test]
#[should_panic(expected = "joins itself")]
fn joining_oneself_is_refused() {
    Threads::new().join(ThreadId::MAIN);
}

#[test]
#[should_panic(expected = "does not run")]
fn a_parked_thread_cannot_park() {
    let mut threads = Threads::new();
    threads.park_current(Kind::Loop);
    threads.park_current(Kind::Loop);
}

#[test]
#[should_panic(expected = "still runs")]
fn switching_needs_the_current_thread_out_of_the_way() {
    let (mut threads, ids) = with_ready(1);
    threads.switch_to(ids[0]);
}
