//! What cargo knows about this workspace: its packages, their programs and their dependencies on each other.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::{Failure, Result, process};

/// Package name of the CPU driver, and the name of its program.
pub const KERNEL: &str = "kernel";
/// Folders whose packages' programs become boot modules.
const PROGRAM_FOLDERS: [&str; 2] = ["servers", "apps"];

/// Cargo's view of the tree.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// The folder with the root `Cargo.toml`.
    pub root: PathBuf,
    /// Cargo's target folder (`CARGO_TARGET_DIR` is respected).
    pub target: PathBuf,
    /// All members, in cargo's order.
    pub packages: Vec<Package>,
}

/// One member of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name in `Cargo.toml`.
    pub name: String,
    /// Its folder, relative to the root: `core/caps`.
    pub folder: PathBuf,
    /// Names of its programs.
    pub programs: Vec<String>,
    /// Its dependencies that are folders of this tree.
    pub dependencies: Vec<Dependency>,
}

/// An arrow from one package of the workspace to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The other package's folder, relative to the root.
    pub folder: PathBuf,
    /// Whether only tests and examples need it.
    pub dev: bool,
}

impl Workspace {
    /// Asks cargo about the workspace around the current folder. Needs no network and no lock file.
    pub fn load() -> Result<Self> {
        let json =
            process::output(cargo().args(["metadata", "--no-deps", "--format-version", "1", "--offline"]))?;
        Self::from_metadata(&json)
    }

    /// Reads the output of `cargo metadata --no-deps`.
    pub fn from_metadata(json: &str) -> Result<Self> {
        let metadata: Value =
            serde_json::from_str(json).map_err(|e| Failure::new(format!("cargo metadata: {e}")))?;
        let root = PathBuf::from(text(&metadata, "workspace_root")?);
        let target = PathBuf::from(text(&metadata, "target_directory")?);
        let packages =
            list(&metadata, "packages").iter().map(|it| package(it, &root)).collect::<Result<_>>()?;
        Ok(Self { root, target, packages })
    }

    /// Packages whose programs run on the target besides the kernel.
    pub fn program_packages(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|it| {
            !it.programs.is_empty() && PROGRAM_FOLDERS.iter().any(|folder| it.folder.starts_with(folder))
        })
    }

    /// Whether the kernel is part of the tree.
    pub fn has_kernel(&self) -> bool {
        self.packages.iter().any(|it| it.name == KERNEL)
    }

    /// Where the boot image, the modules and the symbols are put.
    pub fn artifacts(&self) -> PathBuf {
        self.target.join("barreldish")
    }
}

/// The cargo that runs xtask, so that a toolchain override holds for what it starts.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn package(json: &Value, root: &Path) -> Result<Package> {
    let manifest = PathBuf::from(text(json, "manifest_path")?);
    let is_program = |target: &&Value| list(target, "kind").iter().any(|kind| kind == "bin");
    Ok(Package {
        name: text(json, "name")?.to_owned(),
        folder: relative(manifest.parent().unwrap_or(root), root),
        programs: (list(json, "targets").iter().filter(is_program))
            .map(|target| text(target, "name").map(str::to_owned))
            .collect::<Result<_>>()?,
        dependencies: list(json, "dependencies").iter().filter_map(|it| dependency(it, root)).collect(),
    })
}

fn dependency(json: &Value, root: &Path) -> Option<Dependency> {
    let path = json.get("path")?.as_str()?;
    let dev = json.get("kind").and_then(Value::as_str) == Some("dev");
    Some(Dependency { folder: relative(Path::new(path), root), dev })
}

fn relative(path: &Path, root: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_owned()
}

fn text<'a>(json: &'a Value, key: &str) -> Result<&'a str> {
    json.get(key).and_then(Value::as_str).ok_or_else(|| Failure::new(format!("cargo metadata: no `{key}`")))
}

fn list<'a>(json: &'a Value, key: &str) -> &'a [Value] {
    json.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{
        "workspace_root": "/src/bd", "target_directory": "/src/bd/target",
        "packages": [
            {"name": "abi", "manifest_path": "/src/bd/abi/Cargo.toml", "targets": [{"name": "abi", "kind": ["lib"]}],
             "dependencies": []},
            {"name": "shell", "manifest_path": "/src/bd/apps/shell/Cargo.toml",
             "targets": [{"name": "shell", "kind": ["lib"]}, {"name": "shell", "kind": ["bin"]}],
             "dependencies": [
                {"name": "abi", "path": "/src/bd/abi", "kind": null},
                {"name": "model", "path": "/src/bd/model", "kind": "dev"},
                {"name": "elf", "kind": null}]}]}"#;

    #[test]
    fn programs_are_found_by_folder_and_kind() {
        let workspace = Workspace::from_metadata(METADATA).unwrap();
        let programs: Vec<_> = workspace.program_packages().map(|it| it.name.as_str()).collect();
        assert_eq!(programs, ["shell"]);
        assert_eq!(workspace.packages[1].programs, ["shell"]);
        assert!(!workspace.has_kernel());
    }

    #[test]
    fn only_dependencies_inside_the_tree_are_arrows() {
        let workspace = Workspace::from_metadata(METADATA).unwrap();
        assert_eq!(
            workspace.packages[1].dependencies,
            [
                Dependency { folder: "abi".into(), dev: false },
                Dependency { folder: "model".into(), dev: true }
            ]
        );
    }

    #[test]
    fn metadata_that_is_not_json_is_an_error() {
        assert!(Workspace::from_metadata("error: no manifest").is_err());
        assert!(Workspace::from_metadata("{}").is_err());
    }
}
