//! GICv3: the distributor and one core's redistributor (Arm IHI 0069H). The CPU interface is system registers and
//! lives with the board. One security state, or the non-secure view; all interrupts are in group 1, of one priority.

use crate::mmio::Registers;

const GICD_CTLR: usize = 0x0000;
const GICD_TYPER: usize = 0x0004;
const GICD_IGROUPR: usize = 0x0080;
const GICD_ISENABLER: usize = 0x0100;
const GICD_ICENABLER: usize = 0x0180;
const GICD_ICPENDR: usize = 0x0280;
const GICD_ICACTIVER: usize = 0x0380;
const GICD_IPRIORITYR: usize = 0x0400;
const GICD_ICFGR: usize = 0x0c00;
const GICD_IROUTER: usize = 0x6000;
/// Affinity routing and group 1 (both views), and "a register write is on its way".
const CTLR_ENABLE: u32 = 1 << 4 | 1 << 1 | 1;
const CTLR_RWP: u32 = 1 << 31;

const GICR_CTLR: usize = 0x0000;
const GICR_TYPER: usize = 0x0008;
const GICR_WAKER: usize = 0x0014;
/// Bytes of a redistributor: two frames of 64 KiB, four if it has virtual LPIs.
const REDISTRIBUTOR_SIZE: usize = 0x2_0000;
/// The redistributor's second frame, with the registers of SGIs and PPIs at the distributor's offsets.
const SGI_FRAME: usize = 0x1_0000;
const TYPER_VLPIS: u32 = 1 << 1;
const TYPER_LAST: u32 = 1 << 4;
const WAKER_PROCESSOR_SLEEP: u32 = 1 << 1;
const WAKER_CHILDREN_ASLEEP: u32 = 1 << 2;
const GICR_CTLR_RWP: u32 = 1 << 3;

/// First shared peripheral interrupt.
pub const FIRST_SPI: u32 = 32;
/// One past the highest SPI INTID there can be.
const SPI_END: u32 = 1020;
/// Four priority bytes of 0xa0: below the priority mask, all alike.
const PRIORITIES: u32 = 0xa0a0_a0a0;

/// When an interrupt is pending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// While the line is asserted.
    Level,
    /// Once the line has risen.
    Edge,
}

/// Offset of the redistributor of the core with this affinity (`Aff3.Aff2.Aff1.Aff0`, a byte each) in a region of
/// `size` bytes; `None` if the region has none.
pub fn find_redistributor(region: &impl Registers, size: usize, affinity: u32) -> Option<usize> {
    let mut offset = 0;
    while offset + REDISTRIBUTOR_SIZE <= size {
        let kind = region.read(offset + GICR_TYPER);
        if region.read(offset + GICR_TYPER + 4) == affinity {
            return Some(offset);
        }
        if kind & TYPER_LAST != 0 {
            return None;
        }
        offset += if kind & TYPER_VLPIS != 0 { 2 * REDISTRIBUTOR_SIZE } else { REDISTRIBUTOR_SIZE };
    }
    None
}

/// The distributor and this core's redistributor.
#[derive(Clone, Copy, Debug)]
pub struct Gic<R> {
    distributor: R,
    redistributor: R,
    /// One past the highest INTID.
    end: u32,
}

impl<R: Registers> Gic<R> {
    /// The controller over the distributor's registers and those of this core's own redistributor.
    pub fn new(distributor: R, redistributor: R) -> Self {
        let lines = 32 * ((distributor.read(GICD_TYPER) & 0x1f) + 1);
        Self { distributor, redistributor, end: lines.min(SPI_END) }
    }

    /// One past the highest INTID (at most 1020).
    pub fn end(&self) -> u32 {
        self.end
    }

    /// Sets the distributor up: everything masked, group 1, routed to the core with `affinity`
    /// (`Aff3.Aff2.Aff1.Aff0`, a byte each). For the first core only.
    pub fn start_distributor(&self, affinity: u32) {
        self.distributor.write(GICD_CTLR, 0);
        self.wait_for_distributor();
        for word in 1..self.end.div_ceil(32) as usize {
            start_interrupts(&self.distributor, word);
        }
        self.distributor.write(GICD_CTLR, CTLR_ENABLE);
        self.wait_for_distributor();
        let (low, high) = (affinity & 0x00ff_ffff, affinity >> 24);
        for intid in FIRST_SPI..self.end {
            self.distributor.write(GICD_IROUTER + 8 * intid as usize, low);
            self.distributor.write(GICD_IROUTER + 8 * intid as usize + 4, high);
        }
    }

    /// Wakes this core's redistributor; its interrupts are masked, group 1.
    pub fn start_redistributor(&self) {
        let waker = self.redistributor.read(GICR_WAKER) & !WAKER_PROCESSOR_SLEEP;
        self.redistributor.write(GICR_WAKER, waker);
        while self.redistributor.read(GICR_WAKER) & WAKER_CHILDREN_ASLEEP != 0 {}
        start_interrupts(&Offset(&self.redistributor, SGI_FRAME), 0);
        self.wait_for_redistributor();
    }

    /// Stops delivering an interrupt; when this returns it is not delivered any more.
    pub fn mask(&self, intid: u32) {
        self.set_bit(GICD_ICENABLER, intid);
        if intid < FIRST_SPI { self.wait_for_redistributor() } else { self.wait_for_distributor() }
    }

    /// Delivers an interrupt to the core it is routed to (SPI) or this core (PPI, SGI).
    pub fn unmask(&self, intid: u32) {
        self.set_bit(GICD_ISENABLER, intid);
    }

    /// Says when an interrupt is pending. Only while it is masked.
    pub fn set_trigger(&self, intid: u32, trigger: Trigger) {
        let (offset, shift) = (GICD_ICFGR + 4 * (intid as usize / 16), 2 * (intid % 16) + 1);
        let change = |value: u32| match trigger {
            Trigger::Level => value & !(1 << shift),
            Trigger::Edge => value | 1 << shift,
        };
        if intid < FIRST_SPI {
            let frame = Offset(&self.redistributor, SGI_FRAME);
            frame.write(offset, change(frame.read(offset)));
        } else if intid < self.end {
            self.distributor.write(offset, change(self.distributor.read(offset)));
        }
    }

    fn set_bit(&self, register: usize, intid: u32) {
        let (offset, bit) = (register + 4 * (intid as usize / 32), 1 << (intid % 32));
        if intid < FIRST_SPI {
            self.redistributor.write(SGI_FRAME + offset, bit);
        } else if intid < self.end {
            self.distributor.write(offset, bit);
        }
    }

    fn wait_for_distributor(&self) {
        while self.distributor.read(GICD_CTLR) & CTLR_RWP != 0 {}
    }

    fn wait_for_redistributor(&self) {
        while self.redistributor.read(GICR_CTLR) & GICR_CTLR_RWP != 0 {}
    }
}

/// Masks the 32 interrupts of a register word, forgets what is pending or active, puts them in group 1.
fn start_interrupts(registers: &impl Registers, word: usize) {
    registers.write(GICD_ICENABLER + 4 * word, !0);
    registers.write(GICD_ICPENDR + 4 * word, !0);
    registers.write(GICD_ICACTIVER + 4 * word, !0);
    registers.write(GICD_IGROUPR + 4 * word, !0);
    for quarter in 0..8 {
        registers.write(GICD_IPRIORITYR + 32 * word + 4 * quarter, PRIORITIES);
    }
}

/// Registers that start later.
struct Offset<'a, R>(&'a R, usize);

impl<R: Registers> Registers for Offset<'_, R> {
    fn read(&self, offset: usize) -> u32 {
        self.0.read(self.1 + offset)
    }

    fn write(&self, offset: usize, value: u32) {
        self.0.write(self.1 + offset, value);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::vec;
    use std::vec::Vec;

    /// Registers that remember what was written, in order.
    #[derive(Default)]
    struct Fake {
        values: RefCell<BTreeMap<usize, u32>>,
        writes: RefCell<Vec<(usize, u32)>>,
    }

    impl Fake {
        fn with(values: &[(usize, u32)]) -> Self {
            Self { values: RefCell::new(values.iter().copied().collect()), writes: RefCell::default() }
        }

        fn value(&self, offset: usize) -> u32 {
            self.values.borrow().get(&offset).copied().unwrap_or(0)
        }
    }

    impl Registers for &Fake {
        fn read(&self, offset: usize) -> u32 {
            self.value(offset)
        }

        fn write(&self, offset: usize, value: u32) {
            // The core's own part wakes at once.
            let asleep = offset == GICR_WAKER && value & WAKER_PROCESSOR_SLEEP != 0;
            let value = if asleep { value | WAKER_CHILDREN_ASLEEP } else { value };
            let value = if offset == GICR_WAKER && !asleep { value & !WAKER_CHILDREN_ASLEEP } else { value };
            self.values.borrow_mut().insert(offset, value);
            self.writes.borrow_mut().push((offset, value));
        }
    }

    #[test]
    fn a_core_finds_its_own_redistributor_and_no_other() {
        let region = Fake::with(&[
            (8, 0),
            (8 + 4, 0),
            // One with virtual LPIs is twice as long.
            (0x2_0008, TYPER_VLPIS),
            (0x2_0008 + 4, 1),
            (0x4_0008 + 4, 0x100),
            (0x6_0008, TYPER_LAST),
            (0x6_0008 + 4, 0x100),
            (0x8_0008 + 4, 7),
        ]);
        let find = |affinity| find_redistributor(&&region, 0x10_0000, affinity);
        assert_eq!([find(0), find(1), find(0x100)], [Some(0), Some(0x2_0000), Some(0x6_0000)]);
        assert_eq!(find(7), None, "behind the last one");
        assert_eq!(find_redistributor(&&region, 0x2_0000, 1), None, "outside the region");
    }

    #[test]
    fn starting_masks_everything_before_the_distributor_is_on() {
        let (distributor, redistributor) = (Fake::with(&[(GICD_TYPER, 7)]), Fake::with(&[(GICR_WAKER, 6)]));
        let gic = Gic::new(&distributor, &redistributor);
        assert_eq!(gic.end(), 256);
        gic.start_distributor(0x0201);
        gic.start_redistributor();
        let writes = distributor.writes.borrow();
        let place = |wanted| writes.iter().position(|&write| write == wanted).expect("written");
        let on = place((GICD_CTLR, CTLR_ENABLE));
        for word in 1..8 {
            assert!(place((GICD_ICENABLER + 4 * word, !0)) < on);
            assert!(place((GICD_IGROUPR + 4 * word, !0)) < on);
        }
        assert_eq!(distributor.value(GICD_IROUTER + 8 * 255), 0x0201);
        assert!(
            !writes.iter().any(|&(offset, _)| offset == GICD_ICENABLER),
            "private ones are the redistributor's"
        );
        assert_eq!(redistributor.value(GICR_WAKER), 0);
        assert_eq!(redistributor.value(SGI_FRAME + GICD_ICENABLER), !0);
    }

    #[test]
    fn masking_and_triggers_reach_the_register_of_the_interrupt_and_no_other() {
        let (distributor, redistributor) = (Fake::with(&[(GICD_TYPER, 1)]), Fake::default());
        let gic = Gic::new(&distributor, &redistributor);
        gic.unmask(27);
        gic.mask(33);
        gic.set_trigger(33, Trigger::Edge);
        gic.unmask(64);
        gic.set_trigger(64, Trigger::Edge);
        assert_eq!(redistributor.writes.borrow().as_slice(), [(SGI_FRAME + GICD_ISENABLER, 1 << 27)]);
        let expected = vec![(GICD_ICENABLER + 4, 2), (GICD_ICFGR + 8, 1 << 3)];
        assert_eq!(*distributor.writes.borrow(), expected, "64 is beyond the 64 lines there are");
        gic.set_trigger(33, Trigger::Level);
        assert_eq!(distributor.value(GICD_ICFGR + 8), 0);
    }
}
