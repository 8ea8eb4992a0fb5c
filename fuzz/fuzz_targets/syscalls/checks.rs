//! What must hold of a core whenever the kernel is left. It looks at memory as the hardware does and at the mapping
//! database as the kernel's other parts do.

use abi::CapType;
use abi::frame::State;
use caps::{Machine as _, Slot, SlotRef};
use kernel::arch::{ARENA_BASE, Hardware};
use kernel::cpu::Core;
use kernel::dispatcher::{DispatcherRef, EventKind};
use kernel::page_table::Tlb as _;

/// Addresses that the fake processor keeps translations of, besides those that inputs touch.
const LOOKED_AT: [u64; 4] = [0x20_0000, 0x20_1000, abi::layout::FRAME_BASE, abi::layout::MAP_BASE];

const VALID: u64 = 1;
const TABLE: u64 = 2;
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

/// Whether there is memory at this physical address.
pub fn is_ram(address: u64) -> bool {
    (ARENA_BASE..ARENA_BASE + super::RAM as u64).contains(&address)
}

/// The processor remembers nothing that the tables do not say, and never looked at a descriptor too early.
pub fn translations(core: &mut Core) {
    let hardware = &mut core.machine.hardware;
    let root = hardware.installed_root();
    if root != 0 {
        for address in LOOKED_AT {
            let remembered = hardware.translate(address).ok().map(|found| found.address);
            assert_eq!(remembered, walk(hardware, root, address), "stale translation of {address:#x}");
        }
    }
    assert_eq!(hardware.mmu.complaints, [], "walks that met unpublished descriptors");
}

/// The FP unit is open for the one whose registers are in it, or for nobody; its owner exists and has not ended.
pub fn fp(core: &Core) {
    let m = &core.machine;
    assert_eq!(m.hardware.fp_open, m.fp.is_open());
    if let Some(owner) = m.fp.owner() {
        assert!(m.dispatcher(owner).state() != State::Ended, "an owner of the FP unit that has ended");
    }
    assert!(
        !m.hardware.fp_open || m.current.is_none() || m.current == m.fp.owner(),
        "the FP unit is open for another than its owner"
    );
}

/// What the tables in memory say.
fn walk(hardware: &Hardware, root: u64, address: u64) -> Option<u64> {
    let mut table = root;
    for level in 0..4 {
        let shift = 39 - 9 * level;
        let entry = hardware.read(table, (address >> shift & 511) as u16);
        if entry & VALID == 0 {
            return None;
        }
        if level == 3 || entry & TABLE == 0 {
            return Some((entry & ADDRESS) + (address & ((1 << shift) - 1)));
        }
        table = entry & ADDRESS;
    }
    None
}

/// All of it.
pub fn everything(core: &mut Core) {
    translations(core);
    fp(core);
    let nodes = nodes(core);
    let is_owner = |slot: &Slot| Some(slot.base()) == core.machine.fp.owner().map(DispatcherRef::base);
    assert!(
        core.machine.fp.owner().is_none()
            || nodes.iter().any(|s| s.cap_type() == CapType::Dispatcher && is_owner(s)),
        "the FP unit's owner has no capability any more"
    );
    assert!(nodes.len() as u64 <= core.db.count(), "more nodes than capabilities");
    laminar(&nodes);
    for slot in &nodes {
        event(core, &nodes, slot);
    }
    for root in nodes.iter().filter(|slot| slot.cap_type() == CapType::VNodeL0) {
        table(core, &nodes, root.base(), 0);
    }
}

/// The representatives of all capabilities, in the order of the database.
pub fn nodes(core: &Core) -> Vec<Slot> {
    let mut nodes = Vec::new();
    let mut at = core.db.first(&core.machine);
    while at != SlotRef::NONE {
        nodes.push(*core.machine.slot(at));
        at = core.db.next(&core.machine, at);
    }
    nodes
}

/// What an EndPoint or Notify names is in use as one, and what it is connected to exists and says so too.
fn event(core: &Core, nodes: &[Slot], slot: &Slot) {
    let kind = match slot.cap_type() {
        CapType::EndPoint => EventKind::EndPoint,
        CapType::Notify => EventKind::Notify,
        _ => return,
    };
    let d = DispatcherRef::at(slot.base()).expect("an event of a dispatcher");
    let event = core.machine.event(d, slot.index());
    assert_eq!(event.kind(), kind, "{slot:?}");
    assert!(slot.index() < u32::from(core.machine.dispatcher(d).events_used), "{slot:?}");
    if let Some(peer) = event.peer {
        let is_it = |other: &&Slot| {
            other.cap_type() == CapType::EndPoint
                && other.base() == peer.base()
                && other.index() == event.peer_index
        };
        assert!(nodes.iter().any(|other| is_it(&other)), "connected to nothing: {event:?}");
        let back = core.machine.event(peer, event.peer_index);
        assert_eq!((back.peer, back.peer_index), (Some(d), slot.index()), "connected to one that is not");
    }
}

/// K4: regions of memory are disjoint or nested.
fn laminar(nodes: &[Slot]) {
    let mut open: Vec<&Slot> = Vec::new();
    for slot in nodes.iter().filter(|slot| is_memory(slot.cap_type())) {
        while open.last().is_some_and(|outer| outer.base() + outer.size() <= slot.base()) {
            open.pop();
        }
        if let Some(outer) = open.last() {
            assert!(slot.base() >= outer.base(), "order: {outer:?} {slot:?}");
            assert!(slot.base() + slot.size() <= outer.base() + outer.size(), "overlap: {outer:?} {slot:?}");
            assert!(!is_object(outer.cap_type()), "inside a kernel object: {outer:?} {slot:?}");
        }
        open.push(slot);
    }
}

fn is_memory(ty: CapType) -> bool {
    use CapType::*;
    is_object(ty) || matches!(ty, PhysAddr | Ram | Unit | Frame | DevFrame)
}

fn is_object(ty: CapType) -> bool {
    use CapType::*;
    matches!(ty, L1CNode | L2CNode | Dispatcher) || ty.vnode_level().is_some()
}

/// A translation table leads to tables of the next level and to frames, never to kernel objects or free memory.
fn table(core: &Core, nodes: &[Slot], base: u64, level: u8) {
    for index in 0..512 {
        let entry = core.machine.hardware.read(base, index);
        if entry & VALID == 0 {
            continue;
        }
        let target = entry & ADDRESS;
        if level < 3 && entry & TABLE != 0 {
            let leads_to =
                nodes.iter().find(|slot| slot.base() == target && slot.cap_type().vnode_level().is_some());
            let child = leads_to.unwrap_or_else(|| panic!("{target:#x} is no table"));
            assert_eq!(child.cap_type().vnode_level(), Some(level + 1), "{child:?}");
            table(core, nodes, target, level + 1);
        } else {
            let bytes = 1 << (39 - 9 * level);
            assert!(nodes.iter().any(|slot| shows(slot, target, bytes)), "{target:#x} is not of a frame");
        }
    }
}

fn shows(slot: &Slot, target: u64, bytes: u64) -> bool {
    matches!(slot.cap_type(), CapType::Frame | CapType::DevFrame)
        && slot.base() <= target
        && target + bytes <= slot.base() + slot.size()
}
