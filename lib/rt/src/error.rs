//! What the runtime can fail at.

use core::fmt;

use ipc::CallError;

/// Why the runtime could not do what was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RtError {
    /// All event indices of the dispatcher are in use.
    NoEvent,
    /// The dispatcher frame has no room for another ring.
    NoRing,
    /// No memory is to be had.
    OutOfMemory,
    /// No window of addresses of that size is free.
    NoAddress,
    /// The domain was built without what this needs (a name service, page tables).
    NotAvailable,
    /// No service has that name (now).
    NoService,
    /// A service of that name exists already.
    NameTaken,
    /// The service does not take this client.
    Refused,
    /// The kernel refused.
    Kernel(sys::Error),
    /// A call to another domain failed.
    Call(CallError),
}

impl fmt::Display for RtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RtError::NoEvent => f.write_str("all event indices of the dispatcher are in use"),
            RtError::NoRing => f.write_str("the dispatcher frame has no room for another ring"),
            RtError::OutOfMemory => f.write_str("out of memory"),
            RtError::NoAddress => f.write_str("no free addresses"),
            RtError::NotAvailable => f.write_str("this domain was built without what that needs"),
            RtError::NoService => f.write_str("no service has that name"),
            RtError::NameTaken => f.write_str("a service of that name exists already"),
            RtError::Refused => f.write_str("the service refused the connection"),
            RtError::Kernel(error) => write!(f, "the kernel refused: {error}"),
            RtError::Call(error) => write!(f, "the call failed: {error}"),
        }
    }
}

impl core::error::Error for RtError {}

impl From<sys::Error> for RtError {
    fn from(error: sys::Error) -> RtError {
        RtError::Kernel(error)
    }
}

impl From<CallError> for RtError {
    fn from(error: CallError) -> RtError {
        RtError::Call(error)
    }
}
