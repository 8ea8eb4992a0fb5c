//! System calls on a booted core, called as the entry code calls them.

mod common;

use abi::cap::{CapAddr, Rights};
use abi::frame::{Area, State};
use abi::layout::{
    EARLY_RAM, FRAME_BASE, KERNEL, PAGE_CNODE, ROOT_CNODE, ROOT_VNODE, SELF_DISPATCHER, SELF_FRAME,
    STACK_SIZE, STACK_TOP, START_BASE, START_MAGIC, SpaceKind, SpaceRecord, StartInfo,
};
use abi::{CapType, ErrorKind, Syscall};
use kernel::arch::{boot, tiny_program};
use kernel::cpu::Core;
use kernel::schedule::{self, Next};
use kernel::syscall::{self, Reply};
use proptest::prelude::*;

use common::{RAM, call, core, free, repeat, retype, second, second_dispatcher};

#[test]
fn init_is_entered_at_its_entry_point_with_its_frame() {
    let mut core = boot(&tiny_program(), RAM);
    match schedule::next(&mut core) {
        Next::Upcall { frame, pc, .. } => assert_eq!((frame, pc), (abi::layout::FRAME_BASE, 0x20_0000)),
        _ => panic!("no upcall"),
    }
}

#[test]
fn the_image_of_init_is_mapped_with_its_own_rights_and_nothing_else_is() {
    let mut core = core();
    let hardware = &mut core.machine.hardware;
    assert_eq!(hardware.translate(0x20_0000).expect("text").rights, Rights::READ.or(Rights::EXECUTE));
    assert_eq!(hardware.translate(0x20_1000).expect("data").rights, Rights::READ.or(Rights::WRITE));
    assert!(hardware.translate(0x20_2000).is_err());
    assert!(hardware.translate(abi::layout::STACK_TOP - 1).is_ok());
    assert!(
        hardware.translate(abi::layout::STACK_TOP - abi::layout::STACK_SIZE - 1).is_err(),
        "no guard page"
    );
    assert!(hardware.mmu.complaints.is_empty());
}

/// Memory of `init` as the kernel sees it; it must be contiguous.
fn user_bytes(core: &mut Core, address: u64, count: usize) -> Vec<u8> {
    let hardware = &mut core.machine.hardware;
    let byte = |at: u64| {
        let physical = hardware.translate(at).expect("mapped").address;
        // SAFETY: it lies in the RAM of the machine, which lives as long as `core`.
        unsafe { hardware.direct_map(physical).read() }
    };
    (address..address + count as u64).map(byte).collect()
}

/// Type, rights, base and size of a capability of `init`.
fn identify(core: &mut Core, address: u64) -> (CapType, Rights, u64, u64) {
    call(core, Syscall::CapIdentify, &[address]).expect("a capability");
    let [_, about, base, size, ..] = core.results;
    (CapType::from_number(about & 0xff).expect("a type"), Rights::from_bits(about >> 8), base, size)
}

#[test]
fn init_is_told_all_of_its_address_space_and_which_slots_it_takes() {
    let mut core = core();
    let bytes = user_bytes(&mut core, START_BASE, size_of::<StartInfo>());
    // SAFETY: plain numbers, which the kernel wrote from such a structure.
    let info = unsafe { bytes.as_ptr().cast::<StartInfo>().read_unaligned() };
    assert_eq!((info.magic, info.record_size as usize), (START_MAGIC, size_of::<SpaceRecord>()));
    for slot in 1..256 {
        let taken = call(&mut core, Syscall::CapIdentify, &[CapAddr::new(PAGE_CNODE, slot).0]).is_ok();
        assert_eq!(taken, slot < info.first_page_slot.into(), "slot {slot} of the page CNode");
    }
    let bytes = info.record_count as usize * size_of::<SpaceRecord>();
    assert_eq!(info.size as usize, info.record_offset as usize + bytes);
    let bytes = user_bytes(&mut core, START_BASE + u64::from(info.record_offset), bytes);
    let mut found = vec![];
    for bytes in bytes.chunks(size_of::<SpaceRecord>()) {
        // SAFETY: as before.
        let record = unsafe { bytes.as_ptr().cast::<SpaceRecord>().read_unaligned() };
        let (object, _, base, size) = identify(&mut core, record.object.into());
        assert_eq!(identify(&mut core, record.mapping.into()).0, CapType::Mapping, "{record:x?}");
        let kind = SpaceKind::from_number(record.kind).expect("a kind");
        if kind == SpaceKind::Table {
            assert_eq!(object.vnode_level(), Some(record.level));
            assert_eq!((record.bytes, record.base % record.bytes), (1 << (48 - 9 * record.level), 0));
        } else {
            assert_eq!((object, record.level), (CapType::Frame, 3));
            let hardware = &mut core.machine.hardware;
            for offset in (0..record.bytes).step_by(4096) {
                let page = hardware.translate(record.base + offset).expect("mapped");
                assert_eq!(page.rights, Rights::from_bits(record.rights.into()), "{record:x?}");
                assert!((base..base + size).contains(&page.address), "{record:x?}");
            }
            // The mapping is the one: with it goes the memory.
            call(&mut core, Syscall::CapDelete, &[0, record.mapping.into()]).expect("unmapped");
            assert!(core.machine.hardware.translate(record.base).is_err());
            assert!(core.machine.hardware.translate(record.base + record.bytes - 1).is_err());
        }
        found.push((kind, record.level, record.base));
    }
    let table = |level, base: u64| (SpaceKind::Table, level, base);
    let expected = [
        table(1, 0),
        table(2, 0),
        table(3, 0x20_0000),
        table(2, FRAME_BASE >> 30 << 30),
        table(3, FRAME_BASE >> 21 << 21),
        (SpaceKind::Image, 3, 0x20_0000),
        (SpaceKind::Image, 3, 0x20_1000),
        (SpaceKind::Stack, 3, STACK_TOP - STACK_SIZE),
        (SpaceKind::Frame, 3, FRAME_BASE),
        (SpaceKind::Start, 3, START_BASE),
        (SpaceKind::Boot, 3, abi::boot::BOOT_INFO_BASE),
    ];
    assert_eq!(found, expected);
    assert_eq!((info.page_cnodes, info.first_free_cnode, info.root_slots), (1, 3, 64));
}

#[test]
fn each_number_that_is_no_system_call_is_refused() {
    let mut core = core();
    for number in [Syscall::COUNT, 64, u64::MAX] {
        let error = syscall::call(&mut core, number, [0; 7]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::UnknownSyscall);
    }
}

#[test]
fn a_forged_capability_address_names_nothing() {
    let mut core = core();
    for (address, expected) in [
        (0, ErrorKind::BadSlot),
        (1 << 32, ErrorKind::AddressOutOfRange),
        (u64::MAX, ErrorKind::AddressOutOfRange),
        (free(200), ErrorKind::EmptySlot),
        (CapAddr::new(40, 1).0, ErrorKind::NoCNode),
    ] {
        assert_eq!(call(&mut core, Syscall::CapIdentify, &[address]), Err(expected), "{address:#x}");
    }
}

#[test]
fn a_dispatcher_that_lost_its_address_space_ends_instead_of_running() {
    let mut core = core();
    let d = core.machine.current.expect("init runs");
    repeat(&mut core, Syscall::CapRevoke, &[0, ROOT_VNODE.0]).expect("revoke");
    assert!(matches!(schedule::next(&mut core), Next::Idle));
    assert_eq!(core.machine.dispatcher(d).state(), State::Ended);
}

#[test]
fn a_dispatcher_that_deletes_the_ground_it_stands_on_is_gone() {
    let mut core = core();
    for slot in [SELF_DISPATCHER.0, SELF_FRAME.0, ROOT_VNODE.0, ROOT_CNODE.0] {
        let _ = repeat(&mut core, Syscall::CapRevoke, &[0, slot]);
    }
    while core.db.step(&mut core.machine, caps::BUDGET) == caps::Progress::More {}
    assert!(matches!(schedule::next(&mut core), Next::Idle));
}

#[test]
fn a_wait_ends_at_its_deadline_and_the_timer_is_off_when_nobody_waits() {
    let mut core = core();
    assert_eq!(core.machine.hardware.timer, None);
    assert_eq!(call(&mut core, Syscall::Wait, &[1000]), Ok(Reply::Switch));
    assert!(matches!(schedule::next(&mut core), Next::Idle));
    assert_eq!(core.machine.hardware.timer, Some(1000));
    core.machine.hardware.ticks = 1001;
    kernel::trap::interrupt(&mut core);
    assert!(matches!(schedule::next(&mut core), Next::Upcall { .. }));
    assert_eq!(core.machine.hardware.timer, None);
}

#[test]
fn a_resumed_context_is_the_one_that_was_saved_and_waits_for_ready_events() {
    let mut core = core();
    let d = core.machine.current.expect("init runs");
    let frame = core.machine.frame(d).expect("frame");
    let mut context = core.context;
    frame.load_context(Area::Enabled, &mut context);
    (context.pc, context.x[7]) = (0x1234, 99);
    frame.store_context(Area::Enabled, &context);
    frame.set_ready(5);
    assert_eq!(call(&mut core, Syscall::Resume, &[0]), Ok(Reply::Value(0)));
    // User space clears its ready events.
    let mut core = self::core();
    let frame = core.machine.frame(core.machine.current.expect("init")).expect("frame");
    frame.store_context(Area::Enabled, &context);
    assert_eq!(call(&mut core, Syscall::Resume, &[0]), Ok(Reply::Switch));
    assert!(matches!(schedule::next(&mut core), Next::Restore));
    assert_eq!((core.context.pc, core.context.x[7]), (0x1234, 99));
    assert!(!frame.is_disabled());
}

#[test]
fn a_root_cnode_grows_and_every_capability_keeps_its_address() {
    let mut core = core();
    retype(&mut core, EARLY_RAM.0, CapType::L1CNode, 0, 16384, 1, free(100)).expect("a larger root");
    repeat(&mut core, Syscall::CSpaceResize, &[SELF_DISPATCHER.0, free(100)]).expect("resize");
    assert_eq!(call(&mut core, Syscall::CapIdentify, &[KERNEL.0]), Ok(Reply::Results));
    assert_eq!(call(&mut core, Syscall::CapIdentify, &[CapAddr::new(200, 1).0]), Err(ErrorKind::NoCNode));
    assert_eq!(
        call(&mut core, Syscall::CapIdentify, &[CapAddr::new(255, 1).0]),
        Err(ErrorKind::AddressOutOfRange)
    );
}

#[test]
fn a_dispatcher_that_wants_no_slice_or_a_long_one_still_makes_room_for_others() {
    for ticks in [0, 1 << 62, u64::MAX] {
        let mut core = core();
        let ready = second_dispatcher(&mut core);
        call(&mut core, Syscall::DispatcherStart, &[second()]).expect("started");
        call(&mut core, Syscall::SliceRequest, &[SELF_DISPATCHER.0, ticks]).expect("a slice");
        call(&mut core, Syscall::Yield, &[]).expect("the other runs");
        assert!(matches!(schedule::next(&mut core), Next::Upcall { .. }));
        call(&mut core, Syscall::Yield, &[]).expect("and this one again");
        assert!(matches!(schedule::next(&mut core), Next::Upcall { .. }));
        for _ in 0..schedule::SLICE_MS {
            call(&mut core, Syscall::SliceRequest, &[SELF_DISPATCHER.0, ticks]).expect("a slice");
            core.machine.hardware.ticks += core.machine.hardware.ticks_per_ms();
        }
        assert!(core.machine.hardware.timer.is_some_and(|at| at <= core.machine.hardware.ticks), "no timer");
        kernel::trap::interrupt(&mut core);
        let _ = schedule::next(&mut core);
        assert_eq!(core.machine.current, Some(ready), "after {ticks} ticks");
    }
}

#[test]
fn overlapping_unaligned_and_overflowing_retypes_are_refused() {
    let mut core = core();
    let frame = CapType::Frame;
    assert!(retype(&mut core, EARLY_RAM.0, frame, 0x1000, 0x2000, 1, free(100)).is_ok());
    for (offset, size, expected) in [
        (0x2000, 0x1000, ErrorKind::Overlap),
        (0, 0x2000, ErrorKind::Overlap),
        (0x3800, 0x1000, ErrorKind::Unaligned),
        (0x4000, 0x1001, ErrorKind::Unaligned),
        (!0xfff, 0x1000, ErrorKind::OutOfRange),
        (0x4000, !0xfff, ErrorKind::OutOfRange),
        (1 << 30, 0x1000, ErrorKind::OutOfRange),
    ] {
        assert_eq!(
            retype(&mut core, EARLY_RAM.0, frame, offset, size, 1, free(101)),
            Err(expected),
            "{offset:#x} + {size:#x}"
        );
    }
}

fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        0u64..20,
        (0u64..4, 0u64..40).prop_map(|(l1, slot)| l1 << 8 | slot),
        (0u64..512).prop_map(|page| page << 12),
        Just(abi::layout::USER_END),
        any::<u64>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("BARRELDISH_LONG").is_some() { 5000 } else { 60 }))]

    /// Whatever a domain asks for, the kernel answers or lets somebody else run; it neither panics nor touches memory outside the arena.
    #[test]
    fn no_argument_harms_the_kernel(calls in prop::collection::vec((0..Syscall::COUNT + 3, prop::array::uniform7(word())), 1..200)) {
        let mut core = core();
        for (number, arguments) in calls {
            if number == Syscall::PowerOff as u64 {
                continue;
            }
            core.packet.header = arguments[6];
            if syscall::call(&mut core, number, arguments) == Ok(Reply::Switch) && !somebody_runs(&mut core) {
                break;
            }
        }
        prop_assert!(core.machine.hardware.mmu.complaints.is_empty());
    }
}

/// Lets time pass until somebody runs; false when nobody ever will.
fn somebody_runs(core: &mut Core) -> bool {
    for _ in 0..2 {
        if !matches!(schedule::next(core), Next::Idle) {
            return true;
        }
        core.machine.hardware.ticks += 1 << 30;
        kernel::trap::interrupt(core);
    }
    false
}
