//! A valid file with random damage: whatever is still accepted keeps every promise.
use proptest::prelude::*;

use super::builder::{Elf, Header, program};
use super::invariants;
use loader::{Image, Limits};

/// Numbers at which range checks go wrong, besides arbitrary ones.
fn telling() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0u64..0x5000,
        (0x1f_f000u64..0x20_7000),
        prop::sample::select(vec![
            0x10_0000_0000,
            0x7f_ffff_f000,
            u64::MAX,
            u64::MAX - 0xfff,
            1 << 63,
            1 << 48
        ]),
    ]
}

/// One field of one header is set, or moved a little.
fn header_change() -> impl Strategy<Value = (usize, u8, u64, bool)> {
    (0usize..5, 0u8..7, telling(), any::<bool>())
}

fn apply(header: &mut Header, field: u8, value: u64, relative: bool) {
    let set = |old: &mut u64| *old = if relative { old.wrapping_add(value % 0x4000) } else { value };
    match field {
        0 => header.kind = (value % 8) as u32,
        1 => header.flags = (value % 8) as u32,
        2 => set(&mut header.offset),
        3 => set(&mut header.address),
        4 => set(&mut header.file_size),
        5 => set(&mut header.memory_size),
        _ => header.align = if relative { value } else { 1 << (value % 64) },
    }
}

fn check(bytes: &[u8]) -> bool {
    let limits = Limits::default();
    Image::parse(bytes, limits).map(|image| invariants::check(&image, bytes, limits)).is_ok()
}

fn damaged(changes: &[(usize, u8, u64, bool)], entry: u64) -> Elf {
    let mut elf = program();
    elf.entry = entry;
    for &(index, field, value, relative) in changes {
        apply(&mut elf.headers[index], field, value, relative);
    }
    elf
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn changed_headers_are_refused_or_harmless(
        changes in prop::collection::vec(header_change(), 1..4),
        entry in prop_oneof![Just(0x20_1010u64), telling()],
    ) {
        check(&damaged(&changes, entry).bytes());
    }

    #[test]
    fn changed_bytes_are_refused_or_harmless(
        hits in prop::collection::vec((0usize..344, any::<u8>()), 1..8), length in 0usize..0x4001,
    ) {
        let mut bytes = program().bytes();
        for (at, value) in hits {
            bytes[at] = value;
        }
        bytes.truncate(length.max(0x3000));
        check(&bytes);
    }
}
