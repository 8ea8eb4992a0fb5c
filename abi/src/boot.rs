//! What a core's kernel tells the `init` of that core: a page of facts and the capabilities that go with them.

/// L1 index of the CNode with the boot capabilities of `init`.
pub const BOOT_CNODE: u64 = 2;
/// Address where `init` finds the [`BootInfo`].
pub const BOOT_INFO_BASE: u64 = crate::layout::START_END;
/// Most cores of a machine.
pub const MAX_CORES: usize = 16;
/// Most regions that a [`BootInfo`] tells.
pub const MAX_REGIONS: usize = 32;
/// Most devices that a [`BootInfo`] tells.
pub const MAX_DEVICES: usize = 16;
/// Most bytes of the kernel's command line.
pub const MAX_COMMAND_LINE: usize = 512;
/// First word of a [`BootInfo`].
pub const BOOT_MAGIC: u64 = u64::from_le_bytes(*b"bdboot01");

/// What a region is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum RegionKind {
    /// Free RAM: a root Ram capability.
    Ram = 1,
    /// The boot modules (cpio archive): a Frame capability.
    Modules = 2,
    /// The device tree: a Frame capability.
    DeviceTree = 3,
    /// Devices: a PhysAddr capability.
    Devices = 4,
    /// On a core that another has started: the memory that its monitor shares with that core's, a Frame capability.
    Monitor = 5,
}

/// A region of physical memory and the capability to it.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Region {
    /// Physical address.
    pub base: u64,
    /// Bytes.
    pub size: u64,
    /// [`RegionKind`] as a number; 0: unused entry.
    pub kind: u32,
    /// Slot in [`BOOT_CNODE`].
    pub slot: u32,
    /// For modules and device tree: bytes that are meaningful.
    pub used: u64,
}

/// What a device is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum DeviceKind {
    /// An Arm PL011 UART.
    Pl011 = 1,
    /// An Arm PL031 real-time clock.
    Pl031 = 2,
    /// A PCI Express host with ECAM.
    PcieEcam = 3,
}

/// A device that the device tree names.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Device {
    /// Physical address of its registers.
    pub base: u64,
    /// Bytes.
    pub size: u64,
    /// [`DeviceKind`] as a number; 0: unused entry.
    pub kind: u32,
    /// Its interrupt number (INTID); 0: none.
    pub interrupt: u32,
}

/// Facts for `init`, at [`BOOT_INFO_BASE`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BootInfo {
    /// [`BOOT_MAGIC`].
    pub magic: u64,
    /// Cores of the machine.
    pub cores: u32,
    /// This core.
    pub core: u32,
    /// Bytes of RAM in all.
    pub ram_bytes: u64,
    /// Bytes of RAM that the kernel keeps for itself.
    pub kernel_bytes: u64,
    /// Name of the platform, NUL-padded.
    pub platform: [u8; 16],
    /// Regions; entries with kind 0 are unused.
    pub regions: [Region; MAX_REGIONS],
    /// Devices; entries with kind 0 are unused.
    pub devices: [Device; MAX_DEVICES],
    /// Slot in [`BOOT_CNODE`] of the IrqSource over all shared peripheral interrupts.
    pub irq_slot: u32,
    /// First free slot of [`BOOT_CNODE`].
    pub first_free_slot: u32,
    /// Bytes of the command line.
    pub command_line_size: u32,
    /// Keeps what follows aligned.
    pub reserved: u32,
    /// The kernel's command line.
    pub command_line: [u8; MAX_COMMAND_LINE],
}

const _: () = assert!(core::mem::size_of::<BootInfo>() <= 4096);
