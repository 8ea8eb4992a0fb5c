//! Page tables: filling a window, and a lone page, in an address space that nobody runs in.

use abi::PAGE_SIZE;
use abi::cap::{Rights, VNODE_SIZE};
use rt::OwnedCap;
use sys::{Cap, CapKind, Frame, Mapping, VNodeL0, VNodeL1, VNodeL2, VNodeL3, Window};

use crate::counters;
use crate::{Outcome, failed, report};

const DATA: Rights = Rights::READ.or(Rights::WRITE);
/// Entries of a table.
const ENTRIES: u64 = 512;

/// A chain of tables down to one of pages, and the mappings that hold it together.
struct Tables {
    leaf: OwnedCap<VNodeL3>,
    _upper: (OwnedCap<VNodeL0>, OwnedCap<VNodeL1>, OwnedCap<VNodeL2>),
    _mappings: [OwnedCap<Mapping>; 3],
}

fn table<K: CapKind>() -> Result<OwnedCap<K>, alloc::string::String> {
    rt::memory::object(VNODE_SIZE).map_err(failed("a table"))
}

fn slot() -> Result<OwnedCap<Mapping>, alloc::string::String> {
    rt::slots::allocate().map(OwnedCap::new).map_err(failed("a slot"))
}

impl Tables {
    fn new() -> Result<Tables, alloc::string::String> {
        let (l0, l1, l2, l3) =
            (table::<VNodeL0>()?, table::<VNodeL1>()?, table::<VNodeL2>()?, table::<VNodeL3>()?);
        let whole = Window { first: 1, entries: 1, offset: 0, rights: Rights::ALL, fill: true };
        let mappings = [slot()?, slot()?, slot()?];
        l0.cap().map(l1.cap(), whole, mappings[0].address()).map_err(failed("level 1"))?;
        l1.cap().map(l2.cap(), whole, mappings[1].address()).map_err(failed("level 2"))?;
        l2.cap().map(l3.cap(), whole, mappings[2].address()).map_err(failed("level 3"))?;
        Ok(Tables { leaf: l3, _upper: (l0, l1, l2), _mappings: mappings })
    }
}

pub(crate) fn measure() -> Outcome {
    let frame = rt::memory::frame(ENTRIES * PAGE_SIZE).map_err(failed("a frame"))?;
    let tables = Tables::new()?;
    window(tables.leaf.cap(), frame.cap())?;
    lone(tables.leaf.cap(), frame.cap())
}

/// Making a window of a whole table and filling it, a page at a time as a pager does, and in one go.
fn window(leaf: Cap<VNodeL3>, frame: Cap<Frame>) -> Outcome {
    for (name, step) in [("map_window_page", 1), ("map_window_page_16", 16), ("map_window_page_512", ENTRIES)]
    {
        let mapping = slot()?;
        let all = Window { first: 0, entries: ENTRIES, offset: 0, rights: DATA, fill: false };
        let mut outcome = Ok(());
        let cost = counters::measure(|| {
            outcome = leaf.map(frame, all, mapping.address());
            for first in (0..ENTRIES).step_by(step as usize) {
                outcome = outcome.and_then(|()| mapping.cap().fill(first, step));
            }
        });
        outcome.map_err(failed("a window"))?;
        report(name, cost.all / ENTRIES);
    }
    Ok(())
}

/// A page of its own, with its mapping.
fn lone(leaf: Cap<VNodeL3>, frame: Cap<Frame>) -> Outcome {
    let mapping = slot()?;
    let page = Window { first: 7, entries: 1, offset: 0, rights: DATA, fill: true };
    let mut outcome = Ok(());
    let mapped = counters::measure(|| outcome = leaf.map(frame, page, mapping.address()));
    outcome.map_err(failed("mapping"))?;
    let unmapped = counters::measure(|| outcome = mapping.cap().delete());
    outcome.map_err(failed("unmapping"))?;
    report("map_lone_page", mapped.all);
    report("unmap_lone_page", unmapped.all);
    Ok(())
}
