//! The stream of typed bytes, in three stages that follow one another in it:
//! `ready` (a complete line, partly read), `line` (being edited), `typed` (as it came).

use crate::line::{self, Outcome};
use crate::{INPUT_CAPACITY, LINE_CAPACITY};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

#[derive(Debug, Default)]
pub(crate) struct Input {
    /// What is left of a line that was completed; at most one line. Empty while a line is edited.
    ready: VecDeque<u8>,
    line: Vec<u8>,
    typed: VecDeque<u8>,
}

impl Input {
    /// How many more bytes are taken from the UART.
    pub(crate) fn room(&self) -> usize {
        INPUT_CAPACITY.saturating_sub(self.ready.len() + self.line.len() + self.typed.len())
    }

    pub(crate) fn push(&mut self, byte: u8) {
        self.typed.push_back(byte);
    }

    /// Takes all that was typed and is no part of a line yet.
    pub(crate) fn take_all_typed(&mut self) -> VecDeque<u8> {
        core::mem::take(&mut self.typed)
    }

    /// Drops what was typed since the last Enter.
    pub(crate) fn drop_unfinished(&mut self) {
        match self.typed.iter().rposition(is_enter) {
            Some(enter) => self.typed.truncate(enter + 1),
            None => {
                self.typed.clear();
                self.line.clear();
            }
        }
    }

    /// Makes the line being edited plain typed input again, for another reader.
    pub(crate) fn stop_editing(&mut self) {
        for byte in self.line.drain(..).rev() {
            self.typed.push_front(byte);
        }
    }

    /// Edits on with the next typed byte. `None` if there is none.
    pub(crate) fn edit(&mut self, echo: &mut Vec<u8>) -> Option<Outcome> {
        debug_assert!(self.ready.is_empty() && self.line.len() < LINE_CAPACITY);
        let outcome = line::edit(&mut self.line, self.typed.pop_front()?, echo);
        if outcome == Outcome::Complete {
            self.ready.extend(self.line.drain(..));
        }
        Some(outcome)
    }

    /// Takes at most `max` bytes of a completed line; empty if there is none.
    pub(crate) fn take_ready(&mut self, max: usize) -> Vec<u8> {
        self.ready.drain(..max.min(self.ready.len())).collect()
    }

    /// Takes at most `max` bytes as they came, up to and with an Enter; empty if there is none.
    pub(crate) fn take_typed(&mut self, max: usize) -> Vec<u8> {
        let end = self.typed.iter().take(max).position(is_enter).map_or(max, |enter| enter + 1);
        self.typed.drain(..end.min(self.typed.len())).collect()
    }
}

fn is_enter(byte: &u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}
