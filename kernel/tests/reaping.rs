//! What is left of deleted objects and ended dispatchers: cleared away in bounded steps, and in time.

mod common;

use abi::cap::{L1_CNODE_MAX_SIZE, L2_CNODE_SIZE};
use abi::frame::State;
use abi::layout::*;
use abi::{CapType, ErrorKind, Syscall};
use caps::Progress;
use kernel::cpu::Core;
use kernel::dispatcher::DispatcherRef;
use kernel::schedule::{self, Next, SLICE_MS};
use kernel::syscall::{self, Reply};
use kernel::{events, lmp, trap};

use common::{call, core, free, interrupts};

fn retype(core: &mut Core, from: u64, ty: CapType, offset: u64, size: u64, count: u64, slot: u64) {
    call(core, Syscall::CapRetype, &[from, ty as u64, offset, size, count, 0, slot]).unwrap();
}

/// A second dispatcher at offset `at` of the early RAM, in slot `s`, with a frame behind it, in slot `s + 1`.
fn second(core: &mut Core, at: u64, size: u64, s: u64) -> DispatcherRef {
    retype(core, EARLY_RAM.0, CapType::Dispatcher, at, size, 1, free(s));
    retype(core, EARLY_RAM.0, CapType::Frame, at + size, 8192, 1, free(s + 1));
    let frame = FRAME_BASE + (1 << 20);
    let arguments = [free(s), ROOT_CNODE.0, ROOT_VNODE.0, free(s + 1), frame, USER_LOWEST, 0];
    call(core, Syscall::DispatcherConfigure, &arguments).unwrap();
    let slot = syscall::lookup(core, free(s)).unwrap();
    DispatcherRef::at(caps::Machine::slot(&core.machine, slot).base()).unwrap()
}

/// Connects so many events of the dispatcher in slot `s`, from 100 on, each with one of the caller's from `mine` on. Their
/// capabilities lie in two CNodes that are made for that, at `index` of the root and the one behind.
fn connect(core: &mut Core, s: u64, count: u64, mine: u64, index: u64) {
    let slot = |which: u64, i: u64| ((index + which) << 8) + 1 + i;
    for (which, first, of) in [(0, 100, free(s)), (1, mine, SELF_DISPATCHER.0)] {
        let at = (1 << 20) + (index + which) * L2_CNODE_SIZE;
        let l1 = [EARLY_RAM.0, CapType::L2CNode as u64, at, 0, 1, ROOT_CNODE.0, index + which];
        call(core, Syscall::CapRetype, &l1).unwrap();
        for i in (0..count).step_by(50) {
            retype(core, of, CapType::EndPoint, first + i, 0, 50, slot(which, i));
        }
    }
    for i in 0..count {
        call(core, Syscall::EndpointConnect, &[slot(0, i), slot(1, i)]).unwrap();
    }
}

/// Of the caller's events from `mine` on, how many know that their peer is gone.
fn told(core: &Core, mine: u32, count: u32) -> usize {
    let me = core.machine.current.unwrap();
    (mine..mine + count).filter(|&i| core.machine.event(me, i).is_peer_gone()).count()
}

#[test]
fn the_end_of_a_dispatcher_with_many_events_goes_in_steps_and_tells_every_peer() {
    let mut core = core();
    let d = second(&mut core, 0, 65536, 100);
    connect(&mut core, 100, 200, 4, 30);
    assert_eq!(call(&mut core, Syscall::DispatcherStop, &[free(100)]), Ok(Reply::Value(0)));
    assert_eq!(core.machine.dispatcher(d).state(), State::Ended);
    assert!(told(&core, 4, 200) < 64, "{} told in one call", told(&core, 4, 200));
    assert!(core.machine.hardware.timer.is_some(), "nobody comes to tell the others");
    let mut before = told(&core, 4, 200);
    while told(&core, 4, 200) < 200 {
        core.machine.hardware.ticks = core.machine.hardware.timer.expect("the rest is forgotten");
        trap::interrupt(&mut core);
        assert!(!matches!(schedule::next(&mut core), Next::Idle));
        let now = told(&core, 4, 200);
        assert!(now - before <= 64);
        before = now;
    }
    while events::reap(&mut core) == Progress::More {}
    assert_eq!(core.machine.ending, None);
}

#[test]
fn ended_dispatchers_that_are_taken_apart_meanwhile_leave_no_reference_and_tell_every_peer() {
    for gone in 0..3 {
        let mut core = core();
        let size = 16384;
        for i in 0..3 {
            second(&mut core, i * 32768, size, 100 + 2 * i);
            connect(&mut core, 100 + 2 * i, 50, 4 + 50 * i, 30 + 2 * i);
        }
        for i in 0..3 {
            call(&mut core, Syscall::DispatcherStop, &[free(100 + 2 * i)]).unwrap();
        }
        call(&mut core, Syscall::CapDelete, &[0, free(100 + 2 * gone)]).unwrap();
        // Its memory becomes something else at once when the zombie is gone.
        while core.db.step(&mut core.machine, caps::BUDGET) == Progress::More {}
        retype(&mut core, EARLY_RAM.0, CapType::Frame, gone * 32768, size, 1, free(200));
        let slot = syscall::lookup(&core, free(200)).unwrap();
        let base = caps::Machine::slot(&core.machine, slot).base();
        // SAFETY: the frame's memory, which the arena backs.
        unsafe { core.machine.hardware.direct_map(base).write_bytes(0xff, size as usize) };
        for round in 0.. {
            assert!(round < 100);
            if events::reap(&mut core) == Progress::Done {
                break;
            }
        }
        assert_eq!(told(&core, 4, 150), 150);
    }
}

#[test]
fn an_interrupt_of_an_ended_driver_is_free_at_once() {
    let mut core = core();
    let irqs = interrupts(&mut core);
    second(&mut core, 0, 65536, 100);
    retype(&mut core, free(100), CapType::Notify, 1000, 0, 1, free(110));
    retype(&mut core, SELF_DISPATCHER.0, CapType::Notify, 3, 0, 1, free(111));
    retype(&mut core, irqs, CapType::IrqSource, 5, 1, 1, free(112));
    call(&mut core, Syscall::IrqBind, &[free(112), free(110)]).unwrap();
    assert_eq!(call(&mut core, Syscall::IrqBind, &[free(112), free(111)]), Err(ErrorKind::BadInterrupt));
    call(&mut core, Syscall::DispatcherStop, &[free(100)]).unwrap();
    assert_eq!(call(&mut core, Syscall::IrqBind, &[free(112), free(111)]), Ok(Reply::Value(0)));
    while events::reap(&mut core) == Progress::More {}
    let me = core.machine.current.unwrap();
    assert_eq!(core.machine.interrupts.listener(37), Some((me, 3)), "the old one took it along");
}

#[test]
fn what_is_deleted_is_cleared_away_while_domains_only_use_the_direct_way() {
    let mut core = core();
    let me = core.machine.current.unwrap();
    let d = second(&mut core, 0, 8192, 100);
    for (from, slot) in [(SELF_DISPATCHER.0, 110), (free(100), 111)] {
        retype(&mut core, from, CapType::EndPoint, 1, 0, 1, free(slot));
        call(&mut core, Syscall::EndpointConfigure, &[free(slot), 0x1000, 4, 0]).unwrap();
    }
    call(&mut core, Syscall::DispatcherStart, &[free(100)]).unwrap();
    call(&mut core, Syscall::Yield, &[]).unwrap();
    schedule::next(&mut core);
    call(&mut core, Syscall::Wait, &[u64::MAX]).unwrap();
    schedule::next(&mut core);
    assert_eq!((core.machine.current, core.machine.hardware.timer), (Some(me), None));
    // Long after the beginning of its slice, which nobody waits for the end of.
    core.machine.hardware.ticks += 1 << 30;
    retype(&mut core, EARLY_RAM.0, CapType::L1CNode, 1 << 20, L1_CNODE_MAX_SIZE, 1, free(120));
    assert_eq!(call(&mut core, Syscall::CapDelete, &[0, free(120)]), Ok(Reply::Value(0)));
    assert!(core.db.has_zombies());
    assert_eq!(call(&mut core, Syscall::CapDelete, &[0, free(120)]), Err(ErrorKind::EmptySlot));
    let slice = core.machine.hardware.ticks_per_ms() * SLICE_MS;
    let mut interrupts = 0;
    while core.db.has_zombies() {
        let (here, there) = if core.machine.current == Some(me) { (111, d) } else { (110, me) };
        assert!(lmp::send_wait_direct(&mut core, free(here), u64::MAX, 0).is_some());
        assert_eq!(core.machine.current, Some(there));
        let now = core.machine.hardware.ticks;
        let at = core.machine.hardware.timer.expect("nobody comes for the remains");
        assert!(at <= now + slice, "late");
        assert!(interrupts == 0 || at > now, "the domains get nowhere");
        core.machine.hardware.ticks = at.max(now);
        trap::interrupt(&mut core);
        schedule::next(&mut core);
        interrupts += 1;
    }
    assert!(interrupts < 32, "{interrupts}");
    let me = core.machine.current.unwrap();
    assert_eq!((core.machine.dispatcher(me).state(), core.machine.hardware.timer), (State::Ready, None));
}

#[test]
fn a_pair_of_cnode_and_slot_is_found_in_both_roots_while_a_cspace_grows() {
    let mut core = core();
    retype(&mut core, EARLY_RAM.0, CapType::L1CNode, 0, L1_CNODE_MAX_SIZE / 2, 1, free(100));
    retype(&mut core, EARLY_RAM.0, CapType::L1CNode, 1 << 20, L1_CNODE_MAX_SIZE, 1, free(101));
    let resize = |core: &mut Core, to: u64| call(core, Syscall::CSpaceResize, &[SELF_DISPATCHER.0, free(to)]);
    while resize(&mut core, 100) == Ok(Reply::Value(1)) {}
    // A CNode at an index that the next move comes to last, and in it a capability to a CNode.
    retype(&mut core, EARLY_RAM.0, CapType::L2CNode, 2 << 20, 0, 1, free(102));
    let late = 2000;
    call(&mut core, Syscall::CapCopy, &[free(102), free(100), late, 15]).unwrap();
    let cnode = late << 8 | 7;
    call(&mut core, Syscall::CapCopy, &[free(102), 0, cnode, 15]).unwrap();
    let mut steps = 0;
    loop {
        let progress = resize(&mut core, 101);
        steps += 1;
        // By address, and in pairs: copied to, retyped to, deleted from.
        assert_eq!(call(&mut core, Syscall::CapIdentify, &[cnode]), Ok(Reply::Results));
        assert_eq!(call(&mut core, Syscall::CapCopy, &[free(102), cnode, 9, 15]), Ok(Reply::Value(0)));
        assert_eq!(call(&mut core, Syscall::CapDelete, &[cnode, 9]), Ok(Reply::Value(0)));
        let retype = [SELF_DISPATCHER.0, CapType::EndPoint as u64, 9, 0, 1, cnode, 10];
        assert_eq!(call(&mut core, Syscall::CapRetype, &retype), Ok(Reply::Value(0)));
        assert_eq!(call(&mut core, Syscall::CapDelete, &[cnode, 10]), Ok(Reply::Value(0)));
        if progress == Ok(Reply::Value(0)) {
            break;
        }
        assert_eq!(progress, Ok(Reply::Value(1)));
    }
    assert!(steps > 4, "{steps}");
    let wrong = call(&mut core, Syscall::CapDelete, &[4000 << 8 | 7, 9]);
    assert_eq!(wrong, Err(ErrorKind::NoCNode));
}
