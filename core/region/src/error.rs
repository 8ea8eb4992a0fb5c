//! What can be wrong with a request.
use core::fmt;

use crate::MAX_CHUNKS;

/// Why a request was refused; nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The named alignments are none, or not ascending powers of two, or span more than a factor of 2^31.
    BadAlignments,
    /// A size of zero.
    ZeroSize,
    /// An address or size is not a multiple of the granule.
    Misaligned {
        /// What was given.
        value: u64,
        /// The granule.
        granule: u64,
    },
    /// The alignment is not a power of two.
    BadAlignment {
        /// What was given.
        align: u64,
    },
    /// The alignment is a power of two, but larger than all named ones.
    AlignmentTooLarge {
        /// What was given.
        align: u64,
        /// The largest named one.
        most: u64,
    },
    /// Address and size exceed 64 bits.
    Overflow,
    /// A new root overlaps what is managed already.
    Overlap {
        /// The first byte of the region in the way.
        base: u64,
    },
    /// With the new root, 2^32 granules or more would be managed.
    TooLarge,
    /// No free region holds this size at this alignment.
    NoSpace,
    /// The range to allocate does not lie in one free region.
    NotFree,
    /// The address is not allocated.
    NotAllocated {
        /// What was given.
        address: u64,
    },
    /// The address lies in an allocation that begins elsewhere.
    NotABase {
        /// Where the allocation begins.
        base: u64,
    },
    /// The part to free goes beyond the end of its allocation.
    BeyondAllocation {
        /// One past the end of the allocation.
        end: u64,
    },
    /// Too few spare nodes: [`crate::Regions::add_nodes`] first.
    OutOfNodes,
    /// Chunks of nodes have been added [`MAX_CHUNKS`] times.
    TooManyChunks,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BadAlignments => {
                f.write_str("alignments: expected ascending powers of two within a factor of 2^31")
            }
            Self::ZeroSize => f.write_str("size 0: expected at least one granule"),
            Self::Misaligned { value, granule } => {
                write!(f, "{value:#x} is misaligned: expected a multiple of {granule:#x}")
            }
            Self::BadAlignment { align } => write!(f, "alignment {align:#x}: expected a power of two"),
            Self::AlignmentTooLarge { align, most } => {
                write!(f, "alignment {align:#x} is too large: expected at most {most:#x}")
            }
            Self::Overflow => f.write_str("address and size overflow: expected an end below 2^64"),
            Self::Overlap { base } => {
                write!(f, "overlaps the region at {base:#x}: expected addresses not yet managed")
            }
            Self::TooLarge => f.write_str("too much to manage: expected less than 2^32 granules in all"),
            Self::NoSpace => f.write_str("no space: expected a free region of this size and alignment"),
            Self::NotFree => f.write_str("not free: expected a range inside one free region"),
            Self::NotAllocated { address } => {
                write!(f, "{address:#x} is not allocated: expected an address inside an allocation")
            }
            Self::NotABase { base } => {
                write!(f, "inside an allocation: expected its first address, {base:#x}")
            }
            Self::BeyondAllocation { end } => {
                write!(f, "beyond the allocation: expected an end of at most {end:#x}")
            }
            Self::OutOfNodes => f.write_str("out of nodes: expected them to be added in time"),
            Self::TooManyChunks => write!(f, "too many chunks of nodes: expected at most {MAX_CHUNKS}"),
        }
    }
}

impl core::error::Error for Error {}
