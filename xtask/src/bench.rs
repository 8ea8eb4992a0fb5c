//! `cargo xtask bench`: measures the system and puts the figures beside their bounds.
//!
//! The guest's `bench` command counts instructions and prints `bench NAME VALUE UNIT` lines; the host adds what
//! only it can see: wall time to the prompt as a ratio to a bare program's start in the same run, the CPU time
//! of an idle system, and the kernel's size.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::bounds::{self, BOUNDS, Bound};
use crate::build::Profile;
use crate::image::Artifacts;
use crate::plot::{self, Bar, Series};
use crate::qemu::{Accelerator, Machine};
use crate::session::{Output, Session, Stop};
use crate::size::Sizes;
use crate::symbols::{NoSymbols, SymbolFolder};
use crate::workspace::KERNEL;
use crate::{Failure, Result, cli};

/// Safety net for everything that is waited for.
const PATIENCE: Duration = Duration::from_secs(300);
/// How many starts the wall-time ratio is a median of.
const STARTS: usize = 7;
/// How long the idle system is watched.
const IDLE_TIME: Duration = Duration::from_secs(5);
/// Clock ticks a second in `/proc/PID/stat`: `USER_HZ`, 100 on every architecture that QEMU runs on.
const TICKS: f64 = 100.0;

/// What is measured beside more and more others, and how the plot calls it. The guest's names are `NAME_beside_COUNT`.
const GROWING: [(&str, &str); 2] =
    [("allocate", "RAM of the memory server"), ("reserve", "addresses of a domain")];

/// Where figures go, besides the terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// A file for all of them.
    pub json: Option<PathBuf>,
    /// A folder for pictures.
    pub plot: Option<PathBuf>,
}

/// One measured value.
#[derive(Debug, Clone, PartialEq)]
struct Figure {
    name: String,
    value: f64,
    unit: String,
}

/// The `bench` command.
pub fn command(options: &Options) -> Result {
    let artifacts = cli::prepare(Profile::Release)?;
    let mut figures = guest_figures(&artifacts)?;
    figures.extend(GROWING.iter().filter_map(|(name, _)| growth(name, &figures)).collect::<Vec<_>>());
    figures.push(wall_ratio(&artifacts)?);
    figures.extend(idle_cpu(&artifacts)?);
    figures.push(kernel_text(&artifacts)?);
    let rows = rows(&figures);
    rows.iter().for_each(|row| println!("{}", row.line()));
    println!("{}", summary(&rows));
    options.json.as_deref().map_or(Ok(()), |file| write_json(file, &rows))?;
    options.plot.as_deref().map_or(Ok(()), |folder| write_plots(folder, &figures, &rows))
}

/// How many there were, and what one more cost.
fn points(name: &str, figures: &[Figure]) -> Vec<(f64, f64)> {
    let count = |it: &Figure| it.name.strip_prefix(name)?.strip_prefix("_beside_")?.parse::<u32>().ok();
    let point = |it: &Figure| count(it).filter(|&it| it > 0).map(|count| (f64::from(count), it.value));
    figures.iter().filter_map(point).collect()
}

/// What one more costs beside the most that were there, in times of what it costs beside the fewest.
fn growth(name: &str, figures: &[Figure]) -> Option<Figure> {
    let points = points(name, figures);
    let value = points.last()?.1 / points.first()?.1;
    Some(Figure { name: format!("{name}_growth"), value, unit: bounds::GROWTH.to_owned() })
}

/// What the guest measures of itself.
fn guest_figures(artifacts: &Artifacts) -> Result<Vec<Figure>> {
    let machine = Machine {
        icount: true,
        accelerator: Accelerator::Tcg,
        cores: 1,
        append: "pmu=user".to_owned(),
        ..Machine::new(artifacts)
    };
    let mut session = start(&machine, artifacts)?;
    prompt(&mut session)?;
    session.send(b"bench\r");
    let output = prompt(&mut session)?;
    session.send(b"shutdown $?\r");
    let outcome = session.wait_end(deadline()).map_err(|stop| stopped(&session, stop))?;
    match outcome.status()? {
        0 => Ok(output.lines().filter_map(figure).collect()),
        status => Err(Failure::new(format!("the guest's `bench` failed with {status}:\n{output}"))),
    }
}

/// Reads a line `bench NAME VALUE UNIT`.
fn figure(line: &str) -> Option<Figure> {
    let (name, rest) = line.trim().strip_prefix("bench ")?.split_once(' ')?;
    let (value, unit) = rest.split_once(' ')?;
    Some(Figure { name: name.to_owned(), value: value.parse().ok()?, unit: unit.to_owned() })
}

/// From QEMU's start to the prompt, in starts of a program that prints one character.
fn wall_ratio(artifacts: &Artifacts) -> Result<Figure> {
    let bare = artifacts.image.with_file_name("bare");
    fs::write(&bare, bare_program()).map_err(|e| Failure::io("write", &bare, &e))?;
    let bare = Machine::bare(&bare);
    let system = Machine::new(artifacts);
    let (mut bare_times, mut system_times) = (vec![], vec![]);
    // In turns, so that a busy moment of the host hits both.
    for _ in 0..STARTS {
        bare_times.push(time_to(&bare, artifacts, |session| session.wait_text(BARE_TEXT, deadline()))?);
        system_times.push(time_to(&system, artifacts, |session| session.wait_prompt(deadline()))?);
    }
    let (bare, system) = (median(bare_times), median(system_times));
    println!("start to prompt {system:.3} s, bare program {bare:.3} s (medians of {STARTS})");
    Ok(Figure {
        name: "boot_wall_ratio".to_owned(),
        value: system / bare,
        unit: "times a bare program".to_owned(),
    })
}

/// Seconds from QEMU's start until `wait` has seen what it waits for.
fn time_to(
    machine: &Machine,
    artifacts: &Artifacts,
    wait: impl FnOnce(&mut Session) -> std::result::Result<String, Stop>,
) -> Result<f64> {
    let begin = Instant::now();
    let mut session = start(machine, artifacts)?;
    wait(&mut session).map_err(|stop| stopped(&session, stop))?;
    Ok(begin.elapsed().as_secs_f64())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Host CPU that QEMU uses while the prompt waits, in percent of one core; `None` where there is no `/proc`.
fn idle_cpu(artifacts: &Artifacts) -> Result<Option<Figure>> {
    let mut session = start(&Machine::new(artifacts), artifacts)?;
    prompt(&mut session)?;
    let Some(before) = cpu_seconds(session.pid()) else { return Ok(None) };
    thread::sleep(IDLE_TIME);
    let used = cpu_seconds(session.pid()).unwrap_or(before) - before;
    let value = 100.0 * used / IDLE_TIME.as_secs_f64();
    Ok(Some(Figure { name: "idle_host_cpu".to_owned(), value, unit: "% of one core".to_owned() }))
}

/// CPU time of a process so far: fields 14 and 15 of `/proc/PID/stat` (proc(5)).
fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in field 2 may contain anything, even a closing parenthesis.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
    Some((ticks(14)? + ticks(15)?) / TICKS)
}

fn kernel_text(artifacts: &Artifacts) -> Result<Figure> {
    let text = Sizes::of_program(&artifacts.symbols.join(KERNEL))?.text;
    Ok(Figure { name: "kernel_text".to_owned(), value: text as f64, unit: "bytes".to_owned() })
}

fn start(machine: &Machine, artifacts: &Artifacts) -> Result<Session> {
    machine.check()?;
    let symbols: Box<dyn crate::symbols::Symbolise> = match machine.modules {
        Some(_) => Box::new(SymbolFolder::new(&artifacts.symbols)),
        None => Box::new(NoSymbols),
    };
    Session::start(machine.command(), Output::Kept, symbols)
}

fn prompt(session: &mut Session) -> Result<String> {
    session.wait_prompt(deadline()).map_err(|stop| stopped(session, stop))
}

fn deadline() -> Option<Instant> {
    Some(Instant::now() + PATIENCE)
}

fn stopped(session: &Session, stop: Stop) -> Failure {
    let why = match stop {
        Stop::Deadline => format!("nothing came for {} s", PATIENCE.as_secs()),
        Stop::Ended => "QEMU ended".to_owned(),
    };
    Failure::new(format!("{why}; the console said:\n{}", session.log()))
}

/// A figure beside its bound; either may be missing, not both.
struct Row<'a> {
    figure: Option<&'a Figure>,
    bound: Option<&'a Bound>,
}

impl Row<'_> {
    fn verdict(&self) -> &'static str {
        match (self.figure, self.bound) {
            (Some(figure), Some(bound)) if figure.value <= bound.limit => "met",
            (Some(_), Some(_)) => "MISSED",
            (None, _) => "NOT MEASURED",
            (Some(_), None) => "",
        }
    }

    fn name(&self) -> &str {
        self.figure.map_or_else(|| self.bound.map_or("", |it| it.name), |it| it.name.as_str())
    }

    fn unit(&self) -> &str {
        self.figure.map_or_else(|| self.bound.map_or("", |it| it.unit), |it| it.unit.as_str())
    }

    fn line(&self) -> String {
        let measured = self.figure.map_or("-".to_owned(), |it| number(it.value));
        let bound = self.bound.map_or("-".to_owned(), |it| number(it.limit));
        let (name, verdict, unit) = (self.name(), self.verdict(), self.unit());
        format!("{name:<24} {measured:>12} {bound:>12}  {verdict:<12} {unit}").trim_end().to_owned()
    }
}

/// Counts without decimals, the rest with two.
fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.2}") }
}

/// Bounds in their order with the figures that belong to them, then the other figures.
fn rows(figures: &[Figure]) -> Vec<Row<'_>> {
    let of = |bound: &Bound| figures.iter().find(|it| it.name == bound.name);
    let bounded = BOUNDS.iter().map(|bound| Row { figure: of(bound), bound: Some(bound) });
    let others = figures.iter().filter(|it| BOUNDS.iter().all(|bound| bound.name != it.name));
    bounded.chain(others.map(|it| Row { figure: Some(it), bound: None })).collect()
}

fn summary(rows: &[Row<'_>]) -> String {
    let count = |verdict| rows.iter().filter(|it| it.verdict() == verdict).count();
    format!("{} met, {} missed, {} not measured", count("met"), count("MISSED"), count("NOT MEASURED"))
}

fn write_json(file: &Path, rows: &[Row<'_>]) -> Result {
    let row = |row: &Row<'_>| {
        json!({
            "name": row.name(), "unit": row.unit(), "verdict": row.verdict(),
            "measured": row.figure.map(|it| it.value), "bound": row.bound.map(|it| it.limit),
        })
    };
    let text = json!({ "figures": rows.iter().map(row).collect::<Vec<_>>() });
    fs::write(file, format!("{text:#}\n")).map_err(|e| Failure::io("write", file, &e))
}

/// Draws how costs grow, and all figures beside their bounds.
fn write_plots(folder: &Path, figures: &[Figure], rows: &[Row<'_>]) -> Result {
    let series =
        |&(name, shown): &(&str, &str)| Series { name: shown.to_owned(), points: points(name, figures) };
    let bar = |row: &Row<'_>| {
        let (figure, bound) = (row.figure?, row.bound?);
        let value = format!("{} {}", plot::thousands(figure.value), row.unit());
        Some(Bar { name: row.name().to_owned(), value, share: figure.value / bound.limit })
    };
    let growing: Vec<_> = GROWING.iter().map(series).filter(|it| !it.points.is_empty()).collect();
    let bars: Vec<_> = rows.iter().filter_map(bar).collect();
    let (title, across) = ("What one more allocation costs", "live allocations (n)");
    fs::create_dir_all(folder).map_err(|e| Failure::io("make", folder, &e))?;
    for (name, svg) in [
        ("growth.svg", plot::growth(title, across, "instructions", &growing)),
        ("bounds.svg", plot::bars("Figures in shares of their bounds", &bars)),
    ] {
        let file = folder.join(name);
        fs::write(&file, svg).map_err(|e| Failure::io("write", &file, &e))?;
    }
    Ok(())
}

/// What [`bare_program`] prints.
const BARE_TEXT: &str = "!";

/// The least that can be booted: an arm64 image that writes one character to the UART and powers off.
fn bare_program() -> Vec<u8> {
    const CODE: [u32; 7] = [
        0xd2a1_2000, // movz x0, #0x0900, lsl #16   the PL011 of QEMU's virt board
        0x5280_0421, // movz w1, #'!'
        0xb900_0001, // str  w1, [x0]               UARTDR
        0x52b0_8000, // movz w0, #0x8400, lsl #16
        0x7280_0100, // movk w0, #0x0008            PSCI SYSTEM_OFF
        0xd400_0002, // hvc  #0
        0x1400_0000, // b    .
    ];
    let mut image = vec![];
    // The header of Linux' booting.rst, 64 bytes: b code; 0; text offset; size; flags (4 KiB pages, anywhere).
    image.extend([0x1400_0010u32, 0].into_iter().flat_map(u32::to_le_bytes));
    image.extend([0u64, 0x1000, 0b1010, 0, 0, 0].into_iter().flat_map(u64::to_le_bytes));
    image.extend_from_slice(b"ARM\x64\0\0\0\0");
    image.extend(CODE.into_iter().flat_map(u32::to_le_bytes));
    image
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qemu;
    use crate::session::Outcome;

    fn measured(name: &str, value: f64) -> Figure {
        Figure { name: name.to_owned(), value, unit: "instructions".to_owned() }
    }

    #[test]
    fn the_guests_lines_are_read() {
        assert_eq!(figure("bench null_syscall 88 instructions\r"), Some(measured("null_syscall", 88.0)));
        for other in ["bench: no timer", "bench x y z", "a bench b 1 c", "bench x 1"] {
            assert_eq!(figure(other), None, "{other}");
        }
    }

    #[test]
    fn a_figure_at_its_bound_is_met_and_above_it_missed() {
        let figures = [measured("null_syscall", 91.0), measured("cap_copy", 648.5), measured("more", 1.0)];
        let rows = rows(&figures);
        let verdict = |name: &str| rows.iter().find(|it| it.name() == name).map(Row::verdict);
        assert_eq!(verdict("null_syscall"), Some("met"));
        assert_eq!(verdict("cap_copy"), Some("MISSED"));
        assert_eq!(verdict("more"), Some(""));
        assert_eq!(verdict("fault_upcall"), Some("NOT MEASURED"));
        assert_eq!(summary(&rows), format!("1 met, 1 missed, {} not measured", BOUNDS.len() - 2));
    }

    #[test]
    fn growth_is_from_the_fewest_to_the_most() {
        let figures = [
            measured("reserve_beside_10", 100.0),
            measured("reserve_beside_1000", 180.0),
            measured("reserve_beside_100000", 250.0),
            measured("reserve_beside_x", 1.0),
            measured("allocate_beside_0", 1.0),
        ];
        assert_eq!(points("reserve", &figures), [(10.0, 100.0), (1000.0, 180.0), (100_000.0, 250.0)]);
        let growth = |name: &str| growth(name, &figures).map(|it| (it.name, it.value));
        assert_eq!(growth("reserve"), Some(("reserve_growth".to_owned(), 2.5)));
        assert_eq!(growth("allocate"), None);
    }

    #[test]
    fn plots_show_all_that_has_a_bound_and_all_that_grows() {
        let figures = [
            measured("null_syscall", 45.0),
            measured("more", 1.0),
            measured("reserve_beside_10", 100.0),
            measured("reserve_beside_100", 110.0),
        ];
        let folder = std::env::temp_dir().join(format!("barreldish-plots-{}", std::process::id()));
        write_plots(&folder, &figures, &rows(&figures)).unwrap();
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let (growth, bounds) = (read("growth.svg"), read("bounds.svg"));
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(growth.matches("<circle").count(), 2, "{growth}");
        assert!(bounds.contains(">null_syscall<") && bounds.contains("49 %: 45 instructions"), "{bounds}");
        assert!(!bounds.contains("more") && !bounds.contains("cap_copy"), "{bounds}");
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn the_bare_program_speaks_and_powers_off() {
        if !qemu::is_installed() {
            println!("skipped: no QEMU here (`cargo xtask setup` installs it)");
            return;
        }
        let file = std::env::temp_dir().join(format!("barreldish-bare-{}", std::process::id()));
        fs::write(&file, bare_program()).unwrap();
        let command = Machine::bare(&file).command();
        let mut session = Session::start(command, Output::Kept, Box::new(NoSymbols)).unwrap();
        let outcome = session.wait_end(Some(Instant::now() + Duration::from_secs(60))).unwrap();
        assert!(matches!(outcome, Outcome::Vanished(status, _) if status.success()), "{outcome:?}");
        assert_eq!(session.log(), BARE_TEXT);
        fs::remove_file(&file).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn cpu_time_of_a_process_is_read() {
        assert!(cpu_seconds(std::process::id()).is_some());
        assert_eq!(cpu_seconds(u32::MAX), None);
    }
}
