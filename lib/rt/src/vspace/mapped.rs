//! Frames that the program has, shown in its address space.

use core::ops::Deref;

use abi::{CapAddr, PAGE_SIZE, Rights};
use sys::{Cap, Mappable};
use vspace::{Attributes, Backing, LARGE_PAGE};

use super::{Region, place, reserve_area, reserve_area_at};
use crate::error::RtError;

/// Memory that this domain sees. Dropping it takes it out of sight again, and leaves the frame alone.
#[derive(Debug)]
pub struct Mapped(Region);

impl Deref for Mapped {
    type Target = Region;
    fn deref(&self) -> &Region {
        &self.0
    }
}

/// Shows `bytes` of a frame (or device frame) from byte `offset` on, with `rights` (not writable and executable at
/// once), where room is. Offsets and sizes are multiples of the page. Entries of 2 MiB are used where size and alignment
/// allow.
///
/// # Errors
/// `NoAddress`, `OutOfMemory`, `NotAvailable` without page tables, and those of the kernel.
pub fn map<T: Mappable>(frame: Cap<T>, offset: u64, bytes: u64, rights: Rights) -> Result<Mapped, RtError> {
    let bytes = whole_pages(bytes)?;
    // A multiple of what a table covers needs the fewest windows if it begins on such a multiple.
    let align = if bytes >= LARGE_PAGE { LARGE_PAGE } else { PAGE_SIZE };
    let base = reserve_area(bytes, align, given(rights))?;
    show(frame, offset, Mapped(Region::new(base, bytes)), rights)
}

/// As [`map`], at a given address, a multiple of the page.
///
/// # Errors
/// Those of [`map`]; `NoAddress` if any of it is in use, or not for this domain to map at.
pub fn map_at<T: Mappable>(
    address: u64,
    frame: Cap<T>,
    offset: u64,
    bytes: u64,
    rights: Rights,
) -> Result<Mapped, RtError> {
    let bytes = whole_pages(bytes)?;
    reserve_area_at(address, bytes, given(rights))?;
    show(frame, offset, Mapped(Region::new(address, bytes)), rights)
}

pub(super) fn whole_pages(bytes: u64) -> Result<u64, RtError> {
    bytes.checked_next_multiple_of(PAGE_SIZE).filter(|&bytes| bytes != 0).ok_or(RtError::NoAddress)
}

fn given(rights: Rights) -> Attributes {
    Attributes { rights, backing: Backing::Given, tag: 0 }
}

/// One piece for each level 3 table that the range touches, or for each run of large entries. What an error leaves half
/// done goes with `mapped`.
fn show<T: Mappable>(frame: Cap<T>, offset: u64, mapped: Mapped, rights: Rights) -> Result<Mapped, RtError> {
    let range = mapped.range();
    let mut at = range.start;
    while at < range.end {
        let end = range.end.min((at / LARGE_PAGE + 1) * LARGE_PAGE);
        place(frame, offset + (at - range.start), at, end - at, rights, CapAddr::NULL)?;
        at = end;
    }
    Ok(mapped)
}
