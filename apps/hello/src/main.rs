//! `hello [NAME]`: the smallest useful program.
#![cfg_attr(target_os = "none", no_std, no_main)]

use barreldish::{args, println};

#[barreldish::main]
fn main() {
    match args().get(1) {
        Some(name) => println!("hello, {name}"),
        None => println!("hello"),
    }
}
