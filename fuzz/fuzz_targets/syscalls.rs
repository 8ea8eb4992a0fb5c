//! Two domains on one core do whatever the bytes say: system calls with likely and unlikely arguments, faults,
//! FP instructions, interrupts, and writes to all memory that their page tables show them. The kernel must neither panic nor touch
//! memory beside the arena, and `checks` must hold.
//!
//! Each input boots anew, so most of the time goes into fresh pages unless the allocator keeps them:
//!     MALLOC_MMAP_THRESHOLD_=100000000 MALLOC_TRIM_THRESHOLD_=1000000000 \
//!     cargo +nightly fuzz run -s none syscalls -- -len_control=0 -max_len=2000 -max_total_time=600
#![no_main]

#[path = "syscalls/checks.rs"]
mod checks;
#[path = "syscalls/words.rs"]
mod words;

use abi::boot::BOOT_CNODE;
use abi::cap::{CapAddr, Rights};
use abi::frame::State;
use abi::layout::{EARLY_RAM, FRAME_BASE, ROOT_CNODE, ROOT_VNODE, SELF_DISPATCHER, USER_LOWEST};
use abi::{CapType, Syscall};
use caps::{Flags, Progress};
use kernel::arch::{boot, tiny_program};
use kernel::cpu::Core;
use kernel::dispatcher::DispatcherRef;
use kernel::schedule::{self, Next};
use kernel::syscall::{self, Args, Reply};
use kernel::{events, fp, lmp, trap};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;

/// What `init` needs, and little more: each input boots anew.
const RAM: usize = 8 << 20;
/// First slot of the boot CNode that boot leaves empty and inputs play with.
const FIRST_SLOT: u64 = 100;
/// Longest way to the next domain, in rounds of the idle loop.
const IDLE_ROUNDS: usize = 10_000;

fuzz_target!(|bytes: &[u8]| {
    let mut core = two_domains();
    let mut input = Unstructured::new(bytes);
    while !input.is_empty() && step(&mut core, &mut input).unwrap_or(false) {
        checks::translations(&mut core);
        checks::fp(&core);
    }
    checks::everything(&mut core);
    end(&mut core);
    checks::everything(&mut core);
});

const fn slot(number: u64) -> CapAddr {
    CapAddr::new(BOOT_CNODE, FIRST_SLOT + number)
}

fn must(core: &mut Core, number: Syscall, a: &[u64]) {
    let mut arguments = [0; 7];
    arguments[..a.len()].copy_from_slice(a);
    syscall::call(core, number as u64, arguments).expect("setting the scene");
}

/// A booted core in user mode of `init`, and a second dispatcher that is ready; they share CSpace and address space.
/// Slots 0 and 1: dispatcher and frame of the second; 2 to 5: endpoints 1 and 2 of each, with rings of 4 packets, the
/// first of one connected to the first of the other; 6 and 7: a notification of each.
fn two_domains() -> Box<Core> {
    let mut core = boot(&tiny_program(), RAM);
    assert!(matches!(schedule::next(&mut core), Next::Upcall { .. }), "init is not entered");
    let c = &mut *core;
    let retype = |c: &mut Core, from: CapAddr, ty: CapType, offset, size, to: u64| {
        must(c, Syscall::CapRetype, &[from.0, ty as u64, offset, size, 1, 0, slot(to).0]);
    };
    retype(c, EARLY_RAM, CapType::Dispatcher, 0, 8192, 0);
    retype(c, EARLY_RAM, CapType::Frame, 8192, 8192, 1);
    let vector = USER_LOWEST;
    let frame_address = FRAME_BASE + (1 << 20);
    must(
        c,
        Syscall::DispatcherConfigure,
        &[slot(0).0, ROOT_CNODE.0, ROOT_VNODE.0, slot(1).0, frame_address, vector, 0],
    );
    for (d, first) in [(SELF_DISPATCHER, 2), (slot(0), 4)] {
        for (index, to) in [(1, first), (2, first + 1)] {
            retype(c, d, CapType::EndPoint, index, 0, to);
            must(c, Syscall::EndpointConfigure, &[slot(to).0, 0x1000 + 0x200 * index, 4, slot(20 + to).0]);
        }
        retype(c, d, CapType::Notify, 3, 0, 6 + (first - 2) / 2);
    }
    must(c, Syscall::EndpointConnect, &[slot(2).0, slot(4).0]);
    must(c, Syscall::DispatcherStart, &[slot(0).0]);
    core
}

/// Does one thing; `false` when nobody can run any more.
fn step(core: &mut Core, input: &mut Unstructured) -> Result<bool> {
    match input.int_in_range(0..=15)? {
        0 => {
            let interrupts = [27, input.int_in_range(30..=40)?, input.arbitrary()?];
            core.machine.hardware.pending.push_back(*input.choose(&interrupts)?);
            trap::interrupt(core);
        }
        1 => {
            core.machine.hardware.ticks += u64::from(input.arbitrary::<u32>()?);
            trap::interrupt(core);
        }
        2 => {
            let esr = u64::from(input.arbitrary::<u8>()? & 63) << 26;
            trap::fault(core, esr, words::address(input)?);
        }
        3 => {
            user_writes(core, words::address(input)?, words::word(input)?);
            return Ok(true);
        }
        4 => {
            // A domain tidies up as its runtime would: no events, upcalls enabled.
            for offset in 0..input.int_in_range(1..=40)? {
                user_writes(core, FRAME_BASE + 8 * offset, 0);
            }
            return Ok(true);
        }
        5 => {
            let open = core.machine.hardware.fp_open;
            if open || fp::claim(&mut core.machine) {
                return Ok(true);
            }
        }
        _ => return system_call(core, input),
    }
    Ok(leave(core))
}

/// As the entry code does it.
fn system_call(core: &mut Core, input: &mut Unstructured) -> Result<bool> {
    let (number, arguments): (u64, Args) = words::call(input)?;
    if number == Syscall::PowerOff as u64 {
        return Ok(true);
    }
    core.packet.header = arguments[6];
    let [endpoint, deadline, capability, ..] = arguments;
    if number == Syscall::SendWait as u64
        && lmp::send_wait_direct(core, endpoint, deadline, capability).is_some()
    {
        return Ok(true);
    }
    let reply = syscall::call(core, number, arguments);
    if reply == Ok(Reply::Switch) {
        return Ok(leave(core));
    }
    assert!(core.machine.current.is_some(), "nobody is there to return to from {number} {arguments:x?}");
    Ok(true)
}

/// The way out of the kernel; `false` when nobody is left.
fn leave(core: &mut Core) -> bool {
    for _ in 0..IDLE_ROUNDS {
        if !matches!(schedule::next(core), Next::Idle) {
            return true;
        }
        if events::reap(core) == Progress::Done {
            if let Some(at) = core.machine.hardware.timer {
                core.machine.hardware.ticks = core.machine.hardware.ticks.max(at);
            } else if !wake_somebody(core) {
                return false;
            }
        }
        trap::interrupt(core);
    }
    panic!("neither runs nor sleeps");
}

/// Signals a dispatcher that waits, as a driver's interrupt would; `false` if there is none.
fn wake_somebody(core: &mut Core) -> bool {
    for node in checks::nodes(core) {
        if node.cap_type() == CapType::Dispatcher
            && !node.flags().any(Flags::ZOMBIE)
            && let Some(d) = DispatcherRef::at(node.base())
            && core.machine.dispatcher(d).state() == State::Waiting
            && core.machine.frame(d).is_some()
        {
            events::post(&mut core.machine, d, 3);
            return true;
        }
    }
    false
}

/// A store of user space, if its page tables allow it.
fn user_writes(core: &mut Core, address: u64, word: u64) {
    let hardware = &mut core.machine.hardware;
    if hardware.installed_root() == 0 || address >= abi::layout::USER_END {
        return;
    }
    let Ok(found) = hardware.translate(address & !7) else { return };
    if found.rights.contains(Rights::WRITE) && checks::is_ram(found.address) {
        // SAFETY: `direct_map` checks that it lies in the arena; eight-byte aligned. No reference into it is held here.
        unsafe { hardware.direct_map(found.address).cast::<u64>().write(word) };
    }
}

/// Takes everything away: it must come to an end.
fn end(core: &mut Core) {
    for address in [EARLY_RAM, CapAddr::new(BOOT_CNODE, 1), ROOT_VNODE, SELF_DISPATCHER, ROOT_CNODE] {
        for round in 0.. {
            assert!(round < IDLE_ROUNDS, "a revoke without end");
            if core.machine.current.is_none()
                || syscall::call(core, Syscall::CapRevoke as u64, [0, address.0, 0, 0, 0, 0, 0])
                    != Ok(Reply::Value(1))
            {
                break;
            }
        }
    }
    for round in 0.. {
        assert!(round < IDLE_ROUNDS, "remains without end");
        if events::reap(core) == Progress::Done {
            break;
        }
    }
}
