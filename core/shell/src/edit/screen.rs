//! Where the cursor is on the terminal, and how to get it elsewhere.
//!
//! Places are counted from the start of the prompt. The terminal wraps by itself at its width; after a
//! character in the last column it leaves the cursor there until the next one is printed. That place is
//! counted as the start of the next row, and `pending` says that the terminal is not there yet.

use alloc::format;
use alloc::vec::Vec;
use unicode_width::UnicodeWidthChar;

/// A place on the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) row: usize,
    pub(crate) column: usize,
}

#[derive(Debug)]
pub(crate) struct Screen {
    columns: usize,
    cursor: Place,
    pending: bool,
}

impl Screen {
    pub(crate) fn new(columns: usize) -> Self {
        // Any character must fit into a row.
        Self { columns: columns.max(4), cursor: Place::default(), pending: false }
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// The cursor has been put at the start of a row: a prompt begins there.
    pub(crate) fn restart(&mut self) {
        *self = Self::new(self.columns);
    }

    /// Where the cursor is after `character` at `place`. A wide one that does not fit wraps as a whole.
    pub(crate) fn after(&self, place: Place, character: char) -> Place {
        let width = character.width().unwrap_or(0);
        let end = place.column + width;
        match end.cmp(&self.columns) {
            core::cmp::Ordering::Less => Place { row: place.row, column: end },
            core::cmp::Ordering::Equal => Place { row: place.row + 1, column: 0 },
            core::cmp::Ordering::Greater => Place { row: place.row + 1, column: width },
        }
    }

    pub(crate) fn print(&mut self, character: char, out: &mut Vec<u8>) {
        let next = self.after(self.cursor, character);
        if next.row > self.cursor.row && next.column > 0 {
            // It wraps early: nothing old may stay in the cell that it leaves free.
            out.extend(b"\x1b[K");
        }
        if next != self.cursor {
            self.pending = next.column == 0;
        }
        self.cursor = next;
        out.extend(character.encode_utf8(&mut [0; 4]).bytes());
    }

    /// Erases the narrow character before the cursor if that needs no move to another row; else does nothing
    /// and returns false.
    pub(crate) fn rub_out(&mut self, character: char, out: &mut Vec<u8>) -> bool {
        let simple = character.width() == Some(1) && self.cursor.column > 0;
        if simple {
            self.cursor.column -= 1;
            out.extend(b"\x08 \x08");
        }
        simple
    }

    pub(crate) fn move_to(&mut self, target: Place, out: &mut Vec<u8>) {
        if target == self.cursor {
            return;
        }
        self.settle(out);
        move_by(self.cursor.row, target.row, b'A', b'B', out);
        move_by(self.cursor.column, target.column, b'D', b'C', out);
        self.cursor = target;
    }

    /// Erases everything from the cursor on.
    pub(crate) fn clear_rest(&mut self, out: &mut Vec<u8>) {
        self.settle(out);
        out.extend(b"\x1b[J");
    }

    /// Makes the terminal go to the next row if it has yet to: a blank does, and is gone over.
    fn settle(&mut self, out: &mut Vec<u8>) {
        if core::mem::take(&mut self.pending) {
            out.extend(b" \r");
        }
    }
}

/// Moves along one axis (ECMA-48 CUU, CUD, CUF, CUB).
fn move_by(from: usize, to: usize, back: u8, on: u8, out: &mut Vec<u8>) {
    let (distance, direction) = if to < from { (from - to, back) } else { (to - from, on) };
    if distance > 0 {
        out.extend(format!("\x1b[{distance}").bytes());
        out.push(direction);
    }
}
