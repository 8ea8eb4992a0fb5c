//! `run_memtest BYTES`: allocates so much memory, writes a random pattern, checks it, gives the memory back, and says how
//! long each took.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use barreldish::{args, eprintln, println, time};

/// Status after wrong usage.
const USAGE_STATUS: i32 = 2;
/// Bytes of a word of the pattern.
const WORD: u64 = size_of::<u64>() as u64;

#[barreldish::main]
fn main() -> i32 {
    let arguments = args();
    let bytes = arguments.get(1).and_then(|text| bytes_of(text));
    let Some(bytes) = bytes.filter(|&bytes| bytes != 0 && arguments.len() == 2) else {
        eprintln!("run_memtest: expected BYTES, a number with K, M or G behind it or without");
        return USAGE_STATUS;
    };
    match test(bytes) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("run_memtest: {error}");
            1
        }
    }
}

/// A number of bytes, perhaps in KiB, MiB or GiB.
fn bytes_of(text: &str) -> Option<u64> {
    let shift = match text.as_bytes().last()? {
        b'K' | b'k' => 10,
        b'M' | b'm' => 20,
        b'G' | b'g' => 30,
        _ => 0,
    };
    let digits = if shift == 0 { text } else { &text[..text.len() - 1] };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn test(bytes: u64) -> Result<(), String> {
    let words = usize::try_from(bytes.div_ceil(WORD)).map_err(|_| String::from("too many bytes"))?;
    let start = time::now();
    let mut memory: Vec<u64> = Vec::new();
    memory.try_reserve_exact(words).map_err(|_| alloc::format!("{bytes} bytes: not enough memory"))?;
    let seed = start.ticks() | 1;
    memory.extend(pattern(seed).take(words));
    let written = time::now();
    if let Some(at) = memory.iter().zip(pattern(seed)).position(|(&word, expected)| word != expected) {
        return Err(alloc::format!("the word at byte {} is not what was written", at as u64 * WORD));
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
