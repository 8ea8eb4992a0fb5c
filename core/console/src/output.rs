//! Whose turn it is to print. See the crate's documentation for the rules.

use crate::session::Session;
use crate::{ClientId, DEVICE_OUTPUT};
use alloc::collections::{BTreeMap, VecDeque};
use core::ops::Bound::{Excluded, Unbounded};

pub(crate) type Sessions = BTreeMap<ClientId, Session>;

#[derive(Debug, Default)]
pub(crate) struct Output {
    /// On its way to the UART, in the UART's terms.
    device: VecDeque<u8>,
    /// Whose unfinished line the cursor stands in.
    owner: Option<ClientId>,
    /// Who had the last line: the next one goes to the session after it.
    last: ClientId,
    /// Counts lines, to know one again.
    line: u64,
    /// The line that the running timer is about.
    timed: Option<u64>,
    /// The owner's time is over.
    overdue: bool,
}

impl Output {
    pub(crate) fn device(&self) -> &[u8] {
        self.device.as_slices().0
    }

    pub(crate) fn sent(&mut self, count: usize) {
        self.device.drain(..count.min(self.device.len()));
    }

    pub(crate) fn owns_line(&self, client: ClientId) -> bool {
        self.owner == Some(client)
    }

    /// Moves output of sessions to the device as far as turns and room allow; whether any moved.
    pub(crate) fn pump(&mut self, sessions: &mut Sessions) -> bool {
        let mut moved = false;
        while self.device.len() < DEVICE_OUTPUT
            && let Some(client) = self.next_speaker(sessions)
        {
            self.print(client, sessions);
            moved = true;
        }
        moved
    }

    /// True if the timer has to be started: an owner keeps others waiting.
    pub(crate) fn start_timer(&mut self, sessions: &Sessions) -> bool {
        let Some(owner) = self.owner else { return false };
        let needed = self.timed.is_none() && self.held_by(owner, sessions).is_some();
        if needed {
            self.timed = Some(self.line);
        }
        needed
    }

    /// The timer ran out: if it is still the same line, its owner's time is over.
    pub(crate) fn timer_expired(&mut self) {
        self.overdue = self.timed.take() == Some(self.line) && self.owner.is_some();
    }

    /// Who prints next. Ends the owner's line if it must make way.
    fn next_speaker(&mut self, sessions: &Sessions) -> Option<ClientId> {
        let Some(owner) = self.owner else { return self.next_waiting(self.last, sessions) };
        let session = &sessions[&owner];
        let at_prompt = !session.has_output() && !session.reads.is_empty();
        match self.held_by(owner, sessions) {
            Some(other) if at_prompt || self.overdue => {
                self.end_line(owner);
                Some(other)
            }
            _ => session.has_output().then_some(owner),
        }
    }

    /// Who waits for the end of the owner's line, if anybody does.
    fn held_by(&self, owner: ClientId, sessions: &Sessions) -> Option<ClientId> {
        self.next_waiting(owner, sessions).filter(|&other| other != owner)
    }

    /// The session with output that comes after `client`, round about; `client` itself comes last. One that has ended
    /// goes first: its last words come before what others say to its end, as a shell's prompt.
    fn next_waiting(&self, client: ClientId, sessions: &Sessions) -> Option<ClientId> {
        let after = sessions.range((Excluded(client), Unbounded));
        let others = after.chain(sessions.range(..=client));
        let mut waiting = others.filter(|(_, session)| session.has_output());
        let ended = waiting.clone().find(|(_, session)| session.ended);
        ended.or_else(|| waiting.next()).map(|(&other, _)| other)
    }

    /// Prints from a session to the end of its line, of its output or of the room.
    fn print(&mut self, client: ClientId, sessions: &mut Sessions) {
        let Some(session) = sessions.get_mut(&client) else { return };
        if self.owner.is_none() {
            self.owner = Some(client);
            self.line += 1;
        }
        while self.device.len() < DEVICE_OUTPUT
            && let Some(byte) = session.pop_output()
        {
            if byte == b'\n' {
                return self.end_line(client);
            }
            self.device.push_back(byte);
        }
    }

    fn end_line(&mut self, owner: ClientId) {
        self.device.extend(b"\r\n");
        self.last = owner;
        self.owner = None;
        self.overdue = false;
    }
}
