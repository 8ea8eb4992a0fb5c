//! Other programs: starting them, waiting for their end.

use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use interfaces::{ExitStatus, Pid, ProcessInfo, SPAWN, SpawnClient, SpawnError, instance_name};

use crate::{Error, LmpPort};

/// Why a program could not be started or asked about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProcessError {
    /// The spawn service cannot be reached.
    NoService(Error),
    /// The spawn service refused.
    Spawn(SpawnError),
}

impl core::fmt::Display for ProcessError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            ProcessError::NoService(error) => write!(f, "no spawn service: {error}"),
            ProcessError::Spawn(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for ProcessError {}

impl From<SpawnError> for ProcessError {
    fn from(error: SpawnError) -> ProcessError {
        ProcessError::Spawn(error)
    }
}

/// The spawn service of a core.
#[derive(Clone)]
pub struct Processes(Rc<SpawnClient<LmpPort>>);

impl Processes {
    /// Connects to that of this core.
    ///
    /// # Errors
    /// [`ProcessError::NoService`].
    pub fn connect() -> Result<Processes, ProcessError> {
        Processes::named(SPAWN)
    }

    /// Connects to that of `core`: what is started there runs there.
    ///
    /// # Errors
    /// [`ProcessError::NoService`], also when that core is not up.
    pub fn on_core(core: u32) -> Result<Processes, ProcessError> {
        Processes::named(&instance_name(SPAWN, core))
    }

    fn named(name: &str) -> Result<Processes, ProcessError> {
        let client = crate::connect(name).map_err(ProcessError::NoService)?;
        Ok(Processes(Rc::new(client)))
    }

    /// Starts a program by its path or the name of a boot module, with arguments (the program's own name is not one
    /// of them) and this program's environment.
    ///
    /// # Errors
    /// [`ProcessError::Spawn`].
    pub fn spawn(&self, program: &str, arguments: &[&str]) -> Result<Child, ProcessError> {
        self.program(program).arguments(arguments).start()
    }

    /// A program that is to be started in other ways than [`Processes::spawn`] does.
    pub fn program<'a>(&self, name: &'a str) -> Program<'a> {
        Program { processes: self.clone(), name, arguments: Vec::new(), limit: 0 }
    }

    /// Waits for the end of a process.
    ///
    /// # Errors
    /// [`ProcessError::Spawn`], when there never was such a process, say.
    pub fn wait(&self, pid: Pid) -> Result<ExitStatus, ProcessError> {
        crate::flush();
        Ok(self.0.wait(pid)?)
    }

    /// All processes at the moment.
    ///
    /// # Errors
    /// [`ProcessError::Spawn`].
    pub fn list(&self) -> Result<Vec<ProcessInfo>, ProcessError> {
        Ok(self.0.list()?)
    }

    /// Ends a process.
    ///
    /// # Errors
    /// [`ProcessError::Spawn`].
    pub fn kill(&self, pid: Pid) -> Result<(), ProcessError> {
        Ok(self.0.kill(pid)?)
    }
}

/// A program that is to be started, with this program's environment.
///
/// ```no_run
/// # use barreldish::process::{ProcessError, Processes};
/// # fn main() -> Result<(), ProcessError> {
/// Processes::connect()?.program("lines").arguments(&["a", "1"]).memory_limit(4 << 20).start()?.wait()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "it is started by `start`"]
pub struct Program<'a> {
    processes: Processes,
    name: &'a str,
    arguments: Vec<String>,
    limit: u64,
}

impl Program<'_> {
    /// Adds arguments; the program's own name is not one of them.
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// The most memory that it may have, in bytes, what it is made of (some 700 KiB) included. Otherwise it is as much as
    /// this program may have.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        // 0 means none to the service; and with one byte nothing can be started either.
        self.limit = bytes.max(1);
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// [`ProcessError::Spawn`].
    pub fn start(self) -> Result<Child, ProcessError> {
        let pair = |(name, value): (&str, &str)| alloc::format!("{name}={value}");
        let environment: Vec<String> = crate::env_all().into_iter().map(pair).collect();
        let pid = self.processes.0.spawn(self.name, &self.arguments, &environment, self.limit)?;
        Ok(Child { processes: self.processes, pid })
    }
}

/// A program that was started. Dropping it leaves the program running.
#[derive(Clone)]
pub struct Child {
    processes: Processes,
    pid: Pid,
}

impl Child {
    /// Its number.
    pub fn pid(&self) -> Pid {
        self.pid
    }
    /// Waits for its end.
    ///
    /// # Errors
    /// [`ProcessError::Spawn`].
    pub fn wait(&self) -> Result<ExitStatus, ProcessError> {
        self.processes.wait(self.pid)
    }
    /// Ends it.
    ///
    /// # Errors
    /// [`ProcessError::Spawn`].
    pub fn kill(&self) -> Result<(), ProcessError> {
        self.processes.kill(self.pid)
    }
}

/// Starts a program and waits for its end.
///
/// # Errors
/// [`ProcessError`].
pub fn run(program: &str, arguments: &[&str]) -> Result<ExitStatus, ProcessError> {
    Processes::connect()?.spawn(program, arguments)?.wait()
}
