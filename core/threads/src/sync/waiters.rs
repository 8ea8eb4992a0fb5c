//! The queue of a primitive, and the one way in which all of them wait.

use alloc::collections::VecDeque;
use core::cell::{Cell, RefCell};
use core::mem;

use super::Platform;

/// Numbers a wait in the order of arrival, so that it is known later whether it is over.
pub(super) type Ticket = u64;

/// What a look at a primitive inside a critical section leads to.
pub(super) enum Step<R> {
    /// It is done.
    Done(R),
    /// The thread is in the queue, and has to park.
    Queued(Ticket),
    /// The thread has to wait, but the queue is full: to be grown, then tried again.
    NoRoom,
    /// The thread must not wait, for the reason told. Nothing has changed.
    Refused(&'static str),
}

/// How an operation goes on after its first step.
pub(super) enum Start<R> {
    Done(R),
    Queued(Ticket),
}

/// Takes the first step of an operation: looks, and either is done or queues, in one critical section. Whatever makes
/// the wait end comes after that section and finds the thread in the queue.
///
/// # Panics
/// Where `step` refuses.
pub(super) fn start<P: Platform, R>(step: impl Fn() -> Step<R>, grow: impl Fn()) -> Start<R> {
    loop {
        match P::critical(&step) {
            Step::Done(result) => return Start::Done(result),
            Step::Queued(ticket) => return Start::Queued(ticket),
            Step::NoRoom => grow(),
            Step::Refused(reason) => panic!("{reason}"),
        }
    }
}

/// Parks until `look`, inside a critical section, has a result. That the thread was unparked is no reason to go on: only
/// what `look` finds is.
pub(super) fn park_until_some<P: Platform, R>(look: impl Fn() -> Option<R>) -> R {
    loop {
        P::park();
        if let Some(result) = P::critical(&look) {
            return result;
        }
    }
}

/// As [`park_until_some`], until `deadline`; then what `give_up` has, inside a critical section and after a last look.
pub(super) fn park_with_deadline<P: Platform, R>(
    deadline: u64,
    look: impl Fn() -> Option<R>,
    give_up: impl Fn() -> R,
) -> R {
    loop {
        if P::now() >= deadline {
            return P::critical(|| look().unwrap_or_else(&give_up));
        }
        P::park_until(deadline);
        if let Some(result) = P::critical(&look) {
            return result;
        }
    }
}

/// Makes room in a queue: allocates before, and frees after the critical section in which it moves the elements over.
/// Called outside. That others use the room up before the caller is back is possible, but then they have got on.
pub(super) fn grow<P: Platform, T>(queue: &RefCell<VecDeque<T>>) {
    let capacity = P::critical(|| queue.borrow().capacity());
    let mut spare = VecDeque::with_capacity((capacity * 2).max(4));
    P::critical(|| exchange(&mut queue.borrow_mut(), &mut spare));
}

/// Inside: puts a larger queue in the place of one, which is left empty to be freed outside.
pub(super) fn exchange<T>(queue: &mut VecDeque<T>, larger: &mut VecDeque<T>) {
    // Another thread may have grown it meanwhile.
    if larger.capacity() > queue.capacity() {
        larger.append(queue);
        mem::swap(larger, queue);
    }
}

/// Whether an element can be added without allocating.
pub(super) fn has_room<T>(queue: &VecDeque<T>) -> bool {
    queue.len() < queue.capacity()
}

struct Waiter<T> {
    ticket: Ticket,
    thread: T,
}

/// Threads that wait, in the order of arrival. All but [`Waiters::new`] and [`Waiters::grow`] only inside a critical
/// section.
pub(super) struct Waiters<P: Platform> {
    /// Tickets ascend.
    queue: RefCell<VecDeque<Waiter<P::Thread>>>,
    next: Cell<Ticket>,
}

impl<P: Platform> Waiters<P> {
    pub(super) const fn new() -> Self {
        Waiters { queue: RefCell::new(VecDeque::new()), next: Cell::new(0) }
    }

    /// Queues the current thread, unless it must not wait: `in_handler` says so then.
    pub(super) fn queue<R>(&self, in_handler: &'static str) -> Step<R> {
        if !P::may_wait() {
            return Step::Refused(in_handler);
        }
        let mut queue = self.queue.borrow_mut();
        if !has_room(&queue) {
            return Step::NoRoom;
        }
        let ticket = self.next.get();
        self.next.set(ticket + 1);
        queue.push_back(Waiter { ticket, thread: P::current() });
        Step::Queued(ticket)
    }

    /// The ticket that the next thread will get.
    pub(super) fn next_ticket(&self) -> Ticket {
        self.next.get()
    }

    /// Takes out the first thread that is alive.
    pub(super) fn pop(&self) -> Option<P::Thread> {
        self.pop_before(Ticket::MAX)
    }

    /// As [`Self::pop`], among those with a smaller ticket.
    pub(super) fn pop_before(&self, end: Ticket) -> Option<P::Thread> {
        let mut queue = self.queue.borrow_mut();
        while queue.front().is_some_and(|first| first.ticket < end) {
            let thread = queue.pop_front()?.thread;
            if P::is_alive(thread) {
                return Some(thread);
            }
        }
        None
    }

    /// Whether a thread still waits.
    pub(super) fn contains(&self, ticket: Ticket) -> bool {
        self.position(ticket).is_ok()
    }

    /// Takes out one that gives up. False if it was taken out already.
    pub(super) fn remove(&self, ticket: Ticket) -> bool {
        let Ok(position) = self.position(ticket) else { return false };
        self.queue.borrow_mut().remove(position);
        true
    }

    fn position(&self, ticket: Ticket) -> Result<usize, usize> {
        self.queue.borrow().binary_search_by_key(&ticket, |waiter| waiter.ticket)
    }

    /// Makes room. Outside.
    pub(super) fn grow(&self) {
        grow::<P, _>(&self.queue);
    }

    /// Takes out and unparks all that wait now, one critical section each. Outside.
    pub(super) fn wake_all(&self) {
        let end = P::critical(|| self.next_ticket());
        while let Some(thread) = P::critical(|| self.pop_before(end)) {
            P::unpark(thread);
        }
    }
}
