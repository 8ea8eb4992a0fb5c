//! A booted system at its prompt.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use xtask::image::Artifacts;
pub use xtask::qemu::Machine;
use xtask::session::{Outcome, Output, Session, Stop};
use xtask::symbols::{NoSymbols, SymbolFolder, Symbolise};
use xtask::test::ARTIFACTS_VARIABLE;

/// Nothing that a scenario waits for takes this long; what does has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A guest under way. Every method fails the test, with the whole console log, when the guest does something else
/// than what it is asked for.
pub struct Guest {
    session: Session,
}

impl Guest {
    /// Boots the default machine to its first prompt; `None`, with a word to the reader, where there is no image.
    pub fn boot() -> Option<Self> {
        Self::boot_with(|machine| machine)
    }

    /// Boots a machine that `change` made of the default one, to its first prompt.
    pub fn boot_with(change: impl FnOnce(Machine) -> Machine) -> Option<Self> {
        let mut guest = Self::start(change)?;
        guest.prompt();
        Some(guest)
    }

    /// Starts a machine and waits for nothing. It has one core, unless `change` says otherwise: what is not about cores is
    /// tested as fast as can be.
    pub fn start(change: impl FnOnce(Machine) -> Machine) -> Option<Self> {
        let folder = folder()?;
        let artifacts = Artifacts::in_folder(&folder);
        let machine = change(Machine { cores: 1, ..Machine::new(&artifacts) });
        machine.check().unwrap_or_else(|failure| panic!("{failure}"));
        let symbols = SymbolFolder::new(&artifacts.symbols);
        Some(Self::of_command(machine.command(), Box::new(symbols)))
    }

    /// A guest that another program plays: for tests of this crate itself.
    pub fn played_by(command: Command) -> Self {
        Self::of_command(command, Box::new(NoSymbols))
    }

    fn of_command(command: Command, symbols: Box<dyn Symbolise>) -> Self {
        let session = Session::start(command, Output::Kept, symbols);
        Self { session: session.unwrap_or_else(|failure| panic!("{failure}")) }
    }

    /// Types at the console without waiting for anything. Enter is `\r`, as a terminal sends it.
    pub fn send(&self, text: impl AsRef<[u8]>) {
        self.session.send(text.as_ref());
    }

    /// Waits for the next prompt; returns what came before it, as a terminal would keep it.
    pub fn prompt(&mut self) -> String {
        let text = self.session.wait_prompt(deadline());
        let text = plain(&self.or_fail(text, "a prompt"));
        match text.rfind('\n') {
            Some(end) => text[..=end].to_owned(),
            None => String::new(),
        }
    }

    /// Waits until `text` appears; returns what came up to its end.
    pub fn expect(&mut self, text: &str) -> String {
        let found = self.session.wait_text(text, deadline());
        plain(&self.or_fail(found, &format!("{text:?}")))
    }

    /// Runs one shell line and returns what it printed.
    pub fn run(&mut self, line: &str) -> String {
        self.send(format!("{line}\r"));
        self.after_echo()
    }

    /// What a line whose Enter was just typed printed: all between the echo of the line and the next prompt.
    pub fn after_echo(&mut self) -> String {
        let text = self.prompt();
        let (_echo, output) = text.split_once('\n').unwrap_or(("", &text));
        output.to_owned()
    }

    /// Runs one shell line, and returns what it printed and the value of `$?` after it.
    pub fn run_for_status(&mut self, line: &str) -> (String, u32) {
        let output = self.run(line);
        let status = self.run("echo $?");
        let number = status.trim().parse();
        (output, number.unwrap_or_else(|_| panic!("`echo $?` printed {status:?}")))
    }

    /// Powers off with `code` and returns the exit status that a user of `cargo xtask run` gets.
    pub fn shutdown(mut self, code: u32) -> u8 {
        self.send(format!("shutdown {code}\r"));
        let outcome = self.end();
        outcome.status().unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// Waits until QEMU has ended.
    pub fn end(&mut self) -> Outcome {
        let outcome = self.session.wait_end(deadline());
        self.or_fail(outcome, "QEMU's end")
    }

    /// The console's output so far, without escape sequences.
    pub fn log(&self) -> String {
        plain(&self.session.log())
    }

    fn or_fail<T>(&self, result: Result<T, Stop>, wanted: &str) -> T {
        match result {
            Ok(value) => value,
            Err(Stop::Deadline) => panic!("{wanted} did not come within {PATIENCE:?}"),
            Err(Stop::Ended) => panic!("QEMU ended; {wanted} was expected"),
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("---- the whole console ----\n{}\n---- end of the console ----", self.log());
        }
    }
}

/// Where `cargo xtask image` put the system; `None`, with a word to the reader, outside of `cargo xtask test`.
fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os(ARTIFACTS_VARIABLE);
    if folder.is_none() {
        println!("skipped: scenarios need a boot image; `cargo xtask test` builds it and runs them");
    }
    folder.map(|it| Path::new(&it).to_owned())
}

fn deadline() -> Option<Instant> {
    Some(Instant::now() + PATIENCE)
}

/// Text as it is kept: without control sequences (ECMA-48, 5.4) and carriage returns.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        match next {
            '\x1b' if rest.as_str().starts_with('[') => {
                let _ = rest.by_ref().skip(1).find(|it| ('\x40'..='\x7e').contains(it));
            }
            '\r' => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell in the guest's place that takes lines ended by `\r` and echoes them.
    const FAKE_GUEST: &str = r#"
        status=0
        printf 'barreldish\r\n'
        while printf '\033[1mbd:/$ \033[0m' && IFS= read -r -d $'\r' line; do
            printf '%s\r\n' "$line"
            case $line in
                'echo $?') printf '%s\r\n' $status;;
                echo*) printf '%s\r\n' "${line#echo }"; status=0;;
                shutdown*) printf '[barreldish: exit status %s]\r\n' ${line#shutdown }; exit 0;;
                *) printf '%s: command not found\r\n' "$line"; status=127;;
            esac
        done"#;

    fn fake() -> Guest {
        let mut bash = Command::new("bash");
        bash.args(["-c", FAKE_GUEST]);
        Guest::played_by(bash)
    }

    #[test]
    fn a_guest_is_talked_to() {
        let mut guest = fake();
        assert_eq!(guest.prompt(), "barreldish\n");
        assert_eq!(guest.run("echo hello"), "hello\n");
        assert_eq!(guest.run_for_status("nothing"), ("nothing: command not found\n".to_owned(), 127));
        guest.send("echo a\recho b\r");
        assert_eq!((guest.after_echo(), guest.after_echo()), ("a\n".to_owned(), "b\n".to_owned()));
        assert!(guest.log().ends_with("bd:/$ "));
        assert_eq!(guest.shutdown(9), 9);
    }

    #[test]
    #[should_panic(expected = "QEMU ended; \"never\" was expected")]
    fn a_guest_that_ends_fails_the_wait() {
        let mut guest = fake();
        guest.send("shutdown 0\r");
        guest.expect("never");
    }

    #[test]
    fn control_sequences_are_not_text() {
        assert_eq!(plain("\x1b[2J\x1b[1;1Ha\r\n\x1b[0mb"), "a\nb");
    }
}
