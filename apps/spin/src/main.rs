//! `spin [MILLISECONDS]`: computes for ever, or for so long, without ever waiting.
#![cfg_attr(target_os = "none", no_std, no_main)]

use core::time::Duration;

use barreldish::{ExitCode, args, eprintln, time};

#[barreldish::main]
fn main() -> ExitCode {
    let arguments = args();
    match arguments.get(1).map(|text| text.parse().map(Duration::from_millis)) {
        None => loop {
            core::hint::spin_loop();
        },
        Some(Ok(span)) if arguments.len() == 2 => {
            let start = time::now();
            while start.elapsed() < span {
                core::hint::spin_loop();
            }
            ExitCode::SUCCESS
        }
        Some(_) => {
            eprintln!("spin: expected MILLISECONDS or nothing");
            ExitCode::USAGE
        }
    }
}
