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
/// L1 index of the CNode with the domain's page tables and mappings, as its builder made them.
pub const PAGE_CNODE: u64 = 1;
/// First L1 index that the domain's own slot allocator may use.
pub const FIRST_FREE_CNODE: u64 = 2;

/// Lowest user address that is ever mapped.
pub const USER_LOWEST: u64 = 0x1_0000;
/// One past the highest user address (48 bits).
pub const USER_END: u64 = 1 << 48;
/// Where programs are linked (the linker's default for this target).
pub const IMAGE_BASE: u64 = 0x20_0000;
/// Start of the window for the heap.
pub const HEAP_BASE: u64 = 0x10_0000_0000;
/// Start of the window for mappings that the runtime makes for itself and on request.
pub const MAP_BASE: u64 = 0x20_0000_0000;
/// Start of the 2 MiB window (one level 3 table) with what the builder maps besides the image.
pub const TOP_BASE: u64 = 0x7f_0000_0000;
/// Address of the dispatcher frame.
pub const FRAME_BASE: u64 = TOP_BASE;
/// Address of the start information.
pub const START_BASE: u64 = TOP_BASE + 0x8_0000;
/// One past the main thread's stack; a guard page lies below it.
pub const STACK_TOP: u64 = TOP_BASE + 0x20_0000;
/// Bytes of the main thread's stack that the builder maps.
pub const STACK_SIZE: u64 = 64 * 1024;
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
    /// First free slot of [`PAGE_CNODE`].
    pub first_page_slot: u32,
    /// Bytes behind [`EARLY_RAM`].
    pub early_ram: u64,
    /// The domain's number, unique over all cores and not reused soon.
    pub domain: u64,
    /// Bytes of the main thread's stack.
    pub stack_size: u64,
    /// What the builder passes to particular servers (see each server).
    pub extra: [u64; 8],
}

/// First word of a [`StartInfo`].
pub const START_MAGIC: u64 = u64::from_le_bytes(*b"bdstart1");
