//! The fixed part of an entry: a magic and 13 numbers in hexadecimal digits.
use crate::ArchiveError;

/// Bytes of a header: the magic and 13 fields of 8 digits.
pub(crate) const HEADER_SIZE: usize = MAGIC.len() + 13 * DIGITS;
pub(crate) const MAGIC: &[u8; 6] = b"070701";
pub(crate) const DIGITS: usize = 8;

/// The fields that the reader looks at, by their place in the header (cpio(5), "New ASCII Format").
#[derive(Clone, Copy)]
pub(crate) enum Field {
    Mode = 1,
    FileSize = 6,
    NameSize = 11,
}

/// The bytes of one header, whose magic is right.
pub(crate) struct Header<'a> {
    fields: &'a [u8],
    offset: usize,
}

impl<'a> Header<'a> {
    /// Checks the magic of the header that stands at `offset` of the archive.
    pub(crate) fn new(bytes: &'a [u8], offset: usize) -> Result<Self, ArchiveError> {
        let fields = bytes.strip_prefix(MAGIC).ok_or(ArchiveError::BadMagic { offset })?;
        Ok(Self { fields, offset })
    }

    /// The value of a field.
    pub(crate) fn number(&self, field: Field) -> Result<u32, ArchiveError> {
        let start = field as usize * DIGITS;
        let digits = self.fields.get(start..start + DIGITS);
        digits.and_then(hexadecimal).ok_or(ArchiveError::BadNumber { offset: self.offset })
    }

    /// The value of a field that is a length in bytes.
    pub(crate) fn size(&self, field: Field) -> Result<usize, ArchiveError> {
        // A length that `usize` cannot hold lies beyond the end of any slice.
        self.number(field).map(|size| usize::try_from(size).unwrap_or(usize::MAX))
    }
}

/// 8 digits as a number. `from_str_radix` would take a sign as well.
fn hexadecimal(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number: u32, &byte| Some(number << 4 | char::from(byte).to_digit(16)?))
}
