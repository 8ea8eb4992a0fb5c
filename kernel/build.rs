//! Link script for the bare-metal kernel, and the commit that its banner tells.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=kernel.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let script =
            Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("kernel.ld");
        println!("cargo::rustc-link-arg-bins=-T{}", script.display());
        println!("cargo::rustc-link-arg-bins=--no-eh-frame-hdr");
    }
    println!("cargo::rerun-if-env-changed=BARRELDISH_COMMIT");
    let commit = std::env::var("BARRELDISH_COMMIT").ok().or_else(commit_of_work_tree);
    println!("cargo::rustc-env=BARRELDISH_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
}

/// The short hash of HEAD, watched so that a new commit shows; `None` outside a git repository.
fn commit_of_work_tree() -> Option<String> {
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    // A branch that has been packed has no file of its own until the next commit, which the log shows.
    for name in ["HEAD", "logs/HEAD"].into_iter().chain(branch.as_deref()) {
        let path = git(&["rev-parse", "--git-path", name])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
