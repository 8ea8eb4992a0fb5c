//! `cargo xtask size`: how big the system is and how much of it is `unsafe`.

use std::fs;
use std::path::Path;

use object::elf::{SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHT_NOBITS, SectionFlags};
use object::read::elf::{ElfFile64, SectionHeader};

use crate::build::Profile;
use crate::image::Artifacts;
use crate::source::Counts;
use crate::workspace::{KERNEL, Package, Workspace};
use crate::{Failure, Result, bounds, cli};

/// Bytes of a program by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// Instructions.
    pub text: u64,
    /// Constants.
    pub read_only: u64,
    /// Initialised variables.
    pub data: u64,
    /// Zeroed variables.
    pub bss: u64,
}

impl Sizes {
    /// Reads an ELF file's section headers.
    pub fn of_program(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|e| Failure::io("read", path, &e))?;
        let wrong = |error: object::Error| Failure::new(format!("{}: {error}", path.display()));
        let file = ElfFile64::<object::LittleEndian>::parse(bytes.as_slice()).map_err(wrong)?;
        let endian = file.endian();
        let mut sizes = Self::default();
        for section in file.elf_section_table().iter() {
            let size = section.sh_size(endian);
            let kind = section.sh_type(endian);
            sizes.add(section.sh_flags(endian), kind == SHT_NOBITS, size);
        }
        Ok(sizes)
    }

    fn add(&mut self, flags: SectionFlags, zeroed: bool, size: u64) {
        let is = |flag: SectionFlags| flags.0 & flag.0 != 0;
        let part = match () {
            () if !is(SHF_ALLOC) => return,
            () if zeroed => &mut self.bss,
            () if is(SHF_EXECINSTR) => &mut self.text,
            () if is(SHF_WRITE) => &mut self.data,
            () => &mut self.read_only,
        };
        *part += size;
    }
}

/// The `size` command.
pub fn command() -> Result {
    let artifacts = cli::prepare(Profile::Release)?;
    let workspace = Workspace::load()?;
    print_programs(&artifacts)?;
    println!();
    print_sources(&workspace)?;
    check_kernel(&artifacts)
}

/// Fails when the kernel's text is larger than its bound.
pub fn check_kernel(artifacts: &Artifacts) -> Result {
    let text = Sizes::of_program(&artifacts.symbols.join(KERNEL))?.text;
    let bound = bounds::KERNEL_TEXT;
    if text <= bound {
        Ok(())
    } else {
        Err(Failure::new(format!("kernel text: {text} bytes, bound {bound}")))
    }
}

fn print_programs(artifacts: &Artifacts) -> Result {
    println!("{:<16} {:>9} {:>9} {:>9} {:>9}", "program", "text", "read-only", "data", "bss");
    for name in programs(&artifacts.symbols)? {
        let Sizes { text, read_only, data, bss } = Sizes::of_program(&artifacts.symbols.join(&name))?;
        println!("{name:<16} {text:>9} {read_only:>9} {data:>9} {bss:>9}");
    }
    Ok(())
}

/// The kernel, then the user programs by name.
fn programs(symbols: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(symbols).map_err(|e| Failure::io("read", symbols, &e))?;
    let mut names: Vec<_> = entries.filter_map(|it| it.ok()?.file_name().into_string().ok()).collect();
    names.sort_by_key(|name| (name != KERNEL, name.clone()));
    Ok(names)
}

fn print_sources(workspace: &Workspace) -> Result {
    println!(
        "{:<24} {:>7} {:>13} {:>9} {:>12}",
        "crate", "lines", "unsafe blocks", "unsafe fn", "unsafe impl"
    );
    let mut packages: Vec<&Package> = workspace.packages.iter().collect();
    packages.sort_by(|a, b| a.folder.cmp(&b.folder));
    let mut sum = Counts::default();
    for package in packages {
        let counts = Counts::of_folder(&workspace.root.join(&package.folder))?;
        print_counts(&package.folder.display().to_string(), counts);
        sum.add(counts);
    }
    print_counts("all", sum);
    Ok(())
}

fn print_counts(name: &str, counts: Counts) {
    let Counts { lines, blocks, functions, impls } = counts;
    println!("{name:<24} {lines:>7} {blocks:>13} {functions:>9} {impls:>12}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_count_by_what_they_are_for() {
        let mut sizes = Sizes::default();
        let flags = |all: &[SectionFlags]| SectionFlags(all.iter().fold(0, |sum, it| sum | it.0));
        sizes.add(flags(&[SHF_ALLOC, SHF_EXECINSTR]), false, 1);
        sizes.add(flags(&[SHF_ALLOC]), false, 20);
        sizes.add(flags(&[SHF_ALLOC, SHF_WRITE]), false, 300);
        sizes.add(flags(&[SHF_ALLOC, SHF_WRITE]), true, 4000);
        sizes.add(flags(&[]), false, 50_000);
        assert_eq!(sizes, Sizes { text: 1, read_only: 20, data: 300, bss: 4000 });
    }
}
