//! Reads a static AArch64 ELF executable and validates all of it before anybody maps a page.
//!
//! The kernel uses it for `init`, the spawn service for every other program. [`Image::parse`] either refuses the
//! file with a [`LoadError`] that says what was wrong, or returns an [`Image`] of which all this holds:
//!
//! - there are 1 to [`MAX_SEGMENTS`] segments, in ascending order, each with at least one byte of memory;
//! - no two of them share a byte or even a page, so that each page has the rights of exactly one segment;
//! - no segment is both writable and executable, none is writable but not readable, none has no rights;
//! - all pages lie inside the given [`Limits`]; no address, size or file range overflows;
//! - the file's part of a segment lies inside the file and is not larger than its memory;
//! - the entry point is 4-byte aligned and lies in an executable segment;
//! - a thread-local template's bytes lie inside a readable segment.
//!
//! ```text
//!   page      address           + data.len()      + memory_size     page
//!   |  zero   |  bytes of the file |  zero tail      |    zero      |
//!   +---------+--------------------+-----------------+--------------+
//!   pages().start                                        pages().end
//! ```
//!
//! Every byte of [`Segment::pages`] that is not one of [`Segment::data`] must be zero in the new address space
//! (invariant K7). A page of the file may be mapped instead of copied only if all its bytes belong to the segment.
//!
//! The bytes must not change between parsing and copying: parse a private copy, never memory that another
//! domain can still write (invariant K6).
//!
//! Not here: mapping, relocation, dynamic linking, position-independent executables, sections, symbols.
#![no_std]
#![forbid(unsafe_code)]

mod error;
mod header;
mod segment;

use abi::cap::Rights;
use abi::layout::{HEAP_BASE, USER_LOWEST};
use elf::abi::{PT_DYNAMIC, PT_INTERP, PT_LOAD, PT_TLS};
use elf::segment::ProgramHeader;

pub use error::{LoadError, SegmentFault};
use header::FileHeader;
pub use segment::{Segment, Tls};

/// Most loadable segments of an image; linkers make three to five.
pub const MAX_SEGMENTS: usize = 16;
/// Most program headers of any kind, which bounds the work that a file can cause.
pub const MAX_HEADERS: usize = 64;

/// Where the pages of an image may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Lowest address.
    pub lowest: u64,
    /// One past the highest address.
    pub end: u64,
}

impl Default for Limits {
    /// The part of a new domain's address space that is kept for its image, below the heap, the stack and what
    /// else its builder places.
    fn default() -> Self {
        Self { lowest: USER_LOWEST, end: HEAP_BASE }
    }
}

/// A validated executable; see the crate's description for what is known of it.
#[derive(Clone, Debug)]
pub struct Image<'a> {
    entry: u64,
    segments: [Segment<'a>; MAX_SEGMENTS],
    count: usize,
    tls: Option<Tls<'a>>,
}

impl<'a> Image<'a> {
    /// Validates an ELF file whose pages must lie within `limits`.
    ///
    /// # Errors
    /// The first thing that is wrong, as a [`LoadError`].
    pub fn parse(bytes: &'a [u8], limits: Limits) -> Result<Self, LoadError> {
        let header = FileHeader::read(bytes)?;
        let table = header.program_headers(bytes)?;
        let mut image =
            Self { entry: header.entry, segments: [Segment::EMPTY; MAX_SEGMENTS], count: 0, tls: None };
        for (index, header) in (0..).zip(table) {
            image.add(&header, bytes, limits).map_err(|refusal| refusal.at(index))?;
        }
        image.check_whole()?;
        Ok(image)
    }

    /// Address of the first instruction.
    #[must_use]
    pub const fn entry(&self) -> u64 {
        self.entry
    }

    /// The loadable segments in ascending order of address.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = &Segment<'a>> + Clone {
        self.loaded().iter()
    }

    /// The template of thread-local variables, if the program has any.
    #[must_use]
    pub const fn tls(&self) -> Option<&Tls<'a>> {
        self.tls.as_ref()
    }

    /// Number of pages that all segments take together.
    #[must_use]
    pub fn page_count(&self) -> u64 {
        self.loaded().iter().map(Segment::page_count).sum()
    }

    fn loaded(&self) -> &[Segment<'a>] {
        self.segments.get(..self.count).unwrap_or_default()
    }

    /// Takes in one program header.
    fn add(&mut self, header: &ProgramHeader, bytes: &'a [u8], limits: Limits) -> Result<(), Refusal> {
        match header.p_type {
            PT_LOAD if header.p_memsz == 0 && header.p_filesz == 0 => Ok(()),
            PT_LOAD => self.add_segment(Segment::read(header, bytes, limits)?),
            PT_TLS if self.tls.is_some() => Err(Refusal::Whole(LoadError::TwoTlsTemplates)),
            PT_TLS => {
                self.tls = Some(Tls::read(header, bytes)?);
                Ok(())
            }
            PT_INTERP => Err(Refusal::Whole(LoadError::Interpreter)),
            PT_DYNAMIC => Err(Refusal::Whole(LoadError::Dynamic)),
            _ => Ok(()),
        }
    }

    fn add_segment(&mut self, segment: Segment<'a>) -> Result<(), Refusal> {
        // The ELF specification wants loadable segments in ascending order, so one comparison finds all overlaps.
        if let Some(before) = self.loaded().last() {
            segment.check_above(before)?;
        }
        let Some(place) = self.segments.get_mut(self.count) else {
            return Err(Refusal::Whole(LoadError::TooManySegments));
        };
        *place = segment;
        self.count += 1;
        Ok(())
    }

    /// What can be said only when all program headers are known.
    fn check_whole(&self) -> Result<(), LoadError> {
        let entry = self.entry;
        if self.count == 0 {
            return Err(LoadError::NoSegments);
        }
        if !entry.is_multiple_of(4) {
            return Err(LoadError::EntryMisaligned { entry });
        }
        if !self.loaded().iter().any(|s| s.rights.contains(Rights::EXECUTE) && s.memory().contains(&entry)) {
            return Err(LoadError::EntryNotExecutable { entry });
        }
        if let Some(tls) = &self.tls
            && !self.loaded().iter().any(|segment| tls.lies_in(segment))
        {
            return Err(LoadError::TlsOutsideSegments);
        }
        Ok(())
    }
}

/// Why a program header is refused: for something about itself, or about the image.
enum Refusal {
    Whole(LoadError),
    Header(SegmentFault),
}

impl From<SegmentFault> for Refusal {
    fn from(fault: SegmentFault) -> Self {
        Self::Header(fault)
    }
}

impl Refusal {
    /// The error, once the number of the program header is known.
    const fn at(self, header: u16) -> LoadError {
        match self {
            Self::Whole(error) => error,
            Self::Header(fault) => LoadError::Segment { header, fault },
        }
    }
}
