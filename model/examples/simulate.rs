//! Runs the whole-system simulation: `simulate [--cores N] [--steps N] [--seeds N] [--first N] [--stops] [--threads N]`, or
//! one seed again with `--seed S`, telling its last `--lines N` steps.

use std::time::Instant;

use model::sim::{self, Config};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = args.iter().position(|it| it == name)?;
        args.get(at + 1)?.parse::<u64>().ok()
    };
    let config = Config {
        cores: value("--cores").unwrap_or(4) as usize,
        steps: value("--steps").unwrap_or(10_000),
        stops: args.iter().any(|it| it == "--stops"),
        mistake: None,
    };
    if let Some(seed) = value("--seed") {
        return tell(config, seed, value("--lines").unwrap_or(60));
    }
    let begun = Instant::now();
    let (first, seeds) = (value("--first").unwrap_or(0), value("--seeds").unwrap_or(100));
    let report = sim::run_from(config, first, seeds, value("--threads").unwrap_or(1) as usize);
    println!("{} runs in {:.1?}: {:?}", report.runs, begun.elapsed(), report.counts);
    if let Some(failure) = report.failure {
        tell(config, failure.seed, value("--lines").unwrap_or(60));
        std::process::exit(1);
    }
}

fn tell(config: Config, seed: u64, lines: u64) {
    let (failure, story) = sim::replay(config, seed, lines as usize);
    story.iter().for_each(|line| println!("{line}"));
    match failure {
        Some(failure) => println!("{failure}"),
        None => println!("seed {seed}: all holds"),
    }
}
