//! Every service interface, once: what servers implement and clients call.
//!
//! | interface | served by | found as | for |
//! |---|---|---|---|
//! | [`Memory`] | mem of each core | `mem` | RAM |
//! | [`Accounts`] | mem of each core | `mem.accounts`, by parts of the system | RAM for others, limits |
//! | [`Names`] | names | handed over at start | finding services, offering one |
//! | [`RootNames`] | names of the first core | (names of other cores are its clients) | services of all cores |
//! | [`Service`] | every server | (names is its client) | taking a new client |
//! | [`Console`] | serial | `console` | the terminal |
//! | [`Spawn`] | spawn of each core | `spawn` | processes |
//! | [`System`] | init | `system` | log, facts, cores, power |
//!
//! What is there on each core is registered as `NAME.CORE`, and found as `NAME` on that core.
//!
//! For an interface `Name` there are the trait `Name` (servers implement it), `NameServer` and
//! `NameClient`; see `ipc`. Errors of an interface are an enum of its own with a sentence each; its
//! `Call` variant holds failures of the call itself.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod console;
mod error;
mod memory;
mod names;
mod spawn;
mod system;

pub use console::{
    CONSOLE, Console, ConsoleClient, ConsoleError, ConsoleMode, ConsoleServer, MAX_CONSOLE_WRITE,
};
pub use memory::{
    Account, Accounts, AccountsClient, AccountsServer, CoreMemory, Memory, MemoryClient, MemoryError,
    MemoryServer,
};
pub use names::{
    ChannelInfo, ChannelKind, MAX_NAME, NameInfo, Names, NamesClient, NamesError, NamesServer, RootNames,
    RootNamesClient, RootNamesServer, Service, ServiceClient, ServiceError, ServiceServer, instance_name,
};
pub use spawn::{
    ExitStatus, Inherited, Pid, ProcessInfo, ProcessState, SPAWN, Spawn, SpawnClient, SpawnError, SpawnServer,
};
pub use system::{
    CoreCounters, CoreInfo, CoreState, LogPart, SYSTEM, System, SystemClient, SystemError, SystemInfo,
    SystemServer,
};
