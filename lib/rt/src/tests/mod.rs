//! Tests over the model kernel: each test thread is a domain of its own, with a dispatcher frame on the heap.

mod bank;
mod books;
mod events;
mod refusals;
mod rpc;
mod sync;
mod threads;

use alloc::boxed::Box;
use core::ptr::NonNull;

use abi::layout::{EARLY_RAM, PAGE_CNODE};
use abi::packet::{Header, Packet};
use abi::{CapAddr, Rights};
use paging::Unbacked;
use sys::CapType;

use crate::domain::Runtime;
use crate::frame::Frame;
use crate::start::FIRST_RING;
use crate::{critical, dispatch, events as table, memory, vspace};

/// Bytes of the test domains' dispatcher frames.
const FRAME_SIZE: u64 = 16 * 1024;
/// Events of the test domains' dispatchers.
const EVENTS: u32 = 96;
/// Where the early Ram of the test domains begins.
const RAM_BASE: u64 = 0x4000_0000;
/// The level 1 table of the test domains.
const LEVEL1: CapAddr = CapAddr::new(PAGE_CNODE, 1);

#[repr(align(64))]
struct Memory([u8; FRAME_SIZE as usize]);

/// Starts the runtime of this thread's domain with `ram` bytes of early Ram. It never asks a memory service.
pub(crate) fn domain(ram: u64) -> Frame {
    let frame = domain_that_asks(ram);
    memory::live_on_own();
    frame
}

/// As [`domain`], but it may ask a memory service.
fn domain_that_asks(ram: u64) -> Frame {
    sys::fake::reset();
    let memory = Box::leak(Box::new(Memory([0; FRAME_SIZE as usize])));
    let base = memory.0.as_mut_ptr();
    sys::fake::with(|fake| {
        fake.set_frame(base, FRAME_SIZE);
        fake.install(EARLY_RAM, CapType::Ram, RAM_BASE, ram);
        fake.install(LEVEL1, CapType::VNodeL1, 0, 4096);
    });
    // SAFETY: leaked memory of that size and alignment, which only the model and the runtime use from now on.
    let frame = unsafe { Frame::new(NonNull::new(base).unwrap(), FRAME_SIZE) };
    dispatch::init(frame);
    table::init(1, EVENTS, FIRST_RING..FRAME_SIZE);
    memory::init();
    vspace::init(sys::Cap::new(LEVEL1));
    frame
}

/// What a write to `address` does that faults, out of a critical section if it is `inside` one.
fn fault(address: u64, inside: bool) -> Result<(), Unbacked> {
    critical::section(|| paging::back::<Runtime>(address, Rights::WRITE, inside))
}

/// A packet that can be told from others by its first word.
fn packet(number: u64) -> Packet {
    Packet { header: Header::new(1, 0, 8, 0, 0).0, words: [number, 0, 0, 0, 0, 0, 0] }
}
