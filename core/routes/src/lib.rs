//! How a monitor joins channels whose ends are on different cores, as a state machine.
//!
//! ```text
//!   domain ── C ══ P ── monitor ──► ring ──► monitor ── E ══ S ── domain
//!                       record  ◄── ring ◄── record
//!         LMP, core i    near                  far       LMP, core j
//! ```
//!
//! A *route* is two records, one a monitor, each with a *proxy*, an endpoint of the monitor. To the domain of its core a proxy is
//! the other end of an LMP channel; the monitors carry packets from one half to the other. [`Routes`] takes events and
//! never waits; what it needs of the kernel is [`Kernel`], what it says to other monitors is [`Message`]. The I/O is its caller's:
//! who has room in a ring for two lines calls [`Routes::take`], who got a line [`Routes::receive`], who has nothing else to do
//! [`Routes::work`]. All three go on until they have nothing more, after any event.
//!
//! # How a route begins
//!
//! Endpoint X leaves core i with a packet for core j. It goes as one of three:
//!
//! - [`Along::Peer`]: X is a proxy of a route to j itself. The other proxy's peer is what it stands for, so j gives a copy of that.
//!   (Client and server on one core find each other by a name service elsewhere, and are joined by plain LMP.)
//! - [`Along::Proxy`]: X is connected with a proxy of a route to j. What stands for X there is the other proxy: j gives a copy.
//! - [`Along::Offer`]: all else. i keeps X in a new record, j makes a proxy that stands for it. X may be a proxy of a route to a third core: then two
//!   routes in a row are as good as one. X may be connected elsewhere: then it can only go home again.
//!
//! Nothing goes over a route before it is *accepted*: somebody connects the far proxy, the kernel tells j
//! ([`Routes::connected`]), j says `Accept`, i connects its proxy with X. So each end is told when the other ends even if the capability
//! that would have told the client of its server is lost on the way. Where i cannot connect (X is no more, or was connected by
//! somebody else meanwhile), it closes.
//! [`Routes::open`] is an offer without a packet, to a service that has a number instead of a name: with it a new core reaches the name
//! service.
//!
//! # How it ends
//!
//! Each side says `Close` exactly once, and it is the last that it ever says of the record.
//!
//! ```text
//!             the end here (ring drained), or given up
//!     open ───────────────── say Close ────────────────► said
//!      │                                                  │
//!   Close comes                                        Close comes
//!      ▼                                                  ▼
//!    heard ── say Close, deliver what waits, ─────────► free, next generation
//!             delete the proxy
//! ```
//!
//! *Why nobody names a free record.* Rings are in order. A record is free when it has said and heard `Close`. What has been heard is
//! the last that the other side will ever say of it, and nothing can be behind that in the ring. Whether the two `Close` cross or one answers
//! the other makes no difference: each side counts its own and the other's.
//!
//! - *Both close at once.* Both have said, both hear: both are free. Nothing is answered.
//! - *Close crosses data.* Data that comes to a side that has said `Close` finds the record still there. Its packet is dropped; what came along is
//!   made and dropped as if it had been delivered to an endpoint that then ended: an acceptance is one all the same, an offer is refused.
//!   Until then the side that drops gives credit: the other one gets rid of what it has before it closes.
//! - *Offer and Close.* The offering side cannot close before it is answered: what it keeps is connected with nothing. The far side answers
//!   first, always: answers are taken before packets and `Close`. So each knows the other's record when it closes.
//! - *No senders while an Accept is on its way.* Who is connected is accepted, also if nobody can send any more: the route
//!   ends when the peer does. Only a proxy that nobody has connected ends with its last sender, and none can connect it then.
//! - *A domain dies with an offer outstanding.* Nobody tells the monitor that what it keeps is no more. The offer ends when it is not
//!   taken, or when connecting it fails. Who sends to the far proxy without having connected it is told that it is gone.
//! - *What takes another way.* Memory comes by the capability protocol, over other rings, so it can be late or early. Its [`Tag`]
//!   names record, generation and packet: for a free record it meets nobody, and an early one waits in the cell of its packet.
//! - *Two routes in a row whose ends are both gone* deliver into each other's proxies. A side that has heard `Close` throws away what is in
//!   its ring ([`Routes::work`]), so neither waits for the other.
//! - *A core stops.* Its `Close` counts as said and heard.
//!
//! # Order, and what is lost
//!
//! A packet leaves a proxy's ring only when there is credit and room for it, and stays in its cell until the receiver's ring has taken it: full
//! pushes back as far as the sender, and nothing is dropped while both ends live. A packet waits for its own capability, and those behind it
//! for the packet. What was sent before an end goes ahead of `Close` and is delivered before the proxy is deleted. A capability that
//! cannot go along (its kind, no slot, no record, no bit, a dead route) is lost alone: the packet goes, and says so ([`Carried::Lost`]).
//!
//! # What it costs
//!
//! A record: 192 bytes and 96 a packet of the window on each of the two cores (capabilities being words), an endpoint of the monitor,
//! and a copy of the peer's capability. Making a route: `Offer` goes with its packet, then `Opened` and `Accept`; ending it: `Close` each way. A packet: two
//! lines, and a line of credit for each half of a window. [`Routes::take`] looks at every record: a walk over `R` flags. A call takes at
//! most one packet out of each ring of routes to that core, or puts one window into one.
//!
//! A slow receiver fills its own window and its sender's ring, nothing else. The tables are one for all domains: who offers
//! endpoints without end to one that keeps them can use them up, and what others offer is then lost. Shares a domain are not here.
//!
//! # Whom it trusts
//!
//! Domains not at all. Other monitors to mean well: a message that cannot be, or not now, changes nothing, is counted and reported.
//! That a well-formed `Open` comes from the domain that it names is believed.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod incoming;
mod kernel;
mod outgoing;
mod record;
mod routes;
mod wire;

pub use kernel::{Carried, Class, Failed, Kernel, Nonsense, NotBegun, Proxy, PutError};
pub use routes::Routes;
pub use wire::{Along, CoreId, KINDS, Line, Message, RecordId, Tag, packet_follows};

/// Offers to a core that may be without an answer; more wait.
pub const OFFERS: usize = 4;
