//! Reading from the terminal.

use alloc::string::String;
use alloc::vec::Vec;

use interfaces::{ConsoleError, ConsoleMode};

use crate::Error;

/// Most bytes that are asked for at a time.
const CHUNK: u32 = 4096;

/// Why nothing could be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InputError {
    /// There is no console for this program.
    NoConsole(Error),
    /// The console refused.
    Console(ConsoleError),
}

impl core::fmt::Display for InputError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            InputError::NoConsole(error) => write!(f, "no console: {error}"),
            InputError::Console(error) => write!(f, "console: {error}"),
        }
    }
}

impl core::error::Error for InputError {}

/// The next bytes that were typed, at least one; none at the end of the input. What was printed appears before.
///
/// # Errors
/// [`InputError`].
pub fn read() -> Result<Vec<u8>, InputError> {
    crate::flush();
    let session = rt::console::session().map_err(InputError::NoConsole)?;
    session.read(CHUNK).map_err(InputError::Console)
}

/// The next line, without its end; `None` at the end of the input. What is no UTF-8 is replaced.
///
/// # Errors
/// [`InputError`].
pub fn read_line() -> Result<Option<String>, InputError> {
    let mut line = Vec::new();
    loop {
        let bytes = read()?;
        line.extend_from_slice(&bytes);
        if bytes.is_empty() && line.is_empty() {
            return Ok(None);
        }
        // The console gives a line a read, in parts if it is long.
        if bytes.is_empty() || line.last() == Some(&b'\n') {
            return Ok(Some(text(&line)));
        }
    }
}

fn text(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8_lossy(line).into_owned()
}

/// The lines of the input, until its end or an error.
pub fn lines() -> impl Iterator<Item = String> {
    core::iter::from_fn(|| read_line().ok().flatten())
}

/// How this program's input comes: whole lines, edited and echoed by the console, or keys as they are typed.
///
/// # Errors
/// [`InputError`].
pub fn set_mode(mode: ConsoleMode) -> Result<(), InputError> {
    let session = rt::console::session().map_err(InputError::NoConsole)?;
    session.set_mode(mode).map_err(InputError::Console)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_line_is_taken_off_once() {
        assert_eq!(text(b"one\n"), "one");
        assert_eq!(text(b"one\r\n"), "one");
        assert_eq!(text(b"one\n\n"), "one\n");
        assert_eq!(text(b"\xff\n"), "\u{fffd}");
    }
}
