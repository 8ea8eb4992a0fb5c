//! The two containers of a fixed size: a queue, and a table of what is under way, by unit.

use crate::UnitId;

/// A queue of at most `CAP`.
#[derive(Debug)]
pub(crate) struct Fifo<T, const CAP: usize> {
    items: [Option<T>; CAP],
    first: usize,
    len: usize,
}

impl<T, const CAP: usize> Fifo<T, CAP> {
    pub(crate) const fn new() -> Self {
        Fifo { items: [const { None }; CAP], first: 0, len: 0 }
    }
    pub(crate) const fn len(&self) -> usize {
        self.len
    }
    pub(crate) fn push(&mut self, item: T) -> Result<(), T> {
        if self.len == CAP {
            return Err(item);
        }
        self.items[(self.first + self.len) % CAP] = Some(item);
        self.len += 1;
        Ok(())
    }
    pub(crate) fn pop(&mut self) -> Option<T> {
        let item = self.items.get_mut(self.first)?.take()?;
        self.first = (self.first + 1) % CAP;
        self.len -= 1;
        Some(item)
    }
    pub(crate) fn head(&self) -> Option<&T> {
        self.items.get(self.first)?.as_ref()
    }
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len).filter_map(|i| self.items[(self.first + i) % CAP].as_ref())
    }
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.items.iter_mut().flatten()
    }
    pub(crate) fn clear(&mut self) {
        while self.pop().is_some() {}
    }
}

/// At most `CAP` records, by unit. What is under way is little: looking for it is a walk.
#[derive(Debug)]
pub(crate) struct Table<T, const CAP: usize> {
    records: [Option<(UnitId, T)>; CAP],
    /// All records lie below this place.
    end: usize,
    len: usize,
}

impl<T, const CAP: usize> Table<T, CAP> {
    pub(crate) const fn new() -> Self {
        Table { records: [const { None }; CAP], end: 0, len: 0 }
    }
    pub(crate) const fn len(&self) -> usize {
        self.len
    }
    fn place(&self, unit: UnitId) -> Option<usize> {
        self.records[..self.end].iter().position(|it| matches!(it, Some((id, _)) if *id == unit))
    }
    pub(crate) fn get(&self, unit: UnitId) -> Option<&T> {
        self.records[..self.end].iter().flatten().find(|(id, _)| *id == unit).map(|(_, record)| record)
    }
    pub(crate) fn get_mut(&mut self, unit: UnitId) -> Option<&mut T> {
        self.records[..self.end].iter_mut().flatten().find(|(id, _)| *id == unit).map(|(_, record)| record)
    }
    /// Whether there is a record of the unit, or room for one.
    pub(crate) fn fits(&self, unit: UnitId) -> bool {
        self.len < CAP || self.get(unit).is_some()
    }
    /// Puts a record in, in the place of the unit's former one. Without room nothing changes.
    pub(crate) fn put(&mut self, unit: UnitId, record: T) -> bool {
        if let Some(old) = self.get_mut(unit) {
            *old = record;
            return true;
        }
        let Some(place) = self.records.iter().position(Option::is_none) else {
            return false;
        };
        self.records[place] = Some((unit, record));
        self.end = self.end.max(place + 1);
        self.len += 1;
        true
    }
    pub(crate) fn remove(&mut self, unit: UnitId) -> Option<T> {
        let (_, record) = self.records[self.place(unit)?].take()?;
        self.len -= 1;
        while self.end > 0 && self.records[self.end - 1].is_none() {
            self.end -= 1;
        }
        Some(record)
    }
    pub(crate) fn iter(&self) -> impl Iterator<Item = (UnitId, &T)> {
        self.records[..self.end].iter().flatten().map(|(unit, record)| (*unit, record))
    }
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.records[..self.end].iter_mut().flatten().map(|(_, record)| record)
    }
    /// The next record in a circle behind `place` of which `wanted` is true, and its place.
    pub(crate) fn next(&self, place: usize, wanted: impl Fn(&T) -> bool) -> Option<(usize, UnitId)> {
        let behind = (place + 1..self.end).chain(0..self.end.min(place + 1));
        behind
            .filter_map(|i| self.records[i].as_ref().map(|it| (i, it)))
            .find_map(|(i, (unit, record))| wanted(record).then_some((i, *unit)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, VecDeque};

    use capops::CoreId;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_fifo_is_a_queue_with_an_end(ops in prop::collection::vec(prop::option::of(0u8..), 0..200)) {
            let (mut fifo, mut naive) = (Fifo::<u8, 5>::new(), VecDeque::new());
            for op in ops {
                match op {
                    Some(item) if naive.len() == 5 => prop_assert_eq!(fifo.push(item), Err(item)),
                    Some(item) => {
                        prop_assert_eq!(fifo.push(item), Ok(()));
                        naive.push_back(item);
                    }
                    None => prop_assert_eq!(fifo.pop(), naive.pop_front()),
                }
                prop_assert_eq!(fifo.head(), naive.front());
                prop_assert_eq!(fifo.len(), naive.len());
                prop_assert!(fifo.iter().eq(&naive));
            }
        }

        #[test]
        fn a_table_is_a_map_with_an_end(ops in prop::collection::vec((0u32..9, prop::option::of(0u8..4)), 0..200)) {
            let (mut table, mut naive) = (Table::<u8, 4>::new(), BTreeMap::new());
            for (page, op) in ops {
                let unit = UnitId { home: CoreId(0), page };
                let fits = naive.len() < 4 || naive.contains_key(&unit);
                prop_assert_eq!(table.fits(unit), fits);
                match op {
                    Some(record) => {
                        prop_assert_eq!(table.put(unit, record), fits);
                        if fits {
                            naive.insert(unit, record);
                        }
                    }
                    None => prop_assert_eq!(table.remove(unit), naive.remove(&unit)),
                }
                prop_assert_eq!(table.len(), naive.len());
                prop_assert_eq!(table.get(unit), naive.get(&unit));
                let mut all: Vec<_> = table.iter().map(|(unit, record)| (unit, *record)).collect();
                all.sort_unstable();
                prop_assert!(all.into_iter().eq(naive.iter().map(|(unit, record)| (*unit, *record))));
                let odd = naive.values().any(|record| record % 2 == 1);
                prop_assert_eq!(table.next(page as usize, |record| record % 2 == 1).is_some(), odd);
            }
        }
    }

    #[test]
    fn the_next_in_a_circle_reaches_all() {
        let mut table = Table::<(), 8>::new();
        let units: Vec<_> = (0..5).map(|page| UnitId { home: CoreId(0), page }).collect();
        units.iter().for_each(|unit| assert!(table.put(*unit, ())));
        let mut place = 0;
        let mut seen: Vec<_> = (0..5)
            .map(|_| {
                let (next, unit) = table.next(place, |()| true).expect("there are some");
                place = next;
                unit
            })
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, units);
    }
}
