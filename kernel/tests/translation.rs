//! Page tables on an MMU that forgives nothing: what the TLB may still know, and what the walker may not see yet.

use abi::Rights;
use caps::Window;
use kernel::arch::{ARENA_BASE, Hardware};
use kernel::page_table::{self, Tlb, tlbi_operand};

const ROOT: u64 = ARENA_BASE;
const TABLES: [u64; 4] = [ROOT, ROOT + 0x1000, ROOT + 0x2000, ROOT + 0x3000];
const FRAME: u64 = ARENA_BASE + 0x10_0000;
const ASID: u16 = 7;
const VA: u64 = 0x20_0000;

fn child(level: u8) -> Window {
    Window {
        table: TABLES[usize::from(level)],
        level,
        first: if level == 2 { 1 } else { 0 },
        count: 1,
        target: TABLES[usize::from(level) + 1],
        child: true,
        device: false,
        rights: Rights::ALL,
        va: if level == 2 { VA } else { 0 },
        asid: ASID,
    }
}

fn pages(rights: Rights, target: u64) -> Window {
    Window {
        table: TABLES[3],
        level: 3,
        first: 0,
        count: 16,
        target,
        child: false,
        device: false,
        rights,
        va: VA,
        asid: ASID,
    }
}

fn machine() -> Hardware {
    let mut hardware = Hardware::new(4 << 20);
    for level in 0..3 {
        page_table::fill(&mut hardware, &child(level), 0, 1);
    }
    hardware.enter_address_space(ROOT, ASID);
    hardware
}

const DATA: Rights = Rights::READ.or(Rights::WRITE);

#[test]
fn what_is_filled_can_be_seen_at_once() {
    let mut hardware = machine();
    assert!(hardware.translate(VA).is_err());
    page_table::fill(&mut hardware, &pages(DATA, FRAME), 0, 16);
    let found = hardware.translate(VA + 0x5123).expect("mapped");
    assert_eq!((found.address, found.rights), (FRAME + 0x5123, DATA));
    assert!(hardware.mmu.complaints.is_empty(), "the walker met unpublished descriptors");
}

#[test]
fn what_is_cleared_cannot_be_reached_through_the_tlb() {
    for count in [1, 16] {
        let mut hardware = machine();
        let window = pages(DATA, FRAME);
        page_table::fill(&mut hardware, &window, 0, 16);
        for page in 0..16 {
            hardware.translate(VA + page * 0x1000).expect("mapped");
        }
        page_table::clear(&mut hardware, &window, 3, count.min(13));
        assert!(hardware.translate(VA + 0x3000).is_err());
        assert!(hardware.translate(VA + 0x2000).is_ok());
    }
}

#[test]
fn fewer_rights_are_enforced_at_once() {
    let mut hardware = machine();
    page_table::fill(&mut hardware, &pages(DATA, FRAME), 0, 16);
    hardware.translate(VA).expect("mapped");
    page_table::protect(&mut hardware, &pages(Rights::READ, FRAME));
    assert_eq!(hardware.translate(VA).expect("mapped").rights, Rights::READ);
}

#[test]
fn a_table_that_was_taken_out_is_not_walked_any_more() {
    let mut hardware = machine();
    page_table::fill(&mut hardware, &pages(DATA, FRAME), 0, 1);
    hardware.translate(VA).expect("mapped");
    page_table::clear(&mut hardware, &child(2), 0, 1);
    // The table's memory is used for something else now, which looks like descriptors.
    hardware.write(TABLES[3], 0, FRAME | 0x743);
    hardware.write(TABLES[3], 1, FRAME | 0x743);
    assert!(hardware.translate(VA).is_err(), "a stale translation");
    assert!(hardware.translate(VA + 0x1000).is_err(), "a stale walk");
}

#[test]
fn other_address_spaces_keep_their_translations() {
    let mut hardware = machine();
    page_table::fill(&mut hardware, &pages(DATA, FRAME), 0, 1);
    hardware.translate(VA).expect("mapped");
    let operand = tlbi_operand(ASID + 1, VA);
    hardware.flush_page(operand);
    hardware.complete();
    hardware.mmu.written(TABLES[3], 0);
    hardware.translate(VA).expect("still cached");
    assert!(hardware.mmu.complaints.is_empty(), "the flush of another address space reached this one");
}

#[test]
fn a_high_address_does_not_reach_into_the_asid_of_a_flush() {
    assert_eq!(tlbi_operand(0x12, 0xffff_8000_0000_1000) >> 48, 0x12);
    assert_eq!(tlbi_operand(0xffff, 0x0000_7fff_ffff_f000), 0xffff << 48 | 0x7_ffff_ffff);
}

#[test]
fn nothing_is_ever_writable_and_executable_for_the_kernel_or_shared_between_address_spaces() {
    let mut hardware = machine();
    page_table::fill(&mut hardware, &pages(Rights::READ.or(Rights::EXECUTE), FRAME), 0, 1);
    let descriptor = hardware.read(TABLES[3], 0);
    assert_eq!(descriptor >> 53 & 1, 1, "executable at EL1");
    assert_eq!(descriptor >> 11 & 1, 1, "global");
    assert_eq!(descriptor >> 54 & 1, 0, "not executable at EL0");
    assert_eq!(descriptor >> 7 & 1, 1, "writable");
}
