//! Giving back a part of an allocation.

use alloc::format;

use abi::{PAGE_SIZE, Rights};
use interfaces::MemoryError;
use rt::memory::{account, allocate, trim};
use rt::vspace::map;
use rt::{OwnedCap, RtError, slots};
use sys::{Cap, Frame, Ram};

use crate::{Outcome, check};

const MIB: u64 = 1 << 20;
const BYTES: u64 = 16 * MIB;
/// Where the page lies that is kept.
const KEPT: u64 = 5 * MIB + 3 * PAGE_SIZE;
const DATA: Rights = Rights::READ.or(Rights::WRITE);

/// How much this domain has, and how much is free, in bytes.
fn used_and_free() -> Result<(u64, u64), RtError> {
    let status = rt::names::memory_service()?.status().map_err(|_| RtError::NotAvailable)?;
    Ok((account()?.used, status.iter().map(|core| core.free_kib * 1024).sum()))
}

/// Takes some MiB, keeps one page of them, and gives the rest back.
pub(crate) fn all() -> Outcome {
    let failed = |error: RtError| format!("{error}");
    let now = || used_and_free().map_err(failed);
    // So that what has to grow has grown.
    drop(rt::memory::frame(PAGE_SIZE).map_err(failed)?);
    now()?;
    let before = now()?;
    let ram = Cap::<Ram>::new(allocate(BYTES, PAGE_SIZE).map_err(failed)?);
    check("all of it is accounted", now()? == (before.0 + BYTES, before.1 - BYTES))?;
    let base = ram.identify().map_err(|error| format!("{error}"))?.base;
    let slot = slots::allocate().map_err(failed)?;
    ram.retype::<Frame>(KEPT, PAGE_SIZE, 1, slot).map_err(|error| format!("{error}"))?;
    let page = OwnedCap::<Frame>::new(slot);
    refused("while a capability covers all of it", trim(base, MIB), MemoryError::InUse)?;
    slots::discard(ram.address());
    refusals(base)?;

    let shown = map(page.cap(), 0, PAGE_SIZE, DATA).map_err(failed)?;
    let word = shown.pointer().cast::<u64>();
    // SAFETY: mapped, a page long, and nobody else's.
    unsafe { word.write_volatile(base) };
    let before = now()?;
    for (what, offset, bytes) in [
        ("before", 0, MIB),
        ("between", 2 * MIB, MIB),
        ("up to the page", 3 * MIB, KEPT - 3 * MIB),
        ("at the end", 15 * MIB, MIB),
        ("behind the page", KEPT + PAGE_SIZE, 15 * MIB - KEPT - PAGE_SIZE),
    ] {
        check(&format!("a part {what} goes back"), trim(base + offset, bytes) == Ok(()))?;
        refused(&format!("twice, {what}"), trim(base + offset, bytes), MemoryError::NotAllocated)?;
    }
    refused(
        "that came along, because nothing was left in it",
        trim(base + MIB, MIB),
        MemoryError::NotAllocated,
    )?;
    let rest = BYTES - PAGE_SIZE;
    check("all but the page is free", now()? == (before.0 - rest, before.1 + rest))?;
    slots::discard(allocate(KEPT, PAGE_SIZE).map_err(failed)?);
    // SAFETY: as before.
    check("and the page is as it was", unsafe { word.read_volatile() } == base)?;
    drop(shown);
    let before = now()?;
    drop(page);
    check("the page goes back by itself", now()? == (before.0 - PAGE_SIZE, before.1 + PAGE_SIZE))
}

fn refused(what: &str, done: Result<(), MemoryError>, why: MemoryError) -> Outcome {
    check(&format!("nothing goes back {what}"), done == Err(why))
}

/// Parts that do not go back, of an allocation of which one page is in use.
fn refusals(base: u64) -> Outcome {
    refused("that is in use", trim(base + KEPT, PAGE_SIZE), MemoryError::InUse)?;
    refused("of which a page is in use", trim(base, BYTES - PAGE_SIZE), MemoryError::InUse)?;
    refused("if it is all of it", trim(base, BYTES), MemoryError::InUse)?;
    refused("from the middle of a page on", trim(base + 100, PAGE_SIZE), MemoryError::BadSize)?;
    refused("that is no number of pages", trim(base, 100), MemoryError::BadSize)?;
    refused("that is nothing", trim(base, 0), MemoryError::BadSize)?;
    refused("that goes on behind it", trim(base, 2 * BYTES), MemoryError::BeyondAllocation)?;
    refused("where there is no memory", trim(0, PAGE_SIZE), MemoryError::NotManaged)?;
    // The memory server itself has the lowest.
    let below = (1..=base / MIB).map(|distance| trim(base - distance * MIB, PAGE_SIZE));
    check("nothing goes back of another domain's", { below }.any(|it| it == Err(MemoryError::NotYours)))
}
