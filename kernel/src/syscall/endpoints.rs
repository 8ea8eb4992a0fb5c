//! System calls on endpoints, notifications and interrupts.

use abi::cap::{DOORBELL_BITS, SLOT_SIZE};
use abi::frame::State;
use abi::packet::PACKET_SIZE;
use abi::syscall::Connection;
use abi::{CapType, Error, ErrorKind, Rights};
use caps::{Machine as _, SlotRef};

use super::{Args, DONE, Reply, capability, lookup_argument};
use crate::cpu::Core;
use crate::dispatcher::{DispatcherRef, EventKind};
use crate::doorbell;
use crate::events;
use crate::interrupts::{END_BINDABLE, FIRST_BINDABLE};

const _: () = assert!(SLOT_SIZE == PACKET_SIZE);

/// The event that an EndPoint or Notify capability in argument `argument` names.
fn event(
    core: &Core,
    a: &Args,
    argument: u8,
    ty: CapType,
    right: Rights,
) -> Result<(DispatcherRef, u32), Error> {
    let found = capability(core, a, argument, ty, right)?;
    let slot = core.machine.slot(found);
    let d = DispatcherRef::at(slot.base()).ok_or(Error::new(ErrorKind::PeerGone, argument))?;
    Ok((d, slot.index()))
}

/// An endpoint that the caller owns.
fn own_endpoint(core: &Core, a: &Args) -> Result<(DispatcherRef, u32), Error> {
    event(core, a, 0, CapType::EndPoint, Rights::READ)
}

pub(super) fn configure(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let (d, index) = own_endpoint(core, &a)?;
    let (offset, packets) = (a[1], a[2]);
    let frame = core.machine.frame(d).ok_or(ErrorKind::NotConfigured)?;
    if !packets.is_power_of_two() || packets > 256 {
        return Err(Error::new(ErrorKind::BadRing, 2));
    }
    // The kernel writes the head and FP registers too.
    let first = abi::frame::FP_OFFSET + abi::frame::FP_SIZE;
    let bytes = (packets + 1) * PACKET_SIZE;
    if offset % PACKET_SIZE != 0 || offset < first || bytes > frame.size() || offset > frame.size() - bytes {
        return Err(Error::new(ErrorKind::BadRing, 1));
    }
    let landing = landing_address(a[3], 3)?;
    let event = core.machine.event_mut(d, index);
    (event.ring, event.mask, event.tail, event.landing) = (offset as u32, (packets - 1) as u16, 0, landing);
    frame.clear_ring(offset as u32);
    Ok(DONE)
}

/// A capability address as the kernel keeps it. Whether it names an empty slot is asked when a capability arrives.
fn landing_address(word: u64, argument: u8) -> Result<u32, Error> {
    u32::try_from(word).map_err(|_| Error::new(ErrorKind::AddressOutOfRange, argument))
}

pub(super) fn connect(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let one = event(core, &a, 0, CapType::EndPoint, Rights::WRITE)?;
    let other = event(core, &a, 1, CapType::EndPoint, Rights::WRITE)?;
    events::connect(&mut core.machine, one, other)?;
    Ok(DONE)
}

pub(super) fn drained(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let (d, index) = own_endpoint(core, &a)?;
    events::drained(&mut core.machine, d, index);
    Ok(DONE)
}

pub(super) fn landing(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let (d, index) = own_endpoint(core, &a)?;
    let landing = landing_address(a[1], 1)?;
    core.machine.event_mut(d, index).landing = landing;
    if landing != 0 {
        events::drained(&mut core.machine, d, index);
    }
    Ok(DONE)
}

pub(super) fn signal(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let found = lookup_argument(core, a[0], 0)?;
    let slot = core.machine.slot(found);
    if !slot.rights().contains(Rights::WRITE) {
        return Err(ErrorKind::MissingRight.into());
    }
    let (base, index) = (slot.base(), slot.index());
    match slot.cap_type() {
        CapType::Notify => {
            let d = DispatcherRef::at(base).ok_or(ErrorKind::PeerGone)?;
            events::post(&mut core.machine, d, index);
        }
        CapType::Doorbell => {
            let (target, bit) = ((base / DOORBELL_BITS) as u32, (base % DOORBELL_BITS) as u32);
            doorbell::ring(&mut core.machine, target, bit);
        }
        _ => return Err(ErrorKind::WrongType.into()),
    }
    Ok(DONE)
}

pub(super) fn export(core: &mut Core, a: Args) -> Result<Reply, Error> {
    capability(core, &a, 0, CapType::Kernel, Rights::NONE)?;
    let (d, index) = event(core, &a, 1, CapType::Notify, Rights::WRITE)?;
    let wanted = match a[2] {
        u64::MAX => None,
        bit => Some(u32::try_from(bit).map_err(|_| Error::new(ErrorKind::BadArgument, 2))?),
    };
    let bit = doorbell::export(&mut core.machine, d, index, wanted).map_err(|kind| Error::new(kind, 1))?;
    Ok(Reply::Value(u64::from(bit)))
}

pub(super) fn peer(core: &mut Core, a: Args) -> Result<Reply, Error> {
    capability(core, &a, 0, CapType::Kernel, Rights::NONE)?;
    let (d, index) = event(core, &a, 1, CapType::EndPoint, Rights::NONE)?;
    let m = &core.machine;
    let event = m.event(d, index);
    let connection = if event.is_peer_gone() || m.dispatcher(d).state() == State::Ended {
        Connection::Ended
    } else if event.peer.is_some() {
        Connection::Made
    } else {
        Connection::None
    };
    let own = |d: Option<DispatcherRef>, index: u32| if d == m.current { index.into() } else { u64::MAX };
    let (own, peer) = (own(Some(d), index), own(event.peer, event.peer_index));
    core.results = [0, connection as u64, own, peer, 0, 0, 0, 0];
    Ok(Reply::Results)
}

/// The one interrupt that the IrqSource in argument 0 names.
fn interrupt(core: &Core, a: &Args) -> Result<u32, Error> {
    let found: SlotRef = capability(core, a, 0, CapType::IrqSource, Rights::READ)?;
    let slot = core.machine.slot(found);
    let number = slot.base();
    if slot.size() == 1 && (FIRST_BINDABLE..END_BINDABLE).contains(&number) {
        Ok(number as u32)
    } else {
        Err(ErrorKind::BadInterrupt.into())
    }
}

pub(super) fn bind_interrupt(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let number = interrupt(core, &a)?;
    let (d, index) = event(core, &a, 1, CapType::Notify, Rights::WRITE)?;
    let m = &mut core.machine;
    if m.dispatcher(d).state() == State::Ended {
        return Err(Error::new(ErrorKind::PeerGone, 1));
    }
    // One that has ended, and whose turn to be cut has not come yet, listens no more.
    if let Some((old, event)) = m.interrupts.listener(number)
        && m.dispatcher(old).state() == State::Ended
    {
        m.unbind_interrupt(old, event);
    }
    let event = m.event(d, index);
    if m.interrupts.listener(number).is_some() || event.interrupt != 0 || event.kind() != EventKind::Notify {
        return Err(ErrorKind::BadInterrupt.into());
    }
    m.bind_interrupt(number, d, index);
    Ok(DONE)
}

pub(super) fn acknowledge_interrupt(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let number = interrupt(core, &a)?;
    if core.machine.interrupts.listener(number).is_some() {
        core.machine.hardware.unmask_interrupt(number);
    }
    Ok(DONE)
}
