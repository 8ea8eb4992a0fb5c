//! Values from many threads to one.

use alloc::collections::VecDeque;
use core::cell::RefCell;

use super::waiters::{self, Start, Step};
use super::{Platform, RecvError, RecvUntilError, SendError, TryRecvError, TrySendError};

const SENDER_IN_HANDLER: &str =
    "a handler must not wait for room in a channel: use try_send, or a task of its own";
const RECEIVER_IN_HANDLER: &str = "a handler must not wait for a value: use try_recv, or a task of its own";

/// A value on its way.
struct Slot<P: Platform, T> {
    /// None: its sender has taken it back.
    value: Option<T>,
    /// Who waits for it to be accepted.
    sender: Option<P::Thread>,
}

/// A channel of values, in the order in which they were sent; the two ends are the caller's, who counts them in and out.
///
/// ```text
///   number:    first                  limit
///                │ v │ v │ v │ v │ v │ v  │ v │
///                └─── accepted ──────┘└ their senders wait ┘
/// ```
///
/// Values have numbers. One who sends to a full channel leaves the value in the queue all the same, behind the `limit`,
/// and waits. A value that is received moves the limit by one, which accepts the first of those. So senders take
/// turns, a sender knows from the number alone whether its value was accepted, and a value whose sender has ended
/// meanwhile is still received.
///
/// The queue grows as it is filled, up to the capacity and those who wait; while it does, its values are moved in one
/// critical section. A channel that must not hold up upcalls is bounded.
pub struct Channel<P: Platform, T> {
    /// Borrowed only inside a critical section.
    state: RefCell<State<P, T>>,
}

struct State<P: Platform, T> {
    queue: VecDeque<Slot<P, T>>,
    /// The number of the first value in the queue.
    first: u64,
    /// Values with smaller numbers are accepted. It moves no more when the receiver is gone.
    limit: u64,
    senders: usize,
    has_receiver: bool,
    /// The receiver waits for a value.
    waiting: Option<P::Thread>,
}

impl<P: Platform, T> Channel<P, T> {
    /// A channel that holds `capacity` values before senders wait, with one sender.
    ///
    /// # Panics
    /// If the capacity is 0: a value is never handed from thread to thread here.
    #[must_use]
    pub const fn bounded(capacity: usize) -> Self {
        assert!(capacity > 0, "a channel holds at least one value");
        Self::new(capacity as u64)
    }

    /// A channel whose senders never wait, with one sender.
    #[must_use]
    pub const fn unbounded() -> Self {
        Self::new(u64::MAX)
    }

    const fn new(limit: u64) -> Self {
        let queue = VecDeque::new();
        let state = State { queue, first: 0, limit, senders: 1, has_receiver: true, waiting: None };
        Channel { state: RefCell::new(state) }
    }

    /// There is another sender.
    pub fn add_sender(&self) {
        P::critical(|| self.state.borrow_mut().senders += 1);
    }

    /// There is one sender less. When there is none, the receiver is told as soon as it has received everything.
    ///
    /// # Panics
    /// If there was none.
    pub fn drop_sender(&self) {
        let receiver = P::critical(|| {
            let mut state = self.state.borrow_mut();
            state.senders = state.senders.checked_sub(1)?;
            Some(if state.senders == 0 { state.waiting.take() } else { None })
        });
        receiver.expect("a sender is gone once").into_iter().for_each(P::unpark);
    }

    /// The receiver is gone. Values that were accepted are dropped; senders who wait get theirs back.
    pub fn drop_receiver(&self) {
        P::critical(|| {
            let mut state = self.state.borrow_mut();
            (state.has_receiver, state.waiting) = (false, None);
        });
        while P::critical(|| self.state.borrow_mut().discard()).is_some() {}
        let mut number = P::critical(|| self.state.borrow().limit);
        while let Some(sender) = P::critical(|| self.state.borrow_mut().sender_from(&mut number)) {
            P::unpark(sender);
        }
    }

    /// Sends a value; waits while the channel is full.
    ///
    /// # Errors
    /// [`SendError`].
    ///
    /// # Panics
    /// If the current thread must not wait but would have to.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        let offered = RefCell::new(Some(value));
        let step = || self.state.borrow_mut().offer(&mut offered.borrow_mut(), P::may_wait());
        match waiters::start::<P, _>(step, || self.grow()) {
            Start::Done(Offered::Accepted(receiver)) => {
                receiver.into_iter().for_each(P::unpark);
                Ok(())
            }
            Start::Done(Offered::NoReceiver) => {
                offered.into_inner().map_or(Ok(()), |value| Err(SendError(value)))
            }
            Start::Queued(number) => {
                let back = waiters::park_until_some::<P, _>(|| self.state.borrow_mut().outcome(number));
                back.map_or(Ok(()), |value| Err(SendError(value)))
            }
        }
    }

    /// Sends a value if the channel is not full. Never waits.
    ///
    /// # Errors
    /// [`TrySendError`].
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let offered = RefCell::new(Some(value));
        let step = || match self.state.borrow_mut().offer(&mut offered.borrow_mut(), false) {
            Step::Done(done) => Step::Done(Some(done)),
            Step::NoRoom => Step::NoRoom,
            Step::Refused(_) | Step::Queued(_) => Step::Done(None),
        };
        let start = waiters::start::<P, _>(step, || self.grow());
        if let Start::Done(Some(Offered::Accepted(receiver))) = start {
            receiver.into_iter().for_each(P::unpark);
            return Ok(());
        }
        let full = matches!(start, Start::Done(None));
        match offered.into_inner() {
            Some(value) if full => Err(TrySendError::Full(value)),
            Some(value) => Err(TrySendError::Disconnected(value)),
            None => Ok(()),
        }
    }

    /// Receives a value; waits until there is one. Of all threads one receives at a time.
    ///
    /// # Errors
    /// [`RecvError`].
    ///
    /// # Panics
    /// If another thread receives, or the current one must not wait but would have to.
    pub fn recv(&self) -> Result<T, RecvError> {
        let received = match self.start_recv() {
            Start::Done(received) => received,
            Start::Queued(_) => waiters::park_until_some::<P, _>(|| self.state.borrow_mut().look()),
        };
        Self::finish(received).map_err(|_| RecvError)
    }

    /// As [`Self::recv`], until `deadline`.
    ///
    /// # Errors
    /// [`RecvUntilError`].
    ///
    /// # Panics
    /// As [`Self::recv`].
    pub fn recv_until(&self, deadline: u64) -> Result<T, RecvUntilError> {
        let give_up = || {
            self.state.borrow_mut().waiting = None;
            Received::Nothing
        };
        let received = match self.start_recv() {
            Start::Done(received) => received,
            Start::Queued(_) => {
                waiters::park_with_deadline::<P, _>(deadline, || self.state.borrow_mut().look(), give_up)
            }
        };
        Self::finish(received).map_err(|error| match error {
            TryRecvError::Empty => RecvUntilError::TimedOut,
            TryRecvError::Disconnected => RecvUntilError::Disconnected,
        })
    }

    /// Receives a value if there is one. Never waits.
    ///
    /// # Errors
    /// [`TryRecvError`].
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        Self::finish(P::critical(|| self.state.borrow_mut().take()))
    }

    fn start_recv(&self) -> Start<Received<P, T>> {
        let step = || {
            let mut state = self.state.borrow_mut();
            match state.take() {
                Received::Nothing => state.wait(),
                received => Step::Done(received),
            }
        };
        waiters::start::<P, _>(step, || {})
    }

    fn finish(received: Received<P, T>) -> Result<T, TryRecvError> {
        match received {
            Received::Value(value, sender) => {
                sender.into_iter().for_each(P::unpark);
                Ok(value)
            }
            Received::Nothing => Err(TryRecvError::Empty),
            Received::NoSender => Err(TryRecvError::Disconnected),
        }
    }

    /// Makes room in the queue. Outside.
    fn grow(&self) {
        let capacity = P::critical(|| self.state.borrow().queue.capacity());
        let mut spare = VecDeque::with_capacity((capacity * 2).max(4));
        P::critical(|| waiters::exchange(&mut self.state.borrow_mut().queue, &mut spare));
    }
}

/// What became of a value.
enum Offered<T> {
    /// It is in the channel; who waits for it is to be unparked.
    Accepted(Option<T>),
    /// Nobody would receive it.
    NoReceiver,
}

/// What the receiver finds.
enum Received<P: Platform, T> {
    /// A value, and the sender whose own was accepted now.
    Value(T, Option<P::Thread>),
    Nothing,
    NoSender,
}

/// All of it inside a critical section.
impl<P: Platform, T> State<P, T> {
    /// Takes the value that is offered, accepted or with its sender as one who waits if it `may_wait`.
    fn offer(&mut self, offered: &mut Option<T>, may_wait: bool) -> Step<Offered<P::Thread>> {
        if !self.has_receiver {
            return Step::Done(Offered::NoReceiver);
        }
        let number = self.first + self.queue.len() as u64;
        let accepted = number < self.limit;
        if !accepted && !may_wait {
            return Step::Refused(SENDER_IN_HANDLER);
        }
        if !waiters::has_room(&self.queue) {
            return Step::NoRoom;
        }
        let sender = (!accepted).then(P::current);
        self.queue.push_back(Slot { value: offered.take(), sender });
        if accepted { Step::Done(Offered::Accepted(self.waiting.take())) } else { Step::Queued(number) }
    }

    /// What a sender who waits has got, if its wait is over: nothing, or its value back.
    fn outcome(&mut self, number: u64) -> Option<Option<T>> {
        if number < self.limit {
            return Some(None);
        }
        if self.has_receiver {
            return None;
        }
        let slot = self.queue.get_mut(number.checked_sub(self.first)? as usize)?;
        Some(slot.value.take())
    }

    /// Takes the first value.
    fn take(&mut self) -> Received<P, T> {
        let Some(value) = self.queue.pop_front().and_then(|slot| slot.value) else {
            return if self.senders == 0 { Received::NoSender } else { Received::Nothing };
        };
        // Of an unbounded channel no value ever has the last number.
        let accepted = self.queue.get_mut((self.limit - self.first - 1) as usize);
        let sender = accepted.and_then(|slot| slot.sender.take());
        self.first += 1;
        self.limit = self.limit.saturating_add(1);
        Received::Value(value, sender)
    }

    /// As [`Self::take`], for the receiver that waits.
    fn look(&mut self) -> Option<Received<P, T>> {
        let received = self.take();
        // Of what it was unparked for nothing may be left: a handler on its stack can have received it.
        self.waiting = matches!(received, Received::Nothing).then(P::current);
        self.waiting.is_none().then_some(received)
    }

    /// The current thread is the receiver that waits.
    fn wait(&mut self) -> Step<Received<P, T>> {
        if !P::may_wait() {
            return Step::Refused(RECEIVER_IN_HANDLER);
        }
        if self.waiting.is_some_and(|other| other != P::current() && P::is_alive(other)) {
            return Step::Refused("two threads receive from one channel");
        }
        self.waiting = Some(P::current());
        Step::Queued(self.first)
    }

    /// Takes out a value that was accepted, to be dropped: nobody will receive it.
    fn discard(&mut self) -> Option<Slot<P, T>> {
        if self.first >= self.limit {
            return None;
        }
        let slot = self.queue.pop_front()?;
        self.first += 1;
        Some(slot)
    }

    /// The first sender that waits with a value of this number or a later one; moves the number behind it.
    fn sender_from(&mut self, number: &mut u64) -> Option<P::Thread> {
        loop {
            let at = number.checked_sub(self.first)? as usize;
            let slot = self.queue.get_mut(at)?;
            *number += 1;
            if let Some(sender) = slot.sender.take() {
                return Some(sender);
            }
        }
    }
}
