//! What the host understands of the guest's console: prompts, trailers, panics and addresses.
//!
//! A [`Filter`] stands between QEMU and the user. Everything passes at once, but for lines that mean something
//! to the host; those are held until their newline:
//!
//! ```text
//!   [barreldish: exit status N]     the last line before power-off: taken out, becomes the exit status
//!   [barreldish: panic]             a panic block begins: what follows is its message, registers, frames
//!   [barreldish: end of panic]      the block's end; the kernel's last word is then exit status 101
//!   ··at 0xADDRESS                  a kernel frame: function and line are added
//!   ··at 0xADDRESS in PROGRAM       a frame of a user program
//!   bd:DIR$ ·                       the shell waits
//! ```
//!
//! An address is that of an instruction of the function: the guest takes 4 off a return address.
//! The status line counts only when nothing comes after it, so that a program which prints one ends nothing.

use crate::symbols::Symbolise;

const EXIT_STATUS: &str = "[barreldish: exit status ";
const PANIC: &str = "[barreldish: panic]";
const END_OF_PANIC: &str = "[barreldish: end of panic]";
const FRAME: &str = "  at 0x";
/// Beginnings of lines that are held until they are complete.
const HELD: [&str; 2] = ["[barreldish: ", FRAME];
const PROMPT: (&str, &str) = ("bd:/", "$ ");
/// No prompt is longer: a path of 4096 bytes and its decoration.
const LONGEST_PROMPT: usize = 4200;

/// What was learned from the console by the time QEMU ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The trailer that stood last.
    pub exit_status: Option<u32>,
    /// The first line of the last panic block.
    pub panic: Option<String>,
}

/// The streaming filter.
pub struct Filter {
    symbols: Box<dyn Symbolise>,
    line: Line,
    /// A complete status line, its value, and its bytes in case that something follows.
    trailer: Option<(u32, Vec<u8>)>,
    panic: Panic,
}

#[derive(Debug, Default)]
enum Panic {
    #[default]
    None,
    /// The block has begun and its message is the next line.
    Announced,
    Message(String),
}

/// The current line, as far as it has come.
#[derive(Default)]
struct Line {
    /// Its bytes that are not yet passed on.
    held: Vec<u8>,
    /// What a terminal would show of it, as far as that matters here.
    visible: String,
    /// Whether its bytes go on at once.
    passing: bool,
    after_return: bool,
    /// Its prompt was already reported: an editor may draw it again and again.
    prompted: bool,
    escape: Escape,
}

/// Where in a control sequence (ECMA-48, 5.4) the line is.
#[derive(Default, Clone, Copy, PartialEq)]
enum Escape {
    #[default]
    None,
    Started,
    Sequence,
}

impl Filter {
    /// A filter that explains addresses with `symbols`.
    pub fn new(symbols: Box<dyn Symbolise>) -> Self {
        Self { symbols, line: Line::default(), trailer: None, panic: Panic::None }
    }

    /// Takes what QEMU wrote and appends to `out` what the user is to see. Offsets in `out` right behind a prompt
    /// are appended to `prompts`.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>, prompts: &mut Vec<usize>) {
        for &byte in bytes {
            if self.belongs_to_trailer(byte, out) {
                continue;
            }
            self.line.take(byte);
            if byte == b'\n' {
                self.end_line(out);
            } else if self.line.passes() {
                out.append(&mut self.line.held);
                if self.line.is_new_prompt() {
                    prompts.push(out.len());
                }
            }
        }
    }

    /// Passes on the beginning of a line that may yet become one to be held: nothing more came for a while.
    pub fn idle(&mut self, out: &mut Vec<u8>) {
        if !HELD.iter().any(|start| self.line.visible.starts_with(start)) {
            out.append(&mut self.line.held);
        }
    }

    /// QEMU has ended: passes on what is left and says what was learned.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Report {
        if !self.line.held.is_empty() {
            self.end_line(out);
        }
        let panic = match self.panic {
            Panic::None => None,
            Panic::Announced => Some("(no message)".to_owned()),
            Panic::Message(message) => Some(message),
        };
        Report { exit_status: self.trailer.map(|(status, _)| status), panic }
    }

    /// Whether `byte` is an empty line after the trailer. Anything else shows that it was none: it is text.
    fn belongs_to_trailer(&mut self, byte: u8, out: &mut Vec<u8>) -> bool {
        match &mut self.trailer {
            Some((_, bytes)) if matches!(byte, b'\r' | b'\n') => {
                bytes.push(byte);
                true
            }
            Some(_) => {
                out.extend(self.trailer.take().into_iter().flat_map(|(_, bytes)| bytes));
                false
            }
            None => false,
        }
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        let line = std::mem::take(&mut self.line);
        let text = line.visible.trim_end();
        if let Some(status) = exit_status(text) {
            self.trailer = Some((status, line.held));
            return;
        }
        self.follow_panic(text);
        let explained = frame(text).and_then(|(address, program)| self.symbols.explain(address, program));
        match explained {
            Some(explanation) => out.extend(format!("{text}  {explanation}\r\n").bytes()),
            None => out.extend(line.held),
        }
    }

    fn follow_panic(&mut self, text: &str) {
        match self.panic {
            _ if text == PANIC => self.panic = Panic::Announced,
            Panic::Announced if text == END_OF_PANIC => {
                self.panic = Panic::Message("(no message)".to_owned())
            }
            Panic::Announced if !text.is_empty() => self.panic = Panic::Message(text.to_owned()),
            _ => {}
        }
    }
}

impl Line {
    fn take(&mut self, byte: u8) {
        self.held.push(byte);
        if self.after_return && byte != b'\n' {
            self.visible.clear();
        }
        self.after_return = byte == b'\r';
        self.escape = match (self.escape, byte) {
            (Escape::None, 0x1b) => Escape::Started,
            (Escape::Started, b'[') => Escape::Sequence,
            (Escape::Sequence, 0x20..=0x3f) => Escape::Sequence,
            (Escape::None, _) => {
                self.show(byte);
                Escape::None
            }
            _ => Escape::None,
        };
    }

    fn show(&mut self, byte: u8) {
        if !byte.is_ascii_control() && self.visible.len() <= LONGEST_PROMPT {
            self.visible.push(char::from(byte));
        }
    }

    /// Whether the line's bytes go on at once; decided for good by its first visible characters.
    fn passes(&mut self) -> bool {
        let undecided = HELD.iter().any(|it| it.starts_with(&self.visible) || self.visible.starts_with(it));
        self.passing |= !undecided;
        self.passing || self.visible.is_empty()
    }

    fn is_new_prompt(&mut self) -> bool {
        let (start, end) = PROMPT;
        let now = !self.prompted
            && self.escape == Escape::None
            && self.visible.ends_with(end)
            && self.visible.starts_with(start);
        self.prompted |= now;
        now
    }
}

fn exit_status(line: &str) -> Option<u32> {
    line.strip_prefix(EXIT_STATUS)?.strip_suffix(']')?.parse().ok()
}

/// The address and, for a user program, the name in a backtrace line.
fn frame(line: &str) -> Option<(u64, Option<&str>)> {
    let rest = line.strip_prefix(FRAME)?;
    let digits = rest.find(|it: char| !it.is_ascii_hexdigit()).unwrap_or(rest.len());
    let address = u64::from_str_radix(&rest[..digits], 16).ok()?;
    match rest[digits..].trim() {
        "" => Some((address, None)),
        more => Some((address, Some(more.strip_prefix("in ")?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::NoSymbols;

    struct Named;
    impl Symbolise for Named {
        fn explain(&mut self, address: u64, program: Option<&str>) -> Option<String> {
            Some(format!("{}+{address:x}", program.unwrap_or("kernel")))
        }
    }

    struct Seen {
        text: String,
        prompts: Vec<usize>,
        report: Report,
    }

    fn filtered(symbols: Box<dyn Symbolise>, pieces: &[&str]) -> Seen {
        let mut filter = Filter::new(symbols);
        let (mut out, mut prompts) = (vec![], vec![]);
        pieces.iter().for_each(|piece| filter.feed(piece.as_bytes(), &mut out, &mut prompts));
        let report = filter.finish(&mut out);
        Seen { text: String::from_utf8(out).unwrap(), prompts, report }
    }

    /// The same input in one piece and byte by byte must give the same.
    fn seen(input: &str) -> Seen {
        let whole = filtered(Box::new(Named), &[input]);
        let bytes: Vec<String> = input.chars().map(String::from).collect();
        let pieces = filtered(Box::new(Named), &bytes.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(
            (&whole.text, &whole.prompts, &whole.report),
            (&pieces.text, &pieces.prompts, &pieces.report)
        );
        whole
    }

    #[test]
    fn the_trailer_is_taken_out_and_becomes_the_status() {
        let it = seen("bye\r\n[barreldish: exit status 42]\r\n\r\n");
        assert_eq!(it.text, "bye\r\n");
        assert_eq!(it.report, Report { exit_status: Some(42), panic: None });
    }

    #[test]
    fn a_trailer_without_its_newline_counts() {
        assert_eq!(seen("[barreldish: exit status 7]").report.exit_status, Some(7));
    }

    #[test]
    fn a_trailer_that_is_not_last_is_text() {
        let input = "[barreldish: exit status 0]\r\nbd:/$ ";
        let it = seen(input);
        assert_eq!((it.text.as_str(), it.report.exit_status), (input, None));
    }

    #[test]
    fn what_only_looks_like_a_trailer_is_text() {
        for input in ["[barreldish: exit status x]\n", "[barreldish", "say [barreldish: exit status 1]\n"] {
            let it = seen(input);
            assert_eq!((it.text.as_str(), it.report), (input, Report::default()));
        }
    }

    #[test]
    fn a_prompt_is_seen_at_the_start_of_a_line_only() {
        assert_eq!(seen("bd:/$ ").prompts, [6]);
        assert_eq!(seen("x\r\nbd:/sd card$ ").prompts, [16]);
        assert_eq!(seen("say bd:/$ ").prompts, [0; 0]);
        assert_eq!(seen("wait...\rbd:/$ ").prompts, [14]);
        assert_eq!(seen("\x1b[2J\x1b[Hbd:/$ ").prompts, [13]);
    }

    #[test]
    fn a_prompt_drawn_again_on_its_line_is_one_prompt() {
        assert_eq!(seen("bd:/$ e\r\x1b[Kbd:/$ ec\r\x1b[Kbd:/$ ech").prompts, [6]);
        assert_eq!(seen("bd:/$ x$ y").prompts, [6]);
    }

    #[test]
    fn frames_are_explained_by_the_right_program() {
        let it = seen("  at 0xffff1000\r\n  at 0x2000 in shell\r\n  at home\r\n");
        assert_eq!(
            it.text,
            "  at 0xffff1000  kernel+ffff1000\r\n  at 0x2000 in shell  shell+2000\r\n  at home\r\n"
        );
    }

    #[test]
    fn frames_without_symbols_stay_as_they_are() {
        let input = "  at 0xffff1000\r\n  at 0x12 by chance\r\n";
        assert_eq!(filtered(Box::new(NoSymbols), &[input]).text, input);
        assert_eq!(seen("  at 0x12 by chance\r\n").text, "  at 0x12 by chance\r\n");
    }

    #[test]
    fn a_panic_is_reported_with_its_first_line() {
        let input =
            "[barreldish: panic]\r\nno memory at boot.rs:3\r\nx0 = 0\r\n[barreldish: end of panic]\r\n";
        let it = seen(input);
        assert_eq!(it.text, input);
        assert_eq!(it.report, Report { exit_status: None, panic: Some("no memory at boot.rs:3".to_owned()) });
        assert_eq!(seen("[barreldish: panic]\r\n").report.panic.as_deref(), Some("(no message)"));
    }

    #[test]
    fn text_passes_before_its_line_is_complete() {
        let mut filter = Filter::new(Box::new(NoSymbols));
        let (mut out, mut prompts) = (vec![], vec![]);
        filter.feed(b"loading", &mut out, &mut prompts);
        assert_eq!(out, b"loading");
    }

    #[test]
    fn an_undecided_beginning_passes_when_nothing_follows() {
        let mut filter = Filter::new(Box::new(NoSymbols));
        let (mut out, mut prompts) = (vec![], vec![]);
        filter.feed(b"[barrel", &mut out, &mut prompts);
        assert!(out.is_empty());
        filter.idle(&mut out);
        assert_eq!(out, b"[barrel");
        filter.feed(b"]\n", &mut out, &mut prompts);
        assert_eq!(out, b"[barrel]\n");
    }
}
