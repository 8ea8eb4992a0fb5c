//! `cargo xtask run`: the system on the user's terminal, or driven by `--exec`.

use std::io::Read;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::build::Profile;
use crate::image::Artifacts;
use crate::qemu::{Accelerator, Machine};
use crate::session::{Keyboard, Output, Session, Stop, timed_out};
use crate::symbols::SymbolFolder;
use crate::terminal::{self, Terminal};
use crate::test::ARTIFACTS_VARIABLE;
use crate::{Result, cli};

/// The shell line that powers off with the status of the line before.
const SHUTDOWN: &str = "shutdown $?";

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
    let artifacts = artifacts(options)?;
    let machine = options.machine(Machine::new(&artifacts));
    if options.gdb {
        eprintln!(
            "waiting for gdb: gdb-multiarch {} -ex 'target remote :1234'",
            artifacts.symbols.join("kernel").display()
        );
    }
    let symbols = Box::new(SymbolFolder::new(&artifacts.symbols));
    let deadline = options.timeout.map(|it| Instant::now() + it);
    if let Some(lines) = &options.exec {
        let mut session = Session::start(machine.command(), Output::ShownAndKept, symbols)?;
        type_lines(&mut session, lines, deadline)?;
        return finish(session, deadline);
    }
    if let Some(_restored_at_the_end) = Terminal::take()? {
        let session = Session::start(machine.command(), Output::Shown, symbols)?;
        pass_keys(&session);
        return finish(session, deadline);
    }
    let mut session = Session::start(machine.command(), Output::ShownAndKept, symbols)?;
    pass_script(&mut session, std::io::stdin(), deadline)?;
    finish(session, deadline)
}

/// What is booted. Scenarios that run xtask itself boot the image that was built for all of them.
fn artifacts(options: &Options) -> Result<Artifacts> {
    match std::env::var_os(ARTIFACTS_VARIABLE) {
        Some(folder) => Ok(Artifacts::in_folder(Path::new(&folder))),
        None => cli::prepare(options.profile),
    }
}

impl Options {
    /// Refuses what cannot be run, in words, before anything is built.
    pub fn check(&self) -> Result {
        self.machine(Machine::bare(Path::new(""))).check()
    }

    /// `machine` with what was asked for.
    fn machine(&self, machine: Machine) -> Machine {
        Machine {
            cores: self.cores,
            memory: self.memory,
            accelerator: self.accelerator,
            icount: self.icount,
            gdb: self.gdb,
            append: self.append.clone(),
            ..machine
        }
    }
}

fn finish(mut session: Session, deadline: Option<Instant>) -> Result<u8> {
    session.wait_end(deadline).map_err(|_| timed_out())?.status()
}

/// Runs shell lines, then powers off with the last one's status. A guest that ends before is no error here:
/// [`finish`] looks at how it ended.
fn type_lines(session: &mut Session, lines: &str, deadline: Option<Instant>) -> Result {
    for line in lines.lines().chain([SHUTDOWN]) {
        match session.wait_prompt(deadline) {
            Ok(_) => session.send(format!("{line}\r").as_bytes()),
            Err(Stop::Ended) => return Ok(()),
            Err(Stop::Deadline) => return Err(timed_out()),
        }
    }
    Ok(())
}

/// What is typed at our terminal is typed at the guest's console.
fn pass_keys(session: &Session) {
    let Some(keyboard) = session.keyboard() else { return };
    thread::spawn(move || pass_on(std::io::stdin(), &keyboard));
}

/// Input from a file or a pipe waits for the first prompt: a UART that is being set up may drop what it holds. At its
/// end the machine is powered off with the last line's status, as after [`type_lines`].
fn pass_script(
    session: &mut Session,
    script: impl Read + Send + 'static,
    deadline: Option<Instant>,
) -> Result {
    match session.wait_prompt(deadline) {
        Err(Stop::Deadline) => return Err(timed_out()),
        Err(Stop::Ended) | Ok(_) => {}
    }
    let Some(keyboard) = session.keyboard() else { return Ok(()) };
    thread::spawn(move || {
        let last = pass_on(script, &keyboard);
        if !matches!(last, None | Some(b'\n' | b'\r')) {
            keyboard.send(b"\r");
        }
        // Lines that were not run yet stand before this one.
        if keyboard.wait_at_prompt() {
            keyboard.send(format!("{SHUTDOWN}\r").as_bytes());
        }
    });
    Ok(())
}

/// Types `input` until it ends; its last byte.
fn pass_on(mut input: impl Read, keyboard: &Keyboard) -> Option<u8> {
    let (mut buffer, mut last) = ([0; 4096], None);
    while let Ok(count @ 1..) = terminal::read(&mut input, &mut buffer) {
        last = Some(buffer[count - 1]);
        if !keyboard.send(&buffer[..count]) {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::failure::{PANICKED, TIMED_OUT};
    use crate::symbols::NoSymbols;

    /// A shell script in the guest's place: a prompt, a loop that runs lines and keeps `$?`, and `shutdown`.
    const FAKE_GUEST: &str = r#"
        status=0
        printf 'barreldish 0.1.0 (fake) on bash, 1 core, 1 MiB\r\n'
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

    fn fake() -> Session {
        let mut command = Command::new("bash");
        command.args(["-c", FAKE_GUEST]);
        Session::start(command, Output::Kept, Box::new(NoSymbols)).unwrap()
    }

    /// As with a script at standard input.
    fn script(text: &'static str) -> Result<u8> {
        let mut session = fake();
        let deadline = Some(Instant::now() + LONG);
        pass_script(&mut session, text.as_bytes(), deadline)?;
        finish(session, deadline)
    }

    fn exec(lines: &str, timeout: Duration) -> Result<u8> {
        let mut session = fake();
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
    fn the_end_of_a_script_powers_off_with_its_last_lines_status() {
        assert_eq!(script(""), Ok(0));
        assert_eq!(script("help\rfail 9\r"), Ok(9));
        assert_eq!(script("fail 9\rhelp"), Ok(0), "the last line need not end");
        assert_eq!(script("shutdown 3\rhelp\r"), Ok(3));
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
