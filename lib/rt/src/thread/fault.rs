//! What a fault does to the thread that made it: it goes on, it ends, or its domain does.

use abi::Rights;
use abi::frame::Area;

use super::table;
use crate::frame::Frame;
use crate::pager::{self, Unbacked};
use crate::report::{self, Fault};
use crate::thread::ThreadId;
use crate::{arch, critical, dispatch, names};

/// The running thread faulted. On the stack of faults, with upcalls disabled.
pub(crate) fn faulted(frame: Frame, esr: u64, far: u64) -> ! {
    let depth = critical::depth();
    critical::enter();
    // Upcalls may come from here on; they leave a critical section alone. They do not touch the area `Trap`.
    // SAFETY: `frame` is the dispatcher frame.
    unsafe { arch::enable(frame.base()) };
    if depth == 0 && !names::has_memory() {
        // Only a stack that grows before the program has done anything else: later it is connected.
        let alone = table::is_alone();
        table::stay_alone(true);
        critical::leave();
        names::provide_memory();
        critical::enter();
        table::stay_alone(alone);
    }
    let fault = Fault::new(esr);
    let outcome = match fault.wanted() {
        Some(rights) => pager::back(far, rights, depth != 0),
        None => Err(Unbacked::Nothing),
    };
    match outcome {
        Ok(()) => {
            if depth == 0 {
                // What came for others while the memory service was waited for.
                dispatch::after_section();
            }
            // SAFETY: as above; nothing faults on the way to `resume`.
            unsafe { arch::disable(frame.base()) };
            critical::set_depth(depth);
            arch::resume(frame.base(), Area::Trap as u64)
        }
        Err(why) => end(frame, &fault, far, why, depth),
    }
}

/// The fault cannot be mended: the thread ends if it has just run over its stack, else the domain.
fn end(frame: Frame, fault: &Fault, far: u64, why: Unbacked, depth: u32) -> ! {
    let context = frame.context(Area::Trap);
    let overflow = depth == 0
        && matches!(why, Unbacked::Guard(_))
        && table::current() != ThreadId::MAIN
        && table::own_guard_holds(far);
    if overflow {
        report::overflow(far, &context);
        table::end_by_fault();
    }
    report::fault(fault, far, why, &context, depth != 0)
}

impl Fault {
    /// What an access that no page table entry answered wanted to do; none if that is not what went wrong.
    fn wanted(&self) -> Option<Rights> {
        if !self.is_translation() {
            return None;
        }
        Some(match (self.is_fetch(), self.is_write()) {
            (true, _) => Rights::EXECUTE,
            (_, true) => Rights::WRITE,
            _ => Rights::READ,
        })
    }
}
