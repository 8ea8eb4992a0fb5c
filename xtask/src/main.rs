//! `cargo xtask COMMAND`: see [`xtask::cli`] for the commands.

#![forbid(unsafe_code)]

fn main() {
    let status = match xtask::cli::main(std::env::args_os().skip(1)) {
        Ok(status) => status,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            failure.status()
        }
    };
    std::process::exit(i32::from(status));
}
