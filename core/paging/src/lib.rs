//! What a fault does, and what is put off to the end of a critical section: the protocol, without what it is done with.
//!
//! ```text
//!   fault ──► enter ──► back ──► area? rights? ──► table, slot, frame out of the Stock ──► map ──► books ──► resume
//!                         │ outside of sections                       ▲
//!                         └────────────── fill_up ────────────────────┘        RPC: wait_as_leaf ──► PutOff
//!                                            ▲                                                          │
//!   leave ──► the last one, and WANTED ──► end_work: fill up, deliver what was put off ◄────────────────┘
//!                                  ▲                 trim, let others run
//!   upcall ──► inside? ── want ────┘
//! ```
//!
//! Everything here is generic over a [`Domain`]: the runtime (`lib/rt`), where each method is a few instructions, and a model
//! of it in the tests (`tests/model`), which takes an upcall at any point, has the stack or the heap of a thread fault at any
//! touch, and tries all ways in which that can go. The threads' table that the model switches with is the shipped one as
//! well (`core/threads`), and so are the books (`core/vspace`).
//!
//! Not here: contexts, stacks, system calls, where frames and slots come from, and who gets a packet.
#![no_std]
#![forbid(unsafe_code)]

mod domain;
mod fault;
mod leaf;
mod pager;
mod put_off;
mod section;
mod stock;

pub use domain::Domain;
pub use fault::{Unmended, mend};
pub use leaf::{wait_as_leaf, wait_with_room};
pub use pager::{Unbacked, back, expect_faults, fill_up, fill_up_after_section};
pub use put_off::{MOST_PUT_OFF, PutOff, deliver_for_clients, deliver_put_off};
pub use section::{Section, end_work, enter, leave, section, upcall};
pub use stock::{CHUNK, FRAMES, Item, LEAST, SLOTS, Stock, TABLES};
