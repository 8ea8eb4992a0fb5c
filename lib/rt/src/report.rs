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
use core::ops::Range;

use abi::frame::Context;
use paging::Unbacked;

use crate::local::local;
use crate::thread::{self, ThreadId};
use crate::{arch, console, critical, start};

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

/// `what` and the backtrace from the frame record at `frame_pointer`.
fn compose(
    text: &mut Text,
    what: fmt::Arguments<'_>,
    first: Option<u64>,
    frame_pointer: u64,
    stack: Range<u64>,
) {
    let name = start::name();
    // `Text` takes everything.
    let _ = writeln!(text, "{what}");
    for address in first.into_iter().chain(addresses(frame_pointer, stack)).take(DEPTH) {
        let _ = writeln!(text, "  at {address:#x} in {name}");
    }
}

/// Says `what` and the backtrace from the frame record at `frame_pointer`, then ends the domain. `hurt`: what the domain
/// is made of may be half changed.
fn last_words(code: u64, what: fmt::Arguments<'_>, first: Option<u64>, frame_pointer: u64, hurt: bool) -> ! {
    if REPORTING.with(|flag| flag.replace(true)) {
        sys::exit(code);
    }
    let mut text = Text { bytes: [0; 2048], length: 0 };
    let stack = if hurt { 0..0 } else { thread::own_stack() };
    compose(&mut text, what, first, frame_pointer, stack);
    thread::stay_alone(true);
    console::last_words(&text.bytes[..text.length], hurt);
    sys::exit(code)
}

/// Return addresses, the innermost first, as far as frame records are sound: on a stack, each above the one before.
fn addresses(mut pointer: u64, stack: Range<u64>) -> impl Iterator<Item = u64> {
    core::iter::from_fn(move || {
        let (next, address) = arch::frame_record(pointer, &stack)?;
        pointer = if next > pointer { next } else { 0 };
        // A call is the instruction before the return address.
        (address != 0).then(|| address - 4)
    })
}

/// The running thread, where there are others.
struct Who;

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(start::name())?;
        if !thread::others_exist() {
            return Ok(());
        }
        match thread::current() {
            ThreadId::MAIN => f.write_str(", main thread"),
            id => thread::with_name(|name| match name {
                Some(name) => write!(f, ", thread {} ({name})", id.index()),
                None => write!(f, ", thread {}", id.index()),
            }),
        }
    }
}

/// A panic.
pub(crate) fn panic(place: Option<&core::panic::Location<'_>>, message: impl fmt::Display) -> ! {
    let (file, line) = place.map_or(("?", 0), |place| (place.file(), place.line()));
    let hurt = critical::inside();
    let what = format_args!("{} panicked at {file}:{line}: {message}", Name(hurt));
    last_words(PANIC_CODE, what, None, arch::frame_pointer(), hurt)
}

/// Who makes a report; only the program's name where the table of threads cannot be relied on.
struct Name(bool);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 { f.write_str(start::name()) } else { Who.fmt(f) }
    }
}

/// A fault that ends the domain: what the processor said, and where. `hurt`: it came out of a critical section.
pub(crate) fn fault(fault: &Fault, address: u64, why: Unbacked, context: &Context, hurt: bool) -> ! {
    let (pc, who) = (context.pc, Name(hurt));
    let reason = match why {
        Unbacked::OutOfMemory if hurt => ", no memory in stock",
        Unbacked::OutOfMemory => ", out of memory",
        Unbacked::Guard(_) => ", below the end of a stack",
        Unbacked::Nothing | Unbacked::Denied => "",
    };
    let what = if fault.has_address() {
        format_args!("[fault {who}] {fault} at {address:#x}, pc {pc:#x}{reason}")
    } else {
        format_args!("[fault {who}] {fault}, pc {pc:#x}")
    };
    last_words(FAULT_CODE, what, Some(innermost(context, address)), context.x[29], hurt)
}

/// A jump to nowhere leaves the caller in the link register alone.
fn innermost(context: &Context, address: u64) -> u64 {
    if context.pc == address { context.x[30].saturating_sub(4) } else { context.pc }
}

/// A thread that ran over its stack: it ends, and its domain goes on.
pub(crate) fn overflow(address: u64, context: &Context) {
    let mut text = Text { bytes: [0; 2048], length: 0 };
    let stack = thread::own_stack();
    let kib = (stack.end - stack.start) / 1024;
    let what = format_args!(
        "[fault {Who}] ran over its stack of {kib} KiB at {address:#x}, pc {:#x}: the thread has ended",
        context.pc
    );
    compose(&mut text, what, Some(innermost(context, address)), context.x[29], stack);
    console::report(&text.bytes[..text.length]);
}

/// A fault while one was being handled.
pub(crate) fn fault_in_fault(esr: u64, address: u64, context: &Context) -> ! {
    if REPORTING.with(|flag| flag.replace(true)) {
        sys::exit(FAULT_CODE);
    }
    let mut text = Text { bytes: [0; 2048], length: 0 };
    let name = start::name();
    let fault = Fault::new(esr);
    let what =
        format_args!("[fault {name}] {fault} at {address:#x}, pc {:#x}, while handling a fault", context.pc);
    compose(&mut text, what, Some(context.pc), context.x[29], 0..0);
    sys::debug_print(&text.bytes[..text.length]);
    sys::exit(FAULT_CODE)
}

/// An exception syndrome (Arm ARM, ESR_EL1), in words.
pub(crate) struct Fault(u64);

impl Fault {
    pub(crate) fn new(esr: u64) -> Fault {
        Fault(esr)
    }
    /// Whether no entry of a page table answered, at any level.
    pub(crate) fn is_translation(&self) -> bool {
        matches!(self.class(), 0x20 | 0x24) && self.0 & 0x3c == 0x04
    }
    /// Whether it was an instruction that was to be read.
    pub(crate) fn is_fetch(&self) -> bool {
        self.class() == 0x20
    }
    /// Whether it was a write (WnR).
    pub(crate) fn is_write(&self) -> bool {
        self.class() == 0x24 && self.0 & 1 << 6 != 0
    }
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
            0x18 => f.write_str("forbidden system register"),
            0x19 => f.write_str("SVE is not enabled"),
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
