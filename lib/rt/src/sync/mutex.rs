//! A value that one thread at a time works on.

use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use threads::sync::RawMutex;

use super::{Abandoned, Domain};

/// A value behind a lock that one thread holds at a time.
///
/// It is handed to the thread that has waited longest. Priorities are not inherited.
pub struct Mutex<T: ?Sized> {
    raw: RawMutex<Domain>,
    value: UnsafeCell<T>,
}

// SAFETY: with it goes the value, and ids of threads, which are numbers.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: the cells of `raw` are touched in critical sections alone, in which no other thread of the domain comes between;
// the value is reached through a guard, of which there is one at a time. So it is as if the value moved from thread to
// thread: it must be `Send`, and need not be `Sync`.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

/// Why a lock was not got at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TryLockError {
    /// Another thread holds it, or came before.
    WouldBlock,
    /// A thread ended that held it.
    Abandoned,
}

impl From<Abandoned> for TryLockError {
    fn from(_: Abandoned) -> Self {
        TryLockError::Abandoned
    }
}

impl fmt::Display for TryLockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TryLockError::WouldBlock => f.write_str("another thread holds the lock"),
            TryLockError::Abandoned => Abandoned.fmt(f),
        }
    }
}

impl core::error::Error for TryLockError {}

impl<T> Mutex<T> {
    /// A value that nobody works on.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex { raw: RawMutex::new(), value: UnsafeCell::new(value) }
    }

    /// The value, abandoned or not.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits until no other thread works on the value.
    ///
    /// # Panics
    /// If the mutex is abandoned, the current thread holds it, or a handler or task would have to wait.
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        match self.checked_lock() {
            Ok(guard) => guard,
            Err(Abandoned) => super::abandoned(),
        }
    }

    /// As [`Self::lock`], for those who have an answer to what an ended thread left half changed.
    ///
    /// # Errors
    /// [`Abandoned`].
    ///
    /// # Panics
    /// If the current thread holds it, or a handler or task would have to wait.
    pub fn checked_lock(&self) -> Result<MutexGuard<'_, T>, Abandoned> {
        self.raw.lock()?;
        Ok(MutexGuard::new(self))
    }

    /// As [`Self::lock`] where that need not wait.
    ///
    /// # Errors
    /// [`TryLockError`].
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        if self.raw.try_lock()? { Ok(MutexGuard::new(self)) } else { Err(TryLockError::WouldBlock) }
    }

    /// Whether a thread has ended that held it: nobody will get it any more.
    pub fn is_abandoned(&self) -> bool {
        self.raw.is_abandoned()
    }

    /// The value, which nobody else can reach.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Mutex::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Ok(guard) => f.debug_struct("Mutex").field("value", &&*guard).finish(),
            Err(error) => f.debug_struct("Mutex").field("value", &format_args!("<{error}>")).finish(),
        }
    }
}

/// The right to work on the value of a [`Mutex`]. Dropping it hands the mutex on.
#[must_use = "the mutex is unlocked at once otherwise"]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    /// It stays with the thread that holds the mutex: not `Send`.
    own: PhantomData<*const ()>,
}

// SAFETY: to those with whom it is shared it gives `&T`.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// For the thread that has locked it.
    fn new(mutex: &'a Mutex<T>) -> MutexGuard<'a, T> {
        MutexGuard { mutex, own: PhantomData }
    }

    /// For condition variables, which hand it on meanwhile.
    pub(super) fn raw(&self) -> &'a RawMutex<Domain> {
        &self.mutex.raw
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: of a mutex there is one guard at a time, and this is it. After one that was leaked there is none: its
        // thread holds the mutex as long as it lives, and then it is abandoned.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed for as long.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.mutex.raw.unlock();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
