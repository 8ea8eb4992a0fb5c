//! `cargo xtask image`: what QEMU boots.
//!
//! ```text
//!   target/barreldish/Image          the kernel as a flat arm64 boot image (header: Linux' booting.rst)
//!                     modules.cpio   stripped user programs (core/archive), `init` first, the others by name
//!                     symbols/NAME   the unstripped programs, for backtraces and gdb
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use object::elf::PT_LOAD;
use object::read::elf::{ElfFile64, ProgramHeader};

use crate::build::Built;
use crate::workspace::{KERNEL, Workspace};
use crate::{Failure, Result};

/// The module that the kernel starts; it stands first in the archive.
pub const FIRST_MODULE: &str = "init";
/// "ARM\x64", at this offset of an arm64 boot image.
const IMAGE_MAGIC: (usize, &[u8; 4]) = (56, b"ARM\x64");
/// A flat image larger than this means that a segment went astray.
const IMAGE_LIMIT: u64 = 64 << 20;

/// The files of a bootable system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifacts {
    /// Flat kernel image.
    pub image: PathBuf,
    /// Boot modules.
    pub modules: PathBuf,
    /// Folder of unstripped programs.
    pub symbols: PathBuf,
}

impl Artifacts {
    /// The files under `folder`, whether they exist yet or not.
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            image: folder.join("Image"),
            modules: folder.join("modules.cpio"),
            symbols: folder.join("symbols"),
        }
    }
}

/// Turns what cargo linked into what QEMU boots.
pub fn image(workspace: &Workspace, built: &Built) -> Result<Artifacts> {
    let artifacts = Artifacts::in_folder(&workspace.artifacts());
    // Programs that were removed from the tree must not linger.
    let _ = fs::remove_dir_all(&artifacts.symbols);
    fs::create_dir_all(&artifacts.symbols).map_err(|e| Failure::io("create", &artifacts.symbols, &e))?;
    let kernel = read(&built.kernel)?;
    write(&artifacts.image, &flat_image(&kernel).map_err(|e| about(&built.kernel, &e))?)?;
    write(&artifacts.symbols.join(KERNEL), &kernel)?;
    write(&artifacts.modules, &modules(&built.programs, &artifacts.symbols)?)?;
    Ok(artifacts)
}

/// The archive of stripped programs; the unstripped ones are copied to `symbols`.
fn modules(programs: &BTreeMap<String, PathBuf>, symbols: &Path) -> Result<Vec<u8>> {
    let first = programs.get_key_value(FIRST_MODULE);
    let others = programs.iter().filter(|(name, _)| *name != FIRST_MODULE);
    let mut stripped = vec![];
    for (name, path) in first.into_iter().chain(others) {
        let elf = read(path)?;
        write(&symbols.join(name), &elf)?;
        stripped.push((name.as_str(), strip(elf).map_err(|e| about(path, &e))?));
    }
    let files = stripped.iter().map(|(name, elf)| (*name, elf.as_slice()));
    archive::write(files).map_err(|e| Failure::new(format!("boot modules: {e}")))
}

/// The loadable segments of an ELF file as they lie in physical memory, gaps and no trailing zeros included.
pub fn flat_image(elf: &[u8]) -> std::result::Result<Vec<u8>, String> {
    let segments = segments(elf)?;
    let base = segments.iter().map(|it| it.address).min().ok_or("the kernel has no loadable segment")?;
    let end = segments.iter().map(|it| it.address + it.data.len() as u64).max().unwrap_or(base);
    if end - base > IMAGE_LIMIT {
        return Err(format!("segments spread from {base:#x} to {end:#x}: more than {IMAGE_LIMIT} bytes"));
    }
    let mut image = vec![0; (end - base) as usize];
    for segment in segments {
        let start = (segment.address - base) as usize;
        image[start..start + segment.data.len()].copy_from_slice(segment.data);
    }
    let (offset, magic) = IMAGE_MAGIC;
    match image.get(offset..offset + magic.len()) {
        Some(found) if found == magic => Ok(image),
        found => Err(format!("no arm64 Image header: {found:x?} at offset {offset}, expected {magic:x?}")),
    }
}

struct Segment<'a> {
    /// Physical address.
    address: u64,
    data: &'a [u8],
}

/// Segments that bring bytes; those of zeros alone (`.bss`) are the loader's business.
fn segments(elf: &[u8]) -> std::result::Result<Vec<Segment<'_>>, String> {
    let file = parse(elf)?;
    let endian = file.endian();
    let load = file.elf_program_headers().iter().filter(|it| it.p_type(endian) == PT_LOAD);
    let filled = load.filter(|it| it.p_filesz(endian) > 0);
    let data = |it: &object::elf::ProgramHeader64<object::LittleEndian>| {
        let data = it.data(endian, elf).map_err(|()| "a segment ends outside the file".to_owned())?;
        Ok(Segment { address: it.p_paddr(endian), data })
    };
    filled.map(data).collect()
}

/// Drops symbols and debug information: everything behind the last byte that a segment needs.
pub fn strip(mut elf: Vec<u8>) -> std::result::Result<Vec<u8>, String> {
    let file = parse(&elf)?;
    let endian = file.endian();
    let end = |it: &object::elf::ProgramHeader64<_>| it.p_offset(endian).checked_add(it.p_filesz(endian));
    let headers = file.elf_program_headers();
    let table = file.elf_header().e_phoff.get(endian) + size_of_val(headers) as u64;
    let ends = headers.iter().filter(|it| it.p_type(endian) == PT_LOAD).map(end).collect::<Option<Vec<_>>>();
    let last = ends.ok_or("a segment's end overflows")?.into_iter().max().unwrap_or(0).max(table);
    if last > elf.len() as u64 {
        return Err("a segment ends outside the file".to_owned());
    }
    elf.truncate(last as usize);
    // e_shoff, then e_shentsize, e_shnum and e_shstrndx (ELF-64 object file format, figure 2).
    elf[0x28..0x30].fill(0);
    elf[0x3a..0x40].fill(0);
    Ok(elf)
}

fn parse(elf: &[u8]) -> std::result::Result<ElfFile64<'_, object::LittleEndian>, String> {
    ElfFile64::parse(elf).map_err(|error| format!("not a little-endian 64-bit ELF file: {error}"))
}

fn about(path: &Path, reason: &str) -> Failure {
    Failure::new(format!("{}: {reason}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| Failure::io("read", path, &e))
}

fn write(path: &Path, bytes: &[u8]) -> Result {
    fs::write(path, bytes).map_err(|e| Failure::io("write", path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file with the given (physical address, data) segments and `tail` bytes of symbols behind.
    fn elf(segments: &[(u64, &[u8])], tail: usize) -> Vec<u8> {
        let mut out = b"\x7fELF\x02\x01\x01".to_vec();
        out.resize(16, 0);
        out.extend(2u16.to_le_bytes());
        out.extend(183u16.to_le_bytes());
        out.extend(1u32.to_le_bytes());
        out.extend([0u64, 64, 0].into_iter().flat_map(u64::to_le_bytes));
        out.extend(0u32.to_le_bytes());
        out.extend([64u16, 56, segments.len() as u16, 64, 0, 0].into_iter().flat_map(u16::to_le_bytes));
        let mut offset = (64 + 56 * segments.len()) as u64;
        for (address, data) in segments {
            let size = data.len() as u64;
            out.extend([1u32, 5].into_iter().flat_map(u32::to_le_bytes));
            out.extend(
                [offset, !0 << 32 | address, *address, size, size + 8, 1]
                    .into_iter()
                    .flat_map(u64::to_le_bytes),
            );
            offset += size;
        }
        segments.iter().for_each(|(_, data)| out.extend_from_slice(data));
        out.resize(out.len() + tail, 0xee);
        out
    }

    fn header() -> Vec<u8> {
        let mut header = vec![0x11; 64];
        header[56..60].copy_from_slice(b"ARM\x64");
        header
    }

    #[test]
    fn segments_land_at_their_physical_distance() {
        let image = flat_image(&elf(&[(0x8_0000, &header()), (0x8_0050, b"data")], 9)).unwrap();
        assert_eq!(image.len(), 0x54);
        assert_eq!(&image[0x40..0x50], &[0; 16]);
        assert_eq!(&image[0x50..], b"data");
    }

    #[test]
    fn what_is_no_boot_image_is_refused() {
        let no_header = flat_image(&elf(&[(0, &[0; 64])], 0)).unwrap_err();
        assert!(no_header.contains("Image header"), "{no_header}");
        let astray = flat_image(&elf(&[(0, &header()), (1 << 40, b"x")], 0)).unwrap_err();
        assert!(astray.contains("spread"), "{astray}");
        assert!(flat_image(b"#!/bin/sh").unwrap_err().contains("ELF"));
        assert!(flat_image(&elf(&[], 0)).unwrap_err().contains("no loadable segment"));
    }

    #[test]
    fn stripping_keeps_what_is_loaded_and_nothing_else() {
        let full = elf(&[(0, b"code"), (0x1000, b"data")], 5000);
        let stripped = strip(full.clone()).unwrap();
        assert_eq!(stripped.len(), full.len() - 5000);
        assert!(stripped.ends_with(b"codedata"));
        assert_eq!(segments(&stripped).unwrap().len(), 2);
    }

    #[test]
    fn stripping_a_truncated_file_is_an_error() {
        let mut full = elf(&[(0, &[7; 100])], 0);
        full.truncate(full.len() - 1);
        assert!(strip(full).unwrap_err().contains("outside the file"));
    }

    #[test]
    fn init_is_the_first_module_and_the_others_follow_by_name() {
        let folder = std::env::temp_dir().join(format!("barreldish-image-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let program = folder.join("program.elf");
        fs::write(&program, elf(&[(0, b"abcde")], 3)).unwrap();
        let programs = ["apple", "init", "zoo"].map(|name| (name.to_owned(), program.clone())).into();
        let archive = modules(&programs, &folder).unwrap();
        let entries = archive::Archive::new(&archive).entries();
        let names: Vec<_> = entries.map(|it| it.unwrap().name.to_owned()).collect();
        assert_eq!(names, ["init", "apple", "zoo"]);
        assert!(folder.join("zoo").is_file());
        fs::remove_dir_all(&folder).unwrap();
    }
}
