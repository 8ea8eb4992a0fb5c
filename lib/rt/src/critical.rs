//! Critical sections: code of which no other thread of the domain sees a half.
//!
//! The threads of a domain take turns on one core, and change places only in an upcall (`arch`) or where one gives way by
//! itself. So it is enough that upcalls leave the running thread alone for a while: inside a section they note that
//! somebody else should run, and the end of the section gives way then. No lock is held, nobody waits, and
//! sections may be inside each other.
//!
//! A section must not give way itself, and should be short: it is what keeps a more urgent thread waiting.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering, compiler_fence};

use crate::local::raw_local;

raw_local! {
    /// How many sections the running thread is in.
    static DEPTH: AtomicU32 = AtomicU32::new(0);
}
raw_local! {
    /// An upcall came in a section, and somebody else should run.
    static WANTED: AtomicBool = AtomicBool::new(false);
}

/// Runs `f` with no other thread coming between.
#[inline(always)]
pub fn section<R>(f: impl FnOnce() -> R) -> R {
    enter();
    let result = f();
    leave();
    result
}

/// Begins a section.
#[inline(always)]
pub(crate) fn enter() {
    // A load and a store are enough: whoever comes between leaves the number as it was.
    DEPTH.with(|depth| depth.store(depth.load(Ordering::Relaxed) + 1, Ordering::Relaxed));
    compiler_fence(Ordering::SeqCst);
}

/// Ends a section.
#[inline(always)]
pub(crate) fn leave() {
    compiler_fence(Ordering::SeqCst);
    let left = DEPTH.with(|depth| {
        let left = depth.load(Ordering::Relaxed) - 1;
        depth.store(left, Ordering::Relaxed);
        left
    });
    if WANTED.with(|wanted| wanted.load(Ordering::Relaxed)) && left == 0 {
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
    DEPTH.with(|depth| depth.load(Ordering::Relaxed))
}

/// Whoever gives way now does what was wanted.
pub(crate) fn forget_want() {
    WANTED.with(|wanted| wanted.store(false, Ordering::Relaxed));
}

/// Whether an upcall interrupted a section.
pub(crate) fn inside() -> bool {
    depth() != 0
}

/// The section that was interrupted gives way at its end.
pub(crate) fn want() {
    WANTED.with(|wanted| wanted.store(true, Ordering::Relaxed));
}

/// The thread that runs next is in so many sections. For switches, in upcalls.
pub(crate) fn set_depth(sections: u32) {
    DEPTH.with(|depth| depth.store(sections, Ordering::Relaxed));
}

/// How far below the stack pointer a section that a fault must not come into may go.
const STACK_NEEDED: u64 = 2 * 1024;

/// Makes sure that the stack is backed as far as a section may need it in which a fault cannot be handled.
#[inline(always)]
pub(crate) fn probe_stack() {
    // SAFETY: below the stack pointer of a thread is its stack, or what ends it when it is too small.
    unsafe { crate::arch::touch(crate::arch::stack_pointer().saturating_sub(STACK_NEEDED)) };
}
