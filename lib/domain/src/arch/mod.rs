//! What of the processor concerns copied code.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::clean_to_fetch;

/// Elsewhere nothing of it will be executed.
#[cfg(not(target_arch = "aarch64"))]
pub(crate) fn clean_to_fetch(_: &[u8]) {}
