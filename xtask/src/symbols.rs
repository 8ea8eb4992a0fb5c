//! From addresses that the guest prints to functions and lines, with the unstripped programs.

use std::path::{Path, PathBuf};

use addr2line::gimli;
use object::{Object, ObjectSection, ObjectSymbol};

use crate::workspace::KERNEL;

type Context<'a> = addr2line::Context<gimli::EndianSlice<'a, gimli::LittleEndian>>;

/// Something that can say what stands at an address.
pub trait Symbolise: Send {
    /// `function (file:line)` at `address` of a user program, or of the kernel when `program` is `None`.
    fn explain(&mut self, address: u64, program: Option<&str>) -> Option<String>;
}

/// Explains nothing.
pub struct NoSymbols;

impl Symbolise for NoSymbols {
    fn explain(&mut self, _: u64, _: Option<&str>) -> Option<String> {
        None
    }
}

/// Reads the programs in a folder when an address of theirs is met. Nothing is read while all goes well.
pub struct SymbolFolder {
    folder: PathBuf,
}

impl SymbolFolder {
    /// Symbols of the programs `folder/NAME`.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }
}

impl Symbolise for SymbolFolder {
    fn explain(&mut self, address: u64, program: Option<&str>) -> Option<String> {
        let name = program.unwrap_or(KERNEL);
        // The name comes from the guest: it must not lead out of the folder.
        let plain = !name.is_empty() && !name.contains(['/', '\\']) && !name.starts_with('.');
        let program = plain.then(|| std::fs::read(self.folder.join(name)).ok()).flatten()?;
        let file = object::File::parse(program.as_slice()).ok()?;
        line_tables(&file).and_then(|tables| describe(&tables, address)).or_else(|| nearest(&file, address))
    }
}

fn line_tables<'a>(file: &object::File<'a>) -> Option<Context<'a>> {
    let section = |id: gimli::SectionId| {
        let data = file.section_by_name(id.name()).and_then(|it| it.data().ok()).unwrap_or(&[]);
        Ok::<_, gimli::Error>(gimli::EndianSlice::new(data, gimli::LittleEndian))
    };
    Context::from_dwarf(gimli::Dwarf::load(section).ok()?).ok()
}

/// All frames at an address, the innermost first: `a (a.rs:1), inlined into b (b.rs:2)`.
fn describe(context: &Context<'_>, address: u64) -> Option<String> {
    let mut frames = context.find_frames(address).skip_all_loads().ok()?;
    let mut shown = vec![];
    while let Ok(Some(frame)) = frames.next() {
        let function = frame.function.as_ref().and_then(|it| it.demangle().ok().map(|it| it.into_owned()));
        let place = frame.location.and_then(|it| Some(format!(" ({}:{})", short(it.file?), it.line?)));
        shown.push(format!("{}{}", function.as_deref().map_or("?", plain_name), place.unwrap_or_default()));
    }
    (!shown.is_empty()).then(|| shown.join(", inlined into "))
}

/// The nearest symbol below: all that there is for a program's assembly.
fn nearest(file: &object::File<'_>, address: u64) -> Option<String> {
    let section = file.sections().find(|it| (it.address()..it.address() + it.size()).contains(&address))?;
    let here =
        |it: &object::Symbol<'_, '_>| it.section_index() == Some(section.index()) && it.address() <= address;
    let below = file.symbols().filter(here).filter(|it| it.name().is_ok_and(is_a_name));
    let symbol = below.max_by_key(|it| it.address())?;
    Some(format!("{}+{:#x}", symbol.name().ok()?, address - symbol.address()))
}

/// Mapping symbols (`$x`, `$d`: AAELF64 5.5.5) and local labels name nothing.
fn is_a_name(symbol: &str) -> bool {
    !symbol.is_empty() && !symbol.starts_with('$') && !symbol.starts_with(".L")
}

/// A function's name without the hash of the older mangling.
fn plain_name(name: &str) -> &str {
    match name.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|it| it.is_ascii_hexdigit()) => name,
        _ => name,
    }
}

/// A path from its crate's folder on: enough to find the file in this tree or among its dependencies.
fn short(path: &str) -> &str {
    let source = path.rfind("/src/").unwrap_or(0);
    let parent = path[..source].rfind('/').map_or(0, |slash| slash + 1);
    &path[parent..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_begin_with_their_crate() {
        assert_eq!(short("/home/x/bd/kernel/src/arch/boot.rs"), "kernel/src/arch/boot.rs");
        assert_eq!(short("/src/bd/core/caps/src/lib.rs"), "caps/src/lib.rs");
        assert_eq!(short("boot.rs"), "boot.rs");
    }

    #[test]
    fn hashes_are_left_out() {
        assert_eq!(plain_name("kernel::boot::h0123456789abcdef"), "kernel::boot");
        assert_eq!(plain_name("kernel::heap"), "kernel::heap");
    }

    #[test]
    fn a_name_from_the_guest_does_not_leave_the_folder() {
        let mut symbols = SymbolFolder::new(Path::new("/proc/self"));
        assert_eq!(symbols.explain(0x1000, Some("../self/exe")), None);
        assert_eq!(symbols.explain(0x1000, Some("no-such-program")), None);
    }

    /// This very test program is an ELF file with line tables.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_function_is_found_by_its_address() {
        let exe = std::env::current_exe().unwrap();
        let bytes = std::fs::read(&exe).unwrap();
        let file = object::File::parse(bytes.as_slice()).unwrap();
        let wanted = "a_function_is_found_by_its_address";
        let address = file
            .symbols()
            .find(|it| it.name().is_ok_and(|name| name.contains(wanted)))
            .map(|it| it.address())
            .unwrap();
        let name = exe.file_name().unwrap().to_str().unwrap();
        let found = SymbolFolder::new(exe.parent().unwrap()).explain(address, Some(name)).unwrap();
        assert!(found.contains(wanted) && found.contains("src/symbols.rs:"), "{found}");
    }
}
