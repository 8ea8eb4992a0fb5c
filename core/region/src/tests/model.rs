//! The same allocator without any cleverness: a sorted list, searched from end to end.
use std::vec::Vec;

use crate::{Error, Region, RootId, State, Statistics};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Model {
    granule: u64,
    alignments: Vec<u64>,
    pub(super) regions: Vec<(Region, State)>,
}

fn end(region: &Region) -> u64 {
    region.base + region.size
}

impl Model {
    pub(super) fn new(alignments: &[u64]) -> Self {
        Self { granule: alignments[0], alignments: alignments.to_vec(), regions: Vec::new() }
    }

    pub(super) fn add_root(&mut self, root: RootId, base: u64, size: u64) -> Result<(), Error> {
        self.check(base, size)?;
        // The highest of those in the way is the one that is named.
        let overlap = self.regions.iter().rfind(|(r, _)| r.base < base + size && base < end(r));
        if let Some((region, _)) = overlap {
            return Err(Error::Overlap { base: region.base });
        }
        self.regions.push((Region { root, base, size }, State::Free));
        self.tidy();
        Ok(())
    }

    pub(super) fn allocate(&mut self, size: u64, align: u64) -> Result<Region, Error> {
        self.check(0, size)?;
        if !align.is_power_of_two() {
            return Err(Error::BadAlignment { align });
        }
        let most = self.alignments[self.alignments.len() - 1];
        let named = self.alignments.iter().copied().find(|named| *named >= align);
        let align = named.ok_or(Error::AlignmentTooLarge { align, most })?;
        let start = |r: &Region| r.base.next_multiple_of(align);
        let free = self.regions.iter().filter(|(_, state)| *state == State::Free).map(|(r, _)| r);
        let best = free.filter(|r| start(r) + size <= end(r)).min_by_key(|r| (r.size, r.base));
        let base = best.map(start).ok_or(Error::NoSpace)?;
        self.allocate_at(base, size)
    }

    pub(super) fn allocate_at(&mut self, base: u64, size: u64) -> Result<Region, Error> {
        self.check(base, size)?;
        self.replace(State::Free, base, size, State::Used).ok_or(Error::NotFree)
    }

    pub(super) fn free(&mut self, base: u64) -> Result<Region, Error> {
        let region = self.allocation(base)?;
        if region.base != base {
            return Err(Error::NotABase { base: region.base });
        }
        self.free_part(base, region.size)
    }

    pub(super) fn free_part(&mut self, base: u64, size: u64) -> Result<Region, Error> {
        let region = self.allocation(base)?;
        self.check(base, size)?;
        self.replace(State::Used, base, size, State::Free)
            .ok_or(Error::BeyondAllocation { end: end(&region) })
    }

    pub(super) fn statistics(&self) -> Statistics {
        let sum = |state| {
            self.regions
                .iter()
                .filter(|(_, s)| *s == state)
                .map(|(r, _)| r.size)
                .fold((0, 0), |(sum, most): (u64, u64), size| (sum + size, most.max(size)))
        };
        let ((free, largest_free), (used, _)) = (sum(State::Free), sum(State::Used));
        Statistics { total: free + used, used, free, largest_free }
    }

    /// Cuts a part out of a region that is in one state and puts it back in another.
    fn replace(&mut self, old: State, base: u64, size: u64, new: State) -> Option<Region> {
        let holds = |(r, state): &(Region, State)| *state == old && r.base <= base && base + size <= end(r);
        let place = self.regions.iter().position(holds)?;
        let (whole, _) = self.regions.swap_remove(place);
        let part = Region { base, size, ..whole };
        let front = Region { size: base - whole.base, ..whole };
        let back = Region { base: end(&part), size: end(&whole) - end(&part), ..whole };
        self.regions.extend([(front, old), (part, new), (back, old)]);
        self.regions.retain(|(r, _)| r.size > 0);
        self.tidy();
        Some(part)
    }

    /// Sorts, and merges free neighbours of one root.
    fn tidy(&mut self) {
        self.regions.sort_by_key(|(r, _)| r.base);
        self.regions.dedup_by(|(high, high_state), (low, low_state)| {
            let one = *high_state == State::Free
                && *low_state == State::Free
                && high.root == low.root
                && end(low) == high.base;
            if one {
                low.size += high.size;
            }
            one
        });
    }

    fn allocation(&self, address: u64) -> Result<Region, Error> {
        let holds =
            |(r, state): &&(Region, State)| *state == State::Used && r.base <= address && address < end(r);
        self.regions.iter().find(holds).map(|(r, _)| *r).ok_or(Error::NotAllocated { address })
    }

    fn check(&self, base: u64, size: u64) -> Result<(), Error> {
        let granule = self.granule;
        if size == 0 {
            return Err(Error::ZeroSize);
        }
        if base.checked_add(size).is_none() {
            return Err(Error::Overflow);
        }
        match [base, size].into_iter().find(|value| value % granule != 0) {
            Some(value) => Err(Error::Misaligned { value, granule }),
            None => Ok(()),
        }
    }
}
