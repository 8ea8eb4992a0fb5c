//! Between requests and the console's state machine: whose request is which token, long writes in pieces, Ctrl-C.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use console::{ClientId, Console, Effect, Error, MAX_WRITE, Mode, Read, Token};
use interfaces::{ConsoleError, ConsoleMode, MAX_CONSOLE_WRITE};

/// Requests to write that a session may have waiting.
const MAX_JOBS: usize = 16;
/// Requests that wait for Ctrl-C, all sessions together.
const MAX_WATCHERS: usize = 1024;
/// Those of one program.
const MAX_OWN_WATCHERS: usize = 4;
const CTRL_C: u8 = 3;

/// Requests as the server holds them: to write, to read, to be told of Ctrl-C.
pub trait Requests {
    /// Answered when its bytes are taken.
    type Write;
    /// Answered with input.
    type Read;
    /// Answered with the domain in front.
    type Interrupt;
    /// Whether somebody still waits for the answer.
    fn is_wanted(read: &Self::Read) -> bool;
    /// The same for Ctrl-C.
    fn is_watched(interrupt: &Self::Interrupt) -> bool;
}

/// What the server has to do.
pub enum Order<R: Requests> {
    /// Answer a write.
    Written(R::Write),
    /// Answer a read; no bytes: end of file.
    Input(R::Read, Vec<u8>),
    /// Answer with the domain at which Ctrl-C was typed.
    Interrupted(R::Interrupt, u64),
    /// See [`Effect::PauseInput`].
    PauseInput,
    /// See [`Effect::ResumeInput`].
    ResumeInput,
    /// See [`Effect::StartLineTimer`].
    StartLineTimer,
}

/// A request to write of which a part is still to be handed to the console.
struct Job<W> {
    bytes: Vec<u8>,
    done: usize,
    request: W,
}

struct Session<R: Requests> {
    client: ClientId,
    domain: u64,
    jobs: VecDeque<Job<R::Write>>,
}

/// The console with its sessions by channel.
pub struct Desk<R: Requests> {
    console: Console,
    next_client: ClientId,
    next_token: Token,
    /// By channel.
    sessions: BTreeMap<u64, Session<R>>,
    channels: BTreeMap<ClientId, u64>,
    reads: BTreeMap<Token, R::Read>,
    /// With the domain that asked.
    watchers: Vec<(u64, R::Interrupt)>,
    /// Ctrl-C was typed at this domain and nobody watched: for who asks next, until a session turns raw, which is a shell
    /// back at its prompt.
    unclaimed: Option<u64>,
    /// A domain that is in front although it has no session yet: Ctrl-C is for it.
    expected: Option<u64>,
    /// Input that was given to a read which had been given up meanwhile: for the next read.
    returned: VecDeque<u8>,
    orders: VecDeque<Order<R>>,
}

impl<R: Requests> Default for Desk<R> {
    fn default() -> Self {
        Desk {
            console: Console::new(),
            next_client: 1,
            next_token: 1,
            sessions: BTreeMap::new(),
            channels: BTreeMap::new(),
            reads: BTreeMap::new(),
            watchers: Vec::new(),
            unclaimed: None,
            expected: None,
            returned: VecDeque::new(),
            orders: VecDeque::new(),
        }
    }
}

fn refusal(error: Error) -> ConsoleError {
    match error {
        Error::NoSession | Error::AlreadyOpen => ConsoleError::NoSession,
        Error::TooManySessions => ConsoleError::TooManySessions,
        Error::TooManyReads => ConsoleError::TooManyReads,
        Error::TooManyWrites => ConsoleError::TooManyWrites,
        Error::WriteTooLong => ConsoleError::WriteTooLong,
        Error::EmptyRead => ConsoleError::EmptyRead,
    }
}

impl<R: Requests> Desk<R> {
    /// The session of a channel, opened with its first request.
    fn client(&mut self, channel: u64, domain: u64) -> Result<ClientId, ConsoleError> {
        if let Some(session) = self.sessions.get(&channel) {
            return Ok(session.client);
        }
        let client = self.next_client;
        self.console.open(client, Mode::Line).map_err(refusal)?;
        self.next_client = self.next_client.wrapping_add(1);
        self.sessions.insert(channel, Session { client, domain, jobs: VecDeque::new() });
        self.channels.insert(client, channel);
        if self.expected == Some(domain) {
            self.expected = None;
        }
        Ok(client)
    }

    /// A request to write.
    ///
    /// # Errors
    /// The request comes back with the answer that it gets at once: an error, or success for no bytes.
    pub fn write(
        &mut self,
        channel: u64,
        domain: u64,
        bytes: Vec<u8>,
        request: R::Write,
    ) -> Result<(), (R::Write, Result<(), ConsoleError>)> {
        if let Err(error) = self.client(channel, domain) {
            return Err((request, Err(error)));
        }
        let Some(session) = self.sessions.get_mut(&channel) else {
            return Err((request, Err(ConsoleError::NoSession)));
        };
        let answer = match bytes.len() {
            0 => Ok(()),
            length if length > MAX_CONSOLE_WRITE => Err(ConsoleError::WriteTooLong),
            _ if session.jobs.len() >= MAX_JOBS => Err(ConsoleError::TooManyWrites),
            _ => {
                session.jobs.push_back(Job { bytes, done: 0, request });
                if session.jobs.len() == 1 {
                    self.next_piece(channel);
                }
                self.work();
                return Ok(());
            }
        };
        Err((request, answer))
    }

    /// Hands the next piece of the first job of a session to the console; it answers before there is another.
    fn next_piece(&mut self, channel: u64) {
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        let Some(job) = session.jobs.front_mut() else { return };
        let end = job.bytes.len().min(job.done + MAX_WRITE);
        let piece = job.done..end;
        job.done = end;
        // The session is open, the piece is short enough, and no other piece of it is unanswered.
        let _ = self.console.write(session.client, 0, &job.bytes[piece]);
    }

    /// The console has taken the piece that a session handed to it.
    fn piece_done(&mut self, client: ClientId) {
        let Some(&channel) = self.channels.get(&client) else { return };
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        if session.jobs.front().is_some_and(|job| job.done == job.bytes.len())
            && let Some(job) = session.jobs.pop_front()
        {
            self.orders.push_back(Order::Written(job.request));
        }
        self.next_piece(channel);
    }

    /// A request to read.
    ///
    /// # Errors
    /// The request comes back with the reason.
    pub fn read(
        &mut self,
        channel: u64,
        domain: u64,
        max: u32,
        request: R::Read,
    ) -> Result<(), (R::Read, ConsoleError)> {
        let client = match self.client(channel, domain) {
            Ok(client) => client,
            Err(error) => return Err((request, error)),
        };
        if !self.returned.is_empty() && max != 0 {
            let count = self.returned.len().min(max as usize);
            let bytes = self.returned.drain(..count).collect();
            self.orders.push_back(Order::Input(request, bytes));
            return Ok(());
        }
        let token = self.next_token;
        self.next_token += 1;
        self.reads.insert(token, request);
        if let Err(error) = self.console.read(client, token, max as usize)
            && let Some(request) = self.reads.remove(&token)
        {
            return Err((request, refusal(error)));
        }
        self.work();
        Ok(())
    }

    /// See [`interfaces::Console::set_mode`].
    ///
    /// # Errors
    /// `TooManySessions`.
    pub fn set_mode(&mut self, channel: u64, domain: u64, mode: ConsoleMode) -> Result<(), ConsoleError> {
        let client = self.client(channel, domain)?;
        let mode = match mode {
            ConsoleMode::Line => Mode::Line,
            ConsoleMode::Raw => {
                self.unclaimed = None;
                Mode::Raw
            }
        };
        self.console.set_mode(client, mode).map_err(refusal)?;
        self.work();
        Ok(())
    }

    /// See [`interfaces::Console::foreground`]. A domain without a session is in front as far as Ctrl-C goes, until it
    /// opens one.
    ///
    /// # Errors
    /// `TooManySessions`.
    pub fn foreground(&mut self, channel: u64, own: u64, domain: Option<u64>) -> Result<(), ConsoleError> {
        let client = self.client(channel, own)?;
        self.expected = None;
        let of_domain = |session: &&Session<R>| Some(session.domain) == domain;
        let found = self.sessions.values().find(of_domain).map(|session| session.client);
        match (domain, found) {
            (None, _) => self.console.set_foreground(client),
            (_, Some(found)) => self.console.set_foreground(found),
            (Some(domain), None) => {
                self.expected = Some(domain);
                Ok(())
            }
        }
        .map_err(refusal)?;
        self.work();
        Ok(())
    }

    /// A request to be told of the next Ctrl-C: until it is answered or given up, older ones are not.
    ///
    /// # Errors
    /// The request comes back with the reason.
    pub fn watch(&mut self, domain: u64, request: R::Interrupt) -> Result<(), (R::Interrupt, ConsoleError)> {
        self.forget_watchers();
        let own = self.watchers.iter().filter(|(watching, _)| *watching == domain).count();
        if own >= MAX_OWN_WATCHERS || self.watchers.len() >= MAX_WATCHERS {
            return Err((request, ConsoleError::TooManyReads));
        }
        self.watchers.push((domain, request));
        if let Some(domain) = self.unclaimed.take() {
            self.interrupt(domain);
        }
        Ok(())
    }

    /// A channel has ended, and its session with it.
    pub fn gone(&mut self, channel: u64) {
        let Some(session) = self.sessions.remove(&channel) else { return };
        self.console.client_gone(session.client);
        self.channels.remove(&session.client);
        self.work();
        self.forget_watchers();
        // What the console forgot of its reads; the rest is in orders, or belongs to others.
        self.reads.retain(|_, request| R::is_wanted(request));
    }

    /// Bytes from the UART, at most [`Desk::input_room`] of them.
    pub fn received(&mut self, bytes: &[u8]) {
        let Some(domain) = self.expected else {
            self.console.received(bytes);
            return self.work();
        };
        for part in bytes.split_inclusive(|&byte| byte == CTRL_C) {
            match part.strip_suffix(&[CTRL_C]) {
                Some(before) => {
                    self.console.received(before);
                    self.interrupt(domain);
                }
                None => drop(self.console.received(part)),
            }
        }
        self.work();
    }

    /// How many bytes [`Desk::received`] takes.
    pub fn input_room(&self) -> usize {
        self.console.input_room()
    }

    /// What to transmit next.
    pub fn output(&self) -> &[u8] {
        self.console.output()
    }

    /// The first `count` bytes of [`Desk::output`] are out.
    pub fn sent(&mut self, count: usize) {
        self.console.sent(count);
        self.work();
    }

    /// The timer of [`Order::StartLineTimer`] has run out.
    pub fn line_timer_expired(&mut self) {
        self.console.line_timer_expired();
        self.work();
    }

    /// The next thing to do.
    pub fn next_order(&mut self) -> Option<Order<R>> {
        self.orders.pop_front()
    }

    /// Forgets those who gave up.
    fn forget_watchers(&mut self) {
        self.watchers.retain(|(_, request)| R::is_watched(request));
    }

    /// Tells who asked last: a shell that another one waits for began to watch later than that.
    fn interrupt(&mut self, domain: u64) {
        self.forget_watchers();
        match self.watchers.pop() {
            Some((_, request)) => self.orders.push_back(Order::Interrupted(request, domain)),
            None => self.unclaimed = Some(domain),
        }
    }

    /// Turns effects into orders. What a piece sets off is in the queue behind it.
    fn work(&mut self) {
        while let Some(effect) = self.console.next_effect() {
            match effect {
                Effect::Reply { token, read, .. } => self.input(token, read),
                Effect::WriteDone { client, .. } => self.piece_done(client),
                Effect::Interrupt { client } => {
                    let session = self.channels.get(&client).and_then(|channel| self.sessions.get(channel));
                    let domain = session.map_or(0, |session| session.domain);
                    self.interrupt(domain);
                }
                Effect::PauseInput => self.orders.push_back(Order::PauseInput),
                Effect::ResumeInput => self.orders.push_back(Order::ResumeInput),
                Effect::StartLineTimer => self.orders.push_back(Order::StartLineTimer),
            }
        }
    }

    fn input(&mut self, token: Token, read: Read) {
        let bytes = match read {
            Read::Data(bytes) => bytes,
            Read::Eof => Vec::new(),
        };
        match self.reads.remove(&token) {
            Some(request) if R::is_wanted(&request) => self.orders.push_back(Order::Input(request, bytes)),
            _ => self.returned.extend(bytes),
        }
    }
}

#[cfg(test)]
mod tests;
