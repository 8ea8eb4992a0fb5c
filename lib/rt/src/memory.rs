//! Where RAM comes from: what the builder gave at first, then the memory service.
//!
//! What may come back (frames, page tables) is an allocation of its own and returns to the service when it is deleted. What
//! stays as long as the domain (CNodes) is carved from chunks, from the start on; so is everything in a domain without a
//! memory service.

use core::cell::{Cell, RefCell};

use abi::layout::EARLY_RAM;
use abi::{CapAddr, PAGE_SIZE};
use interfaces::{Account, MemoryError};
use sys::{Cap, CapKind, Frame, Ram};

use crate::dispatch;
use crate::error::RtError;
use crate::heap::reserve_only;
use crate::local::local;
use crate::owned::OwnedCap;
use crate::{critical, names, slots, thread};

/// Bytes that are asked of the memory service for carving.
const CHUNK: u64 = 256 * 1024;
/// Chunks that are carved at a time.
const CHUNKS: usize = 8;

#[derive(Clone, Copy)]
struct Chunk {
    ram: CapAddr,
    base: u64,
    size: u64,
    used: u64,
}

impl Chunk {
    fn carve(&mut self, bytes: u64, align: u64) -> Option<(Cap<Ram>, u64)> {
        let start = (self.base + self.used).checked_next_multiple_of(align)? - self.base;
        let end = start.checked_add(bytes)?;
        if end > self.size {
            return None;
        }
        self.used = end;
        Some((Cap::new(self.ram), start))
    }
}

local! {
    static CHUNKS_LEFT: RefCell<[Option<Chunk>; CHUNKS]> = RefCell::new([None; CHUNKS]);
}
local! {
    /// Whether the memory service may be asked.
    static ASK: Cell<bool> = Cell::new(true);
}

/// Starts with what the builder gave, if it gave something.
pub(crate) fn init() {
    // An empty slot is no error: some domains have a memory service from the start.
    let _ = donate(EARLY_RAM);
}

/// Adds the Ram capability in `ram` to what is carved. For those who have memory of their own.
///
/// # Errors
/// When no Ram capability lies there.
pub fn donate(ram: CapAddr) -> Result<(), RtError> {
    let identity = Cap::<Ram>::new(ram).identify()?;
    if identity.kind != sys::CapType::Ram {
        return Err(RtError::NotAvailable);
    }
    add(Chunk { ram, base: identity.base, size: identity.size, used: 0 });
    Ok(())
}

/// Never asks the memory service: for the memory service itself and what it depends on.
pub fn live_on_own() {
    ASK.with(|ask| ask.set(false));
}

/// Whether the memory service may be asked.
pub(crate) fn asks() -> bool {
    ASK.with(Cell::get)
}

/// Bytes that can be carved without asking anybody.
pub fn left() -> u64 {
    CHUNKS_LEFT.with(|chunks| chunks.borrow().iter().flatten().map(|chunk| chunk.size - chunk.used).sum())
}

/// As [`left`], in one piece.
pub fn largest() -> u64 {
    CHUNKS_LEFT.with(|chunks| {
        chunks.borrow().iter().flatten().map(|chunk| chunk.size - chunk.used).max().unwrap_or(0)
    })
}

/// Adds a chunk, in place of the one with least left.
fn add(chunk: Chunk) {
    CHUNKS_LEFT.with(|chunks| {
        let mut chunks = chunks.borrow_mut();
        let least = chunks.iter_mut().min_by_key(|slot| slot.map_or(0, |chunk| chunk.size - chunk.used));
        if let Some(place) = least {
            *place = Some(chunk);
        }
    });
}

fn carve_own(bytes: u64, align: u64) -> Option<(Cap<Ram>, u64)> {
    CHUNKS_LEFT
        .with(|chunks| chunks.borrow_mut().iter_mut().flatten().find_map(|chunk| chunk.carve(bytes, align)))
}

/// A part of a Ram capability: the capability and the byte offset in it. `bytes` is a multiple of the page; the
/// physical address is a multiple of `align`, a power of two.
///
/// # Errors
/// `OutOfMemory`.
pub fn carve(bytes: u64, align: u64) -> Result<(Cap<Ram>, u64), RtError> {
    critical::probe_stack_for_call();
    critical::section(|| {
        if let Some(part) = carve_own(bytes, align) {
            return Ok(part);
        }
        let size = bytes.checked_add(align).ok_or(RtError::OutOfMemory)?;
        // Near the limit just enough may still be to be had.
        let ram = allocate(size.max(CHUNK), PAGE_SIZE).or_else(|_| allocate(size, PAGE_SIZE))?;
        donate(ram).inspect_err(|_| slots::discard(ram))?;
        carve_own(bytes, align).ok_or(RtError::OutOfMemory)
    })
}

/// Asks the memory service for an allocation; the slot is the caller's.
///
/// # Errors
/// `OutOfMemory`, also when there is no memory service (yet).
pub fn allocate(bytes: u64, align: u64) -> Result<CapAddr, RtError> {
    if !asks() {
        return Err(RtError::OutOfMemory);
    }
    names::provide_memory();
    critical::probe_stack_for_call();
    critical::section(|| {
        // The answer needs a slot, and so does the one after it.
        let _ = slots::provide();
        let answer = reserve_only(|| names::ask_memory(bytes, align));
        // The wait for the answer may have used up a wake-up that was meant for the wait around it.
        dispatch::unpark(thread::current());
        answer
    })
}

/// Gives `bytes` bytes from physical address `base` on back to the memory service: a part of what it was once given by
/// [`allocate`], over which no capability lies any more, neither here nor elsewhere. So that what is kept of a large allocation does not
/// keep all of it. The whole of an allocation goes back by itself.
///
/// # Errors
/// Those of the memory service; `NotAllocated` without one.
pub fn trim(base: u64, bytes: u64) -> Result<(), MemoryError> {
    let service = names::memory_service().map_err(|_| MemoryError::NotAllocated)?;
    service.trim(base, bytes)
}

/// What this domain has of the memory, by the memory service's account, and may have.
///
/// # Errors
/// `NotAvailable` without a memory service, `Call`.
pub fn account() -> Result<Account, RtError> {
    names::memory_service()?.account().map_err(|error| match error {
        MemoryError::Call(error) => RtError::Call(error),
        _ => RtError::NotAvailable,
    })
}

/// Bytes that this domain could get now, by its account and by what is free.
///
/// # Errors
/// As [`account`].
pub(crate) fn obtainable() -> Result<u64, RtError> {
    let free = names::memory_service()?.status().map_err(|_| RtError::NotAvailable)?;
    let free: u64 = free.iter().map(|core| core.free_kib * 1024).sum();
    let Account { used, limit } = account()?;
    Ok(free.min(limit.saturating_sub(used)))
}

/// Makes a kernel object (a CNode, a dispatcher, …) of `bytes` bytes, aligned to its size, out of what is carved: its
/// memory stays with the domain when it is deleted.
///
/// # Errors
/// `OutOfMemory`, and those of the kernel.
pub fn object<K: CapKind>(bytes: u64) -> Result<OwnedCap<K>, RtError> {
    let (ram, offset) = carve(bytes, bytes.next_power_of_two())?;
    retype(ram, offset, bytes)
}

/// Makes a kernel object of `bytes` bytes, aligned to its size: an allocation of its own, which goes back when it is
/// deleted. As [`object`] where there is no memory service.
///
/// # Errors
/// `OutOfMemory`, and those of the kernel.
pub fn own_object<K: CapKind>(bytes: u64) -> Result<OwnedCap<K>, RtError> {
    own(bytes.next_multiple_of(PAGE_SIZE), bytes.next_power_of_two().max(PAGE_SIZE), bytes)
}

/// Makes a zeroed frame of `bytes` bytes, rounded up to pages, whose address is a multiple of `align`: an allocation of its
/// own, which goes back when it is deleted. Where there is no memory service it is carved, and stays.
///
/// # Errors
/// `OutOfMemory`, and those of the kernel.
pub fn own_frame(bytes: u64, align: u64) -> Result<OwnedCap<Frame>, RtError> {
    let bytes = bytes.max(1).checked_next_multiple_of(PAGE_SIZE).ok_or(RtError::OutOfMemory)?;
    own(bytes, align, bytes)
}

/// As [`own_frame`], wherever it lies.
///
/// # Errors
/// `OutOfMemory`, and those of the kernel.
pub fn frame(bytes: u64) -> Result<OwnedCap<Frame>, RtError> {
    own_frame(bytes, PAGE_SIZE)
}

fn own<K: CapKind>(bytes: u64, align: u64, size: u64) -> Result<OwnedCap<K>, RtError> {
    let ram = match allocate(bytes, align) {
        Ok(ram) => ram,
        Err(error) => {
            let (ram, offset) = carve_own(bytes, align).ok_or(error)?;
            return retype(ram, offset, size);
        }
    };
    let made = retype(Cap::new(ram), 0, size);
    slots::discard(ram);
    made
}

fn retype<K: CapKind>(ram: Cap<Ram>, offset: u64, bytes: u64) -> Result<OwnedCap<K>, RtError> {
    let slot = slots::allocate()?;
    if let Err(error) = ram.retype::<K>(offset, bytes, 1, slot) {
        slots::release(slot);
        return Err(error.into());
    }
    Ok(OwnedCap::new(slot))
}
