//! The contents of a domain's body: image, start information, and where its frame says that this is.

use core::mem::offset_of;

use abi::cap::SLOT_SIZE;
use abi::frame::DispatcherFrame;
use abi::layout::{PAGE_CNODE, STACK_SIZE, START_BASE, SpaceRecord, StartInfo};
use abi::{PAGE_SIZE, Rights};
use loader::Segment;

use crate::arch;
use crate::build::Spec;
use crate::plan::{Plan, large_part};

/// First event of a child that its builder leaves to it: 0 is the channel to the name service.
const FIRST_EVENT: u32 = 1;
/// Where the rings of a child begin in its dispatcher frame.
const FIRST_RING: u32 = 0x1000;

/// Fills the body up to the stack.
pub(crate) fn fill(body: &mut [u8], plan: &Plan, spec: &Spec<'_>) {
    if !spec.ram_is_zero {
        body.fill(0);
    }
    let at = offset_of!(DispatcherFrame, start_info);
    body[at..at + 8].copy_from_slice(&START_BASE.to_le_bytes());
    let (_, rest) = body.split_at_mut(plan.sizes.frame as usize);
    let (start, mut image) = rest.split_at_mut(plan.start_size as usize);
    spec.start.write(start, information(plan, spec), &plan.records);
    for segment in spec.image.segments() {
        let (from, to) = large_part(segment);
        let bytes = segment.page_count() * PAGE_SIZE - (to - from);
        let (pages, further) = image.split_at_mut(bytes as usize);
        copy(segment, pages);
        image = further;
    }
}

/// Puts the segment's bytes at their place in its pages, which are zero. Those that large pages show are not among them;
/// they lie behind all bytes that the file has.
fn copy(segment: &Segment<'_>, pages: &mut [u8]) {
    let lead = (segment.address - segment.pages().start) as usize;
    pages[lead..lead + segment.data.len()].copy_from_slice(segment.data);
    if segment.rights.contains(Rights::EXECUTE) {
        arch::clean_to_fetch(pages);
    }
}

fn information(plan: &Plan, spec: &Spec<'_>) -> StartInfo {
    let mut extra = spec.extra;
    // The level 1 table.
    extra[0] = plan.records[0].object.into();
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
        page_cnodes: plan.page_cnodes as u32,
        first_page_slot: plan.first_page_slot as u32,
        first_free_cnode: (PAGE_CNODE + plan.page_cnodes) as u32,
        root_slots: (plan.root_size / SLOT_SIZE) as u32,
        record_offset: plan.record_offset as u32,
        record_count: plan.records.len() as u32,
        record_size: size_of::<SpaceRecord>() as u32,
        early_ram: plan.sizes.early_ram,
        domain: spec.domain,
        stack_size: STACK_SIZE,
        extra,
    }
}
