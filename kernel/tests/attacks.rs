//! What a domain may try against the kernel and against others: each was possible once, or had to be shown impossible.

mod common;

use abi::frame::State;
use abi::layout::*;
use abi::{CapType, ErrorKind, Syscall};
use caps::Machine as _;
use kernel::arch::{boot, tiny_program};
use kernel::cpu::Core;
use kernel::dispatcher::{DispatcherRef, EventKind};
use kernel::schedule::{self, Next};
use kernel::syscall::{self, Reply};

use common::{call, core, free, interrupts, pair, retype, second};

#[test]
fn woken_during_a_call_that_returns_gets_a_timer() {
    let mut core = core();
    second(&mut core, 0, 8192, 100);
    assert_eq!(core.machine.hardware.timer, None);
    assert_eq!(call(&mut core, Syscall::DispatcherStart, &[free(100)]), Ok(Reply::Value(0)));
    assert!(core.machine.hardware.timer.is_some(), "another is ready, current computes for ever, no timer");
}

#[test]
fn no_slice_is_the_usual_slice() {
    let mut core = core();
    second(&mut core, 0, 8192, 100);
    call(&mut core, Syscall::DispatcherStart, &[free(100)]).unwrap();
    schedule::program_timer(&mut core.machine, false);
    println!("timer armed at {:?}, slice_end {}", core.machine.hardware.timer, core.machine.slice_end);
    assert!(core.machine.hardware.timer.is_some());
    call(&mut core, Syscall::SliceRequest, &[SELF_DISPATCHER.0, 0]).unwrap();
    assert!(core.machine.hardware.timer.is_some(), "SliceRequest(0) turned preemption off");
}

#[test]
fn a_huge_slice_is_the_usual_slice() {
    let mut core = core();
    second(&mut core, 0, 8192, 100);
    call(&mut core, Syscall::DispatcherStart, &[free(100)]).unwrap();
    call(&mut core, Syscall::SliceRequest, &[SELF_DISPATCHER.0, 1 << 62]).unwrap();
    assert!(
        core.machine.hardware.timer.is_some_and(|t| t < 1 << 40),
        "a slice of {:?}",
        core.machine.hardware.timer
    );
}

#[test]
fn a_stale_binding_leaves_the_new_owner_of_an_interrupt_alone() {
    let mut core = core();
    let irqs = interrupts(&mut core);
    second(&mut core, 0, 8192, 100);
    retype(&mut core, SELF_DISPATCHER.0, CapType::Notify, 3, 0, 1, free(110)).unwrap();
    retype(&mut core, free(100), CapType::Notify, 3, 0, 1, free(111)).unwrap();
    retype(&mut core, irqs, CapType::IrqSource, 5, 1, 1, free(112)).unwrap();
    call(&mut core, Syscall::IrqBind, &[free(112), free(110)]).unwrap();
    call(&mut core, Syscall::CapDelete, &[0, free(112)]).unwrap();
    retype(&mut core, irqs, CapType::IrqSource, 5, 1, 1, free(113)).unwrap();
    call(&mut core, Syscall::IrqBind, &[free(113), free(111)]).unwrap();
    assert!(core.machine.interrupts.listener(37).is_some());
    // the former listener's event ends
    call(&mut core, Syscall::CapDelete, &[0, free(110)]).unwrap();
    assert!(core.machine.interrupts.listener(37).is_some(), "victim's binding torn down");
}

#[test]
fn deleting_a_wide_irq_source_leaves_narrower_ones_bound() {
    let mut core = core();
    let irqs = interrupts(&mut core);
    retype(&mut core, SELF_DISPATCHER.0, CapType::Notify, 3, 0, 1, free(110)).unwrap();
    retype(&mut core, irqs, CapType::IrqSource, 5, 1, 1, free(112)).unwrap();
    call(&mut core, Syscall::IrqBind, &[free(112), free(110)]).unwrap();
    call(&mut core, Syscall::CapDelete, &[0, irqs]).unwrap();
    assert!(core.machine.interrupts.listener(37).is_some());
}

#[test]
fn many_endpoints_in_one_retype() {
    let mut core = core();
    let d = second(&mut core, 0, 8192, 100);
    retype(&mut core, free(100), CapType::EndPoint, 4, 0, 3, free(110)).unwrap();
    for i in 4..7 {
        assert_eq!(core.machine.event(d, i).kind(), EventKind::EndPoint, "event {i}");
    }
}

#[test]
fn end_tells_the_peers_of_endpoints_made_in_one_retype() {
    let mut core = core();
    let d = second(&mut core, 0, 8192, 100);
    let me = core.machine.current.unwrap();
    retype(&mut core, free(100), CapType::EndPoint, 4, 0, 3, free(110)).unwrap();
    retype(&mut core, SELF_DISPATCHER.0, CapType::EndPoint, 9, 0, 1, free(120)).unwrap();
    call(&mut core, Syscall::EndpointConnect, &[free(112), free(120)]).unwrap();
    call(&mut core, Syscall::DispatcherStop, &[free(100)]).unwrap();
    assert_eq!(core.machine.dispatcher(d).state(), State::Ended);
    assert!(core.machine.event(me, 9).is_peer_gone(), "dead peer never told");
}

#[test]
fn a_cspace_can_grow_twice() {
    let mut core = core();
    retype(&mut core, EARLY_RAM.0, CapType::L1CNode, 0, 1 << 16, 1, free(100)).unwrap();
    retype(&mut core, EARLY_RAM.0, CapType::L1CNode, 1 << 16, 1 << 17, 1, free(101)).unwrap();
    for s in [100, 101] {
        let mut n = 0;
        loop {
            n += 1;
            match call(&mut core, Syscall::CSpaceResize, &[SELF_DISPATCHER.0, free(s)]) {
                Ok(Reply::Value(1)) => {}
                Ok(Reply::Value(0)) => break,
                other => panic!("slot {s} call {n}: {other:?}"),
            }
        }
        // the only other capability of the old root: user's copies
        let old = if s == 100 { ROOT_CNODE.0 } else { free(100) };
        while call(&mut core, Syscall::CapDelete, &[0, old]) == Ok(Reply::Value(1)) {}
        println!("resize {s}: {n} calls");
    }
}

#[test]
fn a_cspace_can_grow_again_while_its_old_root_is_cleared_away() {
    let mut core = core();
    retype(&mut core, EARLY_RAM.0, CapType::L1CNode, 0, 1 << 16, 1, free(100)).unwrap();
    retype(&mut core, EARLY_RAM.0, CapType::L1CNode, 1 << 16, 1 << 17, 1, free(101)).unwrap();
    while call(&mut core, Syscall::CSpaceResize, &[SELF_DISPATCHER.0, free(100)]) == Ok(Reply::Value(1)) {}
    // drop all other copies of the root, so that the dispatcher's own slot holds the last one
    while call(&mut core, Syscall::CapDelete, &[0, free(100)]) == Ok(Reply::Value(1)) {}
    let mut n = 0;
    loop {
        n += 1;
        match call(&mut core, Syscall::CSpaceResize, &[SELF_DISPATCHER.0, free(101)]) {
            Ok(Reply::Value(1)) => {}
            Ok(Reply::Value(0)) => break,
            other => panic!("call {n}: {other:?}"),
        }
    }
}

#[test]
fn waiting_dispatcher_that_loses_its_frame_ends_and_its_watcher_learns() {
    let mut core = core();
    retype(&mut core, SELF_DISPATCHER.0, CapType::Notify, 3, 0, 1, free(90)).unwrap();
    retype(&mut core, EARLY_RAM.0, CapType::Dispatcher, 0, 8192, 1, free(100)).unwrap();
    retype(&mut core, EARLY_RAM.0, CapType::Frame, 8192, 8192, 1, free(101)).unwrap();
    call(
        &mut core,
        Syscall::DispatcherConfigure,
        &[free(100), ROOT_CNODE.0, ROOT_VNODE.0, free(101), FRAME_BASE + (1 << 20), USER_LOWEST, free(90)],
    )
    .unwrap();
    retype(&mut core, free(100), CapType::Notify, 3, 0, 1, free(91)).unwrap();
    let me = core.machine.current.unwrap();
    let slot = syscall::lookup(&core, free(100)).unwrap();
    let d = DispatcherRef::at(core.machine.slot(slot).base()).unwrap();
    call(&mut core, Syscall::DispatcherStart, &[free(100)]).unwrap();
    call(&mut core, Syscall::Yield, &[]).unwrap();
    schedule::next(&mut core);
    assert_eq!(core.machine.current, Some(d));
    call(&mut core, Syscall::Wait, &[u64::MAX]).unwrap();
    schedule::next(&mut core);
    assert_eq!(core.machine.current, Some(me));
    while call(&mut core, Syscall::CapRevoke, &[0, free(101)]) == Ok(Reply::Value(1)) {}
    call(&mut core, Syscall::NotifySignal, &[free(91)]).unwrap();
    call(&mut core, Syscall::Yield, &[]).unwrap();
    schedule::next(&mut core);
    assert_eq!(core.machine.dispatcher(d).state(), State::Ended, "it neither runs nor ends");
    assert!(core.machine.frame(me).unwrap().any_ready(), "watcher never told");
}

#[test]
fn configure_that_fails_changes_nothing() {
    let mut core = core();
    retype(&mut core, EARLY_RAM.0, CapType::Dispatcher, 0, 8192, 1, free(100)).unwrap();
    retype(&mut core, EARLY_RAM.0, CapType::Frame, 1 << 20, 512 * 4096, 1, free(101)).unwrap();
    retype(&mut core, EARLY_RAM.0, CapType::VNodeL3, 8192, 0, 1, free(102)).unwrap();
    retype(&mut core, EARLY_RAM.0, CapType::Frame, 16384, 8192, 1, free(103)).unwrap();
    // a VNodeL3 somewhere: L0[1] -> L1 -> L2 -> L3 of our own
    retype(&mut core, EARLY_RAM.0, CapType::VNodeL1, 3 * 8192, 0, 1, free(104)).unwrap();
    retype(&mut core, EARLY_RAM.0, CapType::VNodeL2, 4 * 8192, 0, 1, free(105)).unwrap();
    call(&mut core, Syscall::Map, &[ROOT_VNODE.0, 0, free(106), free(104), 0, 1 | 1 << 16, 3]).unwrap();
    call(&mut core, Syscall::Map, &[free(104), 0, free(107), free(105), 0, 1 | 1 << 16, 3]).unwrap();
    call(&mut core, Syscall::Map, &[free(105), 0, free(108), free(102), 0, 1 | 1 << 16, 3]).unwrap();
    for i in 0..100 {
        call(&mut core, Syscall::Map, &[free(102), 0, free(120 + i), free(101), 0, i | 1 << 16, 3]).unwrap();
    }
    assert_eq!(call(&mut core, Syscall::CapDelete, &[0, free(101)]), Ok(Reply::Value(1)));
    let conf = |core: &mut Core, f| {
        call(
            core,
            Syscall::DispatcherConfigure,
            &[free(100), ROOT_CNODE.0, ROOT_VNODE.0, f, FRAME_BASE + (1 << 20), USER_LOWEST, 0],
        )
    };
    assert_eq!(conf(&mut core, free(101)), Err(ErrorKind::InDelete));
    assert_eq!(conf(&mut core, free(103)), Ok(Reply::Value(0)), "the refused call left something behind");
}

#[test]
fn dispatchers_are_counted() {
    let mut core = core();
    let before = core.machine.dispatchers;
    second(&mut core, 0, 8192, 100);
    while call(&mut core, Syscall::CapDelete, &[0, free(100)]) == Ok(Reply::Value(1)) {}
    assert_eq!(core.machine.dispatchers, before);
}

#[test]
fn deadlines_of_many_expire_in_bounded_time() {
    let mut core = core();
    let me = core.machine.current.unwrap();
    let mut ds = vec![];
    retype(&mut core, EARLY_RAM.0, CapType::Frame, 0, 8192, 1, free(99)).unwrap();
    for i in 0..120u64 {
        retype(&mut core, EARLY_RAM.0, CapType::Dispatcher, 8192 * (i + 1), 4096, 1, free(100 + i)).unwrap();
        call(
            &mut core,
            Syscall::DispatcherConfigure,
            &[free(100 + i), ROOT_CNODE.0, ROOT_VNODE.0, free(99), FRAME_BASE + (1 << 20), USER_LOWEST, 0],
        )
        .unwrap();
        call(&mut core, Syscall::DispatcherStart, &[free(100 + i)]).unwrap();
        ds.push(i);
    }
    call(&mut core, Syscall::Yield, &[]).unwrap();
    for _ in &ds {
        schedule::next(&mut core);
        call(&mut core, Syscall::Wait, &[1000]).unwrap();
    }
    schedule::next(&mut core);
    assert_eq!(core.machine.current, Some(me));
    core.machine.hardware.ticks = 2000;
    kernel::trap::interrupt(&mut core);
    let mut woken = 0;
    let base = core.machine.slot(syscall::lookup(&core, free(100)).unwrap()).base();
    for i in 0..120u64 {
        if core.machine.dispatcher(DispatcherRef::at(base + 8192 * i).unwrap()).state() == State::Ready {
            woken += 1;
        }
    }
    assert!(woken < 64, "{woken} woken in one interrupt");
}

#[test]
fn the_direct_way_does_not_overlook_ready_events() {
    let mut core = core();
    let (me, d) = pair(&mut core);
    call(&mut core, Syscall::NotifySignal, &[free(112)]).unwrap();
    call(&mut core, Syscall::NotifySignal, &[free(113)]).unwrap();
    // slow: ready events -> upcall
    assert!(kernel::lmp::send_wait_direct(&mut core, free(111), u64::MAX, 0).is_none());
    assert_eq!(call(&mut core, Syscall::SendWait, &[free(111), u64::MAX, 0]), Ok(Reply::Switch));
    assert!(matches!(schedule::next(&mut core), Next::Upcall { .. }));
    assert_eq!(core.machine.current, Some(me));
    // the peer takes its packet and waits again
    call(&mut core, Syscall::Yield, &[]).unwrap();
    schedule::next(&mut core);
    assert_eq!(core.machine.current, Some(d));
    let frame = core.machine.frame(d).unwrap();
    // What the receiver's user space does: takes the packet, and clears its ready events.
    // SAFETY: both words lie in the receiver's frame, which the arena backs.
    unsafe {
        let base = core.machine.hardware.direct_map(core.machine.dispatcher(d).slots[3].base());
        base.add(0x1000).cast::<u32>().write(1);
        base.add(8).cast::<u64>().write(0);
    }
    assert!(!frame.any_ready());
    call(&mut core, Syscall::Wait, &[u64::MAX]).unwrap();
    schedule::next(&mut core);
    assert_eq!(core.machine.current, Some(me));
    // me: has handled one of the two events, and answers with SendWait while the other is still ready
    assert!(core.machine.frame(me).unwrap().any_ready());
    assert!(
        kernel::lmp::send_wait_direct(&mut core, free(111), u64::MAX, 0).is_none(),
        "asleep with a ready event"
    );
}

#[test]
fn random_lifecycle_leaves_no_dangling_reference() {
    use std::collections::HashSet;
    let mut seed = 88172645463325252u64;
    let mut rnd = move |n: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % n
    };
    for round in 0..40 {
        let mut core = boot(&tiny_program(), 12 << 20);
        assert!(matches!(schedule::next(&mut core), Next::Upcall { .. }));
        let irqs = (1..60)
            .map(free)
            .find(|&a| {
                call(&mut core, Syscall::CapIdentify, &[a]).is_ok()
                    && core.results[1] & 0xff == CapType::IrqSource as u64
            })
            .unwrap();
        for i in 0..4 {
            let _ = retype(&mut core, EARLY_RAM.0, CapType::Ram, i * 65536, 65536, 1, free(90 + i));
        }
        for _ in 0..400 {
            let s = |r: &mut dyn FnMut(u64) -> u64| free(100 + r(24));
            let r = match rnd(25) {
                0 => {
                    let (a, b) = (free(90 + rnd(4)), s(&mut rnd));
                    let o = rnd(4) * 4096;
                    retype(&mut core, a, CapType::Dispatcher, o, 4096 << rnd(2), 1, b)
                }
                1 => {
                    let (a, b) = (free(90 + rnd(4)), s(&mut rnd));
                    let o = 32768 + rnd(4) * 4096;
                    retype(&mut core, a, CapType::Frame, o, 8192, 1, b)
                }
                2 => {
                    let (a, b) = (s(&mut rnd), s(&mut rnd));
                    let o = rnd(100);
                    let c = 1 + rnd(3);
                    retype(&mut core, a, CapType::EndPoint, o, 0, c, b)
                }
                3 => {
                    let (a, b) = (s(&mut rnd), s(&mut rnd));
                    let o = rnd(100);
                    retype(&mut core, a, CapType::Notify, o, 0, 1, b)
                }
                4 => {
                    let (a, b, w) = (s(&mut rnd), s(&mut rnd), if rnd(2) == 0 { 0 } else { s(&mut rnd) });
                    call(
                        &mut core,
                        Syscall::DispatcherConfigure,
                        &[a, ROOT_CNODE.0, ROOT_VNODE.0, b, FRAME_BASE + (1 << 20), USER_LOWEST, w],
                    )
                }
                5 | 6 => {
                    let a = s(&mut rnd);
                    call(&mut core, Syscall::DispatcherStart, &[a])
                }
                7 => {
                    let a = s(&mut rnd);
                    if rnd(4) == 0 {
                        call(&mut core, Syscall::DispatcherStop, &[a])
                    } else {
                        Ok(Reply::Value(0))
                    }
                }
                8 => {
                    let (a, b) = (s(&mut rnd), s(&mut rnd));
                    call(&mut core, Syscall::EndpointConnect, &[a, b])
                }
                9 => {
                    let a = s(&mut rnd);
                    let o = 0x1000 + rnd(4) * 64;
                    call(&mut core, Syscall::EndpointConfigure, &[a, o, 1 << rnd(5), 0])
                }
                10 | 11 => {
                    let a = s(&mut rnd);
                    call(&mut core, Syscall::Send, &[a, 0, 0])
                }
                12 => {
                    let a = s(&mut rnd);
                    if kernel::lmp::send_wait_direct(&mut core, a, u64::MAX, 0).is_some() {
                        Ok(Reply::Value(0))
                    } else {
                        call(&mut core, Syscall::SendWait, &[a, u64::MAX, 0])
                    }
                }
                13 => {
                    let t = core.machine.hardware.ticks + rnd(50);
                    call(&mut core, Syscall::Wait, &[t])
                }
                14 => call(&mut core, Syscall::Yield, &[]),
                15 => {
                    let a = s(&mut rnd);
                    call(&mut core, Syscall::CapDelete, &[0, a])
                }
                16 => {
                    let a = if rnd(8) == 0 { free(90 + rnd(4)) } else { s(&mut rnd) };
                    call(&mut core, Syscall::CapRevoke, &[0, a])
                }
                17 => {
                    let (a, b) = (s(&mut rnd), s(&mut rnd));
                    call(&mut core, Syscall::CapCopy, &[a, 0, b, 15])
                }
                18 => {
                    let b = s(&mut rnd);
                    retype(&mut core, irqs, CapType::IrqSource, rnd(3), 1, 1, b)
                }
                19 => {
                    let (a, b) = (s(&mut rnd), s(&mut rnd));
                    call(&mut core, Syscall::IrqBind, &[a, b])
                }
                20 => {
                    let (a, b) = (free(90 + rnd(4)), s(&mut rnd));
                    let o = 49152;
                    retype(&mut core, a, CapType::L2CNode, o, 0, 1, b)
                }
                21 => {
                    let (a, b, c) = (s(&mut rnd), s(&mut rnd), 1 + rnd(20));
                    call(&mut core, Syscall::CapCopy, &[a, b, c, 15])
                }
                22 => {
                    let a = s(&mut rnd);
                    call(&mut core, Syscall::EndpointDrained, &[a])
                }
                23 => {
                    if core.machine.hardware.fp_open || kernel::fp::claim(&mut core.machine) {
                        Ok(Reply::Value(0))
                    } else {
                        Ok(Reply::Switch)
                    }
                }
                _ => {
                    core.machine.hardware.ticks += rnd(40);
                    kernel::trap::interrupt(&mut core);
                    Ok(Reply::Switch)
                }
            };
            if r == Ok(Reply::Switch) || core.machine.current.is_none() {
                let mut n = 0;
                while matches!(schedule::next(&mut core), Next::Idle) {
                    n += 1;
                    if n > 50 {
                        break;
                    }
                    core.machine.hardware.ticks += 100;
                    let _ = core.db.step(&mut core.machine, caps::BUDGET);
                    kernel::trap::interrupt(&mut core);
                }
                if core.machine.current.is_none() {
                    break;
                }
            }
            // live dispatchers by capability
            let mut live = HashSet::new();
            let mut n = core.db.first(&core.machine);
            while !n.is_none() {
                let c = core.machine.slot(n);
                if c.cap_type() == CapType::Dispatcher {
                    live.insert((c.base(), c.size()));
                }
                n = core.db.next(&core.machine, n);
            }
            let bases: HashSet<u64> = live.iter().map(|l| l.0).collect();
            assert!(core.machine.current.is_none_or(|d| bases.contains(&d.base())), "current dangles");
            let owner = core.machine.fp.owner();
            assert!(owner.is_none_or(|d| bases.contains(&d.base())), "owner of the FP unit dangles");
            assert_eq!(core.machine.hardware.fp_open, core.machine.fp.is_open());
            assert!(
                !core.machine.hardware.fp_open || owner == core.machine.current,
                "the FP unit is open for another than its owner"
            );
            for i in 0..1020 {
                if let Some((d, _)) = core.machine.interrupts.listener(i) {
                    assert!(bases.contains(&d.base()), "irq dangles, round {round}");
                }
            }
            for &(b, size) in &live {
                let d = DispatcherRef::at(b).unwrap();
                let st = core.machine.dispatcher(d);
                for x in [st.next, st.previous].into_iter().flatten() {
                    assert!(bases.contains(&x.base()), "run queue dangles");
                }
                for i in 0..((size - 1024) / 32) as u32 {
                    let e = core.machine.event(d, i);
                    if let Some(p) = e.peer {
                        assert!(bases.contains(&p.base()), "peer dangles round {round}");
                        let back = core.machine.event(p, e.peer_index);
                        assert!(back.peer == Some(d) && back.peer_index == i, "asymmetric peers");
                    }
                }
            }
        }
    }
}

#[test]
fn one_exit_ends_a_bounded_number_of_dispatchers() {
    let mut core = core();
    let me = core.machine.current.unwrap();
    retype(&mut core, EARLY_RAM.0, CapType::Frame, 0, 8192, 1, free(99)).unwrap();
    for i in 0..120u64 {
        retype(&mut core, EARLY_RAM.0, CapType::Dispatcher, 8192 * (i + 1), 4096, 1, free(100 + i)).unwrap();
        call(
            &mut core,
            Syscall::DispatcherConfigure,
            &[free(100 + i), ROOT_CNODE.0, ROOT_VNODE.0, free(99), FRAME_BASE + (1 << 20), USER_LOWEST, 0],
        )
        .unwrap();
        call(&mut core, Syscall::DispatcherStart, &[free(100 + i)]).unwrap();
    }
    let base = core.machine.slot(syscall::lookup(&core, free(100)).unwrap()).base();
    while call(&mut core, Syscall::CapRevoke, &[0, free(99)]) == Ok(Reply::Value(1)) {}
    call(&mut core, Syscall::Yield, &[]).unwrap();
    schedule::next(&mut core);
    let ended = (0..120u64)
        .filter(|i| {
            core.machine.dispatcher(DispatcherRef::at(base + 8192 * i).unwrap()).state() == State::Ended
        })
        .count();
    assert!(ended < 64, "{ended} ended in one exit of the kernel");
    while matches!(schedule::next(&mut core), Next::Again) {}
    assert_eq!(core.machine.current, Some(me));
}

#[test]
fn an_interrupt_ends_a_monopoly() {
    let mut core = core();
    let me = core.machine.current.unwrap();
    second(&mut core, 0, 8192, 100);
    call(&mut core, Syscall::DispatcherStart, &[free(100)]).unwrap();
    call(&mut core, Syscall::SliceRequest, &[SELF_DISPATCHER.0, u64::MAX]).unwrap();
    core.machine.frame(me).unwrap().set_disabled(false);
    core.machine.hardware.ticks += 62_500_000;
    kernel::trap::interrupt(&mut core);
    schedule::next(&mut core);
    assert_ne!(core.machine.current, Some(me), "the other is still waiting");
}

#[test]
fn a_sender_that_met_no_landing_slot_is_woken_when_there_is_one() {
    let mut core = core();
    let (me, _) = pair(&mut core);
    call(&mut core, Syscall::EndpointConnect, &[free(110), free(111)]).unwrap();
    let refused = call(&mut core, Syscall::Send, &[free(111), 0, SELF_FRAME.0]);
    assert_eq!(refused, Err(ErrorKind::NoLandingSlot));
    let frame = core.machine.frame(me).unwrap();
    assert!(!frame.any_ready());
    call(&mut core, Syscall::EndpointLanding, &[free(111), free(200)]).unwrap();
    assert!(frame.any_ready(), "the sender was not told");
    call(&mut core, Syscall::Send, &[free(111), 0, SELF_FRAME.0]).unwrap();
    call(&mut core, Syscall::CapIdentify, &[free(200)]).unwrap();
}
