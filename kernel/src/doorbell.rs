//! Notifications across cores: the one thing that kernels share (K1).
//!
//! ```text
//!   core 1: NotifySignal on a Doorbell (core 0, bit 70)          core 0
//!             words[1] |= 1 << 6                    ┌──────────► SGI: swap summary bit, swap word,
//!             summary  |= 1 << 1, was 0? ── SGI ────┘            post the Notify that was exported as bit 70
//! ```
//!
//! A kernel sets bits of another core's doorbell and never clears them; the owner clears and never waits. Whoever finds a summary
//! bit set may leave: the owner clears it *before* it takes the word, so what was set before that is taken. Whoever
//! sets it sends the interrupt, which is only a hint: one without bits is legal, and so are bits whose notification has ended or
//! is another by now. They wake somebody who finds nothing.

use core::sync::atomic::{AtomicU64, Ordering};

use abi::ErrorKind;

use crate::board::Affinity;
use crate::boot_facts::BootFacts;
use crate::dispatcher::{DispatcherRef, EventKind};
use crate::events;
use crate::machine::Machine;

pub use abi::boot::MAX_CORES;
pub use abi::cap::DOORBELL_BITS;

const WORDS: usize = DOORBELL_BITS as usize / 64;
/// Bytes from one core's doorbell to the next one's.
const STRIDE: u64 = 1024;
/// Bytes of all doorbells.
pub const BYTES: u64 = MAX_CORES as u64 * STRIDE;
/// Words, of 64 notifications each, that are looked after in one go (K2).
const WORDS_AT_ONCE: usize = 4;

/// What other cores have signalled to a core. All zero: nothing.
#[repr(C)]
struct Doorbell {
    /// Bit w: something may be set in word w.
    summary: AtomicU64,
    words: [AtomicU64; WORDS],
}

const _: () = assert!(size_of::<Doorbell>() as u64 <= STRIDE && WORDS == 64);

/// The doorbells of all cores, and this core's notifications that others can ring.
pub struct Doorbells {
    /// Physical address of the first core's.
    base: u64,
    /// This core.
    own: u32,
    cores: &'static [Affinity],
    /// Where the next look at the own one begins.
    turn: u32,
    /// Bit b: bit b of the own one is somebody's.
    used: [u64; WORDS],
    /// Whose: `dispatcher | event index`, as in the table of interrupts.
    owners: [u64; DOORBELL_BITS as usize],
}

impl Doorbells {
    /// Of a core that cannot be rung.
    pub const NONE: Doorbells = Doorbells {
        base: 0,
        own: 0,
        cores: &[],
        turn: 0,
        used: [0; WORDS],
        owners: [0; DOORBELL_BITS as usize],
    };

    /// Writes one into zeroed memory; none is exported.
    ///
    /// # Safety
    /// `place` is zeroed memory for one, nobody else's. `base` is the physical address of all doorbells, [`BYTES`] bytes of RAM that
    /// nothing else uses.
    pub unsafe fn init(place: *mut Doorbells, facts: &'static BootFacts, base: u64) {
        // SAFETY: the caller's promise; zero is a value of the other fields.
        unsafe {
            (&raw mut (*place).base).write(base);
            (&raw mut (*place).own).write(facts.core);
            (&raw mut (*place).cores).write(facts.machine.cores.as_slice());
        }
    }

    /// Physical address of the first core's.
    pub const fn base(&self) -> u64 {
        self.base
    }

    fn take_free(&mut self) -> Option<u32> {
        let word = self.used.iter().position(|word| *word != u64::MAX)?;
        Some(word as u32 * 64 + self.used[word].trailing_ones())
    }

    fn is_used(&self, bit: u32) -> bool {
        self.used[bit as usize / 64] >> (bit % 64) & 1 != 0
    }
}

fn doorbell(m: &Machine, core: u32) -> &Doorbell {
    let address = m.doorbells.base + u64::from(core) * STRIDE;
    // SAFETY: `Doorbells::init` was promised that memory; it holds atomics alone, of which any bits are values.
    unsafe { &*m.hardware.direct_map(address).cast::<Doorbell>() }
}

/// Rings a bit of another core's (or the own) doorbell. What was written before is seen by whom it wakes.
pub fn ring(m: &mut Machine, core: u32, bit: u32) {
    let Some(&affinity) = m.doorbells.cores.get(core as usize) else { return };
    let (word, bit) = ((bit / 64) as usize % WORDS, 1 << (bit % 64));
    let bell = doorbell(m, core);
    bell.words[word].fetch_or(bit, Ordering::AcqRel);
    if bell.summary.fetch_or(1 << word, Ordering::AcqRel) >> word & 1 == 0 {
        m.hardware.signal_core(affinity);
    }
}

/// Posts what other cores have rung, or a part of it, and then comes again.
pub fn drain(m: &mut Machine) {
    let own = m.doorbells.own;
    for _ in 0..WORDS_AT_ONCE {
        let bell = doorbell(m, own);
        let summary = bell.summary.load(Ordering::Acquire);
        if summary == 0 {
            return;
        }
        let turn = m.doorbells.turn % 64;
        let word = (summary.rotate_right(turn).trailing_zeros() + turn) % 64;
        bell.summary.fetch_and(!(1 << word), Ordering::AcqRel);
        let mut bits = bell.words[word as usize].swap(0, Ordering::AcqRel);
        m.doorbells.turn = word + 1;
        while bits != 0 {
            post(m, word * 64 + bits.trailing_zeros());
            bits &= bits - 1;
        }
    }
    let own = m.doorbells.cores.get(own as usize).copied().unwrap_or_default();
    m.hardware.signal_core(own);
}

fn post(m: &mut Machine, bit: u32) {
    let word = m.doorbells.owners[bit as usize];
    if let Some(d) = DispatcherRef::at(word & !0xfff) {
        events::post(m, d, (word & 0xfff) as u32);
    }
}

/// Makes a notification one that other cores can ring, by the answered bit of this core's doorbell; one that is already keeps its
/// bit. `wanted`: that one or none.
///
/// # Errors
/// `BadEvent` for what is no notification, or one whose dispatcher has ended; `Nothing` when no bit is free, or not the wanted one.
pub fn export(m: &mut Machine, d: DispatcherRef, index: u32, wanted: Option<u32>) -> Result<u32, ErrorKind> {
    if m.dispatcher(d).state() == abi::frame::State::Ended || m.event(d, index).kind() != EventKind::Notify {
        return Err(ErrorKind::BadEvent);
    }
    if let Some(bit) = m.event(d, index).exported() {
        return if wanted.is_none_or(|wanted| wanted == bit) { Ok(bit) } else { Err(ErrorKind::Nothing) };
    }
    let bells = &mut m.doorbells;
    let bit = match wanted {
        Some(bit) if u64::from(bit) >= DOORBELL_BITS || bells.is_used(bit) => None,
        Some(bit) => Some(bit),
        None => bells.take_free(),
    };
    let bit = bit.ok_or(ErrorKind::Nothing)?;
    bells.used[bit as usize / 64] |= 1 << (bit % 64);
    bells.owners[bit as usize] = d.base() | u64::from(index);
    m.event_mut(d, index).set_exported(Some(bit));
    Ok(bit)
}

/// Nobody can ring this event any more.
pub fn withdraw(m: &mut Machine, d: DispatcherRef, index: u32) {
    if let Some(bit) = m.event(d, index).exported() {
        m.event_mut(d, index).set_exported(None);
        m.doorbells.used[bit as usize / 64] &= !(1 << (bit % 64));
        m.doorbells.owners[bit as usize] = 0;
    }
}
