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
    /// Starts a command and does not wait for its end, as `&` asks. Returns 0 if it runs; reports failures itself.
    fn run_in_background(&mut self, arguments: &[&str]) -> i32;
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
    for Statement { and_or, background } in &statements {
        match background {
            None => run_and_or(and_or, status, host),
            Some(_) => run_pipeline(&and_or.first, Host::run_in_background, status, host),
        }
    }
    Ok(())
}

/// Refuses what cannot be run yet.
fn check(statement: &Statement) -> Result<(), Refusal> {
    let and_or = &statement.and_or;
    check_pipeline(&and_or.first)?;
    and_or.rest.iter().try_for_each(|(_, pipeline)| check_pipeline(pipeline))?;
    statement.background.map_or(Ok(()), |at| check_background(at, and_or))
}

/// There is nobody who would go on with a list or an assignment while the shell does something else.
fn check_background(at: usize, and_or: &AndOr) -> Result<(), Refusal> {
    if !and_or.rest.is_empty() {
        return not_supported(at, "running a list in the background (&)");
    }
    if and_or.first.commands.iter().any(|command| command.words.is_empty()) {
        return not_supported(at, "an assignment in the background (&)");
    }
    Ok(())
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

/// How the host is to run a command.
type Run<H> = fn(&mut H, &[&str]) -> i32;

fn run_and_or<H: Host>(and_or: &AndOr, status: &mut i32, host: &mut H) {
    run_pipeline(&and_or.first, H::run, status, host);
    for (connective, pipeline) in &and_or.rest {
        if (*status == 0) == (*connective == Connective::And) {
            run_pipeline(pipeline, H::run, status, host);
        }
    }
}

fn run_pipeline<H: Host>(pipeline: &Pipeline, run: Run<H>, status: &mut i32, host: &mut H) {
    for command in &pipeline.commands {
        if !host.stopped() {
            run_command(command, run, status, host);
        }
    }
}

fn run_command<H: Host>(command: &Command, run: Run<H>, status: &mut i32, host: &mut H) {
    for assignment in &command.assignments {
        assign(assignment, *status, host);
    }
    let expand = |word: &Word| word.expand(|name| value(name, *status, host));
    let arguments: Vec<String> = command.words.iter().filter_map(expand).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    *status = if arguments.is_empty() { 0 } else { run(host, &arguments) };
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
