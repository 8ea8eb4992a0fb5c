//! `cargo xtask test`: everything that CI runs.

use std::process::Command;
use std::time::Instant;

use crate::build::Profile;
use crate::check::{self, Tally};
use crate::image::Artifacts;
use crate::workspace::{Workspace, cargo};
use crate::{Failure, Result, cli, process, setup, size, verify};

/// Tells the scenarios where the boot image is.
pub const ARTIFACTS_VARIABLE: &str = "BARRELDISH_ARTIFACTS";
/// Tells the comparisons with models that their long runs are wanted.
pub const LONG_VARIABLE: &str = "BARRELDISH_LONG";
/// The packages that have such runs.
const LONG_MODELS: [&str; 6] = ["caps", "channel", "kernel", "region", "threads", "vspace"];

/// What `test` was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// Only scenarios whose name contains this.
    pub filter: Option<String>,
    /// The long runs too.
    pub soak: bool,
}

/// Checks, host tests and the model checker's short runs (unless a name was given), then the scenarios on one image.
pub fn command(options: &Options) -> Result<u8> {
    let begin = Instant::now();
    setup::ensure()?;
    let workspace = Workspace::load()?;
    let mut tally = Tally::default();
    // Before an image is built for nothing. Scenarios that do not compile are told of when they are run.
    if let Some(name) = &options.filter
        && process::output(&mut listing(name)).is_ok_and(|list| !list.lines().any(is_test))
    {
        tally.step("scenarios", || Err(Failure::new(format!("no scenario's name contains `{name}`"))));
        return Ok(tally.close(begin));
    }
    if options.filter.is_none() {
        check::all(&workspace, &mut tally);
        tally.step("verify::quick", verify::quick);
        if options.soak {
            tally.cargo_test(&mut long_models());
        }
    }
    let mut artifacts = None;
    tally.step("build::image", || {
        artifacts = Some(cli::prepare(Profile::Release)?);
        Ok(())
    });
    if let Some(artifacts) = artifacts {
        tally.step("size::kernel_text_is_small", || size::check_kernel(&artifacts));
        tally.cargo_test(&mut scenarios(options, &workspace, &artifacts));
    }
    Ok(tally.close(begin))
}

/// In release mode: millions of operations are too many for a debug build.
fn long_models() -> Command {
    let mut test = cargo();
    test.args(["test", "--release", "--quiet", "--no-fail-fast"]);
    test.args(LONG_MODELS.iter().flat_map(|package| ["--package", package]));
    test.env(LONG_VARIABLE, "1");
    test
}

/// Lists the scenarios whose name contains `name`, with the same build of them that is run afterwards.
fn listing(name: &str) -> Command {
    let mut test = cargo();
    test.args(["test", "--package", "tests", "--", "--list", name]);
    test
}

/// Whether a line of such a list is a test's.
fn is_test(line: &str) -> bool {
    line.ends_with(": test")
}

fn scenarios(options: &Options, workspace: &Workspace, artifacts: &Artifacts) -> Command {
    let mut test = cargo();
    test.args(["test", "--package", "tests", "--no-fail-fast", "--"]);
    test.args(&options.filter);
    test.env(ARTIFACTS_VARIABLE, workspace.artifacts());
    debug_assert!(artifacts.image.starts_with(workspace.artifacts()));
    if options.soak {
        test.arg("--include-ignored");
    }
    test
}
