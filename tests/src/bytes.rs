//! What the guest's `bytes N` says about its input: it reads N bytes and prints their count and hash.

/// FNV-1a, 64 bits (draft-eastlake-fnv, section 2).
pub fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The line that `bytes N` prints for these N bytes.
pub fn expected(bytes: &[u8]) -> String {
    format!("{} bytes, FNV-1a {:016x}", bytes.len(), fnv1a(bytes))
}

/// `count` bytes of text in lines of 61 characters, no two lines the same, the last byte a newline. A lost, doubled
/// or moved byte changes its hash.
pub fn text(count: usize) -> Vec<u8> {
    let line = |number: usize| {
        format!("{number:08} the quick brown fox jumps over the lazy dog {:06x}\n", number * 7919)
    };
    let mut text: Vec<u8> = (0..).flat_map(|number| line(number).into_bytes()).take(count).collect();
    if let Some(last) = text.last_mut() {
        *last = b'\n';
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        // Test vectors of the draft, appendix C.
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn text_has_the_wanted_length_and_ends_its_last_line() {
        let text = text(1000);
        assert_eq!((text.len(), text[999]), (1000, b'\n'));
        assert!(text.iter().all(|it| it.is_ascii_graphic() || b" \n".contains(it)));
    }
}
