//! The threads of one core: which runs next, and what they wait for.
//!
//! ```text
//!        typed locks, cells, channels, spawn, join                      lib/rt
//!   ┌───────────────────────────────────────────────┐
//!   │ sync: RawMutex RawCondvar RawRwLock           │   state machines over a Platform:
//!   │       RawSemaphore RawOnce RawBarrier Channel │   current, park, unpark, critical, is_alive
//!   └───────────────────────┬───────────────────────┘
//!                           │ Platform                                  lib/rt: stacks, upcalls, time
//!   ┌───────────────────────┴───────────────────────┐
//!   │ schedule: Threads                             │   a table with queues: who is ready, parked, ended
//!   └───────────────────────────────────────────────┘
//! ```
//!
//! A domain runs its threads on one core. One is preempted by an upcall only, and the runtime can put that off for a
//! short time: a *critical section*, the only mutual exclusion there is below what [`sync`] makes of it.
//!
//! Not here: stacks, contexts, upcalls, the cells that hold what a lock protects. Nothing here does I/O or is `unsafe`,
//! so the shipped code runs in a checker of schedules on the host (`tests/schedules`).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod schedule;
pub mod sync;
