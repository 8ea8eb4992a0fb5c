//! A fake machine on the host, with physical memory, translation tables and a TLB, and a checker of everything that
//! must hold of a database over it. For tests and fuzzing.

mod check;

use std::collections::BTreeMap;

use abi::{PAGE_SIZE, Rights};

use crate::machine::{Machine, Window};
use crate::slot::{Slot, SlotRef};
use crate::vnode::entry_span;

pub(crate) use check::{Checker, is_of_unit};

/// Physical address where the fake memory begins.
pub(crate) const MEMORY_BASE: u64 = 0x4000_0000;

/// A valid entry of a translation table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    /// Physical address.
    pub target: u64,
    /// Points to a table.
    pub child: bool,
    /// Rights of a leaf.
    pub rights: Rights,
}

/// A translation that the fake processor remembers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Translation {
    /// Bytes that it covers.
    pub span: u64,
    /// The entry that it came from.
    pub entry: Entry,
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Fake {
    slots: Vec<Slot>,
    /// Pages that user space has written to.
    dirty: Vec<bool>,
    /// Valid entries of all translation tables, by table and index.
    pub entries: BTreeMap<(u64, u16), Entry>,
    /// What the processor remembers, by address space and virtual address.
    pub tlb: BTreeMap<(u16, u64), Translation>,
    /// Address space identifiers in use.
    pub asids: Vec<u16>,
    /// How many there may be.
    pub asid_limit: usize,
    /// Dispatchers that have ended since the checker last looked.
    pub ended_dispatchers: Vec<u64>,
    /// Events that have ended since the checker last looked.
    pub ended_events: Vec<(u64, u32)>,
    /// Endpoints of which one capability is left, since the checker last looked.
    pub alone: Vec<(u64, u32)>,
    /// Interrupts that have ended since the checker last looked.
    pub ended_interrupts: Vec<(u64, u64)>,
    /// Held slots that have been emptied.
    pub ended_held: Vec<SlotRef>,
    /// How often a unit has become empty.
    pub empty_units: u64,
    /// How often something was left to the reaper.
    pub remains: u64,
}

impl Fake {
    /// A machine with `pages` pages of zeroed memory and 4 address space identifiers.
    pub(crate) fn new(pages: usize) -> Fake {
        Fake {
            slots: vec![Slot::EMPTY; pages * 64],
            dirty: vec![false; pages],
            entries: BTreeMap::new(),
            tlb: BTreeMap::new(),
            asids: Vec::new(),
            asid_limit: 4,
            ended_dispatchers: Vec::new(),
            ended_events: Vec::new(),
            alone: Vec::new(),
            ended_interrupts: Vec::new(),
            ended_held: Vec::new(),
            empty_units: 0,
            remains: 0,
        }
    }

    /// All slots of memory that are not empty.
    pub(crate) fn occupied(&self) -> impl Iterator<Item = (SlotRef, &Slot)> {
        let first = SlotRef::at(MEMORY_BASE);
        let slots = self.slots.iter().enumerate().filter(|(_, s)| !s.is_empty());
        slots.map(move |(i, s)| (first.plus(i as u32), s))
    }

    /// User space writes to a page.
    pub(crate) fn write_page(&mut self, address: u64) {
        self.dirty[((address - MEMORY_BASE) / PAGE_SIZE) as usize] = true;
    }

    /// Whether memory holds neither user data, nor capabilities, nor valid entries.
    pub(crate) fn is_zero(&self, base: u64, bytes: u64) -> bool {
        let page = ((base - MEMORY_BASE) / PAGE_SIZE) as usize;
        let pages = (bytes / PAGE_SIZE) as usize;
        !self.dirty[page..page + pages].contains(&true)
            && self.slots[page * 64..(page + pages) * 64].iter().all(|s| s.is_empty())
            && self.entries.range((base, 0)..(base + bytes, 0)).next().is_none()
    }

    /// The translation of an address by the tables under `root`.
    pub(crate) fn walk(&self, root: u64, va: u64) -> Option<Translation> {
        let mut table = root;
        for level in 0..4u8 {
            let span = entry_span(level);
            let entry = *self.entries.get(&(table, (va / span % 512) as u16))?;
            if !entry.child {
                return Some(Translation { span, entry });
            }
            table = entry.target;
        }
        None
    }

    /// The processor uses an address in the address space of `root`, and remembers its translation.
    pub(crate) fn touch(&mut self, asid: u16, root: u64, va: u64) {
        if let Some(found) = self.walk(root, va) {
            self.tlb.insert((asid, va / found.span * found.span), found);
        }
    }

    fn flush(&mut self, w: &Window, first: u16, count: u16) {
        let span = entry_span(w.level);
        let from = w.va + u64::from(first) * span;
        let to = from + u64::from(count) * span;
        self.tlb.retain(|&(asid, va), _| asid != w.asid || va < from || va >= to);
    }
}

fn index(slot: SlotRef) -> usize {
    (slot.0 - SlotRef::at(MEMORY_BASE).0) as usize
}

impl Machine for Fake {
    fn slot(&self, slot: SlotRef) -> &Slot {
        &self.slots[index(slot)]
    }
    fn slot_mut(&mut self, slot: SlotRef) -> &mut Slot {
        &mut self.slots[index(slot)]
    }
    fn zero(&mut self, base: u64, bytes: u64) {
        let page = ((base - MEMORY_BASE) / PAGE_SIZE) as usize;
        let pages = (bytes / PAGE_SIZE) as usize;
        assert!(
            self.entries.range((base, 0)..(base + bytes, 0)).next().is_none(),
            "a translation table is zeroed while it has valid entries"
        );
        self.dirty[page..page + pages].fill(false);
        self.slots[page * 64..(page + pages) * 64].fill(Slot::EMPTY);
    }
    fn new_asid(&mut self) -> Option<u16> {
        let free = (1..=self.asid_limit as u16).find(|asid| !self.asids.contains(asid))?;
        self.asids.push(free);
        Some(free)
    }
    fn free_asid(&mut self, asid: u16, _root: u64) {
        let place = self.asids.iter().position(|&a| a == asid);
        self.asids.remove(place.expect("an address space identifier is freed twice"));
        self.tlb.retain(|&(a, _), _| a != asid);
    }
    fn fill(&mut self, w: &Window, first: u16, count: u16) {
        assert!(first + count <= w.count);
        for i in first..first + count {
            let target = w.target + u64::from(i) * entry_span(w.level);
            let target = if w.child { w.target } else { target };
            let entry = Entry { target, child: w.child, rights: w.rights };
            self.entries.insert((w.table, w.first + i), entry);
        }
    }
    fn clear(&mut self, w: &Window, first: u16, count: u16) {
        assert!(first + count <= w.count);
        for i in first..first + count {
            self.entries.remove(&(w.table, w.first + i));
        }
        self.flush(w, first, count);
    }
    fn protect(&mut self, w: &Window) {
        for i in 0..w.count {
            if let Some(entry) = self.entries.get_mut(&(w.table, w.first + i)) {
                entry.rights = w.rights;
            }
        }
        self.flush(w, 0, w.count);
    }
    fn dispatcher_ends(&mut self, base: u64, _size: u64) {
        self.ended_dispatchers.push(base);
    }
    fn endpoint_alone(&mut self, dispatcher: u64, index: u32) {
        self.alone.push((dispatcher, index));
    }
    fn event_ends(&mut self, dispatcher: u64, index: u32) {
        self.ended_events.push((dispatcher, index));
    }
    fn interrupts_end(&mut self, first: u64, count: u64) {
        self.ended_interrupts.push((first, count));
    }
    fn remains(&mut self) {
        self.remains += 1;
    }
    fn held_ends(&mut self, slot: SlotRef) {
        assert!(self.slot(slot).is_empty());
        self.ended_held.push(slot);
    }
    fn unit_empty(&mut self) {
        self.empty_units += 1;
    }
}
