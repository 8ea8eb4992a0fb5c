//! The runtime as the protocol of faults and of what is put off sees it (`core/paging`).

use alloc::sync::Arc;

use abi::{CapAddr, Rights};
use paging::{Domain, PutOff, Section, Stock};
use sys::{Cap, Frame};
use vspace::{Area, Piece, Space};

use crate::channel::Channel;
use crate::dispatch::{self, Stashed};
use crate::error::RtError;
use crate::{arch, critical, heap, names, pager, slots, thread, vspace as space};

/// This domain.
pub(crate) struct Runtime;

impl Domain for Runtime {
    type Error = RtError;
    type Packet = Stashed;
    type Leaf = Arc<Channel>;

    #[inline(always)]
    fn state<R>(f: impl FnOnce(&Section) -> R) -> R {
        critical::with_state(f)
    }
    #[inline(always)]
    fn stock<R>(f: impl FnOnce(&mut Stock) -> R) -> R {
        pager::with_stock(f)
    }
    #[inline(always)]
    fn books<R>(f: impl FnOnce(&mut Space<'static>) -> R) -> R {
        space::with(f)
    }
    #[inline(always)]
    fn put_off<R>(f: impl FnOnce(&mut PutOff<Stashed>) -> R) -> R {
        dispatch::with_put_off(f)
    }

    #[inline(always)]
    fn probe_stack() {
        critical::probe_stack();
    }
    fn probe_stack_for_call() {
        critical::probe_stack_for_call();
    }

    fn new_nodes() -> Result<(), RtError> {
        space::provide_nodes(4)
    }
    fn new_slot() -> Result<CapAddr, RtError> {
        pager::new_slot()
    }
    fn new_table(level: u8) -> Result<CapAddr, RtError> {
        space::new_table(level).map(|table| table.into_cap().address())
    }
    fn new_frame() -> Result<CapAddr, RtError> {
        pager::new_frame()
    }
    fn new_large_page(address: u64, area: &Area) -> Result<(), RtError> {
        pager::back_large(address, area)
    }
    fn discard(slot: CapAddr) {
        slots::discard(slot);
    }

    #[inline]
    fn map(table: CapAddr, piece: Piece, area: &Area, rights: Rights) -> Result<(), RtError> {
        space::enter_in(table, Cap::<Frame>::new(piece.frame), 0, piece, area, rights)
    }
    fn install(level: u8, address: u64, table: CapAddr, slot: CapAddr) -> Result<(), RtError> {
        space::install(level, address, table, slot)
    }
    #[inline]
    fn zero(base: u64, bytes: u64) {
        // SAFETY: just mapped, writable (or the stock would not have served a frame that was in use), and nobody has seen
        // it yet.
        unsafe { arch::zero(base, bytes) };
    }

    #[inline]
    fn enable() {
        // SAFETY: `frame` is the dispatcher frame.
        unsafe { arch::enable(dispatch::frame().base()) };
    }
    #[inline]
    fn disable() {
        // SAFETY: as above; who asks for it goes on to `resume`, and nothing faults on the way.
        unsafe { arch::disable(dispatch::frame().base()) };
    }
    fn has_memory() -> bool {
        names::has_memory()
    }
    fn provide_memory() {
        names::provide_memory();
    }
    fn stay_alone(alone: bool) -> bool {
        let former = thread::is_alone();
        thread::stay_alone(alone);
        former
    }

    fn others_exist() -> bool {
        thread::others_exist()
    }
    fn is_alone() -> bool {
        thread::is_alone()
    }
    fn trim() {
        heap::trim();
    }
    fn let_others_run() {
        thread::give_way();
    }
    fn note_work() {
        dispatch::note_task();
    }

    fn is_for_main(packet: &Stashed) -> bool {
        packet.is_for_main()
    }
    fn deliver(packet: Stashed) {
        packet.deliver();
    }

    fn take_ready(leaf: &Arc<Channel>) {
        dispatch::take_ready_leaf(leaf);
    }
    fn take_token() -> bool {
        thread::take_token()
    }
    fn wait(leaf: &Arc<Channel>) -> Option<Stashed> {
        dispatch::wait_leaf(leaf)
    }
    fn yield_to_others() {
        arch::yield_now(dispatch::frame());
    }
    fn restore_ready() {
        dispatch::restore_put_off();
    }
}
