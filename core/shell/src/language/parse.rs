//! Tokens to statements. Flat lists throughout, so that no line can nest deep enough to exhaust a stack.

use super::lex::{Operator, Token, Word, lex};
use super::{Reason, Refusal};
use alloc::vec::Vec;

/// What is between two `;`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What to run.
    pub and_or: AndOr,
    /// Where the `&` stands that asks not to wait for it.
    pub background: Option<usize>,
}

/// Pipelines connected by `&&` and `||`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AndOr {
    /// Always run.
    pub first: Pipeline,
    /// Run if the status so far is as the connective asks.
    pub rest: Vec<(Connective, Pipeline)>,
}

/// What connects a pipeline to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connective {
    /// `&&`: runs if the last status is 0.
    And,
    /// `||`: runs if the last status is not 0.
    Or,
}

/// Commands connected by `|`; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Byte offset of the first `|`, if there is one.
    pub pipe: Option<usize>,
    /// The commands in order.
    pub commands: Vec<Command>,
}

/// Assignments, words and redirections; at least one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// `NAME=value` before the first word. [`Word::assigns`] is set.
    pub assignments: Vec<Word>,
    /// The command's name and its arguments.
    pub words: Vec<Word>,
    /// In the order they were written.
    pub redirections: Vec<Redirection>,
}

/// `<`, `>` or `>>` with its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirection {
    /// Byte offset of the operator.
    pub at: usize,
    /// Which of the three.
    pub direction: Direction,
    /// The file name.
    pub target: Word,
}

/// Where data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `<`: from the file.
    Input,
    /// `>`: to the file, which is emptied first.
    Output,
    /// `>>`: to the end of the file.
    Append,
}

/// Parses a line or a script.
///
/// # Errors
///
/// The first [`Refusal`] in the text; never [`Reason::NotSupported`].
pub fn parse(text: &str) -> Result<Vec<Statement>, Refusal> {
    let mut parser = Parser { tokens: lex(text)?.into_iter().peekable(), end: text.len() };
    let mut statements = Vec::new();
    loop {
        parser.skip_newlines();
        if parser.tokens.peek().is_none() {
            return Ok(statements);
        }
        statements.push(parser.statement()?);
    }
}

struct Parser {
    tokens: core::iter::Peekable<alloc::vec::IntoIter<Token>>,
    end: usize,
}

impl Parser {
    fn peek_operator(&mut self) -> Option<(usize, Operator)> {
        match self.tokens.peek() {
            Some(&Token::Operator(at, operator)) => Some((at, operator)),
            _ => None,
        }
    }

    fn take_operator(&mut self, wanted: Operator) -> Option<usize> {
        let (at, operator) = self.peek_operator()?;
        (operator == wanted).then(|| {
            self.tokens.next();
            at
        })
    }

    fn take_word(&mut self) -> Option<Word> {
        let token = self.tokens.next_if(|token| matches!(token, Token::Word(_)))?;
        if let Token::Word(word) = token { Some(word) } else { None }
    }

    fn skip_newlines(&mut self) {
        while self.take_operator(Operator::Newline).is_some() {}
    }

    /// A statement with the `;`, `&` or newline that ends it.
    fn statement(&mut self) -> Result<Statement, Refusal> {
        let and_or = self.and_or()?;
        let background = self.take_operator(Operator::Background);
        if background.is_none() && self.take_operator(Operator::Semicolon).is_none() {
            self.take_operator(Operator::Newline);
        }
        Ok(Statement { and_or, background })
    }

    fn and_or(&mut self) -> Result<AndOr, Refusal> {
        let first = self.pipeline(None)?;
        let mut rest = Vec::new();
        loop {
            let (connective, operator) = match self.peek_operator() {
                Some((_, Operator::And)) => (Connective::And, Operator::And),
                Some((_, Operator::Or)) => (Connective::Or, Operator::Or),
                _ => return Ok(AndOr { first, rest }),
            };
            self.tokens.next();
            self.skip_newlines();
            rest.push((connective, self.pipeline(Some(operator))?));
        }
    }

    fn pipeline(&mut self, after: Option<Operator>) -> Result<Pipeline, Refusal> {
        let mut pipeline = Pipeline { pipe: None, commands: Vec::new() };
        pipeline.commands.push(self.command(after)?);
        while let Some(at) = self.take_operator(Operator::Pipe) {
            pipeline.pipe.get_or_insert(at);
            self.skip_newlines();
            pipeline.commands.push(self.command(Some(Operator::Pipe))?);
        }
        Ok(pipeline)
    }

    /// A command; `after` is the operator that made it necessary.
    fn command(&mut self, after: Option<Operator>) -> Result<Command, Refusal> {
        let mut command = Command::default();
        loop {
            if let Some(word) = self.take_word() {
                let assigns = word.assigns.is_some() && command.words.is_empty();
                if assigns { &mut command.assignments } else { &mut command.words }.push(word);
            } else if let Some(redirection) = self.redirection()? {
                command.redirections.push(redirection);
            } else if command == Command::default() {
                return Err(self.missing_command(after));
            } else {
                return Ok(command);
            }
        }
    }

    fn redirection(&mut self) -> Result<Option<Redirection>, Refusal> {
        let Some((at, operator)) = self.peek_operator() else { return Ok(None) };
        let direction = match operator {
            Operator::Input => Direction::Input,
            Operator::Output => Direction::Output,
            Operator::Append => Direction::Append,
            _ => return Ok(None),
        };
        self.tokens.next();
        let missing = Refusal { at, reason: Reason::MissingTarget(operator.text()) };
        let target = self.take_word().ok_or(missing)?;
        Ok(Some(Redirection { at, direction, target }))
    }

    /// Says what stands where a command should be.
    fn missing_command(&mut self, after: Option<Operator>) -> Refusal {
        match (self.peek_operator(), after) {
            (Some((at, operator)), _) => Refusal { at, reason: Reason::MissingCommand(operator.text()) },
            (None, after) => {
                let operator = after.map_or("", Operator::text);
                Refusal { at: self.end, reason: Reason::CommandExpectedAfter(operator) }
            }
        }
    }
}
