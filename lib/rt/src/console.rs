//! What a domain prints and reads: its session at the console.
//!
//! Output is kept until a line is whole, so that the output of two domains never mixes within a line. The session is
//! opened by the first use; where there is none (yet), output goes to the kernel's log.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use interfaces::{CONSOLE, ConsoleClient, ConsoleError};

use crate::channel::LmpPort;
use crate::error::RtError;
use crate::local::local;
use crate::sync::{Mutex, MutexGuard};
use crate::{dispatch, executor, names, thread, thread_local};

/// Bytes of a line without an end that are kept at most.
const LONGEST: usize = 4096;
/// Bytes of one write; the console takes at most 64 KiB.
const CHUNK: usize = 32 * 1024;

/// A session at the console.
pub type Session = ConsoleClient<LmpPort>;

thread_local! {
    /// The line that a thread has begun: lines of threads do not mix either.
    static LINE: RefCell<Vec<u8>> = RefCell::new(Vec::new());
}
local! {
    /// What waits for a session that is being opened.
    static LATER: RefCell<Vec<u8>> = RefCell::new(Vec::new());
}
local! {
    static SESSION: RefCell<Option<Arc<Session>>> = RefCell::new(None);
}
/// Held by the thread that writes to the console.
static WRITING: Mutex<()> = Mutex::new(());
/// Held by the thread that opens the session.
static OPENING: Mutex<()> = Mutex::new(());

local! {
    /// Output goes to the kernel's log, whatever there is.
    static LOG_ONLY: Cell<bool> = Cell::new(false);
}
local! {
    /// The session is being opened, or the domain is a server: no new session for last words.
    static NO_SESSION: Cell<bool> = Cell::new(false);
}

/// Sends all output to the kernel's log: for servers that the console depends on.
pub fn use_log() {
    LOG_ONLY.with(|flag| flag.set(true));
}

/// The domain is a server from now on.
pub(crate) fn serving() {
    NO_SESSION.with(|flag| flag.set(true));
}

/// The domain's session, opened if it is not.
///
/// # Errors
/// Those of [`names::connect`]; `NotAvailable` after [`use_log`] and, if it is not open yet, in a handler or task.
pub fn session() -> Result<Arc<Session>, RtError> {
    if let Some(session) = SESSION.with(|session| session.borrow().clone()) {
        return Ok(session);
    }
    if LOG_ONLY.with(Cell::get) || dispatch::in_handler() {
        return Err(RtError::NotAvailable);
    }
    // One thread opens it, and the others wait for that one.
    let _turn = turn(&OPENING);
    if let Some(session) = SESSION.with(|session| session.borrow().clone()) {
        return Ok(session);
    }
    let session = Arc::new(names::connect::<Session>(CONSOLE)?);
    SESSION.with(|place| place.replace(Some(session.clone())));
    Ok(session)
}

/// Waits for the own turn. Who ended in its own is past; and where no other thread runs, nobody could end it.
fn turn(mutex: &Mutex<()>) -> Option<MutexGuard<'_, ()>> {
    if thread::is_alone() { None } else { mutex.checked_lock().ok() }
}

/// Prints: whole lines go out, the rest is kept until its line ends, or is [`flush`]ed.
pub fn write(bytes: &[u8]) {
    let out = LINE.with(|line| split(&mut line.borrow_mut(), bytes));
    send(&out);
}

/// Sends what is kept of a line.
pub fn flush() {
    send(&LINE.with(|line| line.take()));
}

/// Appends to `line`, and takes out what is to be sent now.
fn split(line: &mut Vec<u8>, bytes: &[u8]) -> Vec<u8> {
    line.extend_from_slice(bytes);
    let last = line.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let end = if line.len() - last > LONGEST { line.len() } else { last };
    let rest = line.split_off(end);
    core::mem::replace(line, rest)
}

fn send(bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    match session() {
        Ok(session) => bytes.chunks(CHUNK).for_each(|chunk| send_to(&session, chunk)),
        Err(_) if dispatch::in_handler() && names::available() && !LOG_ONLY.with(Cell::get) => {
            send_later(bytes)
        }
        Err(_) => sys::debug_print(bytes),
    }
}

/// Keeps what a handler or task prints until a session is open, which must not be waited for there.
fn send_later(bytes: &[u8]) {
    let first = LATER.with(|later| {
        let mut later = later.borrow_mut();
        let first = later.is_empty();
        later.extend_from_slice(bytes);
        first
    });
    if first {
        executor::spawn(async {
            let opened = names::connect_async::<Session>(CONSOLE).await;
            let bytes = LATER.with(RefCell::take);
            match opened {
                Ok(session) => {
                    let session =
                        SESSION.with(|place| place.borrow_mut().get_or_insert(Arc::new(session)).clone());
                    bytes.chunks(CHUNK).for_each(|chunk| send_to(&session, chunk));
                }
                Err(_) => sys::debug_print(&bytes),
            }
        });
    }
}

fn send_to(session: &Arc<Session>, bytes: &[u8]) {
    if dispatch::in_handler() {
        // Encoded now, hence in order; nobody waits for the answer.
        let write = session.write_async(bytes);
        executor::spawn(async move {
            let _ = write.await;
        });
        return;
    }
    // One thread at a time: the console takes so many writes of a session and no more.
    let _turn = turn(&WRITING);
    if let Err(ConsoleError::Call(_)) = session.write(bytes) {
        // The console is gone, and a new session is opened by the next line.
        SESSION.with(|place| place.replace(None));
        sys::debug_print(bytes);
    }
}

/// Prints a report of what ends the domain: to the console if the thread can still wait for it. `hurt`: what the domain is
/// made of may be half changed.
pub(crate) fn last_words(bytes: &[u8], hurt: bool) {
    let free = !hurt && !dispatch::in_handler() && !LOG_ONLY.with(Cell::get);
    if free && (SESSION.with(|session| session.borrow().is_some()) || !NO_SESSION.with(Cell::get)) {
        let kept = LINE.with(|line| line.try_borrow_mut().map(|mut line| core::mem::take(&mut *line)));
        send(&kept.unwrap_or_default());
        send(bytes);
    } else {
        sys::debug_print(bytes);
    }
}

/// Prints a report of what ends a thread. No other thread runs meanwhile.
pub(crate) fn report(bytes: &[u8]) {
    thread::stay_alone(true);
    send(bytes);
    thread::stay_alone(false);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_go_out_and_the_rest_is_kept() {
        let mut line = Vec::new();
        assert_eq!(split(&mut line, b"one"), b"");
        assert_eq!(split(&mut line, b" two\nthree\nfo"), b"one two\nthree\n");
        assert_eq!(split(&mut line, b"ur\n"), b"four\n");
        assert!(line.is_empty());
    }

    #[test]
    fn a_line_without_end_goes_out_when_it_is_long() {
        let mut line = Vec::new();
        assert_eq!(split(&mut line, &[b'x'; LONGEST]), b"");
        assert_eq!(split(&mut line, b"y").len(), LONGEST + 1);
        assert!(line.is_empty());
    }
}
