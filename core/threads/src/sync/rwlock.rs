//! Many readers or one writer.

use alloc::collections::VecDeque;
use core::cell::{Cell, RefCell};

use super::waiters::{self, Start, Step, Ticket};
use super::{Abandoned, Platform};

/// What a thread wants of the lock, or has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Access {
    Read,
    Write,
}

struct Entry<T> {
    ticket: Ticket,
    thread: T,
    access: Access,
    /// How often a reader holds it.
    depth: u32,
}

/// A lock that many readers hold at a time, or one writer; the cell that it protects is the caller's.
///
/// ```text
///   entries:  R R R │ W R R W     in the order of arrival; the first `holding` of them hold it
///           holding ┘
/// ```
///
/// **Fair.** Who comes queues behind all who wait, a reader too although readers may hold the lock: so writers do not
/// starve. Who gives it up lets in the first that waits, and with a reader all readers that follow it directly: so
/// readers do not starve. The one exception is a reader that reads already, which would wait for itself.
///
/// **Ends.** A writer that ended has abandoned the lock, as in a [`RawMutex`](super::RawMutex). A reader that ended without
/// giving the lock up has abandoned it for writers: it has changed nothing, but it may have left what it saw to another
/// thread (a guard can be leaked, and what it lends then lasts for ever). Others read on. That is why readers are
/// listed and not just counted.
pub struct RawRwLock<P: Platform> {
    /// Holders, then waiters. Both fields are read and written only inside a critical section.
    entries: RefCell<VecDeque<Entry<P::Thread>>>,
    holding: Cell<usize>,
    next: Cell<Ticket>,
    /// A reader has ended that held it: nobody writes any more.
    read_for_ever: Cell<bool>,
}

impl<P: Platform> Default for RawRwLock<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Platform> RawRwLock<P> {
    /// A lock that nobody holds.
    #[must_use]
    pub const fn new() -> Self {
        RawRwLock {
            entries: RefCell::new(VecDeque::new()),
            holding: Cell::new(0),
            next: Cell::new(0),
            read_for_ever: Cell::new(false),
        }
    }

    /// Makes the current thread a reader; waits while a writer holds the lock or came before.
    ///
    /// # Errors
    /// [`Abandoned`] by a writer.
    ///
    /// # Panics
    /// If the current thread is the writer, or must not wait but would have to.
    pub fn read(&self) -> Result<(), Abandoned> {
        self.lock(Access::Read)
    }

    /// Makes the current thread the writer; waits while anybody else holds the lock or came before.
    ///
    /// # Errors
    /// [`Abandoned`] by a writer or a reader.
    ///
    /// # Panics
    /// If the current thread holds it already, or must not wait but would have to.
    pub fn write(&self) -> Result<(), Abandoned> {
        self.lock(Access::Write)
    }

    /// As [`Self::read`], but false where that would wait.
    ///
    /// # Errors
    /// [`Abandoned`] by a writer.
    pub fn try_read(&self) -> Result<bool, Abandoned> {
        self.try_lock(Access::Read)
    }

    /// As [`Self::write`], but false where that would wait.
    ///
    /// # Errors
    /// [`Abandoned`] by a writer or a reader.
    pub fn try_write(&self) -> Result<bool, Abandoned> {
        self.try_lock(Access::Write)
    }

    /// The current thread no longer reads.
    ///
    /// # Panics
    /// If it does not.
    pub fn unlock_read(&self) {
        self.unlock(Access::Read);
    }

    /// The current thread no longer writes.
    ///
    /// # Panics
    /// If it does not.
    pub fn unlock_write(&self) {
        self.unlock(Access::Write);
    }

    fn lock(&self, access: Access) -> Result<(), Abandoned> {
        let grow = || waiters::grow::<P, _>(&self.entries);
        match waiters::start::<P, _>(|| self.enter(access, true), grow) {
            Start::Done(result) => result,
            Start::Queued(ticket) => {
                // Those before it may be writers that nobody has told yet that they wait in vain.
                self.let_in();
                let result = waiters::park_until_some::<P, _>(|| self.outcome(ticket));
                // Who let itself in, because one before it ended, lets in who follows at once, not when it leaves.
                self.let_in();
                result
            }
        }
    }

    fn try_lock(&self, access: Access) -> Result<bool, Abandoned> {
        let step = || match self.enter(access, false) {
            Step::Done(result) => Step::Done(result.map(|()| true)),
            Step::NoRoom => Step::NoRoom,
            Step::Refused(_) | Step::Queued(_) => Step::Done(Ok(false)),
        };
        match waiters::start::<P, _>(step, || waiters::grow::<P, _>(&self.entries)) {
            Start::Done(result) => result,
            Start::Queued(_) => Ok(false),
        }
    }

    fn unlock(&self, access: Access) {
        let held = P::critical(|| {
            let mut entries = self.entries.borrow_mut();
            let position = self.held_by(&entries, P::current()).filter(|&at| entries[at].access == access);
            let Some(position) = position else { return false };
            if entries[position].depth > 1 {
                entries[position].depth -= 1;
            } else {
                entries.remove(position);
                self.holding.set(self.holding.get() - 1);
            }
            true
        });
        assert!(held, "a lock is given up by a thread that holds it, for what it holds it");
        self.let_in();
    }

    /// Lets in all who may come in now, in a critical section each. Outside.
    fn let_in(&self) {
        while let Some(thread) = P::critical(|| {
            let mut entries = self.entries.borrow_mut();
            self.bury(&mut entries).ok()?;
            self.admit(&mut entries)
        }) {
            P::unpark(thread);
        }
    }

    /// Inside: lets the first in that waits, if it may come in, or turns it away, if it never may.
    fn admit(&self, entries: &mut VecDeque<Entry<P::Thread>>) -> Option<P::Thread> {
        let holding = self.holding.get();
        let next = entries.get(holding)?;
        let (thread, access) = (next.thread, next.access);
        if access == Access::Write && self.read_for_ever.get() {
            entries.remove(holding);
            return Some(thread);
        }
        self.is_open(entries, access).then(|| {
            self.holding.set(holding + 1);
            thread
        })
    }

    /// Inside: whether those who hold it leave room for one more.
    fn is_open(&self, entries: &VecDeque<Entry<P::Thread>>, access: Access) -> bool {
        let holding = self.holding.get();
        holding == 0 || access == Access::Read && entries[holding - 1].access == Access::Read
    }

    /// Inside: takes out those who have ended.
    fn bury(&self, entries: &mut VecDeque<Entry<P::Thread>>) -> Result<(), Abandoned> {
        let holding = self.holding.get();
        let dead = |entry: &Entry<P::Thread>| !P::is_alive(entry.thread);
        if holding == 1 && entries[0].access == Access::Write && dead(&entries[0]) {
            return Err(Abandoned);
        }
        let ended = entries.iter().take(holding).filter(|entry| dead(entry)).count();
        if ended > 0 {
            self.read_for_ever.set(true);
        }
        self.holding.set(holding - ended);
        entries.retain(|entry| !dead(entry));
        Ok(())
    }

    /// Inside: the first step of an operation.
    fn enter(&self, access: Access, may_queue: bool) -> Step<Result<(), Abandoned>> {
        let mut entries = self.entries.borrow_mut();
        if self.bury(&mut entries).is_err() {
            return Step::Done(Err(Abandoned));
        }
        if let Some(held) = self.held_by(&entries, P::current()) {
            return enter_again(&mut entries[held], access);
        }
        if access == Access::Write && self.read_for_ever.get() {
            return Step::Done(Err(Abandoned));
        }
        let at_once = entries.len() == self.holding.get() && self.is_open(&entries, access);
        let may_enter = at_once || may_queue && P::may_wait();
        if !may_enter {
            return Step::Refused(
                "a handler must not wait for a lock: use try_read or try_write, or a task of its own",
            );
        }
        if !waiters::has_room(&entries) {
            return Step::NoRoom;
        }
        let ticket = self.next.get();
        self.next.set(ticket + 1);
        entries.push_back(Entry { ticket, thread: P::current(), access, depth: 1 });
        if at_once {
            self.holding.set(entries.len());
            return Step::Done(Ok(()));
        }
        Step::Queued(ticket)
    }

    /// Inside: what a waiter has got, if its wait is over.
    fn outcome(&self, ticket: Ticket) -> Option<Result<(), Abandoned>> {
        let mut entries = self.entries.borrow_mut();
        if self.bury(&mut entries).is_err() {
            entries.retain(|entry| entry.ticket != ticket);
            return Some(Err(Abandoned));
        }
        let find = |entries: &VecDeque<Entry<P::Thread>>| entries.iter().position(|it| it.ticket == ticket);
        if find(&entries) == Some(self.holding.get()) {
            self.admit(&mut entries);
        }
        match find(&entries) {
            Some(position) => (position < self.holding.get()).then_some(Ok(())),
            // It was turned away.
            None => Some(Err(Abandoned)),
        }
    }

    fn held_by(&self, entries: &VecDeque<Entry<P::Thread>>, thread: P::Thread) -> Option<usize> {
        entries.iter().take(self.holding.get()).position(|entry| entry.thread == thread)
    }
}

/// A thread comes that holds the lock already.
fn enter_again<T>(held: &mut Entry<T>, access: Access) -> Step<Result<(), Abandoned>> {
    match (held.access, access) {
        (Access::Read, Access::Read) if held.depth < u32::MAX => {
            held.depth += 1;
            Step::Done(Ok(()))
        }
        _ => Step::Refused("a thread locks what it holds: it would wait for itself"),
    }
}
