//! `cargo xtask COMMAND`: see [`xtask::cli`] for the commands.

#![forbid(unsafe_code)]

fn main() {
    let status = match xtask::cli::main(std::env::args_os().skip(1)) {
        Ok(status) => status,
        Err(failure) => {
            let line = format!("xtask: {failure}\n");
            let _ = xtask::terminal::write_all(&mut std::io::stderr(), line.as_bytes());
            failure.status()
        }
    };
    std::process::exit(i32::from(status));
}
