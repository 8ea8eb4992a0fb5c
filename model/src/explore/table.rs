//! The set of states that were seen: their hashes, in open addressing.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Grown one after the other, so that a growing table needs only a little more than its new size.
const SEGMENTS: usize = 1 << SEGMENT_BITS;
const SEGMENT_BITS: u32 = 6;
const FEWEST_SLOTS: usize = 1 << 14;
/// Up to this load, in percent, a search for what is not there looks at 8 slots on average, one or two cache lines.
const LOAD: u64 = 75;
/// Where the memory is used up, this one: at 140 (Knuth, The Art of Computer Programming, volume 3, 6.4).
const LAST_LOAD: u64 = 94;
/// The end of a chain of parents: the initial state has it.
pub(super) const NO_PARENT: u64 = 0;

/// Hashes, and with `traced` the hash of a parent beside each.
pub(super) struct Table {
    segments: Vec<Segment>,
    /// How many in a segment: any number, not only powers of two.
    slots: usize,
    traced: bool,
}

struct Segment {
    /// 0 is a free slot.
    hashes: Box<[AtomicU64]>,
    /// As many if the table is traced, else none.
    parents: Box<[AtomicU64]>,
}

impl Table {
    pub(super) fn new(traced: bool) -> Self {
        let segments = (0..SEGMENTS).map(|_| Segment::new(FEWEST_SLOTS, traced)).collect();
        Self { segments, slots: FEWEST_SLOTS, traced }
    }

    /// Brings the slots into the caches, all at once: the loads do not wait for each other.
    pub(super) fn touch(&self, hashes: impl Iterator<Item = u64>) {
        let slot = |hash| self.segment(hash).hashes[self.place(hash)].load(Relaxed);
        black_box(hashes.fold(0, |all, hash| all ^ slot(hash)));
    }

    /// Adds a hash; `false` if it was there.
    pub(super) fn insert(&self, hash: u64, parent: u64) -> bool {
        self.segment(hash).insert(self.place(hash), hash, parent)
    }

    /// The parent that a hash was inserted with.
    pub(super) fn parent(&self, hash: u64) -> Option<u64> {
        let (segment, start) = (self.segment(hash), self.place(hash));
        let slots = (start..self.slots).chain(0..start);
        let found =
            slots.map(|at| (at, segment.hashes[at].load(Relaxed))).find(|it| it.1 == hash || it.1 == 0);
        found.filter(|it| it.1 == hash).and_then(|it| segment.parents.get(it.0)).map(|it| it.load(Relaxed))
    }

    /// How many hashes it should hold, and, if it cannot grow, how many it may.
    pub(super) fn capacity(&self) -> (u64, u64) {
        let slots = (SEGMENTS * self.slots) as u64;
        (slots / 100 * LOAD, slots / 100 * LAST_LOAD)
    }

    pub(super) fn bytes(&self) -> usize {
        SEGMENTS * self.slots * self.slot_bytes()
    }

    fn slot_bytes(&self) -> usize {
        size_of::<u64>() * if self.traced { 2 } else { 1 }
    }

    /// Grows to twice its size, or to as much as fits in `most` bytes. Says whether that was worth it.
    pub(super) fn grow(&mut self, most: usize) -> bool {
        // While one segment is copied, its old and its new slots are there.
        let fitting = most / self.slot_bytes() / (SEGMENTS + 1);
        let slots = (2 * self.slots).min(fitting);
        if slots < self.slots + self.slots / 16 {
            return false;
        }
        for segment in &mut self.segments {
            *segment = segment.copied(slots);
        }
        self.slots = slots;
        true
    }

    fn segment(&self, hash: u64) -> &Segment {
        &self.segments[(hash >> (u64::BITS - SEGMENT_BITS)) as usize]
    }

    fn place(&self, hash: u64) -> usize {
        place(hash, self.slots)
    }
}

/// Where a hash would like to be in its segment: in the order of the hashes, so that copying goes from one end to the other.
fn place(hash: u64, slots: usize) -> usize {
    ((u128::from(hash << SEGMENT_BITS) * slots as u128) >> u64::BITS) as usize
}

impl Segment {
    fn new(slots: usize, traced: bool) -> Self {
        let zeros = |count| (0..count).map(|_| AtomicU64::new(0)).collect();
        Self { hashes: zeros(slots), parents: zeros(if traced { slots } else { 0 }) }
    }

    fn copied(&self, slots: usize) -> Self {
        let new = Self::new(slots, !self.parents.is_empty());
        for (at, hash) in self.hashes.iter().enumerate() {
            let hash = hash.load(Relaxed);
            if hash != 0 {
                let parent = self.parents.get(at).map_or(NO_PARENT, |it| it.load(Relaxed));
                new.insert(place(hash, slots), hash, parent);
            }
        }
        new
    }

    fn insert(&self, start: usize, hash: u64, parent: u64) -> bool {
        let (before, from_start) = self.hashes.split_at(start);
        for (at, slot) in from_start.iter().chain(before).enumerate() {
            let mut seen = slot.load(Relaxed);
            if seen == 0 {
                match slot.compare_exchange(0, hash, Relaxed, Relaxed) {
                    Ok(_) => {
                        self.keep_parent((start + at) % self.hashes.len(), parent);
                        return true;
                    }
                    Err(other) => seen = other,
                }
            }
            if seen == hash {
                return false;
            }
        }
        panic!("a segment of the table is full: the hash is not uniform");
    }

    fn keep_parent(&self, at: usize, parent: u64) {
        if let Some(slot) = self.parents.get(at) {
            slot.store(parent, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hash::hash;
    use super::*;

    fn hashes(count: u32) -> impl Iterator<Item = u64> {
        (0..count).map(|it| hash(&it.to_le_bytes(), 0))
    }

    #[test]
    fn what_was_inserted_is_there_with_its_parent_before_and_after_growing() {
        let count = 900_000;
        let mut table = Table::new(true);
        for hash in hashes(count) {
            assert!(table.insert(hash, hash ^ 1) && !table.insert(hash, 7));
        }
        for _ in 0..2 {
            assert!(hashes(count).all(|it| !table.insert(it, 7) && table.parent(it) == Some(it ^ 1)));
            assert_eq!(table.parent(hash(&[1], 0)), None);
            assert!(table.grow(usize::MAX));
        }
    }

    #[test]
    fn growing_stays_within_its_bytes() {
        let mut table = Table::new(false);
        let bytes = table.bytes();
        assert!(!table.grow(bytes));
        assert!(table.grow(bytes * 3 / 2));
        assert!(table.bytes() > bytes && table.bytes() < bytes * 3 / 2);
        assert!(table.capacity().0 < table.capacity().1);
    }

    #[test]
    fn two_threads_agree_on_who_was_first() {
        let table = Table::new(false);
        let insert = || hashes(500_000).filter(|&it| table.insert(it, 0)).count();
        let both = std::thread::scope(|scope| {
            let threads = [scope.spawn(insert), scope.spawn(insert)];
            threads.map(|it| it.join().unwrap()).iter().sum::<usize>()
        });
        assert_eq!(both, 500_000);
    }
}
