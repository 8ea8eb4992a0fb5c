//! Text to words and operators.

use super::{Reason, Refusal};
use alloc::string::String;
use alloc::vec::Vec;

/// A word before its variables are replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// Byte offset of its first character in the text.
    pub at: usize,
    /// What it is made of, in order.
    pub parts: Vec<Part>,
    /// Some of it is quoted, so it stands even if it is empty.
    pub quoted: bool,
    /// It starts with an unquoted `NAME=` of this many bytes, in the first part.
    pub assigns: Option<usize>,
}

/// A piece of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text that stands for itself, quotes and backslashes removed.
    Text(String),
    /// The value of a variable; `?` is the last status.
    Variable(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Semicolon,
    Newline,
    And,
    Or,
    Background,
    Pipe,
    Input,
    Output,
    Append,
}

impl Operator {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Semicolon => ";",
            Self::Newline => "the end of the line",
            Self::And => "&&",
            Self::Or => "||",
            Self::Background => "&",
            Self::Pipe => "|",
            Self::Input => "<",
            Self::Output => ">",
            Self::Append => ">>",
        }
    }
}

/// Operators, each before those that are a prefix of it.
const OPERATORS: [(&str, Operator); 9] = [
    ("&&", Operator::And),
    ("&", Operator::Background),
    ("||", Operator::Or),
    ("|", Operator::Pipe),
    (">>", Operator::Append),
    (">", Operator::Output),
    ("<", Operator::Input),
    (";", Operator::Semicolon),
    ("\n", Operator::Newline),
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Word(Word),
    Operator(usize, Operator),
}

/// Splits `text` into tokens.
pub(crate) fn lex(text: &str) -> Result<Vec<Token>, Refusal> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks();
        let Some(next) = lexer.peek() else { return Ok(tokens) };
        if let Some(operator) = lexer.operator() {
            tokens.push(operator);
        } else if next == '#' {
            lexer.take_while(|character| character != '\n');
        } else {
            tokens.push(Token::Word(lexer.word()?));
        }
    }
}

/// Whether `character` parts words. CR is one so that scripts with CR LF lines work.
pub(crate) fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r')
}

/// Whether `character` begins an operator.
pub(crate) fn is_operator(character: char) -> bool {
    OPERATORS.iter().any(|(text, _)| text.starts_with(character))
}

/// Length in bytes of the variable name that `text` starts with; 0 if with none.
pub(crate) fn name_length(text: &str) -> usize {
    let is_part = |character: char| character == '_' || character.is_ascii_alphanumeric();
    if text.starts_with(|character: char| character.is_ascii_digit()) {
        return 0;
    }
    text.find(|character| !is_part(character)).unwrap_or(text.len())
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|character| !accept(character)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn skip_blanks(&mut self) {
        loop {
            self.take_while(is_blank);
            let Some(after) = self.rest().strip_prefix("\\\n") else { return };
            self.at = self.text.len() - after.len();
        }
    }

    fn operator(&mut self) -> Option<Token> {
        let (text, operator) = OPERATORS.iter().find(|(text, _)| self.rest().starts_with(text))?;
        let token = Token::Operator(self.at, *operator);
        self.at += text.len();
        Some(token)
    }

    fn refuse<T>(&self, at: usize, reason: Reason) -> Result<T, Refusal> {
        Err(Refusal { at, reason })
    }

    fn word(&mut self) -> Result<Word, Refusal> {
        let mut word = Word { at: self.at, ..Word::default() };
        let name = name_length(self.rest());
        if name > 0 && self.rest()[name..].starts_with('=') {
            word.assigns = Some(name + 1);
        }
        while let Some(next) = self.peek() {
            match next {
                '\'' => self.single_quoted(&mut word)?,
                '"' => self.double_quoted(&mut word)?,
                '\\' => self.escaped(&mut word)?,
                '$' => self.variable(&mut word)?,
                _ if is_blank(next) || is_operator(next) => break,
                _ => {
                    word.push(next);
                    self.next();
                }
            }
        }
        Ok(word)
    }

    fn single_quoted(&mut self, word: &mut Word) -> Result<(), Refusal> {
        let open = self.at;
        self.next();
        let text = self.take_while(|character| character != '\'');
        if self.next().is_none() {
            return self.refuse(open, Reason::UnterminatedQuote('\''));
        }
        word.quoted = true;
        word.push_text(text);
        Ok(())
    }

    fn double_quoted(&mut self, word: &mut Word) -> Result<(), Refusal> {
        let open = self.at;
        self.next();
        word.quoted = true;
        loop {
            word.push_text(self.take_while(|character| !matches!(character, '"' | '\\' | '$')));
            match self.peek() {
                None => return self.refuse(open, Reason::UnterminatedQuote('"')),
                Some('$') => self.variable(word)?,
                Some('\\') => {
                    self.next();
                    match self.peek() {
                        Some('\n') => {}
                        Some(next @ ('"' | '\\' | '$' | '`')) => word.push(next),
                        // The backslash stands for itself; a quote that never ends is reported above.
                        Some(next) => word.push_text(String::from_iter(['\\', next]).as_str()),
                        None => continue,
                    }
                    self.next();
                }
                Some(_) => {
                    self.next();
                    return Ok(());
                }
            }
        }
    }

    fn escaped(&mut self, word: &mut Word) -> Result<(), Refusal> {
        let at = self.at;
        self.next();
        match self.next() {
            None => return self.refuse(at, Reason::TrailingBackslash),
            Some('\n') => {}
            Some(next) => {
                word.quoted = true;
                word.push(next);
            }
        }
        Ok(())
    }

    fn variable(&mut self, word: &mut Word) -> Result<(), Refusal> {
        let at = self.at;
        self.next();
        let rest = self.rest();
        if let Some(inner) = rest.strip_prefix('{') {
            let length = if inner.starts_with('?') { 1 } else { name_length(inner) };
            if length == 0 || !inner[length..].starts_with('}') {
                return self.refuse(at, Reason::BadSubstitution);
            }
            word.parts.push(Part::Variable(inner[..length].into()));
            self.at += length + 2;
            return Ok(());
        }
        let length = if rest.starts_with('?') { 1 } else { name_length(rest) };
        if length == 0 {
            word.push('$');
        } else {
            word.parts.push(Part::Variable(rest[..length].into()));
        }
        self.at += length;
        Ok(())
    }
}

impl Word {
    fn push(&mut self, character: char) {
        self.text().push(character);
    }

    fn push_text(&mut self, text: &str) {
        if !text.is_empty() {
            self.text().push_str(text);
        }
    }

    /// The text part at the end, made if there is none.
    fn text(&mut self) -> &mut String {
        if !matches!(self.parts.last(), Some(Part::Text(_))) {
            self.parts.push(Part::Text(String::new()));
        }
        match self.parts.last_mut() {
            Some(Part::Text(text)) => text,
            _ => unreachable!("a text part was just made"),
        }
    }

    /// The word with its variables replaced; `None` if it vanishes.
    pub fn expand(&self, value: impl Fn(&str) -> String) -> Option<String> {
        let mut result = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => result.push_str(text),
                Part::Variable(name) => result.push_str(&value(name)),
            }
        }
        (self.quoted || !result.is_empty()).then_some(result)
    }
}
