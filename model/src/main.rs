//! `cargo xtask verify` runs this: the runs of [`RUNS`](model::runs::RUNS) that were asked for, as a table.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use model::cost;
use model::runs::{Bounds, Outcome, RUNS, Run};

/// What was asked for.
struct Asked {
    /// Not only the quick ones.
    full: bool,
    /// Only those whose name contains this.
    name: Option<String>,
    bounds: Bounds,
}

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|it| it == "--messages") {
        return messages();
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
