//! Running the tools that the host commands stand on, with errors that name the command.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Failure, Result};

/// The command as a user could type it: arguments with spaces quoted; without the program's folder, without the
/// environment.
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(program.as_os_str());
    let quoted = |word: &std::ffi::OsStr| {
        let word = word.to_string_lossy().into_owned();
        let plain = !word.is_empty() && !word.contains([' ', '"', '\'', '$', ';', '&', '|', '\n']);
        if plain { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
    };
    std::iter::once(program).chain(command.get_args()).map(quoted).collect::<Vec<_>>().join(" ")
}

/// Runs the command with the user's terminal; a failing status is a [`Failure`] that names it.
pub fn run(command: &mut Command) -> Result {
    let status = command.status().map_err(|error| not_started(command, &error))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new(format!("`{}` failed ({status})", shown(command))))
    }
}

/// Runs the command silently and returns its standard output, trimmed.
pub fn output(command: &mut Command) -> Result<String> {
    let out = command.stdin(Stdio::null()).output().map_err(|error| not_started(command, &error))?;
    if !out.status.success() {
        let stderr = String::from_utf8_lossy(&out.stderr);
        return Err(Failure::new(format!("`{}` failed: {}", shown(command), stderr.trim())));
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

/// The error for a program that could not even be started.
pub fn not_started(command: &Command, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot run `{}`: {error}", command.get_program().to_string_lossy()))
}

/// Where `program` stands: itself when it has a slash, else its first place on `PATH`.
pub fn find(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| path.is_file());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let mut command = Command::new("/opt/bin/qemu");
        command.args(["-append", "a b", "-m", "1024"]);
        assert_eq!(shown(&command), "qemu -append 'a b' -m 1024");
    }

    #[test]
    fn a_failing_command_is_named() {
        let failure = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        assert!(failure.to_string().contains("sh -c 'exit 3'"), "{failure}");
    }

    #[test]
    fn a_missing_program_is_named_and_not_found() {
        let failure = output(&mut Command::new("no-such-program-here")).unwrap_err();
        assert!(failure.to_string().contains("no-such-program-here"), "{failure}");
        assert_eq!(find("no-such-program-here"), None);
        assert!(find("sh").is_some());
    }
}
