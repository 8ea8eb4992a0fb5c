//! UMP, messages from core to core: one packet a cache line, in memory that two domains share.
//!
//! ```text
//!    writer's core                       shared lines                        reader's core
//!                        ┌────┬────┬────┬────┬────┬────┬────┬────┐
//!    Sender ─ packets ──►│    │    │ p4 │ p5 │ p6 │    │    │    │──────────► Receiver
//!                        └────┴────┴────┴────┴────┴────┴────┴────┘
//!           ◄──────────── consumed (now and then), asleep ──────────────────
//!            ──────────── waits for room ──────────────────────────────────►
//! ```
//!
//! A channel is two such rings in one frame ([`Layout`], [`open`]). Nothing here enters the kernel or waits: who must be
//! woken is a return value, and the caller rings the peer's doorbell (`Notify`). The caller also maps the frame and makes
//! the slice of [`Line`]s.
//!
//! # Publication
//!
//! A packet's seven words are written first, then its header, with Release. The reader loads the header with Acquire; if
//! it holds the epoch of this round, the store that it came from was the writer's, and the words of the packet are
//! visible. That is the happens-before of C++11 1.10 p11-p12; on AArch64 it is STLR and LDAR (Arm ARM B2.3, *Barrier-ordered-before*).
//! The epoch is one bit of the header ([`abi::packet::FLAG_EPOCH`]) that flips with each round, so a line
//! says by itself whether it is new, and no index is shared on this way. Fresh memory is zero and means *empty* in the
//! first round.
//!
//! A line is overwritten when the reader has said (Release) and the writer has seen (Acquire) that it was taken out: the
//! reads of the old packet happen before the writes of the new.
//!
//! # Sleeping
//!
//! The reader may sleep when the ring is empty, the writer when it is full. Both ways are the same, and need
//! sequentially consistent fences on both sides: a side publishes something and looks whether the other sleeps; the
//! other says that it sleeps and looks whether something was published. With Release and Acquire alone both looks may come
//! before both stores (the store buffering test), and the wake-up is lost; `src/sleep.rs` has the argument.
//!
//! A side sleeps like this, and the writer likewise:
//!
//! ```text
//!   loop {
//!       while let Some(packet) = receiver.receive() { ... }
//!       if receiver.must_wake() { ring the writer's doorbell }
//!       if receiver.announce_sleep() { sleep until one's own doorbell rings }
//!   }
//! ```
//!
//! The doorbell must remember a ring that comes before the sleep. [`Receiver::announce_sleep`] and
//! [`Sender::wait_for_room`] are false as long as the peer has to be woken first.
//!
//! # Trust (K6)
//!
//! The peer writes what it wants where it wants, at any time. What we read is a number, read once: a header, seven words,
//! a count, the number of a sleep. A header of the right epoch is a packet; a count that cannot be is
//! [`SendError::Misbehaved`], for good; the number of a sleep costs at most one ring for each time we look. Where we stand
//! is in our own memory. Each call does a bounded amount of work.
//!
//! # Cost
//!
//! | | shared lines written | shared lines read |
//! |---|---|---|
//! | [`Sender::send`] | the packet's | none |
//! | [`Sender::must_wake`], once for a batch | none | the reader's control line |
//! | [`Receiver::receive`] | none | the packet's |
//! | a quarter of the ring received | the reader's control line | the writer's, in [`Receiver::must_wake`] |
//! | a ring filled | none | the reader's control line |
//!
//! The reader's control line changes once for a quarter of a ring, so the writer nearly always has it in its cache.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod atomic;
mod cursor;
mod line;
mod receiver;
mod sender;
mod sleep;
#[cfg(test)]
mod tests;

pub use line::{LINE_SIZE, Layout, Line, MAX_LINES, MIN_LINES, Side, TooSmall, open};
pub use receiver::Receiver;
pub use sender::{SendError, Sender};

const _: () = assert!(size_of::<Line>() == LINE_SIZE && align_of::<Line>() == LINE_SIZE);
