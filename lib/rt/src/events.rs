//! Which event index means what: endpoints and doorbells of this domain's dispatcher, and room for their rings.

use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::channel::Channel;
use crate::error::RtError;
use crate::heap::reserve_only;
use crate::local::local;
use crate::notify::Bell;
use crate::proxy;
use crate::ranges::Ranges;

/// Who is told when an event happens.
#[derive(Clone)]
pub(crate) enum Event {
    /// The index is free.
    Free,
    /// The index is taken, and nobody is told (yet).
    Reserved,
    /// An endpoint.
    Channel(Arc<Channel>),
    /// A doorbell.
    Bell(Arc<Bell>),
    /// A proxy.
    Proxy(Rc<proxy::State>),
}

struct Table {
    entries: Vec<Event>,
    limit: usize,
    rings: Ranges,
}

local! {
    static TABLE: RefCell<Table> = RefCell::new(Table { entries: Vec::new(), limit: 0, rings: Ranges::new() });
}

fn with<R>(f: impl FnOnce(&mut Table) -> R) -> R {
    // The heap may need a channel to grow, hence must not do so in here.
    TABLE.with(|table| reserve_only(|| f(&mut table.borrow_mut())))
}

/// Starts the books: event indices from `first` below `limit` and frame offsets in `rings` are free.
pub(crate) fn init(first: u32, limit: u32, rings: core::ops::Range<u64>) {
    with(|table| {
        table.limit = limit as usize;
        table.entries.clear();
        table.entries.resize(first.min(limit) as usize, Event::Reserved);
        table.rings.release(rings);
    });
}

/// Takes a free event index, which stays [`Event::Reserved`] until [`set`].
pub(crate) fn allocate() -> Result<u32, RtError> {
    with(|table| {
        let free = table.entries.iter().position(|event| matches!(event, Event::Free));
        if let Some(index) = free {
            table.entries[index] = Event::Reserved;
            return Ok(index as u32);
        }
        if table.entries.len() >= table.limit {
            return Err(RtError::NoEvent);
        }
        table.entries.push(Event::Reserved);
        Ok(table.entries.len() as u32 - 1)
    })
}

/// Takes a given event index, which the builder of the domain has used for something.
pub(crate) fn reserve(index: u32) -> Result<(), RtError> {
    with(|table| {
        if index as usize >= table.limit {
            return Err(RtError::NoEvent);
        }
        if table.entries.len() <= index as usize {
            table.entries.resize(index as usize + 1, Event::Free);
        }
        match &mut table.entries[index as usize] {
            entry @ (Event::Free | Event::Reserved) => *entry = Event::Reserved,
            Event::Channel(_) | Event::Bell(_) | Event::Proxy(_) => return Err(RtError::NoEvent),
        }
        Ok(())
    })
}

/// Says who is told of an event.
pub(crate) fn set(index: u32, event: Event) {
    let former =
        with(|table| table.entries.get_mut(index as usize).map(|entry| core::mem::replace(entry, event)));
    // What is dropped may come back here.
    drop(former);
}

/// Who is told of an event.
#[inline]
pub(crate) fn get(index: u32) -> Event {
    TABLE.with(|table| table.borrow().entries.get(index as usize).cloned().unwrap_or(Event::Free))
}

/// The channel with this event index.
#[inline]
pub(crate) fn channel(index: u32) -> Option<Arc<Channel>> {
    TABLE.with(|table| match table.borrow().entries.get(index as usize) {
        Some(Event::Channel(channel)) => Some(channel.clone()),
        _ => None,
    })
}

/// Takes `bytes` of the dispatcher frame for a ring: its offset.
pub(crate) fn allocate_ring(bytes: u64) -> Result<u64, RtError> {
    with(|table| table.rings.take(bytes, abi::packet::PACKET_SIZE)).ok_or(RtError::NoRing)
}

/// Gives the room of a ring back.
pub(crate) fn release_ring(offset: u64, bytes: u64) {
    with(|table| table.rings.release(offset..offset + bytes));
}
