//! The kernel's own half of the address space: where things lie, and the building of its tables at boot.
//!
//! ```text
//!   0xffff_ffff_8000_0000  KERNEL_BASE  the image and its boot memory, 4 KiB pages, W^X
//!   0xffff_c000_0000_0000  DEVICE_BASE  + physical address: devices that the kernel drives
//!   0xffff_8000_0000_0000  DIRECT_BASE  + physical address: all RAM but the kernel's own, never executable
//! ```
//!
//! Tables are named by their place in an area of memory, so that building them needs no pointers and runs on the
//! host.

use crate::descriptor::{
    ACCESSED, ADDRESS, DEVICE, EXECUTE_NEVER, INNER_SHAREABLE, READ_ONLY, TABLE_OR_PAGE, USER_EXECUTE_NEVER,
    VALID,
};

/// Where the image is linked and mapped.
pub const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;
/// Where the kernel sees RAM: physical address 0.
pub const DIRECT_BASE: u64 = 0xffff_8000_0000_0000;
/// Where the kernel sees the devices that it drives: physical address 0.
pub const DEVICE_BASE: u64 = 0xffff_c000_0000_0000;
/// One past the highest physical address that the windows reach (46 bits).
pub const PHYSICAL_END: u64 = DEVICE_BASE - DIRECT_BASE;

/// What is mapped, and with which rights.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Kind {
    /// RAM, read and write.
    Data = VALID | INNER_SHAREABLE | ACCESSED | EXECUTE_NEVER,
    /// RAM, read.
    Constant = VALID | INNER_SHAREABLE | ACCESSED | EXECUTE_NEVER | READ_ONLY,
    /// RAM, read and execute at EL1.
    Text = VALID | INNER_SHAREABLE | ACCESSED | USER_EXECUTE_NEVER | READ_ONLY,
    /// Device registers (nGnRE), read and write.
    Device = VALID | ACCESSED | EXECUTE_NEVER | DEVICE,
}

/// A translation table.
#[derive(Clone, Copy)]
#[repr(C, align(4096))]
pub struct Table(pub [u64; 512]);

/// Why something cannot be mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapError {
    /// The area has no table left.
    NoTable,
    /// Something else is mapped there.
    Occupied,
}

/// Tables in one piece of memory; the first is the root (level 0).
pub struct Tables<'a> {
    area: &'a mut [Table],
    /// Physical address of the area.
    base: u64,
    /// Tables in use.
    used: usize,
}

impl<'a> Tables<'a> {
    /// The tables in `area`, which lies at physical address `base`; the first `used` are in use.
    pub fn new(area: &'a mut [Table], base: u64, used: usize) -> Self {
        Self { area, base, used }
    }

    /// Tables in use.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Maps `size` bytes at physical address `pa` to `va` with the largest blocks that fit; all three are multiples
    /// of 4096. What is mapped there already in the same way is left alone. The caller makes the changes visible.
    pub fn map(&mut self, va: u64, pa: u64, size: u64, kind: Kind) -> Result<(), MapError> {
        let mut done = 0;
        while done < size {
            done += self.map_one(va + done, pa + done, size - done, kind)?;
        }
        Ok(())
    }

    /// Descriptor of the page or block at `va`, with the bytes that it maps.
    pub fn find(&self, va: u64) -> Option<(u64, u64)> {
        let mut table = 0;
        for level in 0..4 {
            let entry = self.area[table].0[index(va, level)];
            if entry & VALID == 0 {
                return None;
            }
            if level == 3 || entry & TABLE_OR_PAGE == 0 {
                return Some((entry, bytes(level)));
            }
            table = self.place(entry)?;
        }
        None
    }

    /// Gives the page or block that is mapped at `va` other rights. The caller drops it from the TLB.
    pub fn protect(&mut self, va: u64, kind: Kind) {
        let mut table = 0;
        for level in 0..4 {
            let slot = index(va, level);
            let entry = self.area[table].0[slot];
            if level == 3 || entry & TABLE_OR_PAGE == 0 {
                let kept = entry & (ADDRESS | TABLE_OR_PAGE);
                self.area[table].0[slot] = if entry & VALID == 0 { entry } else { kept | kind as u64 };
                return;
            }
            let Some(below) = self.place(entry) else { return };
            table = below;
        }
    }

    /// Writes descriptors into a table, named by its place in the area, from entry `first` on.
    pub fn set<const N: usize>(&mut self, table: usize, first: usize, descriptors: [u64; N]) {
        self.area[table].0[first..first + N].copy_from_slice(&descriptors);
    }

    /// One block or page at `va`; the bytes that it maps.
    fn map_one(&mut self, va: u64, pa: u64, size: u64, kind: Kind) -> Result<u64, MapError> {
        let mut table = 0;
        for level in 0..4 {
            let (slot, span) = (index(va, level), bytes(level));
            let entry = self.area[table].0[slot];
            let fits = level > 0 && (va | pa).is_multiple_of(span) && size >= span;
            let is_table = level < 3 && entry & 3 == 3;
            if fits && !is_table {
                let shape = if level == 3 { TABLE_OR_PAGE } else { 0 };
                return self.write(table, slot, pa | kind as u64 | shape).map(|()| span);
            }
            table = if entry & VALID == 0 { self.add(table, slot)? } else { self.below(entry)? };
        }
        Err(MapError::Occupied)
    }

    fn write(&mut self, table: usize, slot: usize, descriptor: u64) -> Result<(), MapError> {
        let entry = &mut self.area[table].0[slot];
        if *entry & VALID != 0 && *entry != descriptor {
            return Err(MapError::Occupied);
        }
        *entry = descriptor;
        Ok(())
    }

    /// A new empty table in an empty slot.
    fn add(&mut self, table: usize, slot: usize) -> Result<usize, MapError> {
        let new = self.used;
        self.area.get_mut(new).ok_or(MapError::NoTable)?.0.fill(0);
        self.used += 1;
        self.area[table].0[slot] = (self.base + new as u64 * 4096) | VALID | TABLE_OR_PAGE;
        Ok(new)
    }

    /// The table that a valid entry points to.
    fn below(&self, entry: u64) -> Result<usize, MapError> {
        if entry & TABLE_OR_PAGE == 0 {
            Err(MapError::Occupied)
        } else {
            self.place(entry).ok_or(MapError::Occupied)
        }
    }

    fn place(&self, entry: u64) -> Option<usize> {
        let place = (entry & ADDRESS).checked_sub(self.base)? / 4096;
        usize::try_from(place).ok().filter(|&place| place < self.area.len())
    }
}

/// Bytes that an entry of a table of this level maps.
const fn bytes(level: u32) -> u64 {
    1 << (39 - 9 * level)
}

const fn index(va: u64, level: u32) -> usize {
    (va >> (39 - 9 * level)) as usize & 511
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    const BASE: u64 = 0x4021_4000;
    const PAGE: u64 = 4096;
    const MIB2: u64 = 2 << 20;
    const GIB: u64 = 1 << 30;

    fn area(count: usize) -> Vec<Table> {
        let mut area = vec![Table([!0; 512]); count];
        area[0] = Table([0; 512]);
        area
    }

    /// Where an address leads, walked as the hardware does, and the bytes of the page or block.
    fn walk(tables: &Tables, va: u64) -> Option<(u64, u64)> {
        let (entry, size) = tables.find(va)?;
        Some(((entry & ADDRESS) + va % size, size))
    }

    #[test]
    fn every_address_of_a_mapping_leads_to_its_memory_and_none_beside_it() {
        let cases = [
            (0x4000_0000, GIB),
            (0x4000_0000, MIB2),
            (0x4024_b000, 0x3fdb_5000),
            (0x4024_b000, PAGE),
            (0x80_0000_0000 - PAGE, 2 * PAGE),
            (0x4000_0000, 4 * GIB + MIB2 + PAGE),
        ];
        for (pa, size) in cases {
            let mut memory = area(12);
            let mut tables = Tables::new(&mut memory, BASE, 1);
            tables.map(DIRECT_BASE + pa, pa, size, Kind::Data).unwrap();
            for offset in [0, 8, (size / 2) & !7, size - 8] {
                let found = walk(&tables, DIRECT_BASE + pa + offset).map(|(to, _)| to);
                assert_eq!(found, Some(pa + offset), "{pa:#x} + {size:#x} at {offset:#x}");
            }
            assert_eq!(walk(&tables, DIRECT_BASE + pa - 8), None, "{pa:#x} + {size:#x}");
            assert_eq!(walk(&tables, DIRECT_BASE + pa + size), None, "{pa:#x} + {size:#x}");
        }
    }

    #[test]
    fn the_largest_blocks_that_fit_are_taken() {
        let mut memory = area(4);
        let mut tables = Tables::new(&mut memory, BASE, 1);
        tables.map(DIRECT_BASE + GIB, GIB, GIB + MIB2 + PAGE, Kind::Data).unwrap();
        assert_eq!(walk(&tables, DIRECT_BASE + GIB), Some((GIB, GIB)));
        assert_eq!(walk(&tables, DIRECT_BASE + 2 * GIB), Some((2 * GIB, MIB2)));
        assert_eq!(walk(&tables, DIRECT_BASE + 2 * GIB + MIB2), Some((2 * GIB + MIB2, PAGE)));
        assert_eq!(tables.used(), 4);
    }

    #[test]
    fn nothing_is_mapped_twice_unless_it_is_the_same() {
        let mut memory = area(4);
        let mut tables = Tables::new(&mut memory, BASE, 1);
        tables.map(DEVICE_BASE, 0, PAGE, Kind::Device).unwrap();
        assert_eq!(tables.map(DEVICE_BASE, 0, PAGE, Kind::Device), Ok(()));
        assert_eq!(tables.map(DEVICE_BASE, PAGE, PAGE, Kind::Device), Err(MapError::Occupied));
        assert_eq!(tables.map(DEVICE_BASE, 0, PAGE, Kind::Data), Err(MapError::Occupied));
        tables.map(DEVICE_BASE + MIB2, MIB2, MIB2, Kind::Device).unwrap();
        assert_eq!(tables.map(DEVICE_BASE + MIB2, MIB2, PAGE, Kind::Device), Err(MapError::Occupied));
    }

    #[test]
    fn too_few_tables_are_an_error() {
        let mut memory = area(3);
        let mut tables = Tables::new(&mut memory, BASE, 1);
        assert_eq!(tables.map(DIRECT_BASE, 0, PAGE, Kind::Data), Err(MapError::NoTable));
    }

    #[test]
    fn protecting_changes_rights_and_nothing_else() {
        let mut memory = area(4);
        let mut tables = Tables::new(&mut memory, BASE, 1);
        tables.map(KERNEL_BASE, BASE, 2 * PAGE, Kind::Data).unwrap();
        tables.protect(KERNEL_BASE, Kind::Constant);
        let page = BASE | TABLE_OR_PAGE;
        assert_eq!(tables.find(KERNEL_BASE), Some((page | Kind::Constant as u64, PAGE)));
        assert_eq!(tables.find(KERNEL_BASE + PAGE), Some(((page + PAGE) | Kind::Data as u64, PAGE)));
        tables.protect(KERNEL_BASE + 2 * PAGE, Kind::Data);
        assert_eq!(tables.find(KERNEL_BASE + 2 * PAGE), None, "nothing there, nothing made");
    }

    #[test]
    fn nothing_is_both_writable_and_executable() {
        for kind in [Kind::Data, Kind::Constant, Kind::Text, Kind::Device] {
            let writable = kind as u64 & READ_ONLY == 0;
            let executable = kind as u64 & EXECUTE_NEVER != EXECUTE_NEVER;
            assert!(!(writable && executable), "{kind:?}");
            assert_ne!(kind as u64 & USER_EXECUTE_NEVER, 0, "{kind:?}");
        }
    }
}
