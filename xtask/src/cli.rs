//! The command line of `cargo xtask`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lexopt::prelude::*;

use crate::build::Profile;
use crate::failure::USAGE;
use crate::image::Artifacts;
use crate::qemu::{self, Accelerator};
use crate::run::Options;
use crate::verify::Length;
use crate::workspace::Workspace;
use crate::{Failure, Result, bench, build, check, image, run, setup, size, test, verify};

const HELP: &str = "\
cargo xtask COMMAND [OPTIONS]

  run      set up what is missing, build, boot in QEMU; the console is here (Ctrl-] x leaves QEMU)
           what comes from a file or a pipe is typed; at its end the machine is powered off as after --exec
             --cores N           cores (default 4)
             --memory MIB        memory (default 1024)
             --append LINE       kernel command line
             --exec 'CMD; CMD'   run these shell lines, then power off with the last one's exit status
             --timeout SECONDS   end QEMU after that time, with status 124
             --icount            virtual time counts instructions, repeatably
             --gdb               wait for a debugger on port 1234
             --accel tcg|kvm|hvf|auto    (default auto)
             --platform virt     the board
             --release, --debug  how the target code is compiled (default --release)
  test     set up what is missing, run every test that CI runs
             NAME                only the scenarios whose name contains NAME
             --soak              the long scenarios too, and without NAME long comparisons with the models
  bench    measure and compare with the bounds
             --json FILE         also write the figures there
             --plot DIR          also draw them: growth.svg, bounds.svg
  verify   check the capability protocol in every state of small systems
             NAME                only the runs whose name contains NAME; its whole name, also a long run
             --quick, --full     the runs that take seconds, or all (default --quick)
             --list              instead: the names of the runs
             --threads N         workers (default: one a processor)
             --memory MIB        for each run (default 12288)
             --timeout SECONDS   for each run (default: none)
             --sim               instead: whole machines at random
               --seeds N         so many machines (default 100)
               --cores N         cores of each: 2, 3, 4, 8 or 16 (default 4)
               --steps N         steps of each (default 10000)
               --stops           cores may stop
               --threads N       workers (default: one a processor)
               --seed S          only machine S, and tell its last steps
               --lines N         so many of them (default 60)
             --plot DIR          instead: count the messages of each operation, and draw them
  check    format, layering, clippy, docs, host tests
  build    compile kernel and programs    (--release, --debug)
  image    build, then make what QEMU boots (--release, --debug)
  setup    install what is missing
  size     text, data, lines and unsafe blocks
";
/// Commands that have their name, and nothing behind it yet.
const LATER: [&str; 3] = ["book", "trace", "new"];
/// What follows on a mistake.
const SEE_HELP: &str = "`cargo xtask help` lists commands and options";

/// Why a command line runs no command.
enum Stop {
    /// It asks for help.
    Help,
    Failed(Failure),
}

/// What is made of a command line.
type Parsed<T = ()> = std::result::Result<T, Stop>;

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<lexopt::Error> for Stop {
    fn from(error: lexopt::Error) -> Self {
        Self::Failed(usage(&format!("{error}; {SEE_HELP}")))
    }
}

/// Runs the command that `arguments` (without the program's name) ask for, and returns its exit status.
pub fn main(arguments: impl Iterator<Item = OsString>) -> Result<u8> {
    match command(&mut lexopt::Parser::from_args(arguments)) {
        Ok(status) => Ok(status),
        Err(Stop::Failed(failure)) => Err(failure),
        Err(Stop::Help) => {
            print!("{HELP}");
            Ok(0)
        }
    }
}

fn command(parser: &mut lexopt::Parser) -> Parsed<u8> {
    let command = match parser.next()? {
        Some(Value(command)) => command.string()?,
        Some(other) => return Err(unexpected(other)),
        None => return Err(Stop::Help),
    };
    let done = match command.as_str() {
        "run" => run::command(&run_options(parser)?),
        "test" => test::command(&test_options(parser)?),
        "bench" => bench::command(&bench_options(parser)?).map(|()| 0),
        "verify" => verify::command(&verify_options(parser)?),
        "check" => no_options(parser).map(|()| check::command())?,
        "build" => built(profile_option(parser)?).map(|_| 0),
        "image" => prepare(profile_option(parser)?).map(|_| 0),
        "setup" => no_options(parser).map(|()| setup::command())?.map(|()| 0),
        "size" => no_options(parser).map(|()| size::command())?.map(|()| 0),
        "help" => return Err(Stop::Help),
        later if LATER.contains(&later) => Err(not_yet(&format!("`{later}`"))),
        other => Err(usage(&format!("no command `{other}`; {SEE_HELP}"))),
    };
    Ok(done?)
}

/// An argument that has no place here: a mistake, or a cry for help.
fn unexpected(argument: lexopt::Arg<'_>) -> Stop {
    match argument {
        Short('h') | Long("help") => Stop::Help,
        other => other.unexpected().into(),
    }
}

/// Sets up, builds and makes the boot image.
pub fn prepare(profile: Profile) -> Result<Artifacts> {
    let (workspace, built) = built(profile)?;
    image::image(&workspace, &built)
}

fn built(profile: Profile) -> Result<(Workspace, build::Built)> {
    let toolchain = setup::ensure()?;
    let workspace = Workspace::load()?;
    let built = build::build(&workspace, &toolchain, profile)?;
    Ok((workspace, built))
}

fn run_options(parser: &mut lexopt::Parser) -> Parsed<Options> {
    let mut options = Options::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("cores") => options.cores = number(parser, "--cores", "a number of cores")?,
            Long("memory") => options.memory = number(parser, "--memory", "a number of MiB")?,
            Long("append") => options.append = parser.value()?.string()?,
            Long("exec") => options.exec = Some(lines(parser.value()?.string()?)?),
            Long("timeout") => {
                let seconds: u32 = number(parser, "--timeout", "a number of seconds")?;
                options.timeout = Some(Duration::from_secs(seconds.into()));
            }
            Long("icount") => options.icount = true,
            Long("gdb") => options.gdb = true,
            Long("accel") => options.accelerator = accelerator(&parser.value()?.string()?)?,
            Long("platform") => only("--platform", &parser.value()?.string()?, "virt")?,
            Long("net") => only("--net", &parser.value()?.string()?, "none")?,
            Long("release") => options.profile = Profile::Release,
            Long("debug") => options.profile = Profile::Debug,
            Long(later @ ("sd" | "forward")) => return Err(not_yet(&format!("`--{later}`")).into()),
            other => return Err(unexpected(other)),
        }
    }
    options.check().map_err(|it| usage(&it.to_string()))?;
    Ok(options)
}

/// The value of `option`, which is `what`.
fn number<N: FromStr>(parser: &mut lexopt::Parser, option: &str, what: &str) -> Parsed<N> {
    let value = parser.value()?.string()?;
    let number = value.parse();
    Ok(number.map_err(|_| usage(&format!("{option} {value}: expected {what}; {SEE_HELP}")))?)
}

/// The same, where 0 would be nothing.
fn positive<N: FromStr + Default + PartialEq>(
    parser: &mut lexopt::Parser,
    option: &str,
    what: &str,
) -> Parsed<N> {
    let what = format!("{what}, from 1");
    let number = number(parser, option, &what)?;
    if number == N::default() {
        return Err(usage(&format!("{option} 0: expected {what}; {SEE_HELP}")).into());
    }
    Ok(number)
}

/// Lines for the shell. They are typed, so a control character in them would be a key.
fn lines(text: String) -> Result<String> {
    match text.chars().find(|it| it.is_control() && *it != '\n') {
        None => Ok(text),
        Some('\t') => Err(usage("--exec: a tab is the key that completes words: use spaces")),
        Some(other) => Err(usage(&format!("--exec: {other:?} is a key, and no text"))),
    }
}

/// For options of which all values but one have nothing behind them yet.
fn only(option: &str, value: &str, possible: &str) -> Result {
    if value == possible { Ok(()) } else { Err(not_yet(&format!("`{option} {value}`"))) }
}

fn accelerator(name: &str) -> Result<Accelerator> {
    match name {
        "auto" => Ok(Accelerator::Auto),
        "tcg" => Ok(Accelerator::Tcg),
        "kvm" => Ok(Accelerator::Kvm),
        "hvf" => Ok(Accelerator::Hvf),
        other => Err(usage(&format!("--accel {other}: expected tcg, kvm, hvf or auto; {SEE_HELP}"))),
    }
}

fn test_options(parser: &mut lexopt::Parser) -> Parsed<test::Options> {
    let mut options = test::Options::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("soak") => options.soak = true,
            Value(name) if options.filter.is_none() => options.filter = Some(name.string()?),
            other => return Err(unexpected(other)),
        }
    }
    Ok(options)
}

fn bench_options(parser: &mut lexopt::Parser) -> Parsed<bench::Options> {
    let mut options = bench::Options::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("json") => options.json = Some(PathBuf::from(parser.value()?)),
            Long("plot") => options.plot = Some(PathBuf::from(parser.value()?)),
            other => return Err(unexpected(other)),
        }
    }
    Ok(options)
}

fn verify_options(parser: &mut lexopt::Parser) -> Parsed<verify::Options> {
    let (mut states, mut simulation) = (verify::States::default(), verify::Simulation::default());
    let (mut is_simulation, mut plot) = (false, None);
    // What was given, to refuse what does not go together.
    let mut given = Vec::new();
    while let Some(argument) = parser.next()? {
        given.push(match &argument {
            Long(option) => format!("--{option}"),
            _ => "NAME".to_owned(),
        });
        match argument {
            Long("quick") => states.length = Some(Length::Quick),
            Long("full") => states.length = Some(Length::Full),
            Long("list") => states.list = true,
            Long("threads") => {
                let threads = positive(parser, "--threads", "a number of workers")?;
                (states.threads, simulation.threads) = (Some(threads), Some(threads));
            }
            Long("memory") => states.memory = Some(number(parser, "--memory", "a number of MiB")?),
            Long("timeout") => states.timeout = Some(number(parser, "--timeout", "a number of seconds")?),
            Long("sim") => is_simulation = true,
            Long("seeds") => simulation.seeds = Some(positive(parser, "--seeds", "a number of machines")?),
            Long("cores") => simulation.cores = Some(positive(parser, "--cores", "a number of cores")?),
            Long("steps") => simulation.steps = Some(positive(parser, "--steps", "a number of steps")?),
            Long("stops") => simulation.stops = true,
            Long("seed") => simulation.seed = Some(number(parser, "--seed", "the number of a machine")?),
            Long("lines") => simulation.lines = Some(number(parser, "--lines", "a number of lines")?),
            Long("plot") => plot = Some(PathBuf::from(parser.value()?)),
            Long("replay") => {
                return Err(usage("`--replay` is no option; `--sim --seed S` runs a simulation again").into());
            }
            Value(name) if states.name.is_none() => states.name = Some(run_name(name.string()?)?),
            other => return Err(unexpected(other)),
        }
    }
    let refuse = |all: &[&str], mode| go_together(&given, all, mode);
    if is_simulation {
        let all = ["--sim", "--seeds", "--cores", "--steps", "--stops", "--threads", "--seed", "--lines"];
        refuse(&all, "--sim")?;
        if simulation.seed.is_some() {
            refuse(&["--sim", "--cores", "--steps", "--stops", "--seed", "--lines"], "--seed")?;
        }
        return Ok(verify::Options::Simulation(simulation));
    }
    if let Some(directory) = plot {
        refuse(&["--plot"], "--plot")?;
        return Ok(verify::Options::Plot(directory));
    }
    if states.list {
        refuse(&["--list", "--quick", "--full", "NAME"], "--list")?;
    }
    let of_states = ["NAME", "--quick", "--full", "--list", "--threads", "--memory", "--timeout"];
    match given.iter().find(|it| !of_states.contains(&it.as_str())) {
        Some(other) => Err(usage(&format!("{other} is an option of --sim; {SEE_HELP}")).into()),
        None => Ok(verify::Options::States(states)),
    }
}

fn run_name(name: String) -> Result<String> {
    if name.is_empty() { Err(usage(&format!("a run's name is not empty; {SEE_HELP}"))) } else { Ok(name) }
}

/// Refuses what was given and is not among `all`, which go with `mode`.
fn go_together(given: &[String], all: &[&str], mode: &str) -> Result {
    match given.iter().find(|it| !all.contains(&it.as_str())) {
        Some(other) => Err(usage(&format!("{other} does not go with {mode}; {SEE_HELP}"))),
        None => Ok(()),
    }
}

fn profile_option(parser: &mut lexopt::Parser) -> Parsed<Profile> {
    let mut profile = Profile::Release;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("release") => profile = Profile::Release,
            Long("debug") => profile = Profile::Debug,
            other => return Err(unexpected(other)),
        }
    }
    Ok(profile)
}

fn no_options(parser: &mut lexopt::Parser) -> Parsed {
    parser.next()?.map_or(Ok(()), |argument| Err(unexpected(argument)))
}

fn not_yet(what: &str) -> Failure {
    usage(&format!("{what} is not yet part of Barreldish"))
}

fn usage(reason: &str) -> Failure {
    Failure::with_status(USAGE, reason)
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cores: qemu::DEFAULT_CORES,
            memory: qemu::DEFAULT_MEMORY,
            accelerator: Accelerator::default(),
            icount: false,
            gdb: false,
            append: String::new(),
            exec: None,
            timeout: None,
            profile: Profile::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_line(line: &str) -> Result<Options> {
        let words = line.split(' ').filter(|it| !it.is_empty());
        run_options(&mut lexopt::Parser::from_args(words)).map_err(|stop| match stop {
            Stop::Failed(failure) => failure,
            Stop::Help => panic!("nobody asked for help"),
        })
    }

    fn refusal(line: &str) -> String {
        let failure = main(line.split(' ').map(OsString::from)).unwrap_err();
        assert_eq!(failure.status(), USAGE);
        failure.to_string()
    }

    #[test]
    fn without_options_the_default_machine_runs() {
        let options = run_line("").unwrap();
        assert_eq!((options.cores, options.memory, options.profile), (4, 1024, Profile::Release));
    }

    #[test]
    fn options_are_taken() {
        let options = run_line("--cores 2 --memory=256 --icount --debug --exec help --timeout 9").unwrap();
        assert_eq!((options.cores, options.memory, options.icount), (2, 256, true));
        assert_eq!((options.exec.as_deref(), options.profile), (Some("help"), Profile::Debug));
        assert_eq!(options.timeout, Some(Duration::from_secs(9)));
        assert!(run_line("--net none --platform virt --accel tcg").is_ok());
    }

    #[test]
    fn what_has_nothing_behind_it_is_refused_in_words() {
        for line in ["run --sd x", "run --net user", "run --platform imx8mp", "trace", "book"] {
            assert!(refusal(line).contains("not yet part of Barreldish"), "{line}");
        }
    }

    #[test]
    fn figures_go_where_they_are_wanted() {
        let options = |line: &str| bench_options(&mut lexopt::Parser::from_args(line.split(' '))).ok();
        let (json, plot) = (Some(PathBuf::from("f")), Some(PathBuf::from("d")));
        assert_eq!(options("--json f --plot d"), Some(bench::Options { json, plot }));
        assert_eq!(options("--plot"), None);
    }

    #[test]
    fn what_is_to_be_verified_is_taken() {
        let options = |line: &str| {
            let words = line.split(' ').filter(|it| !it.is_empty());
            verify_options(&mut lexopt::Parser::from_args(words)).ok()
        };
        let states = |it| Some(verify::Options::States(it));
        let (length, name) = (Some(Length::Full), Some("toy".to_owned()));
        let (threads, timeout) = (Some(2), Some(60));
        let expected = verify::States { length, name, threads, timeout, ..Default::default() };
        assert_eq!(options("--full toy --threads 2 --timeout 60"), states(expected));
        assert_eq!(options(""), states(verify::States::default()));
        let (seed, steps) = (Some(u64::MAX), Some(9));
        let expected = verify::Simulation { seed, steps, cores: Some(8), stops: true, ..Default::default() };
        let line = "--cores 8 --sim --seed 18446744073709551615 --stops --steps 9";
        assert_eq!(options(line), Some(verify::Options::Simulation(expected)));
        assert_eq!(options("--plot d"), Some(verify::Options::Plot("d".into())));
    }

    #[test]
    fn a_simulation_is_run_again_by_its_seed() {
        assert!(refusal("verify --replay x").contains("`--sim --seed S`"));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (line, named) in [
            ("--sim --full", "--full does not go with --sim"),
            ("--plot d --sim", "--plot does not go with --sim"),
            ("free --sim", "NAME does not go with --sim"),
            ("--memory 64 --sim", "--memory does not go with --sim"),
            ("--sim --seed 3 --seeds 4", "--seeds does not go with --seed"),
            ("--plot d free", "NAME does not go with --plot"),
            ("--list --timeout 3", "--timeout does not go with --list"),
            ("--seeds 3", "--seeds is an option of --sim"),
        ] {
            let refusal = refusal(&format!("verify {line}"));
            assert!(refusal.starts_with(named), "{line}: {refusal}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (line, named) in [
            ("rnu", "`rnu`"),
            ("--fast", "--fast"),
            ("run --cores two", "--cores two: "),
            ("run --memory 1G", "--memory 1G: "),
            ("run --timeout abc", "--timeout abc: expected a number of seconds"),
            ("run --timeout", "--timeout"),
            ("run --accel xen", "--accel xen: "),
            ("run --froz", "--froz"),
            ("check --fast", "--fast"),
            ("bench --jsn", "--jsn"),
            ("verify --memory much", "--memory much: expected a number of MiB"),
            ("verify a b", "b"),
            ("verify ", "a run's name is not empty"),
            ("verify --threads 0", "--threads 0: expected a number of workers, from 1"),
            ("verify --sim --seeds 0", "--seeds 0: expected a number of machines, from 1"),
            ("verify --sim --steps much", "--steps much: expected a number of steps, from 1"),
            ("verify --sim --cores", "--cores"),
            ("verify --sim --fast", "--fast"),
            ("test a b", "b"),
        ] {
            let refusal = refusal(line);
            assert!(refusal.contains(named) && refusal.contains("`cargo xtask help`"), "{line}: {refusal}");
        }
    }

    #[test]
    fn machines_that_cannot_be_are_refused_before_anything_is_built() {
        for line in ["--cores 0", "--cores 513", "--memory 0", "--memory 99999999", "--icount --accel kvm"] {
            let refusal = refusal(&format!("run {line}"));
            let option = line.split(' ').next().unwrap();
            assert!(refusal.starts_with(option), "{line}: {refusal}");
        }
    }

    #[test]
    fn help_is_there_wherever_it_is_asked_for() {
        for line in [
            "--help",
            "-h",
            "help",
            "run --help",
            "run --cores 2 -h",
            "test --help",
            "check --help",
            "verify --sim --help",
        ] {
            assert_eq!(main(line.split(' ').map(OsString::from)), Ok(0), "{line}");
        }
        assert_eq!(run_line("--exec --help").unwrap().exec.as_deref(), Some("--help"));
    }

    #[test]
    fn what_would_be_a_key_cannot_be_typed_as_text() {
        let exec = |text: &str| main(["run", "--exec", text].into_iter().map(OsString::from)).unwrap_err();
        for text in ["echo a\tb", "echo \u{3}", "echo \r", "\u{1b}[A"] {
            let failure = exec(text);
            assert!(failure.status() == USAGE && failure.to_string().starts_with("--exec: "), "{failure}");
        }
    }
}
