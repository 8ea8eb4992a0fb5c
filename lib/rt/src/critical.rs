//! Critical sections: code of which no other thread of the domain sees a half.
//!
//! The threads of a domain take turns on one core, and change places only in an upcall (`arch`) or where one gives way by
//! itself. So it is enough that upcalls leave the running thread alone for a while: inside a section they note that
//! somebody else should run, and the end of the section gives way then. No lock is held, nobody waits, and
//! sections may be inside each other.
//!
//! A section must not give way itself, and should be short: it is what keeps a more urgent thread waiting.

use paging::Section;

use crate::domain::Runtime;
use crate::local::raw_local;

raw_local! {
    /// How many sections the running thread is in, and whether something is wanted at their end.
    static STATE: Section = Section::new();
}

/// The section that the running thread is in.
#[inline(always)]
pub(crate) fn with_state<R>(f: impl FnOnce(&Section) -> R) -> R {
    STATE.with(f)
}

/// Runs `f` with no other thread coming between.
#[inline(always)]
pub fn section<R>(f: impl FnOnce() -> R) -> R {
    paging::section::<Runtime, R>(f)
}

/// Begins a section. Whether there is none around it.
#[inline(always)]
pub(crate) fn enter() -> bool {
    paging::enter::<Runtime>()
}

/// Ends a section.
#[inline(always)]
pub(crate) fn leave() {
    paging::leave::<Runtime>();
}

/// How many sections the running thread is in.
pub(crate) fn depth() -> u32 {
    STATE.with(Section::depth)
}

/// Whether the running thread is in a section.
pub(crate) fn inside() -> bool {
    depth() != 0
}

/// The section that was interrupted does what is wanted at its end.
pub(crate) fn want() {
    STATE.with(Section::want);
}

/// The thread that runs next is in so many sections. For switches, in upcalls.
pub(crate) fn set_depth(sections: u32) {
    STATE.with(|state| state.set_depth(sections));
}

/// How far below the stack pointer a section that a fault must not come into may go.
const STACK_NEEDED: u64 = 2 * 1024;

/// Makes sure that the stack is backed as far as a section may need it in which a fault cannot be handled.
#[inline(always)]
pub(crate) fn probe_stack() {
    // SAFETY: below the stack pointer of a thread is its stack, or what ends it when it is too small.
    unsafe { crate::arch::touch(crate::arch::stack_pointer().saturating_sub(STACK_NEEDED)) };
}

/// How far below the stack pointer a call to the memory service may go.
const CALL_NEEDS: u64 = 16 * 1024;

/// Makes sure that the stack is backed as far as a call to the memory service may need it, so that what is done in critical
/// sections for it finds the stock as it is. Does nothing in one.
#[cold]
pub(crate) fn probe_stack_for_call() {
    if inside() {
        return;
    }
    let Some(stack) = crate::thread::own_stack_if_started() else { return };
    // Who has less left than that learns it where it is used.
    let top = crate::arch::stack_pointer();
    let least = top.saturating_sub(CALL_NEEDS).max(stack.start);
    // Each chunk between, from the deepest on.
    for address in [least, top / paging::CHUNK * paging::CHUNK] {
        if (least..top).contains(&address) {
            // SAFETY: on the stack of this thread.
            unsafe { crate::arch::touch(address) };
        }
    }
}
