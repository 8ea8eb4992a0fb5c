//! The name service: who serves what, and the introduction of clients to servers.
//!
//! It makes no channel for others to carry: it hands one side's endpoint to the other and is out of the way
//! (`interfaces::names` has the picture). What it knows of a client is the channel: the domain number that it tells
//! a server was fixed when that channel was made.
//!
//! A service ends with the channel of its owner; its name can be taken again at once.
//!
//! # New domains
//!
//! Whoever builds a domain has the name service make that domain's channel, through
//! [`ATTACH`](domain::servers::ATTACH).
//!
//! # On each core
//!
//! Each core has one, for its own domains. That of the first core knows the services of all cores; the others tell it of
//! theirs, and ask it for what they do not know (`upstream.rs`, [`interfaces::RootNames`]). A name is anybody's once, on
//! all cores together. To find a service of one's own core takes no message to another.
//!
//! # Start
//!
//! The service itself is built with a channel to `init`, which knows the memory service and nothing else. It
//! offers itself there as [`NAMES`](domain::servers::NAMES).
#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod registry;
mod server;
mod upstream;

pub use registry::{MAX_SERVICES, MAX_WAITERS, Registry, check};
pub use server::{StartError, serve};
