//! Bytes to keys: control characters, UTF-8, and the escape sequences that terminals send (ECMA-48, and what
//! xterm and the VT220 make of it).

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Character(char),
    Enter,
    Tab,
    Backspace,
    Delete,
    DeleteOrEnd,
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
    Older,
    Newer,
    CutWord,
    CutBefore,
    CutAfter,
    Paste,
    ClearScreen,
    Interrupt,
}

/// Parameter bytes of an escape sequence that are looked at; longer ones are skipped to their end.
const PARAMETERS: usize = 8;

#[derive(Debug, Default)]
pub(crate) struct Keys {
    state: State,
    /// The last byte was CR: an LF right behind it belongs to the same Enter.
    after_return: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Ground,
    /// Inside a character: its bytes so far, their number, and how many it has.
    Character([u8; 4], usize, usize),
    /// After ESC.
    Escape,
    /// After ESC O.
    Single,
    /// After ESC [: parameter bytes so far, and their number.
    Sequence([u8; PARAMETERS], usize),
}

impl Keys {
    /// Takes a byte; hands every key that it completes to `sink`. (Two if it also ends a broken character.)
    pub(crate) fn push(&mut self, byte: u8, mut sink: impl FnMut(Key)) {
        let after_return = core::mem::replace(&mut self.after_return, byte == b'\r');
        if byte == b'\n' && after_return {
            return;
        }
        match core::mem::take(&mut self.state) {
            State::Ground => self.ground(byte, sink),
            State::Character(bytes, count, length) if byte & 0xc0 == 0x80 => {
                self.continue_character(bytes, count, length, byte, sink);
            }
            State::Character(..) => {
                sink(Key::Character(char::REPLACEMENT_CHARACTER));
                self.ground(byte, sink);
            }
            State::Escape => self.escape(byte, sink),
            State::Single => sequence(byte, &[]).into_iter().for_each(sink),
            State::Sequence(parameters, count) => self.sequence(parameters, count, byte, sink),
        }
    }

    fn ground(&mut self, byte: u8, mut sink: impl FnMut(Key)) {
        match byte {
            0x1b => self.state = State::Escape,
            0..0x20 | 0x7f => control(byte).into_iter().for_each(sink),
            0x20..0x7f => sink(Key::Character(char::from(byte))),
            0xc2..=0xdf => self.state = State::Character([byte, 0, 0, 0], 1, 2),
            0xe0..=0xef => self.state = State::Character([byte, 0, 0, 0], 1, 3),
            0xf0..=0xf4 => self.state = State::Character([byte, 0, 0, 0], 1, 4),
            _ => sink(Key::Character(char::REPLACEMENT_CHARACTER)),
        }
    }

    fn continue_character(
        &mut self,
        mut bytes: [u8; 4],
        count: usize,
        length: usize,
        byte: u8,
        mut sink: impl FnMut(Key),
    ) {
        bytes[count] = byte;
        let count = count + 1;
        if count < length {
            self.state = State::Character(bytes, count, length);
            return;
        }
        let decoded = core::str::from_utf8(&bytes[..count]).ok().and_then(|text| text.chars().next());
        // C1 control characters would steer the terminal.
        let shown = decoded.filter(|character| !character.is_control());
        sink(Key::Character(shown.unwrap_or(char::REPLACEMENT_CHARACTER)));
    }

    fn escape(&mut self, byte: u8, mut sink: impl FnMut(Key)) {
        match byte {
            b'[' => self.state = State::Sequence([0; PARAMETERS], 0),
            b'O' => self.state = State::Single,
            b'b' => sink(Key::WordLeft),
            b'f' => sink(Key::WordRight),
            // A lone Escape before a control key or a character of UTF-8: that key counts.
            0..0x20 | 0x7f.. => self.ground(byte, sink),
            _ => {}
        }
    }

    fn sequence(&mut self, mut parameters: [u8; PARAMETERS], count: usize, byte: u8, sink: impl FnMut(Key)) {
        match byte {
            0x20..0x40 => {
                if let Some(slot) = parameters.get_mut(count) {
                    *slot = byte;
                }
                self.state = State::Sequence(parameters, count.saturating_add(1));
            }
            0x40..0x7f if count <= PARAMETERS => {
                sequence(byte, &parameters[..count]).into_iter().for_each(sink);
            }
            0x40..0x7f => {}
            _ => self.ground(byte, sink),
        }
    }
}

/// What a control character means.
fn control(byte: u8) -> Option<Key> {
    Some(match byte {
        0x01 => Key::Home,
        0x02 => Key::Left,
        0x03 => Key::Interrupt,
        0x04 => Key::DeleteOrEnd,
        0x05 => Key::End,
        0x06 => Key::Right,
        0x08 | 0x7f => Key::Backspace,
        b'\t' => Key::Tab,
        b'\r' | b'\n' => Key::Enter,
        0x0b => Key::CutAfter,
        0x0c => Key::ClearScreen,
        0x0e => Key::Newer,
        0x10 => Key::Older,
        0x15 => Key::CutBefore,
        0x17 => Key::CutWord,
        0x19 => Key::Paste,
        _ => return None,
    })
}

/// What an escape sequence means, by its last byte and its parameters.
fn sequence(last: u8, parameters: &[u8]) -> Option<Key> {
    Some(match (last, parameters) {
        (b'A', _) => Key::Older,
        (b'B', _) => Key::Newer,
        (b'C', b"1;5" | b"1;3") => Key::WordRight,
        (b'D', b"1;5" | b"1;3") => Key::WordLeft,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', b"1" | b"7") => Key::Home,
        (b'F', _) | (b'~', b"4" | b"8") => Key::End,
        (b'~', b"3") => Key::Delete,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Keys::default();
        let mut keys = Vec::new();
        bytes.iter().for_each(|&byte| decoder.push(byte, |key| keys.push(key)));
        keys
    }

    #[test]
    fn bytes_become_keys() {
        let bad = Key::Character(char::REPLACEMENT_CHARACTER);
        let letter = Key::Character('a');
        let cases: &[(&[u8], &[Key])] = &[
            (b"a", &[letter]),
            ("\u{e9}\u{65e5}\u{1f600}".as_bytes(), &['\u{e9}', '\u{65e5}', '\u{1f600}'].map(Key::Character)),
            (b"\xe9a", &[bad, letter]),
            (b"\xff\x80a", &[bad, bad, letter]),
            (b"\xed\xa0\x80a", &[bad, letter]),
            (b"\xc2\x9ba", &[bad, letter]),
            (b"\x1b[A\x1bOB\x1b[C\x1bOD", &[Key::Older, Key::Newer, Key::Right, Key::Left]),
            (b"\x1b[H\x1b[F\x1b[1~\x1b[4~\x1b[3~", &[Key::Home, Key::End, Key::Home, Key::End, Key::Delete]),
            (b"\x1b[1;5C\x1bb", &[Key::WordRight, Key::WordLeft]),
            (b"\x1b[200~a\x1b[?1;2;3;4;5;6;7;8;9Aa", &[letter, letter]),
            (b"\x1b\r", &[Key::Enter]),
            (b"\x1b[\r", &[Key::Enter]),
            (b"\x1b\x1b[A", &[Key::Older]),
            (b"\r\n\n\r", &[Key::Enter, Key::Enter, Key::Enter]),
            (b"\x00\x1d", &[]),
        ];
        for (bytes, expected) in cases {
            assert_eq!(keys(bytes), *expected, "{bytes:?}");
        }
    }
}
