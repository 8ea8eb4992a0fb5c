//! `bytes COUNT`: reads so many bytes of its input and prints `COUNT bytes, FNV-1a HASH`: shows that nothing typed is
//! lost, doubled or moved.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod hash;

use alloc::format;
use alloc::string::{String, ToString};

use barreldish::{ExitCode, args, eprintln, println};

use hash::Fnv1a;

/// Bytes that one read asks for at most.
const CHUNK: u64 = 4096;

#[barreldish::main]
fn main() -> ExitCode {
    match parse(args().get(1..).unwrap_or_default()) {
        Ok(count) => run(count).map_or_else(|what| fail(&what, ExitCode::FAILURE), |()| ExitCode::SUCCESS),
        Err(what) => fail(&what, ExitCode::USAGE),
    }
}

fn fail(what: &str, code: ExitCode) -> ExitCode {
    eprintln!("bytes: {what}");
    code
}

fn parse(arguments: &[&str]) -> Result<u64, String> {
    match *arguments {
        [count] => count.parse().map_err(|_| format!("expected a number of bytes, not `{count}`")),
        _ => Err("expected COUNT".into()),
    }
}

fn run(count: u64) -> Result<(), String> {
    let session = rt::console::session().map_err(|error| error.to_string())?;
    let (mut read, mut hash) = (0, Fnv1a::new());
    while read < count {
        let bytes = session.read((count - read).min(CHUNK) as u32).map_err(|error| error.to_string())?;
        if bytes.is_empty() {
            return Err(format!("end of input after {read} bytes"));
        }
        hash.update(&bytes);
        read += bytes.len() as u64;
    }
    println!("{read} bytes, FNV-1a {:016x}", hash.value());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_is_taken() {
        assert_eq!(parse(&["65536"]), Ok(65536));
        for wrong in [&[][..], &["many"], &["-1"], &["1", "2"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
