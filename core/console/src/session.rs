//! One client's session: its mode, its outstanding requests, its output on the way.

use crate::{ClientId, Effect, Error, MAX_READS, MAX_WRITE, MAX_WRITES, Mode, SESSION_OUTPUT, Token};
use alloc::collections::VecDeque;

/// A read that waits for input.
#[derive(Debug)]
pub(crate) struct PendingRead {
    pub(crate) token: Token,
    pub(crate) max: usize,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) mode: Mode,
    pub(crate) reads: VecDeque<PendingRead>,
    /// Written or echoed, not yet on its way to the UART.
    output: VecDeque<u8>,
    /// Bytes that ever entered and left `output`.
    entered: u64,
    left: u64,
    /// Unanswered writes: the token, and `entered` right after the write.
    writes: VecDeque<(Token, u64)>,
    /// The client is gone; the session stays until its output is out.
    pub(crate) ended: bool,
}

impl Session {
    pub(crate) fn new(mode: Mode) -> Self {
        Self {
            mode,
            reads: VecDeque::new(),
            output: VecDeque::new(),
            entered: 0,
            left: 0,
            writes: VecDeque::new(),
            ended: false,
        }
    }

    /// A client with the same id came before the last output of its predecessor was out.
    pub(crate) fn reopen(&mut self, mode: Mode) {
        self.mode = mode;
        self.ended = false;
    }

    pub(crate) fn queue_read(&mut self, token: Token, max: usize) -> Result<(), Error> {
        if max == 0 {
            return Err(Error::EmptyRead);
        }
        if self.reads.len() == MAX_READS {
            return Err(Error::TooManyReads);
        }
        self.reads.push_back(PendingRead { token, max });
        Ok(())
    }

    pub(crate) fn queue_write(&mut self, token: Token, bytes: &[u8]) -> Result<(), Error> {
        if bytes.len() > MAX_WRITE {
            return Err(Error::WriteTooLong);
        }
        if self.writes.len() == MAX_WRITES {
            return Err(Error::TooManyWrites);
        }
        self.append(bytes);
        self.writes.push_back((token, self.entered));
        Ok(())
    }

    /// Adds output that nobody waits for: echo.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.output.extend(bytes);
        self.entered += bytes.len() as u64;
    }

    /// Whether so much output waits that its producer should wait too.
    pub(crate) fn is_backed_up(&self) -> bool {
        self.output.len() > SESSION_OUTPUT
    }

    pub(crate) fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    pub(crate) fn pop_output(&mut self) -> Option<u8> {
        let byte = self.output.pop_front()?;
        self.left += 1;
        Some(byte)
    }

    /// Answers the writes that count as accepted: those whose end is at most `SESSION_OUTPUT` away.
    pub(crate) fn answer_writes(&mut self, client: ClientId, effects: &mut VecDeque<Effect>) {
        while let Some(&(token, end)) = self.writes.front()
            && end <= self.left + SESSION_OUTPUT as u64
        {
            self.writes.pop_front();
            effects.push_back(Effect::WriteDone { client, token });
        }
    }

    /// The client is gone: forget its requests, and close the line that it leaves open.
    pub(crate) fn end(&mut self, owns_line: bool) {
        self.ended = true;
        self.reads.clear();
        self.writes.clear();
        let open = self.output.back().map_or(owns_line, |&last| last != b'\n');
        if open {
            self.append(b"\n");
        }
    }
}
