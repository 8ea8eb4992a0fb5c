//! Worlds with something in them, from which the tests of the operations begin.

use abi::{CapType, PAGE_SIZE, Rights};

use super::world::{FREE, World, slot};
use crate::MapArgs;

/// Slot of the unit of [`with_memory`].
pub(super) const UNIT: u32 = FREE;
/// Slot of the Ram of [`with_memory`].
pub(super) const MEMORY: u32 = FREE + 1;
/// First slots of rows that tests fill.
pub(super) const A: u32 = 20;
pub(super) const B: u32 = 30;
pub(super) const C: u32 = 40;

/// A world with a unit of 64 pages and its Ram in `slot(MEMORY)`.
pub(super) fn with_memory() -> World {
    let mut w = World::new();
    w.unit(0, 64, slot(UNIT));
    w
}

/// Entries `first` to `first + count` of a table, readable and writable, filled at once.
pub(super) fn frame_window(first: u64, count: u64) -> MapArgs {
    let rights = Rights::READ.or(Rights::WRITE);
    MapArgs { offset: 0, first, count, rights, fill: true }
}

/// An address space from page 0 of the memory on: VNodes in `A` to `A + 3`, their mappings in `A + 4` to `A + 6`.
pub(super) fn with_address_space() -> World {
    use CapType::{VNodeL0, VNodeL1, VNodeL2, VNodeL3};
    let mut w = with_memory();
    for (i, ty) in [VNodeL0, VNodeL1, VNodeL2, VNodeL3].into_iter().enumerate() {
        let i = i as u32;
        w.retype(slot(MEMORY), ty, u64::from(i) * PAGE_SIZE, 0, 1, slot(A + i)).unwrap();
        if i > 0 {
            w.map(slot(A + i - 1), slot(A + 3 + i), slot(A + i), frame_window(1, 1)).unwrap();
        }
    }
    w.retype(slot(MEMORY), CapType::Frame, 8 * PAGE_SIZE, 4 * PAGE_SIZE, 1, slot(B)).unwrap();
    w
}

/// The virtual address of entry 1 of each level above the last, and `entry` of the last.
pub(super) fn va(entry: u64) -> u64 {
    (1 << 39) + (1 << 30) + (1 << 21) + entry * PAGE_SIZE
}
