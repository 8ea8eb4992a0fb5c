//! The PL011 as an early console: polled output only, for boot messages and panics (PL011 TRM, DDI 0183).

use crate::mmio::Registers;

/// Data register.
const DR: usize = 0x00;
/// Flag register and its "transmit FIFO full" and "busy" bits.
const FR: usize = 0x18;
const FR_BUSY: u32 = 1 << 3;
const FR_TXFF: u32 = 1 << 5;
/// Control register: UART, transmitter and receiver on.
const CR: usize = 0x30;
const CR_ON: u32 = 1 | 1 << 8 | 1 << 9;

/// A UART that is written by polling. Line settings are the firmware's.
#[derive(Clone, Copy, Debug)]
pub struct Console<R> {
    registers: R,
}

impl<R: Registers> Console<R> {
    /// A console over a PL011's registers.
    pub const fn new(registers: R) -> Self {
        Self { registers }
    }

    /// Switches transmitter and receiver on, whoever used the UART before. Loses nothing that is in its FIFOs.
    pub fn enable(&self) {
        self.registers.write(CR, CR_ON);
    }

    /// Writes bytes as they are; waits while the FIFO is full.
    pub fn write_bytes(&self, bytes: &[u8]) {
        for &byte in bytes {
            while self.registers.read(FR) & FR_TXFF != 0 {}
            self.registers.write(DR, u32::from(byte));
        }
    }

    /// Waits until everything has left the UART (before power-off).
    pub fn flush(&self) {
        while self.registers.read(FR) & FR_BUSY != 0 {}
    }
}

/// Lines end with CR LF.
impl<R: Registers> core::fmt::Write for Console<R> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for piece in text.split_inclusive('\n') {
            match piece.strip_suffix('\n') {
                Some(line) => {
                    self.write_bytes(line.as_bytes());
                    self.write_bytes(b"\r\n");
                }
                None => self.write_bytes(piece.as_bytes()),
            }
        }
        Ok(())
    }
}
