//! The dispatcher frame, seen from its owner: ready events and rings.
//!
//! ```text
//!   0x000  abi::frame::DispatcherFrame     the kernel sets ready bits here
//!   0x600  Collected                       ready bits that an upcall took over; the parked stack pointer
//!   0x800  abi::frame::FpContext           the kernel's, for FP registers
//!   0x1000 ring of the names channel       NAMES_RING_PACKETS packets
//!   ...    rings, from StartInfo::first_ring on
//! ```
//!
//! All raw access to the frame is here. Words that the kernel or an upcall also writes are accessed atomically;
//! a kernel entry clears the exclusive monitor, so that an interrupted update starts again.

use core::mem::offset_of;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use abi::frame::{
    AREAS_OFFSET, Area, Context, DispatcherFrame, FP_OFFSET, FP_SIZE, FP_USED_OFFSET, MAX_EVENTS,
    READY_OFFSET, RingHead,
};
use abi::packet::{PACKET_SIZE, Packet};
use ipc::wire::copy_words;

/// Offset of [`Collected`] in the frame.
pub(crate) const COLLECTED_OFFSET: u64 = 0x600;
/// Offset in the frame of the stack pointer of the context that waits; 0 before the first wait.
pub(crate) const PARKED_OFFSET: u64 = offset_of!(DispatcherFrame, runtime) as u64;
/// Lowest offset at which a ring can lie.
pub(crate) const RINGS_OFFSET: u64 = 0x1000;

const WORDS: usize = MAX_EVENTS / 64;

/// Ready bits that were taken out of the kernel's words by an upcall that could not handle them.
#[repr(C)]
struct Collected {
    summary: AtomicU64,
    words: [AtomicU64; WORDS],
}

const _: () = assert!(COLLECTED_OFFSET + size_of::<Collected>() as u64 <= FP_OFFSET);
const _: () = assert!(FP_OFFSET + FP_SIZE <= RINGS_OFFSET);
const _: () = assert!(size_of::<DispatcherFrame>() as u64 <= COLLECTED_OFFSET);

/// The frame of this domain.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    base: NonNull<u8>,
    size: u64,
}

impl Frame {
    /// The frame at `base`.
    ///
    /// # Safety
    /// `size` bytes (at least [`RINGS_OFFSET`]) at `base`, aligned to 64, are a dispatcher frame that stays mapped
    /// for the rest of the domain's life and that nothing but kernel and this module accesses.
    pub(crate) unsafe fn new(base: NonNull<u8>, size: u64) -> Frame {
        Frame { base, size }
    }

    /// Its address.
    pub(crate) fn base(self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Its bytes.
    pub(crate) fn size(self) -> u64 {
        self.size
    }

    fn kernel_summary(&self) -> &AtomicU64 {
        // SAFETY: inside the frame, aligned; both sides use it atomically (module documentation).
        unsafe { self.base.byte_add(offset_of!(DispatcherFrame, ready_summary)).cast::<AtomicU64>().as_ref() }
    }

    fn kernel_words(&self) -> &[AtomicU64; WORDS] {
        // SAFETY: as for the summary.
        unsafe { self.base.byte_add(READY_OFFSET as usize).cast::<[AtomicU64; WORDS]>().as_ref() }
    }

    fn collected(&self) -> &Collected {
        // SAFETY: in the runtime's part of the frame, which is zeroed memory at first.
        unsafe { self.base.byte_add(COLLECTED_OFFSET as usize).cast::<Collected>().as_ref() }
    }

    /// Whether some event is ready.
    #[inline]
    pub(crate) fn any_ready(self) -> bool {
        (self.kernel_summary().load(Ordering::Acquire) | self.collected().summary.load(Ordering::Relaxed))
            != 0
    }

    /// Takes the ready events out and gives each to `f`.
    pub(crate) fn take_ready(self, mut f: impl FnMut(u32)) {
        take(self.kernel_summary(), self.kernel_words(), |word, bits| each_bit(word, bits, &mut f));
        let collected = self.collected();
        take(&collected.summary, &collected.words, |word, bits| each_bit(word, bits, &mut f));
    }

    /// Takes the ready bits over, so that the kernel sees none. [`Frame::take_ready`] gives them later. For upcalls.
    pub(crate) fn collect(self) {
        let collected = self.collected();
        take(self.kernel_summary(), self.kernel_words(), |word, bits| {
            collected.words[word].fetch_or(bits, Ordering::Relaxed);
            collected.summary.fetch_or(1 << word, Ordering::Relaxed);
        });
    }

    /// Makes an event ready (again), to be given by the next [`Frame::take_ready`].
    pub(crate) fn set_ready(self, event: u32) {
        let collected = self.collected();
        let word = event as usize / 64 % WORDS;
        collected.words[word].fetch_or(1 << (event % 64), Ordering::Relaxed);
        collected.summary.fetch_or(1 << word, Ordering::Relaxed);
    }

    /// Whether this domain has used FP or SIMD: then its threads' registers are switched with them.
    #[inline]
    pub(crate) fn uses_fp(self) -> bool {
        // SAFETY: a word of the head of the frame, which the kernel writes in this core's own entries.
        unsafe { self.base.byte_add(FP_USED_OFFSET as usize).cast::<AtomicU64>().as_ref() }
            .load(Ordering::Relaxed)
            != 0
    }

    fn area(self, area: Area) -> NonNull<Context> {
        // SAFETY: the areas lie in the head of the frame (`abi::frame`).
        unsafe { self.base.byte_add(AREAS_OFFSET as usize).cast::<Context>().add(area as usize) }
    }

    /// The context in a save area. It stays as it is while upcalls are disabled (`Enabled`), or a fault is handled (`Trap`).
    pub(crate) fn context(self, area: Area) -> Context {
        // SAFETY: plain words that are always mapped.
        unsafe { self.area(area).read() }
    }

    /// Puts a context into a save area, for `Resume`. Upcalls are disabled.
    pub(crate) fn set_context(self, area: Area, context: &Context) {
        // SAFETY: as in `context`.
        unsafe { self.area(area).write(*context) }
    }

    /// The ring of `packets` packets at `offset`, emptied. `None` if it is not inside the frame.
    pub(crate) fn ring(self, offset: u64, packets: u32) -> Option<Ring> {
        let bytes = ring_bytes(packets);
        let fits = packets.is_power_of_two()
            && offset >= RINGS_OFFSET
            && offset.is_multiple_of(PACKET_SIZE)
            && offset.checked_add(bytes)? <= self.size;
        if !fits {
            return None;
        }
        // SAFETY: inside the frame, by the check above.
        let base = unsafe { self.base.byte_add(offset as usize) };
        let ring = Ring { base, mask: packets - 1 };
        // The kernel starts from 0 when the endpoint is configured; a former user may have left something else.
        ring.half(offset_of!(RingHead, head)).store(0, Ordering::Relaxed);
        ring.half(offset_of!(RingHead, tail)).store(0, Ordering::Relaxed);
        ring.half(offset_of!(RingHead, flags)).store(0, Ordering::Relaxed);
        Some(ring)
    }
}

/// Bytes of a ring of `packets` packets with its head.
pub(crate) const fn ring_bytes(packets: u32) -> u64 {
    PACKET_SIZE * (1 + packets as u64)
}

/// Empties the words of a ready map that its summary names. The summary goes first: a bit that comes between is
/// announced again, never lost.
fn take(summary: &AtomicU64, words: &[AtomicU64; WORDS], mut f: impl FnMut(usize, u64)) {
    if summary.load(Ordering::Relaxed) == 0 {
        return;
    }
    let mut left = summary.swap(0, Ordering::AcqRel);
    while left != 0 {
        let word = left.trailing_zeros() as usize;
        left &= left - 1;
        if let Some(bits) = words.get(word) {
            f(word, bits.swap(0, Ordering::AcqRel));
        }
    }
}

fn each_bit(word: usize, mut bits: u64, f: &mut impl FnMut(u32)) {
    while bits != 0 {
        f(word as u32 * 64 + bits.trailing_zeros());
        bits &= bits - 1;
    }
}

/// The receiving end of an endpoint's ring.
#[derive(Clone, Copy)]
pub(crate) struct Ring {
    base: NonNull<u8>,
    mask: u32,
}

impl Ring {
    #[inline]
    fn half(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: an aligned word of the ring's head, inside the frame (`Frame::ring`), used atomically by both sides.
        unsafe { self.base.byte_add(offset).cast::<AtomicU32>().as_ref() }
    }

    /// Packets that it can hold.
    pub(crate) fn packets(self) -> u32 {
        self.mask + 1
    }

    /// Whether no packet is in it.
    #[inline(always)]
    pub(crate) fn is_empty(self) -> bool {
        let head = self.half(offset_of!(RingHead, head)).load(Ordering::Relaxed);
        self.half(offset_of!(RingHead, tail)).load(Ordering::Relaxed) == head
    }

    /// Takes the oldest packet out, to `packet`. `false`: there is none.
    pub(crate) fn take(self, packet: &mut Packet) -> bool {
        if self.is_empty() {
            return false;
        }
        // The tail was written by this core's kernel, whose entry and return order everything.
        let head = self.half(offset_of!(RingHead, head));
        let index = head.load(Ordering::Relaxed);
        let offset = PACKET_SIZE as usize * (1 + (index & self.mask) as usize);
        // SAFETY: inside the ring, since the index is masked; the kernel writes this packet again only after the head
        // has passed it. Any bytes are a valid `Packet`.
        let oldest = unsafe { self.base.byte_add(offset).cast::<Packet>().as_ref() };
        packet.header = oldest.header;
        copy_words(&mut packet.words, &oldest.words);
        head.store(index.wrapping_add(1), Ordering::Release);
        true
    }

    /// The packet of this number, counted from the first one, if it has come. It stays.
    pub(crate) fn peek(self, number: u32) -> Option<Packet> {
        if self.half(offset_of!(RingHead, tail)).load(Ordering::Relaxed) == number {
            return None;
        }
        let offset = PACKET_SIZE as usize * (1 + (number & self.mask) as usize);
        // SAFETY: as in `take`, as long as the head has not passed it.
        Some(unsafe { self.base.byte_add(offset).cast::<Packet>().read() })
    }

    /// Tells the kernel which packet is the oldest that it must not overwrite.
    pub(crate) fn set_head(self, number: u32) {
        self.half(offset_of!(RingHead, head)).store(number, Ordering::Release);
    }

    /// Sets flags that are the receiver's to set.
    pub(crate) fn set_flags(self, flags: u32) {
        self.half(offset_of!(RingHead, flags)).fetch_or(flags, Ordering::AcqRel);
    }

    /// Takes the `RING_*` flags in `which` out.
    #[inline]
    pub(crate) fn take_flags(self, which: u32) -> u32 {
        let flags = self.half(offset_of!(RingHead, flags));
        if flags.load(Ordering::Relaxed) & which == 0 {
            return 0;
        }
        flags.fetch_and(!which, Ordering::AcqRel) & which
    }

    /// Whether any of the `RING_*` flags in `which` is set.
    pub(crate) fn has_flags(self, which: u32) -> bool {
        self.half(offset_of!(RingHead, flags)).load(Ordering::Relaxed) & which != 0
    }
}
