//! Why an executable is refused.
use core::fmt;

use abi::PAGE_SIZE;

use crate::{MAX_HEADERS, MAX_SEGMENTS};

/// What is wrong with an executable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// The file does not begin with the ELF magic.
    NotElf,
    /// The file ends within its header.
    TruncatedHeader {
        /// Bytes of the file.
        length: usize,
    },
    /// Not a 64-bit file.
    Class {
        /// `EI_CLASS` of the file.
        found: u8,
    },
    /// Not a little-endian file.
    Endianness {
        /// `EI_DATA` of the file.
        found: u8,
    },
    /// A version of ELF other than 1.
    Version,
    /// For another processor.
    Machine {
        /// `e_machine` of the file.
        found: u16,
    },
    /// Not an executable at fixed addresses: an object, a library, a position-independent executable, a core dump.
    Type {
        /// `e_type` of the file.
        found: u16,
    },
    /// Program headers of another size than those of ELF64.
    ProgramHeaderSize {
        /// `e_phentsize` of the file.
        found: u16,
    },
    /// More program headers than [`MAX_HEADERS`].
    TooManyHeaders {
        /// `e_phnum` of the file.
        found: u16,
    },
    /// The table of program headers does not lie inside the file.
    TruncatedProgramHeaders,
    /// The file asks for an interpreter (a dynamic linker).
    Interpreter,
    /// The file has a dynamic section.
    Dynamic,
    /// Nothing to load.
    NoSegments,
    /// More loadable segments than [`MAX_SEGMENTS`].
    TooManySegments,
    /// A second thread-local template.
    TwoTlsTemplates,
    /// The bytes of the thread-local template are not inside a readable segment.
    TlsOutsideSegments,
    /// The entry point is not the address of an instruction.
    EntryMisaligned {
        /// The entry point.
        entry: u64,
    },
    /// The entry point lies in no executable segment.
    EntryNotExecutable {
        /// The entry point.
        entry: u64,
    },
    /// One program header is bad.
    Segment {
        /// Its index in the table.
        header: u16,
        /// What is wrong with it.
        fault: SegmentFault,
    },
}

/// What is wrong with a program header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentFault {
    /// Writable and executable at once.
    WriteAndExecute,
    /// No rights at all, or writable but not readable.
    Unreadable {
        /// `PF_R`, `PF_W` and `PF_X` of the header.
        flags: u32,
    },
    /// The alignment is not a power of two.
    BadAlignment {
        /// `p_align` of the header.
        found: u64,
    },
    /// Address and file offset differ modulo the alignment.
    Misaligned {
        /// The alignment in bytes.
        align: u64,
    },
    /// More bytes in the file than in memory.
    LargerInFile,
    /// File offset and size exceed 64 bits.
    FileRangeOverflow,
    /// The bytes do not lie inside the file.
    BeyondFile,
    /// Address and size exceed 64 bits.
    AddressOverflow,
    /// Pages outside the given limits.
    OutsideLimits {
        /// First address.
        start: u64,
        /// One past the last address.
        end: u64,
    },
    /// Lies below the loadable segment before it.
    Unordered,
    /// Shares bytes with the loadable segment before it.
    Overlap,
    /// Shares a page with the loadable segment before it.
    SharedPage,
    /// The thread-local block wants more than page alignment.
    TlsAlignment {
        /// `p_align` of the header.
        found: u64,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotElf => f.write_str("not an ELF file: expected it to begin with 7f 45 4c 46"),
            Self::TruncatedHeader { length } => {
                write!(f, "truncated: {length} bytes, expected a header of 64")
            }
            Self::Class { found } => write!(f, "ELF class {found}: expected 2 (64-bit)"),
            Self::Endianness { found } => write!(f, "ELF data encoding {found}: expected 1 (little-endian)"),
            Self::Version => f.write_str("unknown ELF version: expected 1"),
            Self::Machine { found } => write!(f, "built for machine {found}: expected 183 (AArch64)"),
            Self::Type { found } => write!(f, "ELF type {found}: expected 2 (executable at fixed addresses)"),
            Self::ProgramHeaderSize { found } => {
                write!(f, "program headers of {found} bytes: expected 56")
            }
            Self::TooManyHeaders { found } => {
                write!(f, "{found} program headers: expected at most {MAX_HEADERS}")
            }
            Self::TruncatedProgramHeaders => {
                f.write_str("truncated: expected the program headers to lie inside the file")
            }
            Self::Interpreter => f.write_str("asks for an interpreter: expected a static executable"),
            Self::Dynamic => f.write_str("has a dynamic section: expected a static executable"),
            Self::NoSegments => f.write_str("nothing to load: expected a loadable segment"),
            Self::TooManySegments => {
                write!(f, "too many loadable segments: expected at most {MAX_SEGMENTS}")
            }
            Self::TwoTlsTemplates => f.write_str("two thread-local templates: expected at most one"),
            Self::TlsOutsideSegments => {
                f.write_str("thread-local template not in memory: expected it inside a readable segment")
            }
            Self::EntryMisaligned { entry } => {
                write!(f, "entry point {entry:#x}: expected a multiple of 4")
            }
            Self::EntryNotExecutable { entry } => {
                write!(f, "entry point {entry:#x}: expected an address in an executable segment")
            }
            Self::Segment { header, fault } => write!(f, "program header {header}: {fault}"),
        }
    }
}

impl fmt::Display for SegmentFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::WriteAndExecute => f.write_str("writable and executable: expected one of them at most"),
            Self::Unreadable { flags } => {
                write!(f, "rights {flags:#x}: expected read, read and write, read and execute, or execute")
            }
            Self::BadAlignment { found } => write!(f, "alignment {found:#x}: expected a power of two"),
            Self::Misaligned { align } => {
                write!(f, "misaligned: expected address and file offset to be equal modulo {align:#x}")
            }
            Self::LargerInFile => f.write_str("larger in the file than in memory: expected the opposite"),
            Self::FileRangeOverflow => f.write_str("file range overflows: expected an end below 2^64"),
            Self::BeyondFile => f.write_str("truncated: expected its bytes to lie inside the file"),
            Self::AddressOverflow => f.write_str("address range overflows: expected an end below 2^64"),
            Self::OutsideLimits { start, end } => {
                write!(f, "{start:#x}..{end:#x}: expected addresses in the part for images")
            }
            Self::Unordered => f.write_str("below the segment before it: expected ascending addresses"),
            Self::Overlap => f.write_str("overlaps the segment before it: expected none"),
            Self::SharedPage => {
                f.write_str("shares a page with the segment before it: expected pages of its own")
            }
            Self::TlsAlignment { found } => {
                write!(f, "thread-local alignment {found:#x}: expected at most {PAGE_SIZE:#x}")
            }
        }
    }
}

impl core::error::Error for LoadError {}
