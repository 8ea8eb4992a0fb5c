//! The machine: system-call instructions on bare metal, a model of the kernel elsewhere.

#[cfg(target_os = "none")]
mod aarch64;
#[cfg(target_os = "none")]
pub use aarch64::native;

#[cfg(not(target_os = "none"))]
pub use crate::fake::native;
