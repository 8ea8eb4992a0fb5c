//! What names a thread, and how urgent one is.

use super::list::Index;

/// How many priorities there are.
pub const PRIORITIES: usize = 8;

/// The most threads at a time.
pub const MAX_THREADS: usize = 1 << 16;

/// Names a thread. An id that has outlived its thread names nobody, for ever.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ThreadId(u32);

impl ThreadId {
    /// The thread that `main` runs on.
    pub const MAIN: ThreadId = ThreadId(0);

    pub(super) const fn new(index: Index, generation: u16) -> ThreadId {
        ThreadId(index | (generation as u32) << 16)
    }

    pub(super) const fn generation(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// Its place in the table: for tables beside that one. Less than [`MAX_THREADS`], small numbers first; used again
    /// when the thread has been reaped.
    #[must_use]
    pub const fn index(self) -> usize {
        (self.0 & 0xffff) as usize
    }

    /// As a number, for a word of memory or a message.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// From [`Self::bits`]. Any number will do: most name nobody.
    #[must_use]
    pub const fn from_bits(bits: u32) -> ThreadId {
        ThreadId(bits)
    }
}

/// How urgent a thread is: it runs before all less urgent ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Priority(u8);

impl Priority {
    /// Runs when nobody else wants to.
    pub const LOWEST: Priority = Priority(0);
    /// What the main thread starts with.
    pub const NORMAL: Priority = Priority(3);
    /// Runs before everybody else.
    pub const HIGHEST: Priority = Priority(PRIORITIES as u8 - 1);

    /// From a number below [`PRIORITIES`]; the larger, the more urgent.
    #[must_use]
    pub const fn new(level: u8) -> Option<Priority> {
        if (level as usize) < PRIORITIES { Some(Priority(level)) } else { None }
    }

    /// As a number below [`PRIORITIES`].
    #[must_use]
    pub const fn level(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::NORMAL
    }
}
