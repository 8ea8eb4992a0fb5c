//! System calls on page tables.

use abi::syscall::MAP_FILL;
use abi::{CapType, Error, Rights};
use caps::{Db, MapArgs, SlotRef};

use super::{Args, DONE, Reply, capability, lookup_argument, slot_pair, slots_at};
use crate::cpu::Core;

#[inline(always)]
pub(super) fn map(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let [vnode, destination, target] = match slots_at(core, [a[0], a[2], a[3]]) {
        Some(found) if a[1] == 0 => found,
        _ => map_slots(core, &a)?,
    };
    let (first, count) = (a[5] & 0xffff, a[5] >> 16);
    let arguments =
        MapArgs { offset: a[4], first, count, rights: Rights::from_bits(a[6]), fill: a[6] & MAP_FILL != 0 };
    core.db.map(&mut core.machine, vnode, destination, target, &arguments)?;
    Ok(DONE)
}

/// VNode, destination and target of `map`, in the long way.
#[cold]
fn map_slots(core: &Core, a: &Args) -> Result<[SlotRef; 3], Error> {
    let vnode = lookup_argument(core, a[0], 0)?;
    let destination = slot_pair(core, a, 1, CapType::Mapping)?;
    Ok([vnode, destination, lookup_argument(core, a[3], 3)?])
}

#[inline(always)]
pub(super) fn fill(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let mapping = match slots_at(core, [a[0]]) {
        Some([found]) => found,
        None => lookup_argument(core, a[0], 0)?,
    };
    Db::fill(&mut core.machine, mapping, a[1], a[2])?;
    Ok(DONE)
}

pub(super) fn clear(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let mapping = capability(core, &a, 0, CapType::Mapping, Rights::NONE)?;
    Db::clear_window(&mut core.machine, mapping, a[1], a[2])?;
    Ok(DONE)
}

pub(super) fn protect(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let mapping = capability(core, &a, 0, CapType::Mapping, Rights::NONE)?;
    Db::protect(&mut core.machine, mapping, Rights::from_bits(a[1]))?;
    Ok(DONE)
}
