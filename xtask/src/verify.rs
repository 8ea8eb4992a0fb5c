//! `cargo xtask verify`: the model checker, on every state of small systems.
//!
//! The host commands do not depend on it: it is built, optimised, when it is asked for.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::plot::{self, Series};
use crate::workspace::cargo;
use crate::{Failure, Result, process};

/// What `verify` was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Options {
    /// Every state of small systems.
    States(States),
    /// Whole machines at random.
    Simulation(Simulation),
    /// The messages that operations take, drawn in this directory.
    Plot(PathBuf),
}

/// Runs of the explorer, and what each may use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct States {
    /// Only the runs that take seconds, or all; if nothing was said, a long one is run for its whole name.
    pub length: Option<Length>,
    /// Only runs whose name contains this.
    pub name: Option<String>,
    /// Only their names are wanted.
    pub list: bool,
    /// Workers, if not one a processor.
    pub threads: Option<u32>,
    /// MiB of table and frontier.
    pub memory: Option<u32>,
    /// Seconds for each run.
    pub timeout: Option<u32>,
}

/// How long runs may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// Seconds.
    Quick,
    /// As long as they are.
    Full,
}

/// Simulated machines. The model knows what is taken for what was not said, and how many cores a machine can have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Simulation {
    /// How many machines.
    pub seeds: Option<u64>,
    /// Cores of each.
    pub cores: Option<u32>,
    /// Steps of each.
    pub steps: Option<u64>,
    /// Whether cores may stop.
    pub stops: bool,
    /// Workers, if not one a processor.
    pub threads: Option<u32>,
    /// Only this one, which is told.
    pub seed: Option<u64>,
    /// How many of its last steps are told.
    pub lines: Option<u32>,
}

/// The `verify` command: its status is 0 only if everything came out as expected.
pub fn command(options: &Options) -> Result<u8> {
    let arguments = match options {
        Options::States(states) => states.arguments(),
        Options::Simulation(simulation) => simulation.arguments(),
        Options::Plot(directory) => return draw_messages(directory),
    };
    let mut model = model();
    model.args(arguments);
    let status = model.status().map_err(|error| process::not_started(&model, &error))?;
    Ok(status.code().and_then(|it| u8::try_from(it).ok()).unwrap_or(1))
}

/// The runs that take seconds, as part of the tests.
pub fn quick() -> Result {
    match command(&Options::States(States::default()))? {
        0 => Ok(()),
        _ => Err(Failure::new("the model checker found something: see above")),
    }
}

/// Counts the messages of each operation, and draws them.
fn draw_messages(directory: &Path) -> Result<u8> {
    // First, so that it does not fail after all was counted.
    std::fs::create_dir_all(directory).map_err(|error| Failure::io("make", directory, &error))?;
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
    std::fs::write(&file, svg).map_err(|error| Failure::io("write", &file, &error))?;
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

impl States {
    fn arguments(&self) -> Vec<String> {
        let length = self.length.map(|it| match it {
            Length::Quick => "--quick".to_owned(),
            Length::Full => "--full".to_owned(),
        });
        let mut all = Vec::from_iter(length);
        all.extend(self.list.then(|| "--list".to_owned()));
        all.extend(valued("--threads", self.threads));
        all.extend(valued("--memory", self.memory));
        all.extend(valued("--timeout", self.timeout));
        all.extend(self.name.clone());
        all
    }
}

impl Simulation {
    fn arguments(&self) -> Vec<String> {
        let mut all = vec!["--sim".to_owned()];
        all.extend(valued("--seeds", self.seeds));
        all.extend(valued("--cores", self.cores));
        all.extend(valued("--steps", self.steps));
        all.extend(self.stops.then(|| "--stops".to_owned()));
        all.extend(valued("--threads", self.threads));
        all.extend(valued("--seed", self.seed));
        all.extend(valued("--lines", self.lines));
        all
    }
}

/// An option and its value, if there is one.
fn valued(option: &str, value: Option<impl ToString>) -> impl Iterator<Item = String> {
    value.into_iter().flat_map(move |it| [option.to_owned(), it.to_string()])
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
        assert_eq!(States::default().arguments(), [""; 0]);
        let length = Some(Length::Full);
        let states = States { length, name: Some("toy".to_owned()), memory: Some(64), ..States::default() };
        assert_eq!(states.arguments(), ["--full", "--memory", "64", "toy"]);
        let simulation =
            Simulation { seeds: Some(7), stops: true, threads: Some(2), ..Simulation::default() };
        assert_eq!(simulation.arguments(), ["--sim", "--seeds", "7", "--stops", "--threads", "2"]);
    }

    #[test]
    fn a_directory_that_cannot_be_is_said_before_anything_is_counted() {
        let failure = command(&Options::Plot("/dev/null/drawings".into())).unwrap_err();
        assert!(failure.to_string().starts_with("cannot make /dev/null/drawings: "), "{failure}");
    }
}
