//! What a line does: built-in commands, programs, variables, `$?`.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use interfaces::ExitStatus;
use shell::language::{Host, evaluate};

use crate::commands::COMMANDS;
use crate::world::{End, Program, RunError, World};

/// Status of a command that there is not, as in POSIX.
pub(crate) const NOT_FOUND_STATUS: i32 = 127;
/// Status of a program that cannot be run, as in POSIX.
pub(crate) const NOT_RUNNABLE_STATUS: i32 = 126;
/// Status after Ctrl-C: 128 and the number that the signal has elsewhere.
pub(crate) const INTERRUPTED_STATUS: i32 = 130;
/// The variable that counts how many shells stand around this one, itself included.
const LEVEL: &str = "SHLVL";
/// The variable that says how many nanoseconds after power-on the first prompt was there.
const FIRST_PROMPT: &str = "PROMPT_NANOSECONDS";

/// The programs that the system itself consists of: `init` starts them, and gives them what nobody else has.
const SERVERS: [&str; 5] = ["init", "mem", "names", "serial", "spawn"];

/// The commands that do nothing but start a program, which can run in the background.
const STARTERS: [&str; 3] = ["hello", "limit", "oncore"];

/// A shell: what it remembers from line to line, and the world around it.
pub struct Shell {
    pub(crate) world: Box<dyn World>,
    status: i32,
    variables: BTreeMap<String, String>,
    /// It is to end, with this status.
    over: Option<i32>,
    /// The rest of the line is to be left.
    interrupted: bool,
    /// Most bytes of memory of the programs that it starts; 0: no limit but its own.
    limit: u64,
    /// Programs are started, and not waited for.
    background: bool,
}

impl Shell {
    /// Notes when the first prompt of the outermost shell stood on the console, for those who measure.
    pub(crate) fn note_first_prompt(&mut self) {
        let since_boot = self.world.uptime().as_nanos();
        self.variables.entry(FIRST_PROMPT.into()).or_insert_with(|| since_boot.to_string());
    }

    /// A shell with these variables.
    pub fn new(world: Box<dyn World>, variables: impl Iterator<Item = (String, String)>) -> Shell {
        let mut variables: BTreeMap<String, String> = variables.collect();
        let outer = variables.get(LEVEL).and_then(|level| level.parse::<u32>().ok()).unwrap_or(0);
        variables.insert(LEVEL.into(), outer.saturating_add(1).to_string());
        Shell { world, status: 0, variables, over: None, interrupted: false, limit: 0, background: false }
    }

    /// Runs a line and returns its status, which is `$?` from now on.
    pub fn evaluate(&mut self, line: &str) -> i32 {
        self.interrupted = false;
        let mut status = self.status;
        let result = evaluate(line, &mut status, self);
        self.status = status;
        if let Err(refusal) = result {
            self.complain("sh", &refusal.to_string());
        }
        self.over.unwrap_or(status)
    }

    /// What `$?` is.
    pub fn status(&self) -> i32 {
        self.status
    }

    /// Sets `$?`: something happened that was no command.
    pub(crate) fn set_status(&mut self, status: i32) {
        self.status = status;
    }

    /// The status that the shell is to end with, once it is.
    pub fn over(&self) -> Option<i32> {
        self.over
    }

    /// Whether another shell started this one and will go on.
    pub(crate) fn is_inner(&self) -> bool {
        self.variables.get(LEVEL).is_some_and(|level| level != "1")
    }

    /// The shell is to end after this command.
    pub(crate) fn end(&mut self, status: i32) {
        self.over = Some(status);
    }

    /// Does something with a limit of the memory of programs, in bytes.
    pub(crate) fn limited(&mut self, bytes: u64, run: impl FnOnce(&mut Shell) -> i32) -> i32 {
        let outer = self.limit;
        self.limit = if outer == 0 { bytes } else { bytes.min(outer) };
        let status = run(self);
        self.limit = outer;
        status
    }

    /// Says what went wrong with a command.
    pub(crate) fn complain(&mut self, name: &str, what: &str) {
        self.world.print(&format!("{name}: {what}\n"));
    }

    /// Runs the program that the first argument names, on this core.
    pub(crate) fn run_program(&mut self, arguments: &[&str]) -> i32 {
        self.run_on(None, arguments)
    }

    /// Runs the program that the first argument names on a core, or on this one.
    pub(crate) fn run_on(&mut self, core: Option<u32>, arguments: &[&str]) -> i32 {
        let Some((&name, rest)) = arguments.split_first() else { return 0 };
        let place = Place { core, name };
        if SERVERS.contains(&name) {
            let who = if name == "init" { "the kernel" } else { "init" };
            self.complain(&place.to_string(), &format!("a server of the system, which {who} starts"));
            return 1;
        }
        let rest: Vec<String> = rest.iter().map(ToString::to_string).collect();
        let environment: Vec<String> =
            self.variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let program = Program { core, name, arguments: &rest, environment: &environment, limit: self.limit };
        let ended = if self.background {
            self.world.start(&program).map(|pid| {
                self.world.print(&format!("[{pid}]\n"));
                0
            })
        } else {
            self.world.run(&program).map(|end| self.ended(place, end))
        };
        ended.unwrap_or_else(|error| self.report_refusal(place, error))
    }

    /// The names of programs that a person can start.
    pub(crate) fn programs(world: &mut dyn World) -> impl Iterator<Item = String> {
        world.programs().into_iter().filter(|name| !SERVERS.contains(&name.as_str()))
    }

    /// The status of a program that has ended. A program says itself what went wrong, unless it could not.
    fn ended(&mut self, place: Place<'_>, end: End) -> i32 {
        let End::Ended(status) = end else {
            self.interrupted = true;
            return INTERRUPTED_STATUS;
        };
        let how = match status {
            ExitStatus::Exited { .. } => None,
            ExitStatus::Faulted { address, pc } => Some(format!("faulted at {address:#x} (pc {pc:#x})")),
            ExitStatus::Killed => Some("killed".into()),
        };
        let said = match (place.core, status.code(), how) {
            (Some(_), 0, _) => None,
            (Some(_), code, None) => Some(format!("exit code {code}")),
            (Some(_), code, Some(how)) => Some(format!("exit code {code}: {how}")),
            (None, _, how) => how,
        };
        if let Some(said) = said {
            self.complain(&place.to_string(), &said);
        }
        status.code()
    }

    fn report_refusal(&mut self, place: Place<'_>, error: RunError) -> i32 {
        let (what, status) = match error {
            RunError::NotFound if COMMANDS.find(place.name).is_some() => {
                ("a command of the shell, not a program".into(), NOT_FOUND_STATUS)
            }
            RunError::NotFound => ("command not found".into(), NOT_FOUND_STATUS),
            RunError::NotRunnable(what) => (what, NOT_RUNNABLE_STATUS),
            RunError::Failed(what) => (what, 1),
            RunError::NoCore(what) => {
                let who = place.core.map_or(place.name.into(), |core| format!("oncore: core {core}"));
                self.complain(&who, &what);
                return 1;
            }
        };
        self.complain(&place.to_string(), &what);
        status
    }
}

/// A program and where it is to run: what a complaint begins with.
#[derive(Clone, Copy)]
struct Place<'a> {
    core: Option<u32>,
    name: &'a str,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = if self.core.is_some() { "oncore: " } else { "" };
        write!(f, "{command}{}", self.name)
    }
}

impl Host for Shell {
    fn run(&mut self, arguments: &[&str]) -> i32 {
        let name = arguments.first().copied().unwrap_or_default();
        if self.background && COMMANDS.find(name).is_some() && !STARTERS.contains(&name) {
            self.complain(name, "a command of the shell cannot run in the background");
            return 1;
        }
        match COMMANDS.run(self, arguments) {
            Some(status) => status,
            None => self.run_program(arguments),
        }
    }

    fn run_in_background(&mut self, arguments: &[&str]) -> i32 {
        self.background = true;
        let status = self.run(arguments);
        self.background = false;
        status
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn assign(&mut self, name: &str, value: String) {
        self.variables.insert(name.into(), value);
    }

    fn stopped(&self) -> bool {
        self.interrupted || self.over.is_some()
    }
}
