//! The books beside the naive model, each behaviour by itself, and what operations cost.
mod errors;
mod model;
mod operation;
mod random;
mod soundness;

use std::vec;
use std::vec::Vec;

use abi::{CapAddr, PAGE_SIZE, Rights};

use crate::{
    Area, Attributes, Backing, Error, GIGABYTE, LARGE_PAGE, NODES_PER_OPERATION, Node, Piece, Space,
    Statistics,
};

const PAGE: u64 = PAGE_SIZE;
/// Where the window of most tests begins.
const BASE: u64 = 4 * GIGABYTE;
const GIVEN: Attributes = Attributes { rights: Rights::READ, backing: Backing::Given, tag: 0 };
const GUARD: Attributes = Attributes { backing: Backing::Guard, ..GIVEN };

fn lazy(chunk: u64) -> Attributes {
    Attributes { backing: Backing::Lazy { chunk }, ..GIVEN }
}

fn small(base: u64, pages: u64) -> Piece {
    Piece { base, size: pages * PAGE, mapping: CapAddr(7), frame: CapAddr::NULL, large: false }
}

fn large(base: u64, count: u64) -> Piece {
    Piece { size: count * LARGE_PAGE, large: true, ..small(base, 0) }
}

/// A space with a window of 1 GiB from [`BASE`] on.
fn window(nodes: &mut [Node]) -> Space<'_> {
    let mut space = Space::new();
    space.add_nodes(nodes).unwrap();
    space.add_window(BASE..BASE + GIGABYTE).unwrap();
    space
}

/// That with all tables over the first 2 MiB.
fn with_tables(nodes: &mut [Node]) -> Space<'_> {
    let mut space = window(nodes);
    for level in 1..=3 {
        enter(&mut space, level, BASE).unwrap();
    }
    space
}

/// Enters a table that is not pinned.
fn enter(space: &mut Space<'_>, level: u8, address: u64) -> Result<(), Error> {
    space.insert_table(level, address, CapAddr(level.into()), CapAddr(9), false)
}

#[test]
fn the_smallest_free_range_that_fits_with_its_alignment_is_taken() {
    let mut nodes = [Node::EMPTY; 32];
    let mut space = Space::new();
    space.add_nodes(&mut nodes).unwrap();
    for (start, end) in
        [(PAGE, 5 * PAGE), (LARGE_PAGE - 2 * PAGE, LARGE_PAGE + 5 * PAGE), (BASE - PAGE, 2 * BASE)]
    {
        space.add_window(start..end).unwrap();
    }
    assert_eq!(space.reserve(3 * PAGE, PAGE, GIVEN), Ok(PAGE));
    assert_eq!(space.reserve(3 * PAGE, 2 * PAGE, GIVEN), Ok(LARGE_PAGE), "as if it were 2 MiB");
    assert_eq!(space.reserve(PAGE, GIGABYTE, GIVEN), Ok(BASE));
    assert_eq!(space.reserve(PAGE, GIGABYTE, GIVEN), Ok(BASE + GIGABYTE));
    assert_eq!(space.reserve(2 * PAGE, 1, GIVEN), Ok(LARGE_PAGE - 2 * PAGE));
    assert_eq!(space.reserve(4 * GIGABYTE, PAGE, GIVEN), Err(Error::NoSpace));
}

#[test]
fn a_guard_and_the_stack_above_it_are_areas_of_their_own() {
    let mut nodes = [Node::EMPTY; 8];
    let mut space = window(&mut nodes);
    let base = space.reserve(5 * PAGE, PAGE, GUARD).unwrap();
    space.release(base).unwrap();
    let stack = Attributes { tag: 3, ..lazy(PAGE) };
    space.reserve_at(base, PAGE, GUARD).unwrap();
    space.reserve_at(base + PAGE, 4 * PAGE, stack).unwrap();
    assert_eq!(space.area(base + PAGE - 1), Some(Area { base, size: PAGE, attributes: GUARD }));
    let above = Area { base: base + PAGE, size: 4 * PAGE, attributes: stack };
    assert_eq!(space.area(base + PAGE), Some(above));
    assert_eq!(space.areas().map(|area| area.base).collect::<Vec<_>>(), [base, base + PAGE]);
    assert_eq!((space.gap(base), space.gap(base + PAGE)), (None, Some(base + PAGE..base + 2 * PAGE)));
    assert_eq!(space.release(base + PAGE), Ok(above));
    assert_eq!(space.area(base + PAGE), None);
}

#[test]
fn windows_that_touch_are_one() {
    let mut nodes = [Node::EMPTY; 8];
    let mut space = window(&mut nodes);
    space.add_window(BASE + GIGABYTE..BASE + 2 * GIGABYTE).unwrap();
    space.add_window(BASE - GIGABYTE..BASE).unwrap();
    assert_eq!(space.reserve(3 * GIGABYTE, GIGABYTE, GIVEN), Ok(BASE - GIGABYTE));
}

#[test]
fn rights_of_an_area_change_and_nothing_else_of_it() {
    let mut nodes = [Node::EMPTY; 8];
    let mut space = window(&mut nodes);
    let attributes = Attributes { tag: 5, ..lazy(PAGE) };
    space.reserve_at(BASE, PAGE, attributes).unwrap();
    space.set_rights(BASE, Rights::NONE).unwrap();
    let attributes = Attributes { rights: Rights::NONE, ..attributes };
    assert_eq!(space.area(BASE), Some(Area { base: BASE, size: PAGE, attributes }));
}

#[test]
fn a_gap_is_the_part_of_its_chunk_and_area_between_pieces() {
    let mut nodes = [Node::EMPTY; 32];
    let mut space = with_tables(&mut nodes);
    // Chunks end at multiples of 16 pages; the area is 3..40.
    space.reserve_at(BASE + 3 * PAGE, 37 * PAGE, lazy(16 * PAGE)).unwrap();
    let gap = |space: &Space<'_>, page: u64| {
        space.gap(BASE + page * PAGE + 5).map(|gap| ((gap.start - BASE) / PAGE, (gap.end - BASE) / PAGE))
    };
    assert_eq!(
        [2, 3, 15, 16, 39, 40].map(|page| gap(&space, page)),
        [None, Some((3, 16)), Some((3, 16)), Some((16, 32)), Some((32, 40)), None]
    );
    space.insert_piece(small(BASE + 14 * PAGE, 4)).unwrap();
    space.insert_piece(small(BASE + 20 * PAGE, 1)).unwrap();
    assert_eq!(
        [13, 14, 17, 18, 20, 21].map(|page| gap(&space, page)),
        [Some((3, 14)), None, None, Some((18, 20)), None, Some((21, 32))]
    );
    assert_eq!(space.gap(BASE + GIGABYTE), None);
}

#[test]
fn a_large_page_wants_a_whole_lazy_2_mib_without_pieces_or_table() {
    let mut nodes = [Node::EMPTY; 32];
    let mut space = with_tables(&mut nodes);
    let at = |number: u64| BASE + number * LARGE_PAGE;
    space.reserve_at(at(0), 3 * LARGE_PAGE + PAGE, lazy(LARGE_PAGE)).unwrap();
    space.reserve_at(at(4), LARGE_PAGE, lazy(LARGE_PAGE / 2)).unwrap();
    space.reserve_at(at(5), LARGE_PAGE, GIVEN).unwrap();
    let takes =
        |space: &Space<'_>| [0, 1, 2, 3, 4, 5, 6].map(|number| space.takes_large_page(at(number) + 99));
    assert_eq!(
        takes(&space),
        [false, true, true, false, false, false, false],
        "a table, whole, whole, a part, ..."
    );
    space.insert_piece(large(at(1), 1)).unwrap();
    space.remove_table(3, BASE).unwrap();
    assert_eq!(takes(&space), [true, false, true, false, false, false, false]);
}

#[test]
fn pieces_that_show_a_part_of_a_range_are_told_in_order() {
    let mut nodes = [Node::EMPTY; 32];
    let mut space = with_tables(&mut nodes);
    space.reserve_at(BASE, 64 * PAGE, GIVEN).unwrap();
    for (page, pages) in [(20, 5), (2, 4), (10, 1)] {
        space.insert_piece(small(BASE + page * PAGE, pages)).unwrap();
    }
    let found = |start: u64, end: u64| -> Vec<_> {
        space.pieces(BASE + start..BASE + end).map(|piece| (piece.base - BASE) / PAGE).collect()
    };
    assert_eq!(found(0, 64 * PAGE), [2, 10, 20]);
    assert_eq!(found(6 * PAGE - 1, 20 * PAGE + 1), [2, 10, 20]);
    assert_eq!(found(6 * PAGE, 20 * PAGE), [10]);
    assert_eq!(found(11 * PAGE, 20 * PAGE), [0; 0]);
    assert_eq!(found(3 * PAGE, 3 * PAGE), [0; 0], "an empty range");
}

#[test]
fn empty_tables_are_told_deepest_first_and_pinned_ones_never() {
    let mut nodes = [Node::EMPTY; 32];
    let mut space = with_tables(&mut nodes);
    space.insert_table(3, BASE + LARGE_PAGE, CapAddr(5), CapAddr(6), true).unwrap();
    space.reserve_at(BASE, LARGE_PAGE, GIVEN).unwrap();
    space.insert_piece(small(BASE + PAGE, 1)).unwrap();
    assert_eq!(space.empty_table(), None);
    space.remove_piece(BASE + PAGE).unwrap();
    let mut gone = Vec::new();
    let mut sweep = |space: &mut Space<'_>| {
        while let Some(table) = space.empty_table() {
            assert_eq!(space.remove_table(table.level, table.base), Ok(table));
            gone.push((table.level, table.base));
        }
        gone.clone()
    };
    assert_eq!(sweep(&mut space), [(3, BASE)]);
    space.unpin(3, BASE + LARGE_PAGE).unwrap();
    assert_eq!(sweep(&mut space), [(3, BASE), (3, BASE + LARGE_PAGE), (2, BASE), (1, 0)]);
    assert_eq!(space.statistics().tables, 0);
}

#[test]
fn the_statistics_count_entries_and_bytes() {
    let mut nodes = [Node::EMPTY; 32];
    let mut space = with_tables(&mut nodes);
    space.reserve_at(BASE, 2 * LARGE_PAGE, GIVEN).unwrap();
    space.reserve_at(BASE + GIGABYTE - PAGE, PAGE, GUARD).unwrap();
    space.insert_piece(small(BASE, 3)).unwrap();
    space.insert_piece(large(BASE + LARGE_PAGE, 1)).unwrap();
    let (reserved, backed) = (2 * LARGE_PAGE + PAGE, LARGE_PAGE + 3 * PAGE);
    assert_eq!(space.statistics(), Statistics { areas: 2, pieces: 2, tables: 3, reserved, backed });
}

#[test]
fn a_node_has_the_size_that_is_promised() {
    assert_eq!(size_of::<Node>(), 80);
}

#[test]
fn an_operation_that_lacks_nodes_changes_nothing() {
    let mut nodes = [Node::EMPTY; 7];
    let mut space = with_tables(&mut nodes);
    space.reserve_at(BASE, 8 * PAGE, GIVEN).unwrap();
    assert_eq!((space.spare_nodes(), space.nodes_needed(1), space.nodes_needed(3)), (2, 0, 4));
    space.insert_piece(small(BASE, 1)).unwrap();
    let before = soundness::check(&space, 7);
    assert_eq!(space.reserve_at(BASE + 9 * PAGE, PAGE, GIVEN), Err(Error::OutOfNodes), "it takes two");
    space.insert_piece(small(BASE + PAGE, 1)).unwrap();
    assert_eq!(space.insert_piece(small(BASE + 2 * PAGE, 1)), Err(Error::OutOfNodes));
    assert_eq!(space.reserve(PAGE, PAGE, GIVEN), Err(Error::OutOfNodes));
    assert_eq!(enter(&mut space, 3, BASE + LARGE_PAGE), Err(Error::OutOfNodes));
    assert_eq!(space.add_window(0..PAGE), Err(Error::OutOfNodes));
    assert_eq!(space.reserve(GIGABYTE - 8 * PAGE, PAGE, GIVEN), Ok(BASE + 8 * PAGE), "it takes none");
    space.release(BASE + 8 * PAGE).unwrap();
    space.remove_piece(BASE + PAGE).unwrap();
    assert_eq!(soundness::check(&space, 7), before);
}

#[test]
fn who_adds_the_nodes_that_are_needed_never_lacks_one() {
    let mut chunks = vec![[Node::EMPTY; NODES_PER_OPERATION]; crate::MAX_CHUNKS + 1];
    let (last, chunks) = chunks.split_last_mut().unwrap();
    let mut space = Space::new();
    for (count, chunk) in chunks.iter_mut().enumerate() {
        assert_eq!(space.nodes_needed(1), NODES_PER_OPERATION.saturating_sub(space.spare_nodes()));
        space.add_nodes(chunk).unwrap();
        match count {
            0 => space.add_window(0..GIGABYTE).unwrap(),
            _ => space.reserve_at(10 * count as u64 * PAGE, PAGE, GIVEN).unwrap(),
        }
    }
    assert_eq!(space.add_nodes(last), Err(Error::TooManyChunks));
    soundness::check(&space, NODES_PER_OPERATION * crate::MAX_CHUNKS);
}

/// Nodes that a fault and its end look at, with `count` other areas, pieces and tables, and with as many free ranges that
/// are large enough for the area, but not aligned.
fn visits(count: u64) -> usize {
    let mut nodes = vec![Node::EMPTY; 5 * count as usize + 1000];
    let mut space = Space::new();
    space.add_nodes(&mut nodes).unwrap();
    space.add_window(BASE..64 * BASE).unwrap();
    enter(&mut space, 1, BASE).unwrap();
    for i in 0..count {
        let base = BASE + i * LARGE_PAGE;
        if space.table(2, base).is_none() {
            enter(&mut space, 2, base).unwrap();
        }
        enter(&mut space, 3, base).unwrap();
        space.reserve_at(base, PAGE, lazy(PAGE)).unwrap();
        space.insert_piece(small(base, 1)).unwrap();
    }
    space.pool.visits.set(0);
    let base = space.reserve(LARGE_PAGE, LARGE_PAGE, lazy(LARGE_PAGE)).unwrap();
    let gap = space.gap(base).unwrap();
    enter(&mut space, 3, base).unwrap();
    space.insert_piece(small(gap.start, (gap.end - gap.start) / PAGE)).unwrap();
    assert_eq!(space.pieces(gap).count(), 1);
    space.remove_piece(base).unwrap();
    assert_eq!(space.empty_table().map(|table| (table.level, table.base)), Some((3, base)));
    space.remove_table(3, base).unwrap();
    space.release(base).unwrap();
    space.pool.visits.get()
}

#[test]
fn cost_grows_with_the_logarithm_of_the_number_of_entries() {
    // One less than fills a level 2 table, which the area then has.
    let [small, large] = [(1 << 8) - 1, (1 << 15) - 1].map(visits);
    std::println!("nodes looked at: {small} with 2^8 entries of each kind, {large} with 2^15");
    assert!(large < 3 * small, "{small} with 2^8 entries of each kind, {large} with 2^15");
}
