//! The capabilities of the simulation: ranges of pages in regions of eight, of three types, few enough for sets of bits.

use monitor::{PAGE, WireKey};

/// Pages of a region. A unit lies in one region.
pub(super) const PAGES: usize = 8;
/// Capabilities that can exist in a region.
pub(super) const KEYS: usize = 2 * RANGES + PAGES;
const RANGES: usize = PAGES * (PAGES + 1) / 2;

/// A set of the capabilities of a region.
pub type Keys = u128;

/// What a capability is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Type {
    /// Retypes to all, and to smaller ones of its kind.
    Ram,
    /// Retypes to smaller ones of its kind.
    Frame,
    /// A page that holds capabilities. It never leaves its core.
    CNode,
}

/// Which capability: a region, and the number of the capability in it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SimKey {
    /// The region.
    pub region: u8,
    /// Below `KEYS`.
    pub index: u8,
}

#[derive(Clone, Copy)]
struct Shape {
    first: usize,
    end: usize,
    ty: Type,
}

const SHAPES: [Shape; KEYS] = {
    let mut shapes = [Shape { first: 0, end: 1, ty: Type::CNode }; KEYS];
    let (mut i, mut first) = (0, 0);
    while first < PAGES {
        let mut end = first + 1;
        while end <= PAGES {
            shapes[i] = Shape { first, end, ty: Type::Ram };
            shapes[i + RANGES] = Shape { first, end, ty: Type::Frame };
            i += 1;
            end += 1;
        }
        shapes[2 * RANGES + first] = Shape { first, end: first + 1, ty: Type::CNode };
        first += 1;
    }
    shapes
};

const fn contains(a: Shape, b: Shape) -> bool {
    let covers = a.first <= b.first && b.end <= a.end;
    let same_range = a.first == b.first && a.end == b.end;
    let same_type = a.ty as u8 == b.ty as u8;
    match a.ty {
        Type::Ram => covers && (!same_type || !same_range),
        Type::Frame => covers && same_type && !same_range,
        Type::CNode => false,
    }
}

/// What can be looked up about a capability, as sets.
pub(super) struct Row {
    /// It and its possible descendants.
    pub inside: Keys,
    /// It and its possible ancestors.
    pub above: Keys,
    /// What it shares no page with.
    pub disjoint: Keys,
    /// What must not exist beside it.
    pub conflict: Keys,
}

/// A row for each capability.
pub(super) static ROWS: [Row; KEYS] = {
    let mut rows = [const { Row { inside: 0, above: 0, disjoint: 0, conflict: 0 } }; KEYS];
    let mut i = 0;
    while i < KEYS {
        let mut j = 0;
        while j < KEYS {
            let (a, b) = (SHAPES[i], SHAPES[j]);
            let (down, up) = (i == j || contains(a, b), i == j || contains(b, a));
            let disjoint = a.end <= b.first || b.end <= a.first;
            rows[i].inside |= (down as Keys) << j;
            rows[i].above |= (up as Keys) << j;
            rows[i].disjoint |= (disjoint as Keys) << j;
            rows[i].conflict |= (!(down || up || disjoint) as Keys) << j;
            j += 1;
        }
        i += 1;
    }
    rows
};

/// The capabilities that begin at each page.
pub(super) static BEGINS: [Keys; PAGES] = {
    let mut sets = [0; PAGES];
    let mut i = 0;
    while i < KEYS {
        sets[SHAPES[i].first] |= 1 << i;
        i += 1;
    }
    sets
};

/// The capabilities that begin before each page and end behind its beginning.
pub(super) static SPANS: [Keys; PAGES] = {
    let mut sets = [0; PAGES];
    let mut i = 0;
    while i < KEYS {
        let mut page = SHAPES[i].first + 1;
        while page < SHAPES[i].end {
            sets[page] |= 1 << i;
            page += 1;
        }
        i += 1;
    }
    sets
};

/// The members of a set.
pub(super) fn members(mut set: Keys) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let index = (set != 0).then(|| set.trailing_zeros() as u8)?;
        set &= set - 1;
        Some(index)
    })
}

/// The capabilities that lie in these pages.
pub(super) fn within(first: usize, end: usize) -> Keys {
    (first..end).fold(0, |set, page| set | BEGINS[page])
}

impl SimKey {
    /// The Ram of these pages of a region.
    pub fn ram(region: u8, first: usize, end: usize) -> SimKey {
        SimKey::find(region, first, end, Type::Ram).expect("a range of a region")
    }

    fn find(region: u8, first: usize, end: usize, ty: Type) -> Option<SimKey> {
        let index = SHAPES.iter().position(|it| it.first == first && it.end == end && it.ty == ty)?;
        Some(SimKey { region, index: index as u8 })
    }

    /// As a set of one.
    pub fn bit(self) -> Keys {
        1 << self.index
    }
    /// What is known of it.
    pub(super) fn row(self) -> &'static Row {
        &ROWS[self.index as usize]
    }
    /// Its type.
    pub fn ty(self) -> Type {
        SHAPES[self.index as usize].ty
    }
    /// Its first page in the region.
    pub fn first(self) -> usize {
        SHAPES[self.index as usize].first
    }
    /// The page behind it.
    pub fn end(self) -> usize {
        SHAPES[self.index as usize].end
    }
    /// Its pages, a bit each.
    pub fn pages(self) -> u8 {
        ((1u16 << self.end()) - (1u16 << self.first())) as u8
    }
    fn address(self) -> u64 {
        (self.region as u64 * PAGES as u64 + self.first() as u64) * PAGE
    }
}

impl capops::Key for SimKey {
    fn contains(&self, other: &Self) -> bool {
        self.region == other.region && self.row().inside & other.bit() != 0
    }
    fn is_above(&self, at: u64) -> bool {
        self.address() >= at
    }
}

impl WireKey for SimKey {
    fn words(self) -> [u64; 2] {
        [self.address() | self.ty() as u64, (self.end() - self.first()) as u64]
    }
    fn from_words([address, pages]: [u64; 2]) -> Option<Self> {
        let ty = [Type::Ram, Type::Frame, Type::CNode].into_iter().find(|it| *it as u64 == address % PAGE)?;
        let (page, pages) = (address / PAGE, usize::try_from(pages).ok()?);
        let first = page as usize % PAGES;
        SimKey::find(u8::try_from(page / PAGES as u64).ok()?, first, first.checked_add(pages)?, ty)
    }
}

impl std::fmt::Display for SimKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start = self.region as usize * PAGES;
        write!(f, "{:?} {}..{}", self.ty(), start + self.first(), start + self.end())
    }
}

const _: () = assert!(KEYS <= 128);

#[cfg(test)]
mod tests {
    use capops::Key as _;

    use super::*;

    #[test]
    fn keys_are_written_and_read() {
        for index in 0..KEYS as u8 {
            let key = SimKey { region: 5, index };
            assert_eq!(SimKey::from_words(key.words()), Some(key));
            assert!(key.contains(&key));
        }
    }
}
