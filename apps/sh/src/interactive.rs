//! A conversation: a prompt, a line, what it does, and again.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use shell::edit::{Complete, Editor, Event, LINE_MAX, Query};

use crate::commands::COMMANDS;
use crate::interpreter::{INTERRUPTED_STATUS, Shell};
use crate::world::{Failure, World};

/// What stands before a line. Programs that drive the shell wait for it.
const PROMPT: &str = "bd:/$ ";
/// Columns of a terminal that says nothing else.
const COLUMNS: usize = 80;

/// Talks to a person until the shell is to end; its status.
pub fn interact(shell: &mut Shell) -> i32 {
    let mut editor = Editor::new(COLUMNS);
    let mut typed = Vec::new();
    loop {
        match read_line(shell, &mut editor, &mut typed) {
            Ok(event) => handle(shell, event),
            Err(what) => {
                shell.complain("sh", &what);
                return 1;
            }
        }
        if let Some(status) = shell.over() {
            return status;
        }
    }
}

/// Words that complete the first word of a command: commands and programs.
struct Words<'a>(RefCell<&'a mut dyn World>);

impl Complete for Words<'_> {
    fn candidates(&self, query: &Query) -> Vec<String> {
        if !query.is_command {
            return Vec::new();
        }
        let commands = COMMANDS.names(&query.word).map(String::from);
        commands.chain(Shell::programs(&mut **self.0.borrow_mut())).collect()
    }
}

/// Edits one line. `typed` is what was typed and not looked at yet.
fn read_line(shell: &mut Shell, editor: &mut Editor, typed: &mut Vec<u8>) -> Result<Event, Failure> {
    let mut out = Vec::new();
    editor.start(PROMPT, &mut out);
    loop {
        let fed = editor.feed(typed, &Words(RefCell::new(&mut *shell.world)), &mut out);
        typed.drain(..fed.consumed);
        // The editor prints whole characters.
        shell.world.print(&String::from_utf8_lossy(&out));
        shell.note_first_prompt();
        out.clear();
        match fed.event {
            Some(event) => return Ok(event),
            None => typed.extend(shell.world.read()?),
        }
    }
}

fn handle(shell: &mut Shell, event: Event) {
    match event {
        Event::Accept(line) => {
            shell.evaluate(&line);
        }
        Event::Interrupt => shell.set_status(INTERRUPTED_STATUS),
        Event::EndOfFile => {
            shell.evaluate("exit");
        }
        Event::TooLong => {
            shell.complain("sh", &format!("the line is too long: {LINE_MAX} bytes are the most"));
            shell.set_status(shell::language::SYNTAX_STATUS);
        }
    }
}
