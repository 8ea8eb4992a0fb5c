//! Waiting in a test process: what happens during a wait comes from a script, and the clock is a number.

use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::Range;

use abi::frame::{Context, FpContext};
use abi::packet::Packet;
use abi::{CapAddr, Error, PAGE_SIZE};
use sys::Syscalls;

use super::Wake;
use crate::frame::Frame;
use crate::vspace::Region;

/// What happens during one wait.
pub(crate) type Scene = Box<dyn FnOnce(&mut Packet) -> Wake>;

std::thread_local! {
    static SCRIPT: RefCell<VecDeque<Scene>> = const { RefCell::new(VecDeque::new()) };
    static IDLE: RefCell<Option<Box<dyn FnMut() -> bool>>> = const { RefCell::new(None) };
    static CLOCK: Cell<u64> = const { Cell::new(0) };
    static WAITS: Cell<usize> = const { Cell::new(0) };
}

/// Appends to the script: each wait that finds nothing ready plays one scene.
pub(crate) fn script(scene: impl FnOnce(&mut Packet) -> Wake + 'static) {
    SCRIPT.with_borrow_mut(|script| script.push_back(Box::new(scene)));
}

/// What the world does in a wait without a scene: whether it did something. If not, time goes on to the deadline.
pub(crate) fn world(f: impl FnMut() -> bool + 'static) {
    IDLE.set(Some(Box::new(f)));
}

/// Waits so far.
pub(crate) fn waits() -> usize {
    WAITS.get()
}

/// As the real one: returns at once if an event is ready. A wait that would last for ever fails the test.
pub(crate) fn wait(frame: Frame, deadline: u64, buffer: &mut Packet) -> Wake {
    WAITS.set(WAITS.get() + 1);
    if frame.any_ready() {
        return Wake::Run;
    }
    if let Some(scene) = SCRIPT.with_borrow_mut(VecDeque::pop_front) {
        return scene(buffer);
    }
    if IDLE.with_borrow_mut(|world| world.as_mut().is_some_and(|world| world())) {
        return Wake::Run;
    }
    assert!(deadline != u64::MAX, "the domain sleeps for ever");
    CLOCK.set(CLOCK.get().max(deadline));
    Wake::Run
}

/// Lets time pass: the next scene plays.
pub(crate) fn yield_now(_frame: Frame) {
    if let Some(scene) = SCRIPT.with_borrow_mut(VecDeque::pop_front) {
        let wake = scene(&mut Packet::default());
        assert_eq!(wake, Wake::Run, "a dispatcher that yields is not waiting: packets go to its rings");
    }
}

pub(crate) fn send_wait(
    frame: Frame,
    endpoint: CapAddr,
    capability: CapAddr,
    packet: Option<&Packet>,
    deadline: u64,
    buffer: &mut Packet,
) -> Result<Wake, Error> {
    sys::native().send(endpoint, capability, packet.unwrap_or(buffer))?;
    Ok(wait(frame, deadline, buffer))
}

pub(crate) fn vector() -> u64 {
    0
}

pub(crate) fn ticks() -> u64 {
    CLOCK.get()
}

pub(crate) fn ticks_per_second() -> u64 {
    1_000_000_000
}

pub(crate) fn frame_pointer() -> u64 {
    0
}

pub(crate) fn frame_record(_pointer: u64, _stack: &core::ops::Range<u64>) -> Option<(u64, u64)> {
    None
}

pub(crate) fn stack_pointer() -> u64 {
    0
}

/// # Safety
/// None is needed: nothing faults here.
pub(crate) unsafe fn touch(_address: u64) {}

/// # Safety
/// None is needed: there are no upcalls.
pub(crate) unsafe fn enable(_base: *mut u8) {}

/// # Safety
/// None is needed: there are no upcalls.
pub(crate) unsafe fn disable(_base: *mut u8) {}

/// Memory in place of what was mapped there: the model maps nothing.
pub(crate) fn memory(mapped: &Region) -> Range<u64> {
    let pages = std::vec![Page([0; PAGE_SIZE as usize]); (mapped.size() / PAGE_SIZE) as usize].leak();
    let start = pages.as_mut_ptr().expose_provenance() as u64;
    start..start + mapped.size()
}

#[derive(Clone)]
#[repr(align(4096))]
struct Page([u8; PAGE_SIZE as usize]);

/// The caller goes on as the other thread: a test plays them all.
///
/// # Safety
/// None is needed.
pub(crate) unsafe extern "C" fn switch(_from: *mut u64, _to: u64) {}

/// # Safety
/// Never called.
pub(crate) unsafe extern "C" fn switch_to_context(
    _from: *mut u64,
    _frame: *mut u8,
    _context: *const Context,
) {
    unreachable!("there are no upcalls")
}

/// # Safety
/// Never called.
pub(crate) unsafe extern "C" fn enter_thread(_frame: *mut u8, _to: u64) -> ! {
    unreachable!("there are no upcalls")
}

/// # Safety
/// Never called.
pub(crate) unsafe extern "C" fn resume_context(_base: *mut u8, _context: *const Context) -> ! {
    unreachable!("there are no upcalls")
}

/// # Safety
/// Never called.
pub(crate) unsafe fn save_fp(_to: *mut FpContext) {}

/// # Safety
/// Never called.
pub(crate) unsafe fn load_fp(_from: *const FpContext) {}

pub(crate) fn touch_below_stack() {}

/// # Safety
/// As for writing to a pointer.
pub(crate) unsafe fn zero(_address: u64, _bytes: u64) {}

pub(crate) extern "C" fn resume(_base: *mut u8, _area: u64) -> ! {
    unreachable!("there are no upcalls")
}

/// # Safety
/// None is needed: nothing is written, since a test plays the thread.
pub(crate) unsafe fn prepare_stack(top: u64, _first: extern "C" fn(u64) -> !, _argument: u64) -> u64 {
    top
}
