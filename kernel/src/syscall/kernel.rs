//! System calls about the core itself. All but `DebugPrint` need the Kernel capability (K5).

use abi::cap::DOORBELL_BITS;
use abi::syscall::KernelFact;
use abi::{CapType, Error, ErrorKind, Rights};
use caps::Root;

use super::{Args, DONE, Reply, capability, slot_pair};
use crate::cores;
use crate::cpu::Core;

pub(super) fn debug_print(core: &mut Core, a: Args) -> Result<Reply, Error> {
    let count = a[0] as usize;
    if a[0] == 0 || a[0] > 48 {
        return Err(ErrorKind::BadArgument.into());
    }
    let mut bytes = [0; 48];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(&a[1..]) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    core.log.append(&bytes[..count]);
    Ok(DONE)
}

pub(super) fn info(core: &mut Core, a: Args) -> Result<Reply, Error> {
    capability(core, &a, 0, CapType::Kernel, Rights::NONE)?;
    let fact = KernelFact::from_number(a[1]).ok_or(Error::new(ErrorKind::BadArgument, 1))?;
    let m = &core.machine;
    Ok(Reply::Value(match fact {
        KernelFact::Core => u64::from(core.facts.core),
        KernelFact::Capabilities => core.db.count(),
        KernelFact::KernelBytes => core.kernel_bytes,
        KernelFact::Dispatchers => m.dispatchers,
        KernelFact::Interrupts => m.interrupts_taken,
        KernelFact::Switches => m.switches,
    }))
}

pub(super) fn read_log(core: &mut Core, a: Args) -> Result<Reply, Error> {
    capability(core, &a, 0, CapType::Kernel, Rights::NONE)?;
    let mut bytes = [0; 40];
    let (next, found) = core.log.read_at(a[1]);
    let count = found.len().min(40);
    bytes[..count].copy_from_slice(&found[..count]);
    let next = next - (found.len() - count) as u64;
    core.results = [0; 8];
    (core.results[1], core.results[2]) = (next, count as u64);
    for (word, chunk) in core.results[3..].iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*chunk);
    }
    Ok(Reply::Results)
}

pub(super) fn power_off(core: &mut Core, a: Args) -> Result<Reply, Error> {
    capability(core, &a, 0, CapType::Kernel, Rights::NONE)?;
    match a[1] {
        0 => core.machine.hardware.power_off(a[2]),
        1 => core.machine.hardware.restart(),
        _ => Err(Error::new(ErrorKind::BadArgument, 1)),
    }
}

pub(super) fn release_console(core: &mut Core, a: Args) -> Result<Reply, Error> {
    capability(core, &a, 0, CapType::Kernel, Rights::NONE)?;
    core.log.stop_mirror();
    Ok(DONE)
}

pub(super) fn start_core(core: &mut Core, a: Args) -> Result<Reply, Error> {
    capability(core, &a, 0, CapType::Kernel, Rights::NONE)?;
    let share = capability(core, &a, 2, CapType::Ram, Rights::ALL)?;
    let shared = capability(core, &a, 3, CapType::Frame, Rights::READ.or(Rights::WRITE))?;
    let id = u32::try_from(a[1]).map_err(|_| Error::new(ErrorKind::NoCore, 1))?;
    cores::start(core, id, share, shared).map_err(|kind| Error::new(kind, 2))?;
    Ok(DONE)
}

/// A capability that only a monitor can vouch for, made from its numbers.
fn make(core: &mut Core, a: Args, ty: CapType, base: u64, size: u64, rights: Rights) -> Result<Reply, Error> {
    let slot = slot_pair(core, &a, 3, ty)?;
    let root = Root { ty, rights, base, size };
    core.db.insert_number(&mut core.machine, slot, &root).map_err(|kind| Error::new(kind, 1))?;
    Ok(DONE)
}

pub(super) fn monitor_frame(core: &mut Core, a: Args) -> Result<Reply, Error> {
    capability(core, &a, 0, CapType::Kernel, Rights::NONE)?;
    make(core, a, CapType::Frame, a[1], a[2], Rights::READ.or(Rights::WRITE))
}

pub(super) fn make_doorbell(core: &mut Core, a: Args) -> Result<Reply, Error> {
    capability(core, &a, 0, CapType::Kernel, Rights::NONE)?;
    if a[1] >= core.facts.machine.cores.as_slice().len() as u64 || a[2] >= DOORBELL_BITS {
        return Err(Error::new(ErrorKind::NoCore, 1));
    }
    make(core, a, CapType::Doorbell, a[1] * DOORBELL_BITS + a[2], 1, Rights::WRITE)
}
