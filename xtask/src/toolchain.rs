//! Which compiler makes bare-metal Arm code on this machine.
//!
//! Two ways lead to the same tree, with the same flags:
//! 1. the toolchain that runs xtask has the target's library (`rustup target add`);
//! 2. a compiler with the library's source, such as Debian's `rustc-web` and `rust-web-src`: cargo builds the
//!    library itself (`-Zbuild-std`). `RUSTC_BOOTSTRAP` is set for that switch alone; the code uses stable Rust.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{process, workspace};

/// The target of the kernel and of all user programs: no floating point in the kernel, one target for both.
pub const TARGET: &str = "aarch64-unknown-none-softfloat";
/// Flags of every target build. Frame pointers are what makes a backtrace possible on the target.
const RUSTFLAGS: &str = "-Cforce-frame-pointers=yes";
/// Where Debian's compiler stands.
const SYSTEM_RUSTC: &str = "/usr/bin/rustc";
/// The oldest compiler that knows all that the code uses: `rust-version` of the workspace.
const OLDEST: (u32, u32) = (1, 95);

/// A way to build for [`TARGET`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// The compiler that takes part when it is not the one cargo takes anyway: the library is then built from source.
    pub build_std_with: Option<PathBuf>,
    /// The linker: `rust-lld`, or `ld.lld` where no Rust toolchain brings one.
    pub linker: PathBuf,
}

/// The way to build that this machine has now, if any; nothing is installed.
pub fn detect() -> Option<Toolchain> {
    let own = Compiler::ask(&host_rustc());
    let system = Compiler::ask(Path::new(SYSTEM_RUSTC));
    let linker = find_linker([&own, &system].into_iter().flatten())?;
    if own.as_ref().is_some_and(Compiler::has_target) {
        return Some(Toolchain { build_std_with: None, linker });
    }
    let builder = [own, system].into_iter().flatten().find(Compiler::can_build_std)?;
    Some(Toolchain { build_std_with: Some(builder.rustc), linker })
}

impl Toolchain {
    /// A cargo command (`build` or `rustc`) for the target; the caller adds packages and profile.
    pub fn cargo(&self, command: &str) -> Command {
        let mut cargo = workspace::cargo();
        cargo.args([command, "--target", TARGET]);
        let variable =
            |what: &str| format!("CARGO_TARGET_{}_{what}", TARGET.to_uppercase().replace('-', "_"));
        cargo.env(variable("LINKER"), &self.linker).env(variable("RUSTFLAGS"), RUSTFLAGS);
        // The user's flags are for the user's host; both ways must see the same ones.
        cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        if let Some(rustc) = &self.build_std_with {
            cargo.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1");
            // What the library's own source warns of is not the user's business.
            cargo.env("CARGO_FUTURE_INCOMPAT_REPORT_FREQUENCY", "never");
            cargo.arg("-Zbuild-std=core,alloc,compiler_builtins");
            cargo.arg("-Zbuild-std-features=compiler-builtins-mem");
        }
        cargo
    }
}

/// What one `rustc` says about itself.
struct Compiler {
    rustc: PathBuf,
    sysroot: PathBuf,
    host: String,
    version: (u32, u32),
}

impl Compiler {
    fn ask(rustc: &Path) -> Option<Self> {
        let about = process::output(Command::new(rustc).arg("-vV")).ok()?;
        let sysroot = process::output(Command::new(rustc).args(["--print", "sysroot"])).ok()?;
        Some(Self {
            rustc: rustc.to_owned(),
            sysroot: PathBuf::from(sysroot),
            host: field(&about, "host: ")?.to_owned(),
            version: version(field(&about, "release: ")?)?,
        })
    }

    fn has_target(&self) -> bool {
        self.version >= OLDEST && self.sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir()
    }

    fn can_build_std(&self) -> bool {
        self.version >= OLDEST && self.sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml").is_file()
    }

    fn lld(&self) -> Option<PathBuf> {
        let lld = self.sysroot.join("lib/rustlib").join(&self.host).join("bin/rust-lld");
        Some(lld).filter(|it| it.is_file())
    }
}

fn host_rustc() -> PathBuf {
    std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()).into()
}

fn find_linker<'a>(compilers: impl Iterator<Item = &'a Compiler>) -> Option<PathBuf> {
    let mut found = compilers.filter_map(Compiler::lld);
    found.next().or_else(|| process::find("ld.lld"))
}

fn field<'a>(about: &'a str, name: &str) -> Option<&'a str> {
    about.lines().find_map(|line| line.strip_prefix(name))
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-']).map(str::parse::<u32>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        assert_eq!(version("1.95.0"), Some((1, 95)));
        assert_eq!(version("1.100.0-nightly"), Some((1, 100)));
        assert!(version("1.100.0") > Some(OLDEST) && version("1.63.0") < Some(OLDEST));
        assert_eq!(version("unknown"), None);
    }

    #[test]
    fn both_ways_share_flags_and_linker() {
        let with_target = Toolchain { build_std_with: None, linker: "/lld".into() };
        let from_source = Toolchain { build_std_with: Some("/usr/bin/rustc".into()), linker: "/lld".into() };
        let setting = |toolchain: &Toolchain, name: &str| {
            let cargo = toolchain.cargo("build");
            let value = cargo.get_envs().find(|(key, _)| *key == name).and_then(|(_, value)| value);
            value.map(|it| it.to_string_lossy().into_owned())
        };
        for name in ["LINKER", "RUSTFLAGS"] {
            let name = format!("CARGO_TARGET_AARCH64_UNKNOWN_NONE_SOFTFLOAT_{name}");
            assert!(setting(&with_target, &name).is_some());
            assert_eq!(setting(&with_target, &name), setting(&from_source, &name));
        }
        assert_eq!(setting(&with_target, "RUSTC_BOOTSTRAP"), None);
        assert_eq!(setting(&from_source, "RUSTC_BOOTSTRAP").as_deref(), Some("1"));
    }
}
