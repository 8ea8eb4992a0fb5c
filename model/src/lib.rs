//! Checking the capability protocol before it runs: every state of small systems, with the code that ships.

pub mod cost;
pub mod system;
pub mod world;
