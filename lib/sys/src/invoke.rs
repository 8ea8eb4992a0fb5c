//! Invocations: what can be asked of a capability of each kind. Each answers with the kernel's [`Error`] when refused.

use abi::packet::Packet;
use abi::syscall::{Connection, KernelFact, MAP_FILL};
use abi::{CapType, Rights, Syscall};

use crate::cap::{
    Any, Cap, CapKind, Dispatcher, Doorbell, EndPoint, Frame, IrqSource, Kernel, L1CNode, Mappable, Mapping,
    Notify, Ram, Retypable, Slot, Unit, VNode, VNodeL0,
};
use crate::syscalls::{Answer, Arguments, Syscalls, repeat};
use crate::{Result, native};

/// A call with these arguments from `x0` on, the others 0.
fn call<const N: usize>(number: Syscall, arguments: [u64; N]) -> Result<Answer> {
    native().call(number, pad(arguments))
}

fn pad<const N: usize>(arguments: [u64; N]) -> Arguments {
    let mut all = [0; 7];
    all[..N].copy_from_slice(&arguments);
    all
}

/// What `CapIdentify` tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Its type.
    pub kind: CapType,
    /// Its rights.
    pub rights: Rights,
    /// Bit 0: no copy or descendant is on another core; 1: frozen by a revoke; 2: being deleted; 3: a memory server's
    /// root. The higher ones are the kernel's own (`caps::Flags`).
    pub flags: u64,
    /// Physical base, first interrupt or first number.
    pub base: u64,
    /// Bytes (or numbers) that it covers.
    pub size: u64,
}

/// Enters the kernel and does nothing there: for measurements.
pub fn null() {
    let _ = call(Syscall::Null, []);
}

impl<K> Cap<K> {
    /// What lies there.
    pub fn identify(self) -> Result<Identity> {
        let answer = call(Syscall::CapIdentify, [self.word()])?;
        Ok(Identity {
            kind: CapType::from_number(answer[1] & 0xff).unwrap_or(CapType::Null),
            rights: Rights::from_bits(answer[1] >> 8 & 0xff),
            flags: answer[1] >> 16,
            base: answer[2],
            size: answer[3],
        })
    }

    /// Copies it to `slot`, keeping of its rights those in `rights`.
    pub fn copy_to(self, slot: impl Into<Slot>, rights: Rights) -> Result<()> {
        let slot = slot.into();
        call(Syscall::CapCopy, [self.word(), slot.cnode.0, slot.index, rights.bits()])?;
        Ok(())
    }

    /// Deletes this copy, however many steps that takes.
    pub fn delete(self) -> Result<()> {
        Slot::own(self.address()).delete()
    }

    /// Deletes all other copies and all descendants (needs the revoke right).
    pub fn revoke(self) -> Result<()> {
        repeat(Syscall::CapRevoke, pad([0, self.word()]))
    }
}

impl Slot {
    /// Deletes what lies there.
    pub fn delete(self) -> Result<()> {
        repeat(Syscall::CapDelete, pad([self.cnode.0, self.index]))
    }
}

impl<K: Retypable> Cap<K> {
    /// Makes `count` objects of `object_size` bytes (0: the type's own size) from byte `offset` on, into `first` and
    /// the slots that follow it.
    pub fn retype<T: CapKind>(
        self,
        offset: u64,
        object_size: u64,
        count: u64,
        first: impl Into<Slot>,
    ) -> Result<()> {
        let slot = first.into();
        call(
            Syscall::CapRetype,
            [self.word(), T::TYPE as u64, offset, object_size, count, slot.cnode.0, slot.index],
        )?;
        Ok(())
    }
}

/// What `UnitPull` tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EmptyUnit {
    /// Its physical address.
    pub base: u64,
    /// Bytes.
    pub size: u64,
    /// Whether there are more, of any root.
    pub more: bool,
}

/// A window of a page table: what part of which object the entries show, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// First entry, 0 to 511.
    pub first: u64,
    /// Entries, at least 1.
    pub entries: u64,
    /// Byte offset in the object that the first entry shows.
    pub offset: u64,
    /// Read, write, execute; not the last two at once.
    pub rights: Rights,
    /// Whether the entries become valid at once.
    pub fill: bool,
}

impl<V: VNode> Cap<V> {
    /// Makes a window that shows `object`; the [`Mapping`] goes to `slot`.
    pub fn map<T: Mappable>(self, object: Cap<T>, window: Window, slot: impl Into<Slot>) -> Result<()> {
        let slot = slot.into();
        let how = window.rights.bits() | if window.fill { MAP_FILL } else { 0 };
        call(
            Syscall::Map,
            [
                self.word(),
                slot.cnode.0,
                slot.index,
                object.word(),
                window.offset,
                window.first | window.entries << 16,
                how,
            ],
        )?;
        Ok(())
    }
}

impl Cap<Mapping> {
    /// Makes `count` entries from `first` (counted in the window) on show their part of the frame.
    pub fn fill(self, first: u64, count: u64) -> Result<()> {
        call(Syscall::MappingFill, [self.word(), first, count]).map(drop)
    }
    /// Makes those entries invalid.
    pub fn clear(self, first: u64, count: u64) -> Result<()> {
        call(Syscall::MappingClear, [self.word(), first, count]).map(drop)
    }
    /// Changes the rights of the whole window, to no more than it was made with.
    pub fn protect(self, rights: Rights) -> Result<()> {
        call(Syscall::MappingProtect, [self.word(), rights.bits()]).map(drop)
    }
}

/// What a dispatcher needs before it can start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Configuration {
    /// Root of its capability space.
    pub cspace: Cap<L1CNode>,
    /// Root of its address space.
    pub vspace: Cap<VNodeL0>,
    /// Memory of its dispatcher frame, all of it.
    pub frame: Cap<Frame>,
    /// Where that frame lies in its address space.
    pub frame_address: u64,
    /// Address of its upcall vector: the entry point of a program linked with `rt`.
    pub vector: u64,
    /// Rung when it ends.
    pub ended: Option<Cap<Notify>>,
}

/// What `DispatcherInfo` tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DispatcherInfo {
    /// [`abi::frame::State`] as a number.
    pub state: u8,
    /// [`abi::frame::Cause`] as a number.
    pub cause: u8,
    /// Exit code, or the address of the fault.
    pub code: u64,
    /// Program counter of the fault.
    pub pc: u64,
    /// Exception syndrome of the fault.
    pub esr: u64,
    /// Counter ticks that it has run.
    pub ticks: u64,
}

impl Cap<Dispatcher> {
    /// Makes its endpoint with this event index.
    pub fn make_endpoint(self, event: u64, slot: impl Into<Slot>) -> Result<()> {
        self.make_event(CapType::EndPoint, event, slot.into())
    }
    /// Makes its doorbell with this event index.
    pub fn make_notify(self, event: u64, slot: impl Into<Slot>) -> Result<()> {
        self.make_event(CapType::Notify, event, slot.into())
    }
    fn make_event(self, kind: CapType, event: u64, slot: Slot) -> Result<()> {
        call(Syscall::CapRetype, [self.word(), kind as u64, event, 0, 1, slot.cnode.0, slot.index]).map(drop)
    }
    /// Moves its CSpace over to `root`, which is empty and larger than the present root CNode.
    pub fn resize_cspace(self, root: Cap<L1CNode>) -> Result<()> {
        repeat(Syscall::CSpaceResize, pad([self.word(), root.word()]))
    }
    /// Gives it all that it needs to start.
    pub fn configure(self, with: &Configuration) -> Result<()> {
        let ended = with.ended.map_or(0, Cap::word);
        let arguments = [
            self.word(),
            with.cspace.word(),
            with.vspace.word(),
            with.frame.word(),
            with.frame_address,
            with.vector,
            ended,
        ];
        call(Syscall::DispatcherConfigure, arguments).map(drop)
    }
    /// Makes it ready to run.
    pub fn start(self) -> Result<()> {
        call(Syscall::DispatcherStart, [self.word()]).map(drop)
    }
    /// Ends it.
    pub fn stop(self) -> Result<()> {
        call(Syscall::DispatcherStop, [self.word()]).map(drop)
    }
    /// How it is doing.
    pub fn info(self) -> Result<DispatcherInfo> {
        let answer = call(Syscall::DispatcherInfo, [self.word()])?;
        Ok(DispatcherInfo {
            state: answer[1] as u8,
            cause: (answer[1] >> 8) as u8,
            code: answer[2],
            pc: answer[3],
            esr: answer[4],
            ticks: answer[5],
        })
    }
    /// Asks for an upcall after each slice of `ticks`, since another thread wants to run; 0: no more.
    pub fn request_slice(self, ticks: u64) -> Result<()> {
        call(Syscall::SliceRequest, [self.word(), ticks]).map(drop)
    }
}

impl Cap<EndPoint> {
    /// Sends a packet, with a capability if there is one to go along.
    pub fn send(self, packet: &Packet, capability: Option<Cap<Any>>) -> Result<()> {
        native().send(self.address(), capability.map_or(abi::CapAddr::NULL, Cap::address), packet)
    }
    /// Puts the ring at `offset` of the dispatcher frame: a head, then `packets` (power of two, 1 to 256) packets.
    pub fn configure(self, offset: u64, packets: u64, landing: Option<abi::CapAddr>) -> Result<()> {
        let landing = landing.map_or(0, |slot| slot.0);
        call(Syscall::EndpointConfigure, [self.word(), offset, packets, landing]).map(drop)
    }
    /// Makes this end and `other` the two ends of one channel.
    pub fn connect(self, other: Cap<EndPoint>) -> Result<()> {
        call(Syscall::EndpointConnect, [self.word(), other.word()]).map(drop)
    }
    /// Wakes a sender that met a full ring.
    pub fn drained(self) -> Result<()> {
        call(Syscall::EndpointDrained, [self.word()]).map(drop)
    }
    /// Names the empty slot for the next capability; `None`: takes none.
    pub fn set_landing(self, slot: Option<abi::CapAddr>) -> Result<()> {
        call(Syscall::EndpointLanding, [self.word(), slot.map_or(0, |slot| slot.0)]).map(drop)
    }
}

impl Cap<Notify> {
    /// Rings it.
    pub fn signal(self) -> Result<()> {
        call(Syscall::NotifySignal, [self.word()]).map(drop)
    }
}

impl Cap<Doorbell> {
    /// Rings it.
    pub fn ring(self) -> Result<()> {
        call(Syscall::NotifySignal, [self.word()]).map(drop)
    }
}

impl Cap<IrqSource> {
    /// Lets each interrupt ring `notify`; it stays masked until [`Cap::ack`].
    pub fn bind(self, notify: Cap<Notify>) -> Result<()> {
        call(Syscall::IrqBind, [self.word(), notify.word()]).map(drop)
    }
    /// Ready for the next interrupt.
    pub fn ack(self) -> Result<()> {
        call(Syscall::IrqAck, [self.word()]).map(drop)
    }
}

/// What `EndpointPeer` tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndpointPeer {
    /// What it is connected with.
    pub connection: Connection,
    /// Its event, if it is the caller's own.
    pub own: Option<u32>,
    /// The event of its peer, if that is the caller's own.
    pub peer: Option<u32>,
}

/// A piece of the kernel's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Log {
    /// Position to ask for next.
    pub next: u64,
    /// How many of `bytes` count.
    pub length: usize,
    /// The text.
    pub bytes: [u8; 40],
}

impl Cap<Kernel> {
    /// Asks the core's kernel about itself.
    pub fn fact(self, fact: KernelFact) -> Result<u64> {
        Ok(call(Syscall::KernelInfo, [self.word(), fact as u64])?[1])
    }
    /// Reads the kernel's log at `position` (or at its oldest byte, if that is later).
    pub fn read_log(self, position: u64) -> Result<Log> {
        let answer = call(Syscall::LogRead, [self.word(), position])?;
        let mut bytes = [0; 40];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(&answer[3..]) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        Ok(Log { next: answer[1], length: (answer[2] as usize).min(bytes.len()), bytes })
    }
    /// Turns the machine off, or restarts it; `status` (0 to 255) is its exit status. Returns only when refused.
    pub fn power_off(self, restart: bool, status: u8) -> Result<()> {
        call(Syscall::PowerOff, [self.word(), u64::from(restart), u64::from(status)]).map(drop)
    }
    /// Starts a core with the RAM of the root `share`, which is deleted. `shared` is for both cores' monitors.
    pub fn start_core(self, core: u32, share: Cap<Ram>, shared: Cap<Frame>) -> Result<()> {
        call(Syscall::CoreStart, [self.word(), u64::from(core), share.word(), shared.word()]).map(drop)
    }
    /// A frame that the monitor of another core gives to this one.
    pub fn monitor_frame(self, base: u64, bytes: u64, slot: impl Into<Slot>) -> Result<()> {
        let slot = slot.into();
        call(Syscall::MonitorFrame, [self.word(), base, bytes, slot.cnode.0, slot.index]).map(drop)
    }
    /// Makes a notification one that other cores can ring, by this bit or some: the bit.
    pub fn export(self, notify: Cap<Notify>, bit: Option<u32>) -> Result<u32> {
        let bit = bit.map_or(u64::MAX, u64::from);
        call(Syscall::NotifyExport, [self.word(), notify.word(), bit]).map(|answer| answer[1] as u32)
    }
    /// What rings a bit of a core.
    pub fn make_doorbell(self, core: u32, bit: u32, slot: impl Into<Slot>) -> Result<()> {
        let slot = slot.into();
        let arguments = [self.word(), u64::from(core), u64::from(bit), slot.cnode.0, slot.index];
        call(Syscall::DoorbellMake, arguments).map(drop)
    }
    /// What an endpoint is connected with, and what of that is the caller's.
    pub fn endpoint_peer(self, endpoint: Cap<EndPoint>) -> Result<EndpointPeer> {
        let answer = call(Syscall::EndpointPeer, [self.word(), endpoint.word()])?;
        let event = |word: u64| u32::try_from(word).ok();
        let connection = Connection::from_number(answer[1]).unwrap_or(Connection::Ended);
        Ok(EndpointPeer { connection, own: event(answer[2]), peer: event(answer[3]) })
    }
}

impl Cap<Unit> {
    /// Zeroes it to its end.
    pub fn zero(self) -> Result<()> {
        repeat(Syscall::UnitZero, pad([self.word()]))
    }
    /// Gives `bytes` bytes from `offset` on, over which no capability may lie, back to the root that it was made of. What is
    /// left behind them comes to `behind` if something is left before them, too; otherwise that slot stays empty.
    pub fn trim(self, offset: u64, bytes: u64, behind: impl Into<Slot>) -> Result<()> {
        let slot = behind.into();
        call(Syscall::UnitTrim, [self.word(), offset, bytes, slot.cnode.0, slot.index]).map(drop)
    }
}

impl Cap<Ram> {
    /// Of a memory server's root: the next unit without capabilities.
    pub fn pull_unit(self) -> Result<EmptyUnit> {
        let answer = call(Syscall::UnitPull, [self.word()])?;
        Ok(EmptyUnit { base: answer[1], size: answer[2], more: answer[3] != 0 })
    }
    /// Of a memory server's root: rings `notify` when units become empty.
    pub fn watch_units(self, notify: Cap<Notify>) -> Result<()> {
        call(Syscall::UnitWatch, [self.word(), notify.word()]).map(drop)
    }
}
