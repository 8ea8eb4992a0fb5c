//! What reaches beyond the own core: starting others, ringing them and being rung, and what monitors may ask.

mod common;

use abi::frame::{RING_CONNECTED, RING_NO_SENDERS, RING_WATCHED};
use abi::layout::{EARLY_RAM, KERNEL, SELF_DISPATCHER, SELF_FRAME};
use abi::syscall::Connection;
use abi::{CapType, ErrorKind, PAGE_SIZE, Syscall};
use kernel::arch::{DOORBELL_INTERRUPT, boot_bytes, facts_offset};
use kernel::boot_facts::{BootFacts, Range};
use kernel::cores::MIN_SHARE;
use kernel::cpu::Core;
use kernel::dispatcher::DispatcherRef;
use kernel::syscall::Reply;
use kernel::{schedule, trap};

use common::{call, core, free, pair, retype, second, second_dispatcher};

/// Where a share of RAM, and a frame for both monitors, are.
const SHARE: u64 = 120;
const SHARED: u64 = 121;
const FRESH: u64 = 130;
/// Bits of a doorbell.
const ANY: u64 = u64::MAX;

/// The address of the largest root, of which nothing was made.
fn root(core: &mut Core) -> u64 {
    let size = |core: &mut Core, address: u64| {
        let is_there = call(core, Syscall::CapIdentify, &[address]).is_ok();
        let about = core.results[1];
        let is_root =
            about & 0xff == CapType::Ram as u64 && about >> 16 & u64::from(caps::Flags::ROOT.bits()) != 0;
        if is_there && is_root { core.results[3] } else { 0 }
    };
    (1..60).map(free).max_by_key(|&address| size(core, address)).expect("init has all memory")
}

/// All of the largest root, as a root of its own that is of this many bytes, and a frame of two pages.
fn share(core: &mut Core, bytes: u64) {
    let root = root(core);
    retype(core, root, CapType::Ram, 0, bytes, 1, free(SHARE)).expect("a share");
    call(core, Syscall::CapDelete, &[0, root]).expect("the root is not needed any more");
    retype(core, EARLY_RAM.0, CapType::Frame, 0, 2 * PAGE_SIZE, 1, free(SHARED)).expect("a frame");
}

fn start(core: &mut Core, id: u64) -> Result<Reply, ErrorKind> {
    call(core, Syscall::CoreStart, &[KERNEL.0, id, free(SHARE), free(SHARED)])
}

fn identify(core: &mut Core, address: u64) -> (u64, u64) {
    call(core, Syscall::CapIdentify, &[address]).expect("a capability");
    (core.results[2], core.results[3])
}

#[test]
fn a_core_gets_its_share_for_good_and_finds_its_facts_in_it() {
    let mut core = core();
    share(&mut core, MIN_SHARE);
    let (base, size) = identify(&mut core, free(SHARE));
    let (shared, _) = identify(&mut core, free(SHARED));
    assert_eq!(start(&mut core, 2).map(drop), Ok(()));
    let boot = Range { base, size: boot_bytes() };
    let affinity = core.facts.machine.cores.as_slice()[2];
    assert_eq!(core.machine.hardware.started, [(affinity, boot)]);
    let place = core.machine.hardware.direct_map(base + facts_offset());
    // SAFETY: the kernel wrote them there; in this test nobody else runs on that memory.
    let facts: &BootFacts = unsafe { &*place.cast() };
    assert_eq!(
        (facts.core, facts.own, facts.monitor),
        (2, boot, Range { base: shared, size: 2 * PAGE_SIZE })
    );
    assert!(!facts.is_first() && facts.device_space.as_slice().is_empty());
    let rest = Range { base: base + boot_bytes(), size: size - boot_bytes() };
    assert_eq!(facts.free.as_slice(), [rest]);
    let gone = call(&mut core, Syscall::CapIdentify, &[free(SHARE)]);
    assert_eq!(gone, Err(ErrorKind::EmptySlot), "nothing names that memory here any more");
}

#[test]
fn what_cannot_be_a_cores_share_is_refused_and_stays() {
    let mut core = core();
    share(&mut core, MIN_SHARE);
    assert_eq!(start(&mut core, 0), Err(ErrorKind::CoreRuns), "the core itself");
    for id in [4, u64::from(u32::MAX), u64::MAX] {
        assert_eq!(start(&mut core, id), Err(ErrorKind::NoCore));
    }
    for (answer, share) in [(ErrorKind::CoreRuns, SHARE), (ErrorKind::CoreFailed, SHARE)] {
        core.machine.hardware.start_answer = Err(answer);
        assert_eq!(
            call(&mut core, Syscall::CoreStart, &[KERNEL.0, 1, free(share), free(SHARED)]),
            Err(answer)
        );
    }
    core.machine.hardware.start_answer = Ok(());
    // Not a root; a part of a root that is still there; a root with a copy; one that something was made of; too small.
    let by = |core: &mut Core, ram: u64| call(core, Syscall::CoreStart, &[KERNEL.0, 1, ram, free(SHARED)]);
    assert_eq!(by(&mut core, EARLY_RAM.0), Err(ErrorKind::WrongType));
    retype(&mut core, free(SHARE), CapType::Ram, 0, PAGE_SIZE, 1, free(FRESH)).expect("a part");
    assert_eq!(by(&mut core, free(SHARE)), Err(ErrorKind::UnitBusy));
    assert_eq!(by(&mut core, free(FRESH)), Err(ErrorKind::UnitBusy));
    call(&mut core, Syscall::CapDelete, &[0, free(FRESH)]).expect("deleted");
    call(&mut core, Syscall::CapCopy, &[free(SHARE), 0, free(FRESH), 15]).expect("a copy");
    assert_eq!(by(&mut core, free(SHARE)), Err(ErrorKind::UnitBusy));
    assert_eq!(by(&mut core, free(FRESH)), Err(ErrorKind::UnitBusy));
    call(&mut core, Syscall::CapDelete, &[0, free(FRESH)]).expect("deleted");
    retype(&mut core, free(SHARE), CapType::Ram, 0, MIN_SHARE - PAGE_SIZE, 1, free(FRESH)).expect("a part");
    call(&mut core, Syscall::CapDelete, &[0, free(SHARE)]).expect("deleted");
    assert_eq!(by(&mut core, free(FRESH)), Err(ErrorKind::TooSmall));
    let without = call(&mut core, Syscall::CoreStart, &[SELF_FRAME.0, 1, free(FRESH), free(SHARED)]);
    assert_eq!(without, Err(ErrorKind::WrongType), "only who holds the core starts others");
    assert!(core.machine.hardware.started.is_empty());
}

/// As the kernel of another core rings bit `bit` of this one.
fn rung(core: &mut Core, bit: u32) {
    let own = core.facts.core;
    kernel::doorbell::ring(&mut core.machine, own, bit);
    core.machine.hardware.signalled.clear();
    core.machine.hardware.pending.push_back(DOORBELL_INTERRUPT);
    trap::interrupt(core);
}

fn export(core: &mut Core, slot: u64, bit: u64) -> Result<Reply, ErrorKind> {
    call(core, Syscall::NotifyExport, &[KERNEL.0, free(slot), bit])
}

/// Whether event `index` of the dispatcher is ready; it is not afterwards.
fn take_ready(core: &Core, d: DispatcherRef, index: u32) -> bool {
    let slot = core.machine.dispatcher(d).slots[kernel::dispatcher::slot::FRAME];
    let at = slot.base() + abi::frame::READY_OFFSET + u64::from(index / 64 * 8);
    let word = core.machine.hardware.direct_map(at).cast::<u64>();
    // SAFETY: in the frame of a dispatcher that does not run.
    let ready = unsafe { word.replace(word.read() & !(1 << (index % 64))) };
    ready >> (index % 64) & 1 != 0
}

#[test]
fn an_exported_notification_is_rung_by_its_bit_until_it_ends() {
    let mut core = core();
    let (me, _) = pair(&mut core);
    assert_eq!(export(&mut core, 112, 70), Ok(Reply::Value(70)));
    assert_eq!(export(&mut core, 112, ANY), Ok(Reply::Value(70)), "it keeps its bit");
    assert_eq!(export(&mut core, 112, 71), Err(ErrorKind::Nothing));
    assert_eq!(export(&mut core, 113, 70), Err(ErrorKind::Nothing), "that one is taken");
    assert_eq!(export(&mut core, 113, 4096), Err(ErrorKind::Nothing));
    assert_eq!(export(&mut core, 113, ANY), Ok(Reply::Value(0)));
    rung(&mut core, 70);
    assert!(take_ready(&core, me, 5) && !take_ready(&core, me, 70));
    rung(&mut core, 0);
    assert!(take_ready(&core, me, 70) && !take_ready(&core, me, 5));
    rung(&mut core, 1);
    rung(&mut core, 4095);
    assert!(!take_ready(&core, me, 5) && !take_ready(&core, me, 70), "nobody's bits wake nobody");
    call(&mut core, Syscall::CapDelete, &[0, free(112)]).expect("deleted");
    rung(&mut core, 70);
    assert!(!take_ready(&core, me, 5));
    retype(&mut core, SELF_DISPATCHER.0, CapType::Notify, 9, 0, 1, free(FRESH)).expect("a doorbell");
    assert_eq!(export(&mut core, FRESH, 70), Ok(Reply::Value(70)), "the bit is free again");
    assert_eq!(export(&mut core, 110, ANY), Err(ErrorKind::WrongType), "an endpoint");
}

#[test]
fn the_bits_of_a_dispatcher_are_free_when_it_ends() {
    let mut core = core();
    let (_, other) = pair(&mut core);
    retype(&mut core, second(), CapType::Notify, 40, 0, 1, free(FRESH)).expect("a doorbell");
    assert_eq!(export(&mut core, FRESH, 9), Ok(Reply::Value(9)));
    call(&mut core, Syscall::DispatcherStop, &[second()]).expect("stopped");
    let _ = kernel::events::reap(&mut core);
    assert_eq!(core.machine.event(other, 40).exported(), None);
    assert_eq!(export(&mut core, FRESH, ANY), Err(ErrorKind::BadEvent), "it is nobody's any more");
    rung(&mut core, 9);
    assert_eq!(export(&mut core, 112, 9), Ok(Reply::Value(9)));
}

#[test]
fn all_bits_are_looked_after_some_at_a_time() {
    let mut core = core();
    let me = core.machine.current.expect("somebody runs");
    retype(&mut core, SELF_DISPATCHER.0, CapType::Notify, 5, 0, 1, free(FRESH)).expect("a doorbell");
    assert_eq!(export(&mut core, FRESH, 63 * 64), Ok(Reply::Value(63 * 64)));
    let own = core.facts.core;
    for word in 0..64 {
        kernel::doorbell::ring(&mut core.machine, own, word * 64);
    }
    assert_eq!(core.machine.hardware.signalled.len(), 64);
    let mut rounds = 0;
    loop {
        core.machine.hardware.signalled.clear();
        core.machine.hardware.pending.push_back(DOORBELL_INTERRUPT);
        trap::interrupt(&mut core);
        schedule::next(&mut core);
        rounds += 1;
        if core.machine.hardware.signalled.is_empty() {
            break;
        }
    }
    assert_eq!(rounds, 17, "four words a time, and a last look");
    assert!(take_ready(&core, me, 5));
}

#[test]
fn a_doorbell_interrupts_its_core_once_until_that_has_looked() {
    let mut core = core();
    let make = |core: &mut Core, target, bit, slot| {
        call(core, Syscall::DoorbellMake, &[KERNEL.0, target, bit, 0, free(slot)])
    };
    make(&mut core, 3, 70, FRESH).expect("a doorbell");
    make(&mut core, 3, 71, FRESH + 1).expect("a doorbell");
    make(&mut core, 3, 70, FRESH + 2).expect("another copy");
    assert_eq!(make(&mut core, 4, 0, FRESH + 3), Err(ErrorKind::NoCore));
    assert_eq!(make(&mut core, 3, 4096, FRESH + 3), Err(ErrorKind::NoCore));
    assert_eq!(make(&mut core, 3, 1, FRESH), Err(ErrorKind::SlotOccupied));
    let signal = |core: &mut Core, slot| call(core, Syscall::NotifySignal, &[free(slot)]).map(drop);
    for slot in [FRESH, FRESH + 1, FRESH + 2, FRESH] {
        signal(&mut core, slot).expect("rung");
    }
    assert_eq!(core.machine.hardware.signalled, [core.facts.machine.cores.as_slice()[3]]);
    call(&mut core, Syscall::CapCopy, &[free(FRESH), 0, free(FRESH + 3), 1]).expect("a copy without WRITE");
    assert_eq!(signal(&mut core, FRESH + 3), Err(ErrorKind::MissingRight));
    for slot in FRESH..=FRESH + 3 {
        call(&mut core, Syscall::CapDelete, &[0, free(slot)]).expect("deleted");
    }
    // It is no notification of this core: nothing else takes it for one.
    make(&mut core, 3, 70, FRESH).expect("a doorbell");
    second_dispatcher(&mut core);
    assert_eq!(export(&mut core, FRESH, ANY), Err(ErrorKind::WrongType));
}

#[test]
fn a_frame_of_another_monitor_is_what_no_capability_here_covers() {
    let mut core = core();
    let make = |core: &mut Core, base, bytes| {
        call(core, Syscall::MonitorFrame, &[KERNEL.0, base, bytes, 0, free(FRESH)]).map(drop)
    };
    let (mine, _) = identify(&mut core, SELF_FRAME.0);
    assert_eq!(make(&mut core, mine & !(PAGE_SIZE - 1), PAGE_SIZE - 1), Err(ErrorKind::Unaligned));
    assert_eq!(make(&mut core, 0, 2 * PAGE_SIZE), Err(ErrorKind::Overlap), "devices are here");
    // RAM that was given away.
    share(&mut core, MIN_SHARE);
    let (theirs, _) = identify(&mut core, free(SHARE));
    assert_eq!(make(&mut core, theirs, 2 * PAGE_SIZE), Err(ErrorKind::Overlap));
    start(&mut core, 1).expect("started");
    assert_eq!(make(&mut core, theirs, 2 * PAGE_SIZE), Ok(()));
    assert_eq!(identify(&mut core, free(FRESH)), (theirs, 2 * PAGE_SIZE));
}

#[test]
fn a_monitor_learns_how_an_endpoint_stands_to_it() {
    const NOT_OWN: u64 = u64::MAX;
    let mut core = core();
    pair(&mut core);
    let peer = |core: &mut Core, slot| {
        call(core, Syscall::EndpointPeer, &[KERNEL.0, free(slot)]).expect("an endpoint");
        (Connection::from_number(core.results[1]).expect("a state"), core.results[2], core.results[3])
    };
    assert_eq!(peer(&mut core, 110), (Connection::None, 1, NOT_OWN));
    assert_eq!(peer(&mut core, 111), (Connection::None, NOT_OWN, NOT_OWN));
    call(&mut core, Syscall::EndpointConnect, &[free(110), free(111)]).expect("connected");
    assert_eq!(peer(&mut core, 111), (Connection::Made, NOT_OWN, 1));
    assert_eq!(peer(&mut core, 110), (Connection::Made, 1, NOT_OWN));
    for (from, event, slot) in
        [(second(), 7, FRESH), (second(), 8, FRESH + 1), (SELF_DISPATCHER.0, 9, FRESH + 2)]
    {
        retype(&mut core, from, CapType::EndPoint, event, 0, 1, free(slot)).expect("an endpoint");
    }
    call(&mut core, Syscall::EndpointConnect, &[free(FRESH), free(FRESH + 1)]).expect("connected");
    assert_eq!(peer(&mut core, FRESH), (Connection::Made, NOT_OWN, NOT_OWN));
    call(&mut core, Syscall::CapDelete, &[0, free(110)]).expect("deleted");
    assert_eq!(peer(&mut core, 111), (Connection::Ended, NOT_OWN, NOT_OWN));
    call(&mut core, Syscall::DispatcherStop, &[second()]).expect("stopped");
    assert_eq!(peer(&mut core, FRESH).0, Connection::Ended);
    retype(&mut core, SELF_DISPATCHER.0, CapType::EndPoint, 10, 0, 1, free(FRESH + 3)).expect("an endpoint");
    call(&mut core, Syscall::EndpointConnect, &[free(FRESH + 2), free(FRESH + 3)]).expect("connected");
    assert_eq!(peer(&mut core, FRESH + 2), (Connection::Made, 9, 10), "both ends are the caller's");
    assert_eq!(call(&mut core, Syscall::EndpointPeer, &[KERNEL.0, free(112)]), Err(ErrorKind::WrongType));
}

/// The flags of the ring that `pair` made for `me`.
fn ring_flags(core: &Core, me: DispatcherRef) -> *mut u32 {
    let frame = core.machine.dispatcher(me).slots[kernel::dispatcher::slot::FRAME].base();
    let at = frame + PAGE_SIZE + core::mem::offset_of!(abi::frame::RingHead, flags) as u64;
    core.machine.hardware.direct_map(at).cast()
}

#[test]
fn the_owner_learns_that_its_endpoint_is_connected_or_that_nobody_can_send_to_it_any_more() {
    let mut core = core();
    let (me, _) = pair(&mut core);
    let flags = ring_flags(&core, me);
    // SAFETY: here and below, in a frame of a dispatcher that does not run.
    unsafe { flags.write(RING_WATCHED) };
    for copy in [FRESH, FRESH + 1] {
        call(&mut core, Syscall::CapCopy, &[free(110), 0, free(copy), 2]).expect("a copy");
    }
    take_ready(&core, me, 1);
    call(&mut core, Syscall::CapDelete, &[0, free(FRESH)]).expect("deleted");
    assert!(!take_ready(&core, me, 1), "another is left");
    call(&mut core, Syscall::CapDelete, &[0, free(FRESH + 1)]).expect("deleted");
    // SAFETY: as above.
    assert!(take_ready(&core, me, 1) && unsafe { flags.read() } == RING_WATCHED | RING_NO_SENDERS);
    // SAFETY: as above.
    unsafe { flags.write(RING_WATCHED) };
    call(&mut core, Syscall::EndpointConnect, &[free(111), free(110)]).expect("connected");
    // SAFETY: as above.
    assert!(take_ready(&core, me, 1) && unsafe { flags.read() } == RING_WATCHED | RING_CONNECTED);
    // Of one that is connected the peer's end tells.
    call(&mut core, Syscall::CapCopy, &[free(110), 0, free(FRESH), 2]).expect("a copy");
    call(&mut core, Syscall::CapDelete, &[0, free(FRESH)]).expect("deleted");
    assert!(!take_ready(&core, me, 1));
}

#[test]
fn an_owner_who_does_not_ask_is_not_woken() {
    let mut core = core();
    let (me, _) = pair(&mut core);
    call(&mut core, Syscall::CapCopy, &[free(110), 0, free(FRESH), 2]).expect("a copy");
    take_ready(&core, me, 1);
    call(&mut core, Syscall::CapDelete, &[0, free(FRESH)]).expect("deleted");
    call(&mut core, Syscall::EndpointConnect, &[free(111), free(110)]).expect("connected");
    // SAFETY: in a frame of a dispatcher that does not run.
    assert!(!take_ready(&core, me, 1) && unsafe { ring_flags(&core, me).read() } == 0);
}
