//! What the model knows, and how it answers.

use std::collections::{BTreeMap, VecDeque};

use abi::cap::{L1_CNODE_MIN_SIZE, L2_CNODE_SIZE, L2_SLOTS, SLOT_SIZE, VNODE_SIZE};
use abi::frame::{RING_PEER_GONE, RING_SENDER_BLOCKED, RING_WRITABLE};
use abi::layout::{ROOT_CNODE, SELF_DISPATCHER};
use abi::packet::{HEADER_CAPABILITY, Packet};
use abi::{CapAddr, CapType, Error, ErrorKind, PAGE_SIZE, Rights, Syscall};

use super::frame::FrameMemory;
use super::units::Units;
use crate::Result;
use crate::syscalls::{Answer, Arguments};

/// A capability of the model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capability {
    /// Its type.
    pub kind: CapType,
    /// Its rights.
    pub rights: Rights,
    /// Base address, or event index.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

/// A packet that left the domain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    /// Through which capability.
    pub endpoint: CapAddr,
    /// With which capability, or [`CapAddr::NULL`].
    pub capability: CapAddr,
    /// The packet.
    pub packet: Packet,
}

struct Ring {
    offset: u64,
    packets: u64,
    tail: u32,
    landing: u64,
}

/// The model: public parts are for tests to set up and to look at.
pub struct Fake {
    /// What lies where in the CSpace.
    pub slots: BTreeMap<u64, Capability>,
    /// Slots of the root CNode that hold a CNode.
    pub cnodes: BTreeMap<u64, u64>,
    /// Slots of the root CNode.
    pub root_slots: u64,
    /// Every packet that was sent, oldest first.
    pub sent: Vec<Sent>,
    /// Answers to the next sends, oldest first; when empty a send succeeds.
    pub refusals: VecDeque<Option<Error>>,
    /// What `DebugPrint` got.
    pub log: Vec<u8>,
    /// Calls so far, oldest first.
    pub calls: Vec<(Syscall, Arguments)>,
    /// After so many more calls, one is refused as `Full`. Deleting and pulling do not count: that is never refused for want
    /// of something.
    pub refuse_after: Option<usize>,
    pub(super) units: Units,
    rings: BTreeMap<u64, Ring>,
    frame: Option<FrameMemory>,
}

impl Fake {
    pub(super) fn new() -> Fake {
        let mut fake = Fake {
            slots: BTreeMap::new(),
            cnodes: BTreeMap::from([(0, 0), (1, 0)]),
            root_slots: L1_CNODE_MIN_SIZE / SLOT_SIZE,
            sent: Vec::new(),
            refusals: VecDeque::new(),
            log: Vec::new(),
            calls: Vec::new(),
            refuse_after: None,
            units: Units::default(),
            rings: BTreeMap::new(),
            frame: None,
        };
        fake.install(SELF_DISPATCHER, CapType::Dispatcher, 0, PAGE_SIZE);
        fake.install(ROOT_CNODE, CapType::L1CNode, 0, L1_CNODE_MIN_SIZE);
        fake
    }

    /// Puts a capability with all rights into the CSpace.
    pub fn install(&mut self, at: CapAddr, kind: CapType, base: u64, size: u64) {
        self.slots.insert(at.0, Capability { kind, rights: Rights::ALL, base, size });
    }

    /// Makes `size` bytes at `base` the dispatcher frame. They must live as long as the model is used.
    pub fn set_frame(&mut self, base: *mut u8, size: u64) {
        self.frame = Some(FrameMemory::new(base, size));
    }

    fn frame(&self) -> FrameMemory {
        self.frame.expect("the test has given no dispatcher frame")
    }

    /// A peer sends `packet` to the endpoint with this event index while the domain does not wait:
    /// it goes to the ring. A capability goes to the landing slot.
    ///
    /// # Errors
    /// `NoRing`, `Full` and `NoLandingSlot`, as the peer would see them.
    pub fn deliver(&mut self, event: u64, mut packet: Packet, capability: Option<Capability>) -> Result<()> {
        let frame = self.frame();
        let ring = self.rings.get_mut(&event).ok_or(ErrorKind::NoRing)?;
        if u64::from(ring.tail.wrapping_sub(frame.head(ring.offset))) >= ring.packets {
            frame.set_flags(ring.offset, RING_SENDER_BLOCKED);
            return Err(ErrorKind::Full.into());
        }
        if let Some(capability) = capability {
            let landing = std::mem::take(&mut ring.landing);
            if landing == 0 {
                return Err(ErrorKind::NoLandingSlot.into());
            }
            self.slots.insert(landing, capability);
            packet.header |= HEADER_CAPABILITY;
        }
        frame.put(ring.offset, ring.packets, ring.tail, &packet);
        ring.tail = ring.tail.wrapping_add(1);
        frame.set_ready(event);
        Ok(())
    }

    /// Takes the landing slot of an endpoint, as a direct delivery with a capability does.
    pub fn land(&mut self, event: u64, capability: Capability) -> Result<()> {
        let ring = self.rings.get_mut(&event).ok_or(ErrorKind::NoRing)?;
        let landing = std::mem::take(&mut ring.landing);
        if landing == 0 {
            return Err(ErrorKind::NoLandingSlot.into());
        }
        self.slots.insert(landing, capability);
        Ok(())
    }

    /// The peer of this endpoint goes away.
    pub fn peer_gone(&mut self, event: u64) {
        self.flag(event, RING_PEER_GONE);
    }

    /// The peer of this endpoint has room again.
    pub fn writable(&mut self, event: u64) {
        self.flag(event, RING_WRITABLE);
    }

    fn flag(&mut self, event: u64, flags: u32) {
        let frame = self.frame();
        frame.set_flags(self.rings[&event].offset, flags);
        frame.set_ready(event);
    }

    /// Somebody rings the doorbell with this event index.
    pub fn ring_bell(&mut self, event: u64) {
        self.frame().set_ready(event);
    }

    /// Whether an event is ready, so that a wait returns at once.
    pub fn pending(&self) -> bool {
        self.frame().pending()
    }

    /// Capabilities of this type in the CSpace.
    pub fn count(&self, kind: CapType) -> usize {
        self.slots.values().filter(|capability| capability.kind == kind).count()
    }

    pub(super) fn send(&mut self, endpoint: CapAddr, capability: CapAddr, packet: &Packet) -> Result<()> {
        self.get(endpoint.0, 0)?;
        if let Some(Some(error)) = self.refusals.pop_front() {
            return Err(error);
        }
        if capability != CapAddr::NULL {
            self.get(capability.0, 2)?;
        }
        self.sent.push(Sent { endpoint, capability, packet: *packet });
        Ok(())
    }

    pub(super) fn call(&mut self, number: Syscall, x: Arguments) -> Result<Answer> {
        self.calls.push((number, x));
        let counts = !matches!(number, Syscall::CapDelete | Syscall::UnitPull);
        if let Some(left) = self.refuse_after.filter(|_| counts) {
            self.refuse_after = left.checked_sub(1);
            if left == 0 {
                return Err(ErrorKind::Full.into());
            }
        }
        let mut answer = [0; 8];
        match number {
            Syscall::DebugPrint => self.print(&x),
            Syscall::CapIdentify => answer = self.identify(x[0])?,
            Syscall::CapCopy => self.copy(&x)?,
            Syscall::CapRetype => self.retype(&x)?,
            Syscall::CapDelete => self.delete(x[0], x[1])?,
            Syscall::UnitZero => answer[1] = self.zero_unit(x[0])?,
            Syscall::UnitPull => (answer[1], answer[2], answer[3]) = self.pull_unit(x[0])?,
            Syscall::UnitTrim => self.trim_unit(&x)?,
            Syscall::CapRevoke => answer[1] = self.revoke(x[1])?,
            Syscall::CSpaceResize => self.resize(x[1])?,
            Syscall::Map => self.map(&x)?,
            Syscall::EndpointConfigure => self.configure(&x)?,
            Syscall::EndpointLanding => self.landing(&x)?,
            _ => {}
        }
        Ok(answer)
    }

    pub(super) fn get(&self, address: u64, argument: u8) -> Result<Capability> {
        self.slots.get(&address).copied().ok_or(Error::new(ErrorKind::EmptySlot, argument))
    }

    fn print(&mut self, x: &Arguments) {
        let bytes = x[1..].iter().flat_map(|word| word.to_le_bytes());
        self.log.extend(bytes.take(x[0] as usize));
    }

    fn identify(&self, address: u64) -> Result<Answer> {
        if CapAddr(address).l1() >= self.root_slots {
            return Err(Error::new(ErrorKind::AddressOutOfRange, 0));
        }
        if !self.cnodes.contains_key(&CapAddr(address).l1()) {
            return Err(Error::new(ErrorKind::NoCNode, 0));
        }
        let capability = self.get(address, 0)?;
        let about = capability.kind as u64 | capability.rights.bits() << 8;
        Ok([0, about, capability.base, capability.size, 0, 0, 0, 0])
    }

    /// Puts a capability into an own slot, which must be free and exist.
    pub(super) fn put(&mut self, address: u64, argument: u8, capability: Capability) -> Result<()> {
        let at = CapAddr(address);
        if at.l1() >= self.root_slots {
            return Err(Error::new(ErrorKind::AddressOutOfRange, argument));
        }
        if !self.cnodes.contains_key(&at.l1()) {
            return Err(Error::new(ErrorKind::NoCNode, argument));
        }
        if at.slot() == 0 || at.slot() >= L2_SLOTS {
            return Err(Error::new(ErrorKind::BadSlot, argument));
        }
        if self.slots.contains_key(&address) {
            return Err(Error::new(ErrorKind::SlotOccupied, argument));
        }
        self.slots.insert(address, capability);
        Ok(())
    }

    fn copy(&mut self, x: &Arguments) -> Result<()> {
        let source = self.get(x[0], 0)?;
        if x[1] != 0 {
            return Ok(());
        }
        self.put(x[2], 2, Capability { rights: source.rights.and(Rights::from_bits(x[3])), ..source })
    }

    fn retype(&mut self, x: &Arguments) -> Result<()> {
        let source = self.get(x[0], 0)?;
        let kind = CapType::from_number(x[1]).ok_or(Error::new(ErrorKind::BadType, 1))?;
        if source.kind == CapType::Dispatcher {
            return self.put(x[6], 6, Capability { kind, rights: Rights::ALL, base: x[2], size: 0 });
        }
        let size = object_size(kind, x[3]);
        if !x[2].is_multiple_of(PAGE_SIZE) || !size.is_multiple_of(PAGE_SIZE) || size == 0 {
            return Err(Error::new(ErrorKind::Unaligned, 2));
        }
        if x[2] + size * x[4] > source.size {
            return Err(Error::new(ErrorKind::OutOfRange, 2));
        }
        if source.kind == CapType::Unit && !self.units.is_zero(&source) {
            return Err(Error::new(ErrorKind::UnitNotZeroed, 0));
        }
        self.check_overlap(source.base + x[2], size * x[4], x[0])?;
        if kind == CapType::Unit {
            self.units.note_root(x[0]);
        }
        for index in 0..x[4] {
            let base = source.base + x[2] + index * size;
            let made = Capability { kind, rights: Rights::ALL, base, size };
            if x[5] == ROOT_CNODE.0 {
                self.put_cnode(x[6] + index, base)?
            } else {
                self.put(x[6] + index, 6, made)?
            }
        }
        Ok(())
    }

    fn check_overlap(&self, base: u64, size: u64, source: u64) -> Result<()> {
        let whole = self.slots[&source];
        let overlaps = |from: u64, bytes: u64| from < base + size && base < from + bytes;
        let object =
            |c: &Capability| !matches!(c.kind, CapType::Dispatcher | CapType::Mapping | CapType::EndPoint);
        let taken = self.slots.iter().any(|(&at, c)| {
            let ancestor = c.base <= whole.base && c.base + c.size >= whole.base + whole.size;
            at != source
                && object(c)
                && c.size > 0
                && c.kind != CapType::L1CNode
                && !ancestor
                && overlaps(c.base, c.size)
        });
        let node = self.cnodes.values().any(|&at| at != 0 && overlaps(at, L2_CNODE_SIZE));
        if taken || node { Err(Error::new(ErrorKind::Overlap, 2)) } else { Ok(()) }
    }

    fn put_cnode(&mut self, slot: u64, base: u64) -> Result<()> {
        // The last slot of a root CNode is the kernel's.
        if slot >= self.root_slots - 1 {
            return Err(Error::new(ErrorKind::BadSlot, 6));
        }
        if self.cnodes.contains_key(&slot) {
            return Err(Error::new(ErrorKind::SlotOccupied, 6));
        }
        self.cnodes.insert(slot, base);
        Ok(())
    }

    fn delete(&mut self, cnode: u64, slot: u64) -> Result<()> {
        if cnode == 0 {
            let capability = self.get(slot, 1)?;
            if capability.kind == CapType::Unit && self.is_held(&capability) {
                return Err(Error::new(ErrorKind::UnitBusy, 1));
            }
            self.slots.remove(&slot);
            self.release(&capability);
        }
        Ok(())
    }

    fn resize(&mut self, root: u64) -> Result<()> {
        let new = self.get(root, 1)?;
        if new.kind != CapType::L1CNode || new.size / SLOT_SIZE <= self.root_slots {
            return Err(Error::new(ErrorKind::TooSmall, 1));
        }
        self.root_slots = new.size / SLOT_SIZE;
        Ok(())
    }

    fn map(&mut self, x: &Arguments) -> Result<()> {
        let node = self.get(x[0], 0)?;
        let shown = self.get(x[3], 3)?;
        let (first, entries) = (x[5] & 0xffff, x[5] >> 16);
        if entries == 0 || first + entries > VNODE_SIZE / 8 {
            return Err(Error::new(ErrorKind::BadWindow, 5));
        }
        let level = node.kind.vnode_level().ok_or(Error::new(ErrorKind::WrongType, 0))?;
        if shown.kind.vnode_level().is_some_and(|child| child != level + 1) {
            return Err(Error::new(ErrorKind::WrongLevel, 3));
        }
        self.put(
            x[2],
            2,
            Capability {
                kind: CapType::Mapping,
                rights: Rights::from_bits(x[6]),
                base: first,
                size: entries,
            },
        )
    }

    fn configure(&mut self, x: &Arguments) -> Result<()> {
        let endpoint = self.get(x[0], 0)?;
        let ring = Ring { offset: x[1], packets: x[2], tail: 0, landing: x[3] };
        self.rings.insert(endpoint.base, ring);
        Ok(())
    }

    fn landing(&mut self, x: &Arguments) -> Result<()> {
        let endpoint = self.get(x[0], 0)?;
        self.rings.get_mut(&endpoint.base).ok_or(ErrorKind::NoRing)?.landing = x[1];
        Ok(())
    }
}

/// Bytes of an object, where 0 asks for the type's own size.
fn object_size(kind: CapType, asked: u64) -> u64 {
    match kind {
        CapType::L2CNode => L2_CNODE_SIZE,
        _ if asked == 0 => VNODE_SIZE,
        _ => asked,
    }
}
