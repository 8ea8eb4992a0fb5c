//! Why a call failed below the interface: the transport, the peer, or the message itself.

use core::fmt;

macro_rules! call_errors {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// Why a call got no answer of its interface. The numbers travel in error replies.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u8)]
        pub enum CallError { $($(#[$doc])* $name = $number,)* }

        impl CallError {
            /// The error with this number; what no version of us knows is [`CallError::BadPeer`].
            pub const fn from_number(number: u64) -> CallError {
                match number { $($number => CallError::$name,)* _ => CallError::BadPeer }
            }
            /// A sentence for people.
            pub const fn text(self) -> &'static str {
                match self { $(CallError::$name => $text,)* }
            }
        }
    };
}

call_errors! {
    /// The other end ended, or its endpoint was deleted. Whether the request was served is unknown.
    PeerGone = 1, "the other end of the channel is gone";
    /// The two ends were built from different interfaces, or versions of one.
    WrongInterface = 2, "the server speaks another interface, or another version of it";
    /// The interface has no such method.
    UnknownMethod = 3, "the server knows no method of this number";
    /// The server could not decode the arguments.
    Malformed = 4, "the server could not decode the arguments";
    /// The client could not decode the result.
    BadReply = 5, "the answer could not be decoded";
    /// The encoded arguments or the result are longer than the interface's limit. Nothing was sent.
    TooLong = 6, "the message is longer than the interface allows";
    /// More requests are waiting on this channel than one channel may have.
    TooManyRequests = 7, "too many requests are waiting on this channel";
    /// The server let go of the request without an answer.
    Unanswered = 8, "the server dropped the request without an answer";
    /// The peer sent what the protocol does not allow; the channel is closed.
    BadPeer = 9, "the other end broke the protocol";
    /// More answers wait for this client than the server keeps; it should read them faster.
    Overloaded = 10, "too many unread answers wait on this channel";
    /// The capability in the arguments or the result cannot be sent.
    BadCapability = 11, "the capability cannot be sent";
    /// The server closed this channel in an orderly way.
    Closed = 12, "the server closed the channel";
    /// One of the two ends has no memory for the message. The channel goes on.
    OutOfMemory = 13, "not enough memory for the message";
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for CallError {}

/// Why bytes or words do not become a value of the expected type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// They are no such value.
    Malformed,
    /// There is no memory for it.
    OutOfMemory,
}

impl DecodeError {
    /// What the caller is told: `malformed` if the value was to blame.
    pub(crate) const fn or(self, malformed: CallError) -> CallError {
        match self {
            DecodeError::Malformed => malformed,
            DecodeError::OutOfMemory => CallError::OutOfMemory,
        }
    }
}
