//! Shared memory under the checker, in the place of `src/atomic.rs`.

use loom::cell::Cell;
use loom::sync::atomic;
pub(crate) use loom::sync::atomic::Ordering;

/// A word of shared memory, in both of its uses. Payload is plain memory here, so that every way in which the order
/// of two accesses is not given is a data race, and found.
#[derive(Default)]
pub struct AtomicU64 {
    word: atomic::AtomicU64,
    payload: Cell<u64>,
    /// Stores of `word` are relaxed, whatever the ring asks for.
    pub(crate) weak_stores: bool,
    /// Loads of `word` are relaxed.
    pub(crate) weak_loads: bool,
}

// SAFETY: loom fails the test at unordered accesses to `payload`; the rest is never written once it is shared, or atomic.
unsafe impl Sync for AtomicU64 {}

impl AtomicU64 {
    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.word.load(if self.weak_loads { Ordering::Relaxed } else { order })
    }

    pub(crate) fn store(&self, value: u64, order: Ordering) {
        self.word.store(value, if self.weak_stores { Ordering::Relaxed } else { order });
    }
}

pub(crate) fn read_payload(word: &AtomicU64) -> u64 {
    word.payload.get()
}

pub(crate) fn write_payload(word: &AtomicU64, value: u64) {
    word.payload.set(value);
}

loom::thread_local! {
    static HAS_FENCES: std::cell::Cell<bool> = std::cell::Cell::new(true);
}

/// From here on fences of this thread do nothing.
pub(crate) fn drop_fences() {
    HAS_FENCES.with(|it| it.set(false));
}

loom::lazy_static! {
    static ref FENCES: atomic::AtomicU64 = atomic::AtomicU64::new(0);
}

/// Makes what the threads share here, before there are threads: its making would order what they do.
pub(crate) fn set_up() {
    _ = FENCES.load(Ordering::Relaxed);
}

/// To loom a fence is no step that it would try before and after another thread's. That both change the same word makes
/// it one; a relaxed change orders nothing by itself.
pub(crate) fn fence(order: Ordering) {
    if HAS_FENCES.with(|it| it.get()) {
        FENCES.fetch_add(1, Ordering::Relaxed);
        atomic::fence(order);
    }
}
