//! The reaper between several who make work for it: each deletion takes as long as what it covers says, whatever others do.

use abi::{CapType, ErrorKind, PAGE_SIZE, Rights};

use super::world::{FREE, ID, RAM_PAGE, World, other, page, slot};
use crate::reaper::HEIRS;
use crate::slot::{Flags, SlotRef};
use crate::{BUDGET, Progress, RetypeArgs, cost};

/// The victim's unit of 40 pages, and its Ram behind it.
const UNIT: u32 = FREE;
const MEMORY: u32 = FREE + 1;
/// The other's unit of 60 pages, and its Ram behind it.
const THEIR_UNIT: u32 = FREE + 2;
const THEIR_MEMORY: u32 = FREE + 3;
const THEIR_FIRST: u64 = 40;
const THEIR_PAGES: u64 = 60;
const A: u32 = 20;
const B: u32 = 30;

fn world() -> World {
    let mut w = World::new();
    w.unit(0, 40, slot(UNIT));
    w.unit(THEIR_FIRST, THEIR_PAGES, slot(THEIR_UNIT));
    w
}

/// The first slot of an object `first` pages into the RAM.
fn inside(first: u64) -> SlotRef {
    SlotRef::at(page(RAM_PAGE + first))
}

/// Somebody makes zombies wherever there is room in their memory, and leaves them to the reaper. Says how many.
fn make_zombies(w: &mut World) -> u32 {
    make_some(w, u32::MAX, 10)
}

/// As [`make_zombies`], but no more than `most`, with so many capabilities each.
fn make_some(w: &mut World, most: u32, capabilities: u32) -> u32 {
    let mut made = 0;
    for at in 0..THEIR_PAGES / 2 {
        if made == most {
            break;
        }
        let (offset, size) = (at * 2 * PAGE_SIZE, 2 * PAGE_SIZE);
        let args = RetypeArgs { ty: CapType::L1CNode, offset, object_size: size, count: 1 };
        if w.db.retype(&mut w.m, slot(THEIR_MEMORY), &args, slot(B)).is_ok() {
            for i in 0..capabilities {
                let place = inside(THEIR_FIRST + 2 * at).plus(i);
                w.db.copy(&mut w.m, slot(ID), place, Rights::ALL).unwrap();
            }
            let done = w.db.delete_within(&mut w.m, slot(B), cost::DELETE);
            assert_eq!(done, Ok(Progress::Done), "its slot is free at once");
            made += 1;
        }
    }
    w.check();
    made
}

fn zombies(w: &World, first: u64, pages: u64) -> usize {
    let range = page(RAM_PAGE + first)..page(RAM_PAGE + first + pages);
    w.m.occupied().filter(|(_, s)| s.is(Flags::ZOMBIE) && range.contains(&s.base)).count()
}

/// A CNode of the victim's in `slot(A)` with `count` capabilities and another CNode in it, both of which it takes along.
fn nest(w: &mut World, count: u32) {
    w.retype(slot(MEMORY), CapType::L2CNode, 0, 0, 1, slot(A)).unwrap();
    w.retype(slot(MEMORY), CapType::L2CNode, 4 * PAGE_SIZE, 0, 1, inside(0).plus(200)).unwrap();
    for i in 1..=count {
        w.copy(slot(ID), inside(0).plus(i), Rights::ALL).unwrap();
        w.copy(slot(ID), inside(4).plus(i), Rights::ALL).unwrap();
    }
}

/// Budget units of emptying two L2CNodes with so many capabilities each.
fn work(count: u32) -> u32 {
    2 * (255 * cost::LOOK + (count + 3) * cost::DELETE)
}

#[test]
fn a_deletion_ends_at_once_while_somebody_else_makes_zombies() {
    let mut w = world();
    nest(&mut w, 100);
    assert!(make_zombies(&mut w) >= 30);
    let before = zombies(&w, THEIR_FIRST, THEIR_PAGES);
    assert_eq!(w.db.delete(&mut w.m, slot(A)), Ok(Progress::Done));
    assert_eq!(zombies(&w, THEIR_FIRST, THEIR_PAGES), before, "it worked for others");
    // What is over of its time is for its own remains: 31 deletions, and the look at them.
    let left = (1..=100).filter(|i| !w.get(inside(0).plus(*i)).is_empty()).count();
    assert!(left <= 72, "{left} left");
    assert_eq!(w.db.delete(&mut w.m, slot(A)), Err(ErrorKind::EmptySlot));
    w.check();
    w.reap();
    w.tear_down();
}

#[test]
fn a_revocation_ends_by_its_own_size_while_somebody_else_makes_zombies() {
    for early in [false, true] {
        let mut w = world();
        nest(&mut w, 100);
        let mut made = make_some(&mut w, u32::MAX, 40);
        if early {
            // The zombie is there already, in the midst of the others'.
            assert_eq!(w.db.delete_within(&mut w.m, slot(A), cost::DELETE), Ok(Progress::Done));
        }
        let mut calls = 1;
        while w.db.revoke(&mut w.m, slot(MEMORY)).unwrap() == Progress::More {
            let _ = w.db.step(&mut w.m, BUDGET);
            made += make_some(&mut w, u32::MAX, 40);
            calls += 1;
            assert!(calls <= 2 + 2 * work(100) / BUDGET, "{calls} calls, {made} zombies made");
        }
        assert!(w.m.is_zero(page(RAM_PAGE), 40 * PAGE_SIZE), "the memory is back");
        assert_eq!(w.held(slot(UNIT)), 1);
        assert_ne!(zombies(&w, THEIR_FIRST, THEIR_PAGES), 0);
        w.check();
        w.reap();
        w.tear_down();
    }
}

#[test]
fn what_hangs_from_a_revoked_cnode_goes_with_it_though_it_lies_elsewhere() {
    let mut w = world();
    w.unit(100, 12, slot(50));
    w.retype(slot(MEMORY), CapType::L2CNode, 0, 0, 1, slot(A)).unwrap();
    // A CNode in other memory, in it another and the memory itself: what a domain allocated for itself.
    w.retype(slot(51), CapType::L2CNode, 0, 0, 1, inside(0).plus(9)).unwrap();
    w.retype(slot(51), CapType::L2CNode, 4 * PAGE_SIZE, 0, 1, inside(100).plus(7)).unwrap();
    w.copy(slot(51), inside(104).plus(200), Rights::ALL).unwrap();
    w.delete(slot(51)).unwrap();
    make_zombies(&mut w);
    assert_eq!(w.db.delete_within(&mut w.m, slot(A), 2 * cost::DELETE), Ok(Progress::Done));
    make_zombies(&mut w);
    let mut calls = 0;
    while w.db.revoke_within(&mut w.m, slot(MEMORY), cost::DELETE).unwrap() == Progress::More {
        w.check();
        make_zombies(&mut w);
        calls += 1;
        assert!(calls < 200, "without end");
    }
    w.check();
    assert_eq!(w.held(slot(50)), 0, "something of it is left");
    assert_eq!(w.m.empty_units, 1);
    assert_ne!(zombies(&w, THEIR_FIRST, THEIR_PAGES), 0);
    w.tear_down();
}

#[test]
fn the_reaper_comes_to_a_zombie_whatever_is_made_after_it() {
    let mut w = world();
    nest(&mut w, 100);
    let before = make_some(&mut w, 5, 40);
    assert_eq!(w.db.delete_within(&mut w.m, slot(A), cost::DELETE), Ok(Progress::Done));
    // What was there first, and itself. Each call makes more work than it does.
    let theirs = 127 * cost::LOOK + 42 * cost::DELETE;
    let most = before * theirs + work(100);
    let mut calls = 0;
    while zombies(&w, 0, 40) != 0 {
        make_some(&mut w, 1 + BUDGET / theirs, 40);
        let _ = w.db.step(&mut w.m, BUDGET);
        calls += 1;
        assert!(calls <= 2 + 2 * most / BUDGET, "{calls} calls");
    }
    w.reap();
    w.tear_down();
}

#[test]
fn somebody_who_fills_again_what_hangs_from_a_zombie_gains_nothing() {
    const HUNG: u32 = 16;
    let mut w = world();
    w.retype(slot(MEMORY), CapType::L2CNode, 0, 0, 1, slot(A)).unwrap();
    let theirs = |i: u32| inside(THEIR_FIRST).plus(64 * i);
    for i in 0..HUNG {
        let at = u64::from(i) * PAGE_SIZE;
        w.retype(slot(THEIR_MEMORY), CapType::L1CNode, at, 0, 1, other(100 + i)).unwrap();
        w.copy(other(100 + i), inside(0).plus(1 + i), Rights::ALL).unwrap();
    }
    assert_eq!(w.db.delete_within(&mut w.m, slot(A), cost::DELETE), Ok(Progress::Done));
    let (mut next, mut made) = (0, HUNG);
    loop {
        // Before the revocation comes to the next of their CNodes, they put new ones into it and let it go.
        if next < HUNG && (next == 0 || w.get(inside(0).plus(next)).is_empty()) {
            for place in 1..=3 {
                let args = |at| RetypeArgs { ty: CapType::L1CNode, offset: at, object_size: 0, count: 1 };
                let free = (u64::from(HUNG)..THEIR_PAGES).find(|at| {
                    let dst = theirs(next).plus(place);
                    w.db.retype(&mut w.m, slot(THEIR_MEMORY), &args(at * PAGE_SIZE), dst).is_ok()
                });
                made += u32::from(free.is_some());
            }
            assert_eq!(w.db.delete(&mut w.m, other(100 + next)), Ok(Progress::Done));
            next += 1;
        }
        let progress = w.db.revoke_within(&mut w.m, slot(MEMORY), cost::DELETE).unwrap();
        w.check();
        if progress == Progress::Done {
            break;
        }
    }
    let range = page(RAM_PAGE + THEIR_FIRST)..page(RAM_PAGE + THEIR_FIRST + THEIR_PAGES);
    let left = w.m.occupied().filter(|(_, s)| s.ty == CapType::L1CNode && range.contains(&s.base)).count();
    let waited_for = made - left as u32;
    assert!(next == HUNG && made > 3 * HEIRS, "{made} made");
    assert!(waited_for <= HEIRS, "it waited for {waited_for} of {made}");
    assert!(w.m.is_zero(page(RAM_PAGE), 40 * PAGE_SIZE));
    w.reap();
    w.tear_down();
}
