//! `cargo xtask run`: the system on the user's terminal, or driven by `--exec`.

use std::io::{IsTerminal, Read};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::build::Profile;
use crate::image::Artifacts;
use crate::qemu::{Accelerator, Machine};
use crate::session::{Input, Output, Session, Stop, timed_out};
use crate::symbols::SymbolFolder;
use crate::{Result, cli, process};

/// What `run` was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Number of cores.
    pub cores: u32,
    /// Memory in MiB.
    pub memory: u32,
    /// Engine.
    pub accelerator: Accelerator,
    /// Count instructions.
    pub icount: bool,
    /// Wait for a debugger.
    pub gdb: bool,
    /// Kernel command line.
    pub append: String,
    /// Shell lines to run before powering off.
    pub exec: Option<String>,
    /// When to give up.
    pub timeout: Option<Duration>,
    /// How the target code is compiled.
    pub profile: Profile,
}

/// Builds and boots; the exit status is the code that the guest was shut down with.
pub fn command(options: &Options) -> Result<u8> {
    let artifacts = cli::prepare(options.profile)?;
    let machine = machine(options, &artifacts);
    machine.check()?;
    if options.gdb {
        eprintln!(
            "waiting for gdb: gdb-multiarch {} -ex 'target remote :1234'",
            artifacts.symbols.join("kernel").display()
        );
    }
    let symbols = Box::new(SymbolFolder::new(&artifacts.symbols));
    let interactive = options.exec.is_none() && std::io::stdin().is_terminal();
    let deadline = options.timeout.map(|it| Instant::now() + it);
    if interactive {
        let terminal = Terminal::save();
        let session = Session::start(machine.command(), Input::Terminal, Output::Shown, symbols)?;
        let status = finish(session, deadline);
        terminal.restore();
        return status;
    }
    let mut session = Session::start(machine.command(), Input::Driven, Output::ShownAndKept, symbols)?;
    match &options.exec {
        Some(lines) => type_lines(&mut session, lines, deadline),
        None => pass_standard_input(&mut session, deadline),
    }?;
    finish(session, deadline)
}

fn machine(options: &Options, artifacts: &Artifacts) -> Machine {
    Machine {
        cores: options.cores,
        memory: options.memory,
        accelerator: options.accelerator,
        icount: options.icount,
        gdb: options.gdb,
        append: options.append.clone(),
        ..Machine::new(artifacts)
    }
}

fn finish(mut session: Session, deadline: Option<Instant>) -> Result<u8> {
    session.wait_end(deadline).map_err(|_| timed_out())?.status()
}

/// Runs shell lines, then powers off with the last one's status. A guest that ends before is no error here:
/// [`finish`] looks at how it ended.
fn type_lines(session: &mut Session, lines: &str, deadline: Option<Instant>) -> Result {
    for line in lines.lines().chain(["shutdown $?"]) {
        match session.wait_prompt(deadline) {
            Ok(_) => session.send(format!("{line}\r").as_bytes()),
            Err(Stop::Ended) => return Ok(()),
            Err(Stop::Deadline) => return Err(timed_out()),
        }
    }
    Ok(())
}

/// Input from a file or a pipe waits for the first prompt: a UART that is being set up may drop what it holds.
fn pass_standard_input(session: &mut Session, deadline: Option<Instant>) -> Result {
    match session.wait_prompt(deadline) {
        Err(Stop::Deadline) => return Err(timed_out()),
        Err(Stop::Ended) | Ok(_) => {}
    }
    let Some(input) = session.input() else { return Ok(()) };
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = std::io::stdin().read(&mut buffer) {
            if input.send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// The terminal's modes, so that a QEMU that was killed does not leave it raw.
struct Terminal {
    modes: Option<String>,
}

impl Terminal {
    fn save() -> Self {
        let mut stty = Command::new("stty");
        let modes = stty.arg("-g").stdin(Stdio::inherit()).output().ok();
        let modes =
            modes.filter(|it| it.status.success()).map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
        Self { modes }
    }

    fn restore(&self) {
        if let Some(modes) = &self.modes {
            let _ = process::run(Command::new("stty").arg(modes.trim()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{PANICKED, TIMED_OUT};
    use crate::symbols::NoSymbols;

    /// A shell script in the guest's place: a prompt, a loop that runs lines and keeps `$?`, and `shutdown`.
    const FAKE_GUEST: &str = r#"
        status=0
        printf 'barreldish 0.1.0 (fake) on bash, 1 cores, 1 MiB\r\n'
        while printf 'bd:/$ ' && IFS= read -r -d $'\r' line; do
            printf '%s\r\n' "$line"
            case $line in
                'shutdown $?') printf '[barreldish: exit status %s]\r\n' $status; exit 0;;
                shutdown*) printf '[barreldish: exit status %s]\r\n' ${line#shutdown }; exit 0;;
                fail*) status=${line#fail };;
                panic) printf '[barreldish: panic]\r\nas asked\r\n[barreldish: end of panic]\r\n'; exit 0;;
                vanish) exit 3;;
                hang) exec sleep 1000;;
                *) status=0;;
            esac
        done"#;

    fn exec(lines: &str, timeout: Duration) -> Result<u8> {
        let mut command = Command::new("bash");
        command.args(["-c", FAKE_GUEST]);
        let mut session = Session::start(command, Input::Driven, Output::Kept, Box::new(NoSymbols)).unwrap();
        let deadline = Some(Instant::now() + timeout);
        type_lines(&mut session, lines, deadline)?;
        finish(session, deadline)
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn the_last_lines_status_is_the_exit_status() {
        assert_eq!(exec("help", LONG), Ok(0));
        assert_eq!(exec("help\nfail 9", LONG), Ok(9));
        assert_eq!(exec("fail 9\nhelp", LONG), Ok(0));
    }

    #[test]
    fn a_shutdown_among_the_lines_ends_them() {
        assert_eq!(exec("shutdown 4\nhelp", LONG), Ok(4));
    }

    #[test]
    fn panics_and_sudden_ends_fail_with_a_reason() {
        let panic = exec("panic", LONG).unwrap_err();
        assert_eq!((panic.status(), panic.to_string().as_str()), (PANICKED, "the kernel panicked: as asked"));
        assert!(exec("vanish", LONG).unwrap_err().to_string().contains("exit status: 3"));
    }

    #[test]
    fn a_guest_that_hangs_is_ended_in_time() {
        let begin = Instant::now();
        assert_eq!(exec("hang", Duration::from_millis(300)).unwrap_err().status(), TIMED_OUT);
        assert!(begin.elapsed() < LONG);
    }
}
