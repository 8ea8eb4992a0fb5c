//! Events of dispatchers: posting them, connecting endpoints, and what happens when one ends (M1).

use abi::frame::{
    Cause, RING_CONNECTED, RING_NO_SENDERS, RING_PEER_GONE, RING_WATCHED, RING_WRITABLE, State,
};
use abi::{CapType, ErrorKind};

use caps::Progress;

use crate::cpu::Core;
use crate::dispatcher::{DispatcherRef, Entry, Event, EventKind, slot};
use crate::machine::Machine;
use crate::{doorbell, fp, schedule};

/// Marks event `index` of `d` as ready and wakes `d` if it waits. For one that has ended or lost its frame: nothing.
pub fn post(m: &mut Machine, d: DispatcherRef, index: u32) {
    let Some(frame) = m.frame(d) else { return };
    frame.set_ready(index);
    let state = m.dispatcher_mut(d);
    if state.state() == State::Waiting {
        schedule::wake(m, d, Entry::Run(false));
    } else {
        state.indirect = true;
    }
}

/// Sets bits of an endpoint's ring flags and posts it.
fn tell(m: &mut Machine, d: DispatcherRef, index: u32, flags: u32) {
    let ring = m.event(d, index).ring;
    if let (Some(frame), true) = (m.frame(d), ring != 0) {
        frame.set_ring_flags(ring, flags);
    }
    post(m, d, index);
}

/// Connects two endpoints, so that each learns of the other's end.
pub fn connect(m: &mut Machine, a: (DispatcherRef, u32), b: (DispatcherRef, u32)) -> Result<(), ErrorKind> {
    for (d, index) in [a, b] {
        if m.dispatcher(d).state() == State::Ended {
            return Err(ErrorKind::PeerGone);
        }
        let event = m.event(d, index);
        if event.peer.is_some() || event.is_peer_gone() {
            return Err(ErrorKind::Connected);
        }
    }
    if a == b {
        return Err(ErrorKind::BadEvent);
    }
    for ((d, index), (peer, peer_index)) in [(a, b), (b, a)] {
        let event = m.event_mut(d, index);
        (event.peer, event.peer_index) = (Some(peer), peer_index);
        tell_watcher(m, d, index, RING_CONNECTED);
    }
    Ok(())
}

/// Tells the owner of an endpoint, if it wants to know.
fn tell_watcher(m: &mut Machine, d: DispatcherRef, index: u32, flags: u32) {
    let ring = m.event(d, index).ring;
    if ring != 0 && m.frame(d).is_some_and(|frame| frame.ring_flags(ring) & RING_WATCHED != 0) {
        tell(m, d, index, flags);
    }
}

/// A receiver has taken packets out of its ring: wakes the connected sender if it met the ring full.
pub fn drained(m: &mut Machine, d: DispatcherRef, index: u32) {
    let event = m.event_mut(d, index);
    if event.take_sender_blocked()
        && let Some(peer) = event.peer
    {
        let peer_index = event.peer_index;
        tell(m, peer, peer_index, RING_WRITABLE);
    }
}

/// The last capability to an event is gone: frees it, and tells the connected end.
pub fn release(m: &mut Machine, d: DispatcherRef, index: u32) {
    let event = *m.event(d, index);
    m.unbind_interrupt(d, index);
    doorbell::withdraw(m, d, index);
    *m.event_mut(d, index) = Event::FREE;
    cut(m, &event);
}

/// One capability to an endpoint is left, its owner's unless that has gone first. Who has connected it will hear of the end of its
/// peer; another one will never hear anything again.
pub fn no_senders(m: &mut Machine, d: DispatcherRef, index: u32) {
    let event = m.event(d, index);
    if event.peer.is_none() && !event.is_peer_gone() {
        tell_watcher(m, d, index, RING_NO_SENDERS);
    }
}

/// Tells the endpoint that was connected to `event` that it is alone now.
fn cut(m: &mut Machine, event: &Event) {
    if let Some(peer) = event.peer {
        m.event_mut(peer, event.peer_index).set_peer_gone();
        tell(m, peer, event.peer_index, RING_PEER_GONE);
    }
}

/// Events that the end of a dispatcher deals with in one go (K2): all of them, for most programs. One entry may end several.
const CUT_AT_ONCE: u16 = 16;
/// Events that [`reap`] deals with in one go.
const CUT_LATER: u16 = 64;

/// Ends a dispatcher: it never runs again, its watcher learns of it, and its peers do, those of the first few events at once and
/// the others by and by ([`reap`]). Its object stays until its capability goes.
pub fn end(m: &mut Machine, d: DispatcherRef, cause: Cause, value: u64, pc: u64, esr: u64) {
    stop(m, d, cause, value, pc, esr);
    if cut_some(m, d, CUT_AT_ONCE) == Progress::More {
        let next = m.ending.replace(d);
        if let Some(next) = next {
            m.dispatcher_mut(next).previous = Some(d);
        }
        let state = m.dispatcher_mut(d);
        (state.previous, state.next, state.ending) = (None, next, true);
        schedule::limit_slice(m);
    }
}

/// Cuts the next few events of a dispatcher that has ended.
fn cut_some(m: &mut Machine, d: DispatcherRef, most: u16) -> Progress {
    let state = m.dispatcher_mut(d);
    let (first, used) = (state.events_cut, state.events_used);
    let end = used.min(first + most);
    state.events_cut = end;
    for index in u32::from(first)..u32::from(end) {
        let event = *m.event(d, index);
        if event.kind() != EventKind::Free {
            m.unbind_interrupt(d, index);
            doorbell::withdraw(m, d, index);
            m.event_mut(d, index).peer = None;
            cut(m, &event);
        }
    }
    if end < used { Progress::More } else { Progress::Done }
}

/// Takes a dispatcher off those that have ended and have events left, if it is one of them.
pub fn leave_ending(m: &mut Machine, d: DispatcherRef) {
    if !core::mem::take(&mut m.dispatcher_mut(d).ending) {
        return;
    }
    let state = m.dispatcher_mut(d);
    let (previous, next) = (state.previous.take(), state.next.take());
    match previous {
        Some(previous) => m.dispatcher_mut(previous).next = next,
        None => m.ending = next,
    }
    if let Some(next) = next {
        m.dispatcher_mut(next).previous = previous;
    }
}

/// Whether there are remains of what has ended or was deleted.
pub const fn remains(core: &Core) -> bool {
    core.db.has_zombies() || core.machine.ending.is_some()
}

/// Clears away a part of the remains of what has ended or was deleted: on the time of ends of slices and of an idle core.
pub fn reap(core: &mut Core) -> Progress {
    let m = &mut core.machine;
    if let Some(d) = m.ending
        && cut_some(m, d, CUT_LATER) == Progress::Done
    {
        leave_ending(m, d);
    }
    let zombies = core.db.step(&mut core.machine, caps::BUDGET);
    if core.machine.ending.is_some() { Progress::More } else { zombies }
}

/// As [`end`], but for its events: for one whose object is being taken apart, which releases them one by one (K2).
pub fn stop(m: &mut Machine, d: DispatcherRef, cause: Cause, value: u64, pc: u64, esr: u64) {
    schedule::forget(m, d);
    fp::forget(m, d);
    m.dispatcher_mut(d).set_ended(cause, value, pc, esr);
    let watcher = &m.dispatcher(d).slots[slot::WATCHER];
    if watcher.cap_type() == CapType::Notify
        && let Some(observer) = DispatcherRef::at(watcher.base())
    {
        let index = watcher.index();
        post(m, observer, index);
    }
}
