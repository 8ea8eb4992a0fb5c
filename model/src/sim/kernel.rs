//! What the simulation needs of a kernel: what a monitor needs, and what domains do. There is a naive one.

use capops::{Holder, Refusal, Verdict};
use monitor::{DomainId, Idle, Kernel, Nonsense, UnitId};

use super::key::{Keys, SimKey};

/// Domains that a core has at a time.
pub const DOMAINS: usize = 4;
/// Slots of a domain.
pub const SLOTS: usize = 6;

/// A slot of a domain: `domain * SLOTS + number`.
pub type SlotId = usize;

/// A capability in a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cap {
    /// Which.
    pub key: SimKey,
    /// Whether it may be revoked through this copy.
    pub revoke: bool,
}

/// What the monitor told the kernel that others have to learn.
#[derive(Clone, Copy, Debug)]
pub enum Told {
    /// A domain was answered.
    Reply(DomainId, u64, Result<Verdict, Refusal>),
    /// A unit came home.
    Reclaimed(UnitId),
    /// A cut ended.
    CutEnded(UnitId, bool),
    /// Nonsense was refused.
    Nonsense(Nonsense),
}

/// A kernel with domains.
pub trait SimKernel: Kernel<Key = SimKey> {
    /// What is in a slot.
    fn cap(&self, slot: SlotId) -> Option<Cap>;
    /// Whether the domain lives.
    fn lives(&self, domain: usize) -> bool;
    /// A free slot of a domain.
    fn free_slot(&self, domain: usize) -> Option<SlotId>;
    /// The unit of a capability.
    fn unit_of(&self, key: SimKey) -> UnitId;

    /// Starts a domain under a new number. False: the place is not free yet.
    fn spawn(&mut self, domain: usize, id: DomainId) -> bool;
    /// Ends a domain; its capabilities go in steps.
    fn kill(&mut self, domain: usize);
    /// Copies into a free slot, without the right to revoke if `mint`.
    fn copy(&mut self, from: SlotId, to: SlotId, mint: bool) -> Result<(), Refusal>;
    /// Copies into some CNode.
    fn store(&mut self, from: SlotId, which: usize) -> Result<(), Refusal>;
    /// Copies out of some CNode.
    fn fetch(&mut self, which: usize, to: SlotId) -> Result<(), Refusal>;
    /// Retypes what is exclusive.
    fn retype(&mut self, from: SlotId, new: SimKey, to: SlotId) -> Result<(), Refusal>;
    /// One step of revoking what is exclusive. Says whether there is more to do.
    fn revoke(&mut self, slot: SlotId) -> Result<bool, Refusal>;
    /// Deletes one copy.
    fn delete(&mut self, slot: SlotId);
    /// Copies a slot into one of the monitor's.
    fn pin(&mut self, slot: SlotId) -> Option<u32>;
    /// One step of what deletions have left over. False: nothing.
    fn reap(&mut self) -> bool;

    /// The memory server makes a unit of free pages. False: they are not free.
    fn make_unit(&mut self, unit: UnitId, pages: usize) -> bool;
    /// The memory server merges a free unit with the rest.
    fn unmake_unit(&mut self, unit: UnitId);
    /// The pages of a unit of this home.
    fn unit(&self, unit: UnitId) -> Option<(usize, Idle)>;
    /// Pages of a region of this home that are not zero.
    fn dirty(&mut self, region: usize) -> &mut u8;

    /// What is held in a region, also what is being deleted in steps.
    fn in_region(&self, region: usize) -> Keys;
    /// What of it has no capability any more, and is being emptied.
    fn dying(&self, region: usize) -> Keys;
    /// What of it is exclusive.
    fn exclusive(&self, region: usize) -> Keys;
    /// What the guards look at, for a unit.
    fn guarded(&self, unit: UnitId) -> Holder<SimKey>;
    /// What was deleted because somebody wanted that it be, since the last call; empties the set.
    fn take_deleted(&mut self, region: usize) -> Keys;
    /// The regions in which something happened since the last call, a bit each.
    fn take_touched(&mut self) -> u64;
    /// What the monitor told.
    fn told(&mut self) -> &mut Vec<Told>;
    /// Whether no capability, and no copy of the monitor, is left.
    fn is_empty(&self) -> bool;
}
