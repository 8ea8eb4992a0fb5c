//! Every service interface, once: what servers implement and clients call.
//!
//! | interface | served by | found as | for |
//! |---|---|---|---|
//! | [`Memory`] | mem | `mem` | RAM |
//! | [`Accounts`] | mem | `mem.accounts`, by parts of the system | RAM for others, limits |
//! | [`Names`] | names | handed over at start | finding services, offering one |
//! | [`Service`] | every server | (names is its client) | taking a new client |
//! | [`Console`] | serial | `console` | the terminal |
//! | [`Spawn`] | spawn | `spawn` | processes |
//! | [`System`] | init | `system` | log, facts, power |
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
    MAX_NAME, Names, NamesClient, NamesError, NamesServer, Service, ServiceClient, ServiceError,
    ServiceServer,
};
pub use spawn::{
    ExitStatus, Pid, ProcessInfo, ProcessState, SPAWN, Spawn, SpawnClient, SpawnError, SpawnServer,
};
pub use system::{LogPart, SYSTEM, System, SystemClient, SystemError, SystemInfo, SystemServer};
