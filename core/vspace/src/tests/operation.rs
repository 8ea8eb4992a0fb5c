//! One change of the books, to make it in several of them.
use abi::{CapAddr, Rights};

use super::model::Model;
use crate::{Area, Attributes, Error, Piece, Space, Table};

#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    AddWindow {
        start: u64,
        end: u64,
    },
    Reserve {
        size: u64,
        align: u64,
        attributes: Attributes,
    },
    ReserveAt {
        base: u64,
        size: u64,
        attributes: Attributes,
    },
    Release {
        base: u64,
    },
    SetRights {
        base: u64,
        rights: Rights,
    },
    InsertPiece(Piece),
    RemovePiece {
        base: u64,
    },
    /// Its base may be any address in it.
    InsertTable(Table, bool),
    RemoveTable {
        level: u8,
        address: u64,
    },
    Unpin {
        level: u8,
        address: u64,
    },
}

/// What it returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Base(u64),
    Area(Area),
    Piece(Piece),
    Table(Table),
}

impl Operation {
    /// A table whose capabilities are told by its place.
    pub(super) fn table(level: u8, address: u64, pinned: bool) -> Self {
        let number = address >> 12 | u64::from(level) << 56;
        let [vnode, mapping] = [CapAddr(number), CapAddr(number | 1 << 60)];
        Self::InsertTable(Table { level, base: address, vnode, mapping }, pinned)
    }

    pub(super) fn run(self, space: &mut Space<'_>) -> Result<Outcome, Error> {
        let done = |()| Outcome::Done;
        match self {
            Self::AddWindow { start, end } => space.add_window(start..end).map(done),
            Self::Reserve { size, align, attributes } => {
                space.reserve(size, align, attributes).map(Outcome::Base)
            }
            Self::ReserveAt { base, size, attributes } => space.reserve_at(base, size, attributes).map(done),
            Self::Release { base } => space.release(base).map(Outcome::Area),
            Self::SetRights { base, rights } => space.set_rights(base, rights).map(done),
            Self::InsertPiece(piece) => space.insert_piece(piece).map(done),
            Self::RemovePiece { base } => space.remove_piece(base).map(Outcome::Piece),
            Self::InsertTable(Table { level, base, vnode, mapping }, pinned) => {
                space.insert_table(level, base, vnode, mapping, pinned).map(done)
            }
            Self::RemoveTable { level, address } => space.remove_table(level, address).map(Outcome::Table),
            Self::Unpin { level, address } => space.unpin(level, address).map(done),
        }
    }

    pub(super) fn run_model(self, model: &mut Model) -> Result<Outcome, Error> {
        let done = |()| Outcome::Done;
        match self {
            Self::AddWindow { start, end } => model.add_window(start, end).map(done),
            Self::Reserve { size, align, attributes } => {
                model.reserve(size, align, attributes).map(Outcome::Base)
            }
            Self::ReserveAt { base, size, attributes } => model.reserve_at(base, size, attributes).map(done),
            Self::Release { base } => model.release(base).map(Outcome::Area),
            Self::SetRights { base, rights } => model.set_rights(base, rights).map(done),
            Self::InsertPiece(piece) => model.insert_piece(piece).map(done),
            Self::RemovePiece { base } => model.remove_piece(base).map(Outcome::Piece),
            Self::InsertTable(table, pinned) => model.insert_table(table, pinned).map(done),
            Self::RemoveTable { level, address } => model.remove_table(level, address).map(Outcome::Table),
            Self::Unpin { level, address } => model.unpin(level, address).map(done),
        }
    }
}
