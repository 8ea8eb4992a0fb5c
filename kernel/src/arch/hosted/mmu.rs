//! An MMU that takes every liberty the architecture gives it, so that code which works here by luck fails:
//! descriptor writes stay invisible to walks until `publish`, translations and table entries of walks stay
//! cached until they are flushed *and* the flush is completed (DDI 0487 D8.13 and D8.14).

use std::collections::{BTreeMap, BTreeSet};

use abi::Rights;

/// What the MMU let through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Translation {
    /// Physical address.
    pub address: u64,
    /// Rights of user space there.
    pub rights: Rights,
}

/// Why not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// No translation at this level.
    Translation(u8),
}

/// An access as the MMU remembers it: address space and page.
pub type Access = (u16, u64);

#[derive(Clone, Copy)]
struct Walk {
    table: u64,
}

/// The emulated MMU. Descriptors live in the arena; this is what a real one keeps besides.
#[derive(Default)]
pub struct Mmu {
    /// Written but not published: the walker may or may not see the write, which is a bug of whoever relies on it.
    unpublished: BTreeSet<(u64, u16)>,
    /// Cached translations of pages, by address space and virtual page.
    pages: BTreeMap<Access, Translation>,
    /// Cached table addresses of walks, by address space, level of the table, and the address bits that led there.
    walks: BTreeMap<(u16, u8, u64), Walk>,
    /// Flushes that are not completed yet.
    pending: Vec<Flush>,
    /// Walks that met an unpublished descriptor.
    pub complaints: Vec<(u64, u16)>,
}

enum Flush {
    Page(u16, u64),
    Asid(u16),
}

const VALID: u64 = 1;
const TABLE: u64 = 2;
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

impl Mmu {
    /// A descriptor was written.
    pub fn written(&mut self, table: u64, index: u16) {
        self.unpublished.insert((table, index));
    }
    /// `dsb ishst; isb`.
    pub fn publish(&mut self) {
        self.unpublished.clear();
    }
    /// `tlbi vale1`: the last level only, so cached walks stay.
    pub fn flush_page(&mut self, operand: u64) {
        self.pending.push(Flush::Page((operand >> 48) as u16, operand & ((1 << 44) - 1)));
    }
    /// `tlbi aside1`.
    pub fn flush_asid(&mut self, asid: u16) {
        self.pending.push(Flush::Asid(asid));
    }
    /// `dsb; isb`.
    pub fn complete(&mut self) {
        for flush in self.pending.drain(..) {
            match flush {
                Flush::Page(asid, page) => {
                    self.pages.remove(&(asid, page));
                }
                Flush::Asid(asid) => {
                    self.pages.retain(|key, _| key.0 != asid);
                    self.walks.retain(|key, _| key.0 != asid);
                }
            }
        }
    }

    /// Translates `address`, with whatever is cached.
    pub fn translate(
        &mut self,
        read: impl Fn(u64, u16) -> u64,
        root: u64,
        asid: u16,
        address: u64,
    ) -> Result<Translation, Fault> {
        let page = address >> 12;
        if let Some(found) = self.pages.get(&(asid, page)) {
            return Ok(Translation { address: found.address | address & 0xfff, ..*found });
        }
        let (mut table, mut level) = self.longest_cached_walk(root, asid, address);
        loop {
            let shift = 39 - 9 * u32::from(level);
            let index = (address >> shift & 511) as u16;
            if self.unpublished.contains(&(table, index)) {
                self.complaints.push((table, index));
            }
            let descriptor = read(table, index);
            if descriptor & VALID == 0 {
                return Err(Fault::Translation(level));
            }
            if level < 3 && descriptor & TABLE != 0 {
                table = descriptor & ADDRESS;
                level += 1;
                self.walks.insert((asid, level, address >> shift), Walk { table });
                continue;
            }
            let offset = address & ((1 << shift) - 1) & !0xfff;
            let found = Translation { address: (descriptor & ADDRESS) + offset, rights: rights(descriptor) };
            self.pages.insert((asid, page), found);
            return Ok(Translation { address: found.address | address & 0xfff, ..found });
        }
    }

    fn longest_cached_walk(&self, root: u64, asid: u16, address: u64) -> (u64, u8) {
        for level in [3u8, 2, 1] {
            let shift = 39 - 9 * u32::from(level - 1);
            if let Some(walk) = self.walks.get(&(asid, level, address >> shift)) {
                return (walk.table, level);
            }
        }
        (root, 0)
    }
}

fn rights(descriptor: u64) -> Rights {
    let mut rights = Rights::READ;
    if descriptor >> 7 & 1 == 0 {
        rights = rights.or(Rights::WRITE);
    }
    if descriptor >> 54 & 1 == 0 {
        rights = rights.or(Rights::EXECUTE);
    }
    rights
}
