//! The driver against a register file that behaves like the device, strict about what DDI 0183 leaves to
//! it: the receive interrupt is raised by a character that arrives in an empty FIFO and dropped by the read
//! that empties it; the transmit interrupt is raised only by the FIFO draining past its level.
extern crate std;

use super::*;
use core::ptr::NonNull;
use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

const DEPTH: usize = 16;

struct Fake {
    receive: VecDeque<u32>,
    /// What the sender holds: a read of the FIFO lets the next one in at once.
    held: VecDeque<u32>,
    /// What the first place of the FIFO kept when the FIFO was switched on and so emptied.
    kept: Option<u32>,
    transmit: VecDeque<u8>,
    sent: Vec<u8>,
    raised: u32,
    mask: u32,
    line: u32,
    control: u32,
    divisor: (u32, u32),
}

impl Fake {
    /// State after reset, with the FIFOs off.
    fn new() -> Self {
        let (receive, transmit, sent) = (VecDeque::new(), VecDeque::new(), Vec::new());
        let (held, kept) = (VecDeque::new(), None);
        let (raised, mask, line, control, divisor) = (0, 0, 0, 0x300, (0, 0));
        Self { receive, held, kept, transmit, sent, raised, mask, line, control, divisor }
    }

    fn depth(&self) -> usize {
        if self.line & line::FIFO_ENABLE == 0 { 1 } else { DEPTH }
    }

    /// A character arrives; false if the sender has to hold it.
    fn arrive(&mut self, word: u32) -> bool {
        if self.receive.len() == self.depth() {
            return false;
        }
        self.receive.push_back(word);
        if self.receive.len() == 1 {
            self.raised |= interrupt::RECEIVE;
        }
        true
    }

    /// The line takes everything from the transmit FIFO.
    fn drain(&mut self) {
        if self.transmit.len() > DEPTH / 8 {
            self.raised |= interrupt::TRANSMIT;
        }
        self.sent.extend(self.transmit.drain(..));
    }

    fn interrupts(&self) -> bool {
        self.raised & self.mask != 0
    }
}

impl Registers for Fake {
    fn read(&mut self, register: Register) -> u32 {
        match register {
            Register::Data => {
                let kept = self.kept.take();
                let word = self.receive.pop_front().or(kept).expect("read of an empty FIFO");
                if self.receive.is_empty() {
                    self.raised &= !(interrupt::RECEIVE | interrupt::RECEIVE_TIMEOUT);
                }
                if let Some(next) = self.held.pop_front() {
                    assert!(self.arrive(next), "a read makes room");
                }
                word
            }
            Register::Flag => {
                let empty = if self.receive.is_empty() { flag::RECEIVE_EMPTY } else { 0 };
                let full = if self.transmit.len() == self.depth() { flag::TRANSMIT_FULL } else { 0 };
                empty | full
            }
            Register::LineControl => self.line,
            Register::MaskedInterrupts => self.raised & self.mask,
            other => panic!("unexpected read of {other:?}"),
        }
    }

    fn write(&mut self, register: Register, value: u32) {
        match register {
            Register::Data => {
                assert!(self.transmit.len() < self.depth(), "write to a full FIFO");
                self.transmit.push_back(value as u8);
                if self.transmit.len() > DEPTH / 8 {
                    self.raised &= !interrupt::TRANSMIT;
                }
            }
            Register::IntegerBaud => self.divisor.0 = value,
            Register::FractionalBaud => self.divisor.1 = value,
            Register::LineControl => {
                if (self.line ^ value) & line::FIFO_ENABLE != 0 {
                    self.kept = self.receive.front().copied();
                    self.receive.clear();
                }
                self.line = value;
            }
            Register::Control => self.control = value,
            Register::FifoLevel => {}
            Register::InterruptMask => self.mask = value,
            Register::InterruptClear => self.raised &= !value,
            other => panic!("unexpected write of {other:?}"),
        }
    }
}

fn uart() -> Uart<Fake> {
    Uart::init(Fake::new(), 24_000_000, 115_200).unwrap()
}

#[test]
fn init_sets_the_line_up_as_the_manual_computes_it() {
    let uart = uart();
    // 24 MHz / (16 * 115200) = 13.0208, and 0.0208 * 64 = 1.33.
    assert_eq!(uart.registers.divisor, (13, 1));
    assert_eq!(uart.registers.line, 0x70);
    assert_eq!(uart.registers.control, 0x301);
    assert_eq!(uart.registers.mask, 0x50);
}

#[test]
fn a_baud_rate_that_the_clock_cannot_make_is_refused() {
    for (clock, baud) in [(24_000_000, 0), (1_000_000, 115_200), (u32::MAX, 100), (0, 9600)] {
        assert_eq!(Uart::init(Fake::new(), clock, baud).err(), Some(ConfigError { clock, baud }));
    }
}

#[test]
fn characters_typed_before_init_are_kept() {
    let mut fake = Fake::new();
    assert!(fake.arrive(u32::from(b'x')));
    fake.held.extend(b"yz".map(u32::from));
    let mut uart = Uart::init(fake, 24_000_000, 115_200).unwrap();
    let mut buffer = [0; 4];
    assert_eq!(uart.receive(&mut buffer), 3);
    assert_eq!(&buffer[..3], b"xyz");
}

#[test]
fn init_with_a_filled_fifo_still_gets_its_interrupt() {
    let mut fake = Fake::new();
    fake.line = 0x70;
    fake.arrive(u32::from(b'a'));
    fake.arrive(u32::from(b'b'));
    let mut uart = Uart::init(fake, 24_000_000, 115_200).unwrap();
    assert!(uart.registers.interrupts());
    assert_eq!(uart.on_interrupt(), Cause { received: true, room: false });
    assert_eq!(uart.receive(&mut [0; 16]), 2);
    assert!(!uart.registers.interrupts());
}

#[test]
fn no_character_is_lost_when_a_fast_sender_meets_a_slow_buffer() {
    let mut uart = uart();
    let input: Vec<u8> = (0..65_536u32).map(|i| (i % 251) as u8).collect();
    let mut next = 0;
    let mut seen = Vec::new();
    let mut buffer = [0; 7];
    let mut paused = false;
    while seen.len() < input.len() {
        while next < input.len() && uart.registers.arrive(u32::from(input[next])) {
            next += 1;
        }
        if paused {
            assert!(!uart.registers.interrupts());
            uart.resume_receive();
        } else {
            assert!(uart.registers.interrupts(), "input waits and nothing says so");
            assert!(uart.on_interrupt().received);
        }
        let count = uart.receive(&mut buffer);
        seen.extend_from_slice(&buffer[..count]);
        paused = count == buffer.len();
        if paused {
            uart.pause_receive();
        }
    }
    assert_eq!(seen, input);
}

#[test]
fn transmit_is_driven_by_interrupts_and_goes_quiet_at_the_end() {
    let mut uart = uart();
    let text: Vec<u8> = (0..1000u32).map(|i| i as u8).collect();
    let mut at = uart.transmit(&text);
    assert_eq!(at, DEPTH);
    while at < text.len() {
        uart.registers.drain();
        assert!(uart.registers.interrupts(), "room that nobody hears of");
        assert!(uart.on_interrupt().room);
        at += uart.transmit(&text[at..]);
    }
    uart.registers.drain();
    assert!(!uart.registers.interrupts(), "an interrupt that nobody needs");
    assert_eq!(uart.registers.sent, text);
}

#[test]
fn errors_are_counted_and_only_bad_characters_dropped() {
    let mut uart = uart();
    let words = [0x800 | 0x61, 0x400, 0x200 | 0x62, 0x100 | 0x63, 0x64];
    for word in words {
        uart.registers.arrive(word);
    }
    let mut buffer = [0; 8];
    assert_eq!(uart.receive(&mut buffer), 2);
    assert_eq!(&buffer[..2], b"ad");
    assert_eq!(uart.errors(), ErrorCounts { overrun: 1, framing: 1, parity: 1, breaks: 1 });
}

#[test]
fn an_interrupt_of_no_use_is_cleared() {
    let mut uart = uart();
    uart.registers.mask |= 0x400;
    uart.registers.raised |= 0x400;
    assert_eq!(uart.on_interrupt(), Cause::default());
    assert!(!uart.registers.interrupts());
}

#[test]
fn the_device_in_memory_sits_at_the_offsets_of_the_manual() {
    let mut page = vec![0u32; 1024];
    let base = NonNull::new(page.as_mut_ptr()).unwrap();
    // SAFETY: the page outlives the device, is aligned and is touched through it alone meanwhile.
    let mut mmio = unsafe { crate::Mmio::new(base) };
    mmio.write(Register::InterruptMask, 0x50);
    mmio.write(Register::Data, 0x61);
    assert_eq!(mmio.read(Register::InterruptMask), 0x50);
    assert_eq!((page[0x38 / 4], page[0]), (0x50, 0x61));
}
