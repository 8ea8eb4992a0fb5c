//! The capability types as data: what retypes to what, sizes, depth in the order.

use abi::cap::{
    DISPATCHER_MAX_SIZE, DISPATCHER_MIN_SIZE, L1_CNODE_MAX_SIZE, L1_CNODE_MIN_SIZE, L2_CNODE_SIZE, L2_SLOTS,
    SLOT_SIZE, VNODE_SIZE,
};
use abi::{CapType, ErrorKind, PAGE_SIZE};

use crate::slot::{Flags, Slot, SlotRef};

/// Slots at the base of every dispatcher. Slot 0 is the kernel's own, as in every CNode; the others are the kernel
/// crate's to name.
pub const DISPATCHER_SLOTS: u32 = 8;

/// Which sizes objects of a type can have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Size {
    /// Any number of pages.
    Pages,
    /// Any number of numbers.
    Numbers,
    /// A power of two between these; the lower is the default.
    Power(u64, u64),
    /// Keyed by an object and an index: as the object.
    Event,
    /// Not made by retype.
    Never,
}

/// A row of the type table.
pub(crate) struct TypeRow {
    /// Place among capabilities over the same region: parents lie less deep.
    pub depth: u8,
    /// Whether copies can be made.
    pub copyable: bool,
    /// Bit t: retypes to the type with number t.
    pub makes: u32,
    /// Sizes of its objects.
    pub size: Size,
    /// Holds kernel state: needs WRITE on its memory, and is zeroed when it is made and destroyed.
    pub object: bool,
}

const fn bits(types: &[CapType]) -> u32 {
    let (mut bits, mut i) = (0, 0);
    while i < types.len() {
        bits |= 1 << types[i] as u32;
        i += 1;
    }
    bits
}

const fn region(depth: u8, makes: &[CapType]) -> TypeRow {
    TypeRow { depth, copyable: true, makes: bits(makes), size: Size::Pages, object: false }
}

const fn object(min: u64, max: u64, makes: &[CapType]) -> TypeRow {
    let makes = bits(makes);
    TypeRow { depth: OBJECT, copyable: true, makes, size: Size::Power(min, max), object: true }
}

const fn event() -> TypeRow {
    TypeRow { depth: DEPENDANT, copyable: true, makes: 0, size: Size::Event, object: false }
}

const fn numbers(ty: CapType) -> TypeRow {
    TypeRow { depth: NUMBERS, copyable: true, makes: bits(&[ty]), size: Size::Numbers, object: false }
}

const fn unique(depth: u8) -> TypeRow {
    TypeRow { depth, copyable: false, makes: 0, size: Size::Never, object: false }
}

/// Depth of numbers: below a Unit, which may be of numbers too.
const NUMBERS: u8 = 3;
/// Depth of what is made of Ram.
const OBJECT: u8 = 4;
/// Depth of what belongs to an object and is keyed by an index.
pub(crate) const DEPENDANT: u8 = 5;
/// The row of root Ram, which behaves otherwise than Ram of a unit.
const ROOT_ROW: usize = CapType::ALL.len();

/// One row a type in the order of their numbers, then root Ram.
const TABLE: [TypeRow; ROOT_ROW + 1] = {
    use CapType::*;
    [
        unique(0),
        region(0, &[PhysAddr, DevFrame]),
        region(3, &[Ram, Frame, L1CNode, L2CNode, VNodeL0, VNodeL1, VNodeL2, VNodeL3, Dispatcher]),
        TypeRow { depth: 2, copyable: false, makes: bits(&[Ram]), size: Size::Pages, object: false },
        region(OBJECT, &[Frame]),
        region(OBJECT, &[DevFrame]),
        object(L1_CNODE_MIN_SIZE, L1_CNODE_MAX_SIZE, &[]),
        object(L2_CNODE_SIZE, L2_CNODE_SIZE, &[]),
        object(VNODE_SIZE, VNODE_SIZE, &[]),
        object(VNODE_SIZE, VNODE_SIZE, &[]),
        object(VNODE_SIZE, VNODE_SIZE, &[]),
        object(VNODE_SIZE, VNODE_SIZE, &[]),
        unique(DEPENDANT),
        object(DISPATCHER_MIN_SIZE, DISPATCHER_MAX_SIZE, &[EndPoint, Notify]),
        event(),
        event(),
        numbers(IrqSource),
        unique(0),
        numbers(Id),
        TypeRow { makes: 0, ..numbers(Doorbell) },
        region(1, &[Ram, Unit]),
    ]
};

/// The depths alone, in one cache line, because every comparison of the database may need one.
const DEPTHS: [u8; ROOT_ROW + 1] = {
    let (mut depths, mut i) = ([0; ROOT_ROW + 1], 0);
    while i <= ROOT_ROW {
        depths[i] = TABLE[i].depth;
        i += 1;
    }
    depths
};

/// The row of a type; `root` matters for Ram alone.
#[inline(always)]
pub(crate) const fn row(ty: CapType, root: bool) -> &'static TypeRow {
    &TABLE[if root { ROOT_ROW } else { ty as usize }]
}

/// The row of a capability.
#[inline(always)]
pub(crate) const fn row_of(slot: &Slot) -> &'static TypeRow {
    row(slot.ty, slot.flags.any(Flags::ROOT))
}

/// Depth of a type in the order.
#[inline(always)]
pub(crate) const fn depth(ty: CapType, root: bool) -> u8 {
    DEPTHS[if root { ROOT_ROW } else { ty as usize }]
}

impl TypeRow {
    /// Whether this type retypes to `ty`.
    pub(crate) const fn makes(&self, ty: CapType) -> bool {
        self.makes >> ty as u32 & 1 != 0
    }

    /// The size of an object when `wanted` was asked for (0: the type's own), and the unit that its offset is a
    /// multiple of.
    pub(crate) const fn object_size(&self, wanted: u64) -> Result<(u64, u64), ErrorKind> {
        match self.size {
            Size::Pages if wanted == 0 => Err(ErrorKind::BadSize),
            Size::Pages if !wanted.is_multiple_of(PAGE_SIZE) => Err(ErrorKind::Unaligned),
            Size::Pages => Ok((wanted, PAGE_SIZE)),
            Size::Numbers if wanted != 0 => Ok((wanted, 1)),
            Size::Power(min, _) if wanted == 0 => Ok((min, PAGE_SIZE)),
            Size::Power(min, max) if wanted.is_power_of_two() && min <= wanted && wanted <= max => {
                Ok((wanted, PAGE_SIZE))
            }
            _ => Err(ErrorKind::BadSize),
        }
    }
}

/// Whether capabilities of this type may have copies on several cores. Root Ram may not.
///
/// Notify may not, as long as no kernel knows of dispatchers of other cores: a signal there would be its monitor's to forward;
/// and nothing would keep one that is on its way from arriving after its dispatcher has ended, over memory that is something else.
pub(crate) const fn travels(ty: CapType) -> bool {
    use CapType::{DevFrame, Frame, Id, IrqSource, Ram};
    matches!(ty, Ram | Frame | DevFrame | IrqSource | Id)
}

/// Whether objects of this type hold capabilities.
#[inline(always)]
pub(crate) const fn is_container(ty: CapType) -> bool {
    matches!(ty, CapType::L1CNode | CapType::L2CNode | CapType::Dispatcher)
}

/// The slots of an object that holds capabilities: all but the kernel's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Container {
    /// The slot with the lowest number that users have.
    pub first: SlotRef,
    /// How many, without gaps.
    pub count: u32,
    /// The kernel's own slot: the capability of a dying object moves there.
    pub grave: SlotRef,
}

impl Container {
    /// The slots of a CNode or dispatcher.
    ///
    /// The kernel's own slot is slot 0 of an L2CNode and of a dispatcher, and the last one of an L1CNode,
    /// whose slot 0 holds the task CNode.
    pub(crate) const fn of(ty: CapType, base: u64, size: u64) -> Container {
        let start = SlotRef::at(base);
        match ty {
            CapType::L1CNode => {
                let count = (size / SLOT_SIZE) as u32 - 1;
                Container { first: start, count, grave: start.plus(count) }
            }
            CapType::L2CNode => Container { first: start.plus(1), count: L2_SLOTS as u32 - 1, grave: start },
            _ => Container { first: start.plus(1), count: DISPATCHER_SLOTS - 1, grave: start },
        }
    }
}
