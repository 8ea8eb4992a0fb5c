//! Whatever bytes the ELF loader accepts keep every promise of its crate.
//!
//! Inputs must have room for the program that they start from: run it with `-max_len=20000`.
#![no_main]

#[path = "../../core/loader/tests/loader/builder.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod builder;
#[path = "../../core/loader/tests/loader/invariants.rs"]
mod invariants;

use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target, fuzzer_mutate};
use loader::{Image, Limits};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let limits = Limits::default();
    match Image::parse(bytes, limits) {
        Ok(image) => invariants::check(&image, bytes, limits),
        // Every message can be made.
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    Corpus::Keep
});

// Without a corpus the fuzzer would spend its time on finding out what an ELF header is: now and then it gets one.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let program = builder::program().bytes();
    if seed.is_multiple_of(1024) && program.len() <= max_size {
        data[..program.len()].copy_from_slice(&program);
        return program.len();
    }
    fuzzer_mutate(data, size, max_size)
});
