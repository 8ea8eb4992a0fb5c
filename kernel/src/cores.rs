//! Starting other cores.
//!
//! A core gets RAM of its own, whole: the root that names it is given away with it. The first pages of that become its kernel's
//! boot pages; the facts of the machine, with what of it is the new core's, are left in them. From the moment when
//! firmware starts it, nothing on this core touches that memory again (K1).

use abi::ErrorKind;
use caps::{Machine as _, SlotRef};

use crate::arch;
use crate::boot_facts::{BootFacts, Range};
use crate::cpu::Core;

/// Least RAM that a core can be started with: its boot pages, `init` and what that lives on until it has a memory server.
pub const MIN_SHARE: u64 = 32 << 20;

/// Starts core `id` with the RAM that the root in `share` names, which is deleted. Its monitor finds the frame in `shared`
/// among what it is given, too.
///
/// # Errors
/// Nothing has changed then, but what lies in the RAM. `NoCore`: the machine has no such core. `CoreRuns`, `CoreFailed`: what firmware
/// says. `WrongType` for a share that is no root Ram; `UnitBusy` when something was made of it, or there is a
/// copy; `TooSmall` below [`MIN_SHARE`].
pub fn start(core: &mut Core, id: u32, share: SlotRef, shared: SlotRef) -> Result<(), ErrorKind> {
    let facts = core.facts;
    let Some(&affinity) = facts.machine.cores.as_slice().get(id as usize) else {
        return Err(ErrorKind::NoCore);
    };
    if id == facts.core {
        return Err(ErrorKind::CoreRuns);
    }
    core.db.check_lone_root(&core.machine, share)?;
    let m = &mut core.machine;
    let range = |slot: &caps::Slot| Range { base: slot.base(), size: slot.size() };
    let (ram, monitor) = (range(m.slot(share)), range(m.slot(shared)));
    if ram.size < MIN_SHARE {
        return Err(ErrorKind::TooSmall);
    }
    let place = m.hardware.direct_map(ram.base + arch::facts_offset()).cast::<BootFacts>();
    // SAFETY: inside the boot pages of the new core, aligned to a page. They lie in RAM to which there is one capability, a
    // root that nothing was made of, so nobody has a view of it.
    let theirs = unsafe {
        place.copy_from_nonoverlapping(facts, 1);
        &mut *place
    };
    theirs.hand_over(id, ram, arch::boot_bytes(), m.doorbells.base(), monitor);
    m.hardware.start_core(affinity, facts.kernel.base, Range { base: ram.base, size: arch::boot_bytes() })?;
    // One action: nothing was made of it.
    core.db.delete(&mut core.machine, share).map(drop)
}
