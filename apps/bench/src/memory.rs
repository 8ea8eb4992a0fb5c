//! RAM by RPC: a page from the memory server, and back to it.

use abi::PAGE_SIZE;
use barreldish::interfaces::MemoryClient;
use rt::{LmpPort, OwnedCap};
use sys::Ram;

use crate::counters;
use crate::{Outcome, failed, report};

/// Pages, one after the other.
const ROUNDS: u64 = 64;

type Memory = MemoryClient<LmpPort>;

pub(crate) fn measure() -> Outcome {
    let service = rt::names::memory_service().map_err(failed("the memory service"))?;
    page(&service)
}

/// So many bytes of RAM, which go back when they are dropped.
pub(crate) fn allocate(service: &Memory, bytes: u64) -> Result<OwnedCap<Ram>, alloc::string::String> {
    let ram = service.allocate(bytes, PAGE_SIZE).map_err(failed("memory"))?;
    Ok(OwnedCap::new(ram.address()))
}

/// Waits until the memory server has taken in what was given back: it must not do that while something else is measured.
pub(crate) fn settle() -> Outcome {
    rt::memory::account().map(drop).map_err(failed("the account"))
}

/// What one page costs.
fn page(service: &Memory) -> Outcome {
    let mut outcome = Ok(());
    let mut page = || allocate(service, PAGE_SIZE).map_err(|error| outcome = Err(error)).ok();
    let mut kept = None;
    let allocate = counters::least(8, || kept = page());
    // In a row: each request but the first also pays for what the server does when the page before has come back.
    let all = counters::measure(|| (0..ROUNDS).for_each(|_| drop(page())));
    drop(kept);
    outcome?;
    report("allocate_page", allocate.all);
    report("allocate_free_page", all.all / ROUNDS);
    report("allocate_free_page_kernel", all.kernel / ROUNDS);
    Ok(())
}
