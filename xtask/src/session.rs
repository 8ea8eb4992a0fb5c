//! A running machine and its console.
//!
//! ```text
//!   send() ──channel──► writer thread ──pipe──► QEMU ──pipe──► reader thread ──Filter──► log, the user's stdout
//!                                                │                               └► prompts, trailer ──► wait_*()
//!                                                └──pipe──► the user's stderr, and the reason of a failure
//! ```
//!
//! The console goes out as fast as the user's terminal takes it, and no faster: the guest waits. Waits are woken by what arrives, never by a clock; deadlines are only a safety net. QEMU never outlives its
//! session, however that ends: a watcher process holds a pipe from us and ends QEMU when the pipe closes.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::console::{Filter, Report};
use crate::failure::{PANICKED, TIMED_OUT};
use crate::symbols::Symbolise;
use crate::{Failure, Result, process, terminal};

/// After this long without output, the undecided beginning of a line is shown.
const IDLE: Duration = Duration::from_millis(100);
/// How long QEMU may take to end once it has closed the console.
const GRACE: Duration = Duration::from_secs(2);
/// Ends process `$1` once standard input closes: the other end's owner is gone.
const WATCHER: &str = r#"read -r _; kill -s KILL "$1" 2>/dev/null"#;
/// Pieces of the console's output that may wait for the user's terminal; then QEMU has to.
const PIECES: usize = 4;
/// What QEMU says when the host does not give it the machine's memory.
const NO_MEMORY: &str = "cannot set up guest memory";
/// Bytes of QEMU's own messages that are kept for a [`Failure`].
const SAID_LIMIT: usize = 2048;

/// What happens to the console's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// It goes to our standard output as it comes.
    Shown,
    /// It is kept for [`Session::log`] and the waits.
    Kept,
    /// Both.
    ShownAndKept,
}

/// Why a wait ended without what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The deadline passed.
    Deadline,
    /// QEMU ended.
    Ended,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The system was shut down with this code.
    Exit(u32),
    /// The kernel panicked; its message.
    Panicked(String),
    /// QEMU ended and the guest had not said that it would; what QEMU itself said.
    Vanished(ExitStatus, String),
}

impl Outcome {
    /// The exit status for scripts; a reason when the system was not shut down in order.
    pub fn status(self) -> Result<u8> {
        match self {
            // A status has 8 bits: a larger code must not become 0.
            Self::Exit(code) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
            Self::Panicked(message) => {
                Err(Failure::with_status(PANICKED, format!("the kernel panicked: {message}")))
            }
            Self::Vanished(_, said) if said.contains(NO_MEMORY) => Err(Failure::new(
                "this host has not so much memory for the machine: ask for less with `--memory MIB`",
            )),
            Self::Vanished(status, said) => {
                let said = if said.is_empty() { said } else { format!(": {said}") };
                Err(Failure::new(format!("QEMU ended before the system was shut down ({status}){said}")))
            }
        }
    }
}

/// The failure of a run that did not end in time.
pub fn timed_out() -> Failure {
    Failure::with_status(TIMED_OUT, "the time was up: QEMU was ended")
}

/// A machine under way.
pub struct Session {
    child: Child,
    watcher: Child,
    input: Option<Sender<Vec<u8>>>,
    shared: Arc<Shared>,
    /// How much of the log the waits have consumed.
    cursor: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    log: Vec<u8>,
    /// Ends of prompts in the log.
    prompts: Vec<usize>,
    ended: Option<Report>,
    /// What QEMU itself said, and whether that is all.
    said: Vec<u8>,
    said_all: bool,
}

impl State {
    /// Whether a prompt is the last thing that the console said.
    fn at_prompt(&self) -> bool {
        self.prompts.last() == Some(&self.log.len())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the state readable: it is only appended to.
        self.state.lock().unwrap_or_else(|it| it.into_inner())
    }
}

impl Session {
    /// Starts QEMU by `command` (standard streams are set here).
    pub fn start(mut command: Command, output: Output, symbols: Box<dyn Symbolise>) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C is then for us; the watcher sees to QEMU.
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| process::not_started(&command, &error))?;
        let watcher = watch(&mut child)?;
        let shared = Arc::new(Shared::default());
        let stdout = child.stdout.take().expect("stdout was piped");
        let reader = Reader { filter: Filter::new(symbols), output, shared: Arc::clone(&shared) };
        thread::spawn(move || reader.run(stdout));
        let stderr = child.stderr.take().expect("stderr was piped");
        let said = Arc::clone(&shared);
        thread::spawn(move || pass_on_messages(stderr, &said));
        let input = child.stdin.take().map(start_writer);
        Ok(Self { child, watcher, input, shared, cursor: 0 })
    }

    /// QEMU's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types `bytes` at the console. Never blocks: QEMU takes them as fast as the guest does.
    pub fn send(&self, bytes: &[u8]) {
        // The writer is gone only when QEMU is, which the next wait reports.
        let _ = self.input.as_ref().map(|input| input.send(bytes.to_vec()));
    }

    /// Another end of what [`Session::send`] writes to, for a thread of its own.
    pub fn keyboard(&self) -> Option<Keyboard> {
        let input = self.input.clone()?;
        Some(Keyboard { input, shared: Arc::clone(&self.shared) })
    }

    /// Waits for the next prompt and returns what came before it, since the last wait.
    pub fn wait_prompt(&mut self, deadline: Option<Instant>) -> std::result::Result<String, Stop> {
        let cursor = self.cursor;
        self.wait(deadline, |state| state.prompts.iter().copied().find(|end| *end > cursor))
    }

    /// Waits until `text` appears and returns what came up to its end, since the last wait.
    pub fn wait_text(&mut self, text: &str, deadline: Option<Instant>) -> std::result::Result<String, Stop> {
        let (mut from, needle) = (self.cursor, text.as_bytes());
        self.wait(deadline, |state| {
            let found = state.log[from..].windows(needle.len()).position(|it| it == needle);
            let end = found.map(|at| from + at + needle.len());
            // The next look need not begin at the beginning: a long log would make that quadratic.
            from = from.max((state.log.len() + 1).saturating_sub(needle.len()));
            end
        })
    }

    /// Waits until QEMU has ended.
    pub fn wait_end(&mut self, deadline: Option<Instant>) -> std::result::Result<Outcome, Stop> {
        match self.wait(deadline, |_| None) {
            Err(Stop::Ended) => {}
            Err(Stop::Deadline) | Ok(_) => return Err(Stop::Deadline),
        }
        let status = self.reap();
        let state = self.all_said();
        let report = state.ended.clone().unwrap_or_default();
        let said = String::from_utf8_lossy(&state.said).trim().to_owned();
        Ok(outcome(report, status, said))
    }

    /// Everything that the console has shown so far, if it was kept.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.shared.lock().log).into_owned()
    }

    /// Waits until `find` gives an end in the log; consumes the log up to there.
    fn wait(
        &mut self,
        deadline: Option<Instant>,
        mut find: impl FnMut(&State) -> Option<usize>,
    ) -> std::result::Result<String, Stop> {
        let mut state = self.shared.lock();
        loop {
            if let Some(end) = find(&state) {
                let text = String::from_utf8_lossy(&state.log[self.cursor..end]).into_owned();
                self.cursor = end;
                return Ok(text);
            }
            if state.ended.is_some() {
                return Err(Stop::Ended);
            }
            let left = deadline.map(|it| it.saturating_duration_since(Instant::now()));
            state = match left {
                Some(Duration::ZERO) => return Err(Stop::Deadline),
                Some(left) => {
                    self.shared.changed.wait_timeout(state, left).unwrap_or_else(|it| it.into_inner()).0
                }
                None => self.shared.changed.wait(state).unwrap_or_else(|it| it.into_inner()),
            };
        }
    }

    /// QEMU has ended: its last message is on its way.
    fn all_said(&self) -> MutexGuard<'_, State> {
        let wait = self.shared.changed.wait_timeout_while(self.shared.lock(), GRACE, |it| !it.said_all);
        wait.unwrap_or_else(|it| it.into_inner()).0
    }

    /// The console has closed: QEMU is ending, or must be made to.
    fn reap(&mut self) -> ExitStatus {
        let until = Instant::now() + GRACE;
        while Instant::now() < until {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        self.child.wait().unwrap_or_default()
    }
}

/// What a report means. A kernel that panics says [`PANICKED`] as its last word, if it still can; after any other
/// last word the panic was only something that a program printed.
fn outcome(report: Report, status: ExitStatus, said: String) -> Outcome {
    match (report.exit_status, report.panic) {
        (code, Some(message)) if code.is_none_or(|it| it == u32::from(PANICKED)) => {
            Outcome::Panicked(message)
        }
        (Some(code), _) => Outcome::Exit(code),
        (None, _) => Outcome::Vanished(status, said),
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
    }
}

/// Types at a session's console from another thread.
pub struct Keyboard {
    input: Sender<Vec<u8>>,
    shared: Arc<Shared>,
}

impl Keyboard {
    /// As [`Session::send`]; false once QEMU is gone.
    pub fn send(&self, bytes: &[u8]) -> bool {
        self.input.send(bytes.to_vec()).is_ok()
    }

    /// Waits until a prompt is the last thing on the console, which must be kept; false if QEMU ends before.
    pub fn wait_at_prompt(&self) -> bool {
        let waiting = |state: &mut State| !state.at_prompt() && state.ended.is_none();
        let state = self.shared.changed.wait_while(self.shared.lock(), waiting);
        state.unwrap_or_else(|it| it.into_inner()).ended.is_none()
    }
}

/// Starts the process that ends QEMU should we die without a chance to do so.
fn watch(child: &mut Child) -> Result<Child> {
    let mut watcher = Command::new("sh");
    watcher.args(["-c", WATCHER, "watcher", &child.id().to_string()]).process_group(0);
    watcher.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    watcher.spawn().map_err(|error| {
        let _ = child.kill();
        let _ = child.wait();
        process::not_started(&watcher, &error)
    })
}

fn start_writer(mut stdin: ChildStdin) -> Sender<Vec<u8>> {
    let (sender, receiver) = channel::<Vec<u8>>();
    thread::spawn(move || {
        for bytes in receiver {
            if stdin.write_all(&bytes).is_err() {
                return;
            }
        }
    });
    sender
}

struct Reader {
    filter: Filter,
    output: Output,
    shared: Arc<Shared>,
}

impl Reader {
    /// Takes the console's output until it closes, or until nobody wants to see it any more.
    fn run(mut self, stdout: ChildStdout) {
        let (sender, receiver) = sync_channel(PIECES);
        thread::spawn(move || read_all(stdout, &sender));
        while let Some(step) = self.step(&receiver) {
            if self.pass_on(step.0, step.1).is_err() {
                break;
            }
        }
        let mut rest = vec![];
        let report = self.filter.finish(&mut rest);
        let _ = show(self.output, &rest);
        let mut state = self.shared.lock();
        state.log.extend(rest);
        state.ended = Some(report);
        self.shared.changed.notify_all();
    }

    /// The next piece for the user, with the prompts in it.
    fn step(&mut self, receiver: &Receiver<Vec<u8>>) -> Option<(Vec<u8>, Vec<usize>)> {
        let (mut out, mut prompts) = (vec![], vec![]);
        match receiver.recv_timeout(IDLE) {
            Ok(bytes) => self.filter.feed(&bytes, &mut out, &mut prompts),
            Err(RecvTimeoutError::Timeout) => self.filter.idle(&mut out),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
        Some((out, prompts))
    }

    fn pass_on(&mut self, out: Vec<u8>, prompts: Vec<usize>) -> std::io::Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        show(self.output, &out)?;
        if self.output != Output::Shown {
            let mut state = self.shared.lock();
            let base = state.log.len();
            state.prompts.extend(prompts.into_iter().map(|at| base + at));
            state.log.extend(out);
            self.shared.changed.notify_all();
        }
        Ok(())
    }
}

fn show(output: Output, bytes: &[u8]) -> std::io::Result<()> {
    if output == Output::Kept || bytes.is_empty() {
        return Ok(());
    }
    terminal::write_all(&mut std::io::stdout().lock(), bytes)
}

/// What QEMU itself has to say goes to our standard error, and the beginning of it is kept.
fn pass_on_messages(mut stderr: ChildStderr, shared: &Shared) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut buffer) {
        let _ = terminal::write_all(&mut std::io::stderr(), &buffer[..count]);
        let mut state = shared.lock();
        let room = SAID_LIMIT - state.said.len();
        state.said.extend(&buffer[..count.min(room)]);
    }
    shared.lock().said_all = true;
    shared.changed.notify_all();
}

fn read_all(mut stdout: ChildStdout, sender: &SyncSender<Vec<u8>>) {
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = stdout.read(&mut buffer) {
        if sender.send(buffer[..count].to_vec()).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::NoSymbols;

    fn guest(script: &str) -> Session {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Session::start(command, Output::Kept, Box::new(NoSymbols)).unwrap()
    }

    fn soon() -> Option<Instant> {
        Some(Instant::now() + Duration::from_secs(20))
    }

    #[test]
    fn a_guest_is_driven_from_prompt_to_exit_status() {
        let mut guest = guest(
            r#"printf 'barreldish\nbd:/$ '; read -r a; printf 'got %s\nbd:/$ ' "$a"; read -r b; printf '%s\n[barreldish: exit status 5]\n' "$b""#,
        );
        assert_eq!(guest.wait_prompt(soon()).unwrap(), "barreldish\nbd:/$ ");
        guest.send(b"echo hi\n");
        assert_eq!(guest.wait_prompt(soon()).unwrap(), "got echo hi\nbd:/$ ");
        guest.send(b"shutdown 5\n");
        let outcome = guest.wait_end(soon()).unwrap();
        assert_eq!(outcome, Outcome::Exit(5));
        assert_eq!(outcome.status(), Ok(5));
        assert!(guest.log().ends_with("bd:/$ shutdown 5\n"));
    }

    #[test]
    fn text_is_found_across_pieces_and_once() {
        let mut guest = guest("printf 'abc'; printf 'def\nabc'; read -r x");
        assert_eq!(guest.wait_text("cd", soon()).unwrap(), "abcd");
        assert_eq!(guest.wait_text("abc", soon()).unwrap(), "ef\nabc");
        guest.send(b"\n");
        assert_eq!(guest.wait_text("abc", soon()), Err(Stop::Ended));
    }

    #[test]
    fn a_panic_fails_with_its_message() {
        for last_word in ["", "\n[barreldish: exit status 101]\n"] {
            let panic = "[barreldish: panic]\nout of luck\n  at 0x10\n[barreldish: end of panic]";
            let mut guest = guest(&format!("printf '{panic}{last_word}'"));
            let failure = guest.wait_end(soon()).unwrap().status().unwrap_err();
            assert_eq!((failure.status(), failure.to_string().contains("out of luck")), (PANICKED, true));
        }
    }

    #[test]
    fn a_program_that_prints_a_panic_does_not_fail_an_orderly_end() {
        let mut guest = guest("printf '[barreldish: panic]\nas if\n[barreldish: exit status 0]\n'");
        assert_eq!(guest.wait_end(soon()), Ok(Outcome::Exit(0)));
    }

    #[test]
    fn an_end_without_a_word_fails() {
        let outcome = guest("echo hello; exit 0").wait_end(soon()).unwrap();
        assert!(matches!(outcome, Outcome::Vanished(status, _) if status.success()));
        assert!(outcome.status().unwrap_err().to_string().contains("before the system was shut down"));
    }

    #[test]
    fn what_qemu_says_is_the_reason() {
        let failure = |said: &str| {
            let mut guest = guest(&format!("echo '{said}' >&2; exit 1"));
            guest.wait_end(soon()).unwrap().status().unwrap_err().to_string()
        };
        assert!(failure("qemu: no such board").ends_with("(exit status: 1): qemu: no such board"));
        let memory = failure("qemu: cannot set up guest memory 'ram': Cannot allocate memory");
        assert!(memory.contains("--memory MIB") && !memory.contains("guest memory"), "{memory}");
    }

    #[test]
    fn the_prompt_is_waited_for_from_another_thread() {
        let mut guest = guest(
            r#"printf 'bd:/$ '; read -r a; printf 'working\n'; read -r b; printf 'bd:/$ '; read -r c; echo end"#,
        );
        let keyboard = guest.keyboard().unwrap();
        assert!(keyboard.wait_at_prompt());
        assert!(keyboard.send(b"go\n"));
        guest.wait_text("working", soon()).unwrap();
        assert!(keyboard.send(b"on\n"));
        assert!(keyboard.wait_at_prompt());
        assert!(keyboard.send(b"\n"));
        guest.wait_end(soon()).unwrap();
        assert!(!keyboard.wait_at_prompt());
    }

    #[test]
    fn a_code_beyond_a_status_is_not_success() {
        assert_eq!(Outcome::Exit(256).status(), Ok(255));
    }

    #[test]
    fn a_deadline_ends_the_wait_and_dropping_ends_the_guest() {
        let mut guest = guest("exec sleep 1000");
        let pid = guest.pid();
        assert_eq!(guest.wait_prompt(Some(Instant::now())), Err(Stop::Deadline));
        assert_eq!(guest.wait_end(Some(Instant::now())), Err(Stop::Deadline));
        drop(guest);
        let alive = process::output(Command::new("kill").args(["-0", &pid.to_string()]));
        assert!(alive.is_err(), "process {pid} outlived its session");
    }

    #[test]
    fn a_guest_that_reads_slowly_blocks_nobody() {
        let mut guest = guest("read -r first; sleep 0.2; wc -c; printf '[barreldish: exit status 0]\n'");
        guest.send(b"go\n");
        guest.send(&[b'x'; 1 << 20]);
        guest.input = None;
        assert!(guest.wait_text("1048576", soon()).is_ok());
        assert_eq!(guest.wait_end(soon()), Ok(Outcome::Exit(0)));
    }

    #[test]
    fn the_watcher_ends_a_guest_whose_owner_is_gone() {
        let mut guest = guest("exec sleep 1000");
        drop(guest.watcher.stdin.take());
        assert!(matches!(guest.wait_end(soon()), Ok(Outcome::Vanished(status, _)) if !status.success()));
    }
}
