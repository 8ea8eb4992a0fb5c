//! The FP and SIMD unit: whose registers are in it, when they move, and for whom it is open.

mod common;

use abi::frame::{FP_OFFSET, FpContext, State};
use abi::layout::*;
use abi::{CapType, ErrorKind, Syscall};
use caps::{BUDGET, Progress};
use kernel::cpu::Core;
use kernel::dispatcher::DispatcherRef;
use kernel::schedule::{self, Next};
use kernel::syscall::Reply;
use kernel::{fp, lmp};

use common::{call, core, free, pair, retype, second_dispatcher};

/// Registers that depend on `seed`, each different from the others.
fn pattern(seed: u64) -> FpContext {
    let mut registers = FpContext::default();
    for (number, register) in registers.q.iter_mut().enumerate() {
        *register = [seed << 32 | number as u64, !(seed << 32 | number as u64)];
    }
    (registers.fpcr, registers.fpsr) = (seed << 22, seed);
    registers
}

/// An FP instruction of the current dispatcher: traps if it has to, then sees the registers.
fn registers(core: &mut Core) -> &mut FpContext {
    if !core.machine.hardware.fp_open {
        assert!(fp::claim(&mut core.machine), "FP refused");
    }
    assert!(core.machine.hardware.fp_open, "still closed");
    &mut core.machine.hardware.fp
}

fn current(core: &Core) -> DispatcherRef {
    core.machine.current.expect("somebody runs")
}

/// The other ready dispatcher runs.
fn turn(core: &mut Core) {
    let before = current(core);
    assert_eq!(call(core, Syscall::Yield, &[]), Ok(Reply::Switch));
    assert!(!matches!(schedule::next(core), Next::Idle));
    assert_ne!(current(core), before);
}

/// `init`, which runs, and a second dispatcher (slots 100 and 101: itself and its frame), which is ready.
fn two() -> (Box<Core>, DispatcherRef, DispatcherRef) {
    let mut core = core();
    let other = second_dispatcher(&mut core);
    call(&mut core, Syscall::DispatcherStart, &[free(100)]).unwrap();
    let me = current(&core);
    (core, me, other)
}

/// Where the FP area of a dispatcher lies.
fn area(core: &Core, d: DispatcherRef) -> *mut FpContext {
    core.machine.frame(d).expect("a frame").fp()
}

#[test]
fn registers_are_kept_while_others_use_theirs() {
    let (mut core, me, other) = two();
    for round in 1..5 {
        *registers(&mut core) = pattern(round);
        turn(&mut core);
        assert_eq!(current(&core), other);
        if round > 1 {
            assert_eq!(*registers(&mut core), pattern(100 + round - 1), "of the second, round {round}");
        }
        *registers(&mut core) = pattern(100 + round);
        turn(&mut core);
        assert_eq!(current(&core), me);
        assert_eq!(*registers(&mut core), pattern(round), "of the first, round {round}");
    }
}

#[test]
fn registers_begin_as_zero_whatever_the_unit_and_the_frame_hold() {
    let (mut core, _, other) = two();
    *registers(&mut core) = pattern(1);
    // SAFETY: the area lies in the arena, and nobody else looks.
    unsafe { area(&core, other).write(pattern(2)) };
    turn(&mut core);
    assert_eq!(*registers(&mut core), FpContext::default());
}

#[test]
fn the_unit_is_open_for_its_owner_alone() {
    let (mut core, me, _) = two();
    assert!(!core.machine.hardware.fp_open);
    *registers(&mut core) = pattern(1);
    turn(&mut core);
    assert!(!core.machine.hardware.fp_open, "the next one sees the registers of the one before");
    assert_eq!(core.machine.fp.owner(), Some(me));
}

#[test]
fn nothing_moves_for_one_that_shares_the_unit_with_nobody() {
    let (mut core, ..) = two();
    *registers(&mut core) = pattern(1);
    for _ in 0..3 {
        turn(&mut core);
        turn(&mut core);
        assert_eq!(*registers(&mut core), pattern(1));
    }
    assert_eq!((core.machine.hardware.fp_saves, core.machine.hardware.fp_loads), (0, 1));
}

#[test]
fn nobody_pays_when_nobody_uses_fp() {
    let mut core = core();
    pair(&mut core);
    for _ in 0..3 {
        assert!(lmp::send_wait_direct(&mut core, free(111), u64::MAX, 0).is_some());
        assert!(lmp::send_wait_direct(&mut core, free(110), u64::MAX, 0).is_some());
    }
    let hardware = &core.machine.hardware;
    assert_eq!((hardware.fp_opened, hardware.fp_saves, hardware.fp_loads), (0, 0, 0));
    assert_eq!(core.machine.fp.owner(), None);
}

#[test]
fn the_direct_way_never_takes_an_open_unit_along() {
    let mut core = core();
    let (me, other) = pair(&mut core);
    *registers(&mut core) = pattern(1);
    assert!(lmp::send_wait_direct(&mut core, free(111), u64::MAX, 0).is_none(), "with an open unit");
    call(&mut core, Syscall::SendWait, &[free(111), u64::MAX, 0]).unwrap();
    schedule::next(&mut core);
    assert_eq!(current(&core), other);
    assert!(!core.machine.hardware.fp_open);
    // Answered, it is entered with a closed unit, and until it uses FP again the direct way is open to it.
    let head = area(&core, other).wrapping_byte_sub(FP_OFFSET as usize).wrapping_byte_add(0x1000);
    // SAFETY: a word of the frame, which lies in the arena.
    unsafe { head.cast::<u32>().write(1) };
    assert!(lmp::send_wait_direct(&mut core, free(110), u64::MAX, 0).is_some());
    assert_eq!(current(&core), me);
    assert!(!core.machine.hardware.fp_open);
    assert!(lmp::send_wait_direct(&mut core, free(111), u64::MAX, 0).is_some());
    assert!(lmp::send_wait_direct(&mut core, free(110), u64::MAX, 0).is_some());
    assert_eq!(*registers(&mut core), pattern(1));
}

#[test]
fn registers_of_one_that_ended_are_dropped() {
    let (mut core, _, other) = two();
    turn(&mut core);
    *registers(&mut core) = pattern(1);
    assert_eq!(core.machine.fp.owner(), Some(other));
    call(&mut core, Syscall::Exit, &[0]).unwrap();
    assert_eq!(core.machine.fp.owner(), None);
    schedule::next(&mut core);
    assert!(!core.machine.hardware.fp_open, "the next one sees the registers of the one that ended");
    assert_eq!(*registers(&mut core), FpContext::default());
    assert_eq!(core.machine.hardware.fp_saves, 0);
}

#[test]
fn a_dispatcher_in_the_place_of_a_deleted_one_inherits_nothing() {
    let (mut core, me, other) = two();
    turn(&mut core);
    *registers(&mut core) = pattern(1);
    turn(&mut core);
    assert_eq!(current(&core), me);
    for slot in [100, 101] {
        while call(&mut core, Syscall::CapDelete, &[0, free(slot)]) == Ok(Reply::Value(1)) {}
    }
    while core.db.step(&mut core.machine, BUDGET) == Progress::More {}
    assert_eq!(core.machine.fp.owner(), None);
    assert_eq!(second_dispatcher(&mut core), other, "not in the same place");
    call(&mut core, Syscall::DispatcherStart, &[free(100)]).unwrap();
    turn(&mut core);
    assert_eq!(*registers(&mut core), FpContext::default());
}

#[test]
fn registers_of_one_that_lost_its_frame_are_dropped() {
    let (mut core, me, other) = two();
    turn(&mut core);
    *registers(&mut core) = pattern(1);
    let frame = area(&core, other);
    turn(&mut core);
    while call(&mut core, Syscall::CapRevoke, &[0, free(101)]) == Ok(Reply::Value(1)) {}
    while call(&mut core, Syscall::CapDelete, &[0, free(101)]) == Ok(Reply::Value(1)) {}
    retype(&mut core, EARLY_RAM.0, CapType::Frame, 8192, 8192, 1, free(102)).expect("the memory is free");
    assert_eq!(*registers(&mut core), FpContext::default());
    // SAFETY: the area lies in the arena, and nobody else looks.
    assert_eq!(unsafe { frame.read() }, FpContext::default(), "saved into memory that is another's now");
    call(&mut core, Syscall::Yield, &[]).unwrap();
    schedule::next(&mut core);
    assert_eq!(core.machine.dispatcher(other).state(), State::Ended);
    assert_eq!((current(&core), core.machine.fp.owner()), (me, Some(me)));
}

#[test]
fn one_that_has_just_lost_its_own_frame_ends_at_its_next_fp_instruction() {
    let mut core = core();
    let me = current(&core);
    while call(&mut core, Syscall::CapRevoke, &[0, SELF_FRAME.0]) == Ok(Reply::Value(1)) {}
    assert!(!fp::claim(&mut core.machine));
    assert!(!core.machine.hardware.fp_open);
    assert!(matches!(schedule::next(&mut core), Next::Idle));
    assert_eq!(core.machine.dispatcher(me).state(), State::Ended);
}

#[test]
fn no_ring_lies_over_the_registers() {
    let mut core = core();
    pair(&mut core);
    for (offset, expected) in [(FP_OFFSET, Err(ErrorKind::BadRing)), (0xa40, Ok(Reply::Value(0)))] {
        assert_eq!(call(&mut core, Syscall::EndpointConfigure, &[free(110), offset, 4, 0]), expected);
    }
}

#[test]
fn its_runtime_is_told_that_a_dispatcher_uses_fp() {
    let mut core = core();
    let head = area(&core, current(&core)).wrapping_byte_sub(FP_OFFSET as usize);
    let used = head.wrapping_byte_add(abi::frame::FP_USED_OFFSET as usize).cast::<u64>();
    // SAFETY: a word of the frame, which lies in the arena.
    let read = || unsafe { used.read_volatile() };
    assert_eq!(read(), 0);
    registers(&mut core);
    assert_eq!(read(), 1);
}

#[test]
fn a_disabled_dispatcher_gets_fp_just_the_same() {
    let (mut core, me, _) = two();
    let frame = core.machine.frame(me).unwrap();
    for disabled in [true, false] {
        frame.set_disabled(disabled);
        *registers(&mut core) = pattern(1);
        assert_eq!(frame.is_disabled(), disabled);
        turn(&mut core);
        *registers(&mut core) = pattern(2);
        turn(&mut core);
        assert_eq!(*registers(&mut core), pattern(1), "disabled: {disabled}");
        turn(&mut core);
        turn(&mut core);
    }
}

#[test]
fn what_a_user_writes_over_its_saved_registers_is_what_it_gets() {
    let (mut core, me, _) = two();
    *registers(&mut core) = pattern(1);
    turn(&mut core);
    *registers(&mut core) = pattern(2);
    turn(&mut core);
    // SAFETY: the area lies in the arena, and nobody else looks.
    unsafe { area(&core, me).write(pattern(u64::MAX)) };
    assert_eq!(*registers(&mut core), pattern(u64::MAX));
}
