//! How the types of the language travel.

use super::{Capability, DYNAMIC, Decode, Encode, Sink, Source, max};
use crate::error::CallError;
use crate::error::DecodeError::{self, Malformed, OutOfMemory};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

macro_rules! integers {
    ($($type:ty, $unsigned:ty;)*) => { $(
        impl Encode for $type {
            const WORDS: usize = 1;
            const CAPABILITIES: usize = 0;
            #[inline(always)]
            fn encode<S: Sink>(&self, sink: &mut S) {
                sink.integer(*self as $unsigned as u64, size_of::<$type>());
            }
        }
        impl Decode for $type {
            #[inline(always)]
            fn decode<S: Source>(source: &mut S) -> Result<Self, DecodeError> {
                let value = source.integer(size_of::<$type>())?;
                Ok(<$unsigned>::try_from(value).map_err(|_| Malformed)? as $type)
            }
        }
    )* };
}

integers! { u16, u16; u32, u32; u64, u64; i8, u8; i16, u16; i32, u32; i64, u64; }

impl Encode for u8 {
    const WORDS: usize = 1;
    const CAPABILITIES: usize = 0;
    #[inline(always)]
    fn encode<S: Sink>(&self, sink: &mut S) {
        sink.integer(u64::from(*self), 1);
    }
    #[inline]
    fn encode_all<S: Sink>(items: &[u8], sink: &mut S) {
        sink.bytes(items);
    }
}

impl Decode for u8 {
    #[inline(always)]
    fn decode<S: Source>(source: &mut S) -> Result<u8, DecodeError> {
        u8::try_from(source.integer(1)?).map_err(|_| Malformed)
    }
    #[inline]
    fn decode_all<S: Source>(count: usize, source: &mut S) -> Result<Vec<u8>, DecodeError> {
        let bytes = source.bytes(count)?;
        let mut items = Vec::new();
        items.try_reserve_exact(count).map_err(|_| OutOfMemory)?;
        items.extend_from_slice(bytes);
        Ok(items)
    }
}

impl Encode for bool {
    const WORDS: usize = 1;
    const CAPABILITIES: usize = 0;
    #[inline(always)]
    fn encode<S: Sink>(&self, sink: &mut S) {
        sink.integer(u64::from(*self), 1);
    }
}

impl Decode for bool {
    #[inline(always)]
    fn decode<S: Source>(source: &mut S) -> Result<bool, DecodeError> {
        match source.integer(1)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }
}

impl Encode for Capability {
    const WORDS: usize = 0;
    const CAPABILITIES: usize = 1;
    #[inline(always)]
    fn encode<S: Sink>(&self, sink: &mut S) {
        sink.capability(*self);
    }
}

impl Decode for Capability {
    #[inline(always)]
    fn decode<S: Source>(source: &mut S) -> Result<Capability, DecodeError> {
        source.capability()
    }
}

impl Encode for CallError {
    const WORDS: usize = 1;
    const CAPABILITIES: usize = 0;
    #[inline(always)]
    fn encode<S: Sink>(&self, sink: &mut S) {
        sink.integer(*self as u64, 1);
    }
}

impl Decode for CallError {
    #[inline(always)]
    fn decode<S: Source>(source: &mut S) -> Result<CallError, DecodeError> {
        Ok(CallError::from_number(source.integer(1)?))
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    const WORDS: usize = T::WORDS;
    const CAPABILITIES: usize = T::CAPABILITIES;
    #[inline(always)]
    fn encode<S: Sink>(&self, sink: &mut S) {
        (**self).encode(sink);
    }
}

impl<T: Encode> Encode for Option<T> {
    const WORDS: usize = 1 + T::WORDS;
    const CAPABILITIES: usize = T::CAPABILITIES;
    #[inline(always)]
    fn encode<S: Sink>(&self, sink: &mut S) {
        sink.integer(u64::from(self.is_some()), 1);
        if let Some(value) = self {
            value.encode(sink);
        }
    }
}

impl<T: Decode> Decode for Option<T> {
    #[inline(always)]
    fn decode<S: Source>(source: &mut S) -> Result<Option<T>, DecodeError> {
        if bool::decode(source)? { T::decode(source).map(Some) } else { Ok(None) }
    }
}

impl<T: Encode, E: Encode> Encode for Result<T, E> {
    const WORDS: usize = 1 + max(T::WORDS, E::WORDS);
    const CAPABILITIES: usize = max(T::CAPABILITIES, E::CAPABILITIES);
    #[inline(always)]
    fn encode<S: Sink>(&self, sink: &mut S) {
        match self {
            Ok(value) => {
                sink.integer(0, 1);
                value.encode(sink);
            }
            Err(error) => {
                sink.integer(1, 1);
                error.encode(sink);
            }
        }
    }
}

impl<T: Decode, E: Decode> Decode for Result<T, E> {
    #[inline(always)]
    fn decode<S: Source>(source: &mut S) -> Result<Result<T, E>, DecodeError> {
        match source.integer(1)? {
            0 => T::decode(source).map(Ok),
            1 => E::decode(source).map(Err),
            _ => Err(Malformed),
        }
    }
}

impl<T: Encode> Encode for [T] {
    const WORDS: usize = DYNAMIC;
    const CAPABILITIES: usize = 0;
    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        const { assert!(T::CAPABILITIES == 0, "a sequence cannot hold capabilities") };
        const { assert!(T::WORDS > 0, "elements of a sequence take at least a byte each") };
        // Longer ones exceed every limit, whatever their count says.
        sink.integer(u64::from(u32::try_from(self.len()).unwrap_or(u32::MAX)), 4);
        T::encode_all(self, sink);
    }
}

impl<T: Encode> Encode for Vec<T> {
    const WORDS: usize = DYNAMIC;
    const CAPABILITIES: usize = 0;
    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        self.as_slice().encode(sink);
    }
}

impl<T: Decode> Decode for Vec<T> {
    #[inline]
    fn decode<S: Source>(source: &mut S) -> Result<Vec<T>, DecodeError> {
        let count = u32::decode(source)? as usize;
        // Each element takes a byte at least: no count makes us allocate more than was received.
        if count > source.remaining() {
            return Err(Malformed);
        }
        T::decode_all(count, source)
    }
}

impl Encode for str {
    const WORDS: usize = DYNAMIC;
    const CAPABILITIES: usize = 0;
    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        self.as_bytes().encode(sink);
    }
}

impl Encode for String {
    const WORDS: usize = DYNAMIC;
    const CAPABILITIES: usize = 0;
    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        self.as_bytes().encode(sink);
    }
}

impl Decode for String {
    #[inline]
    fn decode<S: Source>(source: &mut S) -> Result<String, DecodeError> {
        String::from_utf8(Vec::decode(source)?).map_err(|_| Malformed)
    }
}

impl<T: Encode> Encode for Box<T> {
    const WORDS: usize = T::WORDS;
    const CAPABILITIES: usize = T::CAPABILITIES;
    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        (**self).encode(sink);
    }
}

impl<T: Decode> Decode for Box<T> {
    #[inline]
    fn decode<S: Source>(source: &mut S) -> Result<Box<T>, DecodeError> {
        T::decode(source).map(Box::new)
    }
}

impl<T: Encode, const N: usize> Encode for [T; N] {
    const WORDS: usize = N * T::WORDS;
    const CAPABILITIES: usize = N * T::CAPABILITIES;
    #[inline(always)]
    fn encode<S: Sink>(&self, sink: &mut S) {
        for item in self {
            item.encode(sink);
        }
    }
}

impl<T: Decode + Copy + Default, const N: usize> Decode for [T; N] {
    #[inline(always)]
    fn decode<S: Source>(source: &mut S) -> Result<[T; N], DecodeError> {
        let mut items = [T::default(); N];
        for item in &mut items {
            *item = T::decode(source)?;
        }
        Ok(items)
    }
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),*);)*) => { $(
        impl<$($name: Encode),*> Encode for ($($name,)*) {
            const WORDS: usize = 0 $(+ $name::WORDS)*;
            const CAPABILITIES: usize = 0 $(+ $name::CAPABILITIES)*;
            #[inline(always)]
            fn encode<S: Sink>(&self, _sink: &mut S) {
                $(self.$index.encode(_sink);)*
            }
        }
        impl<$($name: Decode),*> Decode for ($($name,)*) {
            #[inline(always)]
            fn decode<S: Source>(_source: &mut S) -> Result<Self, DecodeError> {
                Ok(($($name::decode(_source)?,)*))
            }
        }
    )* };
}

tuples! {
    ();
    (A 0);
    (A 0, B 1);
    (A 0, B 1, C 2);
    (A 0, B 1, C 2, D 3);
    (A 0, B 1, C 2, D 3, E 4);
    (A 0, B 1, C 2, D 3, E 4, F 5);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
}
