//! `cargo xtask run` as its user has it: on a terminal, and with a script at its standard input.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tests::{PATIENCE, plain};

/// `xtask` beside this test, if there is an image for it to boot.
fn xtask() -> Option<Command> {
    if std::env::var_os(xtask::test::ARTIFACTS_VARIABLE).is_none() {
        println!("skipped: scenarios need a boot image; `cargo xtask test` builds it and runs them");
        return None;
    }
    let this = std::env::current_exe().unwrap();
    let folder: PathBuf = this.ancestors().nth(2).unwrap().into();
    let mut xtask = Command::new(folder.join("xtask"));
    xtask.args(["run", "--timeout", &PATIENCE.as_secs().to_string()]);
    Some(xtask)
}

/// A terminal with `cargo xtask run` on it, seen from the user's chair.
struct Seat {
    screen: File,
    /// The other side, kept open so that the terminal stays.
    terminal: OwnedFd,
    xtask: Child,
    seen: Vec<u8>,
}

impl Seat {
    fn take() -> Option<Self> {
        let mut seat = Self::take_typing("")?;
        seat.wait("bd:/$ ");
        Some(seat)
    }

    /// With keys that are typed before anything runs.
    fn take_typing(keys: &str) -> Option<Self> {
        let mut xtask = xtask()?;
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&screen).unwrap();
        unlockpt(&screen).unwrap();
        let name = ptsname(&screen, vec![]).unwrap();
        let terminal = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let mut screen = File::from(screen);
        screen.write_all(keys.as_bytes()).unwrap();
        let end = || Stdio::from(terminal.try_clone().unwrap());
        xtask.stdin(end()).stdout(end()).stderr(end());
        let xtask = xtask.spawn().unwrap();
        Some(Self { screen, terminal, xtask, seen: vec![] })
    }

    fn type_line(&mut self, line: &str) {
        self.screen.write_all(line.as_bytes()).unwrap();
        self.screen.write_all(b"\r").unwrap();
    }

    /// Reads the screen until `text` is there; everything since the last wait, without carriage returns.
    fn wait(&mut self, text: &str) -> String {
        let mut buffer = [0; 4096];
        let mut from = 0;
        loop {
            let found = self.seen[from..].windows(text.len()).position(|it| it == text.as_bytes());
            if let Some(at) = found {
                let seen: Vec<u8> = self.seen.drain(..from + at + text.len()).collect();
                return plain(&String::from_utf8_lossy(&seen));
            }
            from = (self.seen.len() + 1).saturating_sub(text.len());
            let patience = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
            let ready = poll(&mut [PollFd::new(&self.screen, PollFlags::IN)], Some(&patience)).unwrap();
            let last = self.seen.len().saturating_sub(300)..;
            assert!(ready > 0, "no {text:?} came after {:?}", String::from_utf8_lossy(&self.seen[last]));
            let count = self.screen.read(&mut buffer).unwrap();
            self.seen.extend(buffer[..count].iter().filter(|it| **it != b'\r'));
        }
    }

    fn modes(&self) -> String {
        modes(&tcgetattr(&self.terminal).unwrap())
    }

    /// Waits until the terminal's modes are these: who restores them may outlive xtask by a moment.
    fn wait_modes(&self, wanted: &str) {
        let until = Instant::now() + PATIENCE;
        while self.modes() != wanted {
            assert!(Instant::now() < until, "the terminal stays in {}", self.modes());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn end(&mut self) -> ExitStatus {
        self.xtask.wait().unwrap()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let _ = self.xtask.kill();
        let _ = self.xtask.wait();
    }
}

fn modes(it: &Termios) -> String {
    format!("{:?} {:?} {:?} {:?}", it.input_modes, it.output_modes, it.control_modes, it.local_modes)
}

#[test]
fn a_terminal_that_is_slow_holds_the_guest_back_and_nothing_is_lost() {
    let Some(mut seat) = Seat::take() else { return };
    seat.type_line("lines word 3000");
    seat.wait("word 0 word");
    std::thread::sleep(Duration::from_secs(2));
    let output = seat.wait("bd:/$ ");
    let expected: Vec<String> = (1..3000).map(|number| format!("word {number} word")).collect();
    let lines: Vec<&str> = output.lines().filter(|it| it.starts_with("word")).collect();
    assert!(lines == expected, "{} lines, the last {:?}", lines.len(), lines.last());
    seat.type_line("shutdown 9");
    assert_eq!(seat.end().code(), Some(9));
}

#[test]
fn the_terminal_is_raw_and_then_as_before_whatever_ends_the_run() {
    let Some(mut seat) = Seat::take() else { return };
    let raw = seat.modes();
    seat.type_line("shutdown");
    assert!(seat.end().success());
    let before = seat.modes();
    assert_ne!(raw, before);
    for signal in ["TERM", "HUP", "KILL"] {
        let mut seat = Seat::take().unwrap();
        assert_eq!(seat.modes(), raw);
        let pid = seat.xtask.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        assert!(!seat.end().success());
        seat.wait_modes(&before);
    }
}

#[test]
fn a_terminal_that_somebody_else_has_by_now_is_left_alone() {
    let Some(mut seat) = Seat::take() else { return };
    let mut others = tcgetattr(&seat.terminal).unwrap();
    others.local_modes |= rustix::termios::LocalModes::ECHO;
    tcsetattr(&seat.terminal, OptionalActions::Now, &others).unwrap();
    seat.xtask.kill().unwrap();
    seat.end();
    // Nothing is to happen: there is nothing to wait for.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(seat.modes(), modes(&others));
}

#[test]
fn ctrl_c_is_the_guests_and_ctrl_bracket_x_leaves() {
    let Some(mut seat) = Seat::take() else { return };
    seat.type_line("spin 600000");
    seat.wait("spin 600000");
    seat.screen.write_all(b"\x03").unwrap();
    seat.wait("bd:/$ ");
    seat.type_line("echo $?");
    seat.wait("130\n");
    seat.screen.write_all(b"\x1dx").unwrap();
    assert_eq!(seat.end().code(), Some(1));
}

#[test]
fn keys_that_come_before_the_prompt_are_kept() {
    let Some(mut seat) = Seat::take_typing("echo early\r") else { return };
    seat.wait("bd:/$ echo early\nearly\n");
    seat.type_line("shutdown 3");
    assert_eq!(seat.end().code(), Some(3));
}

/// Standard output and exit status of a run with `script` at its standard input.
fn run_script(script: &str) -> Option<(String, Option<i32>)> {
    let mut xtask = xtask()?;
    let mut child = xtask.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Some((plain(&String::from_utf8_lossy(&output.stdout)), output.status.code()))
}

#[test]
fn the_end_of_a_script_powers_off_with_the_status_of_its_last_command() {
    let Some((output, status)) = run_script("") else { return };
    assert_eq!(status, Some(0), "{output}");
    for (script, expected) in [
        ("echo a\nno-such\n", 127),
        ("false\nlines z 300\ntrue", 0),
        ("bytes 3\nab\n", 0),
        ("shutdown 5\n", 5),
    ] {
        let (output, status) = run_script(script).unwrap();
        assert_eq!(status, Some(expected), "{script:?}: {output}");
    }
}

#[test]
fn a_machine_too_large_for_the_host_is_refused_in_words() {
    let Some(mut xtask) = xtask() else { return };
    let output = xtask.args(["--memory", "1048576", "--exec", "true"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // A host that gives a terabyte to whoever asks runs the machine.
    assert!(output.status.success() || said.contains("`--memory MIB`"), "{said}");
}
