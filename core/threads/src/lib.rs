//! The threads of one core: which runs next.
//!
//! A domain runs its threads on one core. One is preempted by an upcall only, and the runtime can put that off for a
//! short time: a *critical section*, in which this table is used.
//!
//! Not here: stacks, contexts, upcalls.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod schedule;
