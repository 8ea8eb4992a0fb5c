//! The kernel's own address space on this core: system registers, and the windows that boot opens.

use core::arch::asm;

use crate::boot_map::{KERNEL_BASE, Kind, MapError, Table, Tables};
use crate::descriptor::EXECUTE_NEVER;

/// MAIR_EL1: index 0 normal write-back memory, 1 device nGnRE, 2 normal non-cacheable, 3 device nGnRnE.
pub const MAIR: u64 = 0x0044_04ff;
/// TCR_EL1: two halves of 48 bits, 4 KiB granule, walks inner-shareable and write-back; TTBR0 holds the ASID. Physical
/// address size and ASID size are added at boot.
pub const TCR: u64 = 16 | 1 << 8 | 1 << 10 | 3 << 12 | 16 << 16 | 1 << 24 | 1 << 26 | 3 << 28 | 2 << 30;
/// SCTLR_EL1: MMU and caches on; writable memory is never executable (WXN); SP alignment checked; user space may do
/// cache maintenance by address (UCI), read CTR_EL0 (UCT), use DC ZVA (DZE) and WFE (nTWE), but not WFI. The rest is
/// RES1 (EOS, TSCXT, EIS, SPAN, nTLSMD, LSMAOE).
pub const SCTLR: u64 = 1 // M
    | 1 << 2 // C
    | 1 << 3 // SA
    | 1 << 4 // SA0
    | 1 << 11 // EOS
    | 1 << 12 // I
    | 1 << 14 // DZE
    | 1 << 15 // UCT
    | 1 << 18 // nTWE
    | 1 << 19 // WXN
    | 1 << 20 // TSCXT
    | 1 << 22 // EIS
    | 1 << 23 // SPAN
    | 1 << 26 // UCI
    | 1 << 28 // nTLSMD
    | 1 << 29; // LSMAOE

/// Tables that `start.s` has filled: root, and levels 1 to 3 of the kernel's window.
const STARTED_TABLES: usize = 4;
/// The level 2 table of the kernel's window.
const WINDOW_LEVEL2: usize = 2;
/// Its entries through which boot reads the device tree: 2 blocks of 2 MiB, 8 MiB up the window.
const TREE_ENTRY: usize = 4;
const BLOCK: u64 = 2 << 20;

unsafe extern "C" {
    #[link_name = "__boot_start"]
    static BOOT_START: u8;
    #[link_name = "__tables"]
    static mut TABLES: Table;
    #[link_name = "__tables_end"]
    static TABLES_END: Table;
    #[link_name = "__core_record"]
    static CORE_RECORD: Table;
}

/// An address space with nothing in it, for when no domain's is in use.
static NO_ADDRESS_SPACE: Table = Table([0; 512]);

/// Physical address of the empty root table, for TTBR0_EL1.
pub fn no_address_space(image: u64) -> u64 {
    &raw const NO_ADDRESS_SPACE as u64 - KERNEL_BASE + image
}

/// Takes the identity map away and sets what EL0 may do. With `count`, EL0 may read the cycle counter and event
/// counter 0, which counts instructions retired at EL1.
pub(super) fn settle(image: u64, count: bool) {
    // SAFETY: code and stack are in the kernel's window, so that nothing uses TTBR0 any more; the other registers
    // only say what EL0 may do and what is trapped. FP is trapped: the kernel is compiled
    // without it, and opens it to who uses it (`crate::fp`).
    unsafe {
        asm!(
            "msr ttbr0_el1, {empty}",
            "isb",
            "tlbi vmalle1",
            "dsb nsh",
            "msr cpacr_el1, xzr",
            "msr cntkctl_el1, {virtual_counter}",
            "msr mdscr_el1, xzr",
            "msr tpidr_el0, xzr",
            "isb",
            empty = in(reg) no_address_space(image),
            virtual_counter = in(reg) 2u64,
            options(nostack, preserves_flags)
        );
    }
    never_touch_user_memory();
    counters(count);
}

/// Privileged access never, where the core has it: the kernel reaches memory through its own windows only.
fn never_touch_user_memory() {
    let features: u64;
    // SAFETY: reads an identification register.
    unsafe { asm!("mrs {}, id_aa64mmfr1_el1", out(reg) features, options(nomem, nostack, preserves_flags)) };
    if features >> 20 & 15 != 0 {
        // SAFETY: PAN exists. SPAN = 0 sets it at every exception; the second word is MSR PAN, #1.
        unsafe {
            asm!("msr sctlr_el1, {}", ".inst 0xd500419f", "isb", in(reg) SCTLR & !(1 << 23),
                 options(nostack, preserves_flags));
        }
    }
}

/// Performance counters: nothing for EL0, or what `settle` says.
fn counters(user: bool) {
    let features: u64;
    // SAFETY: reads an identification register.
    unsafe { asm!("mrs {}, id_aa64dfr0_el1", out(reg) features, options(nomem, nostack, preserves_flags)) };
    if matches!(features >> 8 & 15, 0 | 15) {
        return;
    }
    let (access, control, enabled) =
        if user { (0b1100u64, 0b100_0111u64, 1u64 << 31 | 1) } else { (0, 0, 0) };
    // SAFETY: a PMUv3 exists. PMUSERENR: CR and ER; PMCR: E, P, C, LC; the type of counter 0: INST_RETIRED, not at EL0.
    unsafe {
        asm!(
            "msr pmuserenr_el0, {access}",
            "msr pmcntenclr_el0, {all}",
            "msr pmselr_el0, xzr",
            "isb",
            "msr pmxevtyper_el0, {event}",
            "msr pmccfiltr_el0, xzr",
            "msr pmintenclr_el1, {all}",
            "msr pmcr_el0, {control}",
            "msr pmcntenset_el0, {enabled}",
            "isb",
            access = in(reg) access,
            all = in(reg) 0xffff_ffffu64,
            event = in(reg) 0x08u64 | 1 << 30,
            control = in(reg) control,
            enabled = in(reg) enabled,
            options(nostack, preserves_flags)
        );
    }
}

/// The kernel's half of the address space, while boot builds it.
pub(super) struct Windows {
    tables: Tables<'static>,
}

impl Windows {
    /// Takes over the tables that `start.s` has begun in the boot pages at physical address `boot`.
    ///
    /// # Safety
    /// Once a core, at boot.
    pub(super) unsafe fn new(boot: u64) -> Self {
        let first = &raw mut TABLES;
        let count = (&raw const TABLES_END as usize - first as usize) / size_of::<Table>();
        // SAFETY: the link script keeps these pages for tables; the caller says that this is the only reference.
        let area = unsafe { core::slice::from_raw_parts_mut(first, count) };
        let offset = first as u64 - &raw const BOOT_START as u64;
        Self { tables: Tables::new(area, boot + offset, STARTED_TABLES) }
    }

    /// Maps memory into one of the windows; see [`Tables::map`].
    pub(super) fn map(&mut self, va: u64, pa: u64, size: u64, kind: Kind) -> Result<(), MapError> {
        self.tables.map(va, pa, size, kind)?;
        publish();
        Ok(())
    }

    /// Shows 4 MiB of RAM, read-only, from the 2 MiB boundary below `pa`; the address of `pa` there.
    pub(super) fn show_tree(&mut self, pa: u64) -> u64 {
        let block = pa & !(BLOCK - 1);
        self.set_tree_entries([block | Kind::Constant as u64, (block + BLOCK) | Kind::Constant as u64]);
        KERNEL_BASE + TREE_ENTRY as u64 * BLOCK + (pa - block)
    }

    /// Ends what `show_tree` began.
    pub(super) fn hide_tree(&mut self) {
        self.set_tree_entries([0, 0]);
    }

    /// Makes the core record read-only.
    pub(super) fn seal_record(&mut self) {
        self.tables.protect(&raw const CORE_RECORD as u64, Kind::Constant);
        forget_translations();
    }

    fn set_tree_entries(&mut self, entries: [u64; 2]) {
        self.tables.set(WINDOW_LEVEL2, TREE_ENTRY, entries);
        forget_translations();
    }
}

/// Makes new descriptors visible to the table walker.
fn publish() {
    // SAFETY: barriers only.
    unsafe { asm!("dsb ishst", "isb", options(nostack, preserves_flags)) };
}

/// Drops everything from this core's TLB.
fn forget_translations() {
    // SAFETY: what is still mapped is walked anew.
    unsafe { asm!("dsb ishst", "tlbi vmalle1", "dsb nsh", "isb", options(nostack, preserves_flags)) };
}

const _: () = assert!(Kind::Data as u64 & EXECUTE_NEVER == EXECUTE_NEVER);
