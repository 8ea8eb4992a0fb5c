//! The user's terminal: raw while the guest has it, as it was afterwards, whatever ends us.
//!
//! QEMU gets no descriptor of it. It would make it non-blocking, and that holds for everybody who shares the terminal:
//! a write to one that is slow would fail instead of wait.

use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::{Failure, Result, process};

/// Every key is the guest's, as it is typed, Ctrl-C too. Output is not touched.
const RAW: &str =
    "-icanon -echo -isig -iexten -ixon -icrnl -inlcr -igncr -brkint -istrip -ignbrk -parmrk min 1 time 0";
/// Sets the terminal behind its standard output to modes `$1` when it reads a line; also when its standard input just
/// closes, which says that our process is gone, unless the terminal is not in our modes `$2` any more: then somebody
/// else has it. It is no part of the terminal's foreground, where setting modes would stop it.
const GUARD: &str = r#"trap '' TTOU; exec 3<&1
if read -r _ || [ "$(stty -g <&3)" = "$2" ]; then stty "$1" <&3; fi"#;
/// Between two tries at a descriptor that would block.
const RETRY: Duration = Duration::from_millis(2);

/// The terminal at our standard input while it is raw. Dropping this gives it back.
pub struct Terminal {
    guard: Child,
}

impl Terminal {
    /// Makes the terminal raw; `None` if standard input is none.
    pub fn take() -> Result<Option<Self>> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        let before = stty(&["-g"])?;
        stty(&RAW.split(' ').collect::<Vec<_>>())?;
        // Whatever goes wrong from here on, the guard is told, or notices.
        let raw = stty(&["-g"]);
        let guard = raw.and_then(|raw| guard(&before, &raw)).inspect_err(|_| {
            let _ = stty(&[&before]);
        })?;
        Ok(Some(Self { guard }))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(mut line) = self.guard.stdin.take() {
            let _ = line.write_all(b"\n");
        }
        let _ = self.guard.wait();
    }
}

fn stty(arguments: &[&str]) -> Result<String> {
    let mut stty = Command::new("stty");
    stty.args(arguments).stdin(Stdio::inherit()).stderr(Stdio::piped());
    let out = stty.output().map_err(|error| process::not_started(&stty, &error))?;
    if !out.status.success() {
        let why = String::from_utf8_lossy(&out.stderr);
        return Err(Failure::new(format!("the terminal cannot be made raw: {}", why.trim())));
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

fn guard(before: &str, raw: &str) -> Result<Child> {
    let terminal = io::stdin().as_fd().try_clone_to_owned();
    let terminal = terminal.map_err(|error| Failure::new(format!("the terminal: {error}")))?;
    let mut guard = Command::new("sh");
    guard.args(["-c", GUARD, "guard", before, raw]).process_group(0);
    guard.stdin(Stdio::piped()).stdout(terminal).stderr(Stdio::null());
    guard.spawn().map_err(|error| process::not_started(&guard, &error))
}

/// Writes all, however slow the other end is: also where somebody else made the descriptor non-blocking.
pub fn write_all(out: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match patiently(|| out.write(bytes))? {
            0 => return Err(ErrorKind::WriteZero.into()),
            count => bytes = &bytes[count..],
        }
    }
    patiently(|| out.flush())
}

/// Reads something, however long it takes; no bytes: the end.
pub(crate) fn read(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    patiently(|| input.read(buffer))
}

fn patiently<T>(mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match work() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes three bytes at a time, and nothing every other time.
    struct Slow(Vec<u8>, bool);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(ErrorKind::WouldBlock.into());
            }
            let count = bytes.len().min(3);
            self.0.extend(&bytes[..count]);
            Ok(count)
        }
        fn flush(&mut self) -> io::Result<()> {
            self.1 = !self.1;
            if self.1 { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
        }
    }

    #[test]
    fn what_would_block_is_written_later_and_nothing_twice() {
        let mut slow = Slow(vec![], false);
        write_all(&mut slow, b"0123456789").unwrap();
        assert_eq!(slow.0, b"0123456789");
        // The same through a buffer, as standard output has one.
        let mut slow = io::LineWriter::with_capacity(4, Slow(vec![], false));
        write_all(&mut slow, b"one\ntwo\nthree").unwrap();
        assert_eq!(slow.get_ref().0, b"one\ntwo\nthree");
    }

    #[test]
    fn an_end_that_is_gone_is_an_error() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        assert_eq!(write_all(&mut Gone, b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
