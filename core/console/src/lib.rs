//! The console server's logic: many clients, one serial line; events in, effects out, no I/O.
//!
//! ```text
//!              open, set_mode, set_foreground, read, write, client_gone
//!   clients ──────────────────────────────┐
//!      ^                                  v
//!      │   Reply, WriteDone, Interrupt  ┌─────────┐  output() / sent()
//!      └────────────────────────────────│ Console │───────────────────> UART
//!                                       └─────────┘ <──────────────────
//!                    PauseInput, ResumeInput │  ^    received()
//!                              UART <────────┘  └─ line_timer_expired()
//! ```
//!
//! The server around it feeds events, then performs every [`Effect`] that [`Console::next_effect`] gives
//! and hands [`Console::output`] to the UART. Nothing is ever answered "try again": a read is answered when
//! there is data, a write when it may be followed by another.
//!
//! # Input
//!
//! What is typed is one stream, and each byte of it goes to exactly one read, in order. Bytes are kept as
//! they came until a session reads, so its mode applies to what was typed ahead; at least
//! [`INPUT_CAPACITY`] bytes are kept, and when that is full the sender is held ([`Effect::PauseInput`]), so
//! a paste of any length loses nothing.
//!
//! The reader is the session with an outstanding read that was opened or brought to the foreground last.
//! When it ends, the one before it reads on; what it left unread, a half-typed line included, goes to
//! whoever reads next.
//!
//! - [`Mode::Line`]: typed characters are echoed and edited here: Backspace, Ctrl-U (line), Ctrl-W (word),
//!   Ctrl-D (end of file, or the line as it is), Ctrl-C ([`Effect::Interrupt`]; drops the unfinished line). A
//!   read gets one line at most. Enter is a newline. A line that reaches [`LINE_CAPACITY`] bytes is
//!   delivered as it is and goes on in the next read: nothing is dropped, but Backspace cannot go back into
//!   the part that is delivered.
//! - [`Mode::Raw`]: bytes as they came, no echo. A read ends after an Enter (CR or LF), so that a shell does not
//!   swallow what was typed for the program that it is about to start.
//!
//! Ctrl-C is noticed when it arrives, even if nobody reads, if the session in front is in line mode.
//!
//! # Output
//!
//! A session that has written part of a line owns the line; what others write is held until the line ends.
//! It ends by a newline, by the end of its session, by the owner waiting for input (it stands at a prompt: the
//! other's output begins on a fresh line), or, when an owner just stops in the middle, by a timer
//! ([`Effect::StartLineTimer`]). Sessions take turns line by line; one that has ended goes first. Nothing that was
//! accepted is dropped: what a session wrote before its end is still printed. A newline goes out as CR LF.
//!
//! # Bounds
//!
//! Every queue has a limit below; whatever would go beyond is refused with an [`Error`] and changes
//! nothing.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod console;
mod input;
mod line;
mod output;
mod session;

pub use console::Console;

/// A client, by the channel that the transport knows it by.
pub type ClientId = u32;

/// Names a request in its answer; chosen by the transport.
pub type Token = u64;

/// Sessions at a time, those whose last output is still going out included.
pub const MAX_SESSIONS: usize = 512;
/// Reads that a session may have outstanding.
pub const MAX_READS: usize = 16;
/// Writes that a session may have unanswered.
pub const MAX_WRITES: usize = 16;
/// Bytes of one write.
pub const MAX_WRITE: usize = 4096;
/// Bytes of typed input that are kept for readers.
pub const INPUT_CAPACITY: usize = 16 * 1024;
/// Bytes of a line that can be edited in line mode.
pub const LINE_CAPACITY: usize = 4096;
/// Bytes of output that a session may have waiting before answers to its writes are held back.
pub const SESSION_OUTPUT: usize = 4096;
/// Bytes of output that wait for the UART before sessions have to.
pub const DEVICE_OUTPUT: usize = 4096;
/// How long an owner may sit on an unfinished line while others wait, in milliseconds: what the timer of
/// [`Effect::StartLineTimer`] should be set to. Long enough for a program that computes the second half of
/// a line, short enough that a log message is still news.
pub const LINE_PATIENCE_MS: u32 = 500;

/// How a session gets its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Edited and echoed by the console, a line a read.
    Line,
    /// Byte by byte as typed.
    Raw,
}

/// What a read brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// At least one byte, at most as many as asked for.
    Data(alloc::vec::Vec<u8>),
    /// End of file was typed. Reading on is allowed: it is a mark in the stream, not its end.
    Eof,
}

/// What the server has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Answer a read.
    Reply {
        /// Who asked.
        client: ClientId,
        /// Which request.
        token: Token,
        /// The answer.
        read: Read,
    },
    /// Answer a write: its bytes will go out, and there is room for another.
    WriteDone {
        /// Who asked.
        client: ClientId,
        /// Which request.
        token: Token,
    },
    /// Ctrl-C was typed at this client.
    Interrupt {
        /// The session in front.
        client: ClientId,
    },
    /// Take no more bytes from the UART: there is no room.
    PauseInput,
    /// Take bytes again, at most [`Console::input_room`] of them.
    ResumeInput,
    /// Call [`Console::line_timer_expired`] in [`LINE_PATIENCE_MS`]. At most one is running.
    StartLineTimer,
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The client has no session.
    NoSession,
    /// The client has a session already.
    AlreadyOpen,
    /// All [`MAX_SESSIONS`] are taken.
    TooManySessions,
    /// [`MAX_READS`] are outstanding.
    TooManyReads,
    /// [`MAX_WRITES`] are unanswered.
    TooManyWrites,
    /// A write of more than [`MAX_WRITE`] bytes.
    WriteTooLong,
    /// A read of no bytes.
    EmptyRead,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoSession => write!(f, "no console session is open"),
            Self::AlreadyOpen => write!(f, "a console session is open already"),
            Self::TooManySessions => write!(f, "more than {MAX_SESSIONS} console sessions"),
            Self::TooManyReads => write!(f, "more than {MAX_READS} console reads at a time"),
            Self::TooManyWrites => write!(f, "more than {MAX_WRITES} unanswered console writes"),
            Self::WriteTooLong => write!(f, "a console write of more than {MAX_WRITE} bytes"),
            Self::EmptyRead => write!(f, "a console read of no bytes"),
        }
    }
}

impl core::error::Error for Error {}
