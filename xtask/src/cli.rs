//! The command line of `cargo xtask`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use crate::build::Profile;
use crate::failure::USAGE;
use crate::image::Artifacts;
use crate::qemu::{self, Accelerator};
use crate::run::Options;
use crate::workspace::Workspace;
use crate::{Failure, Result, bench, build, check, image, run, setup, size, test};

const HELP: &str = "\
cargo xtask COMMAND [OPTIONS]

  run      set up what is missing, build, boot in QEMU; the console is here (Ctrl-] x leaves QEMU)
             --cores N           cores (default 1)
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
  check    format, clippy, layering, host tests
  build    compile kernel and programs    (--release, --debug)
  image    build, then make what QEMU boots (--release, --debug)
  setup    install what is missing
  size     text, data, lines and unsafe blocks
";
/// Commands that have their name, and nothing behind it yet.
const LATER: [&str; 4] = ["verify", "book", "trace", "new"];

/// Runs the command that `arguments` (without the program's name) ask for, and returns its exit status.
pub fn main(arguments: impl Iterator<Item = OsString>) -> Result<u8> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let command = match parser.next()? {
        Some(Value(command)) => command.string()?,
        Some(Short('h') | Long("help")) | None => "help".to_owned(),
        Some(other) => return Err(other.unexpected().into()),
    };
    match command.as_str() {
        "run" => run::command(&run_options(&mut parser)?),
        "test" => test_options(&mut parser).and_then(|it| test::command(&it)),
        "bench" => bench::command(json_option(&mut parser)?.as_deref()).map(|()| 0),
        "check" => no_options(&mut parser).and_then(|()| check::command()),
        "build" => profile_option(&mut parser).and_then(built).map(|_| 0),
        "image" => profile_option(&mut parser).and_then(prepare).map(|_| 0),
        "setup" => no_options(&mut parser).and_then(|()| setup::command()).map(|()| 0),
        "size" => no_options(&mut parser).and_then(|()| size::command()).map(|()| 0),
        "help" => {
            print!("{HELP}");
            Ok(0)
        }
        later if LATER.contains(&later) => Err(not_yet(&format!("`{later}`"))),
        other => Err(usage(&format!("no command `{other}`; `cargo xtask help` lists them"))),
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

fn run_options(parser: &mut lexopt::Parser) -> Result<Options> {
    let mut options = Options::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("cores") => options.cores = parser.value()?.parse()?,
            Long("memory") => options.memory = parser.value()?.parse()?,
            Long("append") => options.append = parser.value()?.string()?,
            Long("exec") => options.exec = Some(parser.value()?.string()?),
            Long("timeout") => options.timeout = Some(Duration::from_secs(parser.value()?.parse()?)),
            Long("icount") => options.icount = true,
            Long("gdb") => options.gdb = true,
            Long("accel") => options.accelerator = accelerator(&parser.value()?.string()?)?,
            Long("platform") => only("--platform", &parser.value()?.string()?, "virt")?,
            Long("net") => only("--net", &parser.value()?.string()?, "none")?,
            Long("release") => options.profile = Profile::Release,
            Long("debug") => options.profile = Profile::Debug,
            Long(later @ ("sd" | "forward")) => return Err(not_yet(&format!("`--{later}`"))),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
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
        other => Err(usage(&format!("--accel {other}: expected tcg, kvm, hvf or auto"))),
    }
}

fn test_options(parser: &mut lexopt::Parser) -> Result<test::Options> {
    let mut options = test::Options::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("soak") => options.soak = true,
            Value(name) if options.filter.is_none() => options.filter = Some(name.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

fn json_option(parser: &mut lexopt::Parser) -> Result<Option<PathBuf>> {
    let mut file = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("json") => file = Some(PathBuf::from(parser.value()?)),
            Long("plot") => return Err(not_yet("`--plot`")),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(file)
}

fn profile_option(parser: &mut lexopt::Parser) -> Result<Profile> {
    let mut profile = Profile::Release;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("release") => profile = Profile::Release,
            Long("debug") => profile = Profile::Debug,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(profile)
}

fn no_options(parser: &mut lexopt::Parser) -> Result {
    parser.next()?.map_or(Ok(()), |argument| Err(argument.unexpected().into()))
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
        run_options(&mut lexopt::Parser::from_args(line.split(' ').filter(|it| !it.is_empty())))
    }

    fn refusal(line: &str) -> String {
        let failure = main(line.split(' ').map(OsString::from)).unwrap_err();
        assert_eq!(failure.status(), USAGE);
        failure.to_string()
    }

    #[test]
    fn without_options_the_default_machine_runs() {
        let options = run_line("").unwrap();
        assert_eq!((options.cores, options.memory, options.profile), (1, 1024, Profile::Release));
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
        for line in ["run --sd x", "run --net user", "run --platform imx8mp", "verify", "bench --plot d"] {
            assert!(refusal(line).contains("not yet part of Barreldish"), "{line}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert!(refusal("rnu").contains("`rnu`"));
        assert!(refusal("run --cores two").contains("two"));
        assert!(refusal("run --accel xen").contains("xen"));
        assert!(refusal("check --fast").contains("--fast"));
        assert!(refusal("test a b").contains('b'));
    }
}
