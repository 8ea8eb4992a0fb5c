//! A reader for flattened device trees (Devicetree Specification 0.4, chapter 5): one pass over the nodes, no
//! allocation, no panic on damaged input (a broken tree just ends early or lacks properties).

/// Words of the structure block (section 5.4.1).
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
/// First word of a tree.
const MAGIC: u32 = 0xd00d_feed;
/// Bytes of the header that are read here.
pub const HEADER_SIZE: usize = 40;
/// Deepest nesting that is followed.
const MAX_DEPTH: usize = 16;

/// The big-endian word at byte `offset`.
// Runs at boot only, like all of this file: small matters more than fast.
#[inline(never)]
fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    let four = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}

/// The string at byte `offset`, without its NUL.
fn string(bytes: &[u8], offset: usize) -> Option<&[u8]> {
    let rest = bytes.get(offset..)?;
    rest.get(..rest.iter().position(|&byte| byte == 0)?)
}

/// Whether a name is this text. A call: unfolded for each text it would take more room.
#[inline(never)]
pub fn is_same(name: &[u8], text: &str) -> bool {
    name == text.as_bytes()
}

/// Total size in bytes that the header of a tree tells, or `None` if this is no header of a tree.
pub fn total_size(header: &[u8]) -> Option<usize> {
    if word(header, 0)? != MAGIC {
        return None;
    }
    usize::try_from(word(header, 4)?).ok().filter(|&size| size >= HEADER_SIZE)
}

/// A device tree.
#[derive(Clone, Copy)]
pub struct Tree<'a> {
    structure: &'a [u8],
    strings: &'a [u8],
    reservations: &'a [u8],
}

impl<'a> Tree<'a> {
    /// Reads the header. `None`: not a tree, an incompatible version, or blocks outside `bytes`.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let bytes = bytes.get(..total_size(bytes)?)?;
        let field = |offset| word(bytes, offset).map(|value| value as usize);
        if field(24)? > 17 {
            return None;
        }
        let (structure, strings) = (field(8)?, field(12)?);
        Some(Self {
            structure: bytes.get(structure..structure.checked_add(field(36)?)?)?,
            strings: bytes.get(strings..strings.checked_add(field(32)?)?)?,
            reservations: bytes.get(field(16)?..)?,
        })
    }

    /// Memory reservations (base, size) of section 5.3.
    pub fn reservations(&self) -> impl Iterator<Item = (u64, u64)> + 'a {
        let entry = |bytes: &[u8]| Some((Cells(bytes).take(2)?.0, Cells(bytes.get(8..)?).take(2)?.0));
        self.reservations.chunks_exact(16).map_while(entry).take_while(|&(base, size)| (base, size) != (0, 0))
    }

    /// The property at `offset` of the structure block, if there is one.
    #[inline(never)]
    fn property_at(&self, mut offset: usize) -> Option<Property<'a>> {
        while word(self.structure, offset)? == NOP {
            offset += 4;
        }
        if word(self.structure, offset)? != PROP {
            return None;
        }
        let size = word(self.structure, offset + 4)? as usize;
        let name = self.strings.get(word(self.structure, offset + 8)? as usize..)?;
        let start = offset + 12;
        let value = self.structure.get(start..start.checked_add(size)?)?;
        Some(Property { name, value, next: (start + size + 3) & !3 })
    }

    /// All nodes, a parent before its children.
    pub fn nodes(&self) -> Nodes<'a> {
        Nodes { tree: *self, offset: 0, depth: 0, cells: [(2, 1); MAX_DEPTH], paths: [&[]; MAX_DEPTH] }
    }
}

/// Iterator over the nodes of a tree.
pub struct Nodes<'a> {
    tree: Tree<'a>,
    offset: usize,
    /// Nodes that are open.
    depth: usize,
    /// `#address-cells` and `#size-cells` that an open node sets for its children.
    cells: [(u32, u32); MAX_DEPTH],
    /// Names of the open nodes.
    paths: [&'a [u8]; MAX_DEPTH],
}

impl<'a> Nodes<'a> {
    /// The node whose BEGIN_NODE word was just read.
    fn open(&mut self) -> Option<Node<'a>> {
        let name = string(self.tree.structure, self.offset)?;
        self.offset = (self.offset + name.len() + 4) & !3;
        let depth = self.depth;
        let parent = depth.checked_sub(1);
        let mut node = Node {
            tree: self.tree,
            name,
            parent: parent.map_or(&[], |level| self.paths[level]),
            depth,
            properties: self.offset,
            address_cells: parent.map_or(2, |level| self.cells[level].0),
            size_cells: parent.map_or(1, |level| self.cells[level].1),
            end: self.offset,
        };
        node.end = node.properties().last().map_or(self.offset, |property| property.next);
        *self.cells.get_mut(depth)? =
            (node.number("#address-cells").unwrap_or(2), node.number("#size-cells").unwrap_or(1));
        self.paths[depth] = name;
        self.depth += 1;
        self.offset = node.end;
        Some(node)
    }
}

impl<'a> Iterator for Nodes<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        loop {
            let token = word(self.tree.structure, self.offset)?;
            self.offset += 4;
            match token {
                BEGIN_NODE => return self.open(),
                END_NODE => self.depth = self.depth.checked_sub(1)?,
                NOP => {}
                _ => return None,
            }
        }
    }
}

/// A node of the tree.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    tree: Tree<'a>,
    /// Name with unit address.
    pub name: &'a [u8],
    /// Name of the parent; empty for the root and its children.
    pub parent: &'a [u8],
    /// 0 for the root.
    pub depth: usize,
    properties: usize,
    address_cells: u32,
    size_cells: u32,
    end: usize,
}

struct Property<'a> {
    /// The name and what follows it in the strings block.
    name: &'a [u8],
    value: &'a [u8],
    /// Offset of what follows.
    next: usize,
}

impl<'a> Node<'a> {
    fn properties(&self) -> impl Iterator<Item = Property<'a>> + use<'a> {
        let tree = self.tree;
        let mut offset = self.properties;
        core::iter::from_fn(move || {
            let property = tree.property_at(offset)?;
            offset = property.next;
            Some(property)
        })
    }

    /// Value of the property `name`.
    #[inline(never)]
    pub fn property(&self, name: &str) -> Option<&'a [u8]> {
        let is_it = |property: &Property| {
            property.name.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
        };
        self.properties().find(is_it).map(|property| property.value)
    }

    /// Whether the property `name` is this string.
    #[inline(never)]
    pub fn is(&self, name: &str, text: &str) -> bool {
        let value = self.property(name).and_then(|value| value.strip_suffix(b"\0"));
        value.is_some_and(|value| is_same(value, text))
    }

    /// Value of a property that is one 32-bit number.
    #[inline(never)]
    pub fn number(&self, name: &str) -> Option<u32> {
        word(self.property(name)?, 0)
    }

    /// Value of a property that is a number of one or two cells.
    #[inline(never)]
    pub fn wide_number(&self, name: &str) -> Option<u64> {
        let value = self.property(name)?;
        Some(Cells(value).take(value.len() as u32 / 4)?.0)
    }

    /// Whether one of the names in `compatible` is `name`.
    #[inline(never)]
    pub fn is_compatible(&self, name: &str) -> bool {
        self.property("compatible")
            .is_some_and(|list| list.split(|&byte| byte == 0).any(|entry| entry == name.as_bytes()))
    }

    /// Whether the device may be used (no `status`, or `okay`).
    pub fn is_enabled(&self) -> bool {
        self.property("status").is_none_or(|status| status.starts_with(b"ok"))
    }

    /// The pairs (address, size) of `reg`.
    pub fn reg(&self) -> Reg<'a> {
        let rest = Cells(self.property("reg").unwrap_or(&[]));
        Reg { rest, address_cells: self.address_cells, size_cells: self.size_cells }
    }

    /// Words of a property that is a list of 32-bit cells.
    pub fn cells(&self, name: &str) -> impl Iterator<Item = u32> + use<'a> {
        let bytes = self.property(name).unwrap_or(&[]);
        bytes.chunks_exact(4).filter_map(|chunk| word(chunk, 0))
    }
}

/// Iterator over the pairs (address, size) of a `reg`.
pub struct Reg<'a> {
    rest: Cells<'a>,
    address_cells: u32,
    size_cells: u32,
}

impl Iterator for Reg<'_> {
    type Item = (u64, u64);

    #[inline(never)]
    fn next(&mut self) -> Option<(u64, u64)> {
        let (address, after) = self.rest.take(self.address_cells)?;
        let (size, after) = after.take(self.size_cells)?;
        let advanced = after.0.len() < self.rest.0.len();
        self.rest = after;
        advanced.then_some((address, size))
    }
}

/// Numbers made of big-endian 32-bit cells.
#[derive(Clone, Copy)]
struct Cells<'a>(&'a [u8]);

impl<'a> Cells<'a> {
    /// The number in the next `count` cells (its low 64 bits) and what follows.
    #[inline(never)]
    fn take(self, count: u32) -> Option<(u64, Cells<'a>)> {
        let bytes = (count as usize).checked_mul(4)?;
        let (head, rest) = self.0.split_at_checked(bytes)?;
        let number = head.iter().fold(0u64, |sum, &byte| (sum << 8) | u64::from(byte));
        Some((number, Cells(rest)))
    }
}
