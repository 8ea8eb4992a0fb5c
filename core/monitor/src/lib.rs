//! What a monitor does for capabilities: `capops` for many units and many domains, with queues that have a bound.
//!
//! ```text
//!   domains ──ask──► Clients ──start──► Holder ──┐                         ┌──► ring to core 1
//!                    a few each,        what is  ├──► out-queue a core ──take──► ring to core 2
//!                    least served       asked    │        ▲      │         └─ (own messages: work)
//!                    first                       │        │      ▼
//!   rings ──receive──► decode ──► Holder, Home ──┴────────┘   Gone: pulled when a queue is empty
//!   memory server ──allocate, zero, cut──► Home ──► reclaimed, cut_ended
//! ```
//!
//! [`Monitor`] takes events and never waits; what it needs of the kernel below and the servers beside is [`Kernel`]. The I/O is
//! its caller's: who has room in a ring calls [`Monitor::take`], who got a packet [`Monitor::receive`], who has nothing else to
//! do [`Monitor::work`], which does one bounded piece of what is left and says whether there was any.
//!
//! # Why every queue has a bound
//!
//! Let C be the credits: a core has at most C unanswered requests at each home ([`Monitor::work`] starts no more, and the home
//! refuses more; a request counts there until its answer has left). Let S be what the home's own memory server may have under way: one for an allocation, two for a cut.
//!
//! 1. *Units under way at a home.* A unit that is not quiet has a request waiting or an operation active. Each waiting
//!    request, and each send, retype or revocation, is the unanswered request of one core: at most `N * C`. Each other operation
//!    is the memory server's: at most S. So `HOMES >= N * C + S` suffices.
//! 2. *From home i to core j.* `Done` answers a request of j: at most C, because j's credit comes back only when it arrives. Every
//!    other message waits for an answer of j, and a unit has one such message to j at a time (the next is sent when
//!    all have answered the one before), and is under way until then: at most HOMES.
//! 3. *From core i to home j.* Requests: at most C. Answers: one for each message of j that waits for one: at most HOMES. `Gone` is
//!    never queued: it is made when there is room, and until then is a mark in the kernel.
//! 4. So `OUT >= 2 * HOMES + 2 * C` suffices for the queue to each core, itself included.
//! 5. *Holders under way on a core.* One is frozen (its home has the unit under way: at most HOMES a home) or has an
//!    unanswered request (at most C a home): `HOLDERS >= N * (HOMES + C)` suffices.
//!
//! [`Monitor::new`] refuses smaller numbers. All monitors of a machine have the same budget: a peer that sends more requests than its
//! credit, or as a home more that waits for answers than HOMES, is refused and reported before anything changes.
//!
//! No server runs it yet, and no kernel offers [`Kernel`] so far: the simulation in `model` runs it as it will run.
//!
//! # What a call costs
//!
//! One step of `capops`, and walks over the records of what is under way and over the domains, which are few: their number is fixed.
//! The end of a domain gives back its share of waiting requests. A unit that was not told yet which cores have stopped is told
//! first, one step for each. Nothing waits for another core, and a sweep or the walk over all units after a stop is one step a
//! call.
//!
//! # Whom it trusts
//!
//! Domains not at all. Other monitors to mean well, as far as their messages make sense: a message that is none, comes to the
//! wrong role, exceeds its credit or does not fit the state of its unit is refused, counted and reported. That a key lies in
//! the unit that it is said to lie in is believed.
//!
//! # What it is not
//!
//! The mapping database, which is the kernel's, and the choice of memory, which is the memory server's. A revocation or
//! retype of what is exclusive, and every copy and deletion, does not come here: the kernel does them under the guards of
//! `capops`, for which each [`Kernel::step`] leaves what they have to know.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod clients;
mod holders;
mod homes;
mod kernel;
mod monitor;
mod pool;
mod wire;

pub use clients::{Ask, DomainId, Full};
pub use kernel::{Copied, Idle, Kernel, Nonsense, Taker};
pub use monitor::{Limits, Monitor};
pub use wire::{Body, Message, PAGE, UnitId, WORDS, WireKey};
