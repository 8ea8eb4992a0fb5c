//! `lines WORD COUNT [WORD COUNT]`: prints `WORD i WORD` lines, i from 0, each in several writes. The second pair is
//! printed at the same time by a domain of its own: it shows that the console does not mix lines.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod arguments;

use alloc::string::{String, ToString};

use barreldish::process::{Child, Processes};
use barreldish::{ExitCode, args, eprintln};

use arguments::{Pair, parse};

#[barreldish::main]
fn main() -> ExitCode {
    let arguments = args();
    match parse(arguments.get(1..).unwrap_or_default()) {
        Ok((pair, other)) => run(pair, other).unwrap_or_else(|what| fail(&what, ExitCode::FAILURE)),
        Err(what) => fail(&what, ExitCode::USAGE),
    }
}

fn fail(what: &str, code: ExitCode) -> ExitCode {
    eprintln!("lines: {what}");
    code
}

/// Prints both pairs at the same time; the exit code is that of the other, if there is one.
fn run(pair: Pair<'_>, other: Option<Pair<'_>>) -> Result<ExitCode, String> {
    let child = other.map(start).transpose()?;
    print(pair)?;
    match child {
        Some(child) => Ok(ExitCode(child.wait().map_err(|error| error.to_string())?.code())),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// Starts this program again for one pair.
fn start(pair: Pair<'_>) -> Result<Child, String> {
    let processes = Processes::connect().map_err(|error| error.to_string())?;
    let count = pair.count.to_string();
    processes.spawn("lines", &[pair.word, &count]).map_err(|error| error.to_string())
}

/// Each line goes to the console in three parts, past the runtime, which would put them together.
fn print(pair: Pair<'_>) -> Result<(), String> {
    let session = rt::console::session().map_err(|error| error.to_string())?;
    for number in 0..pair.count {
        for part in [&[pair.word, " "].concat(), &number.to_string(), &[" ", pair.word, "\n"].concat()] {
            session.write(part.as_bytes()).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}
