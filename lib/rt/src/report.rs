//! Last words: panics and faults, with the addresses of a backtrace that the host can turn into names.
//!
//! ```text
//!   hello panicked at src/main.rs:3:5: no more
//!     at 0x201234 in hello
//!   [fault hello] write to an unmapped address at 0x10, pc 0x201230
//! ```
//!
//! A report must not need what may be broken: it is made without the heap, goes to the console only if that can be reached
//! safely, and what goes wrong in it ends the domain at once.

use core::cell::Cell;
use core::fmt::{self, Write};

use crate::local::local;
use crate::{arch, console, start};

/// Exit code of a domain that panicked.
pub const PANIC_CODE: u64 = 101;
/// Exit code of a domain that faulted.
pub const FAULT_CODE: u64 = 139;
/// Most addresses of a backtrace.
const DEPTH: usize = 24;

local! {
    static REPORTING: Cell<bool> = Cell::new(false);
}

/// Text in a buffer of its own; what does not fit is cut off.
struct Text {
    bytes: [u8; 2048],
    length: usize,
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.len() - self.length;
        let count = text.len().min(room);
        self.bytes[self.length..self.length + count].copy_from_slice(&text.as_bytes()[..count]);
        self.length += count;
        Ok(())
    }
}

/// Says `what` and the backtrace from the frame record at `frame_pointer`, then ends the domain.
fn last_words(code: u64, what: fmt::Arguments<'_>, first: Option<u64>, frame_pointer: u64) -> ! {
    if REPORTING.with(|flag| flag.replace(true)) {
        sys::exit(code);
    }
    let mut text = Text { bytes: [0; 2048], length: 0 };
    let name = start::name();
    // `Text` takes everything.
    let _ = writeln!(text, "{what}");
    for address in first.into_iter().chain(addresses(frame_pointer)).take(DEPTH) {
        let _ = writeln!(text, "  at {address:#x} in {name}");
    }
    console::last_words(&text.bytes[..text.length]);
    sys::exit(code)
}

/// Return addresses, the innermost first, as far as frame records are sound: on a stack, each above the one before.
fn addresses(mut pointer: u64) -> impl Iterator<Item = u64> {
    core::iter::from_fn(move || {
        let (next, address) = arch::frame_record(pointer)?;
        pointer = if next > pointer { next } else { 0 };
        // A call is the instruction before the return address.
        (address != 0).then(|| address - 4)
    })
}

/// A panic.
pub(crate) fn panic(place: Option<&core::panic::Location<'_>>, message: impl fmt::Display) -> ! {
    let (file, line) = place.map_or(("?", 0), |place| (place.file(), place.line()));
    let name = start::name();
    let what = format_args!("{name} panicked at {file}:{line}: {message}");
    last_words(PANIC_CODE, what, None, arch::frame_pointer())
}

/// A fault while enabled: what the processor said, and where.
pub(crate) fn fault(esr: u64, address: u64, pc: u64, frame_pointer: u64, link: u64) -> ! {
    let kind = Fault(esr);
    let name = start::name();
    let what = if kind.has_address() {
        format_args!("[fault {name}] {kind} at {address:#x}, pc {pc:#x}")
    } else {
        format_args!("[fault {name}] {kind}, pc {pc:#x}")
    };
    // A jump to nowhere leaves the caller in the link register alone.
    let first = if pc == address { link.saturating_sub(4) } else { pc };
    last_words(FAULT_CODE, what, Some(first), frame_pointer)
}

/// An exception syndrome (Arm ARM, ESR_EL1), in words.
struct Fault(u64);

impl Fault {
    fn class(&self) -> u64 {
        self.0 >> 26 & 0x3f
    }
    fn has_address(&self) -> bool {
        matches!(self.class(), 0x20 | 0x22 | 0x24)
    }
    /// The low bits of the fault status code without the level.
    fn reason(&self) -> &'static str {
        match self.0 & 0x3c {
            0x04 => "an unmapped address",
            0x08 => "an address without access flag",
            0x0c => "a protected address",
            0x20 if self.0 & 0x3f == 0x21 => "an unaligned address",
            _ => "a bad address",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.class() {
            0x00 | 0x0e => f.write_str("illegal instruction"),
            0x07 => f.write_str("floating point is not enabled"),
            0x18 => f.write_str("forbidden system register"),
            0x20 => write!(f, "jump to {}", self.reason()),
            0x22 => f.write_str("jump to an unaligned address"),
            0x24 if self.0 & 1 << 6 != 0 => write!(f, "write to {}", self.reason()),
            0x24 => write!(f, "read from {}", self.reason()),
            0x26 => f.write_str("unaligned stack pointer"),
            0x3c => write!(f, "breakpoint {:#x}", self.0 & 0xffff),
            class => write!(f, "exception of class {class:#x}"),
        }
    }
}

#[cfg(target_os = "none")]
#[panic_handler]
fn on_panic(info: &core::panic::PanicInfo<'_>) -> ! {
    panic(info.location(), info.message())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn syndromes_are_told_in_words() {
        let table = [
            (0x9200_0046, "write to an unmapped address"),
            (0x9200_0007, "read from an unmapped address"),
            (0x9200_004f, "write to a protected address"),
            (0x8200_000f, "jump to a protected address"),
            (0x9200_0021, "read from an unaligned address"),
            (0x0200_0000, "illegal instruction"),
            (0xf200_0001, "breakpoint 0x1"),
        ];
        for (esr, words) in table {
            assert_eq!(Fault(esr).to_string(), words);
        }
    }

    #[test]
    fn text_beyond_the_buffer_is_cut_off() {
        let mut text = Text { bytes: [0; 2048], length: 0 };
        for _ in 0..500 {
            text.write_str("0123456789").unwrap();
        }
        assert_eq!(text.length, 2048);
    }
}
