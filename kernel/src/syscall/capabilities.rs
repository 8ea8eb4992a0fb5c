//! System calls on capabilities.

use abi::{CapType, Error, ErrorKind, Rights};
use caps::{Machine as _, Progress, RetypeArgs, SlotRef};

use super::{
    Args, DONE, Reply, capability, destination, dispatcher, lookup, lookup_argument, progress, slot_pair,
};
use crate::cpu::Core;
use crate::dispatcher::{EventKind, slot};
use crate::machine::kernel_slot;

pub(super) fn identify(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let found = lookup_argument(core, a[0], 0)?;
    let slot = core.machine.slot(found);
    let word = slot.cap_type() as u64 | slot.rights().bits() << 8 | u64::from(slot.flags().bits()) << 16;
    core.results = [0, word, slot.base(), slot.size(), 0, 0, 0, 0];
    Ok(Reply::Results)
}

pub(super) fn copy(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let source = lookup(core, a[0])?;
    let ty = core.machine.slot(source).cap_type();
    let destination = slot_pair(core, &a, 1, ty)?;
    core.db.copy(&mut core.machine, source, destination, Rights::from_bits(a[3]))?;
    Ok(DONE)
}

pub(super) fn retype(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let source = lookup_argument(core, a[0], 0)?;
    let ty = CapType::from_number(a[1]).ok_or(Error::new(ErrorKind::BadType, 1))?;
    let arguments = RetypeArgs { ty, offset: a[2], object_size: a[3], count: a[4] };
    if a[4] == 0 || a[4] > abi::cap::MAX_RETYPE {
        return Err(Error::new(ErrorKind::BadCount, 4));
    }
    let first = destination(core, a[5], a[6], a[4] as u32, ty)
        .map_err(|kind| Error::new(kind, if a[5] == 0 { 6 } else { 5 }))?;
    core.db.retype(&mut core.machine, source, &arguments, first)?;
    if let CapType::EndPoint | CapType::Notify = ty {
        for index in a[2]..a[2] + a[4] {
            begin_event(core, source, ty, index as u32);
        }
    }
    Ok(DONE)
}

/// Notes that an event index is in use now. The index was checked by the retype.
fn begin_event(core: &mut Core, dispatcher: SlotRef, ty: CapType, index: u32) {
    let base = core.machine.slot(dispatcher).base();
    if let Some(d) = crate::dispatcher::DispatcherRef::at(base) {
        let kind = if ty == CapType::EndPoint { EventKind::EndPoint } else { EventKind::Notify };
        core.machine.event_mut(d, index).begin(kind);
        let used = &mut core.machine.dispatcher_mut(d).events_used;
        *used = (*used).max(index as u16 + 1);
    }
}

pub(super) fn delete(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let found = slot_pair(core, &a, 0, CapType::L2CNode)?;
    let done = core.db.delete(&mut core.machine, found)?;
    Ok(progress(core, done))
}

pub(super) fn revoke(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let found = slot_pair(core, &a, 0, CapType::L2CNode)?;
    let done = core.db.revoke(&mut core.machine, found)?;
    Ok(progress(core, done))
}

pub(super) fn resize(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let d = dispatcher(core, &a, 0)?;
    let place = |which: usize| SlotRef::at(d.base() + which as u64 * abi::cap::SLOT_SIZE);
    let (present, old) = (place(slot::CSPACE), place(slot::OLD_CSPACE));
    if core.machine.slot(old).is_empty() {
        let new = capability(core, &a, 1, CapType::L1CNode, Rights::WRITE)?;
        let Core { db, machine, .. } = core;
        db.check_resize(machine, present, new).map_err(|kind| Error::new(kind, 1))?;
        db.copy(machine, present, old, Rights::ALL)?;
        // The old root has other copies now, so this deletion is done at once.
        let _ = db.delete(machine, present)?;
        db.copy(machine, new, present, Rights::ALL)?;
    }
    let Core { db, machine, .. } = core;
    let mut done = db.resize_cspace(machine, old, present).map_err(|kind| Error::new(kind, 1))?;
    if done == Progress::Done {
        done = db.delete(machine, old)?;
    }
    Ok(progress(core, done))
}

pub(super) fn zero_unit(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let unit = capability(core, &a, 0, CapType::Unit, Rights::NONE)?;
    let done = core.db.zero_unit(&mut core.machine, unit)?;
    Ok(progress(core, done))
}

pub(super) fn trim_unit(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let unit = lookup_argument(core, a[0], 0)?;
    let behind = slot_pair(core, &a, 3, CapType::Unit)?;
    core.db.trim_unit(&mut core.machine, unit, a[1], a[2], behind)?;
    Ok(DONE)
}

/// Checks that argument 0 is a memory server's root.
fn root_ram(core: &Core, a: &Args) -> Result<(), Error> {
    let found = capability(core, a, 0, CapType::Ram, Rights::NONE)?;
    if core.machine.slot(found).flags().any(caps::Flags::ROOT) {
        Ok(())
    } else {
        Err(ErrorKind::WrongType.into())
    }
}

pub(super) fn pull_unit(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let root = capability(core, &a, 0, CapType::Ram, Rights::NONE)?;
    let (base, size) = core.db.pull_unit(&mut core.machine, root)?;
    core.results = [0, base, size, core.db.has_empty_units().into(), 0, 0, 0, 0];
    Ok(Reply::Results)
}

pub(super) fn watch_units(core: &mut Core, a: Args) -> Result<Reply, Error> {
    root_ram(core, &a)?;
    let notify = capability(core, &a, 1, CapType::Notify, Rights::WRITE)?;
    let own = core.machine.kernel_slot(kernel_slot::UNIT_WATCHER);
    let Core { db, machine, .. } = core;
    if machine.slot(own).cap_type() != CapType::Null {
        let _ = db.delete(machine, own)?;
    }
    db.copy(machine, notify, own, Rights::ALL)?;
    Ok(DONE)
}
