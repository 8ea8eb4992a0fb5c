//! Cores by number, and sets of them.

use core::fmt;

/// Cores that a machine can have.
pub const MAX_CORES: usize = 32;

/// The number of a core, below [`MAX_CORES`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CoreId(pub u8);

impl CoreId {
    /// As an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A set of cores.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CoreSet(pub u32);

impl CoreSet {
    /// No core.
    pub const NONE: CoreSet = CoreSet(0);

    /// This core alone.
    pub const fn only(core: CoreId) -> CoreSet {
        CoreSet(1 << core.0)
    }
    /// The cores 0 to `count - 1`; `count` is at most [`MAX_CORES`].
    pub const fn first(count: usize) -> CoreSet {
        CoreSet(((1u64 << count) - 1) as u32)
    }
    /// Whether there is none in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// How many.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }
    /// Whether the core is in it.
    pub const fn has(self, core: CoreId) -> bool {
        self.0 >> core.0 & 1 != 0
    }
    /// With this core.
    #[must_use]
    pub const fn with(self, core: CoreId) -> CoreSet {
        CoreSet(self.0 | 1 << core.0)
    }
    /// Without this core.
    #[must_use]
    pub const fn without(self, core: CoreId) -> CoreSet {
        CoreSet(self.0 & !(1 << core.0))
    }
    /// What is in both.
    #[must_use]
    pub const fn and(self, other: CoreSet) -> CoreSet {
        CoreSet(self.0 & other.0)
    }
    /// Its cores, in ascending order.
    pub fn iter(self) -> impl Iterator<Item = CoreId> {
        let mut left = self.0;
        core::iter::from_fn(move || {
            let core = (left != 0).then(|| CoreId(left.trailing_zeros() as u8))?;
            left &= left - 1;
            Some(core)
        })
    }
}

impl fmt::Debug for CoreSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|core| core.0)).finish()
    }
}
