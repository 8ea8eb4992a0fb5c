//! What a fault does to the thread that made it: it goes on, it ends, or its domain does.

use abi::Rights;
use abi::frame::Area;

use paging::{Unbacked, Unmended};

use super::table;
use crate::arch;
use crate::domain::Runtime;
use crate::frame::Frame;
use crate::report::{self, Fault};
use crate::thread::ThreadId;

/// The running thread faulted. On the stack of faults, with upcalls disabled.
pub(crate) fn faulted(frame: Frame, esr: u64, far: u64) -> ! {
    let fault = Fault::new(esr);
    // Upcalls that come meanwhile do not touch the area `Trap`.
    match paging::mend::<Runtime>(far, fault.wanted()) {
        Ok(()) => arch::resume(frame.base(), Area::Trap as u64),
        Err(Unmended { why, depth }) => end(frame, &fault, far, why, depth),
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
