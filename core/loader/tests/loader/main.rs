//! The loader against well-formed files, one file for each thing that can be wrong, and mutated files.
mod builder;
mod invariants;
mod mutation;

use abi::cap::Rights;
use builder::{Elf, Header, PT_DYNAMIC, PT_INTERP, PT_TLS, R, W, X, load, program};
use loader::{Image, Limits, LoadError, MAX_HEADERS, MAX_SEGMENTS, SegmentFault};

fn refusal(elf: &Elf) -> Option<LoadError> {
    Image::parse(&elf.bytes(), Limits::default()).err()
}

/// The refusal of the program after a change.
fn refusal_after(change: impl FnOnce(&mut Elf)) -> Option<LoadError> {
    let mut elf = program();
    change(&mut elf);
    refusal(&elf)
}

/// The refusal of the program after a change of its second segment (read-only data).
fn fault_after(change: impl FnOnce(&mut Header)) -> Option<SegmentFault> {
    match refusal_after(|elf| change(&mut elf.headers[1])) {
        Some(LoadError::Segment { header: 1, fault }) => Some(fault),
        None => None,
        Some(other) => panic!("{other:?} is not about header 1"),
    }
}

#[test]
fn a_static_executable_is_read_as_it_was_linked() {
    let bytes = program().bytes();
    let image = Image::parse(&bytes, Limits::default()).unwrap();
    invariants::check(&image, &bytes, Limits::default());
    assert_eq!(image.entry(), 0x20_1010);
    let seen: Vec<_> =
        image.segments().map(|s| (s.pages(), s.zero_tail(), s.data.len(), s.file_offset, s.rights)).collect();
    let read_execute = Rights::READ.or(Rights::EXECUTE);
    let read_write = Rights::READ.or(Rights::WRITE);
    assert_eq!(
        seen,
        [
            (0x20_1000..0x20_2000, 0x20_1f00..0x20_1f00, 0xf00, 0x1000, read_execute),
            (0x20_2000..0x20_3000, 0x20_2133..0x20_2133, 0x123, 0x2010, Rights::READ),
            (0x20_3000..0x20_7000, 0x20_4000..0x20_6335, 0x10, 0x3ff0, read_write),
        ]
    );
    assert_eq!(image.page_count(), 6);
    let tls = image.tls().unwrap();
    assert_eq!((tls.address, tls.memory_size, tls.align), (0x20_2040, 0x50, 16));
    assert_eq!(tls.data, &bytes[0x2040..0x2060]);
}

#[test]
fn what_a_segment_does_not_take_from_the_file_is_not_looked_at() {
    // A segment of zeros only may name any place in the file; one without memory is no segment.
    let mut elf = program();
    elf.headers.truncate(3); // The template's bytes would be missing.
    elf.headers[1].file_size = 0;
    elf.headers[1].offset = 0xffff_f010;
    elf.headers.insert(1, load(0, 0, 0, 0));
    assert_eq!(refusal(&elf), None);
}

#[test]
fn files_that_are_not_static_arm_executables_are_refused() {
    let header = |change: fn(&mut Elf)| refusal_after(change);
    assert_eq!(Image::parse(b"", Limits::default()).err(), Some(LoadError::NotElf));
    assert_eq!(Image::parse(b"#!/bin/sh\n", Limits::default()).err(), Some(LoadError::NotElf));
    assert_eq!(header(|e| e.ident[0] = 0), Some(LoadError::NotElf));
    assert_eq!(header(|e| e.ident[4] = 1), Some(LoadError::Class { found: 1 }));
    assert_eq!(header(|e| e.ident[4] = 9), Some(LoadError::Class { found: 9 }));
    assert_eq!(header(|e| e.ident[5] = 2), Some(LoadError::Endianness { found: 2 }));
    assert_eq!(header(|e| e.ident[6] = 0), Some(LoadError::Version));
    assert_eq!(header(|e| e.version = 2), Some(LoadError::Version));
    assert_eq!(header(|e| e.machine = 62), Some(LoadError::Machine { found: 62 }));
    for kind in [0, 1, 3, 4] {
        let mut elf = program();
        elf.kind = kind;
        assert_eq!(refusal(&elf), Some(LoadError::Type { found: kind }));
    }
    assert_eq!(header(|e| e.headers[4].kind = PT_INTERP), Some(LoadError::Interpreter));
    assert_eq!(header(|e| e.headers[4].kind = PT_DYNAMIC), Some(LoadError::Dynamic));
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let whole = program().bytes();
    for cut in 0..whole.len() {
        let refused = Image::parse(&whole[..cut], Limits::default()).err();
        let expected = match cut {
            0..4 => LoadError::NotElf,
            4..64 => LoadError::TruncatedHeader { length: cut },
            64..344 => LoadError::TruncatedProgramHeaders,
            344..0x1f00 => LoadError::Segment { header: 0, fault: SegmentFault::BeyondFile },
            0x1f00..0x2133 => LoadError::Segment { header: 1, fault: SegmentFault::BeyondFile },
            _ => LoadError::Segment { header: 2, fault: SegmentFault::BeyondFile },
        };
        assert_eq!(refused, Some(expected), "cut at {cut}");
    }
}

#[test]
fn program_headers_outside_the_file_or_of_another_size_are_refused() {
    for offset in [0x3fff, u64::MAX, u64::MAX - 279] {
        assert_eq!(refusal_after(|e| e.table_offset = offset), Some(LoadError::TruncatedProgramHeaders));
    }
    let refused = refusal_after(|e| e.header_size = 32);
    assert_eq!(refused, Some(LoadError::ProgramHeaderSize { found: 32 }));
    for found in [MAX_HEADERS as u16 + 1, 0xffff] {
        assert_eq!(
            refusal_after(|e| e.header_count = Some(found)),
            Some(LoadError::TooManyHeaders { found })
        );
    }
    assert_eq!(refusal_after(|e| e.header_count = Some(0)), Some(LoadError::NoSegments));
    assert_eq!(refusal_after(|e| e.headers.drain(..3).for_each(drop)), Some(LoadError::NoSegments));
}

#[test]
fn sixteen_segments_are_accepted_and_seventeen_refused() {
    let many = |count: u64| {
        let mut elf = program();
        elf.entry = 0x20_1000;
        elf.headers = (1..=count).map(|i| load(R | X, 0x20_0000 + i * 0x1000, 4, 4)).collect();
        elf.length = 0x20_000;
        refusal(&elf)
    };
    assert_eq!(many(MAX_SEGMENTS as u64), None);
    assert_eq!(many(MAX_SEGMENTS as u64 + 1), Some(LoadError::TooManySegments));
}

#[test]
fn ranges_that_lie_or_overflow_are_refused() {
    assert_eq!(fault_after(|h| h.file_size = 0x124), Some(SegmentFault::LargerInFile));
    assert_eq!(fault_after(|h| h.offset = 0x1_2010), Some(SegmentFault::BeyondFile));
    assert_eq!(
        fault_after(|h| h.offset = 0u64.wrapping_sub(0x1ff0) + 0x1000),
        Some(SegmentFault::BeyondFile)
    );
    let overflow = |h: &mut Header| (h.offset, h.align) = (u64::MAX - 0x10, 1);
    assert_eq!(fault_after(overflow), Some(SegmentFault::FileRangeOverflow));
    assert_eq!(fault_after(|h| h.memory_size = u64::MAX), Some(SegmentFault::AddressOverflow));
    assert_eq!(fault_after(|h| h.memory_size = u64::MAX - 0x20_2010), Some(SegmentFault::AddressOverflow));
}

#[test]
fn addresses_outside_the_limits_are_refused_page_by_page() {
    let limits = Limits { lowest: 0x20_1000, end: 0x20_7000 };
    let fault = |change: fn(&mut Elf)| {
        let mut elf = program();
        change(&mut elf);
        Image::parse(&elf.bytes(), limits).err()
    };
    assert_eq!(fault(|_| ()), None);
    let outside = |header, start, end| {
        Some(LoadError::Segment { header, fault: SegmentFault::OutsideLimits { start, end } })
    };
    let low = |e: &mut Elf| {
        e.headers[0] = Header { offset: 0xfff, ..load(R | X, 0x20_0fff, 1, 1) };
    };
    assert_eq!(fault(low), outside(0, 0x20_0fff, 0x20_1000));
    assert_eq!(fault(|e| e.headers[2].memory_size = 0x3010), None);
    assert_eq!(fault(|e| e.headers[2].memory_size = 0x3011), outside(2, 0x20_3ff0, 0x20_7001));
    let within_its_page = Limits { end: 0x20_6800, ..limits };
    let refused = Image::parse(&program().bytes(), within_its_page).err();
    assert_eq!(refused, outside(2, 0x20_3ff0, 0x20_6335), "the limit cuts the last page");
    let kernel = |h: &mut Header| (h.address, h.align) = (0xffff_0000_0000_0000, 1);
    assert!(matches!(fault_after(kernel), Some(SegmentFault::OutsideLimits { .. })));
    assert!(matches!(
        fault_after(|h| (h.address, h.align) = (0, 1)),
        Some(SegmentFault::OutsideLimits { .. })
    ));
}

#[test]
fn rights_that_break_w_xor_x_or_cannot_be_mapped_are_refused() {
    for flags in [W | X, R | W | X] {
        assert_eq!(fault_after(|h| h.flags = flags), Some(SegmentFault::WriteAndExecute));
    }
    for flags in [0, W] {
        assert_eq!(fault_after(|h| h.flags = flags), Some(SegmentFault::Unreadable { flags }));
    }
    assert_eq!(
        fault_after(|h| h.flags = R | 0xfff0_0000),
        None,
        "bits of the system and processor are ignored"
    );
}

#[test]
fn segments_that_overlap_or_share_a_page_are_refused() {
    let moved = |address: u64| fault_after(|h| (h.address, h.offset) = (address, address - 0x20_0000));
    assert_eq!(moved(0x20_1eff), Some(SegmentFault::Overlap));
    assert_eq!(moved(0x20_1000), Some(SegmentFault::Overlap));
    assert_eq!(moved(0x20_1f00), Some(SegmentFault::SharedPage));
    assert_eq!(moved(0x20_1fff), Some(SegmentFault::SharedPage));
    assert_eq!(moved(0x20_0100), Some(SegmentFault::Unordered));
}

#[test]
fn alignments_that_are_none_are_refused() {
    assert_eq!(fault_after(|h| h.align = 0x1800), Some(SegmentFault::BadAlignment { found: 0x1800 }));
    assert_eq!(fault_after(|h| h.offset -= 8), Some(SegmentFault::Misaligned { align: 0x1000 }));
    assert_eq!(fault_after(|h| (h.offset, h.align) = (h.offset - 8, 0)), None);
    assert_eq!(fault_after(|h| h.align = 1 << 63), Some(SegmentFault::Misaligned { align: 1 << 63 }));
}

#[test]
fn entry_points_outside_the_text_are_refused() {
    for entry in [0, 0x20_1f00, 0x20_2010, 0x20_3ff0, 0xffff_ffff_ffff_fffc] {
        assert_eq!(refusal_after(|e| e.entry = entry), Some(LoadError::EntryNotExecutable { entry }));
    }
    let entry = 0x20_1012;
    assert_eq!(refusal_after(|e| e.entry = entry), Some(LoadError::EntryMisaligned { entry }));
    assert_eq!(refusal_after(|e| e.entry = 0x20_1efc), None);
}

#[test]
fn thread_local_templates_are_bounded_and_inside_the_image() {
    let tls = |change: fn(&mut Header)| refusal_after(|e| change(&mut e.headers[3]));
    let fault = |fault| Some(LoadError::Segment { header: 3, fault });
    assert_eq!(tls(|h| h.file_size = 0xf3), fault(SegmentFault::LargerInFile));
    assert_eq!(tls(|h| (h.file_size, h.memory_size) = (0xf3, 0xf3)), None);
    assert_eq!(tls(|h| (h.file_size, h.memory_size) = (0xf4, 0xf4)), Some(LoadError::TlsOutsideSegments));
    assert_eq!(tls(|h| h.address = 0x20_7000), Some(LoadError::TlsOutsideSegments));
    assert_eq!(tls(|h| (h.file_size, h.address) = (0, 0x20_7000)), None, "zeros lie nowhere");
    assert_eq!(tls(|h| h.align = 0x2000), fault(SegmentFault::TlsAlignment { found: 0x2000 }));
    assert_eq!(tls(|h| h.address += 1), fault(SegmentFault::Misaligned { align: 16 }));
    assert_eq!(tls(|h| h.memory_size = u64::MAX), fault(SegmentFault::AddressOverflow));
    assert_eq!(refusal_after(|e| e.headers[4].kind = PT_TLS), Some(LoadError::TwoTlsTemplates));
    assert_eq!(refusal_after(|e| e.headers[1].flags = X), Some(LoadError::TlsOutsideSegments));
}

#[test]
fn messages_say_what_was_wrong_and_what_was_expected() {
    let text = |change: fn(&mut Elf)| refusal_after(change).unwrap().to_string();
    assert_eq!(text(|e| e.machine = 62), "built for machine 62: expected 183 (AArch64)");
    assert_eq!(
        text(|e| e.headers[1].flags = W | X),
        "program header 1: writable and executable: expected one of them at most"
    );
}
