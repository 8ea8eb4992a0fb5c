//! A booted core, and short ways to call it as `init` would.
#![allow(dead_code, reason = "each test file uses its part")]

use abi::boot::BOOT_CNODE;
use abi::cap::CapAddr;
use abi::{CapType, ErrorKind, Syscall};
use kernel::arch::{boot, tiny_program};
use kernel::cpu::Core;
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
