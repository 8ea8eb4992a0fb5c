//! The state machine: events come in as calls, effects go out through a queue.

use crate::input::Input;
use crate::line::{CTRL_C, Outcome};
use crate::output::{Output, Sessions};
use crate::session::Session;
use crate::{ClientId, Effect, Error, INPUT_CAPACITY, MAX_SESSIONS, Mode, Read, Token};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// The console. See the crate's documentation.
///
/// After every event: perform the effects, then hand the output to the UART. An answer that has not been
/// fetched when its client goes is dropped with the input in it.
#[derive(Debug, Default)]
pub struct Console {
    sessions: Sessions,
    /// Live sessions, the one in front last.
    stack: Vec<ClientId>,
    input: Input,
    /// Whose line is being edited.
    editor: Option<ClientId>,
    paused: bool,
    output: Output,
    effects: VecDeque<Effect>,
}

impl Console {
    /// A console without sessions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a session and puts it in front.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyOpen`], [`Error::TooManySessions`].
    pub fn open(&mut self, client: ClientId, mode: Mode) -> Result<(), Error> {
        let full = self.sessions.len() == MAX_SESSIONS;
        match self.sessions.get_mut(&client) {
            Some(session) if session.ended => session.reopen(mode),
            Some(_) => return Err(Error::AlreadyOpen),
            None if full => return Err(Error::TooManySessions),
            None => {
                self.sessions.insert(client, Session::new(mode));
            }
        }
        self.stack.push(client);
        Ok(())
    }

    /// Changes how a session gets its input; holds for reads that wait already, and for a Ctrl-C that was typed
    /// already. A shell that reads raw sets line
    /// mode while it waits for a program, so that Ctrl-C becomes [`Effect::Interrupt`] even if the program has no
    /// session.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`].
    pub fn set_mode(&mut self, client: ClientId, mode: Mode) -> Result<(), Error> {
        self.live(client)?.mode = mode;
        if mode == Mode::Line {
            // Ctrl-C may have come before the shell got around to this.
            for byte in self.input.take_all_typed() {
                self.arrive(byte);
            }
        }
        self.settle();
        Ok(())
    }

    /// Puts a session in front, so that input is for it if it reads.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`].
    pub fn set_foreground(&mut self, client: ClientId) -> Result<(), Error> {
        self.live(client)?;
        self.stack.retain(|&other| other != client);
        self.stack.push(client);
        self.settle();
        Ok(())
    }

    /// Asks for 1 to `max` bytes of input; answered by [`Effect::Reply`], in the order of asking.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`], [`Error::EmptyRead`], [`Error::TooManyReads`].
    pub fn read(&mut self, client: ClientId, token: Token, max: usize) -> Result<(), Error> {
        self.live(client)?.queue_read(token, max)?;
        self.settle();
        Ok(())
    }

    /// Prints `bytes`; answered by [`Effect::WriteDone`], in the order of asking.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`], [`Error::WriteTooLong`], [`Error::TooManyWrites`].
    pub fn write(&mut self, client: ClientId, token: Token, bytes: &[u8]) -> Result<(), Error> {
        self.live(client)?.queue_write(token, bytes)?;
        self.settle();
        Ok(())
    }

    /// The client's channel is dead: its session ends, its requests are forgotten, what it wrote is still
    /// printed and what it did not read is for the next. Without a session, nothing happens.
    pub fn client_gone(&mut self, client: ClientId) {
        let owns_line = self.output.owns_line(client);
        let Ok(session) = self.live(client) else { return };
        session.end(owns_line);
        if self.editor == Some(client) {
            self.editor = None;
        }
        self.stack.retain(|&other| other != client);
        self.effects.retain(|effect| effect.client() != Some(client));
        self.settle();
    }

    /// Takes bytes from the UART, at most [`Self::input_room`] of them; returns how many it took.
    pub fn received(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.input_room());
        for &byte in &bytes[..count] {
            self.arrive(byte);
        }
        self.settle();
        count
    }

    /// Keeps a typed byte for its reader; Ctrl-C is for the session in front, if that wants to hear of it.
    fn arrive(&mut self, byte: u8) {
        if byte == CTRL_C {
            // What came before it first, so that it does not matter how the bytes were cut.
            self.settle();
            if self.interrupt_front() {
                return;
            }
        }
        self.input.push(byte);
    }

    /// How many bytes [`Self::received`] takes.
    pub fn input_room(&self) -> usize {
        self.input.room()
    }

    /// What to transmit next; empty if there is nothing. There may be more behind it: call again after
    /// [`Self::sent`].
    pub fn output(&self) -> &[u8] {
        self.output.device()
    }

    /// The first `count` bytes of [`Self::output`] have been transmitted.
    pub fn sent(&mut self, count: usize) {
        self.output.sent(count);
        self.settle();
    }

    /// The timer asked for by [`Effect::StartLineTimer`] has run out.
    pub fn line_timer_expired(&mut self) {
        self.output.timer_expired();
        self.settle();
    }

    /// The next thing to do, oldest first.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn live(&mut self, client: ClientId) -> Result<&mut Session, Error> {
        self.sessions.get_mut(&client).filter(|session| !session.ended).ok_or(Error::NoSession)
    }

    /// The session that gets the next input.
    fn reader(&self) -> Option<ClientId> {
        let reads = |client: &&ClientId| !self.sessions[*client].reads.is_empty();
        self.stack.iter().rev().find(reads).copied()
    }

    /// Everything that follows from an event: input to readers, output to the device, and, as each makes
    /// room for the other (echo, held writes), until nothing moves any more.
    fn settle(&mut self) {
        while self.serve_reader() | self.output.pump(&mut self.sessions) {}
        for (&client, session) in &mut self.sessions {
            session.answer_writes(client, &mut self.effects);
        }
        // An ended session that owns the line still has the newline that closes it.
        self.sessions.retain(|_, session| !session.ended || session.has_output());
        if self.output.start_timer(&self.sessions) {
            self.effects.push_back(Effect::StartLineTimer);
        }
        self.hold_or_release_sender();
    }

    /// Pauses the sender when the last room is gone, and lets it go on when half of it is free again: the
    /// distance keeps it from stuttering.
    fn hold_or_release_sender(&mut self) {
        let room = self.input_room();
        if !self.paused && room == 0 {
            self.paused = true;
            self.effects.push_back(Effect::PauseInput);
        } else if self.paused && room >= INPUT_CAPACITY / 2 {
            self.paused = false;
            self.effects.push_back(Effect::ResumeInput);
        }
    }

    /// Brings the reader on by one read or one typed byte; false if it cannot go on.
    fn serve_reader(&mut self) -> bool {
        let Some(reader) = self.reader() else { return false };
        let Some(session) = self.sessions.get_mut(&reader) else { return false };
        let Some(max) = session.reads.front().map(|read| read.max) else { return false };
        let mode = session.mode;
        let ready = self.input.take_ready(max);
        if !ready.is_empty() {
            return self.reply(reader, Read::Data(ready));
        }
        if mode == Mode::Raw || self.editor != Some(reader) {
            self.input.stop_editing();
        }
        self.editor = Some(reader);
        match mode {
            Mode::Line => self.edit_line(reader),
            Mode::Raw => {
                let typed = self.input.take_typed(max);
                !typed.is_empty() && self.reply(reader, Read::Data(typed))
            }
        }
    }

    /// Line mode: applies one typed byte. The echo waits if the reader's output is backed up, and so does
    /// the typing: a fast paste at a slow terminal costs no memory.
    fn edit_line(&mut self, reader: ClientId) -> bool {
        let Some(session) = self.sessions.get_mut(&reader) else { return false };
        if session.is_backed_up() {
            return false;
        }
        let mut echo = Vec::new();
        let Some(outcome) = self.input.edit(&mut echo) else { return false };
        session.append(&echo);
        match outcome {
            Outcome::Editing | Outcome::Complete => true,
            Outcome::Eof => self.reply(reader, Read::Eof),
            Outcome::Interrupt => {
                self.interrupt(reader);
                true
            }
        }
    }

    /// Answers the reader's first read.
    fn reply(&mut self, client: ClientId, read: Read) -> bool {
        let pending = self.sessions.get_mut(&client).and_then(|session| session.reads.pop_front());
        let Some(pending) = pending else { return false };
        self.effects.push_back(Effect::Reply { client, token: pending.token, read });
        true
    }

    /// Ctrl-C has arrived: if a session in line mode is in front, it is for that one, at once.
    fn interrupt_front(&mut self) -> bool {
        let Some(front) = self.reader().or(self.stack.last().copied()) else { return false };
        let Some(session) = self.sessions.get_mut(&front) else { return false };
        if session.mode != Mode::Line {
            return false;
        }
        if !session.is_backed_up() {
            session.append(b"^C\n");
        }
        self.input.drop_unfinished();
        self.interrupt(front);
        true
    }

    /// Reports an interrupt, once until the server has fetched it.
    fn interrupt(&mut self, client: ClientId) {
        let effect = Effect::Interrupt { client };
        if !self.effects.contains(&effect) {
            self.effects.push_back(effect);
        }
    }
}

impl Effect {
    /// The client that the effect is for.
    fn client(&self) -> Option<ClientId> {
        match *self {
            Self::Reply { client, .. } | Self::WriteDone { client, .. } | Self::Interrupt { client } => {
                Some(client)
            }
            Self::PauseInput | Self::ResumeInput | Self::StartLineTimer => None,
        }
    }
}
