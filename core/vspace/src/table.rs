//! Page tables: which are there, and how many entries of each are used.
use abi::CapAddr;
use tree::NONE;

use crate::order::Order;
use crate::pool::{BY_ADDRESS, Entry, TableEntry};
use crate::{Error, GIGABYTE, LARGE_PAGE, Space, check_address};

/// A page table. The root, level 0, is always there and not in the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// 1 to 3.
    pub level: u8,
    /// First address that it translates; a multiple of what it spans: 512 GiB, 1 GiB and 2 MiB.
    pub base: u64,
    /// The table itself.
    pub vnode: CapAddr,
    /// Its mapping into the table above.
    pub mapping: CapAddr,
}

/// Bytes that a table of this level, 1 to 3, translates.
pub(crate) const fn span(level: u8) -> u64 {
    match level {
        1 => 512 * GIGABYTE,
        2 => GIGABYTE,
        _ => LARGE_PAGE,
    }
}

/// The first address that the table of this level around an address translates.
pub(crate) const fn table_base(level: u8, address: u64) -> u64 {
    address & !(span(level) - 1)
}

impl Space<'_> {
    /// Enters the table of level 1, 2 or 3 that translates `address`. A `pinned` one is kept even when it is empty.
    ///
    /// # Errors
    /// [`Error::BadLevel`], [`Error::BeyondAddressSpace`]; [`Error::TableThere`], [`Error::LargePiece`];
    /// [`Error::NoTable`] if the one above is missing; [`Error::OutOfNodes`].
    pub fn insert_table(
        &mut self,
        level: u8,
        address: u64,
        vnode: CapAddr,
        mapping: CapAddr,
        pinned: bool,
    ) -> Result<(), Error> {
        let parent = self.check_new_table(level, address)?;
        self.require_nodes(1)?;
        // Used by nobody, it becomes an empty one once it is not pinned.
        let entry = TableEntry { level, pinned: true, users: 0, vnode, mapping };
        let node = self.pool.take(table_base(level, address), span(level), Entry::Table(entry));
        self.tables[usize::from(level) - 1].insert(&mut self.pool, node);
        self.change_table(node, |table| table.pinned = pinned);
        if parent != NONE {
            self.change_table(parent, |table| table.users += 1);
        }
        self.counts.tables += 1;
        Ok(())
    }

    /// Removes the table of this level that translates `address`, and returns it. Never lacks a node.
    ///
    /// # Errors
    /// [`Error::BadLevel`], [`Error::NoTable`]; [`Error::TableInUse`], [`Error::Pinned`].
    pub fn remove_table(&mut self, level: u8, address: u64) -> Result<Table, Error> {
        let (node, TableEntry { users, pinned, vnode, mapping, .. }) = self.existing_table(level, address)?;
        if users > 0 {
            return Err(Error::TableInUse { users });
        }
        if pinned {
            return Err(Error::Pinned);
        }
        self.empty.remove(&mut self.pool, node);
        self.tables[usize::from(level) - 1].remove(&mut self.pool, node);
        self.pool.give_back(node);
        if level > 1 {
            let (parent, _) = self.existing_table(level - 1, address)?;
            self.change_table(parent, |table| table.users -= 1);
        }
        self.counts.tables -= 1;
        Ok(Table { level, base: table_base(level, address), vnode, mapping })
    }

    /// Lets a table go once it is empty.
    ///
    /// # Errors
    /// [`Error::BadLevel`], [`Error::NoTable`].
    pub fn unpin(&mut self, level: u8, address: u64) -> Result<(), Error> {
        let (node, _) = self.existing_table(level, address)?;
        self.change_table(node, |table| table.pinned = false);
        Ok(())
    }

    /// The table of this level that translates `address`. None too for other levels than 1 to 3.
    #[must_use]
    pub fn table(&self, level: u8, address: u64) -> Option<CapAddr> {
        self.existing_table(level, address).ok().map(|(_, table)| table.vnode)
    }

    /// A table without pieces and tables in it that is not pinned: the deepest, and of those the lowest.
    #[must_use]
    pub fn empty_table(&self) -> Option<Table> {
        let found = self.empty.first(&self.pool);
        if found == NONE { None } else { self.pool.node(found).table() }
    }

    /// The first table of a level that begins at an address or behind it.
    pub(crate) fn first_table(&self, level: u8, address: u64) -> Option<Table> {
        let found = self.tables[usize::from(level) - 1].first_after(&self.pool, |node| node.base < address);
        if found == NONE { None } else { self.pool.node(found).table() }
    }

    /// The node of the table of this level that translates `address`, and what it holds.
    pub(crate) fn existing_table(&self, level: u8, address: u64) -> Result<(u32, TableEntry), Error> {
        let node = self.tables_of(level)?.holding(&self.pool, address);
        match (node != NONE).then(|| self.pool.node(node).entry) {
            Some(Entry::Table(table)) => Ok((node, table)),
            _ => Err(Error::NoTable { level, base: table_base(level, address) }),
        }
    }

    /// Changes what is kept of a table, and with it whether it is among the empty ones.
    pub(crate) fn change_table(&mut self, node: u32, change: impl FnOnce(&mut TableEntry)) {
        let was_idle = self.pool.node(node).is_idle_table();
        if let Entry::Table(table) = &mut self.pool.node_mut(node).entry {
            change(table);
        }
        match (was_idle, self.pool.node(node).is_idle_table()) {
            (false, true) => self.empty.insert(&mut self.pool, node),
            (true, false) => self.empty.remove(&mut self.pool, node),
            _ => {}
        }
    }

    /// Whether the entry for a new table is there and empty; the node of the table above, [`NONE`] for the root.
    fn check_new_table(&self, level: u8, address: u64) -> Result<u32, Error> {
        self.tables_of(level)?;
        check_address(address)?;
        let base = table_base(level, address);
        if self.table(level, address).is_some() {
            return Err(Error::TableThere { base });
        }
        // Without the table nothing is below it, but a large piece may be in its place.
        if let Some(piece) = self.pieces(base..base + span(level)).next() {
            return Err(Error::LargePiece { base: piece.base });
        }
        if level == 1 { Ok(NONE) } else { self.existing_table(level - 1, address).map(|(node, _)| node) }
    }

    fn tables_of(&self, level: u8) -> Result<&Order<BY_ADDRESS>, Error> {
        let index = usize::from(level).wrapping_sub(1);
        self.tables.get(index).ok_or(Error::BadLevel { level })
    }
}
