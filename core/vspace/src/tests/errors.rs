//! Each error, by the request that it refuses.
use super::*;
use crate::SPACE_END;

#[test]
fn each_bad_window_has_its_error() {
    let mut nodes = [Node::EMPTY; 8];
    let mut space = window(&mut nodes);
    let misaligned = |value| Err(Error::Misaligned { value, granule: PAGE });
    assert_eq!(space.add_window(PAGE..PAGE), Err(Error::ZeroSize));
    #[expect(clippy::reversed_empty_ranges)]
    let reversed = 2 * PAGE..PAGE;
    assert_eq!(space.add_window(reversed), Err(Error::ZeroSize));
    assert_eq!(space.add_window(7..PAGE), misaligned(7));
    assert_eq!(space.add_window(PAGE..2 * PAGE + 1), misaligned(PAGE + 1));
    let beyond = |address| Err(Error::BeyondAddressSpace { address });
    assert_eq!(space.add_window(SPACE_END - PAGE..SPACE_END + PAGE), beyond(SPACE_END + PAGE - 1));
    assert_eq!(enter(&mut space, 1, SPACE_END), beyond(SPACE_END));
    assert_eq!(space.add_window(BASE - PAGE..BASE + PAGE), Err(Error::Overlap { base: BASE }));
    assert_eq!(space.add_window(SPACE_END - PAGE..SPACE_END), Ok(()));
}

#[test]
fn each_bad_reservation_has_its_error() {
    let mut nodes = [Node::EMPTY; 8];
    let mut space = window(&mut nodes);
    space.reserve_at(BASE + 4 * PAGE, 4 * PAGE, GIVEN).unwrap();
    let before = soundness::check(&space, 8);
    let misaligned = |value| Some(Error::Misaligned { value, granule: PAGE });

    assert_eq!(space.reserve(0, PAGE, GIVEN).err(), Some(Error::ZeroSize));
    assert_eq!(space.reserve(5, PAGE, GIVEN).err(), misaligned(5));
    for align in [0, 3 * PAGE] {
        assert_eq!(space.reserve(PAGE, align, GIVEN).err(), Some(Error::BadAlignment { align }));
    }
    let align = 2 * GIGABYTE;
    assert_eq!(space.reserve(PAGE, align, GIVEN).err(), Some(Error::AlignmentTooLarge { align }));
    for chunk in [0, 1, PAGE / 2, 3 * PAGE, 2 * LARGE_PAGE, 1 << 63] {
        assert_eq!(space.reserve(PAGE, PAGE, lazy(chunk)).err(), Some(Error::BadChunk { chunk }));
        assert_eq!(space.reserve_at(BASE, PAGE, lazy(chunk)), Err(Error::BadChunk { chunk }));
    }
    assert_eq!(space.reserve(1 << 63, PAGE, GIVEN), Err(Error::NoSpace));
    assert_eq!(space.reserve_at(BASE, 0, GIVEN), Err(Error::ZeroSize));
    assert_eq!(space.reserve_at(BASE + 1, PAGE, GIVEN).err(), misaligned(BASE + 1));
    assert_eq!(space.reserve_at(BASE, PAGE + 1, GIVEN).err(), misaligned(PAGE + 1));
    assert_eq!(space.reserve_at(0u64.wrapping_sub(PAGE), 2 * PAGE, GIVEN), Err(Error::Overflow));
    assert_eq!(space.reserve_at(BASE, 5 * PAGE, GIVEN), Err(Error::NotFree { base: BASE + 4 * PAGE }));
    assert_eq!(space.reserve_at(BASE + 6 * PAGE, PAGE, GIVEN), Err(Error::NotFree { base: BASE + 4 * PAGE }));
    let [low, high] = [BASE - PAGE, BASE + GIGABYTE];
    assert_eq!(space.reserve_at(low, 2 * PAGE, GIVEN), Err(Error::OutsideWindows { address: low }));
    assert_eq!(space.reserve_at(high - PAGE, 2 * PAGE, GIVEN), Err(Error::OutsideWindows { address: high }));
    for address in [BASE, BASE + 8 * PAGE, 0, u64::MAX] {
        assert_eq!(space.release(address), Err(Error::NotReserved { address }));
        assert_eq!(space.set_rights(address, Rights::ALL), Err(Error::NotReserved { address }));
    }
    assert_eq!(space.release(BASE + 5 * PAGE), Err(Error::NotABase { base: BASE + 4 * PAGE }));
    assert_eq!(
        space.set_rights(BASE + 5 * PAGE, Rights::ALL),
        Err(Error::NotABase { base: BASE + 4 * PAGE })
    );
    assert_eq!(soundness::check(&space, 8), before);
}

#[test]
fn each_bad_piece_has_its_error() {
    let mut nodes = [Node::EMPTY; 32];
    let mut space = with_tables(&mut nodes);
    space.reserve_at(BASE + PAGE, PAGE, GUARD).unwrap();
    space.reserve_at(BASE + 2 * PAGE, 4 * LARGE_PAGE, GIVEN).unwrap();
    space.insert_piece(small(BASE + 8 * PAGE, 4)).unwrap();
    space.insert_piece(large(BASE + 2 * LARGE_PAGE, 1)).unwrap();
    let before = soundness::check(&space, 32);
    let [end, far] = [BASE + 2 * PAGE + 4 * LARGE_PAGE, BASE + LARGE_PAGE];
    let misaligned = |value, granule| Error::Misaligned { value, granule };
    for (piece, error) in [
        (small(BASE, 0), Error::ZeroSize),
        (small(0u64.wrapping_sub(PAGE), 2), Error::Overflow),
        (small(BASE + 1, 1), misaligned(BASE + 1, PAGE)),
        (large(BASE + PAGE, 1), misaligned(BASE + PAGE, LARGE_PAGE)),
        (Piece { large: true, ..small(BASE, 1) }, misaligned(PAGE, LARGE_PAGE)),
        (small(far - PAGE, 2), Error::CrossesTable { end: far }),
        (large(BASE, 513), Error::CrossesTable { end: BASE + GIGABYTE }),
        (small(BASE, 1), Error::NotReserved { address: BASE }),
        (small(BASE + PAGE, 2), Error::Guarded { base: BASE + PAGE }),
        (small(end - PAGE, 2), Error::BeyondArea { end }),
        (small(BASE + 6 * PAGE, 9), Error::Covered { base: BASE + 8 * PAGE }),
        (small(BASE + 11 * PAGE, 9), Error::Covered { base: BASE + 8 * PAGE }),
        (small(BASE + 2 * LARGE_PAGE, 1), Error::Covered { base: BASE + 2 * LARGE_PAGE }),
        (small(far, 1), Error::NoTable { level: 3, base: far }),
    ] {
        assert_eq!(space.insert_piece(piece), Err(error), "{piece:?}");
    }
    assert_eq!(space.remove_piece(BASE + 7 * PAGE), Err(Error::NoPiece { address: BASE + 7 * PAGE }));
    assert_eq!(space.remove_piece(BASE + 9 * PAGE), Err(Error::NotAPieceBase { base: BASE + 8 * PAGE }));
    assert_eq!(space.release(BASE + 2 * PAGE), Err(Error::InUse { base: BASE + 8 * PAGE }));
    assert_eq!(soundness::check(&space, 32), before);
}

#[test]
fn a_large_piece_and_a_level_3_table_keep_each_other_out() {
    let mut nodes = [Node::EMPTY; 32];
    let mut space = window(&mut nodes);
    space.reserve_at(BASE, 4 * LARGE_PAGE, GIVEN).unwrap();
    enter(&mut space, 1, BASE).unwrap();
    assert_eq!(space.insert_piece(large(BASE, 1)), Err(Error::NoTable { level: 2, base: BASE }));
    enter(&mut space, 2, BASE).unwrap();
    let base = BASE + 2 * LARGE_PAGE;
    enter(&mut space, 3, base).unwrap();
    assert_eq!(space.insert_piece(large(BASE, 4)), Err(Error::TableBelow { base }));
    space.insert_piece(large(BASE, 2)).unwrap();
    assert_eq!(enter(&mut space, 3, BASE + LARGE_PAGE), Err(Error::LargePiece { base: BASE }));
    space.remove_piece(BASE).unwrap();
    assert_eq!(enter(&mut space, 3, BASE + LARGE_PAGE), Ok(()));
}

#[test]
fn each_bad_request_for_a_table_has_its_error() {
    let mut nodes = [Node::EMPTY; 32];
    let mut space = window(&mut nodes);
    for level in [0, 4, 255] {
        assert_eq!(enter(&mut space, level, BASE), Err(Error::BadLevel { level }));
        assert_eq!(space.remove_table(level, BASE), Err(Error::BadLevel { level }));
        assert_eq!(space.unpin(level, BASE), Err(Error::BadLevel { level }));
        assert_eq!(space.table(level, BASE), None);
    }
    assert_eq!(enter(&mut space, 3, BASE), Err(Error::NoTable { level: 2, base: BASE }));
    assert_eq!(enter(&mut space, 2, BASE + 5), Err(Error::NoTable { level: 1, base: 0 }));
    space.insert_table(1, BASE, CapAddr(5), CapAddr(6), true).unwrap();
    assert_eq!(space.table(1, 512 * GIGABYTE - 1), Some(CapAddr(5)));
    assert_eq!(space.remove_table(1, BASE), Err(Error::Pinned));
    assert_eq!(enter(&mut space, 1, PAGE), Err(Error::TableThere { base: 0 }));
    enter(&mut space, 2, BASE).unwrap();
    assert_eq!(space.remove_table(1, BASE), Err(Error::TableInUse { users: 1 }));
    assert_eq!(space.unpin(3, BASE), Err(Error::NoTable { level: 3, base: BASE }));
}

#[test]
fn each_error_says_what_was_wrong_and_what_was_expected() {
    use std::string::ToString;
    let number = 0x7000;
    for error in [
        Error::ZeroSize,
        Error::Overflow,
        Error::Misaligned { value: 1, granule: PAGE },
        Error::BadAlignment { align: number },
        Error::AlignmentTooLarge { align: number },
        Error::BadChunk { chunk: number },
        Error::BeyondAddressSpace { address: number },
        Error::Overlap { base: number },
        Error::NoSpace,
        Error::OutsideWindows { address: number },
        Error::NotFree { base: number },
        Error::NotReserved { address: number },
        Error::NotABase { base: number },
        Error::InUse { base: number },
        Error::Guarded { base: number },
        Error::BeyondArea { end: number },
        Error::CrossesTable { end: number },
        Error::Covered { base: number },
        Error::TableBelow { base: number },
        Error::NoPiece { address: number },
        Error::NotAPieceBase { base: number },
        Error::BadLevel { level: 4 },
        Error::NoTable { level: 3, base: number },
        Error::TableThere { base: number },
        Error::LargePiece { base: number },
        Error::TableInUse { users: 2 },
        Error::Pinned,
        Error::OutOfNodes,
        Error::TooManyChunks,
    ] {
        assert!(error.to_string().contains("expected"), "{error:?}: {error}");
    }
}
