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

    /// Writes text: lines end with CR LF. It need not be UTF-8.
    pub fn write_text(&self, text: &[u8]) {
        for piece in text.split_inclusive(|&byte| byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(line) => {
                    self.write_bytes(line);
                    self.write_bytes(b"\r\n");
                }
                None => self.write_bytes(piece),
            }
        }
    }

    /// Waits until everything has left the UART (before power-off).
    pub fn flush(&self) {
        while self.registers.read(FR) & FR_BUSY != 0 {}
    }
}

impl<R: Registers> core::fmt::Write for Console<R> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.write_text(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use core::fmt::Write;
    use std::cell::{Cell, RefCell};
    use std::vec::Vec;

    /// A PL011 with room for one byte, which leaves at the second look after it was written.
    #[derive(Default)]
    struct Fake {
        looks: Cell<u32>,
        sent: RefCell<Vec<u8>>,
        lost: Cell<u32>,
    }

    impl Registers for &Fake {
        fn read(&self, offset: usize) -> u32 {
            assert_eq!(offset, FR);
            self.looks.set(self.looks.get() + 1);
            if self.looks.get() < 2 { FR_TXFF | FR_BUSY } else { 0 }
        }

        fn write(&self, offset: usize, value: u32) {
            assert_eq!(offset, DR);
            if self.looks.get() < 2 {
                self.lost.set(self.lost.get() + 1);
            }
            self.looks.set(0);
            self.sent.borrow_mut().push(value as u8);
        }
    }

    #[test]
    fn a_full_fifo_loses_nothing_and_lines_end_with_cr_lf() {
        let fake = Fake::default();
        let mut console = Console::new(&fake);
        write!(console, "one\ntwo {}\n\n", 3).unwrap();
        console.flush();
        assert_eq!(fake.looks.get(), 2, "flushed");
        assert_eq!(fake.sent.borrow().as_slice(), b"one\r\ntwo 3\r\n\r\n");
        assert_eq!(fake.lost.get(), 0);
    }
}
