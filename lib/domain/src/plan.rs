//! What a domain needs, and where each of its objects lies in its Ram: pure arithmetic.

use alloc::vec::Vec;
use core::fmt;

use abi::PAGE_SIZE;
use abi::cap::{L1_CNODE_MIN_SIZE, L2_CNODE_SIZE, L2_SLOTS, VNODE_SIZE};
use abi::layout::{FRAME_BASE, FRAME_SIZE, STACK_SIZE, START_BASE, TOP_BASE};
use loader::{Image, Segment};

use crate::start::StartBlock;

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
    /// For a server, which every domain may be a client of: 992 endpoints and doorbells, some 220 channels.
    pub const SERVER: Sizes = Sizes { dispatcher: 32 * 1024, frame: 128 * 1024, early_ram: 256 * 1024 };
}

/// Most bytes of a dispatcher frame: up to the start information.
pub const MAX_FRAME_SIZE: u64 = START_BASE - FRAME_BASE;
/// Most level 3 tables for an image: it may lie in this many regions of 2 MiB.
pub const MAX_TABLES: usize = 96;

/// log2 of what an entry of a level 2 table covers.
const REGION_SHIFT: u32 = 21;
/// log2 of what an entry of a level 1 table covers.
const LARGE_SHIFT: u32 = 30;

/// Why no domain can be made of an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlanError {
    /// It spreads over more than [`MAX_TABLES`] regions of 2 MiB.
    TooManyRegions,
    /// Its page tables and mappings do not fit into the page CNode.
    TooManyMappings {
        /// Slots that they would take.
        slots: u64,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlanError::TooManyRegions => {
                write!(
                    f,
                    "the image is too large or scattered: expected at most {MAX_TABLES} regions of 2 MiB"
                )
            }
            PlanError::TooManyMappings { slots } => {
                write!(f, "page tables and mappings take {slots} slots: expected fewer than {L2_SLOTS}")
            }
        }
    }
}

impl core::error::Error for PlanError {}

/// Where everything lies. Offsets are in bytes from the start of the Ram, sizes whole pages.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Addresses `>> 30` for which there is a level 2 table, ascending.
    pub(crate) larges: Vec<u64>,
    /// Addresses `>> 21` for which there is a level 3 table, ascending.
    pub(crate) regions: Vec<u64>,
    pub(crate) tables: u64,
    pub(crate) dispatcher: u64,
    pub(crate) sizes: Sizes,
    /// The frame of everything that the child sees: dispatcher frame, start information, image, stack.
    pub(crate) body: u64,
    pub(crate) body_size: u64,
    pub(crate) start_size: u64,
    pub(crate) early: u64,
}

/// Offset of the root CNode, the task CNode and the page CNode.
pub(crate) const ROOT_OFFSET: u64 = 0;
pub(crate) const TASK_OFFSET: u64 = L1_CNODE_MIN_SIZE;
pub(crate) const PAGE_OFFSET: u64 = TASK_OFFSET + L2_CNODE_SIZE;
const TABLES_OFFSET: u64 = PAGE_OFFSET + L2_CNODE_SIZE;

impl Plan {
    /// Lays out a domain of `image` with this start information.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn new(image: &Image<'_>, start: &StartBlock, sizes: Sizes) -> Result<Plan, PlanError> {
        let mut regions = image_regions(image)?;
        let image_mappings = regions.mappings;
        regions.list.push(TOP_BASE >> REGION_SHIFT);
        let mut larges: Vec<u64> =
            regions.list.iter().map(|region| region >> (LARGE_SHIFT - REGION_SHIFT)).collect();
        larges.dedup();
        // A table and its mapping for level 1 and each at level 2 and 3; then dispatcher frame, start information, stack;
        // then the frame that holds the body, twice for a moment.
        let slots = 2 * (1 + larges.len() + regions.list.len()) as u64 + image_mappings + 3 + 2;
        if slots >= L2_SLOTS {
            return Err(PlanError::TooManyMappings { slots });
        }
        let tables = (2 + larges.len() + regions.list.len()) as u64;
        let dispatcher = TABLES_OFFSET + tables * VNODE_SIZE;
        let body = dispatcher + sizes.dispatcher;
        let start_size = (start.size() as u64).next_multiple_of(PAGE_SIZE);
        let body_size = sizes.frame + start_size + image.page_count() * PAGE_SIZE + STACK_SIZE;
        Ok(Plan {
            larges,
            regions: regions.list,
            tables: TABLES_OFFSET,
            dispatcher,
            sizes,
            body,
            body_size,
            start_size,
            early: body + body_size,
        })
    }

    /// Bytes of Ram that the domain takes in all.
    pub fn bytes(&self) -> u64 {
        self.early + self.sizes.early_ram
    }

    /// Offset of the image in the body.
    pub(crate) fn image(&self) -> u64 {
        self.sizes.frame + self.start_size
    }

    /// Offset of the stack in the body: its end, which alone needs no content.
    pub(crate) fn stack(&self) -> u64 {
        self.body_size - STACK_SIZE
    }
}

struct Regions {
    list: Vec<u64>,
    /// Pairs of a segment and a region that it touches: a mapping each.
    mappings: u64,
}

fn image_regions(image: &Image<'_>) -> Result<Regions, PlanError> {
    let mut regions = Regions { list: Vec::new(), mappings: 0 };
    for segment in image.segments() {
        for piece in pieces(segment) {
            let region = piece.region();
            regions.mappings += 1;
            if regions.list.last() != Some(&region) {
                regions.list.push(region);
            }
            if regions.list.len() > MAX_TABLES {
                return Err(PlanError::TooManyRegions);
            }
        }
    }
    Ok(regions)
}

/// The part of a segment that one level 3 table shows: pages from `start` to `end`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Piece {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Piece {
    pub(crate) fn region(self) -> u64 {
        self.start >> REGION_SHIFT
    }
    /// Entry of the first page in the table.
    pub(crate) fn first_entry(self) -> u64 {
        self.start / PAGE_SIZE % (1 << (REGION_SHIFT - 12))
    }
    pub(crate) fn entries(self) -> u64 {
        (self.end - self.start) / PAGE_SIZE
    }
}

/// A segment's pages, cut at the borders of level 3 tables.
pub(crate) fn pieces(segment: &Segment<'_>) -> impl Iterator<Item = Piece> {
    let pages = segment.pages();
    let mut start = pages.start;
    core::iter::from_fn(move || {
        (start < pages.end).then(|| {
            let end = pages.end.min(((start >> REGION_SHIFT) + 1) << REGION_SHIFT);
            let piece = Piece { start, end };
            start = end;
            piece
        })
    })
}
