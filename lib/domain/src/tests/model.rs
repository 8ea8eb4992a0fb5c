//! A model of the kernel: CNodes as maps, page tables as lists of windows, one piece of memory.

use std::collections::BTreeMap;

use abi::cap::{CapAddr, CapType, L2_SLOTS, Rights, SLOT_SIZE, VNODE_SIZE};
use abi::layout::{ROOT_CNODE, TASK_CNODE};
use abi::{ErrorKind, PAGE_SIZE};
use sys::{Cap, CapKind, Configuration, Dispatcher, Frame, Mappable, Result, Retypable, VNode, Window};

use crate::{Host, Place};

/// Base of the builder's own root CNode; no object of a child lies there.
pub(super) const OWN_ROOT: u64 = 0x10;
const OWN_TASK: u64 = 0x20;
const MEMORY: u64 = 0x8000_0000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Capability {
    pub(super) kind: CapType,
    pub(super) rights: Rights,
    pub(super) base: u64,
    pub(super) size: u64,
    shows: Option<Shown>,
}

/// A mapping: which frame or table, from which byte on, in which entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Shown {
    object: (u64, u64),
    from: u64,
    first: u64,
    entries: u64,
    is_frame: bool,
}

impl Capability {
    pub(super) fn region(kind: CapType, base: u64, size: u64) -> Capability {
        Capability { kind, rights: Rights::ALL, base, size, shows: None }
    }
}

pub(super) struct Model {
    nodes: BTreeMap<u64, BTreeMap<u64, Capability>>,
    memory: Vec<u8>,
    installed: Vec<CapType>,
    /// Refuse the call with this number.
    pub(super) fail_at: Option<usize>,
    pub(super) calls: usize,
    pub(super) configuration: Option<Configuration>,
    pub(super) started: bool,
}

impl Model {
    /// With memory that is full of `byte`.
    pub(super) fn new(bytes: u64, byte: u8) -> Model {
        let task = Capability::region(CapType::L2CNode, OWN_TASK, 0);
        let nodes = BTreeMap::from([(OWN_ROOT, BTreeMap::from([(0, task)])), (OWN_TASK, BTreeMap::new())]);
        let memory = vec![byte; bytes as usize];
        Model {
            nodes,
            memory,
            installed: vec![],
            fail_at: None,
            calls: 0,
            configuration: None,
            started: false,
        }
    }

    pub(super) fn install(&mut self, address: CapAddr, capability: Capability) {
        self.installed.push(capability.kind);
        self.nodes.get_mut(&OWN_TASK).unwrap().insert(address.slot(), capability);
    }

    pub(super) fn installed(&self) -> Vec<CapType> {
        self.installed.clone()
    }

    /// What lies at an address of the child's CSpace.
    pub(super) fn of_child(&self, address: CapAddr) -> Option<&Capability> {
        self.at(self.at(self.root_of_child(), address.l1())?.base, address.slot())
    }

    /// Every capability but the builder's own task CNode.
    pub(super) fn all(&self) -> impl Iterator<Item = &Capability> {
        self.nodes.values().flat_map(BTreeMap::values).filter(|c| c.base != OWN_TASK)
    }

    pub(super) fn node(&self, base: u64) -> &BTreeMap<u64, Capability> {
        &self.nodes[&base]
    }

    pub(super) fn at(&self, node: u64, slot: u64) -> Option<&Capability> {
        self.nodes.get(&node)?.get(&slot)
    }

    /// What lies at an address of the builder's CSpace.
    pub(super) fn get(&self, address: CapAddr) -> Option<&Capability> {
        self.at(self.at(OWN_ROOT, address.l1())?.base, address.slot())
    }

    fn need(&self, address: CapAddr) -> Result<Capability> {
        Ok(*self.get(address).ok_or(ErrorKind::EmptySlot)?)
    }

    /// The child's root CNode, known by its task CNode, which has it.
    pub(super) fn root_of_child(&self) -> u64 {
        let root = |c: &&Capability| c.kind == CapType::L1CNode;
        let base = self.all().find(root).expect("there is a child").base;
        let task = self.at(base, TASK_CNODE).expect("the root has a task CNode").base;
        assert_eq!(self.at(task, ROOT_CNODE.slot()).unwrap().base, base);
        base
    }

    /// Physical address and rights of a virtual address of the child.
    pub(super) fn translate(&self, address: u64) -> Option<(u64, Rights)> {
        let mut table = self.all().find(|c| c.kind == CapType::VNodeL0)?.base;
        for level in 0..4 {
            let shift = 39 - 9 * level;
            let entry = address >> shift & 511;
            let window = self.window(table, entry)?;
            let shown = window.shows?;
            if shown.is_frame {
                let offset = shown.from + ((entry - shown.first) << shift) + address % (1 << shift);
                return Some((shown.object.0 + offset, window.rights));
            }
            table = shown.object.0;
        }
        None
    }

    /// The table of this level over an address of the child.
    pub(super) fn table_over(&self, address: u64, level: u8) -> Option<u64> {
        let mut table = self.all().find(|c| c.kind == CapType::VNodeL0)?.base;
        for above in 0..level {
            let shown = self.window(table, address >> (39 - 9 * above) & 511)?.shows?;
            if shown.is_frame {
                return None;
            }
            table = shown.object.0;
        }
        Some(table)
    }

    fn window(&self, table: u64, entry: u64) -> Option<&Capability> {
        let here = |c: &&Capability| {
            c.base == table
                && c.shows.is_some_and(|shown| (shown.first..shown.first + shown.entries).contains(&entry))
        };
        self.all().find(here)
    }

    /// `count` bytes from a virtual address of the child.
    pub(super) fn read(&self, address: u64, count: usize) -> Vec<u8> {
        let byte = |at| {
            let physical = self.translate(at).unwrap_or_else(|| panic!("{at:#x} is mapped")).0;
            self.memory[(physical - MEMORY) as usize]
        };
        (address..address + count as u64).map(byte).collect()
    }

    fn count(&mut self) -> Result<()> {
        let call = self.calls;
        self.calls += 1;
        if self.fail_at == Some(call) { Err(ErrorKind::Full.into()) } else { Ok(()) }
    }

    fn place(&self, place: Place) -> Result<(u64, u64)> {
        Ok(match place {
            Place::Own(address) => {
                (self.at(OWN_ROOT, address.l1()).ok_or(ErrorKind::NoCNode)?.base, address.slot())
            }
            Place::Root(node, slot) if node.address() == ROOT_CNODE => (OWN_ROOT, slot),
            Place::Root(node, slot) => (self.need(node.address())?.base, slot),
            Place::Node(node, slot) => (self.need(node.address())?.base, slot),
        })
    }

    fn put(&mut self, place: (u64, u64), capability: Capability) -> Result<()> {
        let (node, slot) = place;
        let root = |c: &Capability| c.kind == CapType::L1CNode && c.base == node;
        let root = self.all().find(|c| root(c)).map(|c| c.size);
        let limit = root.map_or(L2_SLOTS, |bytes| bytes / SLOT_SIZE);
        if slot >= limit || slot == 0 && node != OWN_ROOT && root.is_none() {
            return Err(ErrorKind::BadSlot.into());
        }
        let node_slots = self.nodes.get_mut(&node).ok_or(ErrorKind::NoCNode)?;
        if node_slots.contains_key(&slot) {
            return Err(ErrorKind::SlotOccupied.into());
        }
        node_slots.insert(slot, capability);
        Ok(())
    }

    /// Whether something is made of this part of `source` already.
    fn overlaps(&self, source: &Capability, base: u64, end: u64) -> bool {
        let event = |c: &Capability| matches!(c.kind, CapType::EndPoint | CapType::Notify);
        self.all().any(|c| {
            let inside = c.base >= source.base && c.base + c.size <= source.base + source.size;
            let equal = (c.kind, c.base, c.size) == (source.kind, source.base, source.size);
            inside && !equal && c.shows.is_none() && !event(c) && c.base < end && base < c.base + c.size
        })
    }

    /// After a deletion: objects without capabilities go, and what they hold with them.
    fn settle(&mut self) {
        loop {
            let alive = |base: u64| base <= OWN_TASK || self.all().any(|c| is_cnode(c) && c.base == base);
            if let Some(&dead) = self.nodes.keys().find(|&&base| !alive(base)) {
                self.nodes.remove(&dead);
                continue;
            }
            let exists = |key: (u64, u64)| {
                self.all().any(|c| c.shows.is_none() && (c.base, c.size) == key && c.kind != CapType::Ram)
            };
            let stale = |c: &Capability| c.shows.is_some_and(|shown| !exists(shown.object));
            let found = self.nodes.iter().find_map(|(&node, slots)| {
                slots.iter().find(|(_, c)| stale(c)).map(|(&slot, _)| (node, slot))
            });
            let Some((node, slot)) = found else { return };
            self.nodes.get_mut(&node).unwrap().remove(&slot);
        }
    }
}

fn is_cnode(c: &Capability) -> bool {
    matches!(c.kind, CapType::L1CNode | CapType::L2CNode)
}

fn object_size(kind: CapType, asked: u64) -> u64 {
    match kind {
        CapType::L2CNode => abi::cap::L2_CNODE_SIZE,
        _ if asked == 0 => VNODE_SIZE,
        _ => asked,
    }
}

impl Host for Model {
    fn retype<S: Retypable, T: CapKind>(
        &mut self,
        source: Cap<S>,
        offset: u64,
        bytes: u64,
        count: u64,
        first: Place,
    ) -> Result<()> {
        self.count()?;
        let source = self.need(source.address())?;
        let size = object_size(T::TYPE, bytes);
        let (base, end) = (source.base + offset, source.base + offset + size * count);
        if end > source.base + source.size {
            return Err(ErrorKind::OutOfRange.into());
        }
        if self.overlaps(&source, base, end) {
            return Err(ErrorKind::Overlap.into());
        }
        assert!(count <= abi::cap::MAX_RETYPE && offset.is_multiple_of(PAGE_SIZE));
        let (node, slot) = self.place(first)?;
        for index in 0..count {
            let made = Capability::region(T::TYPE, base + index * size, size);
            self.put((node, slot + index), made)?;
            if is_cnode(&made) {
                self.nodes.insert(made.base, BTreeMap::new());
            }
        }
        Ok(())
    }

    fn copy<K: CapKind>(&mut self, source: Cap<K>, to: Place, rights: Rights) -> Result<()> {
        self.count()?;
        let source = self.need(source.address())?;
        let place = self.place(to)?;
        self.put(place, Capability { rights: source.rights.and(rights), ..source })
    }

    fn delete(&mut self, place: Place) -> Result<()> {
        self.count()?;
        let (node, slot) = self.place(place)?;
        let removed = self.nodes.get_mut(&node).ok_or(ErrorKind::NoCNode)?.remove(&slot);
        removed.ok_or(ErrorKind::EmptySlot)?;
        self.settle();
        Ok(())
    }

    fn revoke<K: CapKind>(&mut self, capability: Cap<K>) -> Result<()> {
        let of = self.need(capability.address())?;
        // Events and mappings are keyed by the object that they belong to.
        let descends = |c: &Capability| {
            let inside = c.base >= of.base && c.base < of.base + of.size;
            inside && (c.kind, c.size) != (of.kind, of.size)
        };
        for slots in self.nodes.values_mut() {
            slots.retain(|_, c| !descends(c));
        }
        self.settle();
        Ok(())
    }

    fn map<V: VNode, T: Mappable>(
        &mut self,
        table: Cap<V>,
        object: Cap<T>,
        window: Window,
        to: Place,
    ) -> Result<()> {
        self.count()?;
        let (table, object) = (self.need(table.address())?, self.need(object.address())?);
        assert_eq!((table.kind, object.kind), (V::TYPE, T::TYPE));
        let is_frame = object.kind == CapType::Frame;
        assert!(!is_frame || table.kind.vnode_level() >= Some(2));
        let span = V::ENTRY_BYTES;
        if is_frame && !(object.base + window.offset).is_multiple_of(span) {
            return Err(ErrorKind::Unaligned.into());
        }
        if is_frame && !object.rights.contains(window.rights) {
            return Err(ErrorKind::MissingRight.into());
        }
        if is_frame && window.rights.contains(Rights::WRITE.or(Rights::EXECUTE)) {
            return Err(ErrorKind::WriteAndExecute.into());
        }
        let end = window.first + window.entries;
        if window.entries == 0 || end > 512 || is_frame && window.offset + window.entries * span > object.size
        {
            return Err(ErrorKind::BadWindow.into());
        }
        let taken = |shown: Shown| shown.first < end && window.first < shown.first + shown.entries;
        if self.all().any(|c| c.base == table.base && c.shows.is_some_and(taken)) {
            return Err(ErrorKind::WindowTaken.into());
        }
        let shows = Some(Shown {
            object: (object.base, object.size),
            from: window.offset,
            first: window.first,
            entries: window.entries,
            is_frame,
        });
        let place = self.place(to)?;
        self.put(
            place,
            Capability { kind: CapType::Mapping, rights: window.rights, base: table.base, size: 0, shows },
        )
    }

    fn make_endpoint(&mut self, dispatcher: Cap<Dispatcher>, event: u64, to: Place) -> Result<()> {
        self.count()?;
        let base = self.need(dispatcher.address())?.base + event;
        let place = self.place(to)?;
        self.put(place, Capability::region(CapType::EndPoint, base, 0))
    }

    fn configure(&mut self, dispatcher: Cap<Dispatcher>, with: &Configuration) -> Result<()> {
        self.count()?;
        let kinds = [
            (dispatcher.address(), CapType::Dispatcher),
            (with.cspace.address(), CapType::L1CNode),
            (with.vspace.address(), CapType::VNodeL0),
            (with.frame.address(), CapType::Frame),
        ];
        for (address, kind) in kinds {
            assert_eq!(self.need(address)?.kind, kind);
        }
        self.configuration = Some(*with);
        Ok(())
    }

    fn start(&mut self, dispatcher: Cap<Dispatcher>) -> Result<()> {
        self.count()?;
        assert_eq!(self.need(dispatcher.address())?.kind, CapType::Dispatcher);
        self.started = true;
        Ok(())
    }

    fn view(&mut self, frame: Cap<Frame>, bytes: u64, f: &mut dyn FnMut(&mut [u8])) -> Result<()> {
        self.count()?;
        let frame = self.need(frame.address())?;
        assert!(frame.rights.contains(Rights::WRITE) && bytes <= frame.size);
        let start = (frame.base - MEMORY) as usize;
        f(&mut self.memory[start..start + bytes as usize]);
        Ok(())
    }
}
