//! Each operation, each error.

use abi::{CapAddr, CapType, ErrorKind, PAGE_SIZE, Rights};

use super::world::{
    DEVICES, FREE, ID, IRQ, KERNEL, L1, L2A, MODULE, PAGES, PHYS, RAM, RAM_PAGE, World, other, page, slot,
};
use crate::machine::Machine;
use crate::slot::{Flags, SlotRef};
use crate::{BUDGET, CNode, Db, MapArgs, Progress, Root, cost};

const UNIT: u32 = FREE;
const MEMORY: u32 = FREE + 1;
const A: u32 = 20;
const B: u32 = 30;
const C: u32 = 40;

/// A world with a unit of 64 pages and its Ram in `slot(MEMORY)`.
fn with_memory() -> World {
    let mut w = World::new();
    w.unit(0, 64, slot(UNIT));
    w
}

fn frame_window(first: u64, count: u64) -> MapArgs {
    let rights = Rights::READ.or(Rights::WRITE);
    MapArgs { offset: 0, first, count, rights, fill: true }
}

/// An address space from page 0 of the memory on: VNodes in `A` to `A + 3`, their mappings in `A + 4` to `A + 6`.
fn with_address_space() -> World {
    use CapType::{VNodeL0, VNodeL1, VNodeL2, VNodeL3};
    let mut w = with_memory();
    for (i, ty) in [VNodeL0, VNodeL1, VNodeL2, VNodeL3].into_iter().enumerate() {
        let i = i as u32;
        w.retype(slot(MEMORY), ty, u64::from(i) * PAGE_SIZE, 0, 1, slot(A + i)).unwrap();
        if i > 0 {
            w.map(slot(A + i - 1), slot(A + 3 + i), slot(A + i), frame_window(1, 1)).unwrap();
        }
    }
    w.retype(slot(MEMORY), CapType::Frame, 8 * PAGE_SIZE, 4 * PAGE_SIZE, 1, slot(B)).unwrap();
    w
}

/// The virtual address of entry 1 of each level above the last, and `entry` of the last.
fn va(entry: u64) -> u64 {
    (1 << 39) + (1 << 30) + (1 << 21) + entry * PAGE_SIZE
}

#[test]
fn addresses_lead_to_slots_and_wrong_ones_are_told_apart() {
    let w = World::new();
    let root = CNode::of(w.get(slot(L1))).unwrap();
    let look = |l1, s| Db::lookup(&w.m, root, CapAddr::new(l1, s));
    assert_eq!(look(0, u64::from(RAM)), Ok(slot(RAM)));
    assert_eq!(look(1, 1), Err(ErrorKind::EmptySlot));
    assert_eq!(Db::slot_at(&w.m, root, CapAddr::new(1, 1)), Ok(other(1)));
    assert_eq!(look(0, 0), Err(ErrorKind::BadSlot));
    assert_eq!(look(2, 1), Err(ErrorKind::NoCNode));
    // The last slot of a root CNode is the kernel's own.
    assert_eq!(look(62, 1), Err(ErrorKind::NoCNode));
    assert_eq!(look(63, 1), Err(ErrorKind::AddressOutOfRange));
    assert_eq!(look(u64::MAX >> 8, 1), Err(ErrorKind::AddressOutOfRange));
    assert_eq!(CNode::of(w.get(slot(L2A))), None);
}

#[test]
fn destinations_are_named_by_cnode_and_slot() {
    let mut w = World::new();
    let root = CNode::of(w.get(slot(L1))).unwrap();
    w.copy(slot(L2A), slot(A), Rights::READ).unwrap();
    let at = |cnode: CapAddr, s, count, ty| Db::destination(&w.m, root, cnode, s, count, ty);
    let addr = |index: u32| CapAddr::new(0, u64::from(index));
    let (l1, l2) = (addr(L1), addr(L2A));
    let frame = CapType::Frame;
    assert_eq!(at(CapAddr::NULL, addr(B).0, 1, frame), Ok(slot(B)));
    assert_eq!(at(CapAddr::NULL, addr(192).0, 64, frame), Ok(slot(192)));
    assert_eq!(at(CapAddr::NULL, addr(193).0, 64, frame), Err(ErrorKind::BadSlot));
    assert_eq!(at(l2, 255, 1, frame), Ok(slot(255)));
    for (s, count) in [(0, 1), (256, 1), (255, 2), (u64::MAX, 1), (1, u32::MAX)] {
        assert_eq!(at(l2, s, count, frame), Err(ErrorKind::BadSlot), "{s} {count}");
    }
    assert_eq!(at(l1, 0, 63, CapType::L2CNode), Ok(SlotRef::at(page(0))));
    assert_eq!(at(l1, 63, 1, CapType::L2CNode), Err(ErrorKind::BadSlot));
    assert_eq!(at(l1, 5, 1, frame), Err(ErrorKind::WrongType));
    assert_eq!(at(addr(RAM), 1, 1, frame), Err(ErrorKind::WrongType));
    assert_eq!(at(addr(A), 1, 1, frame), Err(ErrorKind::MissingRight));
    assert_eq!(at(addr(C), 1, 1, frame), Err(ErrorKind::EmptySlot));
}

#[test]
fn copies_share_everything_but_rights() {
    let mut w = with_memory();
    let before = w.db.count();
    w.copy(slot(MEMORY), slot(A), Rights::READ.or(Rights::REVOKE)).unwrap();
    w.copy(slot(A), slot(B), Rights::ALL).unwrap();
    assert_eq!(w.db.count(), before + 2);
    assert_eq!(w.get(slot(B)).rights(), Rights::READ.or(Rights::REVOKE));
    assert_eq!(w.get(slot(B)).base(), w.get(slot(MEMORY)).base());
    assert_eq!(w.get(slot(UNIT)).held(), 3);
    assert_eq!(w.copy(slot(A), slot(B), Rights::ALL), Err(ErrorKind::SlotOccupied));
    assert_eq!(w.copy(slot(C), slot(C + 1), Rights::ALL), Err(ErrorKind::EmptySlot));
    for unique in [UNIT, KERNEL] {
        assert_eq!(w.copy(slot(unique), slot(C), Rights::ALL), Err(ErrorKind::NotCopyable));
    }
    w.tear_down();
}

#[test]
fn boot_capabilities_may_not_overlap_nor_be_nonsense() {
    let mut w = World::new();
    let mut root = |ty, base, size| {
        let root = Root { ty, rights: Rights::ALL, base, size };
        w.db.insert_root(&mut w.m, slot(A), &root)
    };
    use CapType::*;
    assert_eq!(root(Ram, page(PAGES - 1), PAGE_SIZE), Err(ErrorKind::Overlap));
    assert_eq!(root(Ram, page(PAGES - 1), 2 * PAGE_SIZE), Err(ErrorKind::Overlap));
    assert_eq!(root(Frame, page(RAM_PAGE - 1), 2 * PAGE_SIZE), Err(ErrorKind::Overlap));
    assert_eq!(root(PhysAddr, 0, 1 << 40), Err(ErrorKind::Overlap));
    assert_eq!(root(Ram, 1 << 37, (1 << 37) + PAGE_SIZE), Err(ErrorKind::OutOfRange));
    assert_eq!(root(Frame, 1 << 43, u64::MAX - 0xfff), Err(ErrorKind::OutOfRange));
    assert_eq!(root(Ram, 100, PAGE_SIZE), Err(ErrorKind::Unaligned));
    assert_eq!(root(Ram, 0, 0), Err(ErrorKind::BadSize));
    assert_eq!(root(Kernel, 1, 2), Err(ErrorKind::BadSize));
    for ty in [Null, Unit, Mapping, EndPoint, Notify] {
        assert_eq!(root(ty, 0, PAGE_SIZE), Err(ErrorKind::BadType));
    }
    assert_eq!(root(Id, 1000, 10), Ok(()));
    assert_eq!(root(Id, 2000, 10), Err(ErrorKind::SlotOccupied));
    w.check();
}

#[test]
fn retype_carves_without_overlap() {
    let mut w = with_memory();
    let p = PAGE_SIZE;
    let frame = |w: &mut World, offset, size, count, dst| {
        w.retype(slot(MEMORY), CapType::Frame, offset, size, count, slot(dst))
    };
    frame(&mut w, 4 * p, 2 * p, 3, A).unwrap();
    assert_eq!(w.get(slot(A + 2)).base(), page(RAM_PAGE + 8));
    assert_eq!(w.get(slot(A + 2)).unit(), slot(UNIT));
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
    assert_eq!(w.db.pull_unit(&mut w.m, slot(RAM)), Ok((page(RAM_PAGE), size)));
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
fn mappings_fill_clear_protect() {
    let mut w = with_address_space();
    let args = MapArgs { offset: PAGE_SIZE, fill: false, ..frame_window(7, 3) };
    w.map(slot(A + 3), slot(C), slot(B), args).unwrap();
    let (root, table) = (page(RAM_PAGE), page(RAM_PAGE + 3));
    assert_eq!(w.m.walk(root, va(7)), None, "created empty");
    Db::fill(&mut w.m, slot(C), 1, 2).unwrap();
    assert_eq!(w.m.walk(root, va(7)), None);
    assert_eq!(w.m.walk(root, va(9)).unwrap().entry.target, page(RAM_PAGE + 8 + 3));
    let asid = w.m.asids[0];
    w.m.touch(asid, root, va(8));
    w.m.touch(asid, root, va(9));
    Db::clear_window(&mut w.m, slot(C), 1, 1).unwrap();
    assert_eq!(w.m.tlb.len(), 1);
    w.check();
    Db::protect(&mut w.m, slot(C), Rights::READ).unwrap();
    assert!(w.m.tlb.is_empty());
    assert_eq!(w.m.entries[&(table, 9)].rights, Rights::READ);
    Db::protect(&mut w.m, slot(C), Rights::READ.or(Rights::WRITE)).unwrap();
    w.check();
    for (first, count) in [(0, 0), (0, 4), (3, 1), (u64::MAX, 2), (1, u64::MAX)] {
        assert_eq!(Db::fill(&mut w.m, slot(C), first, count), Err(ErrorKind::BadWindow));
    }
    assert_eq!(Db::fill(&mut w.m, slot(B), 0, 1), Err(ErrorKind::WrongType));
    assert_eq!(Db::protect(&mut w.m, slot(A + 4), Rights::READ), Err(ErrorKind::WrongType));
    let none = Db::protect(&mut w.m, slot(C), Rights::NONE);
    assert_eq!(none, Err(ErrorKind::WriteAndExecute));
    let more = Db::protect(&mut w.m, slot(C), Rights::EXECUTE);
    assert_eq!(more, Err(ErrorKind::MissingRight), "the mapping was made with less");
    w.tear_down();
}

#[test]
fn map_refuses_what_cannot_be() {
    let mut w = with_address_space();
    w.retype(slot(MEMORY), CapType::VNodeL3, 4 * PAGE_SIZE, 0, 2, slot(C)).unwrap();
    w.copy(slot(B), slot(B + 1), Rights::READ).unwrap();
    w.copy(slot(A + 3), slot(B + 2), Rights::READ).unwrap();
    let mut map = |v: u32, t: u32, a: MapArgs| w.map(slot(v), slot(B + 5), slot(t), a).unwrap_err();
    let ok = frame_window(5, 2);
    let (leaf, frame) = (A + 3, B);
    assert_eq!(map(B, frame, ok), ErrorKind::WrongType);
    assert_eq!(map(leaf, MEMORY, ok), ErrorKind::WrongType);
    assert_eq!(map(leaf, FREE + 5, ok), ErrorKind::EmptySlot);
    assert_eq!(map(B + 2, frame, ok), ErrorKind::MissingRight);
    assert_eq!(map(leaf, B + 1, ok), ErrorKind::MissingRight);
    assert_eq!(map(A + 1, frame, ok), ErrorKind::WrongLevel);
    assert_eq!(map(A + 1, C, frame_window(5, 1)), ErrorKind::WrongLevel);
    assert_eq!(map(A + 2, C, frame_window(5, 2)), ErrorKind::BadWindow);
    assert_eq!(map(A + 2, C, MapArgs { offset: 4096, ..frame_window(5, 1) }), ErrorKind::OutOfRange);
    for (first, count) in [(511, 2), (0, 0), (512, 1), (u64::MAX, 1), (0, 513), (0, u64::MAX)] {
        let args = MapArgs { first, count, ..ok };
        assert_eq!(map(leaf, frame, args), ErrorKind::BadWindow, "{first} {count}");
    }
    let wx = Rights::WRITE.or(Rights::EXECUTE);
    assert_eq!(map(leaf, frame, MapArgs { rights: wx, ..ok }), ErrorKind::WriteAndExecute);
    for rights in [Rights::REVOKE, Rights::NONE, Rights::WRITE, Rights::EXECUTE] {
        assert_eq!(map(leaf, frame, MapArgs { rights, ..ok }), ErrorKind::WriteAndExecute);
    }
    assert_eq!(map(leaf, frame, MapArgs { offset: 3 * PAGE_SIZE, ..ok }), ErrorKind::OutOfRange);
    assert_eq!(map(leaf, frame, MapArgs { offset: u64::MAX - 4095, ..ok }), ErrorKind::OutOfRange);
    assert_eq!(map(leaf, frame, MapArgs { offset: 1, ..ok }), ErrorKind::Unaligned);
    assert_eq!(map(A + 2, frame, frame_window(5, 1)), ErrorKind::OutOfRange, "2 MiB entries");
    assert_eq!(map(C, frame, ok), ErrorKind::NotInstalled);
    assert_eq!(map(A + 2, A + 3, frame_window(9, 1)), ErrorKind::AlreadyInstalled);
    assert_eq!(map(A + 2, C, frame_window(1, 1)), ErrorKind::WindowTaken);
}

#[test]
fn windows_of_a_vnode_do_not_overlap() {
    let mut w = with_address_space();
    w.map(slot(A + 3), slot(C), slot(B), frame_window(10, 4)).unwrap();
    for (first, count, fits) in [(6, 4, true), (13, 1, false), (9, 1, false), (14, 4, true), (5, 2, false)] {
        let result = w.map(slot(A + 3), slot(C + first as u32), slot(B), frame_window(first, count));
        assert_eq!(result.is_ok(), fits, "{first} {count}: {result:?}");
        if !fits {
            assert_eq!(result, Err(ErrorKind::WindowTaken));
        }
    }
}

#[test]
fn nothing_is_mapped_at_the_lowest_addresses() {
    let mut w = with_memory();
    use CapType::{VNodeL0, VNodeL1, VNodeL2, VNodeL3};
    for (i, ty) in (0u32..).zip([VNodeL0, VNodeL1, VNodeL2, VNodeL3]) {
        w.retype(slot(MEMORY), ty, u64::from(i) * PAGE_SIZE, 0, 1, slot(A + i)).unwrap();
        if i > 0 {
            w.map(slot(A + i - 1), slot(A + 3 + i), slot(A + i), frame_window(0, 1)).unwrap();
        }
    }
    w.retype(slot(MEMORY), CapType::Frame, 8 * PAGE_SIZE, PAGE_SIZE, 1, slot(B)).unwrap();
    let low = w.map(slot(A + 3), slot(C), slot(B), frame_window(15, 1));
    assert_eq!(low, Err(ErrorKind::BadAddress));
    w.map(slot(A + 3), slot(C), slot(B), frame_window(16, 1)).unwrap();
}

#[test]
fn mappings_outlive_all_but_the_last_copy() {
    let mut w = with_address_space();
    let root = page(RAM_PAGE);
    for (from, to) in [(B, B + 1), (A + 3, B + 2)] {
        w.copy(slot(from), slot(to), Rights::ALL).unwrap();
    }
    w.map(slot(B + 2), slot(C), slot(B + 1), frame_window(5, 1)).unwrap();
    w.m.touch(w.m.asids[0], root, va(5));
    w.delete(slot(B + 1)).unwrap();
    w.delete(slot(B + 2)).unwrap();
    assert_eq!(w.get(slot(C)).cap_type(), CapType::Mapping);
    // The representative goes, another copy takes its place.
    w.copy(slot(B), slot(B + 3), Rights::ALL).unwrap();
    w.delete(slot(B)).unwrap();
    assert!(w.m.walk(root, va(5)).is_some());
    w.delete(slot(B + 3)).unwrap();
    assert!(w.get(slot(C)).is_empty() && w.m.tlb.is_empty());
    assert_eq!(w.m.walk(root, va(5)), None);
    w.tear_down();
}

#[test]
fn the_last_frame_takes_many_mappings_along_in_bounded_steps() {
    let mut w = with_address_space();
    for i in 0..200 {
        w.map(slot(A + 3), other(1 + i), slot(B), frame_window(u64::from(i), 1)).unwrap();
    }
    w.m.touch(w.m.asids[0], page(RAM_PAGE), va(100));
    assert_eq!(w.db.delete(&mut w.m, slot(B)), Ok(Progress::More));
    w.check();
    assert_eq!(w.copy(slot(B), slot(C), Rights::ALL), Err(ErrorKind::InDelete));
    let map = w.map(slot(A + 3), slot(C), slot(B), frame_window(300, 1));
    assert_eq!(map, Err(ErrorKind::InDelete));
    let steps = w.delete(slot(B)).unwrap();
    let per_call = BUDGET / cost::DELETE;
    assert!(steps >= 200 / per_call - 1 && steps <= 200 / per_call + 2, "{steps}");
    assert!((1..=200).all(|i| w.get(other(i)).is_empty()) && w.m.tlb.is_empty());
}

#[test]
fn the_mapping_of_a_table_takes_what_is_below_along() {
    let mut w = with_address_space();
    w.map(slot(A + 3), slot(C), slot(B), frame_window(5, 2)).unwrap();
    w.m.touch(w.m.asids[0], page(RAM_PAGE), va(5));
    // One action detaches; from then on nothing more can be mapped below.
    let _ = w.db.delete_within(&mut w.m, slot(A + 4), cost::DELETE).unwrap();
    w.check();
    assert!(w.m.tlb.is_empty());
    w.retype(slot(MEMORY), CapType::VNodeL2, 5 * PAGE_SIZE, 0, 1, slot(C + 1)).unwrap();
    let late = w.map(slot(A + 1), slot(C + 2), slot(C + 1), frame_window(2, 1));
    assert_eq!(late, Err(ErrorKind::NotInstalled));
    let again = w.map(slot(A), slot(C + 2), slot(A + 1), frame_window(9, 1));
    assert_eq!(again, Err(ErrorKind::AlreadyInstalled));
    assert_eq!(Db::fill(&mut w.m, slot(A + 4), 0, 1), Err(ErrorKind::InDelete));
    w.delete(slot(A + 4)).unwrap();
    assert!([A + 4, A + 5, A + 6, C].iter().all(|&i| w.get(slot(i)).is_empty()));
    w.map(slot(A), slot(C + 2), slot(A + 1), frame_window(9, 1)).unwrap();
    w.map(slot(A + 1), slot(C + 3), slot(A + 2), frame_window(3, 1)).unwrap();
    w.tear_down();
}

#[test]
fn the_last_vnode_is_detached_and_zeroed() {
    let mut w = with_address_space();
    w.map(slot(A + 3), slot(C), slot(B), frame_window(5, 2)).unwrap();
    w.m.touch(w.m.asids[0], page(RAM_PAGE), va(6));
    w.m.write_page(page(RAM_PAGE + 3));
    w.delete(slot(A + 3)).unwrap();
    assert!(w.get(slot(C)).is_empty() && w.get(slot(A + 6)).is_empty());
    w.delete(slot(A)).unwrap();
    assert!(w.m.asids.is_empty(), "the identifier is free again");
    w.retype(slot(MEMORY), CapType::L2CNode, 0, 0, 1, slot(C)).unwrap_err();
    for i in [1, 2] {
        w.delete(slot(A + i)).unwrap();
    }
    assert!(w.m.is_zero(page(RAM_PAGE), 4 * PAGE_SIZE));
    w.retype(slot(MEMORY), CapType::L2CNode, 0, 0, 1, slot(C)).unwrap();
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

#[test]
fn a_dying_cnode_frees_its_slot_at_once_and_empties_itself_in_steps() {
    let mut w = with_memory();
    w.retype(slot(MEMORY), CapType::L2CNode, 0, 0, 1, slot(A)).unwrap();
    let inside = SlotRef::at(page(RAM_PAGE));
    for i in 1..=100 {
        w.copy(slot(ID), inside.plus(i), Rights::ALL).unwrap();
    }
    let count = w.db.count();
    assert_eq!(w.db.delete(&mut w.m, slot(A)), Ok(Progress::More));
    w.check();
    assert!(w.get(slot(A)).is_empty() && w.db.has_zombies());
    let early = w.retype(slot(MEMORY), CapType::L2CNode, 0, 0, 1, slot(B));
    assert_eq!(early, Err(ErrorKind::Overlap), "the memory is not free yet");
    let calls = w.delete(slot(A)).unwrap();
    assert!((3..12).contains(&calls), "{calls}");
    assert_eq!(w.db.count(), count - 101);
    assert!(w.m.is_zero(page(RAM_PAGE), 4 * PAGE_SIZE));
    assert_eq!(w.delete(slot(A)), Err(ErrorKind::EmptySlot));
    w.retype(slot(MEMORY), CapType::L2CNode, 0, 0, 1, slot(B)).unwrap();
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
    assert_eq!(w.get(slot(UNIT)).held(), 1);
    w.tear_down();
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
    assert_eq!(w.get(slot(UNIT)).held(), 2, "its memory, and the frame that it was lent");
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
    assert_eq!((w.get(slot(UNIT)).held(), w.get(slot(60)).held()), (1, 2));
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
    assert_eq!(w.get(slot(A)).held(), 5);
    w.revoke(slot(RAM)).unwrap();
    assert!(w.get(slot(A)).is_empty());
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

#[test]
fn a_root_grows_in_steps_and_keeps_all_addresses() {
    let mut w = with_memory();
    w.retype(slot(MEMORY), CapType::L1CNode, 0, 4096, 1, slot(A)).unwrap();
    w.retype(slot(MEMORY), CapType::L1CNode, PAGE_SIZE, 8192, 1, slot(A + 1)).unwrap();
    let (old, new) = (SlotRef::at(page(RAM_PAGE)), SlotRef::at(page(RAM_PAGE + 1)));
    for i in 0..63 {
        w.copy(slot(L2A), old.plus(i), Rights::from_bits(u64::from(i))).unwrap();
    }
    w.retype(slot(MEMORY), CapType::L2CNode, 4 * PAGE_SIZE, 0, 1, slot(B)).unwrap();
    w.delete(old.plus(7)).unwrap();
    w.copy(slot(B), old.plus(7), Rights::ALL).unwrap();
    w.delete(slot(B)).unwrap();
    assert_eq!(w.db.resize_cspace(&mut w.m, slot(A), slot(A)), Err(ErrorKind::TooSmall));
    assert_eq!(w.db.resize_cspace(&mut w.m, slot(A + 1), slot(A)), Err(ErrorKind::TooSmall));
    assert_eq!(w.db.resize_cspace(&mut w.m, slot(A), slot(MEMORY)), Err(ErrorKind::WrongType));
    assert_eq!(w.db.resize_cspace(&mut w.m, slot(A), slot(A + 1)), Ok(Progress::More));
    w.check();
    let root = |w: &World, i| CNode::of(w.get(slot(i))).unwrap();
    let look = |w: &World, i, l1| Db::slot_at(&w.m, root(w, i), CapAddr::new(l1, 1));
    assert_eq!((look(&w, A, 0), look(&w, A + 1, 0)), (Err(ErrorKind::NoCNode), Ok(slot(1))));
    assert_eq!((look(&w, A, 62), look(&w, A + 1, 62)), (Ok(slot(1)), Err(ErrorKind::NoCNode)));
    while w.db.resize_cspace(&mut w.m, slot(A), slot(A + 1)).unwrap() == Progress::More {
        w.check();
    }
    w.check();
    assert!(w.m.is_zero(page(RAM_PAGE), PAGE_SIZE));
    for i in 0..63 {
        assert_eq!(w.get(new.plus(i)).cap_type(), CapType::L2CNode);
    }
    assert_eq!(w.get(new.plus(6)).rights(), Rights::from_bits(6));
    assert_eq!(look(&w, A + 1, 7), Ok(SlotRef::at(page(RAM_PAGE + 4)).plus(1)));
    w.copy(slot(L2A), old, Rights::ALL).unwrap();
    let full = w.db.resize_cspace(&mut w.m, slot(A), slot(A + 1));
    assert_eq!(full, Err(ErrorKind::SlotOccupied));
    w.tear_down();
}

#[test]
fn shared_and_frozen_capabilities_are_left_to_the_monitor() {
    let mut w = with_memory();
    let set = |w: &mut World, flags: Flags| w.m.slot_mut(slot(MEMORY)).flags = flags.or(Flags::IN_TREE);
    set(&mut w, Flags::default());
    let frame = |w: &mut World| w.retype(slot(MEMORY), CapType::Frame, 0, PAGE_SIZE, 1, slot(A));
    assert_eq!(frame(&mut w), Err(ErrorKind::AskMonitor));
    assert_eq!(w.revoke(slot(MEMORY)), Err(ErrorKind::AskMonitor));
    w.copy(slot(MEMORY), slot(B), Rights::ALL).unwrap();
    assert!(!w.get(slot(B)).flags().any(Flags::EXCL), "a copy is as shared as the original");
    set(&mut w, Flags::EXCL.or(Flags::FROZEN));
    assert_eq!(frame(&mut w), Err(ErrorKind::Frozen));
    assert_eq!(w.revoke(slot(MEMORY)), Err(ErrorKind::Frozen));
    assert_eq!(w.copy(slot(MEMORY), slot(C), Rights::ALL), Err(ErrorKind::Frozen));
    set(&mut w, Flags::EXCL);
    frame(&mut w).unwrap();
    w.tear_down();
}

#[test]
fn devices_are_carved_and_mapped() {
    let mut w = with_address_space();
    w.retype(slot(PHYS), CapType::PhysAddr, 4 * PAGE_SIZE, 4 * PAGE_SIZE, 1, slot(C)).unwrap();
    w.retype(slot(C), CapType::DevFrame, PAGE_SIZE, PAGE_SIZE, 1, slot(C + 1)).unwrap();
    assert_eq!(
        w.retype(slot(PHYS), CapType::DevFrame, 0, 16 * PAGE_SIZE, 1, slot(C + 2)),
        Err(ErrorKind::Overlap)
    );
    w.map(slot(A + 3), slot(C + 2), slot(C + 1), frame_window(1, 1)).unwrap();
    let seen = w.m.walk(page(RAM_PAGE), va(1)).unwrap();
    assert_eq!(seen.entry.target, DEVICES + 5 * PAGE_SIZE);
    assert!(crate::map::window(w.get(slot(C + 2))).device);
    // A boot module is a frame without a unit.
    w.map(slot(A + 3), slot(C + 3), slot(MODULE), frame_window(20, 2)).unwrap();
    w.tear_down();
}
