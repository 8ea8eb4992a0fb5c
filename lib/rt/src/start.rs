//! How a domain starts, and what its builder must have set up.
//!
//! # What the builder does
//!
//! 1. Maps the image, with the rights of its segments, and gives the dispatcher as *upcall vector* the ELF entry point
//!    (`_start`: aligned to 128 bytes, entries every [`abi::frame::UPCALL_STRIDE`]).
//! 2. Maps the main thread's stack, readable and writable: `StartInfo::stack_size` bytes below
//!    [`STACK_TOP`], with nothing below, down to [`STACK_LIMIT`](abi::layout::STACK_LIMIT) and further; the dispatcher frame (zeroed) at [`FRAME_BASE`](abi::layout::FRAME_BASE) and
//!    the start information, which may be read-only, at an address that it writes into `DispatcherFrame::start_info`.
//! 3. Fills the task CNode: `SELF_DISPATCHER`, `ROOT_CNODE` (all rights: the runtime puts CNodes into it),
//!    `SELF_TASK_CNODE`, `ROOT_VNODE`, `SELF_FRAME`; `EARLY_RAM`: a Ram capability of at least [`EARLY_RAM_MIN`]
//!    bytes (CNodes and page tables are carved from it; 128 KiB are comfortable).
//! 4. For the name service: retypes the child's dispatcher to an EndPoint with event index 0 into `NAMES_OWN`, puts the name
//!    service's endpoint into `NAMES_PEER` (WRITE), and connects the two (`EndpointConnect`) before or after it starts.
//!    The child configures its ring: [`NAMES_RING_PACKETS`] packets at [`NAMES_RING`]. Hence `first_event` is at least 1
//!    and `first_ring` at least [`FIRST_RING`] (the runtime takes the larger of that and what it is told).
//! 5. Fills [`StartInfo`], with a record of every page table and mapping that it made behind it ([`handed_over`]); `extra[0]` is the address, in the child's CSpace, of the VNodeL1 that is mapped at entry 0
//!    of the root table (the windows of heap and mappings lie there). 0: the child can map nothing and its heap is
//!    what its image holds.
//!
//! L1 indices from `StartInfo::first_free_cnode` on are the child's; occupied ones are left alone. The CNodes with page tables
//! and mappings are taken over, free slots and all.

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::OnceCell;

use abi::cap::{L1_CNODE_MAX_SIZE, SLOT_SIZE};
#[cfg(doc)]
use abi::layout::STACK_TOP;
use abi::layout::{STACK_SIZE, SpaceKind, SpaceRecord, StartInfo, USER_END, USER_LOWEST};
use abi::{CapAddr, PAGE_SIZE, Rights};
use sys::{Cap, Mapping};

use crate::frame::{RINGS_OFFSET, ring_bytes};
use crate::local::local;

/// Packets of the ring to the name service.
pub const NAMES_RING_PACKETS: u32 = 8;
/// Its offset in the dispatcher frame.
pub const NAMES_RING: u64 = RINGS_OFFSET;
/// The first offset in the dispatcher frame that `StartInfo::first_ring` can say.
pub const FIRST_RING: u64 = NAMES_RING + ring_bytes(NAMES_RING_PACKETS);
/// Least bytes of early RAM with which the memory service can be reached.
pub const EARLY_RAM_MIN: u64 = 64 * 1024;
/// Index in `StartInfo::extra` of the level 1 table over the first 512 GiB.
pub const EXTRA_LEVEL1: usize = 0;

/// What a domain was started with.
struct Start {
    info: StartInfo,
    /// The start information as bytes; strings lie in it.
    bytes: &'static [u8],
}

local! {
    static START: OnceCell<Start> = OnceCell::new();
}

fn with<R>(f: impl FnOnce(&Start) -> R) -> Option<R> {
    START.with(|start| start.get().map(f))
}

/// The start information.
pub fn info() -> Option<StartInfo> {
    with(|start| start.info)
}

/// Bytes of the main thread's stack.
pub(crate) fn stack_size() -> u64 {
    info().map_or(STACK_SIZE, |info| info.stack_size)
}

/// `count` strings from `offset` on, each ended by a NUL. What is cut off, or no UTF-8, is left out.
fn strings(bytes: &'static [u8], offset: u32, count: u32) -> impl Iterator<Item = &'static str> {
    let tail = bytes.get(offset as usize..).unwrap_or(&[]);
    let whole = tail.iter().rposition(|&byte| byte == 0).map(|end| &tail[..end]);
    let parts = whole.into_iter().flat_map(|whole| whole.split(|&byte| byte == 0));
    parts.take(count as usize).filter_map(|text| core::str::from_utf8(text).ok())
}

/// The arguments, the program's name first.
pub fn arguments() -> Vec<&'static str> {
    with(|start| strings(start.bytes, start.info.arg_offset, start.info.arg_count).collect())
        .unwrap_or_default()
}

/// The environment, as pairs of name and value.
pub fn environment() -> Vec<(&'static str, &'static str)> {
    let all = with(|start| strings(start.bytes, start.info.env_offset, start.info.env_count));
    all.into_iter().flatten().filter_map(|entry| entry.split_once('=')).collect()
}

/// The value of an environment variable.
pub fn variable(name: &str) -> Option<String> {
    environment().into_iter().find(|&(key, _)| key == name).map(|(_, value)| value.into())
}

/// The program's name; for reports, hence without allocation.
pub fn name() -> &'static str {
    with(|start| strings(start.bytes, start.info.arg_offset, 1).next()).flatten().unwrap_or("?")
}

/// A page table that the builder made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HandedTable {
    /// 1 to 3. The table of level 0 is [`ROOT_VNODE`](abi::layout::ROOT_VNODE) and not among them.
    pub level: u8,
    /// The first address that it covers.
    pub base: u64,
    /// The table, a VNode of its level.
    pub table: CapAddr,
    /// What puts it into its parent.
    pub mapping: Cap<Mapping>,
}

/// Memory that the builder mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HandedMemory {
    /// The first address.
    pub base: u64,
    /// Bytes.
    pub bytes: u64,
    /// Level of the table that shows it: 3, or 2 for pages of 2 MiB. It lies in one table.
    pub level: u8,
    /// The Frame that it is a part of, possibly without any rights. While a copy of it exists, the mapping does.
    pub frame: CapAddr,
    /// What shows it.
    pub mapping: Cap<Mapping>,
    /// How it may be used.
    pub rights: Rights,
    /// What it is.
    pub kind: SpaceKind,
}

/// An entry of the books of the address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HandedOver {
    /// A page table.
    Table(HandedTable),
    /// A mapping of memory.
    Memory(HandedMemory),
}

/// The address space as the builder left it: each page table before what lies in it. All of it is the domain's own, to unmap,
/// protect or replace. Records that make no sense are left out. Takes no memory.
pub fn handed_over() -> impl Iterator<Item = HandedOver> {
    with(|start| records(start.bytes, start.info)).into_iter().flatten()
}

/// The records in the start information `bytes`.
fn records(bytes: &[u8], info: StartInfo) -> impl Iterator<Item = HandedOver> {
    let tail = bytes.get(info.record_offset as usize..).unwrap_or(&[]);
    // A later builder's records may be larger; smaller ones are none.
    let size = info.record_size as usize;
    let all =
        (size >= size_of::<SpaceRecord>()).then(|| tail.chunks_exact(size).take(info.record_count as usize));
    all.into_iter().flatten().filter_map(|record| handed(&read_record(record)?))
}

fn read_record(bytes: &[u8]) -> Option<SpaceRecord> {
    fn part<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
        bytes.get(at..)?.first_chunk().copied()
    }
    use core::mem::offset_of;
    Some(SpaceRecord {
        base: u64::from_le_bytes(part(bytes, offset_of!(SpaceRecord, base))?),
        bytes: u64::from_le_bytes(part(bytes, offset_of!(SpaceRecord, bytes))?),
        object: u32::from_le_bytes(part(bytes, offset_of!(SpaceRecord, object))?),
        mapping: u32::from_le_bytes(part(bytes, offset_of!(SpaceRecord, mapping))?),
        kind: u16::from_le_bytes(part(bytes, offset_of!(SpaceRecord, kind))?),
        level: *bytes.get(offset_of!(SpaceRecord, level))?,
        rights: *bytes.get(offset_of!(SpaceRecord, rights))?,
        reserved: 0,
    })
}

/// What a record says, if it can be true.
fn handed(record: &SpaceRecord) -> Option<HandedOver> {
    let kind = SpaceKind::from_number(record.kind)?;
    let (object, mapping) = (address(record.object)?, Cap::new(address(record.mapping)?));
    let end = record.base.checked_add(record.bytes).filter(|&end| end <= USER_END)?;
    if kind == SpaceKind::Table {
        let whole = (1..=3).contains(&record.level) && record.bytes == covered(record.level);
        let table = HandedTable { level: record.level, base: record.base, table: object, mapping };
        return (whole && record.base.is_multiple_of(record.bytes)).then_some(HandedOver::Table(table));
    }
    let page = match record.level {
        2 => covered(3),
        3 => PAGE_SIZE,
        _ => return None,
    };
    let table = covered(record.level);
    let aligned = (record.base | record.bytes).is_multiple_of(page) && record.bytes != 0;
    let in_one_table = aligned && record.base >= USER_LOWEST && record.base / table == (end - 1) / table;
    let rights = Rights::from_bits(record.rights.into());
    // What the kernel makes mappings with: nothing is only written or executed, nothing is both.
    let usable = [Rights::READ, Rights::READ.or(Rights::WRITE), Rights::READ.or(Rights::EXECUTE)]
        .iter()
        .any(|usable| usable.bits() == u64::from(record.rights));
    let (base, bytes, level, frame) = (record.base, record.bytes, record.level, object);
    let memory = HandedMemory { base, bytes, level, frame, mapping, rights, kind };
    (in_one_table && usable).then_some(HandedOver::Memory(memory))
}

/// Bytes that a table of this level covers.
const fn covered(level: u8) -> u64 {
    1 << (48 - 9 * level as u32)
}

/// The address with this number, if it can name a capability.
fn address(number: u32) -> Option<CapAddr> {
    let address = CapAddr(number.into());
    (address.l1() < L1_CNODE_MAX_SIZE / SLOT_SIZE && address.slot() != 0).then_some(address)
}

#[cfg(target_os = "none")]
mod enter {
    use super::*;
    use core::ptr::NonNull;

    use abi::cap::dispatcher_events;
    use abi::frame::{DispatcherFrame, MAX_EVENTS};
    use abi::layout::START_MAGIC;

    use crate::{arch, console, dispatch, events, frame::Frame, heap, memory, slots, vspace};

    unsafe extern "Rust" {
        /// What `#[barreldish::main]` makes of the program's `main`: its exit code.
        safe fn __barreldish_main() -> i32;
    }

    /// The first Rust code of a domain.
    ///
    /// # Safety
    /// Called once, by the first upcall, with the address of the dispatcher frame.
    pub(crate) unsafe fn enter(base: *mut u8) -> ! {
        // SAFETY: the only call. `base` is the frame, by the caller's promise.
        unsafe {
            heap::start();
            arch::enable(base);
        }
        // SAFETY: the builder wrote the address of the start information into the frame (module documentation).
        let info =
            unsafe { (&raw const (*base.cast::<DispatcherFrame>()).start_info).read() as *const StartInfo };
        // SAFETY: as before.
        unsafe { read(info) };
        let info = super::info().unwrap_or_else(|| sys::exit(crate::report::FAULT_CODE));
        // SAFETY: the frame is as large as the builder says and nobody else in this domain touches it.
        let frame = unsafe { Frame::new(NonNull::new_unchecked(base), u64::from(info.frame_size)) };
        begin(frame, &info);
        let code = __barreldish_main();
        console::flush();
        sys::exit(code as u32 as u64)
    }

    /// Reads the start information; leaves it unset if it is none.
    unsafe fn read(at: *const StartInfo) {
        // SAFETY: the caller's promise: a readable, aligned structure lies there.
        let info = unsafe { at.read() };
        if info.magic != START_MAGIC || (info.size as usize) < size_of::<StartInfo>() {
            return;
        }
        // SAFETY: the structure says how many bytes belong to it, all mapped and never written again.
        let bytes = unsafe { core::slice::from_raw_parts(at.cast::<u8>(), info.size as usize) };
        START.with(|start| drop(start.set(Start { info, bytes })));
    }

    fn begin(frame: Frame, info: &StartInfo) {
        dispatch::init(frame);
        let limit = dispatcher_events(u64::from(info.dispatcher_size)).min(MAX_EVENTS as u64) as u32;
        let first_ring = u64::from(info.first_ring).max(FIRST_RING);
        events::init(info.first_event.max(1), limit, first_ring..frame.size().max(first_ring));
        slots::take_over(info);
        memory::init();
        vspace::init(sys::Cap::new(abi::CapAddr(info.extra[EXTRA_LEVEL1])));
    }
}
#[cfg(target_os = "none")]
pub(crate) use enter::enter;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_that_are_cut_off_are_left_out() {
        let bytes = b"....hello\0-v\0cut";
        let all: Vec<_> = strings(bytes, 4, 9).collect();
        assert_eq!(all, ["hello", "-v"]);
    }

    #[test]
    fn an_offset_beyond_the_end_gives_nothing() {
        assert_eq!(strings(b"a\0", 77, 3).count(), 0);
    }

    #[test]
    fn empty_arguments_are_kept() {
        let all: Vec<_> = strings(b"sh\0\0x\0", 0, 3).collect();
        assert_eq!(all, ["sh", "", "x"]);
    }

    const DATA: u8 = Rights::READ.or(Rights::WRITE).bits() as u8;

    /// A level 3 table, then what it shows.
    const GOOD: [SpaceRecord; 2] = [
        SpaceRecord {
            base: 0x20_0000,
            bytes: 2 << 20,
            object: 0x101,
            mapping: 0x102,
            kind: SpaceKind::Table as u16,
            level: 3,
            rights: 0,
            reserved: 0,
        },
        SpaceRecord {
            base: 0x20_1000,
            bytes: 0x3000,
            object: 0x103,
            mapping: 0x104,
            kind: SpaceKind::Image as u16,
            level: 3,
            rights: DATA,
            reserved: 0,
        },
    ];

    fn info(record_offset: u32, record_count: u32, record_size: u32) -> StartInfo {
        // SAFETY: plain numbers.
        let zero: StartInfo = unsafe { core::mem::zeroed() };
        StartInfo { record_offset, record_count, record_size, ..zero }
    }

    /// The records as the builder writes them, `size` bytes each, behind 8 bytes of something else.
    fn written(all: &[SpaceRecord], size: usize) -> Vec<u8> {
        let mut bytes = alloc::vec![0x55; 8];
        for record in all {
            let end = bytes.len() + size;
            for word in [record.base, record.bytes] {
                bytes.extend(word.to_le_bytes());
            }
            for half in [record.object, record.mapping] {
                bytes.extend(half.to_le_bytes());
            }
            bytes.extend(record.kind.to_le_bytes());
            bytes.extend([record.level, record.rights]);
            bytes.resize(end, 0);
        }
        bytes
    }

    fn read(all: &[SpaceRecord]) -> Vec<HandedOver> {
        records(&written(all, 32), info(8, all.len() as u32, 32)).collect()
    }

    #[test]
    fn records_are_read_as_they_are_written() {
        let [table, memory] = GOOD;
        let expected = [
            HandedOver::Table(HandedTable {
                level: 3,
                base: table.base,
                table: CapAddr::new(1, 1),
                mapping: Cap::new(CapAddr::new(1, 2)),
            }),
            HandedOver::Memory(HandedMemory {
                base: memory.base,
                bytes: 0x3000,
                level: 3,
                frame: CapAddr::new(1, 3),
                mapping: Cap::new(CapAddr::new(1, 4)),
                rights: Rights::READ.or(Rights::WRITE),
                kind: SpaceKind::Image,
            }),
        ];
        assert_eq!(read(&GOOD), expected);
        let larger = written(&GOOD, 40);
        assert!(records(&larger, info(8, 2, 40)).eq(expected), "records of a later builder");
        let large = SpaceRecord { base: 4 << 20, bytes: 6 << 20, level: 2, ..memory };
        assert!(matches!(read(&[large])[..], [HandedOver::Memory(HandedMemory { level: 2, .. })]));
    }

    #[test]
    fn records_that_make_no_sense_are_left_out() {
        let [table, memory] = GOOD;
        let bad = [
            SpaceRecord { kind: 0, ..memory },
            SpaceRecord { kind: 7, ..memory },
            SpaceRecord { object: 0, ..memory },
            SpaceRecord { mapping: 0x200, ..memory },
            SpaceRecord { mapping: u32::MAX, ..memory },
            SpaceRecord { object: 4096 << 8 | 1, ..memory },
            SpaceRecord { bytes: 0, ..memory },
            SpaceRecord { bytes: 0x800, ..memory },
            SpaceRecord { base: 0x20_0800, ..memory },
            SpaceRecord { base: 0, ..memory },
            SpaceRecord { base: 0x3f_f000, ..memory },
            SpaceRecord { base: USER_END - 0x2000, ..memory },
            SpaceRecord { base: u64::MAX - 0xfff, ..memory },
            SpaceRecord { base: USER_END, ..memory },
            SpaceRecord { base: USER_END, ..table },
            SpaceRecord { bytes: u64::MAX - 0xfff, ..memory },
            SpaceRecord { level: 1, ..memory },
            SpaceRecord { level: 2, ..memory },
            SpaceRecord { level: 4, ..memory },
            SpaceRecord { level: 255, ..memory },
            SpaceRecord { rights: 0, ..memory },
            SpaceRecord { rights: 2, ..memory },
            SpaceRecord { rights: 7, ..memory },
            SpaceRecord { rights: DATA | 0x10, ..memory },
            SpaceRecord { level: 0, ..table },
            SpaceRecord { level: 2, ..table },
            SpaceRecord { level: 4, ..table },
            SpaceRecord { level: 255, ..table },
            SpaceRecord { base: 0x20_1000, ..table },
            SpaceRecord { bytes: 0, ..table },
        ];
        for record in bad {
            assert_eq!(read(&[table, record, memory]).len(), 2, "{record:x?}");
        }
    }

    #[test]
    fn records_that_are_cut_off_are_left_out() {
        let bytes = written(&GOOD, 32);
        let count = |bytes: &[u8], offset, count, size| records(bytes, info(offset, count, size)).count();
        assert_eq!(count(&bytes, 8, 1000, 32), 2);
        assert_eq!(count(&bytes[..bytes.len() - 1], 8, 2, 32), 1);
        assert_eq!(count(&bytes, 8, 1, 32), 1);
        assert_eq!(count(&bytes, u32::MAX, 2, 32), 0);
        for size in [0, 1, 31, u32::MAX] {
            assert_eq!(count(&bytes, 8, 2, size), 0, "{size}");
        }
    }
}
