//! Critical sections, as a word.

use core::sync::atomic::{AtomicU32, Ordering, compiler_fence};

use crate::{Domain, deliver_for_clients, fill_up_after_section};

/// Something came in a section that is to be done at its end: an upcall because of which somebody else should run, or
/// what was put off.
const WANTED: u32 = 1 << 31;

/// How many sections the running thread is in, and whether something is wanted at their end.
#[derive(Debug)]
pub struct Section(AtomicU32);

impl Default for Section {
    fn default() -> Self {
        Self::new()
    }
}

impl Section {
    /// In none.
    #[must_use]
    pub const fn new() -> Self {
        Section(AtomicU32::new(0))
    }

    /// Begins a section. Whether there is none around it.
    #[inline(always)]
    pub fn enter(&self) -> bool {
        // One step to upcalls, which may note what they want at any time.
        let former = self.0.fetch_add(1, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        former & !WANTED == 0
    }

    /// Ends a section. Whether it was the last one, and something is wanted.
    #[inline(always)]
    pub fn leave(&self) -> bool {
        compiler_fence(Ordering::SeqCst);
        self.0.fetch_sub(1, Ordering::Relaxed) == WANTED + 1
    }

    /// How many there are.
    #[inline(always)]
    pub fn depth(&self) -> u32 {
        self.0.load(Ordering::Relaxed) & !WANTED
    }

    /// The thread that runs next is in so many. For switches, in upcalls; what is wanted still is.
    #[inline(always)]
    pub fn set_depth(&self, sections: u32) {
        self.0.store(self.0.load(Ordering::Relaxed) & WANTED | sections, Ordering::Relaxed);
    }

    /// The section that was interrupted does what is wanted at its end; outside of sections the next one does.
    #[inline(always)]
    pub fn want(&self) {
        self.0.fetch_or(WANTED, Ordering::Relaxed);
    }

    /// Whoever calls this does what was wanted.
    #[inline(always)]
    pub fn forget_want(&self) {
        self.0.fetch_and(!WANTED, Ordering::Relaxed);
    }
}

/// Runs `f` with no other thread coming between.
#[inline(always)]
pub fn section<D: Domain, R>(f: impl FnOnce() -> R) -> R {
    enter::<D>();
    let result = f();
    leave::<D>();
    result
}

/// Begins a section. Whether there is none around it.
#[inline(always)]
pub fn enter<D: Domain>() -> bool {
    D::state(Section::enter)
}

/// Ends a section.
#[inline(always)]
pub fn leave<D: Domain>() {
    if D::state(Section::leave) {
        end_work::<D>();
    }
}

/// What is wanted at the end of a section. The stock is first: the rest has sections too.
#[cold]
pub fn end_work<D: Domain>() {
    D::state(Section::forget_want);
    fill_up_after_section::<D>();
    deliver_for_clients::<D>();
    D::trim();
    D::let_others_run();
}

/// An upcall took the processor from the running thread: whether another is to run now.
///
/// What was wanted stays so: a thread that gave way in a section may have left the stock low, and whoever is next out of one
/// fills it up.
#[inline(always)]
pub fn upcall<D: Domain>() -> bool {
    if D::state(Section::depth) != 0 {
        D::state(Section::want);
        return false;
    }
    !D::is_alone()
}
