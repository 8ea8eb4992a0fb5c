//! The editor: keys change the buffer, and the screen follows once a batch of input is through.

use super::buffer::Buffer;
use super::complete::{Complete, Completion, complete, list};
use super::history::History;
use super::keys::{Key, Keys};
use super::screen::{Place, Screen};
use alloc::string::String;
use alloc::vec::Vec;

/// Bytes of a line at most. A longer one is taken to its end and refused as a whole ([`Event::TooLong`]).
pub const LINE_MAX: usize = 128 * 1024;

/// What the person asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Enter: this line.
    Accept(String),
    /// Ctrl-C: the line is dropped.
    Interrupt,
    /// Ctrl-D on an empty line.
    EndOfFile,
    /// Enter after more than [`LINE_MAX`] bytes: the line is dropped, and the shell should say so.
    TooLong,
}

/// How far [`Editor::feed`] got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fed {
    /// Bytes it took. The rest belongs to the next line: feed it after the next [`Editor::start`].
    pub consumed: usize,
    /// What ended the line, if it has ended.
    pub event: Option<Event>,
}

/// A line editor. See the module's documentation.
#[derive(Debug)]
pub struct Editor {
    prompt: String,
    buffer: Buffer,
    keys: Keys,
    history: History,
    screen: Screen,
    /// What is on the screen from this byte of the line on is out of date.
    stale: Option<usize>,
    /// The cursor on the screen is out of date.
    moved: bool,
    /// The line went over its limit.
    too_long: bool,
    /// The last key was a Tab that found a choice.
    offered: bool,
    /// What was cut last.
    cut: String,
}

impl Editor {
    /// An editor for a terminal that is `columns` wide.
    pub fn new(columns: usize) -> Self {
        Self {
            prompt: String::new(),
            buffer: Buffer::default(),
            keys: Keys::default(),
            history: History::default(),
            screen: Screen::new(columns),
            stale: None,
            moved: false,
            too_long: false,
            offered: false,
            cut: String::new(),
        }
    }

    /// Prints `prompt` and begins a line. The cursor must be at the start of a row. The prompt must be printable.
    pub fn start(&mut self, prompt: &str, out: &mut Vec<u8>) {
        self.prompt = prompt.into();
        self.buffer = Buffer::default();
        self.too_long = false;
        self.redraw(out);
    }

    /// Prints prompt and line again, after something else was printed. The cursor must be at the start of a row.
    pub fn redraw(&mut self, out: &mut Vec<u8>) {
        self.screen.restart();
        for character in self.prompt.chars() {
            self.screen.print(character, out);
        }
        self.stale = (!self.buffer.is_empty()).then_some(0);
        self.moved = true;
        self.refresh(out);
    }

    /// Takes typed bytes up to the end of the line, and appends to `out` what is to be printed.
    pub fn feed(&mut self, bytes: &[u8], words: &dyn Complete, out: &mut Vec<u8>) -> Fed {
        for (at, &byte) in bytes.iter().enumerate() {
            let mut pressed = [None; 2];
            let mut count = 0;
            self.keys.push(byte, |key| {
                pressed[count] = Some(key);
                count += 1;
            });
            for key in pressed.into_iter().flatten() {
                if let Some(event) = self.press(key, words, out) {
                    return Fed { consumed: at + 1, event: Some(event) };
                }
            }
        }
        self.refresh(out);
        Fed { consumed: bytes.len(), event: None }
    }

    fn press(&mut self, key: Key, words: &dyn Complete, out: &mut Vec<u8>) -> Option<Event> {
        let offered = core::mem::take(&mut self.offered);
        match key {
            Key::Enter => return Some(self.enter(out)),
            Key::Interrupt => return Some(self.interrupt(out)),
            Key::DeleteOrEnd if self.buffer.is_empty() => return Some(self.end("", Event::EndOfFile, out)),
            Key::CutBefore if self.too_long => self.abandon(),
            _ if self.too_long => {}
            Key::Character(character) => self.insert(character, out),
            Key::Tab => self.complete(offered, words, out),
            Key::ClearScreen => {
                out.extend(b"\x1b[H\x1b[2J");
                self.redraw(out);
            }
            Key::Paste => self.paste(out),
            _ => self.edit(key, out),
        }
        None
    }

    fn edit(&mut self, key: Key, out: &mut Vec<u8>) {
        match key {
            Key::Backspace => self.backspace(out),
            Key::Delete | Key::DeleteOrEnd => {
                self.buffer.erase_under();
                self.changed();
            }
            Key::CutWord => self.cut_from(self.buffer.word_start()),
            Key::CutBefore => self.cut_from(0),
            Key::CutAfter => {
                self.cut = self.buffer.cut_after();
                self.changed();
            }
            Key::Older => self.browse(true),
            Key::Newer => self.browse(false),
            _ => self.move_cursor(key),
        }
    }

    fn move_cursor(&mut self, key: Key) {
        self.moved = true;
        match key {
            Key::Left => drop(self.buffer.left()),
            Key::Right => drop(self.buffer.right()),
            Key::WordLeft => self.buffer.word_left(),
            Key::WordRight => self.buffer.word_right(),
            Key::Home => self.buffer.go_to_start(),
            _ => self.buffer.go_to_end(),
        }
    }

    /// True if the screen shows the line, with the cursor at its end: then what is typed is just printed, and
    /// a paste costs what it is long.
    fn shows_end(&self) -> bool {
        self.buffer.at_end() && self.stale.is_none() && !self.moved
    }

    fn insert(&mut self, character: char, out: &mut Vec<u8>) {
        if self.too_long {
            return;
        }
        if self.buffer.len() + character.len_utf8() > LINE_MAX {
            self.too_long = true;
            return ring(out);
        }
        if self.shows_end() {
            self.screen.print(character, out);
        } else {
            self.changed();
        }
        self.buffer.insert(character);
    }

    fn backspace(&mut self, out: &mut Vec<u8>) {
        let shows_end = self.shows_end();
        let Some(character) = self.buffer.erase_before() else { return };
        if !shows_end || !self.screen.rub_out(character, out) {
            self.changed();
        }
    }

    fn cut_from(&mut self, start: usize) {
        self.cut = self.buffer.cut_from(start);
        self.changed();
    }

    fn paste(&mut self, out: &mut Vec<u8>) {
        let cut = core::mem::take(&mut self.cut);
        cut.chars().for_each(|character| self.insert(character, out));
        self.cut = cut;
    }

    fn browse(&mut self, older: bool) {
        let (buffer, history) = (&mut self.buffer, &mut self.history);
        let line = if older { history.older(|| buffer.text()) } else { history.newer() };
        if let Some(line) = line {
            buffer.set(line);
            self.stale = Some(0);
        }
    }

    fn complete(&mut self, offered: bool, words: &dyn Complete, out: &mut Vec<u8>) {
        match complete(&self.buffer, words) {
            Completion::Insert(start, text) if self.fits(start, &text) => {
                self.buffer.replace(start, &text);
                self.stale = Some(self.stale.map_or(start, |stale| stale.min(start)));
            }
            Completion::Choice(words) if offered => {
                self.leave_line(out);
                out.extend(list(&words, self.screen.columns()).bytes());
                self.redraw(out);
            }
            Completion::Choice(_) => {
                self.offered = true;
                ring(out);
            }
            Completion::Nothing | Completion::Insert(..) => ring(out),
        }
    }

    /// Whether the line stays in its limit with `text` in the place of what is between `start` and the cursor.
    fn fits(&self, start: usize, text: &str) -> bool {
        self.buffer.len() - (self.buffer.before().len() - start) + text.len() <= LINE_MAX
    }

    /// The line is not what the screen shows from the cursor on.
    fn changed(&mut self) {
        let at = self.buffer.before().len();
        self.stale = Some(self.stale.map_or(at, |stale| stale.min(at)));
    }

    /// Makes the screen show the line.
    fn refresh(&mut self, out: &mut Vec<u8>) {
        let stale = self.stale.take();
        if stale.is_none() && !core::mem::take(&mut self.moved) {
            return;
        }
        self.moved = false;
        if let Some(stale) = stale {
            let place = self.place_of(stale);
            self.screen.move_to(place, out);
            let mut at = 0;
            for character in self.buffer.chars() {
                if at >= stale {
                    self.screen.print(character, out);
                }
                at += character.len_utf8();
            }
            self.screen.clear_rest(out);
        }
        let place = self.place_of(self.buffer.before().len());
        self.screen.move_to(place, out);
    }

    /// Where byte `at` of the line is on the screen.
    fn place_of(&self, at: usize) -> Place {
        let mut left = at;
        let line = self.buffer.chars().take_while(|character| {
            let inside = left > 0;
            left = left.saturating_sub(character.len_utf8());
            inside
        });
        let prompt = self.prompt.chars();
        prompt.chain(line).fold(Place::default(), |place, character| self.screen.after(place, character))
    }

    fn enter(&mut self, out: &mut Vec<u8>) -> Event {
        self.leave_line(out);
        let line = self.buffer.take();
        if core::mem::take(&mut self.too_long) {
            self.history.rewind();
            return Event::TooLong;
        }
        self.history.add(&line);
        Event::Accept(line)
    }

    fn interrupt(&mut self, out: &mut Vec<u8>) -> Event {
        self.buffer.go_to_end();
        self.moved = true;
        self.end("^C", Event::Interrupt, out)
    }

    /// Ends the line without a use for it.
    fn end(&mut self, mark: &str, event: Event, out: &mut Vec<u8>) -> Event {
        self.refresh(out);
        out.extend(mark.bytes());
        self.leave_line(out);
        self.buffer = Buffer::default();
        self.too_long = false;
        self.history.rewind();
        event
    }

    /// Ctrl-U in a line that went over its limit: begin again.
    fn abandon(&mut self) {
        self.too_long = false;
        self.buffer = Buffer::default();
        self.stale = Some(0);
    }

    /// Goes to the start of the row below the line.
    fn leave_line(&mut self, out: &mut Vec<u8>) {
        self.refresh(out);
        let end = self.place_of(self.buffer.len());
        self.screen.move_to(end, out);
        out.push(b'\n');
    }
}

fn ring(out: &mut Vec<u8>) {
    out.push(0x07);
}
