//! Values that each thread has of its own.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::any::Any;
use core::cell::RefCell;
use core::marker::PhantomData;

use super::table::with_own_block;

/// The values of one thread, with the addresses of their keys. They are few.
pub(super) struct Locals(RefCell<Vec<(usize, *const dyn Any)>>);

impl Locals {
    pub(super) const fn new() -> Locals {
        Locals(RefCell::new(Vec::new()))
    }
    fn find(&self, key: usize) -> Option<*const dyn Any> {
        self.0.borrow().iter().find(|value| value.0 == key).map(|value| value.1)
    }
}

/// Adds a value of the running thread. The room for it is made outside of the critical section, where the heap may grow.
fn add(key: usize, value: *const dyn Any) {
    let (length, capacity) =
        with_own_block(|block| (block.locals.0.borrow().len(), block.locals.0.borrow().capacity()));
    if length == capacity {
        let mut larger = Vec::with_capacity(2 * capacity + 2);
        let former = with_own_block(|block| {
            larger.append(&mut block.locals.0.borrow_mut());
            block.locals.0.replace(larger)
        });
        drop(former);
    }
    with_own_block(|block| block.locals.0.borrow_mut().push((key, value)));
}

/// A value of which each thread has its own, made when the thread first looks at it. See [`crate::thread_local!`].
pub struct LocalKey<T: 'static> {
    make: fn() -> T,
    value: PhantomData<fn() -> T>,
}

impl<T: 'static> LocalKey<T> {
    /// For [`crate::thread_local!`].
    pub const fn new(make: fn() -> T) -> LocalKey<T> {
        LocalKey { make, value: PhantomData }
    }

    /// Looks at the running thread's value.
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        let key = core::ptr::from_ref(self).cast::<u8>() as usize;
        let found = with_own_block(|block| block.locals.find(key));
        let value = match found {
            Some(value) => value,
            None => {
                // Made outside of everything: it may look at other such values.
                let made: *const dyn Any = Box::into_raw(Box::new((self.make)()));
                // If making it has made one already, that one is found from here on, and this one stays unused.
                add(key, made);
                made
            }
        };
        // SAFETY: a box of this thread's, given back at the thread's end alone, when nothing of it runs any more.
        let value = unsafe { &*value };
        match value.downcast_ref::<T>() {
            Some(value) => f(value),
            None => unreachable!("a key has values of its own type"),
        }
    }
}

/// Drops the values of the running thread, which ends.
pub(super) fn drop_own() {
    // Dropping one may make another.
    while let Some((_, value)) = with_own_block(|block| block.locals.0.borrow_mut().pop()) {
        // SAFETY: made by `Box::into_raw` in `LocalKey::with`, and out of the map now.
        drop(unsafe { Box::from_raw(value.cast_mut()) });
    }
}

/// Declares values of which each thread has its own:
///
/// ```ignore
/// thread_local! {
///     static DEPTH: Cell<u32> = Cell::new(0);
/// }
/// DEPTH.with(|depth| depth.set(depth.get() + 1));
/// ```
#[macro_export]
macro_rules! thread_local {
    ($($(#[$attribute:meta])* $visible:vis static $name:ident: $type:ty = $value:expr;)*) => {
        $(
            $(#[$attribute])*
            $visible static $name: $crate::thread::LocalKey<$type> = $crate::thread::LocalKey::new(|| $value);
        )*
    };
}
