//! The primitives under random schedules: each test runs the shipped code over threads of a model checker, which chooses
//! at every step who runs, finds deadlocks, and fails with the schedule that led there.
//!
//! `BARRELDISH_LONG=1` makes a hundred times as many schedules of each kind; any other number, so many.

mod barrier;
mod channel;
mod condvar;
mod mutex;
mod once;
mod rwlock;
mod seeded;
mod semaphore;
mod world;
