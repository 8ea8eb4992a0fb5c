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
