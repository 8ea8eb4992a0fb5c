//! Tests of the capabilities over the fake machine.

mod addresses;
mod cores;
mod delete;
mod mappings;
mod model;
mod random;
mod reaping;
mod retype;
mod revoke;
mod scenes;
mod sharing;
mod trim;
mod world;
