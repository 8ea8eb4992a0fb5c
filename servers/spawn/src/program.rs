//! A program that is to become a process: found among the boot modules, checked, and laid out.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use archive::{Archive, ArchiveError};
use domain::{Plan, PlanError, Sizes, StartBlock, StartError};
use interfaces::SpawnError;
use loader::{Image, Limits, LoadError};

/// Why a program cannot be started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// There is none of that name.
    NotFound,
    /// The archive of boot modules is damaged.
    Archive(ArchiveError),
    /// It is no program for this machine.
    Load(LoadError),
    /// It is too large.
    Plan(PlanError),
    /// Its arguments or environment cannot be passed.
    Start(StartError),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotFound => f.write_str("no program of that name"),
            Refusal::Archive(error) => write!(f, "the boot modules are damaged: {error}"),
            Refusal::Load(error) => write!(f, "not a program that can run here: {error}"),
            Refusal::Plan(error) => error.fmt(f),
            Refusal::Start(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Refusal {}

impl From<Refusal> for SpawnError {
    fn from(refusal: Refusal) -> SpawnError {
        match refusal {
            Refusal::NotFound => SpawnError::NotFound,
            Refusal::Archive(_) | Refusal::Load(_) | Refusal::Plan(_) => SpawnError::BadProgram,
            Refusal::Start(_) => SpawnError::ArgumentsTooLong,
        }
    }
}

/// All that is needed to build a process, besides memory.
pub struct Program<'a> {
    /// The executable.
    pub image: Image<'a>,
    /// Arguments and environment.
    pub start: StartBlock,
    /// What lies where.
    pub plan: Plan,
}

/// Whether the boot modules have a program of this name.
///
/// # Errors
/// [`Refusal::Archive`].
pub fn exists(modules: &[u8], name: &str) -> Result<bool, Refusal> {
    Archive::new(modules).find(name).map(|entry| entry.is_some()).map_err(Refusal::Archive)
}

/// The names of all boot modules, sorted.
///
/// # Errors
/// [`Refusal::Archive`].
pub fn names(modules: &[u8]) -> Result<Vec<String>, Refusal> {
    let entries = Archive::new(modules).entries();
    let mut names = entries.map(|entry| entry.map(|it| it.name.into())).collect::<Result<Vec<String>, _>>();
    if let Ok(names) = &mut names {
        names.sort_unstable();
    }
    names.map_err(Refusal::Archive)
}

/// Finds and checks a program. `arguments` do not include its name.
///
/// # Errors
/// [`Refusal`].
pub fn prepare<'a>(
    modules: &'a [u8],
    name: &str,
    arguments: &[String],
    environment: &[String],
) -> Result<Program<'a>, Refusal> {
    let file = Archive::new(modules).find(name).map_err(Refusal::Archive)?.ok_or(Refusal::NotFound)?;
    let image = Image::parse(file.data, Limits::default()).map_err(Refusal::Load)?;
    let arguments: Vec<&str> = [name].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    let start = StartBlock::new(&arguments, environment).map_err(Refusal::Start)?;
    let plan = Plan::new(&image, &start, Sizes::PROGRAM).map_err(Refusal::Plan)?;
    Ok(Program { image, start, plan })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules() -> Vec<u8> {
        archive::write([("hello", &b"no ELF"[..]), ("empty", b"")]).unwrap()
    }

    #[test]
    fn programs_are_found_by_name() {
        let modules = modules();
        assert_eq!(exists(&modules, "hello"), Ok(true));
        assert_eq!(exists(&modules, "hell"), Ok(false));
        assert_eq!(names(&modules), Ok(alloc::vec!["empty".into(), "hello".into()]));
        assert_eq!(prepare(&modules, "nobody", &[], &[]).err(), Some(Refusal::NotFound));
    }

    #[test]
    fn a_broken_program_is_refused_in_the_loaders_words() {
        let modules = modules();
        let refusal = prepare(&modules, "hello", &[], &[]).err().unwrap();
        let (words, loader) = (alloc::format!("{refusal}"), alloc::format!("{}", LoadError::NotElf));
        assert!(matches!(refusal, Refusal::Load(_)) && words.starts_with("not a program that can run here"));
        let short = Image::parse(b"no ELF", Limits::default()).unwrap_err();
        assert!(words.contains(&alloc::format!("{short}")) || words.contains(&loader), "{words}");
        assert_eq!(SpawnError::from(refusal), SpawnError::BadProgram);
    }

    #[test]
    fn damaged_modules_are_told_from_missing_programs() {
        let mut modules = modules();
        modules[0] = b'x';
        assert!(matches!(exists(&modules, "hello"), Err(Refusal::Archive(_))));
        assert!(matches!(names(&modules), Err(Refusal::Archive(_))));
        assert!(matches!(prepare(&modules, "hello", &[], &[]), Err(Refusal::Archive(_))));
    }
}
