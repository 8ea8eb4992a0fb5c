//! Checking the capability protocol before it runs: every state of small systems, with the code that ships.
//!
//! [`world`] is the system that is checked: cores, units, messages, users, over [`capops`]. [`cost`] counts its messages.
//!
//! A system is what implements [`system::System`]. [`explore`] looks at all its states and steps, and [`story`] tells how it comes to
//! what is wrong. [`toys`] are systems of which the truth is known.
#![forbid(unsafe_code)]

pub mod cost;
pub mod explore;
pub mod story;
pub mod system;
pub mod toys;
pub mod world;
