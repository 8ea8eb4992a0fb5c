//! The same books without any cleverness: lists, searched from end to end.
use std::vec::Vec;

use abi::{CapAddr, PAGE_SIZE, Rights};

use super::soundness::Contents;
use crate::{Area, Attributes, Backing, Error, GIGABYTE, LARGE_PAGE, Piece, SPACE_END, Statistics, Table};

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    windows: Vec<(u64, u64)>,
    pub(super) areas: Vec<Area>,
    pub(super) pieces: Vec<Piece>,
    /// With whether it is pinned.
    pub(super) tables: Vec<(Table, bool)>,
}

const fn span(level: u8) -> u64 {
    [512 * GIGABYTE, GIGABYTE, LARGE_PAGE][level as usize - 1]
}

fn check(base: u64, size: u64, granule: u64) -> Result<(), Error> {
    if size == 0 {
        return Err(Error::ZeroSize);
    }
    if base.checked_add(size).is_none() {
        return Err(Error::Overflow);
    }
    match [base, size].into_iter().find(|value| value % granule != 0) {
        Some(value) => Err(Error::Misaligned { value, granule }),
        None => Ok(()),
    }
}

fn check_attributes(attributes: Attributes) -> Result<(), Error> {
    match attributes.backing {
        Backing::Lazy { chunk } if !(12..=21).any(|bits| chunk == 1 << bits) => {
            Err(Error::BadChunk { chunk })
        }
        _ => Ok(()),
    }
}

impl Model {
    pub(super) fn add_window(&mut self, start: u64, end: u64) -> Result<(), Error> {
        if end < start {
            return Err(Error::ZeroSize);
        }
        check(start, end - start, PAGE_SIZE)?;
        if end > SPACE_END {
            return Err(Error::BeyondAddressSpace { address: end - 1 });
        }
        let areas = self.areas.iter().map(|area| (area.base, area.end()));
        let spans = self.free().into_iter().map(|(base, size)| (base, base + size)).chain(areas);
        // The highest of those in the way is the one that is named.
        if let Some((base, _)) = spans.filter(|&(b, e)| b < end && start < e).max() {
            return Err(Error::Overlap { base });
        }
        self.windows.push((start, end));
        self.windows.sort_unstable();
        self.windows.dedup_by(|high, low| {
            let touch = low.1 == high.0;
            if touch {
                low.1 = high.1;
            }
            touch
        });
        Ok(())
    }

    /// Bases and sizes of what no area has.
    fn free(&self) -> Vec<(u64, u64)> {
        let mut free = Vec::new();
        for &(start, end) in &self.windows {
            let mut at = start;
            for area in self.areas.iter().filter(|area| start <= area.base && area.base < end) {
                free.push((at, area.base - at));
                at = area.end();
            }
            free.push((at, end - at));
        }
        free.retain(|&(_, size)| size > 0);
        free
    }

    pub(super) fn reserve(&mut self, size: u64, align: u64, attributes: Attributes) -> Result<u64, Error> {
        check(0, size, PAGE_SIZE)?;
        check_attributes(attributes)?;
        if !align.is_power_of_two() {
            return Err(Error::BadAlignment { align });
        }
        let served = [PAGE_SIZE, LARGE_PAGE, GIGABYTE].into_iter().find(|&served| served >= align);
        let served = served.ok_or(Error::AlignmentTooLarge { align })?;
        let start = |base: u64| base.next_multiple_of(served);
        let fits = |&(base, room): &(u64, u64)| start(base) as u128 + size as u128 <= (base + room) as u128;
        let best = self.free().into_iter().filter(fits).min_by_key(|&(base, room)| (room, base));
        let base = start(best.ok_or(Error::NoSpace)?.0);
        self.put(Area { base, size, attributes });
        Ok(base)
    }

    pub(super) fn reserve_at(&mut self, base: u64, size: u64, attributes: Attributes) -> Result<(), Error> {
        check(base, size, PAGE_SIZE)?;
        check_attributes(attributes)?;
        // Only places where something begins or ends can be the first unavailable ones.
        let ends = self.windows.iter().map(|&(_, end)| end).chain(self.areas.iter().map(|area| area.base));
        let mut places: Vec<_> = ends.filter(|end| (base..base + size).contains(end)).chain([base]).collect();
        places.sort_unstable();
        for address in places {
            if let Some(area) = self.area(address) {
                return Err(Error::NotFree { base: area.base });
            }
            if !self.windows.iter().any(|&(start, end)| start <= address && address < end) {
                return Err(Error::OutsideWindows { address });
            }
        }
        self.put(Area { base, size, attributes });
        Ok(())
    }

    fn put(&mut self, area: Area) {
        self.areas.push(area);
        self.areas.sort_unstable_by_key(|area| area.base);
    }

    pub(super) fn release(&mut self, base: u64) -> Result<Area, Error> {
        let place = self.area_from(base)?;
        let area = self.areas[place];
        match self.pieces.iter().find(|piece| area.base <= piece.base && piece.base < area.end()) {
            Some(piece) => Err(Error::InUse { base: piece.base }),
            None => Ok(self.areas.remove(place)),
        }
    }

    pub(super) fn set_rights(&mut self, base: u64, rights: Rights) -> Result<(), Error> {
        let place = self.area_from(base)?;
        self.areas[place].attributes.rights = rights;
        Ok(())
    }

    pub(super) fn area(&self, address: u64) -> Option<Area> {
        self.areas.iter().copied().find(|area| area.base <= address && address < area.end())
    }

    fn area_from(&self, base: u64) -> Result<usize, Error> {
        let area = self.area(base).ok_or(Error::NotReserved { address: base })?;
        let place = self.areas.iter().position(|area| area.base == base);
        place.ok_or(Error::NotABase { base: area.base })
    }

    pub(super) fn insert_piece(&mut self, piece: Piece) -> Result<(), Error> {
        let (granule, level) = if piece.large { (LARGE_PAGE, 2) } else { (PAGE_SIZE, 3) };
        check(piece.base, piece.size, granule)?;
        let table = piece.base / span(level);
        if (piece.end() - 1) / span(level) != table {
            return Err(Error::CrossesTable { end: (table + 1) * span(level) });
        }
        let area = self.area(piece.base).ok_or(Error::NotReserved { address: piece.base })?;
        if area.attributes.backing == Backing::Guard {
            return Err(Error::Guarded { base: area.base });
        }
        if piece.end() > area.end() {
            return Err(Error::BeyondArea { end: area.end() });
        }
        if let Some(other) = self.pieces(piece.base, piece.end()).first() {
            return Err(Error::Covered { base: other.base });
        }
        let below = |table: &Table| table.level == 3 && piece.base <= table.base && table.base < piece.end();
        let below = self.tables.iter().map(|(table, _)| table).filter(|table| below(table));
        if let Some(base) = below.map(|table| table.base).min().filter(|_| piece.large) {
            return Err(Error::TableBelow { base });
        }
        self.existing(level, piece.base)?;
        self.pieces.push(piece);
        self.pieces.sort_unstable_by_key(|piece| piece.base);
        Ok(())
    }

    pub(super) fn remove_piece(&mut self, base: u64) -> Result<Piece, Error> {
        let piece = self.piece(base).ok_or(Error::NoPiece { address: base })?;
        let place = self.pieces.iter().position(|piece| piece.base == base);
        Ok(self.pieces.remove(place.ok_or(Error::NotAPieceBase { base: piece.base })?))
    }

    pub(super) fn piece(&self, address: u64) -> Option<Piece> {
        self.pieces.iter().copied().find(|piece| piece.base <= address && address < piece.end())
    }

    pub(super) fn pieces(&self, start: u64, end: u64) -> Vec<Piece> {
        let shows = |piece: &&Piece| start < end && piece.base < end && start < piece.end();
        self.pieces.iter().filter(shows).copied().collect()
    }

    /// Page by page from the address in both directions.
    pub(super) fn gap(&self, address: u64) -> Option<core::ops::Range<u64>> {
        let area = self.area(address)?;
        let Backing::Lazy { chunk } = area.attributes.backing else { return None };
        let open = |at: u64| {
            at / chunk == address / chunk && self.area(at) == Some(area) && self.piece(at).is_none()
        };
        let page = address / PAGE_SIZE * PAGE_SIZE;
        let mut gap = page..page + PAGE_SIZE;
        if !open(page) {
            return None;
        }
        while gap.start > 0 && open(gap.start - PAGE_SIZE) {
            gap.start -= PAGE_SIZE;
        }
        while open(gap.end) {
            gap.end += PAGE_SIZE;
        }
        Some(gap)
    }

    pub(super) fn takes_large_page(&self, address: u64) -> bool {
        let base = address / LARGE_PAGE * LARGE_PAGE;
        self.area(address).is_some_and(|area| {
            area.attributes.backing == Backing::Lazy { chunk: LARGE_PAGE }
                && area.base <= base
                && base + LARGE_PAGE <= area.end()
                && self.pieces(base, base + LARGE_PAGE).is_empty()
                && self.table(3, address).is_none()
        })
    }

    pub(super) fn insert_table(&mut self, table: Table, pinned: bool) -> Result<(), Error> {
        let Table { level, base: address, .. } = table;
        if !(1..=3).contains(&level) {
            return Err(Error::BadLevel { level });
        }
        if address >= SPACE_END {
            return Err(Error::BeyondAddressSpace { address });
        }
        let base = address / span(level) * span(level);
        if self.table(level, address).is_some() {
            return Err(Error::TableThere { base });
        }
        if level == 3
            && let Some(piece) = self.piece(base)
        {
            return Err(Error::LargePiece { base: piece.base });
        }
        if level > 1 {
            self.existing(level - 1, base)?;
        }
        self.tables.push((Table { base, ..table }, pinned));
        self.tables.sort_unstable_by_key(|(table, _)| (table.level, table.base));
        Ok(())
    }

    pub(super) fn remove_table(&mut self, level: u8, address: u64) -> Result<Table, Error> {
        let place = self.existing(level, address)?;
        let users = self.users(self.tables[place].0);
        if users > 0 {
            return Err(Error::TableInUse { users });
        }
        if self.tables[place].1 {
            return Err(Error::Pinned);
        }
        Ok(self.tables.remove(place).0)
    }

    pub(super) fn unpin(&mut self, level: u8, address: u64) -> Result<(), Error> {
        let place = self.existing(level, address)?;
        self.tables[place].1 = false;
        Ok(())
    }

    pub(super) fn table(&self, level: u8, address: u64) -> Option<CapAddr> {
        self.existing(level, address).ok().map(|place| self.tables[place].0.vnode)
    }

    fn existing(&self, level: u8, address: u64) -> Result<usize, Error> {
        if !(1..=3).contains(&level) {
            return Err(Error::BadLevel { level });
        }
        let base = address / span(level) * span(level);
        let found = self.tables.iter().position(|(table, _)| table.level == level && table.base == base);
        found.ok_or(Error::NoTable { level, base })
    }

    fn users(&self, table: Table) -> u32 {
        let inside = |address: u64| address / span(table.level) * span(table.level) == table.base;
        let level = |piece: &Piece| if piece.large { 2 } else { 3 };
        let pieces = self.pieces.iter().filter(|piece| level(piece) == table.level && inside(piece.base));
        let tables =
            self.tables.iter().filter(|(below, _)| below.level == table.level + 1 && inside(below.base));
        (pieces.count() + tables.count()) as u32
    }

    pub(super) fn contents(&self) -> Contents {
        let tables: Vec<_> =
            self.tables.iter().map(|&(table, pinned)| (table, pinned, self.users(table))).collect();
        let idle =
            tables.iter().filter(|(_, pinned, users)| !pinned && *users == 0).map(|(table, ..)| *table);
        Contents {
            free: self.free(),
            areas: self.areas.clone(),
            pieces: self.pieces.clone(),
            empty: idle.min_by_key(|table| (3 - table.level, table.base)),
            statistics: Statistics {
                areas: self.areas.len(),
                pieces: self.pieces.len(),
                tables: tables.len(),
                reserved: self.areas.iter().map(|area| area.size).sum(),
                backed: self.pieces.iter().map(|piece| piece.size).sum(),
            },
            tables,
        }
    }
}
