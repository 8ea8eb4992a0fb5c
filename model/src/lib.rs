//! Checking the capability protocol before it runs: every state of small systems, with the code of `capops` itself.
//!
//! [`world`] is the system that is checked: cores, units, messages, users, over [`capops`]. [`cost`] counts its messages.
//!
//! [`sim`] is a whole machine at random: the monitors as they will run, kernels, domains, memory servers.
//!
//! A system is what implements [`system::System`]. [`explore`] looks at all its states and steps, [`liveness`] for what goes on for
//! ever and must not, and [`story`] tells how it comes to what is wrong. [`runs`] are the runs there are. [`toys`] are systems of
//! which the truth is known.
#![forbid(unsafe_code)]

mod components;
pub mod cost;
pub mod explore;
mod graph;
pub mod liveness;
pub mod runs;
pub mod sim;
pub mod story;
pub mod system;
pub mod toys;
pub mod world;
