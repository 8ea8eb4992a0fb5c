//! `cargo xtask check`: what CI looks at first, the cheapest first.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::workspace::{Workspace, cargo};
use crate::{Failure, Result, layering, process};

/// How many tests passed, failed and were left out, and the names of those that failed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    passed: u32,
    failed: u32,
    ignored: u32,
    failures: Vec<String>,
}

impl Tally {
    /// Runs one step as one test.
    pub fn step(&mut self, name: &str, step: impl FnOnce() -> Result) {
        let result = step();
        println!("test {name} ... {}", if result.is_ok() { "ok" } else { "FAILED" });
        match result {
            Ok(()) => self.passed += 1,
            Err(failure) => {
                println!("{failure}");
                self.failed += 1;
                self.failures.push(name.to_owned());
            }
        }
    }

    /// Runs `cargo test` with more arguments; its output goes on, its results are added.
    pub fn cargo_test(&mut self, command: &mut Command) {
        let mut results = Self::default();
        let ended = results.read_cargo_test(command);
        if let Err(failure) = ended {
            println!("{failure}");
            // Something that did not compile has no tests to fail.
            if results.failed == 0 {
                results.failed = 1;
                results.failures.push(process::shown(command));
            }
        }
        self.add(results);
    }

    /// How many tests there were.
    pub fn count(&self) -> u32 {
        self.passed + self.failed + self.ignored
    }

    /// Prints the closing lines; the exit status is 0 only if nothing failed.
    pub fn close(self, begin: Instant) -> u8 {
        let word = if self.failed == 0 { "ok" } else { "FAILED" };
        let Self { passed, failed, ignored, failures } = self;
        let seconds = begin.elapsed().as_secs_f64();
        if !failures.is_empty() {
            println!("\nfailed:\n    {}", failures.join("\n    "));
        }
        println!(
            "\ntest result: {word}. {passed} passed; {failed} failed; {ignored} ignored; finished in {seconds:.2}s"
        );
        println!("{passed} passed, {failed} failed");
        u8::from(failed > 0)
    }

    fn read_cargo_test(&mut self, command: &mut Command) -> Result {
        let mut child =
            command.stdout(Stdio::piped()).spawn().map_err(|e| process::not_started(command, &e))?;
        let stdout = BufReader::new(child.stdout.take().expect("stdout was piped"));
        let mut failures = Failures::default();
        for line in stdout.lines().map_while(|it| it.ok()) {
            println!("{line}");
            failures.follow(&line);
            self.add(result_line(&line).unwrap_or_default());
        }
        self.failures = failures.names;
        let status = child.wait().map_err(|e| process::not_started(command, &e))?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure::new(format!("`{}` failed", process::shown(command))))
        }
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.failures.extend(other.failures);
    }
}

/// Collects the names that stand under `failures:`, the last such list before each result line: the first one
/// holds what the tests printed.
#[derive(Default)]
struct Failures {
    names: Vec<String>,
    list: Option<Vec<String>>,
}

impl Failures {
    fn follow(&mut self, line: &str) {
        match (&mut self.list, line.strip_prefix("    ")) {
            _ if line == "failures:" => self.list = Some(vec![]),
            _ if line.starts_with("test result: ") => self.names.extend(self.list.take().unwrap_or_default()),
            (Some(list), Some(name)) => list.push(name.to_owned()),
            _ => {}
        }
    }
}

/// The figures of a line like `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; ...`.
fn result_line(line: &str) -> Option<Tally> {
    let (_, figures) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let figure = |what: &str| {
        let found = figures.split(';').find_map(|it| it.trim().strip_suffix(what));
        found.and_then(|it| it.trim().parse().ok())
    };
    let (passed, failed, ignored) = (figure("passed")?, figure("failed")?, figure("ignored")?);
    Some(Tally { passed, failed, ignored, failures: vec![] })
}

/// The `check` command.
pub fn command() -> Result<u8> {
    let begin = Instant::now();
    let mut tally = Tally::default();
    all(&Workspace::load()?, &mut tally);
    Ok(tally.close(begin))
}

/// Format, layering, clippy, docs and host tests, into `tally`.
pub fn all(workspace: &Workspace, tally: &mut Tally) {
    tally.step("check::format", || process::run(cargo().args(["fmt", "--all", "--check"])));
    tally.step("check::layering", || layering::check(workspace));
    tally.step("check::clippy", || {
        process::run(cargo().args([
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))
    });
    tally.step("check::docs", || {
        let mut doc = cargo();
        doc.args(["doc", "--quiet", "--workspace", "--no-deps"]);
        process::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
    });
    // The scenarios are `test`'s part: they need the image.
    tally.cargo_test(cargo().args([
        "test",
        "--quiet",
        "--workspace",
        "--exclude",
        "tests",
        "--no-fail-fast",
    ]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_cargo_test_are_read() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s";
        assert_eq!(result_line(line), Some(tally(12, 3, 1, &[])));
        assert_eq!(result_line("test result: unclear"), None);
        assert_eq!(result_line("running 3 tests"), None);
    }

    #[test]
    fn a_run_that_fails_without_results_counts_as_failed() {
        let mut tally = Tally::default();
        tally.cargo_test(Command::new("sh").args(["-c", "echo 'error: no compile'; exit 101"]));
        assert_eq!((tally.failed, tally.count()), (1, 1));
        assert_eq!(tally.close(Instant::now()), 1);
    }

    #[test]
    fn results_add_up() {
        let mut tally = Tally::default();
        let script =
            "for n in 1 2; do echo \"test result: ok. $n passed; 0 failed; 0 ignored; 0 measured\"; done";
        tally.cargo_test(Command::new("sh").args(["-c", script]));
        tally.step("fine", || Ok(()));
        tally.step("broken", || Err(Failure::new("as expected")));
        assert_eq!(tally, self::tally(4, 1, 0, &["broken"]));
    }

    #[test]
    fn failed_tests_are_named_and_their_output_is_not() {
        let mut tally = Tally::default();
        let output = "\nfailures:\n\n---- a::b stdout ----\n    indented output\n\nfailures:\n    a::b\n    c\n\n\
                      test result: FAILED. 0 passed; 2 failed; 0 ignored; 0 measured\n";
        tally.cargo_test(Command::new("sh").args(["-c", &format!("printf '%s' '{output}'; exit 101")]));
        assert_eq!(tally, self::tally(0, 2, 0, &["a::b", "c"]));
    }

    fn tally(passed: u32, failed: u32, ignored: u32, failures: &[&str]) -> Tally {
        Tally { passed, failed, ignored, failures: failures.iter().map(|it| (*it).to_owned()).collect() }
    }
}
