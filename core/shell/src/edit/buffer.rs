//! The line and the cursor: what is before it, and what is after it in reverse, so that editing at the cursor
//! and moving by a character take constant time however long the line is.

use alloc::string::String;

#[derive(Debug, Default)]
pub(crate) struct Buffer {
    before: String,
    /// Last character first.
    after: String,
}

impl Buffer {
    pub(crate) fn before(&self) -> &str {
        &self.before
    }

    /// Length of the line in bytes.
    pub(crate) fn len(&self) -> usize {
        self.before.len() + self.after.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn at_end(&self) -> bool {
        self.after.is_empty()
    }

    pub(crate) fn chars(&self) -> impl Iterator<Item = char> {
        self.before.chars().chain(self.after.chars().rev())
    }

    pub(crate) fn text(&self) -> String {
        self.chars().collect()
    }

    /// Takes the whole line out.
    pub(crate) fn take(&mut self) -> String {
        self.go_to_end();
        core::mem::take(&mut self.before)
    }

    /// Replaces the line; the cursor is at its end.
    pub(crate) fn set(&mut self, text: &str) {
        self.after.clear();
        self.before.clear();
        self.before.push_str(text);
    }

    pub(crate) fn insert(&mut self, character: char) {
        self.before.push(character);
    }

    /// Puts `text` in the place of what is between byte `start` and the cursor.
    pub(crate) fn replace(&mut self, start: usize, text: &str) {
        self.before.truncate(start);
        self.before.push_str(text);
    }

    pub(crate) fn left(&mut self) -> Option<char> {
        let character = self.before.pop()?;
        self.after.push(character);
        Some(character)
    }

    pub(crate) fn right(&mut self) -> Option<char> {
        let character = self.after.pop()?;
        self.before.push(character);
        Some(character)
    }

    pub(crate) fn go_to_start(&mut self) {
        self.after.extend(self.before.chars().rev());
        self.before.clear();
    }

    pub(crate) fn go_to_end(&mut self) {
        self.before.extend(self.after.chars().rev());
        self.after.clear();
    }

    /// Erases the character before the cursor.
    pub(crate) fn erase_before(&mut self) -> Option<char> {
        self.before.pop()
    }

    /// Erases the character under the cursor.
    pub(crate) fn erase_under(&mut self) -> Option<char> {
        self.after.pop()
    }

    /// Cuts what is between byte `start` and the cursor.
    pub(crate) fn cut_from(&mut self, start: usize) -> String {
        self.before.split_off(start)
    }

    /// Cuts what is after the cursor.
    pub(crate) fn cut_after(&mut self) -> String {
        let cut = self.after.chars().rev().collect();
        self.after.clear();
        cut
    }

    /// Where the word before the cursor starts, blanks after it included.
    pub(crate) fn word_start(&self) -> usize {
        let words = self.before.trim_end_matches(' ');
        words.rfind(' ').map_or(0, |blank| blank + 1)
    }

    /// Moves to the start of the word before the cursor.
    pub(crate) fn word_left(&mut self) {
        let start = self.word_start();
        while self.before.len() > start {
            self.left();
        }
    }

    /// Moves behind the word that the cursor is in or before.
    pub(crate) fn word_right(&mut self) {
        while self.after.ends_with(' ') {
            self.right();
        }
        while !self.after.is_empty() && !self.after.ends_with(' ') {
            self.right();
        }
    }
}
