//! The first domain, `init`: built by the kernel as a spawner builds any other ([`abi::layout`]), and given
//! everything that there is: RAM, devices, interrupts, the boot modules, the core itself.

use core::fmt;

use abi::boot::{
    BOOT_CNODE, BOOT_INFO_BASE, BOOT_MAGIC, BootInfo, MAX_COMMAND_LINE, MAX_DEVICES, MAX_REGIONS, Region,
    RegionKind,
};
use abi::cap::{DISPATCHER_MAX_SIZE, L1_CNODE_MIN_SIZE, L2_CNODE_SIZE, L2_SLOTS, SLOT_SIZE, VNODE_SIZE};
use abi::domain::Role;
use abi::frame::DispatcherFrame;
use abi::layout::{
    EARLY_RAM, FRAME_BASE, KERNEL, NAMES_OWN, PAGE_CNODE, ROOT_CNODE, ROOT_VNODE, SELF_DISPATCHER,
    SELF_FRAME, SELF_TASK_CNODE, STACK_SIZE, STACK_TOP, START_BASE, START_FRAME, START_MAGIC, SpaceKind,
    SpaceRecord, StartInfo, TASK_CNODE,
};
use abi::{CapAddr, CapType, ErrorKind, PAGE_SIZE, Rights};
use archive::Archive;
use caps::{CNode, Db, Machine as _, MapArgs, Progress, RetypeArgs, Root, SlotRef};
use loader::{Image, Limits, MAX_SEGMENTS, Segment};

use crate::boot_facts::{BootFacts, Range, Ranges, whole_pages_around};
use crate::cpu::Core;
use crate::dispatcher::{DispatcherRef, Entry};
use crate::interrupts::{END_BINDABLE, FIRST_BINDABLE};
use crate::schedule;
use crate::syscall::dispatchers;

/// RAM for what `init` is made of besides its image: tables, dispatcher and its frame, stack.
const CONSTRUCTION_BYTES: u64 = 1 << 20;
/// RAM for `init` to live on and to build the memory server from.
const EARLY_BYTES: u64 = 6 << 20;
/// Bytes of the dispatcher object of `init`: 2,016 endpoints and notifications, since each channel that leads to another core has an
/// end here.
const DISPATCHER_BYTES: u64 = DISPATCHER_MAX_SIZE;
/// Bytes of its dispatcher frame: a ring for each of them.
const FRAME_BYTES: u64 = START_BASE - FRAME_BASE;

/// What a capability operation gave, none of which can fail while `init` is built.
fn done<T>(what: &'static str, result: Result<T, ErrorKind>) -> T {
    match result {
        Ok(value) => value,
        Err(kind) => refused(what, kind),
    }
}

#[cold]
fn refused(what: &'static str, kind: ErrorKind) -> ! {
    panic!("{}", Refusal(what, kind))
}

/// Written piece by piece: a `{}` for a string would bring all of the padding of strings into the kernel.
struct Refusal(&'static str, ErrorKind);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("init: ")?;
        f.write_str(self.0)?;
        f.write_str(": ")?;
        f.write_str(self.1.text())
    }
}

/// Takes page-aligned memory from the front of the largest free range.
pub struct FreeRam {
    ranges: Ranges,
}

impl FreeRam {
    /// All that boot found free.
    pub fn new(facts: &BootFacts) -> FreeRam {
        FreeRam { ranges: facts.free }
    }

    /// `bytes` (whole pages), aligned to 16 KiB.
    ///
    /// # Panics
    /// When there is not enough.
    pub fn take(&mut self, bytes: u64) -> u64 {
        let mut largest = &mut Range::default();
        for range in self.ranges.as_mut_slice() {
            if range.size > largest.size {
                largest = range;
            }
        }
        let base = largest.base.next_multiple_of(L2_CNODE_SIZE);
        let used = base - largest.base + bytes;
        if used > largest.size {
            panic!("not enough RAM for init: give QEMU at least 64 MiB");
        }
        largest.base += used;
        largest.size -= used;
        base
    }
}

/// `init` under construction.
struct Builder<'a> {
    core: &'a mut Core,
    cspace: CNode,
    /// The Ram capability that all its objects are made of, and how much of it is used.
    ram: SlotRef,
    used: u64,
    next_page_slot: u64,
    next_boot_slot: u64,
    /// Physical address of the start information, and the records in it so far.
    start: u64,
    records: u32,
}

/// Builds `init` from the boot modules and makes it ready to run.
///
/// # Panics
/// Without an `init` among the boot modules that is a program, and with too little RAM for it.
pub fn start(core: &mut Core, facts: &BootFacts, mut ram: FreeRam) {
    let Some(modules) = facts.modules else { panic!("no boot modules: give QEMU the archive with -initrd") };
    let image = find_image(module_bytes(core, modules));
    let mut builder =
        Builder::with_cspace(core, &mut ram, image.page_count() * PAGE_SIZE + CONSTRUCTION_BYTES);
    builder.start = builder.make_at(CapType::Frame, PAGE_SIZE, START_FRAME);
    let tables = builder.tables(&image);
    for segment in image.segments() {
        builder.map_segment(&tables, segment);
    }
    let d = builder.dispatcher();
    builder.top_pages(&tables);
    builder.insert(KERNEL, CapType::Kernel, u64::from(facts.core), 1, Rights::ALL);
    builder.boot_info(&tables, facts, ram);
    builder.start_info();
    let held = [builder.slot(ROOT_CNODE), builder.slot(ROOT_VNODE), builder.slot(SELF_FRAME)];
    let core = builder.core;
    let installed = dispatchers::install(core, d, held, None, DISPATCHER_BYTES, FRAME_BASE, image.entry());
    done("its dispatcher", installed.map_err(|error| error.kind));
    schedule::wake(&mut core.machine, d, Entry::Run(false));
}

/// The program `init` in the archive of boot modules.
fn find_image(modules: &[u8]) -> Image<'_> {
    let Ok(found) = Archive::new(modules).find("init") else {
        panic!("the archive of boot modules is damaged; `cargo xtask image` makes a new one")
    };
    let Some(init) = found else { panic!("no boot module is called init") };
    let Ok(image) = Image::parse(init.data, Limits::default()) else {
        panic!("the boot module init is no program; `cargo xtask image` makes a new one")
    };
    image
}

/// The boot modules as the kernel sees them.
fn module_bytes<'a>(core: &Core, modules: Range) -> &'a [u8] {
    let start = core.machine.hardware.direct_map(modules.base);
    // SAFETY: `modules` lies in RAM, inside the direct map, and nobody writes it: user space gets a Frame of it only
    // when `init` runs, and this reference is gone by then.
    unsafe { core::slice::from_raw_parts(start, modules.size as usize) }
}

/// The tables that things are mapped in.
struct PageTables {
    /// For the image, by 2 MiB from the start of the address space.
    image: [SlotRef; IMAGE_TABLES],
    /// For dispatcher frame, start information, boot facts and stack.
    top: SlotRef,
}

/// What a mapping shows.
struct Shown {
    kind: SpaceKind,
    base: u64,
    bytes: u64,
    /// The table or frame.
    object: CapAddr,
    rights: Rights,
}

/// Where the records begin in the start information, behind the name.
const RECORD_OFFSET: u64 = size_of::<StartInfo>() as u64 + 8;
// A table of level 1 and two of level 2, a table of level 3 for each region of the image and one besides; a mapping for each
// segment, and a further one for each border of regions in one; four of the others. All of it fits into the page.
const _: () = assert!(
    RECORD_OFFSET + ((4 + IMAGE_TABLES + MAX_SEGMENTS + IMAGE_TABLES + 4) * size_of::<SpaceRecord>()) as u64
        <= PAGE_SIZE
);
// One level 3 table shows what is mapped besides the image.
const _: () = assert!((STACK_TOP - STACK_SIZE) >> 21 == BOOT_INFO_BASE >> 21);

/// 2 MiB regions that the image of `init` may reach into.
const IMAGE_TABLES: usize = 16;

impl<'a> Builder<'a> {
    /// Root, task, page and boot CNode, and Ram to go on with.
    fn with_cspace(core: &'a mut Core, ram: &mut FreeRam, bytes_for_objects: u64) -> Builder<'a> {
        let bytes = L1_CNODE_MIN_SIZE + 4 * L2_CNODE_SIZE;
        let base = ram.take(bytes);
        core.machine.hardware.zero(base, bytes);
        let l1 = base + 3 * L2_CNODE_SIZE;
        let root = |ty, base, size| Root { ty, rights: Rights::ALL, base, size };
        for (index, node) in
            [(TASK_CNODE, base), (PAGE_CNODE, base + L2_CNODE_SIZE), (BOOT_CNODE, base + 2 * L2_CNODE_SIZE)]
        {
            let slot = SlotRef::at(l1 + index * SLOT_SIZE);
            let node = root(CapType::L2CNode, node, L2_CNODE_SIZE);
            done("its CNodes", core.db.insert_root(&mut core.machine, slot, &node));
        }
        let root_slot = SlotRef::at(base + ROOT_CNODE.slot() * SLOT_SIZE);
        let node = root(CapType::L1CNode, l1, L1_CNODE_MIN_SIZE);
        done("its root CNode", core.db.insert_root(&mut core.machine, root_slot, &node));
        let cspace = CNode::of(core.machine.slot(root_slot)).ok_or(ErrorKind::NoCNode);
        let cspace = done("its root CNode", cspace);
        let mut builder = Builder {
            core,
            cspace,
            ram: SlotRef::NONE,
            used: 0,
            next_page_slot: 1,
            next_boot_slot: 1,
            start: 0,
            records: 0,
        };
        builder.copy_task_cnode(l1);
        let construction = builder.next_boot_address();
        builder.ram = builder.region(ram, bytes_for_objects, construction);
        builder
    }

    fn copy_task_cnode(&mut self, l1: u64) {
        let own = self.slot(SELF_TASK_CNODE);
        let Core { db, machine, .. } = &mut *self.core;
        done("its task CNode", db.copy(machine, SlotRef::at(l1), own, Rights::ALL))
    }

    /// The slot at one of its addresses.
    fn slot(&self, address: CapAddr) -> SlotRef {
        done("its CSpace", Db::slot_at(&self.core.machine, self.cspace, address))
    }

    fn insert(&mut self, address: CapAddr, ty: CapType, base: u64, size: u64, rights: Rights) -> SlotRef {
        let slot = self.slot(address);
        let root = Root { ty, rights, base, size };
        done("a boot capability", self.core.db.insert_root(&mut self.core.machine, slot, &root));
        slot
    }

    fn next_boot_address(&mut self) -> CapAddr {
        let slot = self.next_boot_slot;
        if slot >= L2_SLOTS {
            panic!("too many boot capabilities for one CNode");
        }
        self.next_boot_slot += 1;
        CapAddr::new(BOOT_CNODE, slot)
    }

    fn next_page_address(&mut self) -> CapAddr {
        let slot = self.next_page_slot;
        if slot >= L2_SLOTS {
            panic!("too many mappings of init for one CNode");
        }
        self.next_page_slot += 1;
        CapAddr::new(PAGE_CNODE, slot)
    }

    /// A Ram capability over fresh zeroed memory, at `address`: a root of its own, with a unit in between, as a
    /// memory server does it.
    fn region(&mut self, ram: &mut FreeRam, bytes: u64, address: CapAddr) -> SlotRef {
        let base = ram.take(bytes);
        let root = self.next_boot_address();
        let root = self.insert(root, CapType::Ram, base, bytes, Rights::ALL);
        let unit = self.next_boot_address();
        let (unit, slot) = (self.slot(unit), self.slot(address));
        let Core { db, machine, .. } = &mut *self.core;
        let whole = |ty| RetypeArgs { ty, offset: 0, object_size: bytes, count: 1 };
        done("its unit", db.retype(machine, root, &whole(CapType::Unit), unit));
        while done("zeroing its unit", db.zero_unit(machine, unit)) == Progress::More {}
        done("its RAM", db.retype(machine, unit, &whole(CapType::Ram), slot));
        slot
    }

    /// Makes an object of its Ram, into this slot; its physical address.
    fn make(&mut self, ty: CapType, bytes: u64, align: u64, slot: SlotRef) -> u64 {
        let offset = self.used.next_multiple_of(align);
        let arguments = RetypeArgs { ty, offset, object_size: bytes, count: 1 };
        let Core { db, machine, .. } = &mut *self.core;
        done("making an object", db.retype(machine, self.ram, &arguments, slot));
        self.used = offset + bytes;
        machine.slot(slot).base()
    }

    /// As [`Builder::make`], into the slot at this address.
    fn make_at(&mut self, ty: CapType, bytes: u64, address: CapAddr) -> u64 {
        let slot = self.slot(address);
        self.make(ty, bytes, PAGE_SIZE, slot)
    }

    /// Makes the table over an address, and maps it in its parent, the slot of which is given.
    fn table(&mut self, parent: SlotRef, ty: CapType, base: u64) -> SlotRef {
        let address = self.next_page_address();
        self.make_at(ty, VNODE_SIZE, address);
        // The numbers of the types are in the order of the levels.
        let level = ty as u8 - CapType::VNodeL0 as u8;
        let bytes = 1 << (48 - 9 * level);
        let (base, rights) = (base & !(bytes - 1), Rights::NONE);
        self.map(parent, level - 1, Shown { kind: SpaceKind::Table, base, bytes, object: address, rights });
        self.slot(address)
    }

    /// Maps something with a mapping in the page CNode, in the table of this level, and writes that into the books.
    fn map(&mut self, vnode: SlotRef, level: u8, shown: Shown) {
        let address = self.next_page_address();
        let (slot, target) = (self.slot(address), self.slot(shown.object));
        let shift = 39 - 9 * level;
        let (first, count) = (shown.base >> shift & 511, shown.bytes >> shift);
        let arguments = MapArgs { offset: 0, first, count, rights: shown.rights, fill: true };
        let Core { db, machine, .. } = &mut *self.core;
        done("mapping", db.map(machine, vnode, slot, target, &arguments));
        let record = SpaceRecord {
            base: shown.base,
            bytes: shown.bytes,
            object: shown.object.0 as u32,
            mapping: address.0 as u32,
            kind: shown.kind as u16,
            level: level + (shown.kind == SpaceKind::Table) as u8,
            rights: shown.rights.bits() as u8,
            reserved: 0,
        };
        let at = RECORD_OFFSET + u64::from(self.records) * size_of::<SpaceRecord>() as u64;
        self.write(self.start + at, bytes_of(&record));
        self.records += 1;
    }

    /// Tables for the image and for what is mapped besides.
    fn tables(&mut self, image: &Image) -> PageTables {
        let root = self.slot(ROOT_VNODE);
        self.make(CapType::VNodeL0, VNODE_SIZE, VNODE_SIZE, root);
        // The first slots of the page CNode are known to those who read StartInfo.extra[0]: the level 1 table.
        let l1 = self.table(root, CapType::VNodeL1, 0);
        let l2 = self.table(l1, CapType::VNodeL2, 0);
        let mut tables = PageTables { image: [SlotRef::NONE; IMAGE_TABLES], top: SlotRef::NONE };
        for segment in image.segments() {
            let pages = segment.pages();
            for region in pages.start >> 21..=(pages.end - 1) >> 21 {
                let Some(place) = tables.image.get_mut(region as usize) else {
                    panic!("the boot module init reaches beyond {} MiB", IMAGE_TABLES * 2)
                };
                if place.is_none() {
                    *place = self.table(l2, CapType::VNodeL3, region << 21);
                }
            }
        }
        let top_l2 = self.table(l1, CapType::VNodeL2, FRAME_BASE);
        tables.top = self.table(top_l2, CapType::VNodeL3, FRAME_BASE);
        tables
    }

    /// Frames of the segment, one for each 2 MiB region that it touches, filled and mapped with its rights.
    fn map_segment(&mut self, tables: &PageTables, segment: &Segment) {
        let pages = segment.pages();
        let mut at = pages.start;
        while at < pages.end {
            let end = pages.end.min((at >> 21 << 21) + (2 << 20));
            let object = self.next_page_address();
            let base = self.make_at(CapType::Frame, end - at, object);
            self.copy_data(segment, at, end, base);
            let table = tables.image[(at >> 21) as usize];
            let (kind, bytes, rights) = (SpaceKind::Image, end - at, segment.rights);
            self.map(table, 3, Shown { kind, base: at, bytes, object, rights });
            at = end;
        }
    }

    /// Copies what the file has of the segment for `[at, end)` to the memory at `base`, which is zero.
    fn copy_data(&mut self, segment: &Segment, at: u64, end: u64, base: u64) {
        let from = at.max(segment.address);
        let to = end.min(segment.address + segment.data.len() as u64);
        if from < to {
            let source = &segment.data[(from - segment.address) as usize..(to - segment.address) as usize];
            self.write(base + (from - at), source);
        }
    }

    /// Writes into memory that was made for `init` and that nobody else uses yet. A call, since copies of constants to
    /// places of unknown alignment are unfolded byte by byte.
    #[inline(never)]
    fn write(&mut self, base: u64, bytes: &[u8]) {
        let target = self.core.machine.hardware.direct_map(base);
        // SAFETY: `base` and its length lie in a frame that `make` has just carved; `init` does not run yet.
        unsafe { target.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    fn dispatcher(&mut self) -> DispatcherRef {
        // As every other domain, `init` has its dispatcher without the right to revoke it.
        let made = self.slot(NAMES_OWN);
        let base = self.make(CapType::Dispatcher, DISPATCHER_BYTES, DISPATCHER_BYTES, made);
        let (slot, rights) = (self.slot(SELF_DISPATCHER), Rights::READ.or(Rights::WRITE).or(Rights::EXECUTE));
        let Core { db, machine, .. } = &mut *self.core;
        done("its dispatcher", db.copy(machine, made, slot, rights));
        // Not the last copy: that takes one step.
        let _ = done("its dispatcher", db.delete(machine, made));
        done("its dispatcher", DispatcherRef::at(base).ok_or(ErrorKind::BadType))
    }

    /// Dispatcher frame, start information, stack.
    fn top_pages(&mut self, tables: &PageTables) {
        let data = Rights::READ.or(Rights::WRITE);
        let frame = self.make_at(CapType::Frame, FRAME_BYTES, SELF_FRAME);
        self.write(
            frame + core::mem::offset_of!(DispatcherFrame, start_info) as u64,
            &START_BASE.to_le_bytes(),
        );
        let stack = self.next_page_address();
        self.make_at(CapType::Frame, STACK_SIZE, stack);
        for (kind, base, bytes, object) in [
            (SpaceKind::Stack, STACK_TOP - STACK_SIZE, STACK_SIZE, stack),
            (SpaceKind::Frame, FRAME_BASE, FRAME_BYTES, SELF_FRAME),
            (SpaceKind::Start, START_BASE, PAGE_SIZE, START_FRAME),
        ] {
            self.map(tables.top, 3, Shown { kind, base, bytes, object, rights: data });
        }
    }

    /// Writes the start information, when nothing more is mapped.
    fn start_info(&mut self) {
        let name = b"init\0";
        let head = size_of::<StartInfo>();
        let info = StartInfo {
            magic: START_MAGIC,
            size: RECORD_OFFSET as u32 + self.records * size_of::<SpaceRecord>() as u32,
            arg_count: 1,
            arg_offset: head as u32,
            env_count: 0,
            env_offset: (head + name.len()) as u32,
            frame_size: FRAME_BYTES as u32,
            dispatcher_size: DISPATCHER_BYTES as u32,
            first_event: 1,
            first_ring: 0x1000,
            page_cnodes: 1,
            first_page_slot: self.next_page_slot as u32,
            first_free_cnode: BOOT_CNODE as u32 + 1,
            root_slots: (L1_CNODE_MIN_SIZE / SLOT_SIZE) as u32,
            record_offset: RECORD_OFFSET as u32,
            record_count: self.records,
            record_size: size_of::<SpaceRecord>() as u32,
            early_ram: EARLY_BYTES,
            domain: Role::Init.on(self.core.facts.core),
            stack_size: STACK_SIZE,
            extra: [CapAddr::new(PAGE_CNODE, 1).0, 0, 0, 0, 0, 0, 0, 0],
        };
        self.write(self.start, bytes_of(&info));
        self.write(self.start + head as u64, name);
    }

    /// All that there is, as capabilities in the boot CNode, and the page that tells of it.
    fn boot_info(&mut self, tables: &PageTables, facts: &BootFacts, mut ram: FreeRam) {
        self.region(&mut ram, EARLY_BYTES, EARLY_RAM);
        let object = self.next_boot_address();
        let page = self.make_at(CapType::Frame, PAGE_SIZE, object);
        let (kind, rights) = (SpaceKind::Boot, Rights::READ.or(Rights::WRITE));
        self.map(tables.top, 3, Shown { kind, base: BOOT_INFO_BASE, bytes: PAGE_SIZE, object, rights });
        let mut info = self.facts(facts);
        if facts.is_first() {
            let irqs = self.next_boot_address();
            self.insert(irqs, CapType::IrqSource, FIRST_BINDABLE, END_BINDABLE - FIRST_BINDABLE, Rights::ALL);
            info.irq_slot = irqs.slot() as u32;
        }

        let mut regions = Regions { list: &mut info.regions, count: 0 };
        for range in ram.ranges.as_slice().iter().filter(|range| range.size != 0) {
            regions.add(self, CapType::Ram, RegionKind::Ram, *range, *range);
        }
        if let Some(modules) = facts.modules {
            regions.add(self, CapType::Frame, RegionKind::Modules, whole_pages_around(modules), modules);
        }
        if facts.is_first() {
            let (kind, range) = (RegionKind::DeviceTree, facts.device_tree);
            regions.add(self, CapType::Frame, kind, whole_pages_around(range), range);
        } else {
            regions.add(self, CapType::Frame, RegionKind::Monitor, facts.monitor, facts.monitor);
        }
        for range in facts.device_space.as_slice() {
            regions.add(self, CapType::PhysAddr, RegionKind::Devices, *range, *range);
        }
        info.first_free_slot = self.next_boot_slot as u32;
        self.write(page, bytes_of(&info));
    }

    fn facts(&self, facts: &BootFacts) -> BootInfo {
        let mut info = BootInfo {
            magic: BOOT_MAGIC,
            cores: facts.machine.cores.as_slice().len() as u32,
            core: facts.core,
            ram_bytes: facts.ram_bytes,
            kernel_bytes: self.core.kernel_bytes,
            platform: [0; 16],
            regions: [Region::default(); MAX_REGIONS],
            devices: [Default::default(); MAX_DEVICES],
            irq_slot: 0,
            first_free_slot: 0,
            command_line_size: 0,
            reserved: 0,
            command_line: [0; MAX_COMMAND_LINE],
        };
        for (to, from) in info.platform.iter_mut().zip(facts.platform.bytes()) {
            *to = from;
        }
        for (to, from) in info.devices.iter_mut().zip(facts.machine.devices.as_slice()) {
            *to = *from;
        }
        for (to, from) in info.command_line.iter_mut().zip(facts.command_line()) {
            *to = *from;
            info.command_line_size += 1;
        }
        info
    }
}

/// The regions of a [`BootInfo`] as they are filled in.
struct Regions<'a> {
    list: &'a mut [Region; MAX_REGIONS],
    count: usize,
}

impl Regions<'_> {
    /// A capability over whole pages, and its entry; `exact` is what is meaningful of it. One too many is left out.
    fn add(&mut self, builder: &mut Builder, ty: CapType, kind: RegionKind, pages: Range, exact: Range) {
        let Some(place) = self.list.get_mut(self.count) else { return };
        let address = builder.next_boot_address();
        // Every core has a capability to the modules, which are the same for all: nobody writes them.
        let rights = if kind == RegionKind::Modules { Rights::READ } else { Rights::ALL };
        builder.insert(address, ty, pages.base, pages.size, rights);
        *place = Region {
            base: exact.base,
            size: pages.size,
            kind: kind as u32,
            slot: address.slot() as u32,
            used: exact.size,
        };
        self.count += 1;
    }
}

/// The bytes of a structure of the ABI, all of whose fields are plain numbers without padding between them.
fn bytes_of<T: Copy>(value: &T) -> &[u8] {
    // SAFETY: any initialised `repr(C)` value without padding can be read as bytes.
    unsafe { core::slice::from_raw_parts((&raw const *value).cast(), size_of::<T>()) }
}
