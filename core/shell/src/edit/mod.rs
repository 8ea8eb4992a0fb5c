//! A line editor for a terminal that understands VT100 sequences: typed bytes in, bytes to print out.
//!
//! ```text
//!   bytes ──keys──> keys ──editor──> buffer ──screen──> bytes to print
//!                             └──> Accept, Interrupt, EndOfFile, TooLong
//! ```
//!
//! | key | does |
//! |---|---|
//! | Left Right, Ctrl-B Ctrl-F | a character back, on |
//! | Alt-B Alt-F, Ctrl-Left Ctrl-Right | a word back, on |
//! | Home End, Ctrl-A Ctrl-E | to the start, the end |
//! | Backspace, Delete, Ctrl-D | erases the character before, under the cursor |
//! | Ctrl-W, Ctrl-U, Ctrl-K | cuts the word before, all before, all after; Ctrl-Y puts it back |
//! | Up Down, Ctrl-P Ctrl-N | goes through the history |
//! | Tab | completes; the second time lists |
//! | Ctrl-L | clears the screen |
//! | Ctrl-C, Ctrl-D on an empty line | interrupt, end of file |
//!
//! Printed newlines are LF alone: the console adds the carriage return.

mod buffer;
mod complete;
mod editor;
mod history;
mod keys;
mod screen;

pub use complete::{Complete, Query};
pub use editor::{Editor, Event, Fed, LINE_MAX};
pub use history::{HISTORY_BYTES, HISTORY_LINES};
