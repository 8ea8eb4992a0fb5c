//! The first domain, and the monitor of its core.
//!
//! ```text
//!   kernel ──► init ──► mem    all RAM                        from early Ram
//!               │  └──► names                                 from mem, like all that follow
//!               │  └──► serial UART, its interrupt
//!               │  └──► spawn  boot modules
//!               │         └──► sh ...
//!               └ serves "system": log, facts, power (the Kernel capability stays here, K5)
//! ```
//!
//! It lives on what the kernel gave it and is nobody's client for its own needs, so nothing that it starts can make it
//! wait for ever. Each server gets what it needs and nothing else ([`domain::servers`]). While there is no name service,
//! `bootstrap` stands in for it.
//!
//! When a part that the system cannot do without ends, or the shell does, the machine is switched off.
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

mod boot;
mod bootstrap;
mod cores;
mod monitor;
mod parts;
mod shares;
mod start;
mod system;

pub use start::{InitError, run, switch_off};
