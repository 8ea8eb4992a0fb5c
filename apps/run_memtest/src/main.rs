//! `run_memtest BYTES`: allocates so much memory, writes a random pattern, checks it, gives the memory back, and says how
//! long each took.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::num::IntErrorKind;

use barreldish::{args, eprintln, println, time};

/// Status after wrong usage.
const USAGE_STATUS: i32 = 2;
/// What has to be said.
const BYTES: &str = "a number with K, M or G behind it or without";
/// Bytes of a word of the pattern.
const WORD: u64 = size_of::<u64>() as u64;

#[barreldish::main]
fn main() -> i32 {
    let arguments = args();
    let asked = match arguments[..] {
        [_, text] => bytes_of(text).map(|bytes| (text, bytes)),
        _ => Err(format!("expected BYTES: {BYTES}")),
    };
    let (text, bytes) = match asked {
        Ok(asked) => asked,
        Err(error) => {
            eprintln!("run_memtest: {error}");
            return USAGE_STATUS;
        }
    };
    match test(text, bytes) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("run_memtest: {error}");
            1
        }
    }
}

/// A number of bytes, perhaps in KiB, MiB or GiB.
fn bytes_of(text: &str) -> Result<u64, String> {
    let shift = match text.as_bytes().last() {
        Some(b'K' | b'k') => 10,
        Some(b'M' | b'm') => 20,
        Some(b'G' | b'g') => 30,
        _ => 0,
    };
    let digits = if shift == 0 { text } else { &text[..text.len() - 1] };
    let number = match digits.parse::<u64>().map_err(|it| *it.kind()) {
        Err(kind) if kind != IntErrorKind::PosOverflow => {
            return Err(format!("expected {BYTES}, not `{text}`"));
        }
        Ok(0) => return Err(format!("expected {BYTES}, from 1, not `{text}`")),
        number => number.ok(),
    };
    number.and_then(|it| it.checked_mul(1 << shift)).ok_or_else(|| format!("{text}: too large"))
}

/// `text` is how the number of bytes was asked for.
fn test(text: &str, bytes: u64) -> Result<(), String> {
    let words = usize::try_from(bytes.div_ceil(WORD)).map_err(|_| format!("{text}: too large"))?;
    let start = time::now();
    let mut memory: Vec<u64> = Vec::new();
    memory.try_reserve_exact(words).map_err(|_| format!("{text}: not enough memory"))?;
    let seed = start.ticks() | 1;
    memory.extend(pattern(seed).take(words));
    let written = time::now();
    if let Some(at) = memory.iter().zip(pattern(seed)).position(|(&word, expected)| word != expected) {
        return Err(format!("the word at byte {} is not what was written", at as u64 * WORD));
    }
    let checked = time::now();
    drop(memory);
    let ms = |from: time::Instant, to: time::Instant| to.duration_since(from).as_millis();
    let (write, check, free) = (ms(start, written), ms(written, checked), ms(checked, time::now()));
    println!("{bytes} bytes: written in {write} ms, checked in {check} ms, given back in {free} ms");
    Ok(())
}

/// Numbers that look random: xorshift (Marsaglia, 2003).
fn pattern(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    core::iter::from_fn(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Some(state)
    })
}
