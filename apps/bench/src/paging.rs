//! Memory that comes when it is touched, and a page that comes, is touched and goes.

use abi::{PAGE_SIZE, Rights};
use rt::RtError;
use rt::vspace::{Paging, reserve};

use crate::counters::{self, Cost};
use crate::memory::settle;
use crate::{Outcome, failed, report};

const DATA: Rights = Rights::READ.or(Rights::WRITE);
/// What is touched for the first time: as much as was measured of Linux.
const BYTES: u64 = 64 << 20;
/// Pages that come and go, one after the other.
const ROUNDS: u64 = 64;

pub(crate) fn measure() -> Outcome {
    let small = first_touch(Paging::Small)?;
    report("first_touch_page", small.all.div_ceil(BYTES / PAGE_SIZE));
    report("first_touch_page_kernel", small.kernel.div_ceil(BYTES / PAGE_SIZE));
    report("first_touch_large", first_touch(Paging::Large)?.all);
    let frame = in_a_row(frame_round)?;
    let reserved = in_a_row(reserved_round)?;
    report("map_touch_unmap_frame", frame.all.div_ceil(ROUNDS));
    report("map_touch_unmap_frame_kernel", frame.kernel.div_ceil(ROUNDS));
    report("map_touch_unmap_reserved", reserved.all.div_ceil(ROUNDS));
    report("map_touch_unmap_reserved_kernel", reserved.kernel.div_ceil(ROUNDS));
    // Whoever wants a page of its own takes the cheaper way.
    report("map_touch_unmap", frame.all.min(reserved.all).div_ceil(ROUNDS));
    Ok(())
}

/// Writes a word on each page of fresh memory.
fn first_touch(paging: Paging) -> Result<Cost, alloc::string::String> {
    let reserved = reserve(BYTES, DATA, paging).map_err(failed("reserving"))?;
    let cost = counters::measure(|| {
        for page in (0..BYTES).step_by(PAGE_SIZE as usize) {
            touch(reserved.pointer().wrapping_add(page as usize));
        }
    });
    drop(reserved);
    settle()?;
    Ok(cost)
}

/// Writes a word.
fn touch(at: *mut u8) {
    // SAFETY: whoever calls has it mapped, or reserved to be mapped now, writable and aligned to a page.
    unsafe { at.cast::<u64>().write_volatile(1) };
}

/// What [`ROUNDS`] rounds cost after a few: each also pays for what the memory server does when the page before has come
/// back.
fn in_a_row(round: fn() -> Result<(), RtError>) -> Result<Cost, alloc::string::String> {
    let mut outcome = Ok(());
    let mut rounds = |count| (0..count).for_each(|_| outcome = outcome.and_then(|()| round()));
    rounds(8);
    let cost = counters::measure(|| rounds(ROUNDS));
    outcome.map_err(failed("a page"))?;
    settle()?;
    Ok(cost)
}

/// A frame of a page, mapped, touched, unmapped and given back.
fn frame_round() -> Result<(), RtError> {
    let frame = rt::memory::frame(PAGE_SIZE)?;
    let mapped = rt::vspace::map(frame.cap(), 0, PAGE_SIZE, DATA)?;
    touch(mapped.pointer());
    Ok(())
}

/// A page reserved, touched and given back.
fn reserved_round() -> Result<(), RtError> {
    let reserved = reserve(PAGE_SIZE, DATA, Paging::Small)?;
    touch(reserved.pointer());
    Ok(())
}
