//! Capabilities of a small unit as numbers, and what a core holds as a set of bits.

use std::fmt;

use capops::{Held, Key};

use super::Bug;

/// Granules of the largest unit.
pub const MAX_SIZE: u8 = 4;
/// Ranges in it.
const RANGES: usize = (MAX_SIZE as usize * (MAX_SIZE as usize + 1)) / 2;
/// Types of capabilities.
const TYPES: usize = 3;
/// Capabilities there can be.
pub(super) const CAPS: usize = RANGES * TYPES;

/// The types that differ for the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// Makes all the others.
    Ram,
    /// Makes smaller ones of its kind.
    Frame,
    /// Makes nothing and never leaves its core, like a CNode.
    Object,
}

const ALL_TYPES: [Type; TYPES] = [Type::Ram, Type::Frame, Type::Object];

/// A capability: its type and range.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cap(pub u8);

/// A set of capabilities, by number.
pub type Set = u32;

impl Cap {
    /// The capability of a type over the granules from `start` to `end - 1`.
    pub const fn new(ty: Type, start: u8, end: u8) -> Cap {
        let mut range = 0;
        let mut s = 0;
        while s < start {
            range += MAX_SIZE - s;
            s += 1;
        }
        Cap(ty as u8 * RANGES as u8 + range + (end - start - 1))
    }

    /// Its first granule, and one past its last.
    pub const fn range(self) -> (u8, u8) {
        let (mut left, mut start) = (self.0 % RANGES as u8, 0);
        while left >= MAX_SIZE - start {
            left -= MAX_SIZE - start;
            start += 1;
        }
        (start, start + 1 + left)
    }

    /// Its type.
    pub const fn ty(self) -> Type {
        ALL_TYPES[self.0 as usize / RANGES]
    }

    /// The same in a unit of `size` granules that is looked at from its other end.
    pub const fn mirrored(self, size: u8) -> Cap {
        let (start, end) = self.range();
        if end > size { self } else { Cap::new(self.ty(), size - end, size - start) }
    }

    /// The set of it alone.
    pub const fn bit(self) -> Set {
        1 << self.0
    }
    /// Itself and its descendants.
    pub const fn inside(self) -> Set {
        INSIDE[self.0 as usize]
    }
    /// Itself and its ancestors.
    pub const fn above(self) -> Set {
        ABOVE[self.0 as usize]
    }
    /// What overlaps it.
    pub const fn overlap(self) -> Set {
        OVERLAP[self.0 as usize]
    }
}

impl fmt::Debug for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, end) = self.range();
        write!(f, "{:?}[{start},{end})", self.ty())
    }
}

impl Key for Cap {
    fn contains(&self, other: &Cap) -> bool {
        self.inside() & other.bit() != 0
    }
    fn is_above(&self, at: u64) -> bool {
        self.range().0 as u64 >= at
    }
}

const fn is_descent(a: Cap, b: Cap) -> bool {
    let ((s, e), (x, y)) = (a.range(), b.range());
    let same = s == x && e == y;
    s <= x
        && y <= e
        && match (a.ty(), b.ty()) {
            (Type::Ram, _) => true,
            (Type::Frame, Type::Frame) => true,
            (Type::Object, Type::Object) => same,
            _ => false,
        }
}

const fn overlaps(a: Cap, b: Cap) -> bool {
    let ((s, e), (x, y)) = (a.range(), b.range());
    !(e <= x || y <= s)
}

/// Which relation a table is of.
const fn table(relation: u8) -> [Set; CAPS] {
    let mut sets = [0; CAPS];
    let mut a = 0;
    while a < CAPS {
        let mut b = 0;
        while b < CAPS {
            let (x, y) = (Cap(a as u8), Cap(b as u8));
            let holds = match relation {
                0 => is_descent(x, y),
                1 => is_descent(y, x),
                _ => overlaps(x, y),
            };
            if holds {
                sets[a] |= 1 << b;
            }
            b += 1;
        }
        a += 1;
    }
    sets
}

static INSIDE: [Set; CAPS] = table(0);
static ABOVE: [Set; CAPS] = table(1);
static OVERLAP: [Set; CAPS] = table(2);

/// The capabilities of a set, in the order of the mapping database: by base, larger first, Ram before what is made of it.
pub fn each(set: Set) -> impl Iterator<Item = Cap> {
    ORDER.iter().copied().filter(move |cap| set & cap.bit() != 0)
}

const ORDER: [Cap; CAPS] = {
    let mut order = [Cap(0); CAPS];
    let (mut at, mut start) = (0, 0);
    while start < MAX_SIZE {
        let mut end = MAX_SIZE;
        while end > start {
            let mut ty = 0;
            while ty < TYPES {
                order[at] = Cap::new(ALL_TYPES[ty], start, end);
                at += 1;
                ty += 1;
            }
            end -= 1;
        }
        start += 1;
    }
    order
};

/// What a core holds of a unit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Holding {
    /// The capabilities.
    pub have: Set,
    /// Those marked as exclusive.
    pub exclusive: Set,
}

/// A holding as the protocol sees it.
pub struct View<'a> {
    /// What is held.
    pub holding: &'a mut Holding,
    /// Whether a sweep deletes one capability a step, rather than all.
    pub stepped: bool,
    /// Whether a granted retype marks all that is held inside its source.
    pub marks_inside: bool,
    /// A mistake made on purpose.
    pub bug: Option<Bug>,
}

impl Held for View<'_> {
    type Key = Cap;

    fn is_empty(&self) -> bool {
        self.holding.have == 0
    }
    fn holds(&self, key: Cap) -> bool {
        self.holding.have & key.bit() != 0
    }
    fn is_exclusive(&self, key: Cap) -> bool {
        self.holding.exclusive & key.bit() != 0
    }
    fn holds_inside(&self, key: Cap) -> bool {
        self.holding.have & key.inside() != 0
    }
    fn is_free(&self, src: Cap, new: Cap) -> bool {
        let in_the_way = match self.bug {
            Some(Bug::NoSecondLook) => 0,
            Some(Bug::OnlyInside) => new.inside(),
            _ => new.overlap() & !src.above(),
        };
        self.holding.have & in_the_way == 0
    }
    fn spans(&self, at: u64) -> bool {
        each(self.holding.have).any(|cap| {
            let (start, end) = cap.range();
            (start as u64) < at && at < end as u64
        })
    }
    fn insert(&mut self, key: Cap, exclusive: bool) -> bool {
        self.holding.have |= key.bit();
        if exclusive {
            self.holding.exclusive |= key.bit();
        }
        true
    }
    fn remove(&mut self, key: Cap) {
        self.holding.have &= !key.bit();
        self.holding.exclusive &= !key.bit();
    }
    fn share(&mut self, key: Cap) {
        let all = if self.bug == Some(Bug::ShareItselfOnly) { key.bit() } else { key.above() };
        self.holding.exclusive &= !all;
    }
    fn own(&mut self, key: Cap) {
        let all = if self.marks_inside { self.holding.have & key.inside() } else { key.bit() };
        self.holding.exclusive |= all;
    }
    fn sweep(&mut self, top: Cap, keeps_top: bool) -> bool {
        let kept = if keeps_top { top.bit() } else { 0 };
        let mut dead = self.holding.have & top.inside() & !kept;
        if self.stepped {
            dead = each(dead).next().map_or(0, Cap::bit);
        }
        self.holding.have &= !dead;
        self.holding.exclusive &= !dead;
        self.holding.have & top.inside() & !kept == 0
    }
}
