//! From `start.s` to the kernel proper: reads the device tree, opens the windows, starts the board. On a core that
//! another one has started, the facts lie in its boot memory already.

use core::arch::{asm, global_asm};

use super::{mmu, record};
use crate::board::facts::{Facts, Range};
use crate::board::{Affinity, Board, Power, affinity};
use crate::boot_facts::{BootFacts, BootMemory, Ranges, remove};
use crate::boot_map::{DEVICE_BASE, DIRECT_BASE, KERNEL_BASE, Kind};

global_asm!(
    include_str!("start.s"),
    TEXT = const Kind::Text as u64,
    CONSTANT = const Kind::Constant as u64,
    DATA = const Kind::Data as u64,
    MAIR = const mmu::MAIR,
    TCR = const mmu::TCR,
    SCTLR = const mmu::SCTLR,
);

/// Most bytes of a device tree (Linux boot protocol), and what two blocks of 2 MiB surely hold.
const MAX_TREE: u64 = 2 << 20;

unsafe extern "C" {
    #[link_name = "__boot_start"]
    static BOOT_START: u8;
    #[link_name = "__boot_memory"]
    static mut BOOT_MEMORY: u8;
    #[link_name = "__boot_end"]
    static BOOT_END: u8;
    #[link_name = "start_core"]
    static START_CORE: u8;
}

/// Bytes of a core's boot pages.
pub fn boot_bytes() -> u64 {
    &raw const BOOT_END as u64 - &raw const BOOT_START as u64
}

/// Where in a core's boot pages the kernel that starts it leaves its facts.
pub fn facts_offset() -> u64 {
    &raw const BOOT_MEMORY as u64 - &raw const BOOT_START as u64
}

/// Physical address where another core begins, with that of its boot pages in `x0`; the image lies at `image`.
pub fn core_entry(image: u64) -> u64 {
    &raw const START_CORE as u64 - KERNEL_BASE + image
}

/// Called by `start.s` on the core that boots, on the kernel's stack, in the kernel's window, with the physical addresses
/// of tree, image and boot pages.
#[unsafe(no_mangle)]
extern "C" fn boot_in_high_half(tree: u64, image: u64, boot: u64) -> ! {
    // SAFETY: this is the one call on this core.
    let mut windows = unsafe { mmu::Windows::new(boot) };
    let Some(machine) = read_tree(&mut windows, tree) else { panic!("no device tree at the address in x0") };
    let kernel = Range { base: image, size: &raw const BOOT_END as u64 - KERNEL_BASE };
    let tree = Range { base: tree, size: machine.tree_size };
    let mut memory = boot_memory();
    let mut facts = BootFacts::new(machine, tree, kernel, physical_end());
    facts.core = number_of(&facts.machine, affinity());
    let facts = keep(&mut memory, facts);
    set_up(&mut windows, facts);
    crate::boot_main(facts, memory)
}

/// Called by `start.s` on a core that another has started: as [`boot_in_high_half`], without a tree.
#[unsafe(no_mangle)]
extern "C" fn join_in_high_half(boot: u64) -> ! {
    // SAFETY: this is the one call on this core.
    let mut windows = unsafe { mmu::Windows::new(boot) };
    let mut memory = boot_memory();
    let place = memory.take(size_of::<BootFacts>() as u64, align_of::<BootFacts>() as u64);
    let Some(place) = place else { panic!("boot memory is too small for the facts") };
    // SAFETY: the kernel that started this core has written them there (`cores::start`), and gave the memory away with that.
    let facts: &'static BootFacts = unsafe { &*place.cast() };
    set_up(&mut windows, facts);
    crate::boot_main(facts, memory)
}

/// This core's boot memory, none of which is taken.
fn boot_memory() -> BootMemory {
    let start = &raw mut BOOT_MEMORY as u64;
    BootMemory { base: start, size: &raw const BOOT_END as u64 - start }
}

/// The rest of the address space, and the board.
fn set_up(windows: &mut mmu::Windows, facts: &BootFacts) {
    let machine = &facts.machine;
    mmu::settle(facts.kernel.base, machine.has_option("pmu=user"));
    open_device_window(windows, machine);
    start_board(machine, facts.is_first());
    windows.seal_record();
    open_direct_window(windows, facts);
}

/// The number of the core with this affinity; 0 for one that the tree does not name.
fn number_of(machine: &Facts, affinity: Affinity) -> u32 {
    let place = machine.cores.as_slice().iter().position(|&core| core == affinity);
    place.map_or(0, |place| place as u32)
}

/// Reads the device tree: what the machine is.
fn read_tree(windows: &mut mmu::Windows, tree: u64) -> Option<Facts> {
    let address = windows.show_tree(tree) as *const u8;
    // SAFETY: 2 MiB from `address` on are mapped, read-only, and nobody writes there while this runs.
    let bytes = unsafe { core::slice::from_raw_parts(address, MAX_TREE as usize) };
    let facts = Facts::parse(bytes);
    windows.hide_tree();
    facts
}

/// Starts the board; from here on a panic is heard.
fn start_board(machine: &Facts, first: bool) {
    if machine.console.size != 0 {
        // SAFETY: the device window stands and stays; nobody has looked at the record yet.
        unsafe { record::begin(Board::console(machine, DEVICE_BASE), Power::new(machine.conduit)) };
    }
    if let Err(lack) = machine.check() {
        panic!("{lack}");
    }
    // SAFETY: as above.
    let board = unsafe { Board::start(machine, DEVICE_BASE, first) };
    let Some(board) = board else { panic!("the GIC has no redistributor for this core") };
    board.console.enable();
    // SAFETY: once, and the kernel proper does not run yet.
    unsafe { record::complete(board) };
}

/// Maps the registers that the kernel drives itself.
fn open_device_window(windows: &mut mmu::Windows, machine: &Facts) {
    for range in [machine.console, machine.distributor, machine.redistributors] {
        map(windows, DEVICE_BASE, range, Kind::Device);
    }
}

/// Maps all RAM but the kernel's own: no writable second view of its text and constants.
fn open_direct_window(windows: &mut mmu::Windows, facts: &BootFacts) {
    let mut ram = Ranges::new();
    for range in facts.machine.ram.as_slice() {
        ram.push(*range);
    }
    remove(&mut ram, facts.kernel);
    remove(&mut ram, facts.own);
    for range in ram.as_slice() {
        map(windows, DIRECT_BASE, *range, Kind::Data);
    }
}

/// Maps the whole pages around a range at `window` plus its physical address.
fn map(windows: &mut mmu::Windows, window: u64, range: Range, kind: Kind) {
    let range = crate::boot_facts::whole_pages_around(range);
    if windows.map(window + range.base, range.base, range.size, kind).is_err() {
        panic!("the kernel has too few translation tables for this machine's memory");
    }
}

/// Puts a value into boot memory, for good.
fn keep<T>(memory: &mut BootMemory, value: T) -> &'static T {
    let Some(place) = memory.take(size_of::<T>() as u64, align_of::<T>() as u64) else {
        panic!("boot memory is too small for the facts")
    };
    // SAFETY: the memory was just taken, with this size and alignment, and is nobody else's.
    unsafe {
        place.cast::<T>().write(value);
        &*place.cast::<T>()
    }
}

/// One past the highest physical address, as the core says (ID_AA64MMFR0_EL1.PARange).
fn physical_end() -> u64 {
    let features: u64;
    // SAFETY: reads an identification register.
    unsafe { asm!("mrs {}, id_aa64mmfr0_el1", out(reg) features, options(nomem, nostack, preserves_flags)) };
    1 << [32, 36, 40, 42, 44, 48][(features & 15).min(5) as usize]
}
