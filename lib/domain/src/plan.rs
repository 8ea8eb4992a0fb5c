//! What a domain needs, where each of its objects lies in its Ram, and the books of its address space: pure arithmetic.

use alloc::vec::Vec;
use core::fmt;

use abi::cap::{CapAddr, L1_CNODE_MIN_SIZE, L2_CNODE_SIZE, L2_SLOTS, SLOT_SIZE, VNODE_SIZE};
use abi::layout::{
    FRAME_BASE, FRAME_SIZE, PAGE_CNODE, STACK_SIZE, STACK_TOP, START_BASE, START_END, SpaceKind, SpaceRecord,
};
use abi::{PAGE_SIZE, Rights};
use loader::{Image, Segment};

use crate::start::{MAX_START_BYTES, StartBlock};

/// How large the parts of a domain are that do not follow from its image. Whole pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sizes {
    /// Bytes of its dispatcher, a power of two, which limit its endpoints and doorbells
    /// ([`abi::cap::dispatcher_events`]).
    pub dispatcher: u64,
    /// Bytes of its dispatcher frame, which limit the rings of its channels; at most [`MAX_FRAME_SIZE`].
    pub frame: u64,
    /// Bytes of Ram of its own.
    pub early_ram: u64,
}

impl Sizes {
    /// For a program: 224 endpoints and doorbells, some 50 channels.
    pub const PROGRAM: Sizes = Sizes { dispatcher: 8192, frame: FRAME_SIZE, early_ram: 128 * 1024 };
    /// For a server, which every domain may be a client of: 992 endpoints and doorbells, some 450 channels.
    pub const SERVER: Sizes = Sizes { dispatcher: 32 * 1024, frame: 256 * 1024, early_ram: 256 * 1024 };
}

/// Most bytes of a dispatcher frame: up to the start information.
pub const MAX_FRAME_SIZE: u64 = START_BASE - FRAME_BASE;
/// Most page tables and mappings of a domain: 4 GiB of contents, and any amount of zeros.
pub const MAX_RECORDS: usize = 4096;

/// Bytes of the largest start information.
const MOST_START: u64 = (MAX_START_BYTES + MAX_RECORDS * size_of::<SpaceRecord>()) as u64;
const _: () = assert!(START_BASE + MOST_START + PAGE_SIZE <= START_END);
// One level 3 table shows all that is mapped besides the image.
const _: () = assert!((STACK_TOP - STACK_SIZE) >> REGION_SHIFT == (START_END - 1) >> REGION_SHIFT);

/// log2 of what an entry of a level 2 table covers.
const REGION_SHIFT: u32 = 21;
/// log2 of what an entry of a level 1 table covers.
const LARGE_SHIFT: u32 = 30;
/// Bytes of a large page.
const LARGE_PAGE: u64 = 1 << REGION_SHIFT;
/// Slots of an L2 CNode that can be used.
const NODE_SLOTS: u64 = L2_SLOTS - 1;
/// Slots of the root CNode that the child finds free, at least.
const FREE_ROOT_SLOTS: u64 = 32;

/// Why no domain can be made of an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlanError {
    /// It takes more than [`MAX_RECORDS`] page tables and mappings.
    TooManyMappings {
        /// How many it would take.
        records: usize,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PlanError::TooManyMappings { records } = self;
        write!(
            f,
            "the image is too large or scattered: it takes {records} page tables and mappings, \
             expected at most {MAX_RECORDS}"
        )
    }
}

impl core::error::Error for PlanError {}

/// Where everything lies. Offsets are in bytes from the start of the Ram, sizes whole pages.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The books that the child gets, in the order of building: the level 1 table, all level 2 tables, what large pages
    /// show, and then each level 3 table with what it shows.
    pub(crate) records: Vec<SpaceRecord>,
    /// How many of them are level 2 tables.
    pub(crate) level_2: usize,
    /// How many of them are large pages.
    pub(crate) large_windows: usize,
    pub(crate) page_cnodes: u64,
    /// First free slot of the last page CNode.
    pub(crate) first_page_slot: u64,
    /// For the capabilities, without rights, that keep the frames of the child alive. The first if there are large pages.
    pub(crate) large_holder: CapAddr,
    pub(crate) body_holder: CapAddr,
    /// The frame of what large pages show, all zeros: at the start of the Ram, because of its alignment.
    pub(crate) large_size: u64,
    pub(crate) root: u64,
    pub(crate) root_size: u64,
    pub(crate) task: u64,
    pub(crate) pages: u64,
    pub(crate) tables: u64,
    pub(crate) dispatcher: u64,
    pub(crate) sizes: Sizes,
    /// The frame of everything else that the child sees: dispatcher frame, start information, image, stack.
    pub(crate) body: u64,
    pub(crate) body_size: u64,
    /// Offset of the records in the start information.
    pub(crate) record_offset: u64,
    pub(crate) start_size: u64,
    pub(crate) early: u64,
}

impl Plan {
    /// Lays out a domain of `image` with this start information.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn new(image: &Image<'_>, start: &StartBlock, sizes: Sizes) -> Result<Plan, PlanError> {
        let record_offset = (start.size() as u64).next_multiple_of(align_of::<SpaceRecord>() as u64);
        let count = count(windows(image, sizes, PAGE_SIZE));
        if count > MAX_RECORDS {
            return Err(PlanError::TooManyMappings { records: count });
        }
        let start_size =
            (record_offset + (count * size_of::<SpaceRecord>()) as u64).next_multiple_of(PAGE_SIZE);
        let mut books = Books { records: Vec::with_capacity(count), slots: 0 };
        let all = || windows(image, sizes, start_size);
        books.table(1, 0);
        let level_2 = books.tables(2, LARGE_SHIFT, all());
        let has_large = all().any(|window| window.level == 2);
        let large_holder = if has_large { books.slot() } else { CapAddr::NULL };
        let body_holder = books.slot();
        let mut large_size = 0;
        for window in all().filter(|window| window.level == 2) {
            large_size += window.end - window.start;
            books.memory(window, large_holder);
        }
        let large_windows = books.records.len() - 1 - level_2;
        let mut region = u64::MAX;
        for window in all().filter(|window| window.level == 3) {
            if core::mem::replace(&mut region, window.start >> REGION_SHIFT) != region {
                books.table(3, region << REGION_SHIFT);
            }
            books.memory(window, body_holder);
        }
        let tables = books.records.iter().filter(|record| record.kind == SpaceKind::Table as u16).count();
        let page_cnodes = books.slots.div_ceil(NODE_SLOTS);
        let root_size = (PAGE_CNODE + page_cnodes + FREE_ROOT_SLOTS).next_power_of_two() * SLOT_SIZE;
        let root_size = root_size.max(L1_CNODE_MIN_SIZE);
        let root = large_size;
        let task = root + root_size;
        let pages = task + L2_CNODE_SIZE;
        let tables_offset = pages + page_cnodes * L2_CNODE_SIZE;
        let dispatcher = tables_offset + (1 + tables as u64) * VNODE_SIZE;
        let body = dispatcher + sizes.dispatcher;
        let image_size = image.page_count() * PAGE_SIZE - large_size;
        let body_size = sizes.frame + start_size + image_size + STACK_SIZE;
        Ok(Plan {
            first_page_slot: books.slots - (page_cnodes - 1) * NODE_SLOTS + 1,
            records: books.records,
            level_2,
            large_windows,
            page_cnodes,
            large_holder,
            body_holder,
            large_size,
            root,
            root_size,
            task,
            pages,
            tables: tables_offset,
            dispatcher,
            sizes,
            body,
            body_size,
            record_offset,
            start_size,
            early: body + body_size,
        })
    }

    /// Bytes of Ram that the domain takes in all.
    pub fn bytes(&self) -> u64 {
        self.early + self.sizes.early_ram
    }

    /// What the address of that Ram must be a multiple of.
    pub fn align(&self) -> u64 {
        if self.large_size == 0 { PAGE_SIZE } else { LARGE_PAGE }
    }

    /// Offset of the image in the body.
    pub(crate) fn image(&self) -> u64 {
        self.sizes.frame + self.start_size
    }

    /// Offset of the stack in the body: its end, which alone needs no content.
    pub(crate) fn stack(&self) -> u64 {
        self.body_size - STACK_SIZE
    }

    /// The records of the tables of level 1 and 2.
    pub(crate) fn upper(&self) -> &[SpaceRecord] {
        &self.records[..1 + self.level_2]
    }

    /// The records of what large pages show.
    pub(crate) fn large(&self) -> &[SpaceRecord] {
        &self.records[1 + self.level_2..][..self.large_windows]
    }

    /// The records of each level 3 table, followed by those of what it shows.
    pub(crate) fn lower(&self) -> &[SpaceRecord] {
        &self.records[1 + self.level_2 + self.large_windows..]
    }
}

/// Records as they are made, and the slots of the page CNodes that they take.
struct Books {
    records: Vec<SpaceRecord>,
    slots: u64,
}

impl Books {
    fn slot(&mut self) -> CapAddr {
        let (node, slot) = (self.slots / NODE_SLOTS, self.slots % NODE_SLOTS + 1);
        self.slots += 1;
        CapAddr::new(PAGE_CNODE + node, slot)
    }

    fn table(&mut self, level: u8, base: u64) {
        let (object, mapping) = (self.slot(), self.slot());
        self.records.push(SpaceRecord {
            base,
            bytes: 1 << (48 - 9 * u32::from(level)),
            object: object.0 as u32,
            mapping: mapping.0 as u32,
            kind: SpaceKind::Table as u16,
            level,
            rights: 0,
            reserved: 0,
        });
    }

    /// Tables for all windows, which are in ascending order, one for each `1 << shift` bytes; how many.
    fn tables(&mut self, level: u8, shift: u32, windows: impl Iterator<Item = Window>) -> usize {
        let before = self.records.len();
        let mut last = u64::MAX;
        for window in windows {
            if core::mem::replace(&mut last, window.start >> shift) != last {
                self.table(level, last << shift);
            }
        }
        self.records.len() - before
    }

    fn memory(&mut self, window: Window, frame: CapAddr) {
        let mapping = self.slot();
        self.records.push(SpaceRecord {
            base: window.start,
            bytes: window.end - window.start,
            object: frame.0 as u32,
            mapping: mapping.0 as u32,
            kind: window.kind as u16,
            level: window.level,
            rights: window.rights.bits() as u8,
            reserved: 0,
        });
    }
}

/// Memory that one table shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Window {
    start: u64,
    end: u64,
    level: u8,
    rights: Rights,
    kind: SpaceKind,
}

/// How many records these windows and their tables take.
fn count(windows: impl Iterator<Item = Window>) -> usize {
    // The level 1 table.
    let mut count = 1;
    let (mut large, mut region) = (u64::MAX, u64::MAX);
    for window in windows {
        count += 1 + usize::from(window.start >> LARGE_SHIFT != large);
        large = window.start >> LARGE_SHIFT;
        if window.level == 3 {
            count += usize::from(window.start >> REGION_SHIFT != region);
            region = window.start >> REGION_SHIFT;
        }
    }
    count
}

/// All that the child sees, in ascending order.
fn windows(image: &Image<'_>, sizes: Sizes, start_size: u64) -> impl Iterator<Item = Window> {
    let data = Rights::READ.or(Rights::WRITE);
    let top = [
        (STACK_TOP - STACK_SIZE, STACK_SIZE, SpaceKind::Stack),
        (FRAME_BASE, sizes.frame, SpaceKind::Frame),
        (START_BASE, start_size, SpaceKind::Start),
    ];
    let top =
        top.map(|(start, bytes, kind)| Window { start, end: start + bytes, level: 3, rights: data, kind });
    image.segments().flat_map(|segment| segment_windows(*segment)).chain(top)
}

/// A segment's windows: at level 2 what [`large_part`] says, the rest at level 3.
fn segment_windows(segment: Segment<'_>) -> impl Iterator<Item = Window> {
    let (pages, (from, to)) = (segment.pages(), large_part(&segment));
    let mut start = pages.start;
    core::iter::from_fn(move || {
        (start < pages.end).then(|| {
            let large = (from..to).contains(&start);
            let (shift, limit) = if large { (LARGE_SHIFT, to) } else { (REGION_SHIFT, pages.end) };
            let end = limit.min(((start >> shift) + 1) << shift);
            let level = if large { 2 } else { 3 };
            let window = Window { start, end, level, rights: segment.rights, kind: SpaceKind::Image };
            start = end;
            window
        })
    })
}

/// The part of a segment that large pages show: the whole large pages of its zeros, from and to. Code is left alone:
/// its caches want cleaning.
pub(crate) fn large_part(segment: &Segment<'_>) -> (u64, u64) {
    let from = segment.zero_tail().start.next_multiple_of(LARGE_PAGE);
    let to = segment.pages().end & !(LARGE_PAGE - 1);
    if from < to && !segment.rights.contains(Rights::EXECUTE) { (from, to) } else { (0, 0) }
}
