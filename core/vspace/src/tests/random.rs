//! Random runs beside the model. `BARRELDISH_LONG=1` makes many more.
use std::vec;
use std::vec::Vec;

use abi::{CapAddr, PAGE_SIZE, Rights};
use proptest::prelude::*;
use proptest::sample::Index;

use super::model::Model;
use super::operation::Operation;
use super::soundness;
use crate::{
    Attributes, Backing, Error, GIGABYTE, LARGE_PAGE, NODES_PER_OPERATION, Node, Piece, SPACE_END, Space,
    Statistics,
};

/// More than any run here needs.
const NODES: usize = 1500;

/// Windows: across the ends of tables of each level, two that touch, and one that ends with the address space.
const WINDOWS: [(u64, u64); 6] = [
    (0, 4 * LARGE_PAGE),
    (4 * LARGE_PAGE, 6 * LARGE_PAGE + 5 * PAGE_SIZE),
    (GIGABYTE - 2 * LARGE_PAGE, GIGABYTE + LARGE_PAGE),
    (2 * GIGABYTE - 3 * PAGE_SIZE, 4 * GIGABYTE + 2 * LARGE_PAGE),
    (512 * GIGABYTE - LARGE_PAGE, 512 * GIGABYTE + LARGE_PAGE),
    (SPACE_END - 2 * LARGE_PAGE, SPACE_END),
];

/// Numbers that become an operation by what there is; sizes and offsets in pages.
#[derive(Clone, Debug)]
enum Request {
    Reserve { pages: u64, align: u32, attributes: Attributes },
    ReserveAt { window: Index, skip: u64, pages: u64, attributes: Attributes },
    Release { pick: Index, wobble: u64 },
    SetRights { pick: Index, wobble: u64, rights: u64 },
    Insert { pick: Index, skip: u64, pages: u64, large: bool },
    Fault { pick: Index, skip: u64, pinned: bool },
    Remove { pick: Index, wobble: u64 },
    InsertTable { pick: Index, skip: u64, level: u8, pinned: bool },
    RemoveTable { pick: Index },
    Sweep,
    Unpin { pick: Index },
    AddWindow { window: Index, skip: u64, pages: u64 },
    Wild { address: u64, size: u64, what: u8 },
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let backing = prop_oneof![
        1 => Just(Backing::Guard),
        2 => Just(Backing::Given),
        4 => (12u32..=21).prop_map(|bits| Backing::Lazy { chunk: 1 << bits }),
        4 => Just(Backing::Lazy { chunk: LARGE_PAGE }),
        1 => prop_oneof![Just(0), Just(2048), Just(12288), Just(2 * LARGE_PAGE)]
            .prop_map(|chunk| Backing::Lazy { chunk }),
    ];
    (0u64..8, backing, any::<u32>()).prop_map(|(rights, backing, tag)| Attributes {
        rights: Rights::from_bits(rights),
        backing,
        tag,
    })
}

fn pages() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 1u64..9, 2 => 1u64..700, 2 => (1u64..4).prop_map(|n| n * 512), 1 => 0u64..2000]
}

fn request() -> impl Strategy<Value = Request> {
    let pick = any::<Index>;
    let skip = || prop_oneof![2 => 0u64..9, 2 => 0u64..1500, 1 => (0u64..4).prop_map(|n| n * 512)];
    let wobble = || prop_oneof![6 => Just(0u64), 1 => 0u64..4];
    prop_oneof![
        8 => (pages(), prop_oneof![Just(12), Just(21), Just(30), 0u32..32, 0u32..64], attributes())
            .prop_map(|(pages, align, attributes)| Request::Reserve { pages, align, attributes }),
        4 => (pick(), skip(), pages(), attributes())
            .prop_map(|(window, skip, pages, attributes)| Request::ReserveAt { window, skip, pages, attributes }),
        3 => (pick(), wobble()).prop_map(|(pick, wobble)| Request::Release { pick, wobble }),
        1 => (pick(), wobble(), 0u64..8).prop_map(|(pick, wobble, rights)| Request::SetRights { pick, wobble, rights }),
        6 => (pick(), skip(), pages(), any::<bool>())
            .prop_map(|(pick, skip, pages, large)| Request::Insert { pick, skip, pages, large }),
        10 => (pick(), skip(), prop::bool::weighted(0.1)).prop_map(|(pick, skip, pinned)| Request::Fault { pick, skip, pinned }),
        8 => (pick(), wobble()).prop_map(|(pick, wobble)| Request::Remove { pick, wobble }),
        4 => (pick(), skip(), 0u8..5, prop::bool::weighted(0.2))
            .prop_map(|(pick, skip, level, pinned)| Request::InsertTable { pick, skip, level, pinned }),
        3 => pick().prop_map(|pick| Request::RemoveTable { pick }),
        3 => Just(Request::Sweep),
        1 => pick().prop_map(|pick| Request::Unpin { pick }),
        1 => (pick(), skip(), pages()).prop_map(|(window, skip, pages)| Request::AddWindow { window, skip, pages }),
        1 => (any::<u64>(), any::<u64>(), any::<u8>())
            .prop_map(|(address, size, what)| Request::Wild { address, size, what }),
    ]
}

/// One of a list; nothing that is there if it is empty.
fn pick<T: Copy>(list: &[T], index: &Index) -> Option<T> {
    (!list.is_empty()).then(|| list[index.index(list.len())])
}

/// An address in an area, if the number of pages is not too large for it.
fn inside(model: &Model, index: &Index, skip: u64) -> u64 {
    pick(&model.areas, index).map_or(0, |area| area.base) + skip * PAGE_SIZE
}

/// That, or where a piece is already.
fn inside_or_in_the_way(model: &Model, index: &Index, skip: u64) -> u64 {
    let piece = pick(&model.pieces, index).filter(|_| skip.is_multiple_of(3));
    piece.map_or(inside(model, index, skip), |piece| piece.base)
}

fn window_place(window: &Index, skip: u64) -> u64 {
    WINDOWS[window.index(WINDOWS.len())].0.saturating_sub(4 * PAGE_SIZE) + skip * PAGE_SIZE
}

fn piece(base: u64, size: u64, large: bool) -> Operation {
    let [mapping, frame] = [CapAddr(base | 1), CapAddr(base | 2)];
    Operation::InsertPiece(Piece { base, size, mapping, frame, large })
}

/// What answers a fault: the missing tables from the top down, then the piece.
fn fault(model: &Model, address: u64, pinned: bool) -> Vec<Operation> {
    let Some(gap) = model.gap(address) else { return vec![] };
    let large = model.takes_large_page(address);
    let levels = if large { 1..=2 } else { 1..=3 };
    let missing = levels.filter(|&level| model.table(level, address).is_none());
    let mut operations: Vec<_> = missing.map(|level| Operation::table(level, address, pinned)).collect();
    operations.push(piece(gap.start, gap.end - gap.start, large));
    operations
}

/// Nonsense of any kind.
fn wild(address: u64, size: u64, what: u8) -> Operation {
    let attributes = Attributes { rights: Rights::ALL, backing: Backing::Given, tag: 0 };
    let page = |value: u64| if what & 128 == 0 { value & !(PAGE_SIZE - 1) } else { value };
    let (address, size, level) = (page(address), page(size), what >> 3 & 7);
    match what % 8 {
        0 => Operation::AddWindow { start: address, end: size },
        1 => Operation::Reserve { size, align: address, attributes },
        2 => Operation::ReserveAt { base: address, size, attributes },
        3 => Operation::Release { base: address },
        4 => piece(address, size, what & 64 == 0),
        5 => Operation::RemovePiece { base: address },
        6 => Operation::table(level, address, false),
        _ => Operation::RemoveTable { level, address },
    }
}

fn resolve(request: &Request, model: &Model) -> Vec<Operation> {
    let operation = match *request {
        Request::Reserve { pages, align, attributes } => {
            Operation::Reserve { size: pages * PAGE_SIZE, align: 1 << align, attributes }
        }
        Request::ReserveAt { ref window, skip, pages, attributes } => {
            Operation::ReserveAt { base: window_place(window, skip), size: pages * PAGE_SIZE, attributes }
        }
        Request::Release { ref pick, wobble } => Operation::Release { base: inside(model, pick, wobble) },
        Request::SetRights { ref pick, wobble, rights } => {
            Operation::SetRights { base: inside(model, pick, wobble), rights: Rights::from_bits(rights) }
        }
        Request::Insert { pick: ref index, skip, pages, large } => {
            let granule = if large { LARGE_PAGE } else { PAGE_SIZE };
            let base = inside_or_in_the_way(model, index, skip).next_multiple_of(granule);
            piece(base, if large { pages.div_ceil(512) * LARGE_PAGE } else { pages * PAGE_SIZE }, large)
        }
        Request::Fault { ref pick, skip, pinned } => {
            return fault(model, inside(model, pick, skip) + 0x123, pinned);
        }
        Request::Remove { pick: ref index, wobble } => {
            let Some(piece) = pick(&model.pieces, index) else { return vec![] };
            Operation::RemovePiece { base: piece.base + wobble * PAGE_SIZE }
        }
        Request::InsertTable { ref pick, skip, level, pinned } => {
            Operation::table(level, inside_or_in_the_way(model, pick, skip), pinned)
        }
        Request::RemoveTable { pick: ref index } => {
            let Some((table, _)) = pick(&model.tables, index) else { return vec![] };
            Operation::RemoveTable { level: table.level, address: table.base }
        }
        Request::Sweep => {
            let Some(table) = model.contents().empty else { return vec![] };
            Operation::RemoveTable { level: table.level, address: table.base + PAGE_SIZE }
        }
        Request::Unpin { pick: ref index } => {
            let Some((table, _)) = pick(&model.tables, index) else { return vec![] };
            Operation::Unpin { level: table.level, address: table.base }
        }
        Request::AddWindow { ref window, skip, pages } => {
            let start = window_place(window, 3 * skip);
            Operation::AddWindow { start, end: start + pages * PAGE_SIZE }
        }
        Request::Wild { address, size, what } => wild(address, size, what),
    };
    vec![operation]
}

/// Makes an operation in both, with all nodes.
fn make(operation: Operation, space: &mut Space<'_>, model: &mut Model) {
    let before = model.contents();
    let expected = operation.run_model(model);
    assert_eq!(operation.run(space), expected, "{operation:?}");
    let after = model.contents();
    assert_eq!(soundness::check(space, NODES), after, "{operation:?}");
    assert!(expected.is_ok() || before == after, "the model changed");
}

/// Makes an operation in both, first with so few nodes that it fails, which must change nothing.
fn make_with_few_nodes(operation: Operation, space: &mut Space<'_>, model: &mut Model) {
    let before = model.contents();
    let spare = space.spare_nodes();
    for left in 0..=NODES_PER_OPERATION {
        // Those that are withheld stay in their chain: it is the count that is asked.
        space.pool.spare_count = left;
        let got = operation.run(space);
        space.pool.spare_count = space.pool.spare_count + spare - left;
        if got != Err(Error::OutOfNodes) {
            assert_eq!(got, operation.run_model(model), "{operation:?}");
            assert_eq!(soundness::check(space, NODES), model.contents(), "{operation:?}");
            return;
        }
        assert_eq!(soundness::check(space, NODES), before, "{operation:?} without nodes");
    }
    panic!("{operation:?} takes more nodes than are promised");
}

/// All questions, about one address.
fn ask(space: &Space<'_>, model: &Model, address: u64) {
    assert_eq!(space.area(address), model.area(address), "area at {address:#x}");
    assert_eq!(space.piece(address), model.piece(address), "piece at {address:#x}");
    assert_eq!(space.gap(address), model.gap(address), "gap at {address:#x}");
    assert_eq!(space.takes_large_page(address), model.takes_large_page(address), "large at {address:#x}");
    for level in 0..5 {
        assert_eq!(space.table(level, address), model.table(level, address), "table at {address:#x}");
    }
    for size in [0, 1, 5 * PAGE_SIZE, GIGABYTE] {
        let end = address.saturating_add(size);
        assert!(space.pieces(address..end).eq(model.pieces(address, end)), "pieces from {address:#x}");
    }
}

fn start(nodes: &mut [Node]) -> (Space<'_>, Model) {
    let (first, second) = nodes.split_at_mut(100);
    let (mut space, mut model) = (Space::new(), Model::default());
    space.add_nodes(first).unwrap();
    space.add_nodes(second).unwrap();
    for (start, end) in WINDOWS {
        make(Operation::AddWindow { start, end }, &mut space, &mut model);
    }
    (space, model)
}

/// Gives everything back, as the end of a domain would.
fn release_all(space: &mut Space<'_>, model: &mut Model) {
    for piece in model.pieces.clone() {
        make(Operation::RemovePiece { base: piece.base }, space, model);
    }
    for area in model.areas.clone() {
        make(Operation::Release { base: area.base }, space, model);
    }
    for (table, _) in model.tables.clone() {
        make(Operation::Unpin { level: table.level, address: table.base }, space, model);
    }
    while let Some(table) = space.empty_table() {
        make(Operation::RemoveTable { level: table.level, address: table.base }, space, model);
    }
}

fn cases() -> u32 {
    if std::env::var_os("BARRELDISH_LONG").is_some() { 20_000 } else { 30 }
}

/// A request, and where to ask afterwards.
type Step = (Request, Index, u64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((request(), any::<Index>(), 0u64..1100), 1..200)
}

/// Makes all steps; says whether there are more windows than at first.
fn run(
    steps: &[Step],
    space: &mut Space<'_>,
    model: &mut Model,
    make: fn(Operation, &mut Space<'_>, &mut Model),
) -> bool {
    let mut windows_added = false;
    for (request, place, skip) in steps {
        for operation in resolve(request, model) {
            let before = model.contents().free;
            make(operation, space, model);
            windows_added |=
                matches!(operation, Operation::AddWindow { .. }) && model.contents().free != before;
        }
        ask(space, model, inside(model, place, *skip) + skip);
        if let Some(piece) = pick(&model.pieces, place) {
            ask(space, model, piece.base.saturating_sub(1));
            ask(space, model, piece.end());
        }
    }
    ask(space, model, u64::MAX);
    windows_added
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_runs_agree_with_the_model(steps in steps()) {
        let mut nodes = vec![Node::EMPTY; NODES];
        let (mut space, mut model) = start(&mut nodes);
        run(&steps, &mut space, &mut model, make);
    }

    #[test]
    fn no_operation_that_lacks_nodes_stops_half_way(steps in steps()) {
        let mut nodes = vec![Node::EMPTY; NODES];
        let (mut space, mut model) = start(&mut nodes);
        run(&steps, &mut space, &mut model, make_with_few_nodes);
    }

    #[test]
    fn random_runs_leave_nothing_behind(steps in steps()) {
        let mut nodes = vec![Node::EMPTY; NODES];
        let (mut space, mut model) = start(&mut nodes);
        let untouched = (space.statistics(), model.contents(), space.spare_nodes());
        prop_assert_eq!(untouched.0, Statistics::default());
        let windows_added = run(&steps, &mut space, &mut model, make);
        release_all(&mut space, &mut model);
        prop_assert_eq!(space.statistics(), Statistics::default());
        if !windows_added {
            prop_assert_eq!((space.statistics(), model.contents(), space.spare_nodes()), untouched);
        }
    }
}
