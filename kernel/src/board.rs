//! The one place where the kernel's board is picked.

pub use qemu_virt::{NAME, TIMER_INTERRUPT, facts};

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
pub use qemu_virt::{Board, CpuInterface, Power, console::Console, mmio::Mmio};
