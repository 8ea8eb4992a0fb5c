//! What `init` passes to the servers that it builds: an agreement between it and each of them.
//!
//! Numbers go through [`StartInfo::extra`](abi::layout::StartInfo::extra) by the indices given here, capabilities lie in
//! the task CNode from [`TASK_EXTRA`] on.
//!
//! Before there is a name service, `init` itself answers on the channels that lead there, and knows what
//! has registered so far: the memory service (the names that begin with `mem`) and the name service ([`NAMES`]).

use abi::CapAddr;
use abi::domain::Role;
use abi::layout::{TASK_CNODE, TASK_EXTRA};

/// Service of the memory server through which the name service brings it clients: an `interfaces::Service`.
pub const MEMORY_CLIENTS: &str = "mem.clients";
/// Service of the memory server for parts of the system alone: `interfaces::Accounts`.
pub const MEMORY_ACCOUNTS: &str = "mem.accounts";
/// As [`MEMORY_CLIENTS`], for [`MEMORY_ACCOUNTS`].
pub const ACCOUNT_CLIENTS: &str = "mem.accounts.clients";
/// Name under which `init` knows the name service.
pub const NAMES: &str = "names";
/// Service of the first core's name service for those of other cores: `interfaces::RootNames`.
pub const ROOT_NAMES: &str = "names.root";
/// Service of the name service that makes the channels of new domains: an `interfaces::Service` whose
/// `accept(domain, endpoint)` does so. For parts of the system alone, since it takes their word for the number.
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
    use super::{CapAddr, Role, given};

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
    /// The dispatcher of a part of the system on this core, to ask for its state: of all but the service itself.
    pub const fn dispatcher(role: Role) -> CapAddr {
        given(role as u64)
    }
}
