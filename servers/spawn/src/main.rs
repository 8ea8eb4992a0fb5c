//! The spawn service; see the library beside it.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[barreldish::main]
fn main() -> Result<core::convert::Infallible, spawn::StartError> {
    spawn::serve()
}
