//! Everything of a core that capability operations act on: memory of kernel objects, dispatchers and
//! their queues, address space identifiers, interrupts. It is what [`caps::Machine`] asks for.

use abi::frame::{Cause, State};
use caps::{Slot, SlotRef, Window};

use crate::arch::Hardware;
use crate::asid::AsidPool;
use crate::dispatcher::{Dispatcher, DispatcherRef, Entry, Event, slot};
use crate::doorbell::Doorbells;
use crate::events;
use crate::fp::FpUnit;
use crate::interrupts::InterruptTable;
use crate::page_table::{self, Tlb};
use crate::schedule::{self, RunQueue, Timers};
use crate::shared_frame::SharedFrame;

/// The part of a core behind its capabilities.
///
/// It also is the token for kernel objects in RAM: a reference to a dispatcher, event or slot borrows the
/// machine, so that the compiler checks that no two mutable ones exist at once.
#[repr(C)]
pub struct Machine {
    /// Timer, interrupt controller, page-table instructions, physical memory.
    pub hardware: Hardware,
    /// The dispatcher that runs, or would if it could.
    pub current: Option<DispatcherRef>,
    /// Dispatcher switches since boot.
    pub switches: u64,
    /// Those that are ready, without the current one.
    pub run_queue: RunQueue,
    /// Those that wait for a deadline.
    pub timers: Timers,
    /// Address space identifiers.
    pub asids: AsidPool,
    /// Dispatchers that have ended and have events left whose peers do not know it yet; linked as in the run queue.
    pub ending: Option<DispatcherRef>,
    /// Who waits for which interrupt.
    pub interrupts: InterruptTable,
    /// Notifications from and to other cores.
    pub doorbells: Doorbells,
    /// Who uses the FP unit.
    pub fp: FpUnit,
    /// When the current slice ends; `u64::MAX`: not limited.
    pub slice_end: u64,
    /// What the timer is set to; `u64::MAX`: off.
    pub timer_set_to: u64,
    /// When accounting last looked at the counter.
    pub accounted_until: u64,
    /// Interrupts taken since boot.
    pub interrupts_taken: u64,
    /// Dispatchers that exist and have been configured.
    pub dispatchers: u64,
    /// Physical address of the kernel's own page of slots; see [`kernel_slot`].
    pub kernel_slots: u64,
}

/// The kernel's own slots, by use.
pub mod kernel_slot {
    /// The Notify to signal when units become empty.
    pub const UNIT_WATCHER: u64 = 1;
}

impl Machine {
    /// A dispatcher.
    #[inline(always)]
    pub fn dispatcher(&self, d: DispatcherRef) -> &Dispatcher {
        // SAFETY: a `DispatcherRef` names live dispatcher memory (its invariant), which only this core's kernel
        // touches (K1), and the borrow of `self` keeps mutable references away.
        unsafe { &*self.hardware.direct_map(d.base()).cast::<Dispatcher>() }
    }

    /// A dispatcher, to change.
    #[inline(always)]
    pub fn dispatcher_mut(&mut self, d: DispatcherRef) -> &mut Dispatcher {
        // SAFETY: as `dispatcher`; the mutable borrow of `self` makes it the only reference.
        unsafe { &mut *self.hardware.direct_map(d.base()).cast::<Dispatcher>() }
    }

    /// Event `index` of a dispatcher. The caller has it from an EndPoint or Notify capability, a peer link or a loop
    /// below `events_used`: retype checked it against the object's size.
    #[inline(always)]
    pub fn event(&self, d: DispatcherRef, index: u32) -> &Event {
        // SAFETY: as `dispatcher`; the table of events follows the head, and `index` is inside the object.
        unsafe { &*self.event_address(d, index) }
    }

    /// As [`Machine::event`], to change.
    #[inline(always)]
    pub fn event_mut(&mut self, d: DispatcherRef, index: u32) -> &mut Event {
        // SAFETY: as `event`; the mutable borrow of `self` makes it the only reference.
        unsafe { &mut *self.event_address(d, index) }
    }

    #[inline(always)]
    fn event_address(&self, d: DispatcherRef, index: u32) -> *mut Event {
        let offset = abi::cap::DISPATCHER_HEAD_SIZE + u64::from(index) * abi::cap::EVENT_SIZE;
        self.hardware.direct_map(d.base() + offset).cast()
    }

    /// Lets a notification listen to an interrupt that nobody listens to, and unmasks it.
    pub fn bind_interrupt(&mut self, interrupt: u32, d: DispatcherRef, index: u32) {
        self.event_mut(d, index).interrupt = interrupt;
        self.interrupts.bind(interrupt, d, index);
        self.hardware.unmask_interrupt(interrupt);
    }

    /// The notification listens to no interrupt any more.
    pub fn unbind_interrupt(&mut self, d: DispatcherRef, index: u32) {
        let interrupt = core::mem::take(&mut self.event_mut(d, index).interrupt);
        if interrupt != 0 && self.interrupts.listener(interrupt) == Some((d, index)) {
            self.interrupts.unbind(interrupt);
            self.hardware.mask_interrupt(interrupt);
        }
    }

    /// One of the kernel's own slots.
    pub fn kernel_slot(&self, which: u64) -> SlotRef {
        SlotRef::at(self.kernel_slots + which * abi::cap::SLOT_SIZE)
    }

    /// The frame that a dispatcher shares with the kernel, while its capability is there.
    #[inline(always)]
    pub fn frame(&self, d: DispatcherRef) -> Option<SharedFrame> {
        let slot = &self.dispatcher(d).slots[slot::FRAME];
        if slot.cap_type() == abi::CapType::Frame {
            // SAFETY: a Frame capability names page-aligned RAM of at least a page.
            Some(unsafe { SharedFrame::new(self.hardware.direct_map(slot.base()), slot.size()) })
        } else {
            None
        }
    }

    /// Root table and ASID of a dispatcher's address space, while its capability is there.
    #[inline(always)]
    pub fn address_space(&self, d: DispatcherRef) -> Option<(u64, u16)> {
        let state = self.dispatcher(d);
        let slot = &state.slots[slot::VSPACE];
        if slot.cap_type() == abi::CapType::VNodeL0 { Some((slot.base(), state.asid)) } else { None }
    }
}

impl caps::Machine for Machine {
    #[inline(always)]
    fn slot(&self, r: SlotRef) -> &Slot {
        // SAFETY: slot references come from a lookup in a CNode or from links of the mapping database; both name
        // slots inside live kernel objects (K4), which only this core's kernel touches (K1).
        unsafe { &*self.hardware.direct_map(r.address()).cast::<Slot>() }
    }

    #[inline(always)]
    fn slot_mut(&mut self, r: SlotRef) -> &mut Slot {
        // SAFETY: as `slot`; the mutable borrow of `self` makes it the only reference.
        unsafe { &mut *self.hardware.direct_map(r.address()).cast::<Slot>() }
    }

    fn zero(&mut self, base: u64, bytes: u64) {
        self.hardware.zero(base, bytes);
    }

    fn new_asid(&mut self) -> Option<u16> {
        self.asids.take()
    }

    fn free_asid(&mut self, asid: u16, root: u64) {
        if self.hardware.installed_root() == root {
            self.hardware.leave_address_space();
        }
        self.hardware.flush_asid(asid);
        self.hardware.complete();
        self.asids.give_back(asid);
    }

    #[inline(always)]
    fn fill(&mut self, w: &Window, first: u16, count: u16) {
        page_table::fill(&mut self.hardware, w, first, count);
    }

    fn clear(&mut self, w: &Window, first: u16, count: u16) {
        page_table::clear(&mut self.hardware, w, first, count);
    }

    fn protect(&mut self, w: &Window) {
        page_table::protect(&mut self.hardware, w);
    }

    fn dispatcher_ends(&mut self, base: u64, _size: u64) {
        let Some(d) = DispatcherRef::at(base) else { return };
        if self.dispatcher(d).state() == State::Ended {
            events::leave_ending(self, d);
        } else {
            events::stop(self, d, Cause::Stopped, 0, 0, 0);
        }
        if self.dispatcher(d).size != 0 {
            self.dispatchers -= 1;
        }
    }

    fn event_ends(&mut self, dispatcher: u64, index: u32) {
        if let Some(d) = DispatcherRef::at(dispatcher) {
            events::release(self, d, index);
        }
    }

    fn endpoint_alone(&mut self, dispatcher: u64, index: u32) {
        if let Some(d) = DispatcherRef::at(dispatcher) {
            events::no_senders(self, d, index);
        }
    }

    fn interrupts_end(&mut self, first: u64, count: u64) {
        // Bound is what a capability to a single interrupt bound; a wider one that goes leaves narrower ones alone.
        if count == 1
            && let Some((d, index)) = self.interrupts.listener(first as u32)
        {
            self.unbind_interrupt(d, index);
        }
    }

    fn remains(&mut self) {
        schedule::limit_slice(self);
    }

    fn held_ends(&mut self, slot: SlotRef) {
        // A dispatcher that waits would not notice; ready, it ends when its turn comes.
        if let Some(d) = DispatcherRef::at(slot.address() & !(abi::PAGE_SIZE - 1))
            && self.dispatcher(d).state() == State::Waiting
        {
            schedule::wake(self, d, Entry::Run(false));
        }
    }

    fn unit_empty(&mut self) {
        let watcher = caps::Machine::slot(self, self.kernel_slot(kernel_slot::UNIT_WATCHER));
        if watcher.cap_type() == abi::CapType::Notify
            && let Some(d) = DispatcherRef::at(watcher.base())
        {
            let index = watcher.index();
            events::post(self, d, index);
        }
    }
}
