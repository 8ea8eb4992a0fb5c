//! Processes.

use crate::error::errors;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use ipc::Wire;

/// The service's name.
pub const SPAWN: &str = "spawn";

/// Names a process; never used twice while the system runs.
pub type Pid = u64;

errors! {
    /// Why the spawn service refused.
    SpawnError {
        /// No program of this name.
        NotFound => "command not found",
        /// The file is no program for this machine.
        BadProgram => "not a program that can run here",
        /// No process has this number.
        NoProcess => "no such process",
        /// Arguments and environment together are too long.
        ArgumentsTooLong => "the arguments and the environment are too long",
        /// Not enough memory for the program.
        OutOfMemory => "not enough memory",
        /// The program is larger than the limit for its memory.
        OverLimit => "the program needs more memory than its limit",
        /// The process is part of the system and cannot be ended.
        NotAllowed => "this process cannot be ended",
        /// The process was started by somebody else.
        NotYours => "this process was started by somebody else",
        /// The caller, or who started it, has as many processes as it may.
        TooManyProcesses => "this program and those that it started have as many processes as they may",
        /// The caller has as many requests waiting as it may.
        TooManyWaits => "this program waits for too many ends of processes",
        /// The spawn service of the caller's core, which knows what the caller may, cannot be asked.
        Unreachable => "the spawn service of the caller's core does not answer",
        /// The server ran out of something of its own (capability slots).
        Exhausted => "the spawn service is out of resources",
    }
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Wire)]
pub enum ExitStatus {
    /// It returned from `main` or called exit, with this code.
    Exited {
        /// 0: all went well.
        code: i32,
    },
    /// It did what it may not do.
    Faulted {
        /// The address that was accessed.
        address: u64,
        /// Where the program was.
        pc: u64,
    },
    /// Somebody ended it.
    Killed,
}

impl ExitStatus {
    /// What a shell calls it: the code, 139 after a fault, 137 when killed.
    pub const fn code(self) -> i32 {
        match self {
            ExitStatus::Exited { code } => code,
            ExitStatus::Faulted { .. } => 139,
            ExitStatus::Killed => 137,
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitStatus::Exited { code } => write!(f, "exited with {code}"),
            ExitStatus::Faulted { address, pc } => {
                write!(f, "faulted: address {address:#x}, at {pc:#x}")
            }
            ExitStatus::Killed => f.write_str("killed"),
        }
    }
}

/// What a process is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Wire)]
pub enum ProcessState {
    /// Being made.
    Starting,
    /// Running, or ready to run.
    Ready,
    /// Waiting for a message, an interrupt or a time.
    Waiting,
    /// Ended; somebody has yet to ask how.
    Ended,
}

impl fmt::Display for ProcessState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ProcessState::Starting => "starting",
            ProcessState::Ready => "ready",
            ProcessState::Waiting => "waiting",
            ProcessState::Ended => "ended",
        })
    }
}

/// A process, at the moment of the question.
#[derive(Clone, PartialEq, Eq, Debug, Wire)]
pub struct ProcessInfo {
    /// Its number.
    pub pid: Pid,
    /// Where it runs.
    pub core: u32,
    /// What it is doing.
    pub state: ProcessState,
    /// Memory that it has, in KiB.
    pub memory_kib: u64,
    /// The program.
    pub name: String,
}

/// What a process hands on to those that it starts, also on other cores.
#[derive(Clone, PartialEq, Eq, Debug, Wire)]
pub struct Inherited {
    /// Most bytes of memory that each may have; 0: no limit.
    pub limit: u64,
    /// Who may end them, the first in line first: those that the process descends from, and itself.
    pub ancestors: Vec<Pid>,
}

/// Starts, watches and ends processes.
#[ipc::interface(limit = 262_144)]
pub trait Spawn {
    /// Starts a program by its path or the name of a boot module. `arguments` are those after the
    /// program's own name; `environment` are `NAME=value`. `limit` is the most memory that the process may have, in
    /// bytes, what it is made of included; 0 is as much as the caller may have, and more than that it never is.
    async fn spawn(
        &self,
        program: &str,
        arguments: &[String],
        environment: &[String],
        limit: u64,
    ) -> Result<Pid, SpawnError>;

    /// Answered when the process has ended; any number of callers may wait, also afterwards.
    #[deferred]
    fn wait(&self, pid: Pid) -> Result<ExitStatus, SpawnError>;

    /// All processes, by number: one consistent snapshot.
    async fn list(&self) -> Result<Vec<ProcessInfo>, SpawnError>;

    /// Whether there is a program of this path or name.
    async fn exists(&self, program: &str) -> Result<bool, SpawnError>;

    /// The names of the boot modules, sorted: what can be started without a path.
    fn programs(&self) -> Result<Vec<String>, SpawnError>;

    /// What is inherited by what a process of this core starts: spawn services of other cores ask that.
    fn heritage(&self, pid: Pid) -> Result<Inherited, SpawnError>;

    /// Ends a process that the caller has started, directly or indirectly, or itself. Answered when it runs no more.
    async fn kill(&self, pid: Pid) -> Result<(), SpawnError>;
}
