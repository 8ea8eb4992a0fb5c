//! Lines entered before.

use alloc::collections::VecDeque;
use alloc::string::String;

/// Lines that are kept at most.
pub const HISTORY_LINES: usize = 200;
/// Bytes that are kept at most, whatever the number of lines.
pub const HISTORY_BYTES: usize = 256 * 1024;

#[derive(Debug, Default)]
pub(crate) struct History {
    /// Oldest first, no two the same.
    lines: VecDeque<String>,
    bytes: usize,
    /// Index of the line that is shown; `lines.len()` is the new one.
    shown: usize,
    /// The new line, while an older one is shown.
    draft: String,
}

impl History {
    /// Adds a line as the newest; one that is there already moves. Blank lines are not kept. Ends browsing.
    pub(crate) fn add(&mut self, line: &str) {
        if !line.trim().is_empty() && line.len() <= HISTORY_BYTES {
            if let Some(index) = self.lines.iter().position(|old| old == line) {
                self.remove(index);
            }
            self.lines.push_back(line.into());
            self.bytes += line.len();
            while self.lines.len() > HISTORY_LINES || self.bytes > HISTORY_BYTES {
                self.remove(0);
            }
        }
        self.rewind();
    }

    /// Ends browsing: the next line back is the newest.
    pub(crate) fn rewind(&mut self) {
        self.shown = self.lines.len();
        self.draft = String::new();
    }

    /// The line before the one shown; `current` is kept if it is the new one.
    pub(crate) fn older(&mut self, current: impl FnOnce() -> String) -> Option<&str> {
        let older = self.shown.checked_sub(1)?;
        if self.shown == self.lines.len() {
            self.draft = current();
        }
        self.shown = older;
        Some(&self.lines[older])
    }

    /// The line after the one shown.
    pub(crate) fn newer(&mut self) -> Option<&str> {
        if self.shown >= self.lines.len() {
            return None;
        }
        self.shown += 1;
        Some(self.lines.get(self.shown).unwrap_or(&self.draft))
    }

    fn remove(&mut self, index: usize) {
        if let Some(line) = self.lines.remove(index) {
            self.bytes -= line.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn history_is_bounded_in_lines_and_in_bytes() {
        let mut history = History::default();
        for number in 0..3 * HISTORY_LINES {
            history.add(&format!("line {number}"));
        }
        assert_eq!(history.lines.len(), HISTORY_LINES);
        for letter in ['a', 'b', 'c'] {
            history.add(&String::from_iter(core::iter::repeat_n(letter, HISTORY_BYTES / 2)));
        }
        assert_eq!(history.lines.len(), 2);
        assert_eq!(history.bytes, HISTORY_BYTES);
        history.add(&" ".repeat(3));
        assert_eq!(history.lines.len(), 2);
    }
}
