//! Systems of which the truth is known: the tools are checked with them before they check the protocol.

mod counters;
mod philosophers;
mod ring;

pub use counters::{Count, Counters};
pub use philosophers::{Act, Philosophers, Table};
pub use ring::{Move, Ring, Spin};
