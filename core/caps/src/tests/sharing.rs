//! What a monitor asks of its kernel, one thing at a time.

use abi::{CapType, ErrorKind, PAGE_SIZE, Rights};
use capops::{CoreId, CoreSet, Held};

use super::random::Dice;
use super::scenes::{A, B, C, MEMORY, UNIT, frame_window, with_address_space, with_memory};
use super::world::{DEVICES, RAM, RAM_PAGE, World, other, page, slot};
use crate::fake::MEMORY_BASE;
use crate::frozen::BUSY;
use crate::key::Key;
use crate::slot::{Flags, SlotRef};
use crate::{Arrival, Ask, Db, Making, MapArgs, Progress, RetypeArgs, UnitView, cost};

const HOME: CoreId = CoreId(0);
const P: u64 = PAGE_SIZE;
/// The monitor's slots, in the other CNode.
const PIN: u32 = 1;
const PROXY: u32 = 2;
/// Where a unit lies that is not at home here, below the fake memory.
const AWAY: u64 = MEMORY_BASE - 64 * P;

fn key(ty: CapType, first: u64, pages: u64) -> Key {
    Key::new(ty, page(RAM_PAGE + first), pages * P, 0)
}

/// Pins `src` and takes the marks of it and its ancestors, to the end.
fn share(w: &mut World, src: SlotRef) {
    w.db.pin(&mut w.m, src, other(PIN), Ask::Send).unwrap();
    while w.db.share(&mut w.m, other(PIN)).unwrap() == Progress::More {}
    w.check();
    w.db.conclude(&mut w.m, slot(UNIT)).unwrap();
    w.delete(other(PIN)).unwrap();
}

fn is_exclusive(w: &World, slot: SlotRef) -> bool {
    w.get(w.db.representative(&w.m, slot)).is(Flags::EXCL)
}

fn arrival(ty: CapType, base: u64, size: u64) -> Arrival {
    let (rights, unit) = (Rights::ALL, (AWAY, 16 * P));
    Arrival { ty, rights, base, size, exclusive: false, unit, home: CoreId(3) }
}

fn deliver(w: &mut World, a: &Arrival, dst: u32) -> Result<SlotRef, ErrorKind> {
    let result = w.db.deliver(&mut w.m, a, slot(dst), other(PROXY));
    w.check();
    result
}

#[test]
fn the_mark_is_the_representatives_and_goes_on_to_its_heir() {
    let mut w = with_memory();
    w.copy(slot(MEMORY), slot(A), Rights::ALL).unwrap();
    assert!(!w.get(slot(A)).is(Flags::EXCL) && is_exclusive(&w, slot(A)));
    w.retype(slot(A), CapType::Frame, 0, P, 1, slot(B)).unwrap();
    w.delete(slot(MEMORY)).unwrap();
    assert!(w.get(slot(A)).is(Flags::EXCL));
    w.revoke(slot(A)).unwrap();
    share(&mut w, slot(A));
    w.copy(slot(A), slot(MEMORY), Rights::ALL).unwrap();
    w.delete(slot(A)).unwrap();
    assert_eq!(w.retype(slot(MEMORY), CapType::Frame, 0, P, 1, slot(B)), Err(ErrorKind::AskMonitor));
    assert_eq!(w.revoke(slot(MEMORY)), Err(ErrorKind::AskMonitor));
    // The home has not been asked after all, so the unit is nobody else's.
    w.revoke(slot(RAM)).unwrap();
}

#[test]
fn a_unit_is_the_memory_servers_again_after_a_request_that_came_to_nothing() {
    let mut w = with_memory();
    share(&mut w, slot(MEMORY));
    w.delete(slot(MEMORY)).unwrap();
    assert_eq!(w.db.pull_unit(&mut w.m, slot(RAM)), Ok((page(RAM_PAGE), 64 * P)));
    while w.db.zero_unit(&mut w.m, slot(UNIT)).unwrap() == Progress::More {}
    w.delete(slot(UNIT)).unwrap();
    w.tear_down();
}

#[test]
fn a_unit_that_its_own_core_alone_shares_is_pulled_and_deleted_when_the_home_says_so() {
    let mut w = with_memory();
    w.db.set_sharers(&mut w.m, slot(UNIT), CoreSet::only(HOME), HOME).unwrap();
    w.delete(slot(MEMORY)).unwrap();
    assert_eq!(w.db.pull_unit(&mut w.m, slot(RAM)), Err(ErrorKind::Nothing));
    assert_eq!(w.delete(slot(UNIT)), Err(ErrorKind::UnitBusy));
    w.db.set_sharers(&mut w.m, slot(UNIT), CoreSet::NONE, HOME).unwrap();
    assert_eq!(w.db.pull_unit(&mut w.m, slot(RAM)), Ok((page(RAM_PAGE), 64 * P)));
    w.delete(slot(UNIT)).unwrap();
    w.tear_down();
}

#[test]
fn a_long_chain_loses_its_marks_in_steps_and_siblings_keep_theirs() {
    let mut w = with_memory();
    let mut last = slot(MEMORY);
    for i in 0..40 {
        w.retype(last, CapType::Ram, 0, (63 - i) * P, 1, slot(A + i as u32)).unwrap();
        last = slot(A + i as u32);
    }
    w.retype(slot(MEMORY), CapType::Frame, 63 * P, P, 1, slot(A + 50)).unwrap();
    w.db.pin(&mut w.m, last, other(PIN), Ask::Send).unwrap();
    let mut calls = 1;
    while w.db.share_within(&mut w.m, other(PIN), 3 * cost::DELETE).unwrap() == Progress::More {
        w.check();
        calls += 1;
    }
    assert_eq!(calls, 42_u32.div_ceil(3));
    assert_eq!(w.db.share_within(&mut w.m, other(PIN), 0), Ok(Progress::Done), "it is not walked again");
    assert!(!is_exclusive(&w, slot(MEMORY)) && is_exclusive(&w, slot(UNIT)));
    assert!((0..40).all(|i| !is_exclusive(&w, slot(A + i))));
    assert!(is_exclusive(&w, slot(A + 50)), "a sibling");
}

#[test]
fn taking_marks_goes_on_where_it_was_after_the_unit_has_been_cut() {
    let mut w = with_memory();
    for (src, dst, offset, pages) in
        [(MEMORY, A, 0, 32), (MEMORY, A + 1, 32, 32), (A + 1, A + 2, 0, 31), (A + 2, A + 3, 0, 30)]
    {
        w.retype(slot(src), CapType::Ram, offset * P, pages * P, 1, slot(dst)).unwrap();
    }
    w.delete(slot(MEMORY)).unwrap();
    w.retype(slot(A + 3), CapType::Frame, 0, P, 1, slot(A + 4)).unwrap();
    w.retype(slot(RAM), CapType::Unit, 64 * P, 32 * P, 1, slot(A + 5)).unwrap();
    w.db.pin(&mut w.m, slot(A + 4), other(PIN), Ask::Send).unwrap();
    // The pin itself and the innermost Ram lose their marks.
    assert_eq!(w.db.share_within(&mut w.m, other(PIN), 2 * cost::DELETE), Ok(Progress::More));
    let at = w.get(slot(A + 1)).base();
    w.db.cut_unit(&mut w.m, slot(UNIT), at, slot(B), true).unwrap();
    while w.db.share_within(&mut w.m, other(PIN), cost::DELETE).unwrap() == Progress::More {
        w.check();
    }
    assert!((A + 1..=A + 4).all(|i| !is_exclusive(&w, slot(i))));
    assert!(is_exclusive(&w, slot(A)) && is_exclusive(&w, slot(A + 5)), "of another unit, and another unit");
}

#[test]
fn what_is_pinned_stays_and_holds_up_local_revocations_of_its_unit_alone() {
    let mut w = with_memory();
    w.retype(slot(MEMORY), CapType::Frame, 0, 4 * P, 1, slot(A)).unwrap();
    assert_eq!(w.db.pin(&mut w.m, slot(A), other(PIN), Ask::Retype), Err(ErrorKind::BadState));
    assert_eq!(w.db.pin(&mut w.m, slot(UNIT), other(PIN), Ask::Send), Err(ErrorKind::WrongType));
    assert_eq!(w.db.pin(&mut w.m, slot(RAM), other(PIN), Ask::Send), Err(ErrorKind::WrongType));
    w.db.pin(&mut w.m, slot(A), other(PIN), Ask::Send).unwrap();
    w.check();
    assert_eq!(w.db.pin(&mut w.m, slot(A), other(5), Ask::Send), Err(ErrorKind::Pending));
    w.delete(slot(A)).unwrap();
    assert_eq!(w.revoke(slot(MEMORY)), Err(ErrorKind::Pending));
    assert_eq!(w.delete(slot(UNIT)), Err(ErrorKind::UnitBusy));
    let unit = slot(B);
    w.unit(64, 16, unit);
    w.revoke(unit).unwrap();
    w.db.conclude(&mut w.m, slot(UNIT)).unwrap();
    assert_eq!(w.db.conclude(&mut w.m, slot(UNIT)), Err(ErrorKind::BadState));
    assert_eq!(w.db.own(&mut w.m, other(PIN)), Err(ErrorKind::BadState));
    w.revoke(slot(MEMORY)).unwrap();
    assert!(w.get(other(PIN)).is_empty());
    w.tear_down();
}

#[test]
fn freezing_is_one_step_and_refuses_everything_but_deletion() {
    let mut w = with_address_space();
    let ram = slot(MEMORY);
    w.retype(ram, CapType::Ram, 16 * P, 8 * P, 1, slot(C)).unwrap();
    w.db.freeze(&mut w.m, slot(UNIT), &key(CapType::Ram, 8, 4), false).unwrap();
    w.check();
    let frozen = ErrorKind::Frozen;
    assert_eq!(w.copy(slot(B), slot(B + 1), Rights::ALL), Err(frozen));
    assert_eq!(w.retype(slot(B), CapType::Frame, 0, P, 1, slot(B + 1)), Err(frozen));
    assert_eq!(w.revoke(slot(B)), Err(frozen));
    assert_eq!(w.map(slot(A + 3), slot(B + 1), slot(B), frame_window(0, 1)), Err(frozen));
    assert_eq!(w.db.pin(&mut w.m, slot(B), other(PIN), Ask::Send), Err(frozen));
    assert_eq!(w.db.zero_unit(&mut w.m, slot(UNIT)), Err(frozen));
    assert_eq!(w.db.freeze(&mut w.m, slot(UNIT), &key(CapType::Ram, 0, 1), false), Err(ErrorKind::BadState));
    // What lies around it or beside it can be used.
    w.copy(ram, slot(B + 1), Rights::ALL).unwrap();
    w.retype(slot(C), CapType::Frame, 0, P, 1, slot(C + 1)).unwrap();
    w.delete(slot(B)).unwrap();
    assert_eq!(w.db.sweep(&mut w.m, slot(UNIT)), Ok(Progress::Done));
    assert_eq!(w.db.sweep(&mut w.m, slot(UNIT)), Err(ErrorKind::BadState));
    w.retype(ram, CapType::Frame, 8 * P, P, 1, slot(B)).unwrap();
    w.tear_down();
}

#[test]
fn a_range_outside_the_unit_cannot_be_frozen() {
    let mut w = with_memory();
    let unit = slot(UNIT);
    for (base, size, error) in [
        (page(RAM_PAGE - 1), 2 * P, ErrorKind::OutOfRange),
        (page(RAM_PAGE + 63), 2 * P, ErrorKind::OutOfRange),
        (page(RAM_PAGE), 0, ErrorKind::OutOfRange),
        (page(RAM_PAGE), u64::MAX, ErrorKind::OutOfRange),
        (page(RAM_PAGE) + 1, P, ErrorKind::Unaligned),
    ] {
        let top = Key::new(CapType::Ram, base, size, 0);
        assert_eq!(w.db.freeze(&mut w.m, unit, &top, false), Err(error), "{base:#x} {size:#x}");
    }
    assert_eq!(w.db.freeze(&mut w.m, slot(RAM), &key(CapType::Ram, 0, 1), false), Err(ErrorKind::WrongType));
    w.tear_down();
}

#[test]
fn a_sweep_takes_cnodes_with_what_lies_in_them_and_leaves_the_revokers_pin() {
    let mut w = with_memory();
    w.retype(slot(MEMORY), CapType::Ram, 0, 16 * P, 1, slot(A)).unwrap();
    w.retype(slot(A), CapType::L2CNode, 0, 0, 1, slot(B)).unwrap();
    w.retype(slot(A), CapType::Frame, 8 * P, P, 4, slot(C)).unwrap();
    let inside = SlotRef::at(page(RAM_PAGE)).plus(1);
    for i in 0..30 {
        w.copy(slot(A), inside.plus(i), Rights::ALL).unwrap();
    }
    share(&mut w, slot(A));
    w.db.pin(&mut w.m, slot(A), other(PIN), Ask::Revoke).unwrap();
    w.db.freeze(&mut w.m, slot(UNIT), &key(CapType::Ram, 0, 16), true).unwrap();
    let mut calls = 1;
    while w.db.sweep_within(&mut w.m, slot(UNIT), 2 * cost::DELETE).unwrap() == Progress::More {
        w.check();
        calls += 1;
    }
    w.check();
    assert!(calls > 10, "{calls}");
    let left: Vec<SlotRef> = w.m.occupied().map(|(slot, _)| slot).collect();
    assert!(left.contains(&other(PIN)) && !left.contains(&slot(A)) && w.held(slot(UNIT)) == 2);
    w.db.own(&mut w.m, other(PIN)).unwrap();
    w.db.conclude(&mut w.m, slot(UNIT)).unwrap();
    w.retype(other(PIN), CapType::Frame, 0, P, 1, slot(A)).unwrap();
}

#[test]
fn a_retype_that_the_home_granted_goes_past_the_mark_and_no_further() {
    let mut w = with_memory();
    share(&mut w, slot(MEMORY));
    let frame = |offset| RetypeArgs { ty: CapType::Frame, offset, object_size: P, count: 1 };
    assert_eq!(w.db.retype_granted(&mut w.m, slot(MEMORY), &frame(0), slot(A)), Err(ErrorKind::BadState));
    w.db.pin(&mut w.m, slot(MEMORY), other(PIN), Ask::Retype).unwrap();
    w.db.retype_granted(&mut w.m, other(PIN), &frame(0), slot(A)).unwrap();
    assert_eq!(w.db.retype_granted(&mut w.m, other(PIN), &frame(0), slot(B)), Err(ErrorKind::Overlap));
    w.check();
    assert!(is_exclusive(&w, slot(A)) && !is_exclusive(&w, slot(MEMORY)));
}

#[test]
fn a_proxy_comes_with_the_first_delivery_and_goes_when_it_is_empty() {
    let mut w = World::new();
    let frame = arrival(CapType::Frame, AWAY + 4 * P, 4 * P);
    let proxy = deliver(&mut w, &frame, A).unwrap();
    assert_eq!((proxy, w.get(proxy).cap_type()), (other(PROXY), CapType::Unit));
    deliver(&mut w, &frame, A + 1).unwrap();
    // What lies around comes later.
    deliver(&mut w, &arrival(CapType::Ram, AWAY, 16 * P), B).unwrap();
    assert_eq!(w.retype(slot(B), CapType::Frame, 0, P, 1, slot(C)), Err(ErrorKind::AskMonitor));
    assert_eq!(w.retype(proxy, CapType::Ram, 0, P, 1, slot(C)), Err(ErrorKind::UnitNotZeroed));
    assert_eq!(w.db.sharers(&w.m, proxy), Err(ErrorKind::WrongType));
    assert_eq!(w.delete(proxy), Err(ErrorKind::UnitBusy));
    for s in [A, A + 1, B] {
        assert_eq!(w.db.pull_shared(&mut w.m), Err(ErrorKind::Nothing));
        w.delete(slot(s)).unwrap();
    }
    assert_eq!(w.db.pull_shared(&mut w.m), Ok(Key::of(w.get(proxy))));
    assert_eq!(w.retype(proxy, CapType::Ram, 0, P, 1, slot(C)), Err(ErrorKind::UnitNotZeroed));
    w.delete(proxy).unwrap();
    w.tear_down();
}

#[test]
fn what_is_first_is_exclusive_and_used_without_asking() {
    let mut w = World::new();
    let root = Arrival { exclusive: true, ..arrival(CapType::Ram, AWAY, 16 * P) };
    deliver(&mut w, &root, A).unwrap();
    w.retype(slot(A), CapType::Frame, 0, P, 1, slot(B)).unwrap();
    assert_eq!(deliver(&mut w, &root, C), Err(ErrorKind::BadState));
    w.revoke(slot(A)).unwrap();
    w.tear_down_away(&[slot(A), other(PROXY)]);
}

#[test]
fn nonsense_is_not_delivered() {
    use CapType::{DevFrame, Frame, Id, IrqSource, Kernel, L2CNode, Mapping, Notify, Ram, Unit};
    let mut w = World::new();
    deliver(&mut w, &arrival(Frame, AWAY + 4 * P, 4 * P), A).unwrap();
    deliver(&mut w, &arrival(Frame, AWAY + 8 * P, P), A + 1).unwrap();
    deliver(&mut w, &arrival(Frame, AWAY + 9 * P, 3 * P), A + 2).unwrap();
    let unit = |base, size, a: Arrival| Arrival { unit: (base, size), ..a };
    let cases = [
        (arrival(Kernel, 0, 1), ErrorKind::BadType),
        (arrival(Unit, AWAY, P), ErrorKind::BadType),
        (arrival(Mapping, AWAY, P), ErrorKind::BadType),
        (arrival(L2CNode, AWAY, 4 * P), ErrorKind::BadType),
        (arrival(Frame, AWAY, 0), ErrorKind::BadSize),
        (arrival(Frame, AWAY, 1), ErrorKind::Unaligned),
        (arrival(Frame, AWAY + 1, P), ErrorKind::Unaligned),
        (arrival(Frame, AWAY + 15 * P, 2 * P), ErrorKind::OutOfRange),
        (arrival(Frame, AWAY - P, P), ErrorKind::OutOfRange),
        (arrival(Frame, u64::MAX - P + 1, P), ErrorKind::OutOfRange),
        (arrival(Frame, AWAY, u64::MAX - P + 1), ErrorKind::OutOfRange),
        (unit(AWAY, 1 << 63, arrival(Frame, AWAY, P)), ErrorKind::OutOfRange),
        (arrival(Notify, AWAY, P), ErrorKind::BadType),
        // Across what is here, or of a type that cannot be there.
        (arrival(Ram, AWAY + 2 * P, 4 * P), ErrorKind::Overlap),
        (arrival(Ram, AWAY + 6 * P, 4 * P), ErrorKind::Overlap),
        (arrival(Ram, AWAY + 8 * P, 2 * P), ErrorKind::Overlap),
        (arrival(Ram, AWAY + 5 * P, P), ErrorKind::Overlap),
        (arrival(DevFrame, AWAY + 4 * P, 4 * P), ErrorKind::Overlap),
        (arrival(DevFrame, AWAY + 5 * P, P), ErrorKind::Overlap),
        // Other units, and what this core has of its own.
        (unit(AWAY + 4 * P, 4 * P, arrival(Frame, AWAY + 4 * P, P)), ErrorKind::Overlap),
        (unit(AWAY - 4 * P, 8 * P, arrival(Frame, AWAY - P, P)), ErrorKind::Overlap),
        (unit(page(RAM_PAGE), 4 * P, arrival(Frame, page(RAM_PAGE), P)), ErrorKind::Overlap),
        (unit(DEVICES, P, arrival(DevFrame, DEVICES, P)), ErrorKind::Overlap),
        (unit(32, 4, arrival(IrqSource, 33, 1)), ErrorKind::Overlap),
    ];
    for (a, error) in cases {
        assert_eq!(w.db.deliver(&mut w.m, &a, slot(B), other(9)), Err(error), "{a:x?}");
    }
    assert_eq!(deliver(&mut w, &arrival(Frame, AWAY, P), A), Err(ErrorKind::SlotOccupied));
    let ids = unit(5000, 100, arrival(Id, 5010, 5));
    assert_eq!(w.db.deliver(&mut w.m, &ids, slot(B), slot(B)), Err(ErrorKind::SlotOccupied));
    w.db.deliver(&mut w.m, &ids, slot(B), other(9)).unwrap();
    w.check();
    w.tear_down_away(&[slot(B), other(9), slot(A), slot(A + 1), slot(A + 2), other(PROXY)]);
}

#[test]
fn a_unit_is_not_the_memory_servers_before_nobody_shares_it() {
    let mut w = with_memory();
    let unit = slot(UNIT);
    let both = CoreSet::only(HOME).with(CoreId(2));
    w.db.set_sharers(&mut w.m, unit, both, HOME).unwrap();
    w.delete(slot(MEMORY)).unwrap();
    assert_eq!(w.db.pull_unit(&mut w.m, slot(RAM)), Err(ErrorKind::Nothing));
    assert_eq!(w.db.pull_shared(&mut w.m), Ok(Key::of(w.get(unit))));
    assert_eq!(w.db.zero_unit(&mut w.m, unit), Err(ErrorKind::AskMonitor));
    assert_eq!(w.delete(unit), Err(ErrorKind::UnitBusy));
    assert_eq!(w.revoke(slot(RAM)), Err(ErrorKind::AskMonitor));
    w.db.set_sharers(&mut w.m, unit, CoreSet::NONE, HOME).unwrap();
    w.check();
    assert_eq!(w.db.pull_unit(&mut w.m, slot(RAM)), Ok((page(RAM_PAGE), 64 * P)));
    let other_core = CoreSet::only(CoreId(2));
    assert_eq!(w.db.set_sharers(&mut w.m, unit, other_core, HOME), Err(ErrorKind::UnitNotZeroed));
    w.tear_down();
}

#[test]
fn a_unit_is_cut_where_no_capability_spans() {
    let mut w = with_memory();
    w.retype(slot(MEMORY), CapType::Frame, 0, 8 * P, 1, slot(A)).unwrap();
    w.retype(slot(MEMORY), CapType::Frame, 8 * P, 8 * P, 1, slot(A + 1)).unwrap();
    let at = page(RAM_PAGE + 8);
    let cut = |w: &mut World, at, busy| w.db.cut_unit(&mut w.m, slot(UNIT), at, slot(B), busy);
    assert_eq!(cut(&mut w, at, false), Err(ErrorKind::Overlap));
    w.delete(slot(MEMORY)).unwrap();
    assert_eq!(cut(&mut w, at + P, false), Err(ErrorKind::Overlap));
    assert_eq!(cut(&mut w, at + 1, false), Err(ErrorKind::Unaligned));
    assert_eq!(cut(&mut w, page(RAM_PAGE), false), Err(ErrorKind::OutOfRange));
    w.db.pin(&mut w.m, slot(A + 1), other(PIN), Ask::Send).unwrap();
    cut(&mut w, at, true).unwrap();
    w.check();
    assert_eq!((w.held(slot(UNIT)), w.held(slot(B))), (1, 2));
    assert_eq!(w.db.conclude(&mut w.m, slot(UNIT)), Err(ErrorKind::BadState));
    w.db.conclude(&mut w.m, slot(B)).unwrap();
    w.delete(slot(A)).unwrap();
    assert_eq!(w.db.pull_unit(&mut w.m, slot(RAM)), Ok((page(RAM_PAGE), 8 * P)));
    w.tear_down();
}

#[test]
fn what_comes_back_from_others_is_not_zero_whether_or_not_something_was_made_of_it() {
    let mut w = with_memory();
    let (unit, core) = (slot(UNIT), CoreId(2));
    w.delete(slot(MEMORY)).unwrap();
    w.db.pull_unit(&mut w.m, slot(RAM)).unwrap();
    let ram = |w: &mut World| w.retype(unit, CapType::Ram, 8 * P, P, 1, slot(A));
    let zero = |w: &mut World| while w.db.zero_unit(&mut w.m, unit).unwrap() == Progress::More {};
    zero(&mut w);
    // As a whole to another core, which sends a part.
    w.db.set_sharers(&mut w.m, unit, CoreSet::only(core), HOME).unwrap();
    w.db.set_sharers(&mut w.m, unit, CoreSet::only(core).with(HOME), HOME).unwrap();
    let part =
        Arrival { unit: (page(RAM_PAGE), 64 * P), home: HOME, ..arrival(CapType::Frame, page(RAM_PAGE), P) };
    deliver(&mut w, &part, B).unwrap();
    w.db.set_sharers(&mut w.m, unit, CoreSet::only(HOME), HOME).unwrap();
    assert_eq!(ram(&mut w), Err(ErrorKind::UnitNotZeroed));
    assert_eq!(w.db.zero_unit(&mut w.m, unit), Err(ErrorKind::UnitBusy));
    w.delete(slot(B)).unwrap();
    w.db.set_sharers(&mut w.m, unit, CoreSet::NONE, HOME).unwrap();
    w.db.pull_unit(&mut w.m, slot(RAM)).unwrap();
    zero(&mut w);
    // The monitor says it even if the kernel never knew of others.
    w.db.set_sharers(&mut w.m, unit, CoreSet::NONE, HOME).unwrap();
    assert_eq!(ram(&mut w), Err(ErrorKind::UnitNotZeroed));
    zero(&mut w);
    ram(&mut w).unwrap();
    w.db.set_sharers(&mut w.m, unit, CoreSet::NONE, HOME).unwrap();
    w.delete(slot(A)).unwrap();
    w.tear_down();
}

#[test]
fn a_mapping_can_be_filled_until_the_sweep_takes_it() {
    let mut w = with_address_space();
    let window = MapArgs { fill: false, ..frame_window(0, 2) };
    w.map(slot(A + 3), slot(B + 1), slot(B), window).unwrap();
    w.db.freeze(&mut w.m, slot(UNIT), &key(CapType::Frame, 8, 4), false).unwrap();
    let before = w.m.entries.len();
    Db::fill(&mut w.m, slot(B + 1), 1, 1).unwrap();
    w.check();
    assert_eq!(w.m.entries.len(), before + 1);
    assert_eq!(w.db.sweep(&mut w.m, slot(UNIT)), Ok(Progress::Done));
    assert_eq!(w.m.entries.len(), before);
    w.tear_down();
}

/// What the protocol learns of the deletion of 16 pages.
fn sweep(w: &mut World, first: u64) -> (bool, Option<ErrorKind>) {
    let (db, m, making) = (&mut w.db, &mut w.m, Making::Nothing);
    let mut view = UnitView { db, m, unit: slot(UNIT), making, budget: 100 * cost::DELETE, refused: None };
    let result = (view.sweep(key(CapType::Ram, first, 16), true), view.refused);
    w.check();
    result
}

#[test]
fn a_local_revocation_does_not_sweep_what_is_frozen_beside_it() {
    let mut w = with_memory();
    for (i, first) in [(0, 0), (1, 16)] {
        w.retype(slot(MEMORY), CapType::Ram, first * P, 16 * P, 1, slot(A + i)).unwrap();
        w.retype(slot(A + i), CapType::Frame, 0, P, 4, slot(B + 4 * i)).unwrap();
    }
    w.copy(slot(A + 1), slot(C), Rights::READ).unwrap();
    w.db.freeze(&mut w.m, slot(UNIT), &key(CapType::Ram, 0, 16), false).unwrap();
    assert_eq!(sweep(&mut w, 16), (true, None));
    assert_eq!(w.held(slot(UNIT)), 7, "all that is frozen, and two Rams");
    w.copy(slot(A + 1), slot(C), Rights::READ).unwrap();
    w.delete(slot(A + 1)).unwrap();
    assert_eq!(sweep(&mut w, 16), (false, Some(ErrorKind::MissingRight)));
    assert_eq!(sweep(&mut w, 0), (true, None));
    assert_eq!(w.held(slot(UNIT)), 2);
    w.tear_down();
}

#[test]
fn an_event_does_not_leave_its_dispatchers_core() {
    let mut w = with_memory();
    w.retype(slot(MEMORY), CapType::Dispatcher, 0, 0, 1, slot(A)).unwrap();
    w.retype(slot(A), CapType::Notify, 3, 0, 1, slot(B)).unwrap();
    w.retype(slot(A), CapType::EndPoint, 4, 0, 1, slot(C)).unwrap();
    for s in [A, B, C] {
        assert_eq!(w.db.pin(&mut w.m, slot(s), other(PIN), Ask::Send), Err(ErrorKind::WrongType));
    }
    // Nor does one come back.
    let (base, unit) = (page(RAM_PAGE), (page(RAM_PAGE), 64 * P));
    let event = Arrival { unit, home: HOME, ..arrival(CapType::Notify, base, P) };
    assert_eq!(deliver(&mut w, &event, C + 1), Err(ErrorKind::BadType));
}

/// A CNode in `A`, in its first slot a zeroed Unit of pages 64 to 80 and in `B` its Ram.
fn with_a_unit_in_a_cnode() -> (World, SlotRef) {
    let mut w = with_memory();
    w.retype(slot(MEMORY), CapType::L2CNode, 0, 0, 1, slot(A)).unwrap();
    let unit = SlotRef::at(w.get(slot(A)).base()).plus(1);
    w.retype(slot(RAM), CapType::Unit, 64 * P, 16 * P, 1, unit).unwrap();
    while w.db.zero_unit(&mut w.m, unit).unwrap() == Progress::More {}
    w.retype(unit, CapType::Ram, 0, 16 * P, 1, slot(B)).unwrap();
    (w, unit)
}

/// The Unit is still there although its CNode has died, its memory is not used again, and nobody waits.
fn check_parked(w: &mut World, unit: SlotRef) {
    w.delete(slot(A)).unwrap();
    assert_eq!((w.get(slot(A)).is_empty(), w.get(unit).cap_type()), (true, CapType::Unit));
    assert_eq!(w.retype(slot(RAM), CapType::Unit, 64 * P, 16 * P, 1, slot(C)), Err(ErrorKind::Overlap));
    assert_eq!(w.revoke(slot(MEMORY)), Err(ErrorKind::Pending));
    assert!(!w.db.has_zombies());
    // Other CNodes end.
    w.retype(slot(MEMORY), CapType::L2CNode, 8 * P, 0, 1, slot(C)).unwrap();
    w.delete(slot(C)).unwrap();
    w.retype(slot(MEMORY), CapType::Frame, 8 * P, P, 1, slot(C)).unwrap();
}

/// Nothing is left of the Unit, and its memory and its CNode's can be used.
fn check_ended(mut w: World) {
    w.reap();
    w.retype(slot(RAM), CapType::Unit, 64 * P, 16 * P, 1, slot(C + 1)).unwrap();
    w.retype(slot(MEMORY), CapType::Frame, 0, P, 1, slot(C + 2)).unwrap();
    w.tear_down();
}

#[test]
fn a_cnode_does_not_take_a_unit_along_that_others_share() {
    let (mut w, unit) = with_a_unit_in_a_cnode();
    w.db.set_sharers(&mut w.m, unit, CoreSet::only(HOME).with(CoreId(2)), HOME).unwrap();
    check_parked(&mut w, unit);
    // Fewer is not none.
    w.db.set_sharers(&mut w.m, unit, CoreSet::only(CoreId(2)), HOME).unwrap();
    w.reap();
    assert_eq!(w.get(unit).cap_type(), CapType::Unit);
    w.db.set_sharers(&mut w.m, unit, CoreSet::NONE, HOME).unwrap();
    check_ended(w);
}

#[test]
fn neither_a_cnode_nor_a_root_takes_a_unit_along_that_is_asked_about() {
    let (mut w, unit) = with_a_unit_in_a_cnode();
    w.db.pin(&mut w.m, slot(B), other(PIN), Ask::Send).unwrap();
    check_parked(&mut w, unit);
    w.delete(slot(MEMORY)).unwrap();
    w.delete(slot(C)).unwrap();
    w.db.conclude(&mut w.m, unit).unwrap();
    w.reap();
    assert!(w.get(unit).is_empty() && w.get(other(PIN)).is_empty() && w.get(slot(B)).is_empty());
    w.tear_down();

    let mut w = with_memory();
    w.db.pin(&mut w.m, slot(MEMORY), other(PIN), Ask::Send).unwrap();
    assert_eq!(w.revoke(slot(RAM)), Err(ErrorKind::Pending));
    w.db.conclude(&mut w.m, slot(UNIT)).unwrap();
    w.tear_down();
}

#[test]
fn neither_a_cnode_nor_a_root_takes_a_unit_along_that_is_frozen() {
    let (mut w, unit) = with_a_unit_in_a_cnode();
    let top = Key::of(w.get(slot(B)));
    w.db.freeze(&mut w.m, unit, &top, false).unwrap();
    check_parked(&mut w, unit);
    assert_eq!(w.db.sweep(&mut w.m, unit), Ok(Progress::Done));
    check_ended(w);

    let mut w = with_memory();
    w.db.freeze(&mut w.m, slot(UNIT), &key(CapType::Ram, 8, 4), false).unwrap();
    assert_eq!(w.revoke(slot(RAM)), Err(ErrorKind::Pending));
    assert_eq!(w.db.sweep(&mut w.m, slot(UNIT)), Ok(Progress::Done));
    w.tear_down();
}

#[test]
fn a_sweep_does_not_wait_for_its_own_unit() {
    let mut w = with_memory();
    w.retype(slot(MEMORY), CapType::Dispatcher, 32 * P, 0, 1, slot(A)).unwrap();
    w.retype(slot(A), CapType::Notify, 3, 0, 2, slot(B)).unwrap();
    w.retype(slot(MEMORY), CapType::Frame, 40 * P, P, 4, slot(C)).unwrap();
    w.delete(slot(MEMORY)).unwrap();
    // What is left behind comes into an object over itself.
    let unit = SlotRef::at(page(RAM_PAGE + 32)).plus(1);
    w.trim(slot(UNIT), 8, 8, unit).unwrap();
    w.db.freeze(&mut w.m, unit, &key(CapType::Ram, 16, 48), false).unwrap();
    while w.db.sweep_within(&mut w.m, unit, cost::DELETE).unwrap() == Progress::More {
        w.check();
    }
    w.check();
    // Now that it is settled it goes, and the dispatcher after it.
    w.reap();
    assert!(w.get(unit).is_empty());
    w.retype(slot(RAM), CapType::Unit, 16 * P, 48 * P, 1, slot(C)).unwrap();
    w.tear_down();
}

/// Units in CNodes that die, in whatever state and order: those that are not settled stay, and all end in the end.
#[test]
fn units_that_are_not_settled_outlive_everything() {
    for seed in 0..if cfg!(debug_assertions) { 12 } else { 300 } {
        let d = &mut Dice(seed);
        let mut w = with_memory();
        let cnode = |i: u64| slot(A + i as u32);
        let inside = |i: u64, n: u64| SlotRef::at(page(RAM_PAGE + 4 * i)).plus(1 + n as u32);
        for i in 0..6 {
            // In each other, or where the test finds them.
            let dst = if i > 0 && d.one_in(2) { inside(d.below(i), 8 + i) } else { cnode(i) };
            w.retype(slot(MEMORY), CapType::L2CNode, i * 4 * P, 0, 1, dst).unwrap();
        }
        let mut units = Vec::new();
        for i in 0..12 {
            let unit = inside(d.below(6), i % 8);
            if w.retype(slot(RAM), CapType::Unit, (64 + 2 * i) * P, 2 * P, 1, unit).is_ok() {
                while w.db.zero_unit(&mut w.m, unit).unwrap() == Progress::More {}
                units.push(unit);
                let _ = w.retype(unit, CapType::Ram, 0, 2 * P, 1, slot(C + i as u32));
            }
        }
        for _ in 0..80 {
            let unit = d.pick(&units);
            let held_up: Vec<SlotRef> =
                units.iter().copied().filter(|u| w.db.holds_up(w.get(*u)).is_err()).collect();
            let live = w.db.unit(&w.m, unit).is_ok();
            let budget = cost::DELETE * (1 + d.below(6) as u32);
            let settled = match d.below(10) {
                0 | 1 if live => {
                    let sharers = d.pick(&[CoreSet::NONE, CoreSet::only(HOME), CoreSet::only(CoreId(1))]);
                    let _ = w.db.set_sharers(&mut w.m, unit, sharers, HOME);
                    true
                }
                2 if live && w.get(unit).aux32 & BUSY != 0 => w.db.conclude(&mut w.m, unit).is_ok(),
                2 if live => {
                    w.db.set_busy(&mut w.m, unit, true);
                    false
                }
                3 if live && !w.get(unit).is(Flags::FROZEN) => {
                    let top = Key::new(CapType::Ram, w.get(unit).base, 2 * P, 0);
                    let _ = w.db.freeze(&mut w.m, unit, &top, false);
                    false
                }
                3 | 4 if live => w.db.sweep_within(&mut w.m, unit, budget).is_ok(),
                5 | 6 => {
                    let _ = w.db.delete_within(&mut w.m, cnode(d.below(6)), budget);
                    false
                }
                7 => {
                    let _ = w.db.revoke_within(&mut w.m, d.pick(&[slot(RAM), slot(MEMORY)]), budget);
                    false
                }
                _ => {
                    let _ = w.db.step(&mut w.m, budget);
                    false
                }
            };
            w.check();
            for u in held_up {
                assert!(
                    settled && u == unit || w.db.unit(&w.m, u).is_ok(),
                    "a unit that is not settled has gone"
                );
            }
        }
        for unit in units {
            if w.db.unit(&w.m, unit).is_ok() {
                w.db.set_sharers(&mut w.m, unit, CoreSet::NONE, HOME).unwrap();
                while w.db.sweep(&mut w.m, unit) == Ok(Progress::More) {}
                let _ = w.db.conclude(&mut w.m, unit);
            }
            w.check();
        }
        w.reap();
        assert_eq!(w.db.parked, 0);
        w.tear_down();
    }
}
