//! State of the domain: statics that its threads share.
//!
//! No other core sees a domain's memory, and its threads take turns. A look at such a static is a critical section
//! ([`crate::critical`]), in which no other thread comes between; so values are shared with `Cell` and `RefCell`.
//! On a hosted target every test thread is a domain of its own.

#[cfg(target_os = "none")]
mod imp {
    /// A static of this domain.
    pub(crate) struct Local<T>(T);

    // SAFETY: see the module: threads of one core look at it in critical sections alone, and no static is shared between
    // domains. `raw` is for values that need none.
    unsafe impl<T> Sync for Local<T> {}

    impl<T> Local<T> {
        pub(crate) const fn new(value: T) -> Local<T> {
            Local(value)
        }
        /// Looks at it in a critical section.
        #[inline(always)]
        pub(crate) fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
            crate::critical::section(|| f(&self.0))
        }
        /// As [`Self::with`], for those who are in a critical section.
        #[inline(always)]
        pub(crate) fn with_in_section<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
            debug_assert!(crate::critical::inside());
            f(&self.0)
        }
    }

    macro_rules! local {
        ($(#[$doc:meta])* static $name:ident: $type:ty = $value:expr;) => {
            $(#[$doc])*
            static $name: $crate::local::Local<$type> = $crate::local::Local::new($value);
        };
    }
    pub(crate) use local;

    /// A static whose value needs no critical section: an atomic, or one that never changes once the domain has started.
    pub(crate) struct Raw<T>(T);

    // SAFETY: as its users promise: atomics (whose accesses are single instructions to the domain's other threads), or
    // values that are written before there is a second thread.
    unsafe impl<T> Sync for Raw<T> {}

    impl<T> Raw<T> {
        pub(crate) const fn new(value: T) -> Raw<T> {
            Raw(value)
        }
        #[inline(always)]
        pub(crate) fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
            f(&self.0)
        }
    }

    macro_rules! raw_local {
        ($(#[$doc:meta])* static $name:ident: $type:ty = $value:expr;) => {
            $(#[$doc])*
            static $name: $crate::local::Raw<$type> = $crate::local::Raw::new($value);
        };
    }
    pub(crate) use raw_local;
}

#[cfg(not(target_os = "none"))]
mod imp {
    use std::mem::ManuallyDrop;
    use std::thread::LocalKey;

    /// A static of this thread's domain. As a static it is never dropped.
    pub(crate) struct Local<T: 'static>(&'static LocalKey<ManuallyDrop<T>>);

    impl<T> Local<T> {
        pub(crate) const fn new(key: &'static LocalKey<ManuallyDrop<T>>) -> Local<T> {
            Local(key)
        }
        pub(crate) fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
            self.0.with(|value| f(value))
        }
        pub(crate) fn with_in_section<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
            self.with(f)
        }
    }

    macro_rules! local {
        ($(#[$doc:meta])* static $name:ident: $type:ty = $value:expr;) => {
            $(#[$doc])*
            static $name: $crate::local::Local<$type> = {
                std::thread_local! {
                    static KEY: std::mem::ManuallyDrop<$type> = const { std::mem::ManuallyDrop::new($value) };
                }
                $crate::local::Local::new(&KEY)
            };
        };
    }
    pub(crate) use local;
    pub(crate) use local as raw_local;
}

#[cfg(target_os = "none")]
pub(crate) use imp::Raw;
pub(crate) use imp::{Local, local, raw_local};
