//! A machine in memory, for tests and fuzzing on the host: an arena for physical memory, an emulated MMU
//! that notices what real ones do not forgive, a counter that the test turns.

mod boot;
mod mmu;

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::{BTreeSet, VecDeque};

use abi::ErrorKind;
use abi::frame::{Context, FpContext};

use crate::board::Affinity;
use crate::boot_facts::Range;
use crate::page_table::Tlb;
pub use boot::{boot, tiny_program};
pub use mmu::{Access, Fault, Mmu, Translation};

/// The interrupt of the timer.
pub const TIMER_INTERRUPT: u32 = 27;
/// The interrupt of other cores.
pub const DOORBELL_INTERRUPT: u32 = 0;
/// Physical address where the arena begins.
pub const ARENA_BASE: u64 = 0x4000_0000;

/// Bytes of a core's boot pages.
pub fn boot_bytes() -> u64 {
    64 << 10
}

/// Where in them its facts lie.
pub fn facts_offset() -> u64 {
    16 << 10
}

/// Copies a context.
///
/// # Safety
/// Both point to a context; they do not overlap.
pub unsafe fn copy_context(from: *const Context, to: *mut Context) {
    // SAFETY: the caller's promise.
    unsafe { to.copy_from_nonoverlapping(from, 1) };
}

/// Physical memory: page-aligned, zeroed, freed at the end.
struct Arena {
    start: *mut u8,
    layout: Layout,
}

impl Arena {
    fn new(bytes: usize) -> Arena {
        let layout = Layout::from_size_align(bytes, 4096).expect("arena size");
        // SAFETY: the size is not 0.
        let start = unsafe { alloc_zeroed(layout) };
        assert!(!start.is_null(), "no memory for the arena");
        Arena { start, layout }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.start, self.layout) };
    }
}

/// The emulated hardware of a core.
pub struct Hardware {
    arena: Arena,
    /// The counter.
    pub ticks: u64,
    /// What the timer is set to.
    pub timer: Option<u64>,
    /// Interrupts that wait to be taken.
    pub pending: VecDeque<u32>,
    /// Interrupts that are let through.
    pub unmasked: BTreeSet<u32>,
    /// Tables, TLB, and complaints.
    pub mmu: Mmu,
    /// Cores that were interrupted.
    pub signalled: Vec<Affinity>,
    /// Cores that were started, with their boot pages.
    pub started: Vec<(Affinity, Range)>,
    /// What firmware says to the next start of a core.
    pub start_answer: Result<(), ErrorKind>,
    /// The registers of the FP unit.
    pub fp: FpContext,
    /// Whether user mode, and the kernel, may use them.
    pub fp_open: bool,
    /// How often the unit was opened.
    pub fp_opened: u64,
    /// How often registers went out to memory.
    pub fp_saves: u64,
    /// How often they came in.
    pub fp_loads: u64,
    installed: (u64, u16),
}

impl Hardware {
    /// Hardware with `bytes` of RAM at [`ARENA_BASE`].
    pub fn new(bytes: usize) -> Hardware {
        Hardware {
            arena: Arena::new(bytes),
            ticks: 0,
            timer: None,
            pending: VecDeque::new(),
            unmasked: BTreeSet::new(),
            mmu: Mmu::default(),
            signalled: Vec::new(),
            started: Vec::new(),
            start_answer: Ok(()),
            fp: FpContext { q: [[0xdead; 2]; 32], fpcr: 0xdead, fpsr: 0xdead },
            fp_open: false,
            fp_opened: 0,
            fp_saves: 0,
            fp_loads: 0,
            installed: (0, 0),
        }
    }

    /// Where this physical address lies in the arena. An address outside is a bug of the kernel: the test ends.
    pub fn direct_map(&self, address: u64) -> *mut u8 {
        let offset = address.checked_sub(ARENA_BASE).expect("physical address below the arena") as usize;
        assert!(offset < self.arena.layout.size(), "physical address {address:#x} beyond the arena");
        // SAFETY: inside the allocation.
        unsafe { self.arena.start.add(offset) }
    }

    /// Zeroes physical memory.
    pub fn zero(&mut self, base: u64, bytes: u64) {
        let _end = self.direct_map(base + bytes - 1);
        // SAFETY: both ends are inside the allocation.
        unsafe { self.direct_map(base).write_bytes(0, bytes as usize) };
    }

    /// Installs an address space.
    pub fn enter_address_space(&mut self, root: u64, asid: u16) {
        self.installed = (root, asid);
    }

    /// As `enter_address_space`.
    pub fn switch_address_space(&mut self, root: u64, asid: u16) {
        self.enter_address_space(root, asid);
    }

    /// Installs none.
    pub fn leave_address_space(&mut self) {
        self.installed = (0, 0);
    }

    /// Physical address of the installed root table.
    pub fn installed_root(&self) -> u64 {
        self.installed.0
    }

    /// Interrupts another core.
    pub fn signal_core(&mut self, core: Affinity) {
        self.signalled.push(core);
    }

    /// Starts a core.
    ///
    /// # Errors
    /// What the test says.
    pub fn start_core(&mut self, core: Affinity, _image: u64, boot: Range) -> Result<(), ErrorKind> {
        self.start_answer?;
        self.started.push((core, boot));
        Ok(())
    }

    /// The counter.
    pub fn now(&self) -> u64 {
        self.ticks
    }

    /// Counter ticks a millisecond.
    pub fn ticks_per_ms(&self) -> u64 {
        62_500
    }

    /// Sets the timer.
    pub fn arm_timer(&mut self, deadline: u64) {
        self.timer = Some(deadline);
    }

    /// Turns the timer off.
    pub fn disarm_timer(&mut self) {
        self.timer = None;
    }

    /// Takes a pending interrupt that is let through; the timer's comes by itself.
    pub fn acknowledge_interrupt(&mut self) -> Option<u32> {
        if self.timer.is_some_and(|at| at <= self.ticks) {
            return Some(TIMER_INTERRUPT);
        }
        let place = self.pending.iter().position(|n| self.unmasked.contains(n))?;
        self.pending.remove(place)
    }

    /// Ends an interrupt.
    pub fn end_interrupt(&mut self, _number: u32) {}

    /// Lets an interrupt through.
    pub fn unmask_interrupt(&mut self, number: u32) {
        self.unmasked.insert(number);
    }

    /// Holds an interrupt back.
    pub fn mask_interrupt(&mut self, number: u32) {
        self.unmasked.remove(&number);
    }

    /// Opens the FP unit.
    pub fn open_fp(&mut self) {
        (self.fp_open, self.fp_opened) = (true, self.fp_opened + 1);
    }

    /// Closes the FP unit.
    pub fn close_fp(&mut self) {
        self.fp_open = false;
    }

    /// Stores the registers of the open FP unit.
    ///
    /// # Safety
    /// There is room for them, which the kernel may write.
    pub unsafe fn save_fp(&mut self, to: *mut FpContext) {
        assert!(self.fp_open, "a trap in the kernel");
        self.fp_saves += 1;
        // SAFETY: the caller's promise.
        unsafe { to.write(self.fp) };
    }

    /// Loads the registers of the open FP unit.
    ///
    /// # Safety
    /// The kernel may read them there.
    pub unsafe fn load_fp(&mut self, from: *const FpContext) {
        assert!(self.fp_open, "a trap in the kernel");
        self.fp_loads += 1;
        // SAFETY: the caller's promise; any bits make registers.
        self.fp = unsafe { from.read() };
    }

    /// Ends the test: the kernel switched the machine off.
    pub fn power_off(&mut self, status: u64) -> ! {
        panic!("power off with status {status}")
    }

    /// Ends the test: the kernel restarted the machine.
    pub fn restart(&mut self) -> ! {
        panic!("restart")
    }

    fn entry(&self, table: u64, index: u16) -> *mut u64 {
        self.direct_map(table + u64::from(index & 511) * 8).cast()
    }

    /// What an access of user space to `address` finds, through the emulated TLB.
    pub fn translate(&mut self, address: u64) -> Result<Translation, mmu::Fault> {
        let (root, asid) = self.installed;
        let mut mmu = std::mem::take(&mut self.mmu);
        let found = mmu.translate(
            |table, index| {
                // SAFETY: `entry` checks that it lies in the arena, and tables are page aligned.
                unsafe { self.entry(table, index).read() }
            },
            root,
            asid,
            address,
        );
        self.mmu = mmu;
        found
    }
}

impl Tlb for Hardware {
    fn write(&mut self, table: u64, index: u16, descriptor: u64) {
        // SAFETY: as in `translate`.
        unsafe { self.entry(table, index).write(descriptor) };
        self.mmu.written(table, index);
    }
    fn read(&self, table: u64, index: u16) -> u64 {
        // SAFETY: as in `translate`.
        unsafe { self.entry(table, index).read() }
    }
    fn publish(&mut self) {
        self.mmu.publish();
    }
    fn flush_page(&mut self, operand: u64) {
        self.mmu.flush_page(operand);
    }
    fn flush_asid(&mut self, asid: u16) {
        self.mmu.flush_asid(asid);
    }
    fn complete(&mut self) {
        self.mmu.complete();
    }
    fn sync_instructions(&mut self) {}
}
