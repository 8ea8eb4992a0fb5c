//! Channels: values from many threads to one.
//!
//! A sender or receiver that is dropped disconnects. A thread that a fault ended drops nothing: its senders count for ever.

use alloc::sync::Arc;
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;

use threads::sync::{Channel, RecvUntilError};
pub use threads::sync::{RecvError, SendError, TryRecvError, TrySendError};

use super::{Domain, deadline};

/// What both ends hold.
struct Shared<T>(Channel<Domain, T>);

// SAFETY: the state of a channel is touched in critical sections alone, in which no other thread of the domain comes
// between. Values move from thread to thread (`T: Send`), and are never looked at by two.
unsafe impl<T: Send> Sync for Shared<T> {}

/// Why nothing was received in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecvTimeoutError {
    /// The time was over first.
    Timeout,
    /// As [`RecvError`].
    Disconnected,
}

impl fmt::Display for RecvTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvTimeoutError::Timeout => RecvUntilError::TimedOut.fmt(f),
            RecvTimeoutError::Disconnected => RecvUntilError::Disconnected.fmt(f),
        }
    }
}

impl core::error::Error for RecvTimeoutError {}

/// A channel whose senders never wait.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared(Channel::unbounded()));
    (Sender { shared: shared.clone() }, Receiver { shared, one: PhantomData })
}

/// A channel that holds `bound` values before senders wait.
///
/// # Panics
/// If `bound` is 0: a value is never handed over without a place in between.
pub fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
    let shared = Arc::new(Shared(Channel::bounded(bound)));
    (SyncSender { shared: shared.clone() }, Receiver { shared, one: PhantomData })
}

/// Sends into a [`channel`]. Threads may share it, or each have a clone.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Sends a value; never waits.
    ///
    /// # Errors
    /// [`SendError`] with the value, if the receiver is gone.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.shared.0.send(value)
    }
}

/// Sends into a [`sync_channel`]. Threads may share it, or each have a clone.
pub struct SyncSender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> SyncSender<T> {
    /// Sends a value; waits while the channel is full.
    ///
    /// # Errors
    /// [`SendError`] with the value, if the receiver is gone.
    ///
    /// # Panics
    /// If a handler or task would have to wait.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.shared.0.send(value)
    }

    /// Sends a value if that need not wait.
    ///
    /// # Errors
    /// [`TrySendError`] with the value.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.shared.0.try_send(value)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.0.add_sender();
        Sender { shared: self.shared.clone() }
    }
}

impl<T> Clone for SyncSender<T> {
    fn clone(&self) -> Self {
        self.shared.0.add_sender();
        SyncSender { shared: self.shared.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.0.drop_sender();
    }
}

impl<T> Drop for SyncSender<T> {
    fn drop(&mut self) {
        self.shared.0.drop_sender();
    }
}

/// Receives what the senders of a channel send, in that order. One thread at a time has it.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// It goes from thread to thread, and is not shared: not `Sync`.
    one: PhantomData<Cell<()>>,
}

impl<T> Receiver<T> {
    /// Waits for a value.
    ///
    /// # Errors
    /// [`RecvError`], if all senders are gone and all that they sent was received.
    ///
    /// # Panics
    /// If a handler or task would have to wait.
    pub fn recv(&self) -> Result<T, RecvError> {
        self.shared.0.recv()
    }

    /// Receives a value if there is one.
    ///
    /// # Errors
    /// [`TryRecvError`].
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.shared.0.try_recv()
    }

    /// Waits for a value for at most `time`.
    ///
    /// # Errors
    /// [`RecvTimeoutError`].
    ///
    /// # Panics
    /// If a handler or task would have to wait.
    pub fn recv_timeout(&self, time: Duration) -> Result<T, RecvTimeoutError> {
        self.shared.0.recv_until(deadline(time)).map_err(|error| match error {
            RecvUntilError::TimedOut => RecvTimeoutError::Timeout,
            RecvUntilError::Disconnected => RecvTimeoutError::Disconnected,
        })
    }

    /// All values until the senders are gone; waits for each.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        core::iter::from_fn(|| self.recv().ok())
    }

    /// The values that are there now.
    pub fn try_iter(&self) -> impl Iterator<Item = T> {
        core::iter::from_fn(|| self.try_recv().ok())
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.0.drop_receiver();
    }
}

/// All values of a [`Receiver`] until the senders are gone.
#[derive(Debug)]
pub struct IntoIter<T>(Receiver<T>);

impl<T> Iterator for IntoIter<T> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;
    fn into_iter(self) -> IntoIter<T> {
        IntoIter(self)
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender { .. }")
    }
}

impl<T> fmt::Debug for SyncSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SyncSender { .. }")
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver { .. }")
    }
}
