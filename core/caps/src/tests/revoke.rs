//! Revocation: copies and descendants go, the rest stays, and no circle of capabilities survives it.

use abi::{CapType, ErrorKind, PAGE_SIZE, Rights};

use super::scenes::{A, B, C, MEMORY, UNIT, frame_window, va, with_address_space, with_memory};
use super::world::{FREE, PAGES, RAM, RAM_PAGE, World, page, slot};
use crate::slot::SlotRef;
use crate::{Progress, cost};

#[test]
fn revoke_takes_copies_and_descendants_and_nothing_else() {
    let mut w = with_address_space();
    w.map(slot(A + 3), slot(C), slot(B), frame_window(5, 2)).unwrap();
    w.unit(64, 8, slot(60));
    w.copy(slot(61), slot(62), Rights::ALL).unwrap();
    w.copy(slot(MEMORY), slot(63), Rights::ALL).unwrap();
    let mask = Rights::READ.or(Rights::WRITE);
    w.copy(slot(MEMORY), slot(64), mask).unwrap();
    assert_eq!(w.revoke(slot(64)), Err(ErrorKind::MissingRight));
    assert_eq!(w.revoke(slot(FREE + 5)), Err(ErrorKind::EmptySlot));
    w.revoke(slot(63)).unwrap();
    assert!(w.get(slot(MEMORY)).is_empty() && w.get(slot(64)).is_empty());
    assert!((A..A + 7).all(|i| w.get(slot(i)).is_empty()) && w.get(slot(C)).is_empty());
    assert_eq!((w.held(slot(UNIT)), w.held(slot(60))), (1, 2));
    assert!(w.m.asids.is_empty());
    w.tear_down();
}

#[test]
fn revoking_a_frame_unmaps_it_and_keeps_it() {
    let mut w = with_address_space();
    w.map(slot(A + 3), slot(C), slot(B), frame_window(5, 2)).unwrap();
    w.m.touch(w.m.asids[0], page(RAM_PAGE), va(5));
    w.retype(slot(B), CapType::Frame, 0, PAGE_SIZE, 1, slot(B + 1)).unwrap();
    w.map(slot(A + 3), slot(C + 1), slot(B + 1), frame_window(8, 1)).unwrap();
    w.revoke(slot(B)).unwrap();
    assert!([C, C + 1, B + 1].iter().all(|&i| w.get(slot(i)).is_empty()));
    assert!(w.m.tlb.is_empty());
    w.map(slot(A + 3), slot(C), slot(B), frame_window(5, 2)).unwrap();
}

#[test]
fn revoking_an_endpoint_leaves_its_neighbours_alone() {
    let mut w = with_memory();
    w.retype(slot(MEMORY), CapType::Dispatcher, 0, 0, 1, slot(A)).unwrap();
    w.retype(slot(A), CapType::EndPoint, 0, 0, 5, slot(B)).unwrap();
    w.copy(slot(B + 2), slot(C), Rights::ALL).unwrap();
    w.revoke(slot(C)).unwrap();
    assert!(w.get(slot(B + 2)).is_empty());
    for event in [B, B + 1, B + 3, B + 4, C] {
        assert_eq!(w.get(slot(event)).cap_type(), CapType::EndPoint);
    }
}

#[test]
fn a_frame_with_copies_and_mappings_is_revoked_in_the_smallest_steps() {
    let mut w = with_address_space();
    w.map(slot(A + 3), slot(C), slot(B), frame_window(5, 2)).unwrap();
    for i in 1..4 {
        w.copy(slot(B), slot(B + i), Rights::ALL).unwrap();
        w.map(slot(A + 3), slot(C + i), slot(B + i), frame_window(5 + 2 * u64::from(i), 2)).unwrap();
    }
    let mut calls = 1;
    while w.db.revoke_within(&mut w.m, slot(MEMORY), cost::DELETE).unwrap() == Progress::More {
        w.check();
        calls += 1;
    }
    w.check();
    assert!(calls > 10);
    w.tear_down();
}

#[test]
fn a_revocation_from_the_middle_of_a_ring_can_be_interrupted() {
    let mut w = with_address_space();
    for i in 1..5 {
        w.copy(slot(B), slot(B + i), Rights::ALL).unwrap();
    }
    w.map(slot(A + 3), slot(C), slot(B), frame_window(5, 2)).unwrap();
    w.map(slot(A + 3), slot(C + 1), slot(B), frame_window(8, 2)).unwrap();
    assert_eq!(w.db.revoke_within(&mut w.m, slot(B + 2), cost::DELETE), Ok(Progress::More));
    w.check();
    w.delete(slot(B + 2)).unwrap();
    let left = (B..B + 5).filter(|&i| !w.get(slot(i)).is_empty()).count();
    assert_eq!(left, 3, "one was revoked, one deleted");
    assert_eq!(w.get(slot(C)).cap_type(), CapType::Mapping);
    w.tear_down();
}

#[test]
fn a_revocation_that_kills_itself_stops_safely() {
    let mut w = with_memory();
    w.retype(slot(MEMORY), CapType::L2CNode, 0, 0, 1, slot(A)).unwrap();
    let inside = SlotRef::at(page(RAM_PAGE));
    w.copy(slot(MEMORY), inside.plus(5), Rights::ALL).unwrap();
    w.retype(slot(MEMORY), CapType::Frame, 4 * PAGE_SIZE, PAGE_SIZE, 8, slot(B)).unwrap();
    w.revoke(inside.plus(5)).unwrap();
    assert!(w.get(inside.plus(5)).is_empty());
    while w.db.step(&mut w.m, 50) == Progress::More {}
    w.check();
    w.tear_down();
}

#[test]
fn cnodes_that_contain_each_other_and_themselves_end_by_revocation() {
    let mut w = with_memory();
    w.retype(slot(MEMORY), CapType::L2CNode, 0, 0, 3, slot(A)).unwrap();
    let inside = |i: u64| SlotRef::at(page(RAM_PAGE + 4 * i));
    w.copy(slot(A), inside(1).plus(9), Rights::ALL).unwrap();
    w.copy(slot(A + 1), inside(0).plus(9), Rights::ALL).unwrap();
    w.copy(slot(A + 2), inside(2).plus(9), Rights::ALL).unwrap();
    w.copy(slot(MEMORY), inside(0).plus(3), Rights::ALL).unwrap();
    for i in 0..3 {
        w.delete(slot(A + i)).unwrap();
        assert!(!w.db.has_zombies(), "a copy is left inside");
    }
    w.revoke(slot(MEMORY)).unwrap();
    assert!(w.m.is_zero(page(RAM_PAGE), 12 * PAGE_SIZE));
    assert_eq!(w.held(slot(UNIT)), 1);
    w.tear_down();
}

#[test]
fn units_that_lie_in_each_others_memory_end_together() {
    let mut w = World::new();
    w.unit(0, 8, slot(A));
    w.unit(16, 8, slot(B));
    w.retype(slot(A + 1), CapType::L2CNode, 0, 0, 1, slot(C)).unwrap();
    w.retype(slot(B + 1), CapType::L2CNode, 0, 0, 1, slot(C + 1)).unwrap();
    let inside = |page_number| SlotRef::at(page(RAM_PAGE + page_number));
    // Units cannot be copied: make new ones in place, each inside the other's CNode.
    w.unit(32, 8, inside(0).plus(1));
    w.unit(48, 8, inside(16).plus(1));
    w.retype(inside(0).plus(2), CapType::L2CNode, 0, 0, 1, inside(16).plus(5)).unwrap();
    w.retype(inside(16).plus(2), CapType::L2CNode, 0, 0, 1, inside(0).plus(5)).unwrap();
    for i in [A + 1, B + 1, C, C + 1] {
        w.delete(slot(i)).unwrap();
    }
    w.revoke(slot(RAM)).unwrap();
    assert!(w.m.is_zero(page(RAM_PAGE), (PAGES - RAM_PAGE) * PAGE_SIZE));
    w.tear_down();
}
