//! The host's side: packs files into an archive whose file data begin on page boundaries.
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::header::{HEADER_SIZE, MAGIC};
use crate::{DATA_ALIGN, TRAILER};

/// Why a file cannot be packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// The name is empty, contains a NUL, or is the one that ends an archive.
    BadName(String),
    /// Two files have this name.
    DuplicateName(String),
    /// The file of this name has 4 GiB or more, which the format cannot express.
    TooLarge(String),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName(name) => {
                write!(f, "{name:?} cannot name a file: expected text without NUL, not {TRAILER}")
            }
            Self::DuplicateName(name) => write!(f, "{name:?} is given twice: expected one file a name"),
            Self::TooLarge(name) => write!(f, "{name:?} is too large: expected less than 4 GiB"),
        }
    }
}

impl core::error::Error for WriteError {}

/// Packs `(name, data)` pairs, in this order, as regular files into a cpio "newc" archive.
///
/// The data of each file begins at a multiple of [`DATA_ALIGN`] bytes, and the archive's length is one too. The same
/// files give the same bytes: there are no times and no owners in it.
///
/// # Errors
/// If a name is impossible or given twice, or a file is 4 GiB or more.
pub fn write<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Vec<u8>, WriteError> {
    let mut names = BTreeSet::new();
    let mut archive = Vec::new();
    for (name, data) in files {
        if name.is_empty() || name.contains('\0') || name == TRAILER {
            return Err(WriteError::BadName(name.to_string()));
        }
        if !names.insert(name) {
            return Err(WriteError::DuplicateName(name.to_string()));
        }
        let size = u32::try_from(data.len()).map_err(|_| WriteError::TooLarge(name.to_string()))?;
        push_header(&mut archive, names.len(), Some(size), name, DATA_ALIGN);
        archive.extend_from_slice(data);
        pad(&mut archive, 4);
    }
    push_header(&mut archive, 0, None, TRAILER, 4);
    pad(&mut archive, DATA_ALIGN);
    Ok(archive)
}

/// Appends a header and a name that ends at a multiple of `align`; a size makes it a regular file.
fn push_header(archive: &mut Vec<u8>, inode: usize, size: Option<u32>, name: &str, align: usize) {
    let name_at = archive.len() + HEADER_SIZE;
    let name_end = (name_at + name.len() + 1).next_multiple_of(align);
    // The trailer's name is counted without its padding: some readers compare its length too.
    let name_size = if size.is_some() { name_end - name_at } else { name.len() + 1 };
    let mode = if size.is_some() { 0o100_644 } else { 0 };

    archive.extend_from_slice(MAGIC);
    let fields = [inode, mode, 0, 0, 1, 0, size.unwrap_or(0) as usize, 0, 0, 0, 0, name_size, 0];
    for field in fields {
        archive.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    archive.extend_from_slice(name.as_bytes());
    archive.resize(name_end, 0);
}

/// Appends NULs up to a multiple of `align` bytes.
fn pad(archive: &mut Vec<u8>, align: usize) {
    archive.resize(archive.len().next_multiple_of(align), 0);
}
