//! The kernel proper, from the moment its address space stands. Until there is more, it tells what it found.

use crate::arch::aarch64::{panic, record};
use crate::boot_facts::{BootFacts, BootMemory};
use core::fmt::Write;

/// Runs on the kernel's stack, in its own address space, interrupts masked.
pub fn boot_main(facts: &'static BootFacts, mut memory: BootMemory) -> ! {
    let board = record::board();
    let mut console = board.console;
    let _ = facts.banner(&mut console);
    panic::provoke(facts);
    for range in facts.free.as_slice() {
        let _ = writeln!(console, "free {:#x} + {:#x}", range.base, range.size);
    }
    for range in facts.device_space.as_slice() {
        let _ = writeln!(console, "device space {:#x} + {:#x}", range.base, range.size);
    }
    for device in facts.machine.devices.as_slice() {
        let _ = writeln!(console, "device {} at {:#x}, interrupt {}", device.kind, device.base, device.interrupt);
    }
    let modules = facts.modules.unwrap_or_default();
    let _ = writeln!(console, "modules {:#x} + {:#x}", modules.base, modules.size);
    let _ = writeln!(console, "tree {:#x} + {:#x}", facts.device_tree.base, facts.device_tree.size);
    let _ = writeln!(console, "kernel {:#x} + {:#x}", facts.kernel.base, facts.kernel.size);
    let _ = writeln!(console, "boot memory {:#x} + {:#x}", memory.base, memory.size);
    let _ = writeln!(console, "command line: {}", facts.command_line());
    let _ = memory.take(16, 16);
    board.console.flush();
    board.power.off()
}
