//! What the mapping database needs of the machine below it.

use abi::Rights;

use crate::slot::{Slot, SlotRef};

/// A window of translation-table entries and what they show when they are filled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// Physical address of the translation table.
    pub table: u64,
    /// Its level, 0 to 3.
    pub level: u8,
    /// First entry, 0 to 511.
    pub first: u16,
    /// Entries, 1 to 512.
    pub count: u16,
    /// Physical address that the first entry shows.
    pub target: u64,
    /// The entry points to a table of the next level rather than to memory.
    pub child: bool,
    /// Device memory.
    pub device: bool,
    /// Read, write, execute of the entries.
    pub rights: Rights,
    /// Virtual address of the first entry.
    pub va: u64,
    /// Identifier of the address space.
    pub asid: u16,
}

/// The machine: physical memory with slots in it, translation tables, dispatchers, interrupts.
///
/// Hooks never call back into the database. Entry numbers of `fill` and `clear` count from the window's first.
pub trait Machine {
    /// The slot of this name, which is never [`SlotRef::NONE`].
    fn slot(&self, slot: SlotRef) -> &Slot;
    /// The slot of this name, to change it.
    fn slot_mut(&mut self, slot: SlotRef) -> &mut Slot;
    /// Zeroes `bytes` bytes of physical memory; both are multiples of 4 KiB.
    fn zero(&mut self, base: u64, bytes: u64);
    /// Takes a free address space identifier.
    fn new_asid(&mut self) -> Option<u16>;
    /// Gives it back, after its TLB entries are flushed. `root` is the physical address of the VNodeL0, which
    /// is about to be zeroed: the machine must not walk it any more.
    fn free_asid(&mut self, asid: u16, root: u64);
    /// Writes entries `first` to `first + count` of the window.
    fn fill(&mut self, window: &Window, first: u16, count: u16);
    /// Makes entries invalid and flushes the TLB; for a child table of everything below it.
    fn clear(&mut self, window: &Window, first: u16, count: u16);
    /// Gives the valid entries of the window its rights and flushes the TLB.
    fn protect(&mut self, window: &Window);
    /// The last capability to a dispatcher is gone: takes it off all queues, it never runs again. Its
    /// capabilities and events end afterwards, one by one; then its memory is zeroed.
    fn dispatcher_ends(&mut self, base: u64, size: u64);
    /// The last EndPoint or Notify capability of event `index` of a dispatcher is gone.
    fn event_ends(&mut self, dispatcher: u64, index: u32);
    /// A capability to endpoint `index` of a dispatcher is gone, and one is left.
    fn endpoint_alone(&mut self, dispatcher: u64, index: u32);
    /// The last capability to interrupts `first` to `first + count` is gone. Narrower and wider ones may exist; what is bound
    /// through a capability to a single interrupt ends only when `count` is 1.
    fn interrupts_end(&mut self, first: u64, count: u64);
    /// A CNode or dispatcher waits for [`crate::Db::step`] from now on, which may be long over when the call returns.
    fn remains(&mut self);
    /// A slot that was marked by [`crate::Db::mark_held`] has been emptied.
    fn held_ends(&mut self, slot: SlotRef);
    /// A unit has lost its last capability: [`crate::Db::pull_unit`] will give it.
    fn unit_empty(&mut self);
}
