//! The lock that RPC asks for, in a domain with one thread.

use core::cell::RefCell;

use ipc::port::Lock;

/// A value that one piece of code works on at a time. Upcalls run no code of receivers (see `dispatch`), so nothing
/// can come between; entering it again from inside is a bug and panics.
pub struct Guarded<T>(RefCell<T>);

impl<T> Lock<T> for Guarded<T> {
    fn new(value: T) -> Guarded<T> {
        Guarded(RefCell::new(value))
    }
    #[inline(always)]
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.borrow_mut())
    }
}
