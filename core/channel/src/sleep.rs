//! Sleeping without losing a wake-up: the same on both sides of a ring.
//!
//! ```text
//!   who works                              who sleeps
//!   publish (a packet, or room)            say that it sleeps
//!   fence                                  fence
//!   look whether the other sleeps          look whether something was published
//! ```
//!
//! Each side writes one word and then reads the other's: without fences both reads may run ahead of the writes (store
//! buffering; Release and Acquire do not forbid it), and one sleeps while the other thinks it awake. Of two sequentially
//! consistent fences one is first, and what stands before it is seen by what stands behind the other (C++11 29.3
//! p4-p7; on AArch64 they are DMB ISH, Arm ARM B2.3).

use core::mem;

use crate::atomic::{AtomicU64, Ordering, fence};

/// What one side has said about its sleep, and what it knows of the other's.
pub(crate) struct Sleep<'a> {
    /// In this side's control line.
    mine: &'a AtomicU64,
    /// In the peer's control line.
    theirs: &'a AtomicU64,
    /// Number of this side's last announcement.
    number: u64,
    /// `mine` says that this side sleeps.
    announced: bool,
    /// The last announcement of the peer that has led to `must_wake`.
    answered: u64,
    /// Something was published since the last look at `theirs`.
    unlooked: bool,
    /// The peer sleeps, and the caller has not been told yet.
    must_wake: bool,
}

impl<'a> Sleep<'a> {
    pub(crate) fn new(mine: &'a AtomicU64, theirs: &'a AtomicU64) -> Self {
        Self { mine, theirs, number: 0, announced: false, answered: 0, unlooked: false, must_wake: false }
    }

    /// Notes that there is something for which the peer may be waiting.
    #[inline(always)]
    pub(crate) fn published(&mut self) {
        self.unlooked = true;
    }

    /// Whether the caller has to wake the peer: at most once for each of its announcements, because the peer's word is
    /// the peer's to clear.
    #[inline(always)]
    pub(crate) fn must_wake(&mut self) -> bool {
        if self.unlooked {
            fence(Ordering::SeqCst);
            self.look();
        }
        mem::take(&mut self.must_wake)
    }

    /// Says that this side sleeps. What the caller looks at after this has been published before, or the peer will see
    /// the announcement.
    pub(crate) fn announce(&mut self) {
        self.number += 1;
        self.announced = true;
        self.mine.store(self.number, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.unlooked {
            self.look();
        }
    }

    /// Whether this side may sleep now, given that it has `nothing_to_do`. Not before the peer was woken: both would
    /// sleep.
    pub(crate) fn decide(&mut self, nothing_to_do: bool) -> bool {
        let may_sleep = nothing_to_do && !self.must_wake;
        if !may_sleep {
            self.awake();
        }
        may_sleep
    }

    /// Takes the announcement back, so that the peer need not ring for nothing.
    #[inline(always)]
    pub(crate) fn awake(&mut self) {
        if self.announced {
            self.announced = false;
            self.mine.store(0, Ordering::Relaxed);
        }
    }

    /// A sequentially consistent fence stands between what was published and this.
    #[inline(always)]
    fn look(&mut self) {
        let sleep = self.theirs.load(Ordering::Relaxed);
        self.unlooked = false;
        if sleep != 0 && sleep != self.answered {
            self.answered = sleep;
            self.must_wake = true;
        }
    }
}
