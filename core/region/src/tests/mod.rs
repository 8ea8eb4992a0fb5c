//! The allocator beside the naive model, its errors one by one, and what it costs.
mod model;
mod random;
mod soundness;

use std::vec;
use std::vec::Vec;

use crate::{Error, NODES_PER_OPERATION, Node, Region, Regions, RootId, State};

const PAGE: u64 = 4096;
const ALIGNMENTS: [u64; 6] = [PAGE, 2 * PAGE, 4 * PAGE, 16 * PAGE, 32 * PAGE, 2 << 30];

/// An allocator of pages with one root from `base` on.
fn pages(nodes: &mut [Node<6>], base: u64, count: u64) -> Regions<'_, 6> {
    let mut regions = Regions::new(ALIGNMENTS).unwrap();
    regions.add_nodes(nodes).unwrap();
    regions.add_root(RootId(1), base * PAGE, count * PAGE).unwrap();
    regions
}

fn region(base: u64, size: u64) -> Region {
    Region { root: RootId(1), base: base * PAGE, size: size * PAGE }
}

#[test]
fn the_smallest_region_that_fits_with_its_alignment_is_taken() {
    let mut nodes = [Node::EMPTY; 32];
    let mut regions = pages(&mut nodes, 0, 64);
    // Free: 1..4 (3 pages), 9..14 (5), 19..23 (4), 40..64 (24).
    for (base, size) in [(0, 1), (4, 5), (14, 5), (23, 17)] {
        regions.allocate_at(base * PAGE, size * PAGE).unwrap();
    }
    assert_eq!(regions.statistics().largest_free, 24 * PAGE);
    assert_eq!(regions.allocate(2 * PAGE, 2 * PAGE), Ok(region(2, 2)));
    assert_eq!(regions.allocate(4 * PAGE, 4 * PAGE), Ok(region(40, 4)), "neither 9..14 nor 19..23 has it");
    assert_eq!(regions.allocate(3 * PAGE, 4 * PAGE), Ok(region(20, 3)));
    assert_eq!(regions.allocate(4 * PAGE, PAGE), Ok(region(9, 4)));
    assert_eq!(regions.allocate(16 * PAGE, 32 * PAGE), Err(Error::NoSpace));
    assert_eq!(regions.allocate(16 * PAGE, 16 * PAGE), Ok(region(48, 16)));
}

#[test]
fn free_neighbours_merge_within_a_root_only_and_allocations_never() {
    let mut nodes = [Node::EMPTY; 32];
    let mut regions = pages(&mut nodes, 8, 4);
    regions.add_root(RootId(2), 12 * PAGE, 4 * PAGE).unwrap();
    regions.add_root(RootId(1), 4 * PAGE, 4 * PAGE).unwrap();
    let states = |regions: &Regions<'_, 6>| -> Vec<_> {
        regions.iter().map(|(r, state)| (r.root.0, r.base / PAGE, r.size / PAGE, state)).collect()
    };
    let untouched = [(1, 4, 8, State::Free), (2, 12, 4, State::Free)];
    assert_eq!(states(&regions), untouched);
    assert_eq!(regions.allocate_at(10 * PAGE, 4 * PAGE), Err(Error::NotFree), "it spans two roots");
    let bases = [0, 1, 2].map(|_| regions.allocate(4 * PAGE, PAGE).unwrap().base);
    assert_eq!(states(&regions), [(1, 4, 4, State::Used), (1, 8, 4, State::Used), (2, 12, 4, State::Used)]);
    for base in bases {
        regions.free(base).unwrap();
    }
    assert_eq!(states(&regions), untouched);
}

#[test]
fn a_partial_free_leaves_two_allocations() {
    let mut nodes = [Node::EMPTY; 8];
    let mut regions = pages(&mut nodes, 0, 16);
    regions.allocate_at(4 * PAGE, 8 * PAGE).unwrap();
    assert_eq!(regions.free_part(6 * PAGE, 2 * PAGE), Ok(region(6, 2)));
    assert_eq!(regions.free_part(6 * PAGE, PAGE), Err(Error::NotAllocated { address: 6 * PAGE }));
    assert_eq!(regions.find(5 * PAGE + 7), Some((region(4, 2), State::Used)));
    assert_eq!(regions.find(6 * PAGE), Some((region(6, 2), State::Free)));
    assert_eq!(regions.free(8 * PAGE), Ok(region(8, 4)));
    assert_eq!(regions.find(6 * PAGE), Some((region(6, 10), State::Free)));
    assert_eq!(regions.free_part(4 * PAGE, PAGE), Ok(region(4, 1)));
    assert_eq!(regions.free(4 * PAGE), Err(Error::NotAllocated { address: 4 * PAGE }));
    assert_eq!(regions.free(5 * PAGE), Ok(region(5, 1)));
    assert_eq!(regions.statistics().largest_free, 16 * PAGE);
    soundness::check(&regions, 8);
}

#[test]
fn each_bad_request_has_its_error_and_changes_nothing() {
    let mut nodes = [Node::EMPTY; 8];
    let mut regions = pages(&mut nodes, 16, 16);
    regions.allocate_at(20 * PAGE, 4 * PAGE).unwrap();
    let before: Vec<_> = regions.iter().collect();
    let misaligned = |value| Some(Error::Misaligned { value, granule: PAGE });

    for bad in [[0, 2], [24, 48], [8, 12], [16, 8], [8, 8], [1, 1 << 32]] {
        assert_eq!(Regions::new(bad).err(), Some(Error::BadAlignments), "{bad:?}");
    }
    assert_eq!(Regions::new([]).err(), Some(Error::BadAlignments));
    assert!(Regions::new([2, 1 << 32]).is_ok());
    assert_eq!(regions.allocate(0, PAGE).err(), Some(Error::ZeroSize));
    assert_eq!(regions.allocate(5, PAGE).err(), misaligned(5));
    assert_eq!(regions.allocate(PAGE, 0).err(), Some(Error::BadAlignment { align: 0 }));
    assert_eq!(regions.allocate(PAGE, 3 * PAGE).err(), Some(Error::BadAlignment { align: 3 * PAGE }));
    let most = 2 << 30;
    assert_eq!(
        regions.allocate(PAGE, 2 * most).err(),
        Some(Error::AlignmentTooLarge { align: 2 * most, most })
    );
    assert_eq!(regions.allocate(PAGE, most).err(), Some(Error::NoSpace));
    assert_eq!(regions.allocate(1 << 63, PAGE).err(), Some(Error::NoSpace));
    assert_eq!(regions.allocate_at(17 * PAGE + 1, PAGE).err(), misaligned(17 * PAGE + 1));
    assert_eq!(regions.allocate_at(17 * PAGE, PAGE + 1).err(), misaligned(PAGE + 1));
    assert_eq!(regions.allocate_at(0u64.wrapping_sub(PAGE), 2 * PAGE).err(), Some(Error::Overflow));
    for base in [0, 15, 19, 20, 23, 31, 32, 1 << 50] {
        assert_eq!(regions.allocate_at(base * PAGE, 2 * PAGE).err(), Some(Error::NotFree), "{base}");
    }
    for address in [0, 19 * PAGE, 24 * PAGE, 32 * PAGE, u64::MAX] {
        assert_eq!(regions.free(address).err(), Some(Error::NotAllocated { address }));
        assert_eq!(regions.free_part(address, PAGE).err(), Some(Error::NotAllocated { address }));
    }
    assert_eq!(regions.free(21 * PAGE).err(), Some(Error::NotABase { base: 20 * PAGE }));
    let beyond = Some(Error::BeyondAllocation { end: 24 * PAGE });
    assert_eq!(regions.free_part(23 * PAGE, 2 * PAGE).err(), beyond);
    assert_eq!(regions.free_part(23 * PAGE, 1 << 62).err(), beyond);
    assert_eq!(regions.free_part(23 * PAGE, 0).err(), Some(Error::ZeroSize));
    for base in [15, 16, 20, 31] {
        assert!(matches!(regions.add_root(RootId(9), base * PAGE, 2 * PAGE), Err(Error::Overlap { .. })));
    }
    assert_eq!(regions.add_root(RootId(9), 1 << 60, PAGE << 32).err(), Some(Error::TooLarge));
    assert_eq!(regions.add_root(RootId(9), 1 << 60, (PAGE << 32) - PAGE).err(), Some(Error::TooLarge));

    assert_eq!(regions.iter().collect::<Vec<_>>(), before);
    soundness::check(&regions, 8);
}

#[test]
fn an_operation_that_lacks_nodes_changes_nothing() {
    let mut nodes = [Node::EMPTY; 3];
    let mut regions = pages(&mut nodes, 0, 16);
    regions.allocate_at(0, 8 * PAGE).unwrap();
    assert_eq!((regions.spare_nodes(), regions.nodes_needed(1), regions.nodes_needed(3)), (1, 1, 5));
    let before: Vec<_> = regions.iter().collect();
    assert_eq!(regions.allocate_at(9 * PAGE, PAGE), Err(Error::OutOfNodes));
    assert!(regions.fit(PAGE, PAGE).is_ok(), "one node is enough at the start of a free region");
    assert_eq!(regions.free_part(PAGE, PAGE), Err(Error::OutOfNodes));
    assert_eq!(regions.iter().collect::<Vec<_>>(), before);
    regions.allocate(PAGE, PAGE).unwrap();
    assert_eq!(regions.add_root(RootId(2), 1 << 40, PAGE), Err(Error::OutOfNodes));
    regions.allocate(7 * PAGE, PAGE).unwrap();
    assert_eq!(regions.free(0), Ok(region(0, 8)), "freeing needs no node");
    soundness::check(&regions, 3);
}

#[test]
fn who_adds_the_nodes_that_are_needed_never_lacks_one() {
    let mut chunks = vec![[Node::EMPTY; NODES_PER_OPERATION]; crate::MAX_CHUNKS + 1];
    let (last, chunks) = chunks.split_last_mut().unwrap();
    let mut regions = Regions::new(ALIGNMENTS).unwrap();
    for (count, chunk) in chunks.iter_mut().enumerate() {
        assert_eq!(
            regions.nodes_needed(1),
            NODES_PER_OPERATION - regions.spare_nodes().min(NODES_PER_OPERATION)
        );
        regions.add_nodes(chunk).unwrap();
        match count {
            0 => regions.add_root(RootId(1), 0, 1000 * PAGE).unwrap(),
            _ => drop(regions.allocate_at(10 * count as u64 * PAGE, PAGE).unwrap()),
        }
    }
    assert_eq!(regions.add_nodes(last), Err(Error::TooManyChunks));
    soundness::check(&regions, NODES_PER_OPERATION * crate::MAX_CHUNKS);
}

#[test]
fn the_highest_addresses_can_be_managed() {
    let mut nodes = [Node::EMPTY; 8];
    let mut regions = Regions::new([1, 64]).unwrap();
    regions.add_nodes(&mut nodes).unwrap();
    regions.add_root(RootId(1), u64::MAX - 100, 100).unwrap();
    let found = regions.allocate(10, 64).unwrap();
    assert_eq!(found.base, u64::MAX - 63);
    assert_eq!(regions.allocate(64, 64), Err(Error::NoSpace));
    regions.free(found.base).unwrap();
    assert_eq!(regions.iter().count(), 1);
}

/// Most nodes that one aligned allocation and its release look at, with `count` free regions none of which but the last
/// fits, though all are large enough: what makes a search by size alone linear.
fn visits(count: u64) -> usize {
    let mut nodes = vec![Node::EMPTY; 2 * count as usize + 8];
    // Free: the last 2 of every 4 pages from page 1 on, hence 3..5, 7..9, ...: no pair is aligned to 2 pages.
    let mut regions = pages(&mut nodes, 1, 4 * count);
    for i in 0..count {
        regions.allocate_at((1 + 4 * i) * PAGE, 2 * PAGE).unwrap();
    }
    regions.add_root(RootId(1), (4 * count + 8) * PAGE, 2 * PAGE).unwrap();
    regions.pool.visits.set(0);
    let found = regions.allocate(2 * PAGE, 2 * PAGE).unwrap();
    assert_eq!(found.base, (4 * count + 8) * PAGE);
    regions.free(found.base).unwrap();
    regions.free_part(5 * PAGE, PAGE).unwrap();
    regions.pool.visits.get()
}

#[test]
fn cost_grows_with_the_logarithm_of_the_number_of_regions() {
    let [small, large] = [1 << 8, 1 << 16].map(visits);
    std::println!("nodes looked at: {small} with 2^8 free regions, {large} with 2^16");
    assert!(large < 3 * small, "{small} with 2^8 free regions, {large} with 2^16");
}
