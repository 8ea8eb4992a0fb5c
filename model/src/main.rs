//! `cargo xtask verify` runs this: the runs of [`RUNS`](model::runs::RUNS) that were asked for, as a table.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use model::cost;
use model::runs::{Bounds, Outcome, RUNS, Run};
use model::sim::{self, Config};

/// Cores that a simulated machine can have.
const CORES: [usize; 4] = [2, 4, 8, 16];

/// What was asked for.
struct Asked {
    /// Not only the quick ones.
    full: bool,
    /// Only those whose name contains this.
    name: Option<String>,
    bounds: Bounds,
}

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("--messages") => return messages(),
        Some("--sim") => {
            return simulation(std::env::args().skip(2)).unwrap_or_else(|what| {
                eprintln!("model: {what}");
                ExitCode::from(2)
            });
        }
        _ => {}
    }
    match asked(std::env::args().skip(1)) {
        Ok(asked) => verify(&asked),
        Err(what) => {
            eprintln!("model: {what}");
            ExitCode::from(2)
        }
    }
}

fn verify(asked: &Asked) -> ExitCode {
    let begin = Instant::now();
    let is_asked = |it: &&Run| match &asked.name {
        Some(name) => it.name.contains(name) && (asked.full || it.quick || it.name == name),
        None => asked.full || it.quick,
    };
    println!("{}", Outcome::header());
    let outcomes: Vec<_> = RUNS.iter().filter(is_asked).map(|it| told(it, &asked.bounds)).collect();
    let wrong = outcomes.iter().filter(|it| !it.is_as_expected()).count();
    println!("{} as expected, {wrong} not; {:.1} s", outcomes.len() - wrong, begin.elapsed().as_secs_f64());
    // A name that fits nothing has not been verified.
    ExitCode::from(u8::from(wrong > 0 || outcomes.is_empty()))
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
    let mut threads = std::thread::available_parallelism().map_or(1, usize::from);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let value = arguments.next().and_then(|it| it.parse::<u64>().ok());
            value.ok_or_else(|| format!("{argument}: expected a number"))
        };
        match argument.as_str() {
            "--cores" => config.cores = number()? as usize,
            "--steps" => config.steps = number()?,
            "--stops" => config.stops = true,
            "--seeds" => seeds = number()?,
            "--seed" => seed = Some(number()?),
            "--lines" => lines = number()? as usize,
            "--threads" => threads = number()?.max(1) as usize,
            other => return Err(format!("`{other}` was not expected")),
        }
    }
    if !CORES.contains(&config.cores) {
        return Err(format!("--cores {}: 2, 4, 8 or 16", config.cores));
    }
    if let Some(seed) = seed {
        return Ok(tell_seed(config, seed, lines));
    }
    let begin = Instant::now();
    let report = sim::run(config, seeds, threads);
    let sim::Counts { steps, packets, granted, denied, reclaimed, cuts, queue } = report.counts;
    println!("{} runs of {} cores in {:.1} s", report.runs, config.cores, begin.elapsed().as_secs_f64());
    println!("{steps} steps, {packets} packets; requests: {granted} granted, {denied} denied");
    println!(
        "{reclaimed} units came back, {cuts} were cut; at most {queue} requests and packets waited in one place"
    );
    match report.failure {
        Some(failure) => {
            println!("seed {} fails; again: `cargo xtask verify --sim --seed {0}`", failure.seed);
            Ok(tell_seed(config, failure.seed, lines))
        }
        None => Ok(ExitCode::SUCCESS),
    }
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

fn asked(arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let bounds = Bounds { threads, max_time: Duration::MAX, max_bytes: 12 << 30 };
    let mut asked = Asked { full: false, name: None, bounds };
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|it| it.parse::<u32>().ok());
        let missing = || format!("{argument}: expected a number");
        match argument.as_str() {
            "--quick" => asked.full = false,
            "--full" => asked.full = true,
            "--threads" => asked.bounds.threads = number().ok_or_else(missing)?.max(1) as usize,
            "--memory" => asked.bounds.max_bytes = (number().ok_or_else(missing)? as usize) << 20,
            "--timeout" => asked.bounds.max_time = Duration::from_secs(number().ok_or_else(missing)?.into()),
            name if !name.starts_with('-') && asked.name.is_none() => asked.name = Some(name.to_owned()),
            other => return Err(format!("`{other}` was not expected")),
        }
    }
    Ok(asked)
}
