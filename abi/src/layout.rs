//! Where things lie in a new domain: well-known capabilities and addresses, and the start information.
//! This is an agreement between those who build domains (kernel for `init`, spawner for the rest) and `lib/rt`.

use crate::cap::CapAddr;

/// L1 index of the task CNode, which holds the well-known capabilities.
pub const TASK_CNODE: u64 = 0;
/// The domain's own dispatcher.
pub const SELF_DISPATCHER: CapAddr = CapAddr::new(TASK_CNODE, 1);
/// Its root CNode.
pub const ROOT_CNODE: CapAddr = CapAddr::new(TASK_CNODE, 2);
/// The task CNode itself.
pub const SELF_TASK_CNODE: CapAddr = CapAddr::new(TASK_CNODE, 3);
/// Its address space.
pub const ROOT_VNODE: CapAddr = CapAddr::new(TASK_CNODE, 4);
/// Its dispatcher frame.
pub const SELF_FRAME: CapAddr = CapAddr::new(TASK_CNODE, 5);
/// The frame with the start information.
pub const START_FRAME: CapAddr = CapAddr::new(TASK_CNODE, 6);
/// Its own endpoint of the channel to the name service (READ and WRITE).
pub const NAMES_OWN: CapAddr = CapAddr::new(TASK_CNODE, 7);
/// The name service's endpoint of that channel (WRITE).
pub const NAMES_PEER: CapAddr = CapAddr::new(TASK_CNODE, 8);
/// A Ram capability to live on before the memory server can be reached.
pub const EARLY_RAM: CapAddr = CapAddr::new(TASK_CNODE, 9);
/// The core's Kernel capability: `init` alone (K5).
pub const KERNEL: CapAddr = CapAddr::new(TASK_CNODE, 10);
/// First slot of the task CNode that the builder may use for what a service needs besides.
pub const TASK_EXTRA: u64 = 16;
/// L1 index of the first CNode with the domain's page tables and mappings, as its builder made them. As many further ones
/// as it takes follow ([`StartInfo::page_cnodes`]).
pub const PAGE_CNODE: u64 = 1;

/// Lowest user address that is ever mapped.
pub const USER_LOWEST: u64 = 0x1_0000;
/// One past the highest user address (48 bits).
pub const USER_END: u64 = 1 << 48;
/// Start of the window in which the runtime reserves addresses: heap, stacks of threads, mappings. It ends at [`TOP_BASE`].
pub const HEAP_BASE: u64 = 0x10_0000_0000;
/// Start of the part with what the builder maps besides the image, one above the other: main stack, dispatcher frame,
/// start information.
///
/// ```text
///   TOP_BASE ... STACK_LIMIT      never mapped: guard of the stack
///   STACK_LIMIT ... STACK_TOP     main stack, mapped from the top down: STACK_SIZE bytes at first
///   FRAME_BASE ... START_BASE     dispatcher frame
///   START_BASE ... START_END      start information
/// ```
///
/// All that is mapped at first lies in one region of 2 MiB, hence takes one level 3 table.
pub const TOP_BASE: u64 = 0x7f_0000_0000;
/// Lowest address that the main thread's stack may grow down to.
pub const STACK_LIMIT: u64 = TOP_BASE + 0x4_0000;
/// One past the main thread's stack.
pub const STACK_TOP: u64 = STACK_LIMIT + (8 << 20);
/// Bytes of the main thread's stack that the builder maps, below [`STACK_TOP`]. The page below stays empty: the stack grows
/// down to [`STACK_LIMIT`] by faults, if the runtime makes it grow.
pub const STACK_SIZE: u64 = 64 * 1024;
/// Address of the dispatcher frame.
pub const FRAME_BASE: u64 = TOP_BASE + 0x88_0000;
/// Address of the start information.
pub const START_BASE: u64 = TOP_BASE + 0x90_0000;
/// One past the highest address that start information can have.
pub const START_END: u64 = TOP_BASE + 0x9f_0000;
/// Bytes of a dispatcher frame that the builder makes by default: the head and room for rings.
pub const FRAME_SIZE: u64 = 32 * 1024;

/// What a new domain finds at the address in [`crate::frame::DispatcherFrame::start_info`].
/// Offsets count from the start of this structure; strings are NUL-terminated, one after the other.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct StartInfo {
    /// [`START_MAGIC`].
    pub magic: u64,
    /// Bytes of all the start information.
    pub size: u32,
    /// Number of arguments, the program's name first.
    pub arg_count: u32,
    /// Offset of the first argument.
    pub arg_offset: u32,
    /// Number of environment strings (`NAME=value`).
    pub env_count: u32,
    /// Offset of the first of them.
    pub env_offset: u32,
    /// Bytes of the dispatcher frame.
    pub frame_size: u32,
    /// Bytes of the dispatcher object, which say how many events it has.
    pub dispatcher_size: u32,
    /// First event index that is free.
    pub first_event: u32,
    /// First offset in the dispatcher frame that is free for rings.
    pub first_ring: u32,
    /// CNodes from [`PAGE_CNODE`] on that the builder has put page tables and mappings into.
    pub page_cnodes: u32,
    /// First free slot of the last of them, up to the number of its slots. The others are full.
    pub first_page_slot: u32,
    /// First L1 index that the domain's own slot allocator may use.
    pub first_free_cnode: u32,
    /// Slots of the root CNode.
    pub root_slots: u32,
    /// Offset of the first [`SpaceRecord`], a multiple of 8.
    pub record_offset: u32,
    /// Number of records.
    pub record_count: u32,
    /// Bytes from one record to the next.
    pub record_size: u32,
    /// Bytes behind [`EARLY_RAM`].
    pub early_ram: u64,
    /// The domain's number, see [`crate::domain`].
    pub domain: u64,
    /// Bytes of the main thread's stack.
    pub stack_size: u64,
    /// What the builder passes to particular servers (see each server).
    pub extra: [u64; 8],
}

/// First word of a [`StartInfo`].
pub const START_MAGIC: u64 = u64::from_le_bytes(*b"bdstart1");

/// What a [`SpaceRecord`] tells of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum SpaceKind {
    /// A page table, other than the root, which is [`ROOT_VNODE`].
    Table = 1,
    /// A part of the image.
    Image = 2,
    /// The dispatcher frame.
    Frame = 3,
    /// The start information.
    Start = 4,
    /// The main thread's stack.
    Stack = 5,
    /// The boot facts of `init`.
    Boot = 6,
}

impl SpaceKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [SpaceKind; 6] = [
        SpaceKind::Table,
        SpaceKind::Image,
        SpaceKind::Frame,
        SpaceKind::Start,
        SpaceKind::Stack,
        SpaceKind::Boot,
    ];

    /// The kind with this number, if there is one.
    pub const fn from_number(number: u16) -> Option<SpaceKind> {
        if number >= 1 && number <= Self::ALL.len() as u16 {
            Some(Self::ALL[number as usize - 1])
        } else {
            None
        }
    }
}

/// One page table, or one mapping of memory, that the builder made for the domain. All of them together are the books of its
/// address space, which its runtime takes over: every capability named here is the domain's, and it may unmap, protect
/// or replace whatever it likes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct SpaceRecord {
    /// First address.
    pub base: u64,
    /// Bytes: what the table covers, or what the mapping shows.
    pub bytes: u64,
    /// [`CapAddr`] of the table; for memory, of the Frame that the mapping shows a part of, possibly without any rights.
    /// As long as there is a copy of that, there is the mapping.
    pub object: u32,
    /// [`CapAddr`] of the Mapping: what puts the table into its parent, or shows the memory.
    pub mapping: u32,
    /// [`SpaceKind`] as a number.
    pub kind: u16,
    /// Level of the table (1 to 3); for memory, of the table that shows it: 3, or 2 for pages of 2 MiB.
    pub level: u8,
    /// Rights of the memory, as bits; 0 for a table.
    pub rights: u8,
    /// 0.
    pub reserved: u32,
}
