//! The arrows between the floors of the house point down only.
//!
//! Which floor may use which is data, `FLOORS`; everything else follows from cargo's own view of the tree.

use std::path::Path;

use crate::workspace::{Package, Workspace};
use crate::{Failure, Result};

/// A folder of the workspace and the folders that its packages may depend on.
struct Floor {
    name: &'static str,
    uses: &'static [&'static str],
}

/// The floors, the lowest first. A floor that names itself allows arrows among its packages.
const FLOORS: [Floor; 12] = [
    Floor { name: "abi", uses: &[] },
    Floor { name: "core", uses: &["core", "abi"] },
    Floor { name: "platform", uses: &["platform", "core", "abi"] },
    Floor { name: "kernel", uses: &["platform", "core", "abi"] },
    Floor { name: "lib", uses: &["lib", "core", "abi"] },
    Floor { name: "drivers", uses: &["drivers", "lib", "core", "abi"] },
    Floor { name: "servers", uses: &["drivers", "lib", "core", "abi"] },
    Floor { name: "apps", uses: &["lib", "core", "abi"] },
    Floor { name: "examples", uses: &["lib", "core", "abi"] },
    // Host only.
    Floor { name: "model", uses: &["model", "core", "abi"] },
    Floor { name: "xtask", uses: &["core", "abi"] },
    Floor { name: "tests", uses: &["xtask", "abi"] },
];
/// What every package's tests may use besides: the naive models that the real thing is compared with.
const FOR_TESTS: &[&str] = &["model"];

/// The `layering` part of `check`: a failure names every arrow that points up.
pub fn check(workspace: &Workspace) -> Result {
    let violations = violations(&workspace.packages);
    if violations.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("layering:\n  {}", violations.join("\n  "))))
}

/// A sentence for each arrow that the table does not allow, and for each package on no floor.
fn violations(packages: &[Package]) -> Vec<String> {
    packages.iter().flat_map(violations_of).collect()
}

fn violations_of(package: &Package) -> Vec<String> {
    let (name, floor_name) = (&package.name, first_part(&package.folder));
    let Some(floor) = FLOORS.iter().find(|it| it.name == floor_name) else {
        return vec![format!(
            "{name}: `{floor_name}` is no floor of the house (xtask/src/layering.rs lists them)"
        )];
    };
    let forbidden = package.dependencies.iter().filter(|it| {
        let other = first_part(&it.folder);
        !(floor.uses.contains(&other) || it.dev && FOR_TESTS.contains(&other))
    });
    let sentence = |folder: &Path| {
        let allowed = if floor.uses.is_empty() { "nothing".to_owned() } else { floor.uses.join(", ") };
        format!("{name} ({floor_name}) depends on {}; {floor_name} may use {allowed}", folder.display())
    };
    forbidden.map(|it| sentence(&it.folder)).collect()
}

fn first_part(folder: &Path) -> &str {
    folder.iter().next().and_then(|it| it.to_str()).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    fn package(folder: &str, uses: &[&str], dev: bool) -> Package {
        Package {
            name: folder.replace('/', "-"),
            folder: folder.into(),
            programs: vec![],
            dependencies: uses.iter().map(|it| Dependency { folder: it.into(), dev }).collect(),
        }
    }

    #[test]
    fn arrows_down_are_fine() {
        let house = [
            package("abi", &[], false),
            package("core/caps", &["abi", "core/region"], false),
            package("platform/qemu-virt", &["abi"], false),
            package("kernel", &["platform/qemu-virt", "core/caps", "abi"], false),
            package("lib/rt", &["lib/sys", "abi"], false),
            package("servers/serial", &["drivers/pl011", "lib/rt"], false),
            package("apps/shell", &["lib/rt"], false),
            package("tests", &["xtask"], false),
        ];
        assert_eq!(violations(&house), [""; 0]);
    }

    #[test]
    fn each_arrow_up_or_across_is_named() {
        for (from, to) in [
            ("abi", "core/caps"),
            ("core/caps", "lib/sys"),
            ("core/caps", "kernel"),
            ("kernel", "lib/sys"),
            ("lib/rt", "servers/mem"),
            ("lib/rt", "drivers/pl011"),
            ("drivers/pl011", "servers/serial"),
            ("servers/mem", "servers/names"),
            ("servers/mem", "kernel"),
            ("apps/shell", "servers/serial"),
            ("apps/shell", "drivers/pl011"),
            ("core/caps", "model"),
            ("kernel", "tests"),
            ("lib/sys", "xtask"),
        ] {
            let found = violations(&[package(from, &[to], false)]);
            assert!(found.len() == 1 && found[0].contains(to), "{from} -> {to}: {found:?}");
        }
    }

    #[test]
    fn tests_may_use_the_models_and_nothing_else_above() {
        assert_eq!(violations(&[package("core/caps", &["model"], true)]), [""; 0]);
        assert_eq!(violations(&[package("core/caps", &["lib/sys"], true)]).len(), 1);
    }

    #[test]
    fn a_package_on_no_floor_is_named() {
        assert!(violations(&[package("util", &[], false)])[0].contains("`util` is no floor"));
    }

    #[test]
    fn this_workspace_keeps_its_floors() {
        let workspace = Workspace::load().unwrap();
        check(&workspace).unwrap();
    }
}
