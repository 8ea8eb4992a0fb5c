//! A core after boot: two CNodes, some RAM, devices, interrupts.

use abi::{CapType, ErrorKind, PAGE_SIZE, Rights};

use crate::fake::{Checker, Fake, MEMORY_BASE, is_of_unit};
use crate::machine::Machine;
use crate::slot::{Slot, SlotRef};
use crate::{BUDGET, Db, MapArgs, Progress, RetypeArgs, Root};

/// Pages of the fake memory.
pub(super) const PAGES: u64 = 128;
/// First page of the root Ram; those before it are the boot CNodes and a boot module.
pub(super) const RAM_PAGE: u64 = 16;
/// Where the devices are.
pub(super) const DEVICES: u64 = 0x1000_0000;

/// Slots in the first boot CNode.
pub(super) const RAM: u32 = 1;
pub(super) const PHYS: u32 = 2;
pub(super) const IRQ: u32 = 3;
pub(super) const ID: u32 = 4;
pub(super) const KERNEL: u32 = 5;
pub(super) const MODULE: u32 = 6;
pub(super) const L1: u32 = 7;
pub(super) const L2A: u32 = 8;
pub(super) const L2B: u32 = 9;
/// The first slot that tests may use.
pub(super) const FREE: u32 = 10;

pub(super) struct World {
    pub db: Db,
    pub m: Fake,
    pub checker: Checker,
}

/// Physical address of a page of the fake memory.
pub(super) const fn page(number: u64) -> u64 {
    MEMORY_BASE + number * PAGE_SIZE
}

/// Slot `index` of the first boot CNode.
pub(super) const fn slot(index: u32) -> SlotRef {
    SlotRef::at(page(1)).plus(index)
}

/// Slot `index` of the second boot CNode.
pub(super) const fn other(index: u32) -> SlotRef {
    SlotRef::at(page(5)).plus(index)
}

impl World {
    pub(super) fn new() -> World {
        let mut w = World { db: Db::new(), m: Fake::new(PAGES as usize), checker: Checker::default() };
        let ram = (PAGES - RAM_PAGE) * PAGE_SIZE;
        w.root(slot(L1), CapType::L1CNode, page(0), PAGE_SIZE);
        w.root(SlotRef::at(page(0)), CapType::L2CNode, page(1), 4 * PAGE_SIZE);
        w.root(SlotRef::at(page(0)).plus(1), CapType::L2CNode, page(5), 4 * PAGE_SIZE);
        w.db.copy(&mut w.m, SlotRef::at(page(0)), slot(L2A), Rights::ALL).unwrap();
        w.db.copy(&mut w.m, SlotRef::at(page(0)).plus(1), slot(L2B), Rights::ALL).unwrap();
        w.root(slot(RAM), CapType::Ram, page(RAM_PAGE), ram);
        w.root(slot(PHYS), CapType::PhysAddr, DEVICES, 16 * PAGE_SIZE);
        w.root(slot(IRQ), CapType::IrqSource, 32, 64);
        w.root(slot(ID), CapType::Id, 0, 1000);
        w.root(slot(KERNEL), CapType::Kernel, 0, 1);
        w.root(slot(MODULE), CapType::Frame, page(9), 2 * PAGE_SIZE);
        w.check();
        w
    }

    fn root(&mut self, slot: SlotRef, ty: CapType, base: u64, size: u64) {
        let root = Root { ty, rights: Rights::ALL, base, size };
        self.db.insert_root(&mut self.m, slot, &root).unwrap();
    }

    pub(super) fn check(&mut self) {
        self.checker.check(&self.db, &mut self.m);
    }

    pub(super) fn get(&self, slot: SlotRef) -> &Slot {
        self.m.slot(slot)
    }

    /// Capabilities of a unit, copies included.
    pub(super) fn held(&self, unit: SlotRef) -> usize {
        self.m.occupied().filter(|(_, s)| is_of_unit(s, self.get(unit))).count()
    }

    /// Gives back pages of a unit, from page `first` of it on.
    pub(super) fn trim(
        &mut self,
        unit: SlotRef,
        first: u64,
        pages: u64,
        dst: SlotRef,
    ) -> Result<(), ErrorKind> {
        let result = self.db.trim_unit(&mut self.m, unit, first * PAGE_SIZE, pages * PAGE_SIZE, dst);
        self.check();
        result
    }

    /// Retypes; sizes and offsets in bytes.
    pub(super) fn retype(
        &mut self,
        src: SlotRef,
        ty: CapType,
        offset: u64,
        object_size: u64,
        count: u64,
        dst: SlotRef,
    ) -> Result<(), ErrorKind> {
        let args = RetypeArgs { ty, offset, object_size, count };
        let result = self.db.retype(&mut self.m, src, &args, dst);
        self.check();
        result
    }

    pub(super) fn copy(&mut self, src: SlotRef, dst: SlotRef, mask: Rights) -> Result<(), ErrorKind> {
        let result = self.db.copy(&mut self.m, src, dst, mask);
        self.check();
        result
    }

    pub(super) fn map(
        &mut self,
        vnode: SlotRef,
        dst: SlotRef,
        target: SlotRef,
        args: MapArgs,
    ) -> Result<(), ErrorKind> {
        let result = self.db.map(&mut self.m, vnode, dst, target, &args);
        self.check();
        result
    }

    /// Deletes to the end, and lets the reaper do what is left to it. Checks after every call. Says how many it took.
    pub(super) fn delete(&mut self, slot: SlotRef) -> Result<u32, ErrorKind> {
        let calls = self.repeat(|w| w.db.delete_within(&mut w.m, slot, BUDGET))?;
        Ok(calls + self.reap())
    }

    /// Lets the reaper work to the end. Says how many calls it took, none if there was nothing to do.
    pub(super) fn reap(&mut self) -> u32 {
        let mut calls = 0;
        while self.db.has_zombies() {
            let _ = self.db.step(&mut self.m, BUDGET);
            self.check();
            calls += 1;
        }
        calls
    }

    /// Revokes to the end, as [`World::delete`].
    pub(super) fn revoke(&mut self, slot: SlotRef) -> Result<u32, ErrorKind> {
        let calls = self.repeat(|w| w.db.revoke_within(&mut w.m, slot, BUDGET))?;
        Ok(calls + self.reap())
    }

    fn repeat(
        &mut self,
        mut f: impl FnMut(&mut World) -> Result<Progress, ErrorKind>,
    ) -> Result<u32, ErrorKind> {
        for calls in 1.. {
            let progress = f(self)?;
            self.check();
            if progress == Progress::Done {
                return Ok(calls);
            }
        }
        unreachable!()
    }

    /// Makes a zeroed unit over the pages of the root from `first` on, in `dst`, and its Ram in the slot behind.
    pub(super) fn unit(&mut self, first: u64, pages: u64, dst: SlotRef) -> SlotRef {
        let (offset, size) = (first * PAGE_SIZE, pages * PAGE_SIZE);
        self.retype(slot(RAM), CapType::Unit, offset, size, 1, dst).unwrap();
        while self.db.zero_unit(&mut self.m, dst).unwrap() == Progress::More {}
        self.retype(dst, CapType::Ram, 0, size, 1, dst.plus(1)).unwrap();
        dst.plus(1)
    }

    /// Deletes what came from other cores, then everything else.
    pub(super) fn tear_down_away(&mut self, slots: &[SlotRef]) {
        for &slot in slots {
            self.delete(slot).unwrap();
        }
        self.tear_down();
    }

    /// Deletes everything that can be deleted, by revoking what boot made.
    pub(super) fn tear_down(&mut self) {
        for index in [RAM, PHYS, IRQ, ID, MODULE, L1, L2A, L2B] {
            self.revoke(slot(index)).unwrap();
        }
        while self.db.step(&mut self.m, 7) == Progress::More {
            self.check();
        }
        // Revoking the boot CNodes has taken the capabilities in the root; nine remain.
        assert_eq!(self.db.count(), 9);
        for (slot, s) in self.m.occupied() {
            assert!(slot >= super::world::slot(RAM) && slot <= super::world::slot(L2B), "{s:?}");
        }
        assert!(self.m.entries.is_empty() && self.m.tlb.is_empty() && self.m.asids.is_empty());
        self.check();
    }
}
