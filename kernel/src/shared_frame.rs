//! The kernel's view of a dispatcher frame: memory that user space may write at any time.
//!
//! Nothing read here is believed (K6). Accesses are relaxed atomics, because a thread of the same
//! domain on this core is stopped while the kernel runs but the frame may be shared further.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use abi::frame::{
    AREAS_OFFSET, Area, CONTEXT_SIZE, Context, FP_OFFSET, FP_SIZE, FP_USED_OFFSET, FpContext, READY_OFFSET,
};
use abi::packet::{PACKET_SIZE, Packet};

use crate::arch;

/// A dispatcher frame, reached by its physical memory.
#[derive(Clone, Copy)]
pub struct SharedFrame {
    base: *mut u8,
    size: u64,
}

impl SharedFrame {
    /// The frame at `base`.
    ///
    /// # Safety
    /// `base` points to `size` bytes of RAM, page aligned, that a Frame capability names, for as long as the value lives.
    #[inline(always)]
    pub unsafe fn new(base: *mut u8, size: u64) -> SharedFrame {
        SharedFrame { base, size }
    }

    /// Bytes of the frame.
    #[inline(always)]
    pub fn size(self) -> u64 {
        self.size
    }

    #[inline(always)]
    fn word(self, offset: u64) -> &'static AtomicU64 {
        debug_assert!(offset + 8 <= self.size);
        // SAFETY: all offsets come from `abi::frame` or from a ring that was checked against `size` when it was
        // configured; the frame is page aligned RAM (see `new`), and every access to it is atomic.
        unsafe { AtomicU64::from_ptr(self.base.add(offset as usize).cast()) }
    }

    #[inline(always)]
    fn half(self, offset: u64) -> &'static AtomicU32 {
        debug_assert!(offset + 4 <= self.size);
        // SAFETY: as `word`.
        unsafe { AtomicU32::from_ptr(self.base.add(offset as usize).cast()) }
    }

    /// Whether upcalls are disabled.
    #[inline(always)]
    pub fn is_disabled(self) -> bool {
        self.word(0).load(Relaxed) != 0
    }

    /// Disables or enables upcalls.
    #[inline(always)]
    pub fn set_disabled(self, disabled: bool) {
        self.word(0).store(u64::from(disabled), Relaxed);
    }

    /// Whether any event is ready.
    #[inline(always)]
    pub fn any_ready(self) -> bool {
        self.word(8).load(Relaxed) != 0
    }

    /// Marks event `index` as ready. `index` is below `abi::frame::MAX_EVENTS`.
    #[inline(always)]
    pub fn set_ready(self, index: u32) {
        let group = u64::from(index >> 6);
        self.word(READY_OFFSET + group * 8).fetch_or_relaxed(1 << (index & 63));
        self.word(8).fetch_or_relaxed(1 << group);
    }

    /// Copies a context out of a save area. What user space writes there meanwhile, on another core, may or may not be in it.
    #[inline(always)]
    pub fn load_context(self, area: Area, context: &mut Context) {
        // SAFETY: the area lies in the frame (see `word`), `context` is one, and any bits make a context.
        unsafe { arch::copy_context(self.area(area), context) };
    }

    /// Copies a context into a save area.
    #[inline(always)]
    pub fn store_context(self, area: Area, context: &Context) {
        // SAFETY: as `load_context`.
        unsafe { arch::copy_context(context, self.area(area)) };
    }

    #[inline(always)]
    fn area(self, area: Area) -> *mut Context {
        let offset = AREAS_OFFSET + area as u64 * CONTEXT_SIZE;
        debug_assert!(offset + CONTEXT_SIZE <= self.size);
        // SAFETY: inside the frame, which is at least a page.
        unsafe { self.base.add(offset as usize).cast() }
    }

    /// Where FP registers lie while another dispatcher has the unit. Only for the instructions that move them.
    pub fn fp(self) -> *mut FpContext {
        debug_assert!(FP_OFFSET + FP_SIZE <= self.size);
        // SAFETY: inside the frame, which is at least a page.
        unsafe { self.base.add(FP_OFFSET as usize).cast() }
    }

    /// Its first use of FP: registers of zero, and a word for the runtime.
    pub fn begin_fp(self) {
        for word in 0..FP_SIZE / 8 {
            self.word(FP_OFFSET + 8 * word).store(0, Relaxed);
        }
        self.word(FP_USED_OFFSET).store(1, Relaxed);
    }

    /// The receiver's count of packets taken out of the ring at `ring`.
    #[inline(always)]
    pub fn ring_head(self, ring: u32) -> u32 {
        self.half(u64::from(ring)).load(Relaxed)
    }

    /// Tells the receiver how many packets were put in.
    #[inline(always)]
    pub fn set_ring_tail(self, ring: u32, tail: u32) {
        self.half(u64::from(ring) + 4).store(tail, Relaxed);
    }

    /// Sets bits of the ring's flags.
    pub fn set_ring_flags(self, ring: u32, flags: u32) {
        let word = self.half(u64::from(ring) + 8);
        word.store(word.load(Relaxed) | flags, Relaxed);
    }

    /// The ring's flags: the receiver's word for them.
    pub fn ring_flags(self, ring: u32) -> u32 {
        self.half(u64::from(ring) + 8).load(Relaxed)
    }

    /// Starts an empty ring.
    pub fn clear_ring(self, ring: u32) {
        for word in 0..3 {
            self.half(u64::from(ring) + 4 * word).store(0, Relaxed);
        }
    }

    /// Writes a packet into its place of the ring at `ring`, `place` being below the ring's size.
    #[inline(always)]
    pub fn put_packet(self, ring: u32, place: u32, packet: &Packet) {
        let start = u64::from(ring) + PACKET_SIZE + u64::from(place) * PACKET_SIZE;
        self.word(start).store(packet.header, Relaxed);
        for (i, word) in packet.words.iter().enumerate() {
            self.word(start + 8 + 8 * i as u64).store(*word, Relaxed);
        }
    }
}

/// Read-modify-write without an atomic instruction: on one core nobody runs between load and store.
trait RelaxedOr {
    fn fetch_or_relaxed(&self, bits: u64);
}

impl RelaxedOr for AtomicU64 {
    #[inline(always)]
    fn fetch_or_relaxed(&self, bits: u64) {
        self.store(self.load(Relaxed) | bits, Relaxed);
    }
}
