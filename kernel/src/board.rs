//! The one place where the kernel's board is picked.

pub use qemu_virt::facts::Affinity;
pub use qemu_virt::{DOORBELL_INTERRUPT, NAME, TIMER_INTERRUPT, facts};

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
pub use qemu_virt::{Board, CpuInterface, Power, StartError, affinity, console::Console, mmio::Mmio};
