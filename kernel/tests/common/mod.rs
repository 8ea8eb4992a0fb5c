//! A booted core, and short ways to call it as `init` would.
#![allow(dead_code, reason = "each test file uses its part")]

use abi::boot::BOOT_CNODE;
use abi::cap::CapAddr;
use abi::layout::{EARLY_RAM, FRAME_BASE, ROOT_CNODE, ROOT_VNODE, SELF_DISPATCHER, USER_LOWEST};
use abi::{CapType, ErrorKind, PAGE_SIZE, Syscall};
use caps::Machine as _;
use kernel::arch::{boot, tiny_program};
use kernel::cpu::Core;
use kernel::dispatcher::DispatcherRef;
use kernel::schedule::{self, Next};
use kernel::syscall::{self, Reply};

/// RAM of the core.
pub(crate) const RAM: usize = 64 << 20;
/// Bytes of a dispatcher or frame where nothing depends on it.
pub(crate) const OBJECT: u64 = 2 * PAGE_SIZE;
/// User address of the frame of other dispatchers than `init`. Nothing is mapped there: nobody executes them.
const OTHER_FRAME: u64 = FRAME_BASE + (1 << 20);

/// A core in user mode of `init`.
pub(crate) fn core() -> Box<Core> {
    let mut core = boot(&tiny_program(), RAM);
    assert!(matches!(schedule::next(&mut core), Next::Upcall { .. }));
    core
}

/// A system call of the current dispatcher.
pub(crate) fn call(core: &mut Core, number: Syscall, a: &[u64]) -> Result<Reply, ErrorKind> {
    let mut arguments = [0; 7];
    arguments[..a.len()].copy_from_slice(a);
    syscall::call(core, number as u64, arguments).map_err(|error| error.kind)
}

/// The address of a slot that `init` may use; those from 100 on are empty.
pub(crate) fn free(slot: u64) -> u64 {
    CapAddr::new(BOOT_CNODE, slot).0
}

/// The address of the capability to all interrupts.
pub(crate) fn interrupts(core: &mut Core) -> u64 {
    let is_source = |core: &mut Core, address: &u64| {
        call(core, Syscall::CapIdentify, &[*address]).is_ok()
            && core.results[1] & 0xff == CapType::IrqSource as u64
    };
    (1..60).map(free).find(|address| is_source(core, address)).expect("init has all interrupts")
}

/// Retypes part of `from`, `count` objects of `size` bytes, into the slots from `slot` on.
pub(crate) fn retype(
    core: &mut Core,
    from: u64,
    ty: CapType,
    offset: u64,
    size: u64,
    count: u64,
    slot: u64,
) -> Result<Reply, ErrorKind> {
    call(core, Syscall::CapRetype, &[from, ty as u64, offset, size, count, 0, slot])
}

/// A system call that goes in steps, to its end.
pub(crate) fn repeat(core: &mut Core, number: Syscall, a: &[u64]) -> Result<(), ErrorKind> {
    while call(core, number, a)? == Reply::Value(1) {}
    Ok(())
}

/// Configures a dispatcher with the CSpace and address space of `init`.
pub(crate) fn configure(
    core: &mut Core,
    dispatcher: u64,
    frame: u64,
    watcher: u64,
) -> Result<Reply, ErrorKind> {
    let held = [dispatcher, ROOT_CNODE.0, ROOT_VNODE.0, frame, OTHER_FRAME, USER_LOWEST, watcher];
    call(core, Syscall::DispatcherConfigure, &held)
}

/// The dispatcher that a capability names.
pub(crate) fn dispatcher(core: &Core, address: u64) -> DispatcherRef {
    let slot = syscall::lookup(core, address).expect("a capability");
    DispatcherRef::at(core.machine.slot(slot).base()).expect("not at 0")
}

/// Where [`second_dispatcher`] and its frame are.
pub(crate) fn second() -> u64 {
    free(100)
}
pub(crate) fn second_frame() -> u64 {
    free(101)
}

/// A second dispatcher, at the start of the early RAM, with a frame behind it. It does not run yet.
pub(crate) fn second_dispatcher(core: &mut Core) -> DispatcherRef {
    watched_dispatcher(core, 0)
}

/// A [`second_dispatcher`] whose end `watcher` is told of.
pub(crate) fn watched_dispatcher(core: &mut Core, watcher: u64) -> DispatcherRef {
    retype(core, EARLY_RAM.0, CapType::Dispatcher, 0, OBJECT, 1, second()).expect("a dispatcher");
    retype(core, EARLY_RAM.0, CapType::Frame, OBJECT, OBJECT, 1, second_frame()).expect("its frame");
    configure(core, second(), second_frame(), watcher).expect("configured");
    dispatcher(core, second())
}

/// How many [`many_dispatchers`] makes: more than the kernel may handle at once.
pub(crate) const MANY: u64 = 120;

/// The frame that [`many_dispatchers`] share.
pub(crate) fn shared_frame() -> u64 {
    free(99)
}

/// Many dispatchers, ready to run.
pub(crate) fn many_dispatchers(core: &mut Core) -> Vec<DispatcherRef> {
    retype(core, EARLY_RAM.0, CapType::Frame, 0, OBJECT, 1, shared_frame()).expect("a frame");
    (0..MANY)
        .map(|i| {
            let address = free(100 + i);
            let offset = OBJECT * (i + 1);
            retype(core, EARLY_RAM.0, CapType::Dispatcher, offset, PAGE_SIZE, 1, address)
                .expect("a dispatcher");
            configure(core, address, shared_frame(), 0).expect("configured");
            call(core, Syscall::DispatcherStart, &[address]).expect("started");
            dispatcher(core, address)
        })
        .collect()
}

/// The current dispatcher and a [`second_dispatcher`] that waits, each with an endpoint with a ring, in slots 110 and 111;
/// the current one also has two doorbells, in slots 112 and 113.
pub(crate) fn pair(core: &mut Core) -> (DispatcherRef, DispatcherRef) {
    let other = second_dispatcher(core);
    let me = core.machine.current.expect("somebody runs");
    for (from, slot) in [(SELF_DISPATCHER.0, 110), (second(), 111)] {
        retype(core, from, CapType::EndPoint, 1, 0, 1, free(slot)).expect("an endpoint");
        call(core, Syscall::EndpointConfigure, &[free(slot), PAGE_SIZE, 4, 0]).expect("its ring");
    }
    for (event, slot) in [(5, 112), (70, 113)] {
        retype(core, SELF_DISPATCHER.0, CapType::Notify, event, 0, 1, free(slot)).expect("a doorbell");
    }
    let_second_wait(core, me, other);
    (me, other)
}

/// Starts the second dispatcher, which waits; `me` runs again.
pub(crate) fn let_second_wait(core: &mut Core, me: DispatcherRef, other: DispatcherRef) {
    call(core, Syscall::DispatcherStart, &[second()]).expect("it starts");
    call(core, Syscall::Yield, &[]).expect("the other runs");
    schedule::next(core);
    assert_eq!(core.machine.current, Some(other));
    call(core, Syscall::Wait, &[u64::MAX]).expect("it waits");
    schedule::next(core);
    assert_eq!(core.machine.current, Some(me));
}
