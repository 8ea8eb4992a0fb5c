//! The boot archive: a read-only view of a cpio "newc" file, and (feature `alloc`) its writer.
//!
//! The initial RAM disk that the loader or QEMU puts into memory is such an archive. It holds the boot modules:
//! init, the servers and the programs that must run before there is a file system.
//!
//! ```text
//!   +--------+-----------+--------------+-----+--------+-----------+------+-----
//!   | header | name NULs | data ...     | pad | header | name NULs | data | ...  TRAILER!!!
//!   +--------+-----------+--------------+-----+--------+-----------+------+-----
//!   110 bytes            ^ multiple of 4                           ^ (of 4096 if `write` made the archive)
//! ```
//!
//! The format is "newc" as cpio(5) describes it: a header of a 6-byte magic and 13 fields of 8 hexadecimal
//! digits, then a name that ends with a NUL, then the data; the name and the data are each padded to 4 bytes.
//!
//! **Reading.** [`Archive::entries`] walks the entries, [`Archive::find`] looks one up. The bytes are not trusted:
//! no input makes the reader panic, loop or look outside the slice, and what is malformed is an [`ArchiveError`]
//! with the offset of the entry at fault.
//!
//! ```
//! # #[cfg(feature = "alloc")] {
//! let bytes = archive::write([("init", &b"\x7fELF..."[..]), ("sbin/mem", b"...")]).unwrap();
//! let archive = archive::Archive::new(&bytes);
//! let init = archive.find("init").unwrap().expect("the archive has an init");
//! assert_eq!(init.data, b"\x7fELF...");
//! assert_eq!(init.data_offset % archive::DATA_ALIGN, 0);
//! # }
//! ```
//!
//! **Writing.** [`write()`] makes the data of every file begin on a 4 KiB boundary of the archive, so that
//! read-only segments can be mapped straight from it instead of being copied. cpio itself knows no such
//! alignment; the writer pads the *name* with further NULs, which the format allows because the name's length
//! includes its terminator. `cpio -t`, `bsdtar` and Linux read such names; Linux ignores entries whose padded name
//! is longer than 4096 bytes, which only happens if less than a name is missing to the boundary.
//! Who maps the pages of a file must remember that its last page also holds the next header.
//!
//! Not here: extraction, links, owners, times, checksums, other cpio formats, compression.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod header;
#[cfg(feature = "alloc")]
mod writer;

use core::fmt;

use header::{Field, HEADER_SIZE, Header};
#[cfg(feature = "alloc")]
pub use writer::{WriteError, write};

/// The boundary, in bytes from the archive's start, on which [`write()`] puts the data of each file.
pub const DATA_ALIGN: usize = 4096;

/// The name of the entry that ends an archive.
const TRAILER: &str = "TRAILER!!!";

/// A cpio "newc" archive in memory; nothing is known to be right until it has been walked.
#[derive(Clone, Copy, Debug)]
pub struct Archive<'a> {
    bytes: &'a [u8],
}

/// One entry of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The path as it was stored, without the NULs behind it; never empty.
    pub name: &'a str,
    /// The contents; empty for directories.
    pub data: &'a [u8],
    /// Where `data` begins, in bytes from the archive's start.
    pub data_offset: usize,
    /// File type and permissions as in POSIX `st_mode`.
    pub mode: u32,
}

impl Entry<'_> {
    /// Whether this is a regular file (neither a directory nor a link nor a device).
    #[must_use]
    pub const fn is_file(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }
}

/// What is wrong with an archive. `offset` is where the entry's header begins, in bytes from the archive's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveError {
    /// The bytes end before the entry does, or before the trailer.
    Truncated {
        /// Where the entry begins.
        offset: usize,
    },
    /// The header does not begin with the magic of the "newc" format.
    BadMagic {
        /// Where the entry begins.
        offset: usize,
    },
    /// A header field is not 8 hexadecimal digits.
    BadNumber {
        /// Where the entry begins.
        offset: usize,
    },
    /// The name is empty, is not UTF-8, lacks its NUL, or has bytes other than NUL behind its first NUL.
    BadName {
        /// Where the entry begins.
        offset: usize,
    },
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (offset, wrong) = match *self {
            Self::Truncated { offset } => (offset, "ends early: expected entries up to TRAILER!!!"),
            Self::BadMagic { offset } => (offset, "has another magic: expected 070701 (cpio newc)"),
            Self::BadNumber { offset } => (offset, "has a bad number: expected 8 hexadecimal digits"),
            Self::BadName { offset } => (offset, "has a bad name: expected UTF-8, then only NULs"),
        };
        write!(f, "archive entry at byte {offset:#x} {wrong}")
    }
}

impl core::error::Error for ArchiveError {}

impl<'a> Archive<'a> {
    /// Wraps the bytes of an archive; what follows its trailer is ignored.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The entries in the order of the archive. The iterator ends after the trailer or after the first error.
    #[must_use]
    pub const fn entries(&self) -> Entries<'a> {
        Entries { bytes: self.bytes, next: Some(0) }
    }

    /// The first regular file of exactly this name, if there is one; takes time linear in the number of entries.
    ///
    /// # Errors
    /// If the archive is malformed before such a file is met.
    pub fn find(&self, name: &str) -> Result<Option<Entry<'a>>, ArchiveError> {
        for entry in self.entries() {
            let entry = entry?;
            if entry.name == name && entry.is_file() {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

/// Iterator over the entries of an [`Archive`].
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    bytes: &'a [u8],
    /// Where the next header begins; none after the trailer or an error.
    next: Option<usize>,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        let offset = self.next.take()?;
        match read_entry(self.bytes, offset) {
            Ok((entry, _)) if entry.name == TRAILER => None,
            Ok((entry, end)) => {
                self.next = Some(end);
                Some(Ok(entry))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

impl core::iter::FusedIterator for Entries<'_> {}

/// Reads the entry whose header begins at `offset`; returns it and where the next header begins.
fn read_entry(bytes: &[u8], offset: usize) -> Result<(Entry<'_>, usize), ArchiveError> {
    let truncated = ArchiveError::Truncated { offset };
    let name_at = offset.checked_add(HEADER_SIZE).ok_or(truncated)?;
    let header = Header::new(bytes.get(offset..name_at).ok_or(truncated)?, offset)?;

    let name_end = name_at.checked_add(header.size(Field::NameSize)?).ok_or(truncated)?;
    let name =
        read_name(bytes.get(name_at..name_end).ok_or(truncated)?).ok_or(ArchiveError::BadName { offset })?;

    let data_offset = name_end.checked_next_multiple_of(4).ok_or(truncated)?;
    let data_end = data_offset.checked_add(header.size(Field::FileSize)?).ok_or(truncated)?;
    let data = bytes.get(data_offset..data_end).ok_or(truncated)?;

    // The padding behind the last data may be missing; then so is the next header, which is reported there.
    let next = data_end.checked_next_multiple_of(4).ok_or(truncated)?;
    Ok((Entry { name, data, data_offset, mode: header.number(Field::Mode)? }, next))
}

/// The name in a name field: text, then one or more NULs and nothing else, so that no two readers see two names.
fn read_name(field: &[u8]) -> Option<&str> {
    let length = field.iter().position(|&byte| byte == 0)?;
    let (name, padding) = field.split_at(length);
    let clean = padding.iter().all(|&byte| byte == 0);
    core::str::from_utf8(name).ok().filter(|name| clean && !name.is_empty())
}
