//! Random numbers that a seed of 64 bits decides (SplitMix64).

/// A source of numbers.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    /// The source that begins with this seed.
    pub(super) const fn new(seed: u64) -> Rng {
        Rng(seed)
    }
    /// Any number.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// A number below `n`, which is not 0.
    pub(super) fn below(&mut self, n: usize) -> usize {
        (((self.next() >> 32) * n as u64) >> 32) as usize
    }
    /// True once in `n` times.
    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
    /// A member of a set that is not empty.
    pub(super) fn member(&mut self, set: u128) -> u8 {
        let skip = self.below(set.count_ones() as usize);
        super::key::members(set).nth(skip).expect("a member of the set")
    }
}
