//! Addresses in use.

use core::ops::Range;

use abi::Rights;

use super::{protect_area, release_area};
use crate::error::RtError;

/// Addresses of this domain, for one purpose. Dropping it gives them back with what is mapped there.
#[derive(Debug)]
pub struct Region(Range<u64>);

impl Region {
    /// An area that was just reserved.
    pub(super) fn new(base: u64, bytes: u64) -> Region {
        Region(base..base + bytes)
    }
    /// Its first byte.
    pub fn address(&self) -> u64 {
        self.0.start
    }
    /// Its bytes: a multiple of the page.
    pub fn size(&self) -> u64 {
        self.0.end - self.0.start
    }
    /// Its first byte, as a pointer.
    pub fn pointer(&self) -> *mut u8 {
        core::ptr::with_exposed_provenance_mut(self.0.start as usize)
    }
    /// All its addresses.
    pub fn range(&self) -> Range<u64> {
        self.0.clone()
    }
    /// Changes what may be done there, to no more than it was made with.
    ///
    /// # Errors
    /// Those of the kernel: `WriteAndExecute`, `MissingRight`.
    pub fn protect(&self, rights: Rights) -> Result<(), RtError> {
        protect_area(self.0.start, rights)
    }
    /// Gives up charge: it stays for the life of the domain.
    pub fn into_range(self) -> Range<u64> {
        let range = self.range();
        core::mem::forget(self);
        range
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        release_area(self.0.start);
    }
}
