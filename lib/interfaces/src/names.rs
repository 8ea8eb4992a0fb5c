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
use ipc::{CallError, Capability, Wire};

/// Longest name of a service, in bytes.
pub const MAX_NAME: usize = 64;

/// The name of a service's instance on a core, `NAME.CORE`. Whoever connects to `NAME` gets the instance of its own core, if
/// there is one.
pub fn instance_name(name: &str, core: u32) -> String {
    alloc::format!("{name}.{core}")
}

errors! {
    /// Why the name service refused.
    NamesError {
        /// No service has this name now.
        NotFound => "no service has this name",
        /// A service of this name is there already, or one with an instance on each core.
        Taken => "a service of this name exists already",
        /// Empty, longer than [`MAX_NAME`], or with characters other than letters, digits, `-`, `_`, `.`.
        BadName => "a service's name is 1 to 64 letters, digits, '-', '_' or '.'",
        /// It ends in a dot and a number, which is for the parts of the system.
        Reserved => "a name that ends in '.' and a number is for parts of the system",
        /// The capability is no endpoint that can be connected.
        BadEndpoint => "the capability is not a free endpoint",
        /// The service does not take this client.
        Refused => "the service refused the connection",
        /// The service has not said in time what it was asked.
        Silent => "the service does not answer",
        /// The service ended while the connection was being made.
        ServiceGone => "the service has ended",
        /// The caller has as many channels to this service, or names, or waits for as many, as one program may.
        TooMany => "this program has as many channels to the service, or names, as it may",
        /// The server ran out of something of its own (capability slots, endpoints).
        Exhausted => "the name service is out of resources",
    }
}

/// A service that is there.
#[derive(Clone, PartialEq, Eq, Debug, Wire)]
pub struct NameInfo {
    /// Its name.
    pub name: String,
    /// The domain that offers it.
    pub owner: u64,
}

/// How the packets of a channel go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Wire)]
pub enum ChannelKind {
    /// Both ends are on one core: through its kernel.
    Lmp,
    /// The ends are on different cores: through the monitors of both.
    Routed,
    /// The ends are on different cores: through memory that they share.
    Ump,
}

/// A channel of a service to a client, as the server's end knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Wire)]
pub struct ChannelInfo {
    /// Its number, which this server's domain never uses again.
    pub number: u64,
    /// How its packets go.
    pub kind: ChannelKind,
    /// The domain at the other end, as the name service knows it.
    pub client: u64,
    /// Requests that came.
    pub received: u64,
    /// Bytes of their arguments.
    pub received_bytes: u64,
    /// Answers.
    pub sent: u64,
    /// Bytes of their results.
    pub sent_bytes: u64,
    /// Requests whose answers are not there yet.
    pub in_flight: u32,
}

/// Finds services by name.
#[ipc::interface(limit = 65536)]
pub trait Names {
    /// Offers a service, as long as this channel lives. `endpoint` (WRITE) is an endpoint where the caller
    /// serves [`Service`]; the answer is its peer, to send answers to.
    async fn register(&self, name: &str, endpoint: Capability) -> Result<Capability, NamesError>;

    /// Connects the caller's `endpoint` (WRITE, not connected yet) with one of the service: of its instance on the
    /// caller's core ([`instance_name`]) if there is one, else of that of exactly this name. The answer is that one, to
    /// send to.
    async fn connect(&self, name: &str, endpoint: Capability) -> Result<Capability, NamesError>;

    /// Answers once there is a service that [`Names::connect`] with this name would find.
    #[deferred]
    fn wait_for(&self, name: &str) -> Result<(), NamesError>;

    /// All services, sorted by name.
    async fn list(&self) -> Result<Vec<NameInfo>, NamesError>;

    /// The channels of the service of exactly this name, by number, as the service itself knows them: a part of the system
    /// tells the truth. A program that does not is `Silent` after a while.
    async fn channels(&self, name: &str) -> Result<Vec<ChannelInfo>, NamesError>;
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
#[ipc::interface(limit = 65536)]
pub trait Service {
    /// A new client: connects its `endpoint` (WRITE) with a new one of the server, which is the answer.
    /// `domain` is the client's, as the name service knows it from the client's own channel.
    async fn accept(&self, domain: u64, endpoint: Capability) -> Result<Capability, ServiceError>;

    /// The channels to its clients, by number, and what has gone over each.
    async fn channels(&self) -> Result<Vec<ChannelInfo>, ServiceError>;
}

/// What the name service of a core asks of that of the first core, which knows the services of all. It asks for domains of its own
/// core.
#[ipc::interface(limit = 65536)]
pub trait RootNames {
    /// As [`Names::register`], for `domain`: until [`RootNames::unregister`], or the end of this channel.
    async fn register(&self, domain: u64, name: &str, endpoint: Capability)
    -> Result<Capability, NamesError>;

    /// There is no service of this name any more, which this channel has registered.
    fn unregister(&self, name: &str) -> Result<(), NamesError>;

    /// As [`Names::connect`], for `domain`.
    async fn connect(&self, domain: u64, name: &str, endpoint: Capability) -> Result<Capability, NamesError>;

    /// As [`Names::wait_for`], for `domain`.
    #[deferred]
    fn wait_for(&self, domain: u64, name: &str) -> Result<(), NamesError>;

    /// As [`Names::list`].
    fn list(&self) -> Result<Vec<NameInfo>, NamesError>;

    /// As [`Names::channels`].
    async fn channels(&self, name: &str) -> Result<Vec<ChannelInfo>, NamesError>;
}
