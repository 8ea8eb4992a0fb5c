//! State of the domain: statics for the one context in which a domain's Rust code runs.
//!
//! A domain runs its code on one stack at a time, and no other core sees its memory. The only code that interrupts
//! it is the upcall entry, which touches the dispatcher frame alone (`arch`, [`crate::frame`]), and the fault
//! report, after which nothing interrupted goes on. Values are therefore shared with `Cell` and `RefCell`.
//! On a hosted target every test thread is a domain of its own.

#[cfg(target_os = "none")]
mod imp {
    /// A static of this domain.
    pub(crate) struct Local<T>(T);

    // SAFETY: see the module: one context a domain, and statics are not shared between domains.
    unsafe impl<T> Sync for Local<T> {}

    impl<T> Local<T> {
        pub(crate) const fn new(value: T) -> Local<T> {
            Local(value)
        }
        #[inline(always)]
        pub(crate) fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
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
}

pub(crate) use imp::{Local, local};
