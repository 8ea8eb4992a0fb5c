//! Who has which memory: the regions of all roots, and a record for each allocation.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use abi::{CapAddr, PAGE_SIZE};
use interfaces::MemoryError;
use region::{Error, Node, Regions, RootId};

/// Alignments that are told apart when a best fit is looked for: a page, what one level 3 table covers, what one level 2
/// table covers. Others are served as the next larger one.
const ALIGNMENTS: [u64; 3] = [PAGE_SIZE, 2 << 20, 1 << 30];
/// Nodes that are added at a time: 18 KiB.
const NODE_CHUNK: usize = 256;
/// Longest chunk: chunks double, so that their number stays small.
const LARGEST_NODE_CHUNK: usize = 1 << 16;

/// A part of a root that is being handed out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant {
    /// Physical address; names the allocation.
    pub base: u64,
    /// The root's capability.
    pub root: CapAddr,
    /// Bytes from the start of the root.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

struct Root {
    capability: CapAddr,
    base: u64,
}

struct Allocation {
    /// The Unit capability, once there is one.
    unit: Option<CapAddr>,
    size: u64,
    domain: u64,
}

/// The books of a memory server.
pub struct Books {
    regions: Regions<'static, 3>,
    roots: Vec<Root>,
    allocations: BTreeMap<u64, Allocation>,
    /// Bytes that each domain has.
    accounts: BTreeMap<u64, u64>,
    next_nodes: usize,
}

/// Bytes in all, in use, and free.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status {
    /// Under all roots.
    pub total: u64,
    /// Handed out.
    pub used: u64,
    /// Not handed out.
    pub free: u64,
}

impl Books {
    /// Books over nothing.
    ///
    /// # Errors
    /// None that can happen: the alignments are constants.
    pub fn new() -> Result<Books, Error> {
        Ok(Books {
            regions: Regions::new(ALIGNMENTS)?,
            roots: Vec::new(),
            allocations: BTreeMap::new(),
            accounts: BTreeMap::new(),
            next_nodes: NODE_CHUNK,
        })
    }

    /// Takes in a root Ram capability over `size` bytes at `base`.
    ///
    /// # Errors
    /// Those of [`Regions::add_root`].
    pub fn add_root(&mut self, capability: CapAddr, base: u64, size: u64) -> Result<(), Error> {
        self.provide_nodes()?;
        self.regions.add_root(RootId(self.roots.len() as u32), base, size)?;
        self.roots.push(Root { capability, base });
        Ok(())
    }

    /// The capabilities of all roots.
    pub fn roots(&self) -> impl Iterator<Item = CapAddr> {
        self.roots.iter().map(|root| root.capability)
    }

    /// Marks memory as handed out to `domain`. `bytes` is a multiple of the page, `align` a power of two from the page on.
    ///
    /// # Errors
    /// `BadSize`, `BadAlignment`, `OutOfMemory`; nothing has changed then.
    pub fn grant(&mut self, bytes: u64, align: u64, domain: u64) -> Result<Grant, MemoryError> {
        if bytes == 0 || !bytes.is_multiple_of(PAGE_SIZE) {
            return Err(MemoryError::BadSize);
        }
        if align < PAGE_SIZE || !align.is_power_of_two() {
            return Err(MemoryError::BadAlignment);
        }
        self.provide_nodes().map_err(|_| MemoryError::Exhausted)?;
        let region = self.regions.allocate(bytes, align).map_err(refusal)?;
        self.allocations.insert(region.base, Allocation { unit: None, size: region.size, domain });
        *self.accounts.entry(domain).or_default() += region.size;
        let root = &self.roots[region.root.0 as usize];
        Ok(Grant {
            base: region.base,
            root: root.capability,
            offset: region.base - root.base,
            size: region.size,
        })
    }

    /// Notes the Unit capability of the allocation at `base`.
    pub fn set_unit(&mut self, base: u64, unit: CapAddr) {
        if let Some(allocation) = self.allocations.get_mut(&base) {
            allocation.unit = Some(unit);
        }
    }

    /// The Unit capability of the allocation at `base`: to be deleted before [`Books::take_back`].
    pub fn unit(&self, base: u64) -> Option<CapAddr> {
        self.allocations.get(&base)?.unit
    }

    /// Makes the allocation at `base` free again. Does nothing if there is none.
    pub fn take_back(&mut self, base: u64) {
        let Some(allocation) = self.allocations.remove(&base) else { return };
        if let Some(has) = self.accounts.get_mut(&allocation.domain) {
            *has -= allocation.size;
            if *has == 0 {
                self.accounts.remove(&allocation.domain);
            }
        }
        // Records and regions are made and removed together, so it is allocated.
        let _ = self.regions.free(base);
    }

    /// Bytes that a domain asked for and that are not free again.
    pub fn account(&self, domain: u64) -> u64 {
        self.accounts.get(&domain).copied().unwrap_or(0)
    }

    /// What there is.
    pub fn status(&self) -> Status {
        let now = self.regions.statistics();
        Status { total: now.total, used: now.used, free: now.free }
    }

    /// Adds nodes for the regions before they run out.
    fn provide_nodes(&mut self) -> Result<(), Error> {
        if self.regions.spare_nodes() >= self.regions.nodes_needed(1) {
            return Ok(());
        }
        // They are lent for ever: the server ends with the system.
        let chunk = Box::leak(vec![Node::EMPTY; self.next_nodes].into_boxed_slice());
        self.next_nodes = (self.next_nodes * 2).min(LARGEST_NODE_CHUNK);
        self.regions.add_nodes(chunk)
    }
}

fn refusal(error: Error) -> MemoryError {
    match error {
        // More than any machine has: as good as out of memory.
        Error::AlignmentTooLarge { .. } | Error::NoSpace | Error::Overflow | Error::TooLarge => {
            MemoryError::OutOfMemory
        }
        Error::ZeroSize | Error::Misaligned { .. } => MemoryError::BadSize,
        Error::BadAlignment { .. } => MemoryError::BadAlignment,
        _ => MemoryError::Exhausted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const FIRST: CapAddr = CapAddr(0x110);
    const SECOND: CapAddr = CapAddr(0x111);

    /// Two roots: 16 MiB at 1 GiB, 4 MiB at 2 GiB.
    fn books() -> Books {
        let mut books = Books::new().unwrap();
        books.add_root(FIRST, 1 << 30, 16 * MIB).unwrap();
        books.add_root(SECOND, 2 << 30, 4 * MIB).unwrap();
        books
    }

    #[test]
    fn a_grant_names_its_root_and_the_offset_in_it() {
        let mut books = books();
        // The best fit for 4 MiB is the second root as a whole.
        let whole = books.grant(4 * MIB, PAGE_SIZE, 9).unwrap();
        assert_eq!(whole, Grant { base: 2 << 30, root: SECOND, offset: 0, size: 4 * MIB });
        let one = books.grant(PAGE_SIZE, PAGE_SIZE, 9).unwrap();
        let next = books.grant(MIB, 2 * MIB, 9).unwrap();
        assert_eq!((one.root, one.offset), (FIRST, 0));
        assert_eq!((next.root, next.offset, next.base % (2 * MIB)), (FIRST, 2 * MIB, 0));
    }

    #[test]
    fn what_is_refused_changes_nothing_and_says_why() {
        let mut books = books();
        let before = books.status();
        for (bytes, align, error) in [
            (0, PAGE_SIZE, MemoryError::BadSize),
            (PAGE_SIZE + 1, PAGE_SIZE, MemoryError::BadSize),
            (PAGE_SIZE, 0, MemoryError::BadAlignment),
            (PAGE_SIZE, 2048, MemoryError::BadAlignment),
            (PAGE_SIZE, 3 * PAGE_SIZE, MemoryError::BadAlignment),
            (PAGE_SIZE, 1 << 63, MemoryError::OutOfMemory),
            (17 * MIB, PAGE_SIZE, MemoryError::OutOfMemory),
            (u64::MAX - 4095, PAGE_SIZE, MemoryError::OutOfMemory),
        ] {
            assert_eq!(books.grant(bytes, align, 1), Err(error), "{bytes:#x} aligned to {align:#x}");
        }
        assert_eq!(books.status(), before);
        assert_eq!(books.account(1), 0);
    }

    #[test]
    fn memory_that_comes_back_is_whole_again() {
        let mut books = books();
        let before = books.status();
        let bases: Vec<u64> =
            (0..1000).map(|_| books.grant(2 * PAGE_SIZE, PAGE_SIZE, 3).unwrap().base).collect();
        assert_eq!(books.account(3), 2000 * PAGE_SIZE);
        assert_eq!(books.status().used, 2000 * PAGE_SIZE);
        for base in bases.iter().step_by(2).chain(bases.iter().skip(1).step_by(2)) {
            books.take_back(*base);
        }
        assert_eq!(books.status(), before);
        assert_eq!(books.account(3), 0);
        assert!(books.grant(16 * MIB, PAGE_SIZE, 3).is_ok(), "free neighbours have merged");
    }

    #[test]
    fn taking_back_twice_takes_back_once() {
        let mut books = books();
        let one = books.grant(PAGE_SIZE, PAGE_SIZE, 3).unwrap();
        let other = books.grant(PAGE_SIZE, PAGE_SIZE, 3).unwrap();
        books.take_back(one.base);
        books.take_back(one.base);
        assert_eq!(books.account(3), PAGE_SIZE);
        assert_eq!(books.status().used, PAGE_SIZE);
        books.take_back(other.base);
        assert_eq!(books.status().used, 0);
    }

    #[test]
    fn the_unit_of_an_allocation_is_known_until_it_is_taken_back() {
        let mut books = books();
        let grant = books.grant(PAGE_SIZE, PAGE_SIZE, 3).unwrap();
        assert_eq!(books.unit(grant.base), None);
        books.set_unit(grant.base, CapAddr(0x333));
        assert_eq!(books.unit(grant.base), Some(CapAddr(0x333)));
        books.take_back(grant.base);
        assert_eq!(books.unit(grant.base), None);
    }

    #[test]
    fn every_page_can_be_handed_out_one_by_one() {
        let mut books = books();
        let pages = 20 * MIB / PAGE_SIZE;
        for page in 0..pages {
            assert!(books.grant(PAGE_SIZE, PAGE_SIZE, page % 7).is_ok(), "page {page}");
        }
        assert_eq!(books.grant(PAGE_SIZE, PAGE_SIZE, 0), Err(MemoryError::OutOfMemory));
        assert_eq!(books.status().free, 0);
    }
}
