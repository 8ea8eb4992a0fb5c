//! Address space identifiers of a core: a bitmap with a summary, constant time.

/// How many identifiers there can be at most (16 bits).
const MOST: usize = 1 << 16;

/// The free identifiers. 0 is never handed out: it is the kernel's "no address space".
pub struct AsidPool {
    /// Bit set: in use.
    used: [u64; MOST / 64],
    /// Bit set: the group has a free one.
    groups: [u64; MOST / 64 / 64],
}

impl Default for AsidPool {
    fn default() -> AsidPool {
        AsidPool::new()
    }
}

impl AsidPool {
    /// None at all, until `init`.
    pub const fn new() -> AsidPool {
        AsidPool { used: [0; MOST / 64], groups: [0; MOST / 64 / 64] }
    }

    /// All of `0` to `count - 1` free but 0. `count` is 256 or 65,536, as the processor says.
    pub fn init(&mut self, count: u32) {
        self.used = [0; MOST / 64];
        self.used[0] = 1;
        let words = count as usize / 64;
        for (i, group) in self.groups.iter_mut().enumerate() {
            let here = words.saturating_sub(i * 64).min(64);
            *group = if here == 64 { u64::MAX } else { (1 << here) - 1 };
        }
    }

    /// Takes a free one.
    pub fn take(&mut self) -> Option<u16> {
        let group = self.groups.iter().position(|g| *g != 0)?;
        let word = group * 64 + self.groups[group].trailing_zeros() as usize;
        let bit = self.used[word].trailing_ones();
        self.used[word] |= 1 << bit;
        if self.used[word] == u64::MAX {
            self.groups[group] &= !(1 << (word % 64));
        }
        Some((word * 64) as u16 + bit as u16)
    }

    /// Gives one back.
    pub fn give_back(&mut self, asid: u16) {
        let word = usize::from(asid) / 64;
        self.used[word] &= !(1 << (asid % 64));
        self.groups[word / 64] |= 1 << (word % 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn pool(count: u32) -> Box<AsidPool> {
        let mut pool = Box::new(AsidPool::new());
        pool.init(count);
        pool
    }

    #[test]
    fn hands_out_each_identifier_once_and_never_zero() {
        for count in [256, 65536] {
            let mut pool = pool(count);
            let mut seen = BTreeSet::new();
            while let Some(asid) = pool.take() {
                assert!(asid != 0 && u32::from(asid) < count && seen.insert(asid));
            }
            assert_eq!(seen.len() as u32, count - 1);
        }
    }

    #[test]
    fn an_identifier_given_back_is_handed_out_again() {
        let mut pool = pool(256);
        while pool.take().is_some() {}
        pool.give_back(77);
        assert_eq!((pool.take(), pool.take()), (Some(77), None));
    }
}
