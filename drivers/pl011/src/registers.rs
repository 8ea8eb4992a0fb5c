//! The register file: names, offsets, bits, and the two ways to reach it.

use core::ptr::NonNull;

/// A register, by its byte offset from the base of the device (DDI 0183G, table 3-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Register {
    /// UARTDR: the head of the receive FIFO on a read, the tail of the transmit FIFO on a write.
    Data = 0x00,
    /// UARTFR: what the FIFOs and the line are doing.
    Flag = 0x18,
    /// UARTIBRD: whole part of the baud rate divisor.
    IntegerBaud = 0x24,
    /// UARTFBRD: sixty-fourths of the baud rate divisor.
    FractionalBaud = 0x28,
    /// UARTLCR_H: word length, parity, FIFO enable. Writing it makes the divisor take effect.
    LineControl = 0x2c,
    /// UARTCR: enables of the device and of each direction.
    Control = 0x30,
    /// UARTIFLS: at which FIFO level the interrupts come.
    FifoLevel = 0x34,
    /// UARTIMSC: one bit an interrupt, set to let it through.
    InterruptMask = 0x38,
    /// UARTMIS: interrupts raised and let through.
    MaskedInterrupts = 0x40,
    /// UARTICR: write one to clear.
    InterruptClear = 0x44,
}

/// Bits of [`Register::Data`] on a read (section 3.3.1).
pub(crate) mod data {
    pub(crate) const FRAMING_ERROR: u32 = 1 << 8;
    pub(crate) const PARITY_ERROR: u32 = 1 << 9;
    pub(crate) const BREAK: u32 = 1 << 10;
    pub(crate) const OVERRUN: u32 = 1 << 11;
}

/// Bits of [`Register::Flag`] (section 3.3.3).
pub(crate) mod flag {
    pub(crate) const BUSY: u32 = 1 << 3;
    pub(crate) const RECEIVE_EMPTY: u32 = 1 << 4;
    pub(crate) const TRANSMIT_FULL: u32 = 1 << 5;
}

/// Bits of [`Register::LineControl`] (section 3.3.7).
pub(crate) mod line {
    pub(crate) const FIFO_ENABLE: u32 = 1 << 4;
    pub(crate) const EIGHT_BITS: u32 = 0b11 << 5;
}

/// Bits of [`Register::Control`] (section 3.3.8).
pub(crate) mod control {
    pub(crate) const ENABLE: u32 = 1 << 0;
    pub(crate) const TRANSMIT: u32 = 1 << 8;
    pub(crate) const RECEIVE: u32 = 1 << 9;
}

/// Bits of the interrupt registers (section 3.3.10).
pub(crate) mod interrupt {
    pub(crate) const RECEIVE: u32 = 1 << 4;
    pub(crate) const TRANSMIT: u32 = 1 << 5;
    pub(crate) const RECEIVE_TIMEOUT: u32 = 1 << 6;
    /// Modem lines and error marks: everything but the three above.
    pub(crate) const OTHERS: u32 = 0x7ff & !(RECEIVE | TRANSMIT | RECEIVE_TIMEOUT);
}

/// Access to one PL011. Reading may have side effects, hence `&mut self`.
pub trait Registers {
    /// Reads a register.
    fn read(&mut self, register: Register) -> u32;
    /// Writes a register.
    fn write(&mut self, register: Register, value: u32);
}

/// The real device, in memory.
#[derive(Debug)]
pub struct Mmio {
    base: NonNull<u32>,
}

// SAFETY: `base` is a device address that `new` was promised to be ours alone; it has no tie to a thread.
unsafe impl Send for Mmio {}

impl Mmio {
    /// Takes possession of the PL011 whose registers start at `base`.
    ///
    /// # Safety
    ///
    /// `base` must be 4-byte aligned and map the 4 KiB register page of a PL011, as device memory,
    /// readable and writable, for as long as the value lives, and nothing else may access that page
    /// meanwhile.
    pub const unsafe fn new(base: NonNull<u32>) -> Self {
        Self { base }
    }

    fn address(&self, register: Register) -> *mut u32 {
        self.base.as_ptr().wrapping_byte_add(register as usize)
    }
}

impl Registers for Mmio {
    fn read(&mut self, register: Register) -> u32 {
        // SAFETY: every offset is a multiple of 4 below 4096, so by the promise given to `new` the address
        // is aligned, mapped and ours. Every register in the enum may be read (write-only UARTICR reads as
        // an undefined value), and a volatile read is made once, as a device needs.
        unsafe { self.address(register).read_volatile() }
    }

    fn write(&mut self, register: Register, value: u32) {
        // SAFETY: as in `read`; the device does not touch memory, so no value written can break an
        // invariant of Rust's.
        unsafe { self.address(register).write_volatile(value) }
    }
}
