//! What the device tree says about the machine, in the form that the kernel needs at boot.

use abi::boot::{Device, DeviceKind, MAX_COMMAND_LINE, MAX_CORES, MAX_DEVICES};

use crate::fdt::{Node, Tree, is_same, total_size};

/// Most regions of RAM, and most reserved regions, that are kept.
pub const MAX_RANGES: usize = 16;

/// A range of physical addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Range {
    /// First address.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

/// Which core: `Aff3.Aff2.Aff1.Aff0`, a byte each, as GICR_TYPER has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Affinity(pub u32);

impl Affinity {
    /// The affinity in a value of MPIDR_EL1.
    pub const fn of(mpidr: u64) -> Self {
        Self((mpidr & 0x00ff_ffff) as u32 | ((mpidr >> 32 & 0xff) << 24) as u32)
    }

    /// As MPIDR_EL1 has it, the other bits 0: what PSCI takes.
    pub const fn mpidr(self) -> u64 {
        (self.0 & 0x00ff_ffff) as u64 | ((self.0 >> 24) as u64) << 32
    }

    /// ICC_SGI1R_EL1 for interrupt `intid` (0 to 15) to this core alone (IHI 0069H, 12.2.20).
    pub const fn sgi_word(self, intid: u32) -> u64 {
        let [aff0, aff1, aff2, aff3] = self.0.to_le_bytes();
        (aff3 as u64) << 48
            | ((aff0 >> 4) as u64) << 44
            | (aff2 as u64) << 32
            | (intid as u64 & 15) << 24
            | (aff1 as u64) << 16
            | 1 << (aff0 & 15)
    }
}

/// A list of at most `N` entries.
#[derive(Clone, Copy, Debug)]
pub struct List<T, const N: usize> {
    entries: [T; N],
    length: usize,
}

impl<T: Copy + Default, const N: usize> List<T, N> {
    /// An empty list.
    pub fn new() -> Self {
        Self { entries: [T::default(); N], length: 0 }
    }

    /// Adds an entry; `false` if the list is full.
    pub fn push(&mut self, entry: T) -> bool {
        let Some(place) = self.entries.get_mut(self.length) else { return false };
        *place = entry;
        self.length += 1;
        true
    }

    /// The entries, to change.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.entries[..self.length]
    }

    /// The entries.
    pub fn as_slice(&self) -> &[T] {
        &self.entries[..self.length]
    }
}

impl<T: Copy + Default, const N: usize> Default for List<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// How firmware is called (PSCI, SMC Calling Convention).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Conduit {
    /// `hvc #0`.
    #[default]
    Hvc,
    /// `smc #0`.
    Smc,
}

/// What a machine lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FactsError {
    /// It names no RAM.
    NoRam,
    /// It names no GICv3.
    NoInterruptController,
    /// It names no PL011.
    NoConsole,
}

impl core::fmt::Display for FactsError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NoRam => "the device tree names no RAM",
            Self::NoInterruptController => "the device tree names no GICv3 (use -M virt,gic-version=3)",
            Self::NoConsole => "the device tree names no PL011",
        })
    }
}

/// What the device tree says about the machine.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// RAM, in the order of the tree.
    pub ram: List<Range, MAX_RANGES>,
    /// Parts of RAM that firmware keeps.
    pub reserved: List<Range, MAX_RANGES>,
    /// The boot modules.
    pub initrd: Option<Range>,
    /// Cores, started or not, in the order of the tree: the affinity of each, as [`Affinity`] has it.
    pub cores: List<Affinity, MAX_CORES>,
    /// How PSCI is called.
    pub conduit: Conduit,
    /// Registers of the GICv3 distributor.
    pub distributor: Range,
    /// Registers of the GICv3 redistributors (first region).
    pub redistributors: Range,
    /// All registers of interrupt controllers: whoever drives an ITS can write to RAM, so none of it is user space's.
    pub kernel_only: List<Range, MAX_RANGES>,
    /// Registers of the UART for early output and panics.
    pub console: Range,
    /// Devices for user space.
    pub devices: List<Device, MAX_DEVICES>,
    /// Bytes of the device tree.
    pub tree_size: u64,
    command_line: [u8; MAX_COMMAND_LINE],
    command_line_size: usize,
}

impl Facts {
    /// Reads the device tree in `bytes`; nothing of it is referred to afterwards. `None`: it is none. What the machine
    /// lacks, [`Facts::check`] tells: by then there may be a console to say so.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let tree = Tree::new(bytes)?;
        let mut facts = Self::empty();
        facts.tree_size = total_size(bytes)? as u64;
        for (base, size) in tree.reservations() {
            facts.reserved.push(Range { base, size });
        }
        for node in tree.nodes() {
            facts.take_node(&node);
        }
        Some(facts)
    }

    /// Whether there is what the kernel cannot do without.
    pub fn check(&self) -> Result<(), FactsError> {
        if self.console.size == 0 {
            return Err(FactsError::NoConsole);
        }
        if self.ram.as_slice().is_empty() {
            return Err(FactsError::NoRam);
        }
        if self.distributor.size == 0 || self.redistributors.size == 0 {
            return Err(FactsError::NoInterruptController);
        }
        Ok(())
    }

    /// The kernel's command line (`-append`) as it came, cut at [`MAX_COMMAND_LINE`] bytes. It need not be UTF-8.
    pub fn command_line(&self) -> &[u8] {
        &self.command_line[..self.command_line_size]
    }

    /// Whether the command line has this word.
    pub fn has_option(&self, word: &str) -> bool {
        self.command_line().split(u8::is_ascii_whitespace).any(|option| is_same(option, word))
    }

    fn empty() -> Self {
        Self {
            ram: List::new(),
            reserved: List::new(),
            initrd: None,
            cores: List::new(),
            conduit: Conduit::Hvc,
            distributor: Range::default(),
            redistributors: Range::default(),
            kernel_only: List::new(),
            console: Range::default(),
            devices: List::new(),
            tree_size: 0,
            command_line: [0; MAX_COMMAND_LINE],
            command_line_size: 0,
        }
    }

    fn take_node(&mut self, node: &Node) {
        if node.is("device_type", "cpu") {
            self.take_core(node);
        } else if node.is("device_type", "memory") {
            if node.is_enabled() {
                self.take_ram(node);
            }
        } else if node.depth == 1 && is_same(node.name, "chosen") {
            self.take_chosen(node);
        } else if node.depth == 2 && is_same(node.parent, "reserved-memory") {
            self.take_reserved(node);
        } else if node.is_compatible("arm,psci-0.2") || node.is_compatible("arm,psci-1.0") {
            self.conduit = if node.is("method", "smc") { Conduit::Smc } else { Conduit::Hvc };
        } else if node.is_enabled() {
            self.take_device(node);
        }
    }

    /// The `reg` of a core is its MPIDR_EL1 without the bits that are no affinity (binding arm,cpus). One that firmware keeps to
    /// itself ("fail") is left out; "disabled" says that it has to be started.
    fn take_core(&mut self, node: &Node) {
        if let Some((mpidr, _)) = node.reg().next()
            && !node.is("status", "fail")
        {
            self.cores.push(Affinity::of(mpidr));
        }
    }

    fn take_ram(&mut self, node: &Node) {
        for (base, size) in node.reg().filter(|&(_, size)| size != 0) {
            self.ram.push(Range { base, size });
        }
    }

    fn take_reserved(&mut self, node: &Node) {
        for (base, size) in node.reg() {
            self.reserved.push(Range { base, size });
        }
    }

    fn take_chosen(&mut self, node: &Node) {
        if let (Some(start), Some(end)) =
            (node.wide_number("linux,initrd-start"), node.wide_number("linux,initrd-end"))
        {
            self.initrd = (end > start).then(|| Range { base: start, size: end - start });
        }
        let text = node.property("bootargs").unwrap_or(&[]);
        let text = text.strip_suffix(b"\0").unwrap_or(text);
        let size = text.len().min(MAX_COMMAND_LINE);
        self.command_line[..size].copy_from_slice(&text[..size]);
        self.command_line_size = size;
    }

    fn take_device(&mut self, node: &Node) {
        if node.is_compatible("arm,gic-v3") || node.is_compatible("arm,gic-v3-its") {
            for (base, size) in node.reg() {
                self.kernel_only.push(Range { base, size });
            }
        }
        let mut ranges = node.reg().map(|(base, size)| Range { base, size });
        let first = ranges.next().unwrap_or_default();
        if node.is_compatible("arm,gic-v3") {
            self.distributor = first;
            self.redistributors = ranges.next().unwrap_or_default();
        } else if node.is_compatible("arm,pl011") {
            if self.console.size == 0 {
                self.console = first;
            }
            self.add_device(DeviceKind::Pl011, first, node);
        } else if node.is_compatible("arm,pl031") {
            self.add_device(DeviceKind::Pl031, first, node);
        } else if node.is_compatible("pci-host-ecam-generic") {
            self.add_device(DeviceKind::PcieEcam, first, node);
        }
    }

    #[inline(never)]
    fn add_device(&mut self, kind: DeviceKind, range: Range, node: &Node) {
        let interrupt = first_interrupt(node).unwrap_or(0);
        self.devices.push(Device { base: range.base, size: range.size, kind: kind as u32, interrupt });
    }
}

/// INTID of a node's first interrupt. GIC binding: (0: SPI | 1: PPI, number, trigger); SPIs start at 32, PPIs at 16.
fn first_interrupt(node: &Node) -> Option<u32> {
    let mut cells = node.cells("interrupts");
    match (cells.next()?, cells.next()?) {
        (0, number) => number.checked_add(32),
        (1, number) => number.checked_add(16),
        _ => None,
    }
}
