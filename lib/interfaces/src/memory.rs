//! The memory service: RAM by capability, and who has how much of it.

use crate::error::errors;
use alloc::vec::Vec;
use ipc::{Capability, Wire};

errors! {
    /// Why the memory service refused.
    MemoryError {
        /// Zero bytes, or not a multiple of the page (4 KiB).
        BadSize => "the size is 0 or not a multiple of 4096 bytes",
        /// Not a power of two, or less than a page.
        BadAlignment => "the alignment is not a power of two of at least 4096 bytes",
        /// No free range of that size and alignment is left on this core.
        OutOfMemory => "not enough free memory",
        /// The domain would have more than its limit.
        OverQuota => "the memory quota of this domain is used up",
        /// The range to give back lies outside the memory that the service has.
        NotManaged => "the range lies outside the memory of this core",
        /// Nothing is allocated where the range begins: it never was, or is free already.
        NotAllocated => "nothing is allocated there: never, or not any more",
        /// The range begins in memory that was allocated for another domain.
        NotYours => "this memory was allocated for another domain",
        /// The range ends behind the allocation in which it begins.
        BeyondAllocation => "the range goes beyond the end of its allocation",
        /// A capability over some of the range exists: over a part of it, all of it, or more than it.
        InUse => "a capability covers part of this range",
        /// The server ran out of something of its own (capability slots).
        Exhausted => "the memory service is out of resources",
    }
}

/// The memory of one core.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Wire)]
pub struct CoreMemory {
    /// The core.
    pub core: u32,
    /// RAM that the core's memory service started with, in KiB.
    pub total_kib: u64,
    /// Of it, handed out at present, in KiB.
    pub used_kib: u64,
    /// Of it, free, in KiB.
    pub free_kib: u64,
}

/// How much of the memory a domain has, in bytes. What is made of it, and where that went, makes no difference: it is
/// accounted to whom it was allocated for until it is free again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Wire)]
pub struct Account {
    /// What was allocated for it and is not free again.
    pub used: u64,
    /// The most that it may have.
    pub limit: u64,
}

/// Serves the RAM of a core.
///
/// There is no call to free: an allocation comes back when the last capability over it is gone. Before that, what no capability
/// covers any more can be given back by [`Memory::trim`].
#[ipc::interface(limit = 4096)]
pub trait Memory {
    /// `bytes` of zeroed RAM (a multiple of 4096) at an address that is a multiple of `align` (a power of two,
    /// at least 4096), as one `Ram` capability. Frees itself with the last capability over it.
    async fn allocate(&self, bytes: u64, align: u64) -> Result<Capability, MemoryError>;

    /// Takes back `bytes` bytes from physical address `base` on (both multiples of 4096), a part of one allocation of the
    /// caller's over which no capability lies any more. What is left before and behind are two allocations from then on:
    /// each frees itself with the last capability over it, at once if there is none.
    async fn trim(&self, base: u64, bytes: u64) -> Result<(), MemoryError>;

    /// What there is and what is used, a core an entry.
    async fn status(&self) -> Result<Vec<CoreMemory>, MemoryError>;

    /// The caller's own account.
    async fn account(&self) -> Result<Account, MemoryError>;
}

/// The accounts of all domains: for those parts of the system that make domains. They say whose account it is.
#[ipc::interface(limit = 65536)]
pub trait Accounts {
    /// As [`Memory::allocate`], accounted to `domain`.
    async fn allocate_for(&self, domain: u64, bytes: u64, align: u64) -> Result<Capability, MemoryError>;

    /// Sets the most that `domain` may have, in bytes. What it has already stays.
    fn set_limit(&self, domain: u64, bytes: u64) -> Result<(), MemoryError>;

    /// The accounts of these domains, one each.
    async fn accounts(&self, domains: &[u64]) -> Result<Vec<Account>, MemoryError>;

    /// The domain has ended: all memory that was allocated for it is free again, wherever it is used, and nothing is kept
    /// about it. Answered when that is done.
    async fn forget(&self, domain: u64) -> Result<(), MemoryError>;
}
