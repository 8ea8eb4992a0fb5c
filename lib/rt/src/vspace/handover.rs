//! What the builder mapped, and the room that is left, as the books have it at first.
//!
//! ```text
//!   the image │ window for reservations │ guard │ the main stack, growing down │ frame │ start information
//! ```
//!
//! Page tables of the builder's stay for the life of the domain: their memory is part of what the domain was made of.

use core::ops::Range;

use abi::CapAddr;
use abi::Rights;
use abi::layout::{HEAP_BASE, STACK_LIMIT, STACK_TOP, TOP_BASE};
use sys::{Cap, VNodeL1};
use vspace::{Attributes, Backing, Error, Node, Piece, Space};

use crate::pager;
use crate::start::{self, HandedMemory, HandedOver};

/// Where reservations lie by themselves.
const WINDOW: Range<u64> = HEAP_BASE..TOP_BASE;
/// Nodes that are there from the start.
const NODES: usize = 128;
/// Records of which these nodes can take in as many as a usual program has.
const USUAL_RECORDS: u32 = 24;

/// Starts the books over the level 1 table of the first 512 GiB; without it nothing can be mapped.
pub(crate) fn init(l1: Cap<VNodeL1>) {
    if start::info().is_some_and(|info| info.record_count > USUAL_RECORDS) {
        // More than there are nodes for: they come from the heap, now, since no fault could wait for them.
        let records = start::info().map_or(0, |info| info.record_count as usize);
        super::with(|_| ());
        let _ = super::provide_nodes(records);
        super::with(|space| {
            start::handed_over().for_each(|record| {
                let _ = take(space, record);
            });
        });
    }
    #[cfg(not(target_os = "none"))]
    super::with(|space| {
        let made = space.insert_table(1, 0, l1.address(), CapAddr::NULL, true);
        assert_eq!(made, Ok(()));
    });
    let _ = l1;
}

/// Fills empty books. Allocates nothing: this may be in a fault.
pub(super) fn begin(space: &mut Space<'static>) {
    let begun = window(space);
    debug_assert_eq!(begun, Ok(()));
    if start::info().is_some_and(|info| info.record_count <= USUAL_RECORDS) {
        for record in start::handed_over() {
            // One that does not fit in makes its addresses unknown, and a fault there a report.
            let _ = take(space, record);
        }
    }
    let _ = main_stack(space);
}

fn window(space: &mut Space<'static>) -> Result<(), Error> {
    space.add_nodes(first_nodes())?;
    space.add_window(WINDOW)
}

/// Reserves addresses outside of [`WINDOW`]: nothing else may be reserved beside them.
fn reserve(space: &mut Space<'static>, base: u64, bytes: u64, attributes: Attributes) -> Result<(), Error> {
    space.add_window(base..base + bytes)?;
    space.reserve_at(base, bytes, attributes)
}

/// The room below the mapped part of the main stack, and the guard below that.
fn main_stack(space: &mut Space<'static>) -> Result<(), Error> {
    let data = Rights::READ.or(Rights::WRITE);
    let attributes = |backing| Attributes { rights: data, backing, tag: 0 };
    let mapped = STACK_TOP - start::stack_size().min(STACK_TOP - STACK_LIMIT);
    reserve(space, TOP_BASE, STACK_LIMIT - TOP_BASE, attributes(Backing::Guard))?;
    if mapped > STACK_LIMIT {
        let lazy = Backing::Lazy { chunk: pager::CHUNK };
        reserve(space, STACK_LIMIT, mapped - STACK_LIMIT, attributes(lazy))?;
    }
    Ok(())
}

/// Takes in what the builder handed over.
fn take(space: &mut Space<'static>, record: HandedOver) -> Result<(), Error> {
    match record {
        HandedOver::Table(table) => {
            space.insert_table(table.level, table.base, table.table, table.mapping.address(), true)
        }
        HandedOver::Memory(memory) => take_memory(space, &memory),
    }
}

fn take_memory(space: &mut Space<'static>, memory: &HandedMemory) -> Result<(), Error> {
    let attributes = Attributes { rights: memory.rights, backing: Backing::Given, tag: memory.kind as u32 };
    reserve(space, memory.base, memory.bytes, attributes)?;
    // Its frame shows other parts too, so it does not go with this one.
    let (mapping, frame) = (memory.mapping.address(), CapAddr::NULL);
    let piece = Piece { base: memory.base, size: memory.bytes, mapping, frame, large: memory.level == 2 };
    space.insert_piece(piece)
}

#[cfg(target_os = "none")]
fn first_nodes() -> &'static mut [Node] {
    struct Pool(core::cell::UnsafeCell<[Node; NODES]>);
    // SAFETY: only ever used by the call below.
    unsafe impl Sync for Pool {}
    static POOL: Pool = Pool(core::cell::UnsafeCell::new([Node::EMPTY; NODES]));
    // SAFETY: called once, when the books begin.
    unsafe { &mut *POOL.0.get() }
}

#[cfg(not(target_os = "none"))]
fn first_nodes() -> &'static mut [Node] {
    alloc::vec![Node::EMPTY; NODES].leak()
}
