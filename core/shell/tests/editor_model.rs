//! The editor beside a naive model, a vector of characters and a cursor; and the screen beside what the
//! model would show on it.

#[allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
mod terminal;

use proptest::prelude::*;
use shell::edit::{Editor, Event};
use terminal::Terminal;

#[derive(Default)]
struct Model {
    line: Vec<char>,
    cursor: usize,
    cut: Vec<char>,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Insert(char),
    Left,
    Right,
    Home,
    End,
    Backspace,
    Delete,
    CutBefore,
    CutAfter,
    CutWord,
    Paste,
    WordLeft,
    WordRight,
}

impl Op {
    fn bytes(self) -> String {
        let text = match self {
            Op::Insert(character) => return character.into(),
            Op::Left => "\x1b[D",
            Op::Right => "\x06",
            Op::Home => "\x1b[H",
            Op::End => "\x05",
            Op::Backspace => "\x7f",
            Op::Delete => "\x1b[3~",
            Op::CutBefore => "\x15",
            Op::CutAfter => "\x0b",
            Op::CutWord => "\x17",
            Op::Paste => "\x19",
            Op::WordLeft => "\x1bb",
            Op::WordRight => "\x1b[1;5C",
        };
        text.into()
    }
}

impl Model {
    fn apply(&mut self, op: Op) {
        let (cursor, end) = (self.cursor, self.line.len());
        match op {
            Op::Insert(character) => {
                self.line.insert(cursor, character);
                self.cursor += 1;
            }
            Op::Left => self.cursor = cursor.saturating_sub(1),
            Op::Right => self.cursor = end.min(cursor + 1),
            Op::Home => self.cursor = 0,
            Op::End => self.cursor = end,
            Op::Backspace if cursor > 0 => self.remove(cursor - 1, cursor),
            Op::Delete if cursor < end => self.remove(cursor, cursor + 1),
            Op::Backspace | Op::Delete => {}
            Op::CutBefore => self.cut(0, cursor),
            Op::CutAfter => self.cut(cursor, end),
            Op::CutWord => self.cut(self.word_start(), cursor),
            Op::Paste => {
                self.line.splice(cursor..cursor, self.cut.iter().copied());
                self.cursor += self.cut.len();
            }
            Op::WordLeft => self.cursor = self.word_start(),
            Op::WordRight => {
                while self.line.get(self.cursor) == Some(&' ') {
                    self.cursor += 1;
                }
                while self.line.get(self.cursor).is_some_and(|character| *character != ' ') {
                    self.cursor += 1;
                }
            }
        }
    }

    fn word_start(&self) -> usize {
        let mut start = self.cursor;
        while start > 0 && self.line[start - 1] == ' ' {
            start -= 1;
        }
        while start > 0 && self.line[start - 1] != ' ' {
            start -= 1;
        }
        start
    }

    fn remove(&mut self, from: usize, to: usize) {
        self.line.drain(from..to);
        self.cursor = from;
    }

    fn cut(&mut self, from: usize, to: usize) {
        self.cut = self.line.drain(from..to).collect();
        self.cursor = from;
    }

    /// Prompt and line printed afresh on a terminal: its text, and the cursor after the first part.
    fn shown(&self, columns: usize) -> (Vec<String>, (usize, usize)) {
        let mut terminal = Terminal::new(columns);
        let print = |terminal: &mut Terminal, part: &[char]| {
            terminal.print(String::from_iter(part).as_bytes());
        };
        terminal.print(PROMPT.as_bytes());
        print(&mut terminal, &self.line[..self.cursor]);
        let cursor = terminal.cursor();
        print(&mut terminal, &self.line[self.cursor..]);
        (terminal.text(), cursor)
    }
}

const PROMPT: &str = "bd:/$ ";

fn op() -> impl Strategy<Value = Op> {
    let character = prop_oneof![
        6 => prop::char::range('a', 'z'),
        3 => Just(' '),
        1 => prop::sample::select(vec!['\u{e9}', '\u{65e5}', '\u{1f600}', '\u{301}']),
    ];
    let key = prop::sample::select(vec![
        Op::Left,
        Op::Left,
        Op::Right,
        Op::Home,
        Op::End,
        Op::Backspace,
        Op::Backspace,
        Op::Delete,
        Op::CutBefore,
        Op::CutAfter,
        Op::CutWord,
        Op::Paste,
        Op::WordLeft,
        Op::WordRight,
    ]);
    prop_oneof![3 => character.prop_map(Op::Insert), 1 => key]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn line_screen_and_cursor_are_those_of_the_model(
        ops in prop::collection::vec(op(), 0..150),
        columns in 8..24usize,
        batch in 1..7usize,
    ) {
        let mut model = Model::default();
        let mut editor = Editor::new(columns);
        let mut terminal = Terminal::new(columns);
        let mut out = Vec::new();
        editor.start(PROMPT, &mut out);
        for ops in ops.chunks(batch) {
            let bytes: String = ops.iter().map(|op| op.bytes()).collect();
            editor.feed(bytes.as_bytes(), &(), &mut out);
            terminal.print(&out);
            out.clear();
            ops.iter().for_each(|op| model.apply(*op));
            prop_assert_eq!((terminal.text(), terminal.cursor()), model.shown(columns));
        }
        let event = editor.feed(b"\r", &(), &mut out).event;
        prop_assert_eq!(event, Some(Event::Accept(String::from_iter(&model.line))));
    }

    /// Whatever bytes come, the editor stays on its feet, and a line can still be entered afterwards.
    #[test]
    fn no_bytes_make_the_editor_fall(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut editor = Editor::new(20);
        let mut out = Vec::new();
        let mut rest = bytes.as_slice();
        editor.start(PROMPT, &mut out);
        while !rest.is_empty() {
            let fed = editor.feed(rest, &(), &mut out);
            rest = &rest[fed.consumed..];
            if fed.event.is_some() {
                editor.start(PROMPT, &mut out);
            }
        }
        prop_assert!(std::str::from_utf8(&out).is_ok());
        editor.feed(b"\x1b[Z\x03", &(), &mut out);
        editor.start(PROMPT, &mut out);
        let event = editor.feed(b"ok\r", &(), &mut out).event;
        prop_assert_eq!(event, Some(Event::Accept("ok".into())));
    }
}
