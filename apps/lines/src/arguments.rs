//! What `lines` is asked for.

use alloc::format;
use alloc::string::String;

/// Longest word: one write to the console takes no more, blank and newline included.
const LONGEST_WORD: usize = 4000;

/// Lines to print: `word NUMBER word`, `count` of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) word: &'a str,
    pub(crate) count: u32,
}

/// The arguments after the program's name: one pair, and maybe another.
pub(crate) fn parse<'a>(arguments: &[&'a str]) -> Result<(Pair<'a>, Option<Pair<'a>>), String> {
    match *arguments {
        [word, count] => Ok((pair(word, count)?, None)),
        [word, count, other, others] => Ok((pair(word, count)?, Some(pair(other, others)?))),
        _ => Err("expected WORD COUNT, once or twice".into()),
    }
}

fn pair<'a>(word: &'a str, count: &str) -> Result<Pair<'a>, String> {
    if word.len() > LONGEST_WORD {
        return Err(format!("a word has at most {LONGEST_WORD} bytes"));
    }
    let count = count.parse().map_err(|_| format!("expected a number of lines, not `{count}`"))?;
    Ok(Pair { word, count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_or_two_pairs_are_taken() {
        let a = Pair { word: "a", count: 2 };
        let b = Pair { word: "b", count: 0 };
        assert_eq!(parse(&["a", "2"]), Ok((a, None)));
        assert_eq!(parse(&["a", "2", "b", "0"]), Ok((a, Some(b))));
    }

    #[test]
    fn anything_else_is_refused() {
        let long = "x".repeat(5000);
        let wrong: [&[&str]; 6] =
            [&[], &["a"], &["a", "2", "b"], &["a", "-1"], &["a", "2", "b", "many"], &[&long, "1"]];
        for arguments in wrong {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
    }
}
