//! Capability slots of this domain: L2 CNodes of 256 slots, made as they are needed; the root CNode grows too.
//!
//! Growing needs memory and slots itself. That cannot go in circles: growing begins while 32 slots are still free, happens
//! once at a time, and needs fewer. What is carved for it cannot be given back: if the kernel refuses what should be made of
//! it, it is kept for the next attempt.

use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use abi::cap::{L1_CNODE_MAX_SIZE, L1_CNODE_MIN_SIZE, L2_CNODE_SIZE, L2_SLOTS, SLOT_SIZE};
use abi::layout::{PAGE_CNODE, ROOT_CNODE, SELF_DISPATCHER, StartInfo};
use abi::{CapAddr, ErrorKind, Rights};
use sys::{Any, Cap, Dispatcher, L1CNode, L2CNode, Ram, Slot};

use crate::critical;
use crate::error::RtError;
use crate::heap::{self, reserve_only};
use crate::local::local;
use crate::memory;

/// Free slots at which another CNode is made.
const RESERVE: usize = 32;

/// Which slots of a CNode are in use. Slot 0 is the kernel's.
struct Node {
    l1: u64,
    used: [u64; 4],
}

impl Node {
    fn take(&mut self) -> Option<CapAddr> {
        let word = self.used.iter().position(|&used| used != u64::MAX)?;
        let bit = (!self.used[word]).trailing_zeros();
        self.used[word] |= 1 << bit;
        Some(CapAddr::new(self.l1, word as u64 * 64 + u64::from(bit)))
    }
}

struct Slots {
    /// Ascending by L1 index.
    nodes: Vec<Node>,
    free: usize,
    /// The CNode where the last free slot was found or left.
    hint: usize,
    next_l1: u64,
    /// Of the root CNode, without the last one, which is the kernel's.
    root_slots: u64,
    /// Memory that was carved for a CNode, and for a root, and is not used yet.
    node_part: Option<Part>,
    root_part: Option<Part>,
    /// Where the root in use was made, until its well-known address names it.
    new_root: Option<CapAddr>,
}

/// Memory for one object: a capability, and the offset in it.
type Part = (Cap<Ram>, u64);

local! {
    static SLOTS: RefCell<Slots> = RefCell::new(Slots {
        nodes: Vec::new(),
        free: 0,
        hint: 0,
        next_l1: PAGE_CNODE + 1,
        root_slots: usable(L1_CNODE_MIN_SIZE),
        node_part: None,
        root_part: None,
        new_root: None,
    });
}
/// Slots of a root CNode of so many bytes: the last one is the kernel's.
const fn usable(bytes: u64) -> u64 {
    (bytes / SLOT_SIZE).saturating_sub(1)
}

local! {
    static GROWING: Cell<bool> = Cell::new(false);
}

fn with<R>(f: impl FnOnce(&mut Slots) -> R) -> R {
    SLOTS.with(|slots| reserve_only(|| f(&mut slots.borrow_mut())))
}

/// Takes over the CNodes with page tables and mappings, as the builder left them: slots that are free there are given first,
/// and the others once what is in them was deleted. Before anything else here.
pub(crate) fn take_over(info: &StartInfo) {
    with(|slots| {
        slots.root_slots = slots.root_slots.max(usable(u64::from(info.root_slots) * SLOT_SIZE));
        let end = slots.root_slots.min(PAGE_CNODE + u64::from(info.page_cnodes));
        for l1 in PAGE_CNODE..end {
            let first = if l1 + 1 == end { info.first_page_slot.into() } else { L2_SLOTS };
            slots.add_used(l1, first);
        }
        slots.next_l1 = slots.next_l1.max(info.first_free_cnode.into());
    });
}

/// An empty slot of the own CSpace.
///
/// # Errors
/// `OutOfMemory` when no slot is left and no CNode can be made.
pub fn allocate() -> Result<CapAddr, RtError> {
    if let Some(slot) = with(|slots| if slots.free > RESERVE { slots.take() } else { None }) {
        return Ok(slot);
    }
    critical::probe_stack_for_call();
    critical::section(|| {
        let provided = provide();
        // The reserve serves until memory is to be had again.
        if with(|slots| slots.free) == 0 {
            provided?;
        }
        with(Slots::take).ok_or(RtError::OutOfMemory)
    })
}

/// Makes another CNode if few slots are left, unless one is being made.
pub(crate) fn provide() -> Result<(), RtError> {
    if with(|slots| slots.free) > RESERVE {
        return Ok(());
    }
    critical::section(|| {
        if GROWING.with(|growing| growing.replace(true)) {
            return Ok(());
        }
        let grown = grow();
        GROWING.with(|growing| growing.set(false));
        grown
    })
}

/// As [`allocate`], from what is there: never waits.
pub(crate) fn allocate_reserved() -> Result<CapAddr, RtError> {
    with(Slots::take).ok_or(RtError::OutOfMemory)
}

/// Gives an empty slot back. Slots that neither [`allocate`] gave nor the builder handed over with the address space are left
/// alone.
pub fn release(slot: CapAddr) {
    with(|slots| slots.give_back(slot));
    crate::channel::slot_is_free();
}

/// Deletes the capability in `slot` and gives the slot back.
#[inline(never)]
pub fn discard(slot: CapAddr) {
    if empty(slot) {
        release(slot);
    }
}

/// Deletes the capability in `slot`. False: it stays where it is, and the slot with it; it belongs to someone's revoke now.
pub(crate) fn empty(slot: CapAddr) -> bool {
    match Cap::<Any>::new(slot).delete() {
        Ok(()) => true,
        Err(error) => error.kind == ErrorKind::EmptySlot,
    }
}

/// Keeps an index of the root CNode free of this allocator, for a CNode that the caller hangs there for a while (builders
/// of domains do).
///
/// # Errors
/// `OutOfMemory` when the root CNode is full.
pub fn reserve_root_slot() -> Result<u64, RtError> {
    loop {
        let index = with(|slots| {
            let index = slots.next_l1;
            let usable = index < slots.root_slots;
            slots.next_l1 += u64::from(usable);
            usable.then_some(index)
        });
        let index = index.ok_or(RtError::OutOfMemory)?;
        // The address leads nowhere exactly if no CNode hangs there.
        let probe = Cap::<Any>::new(CapAddr::new(index, 1)).identify();
        if probe.is_err_and(|error| error.kind == ErrorKind::NoCNode) {
            return Ok(index);
        }
    }
}

/// How many slots are free without making a CNode.
pub fn available() -> usize {
    with(|slots| slots.free)
}

impl Slots {
    fn take(&mut self) -> Option<CapAddr> {
        let count = self.nodes.len();
        let order = (self.hint..count).chain(0..self.hint.min(count));
        for index in order {
            if let Some(slot) = self.nodes[index].take() {
                self.hint = index;
                self.free -= 1;
                return Some(slot);
            }
        }
        None
    }

    fn give_back(&mut self, slot: CapAddr) {
        let Ok(index) = self.nodes.binary_search_by_key(&slot.l1(), |node| node.l1) else { return };
        let (word, bit) = (slot.slot() as usize / 64, slot.slot() % 64);
        let used = &mut self.nodes[index].used[word];
        if slot.slot() != 0 && *used & 1 << bit != 0 {
            *used &= !(1 << bit);
            self.free += 1;
            self.hint = index;
        }
    }

    fn add(&mut self, l1: u64) {
        self.add_used(l1, 1);
    }

    /// Adds a CNode whose first free slot is `first`: at least 1, since slot 0 is the kernel's.
    fn add_used(&mut self, l1: u64, first: u64) {
        let first = first.clamp(1, L2_SLOTS);
        let used = core::array::from_fn(|word| {
            let used = first.saturating_sub(word as u64 * 64);
            if used >= 64 { u64::MAX } else { (1 << used) - 1 }
        });
        self.nodes.push(Node { l1, used });
        self.hint = self.nodes.len() - 1;
        self.free += (L2_SLOTS - first) as usize;
        self.next_l1 = l1 + 1;
    }
}

/// Makes room in the list of CNodes: not inside [`with`], where the heap cannot grow.
fn make_room() -> Result<(), RtError> {
    let (count, capacity) = with(|slots| (slots.nodes.len(), slots.nodes.capacity()));
    if count < capacity {
        return Ok(());
    }
    let mut larger = Vec::new();
    // Backed from the start, since it is looked at where no fault can be handled.
    let room = heap::backed(|| larger.try_reserve_exact((2 * capacity).max(4)));
    room.map_err(|_| RtError::OutOfMemory)?;
    with(|slots| {
        larger.append(&mut slots.nodes);
        slots.nodes = larger;
    });
    Ok(())
}

/// Memory for an object of `bytes` bytes, aligned to that: what `place` has, or else another part. It stays there until it
/// was used.
fn part(place: fn(&mut Slots) -> &mut Option<Part>, bytes: u64) -> Result<Part, RtError> {
    if let Some(part) = with(|slots| *place(slots)) {
        return Ok(part);
    }
    let part = memory::carve(bytes, bytes)?;
    with(|slots| *place(slots) = Some(part));
    Ok(part)
}

/// Makes another CNode, and a larger root before if that is full.
fn grow() -> Result<(), RtError> {
    make_room()?;
    name_root()?;
    loop {
        let (l1, root_slots) = with(|slots| (slots.next_l1, slots.root_slots));
        if l1 >= root_slots {
            enlarge_root((root_slots + 1) * SLOT_SIZE * 2)?;
            continue;
        }
        let (ram, offset) = part(|slots| &mut slots.node_part, L2_CNODE_SIZE)?;
        let place = Slot::of_l1(Cap::new(ROOT_CNODE), l1);
        match ram.retype::<L2CNode>(offset, 0, 1, place) {
            Ok(()) => {
                with(|slots| {
                    slots.node_part = None;
                    slots.add(l1);
                });
                return Ok(());
            }
            // The builder put something there (boot capabilities, say).
            Err(error) if error.kind == ErrorKind::SlotOccupied => with(|slots| slots.next_l1 += 1),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Replaces the root CNode by one of `size` bytes.
fn enlarge_root(size: u64) -> Result<(), RtError> {
    if size > L1_CNODE_MAX_SIZE {
        return Err(RtError::OutOfMemory);
    }
    let (ram, offset) = part(|slots| &mut slots.root_part, size)?;
    let slot = allocate()?;
    let made = ram.retype::<L1CNode>(offset, size, 1, slot);
    let in_use = made.and_then(|()| Cap::<Dispatcher>::new(SELF_DISPATCHER).resize_cspace(Cap::new(slot)));
    if let Err(error) = in_use {
        discard(slot);
        return Err(error.into());
    }
    with(|slots| {
        slots.root_part = None;
        slots.root_slots = usable(size);
        slots.new_root = Some(slot);
    });
    name_root()
}

/// Sees to it that the well-known address names the root in use.
fn name_root() -> Result<(), RtError> {
    let Some(slot) = with(|slots| slots.new_root) else { return Ok(()) };
    // The former one is empty now.
    empty(ROOT_CNODE);
    Cap::<L1CNode>::new(slot).copy_to(ROOT_CNODE, Rights::ALL)?;
    with(|slots| slots.new_root = None);
    discard(slot);
    Ok(())
}
