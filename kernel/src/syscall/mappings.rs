//! System calls on page tables.

use abi::syscall::MAP_FILL;
use abi::{CapType, Error, Rights};
use caps::{Db, MapArgs};

use super::{Args, DONE, Reply, capability, lookup, slot_pair};
use crate::cpu::Core;

pub(super) fn map(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let vnode = lookup(core, a[0]).map_err(|kind| Error::new(kind, 0))?;
    let destination = slot_pair(core, &a, 1, CapType::Mapping)?;
    let target = lookup(core, a[3]).map_err(|kind| Error::new(kind, 3))?;
    let (first, count) = (a[5] & 0xffff, a[5] >> 16);
    let arguments =
        MapArgs { offset: a[4], first, count, rights: Rights::from_bits(a[6]), fill: a[6] & MAP_FILL != 0 };
    core.db.map(&mut core.machine, vnode, destination, target, &arguments)?;
    Ok(DONE)
}

pub(super) fn fill(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let mapping = capability(core, &a, 0, CapType::Mapping, Rights::NONE)?;
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
