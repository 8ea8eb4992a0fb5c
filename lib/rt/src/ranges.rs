//! Free ranges of numbers (addresses, offsets), merged where they touch. First fit.

use alloc::vec::Vec;
use core::ops::Range;

/// The free ranges, ascending, never touching each other.
pub(crate) struct Ranges {
    free: Vec<Range<u64>>,
}

impl Ranges {
    pub(crate) const fn new() -> Ranges {
        Ranges { free: Vec::new() }
    }

    /// Takes `size` numbers from a multiple of `align` (a power of two) on.
    pub(crate) fn take(&mut self, size: u64, align: u64) -> Option<u64> {
        let fits = |range: &Range<u64>| {
            let start = range.start.checked_next_multiple_of(align)?;
            (start.checked_add(size)? <= range.end).then_some(start)
        };
        let (index, start) = self.free.iter().enumerate().find_map(|(i, range)| Some((i, fits(range)?)))?;
        let whole = self.free[index].clone();
        let (before, after) = (whole.start..start, start + size..whole.end);
        match (before.is_empty(), after.is_empty()) {
            (true, true) => drop(self.free.remove(index)),
            (false, true) => self.free[index] = before,
            (true, false) => self.free[index] = after,
            (false, false) => {
                self.free[index] = after;
                self.free.insert(index, before);
            }
        }
        Some(start)
    }

    /// Gives a range back (or in the first place). Ranges that are free already must not be given.
    pub(crate) fn release(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let index = self.free.partition_point(|free| free.start < range.start);
        self.free.insert(index, range);
        self.merge(index);
        if index > 0 {
            self.merge(index - 1);
        }
    }

    /// Joins the range at `index` with the one after it if they touch.
    fn merge(&mut self, index: usize) {
        if index + 1 < self.free.len() && self.free[index].end == self.free[index + 1].start {
            self.free[index].end = self.free[index + 1].end;
            self.free.remove(index + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_is_merged_in_any_order() {
        let mut ranges = Ranges::new();
        ranges.release(0..100);
        let taken: Vec<u64> = (0..10).map(|_| ranges.take(10, 1).unwrap()).collect();
        assert_eq!(ranges.take(1, 1), None);
        for index in [3, 1, 2, 9, 0, 5, 7, 6, 8, 4] {
            ranges.release(taken[index]..taken[index] + 10);
        }
        assert_eq!(ranges.free.as_slice(), core::slice::from_ref(&(0..100)));
    }

    #[test]
    fn alignment_leaves_the_part_before_free() {
        let mut ranges = Ranges::new();
        ranges.release(10..200);
        assert_eq!(ranges.take(64, 64), Some(64));
        assert_eq!(ranges.take(54, 2), Some(10));
        assert_eq!(ranges.free.as_slice(), core::slice::from_ref(&(128..200)));
    }

    #[test]
    fn sizes_that_overflow_do_not_fit() {
        let mut ranges = Ranges::new();
        ranges.release(4096..u64::MAX);
        assert_eq!(ranges.take(u64::MAX, 4096), None);
    }
}
