//! The address space as far as the runtime shapes it: windows for the heap and for mappings on request.
//!
//! The builder made the root table, the level 1 table of its first entry (both windows lie there) and what image,
//! stack and frame need; the tables of the windows are made here on demand, from the top down, and stay.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ops::Range;

use abi::cap::VNODE_SIZE;
use abi::layout::{HEAP_BASE, MAP_BASE, TOP_BASE};
use abi::{PAGE_SIZE, Rights};
use sys::{Cap, CapKind, Mappable, Mapping, VNode, VNodeL1, VNodeL2, VNodeL3, Window};

use crate::error::RtError;
use crate::heap::reserve_only;
use crate::local::local;
use crate::memory;
use crate::owned::OwnedCap;
use crate::ranges::Ranges;
use crate::slots;

/// Bytes that one level 3 table covers.
const L3_SPAN: u64 = VNodeL2::ENTRY_BYTES;
/// Bytes that one level 2 table covers.
const L2_SPAN: u64 = VNodeL1::ENTRY_BYTES;
/// Where the window for mappings ends.
const MAP_END: u64 = TOP_BASE;
/// Where the window for the heap ends.
pub(crate) const HEAP_END: u64 = MAP_BASE;

struct Space {
    l1: Option<Cap<VNodeL1>>,
    /// By address divided by what a table covers.
    l2: BTreeMap<u64, Cap<VNodeL2>>,
    l3: BTreeMap<u64, Cap<VNodeL3>>,
    free: Ranges,
}

local! {
    static SPACE: RefCell<Space> =
        RefCell::new(Space { l1: None, l2: BTreeMap::new(), l3: BTreeMap::new(), free: Ranges::new() });
}

fn with<R>(f: impl FnOnce(&mut Space) -> R) -> R {
    SPACE.with(|space| reserve_only(|| f(&mut space.borrow_mut())))
}

/// Starts with the level 1 table over the first 512 GiB.
pub(crate) fn init(l1: Cap<VNodeL1>) {
    with(|space| {
        space.l1 = (!l1.is_null()).then_some(l1);
        space.free.release(MAP_BASE..MAP_END);
    });
}

/// Memory that this domain sees. Dropping it takes it out of sight again, and leaves the frame alone.
#[derive(Debug)]
pub struct Mapped {
    range: Range<u64>,
    mappings: Vec<OwnedCap<Mapping>>,
}

impl Mapped {
    /// Its first byte.
    pub fn address(&self) -> u64 {
        self.range.start
    }
    /// Its bytes: a multiple of the page.
    pub fn size(&self) -> u64 {
        self.range.end - self.range.start
    }
    /// Its first byte, as a pointer.
    pub fn pointer(&self) -> *mut u8 {
        core::ptr::with_exposed_provenance_mut(self.range.start as usize)
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        self.mappings.clear();
        with(|space| space.free.release(self.range.clone()));
    }
}

/// Shows `bytes` of a frame (or device frame) from byte `offset` on, with `rights` (not writable and executable at
/// once), where room is. Offsets and sizes are multiples of the page.
///
/// # Errors
/// `NoAddress`, `OutOfMemory`, `NotAvailable` without page tables, and those of the kernel.
pub fn map<T: Mappable>(frame: Cap<T>, offset: u64, bytes: u64, rights: Rights) -> Result<Mapped, RtError> {
    let bytes = bytes.checked_next_multiple_of(PAGE_SIZE).ok_or(RtError::NoAddress)?;
    // A multiple of what a table covers needs the fewest windows if it begins on such a multiple.
    let align = if bytes >= L3_SPAN { L3_SPAN } else { PAGE_SIZE };
    let address = with(|space| space.free.take(bytes, align)).ok_or(RtError::NoAddress)?;
    let mut mapped = Mapped { range: address..address + bytes, mappings: Vec::new() };
    // What an error leaves half done goes with `mapped`.
    map_range(frame, offset, mapped.range.clone(), rights, |mapping| mapped.mappings.push(mapping))?;
    Ok(mapped)
}

/// Shows a frame at a given place of the heap's window, for good.
pub(crate) fn map_heap(frame: Cap<sys::Frame>, range: Range<u64>) -> Result<(), RtError> {
    if range.start < HEAP_BASE || range.end > HEAP_END {
        return Err(RtError::NoAddress);
    }
    let mut made = Vec::new();
    map_range(frame, 0, range, Rights::READ.or(Rights::WRITE), |mapping| made.push(mapping))?;
    for mapping in made {
        mapping.into_cap();
    }
    Ok(())
}

/// One window for each level 3 table that `range` touches.
fn map_range<T: Mappable>(
    frame: Cap<T>,
    offset: u64,
    range: Range<u64>,
    rights: Rights,
    mut made: impl FnMut(OwnedCap<Mapping>),
) -> Result<(), RtError> {
    let mut address = range.start;
    while address < range.end {
        let end = range.end.min((address / L3_SPAN + 1) * L3_SPAN);
        let table = level3(address)?;
        let window = Window {
            first: address % L3_SPAN / PAGE_SIZE,
            entries: (end - address) / PAGE_SIZE,
            offset: offset + (address - range.start),
            rights,
            fill: true,
        };
        made(place(table, frame, window)?);
        address = end;
    }
    Ok(())
}

fn place<V: VNode, T: Mappable>(
    table: Cap<V>,
    object: Cap<T>,
    window: Window,
) -> Result<OwnedCap<Mapping>, RtError> {
    let slot = slots::allocate()?;
    if let Err(error) = table.map(object, window, slot) {
        slots::release(slot);
        return Err(error.into());
    }
    Ok(OwnedCap::new(slot))
}

/// The level 3 table over `address`, made if there is none.
fn level3(address: u64) -> Result<Cap<VNodeL3>, RtError> {
    let key = address / L3_SPAN;
    if let Some(table) = with(|space| space.l3.get(&key).copied()) {
        return Ok(table);
    }
    let parent = level2(address)?;
    let table = table_below(parent, address % L2_SPAN / L3_SPAN)?;
    with(|space| space.l3.insert(key, table));
    Ok(table)
}

fn level2(address: u64) -> Result<Cap<VNodeL2>, RtError> {
    let key = address / L2_SPAN;
    if let Some(table) = with(|space| space.l2.get(&key).copied()) {
        return Ok(table);
    }
    let parent = with(|space| space.l1).ok_or(RtError::NotAvailable)?;
    let table = table_below(parent, key)?;
    with(|space| space.l2.insert(key, table));
    Ok(table)
}

/// Makes a table and puts it into entry `index` of `parent`.
fn table_below<V: VNode, T: Mappable + CapKind>(parent: Cap<V>, index: u64) -> Result<Cap<T>, RtError> {
    let table = memory::object::<T>(VNODE_SIZE)?;
    let window = Window { first: index, entries: 1, offset: 0, rights: Rights::READ, fill: true };
    place(parent, table.cap(), window)?.into_cap();
    Ok(table.into_cap())
}
