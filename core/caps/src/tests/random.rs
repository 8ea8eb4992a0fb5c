//! Random operations, sensible and not, over the fake machine: beside the naive model, and interleaved in the smallest steps. Everything is
//! checked after every step. `BARRELDISH_LONG=1` makes a million operations of each kind.

use std::collections::BTreeMap;

use abi::{CapType, ErrorKind, PAGE_SIZE, Rights};
use proptest::prelude::*;

use super::model::Model;
use super::world::{FREE, RAM, World, page, slot};
use crate::cost;
use crate::map::window;
use crate::slot::{Flags, Slot, SlotRef};
use crate::types::Container;
use crate::{Db, MapArgs, Progress, RetypeArgs};

/// Deterministic choices (SplitMix64; Steele, Lea, Flood 2014).
pub(super) struct Dice(pub u64);

impl Dice {
    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }
    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

struct Run {
    w: World,
    /// The model, when whole operations are compared.
    model: Option<Model>,
    /// Operations tried, and those that succeeded.
    tally: BTreeMap<String, (u64, u64)>,
}

fn is_boot(s: SlotRef) -> bool {
    s >= slot(RAM) && s < slot(FREE) || s.0 - SlotRef::at(page(0)).0 < 2
}

impl Run {
    fn new(compared: bool) -> Run {
        let w = World::new();
        let model = compared.then(|| Model { caps: Model::real(&w.m), ..Model::default() });
        Run { w, model, tally: BTreeMap::new() }
    }

    /// A slot to work on: mostly one with a capability of the wanted kind.
    fn source(&self, d: &mut Dice, wanted: impl Fn(&Slot) -> bool) -> SlotRef {
        let all: Vec<SlotRef> =
            self.w.m.occupied().filter(|(_, s)| !s.is(Flags::ZOMBIE)).map(|(r, _)| r).collect();
        let fit: Vec<SlotRef> = all.iter().copied().filter(|&r| wanted(self.w.get(r))).collect();
        match d.below(20) {
            0 => slot(FREE + d.below(20) as u32),
            1 => d.pick(&all),
            _ if fit.is_empty() => d.pick(&all),
            _ => d.pick(&fit),
        }
    }

    /// Room for `count` capabilities in a living container.
    fn destination(&self, d: &mut Dice, count: u32, ty: CapType) -> SlotRef {
        let living = |s: &Slot| !s.is(Flags::ZOMBIE);
        let kind = match d.below(20) {
            0 if ty == CapType::L2CNode => CapType::L1CNode,
            // A Unit must not move, and Units lie in CNodes.
            1 | 2 if count == 1 => CapType::Dispatcher,
            _ => CapType::L2CNode,
        };
        let find = |kind: CapType| -> Vec<Container> {
            let all = self.w.m.occupied().filter(|(_, s)| s.ty == kind && living(s));
            all.map(|(_, s)| Container::of(s.ty, s.base, s.size)).collect()
        };
        let mut homes = find(kind);
        if homes.is_empty() {
            homes = find(CapType::L2CNode);
        }
        let home = d.pick(&homes);
        let reach = u64::from(home.count.min(48).max(count) - count + 1);
        for _ in 0..8 {
            let first = home.first.plus(d.below(reach) as u32);
            let free = (0..count).all(|i| self.w.get(first.plus(i)).is_empty());
            if free || d.one_in(20) {
                return first;
            }
        }
        slot(100 + d.below(100) as u32)
    }

    fn count(&mut self, what: String, succeeded: bool) {
        let entry = self.tally.entry(what).or_default();
        entry.0 += 1;
        entry.1 += u64::from(succeeded);
    }

    fn agree(
        &mut self,
        what: &str,
        ty: CapType,
        result: Result<(), ErrorKind>,
        errors: Option<Vec<ErrorKind>>,
    ) {
        self.count(format!("{what} {ty:?}"), result.is_ok());
        match (errors, result) {
            (None, _) => {}
            (Some(errors), Ok(())) => assert!(errors.is_empty(), "{what} allowed, model: {errors:?}"),
            (Some(errors), Err(e)) => {
                assert!(errors.contains(&e), "{what} refused with {e:?}, model: {errors:?}")
            }
        }
    }

    fn copy(&mut self, d: &mut Dice) {
        let src = self.source(d, |s| s.ty != CapType::Mapping && s.ty != CapType::Unit);
        let dst = self.destination(d, 1, self.w.get(src).ty);
        let mut mask = Rights::from_bits(if d.one_in(3) { d.below(16) } else { 15 });
        // Copies of what boot made must not revoke it, or nothing is left to test.
        if is_boot(src) {
            mask = mask.and(Rights::from_bits(7));
        }
        let errors = self.model.as_ref().map(|m| m.copy_errors(src, dst));
        let result = self.w.db.copy(&mut self.w.m, src, dst, mask);
        self.agree("copy", self.w.get(src).ty, result, errors);
        if let (Ok(()), Some(model)) = (result, &mut self.model) {
            model.copy(src, dst, mask);
        }
    }

    /// An offset in a source where nothing was made yet, if a few tries find one.
    fn free_offset(&self, d: &mut Dice, src: SlotRef, bytes: u64) -> u64 {
        let s = self.w.get(src);
        let key = |s: &Slot| (s.ty, s.base, s.size, s.is(Flags::ROOT));
        let pages = (s.size / PAGE_SIZE).max(1);
        for _ in 0..6 {
            let offset = d.below(pages) * PAGE_SIZE;
            let (from, to) = (s.base + offset, s.base + offset + bytes.max(1));
            let taken = self.w.m.occupied().any(|(_, o)| {
                let inside = o.base >= s.base && o.end() <= s.end() && o.base < to && o.end() > from;
                inside && key(o) != key(s) && !(o.size == s.size && o.ty == CapType::Unit)
            });
            if !taken && to <= s.end() {
                return offset;
            }
        }
        d.below(pages) * PAGE_SIZE
    }

    fn retype(&mut self, d: &mut Dice) {
        use CapType::*;
        let ty = match d.below(24) {
            0..4 => Unit,
            4..7 => Ram,
            7..10 => Frame,
            10..12 => L2CNode,
            12 => L1CNode,
            13..16 => Dispatcher,
            16 => EndPoint,
            17 => Notify,
            18 => d.pick(&[PhysAddr, DevFrame, IrqSource, Id]),
            19 => CapType::ALL[d.below(19) as usize],
            _ => d.pick(&[VNodeL0, VNodeL1, VNodeL2, VNodeL3]),
        };
        let src = self.source(d, |s| crate::types::row_of(s).makes(ty) && (ty == Unit) == s.is(Flags::ROOT));
        let numbers = matches!(ty, IrqSource | Id | EndPoint | Notify);
        let pages = self.w.get(src).size / PAGE_SIZE;
        let count = if d.one_in(4) { d.below(4) } else { 1 };
        let object_size = match ty {
            EndPoint | Notify => 0,
            IrqSource | Id => 1 + d.below(8),
            Unit => (8 + d.below(24)) * PAGE_SIZE,
            Ram | Frame | PhysAddr | DevFrame => (1 + d.below(1 + pages.min(24))) * PAGE_SIZE,
            L1CNode => d.pick(&[0, 4096, 8192]),
            Dispatcher => d.pick(&[0, 0, 8192]),
            _ => 0,
        };
        let object_size = if d.one_in(40) { d.roll() >> d.below(64) } else { object_size };
        let offset = match numbers {
            true => d.below(6),
            false => self.free_offset(d, src, object_size.saturating_mul(count)),
        };
        let offset = if d.one_in(40) { d.roll() >> d.below(64) } else { offset };
        let count = if d.one_in(80) { d.roll() >> d.below(64) } else { count };
        let args = RetypeArgs { ty, offset, object_size, count };
        let dst = self.destination(d, count.clamp(1, 4) as u32, ty);
        let limit = self.w.m.asid_limit;
        let errors = self.model.as_ref().map(|m| m.retype_errors(src, &args, dst, limit));
        let result = self.w.db.retype(&mut self.w.m, src, &args, dst);
        self.agree("retype", ty, result, errors);
        if result.is_err() {
            return;
        }
        self.check_new(&args, dst);
        if let Some(model) = &mut self.model {
            model.retype(src, &args, dst);
        }
    }

    /// New kernel objects are zero; new frames of RAM are written to.
    fn check_new(&mut self, args: &RetypeArgs, dst: SlotRef) {
        for i in 0..args.count as u32 {
            let s = *self.w.get(dst.plus(i));
            match s.ty {
                CapType::Frame => {
                    (0..s.size / PAGE_SIZE).for_each(|p| self.w.m.write_page(s.base + p * PAGE_SIZE))
                }
                CapType::EndPoint | CapType::Notify => {}
                _ if crate::types::row_of(&s).object => {
                    assert!(self.w.m.is_zero(s.base, s.size), "a new object is not zero: {s:?}");
                }
                _ => {}
            }
        }
    }

    fn map(&mut self, d: &mut Dice) {
        let installed: Vec<u64> = (self.w.m.occupied())
            .filter(|(_, s)| s.is(Flags::IN_TREE) && s.ty.vnode_level().is_some())
            .filter(|(_, s)| crate::vnode::Place::of(s).is_some())
            .map(|(_, s)| s.base)
            .collect();
        let has_leaf = |r: &Run| {
            let mut all = r.w.m.occupied();
            all.any(|(_, s)| s.ty == CapType::VNodeL3 && installed.contains(&s.base))
        };
        let leaf = !d.one_in(3) && has_leaf(self);
        let vnode = self.source(d, |s| {
            let fit = if leaf { s.ty == CapType::VNodeL3 } else { s.ty.vnode_level().is_some() };
            fit && (installed.is_empty() || installed.contains(&s.base))
        });
        let level = self.w.get(vnode).ty.vnode_level().unwrap_or(3);
        let target = self.source(d, |s| match level {
            3 => matches!(s.ty, CapType::Frame | CapType::DevFrame),
            _ => s.ty.vnode_level() == Some(level + 1),
        });
        let frame = self.w.get(target).ty.vnode_level().is_none();
        let dst = self.destination(d, 1, CapType::Mapping);
        let args = MapArgs {
            offset: if frame && d.one_in(3) { d.below(3) * PAGE_SIZE } else { 0 },
            first: if d.one_in(40) { d.roll() >> d.below(64) } else { d.below(60) },
            count: if frame && d.one_in(2) { 1 + d.below(3) } else { 1 },
            rights: Rights::from_bits(if d.one_in(10) { d.below(16) } else { d.pick(&[1, 1, 3, 5]) }),
            fill: d.one_in(2),
        };
        let errors = self.model.as_ref().map(|m| m.map_errors(vnode, dst, target, &args));
        let result = self.w.db.map(&mut self.w.m, vnode, dst, target, &args);
        self.agree("map", self.w.get(target).ty, result, errors);
        if let (Ok(()), Some(model)) = (result, &mut self.model) {
            model.map(vnode, dst, target, &args);
        }
    }

    fn mapping(&mut self, d: &mut Dice) {
        let slot = self.source(d, |s| s.ty == CapType::Mapping);
        let (first, count) = (d.below(7), d.below(7));
        let before = *self.w.get(slot);
        let w = window(&before);
        let m = &mut self.w.m;
        let result = match d.below(4) {
            0 | 1 => Db::fill(m, slot, first, count),
            2 => Db::clear_window(m, slot, first, count),
            _ => Db::protect(m, slot, Rights::from_bits(d.below(16))),
        };
        if before.ty == CapType::Mapping && result.is_ok() {
            assert!(!before.is(Flags::IN_DELETE) && first < u64::from(w.count) + 7);
            assert!(before.rights.contains(window(self.w.get(slot)).rights));
        }
    }

    /// The processor uses an address through some mapping.
    fn touch(&mut self, d: &mut Dice) {
        let slot = self.source(d, |s| s.ty == CapType::Mapping);
        let s = self.w.get(slot);
        if s.ty != CapType::Mapping || window(s).child {
            return;
        }
        let w = window(s);
        let span = crate::vnode::entry_span(w.level);
        let va = w.va + d.below(u64::from(w.count)) * span;
        let root = self.w.m.occupied().find(|(_, s)| {
            s.ty == CapType::VNodeL0
                && s.is(Flags::IN_TREE)
                && crate::vnode::Place::of(s).is_some_and(|p| p.asid == w.asid)
        });
        if let Some(root) = root.map(|(_, s)| s.base) {
            self.w.m.touch(w.asid, root, va);
        }
    }

    fn delete(&mut self, d: &mut Dice) {
        let slot = self.source(d, |_| true);
        if is_boot(slot) {
            return;
        }
        let budget = cost::DELETE * (1 + d.below(6) as u32);
        let Some(model) = &mut self.model else {
            let ty = self.w.get(slot).ty;
            let result = self.w.db.delete_within(&mut self.w.m, slot, budget);
            return self.count(format!("delete {ty:?}"), result.is_ok());
        };
        let busy = model.caps.values().any(|c| c.unit == slot);
        let expected = match model.caps.get(&slot) {
            None => Some(ErrorKind::EmptySlot),
            Some(_) if busy => Some(ErrorKind::UnitBusy),
            Some(_) => None,
        };
        let result = self.w.delete(slot);
        assert_eq!(result.err(), expected, "delete");
        if expected.is_none() {
            model.remove(slot);
        }
    }

    fn revoke(&mut self, d: &mut Dice) {
        // Revoking the whole of RAM is for the end.
        let slot = self.source(d, |s| !s.is(Flags::ROOT));
        let in_root = slot.0 < super::world::slot(0).0;
        if is_boot(slot) && (in_root || !d.one_in(10)) {
            return;
        }
        let budget = cost::DELETE * (1 + d.below(6) as u32);
        let Some(model) = &mut self.model else {
            let ty = self.w.get(slot).ty;
            let result = self.w.db.revoke_within(&mut self.w.m, slot, budget);
            return self.count(format!("revoke {ty:?}"), result.is_ok());
        };
        let expected = match model.caps.get(&slot) {
            None => Some(ErrorKind::EmptySlot),
            Some(c) if !c.rights.contains(Rights::REVOKE) => Some(ErrorKind::MissingRight),
            Some(_) => None,
        };
        let result = self.w.revoke(slot);
        assert_eq!(result.err(), expected, "revoke");
        if expected.is_none() && !model.revoke(slot) {
            // It killed itself on the way: what was left then is a matter of order.
            while self.w.db.step(&mut self.w.m, 64) == Progress::More {}
            self.resume_model();
        }
    }

    /// Lets the model begin anew from what is there.
    fn resume_model(&mut self) {
        let mut model = Model { caps: Model::real(&self.w.m), ..Model::default() };
        for (slot, s) in self.w.m.occupied() {
            if s.ty == CapType::Unit {
                model.zeroed.insert(slot, s.aux64);
                if s.is(Flags::LISTED) {
                    model.empty.insert(slot);
                }
            }
            if s.ty == CapType::Mapping {
                let mut at = SlotRef(s.next);
                while self.w.get(at).ty == CapType::Mapping {
                    at = SlotRef(self.w.get(at).next);
                }
                model.targets.insert(slot, model.caps[&at].identity());
            }
        }
        self.model = Some(model);
    }

    fn unit(&mut self, d: &mut Dice) {
        if d.one_in(3) {
            let result = self.w.db.pull_unit(&mut self.w.m, slot(RAM));
            let Some(model) = &mut self.model else { return };
            match result {
                Ok((base, size)) => {
                    let found = model.empty.iter().copied().find(|u| model.caps[u].base == base);
                    let unit = found.expect("pulled a unit that is not empty");
                    assert_eq!(model.caps[&unit].size, size);
                    model.empty.remove(&unit);
                }
                Err(e) => assert!(e == ErrorKind::Nothing && model.empty.is_empty(), "{e:?}"),
            }
            return;
        }
        let slot = self.source(d, |s| s.ty == CapType::Unit);
        for _ in 0..1 + d.below(3) {
            let result = self.w.db.zero_unit(&mut self.w.m, slot);
            if let (Ok(_), Some(model)) = (result, &mut self.model) {
                let size = model.caps[&slot].size;
                let zeroed = model.zeroed.entry(slot).or_default();
                *zeroed = size.min(*zeroed + 65536);
            }
        }
    }

    /// Gives back a part of a unit: mostly one over which there is nothing, if a few tries find one.
    fn trim(&mut self, d: &mut Dice) {
        let unit = self.source(d, |s| s.ty == CapType::Unit && s.aux64 == s.size);
        let s = *self.w.get(unit);
        let pages = (s.size / PAGE_SIZE).max(2);
        let (mut offset, mut bytes) = (0, 0);
        for _ in 0..20 {
            offset = if d.one_in(3) { 0 } else { d.below(pages) * PAGE_SIZE };
            bytes = (1 + d.below(pages - 1)) * PAGE_SIZE;
            let (from, to) = (s.base + offset, s.base + offset + bytes);
            let of_unit = |o: &Slot| crate::fake::is_of_unit(o, &s) && o.base < to && o.end() > from;
            if to <= s.end() && !self.w.m.occupied().any(|(_, o)| of_unit(o)) {
                break;
            }
        }
        if d.one_in(20) {
            (offset, bytes) = (d.roll() >> d.below(64), d.roll() >> d.below(64));
        }
        let dst = self.destination(d, 1, CapType::Unit);
        let errors = self.model.as_ref().map(|m| m.trim_errors(unit, offset, bytes, dst));
        let result = self.w.db.trim_unit(&mut self.w.m, unit, offset, bytes, dst);
        let place = match offset {
            0 => "before",
            _ if offset + bytes == s.size => "behind",
            _ => "between",
        };
        self.agree(&format!("trim {place}"), s.ty, result, errors);
        if let (Ok(()), Some(model)) = (result, &mut self.model) {
            model.trim(unit, offset, bytes, dst);
        }
    }

    fn resize(&mut self, d: &mut Dice) {
        let old = self.source(d, |s| s.ty == CapType::L1CNode && s.base != page(0));
        let size = self.w.get(old).size;
        let new = self.source(d, |s| s.ty == CapType::L1CNode && s.size > size);
        // The boot root holds capabilities that may revoke the boot CNodes.
        if self.w.get(old).base == page(0) {
            return;
        }
        let mut result = self.w.db.resize_cspace(&mut self.w.m, old, new);
        while self.model.is_some() && result == Ok(Progress::More) {
            self.w.check();
            result = self.w.db.resize_cspace(&mut self.w.m, old, new);
        }
        self.count("resize".into(), result.is_ok());
        if result.is_ok() && self.model.is_some() {
            self.resume_model();
        }
    }

    /// The beginnings of something to work with: a unit, memory, and objects.
    fn grow(&mut self, d: &mut Dice) {
        let mut free = (FREE..200).map(slot).filter(|s| self.w.get(*s).is_empty());
        let (Some(unit), Some(ram)) = (free.next(), free.next()) else { return };
        let size = (16 + d.below(16)) * PAGE_SIZE;
        let args =
            RetypeArgs { ty: CapType::Unit, offset: d.below(96) * PAGE_SIZE, object_size: size, count: 1 };
        if self.w.db.retype(&mut self.w.m, slot(RAM), &args, unit).is_err() {
            return;
        }
        while self.w.db.zero_unit(&mut self.w.m, unit) == Ok(Progress::More) {}
        // Sometimes over a part alone, so that the rest can be given back.
        let before = if d.one_in(2) { d.below(8) * PAGE_SIZE } else { 0 };
        let inner = RetypeArgs { ty: CapType::Ram, offset: before, object_size: size - 2 * before, count: 1 };
        self.w.db.retype(&mut self.w.m, unit, &inner, ram).unwrap();
        if let Some(model) = &mut self.model {
            model.retype(slot(RAM), &args, unit);
            model.zeroed.insert(unit, size);
            model.retype(unit, &inner, ram);
        }
        if d.one_in(2) {
            self.grow_address_space(ram);
        }
    }

    /// An address space with one frame, from the first eight pages of a Ram; as much as there is room for.
    fn grow_address_space(&mut self, ram: SlotRef) {
        use CapType::*;
        let free: Vec<SlotRef> =
            (FREE..200).map(slot).filter(|s| self.w.get(*s).is_empty()).take(9).collect();
        if free.len() < 9 {
            return;
        }
        for (i, ty) in [VNodeL0, VNodeL1, VNodeL2, VNodeL3, Frame].into_iter().enumerate() {
            let object_size = if ty == Frame { 4 * PAGE_SIZE } else { 0 };
            let args = RetypeArgs { ty, offset: i as u64 * PAGE_SIZE, object_size, count: 1 };
            if self.w.db.retype(&mut self.w.m, ram, &args, free[i]).is_err() {
                return;
            }
            if let Some(model) = &mut self.model {
                model.retype(ram, &args, free[i]);
            }
            if i > 0 {
                let rights = Rights::READ.or(Rights::WRITE);
                let count = if ty == Frame { 4 } else { 1 };
                let args = MapArgs { offset: 0, first: 32, count, rights, fill: true };
                let (vnode, dst) = (free[i - 1], free[4 + i]);
                self.w.db.map(&mut self.w.m, vnode, dst, free[i], &args).unwrap();
                if let Some(model) = &mut self.model {
                    model.map(vnode, dst, free[i], &args);
                }
            }
        }
    }

    fn step(&mut self, seed: u64) {
        let d = &mut Dice(seed);
        match d.below(32) {
            0..7 => self.copy(d),
            7..15 => self.retype(d),
            15..19 => self.map(d),
            19 | 20 => self.mapping(d),
            21 | 22 => self.touch(d),
            23..27 => self.delete(d),
            27 => self.revoke(d),
            28 if d.one_in(2) => self.unit(d),
            28 => self.trim(d),
            29 if d.one_in(2) => self.resize(d),
            30 => self.grow(d),
            _ if self.model.is_none() => {
                let _ = self.w.db.step(&mut self.w.m, d.below(30) as u32);
            }
            _ => self.trim(d),
        }
        self.w.check();
        if let Some(model) = &self.model {
            let real = Model::real(&self.w.m);
            assert!(!self.w.db.has_zombies());
            for (slot, cap) in &real {
                assert_eq!(model.caps.get(slot), Some(cap), "in reality at {slot:?}");
            }
            for (slot, cap) in &model.caps {
                assert_eq!(real.get(slot), Some(cap), "in the model at {slot:?}");
            }
            for (slot, unit) in self.w.m.occupied().filter(|(_, s)| s.ty == CapType::Unit) {
                let zeroed = model.zeroed.get(&slot).copied().unwrap_or(0);
                assert_eq!(unit.is(Flags::LISTED), model.empty.contains(&slot), "listed: {slot:?} {unit:?}");
                assert_eq!(unit.aux64, zeroed, "zeroed: {slot:?}");
            }
        }
    }
}

fn run(compared: bool, seeds: &[u64]) -> BTreeMap<String, (u64, u64)> {
    let mut run = Run::new(compared);
    for &seed in seeds {
        run.step(seed);
    }
    run.w.tear_down();
    run.tally
}

/// Long runs, when asked for: `operations` in runs of 1,000.
fn long(compared: bool, operations: u64) {
    let Some(wanted) = std::env::var_os("BARRELDISH_LONG") else { return };
    // Any other number than 1 makes so many operations.
    let wanted = wanted.to_str().and_then(|w| w.parse().ok()).unwrap_or(1);
    let operations = if wanted > 1 { wanted } else { operations };
    let mut tally: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for first in (0..operations).step_by(1000) {
        let mut d = Dice(first ^ u64::from(compared) << 63);
        let seeds: Vec<u64> = (0..1000).map(|_| d.roll()).collect();
        for (what, (tried, succeeded)) in run(compared, &seeds) {
            let entry = tally.entry(what).or_default();
            *entry = (entry.0 + tried, entry.1 + succeeded);
        }
    }
    for (what, (tried, succeeded)) in tally {
        println!("{what}: {succeeded} of {tried}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whole_operations_agree_with_the_naive_model(seeds in prop::collection::vec(any::<u64>(), 0..300)) {
        run(true, &seeds);
    }

    #[test]
    fn everything_holds_between_the_smallest_steps(seeds in prop::collection::vec(any::<u64>(), 0..300)) {
        run(false, &seeds);
    }
}

#[test]
fn a_million_whole_operations_agree_with_the_naive_model() {
    long(true, 1_000_000);
}

#[test]
fn everything_holds_between_a_million_smallest_steps() {
    long(false, 1_000_000);
}
