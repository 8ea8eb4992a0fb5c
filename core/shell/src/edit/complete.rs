//! Completion: which word the cursor is in, and what it could become.

use super::buffer::Buffer;
use crate::language::escape;
use alloc::string::String;
use alloc::vec::Vec;

/// Candidates that are listed; more are counted.
const LIST_MAX: usize = 200;

/// What is to be completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The word before the cursor, quotes and backslashes removed.
    pub word: String,
    /// It stands where a command's name does.
    pub is_command: bool,
}

/// Knows what words there are.
pub trait Complete {
    /// Whole words that start with `query.word`, in any order. One that ends in `/` is taken for a directory:
    /// no blank is put behind it.
    fn candidates(&self, query: &Query) -> Vec<String>;
}

/// Completes nothing.
impl Complete for () {
    fn candidates(&self, _query: &Query) -> Vec<String> {
        Vec::new()
    }
}

/// What came of a Tab.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Completion {
    /// No word fits.
    Nothing,
    /// Put this in the place of what is between that byte and the cursor.
    Insert(usize, String),
    /// Several words fit, and have no more in common.
    Choice(Vec<String>),
}

pub(crate) fn complete(buffer: &Buffer, words: &dyn Complete) -> Completion {
    let (start, query) = query(buffer.before());
    let mut candidates = words.candidates(&query);
    candidates.retain(|word| word.starts_with(&query.word) && !word.contains(char::is_control));
    candidates.sort();
    candidates.dedup();
    match candidates.as_slice() {
        [] => Completion::Nothing,
        [word] => {
            let end = if word.ends_with('/') { "" } else { " " };
            Completion::Insert(start, escape(word) + end)
        }
        words => {
            let common = common_prefix(words);
            if common.len() > query.word.len() {
                Completion::Insert(start, escape(common))
            } else {
                Completion::Choice(candidates)
            }
        }
    }
}

/// Where the last word of `before` starts, and what it says. Quotes may still be open.
fn query(before: &str) -> (usize, Query) {
    let mut start = before.len();
    let mut query = Query { word: String::new(), is_command: true };
    let mut in_word = false;
    let mut quote = None;
    let mut characters = before.char_indices();
    while let Some((at, character)) = characters.next() {
        let separates = quote.is_none() && " \t;&|<>".contains(character);
        if separates {
            let ends_command = ";&|".contains(character);
            query.is_command =
                ends_command || (query.is_command && !in_word && character != '<' && character != '>');
            in_word = false;
            query.word.clear();
            continue;
        }
        if !in_word {
            in_word = true;
            start = at;
        }
        match (character, quote) {
            ('\'' | '"', None) => quote = Some(character),
            (_, Some(open)) if character == open => quote = None,
            ('\\', None | Some('"')) => query.word.extend(characters.next().map(|(_, next)| next)),
            _ => query.word.push(character),
        }
    }
    (if in_word { start } else { before.len() }, query)
}

fn common_prefix(words: &[String]) -> &str {
    let Some((first, others)) = words.split_first() else { return "" };
    let shared = |word: &String| {
        let pairs = first.chars().zip(word.chars());
        pairs.take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum::<usize>()
    };
    &first[..others.iter().map(shared).min().unwrap_or(first.len())]
}

/// The words in columns, on a terminal of that width.
pub(crate) fn list(words: &[String], columns: usize) -> String {
    let shown = &words[..words.len().min(LIST_MAX)];
    let width = shown.iter().map(|word| word.chars().count()).max().unwrap_or(0) + 2;
    let in_row = (columns / width).max(1);
    let mut text = String::new();
    for row in shown.chunks(in_row) {
        let cells = row.iter().map(|word| alloc::format!("{word:width$}")).collect::<String>();
        text.push_str(cells.trim_end());
        text.push('\n');
    }
    if words.len() > shown.len() {
        text.push_str(&alloc::format!("... and {} more\n", words.len() - shown.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_before_the_cursor_is_found_under_its_quotes() {
        let cases = [
            ("", 0, "", true),
            ("ec", 0, "ec", true),
            ("  ec", 2, "ec", true),
            ("ls fo", 3, "fo", false),
            ("ls ", 3, "", false),
            ("a && ec", 5, "ec", true),
            ("a;b", 2, "b", true),
            ("cat < f", 6, "f", false),
            ("cat a\\ b", 4, "a b", false),
            ("cat 'a b", 4, "a b", false),
            ("cat \"a;b\"c", 4, "a;bc", false),
            ("cat '\\", 4, "\\", false),
        ];
        for (before, start, word, is_command) in cases {
            assert_eq!(query(before), (start, Query { word: word.into(), is_command }), "{before}");
        }
    }
}
