//! What the ring needs of memory that two cores share. The tests put a checker of memory models in its place.

pub(crate) use core::sync::atomic::{AtomicU64, Ordering, fence};

/// Reads a word whose order another word gives. An honest peer does not write it at the same time; what a dishonest
/// one makes of it is a number like any other, because the access is atomic all the same.
#[inline(always)]
pub(crate) fn read_payload(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}

/// Writes a word whose order another word gives.
#[inline(always)]
pub(crate) fn write_payload(word: &AtomicU64, value: u64) {
    word.store(value, Ordering::Relaxed);
}
