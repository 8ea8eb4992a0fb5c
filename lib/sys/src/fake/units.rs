//! Units: zeroed in steps, and empty when the last capability over their memory is gone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use abi::{CapType, Error, ErrorKind, PAGE_SIZE};

use super::kernel::{Capability, Fake};
use crate::Result;
use crate::syscalls::Arguments;

/// Bytes that one call zeroes, as in the kernel.
const ZERO_CHUNK: u64 = 64 * 1024;

#[derive(Default)]
pub(super) struct Units {
    /// Bytes that are zeroed, by base.
    zeroed: BTreeMap<u64, u64>,
    /// Those without capabilities: base and size, the oldest first.
    empty: VecDeque<(u64, u64)>,
    /// Where the capabilities lie that Units were made of: they may be over the same memory as a Unit and are not of it.
    roots: BTreeSet<u64>,
}

impl Units {
    /// A Unit was made of the capability at this address.
    pub(super) fn note_root(&mut self, at: u64) {
        self.roots.insert(at);
    }

    pub(super) fn is_zero(&self, unit: &Capability) -> bool {
        self.zeroed.get(&unit.base) == Some(&unit.size)
    }
}

fn lies_in(inner: &Capability, outer: &Capability) -> bool {
    outer.base <= inner.base && inner.base + inner.size <= outer.base + outer.size
}

impl Fake {
    /// Whether there are capabilities over a unit's memory besides the Unit.
    pub(super) fn is_held(&self, unit: &Capability) -> bool {
        self.slots.iter().any(|(at, other)| self.is_member(*at, other, unit))
    }

    /// The next part of a Unit: 1 if there is more.
    pub(super) fn zero_unit(&mut self, at: u64) -> Result<u64> {
        let unit = self.get(at, 0)?;
        if unit.kind != CapType::Unit {
            return Err(Error::new(ErrorKind::WrongType, 0));
        }
        let done = self.units.zeroed.entry(unit.base).or_default();
        *done = unit.size.min(*done + ZERO_CHUNK);
        Ok(u64::from(*done < unit.size))
    }

    /// Gives a part of a Unit back: what is left are units, listed if they have no capabilities.
    pub(super) fn trim_unit(&mut self, x: &Arguments) -> Result<()> {
        let unit = self.get(x[0], 0)?;
        if unit.kind != CapType::Unit {
            return Err(Error::new(ErrorKind::WrongType, 0));
        }
        let (offset, bytes) = (x[1], x[2]);
        if !offset.is_multiple_of(PAGE_SIZE) || !bytes.is_multiple_of(PAGE_SIZE) {
            return Err(ErrorKind::Unaligned.into());
        }
        if bytes == 0 || bytes == unit.size {
            return Err(ErrorKind::BadSize.into());
        }
        if offset.checked_add(bytes).is_none_or(|end| end > unit.size) {
            return Err(ErrorKind::OutOfRange.into());
        }
        if !self.units.is_zero(&unit) {
            return Err(ErrorKind::UnitNotZeroed.into());
        }
        let (from, to) = (unit.base + offset, unit.base + offset + bytes);
        let covers = |it: &Capability| it.base < to && from < it.base + it.size;
        if self.slots.iter().any(|(at, it)| self.is_member(*at, it, &unit) && covers(it)) {
            return Err(ErrorKind::Overlap.into());
        }
        let before = Capability { size: offset, ..unit };
        let behind =
            Capability { base: unit.base + offset + bytes, size: unit.size - offset - bytes, ..unit };
        if offset != 0 && behind.size != 0 {
            self.put(x[4], 4, behind)?;
        } else if self.slots.contains_key(&x[4]) {
            return Err(Error::new(ErrorKind::SlotOccupied, 4));
        }
        self.units.zeroed.remove(&unit.base);
        self.slots.insert(x[0], if offset == 0 { behind } else { before });
        for part in [before, behind].into_iter().filter(|part| part.size != 0) {
            self.units.zeroed.insert(part.base, part.size);
            if !self.is_held(&part) {
                self.units.zeroed.remove(&part.base);
                self.units.empty.push_back((part.base, part.size));
            }
        }
        Ok(())
    }

    /// A unit without capabilities inside the Ram at this address, and whether there are more.
    pub(super) fn pull_unit(&mut self, root: u64) -> Result<(u64, u64, u64)> {
        let root = self.get(root, 0)?;
        let inside = |&(base, _): &(u64, u64)| root.base <= base && base < root.base + root.size;
        let found = self.units.empty.iter().position(inside);
        let (base, size) =
            found.and_then(|index| self.units.empty.remove(index)).ok_or(ErrorKind::Nothing)?;
        Ok((base, size, u64::from(!self.units.empty.is_empty())))
    }

    /// Of a Unit, takes one capability over its memory away: 1 if there was one. Of anything else, nothing.
    pub(super) fn revoke(&mut self, at: u64) -> Result<u64> {
        let unit = self.get(at, 1)?;
        let member =
            self.slots.iter().find(|(at, it)| unit.kind == CapType::Unit && self.is_member(**at, it, &unit));
        let Some((&at, &member)) = member else { return Ok(0) };
        self.slots.remove(&at);
        self.release(&member);
        Ok(1)
    }

    fn is_member(&self, at: u64, capability: &Capability, unit: &Capability) -> bool {
        !self.units.roots.contains(&at) && is_member(capability, unit)
    }

    /// A capability is gone: of its unit, or a Unit itself.
    pub(super) fn release(&mut self, gone: &Capability) {
        if gone.kind == CapType::Unit {
            self.units.zeroed.remove(&gone.base);
            return;
        }
        let unit = self.slots.values().find(|unit| unit.kind == CapType::Unit && is_member(gone, unit));
        if let Some(unit) = unit.copied().filter(|unit| !self.is_held(unit)) {
            self.units.zeroed.remove(&unit.base);
            self.units.empty.push_back((unit.base, unit.size));
        }
    }
}

/// Whether a capability is over memory of a unit, and neither the Unit nor an ancestor.
fn is_member(capability: &Capability, unit: &Capability) -> bool {
    let memory = matches!(capability.kind, CapType::Ram | CapType::Frame | CapType::L2CNode);
    memory && lies_in(capability, unit)
}
