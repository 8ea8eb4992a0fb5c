//! A value that many threads read, or one changes.

use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use threads::sync::RawRwLock;

use super::{Abandoned, Domain, TryLockError};

/// A value behind a lock that many readers hold at a time, or one writer.
///
/// First come, first served: neither readers nor writers starve. A writer that ended with it has abandoned it; a
/// reader that did has abandoned it for writers, since what it read may be lent for ever.
pub struct RwLock<T: ?Sized> {
    raw: RawRwLock<Domain>,
    value: UnsafeCell<T>,
}

// SAFETY: with it goes the value, and ids of threads, which are numbers.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: the cells of `raw` are touched in critical sections alone, in which no other thread of the domain comes between;
// the value is reached through guards: one that may change it (`T: Send`), or many of several threads that may not
// (`T: Sync`).
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

impl<T> RwLock<T> {
    /// A value that nobody looks at.
    pub const fn new(value: T) -> RwLock<T> {
        RwLock { raw: RawRwLock::new(), value: UnsafeCell::new(value) }
    }

    /// The value, abandoned or not.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits until no thread changes the value, and none that came before waits to. A thread that reads may read again.
    ///
    /// # Panics
    /// If a writer has abandoned it, the current thread is the writer, or a handler or task would have to wait.
    #[track_caller]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        match self.raw.read() {
            Ok(()) => RwLockReadGuard { lock: self, own: PhantomData },
            Err(Abandoned) => super::abandoned(),
        }
    }

    /// Waits until no other thread reads or changes the value, and none that came before waits to.
    ///
    /// # Panics
    /// If it is abandoned, the current thread reads or writes, or a handler or task would have to wait.
    #[track_caller]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        match self.raw.write() {
            Ok(()) => RwLockWriteGuard { lock: self, own: PhantomData },
            Err(Abandoned) => super::abandoned(),
        }
    }

    /// As [`Self::read`] where that need not wait.
    ///
    /// # Errors
    /// [`TryLockError`].
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, TryLockError> {
        if self.raw.try_read()? {
            Ok(RwLockReadGuard { lock: self, own: PhantomData })
        } else {
            Err(TryLockError::WouldBlock)
        }
    }

    /// As [`Self::write`] where that need not wait.
    ///
    /// # Errors
    /// [`TryLockError`].
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, TryLockError> {
        if self.raw.try_write()? {
            Ok(RwLockWriteGuard { lock: self, own: PhantomData })
        } else {
            Err(TryLockError::WouldBlock)
        }
    }

    /// The value, which nobody else can reach.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        RwLock::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        RwLock::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_read() {
            Ok(guard) => f.debug_struct("RwLock").field("value", &&*guard).finish(),
            Err(error) => f.debug_struct("RwLock").field("value", &format_args!("<{error}>")).finish(),
        }
    }
}

/// The right to read the value of a [`RwLock`] until it is dropped.
#[must_use = "the lock is given up at once otherwise"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    /// It stays with the thread that reads: not `Send`.
    own: PhantomData<*const ()>,
}

/// The right to change the value of a [`RwLock`] until it is dropped.
#[must_use = "the lock is given up at once otherwise"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    /// It stays with the thread that writes: not `Send`.
    own: PhantomData<*const ()>,
}

// SAFETY: to those with whom it is shared it gives `&T`.
unsafe impl<T: ?Sized + Sync> Sync for RwLockReadGuard<'_, T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for RwLockWriteGuard<'_, T> {}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: while there is a guard of a reader there is none of a writer. That is so for ever for one that was
        // leaked: its thread keeps the lock, and when it ends abandons it for writers.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: while there is a guard of a writer there is no other. One that was leaked keeps all out: as long as its
        // thread lives it holds the lock, and then the lock is abandoned.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed for as long.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.raw.unlock_read();
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.raw.unlock_write();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
