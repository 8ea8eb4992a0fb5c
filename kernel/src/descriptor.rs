//! The bits of translation-table descriptors: Arm ARM (DDI 0487), D8.3 (VMSAv8-64), 4 KiB granule.

/// Valid.
pub const VALID: u64 = 1;
/// A table (levels 0 to 2) or a page (level 3).
pub const TABLE_OR_PAGE: u64 = 1 << 1;
/// MAIR index 1: device memory; index 0 is normal memory.
pub const DEVICE: u64 = 1 << 2;
/// For EL0 too.
pub const USER: u64 = 1 << 6;
/// Place of [`READ_ONLY`].
pub const READ_ONLY_BIT: u32 = 7;
/// Not writable.
pub const READ_ONLY: u64 = 1 << READ_ONLY_BIT;
/// Coherent with all cores.
pub const INNER_SHAREABLE: u64 = 3 << 8;
/// Accessed: no fault at the first use.
pub const ACCESSED: u64 = 1 << 10;
/// Of one address space.
pub const NOT_GLOBAL: u64 = 1 << 11;
/// Not executable at EL1.
pub const PRIVILEGED_EXECUTE_NEVER: u64 = 1 << 53;
/// Place of [`USER_EXECUTE_NEVER`].
pub const USER_EXECUTE_NEVER_BIT: u32 = 54;
/// Not executable at EL0.
pub const USER_EXECUTE_NEVER: u64 = 1 << USER_EXECUTE_NEVER_BIT;
/// Never executable.
pub const EXECUTE_NEVER: u64 = PRIVILEGED_EXECUTE_NEVER | USER_EXECUTE_NEVER;
/// The output address.
pub const ADDRESS: u64 = 0x0000_ffff_ffff_f000;
