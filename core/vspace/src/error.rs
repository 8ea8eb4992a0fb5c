//! What can be wrong with a request.
use core::fmt;

use crate::{GIGABYTE, MAX_CHUNKS, SPACE_END};

/// Why a request was refused; nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// A size of zero.
    ZeroSize,
    /// Address and size exceed 64 bits.
    Overflow,
    /// An address or size is not a multiple of what it must be: the page, or 2 MiB for a large piece.
    Misaligned {
        /// What was given.
        value: u64,
        /// Of what it should be a multiple.
        granule: u64,
    },
    /// The alignment is not a power of two.
    BadAlignment {
        /// What was given.
        align: u64,
    },
    /// The alignment is a power of two, but larger than 1 GiB.
    AlignmentTooLarge {
        /// What was given.
        align: u64,
    },
    /// The chunk of a lazy area is not a power of two from the page to 2 MiB.
    BadChunk {
        /// What was given.
        chunk: u64,
    },
    /// No table translates the address: it is not below [`SPACE_END`].
    BeyondAddressSpace {
        /// What was given, or follows from it.
        address: u64,
    },
    /// A new window overlaps another one.
    Overlap {
        /// The first byte of the highest free range or area in the way.
        base: u64,
    },
    /// No free range holds this size at this alignment.
    NoSpace,
    /// The range to reserve is free up to a place that is in no window.
    OutsideWindows {
        /// That place.
        address: u64,
    },
    /// The range to reserve is free up to an area.
    NotFree {
        /// Where the area begins.
        base: u64,
    },
    /// No area holds the address.
    NotReserved {
        /// What was given.
        address: u64,
    },
    /// The address lies in an area that begins elsewhere.
    NotABase {
        /// Where the area begins.
        base: u64,
    },
    /// The area to release still has pieces.
    InUse {
        /// Where the first of them begins.
        base: u64,
    },
    /// A piece in a guard area.
    Guarded {
        /// Where the area begins.
        base: u64,
    },
    /// The piece goes beyond the end of the area that it begins in.
    BeyondArea {
        /// One past the end of the area.
        end: u64,
    },
    /// The piece goes beyond the end of its page table.
    CrossesTable {
        /// One past the last address that the table translates.
        end: u64,
    },
    /// A part of the piece is shown by another one.
    Covered {
        /// Where the first other one begins.
        base: u64,
    },
    /// An entry that the large piece needs holds a level 3 table.
    TableBelow {
        /// The first address that the first such table translates.
        base: u64,
    },
    /// No piece shows the address.
    NoPiece {
        /// What was given.
        address: u64,
    },
    /// The address lies in a piece that begins elsewhere.
    NotAPieceBase {
        /// Where the piece begins.
        base: u64,
    },
    /// The books know tables of level 1 to 3.
    BadLevel {
        /// What was given.
        level: u8,
    },
    /// A page table is missing.
    NoTable {
        /// Its level.
        level: u8,
        /// The first address that it would translate.
        base: u64,
    },
    /// There is such a table already.
    TableThere {
        /// The first address that it translates.
        base: u64,
    },
    /// The entry for the table is used by a large piece.
    LargePiece {
        /// Where the piece begins.
        base: u64,
    },
    /// The table to remove has pieces or tables in it.
    TableInUse {
        /// How many.
        users: u32,
    },
    /// The table to remove is to be kept: [`crate::Space::unpin`] first.
    Pinned,
    /// Too few spare nodes: [`crate::Space::add_nodes`] first.
    OutOfNodes,
    /// Chunks of nodes have been added [`MAX_CHUNKS`] times.
    TooManyChunks,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ZeroSize => f.write_str("size 0: expected at least one page"),
            Self::Overflow => f.write_str("address and size overflow: expected an end below 2^64"),
            Self::Misaligned { value, granule } => {
                write!(f, "{value:#x} is misaligned: expected a multiple of {granule:#x}")
            }
            Self::BadAlignment { align } => write!(f, "alignment {align:#x}: expected a power of two"),
            Self::AlignmentTooLarge { align } => {
                write!(f, "alignment {align:#x} is too large: expected at most {GIGABYTE:#x}")
            }
            Self::BadChunk { chunk } => {
                write!(f, "chunk {chunk:#x}: expected a power of two from the page to 2 MiB")
            }
            Self::BeyondAddressSpace { address } => {
                write!(f, "{address:#x} has no page table: expected an address below {SPACE_END:#x}")
            }
            Self::Overlap { base } => {
                write!(f, "overlaps what is at {base:#x}: expected addresses in no window yet")
            }
            Self::NoSpace => f.write_str("no space: expected a free range of this size and alignment"),
            Self::OutsideWindows { address } => {
                write!(f, "{address:#x} is in no window: expected a range inside one")
            }
            Self::NotFree { base } => write!(f, "reserved by the area at {base:#x}: expected a free range"),
            Self::OutOfNodes => f.write_str("out of nodes: expected them to be added in time"),
            Self::TooManyChunks => write!(f, "too many chunks of nodes: expected at most {MAX_CHUNKS}"),
            _ => self.fmt_entry(f),
        }
    }
}

impl Error {
    /// What is wrong with the area, piece or table that is there, or is to be.
    fn fmt_entry(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotReserved { address } => {
                write!(f, "{address:#x} is not reserved: expected an address inside an area")
            }
            Self::NotABase { base } => write!(f, "inside an area: expected its first address, {base:#x}"),
            Self::InUse { base } => write!(f, "the area has a piece at {base:#x}: expected none"),
            Self::Guarded { base } => write!(f, "a guard is at {base:#x}: expected an area with memory"),
            Self::BeyondArea { end } => write!(f, "beyond the area: expected an end of at most {end:#x}"),
            Self::CrossesTable { end } => {
                write!(f, "beyond the page table: expected an end of at most {end:#x}")
            }
            Self::Covered { base } => write!(f, "covered by the piece at {base:#x}: expected a gap"),
            Self::TableBelow { base } => {
                write!(f, "the entry holds the level 3 table at {base:#x}: expected it to be removed first")
            }
            Self::NoPiece { address } => write!(f, "no piece shows {address:#x}: expected one"),
            Self::NotAPieceBase { base } => {
                write!(f, "inside a piece: expected its first address, {base:#x}")
            }
            Self::BadLevel { level } => write!(f, "page table of level {level}: expected 1 to 3"),
            Self::NoTable { level, base } => {
                write!(f, "no page table of level {level} at {base:#x}: expected it to be entered first")
            }
            Self::TableThere { base } => write!(f, "a page table is at {base:#x}: expected none"),
            Self::LargePiece { base } => {
                write!(f, "the entry holds a large piece at {base:#x}: expected it to be removed first")
            }
            Self::TableInUse { users } => write!(f, "the page table has {users} users: expected none"),
            Self::Pinned => f.write_str("the page table is pinned: expected it to be unpinned first"),
            // All others are told by the caller.
            _ => Ok(()),
        }
    }
}

impl core::error::Error for Error {}
