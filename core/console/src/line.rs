//! Line mode's editing: a typed byte in; what to echo and what became of the line out.

use crate::LINE_CAPACITY;
use alloc::vec::Vec;
use unicode_width::UnicodeWidthChar;

pub(crate) const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const CTRL_U: u8 = 0x15;
const CTRL_W: u8 = 0x17;
const DELETE: u8 = 0x7f;
const TAB_STOP: usize = 8;

/// What a byte did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The line goes on.
    Editing,
    /// The line is complete, or has reached its capacity.
    Complete,
    /// End of file: Ctrl-D on an empty line.
    Eof,
    /// Ctrl-C: the line has been dropped.
    Interrupt,
}

/// Applies one typed byte to `line` and appends to `echo` what the screen needs.
pub(crate) fn edit(line: &mut Vec<u8>, byte: u8, echo: &mut Vec<u8>) -> Outcome {
    match byte {
        BACKSPACE | DELETE => erase_to(line, before_character(line), echo),
        CTRL_U => erase_to(line, 0, echo),
        CTRL_W => erase_to(line, before_word(line), echo),
        CTRL_C => {
            line.clear();
            echo.extend(b"^C\n");
            return Outcome::Interrupt;
        }
        CTRL_D if line.is_empty() => return Outcome::Eof,
        CTRL_D => return Outcome::Complete,
        b'\r' | b'\n' => {
            line.push(b'\n');
            echo.push(b'\n');
            return Outcome::Complete;
        }
        _ => {
            show(line, byte, echo);
            line.push(byte);
            if line.len() == LINE_CAPACITY {
                return Outcome::Complete;
            }
        }
    }
    Outcome::Editing
}

/// How `byte` looks at the end of `line`.
fn show(line: &[u8], byte: u8, echo: &mut Vec<u8>) {
    match byte {
        b'\t' => {
            let spaces = TAB_STOP - columns(line) % TAB_STOP;
            echo.extend(core::iter::repeat_n(b' ', spaces));
        }
        0..0x20 => echo.extend([b'^', byte ^ 0x40]),
        _ => echo.push(byte),
    }
}

/// Shortens `line` to `length` bytes, on the screen too.
fn erase_to(line: &mut Vec<u8>, length: usize, echo: &mut Vec<u8>) {
    let before = columns(line);
    line.truncate(length);
    match before - columns(line) {
        0 => {}
        // Works on a terminal that knows nothing but backspace.
        width @ 1..=4 => (0..width).for_each(|_| echo.extend(b"\x08 \x08")),
        // Cursor back, erase to the end of the line (ECMA-48 CUB, EL): a long line must not cost kilobytes.
        width => echo.extend(alloc::format!("\x1b[{width}D\x1b[K").bytes()),
    }
}

/// Where the last character of `line` starts.
fn before_character(line: &[u8]) -> usize {
    let is_lead = |byte: &u8| byte & 0xc0 != 0x80;
    line.iter().rposition(is_lead).unwrap_or(0)
}

/// Where the last word of `line` starts, blanks after it included.
fn before_word(line: &[u8]) -> usize {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let end = line.iter().rposition(|byte| !is_blank(byte)).map_or(0, |last| last + 1);
    line[..end].iter().rposition(is_blank).map_or(0, |blank| blank + 1)
}

/// Columns that `line` takes on the screen. Counted from the start of the input, as the console does not know
/// how wide the prompt before it is.
fn columns(line: &[u8]) -> usize {
    let mut column = 0;
    for chunk in line.utf8_chunks() {
        for character in chunk.valid().chars() {
            column += match character {
                '\t' => TAB_STOP - column % TAB_STOP,
                '\0'..' ' => 2,
                _ => character.width().unwrap_or(0),
            };
        }
        column += usize::from(!chunk.invalid().is_empty());
    }
    column
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let (mut line, mut echo) = (Vec::new(), Vec::new());
        for &byte in bytes {
            edit(&mut line, byte, &mut echo);
        }
        (line, echo)
    }

    #[test]
    fn editing_keys_change_the_line_as_a_person_expects() {
        let cases: &[(&[u8], &[u8])] = &[
            (b"abc\x7f", b"ab"),
            (b"abc\x08\x08\x08\x08d", b"d"),
            (b"abc def\x15x", b"x"),
            (b"abc  def  \x17", b"abc  "),
            (b"abc\x17\x17", b""),
            ("ab\u{e9}\x7f".as_bytes(), b"ab"),
            ("\u{65e5}\u{672c}\x7f".as_bytes(), "\u{65e5}".as_bytes()),
            (b"a\tb\x7f", b"a\t"),
            (b"abc\x03de", b"de"),
        ];
        for (input, line) in cases {
            assert_eq!(typed(input).0, *line, "{input:?}");
        }
    }

    #[test]
    fn what_is_erased_on_the_screen_is_what_was_shown() {
        let cases: &[(&[u8], &[u8])] = &[
            (b"a\x7f", b"a\x08 \x08"),
            (b"\x7f", b""),
            ("\u{65e5}\x7f".as_bytes(), "\u{65e5}\x08 \x08\x08 \x08".as_bytes()),
            (b"\x01\x7f", b"^A\x08 \x08\x08 \x08"),
            (b"ab\t\x7f", b"ab      \x1b[6D\x1b[K"),
            (b"abcdef\x15", b"abcdef\x1b[6D\x1b[K"),
        ];
        for (input, echo) in cases {
            assert_eq!(typed(input).1, *echo, "{input:?}");
        }
    }

    #[test]
    fn a_line_ends_by_enter_by_end_of_file_or_at_its_capacity() {
        let (mut line, mut echo) = (Vec::new(), Vec::new());
        assert_eq!(edit(&mut line, CTRL_D, &mut echo), Outcome::Eof);
        assert_eq!(edit(&mut line, b'\r', &mut echo), Outcome::Complete);
        assert_eq!((line.as_slice(), echo.as_slice()), (&b"\n"[..], &b"\n"[..]));
        line = alloc::vec![b'x'; LINE_CAPACITY - 1];
        assert_eq!(edit(&mut line, CTRL_D, &mut echo), Outcome::Complete);
        assert_eq!(edit(&mut line, b'y', &mut echo), Outcome::Complete);
        assert_eq!(line.len(), LINE_CAPACITY);
    }
}
