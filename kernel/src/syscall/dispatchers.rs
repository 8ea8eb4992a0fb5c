//! System calls on dispatchers.

use abi::frame::{Cause, State};
use abi::layout::{USER_END, USER_LOWEST};
use abi::{CapType, Error, ErrorKind, PAGE_SIZE, Rights};
use caps::{Machine as _, SlotRef};

use super::{Args, DONE, Reply, capability, dispatcher};
use crate::cpu::Core;
use crate::dispatcher::{DispatcherRef, Entry, slot};
use crate::{events, schedule};

/// A user address with room for `bytes`.
fn user_range(address: u64, bytes: u64, align: u64, argument: u8) -> Result<u64, Error> {
    let fits = (USER_LOWEST..USER_END).contains(&address) && bytes <= USER_END - address;
    if fits && address.is_multiple_of(align) {
        Ok(address)
    } else {
        Err(Error::new(ErrorKind::BadAddress, argument))
    }
}

pub(super) fn configure(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let d = dispatcher(core, &a, 0)?;
    if core.machine.dispatcher(d).state() != State::Fresh || core.machine.dispatcher(d).size != 0 {
        return Err(ErrorKind::BadState.into());
    }
    let cspace = capability(core, &a, 1, CapType::L1CNode, Rights::WRITE)?;
    let vspace = capability(core, &a, 2, CapType::VNodeL0, Rights::WRITE)?;
    let frame = capability(core, &a, 3, CapType::Frame, Rights::WRITE)?;
    let frame_bytes = core.machine.slot(frame).size();
    if frame_bytes > u64::from(u32::MAX) {
        return Err(Error::new(ErrorKind::BadSize, 3));
    }
    let frame_address = user_range(a[4], frame_bytes, PAGE_SIZE, 4)?;
    let vector = user_range(a[5], 3 * abi::frame::UPCALL_STRIDE, 4, 5)?;
    let watcher = match a[6] {
        0 => None,
        _ => Some(capability(core, &a, 6, CapType::Notify, Rights::WRITE)?),
    };
    let own = capability(core, &a, 0, CapType::Dispatcher, Rights::WRITE)?;
    let size = core.machine.slot(own).size();

    install(core, d, [cspace, vspace, frame], watcher, size, frame_address, vector)?;
    Ok(DONE)
}

/// Gives a fresh dispatcher what it needs to run: `held` are root CNode, root VNode and frame.
pub(crate) fn install(
    core: &mut Core,
    d: DispatcherRef,
    held: [SlotRef; 3],
    watcher: Option<SlotRef>,
    size: u64,
    frame_address: u64,
    vector: u64,
) -> Result<(), Error> {
    let asid = core.db.asid(&core.machine, held[1]).ok_or(ErrorKind::NoAsid)?;
    let places = [slot::CSPACE, slot::VSPACE, slot::FRAME, slot::WATCHER];
    let sources = [Some(held[0]), Some(held[1]), Some(held[2]), watcher];
    if sources.iter().flatten().any(|&source| !core.db.is_usable(&core.machine, source)) {
        return Err(ErrorKind::InDelete.into());
    }
    for (place, source) in places.into_iter().zip(sources) {
        if let Some(source) = source {
            hold(core, d, place, source)?;
        }
    }
    let state = core.machine.dispatcher_mut(d);
    (state.frame_address, state.vector, state.size, state.asid) = (frame_address, vector, size as u32, asid);
    core.machine.dispatchers += 1;
    Ok(())
}

/// Copies a capability into one of the dispatcher's own slots.
fn hold(core: &mut Core, d: DispatcherRef, place: usize, source: SlotRef) -> Result<(), Error> {
    let destination = SlotRef::at(d.base() + place as u64 * abi::cap::SLOT_SIZE);
    let Core { db, machine, .. } = core;
    if machine.slot(destination).cap_type() != CapType::Null {
        return Err(ErrorKind::BadState.into());
    }
    db.copy(machine, source, destination, Rights::ALL)?;
    if place == slot::FRAME || place == slot::VSPACE {
        db.mark_held(machine, destination);
    }
    Ok(())
}

pub(super) fn start(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let d = dispatcher(core, &a, 0)?;
    let state = core.machine.dispatcher(d);
    if state.size == 0 {
        return Err(ErrorKind::NotConfigured.into());
    }
    if state.state() != State::Fresh {
        return Err(ErrorKind::BadState.into());
    }
    schedule::wake(&mut core.machine, d, Entry::Run(false));
    Ok(DONE)
}

pub(super) fn stop(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let d = dispatcher(core, &a, 0)?;
    if core.machine.dispatcher(d).state() != State::Ended {
        events::end(&mut core.machine, d, Cause::Stopped, 0, 0, 0);
    }
    Ok(if core.machine.current.is_none() { Reply::Switch } else { DONE })
}

pub(super) fn info(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let found = capability(core, &a, 0, CapType::Dispatcher, Rights::NONE)?;
    let base = core.machine.slot(found).base();
    let d = DispatcherRef::at(base).ok_or(ErrorKind::WrongType)?;
    schedule::account(&mut core.machine);
    let state = core.machine.dispatcher(d);
    let word = state.state() as u64 | u64::from(state.cause()) << 8;
    core.results = [0, word, state.end_value, state.end_pc, state.end_esr, state.ticks, 0, 0];
    Ok(Reply::Results)
}

pub(super) fn slice(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let d = dispatcher(core, &a, 0)?;
    schedule::request_slice(&mut core.machine, d, a[1]);
    let remains = events::remains(core);
    schedule::program_timer(&mut core.machine, remains);
    Ok(DONE)
}
