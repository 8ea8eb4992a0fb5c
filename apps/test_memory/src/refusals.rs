//! What is refused, and what ends the program that does it.

use alloc::format;
use alloc::vec::Vec;

use abi::{PAGE_SIZE, Rights};
use rt::memory::frame;
use rt::vspace::{Paging, map, map_at, reserve, reserve_at};

use crate::{Outcome, check};

const DATA: Rights = Rights::READ.or(Rights::WRITE);
/// Where nothing of the program lies.
const FREE: u64 = 0x30_0000_0000;

pub(crate) fn all() -> Outcome {
    let page = frame(2 * PAGE_SIZE).map_err(|error| format!("a frame: {error}"))?;
    let shown = map_at(FREE, page.cap(), 0, PAGE_SIZE, DATA).map_err(|error| format!("mapping: {error}"))?;
    let places = [
        ("over a mapping", FREE),
        ("unaligned", FREE + PAGE_SIZE + 8),
        ("at 0", 0),
        ("over the program", 0x20_0000),
        ("over the stack", abi::layout::STACK_TOP - PAGE_SIZE),
        ("in the guard below the stack", abi::layout::STACK_LIMIT - PAGE_SIZE),
        ("at the end of user addresses", abi::layout::USER_END - PAGE_SIZE),
        ("at the kernel's", 0xffff_8000_0000_0000),
        ("at the last page of all", 0u64.wrapping_sub(PAGE_SIZE)),
    ];
    for (what, address) in places {
        let mapped = map_at(address, page.cap(), 0, PAGE_SIZE, DATA);
        check(&format!("a mapping {what} is refused"), mapped.is_err())?;
        let reserved = reserve_at(address, PAGE_SIZE, DATA, Paging::Small);
        check(&format!("a reservation {what} is refused"), reserved.is_err())?;
    }
    sizes(&page)?;
    rights(&page)?;
    drop(shown);
    check("after all that the place is free again", map_at(FREE, page.cap(), 0, PAGE_SIZE, DATA).is_ok())
}

fn sizes(page: &rt::OwnedCap<sys::Frame>) -> Outcome {
    for bytes in [0, 1 << 63, u64::MAX, 1 << 47] {
        check(&format!("{bytes:#x} bytes are not mapped"), map(page.cap(), 0, bytes, DATA).is_err())?;
        check(&format!("{bytes:#x} bytes are not reserved"), reserve(bytes, DATA, Paging::Small).is_err())?;
    }
    let mut huge = Vec::<u8>::new();
    check("2^63 - 1 bytes are not allocated", huge.try_reserve_exact(isize::MAX as usize).is_err())?;
    check("more of a frame than there is is not mapped", map(page.cap(), 0, 3 * PAGE_SIZE, DATA).is_err())?;
    check("a frame is not mapped from the middle of a page", map(page.cap(), 8, PAGE_SIZE, DATA).is_err())
}

fn rights(page: &rt::OwnedCap<sys::Frame>) -> Outcome {
    let weaker = page.copy(Rights::READ).map_err(|error| format!("a copy: {error}"))?;
    check(
        "a frame without the right is not mapped writable",
        map(weaker.cap(), 0, PAGE_SIZE, DATA).is_err(),
    )?;
    let both = DATA.or(Rights::EXECUTE);
    check("nothing is mapped writable and executable", map(page.cap(), 0, PAGE_SIZE, both).is_err())?;
    let shown = map(weaker.cap(), 0, PAGE_SIZE, Rights::READ).map_err(|error| format!("mapping: {error}"))?;
    check("a mapping does not get rights that its frame has not", shown.protect(DATA).is_err())
}

/// Faults at the address that it prints.
pub(crate) fn write_to_read_only() -> Outcome {
    let reserved = reserve(PAGE_SIZE, DATA, Paging::Small).map_err(|error| format!("{error}"))?;
    paging_write(reserved.pointer());
    reserved.protect(Rights::READ).map_err(|error| format!("{error}"))?;
    paging_write(reserved.pointer());
    Err("a write to a read-only page went through".into())
}

/// Jumps to data.
pub(crate) fn execute_data() -> Outcome {
    let reserved = reserve(PAGE_SIZE, DATA, Paging::Small).map_err(|error| format!("{error}"))?;
    paging_write(reserved.pointer());
    // SAFETY: never returns: data is not executable.
    let data: extern "C" fn() = unsafe { core::mem::transmute(reserved.pointer()) };
    data();
    Err("data was executed".into())
}

fn paging_write(at: *mut u8) {
    // SAFETY: the first byte of a reservation of the caller's.
    unsafe { at.write_volatile(1) };
}
