//! What can be made of what, and units of memory.

use abi::{CapType, ErrorKind, PAGE_SIZE, Rights};

use super::scenes::{A, B, C, MEMORY, UNIT, with_memory};
use super::world::{ID, IRQ, PHYS, RAM, RAM_PAGE, World, page, slot};
use crate::Progress;

#[test]
fn retype_carves_without_overlap() {
    let mut w = with_memory();
    let p = PAGE_SIZE;
    let frame = |w: &mut World, offset, size, count, dst| {
        w.retype(slot(MEMORY), CapType::Frame, offset, size, count, slot(dst))
    };
    frame(&mut w, 4 * p, 2 * p, 3, A).unwrap();
    assert_eq!(w.get(slot(A + 2)).base(), page(RAM_PAGE + 8));
    assert_eq!(w.held(slot(UNIT)), 4);
    for (offset, size) in [(0, 5), (4, 1), (9, 1), (9, 8), (0, 64), (5, 1)] {
        let result = frame(&mut w, offset * p, size * p, 1, B);
        assert_eq!(result, Err(ErrorKind::Overlap), "{offset} {size}");
    }
    frame(&mut w, 0, 4 * p, 1, B).unwrap();
    frame(&mut w, 10 * p, 54 * p, 1, B + 1).unwrap();
    // A hole between grandchildren still lies inside the child.
    w.retype(slot(B + 1), CapType::Frame, 8 * p, p, 1, slot(C)).unwrap();
    assert_eq!(frame(&mut w, 30 * p, p, 1, C + 1), Err(ErrorKind::Overlap));
    w.delete(slot(B + 1)).unwrap();
    assert_eq!(frame(&mut w, 18 * p, p, 1, C + 1), Err(ErrorKind::Overlap));
    frame(&mut w, 30 * p, p, 1, C + 1).unwrap();
    w.tear_down();
}

#[test]
fn retype_refuses_bad_numbers() {
    let mut w = with_memory();
    let mut try_it =
        |ty, offset, size, count| w.retype(slot(MEMORY), ty, offset, size, count, slot(A)).unwrap_err();
    use CapType::*;
    let p = PAGE_SIZE;
    assert_eq!(try_it(Frame, 0, p, 0), ErrorKind::BadCount);
    assert_eq!(try_it(Frame, 0, p, 65), ErrorKind::BadCount);
    assert_eq!(try_it(L2CNode, 0, 0, 17), ErrorKind::BadCount);
    assert_eq!(try_it(Frame, 1, p, 1), ErrorKind::Unaligned);
    assert_eq!(try_it(Frame, 0, p + 1, 1), ErrorKind::Unaligned);
    assert_eq!(try_it(Frame, 0, 0, 1), ErrorKind::BadSize);
    assert_eq!(try_it(L2CNode, 0, p, 1), ErrorKind::BadSize);
    assert_eq!(try_it(L1CNode, 0, 3 * p, 1), ErrorKind::BadSize);
    assert_eq!(try_it(Dispatcher, 0, 128 * 1024, 1), ErrorKind::BadSize);
    assert_eq!(try_it(Ram, 0, 64 * p, 1), ErrorKind::BadSize);
    assert_eq!(try_it(Frame, 60 * p, p, 5), ErrorKind::OutOfRange);
    assert_eq!(try_it(Frame, u64::MAX - 0xfff, p, 1), ErrorKind::OutOfRange);
    assert_eq!(try_it(Frame, 0, 1 << 60, 64), ErrorKind::OutOfRange);
    assert_eq!(try_it(Frame, p, u64::MAX - 0xfff, 1), ErrorKind::OutOfRange);
    assert_eq!(try_it(Null, 0, p, 1), ErrorKind::BadType);
    assert_eq!(try_it(Kernel, 0, p, 1), ErrorKind::BadType);
    assert_eq!(try_it(Mapping, 0, p, 1), ErrorKind::BadType);
    assert_eq!(try_it(Unit, 0, p, 1), ErrorKind::IllegalRetype);
    assert_eq!(try_it(DevFrame, 0, p, 1), ErrorKind::IllegalRetype);
    assert_eq!(try_it(EndPoint, 0, 0, 1), ErrorKind::IllegalRetype);
}

#[test]
fn retype_fills_all_its_slots_or_none() {
    let mut w = with_memory();
    w.copy(slot(ID), slot(A + 3), Rights::ALL).unwrap();
    let before = w.db.count();
    let result = w.retype(slot(MEMORY), CapType::Frame, 0, PAGE_SIZE, 4, slot(A));
    assert_eq!(result, Err(ErrorKind::SlotOccupied));
    assert_eq!(w.db.count(), before);
    w.retype(slot(MEMORY), CapType::Frame, 0, PAGE_SIZE, 3, slot(A)).unwrap();
}

#[test]
fn the_type_table_is_the_legal_one() {
    use CapType::*;
    let legal: &[(CapType, bool, &[CapType])] = &[
        (PhysAddr, false, &[PhysAddr, DevFrame]),
        (Ram, true, &[Ram, Unit]),
        (Ram, false, &[Ram, Frame, L1CNode, L2CNode, VNodeL0, VNodeL1, VNodeL2, VNodeL3, Dispatcher]),
        (Unit, false, &[Ram]),
        (Frame, false, &[Frame]),
        (DevFrame, false, &[DevFrame]),
        (Dispatcher, false, &[EndPoint, Notify]),
        (IrqSource, false, &[IrqSource]),
        (Id, false, &[Id]),
    ];
    for from in CapType::ALL {
        for root in [false, true] {
            if root && from != Ram {
                continue;
            }
            for to in CapType::ALL {
                let expected = legal.iter().any(|(f, r, tos)| *f == from && *r == root && tos.contains(&to));
                assert_eq!(crate::types::row(from, root).makes(to), expected, "{from:?} {root} {to:?}");
            }
        }
    }
}

#[test]
fn rights_pass_on_and_objects_need_write() {
    let mut w = with_memory();
    w.copy(slot(MEMORY), slot(A), Rights::READ.or(Rights::REVOKE)).unwrap();
    w.retype(slot(A), CapType::Frame, 0, PAGE_SIZE, 1, slot(A + 1)).unwrap();
    assert_eq!(w.get(slot(A + 1)).rights(), Rights::READ.or(Rights::REVOKE));
    let result = w.retype(slot(A), CapType::Dispatcher, PAGE_SIZE, 0, 1, slot(A + 2));
    assert_eq!(result, Err(ErrorKind::MissingRight));
    w.copy(slot(MEMORY), slot(B), Rights::WRITE).unwrap();
    w.retype(slot(B), CapType::Dispatcher, PAGE_SIZE, 0, 1, slot(A + 2)).unwrap();
    assert_eq!(w.get(slot(A + 2)).rights(), Rights::from_bits(7));
    w.copy(slot(A + 2), slot(A + 3), Rights::READ).unwrap();
    let result = w.retype(slot(A + 3), CapType::EndPoint, 1, 0, 1, slot(B + 1));
    assert_eq!(result, Err(ErrorKind::MissingRight));
    w.tear_down();
}

#[test]
fn an_endpoint_is_its_makers_to_revoke_though_the_dispatcher_is_not() {
    let mut w = with_memory();
    w.retype(slot(MEMORY), CapType::Dispatcher, 0, 0, 1, slot(A)).unwrap();
    w.copy(slot(A), slot(B), Rights::READ.or(Rights::WRITE)).unwrap();
    let mut make =
        |from, index, dst| w.retype(slot(from), CapType::EndPoint, index, 0, 1, slot(dst)).unwrap();
    make(B, 0, C);
    make(A, 1, C + 1);
    // What somebody else has made is not.
    make(B, 1, C + 2);
    make(A, 0, C + 3);
    let rights = [0, 1, 2, 3].map(|index| w.get(slot(C + index)).rights().bits());
    assert_eq!(rights, [11, 11, 3, 11]);
    assert_eq!(w.revoke(slot(B)), Err(ErrorKind::MissingRight));
    assert_eq!(w.revoke(slot(C + 2)), Err(ErrorKind::MissingRight));
    assert!(w.revoke(slot(C)).is_ok());
    assert!(w.get(slot(C + 3)).is_empty() && !w.get(slot(C + 1)).is_empty());
    w.tear_down();
}

#[test]
fn kernel_objects_are_zeroed_when_made_and_when_they_end() {
    let mut w = with_memory();
    let (base, size) = (page(RAM_PAGE), 8192);
    w.retype(slot(MEMORY), CapType::Frame, 0, size, 1, slot(A)).unwrap();
    w.m.write_page(base + PAGE_SIZE);
    w.delete(slot(A)).unwrap();
    assert!(!w.m.is_zero(base, size));
    w.retype(slot(MEMORY), CapType::Dispatcher, 0, size, 1, slot(A)).unwrap();
    assert!(w.m.is_zero(base, size));
    w.m.write_page(base);
    w.delete(slot(A)).unwrap();
    assert!(w.m.is_zero(base, size));
    w.retype(slot(MEMORY), CapType::Frame, 0, 4 * PAGE_SIZE, 1, slot(A)).unwrap();
    (0..4).for_each(|i| w.m.write_page(base + i * PAGE_SIZE));
    w.delete(slot(A)).unwrap();
    w.retype(slot(MEMORY), CapType::VNodeL3, 0, 0, 4, slot(A)).unwrap();
    assert!(w.m.is_zero(base, 4 * PAGE_SIZE), "all of those that one call makes");
}

#[test]
fn events_are_made_by_index_and_kinds_do_not_mix() {
    let mut w = with_memory();
    w.retype(slot(MEMORY), CapType::Dispatcher, 0, 0, 1, slot(A)).unwrap();
    let events = abi::cap::dispatcher_events(4096);
    let mut make = |ty, index, count, dst| w.retype(slot(A), ty, index, 0, count, slot(dst));
    make(CapType::EndPoint, 3, 2, B).unwrap();
    make(CapType::Notify, 5, 1, B + 2).unwrap();
    assert_eq!(make(CapType::Notify, 4, 1, C), Err(ErrorKind::BadEvent));
    assert_eq!(make(CapType::EndPoint, 4, 2, C), Err(ErrorKind::BadEvent));
    assert_eq!(make(CapType::EndPoint, events, 1, C), Err(ErrorKind::BadEvent));
    assert_eq!(make(CapType::EndPoint, u64::MAX, 2, C), Err(ErrorKind::BadEvent));
    assert_eq!(make(CapType::EndPoint, events - 1, 1, C), Ok(()));
    // The same again is a copy.
    assert_eq!(make(CapType::EndPoint, 3, 1, C + 1), Ok(()));
    let sized = w.retype(slot(A), CapType::EndPoint, 9, 8, 1, slot(C + 2));
    assert_eq!(sized, Err(ErrorKind::BadSize));
    assert_eq!(w.get(slot(C + 1)).index(), 3);
    let result = w.db.delete(&mut w.m, slot(B));
    assert_eq!((result, w.m.ended_events.len()), (Ok(Progress::Done), 0));
    let result = w.db.delete(&mut w.m, slot(C + 1));
    assert_eq!((result, w.m.ended_events[0]), (Ok(Progress::Done), (page(RAM_PAGE), 3)));
    w.check();
    w.tear_down();
}

#[test]
fn ranges_of_numbers_narrow() {
    let mut w = World::new();
    w.retype(slot(IRQ), CapType::IrqSource, 1, 1, 2, slot(A)).unwrap();
    assert_eq!((w.get(slot(A + 1)).base(), w.get(slot(A + 1)).size()), (34, 1));
    assert_eq!(w.retype(slot(IRQ), CapType::IrqSource, 0, 2, 1, slot(B)), Err(ErrorKind::Overlap));
    assert_eq!(w.retype(slot(A), CapType::IrqSource, 0, 1, 1, slot(B)), Err(ErrorKind::BadSize));
    w.retype(slot(ID), CapType::Id, 999, 1, 1, slot(B)).unwrap();
    assert_eq!(w.retype(slot(ID), CapType::Id, 999, 2, 1, slot(C)), Err(ErrorKind::OutOfRange));
    let _ = w.db.delete(&mut w.m, slot(A)).unwrap();
    assert_eq!(w.m.ended_interrupts, [(33, 1)]);
    w.check();
    w.tear_down();
}

#[test]
fn a_unit_is_retyped_once_it_is_zero_and_comes_back_when_all_is_gone() {
    let mut w = World::new();
    let size = 40 * PAGE_SIZE;
    w.m.write_page(page(RAM_PAGE + 39));
    w.retype(slot(RAM), CapType::Unit, 0, size, 1, slot(UNIT)).unwrap();
    let ram = |w: &mut World| w.retype(slot(UNIT), CapType::Ram, 0, size, 1, slot(A));
    assert_eq!(w.db.zero_unit(&mut w.m, slot(UNIT)), Ok(Progress::More));
    assert_eq!(ram(&mut w), Err(ErrorKind::UnitNotZeroed));
    assert_eq!(w.db.zero_unit(&mut w.m, slot(UNIT)), Ok(Progress::More));
    assert_eq!(w.db.zero_unit(&mut w.m, slot(UNIT)), Ok(Progress::Done));
    assert!(w.m.is_zero(page(RAM_PAGE), size));
    ram(&mut w).unwrap();
    assert_eq!(w.db.zero_unit(&mut w.m, slot(UNIT)), Ok(Progress::Done), "zeroes nothing in use");
    assert_eq!(w.retype(slot(RAM), CapType::Unit, 0, size, 1, slot(C)), Err(ErrorKind::Overlap));
    assert_eq!(w.delete(slot(UNIT)), Err(ErrorKind::UnitBusy));
    assert_eq!(w.db.pull_unit(&mut w.m, slot(RAM)), Err(ErrorKind::Nothing));
    w.copy(slot(A), slot(B), Rights::ALL).unwrap();
    w.delete(slot(A)).unwrap();
    assert_eq!(w.m.empty_units, 0);
    w.delete(slot(B)).unwrap();
    assert_eq!(w.m.empty_units, 1);
    assert_eq!(w.db.pull_unit(&mut w.m, slot(A)), Err(ErrorKind::EmptySlot));
    assert_eq!(w.db.pull_unit(&mut w.m, slot(PHYS)), Err(ErrorKind::WrongType));
    assert!(w.db.has_empty_units());
    assert_eq!(w.db.pull_unit(&mut w.m, slot(RAM)), Ok((page(RAM_PAGE), size)));
    assert!(!w.db.has_empty_units());
    assert_eq!(w.db.pull_unit(&mut w.m, slot(RAM)), Err(ErrorKind::Nothing));
    assert_eq!(ram(&mut w), Err(ErrorKind::UnitNotZeroed), "another user's data is still there");
    w.delete(slot(UNIT)).unwrap();
    w.retype(slot(RAM), CapType::Unit, 0, size, 1, slot(C)).unwrap();
    w.tear_down();
}

#[test]
fn a_listed_unit_that_is_used_again_is_not_pulled() {
    let mut w = World::new();
    for i in 0..3 {
        let unit = slot(A + 2 * i);
        w.unit(u64::from(i) * 8, 8, unit);
        w.delete(unit.plus(1)).unwrap();
    }
    while w.db.zero_unit(&mut w.m, slot(A + 2)).unwrap() == Progress::More {}
    w.retype(slot(A + 2), CapType::Ram, 0, PAGE_SIZE, 1, slot(B)).unwrap();
    w.delete(slot(A)).unwrap();
    let size = 8 * PAGE_SIZE;
    assert_eq!(w.db.pull_unit(&mut w.m, slot(RAM)), Ok((page(RAM_PAGE + 16), size)));
    assert_eq!(w.db.pull_unit(&mut w.m, slot(RAM)), Err(ErrorKind::Nothing));
    w.check();
}

#[test]
fn address_space_identifiers_run_out_cleanly() {
    let mut w = with_memory();
    let make = |w: &mut World, page: u64, count, dst| {
        w.retype(slot(MEMORY), CapType::VNodeL0, page * PAGE_SIZE, 0, count, slot(dst))
    };
    make(&mut w, 0, 3, A).unwrap();
    assert_eq!(make(&mut w, 3, 2, B), Err(ErrorKind::NoAsid));
    assert_eq!(w.m.asids.len(), 3);
    make(&mut w, 3, 1, B).unwrap();
    w.delete(slot(A + 1)).unwrap();
    make(&mut w, 4, 1, B + 1).unwrap();
}
