//! The name service: who serves what, and the introduction of clients to servers.
//!
//! It makes no channel for others to carry: it hands one side's endpoint to the other and is out of the way
//! (`interfaces::names` has the picture). What it knows of a client is the channel: the domain number that it tells
//! a server was fixed when that channel was made ([`Registry`] keeps no word of a client's own).
//!
//! A service ends with the channel of its owner; its name can be taken again at once.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod registry;

pub use registry::{MAX_SERVICES, MAX_WAITERS, Registry, check};
