//! `cargo xtask verify` runs this: the runs of [`RUNS`](model::runs::RUNS) that were asked for, as a table.
#![forbid(unsafe_code)]

use std::num::NonZeroU64;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use model::cost;
use model::runs::{Bounds, Outcome, RUNS, Run, grouped};
use model::sim::{self, Config};

/// Exit status after a command line that makes no sense.
const USAGE: u8 = 2;

/// What follows on a mistake.
const SEE_HELP: &str = "`cargo xtask help` lists commands and options";

/// Which runs were asked for.
#[derive(Default)]
struct Wanted {
    /// Whether only the quick ones (`Some(true)`), or all (`Some(false)`).
    quick: Option<bool>,
    /// Only those whose name contains this.
    name: Option<String>,
}

impl Wanted {
    /// Whether a run's name is asked for. Toys are only run by name.
    fn is_named(&self, run: &Run) -> bool {
        self.name.as_ref().map_or(!run.is_toy(), |name| run.name.contains(name))
    }

    /// Whether a run that is named may take as long as it does. Without options, a whole name says so too.
    fn has_time(&self, run: &Run) -> bool {
        run.quick || !self.quick.unwrap_or(self.name.as_deref() != Some(run.name))
    }

    /// At least one run.
    fn runs(&self) -> Result<Vec<&'static Run>, String> {
        let named: Vec<_> = RUNS.iter().filter(|it| self.is_named(it)).collect();
        let runs: Vec<_> = named.iter().copied().filter(|it| self.has_time(it)).collect();
        match (&self.name, &named[..]) {
            (Some(name), []) => Err(format!("no run's name contains `{name}`; `--list` shows all names")),
            _ if !runs.is_empty() => Ok(runs),
            _ => {
                let names: Vec<_> = named.iter().map(|it| it.name).collect();
                let way =
                    if self.quick.is_some() { "leave out --quick" } else { "give a whole name or --full" };
                Err(format!("only long runs: {}; {way}", names.join(", ")))
            }
        }
    }
}

/// What was asked for.
struct Asked {
    wanted: Wanted,
    /// Only their names.
    list: bool,
    bounds: Bounds,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    let done = match arguments.next_if(|it| it == "--messages" || it == "--sim").as_deref() {
        Some("--messages") => Ok(messages()),
        Some(_) => simulation(arguments),
        None => asked(arguments).and_then(|it| if it.list { list(&it.wanted) } else { verify(&it) }),
    };
    done.unwrap_or_else(|what| {
        eprintln!("model: {what}");
        ExitCode::from(USAGE)
    })
}

fn verify(asked: &Asked) -> Result<ExitCode, String> {
    let runs = asked.wanted.runs()?;
    let begin = Instant::now();
    println!("{}", Outcome::header());
    let outcomes: Vec<_> = runs.into_iter().map(|it| told(it, &asked.bounds)).collect();
    let count = |what: fn(&Outcome) -> bool| outcomes.iter().filter(|it| what(it)).count();
    let (good, stopped) = (count(Outcome::is_as_expected), count(|it| !it.is_finished()));
    let wrong = outcomes.len() - good - stopped;
    let seconds = begin.elapsed().as_secs_f64();
    println!("{good} as expected, {wrong} wrong, {stopped} not finished; {seconds:.1} s");
    // What was not finished has not been verified.
    Ok(ExitCode::from(u8::from(good < outcomes.len())))
}

/// Every name, or those that are asked for, and what keeps a run from being among those that are made by default.
fn list(wanted: &Wanted) -> Result<ExitCode, String> {
    let everything = Wanted { quick: Some(wanted.quick.unwrap_or(false)), name: wanted.name.clone() };
    let toys = RUNS.iter().filter(|it| it.is_toy() && wanted.name.is_none() && everything.has_time(it));
    for run in everything.runs()?.into_iter().chain(toys) {
        let length = if run.quick { "quick" } else { "long" };
        println!("{:<34} {length}{}", run.name, if run.is_toy() { ", only by name" } else { "" });
    }
    Ok(ExitCode::SUCCESS)
}

/// Messages between cores for each operation, a line for each number of sharers: to read, and for `verify --plot`.
fn messages() -> ExitCode {
    let rows = match cost::rows() {
        Ok(rows) => rows,
        Err(violation) => {
            eprintln!("model: {violation}");
            return ExitCode::FAILURE;
        }
    };
    println!("sharers  home shares  home asks  send  retype  revoke  delete");
    for row in &rows {
        let [shares, asks] = [row.home_shares, row.home_asks].map(|it| if it { "yes" } else { "no" });
        let cost::Row { sharers, send, retype, revoke, delete, .. } = *row;
        println!("{sharers:>7}  {shares:>11}  {asks:>9}  {send:>4}  {retype:>6}  {revoke:>6}  {delete:>6}");
    }
    // What is counted is what the book says.
    ExitCode::from(u8::from(rows.iter().any(|row| *row != row.formula())))
}

/// Whole machines at random: `--seeds N` of them, `--cores N`, `--steps N` each, `--stops` if cores may stop; or the one of `--seed S`
/// again, with its last `--lines N` steps.
fn simulation(mut arguments: impl Iterator<Item = String>) -> Result<ExitCode, String> {
    let mut config = Config { cores: 4, steps: 10_000, stops: false, mistake: None };
    let (mut seeds, mut seed, mut lines) = (100, None, 60);
    let mut threads = processors();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_default();
        match argument.as_str() {
            "--cores" => config.cores = cores(&value())?,
            "--steps" => config.steps = positive("--steps", &value())?,
            "--stops" => config.stops = true,
            "--seeds" => seeds = positive("--seeds", &value())?,
            "--seed" => seed = Some(number("--seed", &value())?),
            "--lines" => lines = number("--lines", &value())? as usize,
            "--threads" => threads = positive("--threads", &value())? as usize,
            other => return Err(format!("`{other}` was not expected; {SEE_HELP}")),
        }
    }
    if let Some(seed) = seed {
        return Ok(tell_seed(config, seed, lines));
    }
    let begin = Instant::now();
    let report = sim::run(config, seeds, threads);
    let seconds = begin.elapsed().as_secs_f64();
    println!("{} runs of {} cores in {seconds:.1} s", grouped(report.runs), config.cores);
    let sim::Counts { steps, packets, granted, denied, reclaimed, cuts, queue } = report.counts;
    let [steps, packets, granted, denied, reclaimed, cuts, queue] =
        [steps, packets, granted, denied, reclaimed, cuts, queue].map(grouped);
    println!("{steps} steps, {packets} packets; requests: {granted} granted, {denied} denied");
    println!(
        "{reclaimed} units came back, {cuts} were cut; at most {queue} requests and packets waited in one place"
    );
    match report.failure {
        Some(failure) => {
            println!("seed {} fails; again: `{}`", failure.seed, again(config, failure.seed));
            Ok(tell_seed(config, failure.seed, lines))
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

/// The command that makes a run again. A seed decides it only together with all that is said of the machine.
fn again(config: Config, seed: u64) -> String {
    let Config { cores, steps, stops, .. } = config;
    let stops = if stops { " --stops" } else { "" };
    format!("cargo xtask verify --sim --seed {seed} --cores {cores} --steps {steps}{stops}")
}

fn cores(value: &str) -> Result<usize, String> {
    let possible = sim::cores();
    let cores = value.parse().ok().filter(|it| possible.contains(it));
    cores.ok_or_else(|| {
        let [but_one @ .., last] = possible.map(|it| it.to_string());
        format!("--cores {value}: expected {} or {last}; {SEE_HELP}", but_one.join(", "))
    })
}

fn tell_seed(config: Config, seed: u64, lines: usize) -> ExitCode {
    let (failure, story) = sim::replay(config, seed, lines);
    story.iter().for_each(|line| println!("{line}"));
    match failure {
        Some(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
        None => {
            println!("seed {seed}: all holds");
            ExitCode::SUCCESS
        }
    }
}

fn told(run: &Run, bounds: &Bounds) -> Outcome {
    let outcome = run.run(bounds);
    println!("{outcome}");
    if let Some(story) = outcome.unexpected_story() {
        println!("\n{story}");
    }
    outcome
}

fn asked(mut arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
    let bounds = Bounds { threads: processors(), max_time: Duration::MAX, max_bytes: 12 << 30 };
    let mut asked = Asked { wanted: Wanted::default(), list: false, bounds };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_default();
        let (bounds, wanted) = (&mut asked.bounds, &mut asked.wanted);
        match argument.as_str() {
            "--quick" => wanted.quick = Some(true),
            "--full" => wanted.quick = Some(false),
            "--list" => asked.list = true,
            "--threads" => bounds.threads = positive("--threads", &value())? as usize,
            "--memory" => bounds.max_bytes = (number("--memory", &value())? as usize).saturating_mul(1 << 20),
            "--timeout" => bounds.max_time = Duration::from_secs(number("--timeout", &value())?),
            "" => return Err("a run's name is not empty".to_owned()),
            name if !name.starts_with('-') && wanted.name.is_none() => wanted.name = Some(name.to_owned()),
            other => return Err(format!("`{other}` was not expected; {SEE_HELP}")),
        }
    }
    Ok(asked)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn number(option: &str, value: &str) -> Result<u64, String> {
    value.parse().map_err(|_| format!("{option} {value}: expected a number; {SEE_HELP}"))
}

fn positive(option: &str, value: &str) -> Result<u64, String> {
    let number = value.parse::<NonZeroU64>().map(u64::from);
    number.map_err(|_| format!("{option} {value}: expected a number from 1; {SEE_HELP}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(quick: Option<bool>, name: &str) -> Result<Vec<&'static str>, String> {
        let name = (!name.is_empty()).then(|| name.to_owned());
        let runs = Wanted { quick, name }.runs();
        runs.map(|runs| runs.into_iter().map(|it| it.name).collect())
    }

    #[test]
    fn a_whole_name_runs_what_is_long_unless_only_quick_runs_are_wanted() {
        assert_eq!(names(None, "free/4x2"), Ok(vec!["free/4x2"]));
        assert_eq!(names(Some(false), "free/4"), Ok(vec!["free/4x2"]));
        let refused = Err("only long runs: free/4x2; give a whole name or --full".to_owned());
        assert_eq!(names(None, "free/4"), refused);
        let refused = Err("only long runs: free/4x2; leave out --quick".to_owned());
        assert_eq!(names(Some(true), "free/4x2"), refused);
        assert!(names(None, "NOSUCH").unwrap_err().starts_with("no run's name contains `NOSUCH`"));
    }

    #[test]
    fn toys_are_only_run_by_name() {
        for quick in [None, Some(true), Some(false)] {
            assert!(names(quick, "").unwrap().iter().all(|it| !it.starts_with("toy/")));
        }
        assert!(names(None, "toy").unwrap().contains(&"toy/ring"));
    }

    #[test]
    fn a_run_is_made_again_with_all_that_decides_it() {
        let config = Config { cores: 8, steps: 500, stops: true, mistake: None };
        assert_eq!(again(config, 7), "cargo xtask verify --sim --seed 7 --cores 8 --steps 500 --stops");
    }

    #[test]
    fn numbers_that_cannot_be_are_refused() {
        assert!(cores("5").unwrap_err().starts_with("--cores 5: expected 2, 3, 4, 8 or 16; "));
        assert_eq!((cores("3"), number("--seed", "0")), (Ok(3), Ok(0)));
        assert!(positive("--seeds", "0").unwrap_err().starts_with("--seeds 0: expected a number from 1; "));
        assert!(asked([String::new()].into_iter()).is_err());
    }
}
