//! What `init` passes to the servers that it builds: an agreement between it and each of them.
//!
//! Numbers go through [`StartInfo::extra`](abi::layout::StartInfo::extra) by the indices given here, capabilities lie in
//! the task CNode from [`TASK_EXTRA`] on.
//!
//! Before there is a name service, `init` itself answers on the channels that lead there, and knows what
//! has registered so far: the memory service (the names that begin with `mem`) and the name service ([`NAMES`]).

use abi::CapAddr;
use abi::layout::{TASK_CNODE, TASK_EXTRA};

/// Domain number of `init`.
pub const INIT_DOMAIN: u64 = 1;
/// Domain number of the memory server.
pub const MEM_DOMAIN: u64 = 2;
/// Domain number of the name service.
pub const NAMES_DOMAIN: u64 = 3;
/// Domain number of the serial server.
pub const SERIAL_DOMAIN: u64 = 4;
/// Domain number of the spawn service.
pub const SPAWN_DOMAIN: u64 = 5;
/// The first number of a domain that is a process; lower ones are parts of the system that `init` built.
pub const FIRST_PROCESS: u64 = 16;

/// Service of the memory server through which the name service brings it clients: an `interfaces::Service`.
pub const MEMORY_CLIENTS: &str = "mem.clients";
/// Service of the memory server for domains below [`FIRST_PROCESS`] alone: `interfaces::Accounts`.
pub const MEMORY_ACCOUNTS: &str = "mem.accounts";
/// As [`MEMORY_CLIENTS`], for [`MEMORY_ACCOUNTS`].
pub const ACCOUNT_CLIENTS: &str = "mem.accounts.clients";
/// Name under which `init` knows the name service.
pub const NAMES: &str = "names";
/// Service of the name service that makes the channels of new domains: an `interfaces::Service` whose
/// `accept(domain, endpoint)` does so. For domains below [`FIRST_PROCESS`] alone, since it takes their word for the number.
pub const ATTACH: &str = "names.attach";

/// A capability that a server is given besides the well-known ones.
const fn given(number: u64) -> CapAddr {
    CapAddr::new(TASK_CNODE, TASK_EXTRA + number)
}

/// The memory server's.
pub mod mem {
    use super::{CapAddr, given};

    /// Index of the number of roots.
    pub const EXTRA_ROOTS: usize = 1;
    /// Index of the core's number.
    pub const EXTRA_CORE: usize = 2;
    /// The root Ram capability with this number. The server alone holds it.
    pub const fn root(number: u64) -> CapAddr {
        given(number)
    }
}

/// The serial server's.
pub mod serial {
    use super::{CapAddr, given};

    /// Index of the UART's clock in Hz.
    pub const EXTRA_CLOCK: usize = 1;
    /// The registers of the UART: a DevFrame of one page.
    pub const REGISTERS: CapAddr = given(0);
    /// Its interrupt: an IrqSource of one.
    pub const INTERRUPT: CapAddr = given(1);
}

/// The spawn service's.
pub mod spawn {
    use super::{CapAddr, given};

    /// Index of the bytes of the boot modules that are meaningful.
    pub const EXTRA_MODULES: usize = 1;
    /// Index of the core's number.
    pub const EXTRA_CORE: usize = 2;
    /// Indices of the KiB that `init` and the memory server are made of, which the kernel gave, so that nobody accounts for it.
    pub const EXTRA_INIT_KIB: usize = 3;
    /// See [`EXTRA_INIT_KIB`].
    pub const EXTRA_MEM_KIB: usize = 4;
    /// The boot modules: a Frame, to read.
    pub const MODULES: CapAddr = given(0);
    /// The parts of the system that are running already, for the list of processes: number and name.
    pub const PARTS: [(u64, &str); 5] = [
        (super::INIT_DOMAIN, "init"),
        (super::MEM_DOMAIN, "mem"),
        (super::NAMES_DOMAIN, "names"),
        (super::SERIAL_DOMAIN, "serial"),
        (super::SPAWN_DOMAIN, "spawn"),
    ];
    /// The dispatcher of one of [`PARTS`], by its index, to ask for its state. The service's own is its own.
    pub const fn dispatcher(index: u64) -> CapAddr {
        given(1 + index)
    }
}
