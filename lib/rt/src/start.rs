//! How a domain starts, and what its builder must have set up.
//!
//! # What the builder does
//!
//! 1. Maps the image, with the rights of its segments, and gives the dispatcher as *upcall vector* the ELF entry point
//!    (`_start`: aligned to 128 bytes, entries every [`abi::frame::UPCALL_STRIDE`]).
//! 2. Maps the main thread's stack, readable and writable: `StartInfo::stack_size` bytes below
//!    [`STACK_TOP`], with an unmapped page below; the dispatcher frame (zeroed) at [`FRAME_BASE`](abi::layout::FRAME_BASE) and
//!    the start information, which may be read-only, at an address that it writes into `DispatcherFrame::start_info`.
//! 3. Fills the task CNode: `SELF_DISPATCHER`, `ROOT_CNODE` (all rights: the runtime puts CNodes into it),
//!    `SELF_TASK_CNODE`, `ROOT_VNODE`, `SELF_FRAME`; `EARLY_RAM`: a Ram capability of at least [`EARLY_RAM_MIN`]
//!    bytes (CNodes and page tables are carved from it; 128 KiB are comfortable).
//! 4. For the name service: retypes the child's dispatcher to an EndPoint with event index 0 into `NAMES_OWN`, puts the name
//!    service's endpoint into `NAMES_PEER` (WRITE), and connects the two (`EndpointConnect`) before or after it starts.
//!    The child configures its ring: [`NAMES_RING_PACKETS`] packets at [`NAMES_RING`]. Hence `first_event` is at least 1
//!    and `first_ring` at least [`FIRST_RING`] (the runtime takes the larger of that and what it is told).
//! 5. Fills [`StartInfo`]; `extra[0]` is the address, in the child's CSpace, of the VNodeL1 that is mapped at entry 0
//!    of the root table (the windows of heap and mappings lie there). 0: the child can map nothing and its heap is
//!    what its image holds.
//!
//! L1 indices from [`abi::layout::FIRST_FREE_CNODE`] on are the child's; occupied ones are left alone.

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::OnceCell;

#[cfg(doc)]
use abi::layout::STACK_TOP;
use abi::layout::{STACK_SIZE, StartInfo};

use crate::frame::{RINGS_OFFSET, ring_bytes};
use crate::local::local;

/// Packets of the ring to the name service.
pub const NAMES_RING_PACKETS: u32 = 8;
/// Its offset in the dispatcher frame.
pub const NAMES_RING: u64 = RINGS_OFFSET;
/// The first offset in the dispatcher frame that `StartInfo::first_ring` can say.
pub const FIRST_RING: u64 = NAMES_RING + ring_bytes(NAMES_RING_PACKETS);
/// Least bytes of early RAM with which the memory service can be reached.
pub const EARLY_RAM_MIN: u64 = 64 * 1024;
/// Index in `StartInfo::extra` of the level 1 table over the first 512 GiB.
pub const EXTRA_LEVEL1: usize = 0;

/// What a domain was started with.
struct Start {
    info: StartInfo,
    /// The start information as bytes; strings lie in it.
    bytes: &'static [u8],
}

local! {
    static START: OnceCell<Start> = OnceCell::new();
}

fn with<R>(f: impl FnOnce(&Start) -> R) -> Option<R> {
    START.with(|start| start.get().map(f))
}

/// The start information.
pub fn info() -> Option<StartInfo> {
    with(|start| start.info)
}

/// Bytes of the main thread's stack.
pub(crate) fn stack_size() -> u64 {
    info().map_or(STACK_SIZE, |info| info.stack_size)
}

/// `count` strings from `offset` on, each ended by a NUL. What is cut off, or no UTF-8, is left out.
fn strings(bytes: &'static [u8], offset: u32, count: u32) -> impl Iterator<Item = &'static str> {
    let tail = bytes.get(offset as usize..).unwrap_or(&[]);
    let whole = tail.iter().rposition(|&byte| byte == 0).map(|end| &tail[..end]);
    let parts = whole.into_iter().flat_map(|whole| whole.split(|&byte| byte == 0));
    parts.take(count as usize).filter_map(|text| core::str::from_utf8(text).ok())
}

/// The arguments, the program's name first.
pub fn arguments() -> Vec<&'static str> {
    with(|start| strings(start.bytes, start.info.arg_offset, start.info.arg_count).collect())
        .unwrap_or_default()
}

/// The environment, as pairs of name and value.
pub fn environment() -> Vec<(&'static str, &'static str)> {
    let all = with(|start| strings(start.bytes, start.info.env_offset, start.info.env_count));
    all.into_iter().flatten().filter_map(|entry| entry.split_once('=')).collect()
}

/// The value of an environment variable.
pub fn variable(name: &str) -> Option<String> {
    environment().into_iter().find(|&(key, _)| key == name).map(|(_, value)| value.into())
}

/// The program's name; for reports, hence without allocation.
pub fn name() -> &'static str {
    with(|start| strings(start.bytes, start.info.arg_offset, 1).next()).flatten().unwrap_or("?")
}

#[cfg(target_os = "none")]
mod enter {
    use super::*;
    use core::ptr::NonNull;

    use abi::cap::dispatcher_events;
    use abi::frame::{DispatcherFrame, MAX_EVENTS};
    use abi::layout::START_MAGIC;

    use crate::{arch, console, dispatch, events, frame::Frame, heap, memory, vspace};

    unsafe extern "Rust" {
        /// What `#[barreldish::main]` makes of the program's `main`: its exit code.
        safe fn __barreldish_main() -> i32;
    }

    /// The first Rust code of a domain.
    ///
    /// # Safety
    /// Called once, by the first upcall, with the address of the dispatcher frame.
    pub(crate) unsafe fn enter(base: *mut u8) -> ! {
        // SAFETY: the only call. `base` is the frame, by the caller's promise.
        unsafe {
            heap::start();
            arch::enable(base);
        }
        // SAFETY: the builder wrote the address of the start information into the frame (module documentation).
        let info =
            unsafe { (&raw const (*base.cast::<DispatcherFrame>()).start_info).read() as *const StartInfo };
        // SAFETY: as before.
        unsafe { read(info) };
        let info = super::info().unwrap_or_else(|| sys::exit(crate::report::FAULT_CODE));
        // SAFETY: the frame is as large as the builder says and nobody else in this domain touches it.
        let frame = unsafe { Frame::new(NonNull::new_unchecked(base), u64::from(info.frame_size)) };
        begin(frame, &info);
        let code = __barreldish_main();
        console::flush();
        sys::exit(code as u32 as u64)
    }

    /// Reads the start information; leaves it unset if it is none.
    unsafe fn read(at: *const StartInfo) {
        // SAFETY: the caller's promise: a readable, aligned structure lies there.
        let info = unsafe { at.read() };
        if info.magic != START_MAGIC || (info.size as usize) < size_of::<StartInfo>() {
            return;
        }
        // SAFETY: the structure says how many bytes belong to it, all mapped and never written again.
        let bytes = unsafe { core::slice::from_raw_parts(at.cast::<u8>(), info.size as usize) };
        START.with(|start| drop(start.set(Start { info, bytes })));
    }

    fn begin(frame: Frame, info: &StartInfo) {
        dispatch::init(frame);
        let limit = dispatcher_events(u64::from(info.dispatcher_size)).min(MAX_EVENTS as u64) as u32;
        let first_ring = u64::from(info.first_ring).max(FIRST_RING);
        events::init(info.first_event.max(1), limit, first_ring..frame.size().max(first_ring));
        memory::init();
        vspace::init(sys::Cap::new(abi::CapAddr(info.extra[EXTRA_LEVEL1])));
    }
}
#[cfg(target_os = "none")]
pub(crate) use enter::enter;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_that_are_cut_off_are_left_out() {
        let bytes = b"....hello\0-v\0cut";
        let all: Vec<_> = strings(bytes, 4, 9).collect();
        assert_eq!(all, ["hello", "-v"]);
    }

    #[test]
    fn an_offset_beyond_the_end_gives_nothing() {
        assert_eq!(strings(b"a\0", 77, 3).count(), 0);
    }

    #[test]
    fn empty_arguments_are_kept() {
        let all: Vec<_> = strings(b"sh\0\0x\0", 0, 3).collect();
        assert_eq!(all, ["sh", "", "x"]);
    }
}
