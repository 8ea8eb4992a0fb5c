//! `cargo xtask verify`: the model checker, on every state of small systems.
//!
//! The host commands do not depend on it: it is built, optimised, when it is asked for.

use std::process::Command;

use crate::workspace::cargo;
use crate::{Result, process};

/// What `verify` was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// Not only the runs that take seconds.
    pub full: bool,
    /// Only runs whose name contains this.
    pub name: Option<String>,
    /// Workers, if not one a processor.
    pub threads: Option<u32>,
    /// MiB of table and frontier.
    pub memory: Option<u32>,
    /// Seconds for each run.
    pub timeout: Option<u32>,
}

/// The `verify` command: its status is 0 only if everything came out as expected.
pub fn command(options: &Options) -> Result<u8> {
    let mut model = checker(options);
    let status = model.status().map_err(|error| process::not_started(&model, &error))?;
    Ok(status.code().and_then(|it| u8::try_from(it).ok()).unwrap_or(1))
}

fn checker(options: &Options) -> Command {
    let mut model = cargo();
    model.args(["run", "--release", "--quiet", "--package", "model", "--"]);
    model.arg(if options.full { "--full" } else { "--quick" });
    for (option, value) in
        [("--threads", options.threads), ("--memory", options.memory), ("--timeout", options.timeout)]
    {
        model.args(value.iter().flat_map(|it| [option.to_owned(), it.to_string()]));
    }
    model.args(&options.name);
    model
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_goes_on_to_the_checker() {
        let shown = |options: &Options| process::shown(&checker(options));
        assert!(shown(&Options::default()).ends_with("run --release --quiet --package model -- --quick"));
        let options =
            Options { full: true, name: Some("toy".to_owned()), memory: Some(64), ..Options::default() };
        assert!(shown(&options).ends_with("-- --full --memory 64 toy"), "{}", shown(&options));
    }
}
