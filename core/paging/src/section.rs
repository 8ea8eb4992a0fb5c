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

/// An upcall took the processor from the running thread, of several: `switch` gives it to another, if there is one whose turn
/// it is, and may not return then. Upcalls are disabled.
///
/// A thread in a section is left alone, and so is one that has just left a section which took from the stock: it is about to
/// fill it up, and others would find too little. What was wanted stays so.
#[inline(always)]
pub fn upcall<D: Domain>(switch: impl FnOnce()) {
    if D::state(Section::depth) != 0 {
        return D::state(Section::want);
    }
    // The sections below have nothing to do at their ends.
    D::state(Section::enter);
    if D::stock(|stock| stock.is_taken_from()) {
        D::state(Section::want);
    } else if !D::is_alone() {
        switch();
    }
    D::state(|state| state.set_depth(0));
}
