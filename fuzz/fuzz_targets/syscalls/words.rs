//! Words that mean something to the kernel, made of the bytes of an input.

use abi::boot::BOOT_CNODE;
use abi::cap::CapAddr;
use abi::layout::{
    EARLY_RAM, FRAME_BASE, KERNEL, MAP_BASE, PAGE_CNODE, ROOT_CNODE, ROOT_VNODE, SELF_DISPATCHER, SELF_FRAME,
    SELF_TASK_CNODE, TASK_CNODE, TOP_BASE, USER_END,
};
use abi::{CapType, Syscall};
use kernel::syscall::Args;
use libfuzzer_sys::arbitrary::{Result, Unstructured};

use super::slot;

/// What an argument of a system call is for.
#[derive(Clone, Copy)]
enum Kind {
    /// A capability address: half of the time one of these, otherwise any.
    Cap(&'static [CapAddr]),
    /// The CNode of a slot pair: mostly the own CSpace.
    CNode,
    /// A number of [`abi::CapType`], for memory or for events.
    Type,
    EventType,
    /// A byte offset.
    Offset,
    /// Bytes of an object.
    Size,
    /// A small number.
    Small,
    /// Rights, and [`abi::syscall::MAP_FILL`].
    Rights,
    /// First entry and number of entries.
    Window,
    /// A user address.
    Address,
    /// Counter ticks.
    Time,
    /// Probably not looked at.
    Any,
}
use Kind::*;

const ANY_CAP: Kind = Cap(&[]);
const MEMORY: Kind = Cap(&[EARLY_RAM, boot(1), boot(2), boot(3), slot(1), slot(8), slot(9)]);
const DISPATCHER: Kind = Cap(&[SELF_DISPATCHER, slot(0), slot(16)]);
const ENDPOINT: Kind = Cap(&[slot(2), slot(3), slot(4), slot(5), slot(10), slot(11)]);
const NOTIFY: Kind = Cap(&[slot(6), slot(7), slot(12)]);
const FRAME: Kind = Cap(&[SELF_FRAME, slot(1), slot(13)]);
const VNODE: Kind = Cap(&[ROOT_VNODE, page(1), page(3), page(5), page(6), slot(14), slot(15)]);
const MAPPING: Kind = Cap(&[page(2), page(4), page(8), page(10), slot(17), slot(18)]);
const CSPACE: Kind = Cap(&[ROOT_CNODE, SELF_TASK_CNODE, slot(19)]);
const IRQ: Kind = Cap(&[boot(6), slot(20), slot(21)]);
const CORE: Kind = Cap(&[KERNEL]);

const fn boot(number: u64) -> CapAddr {
    CapAddr::new(BOOT_CNODE, number)
}

const fn page(number: u64) -> CapAddr {
    CapAddr::new(PAGE_CNODE, number)
}

/// A system call, three times in four with arguments of the right kinds.
pub fn call(input: &mut Unstructured) -> Result<(u64, Args)> {
    let (number, kinds) = if input.ratio(1, 4)? {
        (input.int_in_range(0..=39)?, [Any; 7])
    } else {
        let (number, kinds) = input.choose(SHAPES)?;
        (*number as u64, *kinds)
    };
    let mut arguments = [0; 7];
    for (argument, kind) in arguments.iter_mut().zip(kinds) {
        *argument = of_kind(kind, input)?;
    }
    Ok((number, arguments))
}

/// The calls that take something apart, twice where there are two ways of doing so.
const SHAPES: &[(Syscall, [Kind; 7])] = &[
    (Syscall::Send, [ENDPOINT, Time, ANY_CAP, Any, Any, Any, Any]),
    (Syscall::SendWait, [ENDPOINT, Time, Any, Any, Any, Any, Any]),
    (Syscall::Wait, [Time, Any, Any, Any, Any, Any, Any]),
    (Syscall::Yield, [Any; 7]),
    (Syscall::Resume, [Small, Any, Any, Any, Any, Any, Any]),
    (Syscall::CapIdentify, [ANY_CAP, Any, Any, Any, Any, Any, Any]),
    (Syscall::CapCopy, [ANY_CAP, CNode, ANY_CAP, Rights, Any, Any, Any]),
    (Syscall::CapRetype, [MEMORY, Type, Offset, Size, Small, CNode, ANY_CAP]),
    (Syscall::CapRetype, [MEMORY, Type, Offset, Size, Small, CNode, ANY_CAP]),
    (Syscall::CapRetype, [DISPATCHER, EventType, Small, Any, Small, CNode, ANY_CAP]),
    (Syscall::CapRetype, [IRQ, Type, Small, Small, Small, CNode, ANY_CAP]),
    (Syscall::CapDelete, [CNode, ANY_CAP, Any, Any, Any, Any, Any]),
    (Syscall::CapRevoke, [CNode, ANY_CAP, Any, Any, Any, Any, Any]),
    (Syscall::CSpaceResize, [DISPATCHER, CSPACE, Any, Any, Any, Any, Any]),
    (Syscall::Map, [VNODE, CNode, ANY_CAP, FRAME, Offset, Window, Rights]),
    (Syscall::Map, [VNODE, CNode, ANY_CAP, VNODE, Any, Window, Rights]),
    (Syscall::MappingFill, [MAPPING, Small, Small, Any, Any, Any, Any]),
    (Syscall::MappingClear, [MAPPING, Small, Small, Any, Any, Any, Any]),
    (Syscall::MappingProtect, [MAPPING, Rights, Any, Any, Any, Any, Any]),
    (Syscall::DispatcherConfigure, [DISPATCHER, CSPACE, VNODE, FRAME, Address, Address, NOTIFY]),
    (Syscall::DispatcherStart, [DISPATCHER, Any, Any, Any, Any, Any, Any]),
    (Syscall::DispatcherStop, [DISPATCHER, Any, Any, Any, Any, Any, Any]),
    (Syscall::DispatcherInfo, [DISPATCHER, Any, Any, Any, Any, Any, Any]),
    (Syscall::SliceRequest, [DISPATCHER, Time, Any, Any, Any, Any, Any]),
    (Syscall::EndpointConfigure, [ENDPOINT, Offset, Small, ANY_CAP, Any, Any, Any]),
    (Syscall::EndpointConnect, [ENDPOINT, ENDPOINT, Any, Any, Any, Any, Any]),
    (Syscall::EndpointDrained, [ENDPOINT, Any, Any, Any, Any, Any, Any]),
    (Syscall::EndpointLanding, [ENDPOINT, ANY_CAP, Any, Any, Any, Any, Any]),
    (Syscall::NotifySignal, [NOTIFY, Any, Any, Any, Any, Any, Any]),
    (Syscall::IrqBind, [IRQ, NOTIFY, Any, Any, Any, Any, Any]),
    (Syscall::IrqAck, [IRQ, Any, Any, Any, Any, Any, Any]),
    (Syscall::LogRead, [CORE, Small, Any, Any, Any, Any, Any]),
    (Syscall::UnitZero, [MEMORY, Any, Any, Any, Any, Any, Any]),
    (Syscall::UnitPull, [MEMORY, Any, Any, Any, Any, Any, Any]),
    (Syscall::UnitWatch, [MEMORY, NOTIFY, Any, Any, Any, Any, Any]),
    (Syscall::UnitTrim, [MEMORY, Offset, Size, CNode, ANY_CAP, Any, Any]),
];

/// A word of any kind.
pub fn word(input: &mut Unstructured) -> Result<u64> {
    let all = [ANY_CAP, CNode, Type, Offset, Size, Small, Rights, Window, Address, Time];
    let kind = *input.choose(&all)?;
    if input.ratio(1, 8)? { input.arbitrary() } else { of_kind(kind, input) }
}

/// A user address: in the places where `init` has something, near them, or anywhere.
pub fn address(input: &mut Unstructured) -> Result<u64> {
    let offset = u64::from(input.arbitrary::<u16>()?) << 3;
    let base = [
        FRAME_BASE,
        FRAME_BASE + (1 << 20),
        0x20_0000,
        MAP_BASE,
        TOP_BASE + (2 << 20),
        USER_END,
        input.arbitrary()?,
    ];
    Ok(input.choose(&base)?.wrapping_add(offset))
}

fn of_kind(kind: Kind, input: &mut Unstructured) -> Result<u64> {
    Ok(match kind {
        Cap(likely) if !likely.is_empty() && input.arbitrary()? => input.choose(likely)?.0,
        Cap(_) => any_capability(input)?,
        CNode if input.ratio(3, 4)? => 0,
        CNode => of_kind(CSPACE, input)?,
        Type => input.int_in_range(0..=17)?,
        EventType => input.int_in_range(CapType::EndPoint as u64..=CapType::Notify as u64)?,
        Offset if input.arbitrary()? => input.int_in_range(0..=255u64)? << 6,
        Offset => input.int_in_range(0..=1024u64)? << 12,
        Size if input.arbitrary()? => 0,
        Size => 1 << input.int_in_range(8..=23)?,
        Small => input.int_in_range(0..=16)?,
        Rights => u64::from(input.arbitrary::<u16>()?) & 0x1ff,
        Window => input.int_in_range(0..=511u64)? | input.int_in_range(0..=64u64)? << 16,
        Address => address(input)? & !0xfff,
        Time if input.arbitrary()? => u64::MAX,
        Time => u64::from(input.arbitrary::<u32>()?),
        Any => word_or_nothing(input)?,
    })
}

/// A slot of the places that hold something, and of those that inputs fill.
fn any_capability(input: &mut Unstructured) -> Result<u64> {
    Ok(match input.int_in_range(0..=7)? {
        0 | 1 => CapAddr::new(TASK_CNODE, input.int_in_range(0..=17)?),
        2 => boot(input.int_in_range(0..=20)?),
        3 => page(input.int_in_range(0..=24)?),
        _ => slot(input.int_in_range(0..=31)?),
    }
    .0)
}

/// Bytes are dear: what probably is not looked at takes one.
fn word_or_nothing(input: &mut Unstructured) -> Result<u64> {
    if input.ratio(3, 4)? { Ok(0) } else { word(input) }
}
