//! A capability comes from another core.

use abi::{CapType, ErrorKind, Rights};
use capops::{CoreId, Key as _, Refusal};
use tree::NONE;

use crate::Db;
use crate::db::{New, View, require_empty, require_limit};
use crate::frozen::{MAX_GRANULES, PROXY, granule, refused};
use crate::key::{self, Key};
use crate::machine::Machine;
use crate::slot::{Flags, Slot, SlotRef};
use crate::types;

/// A capability, as another core's monitor describes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// Ram, Frame, DevFrame, IrqSource or Id.
    pub ty: CapType,
    /// What it allows.
    pub rights: Rights,
    /// Physical address or first number.
    pub base: u64,
    /// Bytes, or how many numbers.
    pub size: u64,
    /// Whether it is the first of its unit: nobody else has anything of it.
    pub exclusive: bool,
    /// Base and size of the unit.
    pub unit: (u64, u64),
    /// The unit's home.
    pub home: CoreId,
}

impl Arrival {
    /// The key of the capability.
    pub const fn key(&self) -> Key {
        Key::new(self.ty, self.base, self.size, 0)
    }
}

impl Db {
    /// Puts a capability from another core into the empty slot `dst`. If this core has nothing of its unit, a proxy comes into
    /// the empty slot `proxy` of the monitor. Says where the Unit or proxy is.
    ///
    /// What another monitor says is believed no more than it has to be: that it may give this away.
    ///
    /// # Errors
    /// `BadType` for what cannot leave its core; `BadSize`, `Unaligned`, `OutOfRange`; `SlotOccupied`; `InDelete`,
    /// `Frozen`, `UnitNotZeroed`, `BadState` for its unit (the last when one that is exclusive is not the first); `Overlap`
    /// when what this core has cannot exist beside it.
    pub fn deliver<M: Machine>(
        &mut self,
        m: &mut M,
        arrival: &Arrival,
        dst: SlotRef,
        proxy: SlotRef,
    ) -> Result<SlotRef, ErrorKind> {
        let (new, region) = check(arrival)?;
        require_empty(m, dst, 1)?;
        let found = self.unit_over(m, new.base);
        let unit = if found.is_none() {
            self.check_proxy(m, &region, dst, proxy)?
        } else {
            self.check_arrival(m, found, &new, &region, arrival.exclusive)?;
            found
        };
        let key = arrival.key();
        let copy = SlotRef(self.find(m, &key));
        if copy.is_none() {
            self.check_neighbours(m, &key, new.ty)?;
        } else if m.slot(copy).ty != new.ty || m.slot(copy).is(Flags::IN_DELETE) {
            return Err(ErrorKind::Overlap);
        }
        if found.is_none() {
            self.add_proxy(m, unit, &region, arrival.home);
        }
        if m.slot(unit).is(Flags::LISTED) {
            self.unlist(m, unit);
        }
        if copy.is_none() {
            let place = self.tree.predecessor(&View(m), |v, n| key.cmp_slot(v.0.slot(SlotRef(n))).is_le());
            self.add_node(m, dst, &new, place);
            m.slot_mut(dst).set(Flags::EXCL, arrival.exclusive);
        } else {
            self.add_copy(m, dst, &new, copy);
        }
        Ok(unit)
    }

    /// Checks that a proxy can be made.
    fn check_proxy<M: Machine>(
        &self,
        m: &M,
        region: &Key,
        dst: SlotRef,
        proxy: SlotRef,
    ) -> Result<SlotRef, ErrorKind> {
        require_empty(m, proxy, 1)?;
        if proxy == dst {
            return Err(ErrorKind::SlotOccupied);
        }
        match self.around(m, region.base, region.end()) {
            (_, NONE) => Ok(proxy),
            _ => Err(ErrorKind::Overlap),
        }
    }

    fn add_proxy<M: Machine>(&mut self, m: &mut M, proxy: SlotRef, region: &Key, home: CoreId) {
        let (ty, rights, flags) = (CapType::Unit, Rights::NONE, Flags::default());
        let &Key { base, size, .. } = region;
        let new = New { ty, rights, flags, page: home.0 as u32, base, size, aux32: PROXY, aux64: 0 };
        let (place, _) = self.around(m, base, region.end());
        self.add_node(m, proxy, &new, place);
        m.slot_mut(proxy).set(Flags::EXCL, false);
    }

    /// Checks that something can come into a unit of which there is a Unit or proxy here.
    fn check_arrival<M: Machine>(
        &self,
        m: &M,
        unit: SlotRef,
        new: &New,
        region: &Key,
        exclusive: bool,
    ) -> Result<(), ErrorKind> {
        let u = self.unit(m, unit)?;
        if (u.base, u.size) != (region.base, region.size) || new.base + new.size > u.end() {
            return Err(ErrorKind::Overlap);
        }
        if u.is(Flags::FROZEN) {
            return Err(refused(Refusal::Frozen));
        }
        if !exclusive {
            return Ok(());
        }
        let home = u.aux32 & PROXY == 0;
        if !self.is_unit_empty(m, unit) || home && !u.is(Flags::EXCL) {
            return Err(refused(Refusal::Nonsense));
        }
        if home && u.aux64 != u.size { Err(ErrorKind::UnitNotZeroed) } else { Ok(()) }
    }

    /// Checks that a new key is laminar with what there is, as far as bounded work can: the innermost before that reaches into
    /// it lies around it, nothing that begins inside ends outside, and the neighbours' types can come from each other.
    fn check_neighbours<M: Machine>(&self, m: &M, key: &Key, ty: CapType) -> Result<(), ErrorKind> {
        let around = |n: u32| n == NONE || lies_around(m.slot(SlotRef(n)), key, ty);
        let before = self.innermost(m, key, key.base);
        let behind = self.tree.predecessor_and_hit(
            &View(m),
            |v, n| v.0.slot(SlotRef(n)).base < key.end(),
            |v, n| v.0.slot(SlotRef(n)).end() > key.end(),
            |v, n| v.0.slot(SlotRef(n)).max_end > key.end(),
        );
        let first = self.lower_bound(m, key);
        let inside = first == NONE || {
            let s = m.slot(SlotRef(first));
            s.base >= key.end() || key.contains(&Key::of(s)) && can_hold(ty, s.ty)
        };
        if around(before.0) && around(behind.1) && inside { Ok(()) } else { Err(ErrorKind::Overlap) }
    }
}

/// Whether a capability can be an ancestor of a new one.
fn lies_around(s: &Slot, key: &Key, ty: CapType) -> bool {
    Key::of(s).contains(key) && can_hold(s.ty, ty)
}

/// Whether there can be a `below` inside an `above`.
const fn can_hold(above: CapType, below: CapType) -> bool {
    use CapType::{DevFrame, Id, IrqSource, PhysAddr, Ram, Unit};
    let same = above as u32 == below as u32;
    match above {
        PhysAddr | Unit => true,
        // A proxy lies over no Ram of this core, and what lies in Ram is made of it.
        Ram => !matches!(below, DevFrame | IrqSource | Id | PhysAddr | Unit),
        _ => same,
    }
}

/// Checks what can be checked without looking at what there is: the capability, and the region of its unit.
fn check(a: &Arrival) -> Result<(New, Key), ErrorKind> {
    if !types::travels(a.ty) {
        return Err(ErrorKind::BadType);
    }
    let (bytes, alignment) = types::row(a.ty, false).object_size(a.size)?;
    if bytes != a.size {
        return Err(ErrorKind::BadSize);
    }
    let (unit_base, unit_size) = a.unit;
    if !(a.base | unit_base | unit_size).is_multiple_of(alignment) {
        return Err(ErrorKind::Unaligned);
    }
    for (base, size) in [(a.base, a.size), a.unit] {
        require_limit(a.ty, base, size)?;
    }
    let inside = unit_base <= a.base && a.base + a.size <= unit_base + unit_size;
    let space = key::space(a.ty);
    if !inside || unit_size / granule(space) >= MAX_GRANULES {
        return Err(ErrorKind::OutOfRange);
    }
    let region =
        Key { base: unit_base | space, size: unit_size, depth: types::depth(CapType::Unit, false), index: 0 };
    let new = New {
        ty: a.ty,
        rights: a.rights,
        flags: Flags::default(),
        page: 0,
        base: a.base | space,
        size: a.size,
        aux32: 0,
        aux64: 0,
    };
    Ok((new, region))
}
