//! Driver for the Arm PrimeCell UART (PL011), by interrupt.
//!
//! ```text
//!   interrupt ──> Uart::on_interrupt ──> receive(buffer)    FIFO -> caller, until either is exhausted
//!                                   └──> transmit(bytes)    caller -> FIFO, until either is exhausted
//! ```
//!
//! The driver owns no buffer and never waits: `receive` and `transmit` move what can be moved now, and
//! the interrupt masks are left so that an interrupt follows as soon as more can be moved. Back-pressure
//! towards the sender is [`Uart::pause_receive`]: the FIFO then fills and the device (or the emulator)
//! holds the line.
//!
//! It works over [`Registers`], so the same code runs against [`Mmio`] and against a register file in a
//! test. The crate `arm-pl011-uart` was considered; it drops the character that carries an overrun mark,
//! resets the FIFO on `enable` and cannot be given a fake FIFO, so it stayed out.
//!
//! Register numbers, bits and behaviour: Arm DDI 0183G, "PrimeCell UART (PL011) Technical Reference
//! Manual", chapter 3, and section 2.8 for the interrupts.
#![no_std]

mod registers;
mod uart;

pub use registers::{Mmio, Register, Registers};
pub use uart::{Cause, ConfigError, ErrorCounts, Uart};
