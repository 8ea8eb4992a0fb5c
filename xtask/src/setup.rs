//! `cargo xtask setup`: installs what is missing, and nothing else.
//!
//! Each command is printed before it runs. Where xtask may not install (no root, no sudo) or does not know the
//! system's package manager, it says what to install.

use std::process::{Command, Stdio};

use crate::toolchain::{self, TARGET, Toolchain};
use crate::{Failure, Result, process, qemu};

/// Package managers that xtask knows: the program, its arguments to install, and the package that holds
/// `qemu-system-aarch64`.
const MANAGERS: [(&str, &[&str], &str); 5] = [
    ("apt-get", &["install", "-y", "--no-install-recommends"], "qemu-system-arm"),
    ("dnf", &["install", "-y"], "qemu-system-aarch64-core"),
    ("pacman", &["-S", "--noconfirm", "--needed"], "qemu-system-aarch64"),
    ("zypper", &["--non-interactive", "install"], "qemu-arm"),
    ("brew", &["install"], "qemu"),
];
/// Debian's compiler and library source, for machines where rustup can supply no target.
const DEBIAN_RUST: [&str; 2] = ["rustc-web", "rust-web-src"];

/// Who may install packages here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rights {
    Root,
    Sudo,
    None,
}

/// Makes the machine ready to build and boot, and returns the way to build.
pub fn ensure() -> Result<Toolchain> {
    if !qemu::is_installed() {
        install_qemu()?;
    }
    match toolchain::detect() {
        Some(toolchain) => Ok(toolchain),
        None => install_target(),
    }
}

/// The `setup` command: [`ensure`], with a word about what was found.
pub fn command() -> Result {
    let toolchain = ensure()?;
    println!("qemu:      {}", qemu::program());
    match &toolchain.build_std_with {
        None => println!("target:    {TARGET}, library from rustup"),
        Some(rustc) => println!("target:    {TARGET}, library built from source with {}", rustc.display()),
    }
    println!("linker:    {}", toolchain.linker.display());
    Ok(())
}

fn install_qemu() -> Result {
    let Some((manager, arguments, package)) = MANAGERS.into_iter().find(|it| process::find(it.0).is_some())
    else {
        return Err(Failure::new("QEMU is missing: install `qemu-system-aarch64` (7.2 or later)"));
    };
    install(manager, arguments, &[package])?;
    if qemu::is_installed() { Ok(()) } else { Err(Failure::new("QEMU was installed but is not on PATH")) }
}

/// The target's library from rustup when it can supply it, else Debian's compiler with the library's source.
fn install_target() -> Result<Toolchain> {
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", TARGET]);
    if process::find("rustup").is_some()
        && run_printed(&mut rustup).is_ok()
        && let Some(toolchain) = toolchain::detect()
    {
        return Ok(toolchain);
    }
    let (manager, arguments, _) = MANAGERS[0];
    if process::find(manager).is_none() {
        return Err(Failure::new(format!(
            "no Rust for {TARGET}: `rustup target add {TARGET}`, or install a rustc 1.95 or later with its library source"
        )));
    }
    install(manager, arguments, &DEBIAN_RUST)?;
    toolchain::detect().ok_or_else(|| {
        Failure::new(format!(
            "{} are installed, but no way to build for {TARGET} was found",
            DEBIAN_RUST.join(" and ")
        ))
    })
}

fn install(manager: &str, arguments: &[&str], packages: &[&str]) -> Result {
    let plan = install_plan(manager, arguments, packages, rights(manager))?;
    plan.into_iter().try_for_each(|words| run_printed(Command::new(&words[0]).args(&words[1..])))
}

/// The commands that install `packages`, each as its words; or what to tell a user who may not.
fn install_plan(
    manager: &str,
    arguments: &[&str],
    packages: &[&str],
    rights: Rights,
) -> Result<Vec<Vec<String>>> {
    let words = |arguments: &[&str], packages: &[&str]| {
        let sudo: &[&str] = if rights == Rights::Sudo { &["sudo"] } else { &[] };
        [sudo, &[manager], arguments, packages].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let install = words(arguments, packages);
    if rights == Rights::None {
        let reason = format!("missing: {}. As root: {}", packages.join(", "), install.join(" "));
        return Err(Failure::new(reason));
    }
    // A fresh container has no package lists at all.
    let update = (manager == "apt-get").then(|| words(&["update"], &[]));
    Ok(update.into_iter().chain([install]).collect())
}

fn rights(manager: &str) -> Rights {
    let root = process::output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0");
    match (manager == "brew" || root, process::find("sudo")) {
        (true, _) => Rights::Root,
        (false, Some(_)) => Rights::Sudo,
        (false, None) => Rights::None,
    }
}

fn run_printed(command: &mut Command) -> Result {
    eprintln!("+ {}", process::shown(command));
    process::run(command.stdin(Stdio::inherit()).env("DEBIAN_FRONTEND", "noninteractive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(manager: &str, rights: Rights) -> Result<Vec<String>> {
        let (name, arguments, package) = MANAGERS.into_iter().find(|it| it.0 == manager).unwrap();
        let plan = install_plan(name, arguments, &[package], rights)?;
        Ok(plan.into_iter().map(|words| words.join(" ")).collect())
    }

    #[test]
    fn root_installs_after_fetching_the_lists() {
        let expected = ["apt-get update", "apt-get install -y --no-install-recommends qemu-system-arm"];
        assert_eq!(plan("apt-get", Rights::Root).unwrap(), expected);
        assert_eq!(plan("pacman", Rights::Root).unwrap().len(), 1);
    }

    #[test]
    fn others_install_through_sudo() {
        assert!(plan("apt-get", Rights::Sudo).unwrap().iter().all(|line| line.starts_with("sudo apt-get ")));
    }

    #[test]
    fn who_may_not_install_is_told_what_to_install() {
        let failure = plan("apt-get", Rights::None).unwrap_err();
        assert!(failure.to_string().contains("apt-get install -y --no-install-recommends qemu-system-arm"));
    }
}
