//! A naive model of the capabilities: a map from slots to what is in them, with no structure at all. Each rule is stated again
//! here, in the simplest way that is right.

use std::collections::{BTreeMap, BTreeSet};

use abi::{CapType, ErrorKind, PAGE_SIZE, Rights};

use crate::fake::{Fake, is_of_unit};
use crate::map::window;
use crate::slot::{Flags, Slot, SlotRef};
use crate::{MapArgs, RetypeArgs};

/// What makes two capabilities copies of each other: type, whether a root, base, size, index.
pub(super) type Identity = (CapType, bool, u64, u64, u32);

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Cap {
    pub ty: CapType,
    pub root: bool,
    pub base: u64,
    pub size: u64,
    pub index: u32,
    pub rights: Rights,
    pub unit: SlotRef,
    /// For a Mapping: entries and the physical address shown.
    pub shows: Option<(u64, u64)>,
}

impl Cap {
    fn of(m: &Fake, s: &Slot) -> Cap {
        let w = window(s);
        Cap {
            ty: s.ty,
            root: s.is(Flags::ROOT),
            base: s.base,
            size: s.size,
            index: s.index(),
            rights: s.rights,
            unit: m.occupied().find(|(_, u)| is_of_unit(s, u)).map_or(SlotRef::NONE, |(slot, _)| slot),
            shows: (s.ty == CapType::Mapping).then_some((u64::from(w.count), w.target)),
        }
    }
    pub(super) fn identity(&self) -> Identity {
        (self.ty, self.root, self.base, self.size, self.index)
    }
    fn end(&self) -> u64 {
        self.base + self.size
    }
    fn is_dependant(&self) -> bool {
        matches!(self.ty, CapType::EndPoint | CapType::Notify | CapType::Mapping)
    }
    /// Where the slots of this object are, `None` if it has none.
    fn slots(&self) -> Option<std::ops::Range<u32>> {
        let start = SlotRef::at(self.base).0;
        match self.ty {
            CapType::L1CNode | CapType::L2CNode => Some(start..start + (self.size / 64) as u32),
            CapType::Dispatcher => Some(start..start + 8),
            _ => None,
        }
    }
    fn level(&self) -> Option<u8> {
        self.ty.vnode_level()
    }
}

#[derive(Default)]
pub(super) struct Model {
    pub caps: BTreeMap<SlotRef, Cap>,
    /// Bytes zeroed of each Unit.
    pub zeroed: BTreeMap<SlotRef, u64>,
    /// Units that have become empty and were not pulled since.
    pub empty: BTreeSet<SlotRef>,
    /// Mappings: where each capability of a Mapping shows, by the identity of the frame or VNode.
    pub targets: BTreeMap<SlotRef, Identity>,
}

impl Model {
    /// What is really there.
    pub(super) fn real(m: &Fake) -> BTreeMap<SlotRef, Cap> {
        m.occupied().map(|(slot, s)| (slot, Cap::of(m, s))).collect()
    }

    fn of(&self, unit: SlotRef) -> impl Iterator<Item = &Cap> {
        self.caps.values().filter(move |c| c.unit == unit)
    }

    fn held(&self, unit: SlotRef) -> usize {
        self.of(unit).count()
    }

    fn copies(&self, identity: Identity) -> usize {
        self.caps.values().filter(|c| c.identity() == identity).count()
    }

    /// All reasons to refuse a copy.
    pub(super) fn copy_errors(&self, src: SlotRef, dst: SlotRef) -> Vec<ErrorKind> {
        let mut errors = Vec::new();
        match self.caps.get(&src) {
            None => errors.push(ErrorKind::EmptySlot),
            Some(c) => {
                if matches!(c.ty, CapType::Unit | CapType::Mapping | CapType::Kernel) {
                    errors.push(ErrorKind::NotCopyable);
                }
            }
        }
        if self.caps.contains_key(&dst) {
            errors.push(ErrorKind::SlotOccupied);
        }
        errors
    }

    pub(super) fn copy(&mut self, src: SlotRef, dst: SlotRef, mask: Rights) {
        let mut cap = self.caps[&src].clone();
        cap.rights = cap.rights.and(mask);
        self.caps.insert(dst, cap);
    }

    /// All reasons to refuse a retype.
    pub(super) fn retype_errors(
        &self,
        src: SlotRef,
        args: &RetypeArgs,
        dst: SlotRef,
        asids: usize,
    ) -> Vec<ErrorKind> {
        use CapType::*;
        let Some(c) = self.caps.get(&src) else { return vec![ErrorKind::EmptySlot] };
        let mut errors = Vec::new();
        if matches!(args.ty, Null | Mapping | Kernel) {
            errors.push(ErrorKind::BadType);
        }
        let legal = match c.ty {
            PhysAddr => matches!(args.ty, PhysAddr | DevFrame),
            Ram if c.root => matches!(args.ty, Ram | Unit),
            Ram => matches!(
                args.ty,
                Ram | Frame | L1CNode | L2CNode | VNodeL0 | VNodeL1 | VNodeL2 | VNodeL3 | Dispatcher
            ),
            Unit => args.ty == Ram,
            Dispatcher => matches!(args.ty, EndPoint | Notify),
            Frame | DevFrame | IrqSource | Id => args.ty == c.ty,
            _ => false,
        };
        if !legal {
            errors.push(ErrorKind::IllegalRetype);
        }
        if args.count == 0 || args.count > 64 {
            errors.push(ErrorKind::BadCount);
        }
        for i in 0..args.count.min(64) as u32 {
            if self.caps.contains_key(&dst.plus(i)) {
                errors.push(ErrorKind::SlotOccupied);
            }
        }
        if legal && matches!(args.ty, EndPoint | Notify) {
            self.event_errors(c, args, &mut errors);
        } else if legal {
            self.region_errors(src, c, args, asids, &mut errors);
        }
        errors
    }

    fn event_errors(&self, c: &Cap, args: &RetypeArgs, errors: &mut Vec<ErrorKind>) {
        if args.object_size != 0 {
            errors.push(ErrorKind::BadSize);
        }
        let last = u128::from(args.offset) + u128::from(args.count);
        let clash = self.caps.values().any(|e| {
            e.is_dependant()
                && e.base == c.base
                && e.ty != args.ty
                && u64::from(e.index) >= args.offset
                && u128::from(e.index) < last
        });
        if last > u128::from((c.size - 1024) / 32) || clash {
            errors.push(ErrorKind::BadEvent);
        }
        if !c.rights.contains(Rights::WRITE) {
            errors.push(ErrorKind::MissingRight);
        }
    }

    fn region_errors(
        &self,
        src: SlotRef,
        c: &Cap,
        args: &RetypeArgs,
        asids: usize,
        errors: &mut Vec<ErrorKind>,
    ) {
        use CapType::*;
        let object = object_sizes(args.ty);
        let size = match (args.object_size, object) {
            (0, Some((min, _))) => min,
            (size, _) => size,
        };
        let numbers = matches!(args.ty, IrqSource | Id);
        let size_ok = match object {
            Some((min, max)) => size.is_power_of_two() && size >= min && size <= max,
            None => size != 0,
        };
        if !size_ok || (args.ty == c.ty && size == c.size) {
            errors.push(ErrorKind::BadSize);
        }
        if !numbers && (!args.offset.is_multiple_of(PAGE_SIZE) || !size.is_multiple_of(PAGE_SIZE)) {
            errors.push(ErrorKind::Unaligned);
        }
        let bytes = u128::from(size) * u128::from(args.count);
        if object.is_some() && bytes > 256 * 1024 {
            errors.push(ErrorKind::BadCount);
        }
        let end = u128::from(args.offset) + bytes;
        if end > u128::from(c.size) {
            errors.push(ErrorKind::OutOfRange);
        } else if bytes != 0 {
            let (from, to) = (c.base + args.offset, c.base + end as u64);
            let taken = self.caps.iter().any(|(&slot, o)| {
                slot != src
                    && o.identity() != c.identity()
                    && !o.is_dependant()
                    && o.base < to
                    && o.end() > from
                    && is_descendant(c, o)
            });
            if taken {
                errors.push(ErrorKind::Overlap);
            }
        }
        if object.is_some() && !c.rights.contains(Rights::WRITE) {
            errors.push(ErrorKind::MissingRight);
        }
        if c.ty == Unit && self.zeroed.get(&src).copied().unwrap_or(0) != c.size {
            errors.push(ErrorKind::UnitNotZeroed);
        }
        let roots: BTreeSet<u64> = self.caps.values().filter(|c| c.ty == VNodeL0).map(|c| c.base).collect();
        if args.ty == VNodeL0 && roots.len() as u64 + args.count > asids as u64 {
            errors.push(ErrorKind::NoAsid);
        }
    }

    pub(super) fn retype(&mut self, src: SlotRef, args: &RetypeArgs, dst: SlotRef) {
        let c = self.caps[&src].clone();
        let event = matches!(args.ty, CapType::EndPoint | CapType::Notify);
        let object = object_sizes(args.ty);
        let unit = if c.ty == CapType::Unit { src } else { c.unit };
        let size = match object {
            Some((min, _)) if args.object_size == 0 => min,
            _ => args.object_size,
        };
        for i in 0..args.count {
            let revoke = c.rights.bits() & 8;
            let index = if event { (args.offset + i) as u32 } else { 0 };
            let is_copy =
                event && self.caps.values().any(|it| (it.ty, it.base, it.index) == (args.ty, c.base, index));
            let rights = match () {
                () if event => Rights::from_bits(3 | if is_copy { revoke } else { 8 }),
                () if object.is_some() => Rights::from_bits(7 | revoke),
                () => c.rights,
            };
            let cap = Cap {
                ty: args.ty,
                root: c.root && args.ty == CapType::Ram,
                base: if event { c.base } else { c.base + args.offset + i * size },
                size: if event { c.size } else { size },
                index,
                rights,
                unit,
                shows: None,
            };
            self.caps.insert(dst.plus(i as u32), cap);
        }
        self.empty.remove(&unit);
    }

    /// All reasons to refuse to give back a part of a unit.
    pub(super) fn trim_errors(&self, unit: SlotRef, offset: u64, bytes: u64, dst: SlotRef) -> Vec<ErrorKind> {
        let Some(c) = self.caps.get(&unit) else { return vec![ErrorKind::EmptySlot] };
        if c.ty != CapType::Unit {
            return vec![ErrorKind::WrongType];
        }
        let mut errors = Vec::new();
        if bytes == 0 || bytes == c.size {
            errors.push(ErrorKind::BadSize);
        }
        if !offset.is_multiple_of(PAGE_SIZE) || !bytes.is_multiple_of(PAGE_SIZE) {
            errors.push(ErrorKind::Unaligned);
        }
        if self.zeroed.get(&unit).copied().unwrap_or(0) != c.size {
            errors.push(ErrorKind::UnitNotZeroed);
        }
        let (from, to) = (
            u128::from(c.base) + u128::from(offset),
            u128::from(c.base) + u128::from(offset) + u128::from(bytes),
        );
        if to > u128::from(c.end()) {
            errors.push(ErrorKind::OutOfRange);
        }
        if self.of(unit).any(|o| u128::from(o.base) < to && u128::from(o.end()) > from) {
            errors.push(ErrorKind::Overlap);
        }
        if self.caps.contains_key(&dst) {
            errors.push(ErrorKind::SlotOccupied);
        }
        errors
    }

    pub(super) fn trim(&mut self, unit: SlotRef, offset: u64, bytes: u64, dst: SlotRef) {
        let old = self.caps[&unit].clone();
        let behind = Cap { base: old.base + offset + bytes, size: old.size - offset - bytes, ..old.clone() };
        let (mut parts, before) = (Vec::new(), Cap { size: offset, ..old });
        if offset == 0 {
            parts.push((unit, behind));
        } else {
            parts.push((unit, before));
            if behind.size != 0 {
                parts.push((dst, behind));
            }
        }
        for (slot, part) in &parts {
            let inside = |c: &&mut Cap| c.unit == unit && part.base <= c.base && c.base < part.end();
            self.caps.values_mut().filter(inside).for_each(|cap| cap.unit = *slot);
        }
        for (slot, part) in parts {
            self.zeroed.insert(slot, part.size);
            self.caps.insert(slot, part);
            if self.held(slot) == 0 && self.empty.insert(slot) {
                self.zeroed.insert(slot, 0);
            }
        }
    }

    /// The address of a VNode in its address space, if it has one.
    fn place(&self, vnode: &Cap) -> Option<u64> {
        if vnode.ty == CapType::VNodeL0 {
            return Some(0);
        }
        let (slot, _) = self.targets.iter().find(|(_, t)| **t == vnode.identity())?;
        let mapping = &self.caps[slot];
        let table = self.caps.values().find(|c| c.level().is_some() && c.base == mapping.base)?;
        let span = 1u64 << (39 - 9 * u32::from(table.level().unwrap()));
        Some(self.place(table)? + u64::from(mapping.index) * span)
    }

    /// All reasons to refuse a mapping.
    pub(super) fn map_errors(
        &self,
        vnode: SlotRef,
        dst: SlotRef,
        target: SlotRef,
        args: &MapArgs,
    ) -> Vec<ErrorKind> {
        let (Some(v), Some(t)) = (self.caps.get(&vnode), self.caps.get(&target)) else {
            return vec![ErrorKind::EmptySlot];
        };
        let frame = matches!(t.ty, CapType::Frame | CapType::DevFrame);
        let Some(level) = v.level().filter(|_| frame || t.level().is_some()) else {
            return vec![
                ErrorKind::WrongType,
                ErrorKind::WrongLevel,
                ErrorKind::MissingRight,
                ErrorKind::BadWindow,
            ];
        };
        let mut errors = Vec::new();
        let window_end = u128::from(args.first) + u128::from(args.count);
        if args.count == 0 || window_end > 512 || (!frame && args.count != 1) {
            errors.push(ErrorKind::BadWindow);
        }
        if !v.rights.contains(Rights::WRITE) || (!frame && !t.rights.contains(Rights::WRITE)) {
            errors.push(ErrorKind::MissingRight);
        }
        if self.caps.contains_key(&dst) {
            errors.push(ErrorKind::SlotOccupied);
        }
        let span = 1u64 << (39 - 9 * u32::from(level));
        if frame {
            let rights = args.rights.bits() & 7;
            if rights & !t.rights.bits() != 0 {
                errors.push(ErrorKind::MissingRight);
            }
            if rights & 1 == 0 || rights & 6 == 6 {
                errors.push(ErrorKind::WriteAndExecute);
            }
            if level < 2 {
                errors.push(ErrorKind::WrongLevel);
            }
            let bytes = u128::from(args.count) * u128::from(span);
            if u128::from(args.offset) + bytes > u128::from(t.size) {
                errors.push(ErrorKind::OutOfRange);
            }
            if !t.base.wrapping_add(args.offset).is_multiple_of(span) {
                errors.push(ErrorKind::Unaligned);
            }
        } else {
            if t.level() != Some(level + 1) {
                errors.push(ErrorKind::WrongLevel);
            }
            if args.offset != 0 {
                errors.push(ErrorKind::OutOfRange);
            }
            if self.targets.values().any(|i| *i == t.identity()) {
                errors.push(ErrorKind::AlreadyInstalled);
            }
        }
        match self.place(v) {
            None => errors.push(ErrorKind::NotInstalled),
            Some(va) => {
                if frame && u128::from(va) + u128::from(args.first) * u128::from(span) < 0x10000 {
                    errors.push(ErrorKind::BadAddress);
                }
            }
        }
        let taken = self.caps.values().any(|c| {
            c.ty == CapType::Mapping
                && c.base == v.base
                && u128::from(c.index) < window_end
                && u64::from(c.index) + c.shows.unwrap().0 > args.first
        });
        if taken {
            errors.push(ErrorKind::WindowTaken);
        }
        errors
    }

    pub(super) fn map(&mut self, vnode: SlotRef, dst: SlotRef, target: SlotRef, args: &MapArgs) {
        let (v, t) = (self.caps[&vnode].clone(), self.caps[&target].clone());
        let frame = matches!(t.ty, CapType::Frame | CapType::DevFrame);
        let mapping = Cap {
            ty: CapType::Mapping,
            root: false,
            base: v.base,
            size: v.size,
            index: args.first as u32,
            rights: Rights::from_bits(if frame { args.rights.bits() & 7 } else { 7 }),
            unit: SlotRef::NONE,
            shows: Some((args.count, t.base + args.offset)),
        };
        self.caps.insert(dst, mapping);
        self.targets.insert(dst, t.identity());
    }

    /// Removes a capability and all that its end brings about.
    pub(super) fn remove(&mut self, slot: SlotRef) {
        let Some(cap) = self.caps.remove(&slot) else { return };
        self.targets.remove(&slot);
        self.zeroed.remove(&slot);
        self.empty.remove(&slot);
        if self.caps.contains_key(&cap.unit) && self.held(cap.unit) == 0 {
            self.zeroed.insert(cap.unit, 0);
            self.empty.insert(cap.unit);
        }
        if self.copies(cap.identity()) == 0 {
            self.end(slot, &cap);
        }
    }

    /// The last capability of its identity is gone.
    fn end(&mut self, slot: SlotRef, cap: &Cap) {
        let shown = cap.shows.map(|(_, target)| target);
        let victims: Vec<SlotRef> = self
            .caps
            .iter()
            .filter(|&(s, c)| {
                let mapped = self.targets.get(s) == Some(&cap.identity());
                let inside = cap.slots().is_some_and(|r| r.contains(&s.0));
                let owned = (cap.level().is_some() || cap.ty == CapType::Dispatcher)
                    && c.is_dependant()
                    && c.base == cap.base;
                // The mapping of a child table takes what is mapped below along.
                let below = c.ty == CapType::Mapping
                    && shown == Some(c.base)
                    && self.caps.values().any(|v| v.level().is_some() && v.base == c.base);
                let of_unit = cap.ty == CapType::Unit && c.unit == slot;
                mapped || inside || owned || below || of_unit
            })
            .map(|(&s, _)| s)
            .collect();
        for victim in victims {
            self.remove(victim);
        }
    }

    /// Revokes; says whether the capability itself survived.
    pub(super) fn revoke(&mut self, slot: SlotRef) -> bool {
        let cap = self.caps[&slot].clone();
        let victims: Vec<SlotRef> = self
            .caps
            .iter()
            .filter(|&(s, c)| {
                let copy = *s != slot && c.identity() == cap.identity();
                let mapped = self.targets.get(s) == Some(&cap.identity());
                copy || mapped || is_descendant(&cap, c)
            })
            .map(|(&s, _)| s)
            .collect();
        for victim in victims {
            if victim != slot {
                self.remove(victim);
            }
        }
        self.caps.contains_key(&slot)
    }
}

/// Least and greatest size of a kernel object.
fn object_sizes(ty: CapType) -> Option<(u64, u64)> {
    use CapType::*;
    match ty {
        L1CNode => Some((4096, 256 * 1024)),
        L2CNode => Some((16384, 16384)),
        VNodeL0 | VNodeL1 | VNodeL2 | VNodeL3 => Some((4096, 4096)),
        Dispatcher => Some((4096, 65536)),
        _ => None,
    }
}

/// Whether `d` came from `a`, by region, size and type.
fn is_descendant(a: &Cap, d: &Cap) -> bool {
    if d.identity() == a.identity() || d.base < a.base || d.end() > a.end() || a.is_dependant() {
        return false;
    }
    d.size < a.size || rank(d) > rank(a)
}

/// How late in a chain of retypes over one region a type comes.
fn rank(c: &Cap) -> u32 {
    match c.ty {
        CapType::PhysAddr => 0,
        CapType::Ram if c.root => 0,
        CapType::Unit => 1,
        CapType::Ram => 2,
        CapType::Mapping | CapType::EndPoint | CapType::Notify => 4,
        _ => 3,
    }
}
