//! A booted core, and short ways to call it as `init` would.
#![allow(dead_code, reason = "each test file uses its part")]

use abi::boot::BOOT_CNODE;
use abi::cap::CapAddr;
use abi::layout::*;
use abi::{CapType, ErrorKind, Syscall};
use caps::Machine as _;
use kernel::arch::{boot, tiny_program};
use kernel::cpu::Core;
use kernel::dispatcher::DispatcherRef;
use kernel::schedule::{self, Next};
use kernel::syscall::{self, Reply};

/// RAM of the core.
pub(crate) const RAM: usize = 64 << 20;

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

/// Makes `count` objects of `size` bytes at `offset` of `from`, into `slot` and those behind it.
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

/// A second dispatcher at offset `at` of the early RAM, in slot `s`, with a frame behind it, in slot `s + 1`.
pub(crate) fn second(core: &mut Core, at: u64, size: u64, s: u64) -> DispatcherRef {
    retype(core, EARLY_RAM.0, CapType::Dispatcher, at, size, 1, free(s)).unwrap();
    retype(core, EARLY_RAM.0, CapType::Frame, at + size, 8192, 1, free(s + 1)).unwrap();
    call(
        core,
        Syscall::DispatcherConfigure,
        &[free(s), ROOT_CNODE.0, ROOT_VNODE.0, free(s + 1), FRAME_BASE + (1 << 20), USER_LOWEST, 0],
    )
    .unwrap();
    let slot = syscall::lookup(core, free(s)).unwrap();
    DispatcherRef::at(core.machine.slot(slot).base()).unwrap()
}

/// The current dispatcher and a second, each with an endpoint with a ring; second waits. Slots 110 mine, 111 the other's.
pub(crate) fn pair(core: &mut Core) -> (DispatcherRef, DispatcherRef) {
    let d = second(core, 0, 8192, 100);
    let me = core.machine.current.unwrap();
    for (from, slot) in [(SELF_DISPATCHER.0, 110), (free(100), 111)] {
        retype(core, from, CapType::EndPoint, 1, 0, 1, free(slot)).unwrap();
        call(core, Syscall::EndpointConfigure, &[free(slot), 0x1000, 4, 0]).unwrap();
    }
    retype(core, SELF_DISPATCHER.0, CapType::Notify, 5, 0, 1, free(112)).unwrap();
    retype(core, SELF_DISPATCHER.0, CapType::Notify, 70, 0, 1, free(113)).unwrap();
    call(core, Syscall::DispatcherStart, &[free(100)]).unwrap();
    call(core, Syscall::Yield, &[]).unwrap();
    schedule::next(core);
    assert_eq!(core.machine.current, Some(d));
    call(core, Syscall::Wait, &[u64::MAX]).unwrap();
    schedule::next(core);
    assert_eq!(core.machine.current, Some(me));
    (me, d)
}
