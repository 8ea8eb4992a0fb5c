//! Reads address 0: shows what becomes of a program that does what it may not do.
#![cfg_attr(target_os = "none", no_std, no_main)]

use barreldish::println;

#[barreldish::main]
fn main() -> i32 {
    // SAFETY: nothing is ever mapped at address 0 of a domain (`abi::layout::USER_LOWEST`), so no Rust object lies
    // there. The read does not return: it is a fault, which is what this program is for.
    let byte = unsafe { core::ptr::null::<u8>().read_volatile() };
    println!("crash: address 0 can be read, and holds {byte:#x}");
    1
}
