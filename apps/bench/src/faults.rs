//! A fault, the upcall to the domain's own handler, and the way back: by a second dispatcher in this address space
//! whose whole program is a few instructions.

use abi::frame::{AREAS_OFFSET, Area, CONTEXT_SIZE, State};
use abi::{PAGE_SIZE, Rights};
use rt::OwnedCap;
use sys::{Configuration, Dispatcher};

use crate::{Outcome, failed, report};

/// Bytes of the second dispatcher.
const DISPATCHER_BYTES: u64 = 4096;
/// Where its program leaves what it has measured, behind the head of its dispatcher frame.
const RESULT: u64 = 0xc00;

#[cfg(target_os = "none")]
core::arch::global_asm!(
    r#"
    .section .text.fault_probe, "ax"
    .balign 128
    .global fault_probe
    // Run: leaves disabled mode and faults a few times at address 0, counting around each fault.
fault_probe:
    str     xzr, [x0]
    mov     x19, x0
    mov     x20, #8
    mov     x21, #-1
    mov     x24, #0
1:  mrs     x22, pmccntr_el0
    ldr     xzr, [x24]
    mrs     x23, pmccntr_el0
    sub     x23, x23, x22
    cmp     x23, x21
    csel    x21, x23, x21, lo
    subs    x20, x20, #1
    b.ne    1b
    str     x21, [x19, #{result}]
    mov     x0, #0
    mov     x8, #{exit}
    svc     #0
    .balign 128
    // Message: none comes.
    brk     #0
    .balign 128
    // Fault: steps over the instruction that faulted.
    ldr     x3, [x0, #{pc}]
    add     x3, x3, #4
    str     x3, [x0, #{pc}]
    mov     x0, #{trap}
    mov     x8, #{resume}
    svc     #0
    brk     #0
"#,
    result = const RESULT,
    exit = const abi::Syscall::Exit as u64,
    resume = const abi::Syscall::Resume as u64,
    trap = const Area::Trap as u64,
    pc = const AREAS_OFFSET + Area::Trap as u64 * CONTEXT_SIZE + core::mem::offset_of!(abi::frame::Context, pc) as u64,
);

#[cfg(target_os = "none")]
fn program() -> u64 {
    unsafe extern "C" {
        safe fn fault_probe();
    }
    fault_probe as *const () as u64
}

#[cfg(not(target_os = "none"))]
fn program() -> u64 {
    let _ = (Area::Trap, AREAS_OFFSET, CONTEXT_SIZE);
    0
}

pub(crate) fn measure() -> Outcome {
    let frame = rt::memory::frame(PAGE_SIZE).map_err(failed("a frame"))?;
    let shared = rt::vspace::map(frame.cap(), 0, PAGE_SIZE, Rights::READ.or(Rights::WRITE))
        .map_err(failed("mapping"))?;
    let dispatcher: OwnedCap<Dispatcher> =
        rt::memory::object(DISPATCHER_BYTES).map_err(failed("a dispatcher"))?;
    let configuration = Configuration {
        cspace: sys::Cap::new(abi::layout::ROOT_CNODE),
        vspace: sys::Cap::new(abi::layout::ROOT_VNODE),
        frame: frame.cap(),
        frame_address: shared.address(),
        vector: program(),
        ended: None,
    };
    dispatcher.cap().configure(&configuration).map_err(failed("configuring"))?;
    dispatcher.cap().start().map_err(failed("starting"))?;
    while dispatcher.cap().info().map_err(failed("asking"))?.state != State::Ended as u8 {
        barreldish::sleep(core::time::Duration::from_millis(1));
    }
    // SAFETY: the page is mapped, and the dispatcher that wrote to it has ended.
    let cost = unsafe { shared.pointer().add(RESULT as usize).cast::<u64>().read_volatile() };
    // One of the two reads of the counter lies between them.
    report("fault_upcall", cost.saturating_sub(1));
    Ok(())
}
