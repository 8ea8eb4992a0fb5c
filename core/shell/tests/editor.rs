//! The line editor as a person sees it.

#[allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
mod terminal;

use shell::edit::{Complete, Editor, Event, Fed, HISTORY_LINES, LINE_MAX, Query};
use terminal::Terminal;

struct Desk {
    editor: Editor,
    terminal: Terminal,
}

impl Desk {
    fn new(columns: usize) -> Self {
        let mut desk = Self { editor: Editor::new(columns), terminal: Terminal::new(columns) };
        desk.start();
        desk
    }

    fn start(&mut self) {
        let mut out = Vec::new();
        self.editor.start("$ ", &mut out);
        self.terminal.print(&out);
    }

    fn feed(&mut self, bytes: &[u8]) -> Fed {
        let mut out = Vec::new();
        let fed = self.editor.feed(bytes, &Words, &mut out);
        self.terminal.print(&out);
        fed
    }

    fn keys(&mut self, text: &str) {
        assert_eq!(self.feed(text.as_bytes()), Fed { consumed: text.len(), event: None });
    }

    /// Types a line with its Enter, and starts the next.
    fn line(&mut self, text: &str) -> Event {
        let fed = self.feed(format!("{text}\r").as_bytes());
        assert_eq!(fed.consumed, text.len() + 1);
        self.start();
        fed.event.expect("an end of the line")
    }
}

struct Words;

impl Complete for Words {
    fn candidates(&self, query: &Query) -> Vec<String> {
        let words: &[&str] = if query.is_command {
            &["echo", "exit", "help"]
        } else {
            &["my file", "my dir/", "foobar", "foobaz"]
        };
        words.iter().filter(|word| word.starts_with(&query.word)).map(|word| word.to_string()).collect()
    }
}

const UP: &str = "\x1b[A";
const DOWN: &str = "\x1b[B";
const LEFT: &str = "\x1b[D";

#[test]
fn keys_edit_the_line() {
    let cases = [
        ("abc", "abc"),
        ("ac\x02b", "abc"),
        ("bc\x01a\x05d", "abcd"),
        ("abcd\x1b[H\x1b[3~\x1b[C\x04", "bd"),
        ("abc\x7f\x08d", "ad"),
        ("one two  \x17x", "one x"),
        ("one two\x1bb\x15x", "xtwo"),
        ("one two\x1b[1;5D\x0bx", "one x"),
        ("one two\x01\x1bf\x0b", "one"),
        ("one two\x17\x01\x19 ", "two one "),
        ("\u{65e5}\u{672c}\x1b[D\x7f\u{e9}", "\u{e9}\u{672c}"),
        ("\x7f\x1b[D\x1b[3~\x0b\x15\x17\x1bbx", "x"),
        ("a\x04b", "ab"),
    ];
    for (keys, line) in cases {
        assert_eq!(Desk::new(40).line(keys), Event::Accept(line.into()), "{keys:?}");
    }
}

#[test]
fn the_end_of_a_line_leaves_what_follows_for_the_next() {
    let mut desk = Desk::new(40);
    let fed = desk.feed(b"one\rtwo\r");
    assert_eq!(fed, Fed { consumed: 4, event: Some(Event::Accept("one".into())) });
    desk.start();
    assert_eq!(desk.line("two"), Event::Accept("two".into()));
    assert_eq!(desk.terminal.text(), ["$ one", "$ two", "$"]);
}

#[test]
fn ctrl_c_and_ctrl_d_end_a_line() {
    let mut desk = Desk::new(40);
    assert_eq!(desk.feed(b"abc\x01\x03x").event, Some(Event::Interrupt));
    desk.start();
    assert_eq!(desk.terminal.text(), ["$ abc^C", "$"]);
    assert_eq!(desk.feed(b"\x04").event, Some(Event::EndOfFile));
}

#[test]
fn history_goes_back_and_forth_without_duplicates() {
    let mut desk = Desk::new(40);
    for line in ["one", "two", "one", "", "  "] {
        desk.line(line);
    }
    desk.keys(&format!("new{UP}"));
    assert_eq!(desk.terminal.text().last().unwrap(), "$ one");
    desk.keys(UP);
    assert_eq!(desk.terminal.text().last().unwrap(), "$ two");
    desk.keys(UP);
    assert_eq!(desk.terminal.text().last().unwrap(), "$ two");
    desk.keys(&format!("x{DOWN}"));
    assert_eq!(desk.terminal.text().last().unwrap(), "$ one");
    desk.keys(DOWN);
    assert_eq!(desk.terminal.text().last().unwrap(), "$ new");
    desk.keys(DOWN);
    assert_eq!(desk.line("er"), Event::Accept("newer".into()));
    for number in 0..2 * HISTORY_LINES {
        desk.line(&number.to_string());
    }
    assert_eq!(desk.line(&UP.repeat(3 * HISTORY_LINES)), Event::Accept(HISTORY_LINES.to_string()));
}

#[test]
fn tab_completes_and_a_second_one_lists() {
    let mut desk = Desk::new(40);
    assert_eq!(desk.line("h\t"), Event::Accept("help ".into()));
    assert_eq!(desk.line("h\tf\tr\t"), Event::Accept("help foobar ".into()));
    assert_eq!(desk.line("cat my\tf\t"), Event::Accept("cat my\\ file ".into()));
    assert_eq!(desk.line("cat 'my d\tx"), Event::Accept("cat my\\ dir/x".into()));
    assert_eq!(desk.line("ex\x02\t"), Event::Accept("ex".into()));
    assert_eq!(desk.terminal.bells, 1);
    assert_eq!(desk.line("zz\t\t"), Event::Accept("zz".into()));
    assert_eq!(desk.terminal.bells, 3);
    let rows = desk.terminal.text().len();
    desk.keys("e\t");
    assert_eq!(desk.terminal.text().len(), rows);
    desk.keys("\t");
    assert_eq!(desk.terminal.text()[rows - 1..], ["$ e", "echo  exit", "$ e"]);
    desk.keys("x\t");
    assert_eq!(desk.terminal.text().last().unwrap(), "$ exit");
}

#[test]
fn ctrl_l_clears_the_screen_and_keeps_the_line() {
    let mut desk = Desk::new(10);
    desk.line("before");
    desk.keys(&format!("abcdefghijkl{LEFT}\x0c"));
    assert_eq!(desk.terminal.text(), ["$ abcdefgh", "ijkl"]);
    assert_eq!(desk.terminal.cursor(), (1, 3));
}

#[test]
fn a_paste_prints_each_character_once() {
    let mut desk = Desk::new(80);
    let text = "0123456789abcdef".repeat(4096);
    let mut out = Vec::new();
    for byte in text.bytes() {
        desk.editor.feed(&[byte], &(), &mut out);
    }
    assert_eq!(out, text.as_bytes());
    assert_eq!(desk.feed(b"\r").event, Some(Event::Accept(text)));
}

#[test]
fn a_paste_into_the_middle_is_drawn_once_a_batch() {
    let mut desk = Desk::new(80);
    desk.keys(&format!("tail{}", LEFT.repeat(4)));
    let text = "x".repeat(65_536);
    let mut out = Vec::new();
    for batch in text.as_bytes().chunks(512) {
        desk.editor.feed(batch, &(), &mut out);
    }
    assert!(out.len() < 2 * text.len(), "{} bytes", out.len());
    assert_eq!(desk.feed(b"\r").event, Some(Event::Accept(text + "tail")));
}

#[test]
fn a_line_of_100_kb_is_taken_whole_and_a_longer_one_refused_whole() {
    let mut desk = Desk::new(80);
    for length in [100 * 1024, LINE_MAX] {
        let text = "y".repeat(length);
        assert_eq!(desk.line(&text), Event::Accept(text));
    }
    let bells = desk.terminal.bells;
    let long = "z".repeat(LINE_MAX + 5000);
    assert_eq!(desk.line(&long), Event::TooLong);
    assert_eq!(desk.terminal.bells, bells + 1);
    assert_eq!(desk.line("after"), Event::Accept("after".into()));
    desk.keys(&long);
    assert_eq!(desk.line("\x15again"), Event::Accept("again".into()));
    desk.keys(&long);
    assert_eq!(desk.feed(b"\x03").event, Some(Event::Interrupt));
    desk.start();
    assert_eq!(desk.line("end"), Event::Accept("end".into()));
}

#[test]
fn redraw_shows_prompt_and_line_after_other_output() {
    let mut desk = Desk::new(40);
    desk.keys(&format!("abc{LEFT}"));
    desk.terminal.print(b"\nmessage\n");
    let mut out = Vec::new();
    desk.editor.redraw(&mut out);
    desk.terminal.print(&out);
    assert_eq!(desk.terminal.text(), ["$ abc", "message", "$ abc"]);
    assert_eq!(desk.terminal.cursor(), (2, 4));
}
