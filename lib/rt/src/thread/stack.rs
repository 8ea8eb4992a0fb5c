//! Stacks of threads: a guard, below what grows by faults, and a first part that is always there.
//!
//! ```text
//!   base ──┬─────────┬──────────────────────────────┬──────────────┐ top
//!          │  guard  │  backed when it is used       │ backed at once│
//!          └─────────┴──────────────────────────────┴──────────────┘
//! ```
//!
//! Stacks of the usual size that are not in use any more are kept for the next threads, a few of them: starting a thread
//! then costs neither addresses nor memory.

use alloc::vec::Vec;
use core::cell::RefCell;
use core::ops::Range;

use abi::{PAGE_SIZE, Rights};
use vspace::{Attributes, Backing};

use crate::error::RtError;
use crate::local::local;
use crate::{critical, memory, names, pager, vspace as space};

/// Bytes that a stack may grow to unless its thread asked for something else.
pub const DEFAULT_STACK: u64 = 256 * 1024;
/// Bytes below a stack where an access ends its thread. Larger than any frame that compiled code touches without probing.
const GUARD: u64 = 64 * 1024;
/// Bytes at the top that are backed from the start: a thread begins in a critical section.
const FIRST: u64 = 16 * 1024;
/// Stacks that are kept.
const KEPT: usize = 32;

local! {
    static SPARE: RefCell<Vec<Stack>> = RefCell::new(Vec::new());
}

/// Addresses and memory of a stack. Dropping it gives both back.
#[derive(Debug)]
pub(crate) struct Stack {
    /// Where the guard begins.
    guard: u64,
    range: Range<u64>,
}

const DATA: Rights = Rights::READ.or(Rights::WRITE);

impl Stack {
    /// A stack that may grow to `bytes`, for a thread whose number the reports of its guard will tell.
    pub(crate) fn new(bytes: u64) -> Result<Stack, RtError> {
        let bytes = bytes.max(FIRST).checked_next_multiple_of(PAGE_SIZE).ok_or(RtError::NoAddress)?;
        if bytes == DEFAULT_STACK
            && let Some(stack) = SPARE.with(|spare| spare.borrow_mut().pop())
        {
            return Ok(stack);
        }
        names::provide_memory();
        provide_room();
        critical::section(|| Stack::make(bytes))
    }

    fn make(bytes: u64) -> Result<Stack, RtError> {
        let whole = GUARD.checked_add(bytes).ok_or(RtError::NoAddress)?;
        let lazy = Backing::Lazy { chunk: pager::CHUNK };
        let attributes = |backing| Attributes { rights: DATA, backing, tag: space::STACK };
        // Reserved as one, so that both parts lie together; then each by its address.
        space::provide_nodes(3)?;
        let base = space::reserve_area(whole, PAGE_SIZE, attributes(Backing::Guard))?;
        space::release_area(base);
        space::reserve_area_at(base, GUARD, attributes(Backing::Guard))?;
        let stack = match space::reserve_area_at(base + GUARD, bytes, attributes(lazy)) {
            Ok(()) => Stack { guard: base, range: base + GUARD..base + whole },
            Err(error) => {
                space::release_area(base);
                return Err(error);
            }
        };
        let frame = memory::own_frame(FIRST, PAGE_SIZE)?;
        stack.back(stack.range.end - FIRST, &frame)?;
        frame.into_cap();
        pager::expect_faults();
        Ok(stack)
    }

    /// Backs the part from `from` to the top. It may lie in two page tables.
    fn back(&self, from: u64, frame: &crate::OwnedCap<sys::Frame>) -> Result<(), RtError> {
        let end = self.range.end;
        let cut = (end - 1) / ::vspace::LARGE_PAGE * ::vspace::LARGE_PAGE;
        if from < cut {
            // Rather than two pieces with one frame, start above the cut; the rest comes by a fault.
            return space::place(frame.cap(), 0, cut, end - cut, DATA, frame.address());
        }
        space::place(frame.cap(), 0, from, FIRST, DATA, frame.address())
    }

    /// The addresses that it may use.
    pub(crate) fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// Whether an address is in the guard below it.
    pub(crate) fn guards(&self, address: u64) -> bool {
        (self.guard..self.range.start).contains(&address)
    }

    /// Keeps it for the next thread, or hands it back to be dropped, which must not happen on the stack itself.
    pub(crate) fn recycle(self) -> Option<Stack> {
        if self.range.end - self.range.start != DEFAULT_STACK {
            return Some(self);
        }
        SPARE.with(|spare| {
            let mut spare = spare.borrow_mut();
            // Nothing is allocated here: the thread has ended, and could not wait for memory.
            if spare.len() == KEPT || spare.len() == spare.capacity() {
                return Some(self);
            }
            spare.push(self);
            None
        })
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        critical::section(|| {
            space::release_area(self.range.start);
            space::release_area(self.guard);
        });
    }
}

/// Makes room for the stacks that are kept, once.
fn provide_room() {
    if SPARE.with(|spare| spare.borrow().capacity() == 0) {
        let room = Vec::with_capacity(KEPT);
        let former = SPARE.with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.capacity() == 0 { core::mem::replace(&mut *spare, room) } else { room }
        });
        drop(former);
    }
}

/// Gives the stacks that are kept back, for those who look at their account.
pub fn give_back_stacks() {
    while let Some(stack) = SPARE.with(|spare| spare.borrow_mut().pop()) {
        drop(stack);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_has_ended_allocates_nothing_to_keep_its_stack() {
        crate::tests::domain(16 << 20);
        let room = || SPARE.with(|spare| spare.borrow().capacity());
        let stack = Stack::make(DEFAULT_STACK).unwrap();
        // It goes back, since there is no room for it.
        let stack = stack.recycle().unwrap();
        assert_eq!(room(), 0);
        provide_room();
        assert!(stack.recycle().is_none());
        let mut kept: Vec<_> = (0..KEPT + 1).map(|_| Stack::new(DEFAULT_STACK).unwrap()).collect();
        assert!(kept.pop().unwrap().recycle().is_none());
        let before = room();
        let left = kept.into_iter().filter_map(Stack::recycle).count();
        assert_eq!((left, room()), (1, before));
    }
}
