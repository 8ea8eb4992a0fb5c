//! Windows of translation tables: made, filled, cleared, and gone with what they show.

use abi::{CapType, ErrorKind, PAGE_SIZE, Rights};

use super::scenes::{A, B, C, MEMORY, frame_window, va, with_address_space, with_memory};
use super::world::{DEVICES, FREE, MODULE, PHYS, RAM_PAGE, other, page, slot};
use crate::{BUDGET, Db, MapArgs, Progress, cost};

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
