//! Why an operation failed.

use core::fmt;

/// The thread that held a lock has ended without giving it up: what the lock protects may be half changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Abandoned;

impl fmt::Display for Abandoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a thread ended while it held the lock")
    }
}

impl core::error::Error for Abandoned {}

/// The receiver is gone; the value comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

/// Why a value was not sent at once; it comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// As many values as the channel may hold wait to be received.
    Full(T),
    /// The receiver is gone.
    Disconnected(T),
}

/// All senders are gone, and all that they sent was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecvError;

/// Why nothing was received at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TryRecvError {
    /// Nothing has been sent, or not yet.
    Empty,
    /// As [`RecvError`].
    Disconnected,
}

/// Why nothing was received until the deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecvUntilError {
    /// The deadline came first.
    TimedOut,
    /// As [`RecvError`].
    Disconnected,
}

const NO_RECEIVER: &str = "the channel's receiver is gone";
const NO_SENDER: &str = "the channel's senders are gone and nothing is left to receive";

// As in the standard library, the values need not be printable.
impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NO_RECEIVER)
    }
}

impl<T> core::error::Error for SendError<T> {}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Disconnected(_) => "Disconnected(..)",
        })
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the channel is full",
            Self::Disconnected(_) => NO_RECEIVER,
        })
    }
}

impl<T> core::error::Error for TrySendError<T> {}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NO_SENDER)
    }
}

impl core::error::Error for RecvError {}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the channel is empty",
            Self::Disconnected => NO_SENDER,
        })
    }
}

impl core::error::Error for TryRecvError {}

impl fmt::Display for RecvUntilError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "nothing was sent until the deadline",
            Self::Disconnected => NO_SENDER,
        })
    }
}

impl core::error::Error for RecvUntilError {}
