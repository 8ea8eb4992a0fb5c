//! Tests of the capabilities over the fake machine.

mod model;
mod operations;
mod random;
mod world;
