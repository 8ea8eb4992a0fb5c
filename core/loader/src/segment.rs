//! One program header: what it asks for, and whether that can be had.
use core::ops::Range;

use abi::{PAGE_SIZE, Rights};
use elf::abi::{PF_R, PF_W, PF_X};
use elf::segment::ProgramHeader;

use crate::{Limits, SegmentFault};

/// A part of the image that is mapped with one set of rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Segment<'a> {
    /// Virtual address of the first byte; need not be page aligned.
    pub address: u64,
    /// Bytes in memory, at least one: `data`, then zeros.
    pub memory_size: u64,
    /// Where `data` begins in the file; meaningless if `data` is empty.
    pub file_offset: u64,
    /// The bytes that the file gives.
    pub data: &'a [u8],
    /// Read, write and execute, as mapped.
    pub rights: Rights,
}

impl<'a> Segment<'a> {
    pub(crate) const EMPTY: Self =
        Self { address: 0, memory_size: 0, file_offset: 0, data: &[], rights: Rights::NONE };

    /// The addresses that the segment asks for.
    #[must_use]
    pub const fn memory(&self) -> Range<u64> {
        self.address..self.address + self.memory_size
    }

    /// The addresses of the whole pages that hold the segment, both ends multiples of [`PAGE_SIZE`].
    #[must_use]
    pub const fn pages(&self) -> Range<u64> {
        let memory = self.memory();
        memory.start & !(PAGE_SIZE - 1)..memory.end.next_multiple_of(PAGE_SIZE)
    }

    /// Number of pages that hold the segment.
    #[must_use]
    pub const fn page_count(&self) -> u64 {
        let pages = self.pages();
        (pages.end - pages.start) / PAGE_SIZE
    }

    /// The addresses behind the file's bytes that the program expects to be zero (`.bss`).
    #[must_use]
    pub const fn zero_tail(&self) -> Range<u64> {
        self.address + self.data.len() as u64..self.address + self.memory_size
    }

    /// Reads a loadable program header and checks all that can be said of it alone.
    pub(crate) fn read(
        header: &ProgramHeader,
        bytes: &'a [u8],
        limits: Limits,
    ) -> Result<Self, SegmentFault> {
        let (address, memory_size) = (header.p_vaddr, header.p_memsz);
        let rights = read_rights(header.p_flags)?;
        check_alignment(header)?;
        let data = read_data(header, bytes)?;
        let end = address.checked_add(memory_size).ok_or(SegmentFault::AddressOverflow)?;
        let page_end = end.checked_next_multiple_of(PAGE_SIZE).ok_or(SegmentFault::AddressOverflow)?;
        if address & !(PAGE_SIZE - 1) < limits.lowest || page_end > limits.end {
            return Err(SegmentFault::OutsideLimits { start: address, end });
        }
        Ok(Self { address, memory_size, file_offset: header.p_offset, data, rights })
    }

    /// Checks that the segment shares no page with the one `before` it in the file.
    pub(crate) fn check_above(&self, before: &Segment<'_>) -> Result<(), SegmentFault> {
        if self.address < before.address {
            return Err(SegmentFault::Unordered);
        }
        if self.address < before.memory().end {
            return Err(SegmentFault::Overlap);
        }
        if self.address < before.pages().end {
            return Err(SegmentFault::SharedPage);
        }
        Ok(())
    }
}

/// The template from which each thread's copy of the thread-local variables is made.
///
/// With `tp` the thread pointer, AArch64 puts the block of the executable at the first address from `tp + 16` up that is
/// congruent to `address` modulo `align` ("ELF for the Arm 64-bit Architecture", thread-local storage, variant 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tls<'a> {
    /// Virtual address of the template's bytes in the image.
    pub address: u64,
    /// Bytes of a thread's block: `data`, then zeros.
    pub memory_size: u64,
    /// The bytes that the file gives; mapped readable at `address`.
    pub data: &'a [u8],
    /// Alignment of a block in bytes: a power of two, at most [`PAGE_SIZE`].
    pub align: u64,
}

impl<'a> Tls<'a> {
    /// Reads a thread-local program header and checks all that can be said of it alone.
    pub(crate) fn read(header: &ProgramHeader, bytes: &'a [u8]) -> Result<Self, SegmentFault> {
        check_alignment(header)?;
        let align = header.p_align.max(1);
        if align > PAGE_SIZE {
            return Err(SegmentFault::TlsAlignment { found: align });
        }
        let data = read_data(header, bytes)?;
        if header.p_vaddr.checked_add(header.p_memsz).is_none() {
            return Err(SegmentFault::AddressOverflow);
        }
        Ok(Self { address: header.p_vaddr, memory_size: header.p_memsz, data, align })
    }

    /// Whether the template's bytes, if it has any, are those of a readable segment.
    pub(crate) fn lies_in(&self, segment: &Segment<'_>) -> bool {
        let memory = segment.memory();
        let end = self.address + self.data.len() as u64;
        self.data.is_empty()
            || segment.rights.contains(Rights::READ) && memory.start <= self.address && end <= memory.end
    }
}

/// Flags as rights; refuses combinations that are unsafe or that the page tables cannot express.
fn read_rights(flags: u32) -> Result<Rights, SegmentFault> {
    const READ_WRITE: u32 = PF_R | PF_W;
    const READ_EXECUTE: u32 = PF_R | PF_X;
    match flags & (PF_R | PF_W | PF_X) {
        PF_R => Ok(Rights::READ),
        PF_X => Ok(Rights::EXECUTE),
        READ_WRITE => Ok(Rights::READ.or(Rights::WRITE)),
        READ_EXECUTE => Ok(Rights::READ.or(Rights::EXECUTE)),
        other if other & (PF_W | PF_X) == PF_W | PF_X => Err(SegmentFault::WriteAndExecute),
        other => Err(SegmentFault::Unreadable { flags: other }),
    }
}

/// The ELF specification: 0, 1, or a power of two modulo which address and file offset are congruent.
fn check_alignment(header: &ProgramHeader) -> Result<(), SegmentFault> {
    let align = header.p_align.max(1);
    if !align.is_power_of_two() {
        return Err(SegmentFault::BadAlignment { found: align });
    }
    if header.p_vaddr.wrapping_sub(header.p_offset) & (align - 1) != 0 {
        return Err(SegmentFault::Misaligned { align });
    }
    Ok(())
}

/// The bytes that the file gives to a header; without any, its file offset says nothing and is not looked at.
fn read_data<'a>(header: &ProgramHeader, bytes: &'a [u8]) -> Result<&'a [u8], SegmentFault> {
    if header.p_filesz > header.p_memsz {
        return Err(SegmentFault::LargerInFile);
    }
    if header.p_filesz == 0 {
        return Ok(&[]);
    }
    let end = header.p_offset.checked_add(header.p_filesz).ok_or(SegmentFault::FileRangeOverflow)?;
    let start = usize::try_from(header.p_offset).ok();
    let end = usize::try_from(end).ok();
    start.zip(end).and_then(|(start, end)| bytes.get(start..end)).ok_or(SegmentFault::BeyondFile)
}
