//! FNV-1a, 64 bits (draft-eastlake-fnv, section 2).

/// A hash over the bytes so far.
pub(crate) struct Fnv1a(u64);

impl Fnv1a {
    /// Of no bytes.
    pub(crate) const fn new() -> Fnv1a {
        Fnv1a(0xcbf2_9ce4_8422_2325)
    }
    /// Of these bytes behind those so far.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    /// The hash.
    pub(crate) const fn value(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a_however_the_bytes_are_cut() {
        // Test vectors of the draft, appendix C.
        for (pieces, hash) in [
            (&[][..], 0xcbf2_9ce4_8422_2325),
            (&["a"], 0xaf63_dc4c_8601_ec8c),
            (&["foo", "", "bar"], 0x8594_4171_f739_67e8),
        ] {
            let mut fnv = Fnv1a::new();
            pieces.iter().for_each(|piece| fnv.update(piece.as_bytes()));
            assert_eq!(fnv.value(), hash);
        }
    }
}
