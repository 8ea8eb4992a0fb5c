//! Who has which memory: the regions of all roots, a record for each allocation, and the domains' accounts.
//!
//! An allocation is made in two steps, [`Books::find`] and [`Books::enter`]: what can fail besides, the kernel's part,
//! comes between them, so that nothing here ever has to be taken back because of it.
//!
//! Single pages come and go most often. A few that have come back are kept as they are, Unit included, and handed out again
//! first: the *stock*. They count as free, and go back to the regions before anything is refused.
//!
//! Who may have how much:
//!
//! ```text
//!   free RAM   |················································|  RESERVE_FOR_SMALL  |  RESERVE_FOR_SYSTEM  |
//!   a program that has a lot already      ◄── takes down to here                     │
//!   a program that has SMALL at most                             ◄── takes down to here                     │
//!   a part of the system                                                              ◄── takes everything
//! ```
//!
//! and besides, each domain no more than its limit. So a program that asks without end, and any number of such programs, leave
//! what a shell needs to start others and to go on itself, and what the servers need to serve and to bury them.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use abi::domain::is_program;
use abi::{CapAddr, PAGE_SIZE};
use interfaces::{Account, MemoryError};
use region::{Error, NODES_PER_OPERATION, Node, Regions, RootId};

/// Alignments that are told apart when a best fit is looked for: a page, what one level 3 table covers, what one level 2
/// table covers. Others are served as the next larger one.
const ALIGNMENTS: [u64; 3] = [PAGE_SIZE, 2 << 20, 1 << 30];
/// Nodes that are added at a time: 14 KiB.
const NODE_CHUNK: usize = 256;
/// Longest chunk: chunks double, so that their number stays small.
const LARGEST_NODE_CHUNK: usize = 1 << 16;

/// Allocations that are looked at before others are served.
const LOOKED_THROUGH: usize = 256;
/// Most pages in the stock.
const STOCK: usize = 64;

/// Bytes that only the parts of the system get: each of the four servers grows by 1 MiB or less at a time.
pub const RESERVE_FOR_SYSTEM: u64 = 4 << 20;
/// Bytes that only they and programs get that have [`SMALL`] at most: a dozen programs of the usual 700 KiB.
pub const RESERVE_FOR_SMALL: u64 = 12 << 20;
/// What a program may have when RAM is short, what it is made of included.
pub const SMALL: u64 = 4 << 20;

/// A part of a root that can be handed out.
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

/// A part of an allocation that can be taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    /// Physical address; names the allocation.
    pub allocation: u64,
    /// Its Unit capability.
    pub unit: CapAddr,
    /// Bytes of it that come before the part, 0 for none.
    pub before: u64,
    /// Bytes of the part.
    pub bytes: u64,
    /// Bytes that come behind it, 0 for none.
    pub behind: u64,
}

struct Root {
    capability: CapAddr,
    base: u64,
}

struct Allocation {
    unit: CapAddr,
    size: u64,
    /// None: in the stock.
    domain: Option<u64>,
}

/// What is known of a domain.
#[derive(Clone, Copy, Default)]
struct Known {
    used: u64,
    limit: Option<u64>,
}

/// The books of a memory server.
pub struct Books {
    regions: Regions<'static, 3>,
    roots: Vec<Root>,
    allocations: BTreeMap<u64, Allocation>,
    /// Pages without a domain, the last one that came back at the end.
    stock: Vec<u64>,
    /// Domains that have memory or a limit of their own.
    domains: BTreeMap<u64, Known>,
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
            stock: Vec::with_capacity(STOCK),
            domains: BTreeMap::new(),
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

    /// The capability of the root with this number, counted from 0.
    pub fn root(&self, number: usize) -> Option<CapAddr> {
        self.roots.get(number).map(|root| root.capability)
    }

    /// Memory that `domain` may have; it is still free. `bytes` is a multiple of the page, `align` a power of two from the
    /// page on. What is found can be [entered](Books::enter) as long as nothing else has been.
    ///
    /// # Errors
    /// `BadSize`, `BadAlignment`, `OverQuota`, `OutOfMemory`; `Exhausted` without memory for the books themselves.
    pub fn find(&mut self, bytes: u64, align: u64, domain: u64) -> Result<Grant, MemoryError> {
        if bytes == 0 || !bytes.is_multiple_of(PAGE_SIZE) {
            return Err(MemoryError::BadSize);
        }
        if align < PAGE_SIZE || !align.is_power_of_two() {
            return Err(MemoryError::BadAlignment);
        }
        self.admit(bytes, domain)?;
        self.find_region(bytes, align)
    }

    fn find_region(&mut self, bytes: u64, align: u64) -> Result<Grant, MemoryError> {
        // What is there may still do.
        let _ = self.provide_nodes();
        let region = self.regions.fit(bytes, align).map_err(refusal)?;
        let root = &self.roots[region.root.0 as usize];
        let offset = region.base - root.base;
        Ok(Grant { base: region.base, root: root.capability, offset, size: region.size })
    }

    /// Whether so much more is within the domain's limit, and leaves what must be left.
    ///
    /// # Errors
    /// `OverQuota`, `OutOfMemory`.
    pub fn admit(&self, bytes: u64, domain: u64) -> Result<(), MemoryError> {
        let Account { used, limit } = self.account(domain);
        let after = used.checked_add(bytes).ok_or(MemoryError::OutOfMemory)?;
        if after > limit {
            return Err(MemoryError::OverQuota);
        }
        let kept = if !is_program(domain) {
            0
        } else if after <= SMALL {
            RESERVE_FOR_SYSTEM
        } else {
            RESERVE_FOR_SYSTEM + RESERVE_FOR_SMALL
        };
        let left = self.status().free.checked_sub(bytes);
        if left.is_some_and(|left| left >= kept) { Ok(()) } else { Err(MemoryError::OutOfMemory) }
    }

    /// Marks what was found as handed out to `domain`; `unit` is the Unit capability over it.
    ///
    /// # Errors
    /// None, if it was just found.
    pub fn enter(&mut self, grant: &Grant, domain: u64, unit: CapAddr) -> Result<(), Error> {
        self.regions.allocate_at(grant.base, grant.size)?;
        let allocation = Allocation { unit, size: grant.size, domain: Some(domain) };
        self.allocations.insert(grant.base, allocation);
        self.charge(domain, grant.size);
        Ok(())
    }

    fn charge(&mut self, domain: u64, bytes: u64) {
        self.domains.entry(domain).or_default().used += bytes;
    }

    fn discharge(&mut self, domain: u64, bytes: u64) {
        if let Some(known) = self.domains.get_mut(&domain) {
            known.used -= bytes;
            if known.used == 0 && known.limit.is_none() {
                self.domains.remove(&domain);
            }
        }
    }

    /// A page of the stock, if there is one: where it is, and its Unit.
    pub fn stocked(&self) -> Option<(u64, CapAddr)> {
        let base = *self.stock.last()?;
        Some((base, self.unit(base)?))
    }

    /// The last page of the stock is handed out to `domain`.
    pub fn hand_out(&mut self, domain: u64) {
        let Some(base) = self.stock.pop() else { return };
        if let Some(allocation) = self.allocations.get_mut(&base) {
            allocation.domain = Some(domain);
            self.charge(domain, PAGE_SIZE);
        }
    }

    /// Puts what has come back into the stock; whether it has a place there.
    pub fn stock(&mut self, base: u64) -> bool {
        if self.stock.len() == STOCK {
            return false;
        }
        let Some(Allocation { size: PAGE_SIZE, domain, .. }) = self.allocations.get_mut(&base) else {
            return false;
        };
        let Some(domain) = domain.take() else { return false };
        self.stock.push(base);
        self.discharge(domain, PAGE_SIZE);
        true
    }

    /// Takes a page out of the stock: to be [taken back](Books::take_back) to the regions.
    pub fn unstock(&mut self) -> Option<u64> {
        self.stock.pop()
    }

    /// The Unit capability of the allocation at `base`: to be deleted before [`Books::take_back`].
    pub fn unit(&self, base: u64) -> Option<CapAddr> {
        self.allocations.get(&base).map(|allocation| allocation.unit)
    }

    /// Makes the allocation at `base` free again. Does nothing if there is none.
    pub fn take_back(&mut self, base: u64) {
        let Some(Allocation { size, domain, .. }) = self.allocations.remove(&base) else { return };
        if let Some(domain) = domain {
            self.discharge(domain, size);
        }
        // Records and regions are made and removed together, so it is allocated.
        let _ = self.regions.free(base);
    }

    /// The part of an allocation of `domain` that these `bytes` bytes from physical address `base` on are. It can be
    /// [cut out](Books::cut) as long as nothing else has happened.
    ///
    /// # Errors
    /// `BadSize`, `NotManaged`, `NotAllocated`, `NotYours`, `BeyondAllocation`; `Exhausted` without memory for the books themselves.
    pub fn part(&mut self, base: u64, bytes: u64, domain: u64) -> Result<Cut, MemoryError> {
        if bytes == 0 || !bytes.is_multiple_of(PAGE_SIZE) || !base.is_multiple_of(PAGE_SIZE) {
            return Err(MemoryError::BadSize);
        }
        self.regions.find(base).ok_or(MemoryError::NotManaged)?;
        let below = self.allocations.range(..=base).next_back();
        let (&allocation, it) =
            below.filter(|(at, it)| base - **at < it.size).ok_or(MemoryError::NotAllocated)?;
        if it.domain != Some(domain) {
            // What is in the stock is nobody's.
            return Err(if it.domain.is_some() { MemoryError::NotYours } else { MemoryError::NotAllocated });
        }
        let before = base - allocation;
        let behind = (it.size - before).checked_sub(bytes).ok_or(MemoryError::BeyondAllocation)?;
        let unit = it.unit;
        // What is there may still do.
        let _ = self.provide_nodes();
        if self.regions.spare_nodes() < NODES_PER_OPERATION {
            return Err(MemoryError::Exhausted);
        }
        Ok(Cut { allocation, unit, before, bytes, behind })
    }

    /// Makes a part of an allocation free. What is left behind it is an allocation of its own, with this Unit if there is
    /// something before it, too, and otherwise with the one that there was.
    pub fn cut(&mut self, cut: &Cut, unit_behind: CapAddr) {
        let Some(mut it) = self.allocations.remove(&cut.allocation) else { return };
        let (base, domain) = (cut.allocation + cut.before, it.domain);
        if cut.before != 0 {
            it.size = cut.before;
            let unit = core::mem::replace(&mut it.unit, unit_behind);
            self.allocations.insert(cut.allocation, Allocation { unit, size: cut.before, domain });
        }
        if cut.behind != 0 {
            it.size = cut.behind;
            self.allocations.insert(base + cut.bytes, it);
        }
        if let Some(domain) = domain {
            self.discharge(domain, cut.bytes);
        }
        // Records and regions are cut together, and the node was there.
        let _ = self.regions.free_part(base, cut.bytes);
    }

    /// The first allocation of a domain from `base` on, among the next `LOOKED_THROUGH`: where it is, its Unit and its
    /// number. And where to look on, if there may be more: behind the beginning of what was found, because that may have moved on
    /// until then.
    pub fn of_domain(&self, domain: u64, base: u64) -> (Option<(u64, CapAddr)>, Option<u64>) {
        let mut rest = self.allocations.range(base..);
        let own = |(&base, it): (&u64, &Allocation)| (it.domain == Some(domain)).then_some((base, it.unit));
        let found = rest.by_ref().take(LOOKED_THROUGH).find_map(own);
        let next = found.map(|(base, _)| base + PAGE_SIZE);
        (found, next.or_else(|| rest.next().map(|(&base, _)| base)))
    }

    /// Whether the allocation at `base` is the domain's.
    pub fn is_of(&self, base: u64, domain: u64, unit: CapAddr) -> bool {
        self.allocations.get(&base).is_some_and(|it| it.domain == Some(domain) && it.unit == unit)
    }

    /// What a domain has and may have.
    pub fn account(&self, domain: u64) -> Account {
        let known = self.domains.get(&domain).copied().unwrap_or_default();
        let total = self.regions.statistics().total;
        let kept = if !is_program(domain) { 0 } else { RESERVE_FOR_SYSTEM + RESERVE_FOR_SMALL };
        let most = total.saturating_sub(kept);
        Account { used: known.used, limit: known.limit.map_or(most, |limit| limit.min(most)) }
    }

    /// Sets the limit of a domain.
    pub fn set_limit(&mut self, domain: u64, bytes: u64) {
        self.domains.entry(domain).or_default().limit = Some(bytes);
    }

    /// The domain has ended: its account goes as soon as all of its memory is back.
    pub fn forget(&mut self, domain: u64) {
        if let Some(known) = self.domains.get_mut(&domain) {
            known.limit = None;
            if known.used == 0 {
                self.domains.remove(&domain);
            }
        }
    }

    /// What there is.
    pub fn status(&self) -> Status {
        let now = self.regions.statistics();
        let stock = self.stock.len() as u64 * PAGE_SIZE;
        Status { total: now.total, used: now.used - stock, free: now.free + stock }
    }

    /// Bytes of memory that the next [`Books::find`] wants for the books, in one piece; 0 mostly. One more allocation, which
    /// may be that memory, can be entered without.
    pub fn appetite(&self) -> u64 {
        if self.regions.nodes_needed(2) > 0 { (self.next_nodes * size_of::<Node<3>>()) as u64 } else { 0 }
    }

    /// Adds nodes for the regions before they run out.
    fn provide_nodes(&mut self) -> Result<(), Error> {
        if self.appetite() == 0 {
            return Ok(());
        }
        let mut chunk = Vec::new();
        chunk.try_reserve_exact(self.next_nodes).map_err(|_| Error::OutOfNodes)?;
        chunk.resize(self.next_nodes, Node::EMPTY);
        self.next_nodes = (self.next_nodes * 2).min(LARGEST_NODE_CHUNK);
        // They are lent for ever: the server ends with the system.
        self.regions.add_nodes(Box::leak(chunk.into_boxed_slice()))
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
    use abi::domain::{FIRST_PROGRAM, next_program};

    const MIB: u64 = 1 << 20;
    const FIRST: CapAddr = CapAddr(0x110);
    const SECOND: CapAddr = CapAddr(0x111);
    const UNIT: CapAddr = CapAddr(0x333);
    /// A part of the system: it gets everything.
    const SERVER: u64 = 3;
    /// Programs.
    const PROGRAM: u64 = FIRST_PROGRAM;
    const OTHER: u64 = next_program(PROGRAM);

    impl Books {
        /// Finds and enters.
        fn grant(&mut self, bytes: u64, align: u64, domain: u64) -> Result<Grant, MemoryError> {
            let grant = self.find(bytes, align, domain)?;
            self.enter(&grant, domain, UNIT).unwrap();
            Ok(grant)
        }

        /// Takes pages until that is refused: how many there were, and why there are no more.
        fn fill(&mut self, domain: u64) -> (u64, MemoryError) {
            for count in 0.. {
                if let Err(error) = self.grant(PAGE_SIZE, PAGE_SIZE, domain) {
                    return (count, error);
                }
            }
            unreachable!("memory has an end")
        }
    }

    /// Two roots: 16 MiB at 1 GiB, 4 MiB at 2 GiB.
    fn books() -> Books {
        let mut books = Books::new().unwrap();
        books.add_root(FIRST, 1 << 30, 16 * MIB).unwrap();
        books.add_root(SECOND, 2 << 30, 4 * MIB).unwrap();
        books
    }

    /// One root of 64 MiB.
    fn large() -> Books {
        let mut books = Books::new().unwrap();
        books.add_root(FIRST, 1 << 30, 64 * MIB).unwrap();
        books
    }

    #[test]
    fn a_grant_names_its_root_and_the_offset_in_it() {
        let mut books = books();
        // The best fit for 4 MiB is the second root as a whole.
        let whole = books.grant(4 * MIB, PAGE_SIZE, SERVER).unwrap();
        assert_eq!(whole, Grant { base: 2 << 30, root: SECOND, offset: 0, size: 4 * MIB });
        let one = books.grant(PAGE_SIZE, PAGE_SIZE, SERVER).unwrap();
        let next = books.grant(MIB, 2 * MIB, SERVER).unwrap();
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
            (1 << 63, PAGE_SIZE, MemoryError::OverQuota),
            (u64::MAX - 4095, PAGE_SIZE, MemoryError::OverQuota),
        ] {
            assert_eq!(books.grant(bytes, align, 1), Err(error), "{bytes:#x} aligned to {align:#x}");
        }
        assert_eq!(books.status(), before);
        assert!(books.domains.is_empty());
    }

    #[test]
    fn what_is_found_is_free_until_it_is_entered() {
        let mut books = books();
        let before = books.status();
        let found = books.find(MIB, PAGE_SIZE, SERVER).unwrap();
        assert_eq!(books.find(MIB, PAGE_SIZE, SERVER), Ok(found));
        assert_eq!((books.status(), books.account(SERVER).used), (before, 0));
        books.enter(&found, SERVER, UNIT).unwrap();
        assert_eq!((books.status().free, books.account(SERVER).used), (before.free - MIB, MIB));
        assert!(books.enter(&found, SERVER, UNIT).is_err());
        assert_eq!(books.account(SERVER).used, MIB);
    }

    #[test]
    fn memory_that_comes_back_is_whole_again() {
        let mut books = books();
        let before = books.status();
        let bases: Vec<u64> =
            (0..1000).map(|_| books.grant(2 * PAGE_SIZE, PAGE_SIZE, SERVER).unwrap().base).collect();
        assert_eq!(books.account(SERVER).used, 2000 * PAGE_SIZE);
        assert_eq!(books.status().used, 2000 * PAGE_SIZE);
        for base in bases.iter().step_by(2).chain(bases.iter().skip(1).step_by(2)) {
            books.take_back(*base);
        }
        assert_eq!(books.status(), before);
        assert_eq!(books.account(SERVER).used, 0);
        assert!(books.grant(16 * MIB, PAGE_SIZE, SERVER).is_ok(), "free neighbours have merged");
    }

    #[test]
    fn roots_that_touch_stay_two() {
        let mut books = Books::new().unwrap();
        books.add_root(FIRST, 1 << 30, 4 * MIB).unwrap();
        books.add_root(SECOND, (1 << 30) + 4 * MIB, 4 * MIB).unwrap();
        assert_eq!(books.grant(5 * MIB, PAGE_SIZE, SERVER), Err(MemoryError::OutOfMemory));
        let grants = [0, 1].map(|_| books.grant(4 * MIB, PAGE_SIZE, SERVER).unwrap());
        assert_eq!(grants.map(|grant| (grant.root, grant.offset)), [(FIRST, 0), (SECOND, 0)]);
        grants.iter().for_each(|grant| books.take_back(grant.base));
        assert_eq!(books.grant(5 * MIB, PAGE_SIZE, SERVER), Err(MemoryError::OutOfMemory));
    }

    #[test]
    fn taking_back_twice_takes_back_once() {
        let mut books = books();
        let one = books.grant(PAGE_SIZE, PAGE_SIZE, SERVER).unwrap();
        let other = books.grant(PAGE_SIZE, PAGE_SIZE, SERVER).unwrap();
        books.take_back(one.base);
        books.take_back(one.base);
        assert_eq!(books.account(SERVER).used, PAGE_SIZE);
        assert_eq!(books.status().used, PAGE_SIZE);
        books.take_back(other.base);
        assert_eq!(books.status().used, 0);
    }

    /// The Unit of what is left behind a part.
    const BEHIND: CapAddr = CapAddr(0x334);

    #[test]
    fn what_is_left_of_an_allocation_are_allocations_and_all_comes_together_again() {
        let mut books = large();
        let before = books.status();
        let base = books.grant(8 * MIB, PAGE_SIZE, PROGRAM).unwrap().base;
        let cut = |books: &mut Books, at, bytes, expected: (u64, u64, u64)| {
            let cut = books.part(base + at, bytes, PROGRAM).unwrap();
            assert_eq!((cut.allocation - base, cut.before, cut.behind), expected);
            books.cut(&cut, BEHIND);
            cut.unit
        };
        assert_eq!(cut(&mut books, 2 * MIB, MIB, (0, 2 * MIB, 5 * MIB)), UNIT);
        assert_eq!(cut(&mut books, 3 * MIB, MIB, (3 * MIB, 0, 4 * MIB)), BEHIND);
        assert_eq!(cut(&mut books, 7 * MIB, MIB, (4 * MIB, 3 * MIB, 0)), BEHIND);
        assert_eq!((books.account(PROGRAM).used, books.status().used), (5 * MIB, 5 * MIB));
        assert_eq!((books.unit(base), books.unit(base + 4 * MIB)), (Some(UNIT), Some(BEHIND)));
        assert_eq!(books.of_domain(PROGRAM, base + PAGE_SIZE).0, Some((base + 4 * MIB, BEHIND)));
        books.take_back(base + 4 * MIB);
        books.take_back(base);
        assert_eq!(books.status(), before);
        assert!(books.allocations.is_empty() && books.domains.is_empty());
        assert!(books.grant(64 * MIB, PAGE_SIZE, SERVER).is_ok(), "free neighbours have merged");
    }

    #[test]
    fn a_part_that_cannot_be_taken_back_is_refused_and_says_why() {
        let mut books = large();
        let base = books.grant(MIB, PAGE_SIZE, PROGRAM).unwrap().base;
        let other = books.grant(MIB, PAGE_SIZE, OTHER).unwrap().base;
        let page = books.grant(PAGE_SIZE, PAGE_SIZE, PROGRAM).unwrap().base;
        assert!(books.stock(page));
        let before = books.status();
        for (at, bytes, error) in [
            (base, 0, MemoryError::BadSize),
            (base, 100, MemoryError::BadSize),
            (base + 1, PAGE_SIZE, MemoryError::BadSize),
            (base, MIB + PAGE_SIZE, MemoryError::BeyondAllocation),
            (base + MIB - PAGE_SIZE, 2 * PAGE_SIZE, MemoryError::BeyondAllocation),
            (base, u64::MAX - 4095, MemoryError::BeyondAllocation),
            (other, PAGE_SIZE, MemoryError::NotYours),
            (other + MIB - PAGE_SIZE, PAGE_SIZE, MemoryError::NotYours),
            (page, PAGE_SIZE, MemoryError::NotAllocated),
            (base + 32 * MIB, PAGE_SIZE, MemoryError::NotAllocated),
            (base - PAGE_SIZE, PAGE_SIZE, MemoryError::NotManaged),
            (u64::MAX - 4095, PAGE_SIZE, MemoryError::NotManaged),
        ] {
            assert_eq!(books.part(at, bytes, PROGRAM), Err(error), "{at:#x} {bytes:#x}");
        }
        assert_eq!((books.status(), books.account(PROGRAM).used), (before, MIB));
    }

    #[test]
    fn without_nodes_no_part_is_taken_back_until_there_are_some() {
        let mut books = large();
        let base = books.grant(MIB, PAGE_SIZE, PROGRAM).unwrap().base;
        // More than there can be.
        books.next_nodes = 1 << 56;
        while books.regions.spare_nodes() >= NODES_PER_OPERATION {
            books.grant(PAGE_SIZE, PAGE_SIZE, PROGRAM).unwrap();
        }
        let before = books.status();
        assert_eq!(books.part(base + PAGE_SIZE, PAGE_SIZE, PROGRAM), Err(MemoryError::Exhausted));
        assert_eq!(books.status(), before);
        books.next_nodes = NODE_CHUNK;
        assert!(books.part(base + PAGE_SIZE, PAGE_SIZE, PROGRAM).is_ok());
    }

    #[test]
    fn the_unit_of_an_allocation_is_known_until_it_is_taken_back() {
        let mut books = books();
        let grant = books.grant(PAGE_SIZE, PAGE_SIZE, SERVER).unwrap();
        assert_eq!(books.unit(grant.base), Some(UNIT));
        books.take_back(grant.base);
        assert_eq!(books.unit(grant.base), None);
    }

    #[test]
    fn the_system_gets_every_page() {
        let mut books = books();
        assert_eq!(books.fill(SERVER), (20 * MIB / PAGE_SIZE, MemoryError::OverQuota));
        assert_eq!(books.status().free, 0);
    }

    #[test]
    fn a_program_that_asks_without_end_leaves_the_reserve() {
        let mut books = large();
        assert_eq!(books.fill(PROGRAM).0, (64 - 16) * MIB / PAGE_SIZE);
        assert_eq!(books.account(PROGRAM), Account { used: 48 * MIB, limit: 48 * MIB });
        assert_eq!(books.fill(OTHER), (SMALL / PAGE_SIZE, MemoryError::OutOfMemory));
        assert_eq!(books.fill(OTHER + 1).0, SMALL / PAGE_SIZE);
        assert_eq!(books.fill(OTHER + 2).0, SMALL / PAGE_SIZE);
        assert_eq!(books.fill(OTHER + 3), (0, MemoryError::OutOfMemory), "the rest is the servers'");
        assert_eq!(books.fill(SERVER).0, RESERVE_FOR_SYSTEM / PAGE_SIZE);
    }

    #[test]
    fn no_number_of_programs_gets_at_the_reserve() {
        let mut books = large();
        assert_eq!(books.fill(PROGRAM).1, MemoryError::OverQuota);
        for program in OTHER..OTHER + 100 {
            books.fill(program);
        }
        assert_eq!(books.status().free, RESERVE_FOR_SYSTEM);
    }

    #[test]
    fn a_domain_gets_no_more_than_its_limit() {
        let mut books = large();
        books.set_limit(PROGRAM, MIB + 5000);
        assert_eq!(books.fill(PROGRAM), (MIB / PAGE_SIZE + 1, MemoryError::OverQuota));
        assert_eq!(books.find(1 << 63, PAGE_SIZE, PROGRAM), Err(MemoryError::OverQuota));
        assert_eq!(books.grant(2 * MIB, PAGE_SIZE, OTHER).map(|grant| grant.size), Ok(2 * MIB));
        books.set_limit(PROGRAM, 0);
        assert_eq!(books.account(PROGRAM), Account { used: MIB + PAGE_SIZE, limit: 0 });
    }

    #[test]
    fn a_limit_that_is_too_large_is_as_good_as_none() {
        let mut books = large();
        books.set_limit(PROGRAM, u64::MAX);
        assert_eq!(books.account(PROGRAM).limit, books.account(OTHER).limit);
    }

    #[test]
    fn nothing_is_kept_of_a_domain_that_was_forgotten() {
        let mut books = large();
        books.set_limit(PROGRAM, MIB);
        let grant = books.grant(MIB, PAGE_SIZE, PROGRAM).unwrap();
        books.take_back(grant.base);
        assert_eq!(books.account(PROGRAM).limit, MIB, "a limit stays without memory");
        let grant = books.grant(MIB, PAGE_SIZE, PROGRAM).unwrap();
        books.forget(PROGRAM);
        assert_eq!(books.account(PROGRAM).used, MIB, "somebody still has it");
        books.take_back(grant.base);
        books.set_limit(OTHER, MIB);
        books.forget(OTHER);
        books.forget(OTHER);
        assert!(books.domains.is_empty());
    }

    #[test]
    fn regions_that_are_cut_into_three_never_lack_nodes() {
        // Two nodes a time, from an even and an odd number on.
        for before in 0..3 {
            let mut books = Books::new().unwrap();
            books.add_root(FIRST, 0, 4 << 30).unwrap();
            for count in 0..2000 {
                let align = if count < before { PAGE_SIZE } else { 2 * MIB };
                assert!(books.grant(PAGE_SIZE, align, SERVER).is_ok(), "allocation {count} after {before}");
            }
        }
    }

    #[test]
    fn the_books_say_what_they_need_before_they_need_it() {
        let mut books = large();
        let mut needed = Vec::new();
        for _ in 0..2000 {
            needed.extend(Some(books.appetite()).filter(|&bytes| bytes > 0));
            books.grant(PAGE_SIZE, PAGE_SIZE, SERVER).unwrap();
        }
        let node = size_of::<Node<3>>() as u64;
        assert_eq!(needed, [512 * node, 1024 * node, 2048 * node]);
    }
}
