//! The FP and SIMD unit: whose registers are in it, and for whom it is open.
//!
//! ```text
//!   first FP instruction since the dispatcher was entered ─► trap ─► claim
//!        its own registers are in the unit        open
//!        another's are                            out to the other's frame, in from its own, open
//!   somebody else is entered ─► close             the registers stay, until another claims the unit
//! ```
//!
//! So who uses no FP pays nothing, and who shares the unit with nobody pays a trap a turn. The registers of
//! everybody else lie in the dispatcher frames, which are their users' own memory: what comes back from there is
//! what that user put there, at worst (K6). A unit is opened only after all of its registers have become those of
//! the dispatcher that it opens for (K7).
//!
//! The direct way of messages does not look at the unit: a dispatcher for which it is open is marked
//! (`Dispatcher::indirect`) and leaves by way of `schedule::next`, which closes.

use crate::dispatcher::DispatcherRef;
use crate::machine::Machine;

/// State of the unit.
#[derive(Default)]
pub struct FpUnit {
    /// Whose registers are in it.
    owner: Option<DispatcherRef>,
    /// Whether user mode may use it. If so, the owner is the current dispatcher, or nobody is.
    open: bool,
}

impl FpUnit {
    /// Whose registers are in the unit.
    pub fn owner(&self) -> Option<DispatcherRef> {
        self.owner
    }

    /// Whether user mode may use the unit.
    #[inline(always)]
    pub fn is_open(&self) -> bool {
        self.open
    }
}

/// The current dispatcher used FP while the unit was closed: makes it the owner and opens. `false`: it has lost its
/// frame, and with that the place of its registers; it cannot go on.
pub fn claim(m: &mut Machine) -> bool {
    let Some(d) = m.current else { return false };
    let Some(frame) = m.frame(d) else { return false };
    m.hardware.open_fp();
    m.fp.open = true;
    let state = m.dispatcher_mut(d);
    state.indirect = true;
    let begun = core::mem::replace(&mut state.fp_begun, true);
    let former = m.fp.owner.replace(d);
    if former != Some(d) {
        // One that lost its frame will not run again: its registers are dropped.
        if let Some(area) = former.and_then(|former| m.frame(former)) {
            // SAFETY: the area is the frame's; the unit is open.
            unsafe { m.hardware.save_fp(area.fp()) };
        }
        if !begun {
            frame.begin_fp();
        }
        // SAFETY: as above; any bits make registers.
        unsafe { m.hardware.load_fp(frame.fp()) };
    }
    true
}

/// Somebody else than the owner is about to be entered.
#[cold]
pub fn close(m: &mut Machine) {
    m.fp.open = false;
    m.hardware.close_fp();
}

/// The dispatcher ends: nobody wants its registers any more.
pub fn forget(m: &mut Machine, d: DispatcherRef) {
    if m.fp.owner == Some(d) {
        m.fp.owner = None;
    }
}
