//! System calls about the core itself. All but `DebugPrint` need the Kernel capability (K5).

use abi::syscall::KernelFact;
use abi::{CapType, Error, ErrorKind, Rights};

use super::{Args, DONE, Reply, capability};
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
        KernelFact::Core => u64::from(core.id),
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
