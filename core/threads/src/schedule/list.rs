//! Doubly linked lists through the records of the thread table, by index: every operation takes constant time.

use super::Record;

/// The index of a record, or [`NIL`].
pub(super) type Index = u32;

/// No record.
pub(super) const NIL: Index = u32::MAX;

/// Which of a record's links a list runs through: its ready, parked or free list.
pub(super) const BY_STATE: usize = 0;
/// The list of those who join the same thread.
pub(super) const BY_JOIN: usize = 1;
/// Links of a record.
pub(super) const LINKS: usize = 2;

/// A record's neighbours in a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    before: Index,
    after: Index,
}

impl Link {
    pub(super) const NONE: Link = Link { before: NIL, after: NIL };
}

/// The ends of a list that runs through link `L`.
#[derive(Clone, Copy, Debug)]
pub(super) struct List<const L: usize> {
    first: Index,
    last: Index,
}

impl<const L: usize> List<L> {
    pub(super) const EMPTY: List<L> = List { first: NIL, last: NIL };

    /// The first, or [`NIL`].
    pub(super) const fn first(&self) -> Index {
        self.first
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.first == NIL
    }

    pub(super) fn push_front(&mut self, records: &mut [Record], index: Index) {
        records[index as usize].links[L] = Link { before: NIL, after: self.first };
        match self.first {
            NIL => self.last = index,
            first => records[first as usize].links[L].before = index,
        }
        self.first = index;
    }

    pub(super) fn push_back(&mut self, records: &mut [Record], index: Index) {
        records[index as usize].links[L] = Link { before: self.last, after: NIL };
        match self.last {
            NIL => self.first = index,
            last => records[last as usize].links[L].after = index,
        }
        self.last = index;
    }

    /// Takes out a record, which must be in this list.
    pub(super) fn remove(&mut self, records: &mut [Record], index: Index) {
        let Link { before, after } = core::mem::replace(&mut records[index as usize].links[L], Link::NONE);
        match before {
            NIL => self.first = after,
            before => records[before as usize].links[L].after = after,
        }
        match after {
            NIL => self.last = before,
            after => records[after as usize].links[L].before = before,
        }
    }

    /// Takes out the first, which there is, and appends `index`. The links of what is taken out mean nothing.
    #[inline(always)]
    pub(super) fn rotate(&mut self, records: &mut [Record], index: Index) {
        let (first, last) = (self.first, self.last);
        let mut link = Link { before: last, after: NIL };
        self.last = index;
        if first == last {
            (self.first, link.before) = (index, NIL);
        } else {
            self.first = records[first as usize].links[L].after;
            records[self.first as usize].links[L].before = NIL;
            records[last as usize].links[L].after = index;
        }
        records[index as usize].links[L] = link;
    }

    /// Takes out the first, if there is one.
    pub(super) fn pop_front(&mut self, records: &mut [Record]) -> Option<Index> {
        let first = (self.first != NIL).then_some(self.first)?;
        self.remove(records, first);
        Some(first)
    }
}
