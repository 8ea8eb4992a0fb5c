//! Something is done once, by whoever comes first.

use core::cell::Cell;

use super::Platform;
use super::waiters::{self, Start, Step, Waiters};

/// What [`RawOnce::enter`] leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entered {
    /// It is the caller's part to do it, and then to call [`RawOnce::complete`] or [`RawOnce::cancel`].
    First,
    /// It was done.
    Done,
}

#[derive(Clone, Copy)]
enum Progress<T> {
    Untouched,
    By(T),
    Complete,
}

/// Who does what must be done once, and who waits for that.
///
/// If the one that does it gives up ([`RawOnce::cancel`]) or ends, another does it from the start: it was not done, and
/// as a cell is filled only with the result of all of it, nobody has seen a part.
pub struct RawOnce<P: Platform> {
    /// Read and written only inside a critical section.
    progress: Cell<Progress<P::Thread>>,
    waiters: Waiters<P>,
}

impl<P: Platform> Default for RawOnce<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Platform> RawOnce<P> {
    /// It is not done.
    #[must_use]
    pub const fn new() -> Self {
        RawOnce { progress: Cell::new(Progress::Untouched), waiters: Waiters::new() }
    }

    /// Whether it is done. Never waits.
    #[must_use]
    pub fn is_done(&self) -> bool {
        P::critical(|| matches!(self.progress.get(), Progress::Complete))
    }

    /// Makes it the caller's part to do it, or waits until it is done.
    ///
    /// # Panics
    /// If the caller is just doing it, or must not wait but would have to.
    pub fn enter(&self) -> Entered {
        loop {
            match waiters::start::<P, _>(|| self.look(), || self.waiters.grow()) {
                Start::Done(entered) => return entered,
                // Whose wait is over looks again from the start: it may be the one now.
                Start::Queued(ticket) => waiters::park_until_some::<P, _>(|| {
                    let over =
                        !self.waiters.contains(ticket) || self.is_stuck() && self.waiters.remove(ticket);
                    over.then_some(())
                }),
            }
        }
    }

    /// The caller, which was [`Entered::First`], has done it.
    ///
    /// # Panics
    /// If it is not the caller's part.
    pub fn complete(&self) {
        self.leave(Progress::Complete);
    }

    /// The caller, which was [`Entered::First`], has not done it; the next may try.
    ///
    /// # Panics
    /// If it is not the caller's part.
    pub fn cancel(&self) {
        self.leave(Progress::Untouched);
    }

    fn leave(&self, progress: Progress<P::Thread>) {
        let own = P::critical(|| {
            let own = matches!(self.progress.get(), Progress::By(thread) if thread == P::current());
            if own {
                self.progress.set(progress);
            }
            own
        });
        assert!(own, "only the thread that does it can be through with it");
        self.waiters.wake_all();
    }

    /// Inside: whether the thread that does it has ended.
    fn is_stuck(&self) -> bool {
        matches!(self.progress.get(), Progress::By(thread) if !P::is_alive(thread))
    }

    /// Inside.
    fn look(&self) -> Step<Entered> {
        match self.progress.get() {
            Progress::Complete => Step::Done(Entered::Done),
            Progress::By(thread) if P::is_alive(thread) => {
                if thread == P::current() && P::may_wait() {
                    return Step::Refused("what is done once needs its own result: it would wait for itself");
                }
                self.waiters.queue("a handler must not wait until another thread has initialised something")
            }
            Progress::By(_) | Progress::Untouched => {
                self.progress.set(Progress::By(P::current()));
                Step::Done(Entered::First)
            }
        }
    }
}
