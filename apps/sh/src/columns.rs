//! Tables of text: columns that line up.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

/// A column's heading, and how its cells stand below it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Column {
    /// Words.
    Left(&'static str),
    /// Numbers.
    Right(&'static str),
}

impl Column {
    fn heading(self) -> &'static str {
        match self {
            Column::Left(heading) | Column::Right(heading) => heading,
        }
    }
}

/// The table, headings first, a line a row, no blanks at the ends of lines.
pub(crate) fn table<const N: usize>(columns: [Column; N], rows: &[[String; N]]) -> String {
    let width = |index: usize| {
        let cells = rows.iter().map(|row| row[index].chars().count());
        cells.max().unwrap_or(0).max(columns[index].heading().len())
    };
    let widths: [usize; N] = core::array::from_fn(width);
    let mut text = String::new();
    append_row(&mut text, columns, &widths, columns.map(Column::heading));
    for row in rows {
        append_row(&mut text, columns, &widths, row.each_ref().map(String::as_str));
    }
    text
}

fn append_row<const N: usize>(
    text: &mut String,
    columns: [Column; N],
    widths: &[usize; N],
    cells: [&str; N],
) {
    let mut line = String::new();
    for ((column, &width), cell) in columns.into_iter().zip(widths).zip(cells) {
        // Writing to a String cannot fail.
        let _ = match column {
            Column::Left(_) => write!(line, "{cell:<width$} "),
            Column::Right(_) => write!(line, "{cell:>width$} "),
        };
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

/// The lines of `rows` as cells.
pub(crate) fn rows<T, const N: usize>(items: &[T], cells: impl Fn(&T) -> [String; N]) -> Vec<[String; N]> {
    items.iter().map(cells).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["1".into(), "init".into()], ["10".into(), "x".into()]];
        let text = table([Column::Right("N"), Column::Left("NAME")], &rows);
        assert_eq!(text, " N NAME\n 1 init\n10 x\n");
    }

    #[test]
    fn a_table_without_rows_has_its_headings() {
        assert_eq!(table([Column::Left("A"), Column::Right("B")], &[]), "A B\n");
    }
}
