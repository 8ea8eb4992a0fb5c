//! Last copies of objects: they become zombies, and end in bounded steps with what they hold.

use abi::{CapType, ErrorKind, PAGE_SIZE, Rights};

use super::scenes::{A, B, C, MEMORY, UNIT, with_memory};
use super::world::{ID, RAM, RAM_PAGE, World, page, slot};
use crate::slot::SlotRef;
use crate::{Progress, cost};

#[test]
fn a_dying_cnode_frees_its_slot_at_once_and_empties_itself_in_steps() {
    let mut w = with_memory();
    w.retype(slot(MEMORY), CapType::L2CNode, 0, 0, 1, slot(A)).unwrap();
    let inside = SlotRef::at(page(RAM_PAGE));
    for i in 1..=100 {
        w.copy(slot(ID), inside.plus(i), Rights::ALL).unwrap();
    }
    let count = w.db.count();
    assert_eq!(w.db.delete(&mut w.m, slot(A)), Ok(Progress::Done));
    w.check();
    assert!(w.get(slot(A)).is_empty() && w.db.has_zombies());
    assert_eq!(w.db.delete(&mut w.m, slot(A)), Err(ErrorKind::EmptySlot));
    let early = w.retype(slot(MEMORY), CapType::L2CNode, 0, 0, 1, slot(B));
    assert_eq!(early, Err(ErrorKind::Overlap), "the memory is not free yet");
    let calls = w.reap();
    assert!((3..12).contains(&calls), "{calls}");
    assert_eq!(w.db.count(), count - 101);
    assert!(w.m.is_zero(page(RAM_PAGE), 4 * PAGE_SIZE));
    assert_eq!(w.delete(slot(A)), Err(ErrorKind::EmptySlot));
    w.retype(slot(MEMORY), CapType::L2CNode, 0, 0, 1, slot(B)).unwrap();
}

#[test]
fn a_dispatcher_ends_with_its_capabilities_and_events() {
    let mut w = with_memory();
    w.retype(slot(MEMORY), CapType::Dispatcher, 0, 0, 1, slot(A)).unwrap();
    w.retype(slot(MEMORY), CapType::L1CNode, PAGE_SIZE, 0, 1, slot(A + 1)).unwrap();
    w.retype(slot(MEMORY), CapType::Frame, 2 * PAGE_SIZE, PAGE_SIZE, 1, slot(A + 2)).unwrap();
    let inside = SlotRef::at(page(RAM_PAGE));
    // In any of its slots but the kernel's own.
    w.copy(slot(A + 1), inside.plus(1), Rights::ALL).unwrap();
    w.copy(slot(A + 2), inside.plus(3), Rights::ALL).unwrap();
    w.retype(slot(A), CapType::EndPoint, 0, 0, 40, slot(C)).unwrap();
    w.delete(slot(A + 1)).unwrap();
    let _ = w.db.delete_within(&mut w.m, slot(A), cost::DELETE).unwrap();
    assert_eq!(w.m.ended_dispatchers, [page(RAM_PAGE)], "it stops before anything is taken away");
    assert!(w.m.ended_events.is_empty());
    w.check();
    while w.db.step(&mut w.m, 5) == Progress::More {
        w.check();
    }
    w.check();
    assert!((C..C + 40).all(|i| w.get(slot(i)).is_empty()));
    assert!(w.m.is_zero(page(RAM_PAGE), 2 * PAGE_SIZE));
    assert_eq!(w.held(slot(UNIT)), 2, "its memory, and the frame that it was lent");
}

#[test]
fn a_dispatcher_learns_when_what_it_runs_on_is_taken_away() {
    let mut w = with_memory();
    w.unit(64, 8, slot(60));
    w.retype(slot(61), CapType::Dispatcher, 0, 0, 1, slot(A)).unwrap();
    let inside = SlotRef::at(page(RAM_PAGE + 64));
    let root = [(CapType::L1CNode, 1), (CapType::VNodeL0, 2), (CapType::Frame, 3)];
    for (i, (ty, place)) in (1u32..).zip(root) {
        w.retype(slot(MEMORY), ty, u64::from(i) * PAGE_SIZE, PAGE_SIZE, 1, slot(A + i)).unwrap();
        w.copy(slot(A + i), inside.plus(place), Rights::ALL).unwrap();
        w.db.mark_held(&mut w.m, inside.plus(place));
        // The dispatcher's is the last: it is deleted as such.
        w.delete(slot(A + i)).unwrap();
    }
    assert!(w.m.ended_held.is_empty());
    w.revoke(slot(MEMORY)).unwrap();
    assert_eq!(w.m.ended_held, [1, 2, 3].map(|place| inside.plus(place)));
    assert_eq!(w.get(slot(A)).cap_type(), CapType::Dispatcher);
    w.tear_down();
}

#[test]
fn a_unit_in_a_cascade_takes_its_capabilities_along() {
    let mut w = World::new();
    w.unit(0, 8, slot(A));
    w.retype(slot(A + 1), CapType::L2CNode, 0, 0, 1, slot(B)).unwrap();
    let inside = SlotRef::at(page(RAM_PAGE));
    // Two units, each in a CNode that the other paid for.
    w.unit(16, 8, inside.plus(1));
    w.retype(inside.plus(2), CapType::L2CNode, 0, 0, 1, slot(B + 1)).unwrap();
    let second = SlotRef::at(page(RAM_PAGE + 16));
    w.retype(slot(RAM), CapType::Unit, 32 * PAGE_SIZE, PAGE_SIZE, 1, second.plus(1)).unwrap();
    w.retype(slot(A + 1), CapType::Dispatcher, 4 * PAGE_SIZE, 0, 1, slot(C)).unwrap();
    w.retype(slot(C), CapType::Notify, 0, 0, 3, slot(C + 1)).unwrap();
    w.delete(slot(B)).unwrap();
    assert!(w.get(slot(B + 1)).is_empty() && w.get(second.plus(1)).is_empty());
    assert_eq!(w.held(slot(A)), 5);
    w.revoke(slot(RAM)).unwrap();
    assert!(w.get(slot(A)).is_empty());
    w.tear_down();
}
