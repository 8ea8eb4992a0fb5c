//! The command language: a small part of the POSIX shell's (IEEE 1003.1, "Shell Command Language").
//!
//! ```text
//!   text ──lex──> words and operators ──parse──> statements ──evaluate──> Host
//! ```
//!
//! - Words are parted by blanks. `'…'` keeps everything; `"…"` keeps everything but `$` and a backslash before
//!   `$`, `"`, `\` or a backquote; a backslash elsewhere keeps the next character, and joins lines at
//!   the end of one. `#` at the start of a word begins a comment.
//! - `$NAME`, `${NAME}` and `$?` are replaced by their values. Unlike in POSIX a value is never split or
//!   expanded again; a word that is nothing but unquoted variables and comes out empty vanishes. A `$` before
//!   anything else is itself.
//! - `;` and newline part statements; `&&` and `||` have equal rank and group to the left.
//! - `NAME=value` alone assigns.
//! - `&` after a single command does not wait for its end.
//! - `&` after a list, `|`, `<`, `>`, `>>` are parsed, and refused by the evaluator for now ([`Reason::NotSupported`]),
//!   before anything of the line has run.

mod evaluate;
mod lex;
mod parse;
mod quote;

pub use evaluate::{Host, SYNTAX_STATUS, evaluate};
pub use parse::{AndOr, Command, Connective, Direction, Pipeline, Redirection, Statement, parse};
pub use quote::{escape, quote};

pub use lex::{Part, Word};

/// Why a line was refused, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Byte offset in the text.
    pub at: usize,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The quote that opens at the place is never closed.
    UnterminatedQuote(char),
    /// A backslash with nothing after it.
    TrailingBackslash,
    /// `${` without a name and `}`.
    BadSubstitution,
    /// An operator stands where a command should be.
    MissingCommand(&'static str),
    /// The text ends where a command should follow the operator.
    CommandExpectedAfter(&'static str),
    /// A redirection without a file name.
    MissingTarget(&'static str),
    /// Understood, but this shell cannot do it yet.
    NotSupported(&'static str),
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.reason {
            Reason::UnterminatedQuote(quote) => write!(f, "the quote {quote} is never closed")?,
            Reason::TrailingBackslash => write!(f, "nothing follows the backslash")?,
            Reason::BadSubstitution => write!(f, "expected a name and }} after ${{")?,
            Reason::MissingCommand(operator) => write!(f, "expected a command before {operator}")?,
            Reason::CommandExpectedAfter(operator) => write!(f, "expected a command after {operator}")?,
            Reason::MissingTarget(operator) => write!(f, "expected a file name after {operator}")?,
            Reason::NotSupported(what) => write!(f, "{what} is not supported yet")?,
        }
        write!(f, " (at byte {})", self.at + 1)
    }
}

impl core::error::Error for Refusal {}
