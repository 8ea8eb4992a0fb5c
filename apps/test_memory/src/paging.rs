//! Memory that comes with its use.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use abi::{PAGE_SIZE, Rights};
use barreldish::thread;
use rt::memory::{account, frame};
use rt::vspace::{Mapped, Paging, Reserved, map, reserve, statistics};

use crate::{Outcome, check};

const DATA: Rights = Rights::READ.or(Rights::WRITE);
const MIB: u64 = 1 << 20;

fn text(error: impl ToString) -> String {
    error.to_string()
}

fn write(reserved: &Reserved, at: u64, value: u64) {
    // SAFETY: inside a reservation that nobody else uses; `at` is a multiple of 8.
    unsafe { reserved.pointer().add(at as usize).cast::<u64>().write_volatile(value) };
}

fn read(reserved: &Reserved, at: u64) -> u64 {
    // SAFETY: as for `write`.
    unsafe { reserved.pointer().add(at as usize).cast::<u64>().read_volatile() }
}

fn used() -> Result<u64, String> {
    Ok(account().map_err(text)?.used)
}

pub(crate) fn all() -> Outcome {
    sparse()?;
    for paging in [Paging::Small, Paging::Large] {
        whole(paging)?;
    }
    read_only()?;
    parts_go_back()
}

/// Frames that were in use before serve areas that can only be read, too, and are zero there.
fn read_only() -> Outcome {
    let written = reserve(2 * MIB, DATA, Paging::Small).map_err(text)?;
    (0..2 * MIB).step_by(PAGE_SIZE as usize).for_each(|at| write(&written, at, 7));
    drop(written);
    let reserved = reserve(2 * MIB, Rights::READ, Paging::Small).map_err(text)?;
    check(
        "memory that can only be read is zero",
        (0..2 * MIB).step_by(512).all(|at| read(&reserved, at) == 0),
    )
}

/// A terabyte costs what is used of it.
fn sparse() -> Outcome {
    let before = used()?;
    let reserved = reserve(256 << 30, DATA, Paging::Small).map_err(text)?;
    for number in 0..64 {
        write(&reserved, number * (4 << 30), number);
    }
    check(
        "256 GiB can be reserved and used here and there",
        (0..64).all(|n| read(&reserved, n * (4 << 30)) == n),
    )?;
    let during = used()?;
    check(
        "that costs memory for what is used alone",
        during - before < 64 * (64 * 1024 + 3 * PAGE_SIZE) + 4 * MIB,
    )?;
    drop(reserved);
    settle();
    check("and all of it goes back", used()? <= before + MIB)
}

fn whole(paging: Paging) -> Outcome {
    let bytes = 8 * MIB;
    let reserved = reserve(bytes, DATA, paging).map_err(text)?;
    let words = || (0..bytes).step_by(PAGE_SIZE as usize);
    check(&format!("{paging:?}: fresh memory is zero"), words().all(|at| read(&reserved, at) == 0))?;
    words().for_each(|at| write(&reserved, at, at + 1));
    check(&format!("{paging:?}: what is written stays"), words().all(|at| read(&reserved, at) == at + 1))
}

fn parts_go_back() -> Outcome {
    let reserved = reserve(4 * MIB, DATA, Paging::Small).map_err(text)?;
    (0..4 * MIB).step_by(PAGE_SIZE as usize).for_each(|at| write(&reserved, at, 7));
    let full = used()?;
    reserved.discard(MIB..3 * MIB);
    settle();
    check("what is discarded goes back", full - used()? >= 2 * MIB)?;
    check("and is zero when it is used again", read(&reserved, 2 * MIB) == 0)?;
    check("the rest is as it was", read(&reserved, 0) == 7 && read(&reserved, 3 * MIB) == 7)
}

/// What the runtime keeps for the next faults goes back too.
fn settle() {
    rt::pager::give_back_stock();
    thread::give_back_stacks();
}

/// Mappings at random: what is made is taken away again.
pub(crate) fn churn(count: u64) -> Outcome {
    let shown = frame(16 * PAGE_SIZE).map_err(text)?;
    let mut held: Vec<Option<Mapping>> = (0..64).map(|_| None).collect();
    let mut dice = 0x9e37_79b9_7f4a_7c15u64;
    // The books grow to what the most needs.
    let mut first = None;
    for round in 0..count {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        let place = (dice >> 20) as usize % held.len();
        held[place] = match held[place].take() {
            Some(_) => None,
            None if dice & 1 == 0 => {
                let pages = 1 + (dice >> 8) % 16;
                Some(Mapping::Shown(map(shown.cap(), 0, pages * PAGE_SIZE, DATA).map_err(text)?))
            }
            None => {
                let reserved =
                    reserve(((dice >> 8) % 64 + 1) * 16 * PAGE_SIZE, DATA, Paging::Small).map_err(text)?;
                write(&reserved, 0, round);
                Some(Mapping::Reserved(reserved))
            }
        };
        if round == count / 2 {
            held.iter_mut().for_each(|mapping| *mapping = None);
            settle();
            first = Some((used()?, statistics()));
        }
    }
    held.iter_mut().for_each(|mapping| *mapping = None);
    settle();
    check(&format!("{count} mappings leave no page behind"), first == Some((used()?, statistics())))
}

/// Dropping it takes it away.
#[expect(dead_code, reason = "held for its end alone")]
enum Mapping {
    Shown(Mapped),
    Reserved(Reserved),
}

/// Threads that use the same fresh pages, and others of their own, preempted in between.
pub(crate) fn threads() -> Outcome {
    const THREADS: u64 = 8;
    let reserved = reserve(16 * MIB, DATA, Paging::Small).map_err(text)?;
    let base = reserved.address();
    let run = move |number: u64| {
        let at = |offset: u64| core::ptr::with_exposed_provenance_mut::<u64>((base + offset) as usize);
        for page in 0..16 * MIB / PAGE_SIZE {
            // SAFETY: each thread has its own word of each page of a reservation that outlives it.
            unsafe { at(page * PAGE_SIZE + number * 8).write_volatile(page * THREADS + number) };
            if page % 64 == number * 8 {
                thread::yield_now();
            }
        }
        (0..200).map(|size| alloc::vec![number as u8; size * 700].len()).sum::<usize>()
    };
    let all: Vec<_> = (0..THREADS).map(|number| thread::spawn(move || run(number))).collect();
    let sums: Result<Vec<_>, _> = all.into_iter().map(thread::JoinHandle::join).collect();
    check(
        "all threads have come to their end",
        sums.map_err(text)?.iter().all(|&sum| sum == 199 * 100 * 700),
    )?;
    let holds =
        |page: u64| (0..THREADS).all(|n| read(&reserved, page * PAGE_SIZE + n * 8) == page * THREADS + n);
    check("each found what it wrote", (0..16 * MIB / PAGE_SIZE).all(holds))
}
