//! The kernel proper, from the moment its address space stands: makes the core's `Core`, builds `init`, and leaves for it.

use abi::frame::Context;
use abi::packet::Packet;
use caps::Db;

use crate::arch::{self, Hardware, panic, record};
use crate::boot_facts::{BootFacts, BootMemory};
use crate::cpu::Core;
use crate::doorbell::{self, Doorbells};
use crate::first_domain::{self, FreeRam};
use crate::log::{LOG_SIZE, Log, Mirror};

/// Runs on the kernel's stack, in its own address space, interrupts masked.
pub fn boot_main(facts: &'static BootFacts, mut memory: BootMemory) -> ! {
    let mut ram = FreeRam::new(facts);
    let kernel_slots = ram.take(abi::PAGE_SIZE);
    let doorbells = if facts.is_first() { ram.take(doorbell::BYTES) } else { facts.doorbells };
    let core = make_core(facts, &mut memory, kernel_slots, doorbells);
    let _ = facts.banner(&mut core.log);
    panic::provoke(facts);
    first_domain::start(core, facts, ram);
    arch::leave(core)
}

/// Makes the core's state in boot memory.
fn make_core(
    facts: &'static BootFacts,
    memory: &mut BootMemory,
    kernel_slots: u64,
    doorbells: u64,
) -> &'static mut Core {
    let board = *record::board();
    let Some(ring) = memory.take(LOG_SIZE as u64, 1) else { panic!("boot memory is too small for the log") };
    // SAFETY: just taken, LOG_SIZE bytes, nobody else's.
    let ring = unsafe {
        ring.write_bytes(0, LOG_SIZE);
        core::slice::from_raw_parts_mut(ring, LOG_SIZE)
    };
    let mut hardware = Hardware::new(board, arch::mmu::no_address_space(facts.kernel.base));
    hardware.zero(kernel_slots, abi::PAGE_SIZE);
    if facts.is_first() {
        hardware.zero(doorbells, doorbell::BYTES);
    }
    let Some(place) = memory.take(size_of::<Core>() as u64, 4096) else {
        panic!("boot memory is too small for the core's state")
    };
    let place = place.cast::<Core>();
    // SAFETY: just taken, with the size and alignment of a Core, and nobody else's. It is zeroed first, which is a valid
    // value of the large tables in it (no interrupt bound, no notification exported; AsidPool::init follows) and of every field that is a plain
    // number; the other fields are written one by one, so that nothing large crosses the kernel's small stack.
    let core = unsafe {
        place.write_bytes(0, 1);
        let machine = &raw mut (*place).machine;
        (&raw mut (*machine).hardware).write(hardware);
        (&raw mut (*machine).current).write(None);
        (&raw mut (*machine).run_queue).write(Default::default());
        (&raw mut (*machine).timers).write(Default::default());
        (&raw mut (*machine).fp).write(Default::default());
        Doorbells::init(&raw mut (*machine).doorbells, facts, doorbells);
        (&raw mut (*machine).ending).write(None);
        (&raw mut (*machine).kernel_slots).write(kernel_slots);
        (&raw mut (*machine).slice_end).write(u64::MAX);
        (&raw mut (*machine).timer_set_to).write(u64::MAX);
        (&raw mut (*place).context).write(Context {
            x: [0; 31],
            sp: 0,
            pc: 0,
            pstate: 0,
            tpidr: 0,
            reserved: 0,
        });
        (&raw mut (*place).packet).write(Packet::default());
        (&raw mut (*place).stack_top).write(panic::stack_top());
        (&raw mut (*place).db).write(Db::new());
        let mirror: Option<Mirror> = if facts.is_first() { Some(arch::mirror) } else { None };
        (&raw mut (*place).log).write(Log::new(ring, mirror));
        (&raw mut (*place).facts).write(facts);
        &mut *place
    };
    core.machine.asids.init(arch::asid_count());
    core.machine.hardware.unmask_interrupt(arch::TIMER_INTERRUPT);
    core.machine.hardware.unmask_interrupt(arch::DOORBELL_INTERRUPT);
    core.kernel_bytes = facts.own.size + abi::PAGE_SIZE;
    arch::set_core(core);
    core
}
