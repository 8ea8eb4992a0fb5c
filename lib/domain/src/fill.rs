//! The contents of a domain's body: image, start information, and where its frame says that this is.

use core::mem::offset_of;

use abi::cap::CapAddr;
use abi::frame::DispatcherFrame;
use abi::layout::{PAGE_CNODE, STACK_SIZE, START_BASE, StartInfo};
use abi::{PAGE_SIZE, Rights};
use loader::Segment;

use crate::arch;
use crate::build::Spec;
use crate::plan::Plan;

/// First event of a child that its builder leaves to it: 0 is the channel to the name service.
const FIRST_EVENT: u32 = 1;
/// Where the rings of a child begin in its dispatcher frame.
const FIRST_RING: u32 = 0x1000;
/// Slot in the page CNode of the level 1 table.
pub(crate) const LEVEL_1_SLOT: u64 = 1;

/// Fills the body up to the stack. `first_page_slot` is the first free one of the page CNode.
pub(crate) fn fill(body: &mut [u8], plan: &Plan, spec: &Spec<'_>, first_page_slot: u64) {
    if !spec.ram_is_zero {
        body.fill(0);
    }
    let at = offset_of!(DispatcherFrame, start_info);
    body[at..at + 8].copy_from_slice(&START_BASE.to_le_bytes());
    let (_, rest) = body.split_at_mut(plan.sizes.frame as usize);
    let (start, mut image) = rest.split_at_mut(plan.start_size as usize);
    spec.start.write(start, information(plan, spec, first_page_slot));
    for segment in spec.image.segments() {
        let (pages, further) = image.split_at_mut((segment.page_count() * PAGE_SIZE) as usize);
        copy(segment, pages);
        image = further;
    }
}

/// Puts the segment's bytes at their place in its pages, which are zero.
fn copy(segment: &Segment<'_>, pages: &mut [u8]) {
    let lead = (segment.address - segment.pages().start) as usize;
    pages[lead..lead + segment.data.len()].copy_from_slice(segment.data);
    if segment.rights.contains(Rights::EXECUTE) {
        arch::clean_to_fetch(pages);
    }
}

fn information(plan: &Plan, spec: &Spec<'_>, first_page_slot: u64) -> StartInfo {
    let mut extra = spec.extra;
    extra[0] = CapAddr::new(PAGE_CNODE, LEVEL_1_SLOT).0;
    StartInfo {
        // What the strings decide is filled in by `StartBlock::write`.
        magic: 0,
        size: 0,
        arg_count: 0,
        arg_offset: 0,
        env_count: 0,
        env_offset: 0,
        frame_size: plan.sizes.frame as u32,
        dispatcher_size: plan.sizes.dispatcher as u32,
        first_event: FIRST_EVENT,
        first_ring: FIRST_RING,
        first_page_slot: first_page_slot as u32,
        early_ram: plan.sizes.early_ram,
        domain: spec.domain,
        stack_size: STACK_SIZE,
        extra,
    }
}
