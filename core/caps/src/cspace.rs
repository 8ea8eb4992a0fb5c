//! The two-level CSpace: from addresses to slots, copies, and moving to a larger root.

use abi::cap::{L2_SLOTS, SLOT_SIZE};
use abi::{CapAddr, CapType, ErrorKind, Rights};

use crate::db::{New, require_empty, usable};
use crate::machine::Machine;
use crate::slot::{Flags, Slot, SlotRef};
use crate::types::{Container, row_of};
use crate::{BUDGET, Db, Progress, cost};

/// A root CNode, unpacked for fast lookups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CNode {
    /// Its slot 0.
    pub first: SlotRef,
    /// How many slots users have: all but the last, which is the kernel's own.
    pub slots: u32,
}

impl CNode {
    /// The CNode that an `L1CNode` capability names, `None` for other types.
    #[inline(always)]
    pub const fn of(capability: &Slot) -> Option<CNode> {
        match capability.ty {
            CapType::L1CNode => Some(CNode {
                first: SlotRef::at(capability.base),
                slots: (capability.size / SLOT_SIZE) as u32 - 1,
            }),
            _ => None,
        }
    }
}

impl Db {
    /// The slot at a capability address, empty or not.
    ///
    /// # Errors
    /// `AddressOutOfRange`, `NoCNode`, `BadSlot` (slot 0).
    #[inline(always)]
    pub fn slot_at<M: Machine>(m: &M, root: CNode, address: CapAddr) -> Result<SlotRef, ErrorKind> {
        if address.l1() >= root.slots as u64 {
            return Err(ErrorKind::AddressOutOfRange);
        }
        let cnode = m.slot(root.first.plus(address.l1() as u32));
        if cnode.ty != CapType::L2CNode {
            return Err(ErrorKind::NoCNode);
        }
        if address.slot() == 0 {
            return Err(ErrorKind::BadSlot);
        }
        Ok(SlotRef::at(cnode.base).plus(address.slot() as u32))
    }

    /// The capability at an address.
    ///
    /// # Errors
    /// Those of [`Db::slot_at`], and `EmptySlot`.
    #[inline]
    pub fn lookup<M: Machine>(m: &M, root: CNode, address: CapAddr) -> Result<SlotRef, ErrorKind> {
        let slot = Self::slot_at(m, root, address)?;
        if m.slot(slot).is_empty() { Err(ErrorKind::EmptySlot) } else { Ok(slot) }
    }

    /// The first of `count` consecutive slots for capabilities of type `ty`, named by a pair (CNode, slot) as in
    /// [`abi::syscall`]. Whether they are empty is the matter of the operation that fills them.
    ///
    /// # Errors
    /// Those of [`Db::lookup`] for the CNode; `WrongType` when it is no CNode, or an L1CNode and `ty` is not
    /// `L2CNode` (so that moving to a larger root moves nothing else); `MissingRight` without WRITE on it;
    /// `BadSlot` when one of the slots is the kernel's own or beyond the CNode.
    pub fn destination<M: Machine>(
        m: &M,
        root: CNode,
        cnode: CapAddr,
        slot: u64,
        count: u32,
        ty: CapType,
    ) -> Result<SlotRef, ErrorKind> {
        if cnode == CapAddr::NULL {
            let first = Self::slot_at(m, root, CapAddr(slot))?;
            let last = CapAddr(slot).slot() + count as u64;
            return if last <= L2_SLOTS { Ok(first) } else { Err(ErrorKind::BadSlot) };
        }
        let capability = usable(m.slot(Self::lookup(m, root, cnode)?))?;
        let lowest = match capability.ty {
            CapType::L1CNode if ty == CapType::L2CNode => 0,
            CapType::L2CNode => 1,
            _ => return Err(ErrorKind::WrongType),
        };
        if !capability.rights.contains(Rights::WRITE) {
            return Err(ErrorKind::MissingRight);
        }
        let slots = Container::of(capability.ty, capability.base, capability.size);
        let end = lowest + slots.count as u64;
        if slot < lowest || slot >= end || count as u64 > end - slot {
            return Err(ErrorKind::BadSlot);
        }
        Ok(slots.first.plus((slot - lowest) as u32))
    }

    /// Copies a capability to an empty slot, with those of its rights that `mask` has (mint).
    ///
    /// # Errors
    /// `EmptySlot`, `InDelete`, `Frozen`, `NotCopyable`, `SlotOccupied`.
    // Once: it has many callers, and none of them is better for a copy of its own.
    #[inline(never)]
    pub fn copy<M: Machine>(
        &mut self,
        m: &mut M,
        src: SlotRef,
        dst: SlotRef,
        mask: Rights,
    ) -> Result<(), ErrorKind> {
        let s = self.usable(m, src)?;
        if !row_of(s).copyable {
            return Err(ErrorKind::NotCopyable);
        }
        require_empty(m, dst, 1)?;
        let new = New {
            ty: s.ty,
            rights: s.rights.and(mask),
            flags: s.flags.and(Flags::ROOT),
            page: 0,
            base: s.base,
            size: s.size,
            aux32: s.index(),
            aux64: 0,
        };
        self.add_copy(m, dst, &new, src);
        Ok(())
    }

    /// Marks a capability in a slot of a dispatcher as one that it cannot run without: [`Machine::held_ends`] tells when it goes.
    pub fn mark_held<M: Machine>(&mut self, m: &mut M, slot: SlotRef) {
        let s = m.slot_mut(slot);
        s.flags = s.flags.or(Flags::HELD);
    }

    /// Whether [`Db::resize_cspace`] can begin.
    ///
    /// # Errors
    /// Those of [`Db::resize_cspace`].
    pub fn check_resize<M: Machine>(&self, m: &M, old: SlotRef, new: SlotRef) -> Result<(), ErrorKind> {
        let (from, to) = (writable_root(m, old)?, writable_root(m, new)?);
        if to.slots <= from.slots {
            return Err(ErrorKind::TooSmall);
        }
        require_empty(m, to.first, to.slots)
    }

    /// Moves the capabilities of the L1CNode `old` to the same indices of the larger, empty L1CNode `new`, some at a call.
    /// The first call looks at all slots of `new`, at most 4,095 (K2). Until `Done` an address must be looked up in
    /// the new CNode and then, on `NoCNode`, in the old one.
    ///
    /// # Errors
    /// `EmptySlot`, `InDelete`, `Frozen`; `WrongType` when one is no L1CNode; `MissingRight` without
    /// WRITE on both; `TooSmall` when `new` is not larger; `SlotOccupied` when something is in
    /// the way: what has been moved until then stays moved, and the call can be repeated.
    pub fn resize_cspace<M: Machine>(
        &mut self,
        m: &mut M,
        old: SlotRef,
        new: SlotRef,
    ) -> Result<Progress, ErrorKind> {
        let (from, to) = (writable_root(m, old)?, writable_root(m, new)?);
        if to.slots <= from.slots {
            return Err(ErrorKind::TooSmall);
        }
        let state = self.representative(m, old);
        let mut next = m.slot(state).aux32;
        if next == 0 {
            require_empty(m, to.first, to.slots)?;
        }
        let mut budget = BUDGET;
        while next < from.slots && budget >= cost::DELETE {
            budget -= cost::LOOK;
            let (source, target) = (from.first.plus(next), to.first.plus(next));
            if !m.slot(source).is_empty() {
                require_empty(m, target, 1)?;
                self.relocate(m, source, target);
                budget -= cost::DELETE - cost::LOOK;
            }
            next += 1;
            m.slot_mut(state).aux32 = next;
        }
        if next < from.slots {
            return Ok(Progress::More);
        }
        m.slot_mut(state).aux32 = 0;
        Ok(Progress::Done)
    }
}

/// The CNode that a usable `L1CNode` capability with WRITE names.
fn writable_root<M: Machine>(m: &M, slot: SlotRef) -> Result<CNode, ErrorKind> {
    let s = usable(m.slot(slot))?;
    let cnode = CNode::of(s).ok_or(ErrorKind::WrongType)?;
    if s.rights.contains(Rights::WRITE) { Ok(cnode) } else { Err(ErrorKind::MissingRight) }
}
