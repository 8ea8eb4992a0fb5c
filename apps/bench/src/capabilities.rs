//! Capability operations, with few and with many other capabilities in the database.

use abi::cap::{L2_SLOTS, MAX_RETYPE, Rights};
use abi::{CapAddr, PAGE_SIZE};
use rt::OwnedCap;
use sys::{Cap, Frame, L2CNode, Ram, Slot};

use crate::counters;
use crate::{Outcome, failed, report};

/// Slots of a CNode that can be used.
const USABLE: u64 = L2_SLOTS - 1;

/// Many distinct capabilities: frames of a page each, in CNodes of their own.
struct Crowd {
    ram: Cap<Ram>,
    _memory: OwnedCap<Ram>,
    cnodes: alloc::vec::Vec<OwnedCap<L2CNode>>,
    made: u64,
}

impl Crowd {
    fn new(most: u64) -> Result<Crowd, alloc::string::String> {
        let memory = rt::memory::allocate(most * PAGE_SIZE, PAGE_SIZE).map_err(failed("RAM"))?;
        let memory = OwnedCap::new(memory);
        Ok(Crowd { ram: memory.cap(), _memory: memory, cnodes: alloc::vec::Vec::new(), made: 0 })
    }

    /// Makes more of them until there are `count`.
    fn grow(&mut self, count: u64) -> Outcome {
        while self.made < count {
            let place = self.made % USABLE;
            if place == 0 {
                self.cnodes.push(rt::memory::object(abi::cap::L2_CNODE_SIZE).map_err(failed("a CNode"))?);
            }
            let Some(cnode) = self.cnodes.last() else { continue };
            let here = (count - self.made).min(USABLE - place).min(MAX_RETYPE);
            let first = Slot::of_l2(cnode.cap(), place + 1);
            self.ram
                .retype::<Frame>(self.made * PAGE_SIZE, PAGE_SIZE, here, first)
                .map_err(failed("frames"))?;
            self.made += here;
        }
        Ok(())
    }
}

pub(crate) fn measure() -> Outcome {
    let mut crowd = Crowd::new(10_000)?;
    crowd.grow(1_000)?;
    revoke("revoke_100_of_1000")?;
    crowd.grow(10_000)?;
    revoke("revoke_100_of_10000")?;
    copy()
}

/// A frame, and its copies in a CNode.
fn victims() -> Result<(OwnedCap<Frame>, OwnedCap<L2CNode>), alloc::string::String> {
    let frame = rt::memory::frame(PAGE_SIZE).map_err(failed("a frame"))?;
    let cnode = rt::memory::object(abi::cap::L2_CNODE_SIZE).map_err(failed("a CNode"))?;
    Ok((frame, cnode))
}

fn revoke(name: &str) -> Outcome {
    let (frame, cnode) = victims()?;
    for slot in 1..=100 {
        frame.cap().copy_to(Slot::of_l2(cnode.cap(), slot), Rights::ALL).map_err(failed("copying"))?;
    }
    let mut outcome = Ok(());
    let cost = counters::measure(|| outcome = frame.cap().revoke());
    outcome.map_err(failed("revoking"))?;
    report(name, cost.all);
    Ok(())
}

fn copy() -> Outcome {
    let frame = rt::memory::frame(PAGE_SIZE).map_err(failed("a frame"))?;
    let slot: CapAddr = rt::slots::allocate().map_err(failed("a slot"))?;
    let mut outcome = Ok(());
    let copied = counters::measure(|| outcome = frame.cap().copy_to(slot, Rights::ALL));
    outcome.map_err(failed("copying"))?;
    let copy: Cap<Frame> = Cap::new(slot);
    let deleted = counters::measure(|| outcome = copy.delete());
    outcome.map_err(failed("deleting"))?;
    rt::slots::release(slot);
    report("cap_copy", copied.all);
    report("cap_delete_copy", deleted.all);
    Ok(())
}
