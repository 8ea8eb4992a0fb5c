//! Interrupts and faults of user space. The entry code has saved the user's registers in `Core::context`.

use abi::frame::{Area, Cause, Context};

use crate::arch;
use crate::cpu::Core;
use crate::dispatcher::Entry;
use crate::doorbell;
use crate::events;
use crate::machine::Machine;
use crate::schedule;
use crate::shared_frame::SharedFrame;

/// Handles all interrupts that are pending, then decides whether the current dispatcher goes on.
pub fn interrupt(core: &mut Core) {
    let m = &mut core.machine;
    schedule::account(m);
    while let Some(number) = m.hardware.acknowledge_interrupt() {
        m.interrupts_taken += 1;
        if number == arch::TIMER_INTERRUPT {
            m.timer_set_to = u64::MAX;
            m.hardware.disarm_timer();
        } else if number == arch::DOORBELL_INTERRUPT {
            // Ended first: one that comes while it is looked after is not lost.
            m.hardware.end_interrupt(number);
            doorbell::drain(m);
            continue;
        } else {
            deliver(m, number);
        }
        m.hardware.end_interrupt(number);
    }
    let now = m.hardware.now();
    schedule::expire_deadlines(m, now);
    if now >= m.slice_end {
        // The remains of deleted objects get their turn, whoever is busy.
        let _ = events::reap(core);
    }
    settle(core, now);
}

/// Masks the interrupt until its driver has acknowledged it, and signals the driver. Nobody's interrupt stays masked.
fn deliver(m: &mut Machine, number: u32) {
    m.hardware.mask_interrupt(number);
    if let Some((d, index)) = m.interrupts.listener(number) {
        events::post(m, d, index);
    }
}

/// The interrupted dispatcher goes on, is told of events, or makes room.
fn settle(core: &mut Core, now: u64) {
    let m = &mut core.machine;
    let Some(d) = m.current else { return };
    m.dispatcher_mut(d).entry = Entry::Interrupted;
    let Some(frame) = m.frame(d) else { return };
    let disabled = frame.is_disabled();
    let over = schedule::slice_is_over(m, now);
    if !over {
        schedule::renew_slice(m, now);
    }
    if !over && (disabled || !frame.any_ready()) {
        return;
    }
    let (area, entry) =
        if disabled { (Area::Disabled, Entry::Disabled) } else { (Area::Enabled, Entry::Run(true)) };
    store_context(frame, area, &core.context);
    if over {
        schedule::requeue_current(m, entry);
    } else {
        m.dispatcher_mut(d).entry = entry;
    }
}

/// One copy of the 18 pairs of instructions, where the compiler would make one for each area.
#[inline(never)]
fn store_context(frame: SharedFrame, area: Area, context: &Context) {
    frame.store_context(area, context);
}

/// A fault of the current dispatcher: its own handler is entered, or it ends if it faulted where no handler can help.
pub fn fault(core: &mut Core, esr: u64, far: u64) {
    let m = &mut core.machine;
    let Some(d) = m.current else { return };
    let far = if has_address(esr) { far } else { 0 };
    match m.frame(d) {
        Some(frame) if !frame.is_disabled() => {
            frame.store_context(Area::Trap, &core.context);
            m.dispatcher_mut(d).entry = Entry::Fault(esr, far);
        }
        _ => {
            schedule::account(m);
            events::end(m, d, Cause::Faulted, far, core.context.pc, esr);
        }
    }
}

/// Whether FAR_EL1 means something: instruction and data aborts and misaligned program counters (DDI 0487, ESR_EL1.EC).
/// Otherwise it may still hold an address of another domain.
fn has_address(esr: u64) -> bool {
    matches!(esr >> 26, 0x20 | 0x22 | 0x24)
}
