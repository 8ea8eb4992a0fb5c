//! The emulated machine: from options to QEMU's command line.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::image::Artifacts;
use crate::{Failure, Result, process};

/// QEMU for 64-bit Arm; the variable `BARRELDISH_QEMU` names another one.
const PROGRAM: &str = "qemu-system-aarch64";
/// Cores of a machine when nobody asks for a number. One, as long as only one core is driven.
pub const DEFAULT_CORES: u32 = 4;
/// Memory of a machine when nobody asks for an amount, in MiB.
pub const DEFAULT_MEMORY: u32 = 1024;
/// Cores that QEMU's board can have.
const MAX_CORES: u32 = 512;
/// Memory that a machine needs, and that it can have, in MiB.
const MEMORY: RangeInclusive<u32> = 64..=1 << 20;
/// Ctrl-]: Ctrl-A, QEMU's own default, belongs to the line editor.
const ESCAPE: &str = "0x1d";

/// Which of QEMU's engines runs the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Accelerator {
    /// Hardware virtualisation where the host is an Arm machine that allows it, else the emulator.
    #[default]
    Auto,
    /// The emulator.
    Tcg,
    /// Linux' hypervisor.
    Kvm,
    /// macOS' hypervisor.
    Hvf,
}

/// A machine to boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The QEMU to run.
    pub program: String,
    /// Flat kernel image.
    pub kernel: PathBuf,
    /// Boot modules; a bare program has none.
    pub modules: Option<PathBuf>,
    /// Number of cores, at least 1.
    pub cores: u32,
    /// Memory in MiB.
    pub memory: u32,
    /// Engine.
    pub accelerator: Accelerator,
    /// Virtual time counts instructions, repeatably.
    pub icount: bool,
    /// Waits for a debugger on port 1234 before the first instruction.
    pub gdb: bool,
    /// The machine has EL2, and the kernel is entered there.
    pub el2: bool,
    /// Kernel command line.
    pub append: String,
}

impl Machine {
    /// The default machine with this system.
    pub fn new(artifacts: &Artifacts) -> Self {
        Self { modules: Some(artifacts.modules.clone()), ..Self::bare(&artifacts.image) }
    }

    /// The default machine with a program that needs no modules.
    pub fn bare(kernel: &Path) -> Self {
        Self {
            program: program(),
            kernel: kernel.to_owned(),
            modules: None,
            cores: DEFAULT_CORES,
            memory: DEFAULT_MEMORY,
            accelerator: Accelerator::default(),
            icount: false,
            gdb: false,
            el2: false,
            append: String::new(),
        }
    }

    /// Refuses combinations that QEMU cannot run, in words.
    pub fn check(&self) -> Result {
        match self {
            Self { icount: true, accelerator: Accelerator::Kvm | Accelerator::Hvf, .. } => {
                Err(Failure::new("--icount counts emulated instructions: it needs --accel tcg"))
            }
            Self { cores, .. } if !(1..=MAX_CORES).contains(cores) => {
                Err(Failure::new(format!("--cores {cores}: a machine has 1 to {MAX_CORES} cores")))
            }
            Self { memory, .. } if !MEMORY.contains(memory) => {
                let (least, most) = (MEMORY.start(), MEMORY.end());
                Err(Failure::new(format!("--memory {memory}: a machine has {least} to {most} MiB")))
            }
            _ => Ok(()),
        }
    }

    /// The command that runs the machine, console on its standard input and output.
    pub fn command(&self) -> Command {
        let mut qemu = Command::new(&self.program);
        let (accelerator, cpu) = self.engine();
        let board = if self.el2 { "virt,gic-version=3,virtualization=on" } else { "virt,gic-version=3" };
        qemu.args(["-M", board, "-accel", accelerator, "-cpu", cpu]);
        qemu.args(["-smp", &self.cores.to_string(), "-m", &self.memory.to_string()]);
        // Nothing but what is asked for: QEMU's default devices cost start-up time.
        qemu.args(["-nodefaults", "-display", "none"]);
        qemu.args(["-chardev", "stdio,id=console,mux=on,signal=off", "-serial", "chardev:console"]);
        qemu.args(["-mon", "chardev=console", "-echr", ESCAPE]);
        qemu.arg("-kernel").arg(&self.kernel);
        if let Some(modules) = &self.modules {
            qemu.arg("-initrd").arg(modules);
        }
        if !self.append.is_empty() {
            qemu.args(["-append", &self.append]);
        }
        if self.icount {
            // Virtual time is the count of instructions alone: it does not follow the host's clock while the guest idles.
            qemu.args(["-icount", "shift=0,sleep=off"]);
        }
        if self.gdb {
            qemu.args(["-s", "-S"]);
        }
        qemu
    }

    /// QEMU's names of accelerator and processor.
    fn engine(&self) -> (&'static str, &'static str) {
        match self.accelerator {
            Accelerator::Kvm => ("kvm", "host"),
            Accelerator::Hvf => ("hvf", "host"),
            Accelerator::Auto if !self.icount && kvm_works() => ("kvm", "host"),
            Accelerator::Auto if !self.icount && hvf_works() => ("hvf", "host"),
            // One thread a core is the default, but for -icount.
            Accelerator::Auto | Accelerator::Tcg => ("tcg", "cortex-a57"),
        }
    }
}

/// The QEMU that is used: `BARRELDISH_QEMU` or `qemu-system-aarch64`.
pub fn program() -> String {
    std::env::var("BARRELDISH_QEMU").unwrap_or_else(|_| PROGRAM.to_owned())
}

/// Whether [`program`] is there.
pub fn is_installed() -> bool {
    process::find(&program()).is_some()
}

fn kvm_works() -> bool {
    let device = std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm");
    cfg!(all(target_os = "linux", target_arch = "aarch64")) && device.is_ok()
}

fn hvf_works() -> bool {
    cfg!(all(target_os = "macos", target_arch = "aarch64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(machine: &Machine) -> String {
        process::shown(&machine.command())
    }

    fn machine() -> Machine {
        Machine { program: "qemu".to_owned(), ..Machine::new(&Artifacts::in_folder(Path::new("t"))) }
    }

    #[test]
    fn the_default_machine_boots_image_and_modules_on_its_console() {
        let line = line(&machine());
        assert!(line.starts_with("qemu -M virt,gic-version=3 "), "{line}");
        for part in ["-kernel t/Image", "-initrd t/modules.cpio", "-echr 0x1d", "signal=off", "-m 1024"] {
            assert!(line.contains(part), "no {part} in {line}");
        }
        assert!(!line.contains("-append") && !line.contains("-icount") && !line.contains("-S"), "{line}");
    }

    #[test]
    fn options_reach_the_command_line() {
        let machine =
            Machine { icount: true, gdb: true, append: "a b".to_owned(), cores: 3, memory: 256, ..machine() };
        let line = line(&machine);
        for part in [
            "-icount shift=0,sleep=off",
            "-s -S",
            "-append 'a b'",
            "-smp 3",
            "-m 256",
            "-accel tcg -cpu cortex-a57",
        ] {
            assert!(line.contains(part), "no {part} in {line}");
        }
    }

    #[test]
    fn impossible_machines_are_refused() {
        for wrong in [
            Machine { icount: true, accelerator: Accelerator::Kvm, ..machine() },
            Machine { cores: 0, ..machine() },
            Machine { cores: 513, ..machine() },
            Machine { memory: 8, ..machine() },
            Machine { memory: u32::MAX, ..machine() },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
        assert_eq!(machine().check(), Ok(()));
    }
}
