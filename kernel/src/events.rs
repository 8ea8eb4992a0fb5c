//! Events of dispatchers: posting them, connecting endpoints, and what happens when one ends (M1).

use abi::frame::{Cause, RING_PEER_GONE, RING_WRITABLE, State};
use abi::{CapType, ErrorKind};

use crate::dispatcher::{DispatcherRef, Entry, Event, EventKind, slot};
use crate::machine::Machine;
use crate::{fp, schedule};

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
    }
    Ok(())
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
    *m.event_mut(d, index) = Event::FREE;
    cut(m, &event);
}

/// Tells the endpoint that was connected to `event` that it is alone now.
fn cut(m: &mut Machine, event: &Event) {
    if let Some(peer) = event.peer {
        m.event_mut(peer, event.peer_index).set_peer_gone();
        tell(m, peer, event.peer_index, RING_PEER_GONE);
    }
}

/// Ends a dispatcher: it never runs again, its peers and its watcher learn of it. Its object stays until its capability goes.
pub fn end(m: &mut Machine, d: DispatcherRef, cause: Cause, value: u64, pc: u64, esr: u64) {
    stop(m, d, cause, value, pc, esr);
    let used = u32::from(m.dispatcher(d).events_used);
    for index in 0..used {
        let event = *m.event(d, index);
        if event.kind() != EventKind::Free {
            m.unbind_interrupt(d, index);
            m.event_mut(d, index).peer = None;
            cut(m, &event);
        }
    }
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
