//! What an allocation costs as more and more others are there: RAM in the memory server, addresses in a domain's own books.

use alloc::vec::Vec;

use abi::{PAGE_SIZE, Rights};
use rt::vspace::{Paging, reserve};

use crate::counters;
use crate::memory::{allocate, settle};
use crate::{Outcome, failed, report};

/// Allocations beside which one is made. There are holes between them: more are made, and one of [`HOLE`] is given back.
const LIVE: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];
const HOLE: usize = 8;

/// Reservations of a page beside which one is made and given up.
pub(crate) fn reservations() -> Outcome {
    let reserve = || reserve(PAGE_SIZE, Rights::READ.or(Rights::WRITE), Paging::Small);
    beside(
        "reserve",
        || reserve().map_err(failed("addresses")),
        || reserve().map(drop).map_err(failed("addresses")),
    )
}

/// Pages beside which two are allocated, more than the server has in stock, and given back.
pub(crate) fn allocations() -> Outcome {
    let service = rt::names::memory_service().map_err(failed("the memory service"))?;
    let advice =
        |why| alloc::format!("{why}; it takes 512 MiB on one core: try `--cores 1`, or more `--memory`");
    beside(
        "allocate",
        || allocate(&service, PAGE_SIZE).map_err(advice),
        || allocate(&service, 2 * PAGE_SIZE).map(drop),
    )
}

/// Measures `one` beside more and more of what `other` makes.
fn beside<T>(
    name: &str,
    other: impl Fn() -> Result<T, alloc::string::String>,
    one: impl Fn() -> Outcome,
) -> Outcome {
    let mut others = Vec::new();
    let most = LIVE[LIVE.len() - 1];
    others.try_reserve_exact(most + most / (HOLE - 1)).map_err(failed("room for the list"))?;
    for count in LIVE {
        while others.len() < count + count / (HOLE - 1) {
            others.push(other()?);
        }
        let mut number = 0;
        others.retain(|_| {
            number += 1;
            number % HOLE != 0
        });
        settle()?;
        let mut outcome = Ok(());
        let cost = counters::least(8, || outcome = one());
        outcome?;
        report(&alloc::format!("{name}_beside_{count}"), cost.all);
    }
    Ok(())
}
