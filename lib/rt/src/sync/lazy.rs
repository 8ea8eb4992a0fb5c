//! A value that is made when it is first looked at.

use core::cell::Cell;
use core::fmt;
use core::ops::Deref;

use super::OnceLock;

/// A value that is made when it is first looked at: for statics.
pub struct LazyLock<T, F = fn() -> T> {
    value: OnceLock<T>,
    /// None: somebody makes it, or has.
    make: Cell<Option<F>>,
}

// SAFETY: `make` is touched only by the thread that makes the value, of which `value` has one at a time; so it moves from
// thread to thread (`F: Send`) and is not shared. For the value, see `OnceLock`.
unsafe impl<T: Send + Sync, F: Send> Sync for LazyLock<T, F> {}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// A value that `make` makes.
    pub const fn new(make: F) -> LazyLock<T, F> {
        LazyLock { value: OnceLock::new(), make: Cell::new(Some(make)) }
    }

    /// The value. Who comes while it is made waits.
    ///
    /// # Panics
    /// If making it needs the value itself, a fault ended the thread that made it, or a handler or task would have to
    /// wait.
    pub fn force(this: &LazyLock<T, F>) -> &T {
        this.value.get_or_init(|| match this.make.take() {
            Some(make) => make(),
            None => panic!("a value was not made: the thread that began to has ended"),
        })
    }
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;
    fn deref(&self) -> &T {
        LazyLock::force(self)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LazyLock").field(&self.value.get()).finish()
    }
}
