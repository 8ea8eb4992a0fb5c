//! What `main` returns, as an exit code.

use core::convert::Infallible;
use core::fmt::Display;

/// An exit code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ExitCode(pub i32);

impl ExitCode {
    /// All went well.
    pub const SUCCESS: ExitCode = ExitCode(0);
    /// Something went wrong.
    pub const FAILURE: ExitCode = ExitCode(1);
    /// The program was called wrongly.
    pub const USAGE: ExitCode = ExitCode(2);
}

/// What `main` may return.
pub trait Termination {
    /// The exit code, after what is to be said was printed.
    fn report(self) -> ExitCode;
}

impl Termination for () {
    fn report(self) -> ExitCode {
        ExitCode::SUCCESS
    }
}

impl Termination for i32 {
    fn report(self) -> ExitCode {
        ExitCode(self)
    }
}

impl Termination for ExitCode {
    fn report(self) -> ExitCode {
        self
    }
}

impl Termination for Infallible {
    fn report(self) -> ExitCode {
        match self {}
    }
}

impl<T: Termination, E: Display> Termination for Result<T, E> {
    fn report(self) -> ExitCode {
        match self {
            Ok(value) => value.report(),
            Err(error) => {
                let name = crate::args().first().copied().unwrap_or("?");
                crate::eprintln!("{name}: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

/// Runs a program's `main` and gives its exit code. What `#[barreldish::main]` calls.
pub fn start<T: Termination>(main: impl FnOnce() -> T) -> i32 {
    main().report().0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_become_exit_codes() {
        assert_eq!(start(|| ()), 0);
        assert_eq!(start(|| 7), 7);
        assert_eq!(start(|| Ok::<i32, &str>(3)), 3);
        assert_eq!(start(|| Err::<(), &str>("no such file")), 1);
        assert_eq!(start(|| ExitCode::FAILURE), 1);
    }
}
