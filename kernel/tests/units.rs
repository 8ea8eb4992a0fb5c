//! Units through system calls: given in part, and back in part.

mod common;

use abi::layout::EARLY_RAM;
use abi::{CapType, ErrorKind, PAGE_SIZE, Syscall};
use kernel::cpu::Core;

use common::{call, core, free, repeat, retype};

/// Where in the root the unit begins, behind all that `init` is made of.
const AT: u64 = 40 << 20;
/// Bytes of the unit.
const SIZE: u64 = 1 << 20;
/// Where it, what is made of it, and what is left behind a part lie.
const UNIT: u64 = 100;
const FRAME: u64 = 101;
const BEHIND: u64 = 102;
const SPARE: u64 = 103;

/// Type and flags, base and size of a capability.
fn identify(core: &mut Core, address: u64) -> (u64, u64, u64) {
    call(core, Syscall::CapIdentify, &[address]).expect("a capability");
    let [_, about, base, size, ..] = core.results;
    (about & !0xff00, base, size)
}

/// The address of the capability to all memory.
fn root(core: &mut Core) -> u64 {
    let is_root = |core: &mut Core, address: &u64| {
        call(core, Syscall::CapIdentify, &[*address]).is_ok()
            && core.results[1] & 0xff == CapType::Ram as u64
            && core.results[1] >> 16 & u64::from(caps::Flags::ROOT.bits()) != 0
            && core.results[3] > AT + 2 * SIZE
    };
    (1..60).map(free).find(|address| is_root(core, address)).expect("init has all memory")
}

/// A unit with one page, in the middle, that has a capability.
fn with_a_page(core: &mut Core) -> u64 {
    let root = root(core);
    retype(core, root, CapType::Unit, AT, SIZE, 1, free(UNIT)).expect("a unit");
    repeat(core, Syscall::UnitZero, &[free(UNIT)]).expect("zeroed");
    retype(core, free(UNIT), CapType::Ram, 0, SIZE, 1, free(SPARE)).expect("its memory");
    retype(core, free(SPARE), CapType::Frame, SIZE / 2, PAGE_SIZE, 1, free(FRAME)).expect("a page");
    root
}

#[test]
fn a_part_that_nothing_covers_goes_back_and_the_rest_goes_its_own_ways() {
    let mut core = core();
    let root = with_a_page(&mut core);
    let base = identify(&mut core, root).1 + AT;
    let trim = |core: &mut Core, unit, offset, bytes| {
        call(core, Syscall::UnitTrim, &[free(unit), offset, bytes, 0, free(BEHIND)])
    };
    assert_eq!(trim(&mut core, UNIT, 0, PAGE_SIZE), Err(ErrorKind::Overlap), "all of it is one capability's");
    call(&mut core, Syscall::CapDelete, &[0, free(SPARE)]).expect("deleted");
    assert_eq!(trim(&mut core, UNIT, SIZE / 2, PAGE_SIZE), Err(ErrorKind::Overlap));
    assert_eq!(trim(&mut core, UNIT, PAGE_SIZE, SIZE / 4).map(drop), Ok(()));
    let rest = PAGE_SIZE + SIZE / 4;
    assert_eq!(identify(&mut core, free(UNIT)).1, base);
    assert_eq!(identify(&mut core, free(UNIT)).2, PAGE_SIZE);
    assert_eq!(
        identify(&mut core, free(BEHIND)),
        (CapType::Unit as u64 | 1 << 16 | 32 << 16, base + rest, SIZE - rest)
    );
    // The page before has no capability any more: it can be pulled. The one behind has.
    call(&mut core, Syscall::UnitPull, &[root]).expect("a unit without capabilities");
    assert_eq!(core.results[1..4], [base, PAGE_SIZE, 0]);
    assert_eq!(call(&mut core, Syscall::CapDelete, &[0, free(BEHIND)]), Err(ErrorKind::UnitBusy));
    // What went back is the root's to give.
    retype(&mut core, root, CapType::Unit, AT + PAGE_SIZE, SIZE / 4, 1, free(SPARE))
        .expect("a unit of what came back");
    let used = call(
        &mut core,
        Syscall::CapRetype,
        &[root, CapType::Unit as u64, AT + rest, PAGE_SIZE, 1, 0, free(104)],
    );
    assert_eq!(used, Err(ErrorKind::Overlap));
    call(&mut core, Syscall::CapDelete, &[0, free(FRAME)]).expect("deleted");
    call(&mut core, Syscall::UnitPull, &[root]).expect("the other one, too");
    assert_eq!(core.results[1..4], [base + rest, SIZE - rest, 0]);
    for unit in [UNIT, BEHIND, SPARE] {
        call(&mut core, Syscall::CapDelete, &[0, free(unit)]).expect("deleted");
    }
    retype(&mut core, root, CapType::Unit, AT, SIZE, 1, free(UNIT)).expect("all of it is whole again");
}

#[test]
fn a_trim_that_cannot_be_is_refused_and_changes_nothing() {
    let mut core = core();
    let root = with_a_page(&mut core);
    call(&mut core, Syscall::CapDelete, &[0, free(SPARE)]).expect("deleted");
    let whole = identify(&mut core, free(UNIT));
    let p = PAGE_SIZE;
    for (unit, offset, bytes, cnode, dst, error) in [
        (free(UNIT), 1, p, 0, free(BEHIND), ErrorKind::Unaligned),
        (free(UNIT), 0, 0, 0, free(BEHIND), ErrorKind::BadSize),
        (free(UNIT), 0, SIZE, 0, free(BEHIND), ErrorKind::BadSize),
        (free(UNIT), SIZE, p, 0, free(BEHIND), ErrorKind::OutOfRange),
        (free(UNIT), u64::MAX - 4095, p, 0, free(BEHIND), ErrorKind::OutOfRange),
        (free(UNIT), SIZE / 2, p, 0, free(BEHIND), ErrorKind::Overlap),
        (free(UNIT), p, p, 0, free(FRAME), ErrorKind::SlotOccupied),
        (free(UNIT), p, p, 0, u64::MAX, ErrorKind::AddressOutOfRange),
        (free(UNIT), p, p, free(FRAME), 1, ErrorKind::WrongType),
        (free(FRAME), p, p, 0, free(BEHIND), ErrorKind::WrongType),
        (root, p, p, 0, free(BEHIND), ErrorKind::WrongType),
        (EARLY_RAM.0, p, p, 0, free(BEHIND), ErrorKind::WrongType),
        (free(SPARE), p, p, 0, free(BEHIND), ErrorKind::EmptySlot),
    ] {
        let result = call(&mut core, Syscall::UnitTrim, &[unit, offset, bytes, cnode, dst]);
        assert_eq!(result, Err(error), "{offset:#x} {bytes:#x}");
        assert_eq!(identify(&mut core, free(UNIT)), whole);
    }
    retype(&mut core, root, CapType::Unit, AT + SIZE, SIZE, 1, free(SPARE)).expect("another unit");
    let early = call(&mut core, Syscall::UnitTrim, &[free(SPARE), p, p, 0, free(BEHIND)]);
    assert_eq!(early, Err(ErrorKind::UnitNotZeroed));
}
