//! Giving back a part of a unit.

use abi::{CapType, ErrorKind, PAGE_SIZE, Rights};

use super::scenes::{A, B, C, MEMORY, UNIT, with_memory};
use super::world::{RAM, RAM_PAGE, World, page, slot};
use crate::{Progress, cost};

/// Where a unit lies, in pages of the root: its first, and how many.
fn place(w: &World, unit: u32) -> (u64, u64) {
    let s = w.get(slot(unit));
    assert_eq!(s.cap_type(), CapType::Unit);
    ((s.base() - page(RAM_PAGE)) / PAGE_SIZE, s.size() / PAGE_SIZE)
}

/// A unit of 64 pages of which only these, one each in `A` and behind, have capabilities.
fn with_pages(pages: &[u64]) -> World {
    let mut w = with_memory();
    for (&page, dst) in pages.iter().zip(A..) {
        w.retype(slot(MEMORY), CapType::Frame, page * PAGE_SIZE, PAGE_SIZE, 1, slot(dst)).unwrap();
    }
    w.delete(slot(MEMORY)).unwrap();
    w
}

#[test]
fn what_lies_before_behind_and_between_goes_back_and_can_be_used_again() {
    let mut w = with_pages(&[20, 40]);
    w.trim(slot(UNIT), 0, 20, slot(B)).unwrap();
    assert_eq!((place(&w, UNIT), w.held(slot(UNIT))), ((20, 44), 2));
    w.trim(slot(UNIT), 21, 23, slot(B)).unwrap();
    assert!(w.get(slot(B)).is_empty(), "nothing is left behind");
    assert_eq!(place(&w, UNIT), (20, 21));
    w.trim(slot(UNIT), 1, 19, slot(B)).unwrap();
    assert_eq!((place(&w, UNIT), place(&w, B)), ((20, 1), (40, 1)));
    assert_eq!((w.held(slot(UNIT)), w.held(slot(B))), (1, 1));
    for (first, pages) in [(0, 20), (21, 19), (41, 71)] {
        let (offset, size) = (first * PAGE_SIZE, pages * PAGE_SIZE);
        w.retype(slot(RAM), CapType::Unit, offset, size, 1, slot(C)).unwrap();
        w.delete(slot(C)).unwrap();
    }
    for (unit, frame, at) in [(B, A + 1, 40), (UNIT, A, 20)] {
        assert_eq!(w.delete(slot(unit)), Err(ErrorKind::UnitBusy));
        w.delete(slot(frame)).unwrap();
        assert_eq!(w.db.pull_unit(&mut w.m, slot(RAM)), Ok((page(RAM_PAGE + at), PAGE_SIZE)));
        w.delete(slot(unit)).unwrap();
    }
    w.tear_down();
}

#[test]
fn a_part_that_any_capability_covers_stays() {
    let mut w = with_pages(&[8, 9]);
    for (first, pages) in [(8, 1), (9, 1), (0, 9), (9, 55), (0, 63), (1, 63)] {
        assert_eq!(w.trim(slot(UNIT), first, pages, slot(B)), Err(ErrorKind::Overlap), "{first} {pages}");
    }
    assert_eq!(place(&w, UNIT), (0, 64));
    // The last of the copies is as good as the first.
    w.copy(slot(A), slot(B), Rights::READ).unwrap();
    w.delete(slot(A)).unwrap();
    assert_eq!(w.trim(slot(UNIT), 0, 9, slot(C)), Err(ErrorKind::Overlap));
    w.delete(slot(B)).unwrap();
    w.trim(slot(UNIT), 0, 9, slot(C)).unwrap();
    w.tear_down();
}

#[test]
fn a_capability_over_all_of_it_keeps_all_of_it() {
    let mut w = with_memory();
    assert_eq!(w.trim(slot(UNIT), 0, 1, slot(B)), Err(ErrorKind::Overlap));
    w.retype(slot(MEMORY), CapType::Ram, PAGE_SIZE, 62 * PAGE_SIZE, 1, slot(A)).unwrap();
    w.delete(slot(MEMORY)).unwrap();
    w.retype(slot(A), CapType::Frame, PAGE_SIZE, PAGE_SIZE, 1, slot(A + 1)).unwrap();
    assert_eq!(w.trim(slot(UNIT), 32, 1, slot(B)), Err(ErrorKind::Overlap));
    w.trim(slot(UNIT), 63, 1, slot(B)).unwrap();
    w.trim(slot(UNIT), 0, 1, slot(B)).unwrap();
    assert_eq!(place(&w, UNIT), (1, 62));
    w.tear_down();
}

#[test]
fn a_zombie_keeps_its_part_until_it_is_done() {
    let mut w = with_memory();
    w.retype(slot(MEMORY), CapType::L2CNode, 8 * PAGE_SIZE, 0, 1, slot(A)).unwrap();
    w.delete(slot(MEMORY)).unwrap();
    let inside = crate::SlotRef::at(page(RAM_PAGE + 8)).plus(1);
    for i in 0..20 {
        w.copy(slot(RAM), inside.plus(i), Rights::ALL).unwrap();
    }
    assert_eq!(w.db.delete_within(&mut w.m, slot(A), cost::DELETE), Ok(Progress::Done));
    assert!(w.db.has_zombies());
    assert_eq!(w.trim(slot(UNIT), 8, 4, slot(B)), Err(ErrorKind::Overlap));
    w.trim(slot(UNIT), 0, 8, slot(B)).unwrap();
    w.trim(slot(UNIT), 4, 52, slot(B)).unwrap();
    assert_eq!((place(&w, UNIT), w.m.empty_units), ((8, 4), 0));
    w.reap();
    assert_eq!(w.m.empty_units, 1);
    assert_eq!(w.db.pull_unit(&mut w.m, slot(RAM)), Ok((page(RAM_PAGE + 8), 4 * PAGE_SIZE)));
    w.tear_down();
}

#[test]
fn what_is_left_without_capabilities_is_listed() {
    // Behind alone, before alone; then neither, which was listed already and zeroed again.
    for (at, empty) in [(0, 20), (63, 0)] {
        let mut w = with_pages(&[at]);
        w.trim(slot(UNIT), 10, 10, slot(B)).unwrap();
        assert_eq!(w.m.empty_units, 1);
        let (base, size) = w.db.pull_unit(&mut w.m, slot(RAM)).unwrap();
        assert_eq!((base, size), (page(RAM_PAGE + empty), if empty == 0 { 10 } else { 44 } * PAGE_SIZE));
        assert_eq!(w.db.pull_unit(&mut w.m, slot(RAM)), Err(ErrorKind::Nothing));
        w.tear_down();
    }
    let mut w = with_pages(&[]);
    assert_eq!(w.trim(slot(UNIT), 10, 10, slot(B)), Err(ErrorKind::UnitNotZeroed));
    while w.db.zero_unit(&mut w.m, slot(UNIT)).unwrap() == Progress::More {}
    w.trim(slot(UNIT), 10, 10, slot(B)).unwrap();
    let mut bases = [0, 0].map(|_| w.db.pull_unit(&mut w.m, slot(RAM)).unwrap().0);
    bases.sort();
    assert_eq!(bases, [page(RAM_PAGE), page(RAM_PAGE + 20)]);
    assert_eq!(w.db.pull_unit(&mut w.m, slot(RAM)), Err(ErrorKind::Nothing));
    w.tear_down();
}

#[test]
fn a_trim_that_cannot_be_changes_nothing_and_says_why() {
    let mut w = with_pages(&[5]);
    let p = PAGE_SIZE;
    for (unit, offset, bytes, dst, error) in [
        (B, 0, p, B, ErrorKind::EmptySlot),
        (A, 0, p, B, ErrorKind::WrongType),
        (RAM, 0, p, B, ErrorKind::WrongType),
        (UNIT, 0, 0, B, ErrorKind::BadSize),
        (UNIT, 0, 64 * p, B, ErrorKind::BadSize),
        (UNIT, 1, p, B, ErrorKind::Unaligned),
        (UNIT, 0, p + 1, B, ErrorKind::Unaligned),
        (UNIT, 64 * p, p, B, ErrorKind::OutOfRange),
        (UNIT, 63 * p, 2 * p, B, ErrorKind::OutOfRange),
        (UNIT, u64::MAX - 4095, p, B, ErrorKind::OutOfRange),
        (UNIT, p, u64::MAX - 4095, B, ErrorKind::OutOfRange),
        (UNIT, 5 * p, p, B, ErrorKind::Overlap),
        (UNIT, 8 * p, p, A, ErrorKind::SlotOccupied),
    ] {
        let result = w.db.trim_unit(&mut w.m, slot(unit), offset, bytes, slot(dst));
        assert_eq!(result, Err(error), "{offset:#x} {bytes:#x}");
        w.check();
        assert_eq!((place(&w, UNIT), w.held(slot(UNIT))), ((0, 64), 1));
    }
    w.tear_down();
}
