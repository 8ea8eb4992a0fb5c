//! What faults are backed with.

use abi::CapAddr;

/// Bytes that a fault backs at a time.
pub const CHUNK: u64 = 64 * 1024;
/// Frames in stock at most.
pub const FRAMES: usize = 16;
/// Faults that a critical section may make: what is in stock for them after any fault outside of sections.
pub const LEAST: usize = 2;
/// Frames in stock before a fault outside of sections, which takes one.
const ENOUGH_FRAMES: usize = LEAST + 1;
/// Tables of level 3 and 2 in stock at most, each.
pub const TABLES: usize = 4;
/// And before a fault outside of sections, which takes one.
const ENOUGH_TABLES: usize = LEAST + 1;
/// Slots that a fault takes at most: for two tables and the frame.
const SLOTS_OF_A_FAULT: usize = 3;
/// Slots in stock before a fault outside of sections.
const ENOUGH_SLOTS: usize = (LEAST + 1) * SLOTS_OF_A_FAULT;
/// Slots that the stock is filled up to.
const WANTED_SLOTS: usize = ENOUGH_SLOTS + SLOTS_OF_A_FAULT;
/// Slots in stock: one a frame and one a table.
pub const SLOTS: usize = FRAMES + 2 * TABLES;

/// A few things of one kind, without allocation.
#[derive(Clone, Debug)]
struct Few<T: Copy, const N: usize> {
    items: [Option<T>; N],
    count: usize,
}

impl<T: Copy, const N: usize> Few<T, N> {
    const fn new() -> Few<T, N> {
        Few { items: [None; N], count: 0 }
    }
    #[inline]
    fn push(&mut self, item: T) -> bool {
        let free = self.count < N;
        if free {
            self.items[self.count] = Some(item);
            self.count += 1;
        }
        free
    }
    /// The last one that will do.
    #[inline]
    fn take_where(&mut self, will_do: impl Fn(&T) -> bool) -> Option<T> {
        let index = self.items[..self.count].iter().rposition(|item| item.as_ref().is_some_and(&will_do))?;
        self.count -= 1;
        self.items.swap(index, self.count);
        self.items[self.count].take()
    }
    #[inline]
    fn pop(&mut self) -> Option<T> {
        self.count = self.count.checked_sub(1)?;
        self.items[self.count].take()
    }
}

/// Frames, tables and slots for faults. No method waits or allocates.
#[derive(Clone, Debug)]
pub struct Stock {
    /// Frames of [`CHUNK`] bytes, and whether they were in use before.
    frames: Few<(CapAddr, bool), FRAMES>,
    /// Page tables of level 2 and 3.
    tables: [Few<CapAddr, TABLES>; 2],
    /// Empty slots.
    slots: Few<CapAddr, SLOTS>,
    /// Frames that there should be.
    wanted: usize,
    /// It was taken from where it could not be filled up. Outside of sections only the thread sees that which is about to
    /// fill it up.
    pub(crate) low: bool,
}

impl Default for Stock {
    fn default() -> Self {
        Self::new()
    }
}

const fn place(level: u8) -> usize {
    level as usize - 2
}

impl Stock {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Stock {
        Stock {
            frames: Few::new(),
            tables: [const { Few::new() }; 2],
            slots: Few::new(),
            wanted: ENOUGH_FRAMES,
            low: false,
        }
    }

    /// Frames that it holds.
    #[must_use]
    pub const fn frames(&self) -> usize {
        self.frames.count
    }

    /// Tables of level 2 or 3 that it holds.
    #[must_use]
    pub const fn tables(&self, level: u8) -> usize {
        self.tables[place(level)].count
    }

    /// Slots that it holds.
    #[must_use]
    pub const fn slots(&self) -> usize {
        self.slots.count
    }

    /// Whether a fault leaves what critical sections may need.
    #[inline]
    #[must_use]
    pub fn serves(&self) -> bool {
        self.frames.count >= ENOUGH_FRAMES
            && self.slots.count >= ENOUGH_SLOTS
            && self.tables.iter().all(|tables| tables.count >= ENOUGH_TABLES)
    }

    /// Whether a critical section may begin with it: it has what so many faults need that find no table there.
    #[must_use]
    pub fn suffices_for(&self, faults: usize) -> bool {
        self.frames.count >= faults
            && self.slots.count >= faults * SLOTS_OF_A_FAULT
            && self.tables.iter().all(|tables| tables.count >= faults)
    }

    pub(crate) const fn is_taken_from(&self) -> bool {
        self.low
    }

    /// Whether there is something for the next fault.
    pub(crate) const fn is_usable(&self) -> bool {
        self.frames.count > 0 && self.slots.count > 2
    }

    /// A fault outside of sections is to be served: whether the stock is to be filled up before. More than up to now, if that
    /// happens again and again.
    #[inline]
    pub(crate) fn is_low_for_fault(&mut self) -> bool {
        if self.frames.count < ENOUGH_FRAMES {
            self.wanted = (self.wanted * 2).min(FRAMES);
        }
        !self.serves()
    }

    pub(crate) const fn lacks_slots(&self) -> bool {
        self.slots.count < WANTED_SLOTS
    }

    pub(crate) const fn lacks_tables(&self, level: u8) -> bool {
        self.tables[place(level)].count < ENOUGH_TABLES
    }

    /// Whether frames are to be added: many at a time, but only when they are needed.
    pub(crate) const fn is_short_of_frames(&self) -> bool {
        self.frames.count < ENOUGH_FRAMES
    }

    pub(crate) const fn lacks_frames(&self) -> bool {
        self.frames.count < self.wanted
    }

    /// A frame and a slot for its mapping, or neither. One that was in use is zeroed by writing to it, so it serves
    /// `writable` memory alone.
    #[inline]
    pub(crate) fn take(&mut self, writable: bool) -> Option<((CapAddr, bool), CapAddr)> {
        let slot = self.slots.pop()?;
        let frame = self.frames.take_where(|&(_, used)| writable || !used);
        if frame.is_none() {
            self.slots.push(slot);
        }
        Some((frame?, slot))
    }

    /// A table and a slot for its mapping.
    pub(crate) fn take_table(&mut self, level: u8) -> Option<(CapAddr, CapAddr)> {
        Some((self.tables[place(level)].pop()?, self.slots.pop()?))
    }

    /// Whether there is a frame that was not in use before; and one to make room for such, if the stock is full.
    pub(crate) fn look_for_fresh(&mut self) -> (bool, Option<CapAddr>) {
        let fresh = self.frames.items.iter().flatten().any(|(_, used)| !used);
        let full = if self.frames.count == FRAMES { self.frames.pop() } else { None };
        (fresh, full.map(|(frame, _)| frame))
    }

    /// Takes a frame in, unless it is full; `used` is whether it was in use before.
    pub fn add_frame(&mut self, frame: CapAddr, used: bool) -> bool {
        self.frames.push((frame, used))
    }

    /// Takes a table of level 2 or 3 in, unless it is full.
    pub fn add_table(&mut self, level: u8, table: CapAddr) -> bool {
        self.tables[place(level)].push(table)
    }

    /// Takes a slot in, unless it is full.
    pub fn add_slot(&mut self, slot: CapAddr) -> bool {
        self.slots.push(slot)
    }

    /// Takes a frame that was unmapped in, if there is use for it.
    pub fn recycle_frame(&mut self, frame: CapAddr) -> bool {
        self.frames.count < self.wanted.max(ENOUGH_FRAMES + 1) && self.frames.push((frame, true))
    }

    /// A table of level 2 or 3 that faults in critical sections can spare.
    pub fn spare_table(&mut self, level: u8) -> Option<CapAddr> {
        let tables = &mut self.tables[place(level)];
        if tables.count > 1 { tables.pop() } else { None }
    }

    /// Something to be given back; none when there is none left. Then little is wanted again.
    pub fn give_back(&mut self) -> Option<Item> {
        let frame = self.frames.pop().map(|(frame, _)| frame);
        let full = frame.or_else(|| self.tables.iter_mut().find_map(Few::pop));
        let item = full.map(Item::Full).or_else(|| self.slots.pop().map(Item::Slot));
        if item.is_none() {
            self.wanted = ENOUGH_FRAMES;
        }
        item
    }
}

/// Something that was in stock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item {
    /// A slot with a frame or table in it.
    Full(CapAddr),
    /// An empty slot.
    Slot(CapAddr),
}
