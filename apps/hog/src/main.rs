//! `hog [COMMAND [WORD...]]`: takes memory until no more is to be had, writes to all of it, says how much it was, and runs the
//! command while it sits on it. Then it looks whether its memory is still what it wrote. `hog -a` tries to get at the accounts
//! of others instead, `hog -p COUNT` takes so many pages one by one.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use abi::PAGE_SIZE;
use barreldish::interfaces::{Account, AccountsClient};
use barreldish::process::{Processes, run};
use barreldish::{ExitCode, LmpPort, args, eprintln, println};

/// Bytes that are taken at a time.
const BLOCK: usize = 64 * 1024;
/// Blocks that are given back, so that there is something left to print and to ask for a program with.
const SPARE: usize = 4;
/// Frames that are borrowed and given back before the feast.
const LOANS: usize = 16;

#[barreldish::main]
fn main() -> Result<i32, String> {
    match args().get(1..).unwrap_or_default() {
        ["-a"] => return meddle(),
        ["-p", count] => match count.parse() {
            Ok(count) => return pages(count),
            Err(_) => return Ok(usage(&format!("-p {count}: expected a number of pages"))),
        },
        // All memory is not taken by mistake.
        [option, ..] if option.starts_with('-') => {
            return Ok(usage("expected COMMAND and its words or nothing, -a, or -p COUNT"));
        }
        _ => {}
    }
    // What talking needs is there before nothing is left.
    Processes::connect().map_err(text)?;
    println!("hog: hungry");
    borrow()?;
    let mut blocks = feast();
    let taken = blocks.len() * BLOCK / 1024;
    let (Account { used, limit }, refusal) = (account()?, refusal()?);
    blocks.truncate(blocks.len().saturating_sub(SPARE));
    println!("hog: {taken} KiB, account {} of {} KiB: {}", used / 1024, limit / 1024, refusal);
    let status = match args().get(1..).unwrap_or_default() {
        [] => 0,
        [command, words @ ..] => run(command, words).map_err(text)?.code(),
    };
    match blocks.iter().enumerate().find(|&(number, block)| !is_whole(block, number)) {
        Some((number, _)) => Err(format!("block {number} has changed")),
        None => Ok(status),
    }
}

/// Says how it is called.
fn usage(what: &str) -> i32 {
    eprintln!("hog: {what}");
    ExitCode::USAGE.0
}

/// Only parts of the system may have memory accounted to others.
fn meddle() -> Result<i32, String> {
    match barreldish::connect::<AccountsClient<LmpPort>>("mem.accounts") {
        Ok(accounts) => Err(format!("connected: {:?}", accounts.set_limit(5, 0))),
        Err(error) => {
            println!("hog: {error}");
            Ok(0)
        }
    }
}

/// Many small allocations, each with a capability of its own.
fn pages(count: usize) -> Result<i32, String> {
    let mut pages = Vec::new();
    for number in 0..count {
        let page = rt::memory::allocate(PAGE_SIZE, PAGE_SIZE);
        pages.push(page.map_err(|error| format!("page {number}: {error}"))?);
    }
    println!("hog: {count} pages, account {} KiB", account()?.used / 1024);
    Ok(0)
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

fn account() -> Result<Account, String> {
    rt::memory::account().map_err(text)
}

/// Frames that come back leave the account as it was. The first time this domain may grow.
fn borrow() -> Result<(), String> {
    for first in [true, false] {
        let before = account()?.used;
        let frames: Vec<_> = (0..LOANS).map_while(|_| rt::memory::frame(BLOCK as u64).ok()).collect();
        let (lent, during) = ((frames.len() * BLOCK) as u64, account()?.used);
        drop(frames);
        let after = account()?.used;
        if !first && (during, after) != (before + lent, before) {
            return Err(format!("account {before}, with {lent} more {during}, afterwards {after}"));
        }
    }
    Ok(())
}

/// All that can be had, each block full of its number.
fn feast() -> Vec<Vec<u8>> {
    let mut blocks = Vec::new();
    loop {
        let mut block = Vec::new();
        if blocks.try_reserve(1).is_err() || block.try_reserve_exact(BLOCK).is_err() {
            return blocks;
        }
        block.resize(BLOCK, blocks.len() as u8);
        blocks.push(block);
    }
}

fn is_whole(block: &[u8], number: usize) -> bool {
    block.iter().step_by(PAGE_SIZE as usize).all(|&byte| byte == number as u8)
}

/// Why there is no more.
fn refusal() -> Result<String, String> {
    let service = rt::names::memory_service().map_err(text)?;
    match service.allocate(16 * BLOCK as u64, PAGE_SIZE) {
        Ok(_) => Err("there was more".into()),
        Err(error) => Ok(error.to_string()),
    }
}
