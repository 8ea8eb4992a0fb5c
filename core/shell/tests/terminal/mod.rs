//! A small terminal: what a person would see.

use unicode_width::UnicodeWidthChar;

pub struct Terminal {
    columns: usize,
    rows: Vec<Vec<char>>,
    pub row: usize,
    pub column: usize,
    /// A character was printed in the last column; the next one wraps.
    pending: bool,
    pub bells: usize,
}

/// Stands in the second cell of a wide character.
const WIDE: char = '\0';

impl Terminal {
    pub fn new(columns: usize) -> Self {
        Self { columns, rows: vec![vec![' '; columns]], row: 0, column: 0, pending: false, bells: 0 }
    }

    pub fn print(&mut self, bytes: &[u8]) {
        let text = std::str::from_utf8(bytes).expect("whole characters");
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '\x07' => self.bells += 1,
                '\x08' => {
                    self.column = self.column.saturating_sub(1);
                    self.pending = false;
                }
                '\r' => {
                    self.column = 0;
                    self.pending = false;
                }
                // The console makes CR LF of it.
                '\n' => {
                    self.column = 0;
                    self.down();
                }
                '\x1b' => self.sequence(&mut characters),
                _ => self.put(character),
            }
        }
    }

    fn sequence(&mut self, characters: &mut std::str::Chars<'_>) {
        assert_eq!(characters.next(), Some('['));
        let mut number = String::new();
        let last = loop {
            match characters.next().expect("a whole sequence") {
                digit if digit.is_ascii_digit() => number.push(digit),
                last => break last,
            }
        };
        let distance = number.parse().unwrap_or(1);
        match last {
            'A' => self.row = self.row.checked_sub(distance).expect("a move above the screen"),
            'B' => {
                self.row += distance;
                assert!(self.row < self.rows.len(), "a move below the screen");
            }
            'C' => {
                self.column += distance;
                assert!(self.column < self.columns, "a move over the right edge");
            }
            'D' => self.column = self.column.checked_sub(distance).expect("a move over the left edge"),
            'H' => (self.row, self.column) = (0, 0),
            'K' => self.rows[self.row][self.column..].fill(' '),
            'J' if number == "2" => self.rows = vec![vec![' '; self.columns]],
            'J' => {
                self.rows.truncate(self.row + 1);
                self.rows[self.row][self.column..].fill(' ');
            }
            other => panic!("unknown sequence {other}"),
        }
        self.pending = false;
    }

    fn put(&mut self, character: char) {
        let width = character.width().expect("printable");
        if width == 0 {
            return;
        }
        if self.pending || self.column + width > self.columns {
            self.column = 0;
            self.down();
        }
        self.rows[self.row][self.column] = character;
        if width == 2 {
            self.rows[self.row][self.column + 1] = WIDE;
        }
        self.pending = self.column + width == self.columns;
        self.column += if self.pending { width - 1 } else { width };
    }

    fn down(&mut self) {
        self.pending = false;
        self.row += 1;
        if self.row == self.rows.len() {
            self.rows.push(vec![' '; self.columns]);
        }
    }

    /// Rows without the blanks at their ends; blank rows at the end left out.
    pub fn text(&self) -> Vec<String> {
        let row = |cells: &Vec<char>| cells.iter().filter(|cell| **cell != WIDE).collect::<String>();
        let mut rows: Vec<String> = self.rows.iter().map(|cells| row(cells).trim_end().to_string()).collect();
        while rows.last().is_some_and(String::is_empty) {
            rows.pop();
        }
        rows
    }

    /// Where the next character would appear.
    pub fn cursor(&self) -> (usize, usize) {
        if self.pending { (self.row + 1, 0) } else { (self.row, self.column) }
    }
}
