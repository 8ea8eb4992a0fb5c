//! The machine of a core as the rest of the kernel drives it: memory, translation tables, timer, interrupts, power.

use core::arch::asm;

use abi::frame::{Context, FP_SIZE, FpContext};

use abi::ErrorKind;

use crate::board::{Affinity, Board, CpuInterface, StartError};
use crate::boot_facts::Range;
use crate::boot_map::DIRECT_BASE;
use crate::page_table::Tlb;

/// CPACR_EL1.FPEN: no traps of FP and SIMD. SVE and SME stay closed.
const FP_OPEN: u64 = 3 << 20;

/// Handle to the hardware of this core.
pub struct Hardware {
    board: Board,
    /// TTBR0_EL1 for "no address space".
    no_root: u64,
    /// Counter ticks a millisecond.
    ticks_per_ms: u64,
}

/// The interrupt of the timer.
pub const TIMER_INTERRUPT: u32 = crate::board::TIMER_INTERRUPT;
/// The interrupt of other cores' kernels.
pub const DOORBELL_INTERRUPT: u32 = crate::board::DOORBELL_INTERRUPT;

impl Hardware {
    /// The hardware behind `board`; `no_root` is the physical address of an empty translation table.
    pub fn new(board: Board, no_root: u64) -> Hardware {
        Hardware { board, no_root, ticks_per_ms: board.timer.frequency() / 1000 }
    }

    /// Where the kernel sees this physical address, which is in RAM that is not the kernel's own.
    #[inline(always)]
    pub fn direct_map(&self, address: u64) -> *mut u8 {
        // One instruction that the compiler cannot look into: it would fold the window's base into the offset of every
        // field, and then load that base anew for each of them.
        let pointer: *mut u8;
        // SAFETY: computes a number. Physical addresses in the window are below 2^46, so OR is addition.
        unsafe {
            asm!(
                "orr {pointer}, {address}, #{base}",
                pointer = out(reg) pointer,
                address = in(reg) address,
                base = const DIRECT_BASE,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        pointer
    }

    /// Zeroes physical memory that the caller owns; both numbers are multiples of 4 KiB.
    pub fn zero(&mut self, base: u64, bytes: u64) {
        let mut at = self.direct_map(base) as u64;
        let end = at + bytes;
        let line = zero_line();
        // Of the usual length sixteen at a time: a loop around each would double what zeroing costs.
        while line == 64 && at < end {
            // SAFETY: inside the memory that the caller owns, a multiple of sixteen lines. DC ZVA zeroes one naturally
            // aligned line.
            unsafe {
                asm!(
                    ".rept 16",
                    "dc zva, {at}",
                    "add {at}, {at}, #64",
                    ".endr",
                    at = inout(reg) at,
                    options(nostack, preserves_flags)
                );
            }
        }
        while at < end {
            // SAFETY: as above.
            unsafe { asm!("dc zva, {}", in(reg) at, options(nostack, preserves_flags)) };
            at += line;
        }
    }

    /// Installs an address space; nothing happens if it is installed already.
    #[inline(always)]
    pub fn enter_address_space(&mut self, root: u64, asid: u16) {
        let wanted = root | u64::from(asid) << 48;
        let present: u64;
        // SAFETY: reads the register.
        unsafe { asm!("mrs {}, ttbr0_el1", out(reg) present, options(nostack, preserves_flags)) };
        if wanted != present {
            self.set_root(wanted);
        }
    }

    /// Installs an address space that is probably another one than the installed one.
    #[inline(always)]
    pub fn switch_address_space(&mut self, root: u64, asid: u16) {
        self.set_root(root | u64::from(asid) << 48);
    }

    /// Installs the empty address space.
    pub fn leave_address_space(&mut self) {
        self.set_root(self.no_root);
    }

    #[inline(always)]
    fn set_root(&mut self, word: u64) {
        // SAFETY: the kernel never uses the user half; `word` names a table that a VNodeL0 capability or the kernel's
        // own empty table backs. The ASID in it makes a TLB flush unnecessary.
        unsafe { asm!("msr ttbr0_el1, {}", "isb", in(reg) word, options(nostack, preserves_flags)) };
    }

    /// Physical address of the installed root table.
    pub fn installed_root(&self) -> u64 {
        let word: u64;
        // SAFETY: reads the register.
        unsafe { asm!("mrs {}, ttbr0_el1", out(reg) word, options(nostack, preserves_flags)) };
        word & 0x0000_ffff_ffff_fffe
    }

    /// Counter ticks since power-on, as user space reads them.
    #[inline(always)]
    pub fn now(&self) -> u64 {
        self.board.timer.now()
    }

    /// Counter ticks a millisecond.
    pub fn ticks_per_ms(&self) -> u64 {
        self.ticks_per_ms
    }

    /// Interrupts when the counter has reached `deadline`.
    pub fn arm_timer(&mut self, deadline: u64) {
        self.board.timer.arm(deadline);
    }

    /// No timer interrupt any more.
    pub fn disarm_timer(&mut self) {
        self.board.timer.disarm();
    }

    /// Takes the highest pending interrupt.
    pub fn acknowledge_interrupt(&mut self) -> Option<u32> {
        CpuInterface::acknowledge()
    }

    /// Ends an interrupt that was taken.
    pub fn end_interrupt(&mut self, number: u32) {
        CpuInterface::end(number);
    }

    /// Lets an interrupt through.
    pub fn unmask_interrupt(&mut self, number: u32) {
        self.board.interrupts.unmask(number);
    }

    /// Holds an interrupt back.
    pub fn mask_interrupt(&mut self, number: u32) {
        self.board.interrupts.mask(number);
    }

    /// Sleeps until an interrupt is pending (it is not taken: interrupts are masked).
    pub fn wait_for_interrupt(&mut self) {
        // SAFETY: no memory is touched.
        unsafe { asm!("dsb sy", "wfi", options(nostack, preserves_flags)) };
    }

    /// Opens the FP unit, to the kernel at once.
    pub fn open_fp(&mut self) {
        // SAFETY: the kernel uses no FP register but in `save_fp` and `load_fp`; whose registers user mode finds is the
        // caller's business.
        unsafe {
            asm!("msr cpacr_el1, {}", "isb", in(reg) FP_OPEN, options(nomem, nostack, preserves_flags))
        };
    }

    /// Closes the FP unit: the next use of it traps.
    pub fn close_fp(&mut self) {
        // SAFETY: as `open_fp`.
        unsafe { asm!("msr cpacr_el1, xzr", "isb", options(nomem, nostack, preserves_flags)) };
    }

    /// Stores the registers of the open FP unit.
    ///
    /// # Safety
    /// There is room for them, which the kernel may write.
    pub unsafe fn save_fp(&mut self, to: *mut FpContext) {
        const _: () = assert!(FP_SIZE == 512 + 16);
        // SAFETY: the caller's promise.
        unsafe {
            asm!(
                abi::fp_registers!("stp"),
                "mrs {control}, fpcr",
                "mrs {status}, fpsr",
                "str {control}, [{at}, #512]",
                "str {status}, [{at}, #520]",
                at = in(reg) to,
                control = out(reg) _,
                status = out(reg) _,
                options(nostack, preserves_flags)
            );
        }
    }

    /// Loads the registers of the open FP unit.
    ///
    /// # Safety
    /// The kernel may read them there.
    pub unsafe fn load_fp(&mut self, from: *const FpContext) {
        // SAFETY: the caller's promise. Any bits are registers of user mode, which can write all of them itself.
        unsafe {
            asm!(
                abi::fp_registers!("ldp"),
                "ldr {control}, [{at}, #512]",
                "ldr {status}, [{at}, #520]",
                "msr fpcr, {control}",
                "msr fpsr, {status}",
                at = in(reg) from,
                control = out(reg) _,
                status = out(reg) _,
                options(nostack, preserves_flags)
            );
        }
    }

    /// Interrupts another core, which sees what was written before.
    #[inline(always)]
    pub fn signal_core(&mut self, core: Affinity) {
        CpuInterface::signal(core, DOORBELL_INTERRUPT);
    }

    /// Starts a core in the image at physical address `image`, on these boot pages.
    ///
    /// # Errors
    /// `NoCore`, `CoreRuns`, `CoreFailed`.
    pub fn start_core(&mut self, core: Affinity, image: u64, boot: Range) -> Result<(), ErrorKind> {
        self.clean(boot);
        let entry = super::core_entry(image);
        self.board.power.start_core(core, entry, boot.base).map_err(|error| match error {
            StartError::NoSuchCore => ErrorKind::NoCore,
            StartError::AlreadyOn => ErrorKind::CoreRuns,
            StartError::Failed => ErrorKind::CoreFailed,
        })
    }

    /// Writes memory back and drops it from all caches, for a core that begins with its own off.
    fn clean(&mut self, range: Range) {
        let (mut at, end) =
            (self.direct_map(range.base) as u64, self.direct_map(range.base + range.size) as u64);
        let line = data_line();
        while at < end {
            // SAFETY: changes no memory.
            unsafe { asm!("dc civac, {}", in(reg) at, options(nostack, preserves_flags)) };
            at += line;
        }
        // SAFETY: a barrier.
        unsafe { asm!("dsb sy", options(nostack, preserves_flags)) };
    }

    /// Ends the machine. PSCI cannot carry a status, so a last line on the console does.
    pub fn power_off(&mut self, status: u64) -> ! {
        super::panic::trailer(&self.board, status);
        self.board.power.off()
    }

    /// Starts the machine anew.
    pub fn restart(&mut self) -> ! {
        self.board.power.reset()
    }
}

/// Copies a context by pairs of registers.
///
/// # Safety
/// Both point to a context that the kernel may access; they do not overlap.
#[inline(always)]
pub unsafe fn copy_context(from: *const Context, to: *mut Context) {
    const _: () = assert!(size_of::<Context>() == 288);
    // SAFETY: 18 times 16 bytes, the caller's promise.
    unsafe {
        asm!(
            ".irp offset, 0, 32, 64, 96, 128, 160, 192, 224, 256",
            "ldp {a}, {b}, [{from}, #\\offset]",
            "ldp {c}, {d}, [{from}, #\\offset + 16]",
            "stp {a}, {b}, [{to}, #\\offset]",
            "stp {c}, {d}, [{to}, #\\offset + 16]",
            ".endr",
            from = in(reg) from,
            to = in(reg) to,
            a = out(reg) _,
            b = out(reg) _,
            c = out(reg) _,
            d = out(reg) _,
            options(nostack, preserves_flags)
        );
    }
}

/// Bytes of the smallest data cache line (CTR_EL0.DminLine: log2 of words).
fn data_line() -> u64 {
    let word: u64;
    // SAFETY: reads an identification register.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) word, options(nomem, nostack, preserves_flags)) };
    4 << (word >> 16 & 15)
}

/// Bytes that one DC ZVA zeroes (DCZID_EL0.BS: log2 of words).
fn zero_line() -> u64 {
    let word: u64;
    // SAFETY: reads an identification register.
    unsafe { asm!("mrs {}, dczid_el0", out(reg) word, options(nomem, nostack, preserves_flags)) };
    4 << (word & 15)
}

/// How many address space identifiers the core has (ID_AA64MMFR0_EL1.ASIDBits; boot sets TCR_EL1.AS alike).
pub fn asid_count() -> u32 {
    let word: u64;
    // SAFETY: reads an identification register.
    unsafe { asm!("mrs {}, id_aa64mmfr0_el1", out(reg) word, options(nomem, nostack, preserves_flags)) };
    if word >> 4 & 15 == 2 { 1 << 16 } else { 1 << 8 }
}

impl Tlb for Hardware {
    #[inline(always)]
    fn write(&mut self, table: u64, index: u16, descriptor: u64) {
        let entry = self.direct_map(table + u64::from(index & 511) * 8).cast::<u64>();
        // SAFETY: an entry of a table that a VNode capability backs; the walker may read it at any time, so the store
        // is one aligned word.
        unsafe { entry.write_volatile(descriptor) };
    }

    fn read(&self, table: u64, index: u16) -> u64 {
        let entry = self.direct_map(table + u64::from(index & 511) * 8).cast::<u64>();
        // SAFETY: as `write`.
        unsafe { entry.read_volatile() }
    }

    fn publish(&mut self) {
        // SAFETY: barriers only.
        unsafe { asm!("dsb ishst", "isb", options(nostack, preserves_flags)) };
    }

    fn flush_page(&mut self, operand: u64) {
        // SAFETY: forgets a translation; it is walked anew if it is still there.
        unsafe { asm!("tlbi vale1, {}", in(reg) operand, options(nostack, preserves_flags)) };
    }

    fn flush_asid(&mut self, asid: u16) {
        // SAFETY: as `flush_page`.
        unsafe { asm!("tlbi aside1, {}", in(reg) u64::from(asid) << 48, options(nostack, preserves_flags)) };
    }

    fn complete(&mut self) {
        // SAFETY: barriers only. VNodes never leave their core, so the flush is a local one.
        unsafe { asm!("dsb nsh", "isb", options(nostack, preserves_flags)) };
    }

    fn sync_instructions(&mut self) {
        // SAFETY: forgets fetched instructions. User space has cleaned the data cache by address (SCTLR_EL1.UCI).
        unsafe { asm!("dsb ish", "ic iallu", "dsb nsh", "isb", options(nostack, preserves_flags)) };
    }
}
