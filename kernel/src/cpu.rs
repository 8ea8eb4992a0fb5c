//! One core's kernel state, all of it (K1).

use abi::frame::Context;
use abi::packet::Packet;
use caps::Db;

use crate::boot_facts::BootFacts;
use crate::log::Log;
use crate::machine::Machine;

/// Everything that a core's kernel knows; reached from `TPIDR_EL1`. No other core ever touches it (K1).
///
/// The fields before the mapping database are known to the entry code in `arch`.
#[repr(C)]
pub struct Core {
    /// User registers, saved on interrupts and faults, and where they are restored from.
    pub context: Context,
    /// `x0` to `x7` of a system call with more than one result.
    pub results: [u64; 8],
    /// The packet of a send that does not take the direct way.
    pub packet: Packet,
    /// The number of the system call.
    pub number: u64,
    /// Top of the kernel's stack, where it is in user mode.
    pub stack_top: u64,
    /// The mapping database.
    pub db: Db,
    /// What capabilities act on.
    pub machine: Machine,
    /// The kernel's log.
    pub log: Log,
    /// The machine, and what of it is this core's.
    pub facts: &'static BootFacts,
    /// Bytes of RAM that the kernel keeps for itself.
    pub kernel_bytes: u64,
}
