//! What the shell asks of the system.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use interfaces::{ChannelInfo, CoreInfo, CoreMemory, ExitStatus, LogPart, Pid, ProcessInfo};

use crate::capabilities::Capability;
use crate::cores::ByCore;

/// What went wrong, in words that follow `NAME: `.
pub type Failure = String;

/// How a program that ran in the foreground ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// By itself, or by somebody else's hand.
    Ended(ExitStatus),
    /// By Ctrl-C at the console.
    Interrupted,
}

/// A program that is to be started.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// Where; none: on the shell's own core.
    pub core: Option<u32>,
    /// Its name.
    pub name: &'a str,
    /// Its arguments, those after its name.
    pub arguments: &'a [String],
    /// `NAME=value`.
    pub environment: &'a [String],
    /// The most memory that it may have, in bytes; 0: as much as the shell.
    pub limit: u64,
}

/// Why a program did not run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RunError {
    /// There is none of this name.
    NotFound,
    /// It is there, but cannot be run.
    NotRunnable(Failure),
    /// Nothing can be started on the core that was asked for.
    NoCore(Failure),
    /// Something else was in the way.
    Failed(Failure),
}

/// A service, and what it says of its channels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The domain that offers it.
    pub owner: u64,
    /// Its channels by number, or why it does not tell.
    pub channels: Result<Vec<ChannelInfo>, Failure>,
}

/// Everything outside of the shell.
pub trait World {
    /// The next typed bytes, as they come: at least one. What was printed appears before.
    ///
    /// # Errors
    /// There is no console (any more).
    fn read(&mut self) -> Result<Vec<u8>, Failure>;

    /// Prints text; its lines end in LF.
    fn print(&mut self, text: &str);

    /// Runs a program in the foreground, to its end.
    ///
    /// # Errors
    /// [`RunError`]; nothing has run then.
    fn run(&mut self, program: &Program<'_>) -> Result<End, RunError>;

    /// Starts a program, and does not wait for its end.
    ///
    /// # Errors
    /// [`RunError`]; nothing runs then.
    fn start(&mut self, program: &Program<'_>) -> Result<Pid, RunError>;

    /// Ends a process.
    ///
    /// # Errors
    /// Why it was refused.
    fn kill(&mut self, pid: Pid) -> Result<(), Failure>;

    /// The shell's own number.
    fn pid(&self) -> Pid;

    /// The names of programs that can be run; none if nobody can tell.
    fn programs(&mut self) -> Vec<String>;

    /// All processes of each core that is up, by number.
    ///
    /// # Errors
    /// Nobody can say which cores are up.
    fn processes(&mut self) -> Result<ByCore<Vec<ProcessInfo>>, Failure>;

    /// The memory of each core that is up.
    ///
    /// # Errors
    /// Nobody can say which cores are up.
    fn memory(&mut self) -> Result<ByCore<Vec<CoreMemory>>, Failure>;

    /// All services, by name.
    ///
    /// # Errors
    /// The name service cannot say.
    fn services(&mut self) -> Result<Vec<Service>, Failure>;

    /// The cores of the machine, by number.
    ///
    /// # Errors
    /// The system service cannot say.
    fn cores(&mut self) -> Result<Vec<CoreInfo>, Failure>;

    /// Starts a core.
    ///
    /// # Errors
    /// Why it was refused.
    fn start_core(&mut self, core: u32) -> Result<(), Failure>;

    /// The kernel's log from a position on, as much as one answer takes; no bytes at its end.
    ///
    /// # Errors
    /// The system service cannot say.
    fn log(&mut self, position: u64) -> Result<LogPart, Failure>;

    /// Switches the machine off. Comes back only if that was refused.
    ///
    /// # Errors
    /// Why it was refused.
    fn power_off(&mut self, status: u8) -> Result<(), Failure>;

    /// Starts the machine anew. Comes back only if that was refused.
    ///
    /// # Errors
    /// Why it was refused.
    fn restart(&mut self) -> Result<(), Failure>;

    /// Time since the machine started.
    fn uptime(&self) -> Duration;

    /// The shell's own capabilities, by address.
    fn capabilities(&self) -> Vec<Capability>;
}
