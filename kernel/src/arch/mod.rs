//! What differs between machines: real hardware, or one in memory for tests on the host.

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
mod aarch64;
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
pub use aarch64::*;

#[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
mod hosted;
#[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
pub use hosted::*;
