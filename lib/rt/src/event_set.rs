//! Sets of event indices. Looked at in critical sections, or by the main thread alone.

use core::cell::Cell;

use abi::frame::MAX_EVENTS;

const WORDS: usize = MAX_EVENTS / 64;

/// A set of event indices that needs no allocation.
pub(crate) struct EventSet {
    summary: Cell<u64>,
    words: [Cell<u64>; WORDS],
}

impl EventSet {
    pub(crate) const fn new() -> EventSet {
        EventSet { summary: Cell::new(0), words: [const { Cell::new(0) }; WORDS] }
    }
    pub(crate) fn insert(&self, event: u32) {
        let word = event as usize / 64 % WORDS;
        self.words[word].set(self.words[word].get() | 1 << (event % 64));
        self.summary.set(self.summary.get() | 1 << word);
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.summary.get() == 0
    }
    pub(crate) fn take(&self, mut f: impl FnMut(u32)) {
        let mut words = self.summary.replace(0);
        while words != 0 {
            let word = words.trailing_zeros();
            words &= words - 1;
            let mut bits = self.words[word as usize].replace(0);
            while bits != 0 {
                f(word * 64 + bits.trailing_zeros());
                bits &= bits - 1;
            }
        }
    }
}
