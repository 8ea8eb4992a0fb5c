//! The shell's own capabilities: what `caps` shows.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use abi::cap::{CapType, L2_SLOTS, SLOT_SIZE};
use abi::layout::ROOT_CNODE;
use abi::{CapAddr, ErrorKind, Rights};
use sys::{Any, Cap, L1CNode};

use crate::columns::{Column::*, rows, table};

/// A capability and where it lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capability {
    /// Its address.
    pub address: CapAddr,
    /// Its type.
    pub kind: CapType,
    /// What it allows.
    pub rights: Rights,
    /// Bytes, interrupts or numbers that it covers.
    pub size: u64,
}

/// All capabilities in the CSpace of this domain, by address.
pub(crate) fn own() -> Vec<Capability> {
    let root = Cap::<L1CNode>::new(ROOT_CNODE).identify();
    let cnodes = root.map_or(0, |root| root.size / SLOT_SIZE);
    (0..cnodes).flat_map(in_cnode).collect()
}

fn in_cnode(l1: u64) -> impl Iterator<Item = Capability> {
    // Slot 0 is the kernel's.
    let slots = (1..L2_SLOTS).map(move |slot| CapAddr::new(l1, slot));
    slots.map_while(identify).flatten()
}

/// What lies there: `Some(None)` for an empty slot, `None` if there is no CNode.
fn identify(address: CapAddr) -> Option<Option<Capability>> {
    match Cap::<Any>::new(address).identify() {
        Ok(it) => Some(Some(Capability { address, kind: it.kind, rights: it.rights, size: it.size })),
        Err(error) if error.kind == ErrorKind::NoCNode => None,
        Err(_) => Some(None),
    }
}

/// A line a type: how many there are.
pub(crate) fn summary(all: &[Capability]) -> String {
    let mut counts: BTreeMap<CapType, usize> = BTreeMap::new();
    all.iter().for_each(|it| *counts.entry(it.kind).or_default() += 1);
    let counts: Vec<_> = counts.into_iter().collect();
    let mut lines = rows(&counts, |(kind, count)| [format!("{kind:?}"), count.to_string()]);
    lines.push(["sum".into(), all.len().to_string()]);
    table([Left("TYPE"), Right("COUNT")], &lines)
}

/// A line a capability.
pub(crate) fn listing(all: &[Capability]) -> String {
    let columns = [Right("ADDRESS"), Left("TYPE"), Left("RIGHTS"), Right("SIZE")];
    let cells = |it: &Capability| {
        let address = format!("{}:{}", it.address.l1(), it.address.slot());
        [address, format!("{:?}", it.kind), rights(it.rights), size(it.size)]
    };
    table(columns, &rows(all, cells))
}

/// One letter a right: read, write, execute, reVoke.
fn rights(rights: Rights) -> String {
    let letters = [(Rights::READ, 'r'), (Rights::WRITE, 'w'), (Rights::EXECUTE, 'x'), (Rights::REVOKE, 'v')];
    letters.into_iter().map(|(right, letter)| if rights.contains(right) { letter } else { '-' }).collect()
}

/// In the largest unit that leaves a whole number.
fn size(size: u64) -> String {
    let units = [(30, 'G'), (20, 'M'), (10, 'K')];
    let whole = |shift: u32| size != 0 && size.trailing_zeros() >= shift;
    let unit = units.into_iter().find(|&(shift, _)| whole(shift));
    unit.map_or(size.to_string(), |(shift, letter)| format!("{}{letter}", size >> shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: [Capability; 3] = [
        Capability {
            address: CapAddr::new(0, 1),
            kind: CapType::Dispatcher,
            rights: Rights::ALL,
            size: 4096,
        },
        Capability { address: CapAddr::new(0, 8), kind: CapType::EndPoint, rights: Rights::WRITE, size: 0 },
        Capability { address: CapAddr::new(2, 17), kind: CapType::EndPoint, rights: Rights::READ, size: 1 },
    ];

    #[test]
    fn the_summary_counts_by_type() {
        assert_eq!(
            summary(&SOME),
            "TYPE       COUNT\nDispatcher     1\nEndPoint       2\nsum            3\n"
        );
    }

    #[test]
    fn the_listing_tells_address_type_rights_and_size() {
        let expected = "\
ADDRESS TYPE       RIGHTS SIZE
    0:1 Dispatcher rwxv     4K
    0:8 EndPoint   -w--      0
   2:17 EndPoint   r---      1
";
        assert_eq!(listing(&SOME), expected);
    }

    #[test]
    fn sizes_have_units_only_if_they_are_whole() {
        for (bytes, text) in [(0, "0"), (1023, "1023"), (1024, "1K"), (1536, "1536"), (3 << 20, "3M")] {
            assert_eq!(size(bytes), text);
        }
    }
}
