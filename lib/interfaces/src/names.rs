//! The name service: how a client finds a server, and how a server is told of a client.
//!
//! ```text
//!   server                       names                        client
//!     │ register("x", S1)          │                            │
//!     │───────────────────────────►│ makes N1, connects S1─N1   │
//!     │◄──── N1 (to answer to) ────│                            │
//!     │                            │        connect("x", C)     │
//!     │                            │◄───────────────────────────│
//!     │  Service::accept(id, C)    │                            │
//!     │◄───────────────────────────│  (over N1─S1)              │
//!     │ makes S2, connects S2─C    │                            │
//!     │────────────── S2 ─────────►│──────────── S2 ───────────►│
//!     │◄════════════════ the channel: S2 ─ C ══════════════════►│
//! ```

use crate::error::errors;
use alloc::string::String;
use alloc::vec::Vec;
use ipc::{CallError, Capability};

/// Longest name of a service, in bytes.
pub const MAX_NAME: usize = 64;

errors! {
    /// Why the name service refused.
    NamesError {
        /// No service has this name now.
        NotFound => "no service has this name",
        /// A service of this name is there already.
        Taken => "a service of this name exists already",
        /// Empty, longer than [`MAX_NAME`], or with characters other than letters, digits, `-`, `_`, `.`.
        BadName => "a service's name is 1 to 64 letters, digits, '-', '_' or '.'",
        /// The capability is no endpoint that can be connected.
        BadEndpoint => "the capability is not a free endpoint",
        /// The service does not take this client.
        Refused => "the service refused the connection",
        /// The service ended while the connection was being made.
        ServiceGone => "the service has ended",
        /// The caller has as many channels to this service, or names, or waits for as many, as one program may.
        TooMany => "this program has as many channels to the service, or names, as it may",
        /// The server ran out of something of its own (capability slots, endpoints).
        Exhausted => "the name service is out of resources",
    }
}

/// Finds services by name.
#[ipc::interface(limit = 65536)]
pub trait Names {
    /// Offers a service, as long as this channel lives. `endpoint` (WRITE) is an endpoint where the caller
    /// serves [`Service`]; the answer is its peer, to send answers to.
    async fn register(&self, name: &str, endpoint: Capability) -> Result<Capability, NamesError>;

    /// Connects the caller's `endpoint` (WRITE, not connected yet) with one of the service. The answer is
    /// that one, to send to.
    async fn connect(&self, name: &str, endpoint: Capability) -> Result<Capability, NamesError>;

    /// Answers once a service of this name is there.
    #[deferred]
    fn wait_for(&self, name: &str) -> Result<(), NamesError>;

    /// The names of all services, sorted.
    fn list(&self) -> Result<Vec<String>, NamesError>;
}

errors! {
    /// Why a server does not take a client.
    ServiceError {
        /// Not this client.
        Refused => "the service refused the connection",
        /// The endpoint cannot be connected.
        BadEndpoint => "the capability is not a free endpoint",
        /// The client has as many channels to this server as one program may.
        TooMany => "this program has as many channels to the service as it may",
        /// As many clients as the server can have.
        Exhausted => "the service has no room for another client",
    }
}

/// What the client is told when the service does not take it. A call that failed was the name service's own, so the
/// client, whose call has not, learns only what that means for it.
impl From<ServiceError> for NamesError {
    fn from(error: ServiceError) -> NamesError {
        match error {
            ServiceError::Refused => NamesError::Refused,
            ServiceError::BadEndpoint => NamesError::BadEndpoint,
            ServiceError::TooMany => NamesError::TooMany,
            ServiceError::Exhausted => NamesError::Exhausted,
            ServiceError::Call(CallError::PeerGone) => NamesError::ServiceGone,
            ServiceError::Call(_) => NamesError::Refused,
        }
    }
}

/// What the name service asks of every server.
#[ipc::interface(limit = 4096)]
pub trait Service {
    /// A new client: connects its `endpoint` (WRITE) with a new one of the server, which is the answer.
    /// `domain` is the client's, as the name service knows it from the client's own channel.
    async fn accept(&self, domain: u64, endpoint: Capability) -> Result<Capability, ServiceError>;
}
