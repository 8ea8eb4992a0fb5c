//! The shell; see the library beside it.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[barreldish::main]
fn main() -> i32 {
    sh::main()
}
