//! Slots, memory and page tables.

use std::collections::HashSet;
use std::vec::Vec;

use abi::CapAddr;
use abi::cap::{L2_CNODE_SIZE, SLOT_SIZE};
use abi::layout::{HEAP_BASE, PAGE_CNODE, StartInfo};
use abi::{PAGE_SIZE, Rights};
use sys::CapType;

use super::{RAM_BASE, domain};
use crate::{RtError, memory, slots, vspace};

const MIB: u64 = 1 << 20;
/// The first L1 index that the runtime uses if the builder says nothing else.
const FIRST_FREE_CNODE: u64 = PAGE_CNODE + 1;
const DATA: Rights = Rights::READ.or(Rights::WRITE);

#[test]
fn a_slot_is_given_once_and_never_is_slot_0() {
    domain(MIB);
    let given: Vec<_> = (0..1000).map(|_| slots::allocate().unwrap()).collect();
    assert_eq!(given.iter().collect::<HashSet<_>>().len(), 1000);
    assert!(given.iter().all(|slot| slot.slot() != 0 && slot.l1() >= FIRST_FREE_CNODE));
}

#[test]
fn slots_that_come_back_are_given_again() {
    domain(MIB);
    let given: Vec<_> = (0..100).map(|_| slots::allocate().unwrap()).collect();
    let before = slots::available();
    given.iter().for_each(|&slot| slots::release(slot));
    given.iter().for_each(|&slot| slots::release(slot));
    assert_eq!(slots::available(), before + 100, "a slot given back twice counts once");
}

/// What a builder says that has filled three page CNodes, the last up to slot 100, and keeps L1 index 4 for something else.
fn three_page_cnodes() -> StartInfo {
    sys::fake::with(|fake| {
        fake.cnodes.extend([(PAGE_CNODE + 1, 0), (PAGE_CNODE + 2, 0)]);
        fake.root_slots = 128;
    });
    // SAFETY: plain numbers.
    let zero: StartInfo = unsafe { core::mem::zeroed() };
    StartInfo { page_cnodes: 3, first_page_slot: 100, first_free_cnode: 5, root_slots: 128, ..zero }
}

#[test]
fn free_slots_of_the_page_cnodes_are_taken_over() {
    domain(MIB);
    slots::take_over(&three_page_cnodes());
    assert_eq!(slots::available(), 156);
    let given: Vec<_> = (0..400).map(|_| slots::allocate().unwrap()).collect();
    assert!(
        given[..100]
            .iter()
            .eq((100..200).map(|slot| CapAddr::new(PAGE_CNODE + 2, slot)).collect::<Vec<_>>().iter())
    );
    let outside = |slot: &&CapAddr| slot.l1() < PAGE_CNODE + 2 || slot.l1() == 4 || slot.slot() == 0;
    assert_eq!(given.iter().find(outside), None);
    assert_eq!(given.iter().collect::<HashSet<_>>().len(), 400);
}

#[test]
fn slots_of_what_the_builder_made_are_free_once_it_is_gone() {
    domain(MIB);
    slots::take_over(&three_page_cnodes());
    let before = slots::available();
    let (first, last) = (CapAddr::new(PAGE_CNODE, 1), CapAddr::new(PAGE_CNODE + 2, 99));
    sys::fake::with(|fake| fake.install(last, CapType::Mapping, 0, 1));
    slots::discard(first);
    slots::discard(last);
    assert_eq!(slots::available(), before + 2);
    assert_eq!(slots::allocate(), Ok(last));
    slots::release(CapAddr::new(0, 5));
    slots::release(CapAddr::new(PAGE_CNODE, 0));
    assert_eq!(slots::available(), before + 1, "the task CNode and slot 0 are nobody's to give");
}

#[test]
fn the_root_cnode_is_as_large_as_the_builder_says() {
    domain(16 * MIB);
    slots::take_over(&three_page_cnodes());
    for _ in 0..100 * 255 {
        slots::allocate().unwrap();
    }
    assert_eq!(sys::fake::with(|fake| fake.root_slots), 128, "there is room in it");
}

#[test]
fn nonsense_about_page_cnodes_gives_no_slot_that_does_not_exist() {
    domain(MIB);
    let info = three_page_cnodes();
    slots::take_over(&StartInfo { page_cnodes: u32::MAX, first_page_slot: u32::MAX, ..info });
    assert_eq!(slots::available(), 0);
    assert!(slots::allocate().is_err() || slots::available() > 0);
}

#[test]
fn cnodes_of_the_builder_are_stepped_over() {
    domain(MIB);
    sys::fake::with(|fake| fake.cnodes.insert(FIRST_FREE_CNODE, 0));
    assert_eq!(slots::allocate().unwrap().l1(), FIRST_FREE_CNODE + 1);
}

#[test]
fn a_reserved_root_slot_stays_free() {
    domain(MIB);
    let reserved = slots::reserve_root_slot().unwrap();
    let given: Vec<_> = (0..600).map(|_| slots::allocate().unwrap()).collect();
    assert!(given.iter().all(|slot| slot.l1() != reserved));
}

#[test]
fn the_root_cnode_grows_when_it_is_full() {
    domain(8 * MIB);
    let roots = sys::fake::with(|fake| fake.root_slots);
    let wanted = (roots + 10) * 255;
    for _ in 0..wanted {
        slots::allocate().unwrap();
    }
    assert_eq!(sys::fake::with(|fake| fake.root_slots), 2 * roots);
    assert_eq!(sys::fake::with(|fake| fake.slots[&abi::layout::ROOT_CNODE.0].size), 2 * roots * SLOT_SIZE);
}

#[test]
fn without_memory_the_reserve_of_slots_is_used_up_and_then_refused() {
    domain(L2_CNODE_SIZE);
    for _ in 0..255 {
        slots::allocate().unwrap();
    }
    assert_eq!(slots::allocate(), Err(RtError::OutOfMemory));
}

#[test]
fn carved_parts_are_disjoint_and_aligned() {
    domain(MIB);
    let mut end = 0;
    for (bytes, align) in [(4096, 4096), (16384, 16384), (4096, 4096), (65536, 65536)] {
        let (_, offset) = memory::carve(bytes, align).unwrap();
        assert!(offset >= end);
        assert_eq!((RAM_BASE + offset) % align, 0);
        end = offset + bytes;
    }
    assert_eq!(memory::carve(2 * MIB, 4096), Err(RtError::OutOfMemory));
}

#[test]
fn page_tables_are_made_once_for_their_range() {
    domain(4 * MIB);
    let frame = memory::frame(3 * PAGE_SIZE).unwrap();
    let one = vspace::map(frame.cap(), 0, 3 * PAGE_SIZE, DATA).unwrap();
    let two = vspace::map(frame.cap(), PAGE_SIZE, PAGE_SIZE, Rights::READ).unwrap();
    assert_eq!((one.address(), two.address()), (HEAP_BASE, HEAP_BASE + 3 * PAGE_SIZE));
    let tables = |kind| sys::fake::with(|fake| fake.count(kind));
    assert_eq!((tables(CapType::VNodeL2), tables(CapType::VNodeL3)), (1, 1));
}

#[test]
fn a_mapping_over_a_table_boundary_gets_a_window_in_each_table() {
    domain(8 * MIB);
    let frame = memory::frame(2 * MIB + 3 * PAGE_SIZE).unwrap();
    let windows = || {
        sys::fake::with(|fake| {
            let mappings = fake.slots.values().filter(|c| c.kind == CapType::Mapping);
            mappings.map(|c| (c.base, c.size)).collect::<Vec<_>>()
        })
    };
    // Not from an aligned address on, or one entry of the level 2 table would do.
    let mapped = vspace::map(frame.cap(), PAGE_SIZE, 2 * MIB + 2 * PAGE_SIZE, DATA).unwrap();
    // One window each for the level 2 and the two level 3 tables, then 512 and 2 pages.
    assert_eq!(windows().iter().filter(|&&window| window == (0, 512)).count(), 1);
    assert_eq!(windows().iter().filter(|&&window| window == (0, 2)).count(), 1);
    let before = windows().len();
    drop(mapped);
    assert_eq!(windows().len(), before - 2, "tables stay, windows go");
}

#[test]
fn addresses_that_were_unmapped_are_used_again() {
    domain(MIB);
    let frame = memory::frame(PAGE_SIZE).unwrap();
    let first = vspace::map(frame.cap(), 0, PAGE_SIZE, DATA).unwrap().address();
    let again = vspace::map(frame.cap(), 0, PAGE_SIZE, DATA).unwrap().address();
    assert_eq!(first, again);
}

#[test]
fn a_failed_mapping_leaves_nothing_behind() {
    domain(MIB);
    let frame = memory::frame(PAGE_SIZE).unwrap();
    let first = vspace::map(frame.cap(), 0, PAGE_SIZE, DATA).unwrap().address();
    let free = slots::available();
    assert!(vspace::map(sys::Cap::<sys::Frame>::new(abi::CapAddr::new(1, 99)), 0, PAGE_SIZE, DATA).is_err());
    assert_eq!(slots::available(), free);
    assert_eq!(vspace::map(frame.cap(), 0, PAGE_SIZE, DATA).unwrap().address(), first);
}

#[test]
fn a_refusal_at_any_call_of_a_mapping_leaves_the_books_as_they_were() {
    domain(64 * MIB);
    let frame = memory::frame(2 * MIB + 3 * PAGE_SIZE).unwrap();
    // Over the end of a page table, so in two pieces.
    let show = || vspace::map(frame.cap(), PAGE_SIZE, 2 * MIB + 2 * PAGE_SIZE, DATA);
    // Page tables stay in a domain without a memory service.
    drop(show().unwrap());
    let books = || {
        let now = vspace::statistics();
        (now.areas, now.pieces, now.reserved, now.backed, slots::available())
    };
    let before = books();
    let (mut refused, mut failed) = (0, 0);
    loop {
        sys::fake::with(|fake| fake.refuse_after = Some(refused));
        let mapped = show();
        let all_were_made = sys::fake::with(|fake| fake.refuse_after.take().is_some());
        failed += usize::from(mapped.is_err());
        drop(mapped);
        assert_eq!(books(), before, "call {refused} was refused");
        if all_were_made {
            break;
        }
        refused += 1;
    }
    assert!(failed >= 2, "each of the two pieces is mapped by a call");
}
