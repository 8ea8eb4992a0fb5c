//! The system as a whole: its log, facts about it, and its power.

use crate::error::errors;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use ipc::Wire;

/// The service's name.
pub const SYSTEM: &str = "system";

errors! {
    /// Why the system service refused.
    SystemError {
        /// Not a domain that may do that.
        NotAllowed => "this domain may not do that",
        /// The platform cannot do it.
        NotSupported => "this platform cannot do that",
        /// The machine has no core of this number.
        NoSuchCore => "the machine has no core of this number",
        /// The core is up already.
        CoreIsUp => "this core is up already",
        /// Somebody else is starting it.
        CoreIsStarting => "this core is being started",
        /// The machine has too little memory for one more.
        NoMemoryForCore => "there is too little memory for this core: give the machine more (--memory)",
        /// Firmware or the kernel did not start it.
        CoreNotStarted => "the core could not be started; `dmesg` says why",
        /// It was started, and is not heard of.
        CoreIsSilent => "the core does not answer",
    }
}

/// A part of the kernel's log.
#[derive(Clone, PartialEq, Eq, Debug, Wire)]
pub struct LogPart {
    /// Where to read on.
    pub next: u64,
    /// The bytes from the position that was asked for, or from the oldest that are kept. Empty at the end.
    pub bytes: Vec<u8>,
}

/// Facts that do not change while the system runs.
#[derive(Clone, PartialEq, Eq, Debug, Wire)]
pub struct SystemInfo {
    /// Cores that run.
    pub cores: u32,
    /// Cores that the machine has.
    pub cores_present: u32,
    /// RAM of the machine, in MiB.
    pub memory_mib: u64,
    /// The board, as `virt`.
    pub platform: String,
    /// The version, as `0.1.0 (abcdef0)`.
    pub version: String,
    /// Counter ticks a second.
    pub ticks_per_second: u64,
}

/// How it is with a core.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Wire)]
pub enum CoreState {
    /// Not started.
    Off,
    /// Being started.
    Starting,
    /// Programs run on it.
    Up,
    /// It was started, and does not answer.
    Silent,
}

impl fmt::Display for CoreState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            CoreState::Off => "off",
            CoreState::Starting => "starting",
            CoreState::Up => "up",
            CoreState::Silent => "silent",
        })
    }
}

/// A core of the machine, at the moment of the question.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Wire)]
pub struct CoreInfo {
    /// Its number.
    pub core: u32,
    /// How it is with it.
    pub state: CoreState,
    /// What it has done; none if it is not up.
    pub counters: Option<CoreCounters>,
}

/// What a core that is up has done since its kernel started, and what it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Wire)]
pub struct CoreCounters {
    /// Time since it started, in milliseconds.
    pub up_ms: u64,
    /// Interrupts taken.
    pub interrupts: u64,
    /// Switches from one dispatcher to another.
    pub switches: u64,
    /// Dispatchers that exist.
    pub dispatchers: u64,
    /// Capabilities that exist.
    pub capabilities: u64,
}

/// Served by init, which alone holds the `Kernel` capability.
#[ipc::interface(limit = 65536)]
pub trait System {
    /// The log from `position` on (0: the oldest), as much as one answer takes.
    fn log(&self, position: u64) -> Result<LogPart, SystemError>;

    /// Facts about the machine and the system.
    async fn info(&self) -> Result<SystemInfo, SystemError>;

    /// The core of this instance.
    fn core(&self) -> Result<CoreInfo, SystemError>;

    /// All cores that the machine has, by number.
    async fn cores(&self) -> Result<Vec<CoreInfo>, SystemError>;

    /// Starts a core. Answered when programs can be started on it.
    async fn start_core(&self, core: u32) -> Result<(), SystemError>;

    /// Switches the machine off, with an exit status for whoever runs it. Answers only when refused.
    fn power_off(&self, status: u8) -> Result<(), SystemError>;

    /// Starts the machine anew. Answers only when refused.
    fn restart(&self) -> Result<(), SystemError>;
}
