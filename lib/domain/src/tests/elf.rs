//! Small executables.

use abi::Rights;

pub(super) const TEXT: u64 = 0x20_0000;
pub(super) const RODATA: u64 = 0x20_3000;
pub(super) const DATA: u64 = 0x20_5000;
pub(super) const TEXT_BYTES: [u8; 0x2004] = [0x5a; 0x2004];

/// Addresses of the usual program, and how they are mapped.
pub(super) const PROGRAM_RIGHTS: [(u64, Rights); 6] = [
    (TEXT, Rights::READ.or(Rights::EXECUTE)),
    (TEXT + 0x2fff, Rights::READ.or(Rights::EXECUTE)),
    (RODATA, Rights::READ),
    (RODATA + 0xfff, Rights::READ),
    (DATA, Rights::READ.or(Rights::WRITE)),
    (DATA + 0x1fff, Rights::READ.or(Rights::WRITE)),
];

/// Text, read-only data, and data that begins inside a page and ends in zeros.
pub(super) fn program() -> Vec<u8> {
    build(
        &[
            (TEXT, 5, &TEXT_BYTES, TEXT_BYTES.len() as u64),
            (RODATA, 4, b"rodata", 6),
            (DATA + 0x18, 6, b"data", 0x1f00),
        ],
        TEXT,
    )
}

/// An ELF file of segments (address, flags, bytes, size in memory).
pub(super) fn build(segments: &[(u64, u32, &[u8], u64)], entry: u64) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [2u16, 183] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1u32.to_le_bytes());
    for word in [entry, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0u32.to_le_bytes());
    for half in [64, 56, segments.len() as u16, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    let mut offset = 0x1000u64;
    for (address, flags, bytes, memory) in segments {
        offset = offset.next_multiple_of(0x1000) + address % 0x1000;
        file.extend(1u32.to_le_bytes());
        file.extend(flags.to_le_bytes());
        for word in [offset, *address, *address, bytes.len() as u64, *memory, 0x1000] {
            file.extend(word.to_le_bytes());
        }
        offset += bytes.len() as u64;
    }
    let mut offset = 0x1000u64;
    for (address, _, bytes, _) in segments {
        offset = offset.next_multiple_of(0x1000) + address % 0x1000;
        file.resize(offset as usize, 0);
        file.extend(*bytes);
        offset += bytes.len() as u64;
    }
    file
}
