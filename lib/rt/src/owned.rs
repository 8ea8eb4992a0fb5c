//! Capabilities that are deleted when they are dropped.

use abi::{CapAddr, Rights};
use sys::Cap;

use crate::error::RtError;
use crate::slots;

/// A capability in a slot of this domain's own. Dropping it deletes the capability and frees the slot.
#[derive(Debug, PartialEq, Eq)]
pub struct OwnedCap<K>(Cap<K>);

impl<K> OwnedCap<K> {
    /// Takes charge of what lies in `slot`.
    pub fn new(slot: CapAddr) -> OwnedCap<K> {
        OwnedCap(Cap::new(slot))
    }
    /// The capability, to invoke.
    pub fn cap(&self) -> Cap<K> {
        self.0
    }
    /// Where it lies.
    pub fn address(&self) -> CapAddr {
        self.0.address()
    }
    /// Gives up charge: the caller has it, or it stays for ever.
    pub fn into_cap(self) -> Cap<K> {
        let cap = self.0;
        core::mem::forget(self);
        cap
    }
    /// A copy with those of its rights that are in `rights`.
    ///
    /// # Errors
    /// `OutOfMemory`, and those of the kernel.
    pub fn copy(&self, rights: Rights) -> Result<OwnedCap<K>, RtError> {
        let slot = slots::allocate()?;
        if let Err(error) = self.0.copy_to(slot, rights) {
            slots::release(slot);
            return Err(error.into());
        }
        Ok(OwnedCap::new(slot))
    }
}

impl<K> Drop for OwnedCap<K> {
    fn drop(&mut self) {
        slots::discard(self.0.address());
    }
}
