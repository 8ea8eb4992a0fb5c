//! Why a host command failed, and the exit status that says so.

use std::fmt;
use std::io;
use std::path::Path;

/// Exit status of a host command that failed for no more particular reason.
pub const FAILED: u8 = 1;
/// Exit status for a command line that makes no sense.
pub const USAGE: u8 = 2;
/// Exit status after a kernel panic: the one that a panicking Rust program has.
pub const PANICKED: u8 = 101;
/// Exit status when `--timeout` ended the run: the one that `timeout(1)` has.
pub const TIMED_OUT: u8 = 124;

/// A reason for the user, on stderr, and a non-zero exit status for scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    status: u8,
    reason: String,
}

/// What every host command returns.
pub type Result<T = ()> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure with status [`FAILED`].
    pub fn new(reason: impl Into<String>) -> Self {
        Self::with_status(FAILED, reason)
    }

    /// A failure whose exit status tells it from others. `status` must not be 0.
    pub fn with_status(status: u8, reason: impl Into<String>) -> Self {
        assert_ne!(status, 0, "a failure needs a failing status");
        Self { status, reason: reason.into() }
    }

    /// An I/O error with what was being done (`"read"`) to which file.
    pub fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(format!("cannot {doing} {}: {error}", path.display()))
    }

    /// The exit status, never 0.
    pub fn status(&self) -> u8 {
        self.status
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.reason)
    }
}

impl std::error::Error for Failure {}
