//! `cargo xtask build`: the kernel and all user programs for the target.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::toolchain::Toolchain;
use crate::workspace::{KERNEL, Workspace};
use crate::{Failure, Result, process};

/// How the kernel is put together, besides what the profile says: its image fits 1 MiB (`kernel.ld` asserts it), so one
/// instruction reaches any address in it; of functions that came out the same, one will do; and so of longer sequences of
/// instructions (from 20 bytes of gain on: shorter ones cost more time than their room is worth).
const KERNEL_FLAGS: [&str; 3] = [
    "-Ccode-model=tiny",
    "-Clink-arg=--icf=all",
    "-Cllvm-args=-enable-machine-outliner=always -outliner-benefit-threshold=20 -machine-outliner-reruns=2",
];

/// How the target code is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Optimised, with line tables: what is measured and shipped.
    #[default]
    Release,
    /// Unoptimised, with debug assertions.
    Debug,
}

/// The programs that cargo linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The kernel's ELF file.
    pub kernel: PathBuf,
    /// ELF files of the user programs by name.
    pub programs: BTreeMap<String, PathBuf>,
}

/// Builds everything that the boot image needs. The kernel has flags of its own, and its own link script
/// (`kernel/build.rs`).
pub fn build(workspace: &Workspace, toolchain: &Toolchain, profile: Profile) -> Result<Built> {
    if !workspace.has_kernel() {
        return Err(Failure::new("there is no package `kernel` in this workspace: nothing to build"));
    }
    let mut of_programs = cargo(workspace, toolchain, "build", profile);
    for package in workspace.program_packages() {
        of_programs.args(["-p", &package.name]);
    }
    let programs = run_cargo(&mut of_programs)?;
    let mut of_kernel = cargo(workspace, toolchain, "rustc", profile);
    of_kernel.args(["-p", KERNEL, "--bin", KERNEL, "--"]).args(KERNEL_FLAGS);
    let kernel = run_cargo(&mut of_kernel)?.remove(KERNEL);
    let kernel = kernel.ok_or_else(|| Failure::new("cargo linked no program `kernel`"))?;
    Ok(Built { kernel, programs })
}

/// A cargo command for the target in this workspace; the caller adds packages.
fn cargo(workspace: &Workspace, toolchain: &Toolchain, command: &str, profile: Profile) -> Command {
    let mut cargo = toolchain.cargo(command);
    cargo.current_dir(&workspace.root).arg("--message-format=json-render-diagnostics");
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    cargo.env("BARRELDISH_COMMIT", commit(workspace));
    cargo
}

/// Runs cargo and collects the programs it reports; its diagnostics go to the user as they come.
fn run_cargo(cargo: &mut Command) -> Result<BTreeMap<String, PathBuf>> {
    let mut child = cargo.stdout(Stdio::piped()).spawn().map_err(|e| process::not_started(cargo, &e))?;
    let stdout = child.stdout.take().expect("stdout was piped");
    let programs =
        BufReader::new(stdout).lines().map_while(|it| it.ok()).filter_map(|it| executable(&it)).collect();
    let status = child.wait().map_err(|e| process::not_started(cargo, &e))?;
    if status.success() { Ok(programs) } else { Err(Failure::new("the build for the target failed")) }
}

/// Name and path of the program that one of cargo's JSON messages reports, if it reports one.
fn executable(message: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(message).ok()?;
    let path = message.get("executable")?.as_str()?;
    let name = message.get("target")?.get("name")?.as_str()?;
    Some((name.to_owned(), PathBuf::from(path)))
}

/// The commit for the first line on the console, with `+` when the tree differs from it.
fn commit(workspace: &Workspace) -> String {
    let git = |arguments: &[&str]| {
        process::output(Command::new("git").current_dir(&workspace.root).args(arguments))
    };
    match git(&["rev-parse", "--short=12", "HEAD"]) {
        Ok(hash) if git(&["diff", "--quiet", "HEAD"]).is_err() => hash + "+",
        Ok(hash) => hash,
        Err(_) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_read_from_cargos_messages() {
        let artifact = r#"{"reason":"compiler-artifact","target":{"name":"init"},"executable":"/t/init"}"#;
        assert_eq!(executable(artifact), Some(("init".to_owned(), "/t/init".into())));
        let library = r#"{"reason":"compiler-artifact","target":{"name":"abi"},"executable":null}"#;
        assert_eq!(executable(library), None);
        assert_eq!(executable("not json"), None);
    }

    #[test]
    fn a_tree_without_a_kernel_is_refused_in_words() {
        let workspace = Workspace { root: ".".into(), target: "target".into(), packages: vec![] };
        let toolchain = Toolchain { build_std_with: None, linker: "lld".into() };
        let failure = build(&workspace, &toolchain, Profile::Release).unwrap_err();
        assert!(failure.to_string().contains("no package `kernel`"), "{failure}");
    }
}
