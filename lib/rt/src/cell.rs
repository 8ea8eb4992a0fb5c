//! The lock that RPC asks for.

use core::cell::RefCell;

use ipc::port::Lock;

use crate::critical;

/// A value that one thread works on at a time, in a critical section; entering it again from inside is a bug and panics.
pub struct Guarded<T>(RefCell<T>);

// SAFETY: the value is looked at in critical sections alone, in which no other thread of the domain comes between.
unsafe impl<T: Send> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    /// A lock around `value`.
    pub const fn new(value: T) -> Guarded<T> {
        Guarded(RefCell::new(value))
    }
    /// Runs `f` alone on the value. It must not wait.
    #[inline(always)]
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        critical::section(|| f(&mut self.0.borrow_mut()))
    }
}

impl<T> Lock<T> for Guarded<T> {
    fn new(value: T) -> Guarded<T> {
        Guarded::new(value)
    }
    #[inline(always)]
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        Guarded::with(self, f)
    }
}
