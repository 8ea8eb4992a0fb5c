//! Access to 32-bit device registers, behind a trait so that fakes stand in for devices in tests.

/// A block of 32-bit device registers.
pub trait Registers {
    /// Reads the register at `offset` bytes.
    fn read(&self, offset: usize) -> u32;
    /// Writes the register at `offset` bytes.
    fn write(&self, offset: usize, value: u32);
}

/// Registers in memory that is mapped as device memory.
#[derive(Clone, Copy, Debug)]
pub struct Mmio {
    base: usize,
}

impl Mmio {
    /// Registers that start at virtual address `base`.
    ///
    /// # Safety
    /// The device's registers are mapped there as device memory for as long as this value or a copy is used, and all
    /// offsets used with it lie inside the mapping. Nobody else drives the same registers at the same time.
    pub const unsafe fn new(base: usize) -> Self {
        Self { base }
    }

    /// The same device, `offset` bytes further on.
    ///
    /// # Safety
    /// As for [`Mmio::new`], for what is reached through the result.
    pub const unsafe fn at(self, offset: usize) -> Self {
        Self { base: self.base + offset }
    }

    /// Virtual address of the first register.
    pub const fn address(self) -> usize {
        self.base
    }
}

/// One plain load or store an access: a volatile access of Rust may become a load or store with write-back, which
/// hypervisors cannot emulate (Arm ARM, ESR_EL2.ISS for data aborts: ISV is 0 for those).
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
impl Registers for Mmio {
    #[inline(always)]
    fn read(&self, offset: usize) -> u32 {
        let value: u32;
        // SAFETY: promised by the caller of `new`.
        unsafe {
            core::arch::asm!("ldr {0:w}, [{1}]", out(reg) value, in(reg) self.base + offset, options(nostack));
        }
        value
    }

    #[inline(always)]
    fn write(&self, offset: usize, value: u32) {
        // SAFETY: promised by the caller of `new`.
        unsafe {
            core::arch::asm!("str {0:w}, [{1}]", in(reg) value, in(reg) self.base + offset, options(nostack));
        }
    }
}
