//! Built-in commands: one table entry each, from which dispatch, `help` and completion follow.

use alloc::string::String;
use core::fmt::Write;

/// A built-in command. `Context` is what the shell gives every command to work with.
#[derive(Debug)]
pub struct Command<Context: ?Sized> {
    /// What is typed.
    pub name: &'static str,
    /// Its arguments, as `CORE PROGRAM [ARGS...]`; empty if it takes none.
    pub usage: &'static str,
    /// What it does, in a line.
    pub help: &'static str,
    /// Runs it. The first argument is its name. Returns its status, 0 for success; reports failures itself.
    pub run: fn(&mut Context, &[&str]) -> i32,
}

/// All built-in commands, in the order `help` shows them.
#[derive(Debug)]
pub struct Table<'a, Context: ?Sized>(pub &'a [Command<Context>]);

impl<Context: ?Sized> Clone for Table<'_, Context> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Context: ?Sized> Copy for Table<'_, Context> {}

impl<'a, Context: ?Sized> Table<'a, Context> {
    /// The command of that name.
    pub fn find(&self, name: &str) -> Option<&'a Command<Context>> {
        self.0.iter().find(|command| command.name == name)
    }

    /// Runs the command that `arguments` starts with; `None` if there is no such command.
    pub fn run(&self, context: &mut Context, arguments: &[&str]) -> Option<i32> {
        let command = self.find(arguments.first()?)?;
        Some((command.run)(context, arguments))
    }

    /// Names that start with `prefix`, for completion.
    pub fn names(&self, prefix: &str) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|command| command.name).filter(move |name| name.starts_with(prefix))
    }

    /// What `help` prints: a line a command, aligned.
    pub fn help(&self) -> String {
        let width = self.0.iter().map(Command::synopsis_width).max().unwrap_or(0);
        let mut text = String::new();
        for command in self.0 {
            let padding = width - command.synopsis_width();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}{:padding$}  {}", command.synopsis(), "", command.help);
        }
        text
    }

    /// What `help NAME` prints; `None` if there is no such command.
    pub fn help_for(&self, name: &str) -> Option<String> {
        let command = self.find(name)?;
        Some(alloc::format!("usage: {}\n{}\n", command.synopsis(), command.help))
    }
}

impl<Context: ?Sized> Command<Context> {
    /// Name and arguments, as in `kill PID`.
    pub fn synopsis(&self) -> String {
        let blank = if self.usage.is_empty() { "" } else { " " };
        alloc::format!("{}{blank}{}", self.name, self.usage)
    }

    fn synopsis_width(&self) -> usize {
        self.synopsis().chars().count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const TABLE: Table<'static, Vec<String>> = Table(&[
        Command { name: "echo", usage: "[WORD...]", help: "print the words", run: echo },
        Command { name: "false", usage: "", help: "fail", run: |_, _| 1 },
    ]);

    fn echo(printed: &mut Vec<String>, arguments: &[&str]) -> i32 {
        printed.push(arguments[1..].join(" "));
        0
    }

    #[test]
    fn a_command_is_found_run_and_explained_from_its_one_entry() {
        let mut printed = Vec::new();
        assert_eq!(TABLE.run(&mut printed, &["echo", "a", "b"]), Some(0));
        assert_eq!(TABLE.run(&mut printed, &["false"]), Some(1));
        assert_eq!(TABLE.run(&mut printed, &["fals"]), None);
        assert_eq!(TABLE.run(&mut printed, &[]), None);
        assert_eq!(printed, ["a b"]);
        assert_eq!(TABLE.help(), "echo [WORD...]  print the words\nfalse           fail\n");
        assert_eq!(TABLE.help_for("false").as_deref(), Some("usage: false\nfail\n"));
        assert_eq!(TABLE.help_for("no"), None);
        assert_eq!(TABLE.names("f").collect::<Vec<_>>(), ["false"]);
    }
}
