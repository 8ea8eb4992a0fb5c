//! Everything that must hold of a database after every step.

use std::collections::{BTreeMap, BTreeSet};

use abi::CapType;
use capops::Key as _;

use super::{Entry, Fake};
use crate::Db;
use crate::frozen::{BUSY, PROXY, top};
use crate::key::Key;
use crate::machine::Machine;
use crate::map::window;
use crate::reaper::{HEIRS, estate};
use crate::slot::{Flags, Slot, SlotRef};
use crate::types::{Container, is_container, row_of};
use crate::unit::list_of;
use crate::vnode::{Place, entry_span};

/// What lives, as it was at the last look: so that each end is announced to the machine exactly once.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    events: BTreeSet<(u64, u32)>,
    dispatchers: BTreeSet<u64>,
    interrupts: BTreeSet<(u64, u64)>,
}

impl Checker {
    /// Panics when something does not hold.
    pub(crate) fn check(&mut self, db: &Db, m: &mut Fake) {
        let mut nodes = Vec::new();
        check_subtree(m, db.tree.root(), 0, &mut nodes);
        check_order(m, &nodes);
        check_laminar(m, &nodes);
        check_rings(db, m, &nodes);
        for vnode in nodes.clone() {
            check_mappings(m, vnode, &mut nodes);
        }
        check_units(db, m);
        check_zombies(db, m);
        check_tables(m, &nodes);
        check_translations(m, &nodes);
        self.check_ends(m, &nodes);
    }

    /// What is gone since the last look has been announced, once, and nothing else has.
    fn check_ends(&mut self, m: &mut Fake, nodes: &[SlotRef]) {
        let (mut events, mut dispatchers, mut interrupts) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for &n in nodes {
            let s = m.slot(n);
            match s.ty {
                CapType::EndPoint | CapType::Notify => drop(events.insert((s.base, s.aux32))),
                CapType::Dispatcher if !s.is(Flags::ZOMBIE) => drop(dispatchers.insert(s.base)),
                CapType::IrqSource => drop(interrupts.insert((s.base(), s.size))),
                _ => {}
            }
        }
        announced(&mut self.events, events, &mut m.ended_events);
        announced(&mut self.dispatchers, dispatchers, &mut m.ended_dispatchers);
        announced(&mut self.interrupts, interrupts, &mut m.ended_interrupts);
    }
}

fn announced<T: Ord + Copy + std::fmt::Debug>(old: &mut BTreeSet<T>, now: BTreeSet<T>, ended: &mut Vec<T>) {
    ended.sort();
    let gone: Vec<T> = old.difference(&now).copied().collect();
    assert_eq!(*ended, gone, "ends that the machine heard of, and those that happened");
    ended.clear();
    *old = now;
}

/// Links, height, balance, augmentation. The nodes go to `nodes` in order.
fn check_subtree(m: &Fake, node: u32, parent: u32, nodes: &mut Vec<SlotRef>) -> (u8, u64) {
    if node == 0 {
        return (0, 0);
    }
    let s = m.slot(SlotRef(node));
    assert!(s.is(Flags::IN_TREE), "a node that does not know that it is one: {s:?}");
    assert_eq!(s.links.parent, parent, "parent link");
    let (left, left_end) = check_subtree(m, s.links.left, node, nodes);
    nodes.push(SlotRef(node));
    let (right, right_end) = check_subtree(m, s.links.right, node, nodes);
    assert!(left.abs_diff(right) <= 1, "balance");
    assert_eq!(s.height, 1 + left.max(right), "height");
    assert_eq!(s.max_end, s.end().max(left_end).max(right_end), "augmentation");
    (s.height, s.max_end)
}

fn check_order(m: &Fake, nodes: &[SlotRef]) {
    for pair in nodes.windows(2) {
        let (a, b) = (m.slot(pair[0]), m.slot(pair[1]));
        assert!(Key::of(b).cmp_slot(a).is_lt(), "order: {a:?} {b:?}");
    }
}

/// The tree of mappings of a VNode, in the order of their windows. They go to `nodes`.
fn check_mappings(m: &Fake, vnode: SlotRef, nodes: &mut Vec<SlotRef>) {
    let v = m.slot(vnode);
    if v.ty.vnode_level().is_none() {
        return;
    }
    let mut all = Vec::new();
    check_subtree(m, v.aux32, 0, &mut all);
    let mut end = 0;
    for &slot in &all {
        let s = m.slot(slot);
        assert_eq!((s.ty, s.base), (CapType::Mapping, v.base));
        assert!(s.index() >= end, "order of windows");
        end = u32::from(window(s).first + window(s).count);
    }
    nodes.extend(all);
}

/// K4: each region lies inside the nearest one before it that reaches so far, and its type can come from that one's.
fn check_laminar(m: &Fake, nodes: &[SlotRef]) {
    let mut open: Vec<&Slot> = Vec::new();
    for &n in nodes {
        let s = m.slot(n);
        while open.last().is_some_and(|o| o.end() <= s.base) {
            open.pop();
        }
        if let Some(o) = open.last() {
            assert!(s.end() <= o.end(), "K4, overlap: {o:?} {s:?}");
            assert!(makes(o, s.ty, s.is(Flags::ROOT)), "K4, types: {o:?} {s:?}");
        }
        if !matches!(s.ty, CapType::EndPoint | CapType::Notify) {
            open.push(s);
        }
    }
}

/// Whether `ty` can come from the type of `s`, perhaps over others in between.
fn makes(s: &Slot, ty: CapType, root: bool) -> bool {
    if s.ty == CapType::Unit && s.aux32 & PROXY != 0 {
        return !root && ty != CapType::PhysAddr;
    }
    if s.is(Flags::ROOT) {
        return root || ty != CapType::PhysAddr && ty != CapType::DevFrame;
    }
    let mut reach = row_of(s).makes;
    for from in CapType::ALL {
        if reach >> from as u32 & 1 != 0 {
            reach |= crate::types::row(from, false).makes;
        }
    }
    // Unit makes Ram, whose number is lower.
    if reach >> CapType::Ram as u32 & 1 != 0 {
        reach |= crate::types::row(CapType::Ram, false).makes;
        reach |= crate::types::row(CapType::Dispatcher, false).makes;
    }
    !root && reach >> ty as u32 & 1 != 0
}

/// Each slot that is not empty stands in exactly one ring, in the right order, and is counted.
fn check_rings(db: &Db, m: &Fake, nodes: &[SlotRef]) {
    let mut seen = BTreeSet::new();
    for &n in nodes {
        let s = m.slot(n);
        assert_ne!(s.ty, CapType::Mapping, "mappings are not in this tree");
        // The links of a Unit and of a zombie are of other lists.
        if s.ty == CapType::Unit || s.is(Flags::ZOMBIE) {
            assert!(seen.insert(n));
            continue;
        }
        let (mut at, mut mappings) = (n, false);
        loop {
            let c = m.slot(at);
            assert!(seen.insert(at), "in two rings: {c:?}");
            assert_eq!(m.slot(SlotRef(c.next)).prev, at.0, "ring links");
            if c.ty == CapType::Mapping {
                mappings = true;
                assert!(c.is(Flags::IN_TREE));
                assert!(window(c).target >= s.base && window(c).target < s.end(), "shows another");
            } else {
                assert!(!mappings, "a copy behind a mapping");
                assert_eq!(c.is(Flags::IN_TREE), at == n, "one representative a ring");
                assert_eq!((c.ty, Key::of(c)), (s.ty, Key::of(s)), "copies differ");
            }
            at = SlotRef(c.next);
            if at == n {
                break;
            }
        }
    }
    let occupied: BTreeSet<SlotRef> = m.occupied().map(|(slot, _)| slot).collect();
    assert_eq!(seen, occupied, "slots in the database, and slots in memory");
    assert_eq!(db.count, seen.len() as u64, "count");
}

/// Whether a capability is over memory of a unit, and neither the Unit nor what it was made of.
pub(crate) fn is_of_unit(s: &Slot, unit: &Slot) -> bool {
    let other = matches!(s.ty, CapType::Mapping | CapType::Unit) || s.is(Flags::ROOT);
    unit.ty == CapType::Unit && !other && unit.base <= s.base && s.base < unit.end()
}

/// Units in the list have no capabilities, and the list is whole.
fn check_units(db: &Db, m: &Fake) {
    let mut listed = BTreeSet::new();
    for (slot, s) in m.occupied().filter(|(_, s)| s.is(Flags::LISTED)) {
        assert!(!m.occupied().any(|(_, other)| is_of_unit(other, s)), "a listed unit with capabilities");
        listed.insert(slot.0);
    }
    for (number, list) in db.empty.iter().enumerate() {
        let (mut at, mut before) = (list.first, 0);
        while at != 0 {
            let u = m.slot(SlotRef(at));
            assert_eq!((u.prev, list_of(u)), (before, number), "in the wrong list, or place");
            assert!(listed.remove(&at), "in the list without knowing");
            (before, at) = (at, u.next);
        }
        assert_eq!(list.last, before);
    }
    assert!(listed.is_empty(), "not in the list: {listed:?}");
    check_unsettled(db, m);
}

/// What Units know of other cores makes sense, and is counted.
fn check_unsettled(db: &Db, m: &Fake) {
    let mut unsettled = 0;
    for (slot, s) in m.occupied() {
        if s.ty != CapType::Unit {
            assert!(!s.is(Flags::FROZEN) || s.is(Flags::ZOMBIE), "frozen by itself: {s:?}");
            assert!(s.is(Flags::IN_TREE) || !s.is(Flags::EXCL), "a copy with a mark: {s:?}");
            continue;
        }
        assert_eq!(db.unit_over(m, s.base), slot, "a unit over its own region");
        assert_eq!(db.unit_over(m, s.end() - 1), slot, "a unit over its own region");
        // A Unit at home that only its own core shares has the mark as well.
        let (proxy, shared) = (s.aux32 & PROXY != 0, s.page != 0);
        assert!(!s.is(Flags::EXCL) || !proxy && s.page.count_ones() < 2, "exclusive and shared: {s:?}");
        assert!(s.is(Flags::EXCL) || proxy || shared, "neither exclusive nor shared: {s:?}");
        unsettled += u32::from(s.is(Flags::FROZEN)) + (s.aux32 & BUSY);
        if s.is(Flags::FROZEN) {
            assert!(Key::of(s).contains(&top(s)) && !s.is(Flags::IN_DELETE), "frozen: {s:?}");
        } else if !s.is(Flags::IN_DELETE) {
            assert!(s.aux64 <= s.size && (!proxy || s.aux64 == 0), "bytes zeroed: {s:?}");
            // Where others had it, what is here may have come from them.
            let whole = s.aux64 == s.size || proxy || shared;
            assert!(whole || db.is_unit_empty(m, slot), "made of what is not zero: {s:?}");
        }
    }
    assert_eq!(db.unsettled, unsettled, "what has to be looked for");
}

/// All zombies are in estates, each in its grave; capabilities lie in living objects or zombies.
fn check_zombies(db: &Db, m: &Fake) {
    let mut zombies: BTreeSet<SlotRef> =
        m.occupied().filter(|(_, s)| s.is(Flags::ZOMBIE)).map(|(slot, _)| slot).collect();
    assert_eq!(db.reaping, 0);
    let parked: Vec<u32> =
        (zombies.iter().copied()).filter(|z| m.slot(*z).is(Flags::FROZEN)).map(|z| z.0).collect();
    assert_eq!(parked.len(), db.parked as usize, "estates that wait");
    let (mut queue, mut first, mut before) = (Vec::new(), db.zombies, 0);
    while first != 0 {
        let f = m.slot(SlotRef(first));
        assert_eq!((f.prev, f.is(Flags::FROZEN)), (before, false), "the queue of estates");
        queue.push(first);
        (before, first) = (first, f.next);
    }
    assert_eq!(db.last_zombie, before);
    for first in parked.iter().copied().chain(queue) {
        let f = m.slot(SlotRef(first));
        assert_eq!(f.aux64 >> 32, u64::from(first), "the first of its estate");
        let (mut at, mut heirs) = (SlotRef(f.aux64 as u32), 0);
        loop {
            let s = m.slot(at);
            assert!(zombies.remove(&at), "in an estate, but no zombie");
            assert_eq!(Container::of(s.ty, s.base, s.size).grave, at);
            assert!(s.is(Flags::IN_DELETE) && estate(s) == SlotRef(first));
            if at.0 == first {
                break;
            }
            (at, heirs) = (SlotRef(s.aux64 as u32), heirs + 1);
        }
        assert!((f.aux32 >> 16) + heirs <= HEIRS, "an estate takes in too much");
        // What it waits for is in the topmost, where the reaper stands.
        let top = m.slot(SlotRef(f.aux64 as u32));
        let at = Container::of(top.ty, top.base, top.size).first.plus(top.aux32 & 0xffff);
        assert!(!f.is(Flags::FROZEN) || db.holds_up(m.slot(at)).is_err(), "waits for nothing");
    }
    assert!(zombies.is_empty(), "in no estate");
    let homes: BTreeMap<u32, u32> = m
        .occupied()
        .filter(|(_, s)| is_container(s.ty))
        .map(|(_, s)| (SlotRef::at(s.base).0, (s.size / 64) as u32))
        .collect();
    for (slot, s) in m.occupied() {
        let home = homes.range(..=slot.0).next_back();
        assert!(home.is_some_and(|(f, n)| slot.0 < f + n), "lost in dead memory: {s:?}");
    }
}

/// Valid entries are those of mappings, and VNodes know where they are.
fn check_tables(m: &Fake, nodes: &[SlotRef]) {
    let mut allowed: BTreeMap<(u64, u16), Entry> = BTreeMap::new();
    let mut places: BTreeMap<u64, Place> = BTreeMap::new();
    for &n in nodes {
        let s = m.slot(n);
        if s.ty.vnode_level().is_some()
            && let Some(place) = Place::of(s)
        {
            places.insert(s.base, place);
        }
    }
    let in_trees = nodes.iter().filter(|n| m.slot(**n).ty == CapType::Mapping).count();
    let in_memory = m.occupied().filter(|(_, s)| s.ty == CapType::Mapping).count();
    assert_eq!(in_trees, in_memory, "mappings in trees, and in memory");
    let mut installed = 0;
    for &n in nodes {
        let s = m.slot(n);
        if s.ty != CapType::Mapping {
            installed += usize::from(s.ty == CapType::VNodeL0);
            continue;
        }
        let w = window(s);
        for i in 0..w.count {
            let step = if w.child { 0 } else { u64::from(i) * entry_span(w.level) };
            let entry = Entry { target: w.target + step, child: w.child, rights: w.rights };
            let taken = allowed.insert((w.table, w.first + i), entry);
            assert!(taken.is_none(), "windows overlap");
        }
        if let Some(place) = places.get(&w.table) {
            assert_eq!(w.va, place.va + u64::from(w.first) * entry_span(w.level));
            assert_eq!(w.asid, place.asid);
        }
        // A child that knows no place is being detached.
        if let (true, Some(place)) = (w.child, places.get(&w.target)) {
            assert_eq!(*place, Place { va: w.va, asid: w.asid });
            installed += 1;
        }
    }
    assert_eq!(installed, places.len(), "a VNode is installed that nothing maps");
    for (place, entry) in &m.entries {
        assert_eq!(allowed.get(place), Some(entry), "an entry that no mapping made: {place:?}");
        if entry.child {
            assert!(places.contains_key(&entry.target), "leads to a VNode that is not installed");
        }
    }
}

/// The processor remembers nothing that the tables do not say, and identifiers belong to VNodes.
fn check_translations(m: &Fake, nodes: &[SlotRef]) {
    let mut roots = BTreeMap::new();
    for &n in nodes {
        let s = m.slot(n);
        if s.ty == CapType::VNodeL0 {
            let place = Place::of(s).expect("a root knows its place");
            assert!(roots.insert(place.asid, s.base).is_none(), "two roots with one identifier");
        }
    }
    let mut asids = m.asids.clone();
    asids.sort();
    assert!(asids.iter().eq(roots.keys()), "identifiers in use");
    for (&(asid, va), translation) in &m.tlb {
        let root = *roots.get(&asid).expect("TLB entry of a dead address space");
        assert_eq!(m.walk(root, va), Some(*translation), "stale TLB entry at {va:#x}");
    }
}
