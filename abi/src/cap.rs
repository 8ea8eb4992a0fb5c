//! Capability types, rights and addresses.

/// The type of a capability. The numbers are part of the ABI.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum CapType {
    /// An empty slot.
    Null = 0,
    /// Physical address space that is not RAM (devices). Retypes to `PhysAddr` and `DevFrame`.
    PhysAddr = 1,
    /// RAM: either a memory server's root (flag `root`) or memory of a [`CapType::Unit`].
    Ram = 2,
    /// One allocation of a memory server: the only thing that a root `Ram` retypes to (besides smaller roots).
    Unit = 3,
    /// RAM that can be mapped. Its contents belong to user space; the kernel never trusts them.
    Frame = 4,
    /// Device memory that can be mapped.
    DevFrame = 5,
    /// First level of a capability space: holds `L2CNode` capabilities, 64 bytes a slot.
    L1CNode = 6,
    /// Second level of a capability space: 256 slots, 16 KiB.
    L2CNode = 7,
    /// Translation table, level 0: the root of an address space, 512 GiB an entry.
    VNodeL0 = 8,
    /// Translation table, level 1, 1 GiB an entry.
    VNodeL1 = 9,
    /// Translation table, level 2, 2 MiB an entry (can hold large pages).
    VNodeL2 = 10,
    /// Translation table, level 3, 4 KiB an entry.
    VNodeL3 = 11,
    /// A window of entries of one VNode that shows one frame, or one child VNode.
    Mapping = 12,
    /// What is scheduled: one domain's presence on one core.
    Dispatcher = 13,
    /// A dispatcher's end of an LMP channel, by index. `WRITE` sends to it, `READ` is its owner's.
    EndPoint = 14,
    /// A dispatcher's doorbell, by index. `WRITE` rings it, `READ` is its owner's.
    Notify = 15,
    /// A range of interrupt numbers.
    IrqSource = 16,
    /// The core itself: held by the monitor alone (K5).
    Kernel = 17,
    /// A range of unforgeable numbers.
    Id = 18,
    /// A notification of some core, by core and bit of that core's doorbell: `WRITE` rings it. Only monitors make them.
    Doorbell = 19,
}

impl CapType {
    /// All types, in the order of their numbers.
    pub const ALL: [CapType; 20] = [
        CapType::Null,
        CapType::PhysAddr,
        CapType::Ram,
        CapType::Unit,
        CapType::Frame,
        CapType::DevFrame,
        CapType::L1CNode,
        CapType::L2CNode,
        CapType::VNodeL0,
        CapType::VNodeL1,
        CapType::VNodeL2,
        CapType::VNodeL3,
        CapType::Mapping,
        CapType::Dispatcher,
        CapType::EndPoint,
        CapType::Notify,
        CapType::IrqSource,
        CapType::Kernel,
        CapType::Id,
        CapType::Doorbell,
    ];

    /// The type with this number, if there is one.
    pub const fn from_number(number: u64) -> Option<CapType> {
        if number < Self::ALL.len() as u64 { Some(Self::ALL[number as usize]) } else { None }
    }

    /// For a VNode its level, 0 to 3.
    pub const fn vnode_level(self) -> Option<u8> {
        match self {
            CapType::VNodeL0 => Some(0),
            CapType::VNodeL1 => Some(1),
            CapType::VNodeL2 => Some(2),
            CapType::VNodeL3 => Some(3),
            _ => None,
        }
    }
}

/// What a capability allows; mint can only drop bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(transparent)]
pub struct Rights(u8);

impl Rights {
    /// Nothing.
    pub const NONE: Rights = Rights(0);
    /// Map readable; for an endpoint or notification: receive (its owner).
    pub const READ: Rights = Rights(1);
    /// Map writable; for an endpoint: send; for a notification: signal.
    pub const WRITE: Rights = Rights(2);
    /// Map executable.
    pub const EXECUTE: Rights = Rights(4);
    /// Delete all other copies and descendants.
    pub const REVOKE: Rights = Rights(8);
    /// Everything.
    pub const ALL: Rights = Rights(15);

    /// The rights in the low four bits of `word`; other bits are dropped.
    pub const fn from_bits(word: u64) -> Rights {
        Rights((word & 15) as u8)
    }
    /// As a number, for registers.
    pub const fn bits(self) -> u64 {
        self.0 as u64
    }
    /// Whether every right of `other` is in `self`.
    pub const fn contains(self, other: Rights) -> bool {
        self.0 & other.0 == other.0
    }
    /// The rights that both have.
    pub const fn and(self, other: Rights) -> Rights {
        Rights(self.0 & other.0)
    }
    /// The rights that either has.
    pub const fn or(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }
}

/// Notifications of a core that other cores can ring at a time. A Doorbell of bit b of core c is the number
/// `c * DOORBELL_BITS + b`.
pub const DOORBELL_BITS: u64 = 4096;

/// Slots of an L2 CNode.
pub const L2_SLOTS: u64 = 256;
/// Bytes of a slot, in every kernel object that holds capabilities.
pub const SLOT_SIZE: u64 = 64;
/// Bytes of an L2 CNode.
pub const L2_CNODE_SIZE: u64 = L2_SLOTS * SLOT_SIZE;
/// Least bytes of an L1 CNode (64 slots, hence 16,384 capabilities); any power of two from here is legal.
pub const L1_CNODE_MIN_SIZE: u64 = 4096;
/// Most bytes of an L1 CNode (4,096 slots, hence 1 Mi capabilities).
pub const L1_CNODE_MAX_SIZE: u64 = 256 * 1024;
/// Bytes of a VNode.
pub const VNODE_SIZE: u64 = 4096;
/// Least bytes of a dispatcher; any power of two up to [`DISPATCHER_MAX_SIZE`] is legal, and buys more endpoints.
pub const DISPATCHER_MIN_SIZE: u64 = 4096;
/// Most bytes of a dispatcher.
pub const DISPATCHER_MAX_SIZE: u64 = 64 * 1024;
/// Bytes at the start of a dispatcher before its table of endpoints and notifications.
pub const DISPATCHER_HEAD_SIZE: u64 = 1024;
/// Bytes of an entry of that table.
pub const EVENT_SIZE: u64 = 32;

/// How many endpoints and notifications, together, a dispatcher of `size` bytes has.
pub const fn dispatcher_events(size: u64) -> u64 {
    (size - DISPATCHER_HEAD_SIZE) / EVENT_SIZE
}

/// Most objects that one retype makes.
pub const MAX_RETYPE: u64 = 64;
/// Most bytes of kernel objects that one retype makes (they are zeroed in the same step, K2).
pub const MAX_RETYPE_BYTES: u64 = 256 * 1024;

/// The address of a capability: `L1 index << 8 | slot in the L2 CNode`. Slot 0 of every L2 CNode is the kernel's (a dying
/// CNode's own capability moves there), so address 0 never names a capability. Of a root CNode it is the last slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct CapAddr(pub u64);

impl CapAddr {
    /// No capability.
    pub const NULL: CapAddr = CapAddr(0);
    /// The address of a slot of an L2 CNode that sits in slot `l1` of the root.
    pub const fn new(l1: u64, slot: u64) -> CapAddr {
        CapAddr(l1 << 8 | slot)
    }
    /// Index in the root CNode.
    pub const fn l1(self) -> u64 {
        self.0 >> 8
    }
    /// Slot in the L2 CNode.
    pub const fn slot(self) -> u64 {
        self.0 & 255
    }
}
