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
    macro_rules! local {
        ($(#[$doc:meta])* static $name:ident: $type:ty = $value:expr;) => {
            std::thread_local! {
                $(#[$doc])*
                static $name: $type = const { $value };
            }
        };
    }
    pub(crate) use local;
}

#[cfg(target_os = "none")]
pub(crate) use imp::Local;
pub(crate) use imp::local;
