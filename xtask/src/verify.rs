//! `cargo xtask verify`: the model checker, on every state of small systems.
//!
//! The host commands do not depend on it: it is built, optimised, when it is asked for.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::plot::{self, Series};
use crate::workspace::cargo;
use crate::{Failure, Result, process};

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
    /// Whole machines at random, with these options of the simulation, rather than states.
    pub simulation: Option<Vec<String>>,
    /// Where to draw the messages that operations take, rather than to look at states.
    pub plot: Option<PathBuf>,
}

/// The `verify` command: its status is 0 only if everything came out as expected.
pub fn command(options: &Options) -> Result<u8> {
    if let Some(directory) = &options.plot {
        return draw_messages(directory);
    }
    let mut model = checker(options);
    let status = model.status().map_err(|error| process::not_started(&model, &error))?;
    Ok(status.code().and_then(|it| u8::try_from(it).ok()).unwrap_or(1))
}

/// The runs that take seconds, as part of the tests.
pub fn quick() -> Result {
    match command(&Options::default())? {
        0 => Ok(()),
        _ => Err(Failure::new("the model checker found something: see above")),
    }
}

/// Counts the messages of each operation, and draws them.
fn draw_messages(directory: &Path) -> Result<u8> {
    let mut model = model();
    let output = model.arg("--messages").output().map_err(|error| process::not_started(&model, &error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("the messages are not what the book says:\n{text}{said}")));
    }
    print!("{text}");
    let file = directory.join("messages.svg");
    let svg = plot::lines("Messages of an operation", "cores that share", "messages", &series(&text));
    std::fs::create_dir_all(directory)
        .and_then(|()| std::fs::write(&file, svg))
        .map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
    println!("{}", file.display());
    Ok(0)
}

/// Lines to draw, out of the table that the model prints.
fn series(table: &str) -> Vec<Series> {
    let mut all: Vec<Series> = Vec::new();
    for line in table.lines().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [sharers, shares, asks, _, retype, revoke, ..] = words[..] else { continue };
        let who = match (shares, asks) {
            ("yes", "yes") => "the home asks",
            ("yes", _) => "the home shares",
            _ => "the home shares nothing",
        };
        for (what, messages) in [("revoke", revoke), ("retype", retype)] {
            let (Ok(x), Ok(y)) = (sharers.parse(), messages.parse()) else { continue };
            let name = format!("{what}, {who}");
            match all.iter_mut().find(|it| it.name == name) {
                Some(series) => series.points.push((x, y)),
                None => all.push(Series { name, points: vec![(x, y)] }),
            }
        }
    }
    all
}

fn model() -> Command {
    let mut model = cargo();
    model.args(["run", "--release", "--quiet", "--package", "model", "--"]);
    model
}

fn checker(options: &Options) -> Command {
    let mut model = model();
    if let Some(simulation) = &options.simulation {
        model.arg("--sim").args(simulation);
        return model;
    }
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
    fn a_table_of_messages_becomes_lines() {
        let table = "sharers  home shares  home asks  send  retype  revoke  delete\n\
                     2 yes yes 2 2 4 1\n3 yes yes 2 4 8 1\n2 no no 4 4 10 1\n";
        let lines = series(table);
        let names: Vec<_> = lines.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names[..2], ["revoke, the home asks", "retype, the home asks"]);
        assert_eq!(lines[0].points, [(2.0, 4.0), (3.0, 8.0)]);
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn what_is_asked_for_goes_on_to_the_checker() {
        let shown = |options: &Options| process::shown(&checker(options));
        assert!(shown(&Options::default()).ends_with("run --release --quiet --package model -- --quick"));
        let options =
            Options { full: true, name: Some("toy".to_owned()), memory: Some(64), ..Options::default() };
        assert!(shown(&options).ends_with("-- --full --memory 64 toy"), "{}", shown(&options));
        let words = ["--seeds", "7"].map(str::to_owned).to_vec();
        let options = Options { simulation: Some(words), ..Options::default() };
        assert!(shown(&options).ends_with("-- --sim --seeds 7"), "{}", shown(&options));
    }
}
