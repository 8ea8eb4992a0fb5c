//! Text to a word that reads back as that text.

use super::lex::{is_blank, is_operator};
use alloc::borrow::Cow;
use alloc::string::String;

/// Writes `text` as one word: as it is if nothing in it is special, in `'…'` otherwise.
pub fn quote(text: &str) -> Cow<'_, str> {
    if !text.is_empty() && !text.contains(is_special) && !looks_like_assignment(text) {
        return Cow::Borrowed(text);
    }
    let mut quoted = String::from("'");
    quoted.push_str(&text.replace('\'', "'\\''"));
    quoted.push('\'');
    Cow::Owned(quoted)
}

/// Writes `text` as the beginning of a word that can be typed on: special characters get a backslash. Text must
/// not contain a newline, which a backslash would remove.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_special(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// Special to this shell, or to the shells that people's fingers know.
fn is_special(character: char) -> bool {
    is_blank(character) || is_operator(character) || "'\"\\$#`*?[](){}~!".contains(character)
}

fn looks_like_assignment(text: &str) -> bool {
    text.contains('=')
}
