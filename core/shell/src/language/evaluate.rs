//! Running statements.

use super::lex::{Part, Word};
use super::parse::{AndOr, Command, Connective, Pipeline, Statement, parse};
use super::{Reason, Refusal};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The status of a line that was refused.
pub const SYNTAX_STATUS: i32 = 2;

/// What the evaluator runs commands with.
pub trait Host {
    /// Runs a command (its name first) and returns its status: 0 is success. Reports failures itself.
    fn run(&mut self, arguments: &[&str]) -> i32;
    /// The value of a variable; `None` counts as empty.
    fn variable(&self, name: &str) -> Option<String>;
    /// Sets a variable.
    fn assign(&mut self, name: &str, value: String);
    /// True if the rest of the line is to be left: Ctrl-C, or a command that ends the shell.
    fn stopped(&self) -> bool {
        false
    }
}

/// Runs a line or a script. `status` is `$?` before, and the status of what ran last afterwards; nothing to run
/// leaves it alone.
///
/// # Errors
///
/// A [`Refusal`]: nothing has run then, and `status` is [`SYNTAX_STATUS`].
pub fn evaluate(text: &str, status: &mut i32, host: &mut impl Host) -> Result<(), Refusal> {
    let checked = parse(text).and_then(|statements| {
        statements.iter().try_for_each(check)?;
        Ok(statements)
    });
    let statements = checked.inspect_err(|_| *status = SYNTAX_STATUS)?;
    for statement in &statements {
        run_and_or(&statement.and_or, status, host);
    }
    Ok(())
}

/// Refuses what cannot be run yet.
fn check(statement: &Statement) -> Result<(), Refusal> {
    let and_or = &statement.and_or;
    check_pipeline(&and_or.first)?;
    and_or.rest.iter().try_for_each(|(_, pipeline)| check_pipeline(pipeline))?;
    statement.background.map_or(Ok(()), |at| not_supported(at, "running in the background (&)"))
}

fn check_pipeline(pipeline: &Pipeline) -> Result<(), Refusal> {
    for command in &pipeline.commands {
        if let Some(redirection) = command.redirections.first() {
            return not_supported(redirection.at, "redirection");
        }
        if let (Some(word), false) = (command.assignments.first(), command.words.is_empty()) {
            return not_supported(word.at, "an assignment before a command");
        }
    }
    pipeline.pipe.map_or(Ok(()), |at| not_supported(at, "a pipe (|)"))
}

fn not_supported(at: usize, what: &'static str) -> Result<(), Refusal> {
    Err(Refusal { at, reason: Reason::NotSupported(what) })
}

fn run_and_or(and_or: &AndOr, status: &mut i32, host: &mut impl Host) {
    run_pipeline(&and_or.first, status, host);
    for (connective, pipeline) in &and_or.rest {
        if (*status == 0) == (*connective == Connective::And) {
            run_pipeline(pipeline, status, host);
        }
    }
}

fn run_pipeline(pipeline: &Pipeline, status: &mut i32, host: &mut impl Host) {
    for command in &pipeline.commands {
        if !host.stopped() {
            run_command(command, status, host);
        }
    }
}

fn run_command(command: &Command, status: &mut i32, host: &mut impl Host) {
    for assignment in &command.assignments {
        assign(assignment, *status, host);
    }
    let expand = |word: &Word| word.expand(|name| value(name, *status, host));
    let arguments: Vec<String> = command.words.iter().filter_map(expand).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    *status = if arguments.is_empty() { 0 } else { host.run(&arguments) };
}

fn assign(word: &Word, status: i32, host: &mut impl Host) {
    let (Some(length), Some(Part::Text(first))) = (word.assigns, word.parts.first()) else { return };
    let name = &first[..length - 1];
    let whole = word.expand(|name| value(name, status, host)).unwrap_or_default();
    host.assign(name, whole[length..].into());
}

fn value(name: &str, status: i32, host: &impl Host) -> String {
    if name == "?" { status.to_string() } else { host.variable(name).unwrap_or_default() }
}
