//! 64 bits for a state.

/// The fractional digits of the golden ratio and of the square root of 2: odd, without a pattern.
const WORD: u64 = 0x9e37_79b9_7f4a_7c15;
const LAST: u64 = 0x6a09_e667_f3bc_c909;

/// The hash of a state's encoding, never 0. Another seed makes other states collide.
#[must_use]
pub fn hash(bytes: &[u8], seed: u64) -> u64 {
    let mut words = bytes.chunks_exact(8);
    let mut hash = fold(seed ^ bytes.len() as u64 ^ WORD, LAST);
    for word in &mut words {
        hash = fold(hash ^ word.try_into().map_or(0, u64::from_le_bytes), WORD).rotate_left(23);
    }
    let rest = words.remainder().iter().rev().fold(0, |rest, &byte| rest << 8 | u64::from(byte));
    hash = fold(hash ^ rest, WORD);
    fold(hash ^ WORD, LAST).max(1)
}

/// Both halves of the product depend on all bits.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn near_inputs_have_far_hashes() {
        let mut seen = HashSet::new();
        for number in 0..200_000u32 {
            let hash = hash(&number.to_le_bytes(), 0);
            // 2^17.6 values in 2^48 places: a collision has a chance of 7e-5.
            assert!(seen.insert(hash >> 16), "{number}");
        }
    }

    #[test]
    fn each_bit_of_the_input_turns_about_half_of_the_output() {
        for length in [1, 7, 8, 9, 16, 40] {
            let bytes = vec![0x5a; length];
            for bit in 0..length * 8 {
                let mut other = bytes.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                let turned = (hash(&bytes, 1) ^ hash(&other, 1)).count_ones();
                assert!((12..=52).contains(&turned), "length {length}, bit {bit}: {turned}");
            }
        }
    }

    #[test]
    fn length_and_seed_count() {
        assert_ne!(hash(&[0; 3], 0), hash(&[0; 4], 0));
        assert_ne!(hash(&[0; 3], 0), hash(&[0; 3], 1));
    }
}
