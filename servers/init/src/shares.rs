//! The division of RAM: each core gets a part of its own, a root that no other core has anything of.
//!
//! The parts are cut off before anything is made of the memory, and what they were cut from is deleted. Those of cores that
//! do not run yet stay here.

use alloc::vec::Vec;

use rt::{RtError, slots};
use sys::{Cap, Ram};

/// Parts begin and end at multiples of this: what a large page covers.
const ALIGN: u64 = 2 << 20;
/// Least RAM of a core: what its kernel starts with at the least.
const MIN_SHARE: u64 = 32 << 20;
/// Least RAM that is left to this core of the region that the parts are cut from.
const MIN_REST: u64 = 32 << 20;

/// The RAM of the machine.
pub(crate) struct Shares {
    /// This core's own roots.
    pub(crate) own: Vec<Cap<Ram>>,
    /// For the other cores, from core 1 on. The last may have none if there is little memory.
    pub(crate) others: Vec<Cap<Ram>>,
}

/// Where the parts of other cores lie, in bytes from the begin of a region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cut {
    /// Which region.
    region: usize,
    /// Where the first part begins.
    first: u64,
    /// Bytes of each.
    bytes: u64,
    /// How many.
    parts: u64,
}

/// How to divide regions (base and bytes) among `cores` cores: evenly, with all parts of other cores at the end of the largest region.
/// `None`: there is only enough for one.
fn cut(regions: &[(u64, u64)], cores: u64) -> Option<Cut> {
    let (region, &(base, size)) = regions.iter().enumerate().max_by_key(|(_, (_, size))| size)?;
    let total: u64 = regions.iter().map(|(_, size)| size).sum();
    let end = (base + size) / ALIGN * ALIGN;
    let room = end.checked_sub(base.next_multiple_of(ALIGN))?.checked_sub(MIN_REST)?;
    (1..cores).rev().find_map(|parts| {
        let bytes = (total / (parts + 1)).min(room / parts) / ALIGN * ALIGN;
        let first = (end - base) - parts * bytes;
        (bytes >= MIN_SHARE).then_some(Cut { region, first, bytes, parts })
    })
}

/// Divides all RAM among `cores` cores.
///
/// # Errors
/// Those of the runtime and of the kernel.
pub(crate) fn divide(mut roots: Vec<Cap<Ram>>, cores: u32) -> Result<Shares, RtError> {
    let mut regions = Vec::new();
    for root in &roots {
        let identity = root.identify()?;
        regions.push((identity.base, identity.size));
    }
    let Some(cut) = cut(&regions, cores.into()) else {
        return Ok(Shares { own: roots, others: Vec::new() });
    };
    let root = roots.remove(cut.region);
    let (_, size) = regions[cut.region];
    let part = |offset, bytes| -> Result<Cap<Ram>, RtError> {
        let slot = slots::allocate()?;
        root.retype::<Ram>(offset, bytes, 1, slot)?;
        Ok(Cap::new(slot))
    };
    let mut others = Vec::new();
    for number in 0..cut.parts {
        others.push(part(cut.first + number * cut.bytes, cut.bytes)?);
    }
    let end = cut.first + cut.parts * cut.bytes;
    for (offset, bytes) in [(0, cut.first), (end, size - end)] {
        if bytes != 0 {
            roots.push(part(offset, bytes)?);
        }
    }
    root.delete()?;
    Ok(Shares { own: roots, others })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    #[test]
    fn all_cores_get_about_the_same() {
        // As QEMU's machine has it: 1 GiB with the kernel, and further on the modules, in it.
        let regions = [(GIB, 2 * MIB), (GIB + 3 * MIB, 125 * MIB), (GIB + 132 * MIB, 892 * MIB)];
        let cut = cut(&regions, 4).unwrap();
        assert_eq!(cut, Cut { region: 2, first: 892 * MIB - 3 * 254 * MIB, bytes: 254 * MIB, parts: 3 });
        assert_eq!(cut.first + cut.parts * cut.bytes, 892 * MIB);
    }

    #[test]
    fn parts_begin_at_large_pages_wherever_the_region_does() {
        let cut = cut(&[(GIB + 4096, GIB - 8192)], 3).unwrap();
        assert_eq!(((GIB + 4096 + cut.first) % ALIGN, cut.bytes % ALIGN), (0, 0));
        assert!(cut.first + 2 * cut.bytes <= GIB - 8192);
    }

    #[test]
    fn with_little_memory_the_last_cores_get_none() {
        let all = |mib: u64, cores| cut(&[(GIB, mib * MIB)], cores).map(|cut| (cut.parts, cut.bytes / MIB));
        assert_eq!(all(1024, 16), Some((15, 64)));
        assert_eq!(all(256, 16), Some((7, 32)));
        assert_eq!(all(64, 4), Some((1, 32)));
        assert_eq!(all(62, 4), None);
        assert_eq!(all(1024, 1), None);
        assert_eq!(cut(&[], 4), None);
    }
}
