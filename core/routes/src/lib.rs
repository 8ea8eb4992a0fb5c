//! How a monitor joins channels whose ends are on different cores, as a state machine.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod incoming;
mod kernel;
mod outgoing;
mod record;
mod routes;
mod wire;

pub use kernel::{Carried, Class, Failed, Kernel, Nonsense, NotBegun, Proxy, PutError};
pub use routes::Routes;
pub use wire::{Along, CoreId, KINDS, Line, Message, RecordId, Tag, packet_follows};

/// Offers to a core that may be without an answer; more wait.
pub const OFFERS: usize = 4;
