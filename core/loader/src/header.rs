//! The headers of an ELF file, read as the little-endian 64-bit words of which both kinds consist
//! (System V ABI, "ELF Header" and "Program Header").
use elf::abi::{ELFCLASS64, ELFDATA2LSB, ELFMAGIC, EM_AARCH64, ET_EXEC, EV_CURRENT};
use elf::segment::ProgramHeader;

use crate::{LoadError, MAX_HEADERS};

const WORD: usize = size_of::<u64>();
const FILE_HEADER_WORDS: usize = 8;
const PROGRAM_HEADER_WORDS: usize = 7;
const PROGRAM_HEADER_SIZE: usize = PROGRAM_HEADER_WORDS * WORD;

/// What the loader needs of a file header.
pub(crate) struct FileHeader {
    /// Address of the first instruction.
    pub(crate) entry: u64,
    /// File offset of the program headers, bytes of each, and their number.
    table: u64,
    entry_size: u16,
    count: u16,
}

impl FileHeader {
    /// Reads the file header and checks that it is one of a static little-endian 64-bit Arm executable.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, LoadError> {
        if !bytes.starts_with(&ELFMAGIC) {
            return Err(LoadError::NotElf);
        }
        let words: &[_; FILE_HEADER_WORDS] = bytes
            .as_chunks::<WORD>()
            .0
            .first_chunk()
            .ok_or(LoadError::TruncatedHeader { length: bytes.len() })?;
        let [.., class, data, version, _] = words[0];
        if class != ELFCLASS64 {
            return Err(LoadError::Class { found: class });
        }
        if data != ELFDATA2LSB {
            return Err(LoadError::Endianness { found: data });
        }
        let [_, _, kind, entry, table, _, sizes, counts] = words.each_ref().map(word);
        if version != EV_CURRENT || (kind >> 32) as u32 != u32::from(EV_CURRENT) {
            return Err(LoadError::Version);
        }
        let (file_type, machine) = (kind as u16, (kind >> 16) as u16);
        if machine != EM_AARCH64 {
            return Err(LoadError::Machine { found: machine });
        }
        if file_type != ET_EXEC {
            return Err(LoadError::Type { found: file_type });
        }
        Ok(Self { entry, table, entry_size: (sizes >> 48) as u16, count: counts as u16 })
    }

    /// Finds the program headers, 1 to [`MAX_HEADERS`] of them.
    pub(crate) fn program_headers<'a>(
        &self,
        bytes: &'a [u8],
    ) -> Result<impl Iterator<Item = ProgramHeader> + use<'a>, LoadError> {
        let count = usize::from(self.count);
        if count == 0 {
            return Err(LoadError::NoSegments);
        }
        if usize::from(self.entry_size) != PROGRAM_HEADER_SIZE {
            return Err(LoadError::ProgramHeaderSize { found: self.entry_size });
        }
        if count > MAX_HEADERS {
            return Err(LoadError::TooManyHeaders { found: self.count });
        }
        let table = usize::try_from(self.table)
            .ok()
            .and_then(|start| bytes.get(start..start.checked_add(count * PROGRAM_HEADER_SIZE)?))
            .ok_or(LoadError::TruncatedProgramHeaders)?;
        Ok(table.as_chunks().0.as_chunks().0.iter().map(program_header))
    }
}

fn program_header(words: &[[u8; WORD]; PROGRAM_HEADER_WORDS]) -> ProgramHeader {
    let [kind, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align] = words.each_ref().map(word);
    let (p_type, p_flags) = (kind as u32, (kind >> 32) as u32);
    ProgramHeader { p_type, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_flags, p_align }
}

/// A word of a file whose bytes need not be aligned, which takes some instructions where unaligned loads are not allowed:
/// hence once, not fifteen times.
#[inline(never)]
fn word(bytes: &[u8; WORD]) -> u64 {
    u64::from_le_bytes(*bytes)
}
