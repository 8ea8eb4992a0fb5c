//! The kernel's side of a dispatcher frame: rings and ready bits, written as the real kernel writes them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use abi::frame::{DispatcherFrame, READY_OFFSET, RingHead};
use abi::packet::{PACKET_SIZE, Packet};

/// Memory of a dispatcher frame in the test process.
#[derive(Clone, Copy)]
pub(super) struct FrameMemory {
    base: *mut u8,
    size: u64,
}

impl FrameMemory {
    pub(super) fn new(base: *mut u8, size: u64) -> FrameMemory {
        assert!((base as usize).is_multiple_of(64), "a dispatcher frame is aligned to a cache line");
        FrameMemory { base, size }
    }

    fn at(&self, offset: u64, bytes: u64) -> *mut u8 {
        assert!(offset + bytes <= self.size, "offset {offset:#x} lies outside the frame");
        self.base.wrapping_add(offset as usize)
    }

    fn word(&self, offset: u64) -> &AtomicU64 {
        // SAFETY: `at` checks the bounds; the test keeps the memory alive, and both sides use atomics for these words.
        unsafe { AtomicU64::from_ptr(self.at(offset, 8).cast()) }
    }

    fn half(&self, offset: u64) -> &AtomicU32 {
        // SAFETY: as in `word`.
        unsafe { AtomicU32::from_ptr(self.at(offset, 4).cast()) }
    }

    /// Marks event `index` as ready, the word before the summary.
    pub(super) fn set_ready(&self, index: u64) {
        self.word(READY_OFFSET + index / 64 * 8).fetch_or(1 << (index % 64), Ordering::SeqCst);
        let summary = std::mem::offset_of!(DispatcherFrame, ready_summary) as u64;
        self.word(summary).fetch_or(1 << (index / 64), Ordering::SeqCst);
    }

    /// Whether any event is ready.
    pub(super) fn pending(&self) -> bool {
        self.word(std::mem::offset_of!(DispatcherFrame, ready_summary) as u64).load(Ordering::SeqCst) != 0
    }

    /// Sets `flags` in the head of the ring at `ring`.
    pub(super) fn set_flags(&self, ring: u64, flags: u32) {
        self.half(ring + std::mem::offset_of!(RingHead, flags) as u64).fetch_or(flags, Ordering::SeqCst);
    }

    /// Packets taken out so far, as the receiver says.
    pub(super) fn head(&self, ring: u64) -> u32 {
        self.half(ring + std::mem::offset_of!(RingHead, head) as u64).load(Ordering::SeqCst)
    }

    /// Writes a packet into the ring and publishes the tail.
    pub(super) fn put(&self, ring: u64, packets: u64, tail: u32, packet: &Packet) {
        let offset = ring + PACKET_SIZE + u64::from(tail) % packets * PACKET_SIZE;
        // SAFETY: `at` checks the bounds; the receiver reads packets only below the tail that is written next.
        unsafe { self.at(offset, PACKET_SIZE).cast::<Packet>().write(*packet) };
        let tail_at = ring + std::mem::offset_of!(RingHead, tail) as u64;
        self.half(tail_at).store(tail.wrapping_add(1), Ordering::SeqCst);
    }
}
