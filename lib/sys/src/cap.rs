//! Capability addresses that know their type.

use core::fmt;
use core::marker::PhantomData;

use abi::{CapAddr, CapType};

/// A type of capability, as a type.
pub trait CapKind {
    /// Its number in the ABI.
    const TYPE: CapType;
}

/// What [`Cap::retype`](Cap::<Ram>::retype) can start from.
pub trait Retypable: CapKind {}

/// What can be shown by a window of a page table.
pub trait Mappable: CapKind {}

/// A translation table.
pub trait VNode: CapKind {
    /// Bytes that one entry covers.
    const ENTRY_BYTES: u64;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum $name {}
            impl CapKind for $name {
                const TYPE: CapType = CapType::$name;
            }
        )*
    };
}

kinds! {
    /// See [`CapType::PhysAddr`].
    PhysAddr;
    /// See [`CapType::Ram`].
    Ram;
    /// See [`CapType::Unit`].
    Unit;
    /// See [`CapType::Frame`].
    Frame;
    /// See [`CapType::DevFrame`].
    DevFrame;
    /// See [`CapType::L1CNode`].
    L1CNode;
    /// See [`CapType::L2CNode`].
    L2CNode;
    /// See [`CapType::VNodeL0`].
    VNodeL0;
    /// See [`CapType::VNodeL1`].
    VNodeL1;
    /// See [`CapType::VNodeL2`].
    VNodeL2;
    /// See [`CapType::VNodeL3`].
    VNodeL3;
    /// See [`CapType::Mapping`].
    Mapping;
    /// See [`CapType::Dispatcher`].
    Dispatcher;
    /// See [`CapType::EndPoint`].
    EndPoint;
    /// See [`CapType::Notify`].
    Notify;
    /// See [`CapType::IrqSource`].
    IrqSource;
    /// See [`CapType::Kernel`].
    Kernel;
    /// See [`CapType::Id`].
    Id;
    /// See [`CapType::Doorbell`].
    Doorbell;
}

/// A capability of which the type is not known (yet).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Any {}

impl CapKind for Any {
    const TYPE: CapType = CapType::Null;
}

impl Retypable for PhysAddr {}
impl Retypable for Ram {}
impl Retypable for Unit {}
impl Retypable for IrqSource {}
impl Retypable for Id {}
impl Mappable for Frame {}
impl Mappable for DevFrame {}
impl Mappable for VNodeL1 {}
impl Mappable for VNodeL2 {}
impl Mappable for VNodeL3 {}
impl VNode for VNodeL0 {
    const ENTRY_BYTES: u64 = 1 << 39;
}
impl VNode for VNodeL1 {
    const ENTRY_BYTES: u64 = 1 << 30;
}
impl VNode for VNodeL2 {
    const ENTRY_BYTES: u64 = 1 << 21;
}
impl VNode for VNodeL3 {
    const ENTRY_BYTES: u64 = 1 << 12;
}

/// The address of a capability that should be of kind `K`. Owns nothing.
pub struct Cap<K> {
    address: CapAddr,
    kind: PhantomData<fn() -> K>,
}

impl<K> Cap<K> {
    /// The capability at `address` of the caller's own CSpace.
    pub const fn new(address: CapAddr) -> Cap<K> {
        Cap { address, kind: PhantomData }
    }

    /// Where it lies.
    pub const fn address(self) -> CapAddr {
        self.address
    }

    /// The same address, held to be of another kind.
    pub const fn cast<T>(self) -> Cap<T> {
        Cap::new(self.address)
    }

    /// Whether it names no capability at all.
    pub const fn is_null(self) -> bool {
        self.address.0 == CapAddr::NULL.0
    }

    pub(crate) const fn word(self) -> u64 {
        self.address.0
    }
}

// Derives would ask the same of `K`, which is only a name.
impl<K> Clone for Cap<K> {
    fn clone(&self) -> Cap<K> {
        *self
    }
}
impl<K> Copy for Cap<K> {}
impl<K> PartialEq for Cap<K> {
    fn eq(&self, other: &Cap<K>) -> bool {
        self.address == other.address
    }
}
impl<K> Eq for Cap<K> {}
impl<K> fmt::Debug for Cap<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cap({}:{})", self.address.l1(), self.address.slot())
    }
}

/// A place for a capability: in the own CSpace by address, or in a CNode that a capability names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    pub(crate) cnode: CapAddr,
    pub(crate) index: u64,
}

impl Slot {
    /// The slot at `address` of the caller's own CSpace.
    pub const fn own(address: CapAddr) -> Slot {
        Slot { cnode: CapAddr::NULL, index: address.0 }
    }
    /// Slot `index` of the root CNode `cnode`.
    pub const fn of_l1(cnode: Cap<L1CNode>, index: u64) -> Slot {
        Slot { cnode: cnode.address(), index }
    }
    /// Slot `index` (1 to 255) of the CNode `cnode`.
    pub const fn of_l2(cnode: Cap<L2CNode>, index: u64) -> Slot {
        Slot { cnode: cnode.address(), index }
    }
}

impl From<CapAddr> for Slot {
    fn from(address: CapAddr) -> Slot {
        Slot::own(address)
    }
}
