//! Receiving and transmitting over a register file.

use crate::registers::{Register, Registers, control, data, flag, interrupt, line};

/// How often `init` looks whether an earlier user's last characters have left, before it goes on anyway.
/// 16 characters at 9,600 baud take 17 ms; a device read takes at least some 20 ns.
const DRAIN_LOOKS: u32 = 1_000_000;

/// Receive interrupt at half full (the timeout interrupt brings the rest), transmit interrupt at an eighth
/// (code 0; section 3.3.9).
const FIFO_LEVELS: u32 = 0b010 << 3;

/// A PL011 that works by interrupt. See the crate's documentation for how the calls fit together.
#[derive(Debug)]
pub struct Uart<R> {
    registers: R,
    mask: u32,
    errors: ErrorCounts,
    /// A character that was waiting when the FIFO was switched on, which empties it.
    early: Option<u8>,
}

/// Why an interrupt came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// Characters wait: call [`Uart::receive`].
    pub received: bool,
    /// The transmit FIFO has room again: call [`Uart::transmit`].
    pub room: bool,
}

/// What went wrong on the line since `init`. Counters stop at their maximum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErrorCounts {
    /// At least one character was lost because the FIFO was full.
    pub overrun: u32,
    /// A character without a stop bit; it is dropped.
    pub framing: u32,
    /// A character of wrong parity; it is dropped.
    pub parity: u32,
    /// A break condition; the NUL that stands for it is dropped.
    pub breaks: u32,
}

/// A baud rate that the clock cannot make: the divisor must lie between 1 and 65535 (section 3.3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Clock of the UART in Hz.
    pub clock: u32,
    /// Baud rate that was asked for.
    pub baud: u32,
}

impl core::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "a UART clock of {} Hz cannot make {} baud", self.clock, self.baud)
    }
}

impl core::error::Error for ConfigError {}

impl<R: Registers> Uart<R> {
    /// Sets the device up: `baud` from a `clock` in Hz, 8 data bits, no parity, 1 stop bit, FIFOs on,
    /// receive and receive-timeout interrupts on.
    ///
    /// Input that arrived before is kept where the device allows it: the FIFO is switched on only if it was
    /// off, and the receive interrupts are not cleared (a level that is cleared while characters wait may
    /// not be raised again before the FIFO has been empty).
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the divisor for `baud` is out of range; the device has not been touched then.
    pub fn init(mut registers: R, clock: u32, baud: u32) -> Result<Self, ConfigError> {
        let (whole, fraction) = divisor(clock, baud).ok_or(ConfigError { clock, baud })?;
        for _ in 0..DRAIN_LOOKS {
            if registers.read(Register::Flag) & flag::BUSY == 0 {
                break;
            }
        }
        let mut uart = Self { registers, mask: 0, errors: ErrorCounts::default(), early: None };
        uart.set_mask(0);
        uart.registers.write(Register::Control, 0);
        uart.registers.write(Register::InterruptClear, interrupt::OTHERS);
        uart.registers.write(Register::IntegerBaud, whole);
        uart.registers.write(Register::FractionalBaud, fraction);
        uart.registers.write(Register::FifoLevel, FIFO_LEVELS);
        uart.switch_fifo_on();
        uart.registers.write(Register::Control, control::ENABLE | control::TRANSMIT | control::RECEIVE);
        uart.set_mask(interrupt::RECEIVE | interrupt::RECEIVE_TIMEOUT);
        Ok(uart)
    }

    /// Sets 8N1 and the FIFOs on, and saves a character that waited while they were off. It is read after the
    /// switch, from the first place of the FIFO, where it was all the time (DDI 0183G, 3.3.1: without FIFOs
    /// that place is the holding register). Reading it before would invite the emulator to deliver the next
    /// one right then, and the switch clears what has arrived by then.
    fn switch_fifo_on(&mut self) {
        let off = self.registers.read(Register::LineControl) & line::FIFO_ENABLE == 0;
        let waiting = self.registers.read(Register::Flag) & flag::RECEIVE_EMPTY == 0;
        self.registers.write(Register::LineControl, line::EIGHT_BITS | line::FIFO_ENABLE);
        if off && waiting {
            let word = self.registers.read(Register::Data);
            self.early = self.errors.note(word).then_some(word as u8);
        }
    }

    /// Says why the device interrupted, and clears what needs no other handling. The receive and transmit
    /// interrupts go away by themselves once [`Self::receive`] and [`Self::transmit`] have moved their data.
    pub fn on_interrupt(&mut self) -> Cause {
        let pending = self.registers.read(Register::MaskedInterrupts);
        if pending & interrupt::OTHERS != 0 {
            self.registers.write(Register::InterruptClear, pending & interrupt::OTHERS);
        }
        Cause {
            received: pending & (interrupt::RECEIVE | interrupt::RECEIVE_TIMEOUT) != 0,
            room: pending & interrupt::TRANSMIT != 0,
        }
    }

    /// Moves characters from the receive FIFO to `buffer` until either is exhausted; returns how many.
    ///
    /// A result shorter than `buffer` means that the FIFO was empty and that an interrupt announces the
    /// next character. If it filled the buffer, call again, or pause.
    pub fn receive(&mut self, buffer: &mut [u8]) -> usize {
        let mut count = 0;
        while count < buffer.len() {
            let Some(byte) = self.early.take().or_else(|| self.next_byte()) else { break };
            buffer[count] = byte;
            count += 1;
        }
        count
    }

    /// Stops the receive interrupts. Characters stay in the FIFO, and a sender that heeds its state waits.
    pub fn pause_receive(&mut self) {
        self.set_mask(self.mask & !(interrupt::RECEIVE | interrupt::RECEIVE_TIMEOUT));
    }

    /// Lets the receive interrupts through again. Call [`Self::receive`] right after it: what already waits
    /// in the FIFO need not raise a new interrupt.
    pub fn resume_receive(&mut self) {
        self.set_mask(self.mask | interrupt::RECEIVE | interrupt::RECEIVE_TIMEOUT);
    }

    /// Moves the beginning of `bytes` to the transmit FIFO; returns how many fitted. If some did not, the
    /// transmit interrupt is left on and comes when there is room; otherwise it is off.
    ///
    /// The FIFO is full whenever the interrupt is switched on, so it passes its level on the way down and
    /// the interrupt cannot fail to come (section 2.8: the passage raises it, not the level).
    pub fn transmit(&mut self, bytes: &[u8]) -> usize {
        let mut count = 0;
        while count < bytes.len() && self.registers.read(Register::Flag) & flag::TRANSMIT_FULL == 0 {
            self.registers.write(Register::Data, u32::from(bytes[count]));
            count += 1;
        }
        let transmit = if count < bytes.len() { interrupt::TRANSMIT } else { 0 };
        self.set_mask(self.mask & !interrupt::TRANSMIT | transmit);
        count
    }

    /// What went wrong on the line so far.
    pub fn errors(&self) -> ErrorCounts {
        self.errors
    }

    /// The next intact character of the FIFO, with the errors on the way counted.
    fn next_byte(&mut self) -> Option<u8> {
        while self.registers.read(Register::Flag) & flag::RECEIVE_EMPTY == 0 {
            let word = self.registers.read(Register::Data);
            if self.errors.note(word) {
                return Some(word as u8);
            }
        }
        None
    }

    /// Writes the interrupt mask if it changes: a device access is dear, most of all under emulation.
    fn set_mask(&mut self, mask: u32) {
        if mask != self.mask || mask == 0 {
            self.mask = mask;
            self.registers.write(Register::InterruptMask, mask);
        }
    }
}

impl ErrorCounts {
    /// Counts the errors that a data word carries; true if its character is good. The overrun mark speaks
    /// of characters lost before this one, which is itself intact.
    fn note(&mut self, word: u32) -> bool {
        let counters = [
            (data::OVERRUN, &mut self.overrun),
            (data::BREAK, &mut self.breaks),
            (data::PARITY_ERROR, &mut self.parity),
            (data::FRAMING_ERROR, &mut self.framing),
        ];
        for (bit, counter) in counters {
            if word & bit != 0 {
                *counter = counter.saturating_add(1);
            }
        }
        word & (data::BREAK | data::PARITY_ERROR | data::FRAMING_ERROR) == 0
    }
}

/// Whole part and sixty-fourths of `clock / (16 * baud)`, rounded to the nearest sixty-fourth.
fn divisor(clock: u32, baud: u32) -> Option<(u32, u32)> {
    let sixty_fourths = (u64::from(clock) * 8).checked_div(u64::from(baud))?.div_ceil(2);
    let (whole, fraction) = ((sixty_fourths / 64) as u32, (sixty_fourths % 64) as u32);
    let valid = (1..0xffff).contains(&whole) || (whole == 0xffff && fraction == 0);
    valid.then_some((whole, fraction))
}

#[cfg(test)]
mod tests;
