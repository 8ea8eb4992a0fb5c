//! The books of the address space: what the child is told of it is all of it, and true; and how large it may be.

use super::*;

const MIB: u64 = 1 << 20;
/// Where the data of [`Case::with_large_zeros`] begins, and its bytes: it begins inside one region of 2 MiB and ends in another
/// GiB, with 3 whole regions before the border and 2 behind.
const ZEROS: u64 = (1 << 30) - 7 * MIB;
const ZERO_BYTES: u64 = 12 * MIB + 0x1800;

impl Case {
    pub(super) fn with_large_zeros() -> Case {
        let segments: [(u64, u32, &[u8], u64); 2] = [(TEXT, 5, b"code", 4), (ZEROS, 6, b"data", ZERO_BYTES)];
        Case { file: elf::build(&segments, TEXT), ..Case::usual() }
    }

    /// A program that takes this many level 3 tables for its image: code is never shown by large pages.
    pub(super) fn with_tables(count: u64) -> Case {
        let file = elf::build(&[(TEXT, 5, b"code", count << 21)], TEXT);
        Case { file, dirty: false, ..Case::usual() }
    }
}

fn records(model: &Model) -> Vec<SpaceRecord> {
    let info = start_information(model);
    assert_eq!(info.record_size as usize, size_of::<SpaceRecord>());
    assert_eq!(info.record_offset % 8, 0);
    let bytes = info.record_count as usize * size_of::<SpaceRecord>();
    let bytes = model.read(START_BASE + u64::from(info.record_offset), bytes);
    // SAFETY: the bytes were written from records, which are plain numbers.
    let record = |bytes: &[u8]| unsafe { bytes.as_ptr().cast::<SpaceRecord>().read_unaligned() };
    bytes.chunks(size_of::<SpaceRecord>()).map(record).collect()
}

/// Checks that each record is true, and that there is nothing that no record tells of.
fn check_books(model: &Model) {
    let records = records(model);
    let address = |number: u32| CapAddr(number.into());
    for record in &records {
        let mapping = model.of_child(address(record.mapping)).expect("a capability");
        assert_eq!(mapping.kind, CapType::Mapping);
        let object = model.of_child(address(record.object)).expect("a capability");
        if record.kind == SpaceKind::Table as u16 {
            assert_eq!(object.kind.vnode_level(), Some(record.level));
            assert_eq!(record.bytes, 1 << (48 - 9 * u32::from(record.level)));
            assert_eq!(model.table_over(record.base, record.level), Some(object.base), "{record:x?}");
            assert_eq!(model.table_over(record.base, record.level - 1), Some(mapping.base));
        } else {
            assert_eq!((object.kind, object.rights), (CapType::Frame, Rights::NONE));
            assert_eq!(mapping.rights.bits(), u64::from(record.rights));
            let (first, rights) = model.translate(record.base).expect("mapped");
            let (last, _) = model.translate(record.base + record.bytes - 1).expect("mapped");
            assert!(object.base <= first && last < object.base + object.size);
            assert_eq!((last - first, rights), (record.bytes - 1, mapping.rights), "{record:x?}");
            assert_eq!(model.table_over(record.base, record.level), Some(mapping.base));
        }
    }
    let count = |which: &dyn Fn(CapType) -> bool| model.all().filter(|c| which(c.kind)).count();
    assert_eq!(count(&|kind| kind == CapType::Mapping), records.len());
    let tables = records.iter().filter(|record| record.kind == SpaceKind::Table as u16).count();
    assert_eq!(count(&|kind| kind.vnode_level() > Some(0)), tables);
}

/// Checks that the slots of the page CNodes are in use as the child is told.
fn check_slots(model: &Model) {
    let info = start_information(model);
    let root = model.root_of_child();
    let (nodes, first) = (u64::from(info.page_cnodes), u64::from(info.first_page_slot));
    assert_eq!(u64::from(info.first_free_cnode), PAGE_CNODE + nodes);
    assert_eq!(model.node(root).len() as u64, 1 + nodes);
    assert!(u64::from(info.root_slots) >= PAGE_CNODE + nodes + 32);
    for index in 0..nodes {
        let node = model.node(model.at(root, PAGE_CNODE + index).unwrap().base);
        let end = if index + 1 == nodes { first } else { 256 };
        assert!(node.keys().copied().eq(1..end), "CNode {index}");
    }
}

#[test]
fn the_child_is_told_all_of_its_address_space_and_which_slots_it_takes() {
    for case in [Case::usual(), Case::with_large_zeros(), Case::with_tables(90), Case::with_tables(345)] {
        let (model, built) = case.build(None);
        let _child = built.unwrap();
        check_books(&model);
        check_slots(&model);
        assert_eq!(model.node(OWN_ROOT).len(), 1, "the bench is free again");
    }
}

#[test]
fn everything_besides_the_image_is_known_by_its_kind() {
    let (model, built) = Case::usual().build(None);
    let _child = built.unwrap();
    let all = records(&model);
    let find = |kind: SpaceKind| {
        let found: Vec<_> = all.iter().filter(|record| record.kind == kind as u16).collect();
        assert_eq!(found.len(), 1, "{kind:?}");
        (found[0].base, found[0].bytes)
    };
    assert_eq!(find(SpaceKind::Frame), (FRAME_BASE, FRAME_SIZE));
    assert_eq!(find(SpaceKind::Start), (START_BASE, PAGE_SIZE));
    assert_eq!(find(SpaceKind::Stack), (STACK_TOP - STACK_SIZE, STACK_SIZE));
    let image: Vec<_> = all.iter().filter(|record| record.kind == SpaceKind::Image as u16).collect();
    assert!(image.iter().map(|record| record.base).eq([TEXT, RODATA, DATA]));
}

#[test]
fn the_stack_may_grow_down_to_its_limit_with_nothing_in_the_way() {
    let (model, built) = Case::usual().build(None);
    let _child = built.unwrap();
    assert_eq!(STACK_TOP - STACK_LIMIT, 8 * MIB);
    for record in records(&model).iter().filter(|record| record.kind != SpaceKind::Table as u16) {
        let above = record.base >= STACK_TOP - STACK_SIZE;
        assert!(above || record.base + record.bytes <= HEAP_BASE, "{record:x?}");
    }
    const { assert!(STACK_LIMIT > TOP_BASE && HEAP_BASE < TOP_BASE) };
    assert_eq!(model.translate(STACK_LIMIT), None);
}

#[test]
fn large_zeros_are_shown_by_large_pages() {
    let (model, built) = Case::with_large_zeros().build(None);
    let _child = built.unwrap();
    let large: Vec<_> = records(&model).into_iter().filter(|r| r.kind == 2 && r.level == 2).collect();
    let expected = [((1 << 30) - 6 * MIB, 6 * MIB), (1 << 30, 4 * MIB)];
    assert_eq!(large.iter().map(|r| (r.base, r.bytes)).collect::<Vec<_>>(), expected);
    let data = Rights::READ.or(Rights::WRITE);
    for at in (0..ZERO_BYTES).step_by(0x1000) {
        assert_eq!(model.translate(ZEROS + at).expect("mapped").1, data, "{at:#x}");
    }
    assert_eq!(model.translate(ZEROS + ZERO_BYTES.next_multiple_of(PAGE_SIZE)), None);
    assert_eq!(model.read(ZEROS, 4), b"data");
    // Zeros although the Ram was dirty: beside the borders of the large pages, and inside.
    for at in [4, MIB - 8, MIB, 4 * MIB, 7 * MIB - 8, 7 * MIB, 11 * MIB - 8, 11 * MIB, ZERO_BYTES - 8] {
        assert_eq!(model.read(ZEROS + at, 8), [0; 8], "{at:#x}");
    }
}

fn plan(file: &[u8], sizes: Sizes) -> Result<Plan, PlanError> {
    let start = StartBlock::new(&["p"], &[""; 0]).unwrap();
    Plan::new(&Image::parse(file, Limits::default()).unwrap(), &start, sizes)
}

#[test]
fn a_large_bss_takes_a_few_mappings_and_its_own_bytes() {
    let small = plan(&elf::build(&[(TEXT, 5, b"code", 4)], TEXT), Sizes::PROGRAM).unwrap();
    assert_eq!(small.align(), PAGE_SIZE);
    for (bytes, more) in [(512 * MIB, 2), (HEAP_BASE - (4 * MIB), 64 + 63)] {
        let file = elf::build(&[(TEXT, 5, b"code", 4), (2 * TEXT, 6, b"", bytes)], TEXT);
        let plan = plan(&file, Sizes::PROGRAM).unwrap();
        assert_eq!(plan.align(), 2 * MIB);
        assert!(plan.records.len() <= small.records.len() + more, "{}", plan.records.len());
        assert!(plan.bytes() <= small.bytes() + bytes + MIB);
        assert_eq!((plan.large_size, plan.root), (bytes, bytes), "the large pages are first, without a gap");
    }
}

#[test]
fn sizes_up_to_the_limit_are_planned_and_larger_ones_are_refused_with_the_reason() {
    // Two records for each 2 MiB; four level 2 tables, one of level 1, and of the top a level 2 and a level 3 table with
    // three mappings.
    let most = (MAX_RECORDS as u64 - 10) / 2;
    for count in [80, 95, 96, 97, 256, 512, 2000, most] {
        let plan = plan(&Case::with_tables(count).file, Sizes::SERVER).unwrap();
        let slots = plan.records.iter().map(|r| if r.kind == 1 { 2 } else { 1 }).sum::<u64>() + 1;
        assert_eq!(plan.page_cnodes, slots.div_ceil(255));
        assert!(plan.root_size >= 4096 && plan.root_size.is_power_of_two());
        assert!(START_BASE + plan.start_size <= START_END);
    }
    for (count, records) in [(most + 1, MAX_RECORDS + 2), (30000, 60065)] {
        let error = plan(&Case::with_tables(count).file, Sizes::PROGRAM).unwrap_err();
        assert_eq!(error, PlanError::TooManyMappings { records }, "{count}");
        assert!(error.to_string().contains(&format!("takes {records} page tables and mappings")), "{error}");
    }
}
