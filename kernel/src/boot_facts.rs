//! What boot tells the kernel proper: the machine, the memory that is free, and the memory that is the kernel's own.

use core::fmt::Write;

use abi::PAGE_SIZE;

pub use crate::board::facts::{Facts, List, Range};
use crate::boot_map::PHYSICAL_END;

/// Most ranges of free RAM, and of device space, that are told.
pub const MAX_FREE: usize = 24;
/// A list of physical ranges, by address, that do not overlap.
pub type Ranges = List<Range, MAX_FREE>;

/// The machine, and what of it is this core's. Plain numbers: a core that starts another writes them into its memory.
#[derive(Clone, Copy, Debug)]
pub struct BootFacts {
    /// This core's number: its place among the machine's cores.
    pub core: u32,
    /// Physical address of all cores' doorbells ([`crate::doorbell`]); 0 on the core that boots, which makes them.
    pub doorbells: u64,
    /// What the monitor of this core shares with that of the core that started it; nothing on the core that boots.
    pub monitor: Range,
    /// The kernel's own pages of this core, besides text and constants.
    pub own: Range,
    /// Name of the platform, at most 16 bytes.
    pub platform: &'static str,
    /// What the device tree says: cores, devices, command line.
    pub machine: Facts,
    /// RAM in whole pages that is this core's and that nobody uses: not the kernel's, nor the boot modules', the device tree's
    /// or firmware's.
    pub free: Ranges,
    /// Physical addresses in whole pages that are neither RAM nor registers of devices that the kernel drives: none on cores
    /// that others start.
    pub device_space: Ranges,
    /// The boot modules, to the byte. Nobody else uses the rest of their pages.
    pub modules: Option<Range>,
    /// The device tree, to the byte; the same holds for its pages.
    pub device_tree: Range,
    /// The kernel's image and the boot pages of the core that booted, whole pages.
    pub kernel: Range,
    /// Bytes of RAM in all.
    pub ram_bytes: u64,
}

impl BootFacts {
    /// Works out who uses which memory. `physical_end` is one past the highest physical address of the machine.
    pub fn new(machine: Facts, device_tree: Range, kernel: Range, physical_end: u64) -> Self {
        let ram = machine.ram.as_slice();
        let modules = machine.initrd.filter(|range| ram.iter().any(|ram| contains(ram, range)));
        let mut free = Ranges::new();
        for range in ram {
            insert(&mut free, whole_pages_inside(*range));
        }
        let mut device_space = Ranges::new();
        device_space.push(Range { base: 0, size: physical_end.min(PHYSICAL_END).min(caps::FRAME_LIMIT) });
        for range in ram {
            remove(&mut device_space, *range);
        }
        for range in machine.kernel_only.as_slice() {
            remove(&mut device_space, *range);
        }
        for range in [kernel, device_tree, modules.unwrap_or_default()] {
            remove(&mut free, range);
        }
        for range in machine.reserved.as_slice() {
            remove(&mut free, *range);
        }
        let ram_bytes = ram.iter().map(|range| range.size).sum();
        let platform = crate::board::NAME;
        Self {
            core: 0,
            doorbells: 0,
            monitor: Range::default(),
            own: kernel,
            platform,
            machine,
            free,
            device_space,
            modules,
            device_tree,
            kernel,
            ram_bytes,
        }
    }

    /// Whether this is the core that boots.
    pub const fn is_first(&self) -> bool {
        self.doorbells == 0
    }

    /// Makes these, a copy of another core's, those of core `core`: `share` is its RAM, the first `boot_bytes` its boot pages.
    pub fn hand_over(&mut self, core: u32, share: Range, boot_bytes: u64, doorbells: u64, monitor: Range) {
        (self.core, self.doorbells, self.monitor) = (core, doorbells, monitor);
        self.own = Range { base: share.base, size: boot_bytes };
        (self.free, self.device_space) = (Ranges::new(), Ranges::new());
        self.free.push(share);
        remove(&mut self.free, self.own);
    }

    /// The kernel's command line.
    pub fn command_line(&self) -> &[u8] {
        self.machine.command_line()
    }

    /// Whether the command line has this word.
    pub fn has_option(&self, word: &str) -> bool {
        self.machine.has_option(word)
    }

    /// The first line that the system prints.
    pub fn banner(&self, out: &mut impl Write) -> core::fmt::Result {
        let version =
            concat!("barreldish ", env!("CARGO_PKG_VERSION"), " (", env!("BARRELDISH_COMMIT"), ") on ");
        out.write_str(version)?;
        out.write_str(self.platform)?;
        let cores = self.machine.cores.as_slice().len() as u64;
        let plural = if cores == 1 { "" } else { "s" };
        writeln!(out, ", {cores} core{plural}, {} MiB", self.ram_bytes >> 20)
    }
}

/// Memory of the kernel's own, in its window, that nobody uses yet.
#[derive(Debug)]
pub struct BootMemory {
    /// Virtual address of the first free byte.
    pub base: u64,
    /// Bytes left.
    pub size: u64,
}

impl BootMemory {
    /// Takes `size` bytes aligned to `align` (a power of two) for good; they are not zeroed. `None`: not enough left.
    pub fn take(&mut self, size: u64, align: u64) -> Option<*mut u8> {
        let start = self.base.checked_next_multiple_of(align)?;
        let used = (start - self.base).checked_add(size).filter(|&used| used <= self.size)?;
        self.base += used;
        self.size -= used;
        Some(start as *mut u8)
    }
}

fn contains(outer: &Range, inner: &Range) -> bool {
    inner.base >= outer.base
        && inner.base - outer.base <= outer.size
        && inner.size <= outer.size - (inner.base - outer.base)
}

fn from_bounds(start: u64, end: u64) -> Range {
    Range { base: start, size: end.saturating_sub(start) }
}

fn whole_pages_inside(range: Range) -> Range {
    let end = range.base.saturating_add(range.size).min(caps::OBJECT_LIMIT);
    from_bounds(range.base.next_multiple_of(PAGE_SIZE), end & !(PAGE_SIZE - 1))
}

pub(crate) fn whole_pages_around(range: Range) -> Range {
    let end = range.base.saturating_add(range.size).min(u64::MAX - PAGE_SIZE);
    from_bounds(range.base & !(PAGE_SIZE - 1), end.next_multiple_of(PAGE_SIZE))
}

/// Adds a range at its place by address; one too many is left out.
fn insert(ranges: &mut Ranges, new: Range) {
    if new.size == 0 || !ranges.push(new) {
        return;
    }
    let ranges = ranges.as_mut_slice();
    for at in (1..ranges.len()).rev() {
        if ranges[at - 1].base > ranges[at].base {
            ranges.swap(at - 1, at);
        }
    }
}

/// Takes a hole, and what is left of its pages, out of the ranges.
pub fn remove(ranges: &mut Ranges, hole: Range) {
    let hole = whole_pages_around(hole);
    let mut left = Ranges::new();
    let hole_end = hole.base + hole.size;
    for range in ranges.as_slice() {
        let end = range.base + range.size;
        if hole.size == 0 || hole.base >= end || hole_end <= range.base {
            left.push(*range);
            continue;
        }
        for part in [from_bounds(range.base, hole.base), from_bounds(hole_end, end)] {
            if part.size != 0 {
                left.push(part);
            }
        }
    }
    *ranges = left;
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    /// QEMU's machine with 4 cores, 1 GiB from 1 GiB on, an initrd and a command line.
    const TREE: &[u8] = include_bytes!("../../platform/qemu-virt/tests/trees/el1.dtb");
    const KERNEL: Range = Range { base: 0x4020_0000, size: 0x4_b000 };
    const DEVICE_TREE: Range = Range { base: 0x482d_d008, size: TREE.len() as u64 };

    fn facts(change: impl FnOnce(&mut Facts)) -> BootFacts {
        let mut machine = Facts::parse(TREE).unwrap();
        change(&mut machine);
        BootFacts::new(machine, DEVICE_TREE, KERNEL, 1 << 44)
    }

    fn bounds(ranges: &Ranges) -> Vec<(u64, u64)> {
        ranges.as_slice().iter().map(|range| (range.base, range.base + range.size)).collect()
    }

    #[test]
    fn free_ram_leaves_out_kernel_modules_and_tree_by_whole_pages() {
        let facts = facts(|_| ());
        let expected = [
            (0x4000_0000, 0x4020_0000),
            (0x4024_b000, 0x4800_0000),
            // 3,000,000 bytes of modules end in the page before the tree, which takes two.
            (0x482d_f000, 0x8000_0000),
        ];
        assert_eq!(bounds(&facts.free), expected);
        assert_eq!(facts.ram_bytes, 1 << 30);
    }

    #[test]
    fn what_firmware_reserves_is_not_free() {
        let facts = facts(|machine| {
            machine.reserved.push(Range { base: 0x7fff_f800, size: 0x1000 });
            machine.reserved.push(Range { base: 0, size: 0 });
            machine.reserved.push(Range { base: u64::MAX - 10, size: 100 });
        });
        assert_eq!(bounds(&facts.free).last(), Some(&(0x482d_f000, 0x7fff_f000)));
    }

    #[test]
    fn ram_regions_come_by_address_in_whole_pages() {
        let facts = facts(|machine| {
            machine.ram.push(Range { base: 0x2000_0800, size: 0x2000 });
            machine.ram.push(Range { base: 0x1_0000_0000, size: 0x1000 });
        });
        let free = bounds(&facts.free);
        assert_eq!(
            (free[0], *free.last().unwrap()),
            ((0x2000_1000, 0x2000_2000), (0x1_0000_0000, 0x1_0000_1000))
        );
    }

    #[test]
    fn modules_outside_ram_are_none() {
        for (base, size) in [(0x3fff_f000, 0x2000), (0x7fff_f000, 0x1001), (u64::MAX, 2)] {
            let facts = facts(|machine| machine.initrd = Some(Range { base, size }));
            assert_eq!(facts.modules, None);
        }
    }

    #[test]
    fn device_space_is_what_is_neither_ram_nor_the_interrupt_controller() {
        let expected = [
            (0, 0x0800_0000),
            // The ITS, too, is the kernel's.
            (0x0801_0000, 0x0808_0000),
            (0x0900_0000, 0x4000_0000),
            (0x8000_0000, 1 << 44),
        ];
        assert_eq!(bounds(&facts(|_| ()).device_space), expected);
    }

    #[test]
    fn the_banner_names_version_board_cores_and_memory() {
        let mut banner = String::new();
        facts(|_| ()).banner(&mut banner).unwrap();
        assert!(banner.starts_with("barreldish 0."), "{banner}");
        assert!(banner.ends_with(") on qemu-virt, 4 cores, 1024 MiB\n"), "{banner}");
    }

    #[test]
    fn options_are_whole_words() {
        let facts = facts(|_| ());
        assert!(facts.has_option("pmu=user") && facts.has_option("hello"));
        assert!(!facts.has_option("pmu") && !facts.has_option("ell"));
    }

    #[test]
    fn boot_memory_is_handed_out_aligned_until_it_is_used_up() {
        let mut memory = BootMemory { base: 0x1008, size: 0x100 };
        assert_eq!(memory.take(8, 16), Some(0x1010 as *mut u8));
        assert_eq!(memory.take(0xf1, 1), None);
        assert_eq!(memory.take(0xf0, 1), Some(0x1018 as *mut u8));
        assert_eq!(memory.take(1, 1), None);
        assert_eq!(memory.take(u64::MAX, 1), None);
    }
}
