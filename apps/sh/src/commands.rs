//! The built-in commands: a table entry and a small function each.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::num::IntErrorKind;

use barreldish::ExitCode;
use interfaces::Pid;
use shell::command::{Command, Table};
use shell::language::Host;

use crate::cores::heard;
use crate::interpreter::Shell;
use crate::world::Failure;
use crate::{capabilities, report};

/// What clears a terminal: cursor to the corner, all erased (ECMA-48: CUP, ED).
const CLEAR: &str = "\x1b[H\x1b[2J";

/// All built-in commands, in the order of `help`.
pub const COMMANDS: Table<'static, Shell> = Table(&[
    Command {
        name: "help",
        usage: "[COMMAND]",
        help: "show all commands, or one",
        run: |shell, arguments| finish(shell, arguments, help),
    },
    Command {
        name: "hello",
        usage: "[NAME]",
        help: "say hello, from a domain of its own",
        run: Shell::run_program,
    },
    Command {
        name: "echo",
        usage: "[WORD...]",
        help: "print the words",
        run: |shell, arguments| finish(shell, arguments, echo),
    },
    Command {
        name: "clear",
        usage: "",
        help: "clear the screen",
        run: |shell, arguments| finish(shell, arguments, clear),
    },
    Command {
        name: "ps",
        usage: "",
        help: "show the processes of all cores; memory in KiB",
        run: |shell, arguments| finish(shell, arguments, ps),
    },
    Command {
        name: "kill",
        usage: "PID...",
        help: "end processes, on whatever core",
        run: |shell, arguments| finish(shell, arguments, kill),
    },
    Command {
        name: "oncore",
        usage: "CORE PROGRAM [WORD...]",
        help: "run a program on a core; with & at the end do not wait for it",
        run: |shell, arguments| finish(shell, arguments, oncore),
    },
    Command {
        name: "cores",
        usage: "[up CORE]",
        help: "show the cores, or start one",
        run: |shell, arguments| finish(shell, arguments, cores),
    },
    Command {
        name: "free",
        usage: "",
        help: "show the memory of each core, in KiB",
        run: |shell, arguments| finish(shell, arguments, free),
    },
    Command {
        name: "names",
        usage: "",
        help: "show the services, who offers them, and how many clients each has",
        run: |shell, arguments| finish(shell, arguments, names),
    },
    Command {
        name: "channels",
        usage: "",
        help: "show the channels between services and their clients, and what went over each",
        run: |shell, arguments| finish(shell, arguments, channels),
    },
    Command {
        name: "caps",
        usage: "[list]",
        help: "count the shell's capabilities, or list them",
        run: |shell, arguments| finish(shell, arguments, caps),
    },
    Command {
        name: "dmesg",
        usage: "",
        help: "show the kernel's log",
        run: |shell, arguments| finish(shell, arguments, dmesg),
    },
    Command {
        name: "uptime",
        usage: "",
        help: "show for how long the system has been running",
        run: |shell, arguments| finish(shell, arguments, uptime),
    },
    Command {
        name: "time",
        usage: "COMMAND [WORD...]",
        help: "run a command and show how long it took",
        run: |shell, arguments| finish(shell, arguments, time),
    },
    Command {
        name: "limit",
        usage: "KIB COMMAND [WORD...]",
        help: "run a command whose programs get so much memory at most, each",
        run: |shell, arguments| finish(shell, arguments, limit),
    },
    Command { name: "true", usage: "", help: "succeed", run: |_, _| 0 },
    Command { name: "false", usage: "", help: "fail", run: |_, _| 1 },
    Command {
        name: "exit",
        usage: "[STATUS]",
        help: "end this shell",
        run: |shell, arguments| finish(shell, arguments, exit),
    },
    Command {
        name: "shutdown",
        usage: "[CODE]",
        help: "switch the machine off; CODE (0 to 255) is its exit status",
        run: |shell, arguments| finish(shell, arguments, shutdown),
    },
    Command {
        name: "reboot",
        usage: "",
        help: "start the machine anew",
        run: |shell, arguments| finish(shell, arguments, reboot),
    },
]);

/// Why a command failed.
enum Complaint {
    /// It was called wrongly: its usage is shown too.
    Usage(String),
    /// It could not do what it should.
    Failed(Failure),
}

impl From<Failure> for Complaint {
    fn from(failure: Failure) -> Complaint {
        Complaint::Failed(failure)
    }
}

/// A status, or why there is none.
type Outcome = Result<i32, Complaint>;
type Run = fn(&mut Shell, &[&str]) -> Outcome;

/// Runs a command and reports its failure. The first argument is its name, which `run` does not see.
fn finish(shell: &mut Shell, arguments: &[&str], run: Run) -> i32 {
    let Some((&name, rest)) = arguments.split_first() else { return ExitCode::USAGE.0 };
    match run(shell, rest) {
        Ok(status) => status,
        Err(Complaint::Failed(what)) => {
            shell.complain(name, &what);
            1
        }
        Err(Complaint::Usage(what)) => {
            shell.complain(name, &what);
            let synopsis = COMMANDS.find(name).map(Command::synopsis).unwrap_or_default();
            shell.world.print(&format!("usage: {synopsis}\n"));
            ExitCode::USAGE.0
        }
    }
}

/// Refuses arguments.
fn none(arguments: &[&str]) -> Result<(), Complaint> {
    match arguments.first() {
        None => Ok(()),
        Some(argument) => Err(Complaint::Usage(format!("unexpected argument `{argument}`"))),
    }
}

/// A status that may be left out.
fn status_or(arguments: &[&str], default: u8) -> Result<u8, Complaint> {
    match arguments {
        [] => Ok(default),
        [word] => word
            .parse()
            .map_err(|_| Complaint::Usage(format!("expected a number from 0 to 255, not `{word}`"))),
        [_, rest @ ..] => none(rest).map(|()| default),
    }
}

fn help(shell: &mut Shell, arguments: &[&str]) -> Outcome {
    let text = match arguments {
        [] => COMMANDS.help() + "Any other word runs the program of that name.\n",
        [name] => COMMANDS.help_for(name).ok_or(format!("there is no command `{name}`"))?,
        [_, rest @ ..] => {
            none(rest)?;
            String::new()
        }
    };
    shell.world.print(&text);
    Ok(0)
}

fn echo(shell: &mut Shell, arguments: &[&str]) -> Outcome {
    shell.world.print(&(arguments.join(" ") + "\n"));
    Ok(0)
}

fn clear(shell: &mut Shell, arguments: &[&str]) -> Outcome {
    none(arguments)?;
    shell.world.print(CLEAR);
    Ok(0)
}

fn ps(shell: &mut Shell, arguments: &[&str]) -> Outcome {
    none(arguments)?;
    let (processes, silent) = heard(shell.world.processes()?);
    shell.world.print(&report::processes(&processes.concat()));
    complete(silent)
}

/// Fails if somebody has not answered.
fn complete(silent: Option<Failure>) -> Outcome {
    silent.map_or(Ok(0), |who| Err(Complaint::Failed(who)))
}

fn kill(shell: &mut Shell, arguments: &[&str]) -> Outcome {
    if arguments.is_empty() {
        return Err(Complaint::Usage("expected the number of a process".into()));
    }
    let expected = |word: &str| Complaint::Usage(format!("expected the number of a process, not `{word}`"));
    let number = |word: &&str| word.parse::<Pid>().map_err(|_| expected(word));
    let pids: Vec<Pid> = arguments.iter().map(number).collect::<Result<_, _>>()?;
    let mut refused = Vec::new();
    for pid in pids {
        let killed = if pid == shell.world.pid() {
            Err("this is the shell itself; `exit` ends it".into())
        } else {
            shell.world.kill(pid)
        };
        refused.extend(killed.err().map(|why| format!("{pid}: {why}")));
    }
    if refused.is_empty() { Ok(0) } else { Err(Complaint::Failed(refused.join("; "))) }
}

/// The number of a core.
fn core_number(word: &str) -> Result<u32, Complaint> {
    word.parse().map_err(|_| Complaint::Usage(format!("expected the number of a core, not `{word}`")))
}

fn oncore(shell: &mut Shell, arguments: &[&str]) -> Outcome {
    let [core, program @ ..] = arguments else {
        return Err(Complaint::Usage("expected the number of a core".into()));
    };
    let core = core_number(core)?;
    if program.is_empty() {
        return Err(Complaint::Usage("expected a program".into()));
    }
    Ok(shell.run_on(Some(core), program))
}

fn cores(shell: &mut Shell, arguments: &[&str]) -> Outcome {
    match arguments {
        [] => {
            let cores = shell.world.cores()?;
            shell.world.print(&report::cores(&cores));
        }
        ["up", word] => {
            let core = core_number(word)?;
            shell.world.start_core(core).map_err(|why| format!("core {core}: {why}"))?;
        }
        ["up"] => return Err(Complaint::Usage("expected the number of a core".into())),
        ["up", _, rest @ ..] | rest => none(rest)?,
    }
    Ok(0)
}

fn free(shell: &mut Shell, arguments: &[&str]) -> Outcome {
    none(arguments)?;
    let (memory, silent) = heard(shell.world.memory()?);
    shell.world.print(&report::memory(&memory.concat()));
    complete(silent)
}

fn names(shell: &mut Shell, arguments: &[&str]) -> Outcome {
    none(arguments)?;
    let services = shell.world.services()?;
    shell.world.print(&report::names(&services));
    Ok(0)
}

fn channels(shell: &mut Shell, arguments: &[&str]) -> Outcome {
    none(arguments)?;
    let services = shell.world.services()?;
    shell.world.print(&report::channels(&services));
    let silent = services.iter().filter_map(|it| Some((&it.name, it.channels.as_ref().err()?)));
    let silent: Vec<String> = silent.map(|(name, why)| format!("{name}: {why}")).collect();
    if silent.is_empty() { Ok(0) } else { Err(Complaint::Failed(silent.join("; "))) }
}

fn caps(shell: &mut Shell, arguments: &[&str]) -> Outcome {
    let show = match arguments {
        [] => capabilities::summary,
        ["list"] => capabilities::listing,
        ["list", rest @ ..] | rest => {
            none(rest)?;
            capabilities::summary
        }
    };
    let text = show(&shell.world.capabilities());
    shell.world.print(&text);
    Ok(0)
}

fn dmesg(shell: &mut Shell, arguments: &[&str]) -> Outcome {
    none(arguments)?;
    let mut position = 0;
    let mut bytes = Vec::new();
    loop {
        let part = shell.world.log(position)?;
        // A service that does not go on must not keep the shell here for ever.
        if part.bytes.is_empty() || part.next <= position {
            break;
        }
        bytes.extend(part.bytes);
        position = part.next;
    }
    shell.world.print(&report::log(&bytes));
    Ok(0)
}

fn uptime(shell: &mut Shell, arguments: &[&str]) -> Outcome {
    none(arguments)?;
    let text = report::uptime(shell.world.uptime());
    shell.world.print(&text);
    Ok(0)
}

fn time(shell: &mut Shell, arguments: &[&str]) -> Outcome {
    if arguments.is_empty() {
        return Err(Complaint::Usage("expected a command".into()));
    }
    let start = shell.world.uptime();
    let status = shell.run(arguments);
    let text = report::elapsed(shell.world.uptime().saturating_sub(start));
    shell.world.print(&text);
    Ok(status)
}

/// So many KiB, in bytes.
fn bytes_of(kib: &str) -> Result<u64, String> {
    let number = match kib.parse::<u64>().map_err(|it| *it.kind()) {
        Ok(0) => return Err(format!("expected a number of KiB from 1, not `{kib}`")),
        Err(kind) if kind != IntErrorKind::PosOverflow => {
            return Err(format!("expected a number of KiB, not `{kib}`"));
        }
        number => number.ok(),
    };
    number.and_then(|it| it.checked_mul(1024)).ok_or_else(|| format!("{kib} KiB: too large"))
}

fn limit(shell: &mut Shell, arguments: &[&str]) -> Outcome {
    let [kib, command @ ..] = arguments else {
        return Err(Complaint::Usage("expected a number of KiB".into()));
    };
    let bytes = bytes_of(kib).map_err(Complaint::Usage)?;
    if command.is_empty() {
        return Err(Complaint::Usage("expected a command".into()));
    }
    Ok(shell.limited(bytes, |shell| shell.run(command)))
}

fn exit(shell: &mut Shell, arguments: &[&str]) -> Outcome {
    let last = shell.status().to_le_bytes()[0];
    let status = status_or(arguments, last)?.into();
    if !shell.is_inner() {
        return Err(Complaint::Failed("this is the only shell; `shutdown` switches the machine off".into()));
    }
    shell.end(status);
    Ok(status)
}

fn shutdown(shell: &mut Shell, arguments: &[&str]) -> Outcome {
    let code = status_or(arguments, 0)?;
    shell.world.power_off(code)?;
    Ok(0)
}

fn reboot(shell: &mut Shell, arguments: &[&str]) -> Outcome {
    none(arguments)?;
    shell.world.restart()?;
    Ok(0)
}
