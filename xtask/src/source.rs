//! Counts in Rust source: lines of code and where it is `unsafe`.

use std::fs;
use std::path::Path;

use crate::{Failure, Result};

/// What was counted in one or more files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Lines with code on them: neither blank nor comment alone.
    pub lines: usize,
    /// `unsafe { ... }`.
    pub blocks: usize,
    /// `unsafe fn` and `unsafe extern`.
    pub functions: usize,
    /// `unsafe impl` and `unsafe trait`.
    pub impls: usize,
}

impl Counts {
    /// Counts in all `.rs` files under `folder`.
    pub fn of_folder(folder: &Path) -> Result<Self> {
        let mut counts = Self::default();
        let entries = fs::read_dir(folder).map_err(|e| Failure::io("read", folder, &e))?;
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() {
                counts.add(Self::of_folder(&path)?);
            } else if path.extension().is_some_and(|it| it == "rs") {
                counts.add(Self::of_source(
                    &fs::read_to_string(&path).map_err(|e| Failure::io("read", &path, &e))?,
                ));
            }
        }
        Ok(counts)
    }

    /// Counts in one source text.
    pub fn of_source(source: &str) -> Self {
        let code = code_only(source);
        let mut counts =
            Self { lines: code.lines().filter(|it| !it.trim().is_empty()).count(), ..Self::default() };
        for after in after_word(&code, "unsafe") {
            match after.trim_start() {
                it if it.starts_with('{') => counts.blocks += 1,
                it if it.starts_with("fn ") || it.starts_with("extern") => counts.functions += 1,
                it if it.starts_with("impl") || it.starts_with("trait ") => counts.impls += 1,
                _ => {}
            }
        }
        counts
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: Self) {
        self.lines += other.lines;
        self.blocks += other.blocks;
        self.functions += other.functions;
        self.impls += other.impls;
    }
}

/// What follows each place where `word` stands as a word of its own.
fn after_word<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    let in_word = |it: char| it.is_alphanumeric() || it == '_';
    code.match_indices(word).filter_map(move |(at, _)| {
        let after = &code[at + word.len()..];
        (!code[..at].ends_with(in_word) && !after.starts_with(in_word)).then_some(after)
    })
}

/// The source without comments and without what is inside strings; newlines outside of both stay.
fn code_only(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let skipped = comment(rest).or_else(|| literal(rest, &code));
        match skipped {
            Some(length) => {
                let literal = !rest.starts_with('/');
                code.push_str(if literal { "\"\"" } else { " " });
                code.extend(rest[..length].chars().filter(|it| *it == '\n' && !literal));
                rest = &rest[length..];
            }
            None => {
                code.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    code
}

/// Length of the comment that `text` begins with. Block comments nest.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    text.strip_prefix("/*")?;
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let (step, change) = match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (2, 1),
            [b'*', b'/', ..] => (2, -1),
            _ => (1, 0),
        };
        at += step;
        depth += change;
        if depth == 0 {
            return Some(at);
        }
    }
    Some(text.len())
}

/// Length of the string or character literal that `text` begins with, given the code `before`.
fn literal(text: &str, before: &str) -> Option<usize> {
    if before.ends_with(|it: char| it.is_alphanumeric() || it == '_') && !text.starts_with('"') {
        return None;
    }
    let prefix = ["br", "cr", "r", "b", "c"]
        .into_iter()
        .find(|it| text.strip_prefix(it).is_some_and(|it| it.starts_with(['"', '#', '\''])));
    let raw = prefix.is_some_and(|it| it.ends_with('r'));
    let prefix = prefix.map_or(0, str::len);
    let body = &text[prefix..];
    let length = match body.bytes().next()? {
        b'"' | b'#' if raw => raw_string(body)?,
        b'"' => quoted(body, b'"')?,
        b'\'' => character(body)?,
        _ => return None,
    };
    Some(prefix + length)
}

/// Length of `##"..."##`; `None` for a raw identifier (`#name`).
fn raw_string(text: &str) -> Option<usize> {
    let hashes = text.bytes().take_while(|it| *it == b'#').count();
    let inside = text[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", &text[..hashes]);
    Some(inside.find(&end).map_or(text.len(), |at| hashes + 1 + at + end.len()))
}

/// Length of a literal from its quote to the next one that no backslash escapes.
fn quoted(text: &str, quote: u8) -> Option<usize> {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|it| {
        let ends = it == quote && !escaped;
        escaped = it == b'\\' && !escaped;
        ends
    });
    Some(end.map_or(text.len(), |at| at + 2))
}

/// Length of a character literal; `None` for a lifetime.
fn character(text: &str) -> Option<usize> {
    let mut inside = text[1..].chars();
    match (inside.next()?, inside.next()?) {
        ('\\', _) => quoted(text, b'\''),
        (only, '\'') => Some(only.len_utf8() + 2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_is_counted_by_its_kind() {
        let source = "unsafe impl Send for X {}\npub unsafe fn f() { unsafe { g() } }\n\
                      unsafe extern \"C\" fn h() {}\n#[unsafe(no_mangle)]\nlet x = unsafe\n{ 1 };\n";
        assert_eq!(Counts::of_source(source), Counts { lines: 6, blocks: 2, functions: 2, impls: 1 });
    }

    #[test]
    fn comments_strings_and_longer_words_do_not_count() {
        let source = r###"
            #![forbid(unsafe_code)] // unsafe { }
            /* unsafe { /* unsafe { */ unsafe { */ fn not_unsafe() {}
            let a = "unsafe { \" unsafe { }"; let b = r#"unsafe { " unsafe {"#; let c = b"unsafe {";
            let d = ('"', '\'', '\\', b'"'); fn f<'a>(x: &'a str) -> &'a str { r#x }
        "###;
        assert_eq!(Counts::of_source(source), Counts { lines: 4, ..Counts::default() });
    }

    #[test]
    fn code_after_literals_still_counts() {
        for before in
            ["let c = '{';", "let s = \"//\";", "fn f<'a>() {}", "let s = r\"\\\";", "let e = '\\u{41}';"]
        {
            assert_eq!(Counts::of_source(&format!("{before} unsafe {{ x() }}")).blocks, 1, "{before}");
        }
    }

    #[test]
    fn blank_and_comment_lines_are_not_code() {
        assert_eq!(Counts::of_source("// a\n\n/* b\n c */\nfn f() {} // d\n").lines, 1);
    }
}
