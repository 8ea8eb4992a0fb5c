//! What is done once, by whoever comes first.

use core::cell::UnsafeCell;
use core::fmt;

use threads::sync::{Entered, RawOnce};

use super::Domain;

/// Something that is done once. Who comes meanwhile waits until it is done.
///
/// If a fault ends the thread that does it, the next one does it from the start.
pub struct Once {
    raw: RawOnce<Domain>,
}

// SAFETY: its cells are touched in critical sections alone, in which no other thread of the domain comes between.
unsafe impl Sync for Once {}

impl Once {
    /// It is not done.
    pub const fn new() -> Once {
        Once { raw: RawOnce::new() }
    }

    /// Does it, or waits until it is done.
    ///
    /// # Panics
    /// If `f` comes here again, or a handler or task would have to wait.
    pub fn call_once(&self, f: impl FnOnce()) {
        if self.raw.enter() == Entered::First {
            let attempt = Attempt(&self.raw);
            f();
            attempt.succeed();
        }
    }

    /// Whether it is done.
    pub fn is_completed(&self) -> bool {
        self.raw.is_done()
    }
}

impl Default for Once {
    fn default() -> Self {
        Once::new()
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").field("completed", &self.is_completed()).finish()
    }
}

/// What the first has begun; dropped, it has failed (by a panic, on a hosted target).
struct Attempt<'a>(&'a RawOnce<Domain>);

impl Attempt<'_> {
    fn succeed(self) {
        self.0.complete();
        core::mem::forget(self);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// A value that is made once, and from then on is there for all.
pub struct OnceLock<T> {
    once: Once,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: the value is written by the one thread that `once` chose, before `once` says that it is done (the boundaries of
// its critical sections are barriers to the compiler, and all threads are of one core), and only read afterwards. It
// comes from one thread (`T: Send`) and is seen by all (`T: Sync`).
unsafe impl<T: Send + Sync> Sync for OnceLock<T> {}

impl<T> OnceLock<T> {
    /// Without a value.
    pub const fn new() -> OnceLock<T> {
        OnceLock { once: Once::new(), value: UnsafeCell::new(None) }
    }

    /// The value, if it is made.
    pub fn get(&self) -> Option<&T> {
        if !self.once.is_completed() {
            return None;
        }
        // SAFETY: it is complete, and nobody changes it any more while it is shared.
        unsafe { (*self.value.get()).as_ref() }
    }

    /// The value, if it is made; nobody else can reach it.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        if self.once.is_completed() { self.value.get_mut().as_mut() } else { None }
    }

    /// The value, made by `f` if it is not there. Who comes meanwhile waits.
    ///
    /// # Panics
    /// If `f` asks for the value, or a handler or task would have to wait.
    pub fn get_or_init(&self, f: impl FnOnce() -> T) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        self.once.call_once(|| {
            let value = f();
            // SAFETY: the one who makes it is the only one here, and nobody looks at it before it is complete. What a
            // thread may have left here that ended half-way is not dropped: it may be anything.
            unsafe { self.value.get().write(Some(value)) };
        });
        match self.get() {
            Some(value) => value,
            None => unreachable!("what is done once has a result"),
        }
    }

    /// Makes `value` the value, if there is none.
    ///
    /// # Errors
    /// The value, if there is one already.
    ///
    /// # Panics
    /// As [`Self::get_or_init`].
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut offered = Some(value);
        self.once.call_once(|| {
            // SAFETY: as in `get_or_init`.
            unsafe { self.value.get().write(offered.take()) };
        });
        offered.map_or(Ok(()), Err)
    }

    /// The value, if it is made.
    pub fn into_inner(mut self) -> Option<T> {
        self.get_mut()?;
        self.value.into_inner()
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        OnceLock::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnceLock").field(&self.get()).finish()
    }
}
