//! Building over a model kernel that keeps capabilities by CNode and can refuse any call.

mod books;
mod elf;
mod model;

use abi::cap::{CapAddr, CapType, Rights};
use abi::layout::*;
use abi::{ErrorKind, PAGE_SIZE};
use loader::{Image, Limits};
use sys::Cap;

use crate::*;
use elf::{DATA, PROGRAM_RIGHTS, RODATA, TEXT, TEXT_BYTES, program};
use model::{Capability, Model, OWN_ROOT};

const RAM: CapAddr = CapAddr::new(0, 40);
const DOORBELL: CapAddr = CapAddr::new(0, 41);
const BENCH: Bench =
    Bench { task: 60, pages: [61, 62, 63], node: CapAddr::new(0, 50), frame: CapAddr::new(0, 55) };
const SLOTS: ChildSlots =
    ChildSlots { dispatcher: CapAddr::new(0, 51), task: CapAddr::new(0, 52), names: CapAddr::new(0, 53) };

/// A kernel whose domain holds Ram, filled with `byte`, and a doorbell.
fn kernel(bytes: u64, byte: u8) -> Model {
    let mut model = Model::new(bytes, byte);
    model.install(RAM, Capability::region(CapType::Ram, 0x8000_0000, bytes));
    model.install(DOORBELL, Capability::region(CapType::Notify, 0, 0));
    model
}

fn spec<'a>(image: &'a Image<'a>, start: &'a StartBlock) -> Spec<'a> {
    let ended = Some(Cap::new(DOORBELL));
    Spec { image, start, domain: 77, extra: [4, 5, 6, 7, 0, 0, 0, 9], ended, ram_is_zero: false }
}

struct Case {
    file: Vec<u8>,
    start: StartBlock,
    sizes: Sizes,
    /// Whether the Ram is full of 0xaa.
    dirty: bool,
}

impl Case {
    fn usual() -> Case {
        let start = StartBlock::new(&["prog", "one", "two words"], &["HOME=/"]).unwrap();
        Case { file: program(), start, sizes: Sizes { early_ram: 8192, ..Sizes::PROGRAM }, dirty: true }
    }

    fn build(&self, fail_at: Option<usize>) -> (Model, Result<Child, BuildError>) {
        let image = Image::parse(&self.file, Limits::default()).unwrap();
        let plan = Plan::new(&image, &self.start, self.sizes).unwrap();
        let mut model = kernel(plan.bytes(), if self.dirty { 0xaa } else { 0 });
        model.fail_at = fail_at;
        let spec = Spec { ram_is_zero: !self.dirty, ..spec(&image, &self.start) };
        let built = build(&mut model, BENCH, SLOTS, Cap::new(RAM), &plan, &spec);
        (model, built)
    }
}

#[test]
fn a_child_finds_its_well_known_capabilities_and_nothing_else_in_its_task_cnode() {
    let (model, built) = Case::usual().build(None);
    let _child = built.unwrap();
    let root = model.root_of_child();
    let found: Vec<(u64, CapType)> = model
        .node(model.at(root, TASK_CNODE).unwrap().base)
        .iter()
        .map(|(&slot, capability)| (slot, capability.kind))
        .collect();
    let expected = [
        (SELF_DISPATCHER, CapType::Dispatcher),
        (ROOT_CNODE, CapType::L1CNode),
        (SELF_TASK_CNODE, CapType::L2CNode),
        (ROOT_VNODE, CapType::VNodeL0),
        (SELF_FRAME, CapType::Frame),
        (START_FRAME, CapType::Frame),
        (NAMES_OWN, CapType::EndPoint),
        (EARLY_RAM, CapType::Ram),
    ];
    assert_eq!(found, expected.map(|(address, kind)| (address.slot(), kind)));
    assert_eq!(model.node(root).len(), 2);
}

#[test]
fn a_child_cannot_revoke_what_its_builder_holds_a_copy_of() {
    let (model, built) = Case::usual().build(None);
    let child = built.unwrap();
    let task = model.at(model.root_of_child(), TASK_CNODE).unwrap().base;
    for address in [SELF_DISPATCHER, NAMES_OWN] {
        let rights = model.at(task, address.slot()).unwrap().rights;
        assert!(rights.contains(Rights::READ.or(Rights::WRITE)) && !rights.contains(Rights::REVOKE));
    }
    assert_eq!(model.get(child.dispatcher().address()).unwrap().rights, Rights::ALL);
}

#[test]
fn segments_are_mapped_with_their_own_rights_contents_and_zero_tails() {
    let (model, built) = Case::usual().build(None);
    let _child = built.unwrap();
    for (address, rights) in PROGRAM_RIGHTS {
        assert_eq!(model.translate(address).unwrap().1, rights, "at {address:#x}");
    }
    assert_eq!(model.read(TEXT, TEXT_BYTES.len()), TEXT_BYTES);
    assert_eq!(model.read(RODATA, 6), b"rodata");
    // The last page of the data: bytes of the file, then zeros, although the Ram was dirty.
    assert_eq!(model.read(DATA + 0x18, 4), b"data");
    assert_eq!(model.read(DATA, 0x18), [0; 0x18]);
    assert_eq!(model.read(DATA + 0x1c, 0x1fe4), [0; 0x1fe4]);
    assert_eq!(model.translate(DATA + 0x2000), None);
}

#[test]
fn an_image_across_the_border_of_a_page_table_is_whole() {
    let mut bytes = vec![0x11; 0x3000];
    bytes.extend([0x22; 0x2000]);
    let file = elf::build(&[(0x40_0000 - 0x3000, 5, &bytes, 0x5000)], 0x40_0000 - 0x3000);
    let case = Case { file, ..Case::usual() };
    let (model, built) = case.build(None);
    let _child = built.unwrap();
    assert_eq!(model.read(0x40_0000 - 0x3000, 0x3000), [0x11; 0x3000]);
    assert_eq!(model.read(0x40_0000, 0x2000), [0x22; 0x2000]);
}

#[test]
fn the_stack_has_a_guard_page_and_the_frame_says_where_the_start_information_is() {
    let (model, built) = Case::usual().build(None);
    let _child = built.unwrap();
    let data = Rights::READ.or(Rights::WRITE);
    for address in
        [STACK_TOP - 1, STACK_TOP - STACK_SIZE, FRAME_BASE, FRAME_BASE + FRAME_SIZE - 1, START_BASE]
    {
        assert_eq!(model.translate(address).unwrap().1, data, "at {address:#x}");
    }
    for address in [STACK_TOP - STACK_SIZE - 1, STACK_TOP, FRAME_BASE + FRAME_SIZE, START_BASE + PAGE_SIZE] {
        assert_eq!(model.translate(address), None, "at {address:#x}");
    }
    let at = std::mem::offset_of!(abi::frame::DispatcherFrame, start_info) as u64;
    assert_eq!(model.read(FRAME_BASE + at, 8), START_BASE.to_le_bytes());
}

/// The start information as the child reads it.
fn start_information(model: &Model) -> StartInfo {
    let bytes = model.read(START_BASE, size_of::<StartInfo>());
    // SAFETY: the bytes were written from a StartInfo, which is plain numbers.
    unsafe { bytes.as_ptr().cast::<StartInfo>().read_unaligned() }
}

#[test]
fn the_start_information_tells_arguments_environment_and_sizes() {
    let (model, built) = Case::usual().build(None);
    let _child = built.unwrap();
    let info = start_information(&model);
    assert_eq!((info.magic, info.domain, info.early_ram), (START_MAGIC, 77, 8192));
    assert_eq!((info.arg_count, info.env_count), (3, 1));
    assert_eq!(
        (u64::from(info.frame_size), u64::from(info.dispatcher_size)),
        (FRAME_SIZE, Sizes::PROGRAM.dispatcher)
    );
    assert_eq!(info.extra, [CapAddr::new(PAGE_CNODE, 1).0, 5, 6, 7, 0, 0, 0, 9]);
    let text = b"prog\0one\0two words\0HOME=/\0";
    assert_eq!(model.read(START_BASE + u64::from(info.arg_offset), text.len()), text);
    assert_eq!(info.env_offset - info.arg_offset, 19);
    let end = (size_of::<StartInfo>() + text.len()).next_multiple_of(8);
    assert_eq!(info.record_offset as usize, end);
    assert_eq!(info.size as usize, end + info.record_count as usize * size_of::<SpaceRecord>());
}

#[test]
fn a_server_gets_a_larger_dispatcher_and_frame() {
    let case = Case { sizes: Sizes::SERVER, ..Case::usual() };
    let (model, built) = case.build(None);
    let _child = built.unwrap();
    let info = start_information(&model);
    assert_eq!((u64::from(info.frame_size), u64::from(info.dispatcher_size)), (256 << 10, 32 << 10));
    assert!(model.translate(FRAME_BASE + (256 << 10) - 1).is_some());
    assert_eq!(model.translate(FRAME_BASE + (256 << 10)), None);
    assert_eq!(model.read(TEXT, TEXT_BYTES.len()), TEXT_BYTES);
    const { assert!(Sizes::SERVER.frame <= MAX_FRAME_SIZE) };
}

#[test]
fn the_child_holds_no_frame_that_shows_its_image_otherwise() {
    let (model, built) = Case::usual().build(None);
    let _child = built.unwrap();
    let text = model.translate(TEXT).unwrap().0;
    let holds = |c: &&Capability| c.kind == CapType::Frame && c.base <= text && text < c.base + c.size;
    let all: Vec<Rights> = model.all().filter(holds).map(|c| c.rights).collect();
    assert_eq!(all, [Rights::NONE]);
}

#[test]
fn the_dispatcher_is_configured_with_what_the_child_holds_and_starts_last() {
    let case = Case::usual();
    let (mut model, built) = case.build(None);
    let child = built.unwrap();
    assert!(!model.started);
    child.start(&mut model).unwrap();
    assert!(model.started);
    let configuration = model.configuration.unwrap();
    assert_eq!((configuration.frame_address, configuration.vector), (FRAME_BASE, TEXT));
    assert_eq!(configuration.ended, Some(Cap::new(DOORBELL)));
    assert_eq!(model.get(SLOTS.task), None);
    assert_eq!(model.get(SLOTS.names), None);
}

#[test]
fn the_name_service_sends_to_event_0_and_cannot_receive_there() {
    let (mut model, built) = Case::usual().build(None);
    let child = built.unwrap();
    let end = *model.get(child.names_end().address()).unwrap();
    assert_eq!((end.kind, end.rights), (CapType::EndPoint, Rights::WRITE));
    let peer = CapAddr::new(0, 54);
    model.install(peer, Capability::region(CapType::EndPoint, 3, 0));
    child.connect_names(&mut model, Cap::new(peer)).unwrap();
    let task = model.at(model.root_of_child(), TASK_CNODE).unwrap().base;
    assert_eq!(model.at(task, NAMES_PEER.slot()).unwrap().rights, Rights::WRITE);
}

/// Refuses one call after the other, and looks whether anything is left.
fn refuse_calls(case: &Case, calls: impl Iterator<Item = usize>) {
    for at in calls {
        let (model, built) = case.build(Some(at));
        let error = built.expect_err("the call was refused");
        assert_eq!(error.error.kind, ErrorKind::Full, "{}", error.step);
        let left: Vec<_> = model.all().map(|c| c.kind).collect();
        assert_eq!(left, model.installed(), "after refusing call {at} ({})", error.step);
        assert_eq!(model.node(OWN_ROOT).len(), 1);
    }
}

#[test]
fn a_failure_at_any_call_leaves_nothing_behind() {
    for case in [Case::usual(), Case::with_large_zeros()] {
        let (model, built) = case.build(None);
        let _child = built.unwrap();
        let calls = model.calls;
        assert!(calls > 30, "the test reaches every call: {calls}");
        refuse_calls(&case, 0..calls);
    }
    let case = Case::with_tables(345);
    let (model, built) = case.build(None);
    let _child = built.unwrap();
    refuse_calls(&case, (0..model.calls).step_by(97));
}

#[test]
fn dismantling_takes_everything_back_wherever_it_went() {
    let (mut model, built) = Case::usual().build(None);
    let child = built.unwrap();
    child.start(&mut model).unwrap();
    // The child gave a copy of its early Ram away.
    let early = *model.at(model.at(model.root_of_child(), 0).unwrap().base, EARLY_RAM.slot()).unwrap();
    model.install(CapAddr::new(0, 90), early);
    child.dismantle(&mut model).unwrap();
    assert_eq!(model.all().map(|c| c.kind).collect::<Vec<_>>(), [CapType::Ram, CapType::Notify]);
}

#[test]
fn strings_that_cannot_be_passed_are_refused() {
    let none: [&str; 0] = [];
    assert_eq!(StartBlock::new(&none, &none).unwrap_err(), StartError::NoName);
    assert_eq!(StartBlock::new(&["a\0b"], &none).unwrap_err(), StartError::Nul);
    let long = "x".repeat(MAX_START_BYTES);
    assert!(
        matches!(StartBlock::new(&[long], &none), Err(StartError::TooLong { bytes }) if bytes > MAX_START_BYTES)
    );
    let fits = "x".repeat(MAX_START_BYTES - size_of::<StartInfo>() - 1);
    assert_eq!(StartBlock::new(&[fits], &none).unwrap().size(), MAX_START_BYTES);
}
