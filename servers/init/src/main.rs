//! The first domain; see the library beside it.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[barreldish::main]
fn main() {
    let status = init::run();
    init::switch_off(status);
}
