//! An instruction that does not exist.

#[cfg(target_os = "none")]
mod aarch64;
#[cfg(target_os = "none")]
pub(crate) use aarch64::undefined_instruction;

/// The host has other ways to end a program.
#[cfg(not(target_os = "none"))]
pub(crate) fn undefined_instruction() {
    std::process::abort();
}
