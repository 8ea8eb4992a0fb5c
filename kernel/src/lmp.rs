//! LMP: messages between two dispatchers of one core.
//!
//! A packet goes into the ring of the receiver's endpoint (in the receiver's frame, indices in the kernel).
//! The *direct way* is for the commonest case: the sender then waits, the receiver waits already with an
//! empty ring, no capability goes along. The packet stays in `x20` to `x27` and the receiver is entered at
//! once; neither a queue nor the ring nor any saved context is touched.

use abi::frame::{RING_SENDER_BLOCKED, State};
use abi::packet::{HEADER_CAPABILITY, Packet};
use abi::{CapAddr, CapType, Error, ErrorKind, Rights};
use caps::{CNode, Db, Machine as _, Slot};

use crate::cpu::Core;
use crate::dispatcher::{DispatcherRef, Entry, EventKind, slot};
use crate::events;
use crate::machine::Machine;
use crate::schedule;
use crate::syscall::{self, Reply};

/// The endpoint that a slot lets its holder send to.
#[inline(always)]
pub fn sendable(slot: &Slot) -> Result<(DispatcherRef, u32), ErrorKind> {
    if slot.cap_type() != CapType::EndPoint {
        return Err(ErrorKind::WrongType);
    }
    if !slot.rights().contains(Rights::WRITE) {
        return Err(ErrorKind::MissingRight);
    }
    let d = DispatcherRef::at(slot.base()).ok_or(ErrorKind::PeerGone)?;
    Ok((d, slot.index()))
}

/// The direct way of `SendWait`, if it is open: the receiver is current afterwards, its address space installed,
/// and the caller has to enter it by an upcall `Message`. `None`: nothing has happened, take [`send_wait`].
///
/// Every instruction here is one of every call and reply of the system.
#[inline(always)]
pub fn send_wait_direct(
    core: &mut Core,
    endpoint: u64,
    deadline: u64,
    cap: u64,
) -> Option<(DispatcherRef, u32)> {
    if cap != 0 || deadline != u64::MAX {
        return None;
    }
    let m = &mut core.machine;
    let sender = m.current?;
    let cspace = CNode::of(&m.dispatcher(sender).slots[slot::CSPACE])?;
    let target = m.slot(Db::slot_at(m, cspace, CapAddr(endpoint)).ok()?);
    let (receiver, index) = sendable(target).ok()?;
    let state = m.dispatcher(receiver);
    // An event that came since the sender last waited would be overlooked, an open FP unit would stay open.
    if state.state() != State::Waiting || state.timed || m.dispatcher(sender).indirect {
        return None;
    }
    let event = m.event(receiver, index);
    let (ring, tail) = (event.ring, event.tail);
    let frame = m.frame(receiver)?;
    if ring == 0 || frame.ring_head(ring) != tail {
        return None;
    }
    let (root, asid) = m.address_space(receiver)?;
    frame.set_disabled(true);
    schedule::account(m);
    let state = m.dispatcher_mut(sender);
    state.set_state(State::Waiting);
    state.entry = Entry::Run(false);
    m.dispatcher_mut(receiver).set_state(State::Ready);
    m.current = Some(receiver);
    m.switches += 1;
    m.hardware.switch_address_space(root, asid);
    Some((receiver, index))
}

/// Queues the core's packet at an endpoint, with the capability at `cap` unless that is 0.
pub fn send(core: &mut Core, endpoint: u64, cap: u64) -> Result<(), Error> {
    let slot = syscall::lookup(core, endpoint).map_err(|kind| Error::new(kind, 0))?;
    let (receiver, index) = sendable(core.machine.slot(slot)).map_err(|kind| Error::new(kind, 0))?;
    let place = place_in_ring(&mut core.machine, receiver, index)?;
    let mut packet = core.packet;
    packet.header &= !HEADER_CAPABILITY;
    if cap != 0 {
        hand_over(core, cap, receiver, index)?;
        packet.header |= HEADER_CAPABILITY;
    }
    put(&mut core.machine, receiver, index, place, &packet);
    Ok(())
}

/// Where the next packet goes, if there is room.
fn place_in_ring(m: &mut Machine, d: DispatcherRef, index: u32) -> Result<u32, Error> {
    if m.dispatcher(d).state() == State::Ended {
        return Err(ErrorKind::PeerGone.into());
    }
    let frame = m.frame(d).ok_or(ErrorKind::PeerGone)?;
    let event = m.event_mut(d, index);
    if event.kind() != EventKind::EndPoint || event.ring == 0 {
        return Err(ErrorKind::NoRing.into());
    }
    let mask = u32::from(event.mask);
    // The head is the receiver's word for it: a wrong one can only make its own ring look full or overwrite its own packets.
    if event.tail.wrapping_sub(frame.ring_head(event.ring)) > mask {
        event.set_sender_blocked();
        frame.set_ring_flags(event.ring, RING_SENDER_BLOCKED);
        return Err(ErrorKind::Full.into());
    }
    Ok(event.tail & mask)
}

/// Copies a capability of the current dispatcher into the landing slot of the receiver's endpoint.
fn hand_over(core: &mut Core, cap: u64, d: DispatcherRef, index: u32) -> Result<(), Error> {
    let source = syscall::lookup_argument(core, cap, 2)?;
    let Core { db, machine, .. } = core;
    let landing = u64::from(machine.event(d, index).landing);
    let destination = match syscall::slot_of(machine, d, landing) {
        Ok(slot) if machine.slot(slot).is_empty() => slot,
        _ => {
            // `EndpointLanding` wakes the sender.
            machine.event_mut(d, index).set_sender_blocked();
            return Err(Error::new(ErrorKind::NoLandingSlot, 2));
        }
    };
    db.copy(machine, source, destination, Rights::ALL).map_err(|kind| Error::new(kind, 2))?;
    machine.event_mut(d, index).landing = 0;
    Ok(())
}

fn put(m: &mut Machine, d: DispatcherRef, index: u32, place: u32, packet: &Packet) {
    if let Some(frame) = m.frame(d) {
        let event = m.event_mut(d, index);
        event.tail = event.tail.wrapping_add(1);
        frame.put_packet(event.ring, place, packet);
        frame.set_ring_tail(event.ring, event.tail);
        events::post(m, d, index);
    }
}

/// `SendWait` where the direct way is not open.
pub fn send_wait(core: &mut Core, endpoint: u64, deadline: u64, cap: u64) -> Result<Reply, Error> {
    send(core, endpoint, cap)?;
    Ok(wait_or_upcall(core, deadline))
}

/// Lets the current dispatcher wait, or enters it again at once when an event is ready.
fn wait_or_upcall(core: &mut Core, deadline: u64) -> Reply {
    let m = &mut core.machine;
    let Some(d) = m.current else { return Reply::Switch };
    if m.frame(d).is_some_and(|frame| frame.any_ready()) {
        // `indirect` stays: the domain may handle some of its events only.
        m.dispatcher_mut(d).entry = Entry::Run(false);
    } else {
        schedule::wait(m, deadline);
    }
    Reply::Switch
}
