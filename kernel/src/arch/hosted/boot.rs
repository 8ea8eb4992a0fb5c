//! A core on the emulated machine, booted as the real one is, up to the first entry into `init`.

use abi::frame::Context;
use abi::packet::Packet;
use caps::Db;
use qemu_virt::facts::{Facts, List};

use super::{ARENA_BASE, Hardware};
use crate::asid::AsidPool;
use crate::boot_facts::{BootFacts, Range};
use crate::cpu::Core;
use crate::doorbell::{self, Doorbells};
use crate::first_domain::{self, FreeRam};
use crate::interrupts::InterruptTable;
use crate::log::{LOG_SIZE, Log};
use crate::machine::Machine;

/// The device tree of a real QEMU, of which the tests use everything but the RAM.
const DEVICE_TREE: &[u8] = include_bytes!("../../../../platform/qemu-virt/tests/trees/el1.dtb");

/// Boots a core with `ram` bytes (a multiple of 2 MiB) whose `init` is this program.
pub fn boot(init: &[u8], ram: usize) -> Box<Core> {
    let modules = archive::write([("init", init)]).expect("an archive of one file");
    let mut hardware = Hardware::new(ram);
    let base = ARENA_BASE + ram as u64 - (modules.len() as u64).next_multiple_of(4096);
    // SAFETY: the modules fit between `base` and the end of the arena.
    unsafe { hardware.direct_map(base).copy_from_nonoverlapping(modules.as_ptr(), modules.len()) };
    let facts = facts(ram as u64, Range { base, size: modules.len() as u64 });

    let facts: &'static BootFacts = Box::leak(Box::new(facts));
    let mut free = FreeRam::new(facts);
    let kernel_slots = free.take(abi::PAGE_SIZE);
    hardware.zero(kernel_slots, abi::PAGE_SIZE);
    let doorbells = free.take(doorbell::BYTES);
    hardware.zero(doorbells, doorbell::BYTES);
    let mut core = Box::new(core_on(hardware, kernel_slots, facts));
    // SAFETY: the field is zeroes, as a new one is; the memory was just taken.
    unsafe { Doorbells::init(&mut core.machine.doorbells, facts, doorbells) };
    core.machine.asids.init(1 << 16);
    core.machine.hardware.unmask_interrupt(super::DOORBELL_INTERRUPT);
    first_domain::start(&mut core, facts, free);
    core
}

fn facts(ram: u64, modules: Range) -> BootFacts {
    let mut machine = Facts::parse(DEVICE_TREE).expect("the device tree");
    machine.ram = List::new();
    machine.ram.push(Range { base: ARENA_BASE, size: ram });
    machine.initrd = Some(modules);
    let kernel = Range { base: ARENA_BASE, size: 2 << 20 };
    BootFacts::new(machine, Range { base: ARENA_BASE + (2 << 20), size: 4096 }, kernel, 1 << 40)
}

fn core_on(hardware: Hardware, kernel_slots: u64, facts: &'static BootFacts) -> Core {
    // The kernel's own part of the arena, which `facts` keeps out of the free ranges and nothing else uses.
    let ring = hardware.direct_map(ARENA_BASE);
    // SAFETY: LOG_SIZE bytes inside the arena, nobody else's. The log lies in the `Core` that owns the arena, and stays there.
    let ring = unsafe { core::slice::from_raw_parts_mut(ring, LOG_SIZE) };
    let machine = Machine {
        hardware,
        current: None,
        switches: 0,
        run_queue: Default::default(),
        timers: Default::default(),
        ending: None,
        asids: AsidPool::new(),
        interrupts: InterruptTable::new(),
        doorbells: Doorbells::NONE,
        fp: Default::default(),
        slice_end: u64::MAX,
        timer_set_to: u64::MAX,
        accounted_until: 0,
        interrupts_taken: 0,
        dispatchers: 0,
        kernel_slots,
    };
    Core {
        context: Context { x: [0; 31], sp: 0, pc: 0, pstate: 0, tpidr: 0, reserved: 0 },
        results: [0; 8],
        packet: Packet::default(),
        number: 0,
        stack_top: 0,
        db: Db::new(),
        machine,
        log: Log::new(ring, None),
        facts,
        kernel_bytes: 2 << 20,
    }
}

/// An executable of one page of text and one of data, entered at its beginning.
pub fn tiny_program() -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend([2u16, 183].iter().flat_map(|half| half.to_le_bytes()));
    file.extend(1u32.to_le_bytes());
    file.extend([0x20_0000u64, 64, 0].iter().flat_map(|word| word.to_le_bytes()));
    file.extend(0u32.to_le_bytes());
    file.extend([64u16, 56, 2, 0, 0, 0].iter().flat_map(|half| half.to_le_bytes()));
    for (flags, address, offset) in [(5u32, 0x20_0000u64, 0x1000u64), (6, 0x20_1000, 0x2000)] {
        file.extend(1u32.to_le_bytes());
        file.extend(flags.to_le_bytes());
        let words = [offset, address, address, 0x1000, 0x1000, 0x1000];
        file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }
    file.resize(0x3000, 0);
    file
}
