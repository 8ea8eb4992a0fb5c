//! System calls: each is `fn(&mut Core, Args) -> Result<Reply, Error>`: decode (fallible, changes
//! nothing), then commit. [`call`] is the one table; the entry code in `arch` jumps through it.

mod capabilities;
pub(crate) mod dispatchers;
mod endpoints;
mod kernel;
mod mappings;
mod waiting;

use abi::{CapAddr, CapType, Error, ErrorKind, Rights, Syscall};
use caps::{CNode, Db, Machine as _, Progress, SlotRef};

use crate::cpu::Core;
use crate::dispatcher::{DispatcherRef, slot};
use crate::machine::Machine;

/// The words in `x0` to `x6`: allegations.
pub type Args = [u64; 7];

/// How a system call that was not refused goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reply {
    /// Returns to the caller with this in `x1`.
    Value(u64),
    /// Returns to the caller with `Core::results` in `x1` to `x7`.
    Results,
    /// Does not return to the caller: whoever is next runs.
    Switch,
}

/// Nothing to tell but success.
pub const DONE: Reply = Reply::Value(0);

/// Runs the system call with this number. `core.packet` holds the packet of a send.
///
/// Always inlined: the entry code has a handler for each number, in which only one arm is left.
#[inline(always)]
pub fn call(core: &mut Core, number: u64, a: Args) -> Result<Reply, Error> {
    dispatch::<true>(core, number, a)
}

/// As [`call`]. Without `COUNTED` there is no code for those whose instructions are counted, which the entry code does not send here.
#[inline(always)]
pub fn dispatch<const COUNTED: bool>(core: &mut Core, number: u64, a: Args) -> Result<Reply, Error> {
    let Some(number) = Syscall::from_number(number) else {
        return Err(ErrorKind::UnknownSyscall.into());
    };
    macro_rules! counted {
        ($call:expr) => {
            if COUNTED { $call } else { Err(ErrorKind::UnknownSyscall.into()) }
        };
    }
    use Syscall::*;
    match number {
        Null => counted!(Ok(DONE)),
        Send => counted!(waiting::send(core, a)),
        SendWait => crate::lmp::send_wait(core, a[0], a[1], a[2]),
        Wait => counted!(waiting::wait(core, a)),
        Yield => waiting::yield_now(core, a),
        Resume => counted!(waiting::resume(core, a)),
        Exit => waiting::exit(core, a),
        DebugPrint => kernel::debug_print(core, a),
        CapIdentify => capabilities::identify(core, a),
        CapCopy => counted!(capabilities::copy(core, a)),
        CapRetype => capabilities::retype(core, a),
        CapDelete => counted!(capabilities::delete(core, a)),
        CapRevoke => counted!(capabilities::revoke(core, a)),
        CSpaceResize => capabilities::resize(core, a),
        Map => counted!(mappings::map(core, a)),
        MappingFill => counted!(mappings::fill(core, a)),
        MappingClear => mappings::clear(core, a),
        MappingProtect => mappings::protect(core, a),
        DispatcherConfigure => dispatchers::configure(core, a),
        DispatcherStart => dispatchers::start(core, a),
        DispatcherStop => dispatchers::stop(core, a),
        DispatcherInfo => dispatchers::info(core, a),
        SliceRequest => dispatchers::slice(core, a),
        EndpointConfigure => endpoints::configure(core, a),
        EndpointConnect => endpoints::connect(core, a),
        EndpointDrained => endpoints::drained(core, a),
        EndpointLanding => endpoints::landing(core, a),
        NotifySignal => endpoints::signal(core, a),
        IrqBind => endpoints::bind_interrupt(core, a),
        IrqAck => endpoints::acknowledge_interrupt(core, a),
        KernelInfo => kernel::info(core, a),
        LogRead => kernel::read_log(core, a),
        PowerOff => kernel::power_off(core, a),
        ConsoleRelease => kernel::release_console(core, a),
        UnitZero => capabilities::zero_unit(core, a),
        UnitPull => capabilities::pull_unit(core, a),
        UnitWatch => capabilities::watch_units(core, a),
        UnitTrim => capabilities::trim_unit(core, a),
        CoreStart => kernel::start_core(core, a),
        MonitorFrame => kernel::monitor_frame(core, a),
        NotifyExport => endpoints::export(core, a),
        DoorbellMake => kernel::make_doorbell(core, a),
        EndpointPeer => endpoints::peer(core, a),
    }
}

/// The root CNode of a dispatcher.
#[inline]
pub fn cspace(m: &Machine, d: DispatcherRef) -> Result<CNode, ErrorKind> {
    CNode::of(&m.dispatcher(d).slots[slot::CSPACE]).ok_or(ErrorKind::NoCNode)
}

/// The slot, empty or not, that a capability address names for a dispatcher.
#[inline]
pub fn slot_of(m: &Machine, d: DispatcherRef, address: u64) -> Result<SlotRef, ErrorKind> {
    match Db::slot_at(m, cspace(m, d)?, CapAddr(address)) {
        Err(ErrorKind::NoCNode) => slot_in_old_root(m, d, address),
        found => found,
    }
}

/// While a CSpace grows, what has not moved yet is found in its old root.
#[cold]
fn slot_in_old_root(m: &Machine, d: DispatcherRef, address: u64) -> Result<SlotRef, ErrorKind> {
    let old = CNode::of(&m.dispatcher(d).slots[slot::OLD_CSPACE]).ok_or(ErrorKind::NoCNode)?;
    Db::slot_at(m, old, CapAddr(address))
}

/// The capability that an address of the caller names.
#[inline]
pub fn lookup(core: &Core, address: u64) -> Result<SlotRef, ErrorKind> {
    let d = core.machine.current.ok_or(ErrorKind::NoCNode)?;
    let found = slot_of(&core.machine, d, address)?;
    if core.machine.slot(found).is_empty() { Err(ErrorKind::EmptySlot) } else { Ok(found) }
}

/// As [`lookup`], for argument number `argument` of calls where a copy of it each would be too much.
#[inline(never)]
pub fn lookup_argument(core: &Core, address: u64, argument: u8) -> Result<SlotRef, Error> {
    lookup(core, address).map_err(|kind| Error::new(kind, argument))
}

/// The slots, empty or not, that addresses of the caller name; `None` when one names none, or is found in the long way
/// only. For calls whose instructions are counted: one look at the root serves all, and nothing says what was wrong.
#[inline(always)]
fn slots_at<const N: usize>(core: &Core, addresses: [u64; N]) -> Option<[SlotRef; N]> {
    let m = &core.machine;
    let root = cspace(m, m.current?).ok()?;
    let mut found = [SlotRef::NONE; N];
    for (slot, address) in found.iter_mut().zip(addresses) {
        *slot = Db::slot_at(m, root, CapAddr(address)).ok()?;
    }
    Some(found)
}

/// A capability of the caller with this type and at least these rights, from argument number `argument`.
fn capability(core: &Core, a: &Args, argument: u8, ty: CapType, rights: Rights) -> Result<SlotRef, Error> {
    let check = || {
        let found = lookup(core, a[usize::from(argument)])?;
        let slot = core.machine.slot(found);
        if slot.cap_type() != ty {
            Err(ErrorKind::WrongType)
        } else if !slot.rights().contains(rights) {
            Err(ErrorKind::MissingRight)
        } else {
            Ok(found)
        }
    };
    check().map_err(|kind| Error::new(kind, argument))
}

/// A dispatcher of the caller's capabilities.
fn dispatcher(core: &Core, a: &Args, argument: u8) -> Result<DispatcherRef, Error> {
    let found = capability(core, a, argument, CapType::Dispatcher, Rights::WRITE)?;
    DispatcherRef::at(core.machine.slot(found).base()).ok_or(Error::new(ErrorKind::WrongType, argument))
}

/// A slot for a capability of type `ty`, named by a pair of arguments, the first of which is number `argument`. It may be empty.
fn slot_pair(core: &Core, a: &Args, argument: u8, ty: CapType) -> Result<SlotRef, Error> {
    let (cnode, slot) = (a[usize::from(argument)], a[usize::from(argument) + 1]);
    if cnode == 0 {
        let d = core.machine.current.ok_or(ErrorKind::NoCNode)?;
        return slot_of(&core.machine, d, slot).map_err(|kind| Error::new(kind, argument + 1));
    }
    destination(core, cnode, slot, 1, ty).map_err(|kind| Error::new(kind, argument))
}

/// The first of `count` slots that a pair of words of the caller names, for capabilities of type `ty`.
fn destination(core: &Core, cnode: u64, slot: u64, count: u32, ty: CapType) -> Result<SlotRef, ErrorKind> {
    let d = core.machine.current.ok_or(ErrorKind::NoCNode)?;
    let roots = &core.machine.dispatcher(d).slots;
    let mut found = Err(ErrorKind::NoCNode);
    // While the CSpace grows, what has not moved yet is found in its old root.
    for which in [slot::CSPACE, slot::OLD_CSPACE] {
        if let (Err(ErrorKind::NoCNode), Some(root)) = (found, CNode::of(&roots[which])) {
            found = Db::destination(&core.machine, root, CapAddr(cnode), slot, count, ty);
        }
    }
    found
}

/// The answer of an operation that goes in steps. The caller itself may have gone with what was deleted.
fn progress(core: &Core, progress: Progress) -> Reply {
    if core.machine.current.is_none() {
        Reply::Switch
    } else {
        Reply::Value(u64::from(progress == Progress::More))
    }
}
