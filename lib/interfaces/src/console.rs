//! The console: one terminal, shared by sessions.

use crate::error::errors;
use alloc::vec::Vec;
use ipc::Wire;

/// Most bytes of one write. Who has more writes again, and loses nothing by it: a line has one owner until it ends.
pub const MAX_CONSOLE_WRITE: usize = 64 * 1024;

/// The service's name.
pub const CONSOLE: &str = "console";

errors! {
    /// Why the console refused.
    ConsoleError {
        /// More sessions than the console has.
        TooManySessions => "the console has no room for another session",
        /// More reads wait on this session than one may have.
        TooManyReads => "too many reads wait on this console session",
        /// More writes wait on this session than one may have.
        TooManyWrites => "too many writes wait on this console session",
        /// More bytes than one write may have.
        WriteTooLong => "one write to the console has at most 64 KiB",
        /// A read of no bytes.
        EmptyRead => "a read must ask for at least one byte",
        /// The domain has no session.
        NoSession => "that domain has no console session",
        /// Not a domain that the caller may bring to the foreground.
        NotYours => "only the session in front may choose who is next",
    }
}

/// How a session gets its input.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Wire)]
pub enum ConsoleMode {
    /// Edited and echoed by the console, a line a read.
    #[default]
    Line,
    /// As typed, without echo.
    Raw,
}

/// The terminal. Each channel is a session, which ends with it.
#[ipc::interface(limit = MAX_CONSOLE_WRITE + 16)]
pub trait Console {
    /// Writes at most [`MAX_CONSOLE_WRITE`] bytes; answered once there is room for another write. Lines of two sessions never mix.
    #[deferred]
    fn write(&self, bytes: &[u8]) -> Result<(), ConsoleError>;

    /// Answered when there is input: 1 to `max` bytes (4096 at most), or none for end of file. A read that is cancelled
    /// takes no input.
    #[deferred]
    fn read(&self, max: u32) -> Result<Vec<u8>, ConsoleError>;

    /// How this session reads from now on; starts as [`ConsoleMode::Line`].
    fn set_mode(&self, mode: ConsoleMode) -> Result<(), ConsoleError>;

    /// Brings the sessions of `domain`, or without one the caller's own, to the foreground.
    fn foreground(&self, domain: Option<u64>) -> Result<(), ConsoleError>;

    /// Answered when Ctrl-C is typed the next time: the domain of the session in front (0: unknown). Of those who ask,
    /// the last is answered: a shell inside another one, and not the outer one too.
    #[deferred]
    fn interrupted(&self) -> Result<u64, ConsoleError>;
}
