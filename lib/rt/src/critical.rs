//! Critical sections: code of which no other thread of the domain sees a half.
//!
//! The threads of a domain take turns on one core, and change places only in an upcall (`arch`) or where one gives way by
//! itself. So it is enough that upcalls leave the running thread alone for a while: inside a section they note that
//! somebody else should run, and the end of the section gives way then. No lock is held, nobody waits, and
//! sections may be inside each other.
//!
//! A section must not give way itself, and should be short: it is what keeps a more urgent thread waiting.

use core::sync::atomic::{AtomicU32, Ordering, compiler_fence};

use crate::local::raw_local;

raw_local! {
    /// How many sections the running thread is in, and [`WANTED`].
    static STATE: AtomicU32 = AtomicU32::new(0);
}

/// Something came in a section that is to be done at its end: an upcall because of which somebody else should run, or
/// what was put off.
const WANTED: u32 = 1 << 31;

/// Runs `f` with no other thread coming between.
#[inline(always)]
pub fn section<R>(f: impl FnOnce() -> R) -> R {
    enter();
    let result = f();
    leave();
    result
}

/// Begins a section. Whether there is none around it.
#[inline(always)]
pub(crate) fn enter() -> bool {
    // One step to upcalls, which may note what they want at any time.
    let former = STATE.with(|state| state.fetch_add(1, Ordering::Relaxed));
    compiler_fence(Ordering::SeqCst);
    former & !WANTED == 0
}

/// Ends a section.
#[inline(always)]
pub(crate) fn leave() {
    compiler_fence(Ordering::SeqCst);
    if STATE.with(|state| state.fetch_sub(1, Ordering::Relaxed)) == WANTED + 1 {
        give_way();
    }
}

#[cold]
fn give_way() {
    forget_want();
    crate::pager::after_section();
    crate::dispatch::after_section();
    crate::heap::trim();
    crate::thread::give_way();
}

/// How many sections the running thread is in.
pub(crate) fn depth() -> u32 {
    STATE.with(|state| state.load(Ordering::Relaxed) & !WANTED)
}

/// Whether the running thread is in a section.
pub(crate) fn inside() -> bool {
    depth() != 0
}

/// The section that was interrupted does what is wanted at its end.
pub(crate) fn want() {
    STATE.with(|state| state.fetch_or(WANTED, Ordering::Relaxed));
}

/// Whoever gives way now does what was wanted.
pub(crate) fn forget_want() {
    STATE.with(|state| state.fetch_and(!WANTED, Ordering::Relaxed));
}

/// The thread that runs next is in so many sections. For switches, in upcalls.
pub(crate) fn set_depth(sections: u32) {
    STATE.with(|state| state.store(state.load(Ordering::Relaxed) & WANTED | sections, Ordering::Relaxed));
}

/// How far below the stack pointer a section that a fault must not come into may go.
const STACK_NEEDED: u64 = 2 * 1024;

/// Makes sure that the stack is backed as far as a section may need it in which a fault cannot be handled.
#[inline(always)]
pub(crate) fn probe_stack() {
    // SAFETY: below the stack pointer of a thread is its stack, or what ends it when it is too small.
    unsafe { crate::arch::touch(crate::arch::stack_pointer().saturating_sub(STACK_NEEDED)) };
}
