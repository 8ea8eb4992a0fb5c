//! Remote procedure calls between domains, over any kind of channel.
//!
//! An interface is a trait under [`macro@interface`], which makes a client stub and a server dispatch:
//!
//! ```
//! use ipc::{CallError, Caller, Wire};
//!
//! #[derive(Debug, PartialEq, Wire)]
//! pub enum MathError {
//!     DivideByZero,
//!     Call(CallError),
//! }
//! impl From<CallError> for MathError {
//!     fn from(error: CallError) -> Self {
//!         MathError::Call(error)
//!     }
//! }
//!
//! #[ipc::interface]
//! pub trait Math {
//!     /// `a / b`, rounded down.
//!     fn divide(&self, a: u64, b: u64) -> Result<u64, MathError>;
//! }
//!
//! // The server: `MathServer::new(Calculator).open(port, caller)` is what the runtime delivers to.
//! struct Calculator;
//! impl Math for Calculator {
//!     fn divide(&self, _caller: &Caller, a: u64, b: u64) -> Result<u64, MathError> {
//!         a.checked_div(b).ok_or(MathError::DivideByZero)
//!     }
//! }
//!
//! // The client.
//! fn half<P: ipc::Port>(math: &MathClient<P>, n: u64) -> Result<u64, MathError> {
//!     math.divide(n, 2)
//! }
//! ```
//!
//! Properties (M1, M2): messages arrive once and in order, of any length up to the interface's limit; a full channel makes the
//! sender wait; answers come in any order; a dead or misbehaving peer is an error at every
//! caller; whatever a peer sends, nothing panics and no memory beyond the limits is taken.
//!
//! It is not a transport: see [`port`] for what it needs of one.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod channel;
mod client;
mod error;
mod message;
mod pending;
pub mod port;
mod reply;
mod request;
mod server;
mod traffic;
pub mod wire;

pub use client::{Call, Client, Stub};
pub use error::{CallError, DecodeError};
pub use ipc_macros::{Wire, interface};
pub use message::{
    DEFAULT_LIMIT, KIND_CALL, KIND_CANCEL, KIND_CLOSE, KIND_ERROR, KIND_FRAGMENT, KIND_HELLO, KIND_ONE_WAY,
    KIND_REPLY, MAX_REQUESTS,
};
pub use port::{Lock, Outcome, Port, Receiver, SendError, Task};
pub use reply::{Answer, NotWanted, Reply};
pub use request::{Caller, Replies, Request, Served, Service, at_once};
pub use server::serve;
pub use traffic::{Amount, Traffic};
pub use wire::{Capability, Decode, Encode};

/// What the code of [`macro@interface`] names.
#[doc(hidden)]
pub mod macros {
    pub use alloc::string::String;
    pub use alloc::sync::Arc;
    pub use alloc::vec::Vec;
    pub use core::future::Future;
}
