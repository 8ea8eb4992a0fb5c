//! How capability addresses lead to slots, what copies share, what boot may insert, how a CSpace grows.

use abi::{CapAddr, CapType, ErrorKind, PAGE_SIZE, Rights};

use super::scenes::{A, B, C, MEMORY, UNIT, with_memory};
use super::world::{KERNEL, L1, L2A, PAGES, RAM, RAM_PAGE, World, other, page, slot};
use crate::slot::SlotRef;
use crate::{CNode, Db, Progress, Root};

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
    assert_eq!(w.held(slot(UNIT)), 3);
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
