//! The threads of the domain, and switching between them.
//!
//! Whose turn it is, `core/threads` knows; here is what each thread is made of. A thread that does not run has given way by
//! itself (its stack pointer says where it goes on), or an upcall took the processor from it (its context is kept).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell, UnsafeCell};
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use abi::frame::{Area, Context, FpContext};
use threads::schedule::{Fate, Full, Kind, Priority, ThreadId, Threads};

use super::locals::Locals;
use super::stack::Stack;
use crate::frame::Frame;
use crate::local::{local, raw_local};
use crate::{arch, critical, dispatch, time};

/// What a thread is made of.
pub(crate) struct Block {
    /// Where it goes on, if it gave way by itself.
    stack_pointer: Cell<u64>,
    /// An upcall took the processor from it, and its context is below.
    interrupted: Cell<bool>,
    context: UnsafeCell<Context>,
    /// Its FP and SIMD registers while it does not run, in a domain that uses them.
    fp: UnsafeCell<FpContext>,
    /// None: the main thread's.
    stack: Cell<Option<Stack>>,
    range: Range<u64>,
    name: Option<String>,
    /// What it begins with.
    start: Cell<Option<Box<dyn FnOnce() + Send>>>,
    pub(super) locals: Locals,
}

const NO_CONTEXT: Context = Context { x: [0; 31], sp: 0, pc: 0, pstate: 0, tpidr: 0, reserved: 0 };

struct Table {
    threads: Threads,
    blocks: Vec<Option<Box<Block>>>,
    /// What the thread that ended last was made of: its stack was in use until now.
    ended: Option<Box<Block>>,
    /// That thread, if nobody asks for its end.
    unasked: Option<ThreadId>,
}

local! {
    static TABLE: RefCell<Option<Table>> = RefCell::new(None);
}
raw_local! {
    /// The running thread, as a number.
    static CURRENT: AtomicU32 = AtomicU32::new(ThreadId::MAIN.bits());
}
raw_local! {
    /// The main thread's token, while it is the only one: then nobody has to be woken.
    static MAIN_TOKEN: AtomicBool = AtomicBool::new(false);
}
raw_local! {
    /// Threads that are neither the main one nor ended; with none the domain asks for no slices.
    static OTHERS: AtomicU32 = AtomicU32::new(0);
}
local! {
    /// Nobody else runs: the domain is making its last report.
    static ALONE: Cell<bool> = Cell::new(false);
}

#[inline(always)]
fn with<R>(f: impl FnOnce(&mut Table) -> R) -> R {
    TABLE.with(|table| match &mut *table.borrow_mut() {
        Some(table) => f(table),
        None => unreachable!("the runtime has not started"),
    })
}

/// Starts with the main thread.
pub(crate) fn init() {
    let main = Block::new(None, abi::layout::STACK_LIMIT..abi::layout::STACK_TOP, None, None);
    let table = Table {
        threads: Threads::new(),
        blocks: alloc::vec![Some(Box::new(main))],
        ended: None,
        unasked: None,
    };
    TABLE.with(|place| place.replace(Some(table)));
}

/// The running thread.
#[inline(always)]
pub(crate) fn current() -> ThreadId {
    CURRENT.with(|current| ThreadId::from_bits(current.load(Ordering::Relaxed)))
}

/// Whether there are other threads than the main one.
#[inline(always)]
pub(crate) fn has_others() -> bool {
    OTHERS.with(|others| others.load(Ordering::Relaxed) != 0)
}

/// Whether a thread waits for its turn, and may have it.
#[inline(always)]
pub(crate) fn others_ready() -> bool {
    has_others() && with(|table| table.threads.has_ready()) && !ALONE.with(Cell::get)
}

/// Whether the running thread was unparked since this was last asked.
#[inline(always)]
pub(crate) fn take_token() -> bool {
    let alone = current() == ThreadId::MAIN && take_main_token();
    alone || has_others() && with(|table| table.threads.take_token())
}

#[inline(always)]
fn take_main_token() -> bool {
    // Set by the same thread, or by none.
    MAIN_TOKEN.with(|token| {
        let was = token.load(Ordering::Relaxed);
        if was {
            token.store(false, Ordering::Relaxed);
        }
        was
    })
}

/// Whether the running thread was unparked since that was last asked.
pub(crate) fn has_token() -> bool {
    let token = take_token();
    if token {
        unpark(current());
    }
    token
}

/// Makes a thread return from its present or next park.
#[inline(always)]
pub(crate) fn unpark(id: ThreadId) {
    if has_others() {
        with(|table| table.threads.unpark(id));
    } else if id == ThreadId::MAIN {
        MAIN_TOKEN.with(|token| token.store(true, Ordering::Relaxed));
    }
}

/// No other thread runs from now on, or others run again.
pub(crate) fn stay_alone(alone: bool) {
    ALONE.with(|state| state.set(alone));
}

/// Whether no other thread runs any more.
pub(crate) fn is_alone() -> bool {
    ALONE.with(Cell::get)
}

impl Block {
    pub(super) fn new(
        stack: Option<Stack>,
        range: Range<u64>,
        name: Option<String>,
        start: Option<Box<dyn FnOnce() + Send>>,
    ) -> Block {
        Block {
            stack_pointer: Cell::new(0),
            interrupted: Cell::new(false),
            context: UnsafeCell::new(NO_CONTEXT),
            fp: UnsafeCell::new(FpContext::default()),
            stack: Cell::new(stack),
            range,
            name,
            start: Cell::new(start),
            locals: Locals::new(),
        }
    }
}

impl Table {
    /// What is left of the thread that ended last, to be dropped outside of the critical section.
    fn take_ended(&mut self) -> Option<Box<Block>> {
        if let Some(id) = self.unasked.take() {
            self.threads.reap(id);
        }
        self.ended.take()
    }

    fn block(&self, id: ThreadId) -> Option<&Block> {
        self.blocks.get(id.index()).and_then(Option::as_deref)
    }
}

/// Looks at what the running thread is made of. In a critical section.
pub(super) fn with_own_block<R>(f: impl FnOnce(&Block) -> R) -> R {
    with(|table| match table.block(current()) {
        Some(block) => f(block),
        None => unreachable!("a thread that runs has a block"),
    })
}

/// The running thread's stack.
pub(crate) fn own_stack() -> Range<u64> {
    with_own_block(|block| block.range.clone())
}

/// Name of the running thread, to be said in a report: gives it to `f`.
pub(crate) fn with_name<R>(f: impl FnOnce(Option<&str>) -> R) -> R {
    with_own_block(|block| f(block.name.as_deref()))
}

/// Whether an address is in the guard of the running thread's stack.
pub(crate) fn own_guard_holds(address: u64) -> bool {
    with_own_block(|block| {
        let stack = block.stack.take();
        let holds = stack.as_ref().is_some_and(|stack| stack.guards(address));
        block.stack.set(stack);
        holds
    })
}

/// Makes a thread of `block`, which runs soon.
pub(super) fn add(block: Box<Block>, priority: Priority) -> Result<ThreadId, Full> {
    drop(with(Table::take_ended));
    let top = block.range.end;
    // SAFETY: the top of the stack is backed, and nobody uses it.
    let stack_pointer = unsafe { arch::prepare_stack(top, first, 0) };
    block.stack_pointer.set(stack_pointer);
    let (id, is_first) = with(|table| {
        let id = table.threads.create(priority)?;
        if table.blocks.len() <= id.index() {
            table.blocks.try_reserve(1).map_err(|_| Full)?;
            table.blocks.resize_with(id.index() + 1, || None);
        }
        table.blocks[id.index()] = Some(block);
        table.threads.ready(id);
        // Counted before it can run, and end.
        Ok((id, OTHERS.with(|others| others.fetch_add(1, Ordering::Relaxed)) == 0))
    })?;
    if is_first {
        request_slices(true);
    }
    Ok(id)
}

/// Asks the kernel for an upcall when a slice is over, or takes that back.
fn request_slices(wanted: bool) {
    let ticks = if wanted { arch::ticks_per_second() / 1000 * SLICE_MS } else { 0 };
    // It can fail only for a dispatcher that is not ours.
    let _ = sys::Cap::<sys::Dispatcher>::new(abi::layout::SELF_DISPATCHER).request_slice(ticks);
}

/// Milliseconds after which another thread that is ready gets its turn.
const SLICE_MS: u64 = 5;

/// The first code of a thread, in a critical section.
extern "C" fn first(_: u64) -> ! {
    critical::leave();
    if let Some(start) = with_own_block(|block| block.start.take()) {
        start();
    }
    end()
}

/// The running thread, not the main one, ends.
pub(super) fn end() -> ! {
    super::locals::drop_own();
    end_now(false)
}

/// A fault ends the running thread, which leaves everything as it is; those who wait for what it held look again. On the
/// stack of faults.
pub(super) fn end_by_fault() -> ! {
    end_now(true)
}

fn end_now(by_fault: bool) -> ! {
    // From here on nobody else runs: one that is no longer counted may not get another turn.
    critical::enter();
    critical::set_depth(1);
    if OTHERS.with(|others| others.fetch_sub(1, Ordering::Relaxed)) == 1 {
        request_slices(false);
        // From here on nobody looks for the main thread's token in the table; it may have one there.
        MAIN_TOKEN.with(|token| token.store(true, Ordering::Relaxed));
    }
    let id = current();
    drop(with(Table::take_ended));
    let stack = with(|table| {
        if table.threads.end_current() == Fate::Reaped {
            table.unasked = Some(id);
        }
        if by_fault {
            table.threads.unpark_all();
        }
        table.ended = table.blocks[id.index()].take();
        table.ended.as_deref().and_then(|block| block.stack.take())
    });
    // It is used until the switch below, and nobody runs before.
    if let Some(stack) = stack.and_then(Stack::recycle) {
        with(|table| table.ended.as_deref().map(|block| block.stack.set(Some(stack))));
    }
    let place = with(|table| table.ended.as_deref().map(|block| block.stack_pointer.as_ptr()));
    go_to_next(place.unwrap_or(core::ptr::null_mut()), None);
    unreachable!("a thread that has ended runs again")
}

/// Frees what is left of a thread that has ended.
pub(super) fn reap(id: ThreadId) {
    with(|table| table.threads.reap(id));
}

/// Asks for the end of a thread, see [`Threads::join`].
pub(super) fn join(id: ThreadId) -> threads::schedule::Joined {
    with(|table| table.threads.join(id))
}

/// Nobody asks for the end of a thread.
pub(super) fn detach(id: ThreadId) {
    with(|table| {
        if table.threads.detach(id) == Some(Fate::Reaped) {
            table.threads.reap(id);
        }
    });
}

/// Whether a thread may run again.
pub(crate) fn is_alive(id: ThreadId) -> bool {
    with(|table| table.threads.is_alive(id))
}

/// Parks the running thread, unless it has a token, and lets another run, the main one if nobody else can. It comes back
/// when it was unparked, or when there may be something for it to handle.
pub(crate) fn park(kind: Kind) {
    critical::enter();
    if !has_token() {
        go(|threads| threads.park_current(kind), None);
    }
    critical::leave();
}

/// Lets the next of the threads that are ready run, if there is one.
pub fn yield_now() {
    critical::enter();
    if others_ready() {
        go(Threads::yield_current, None);
    }
    critical::leave();
}

/// Gives the processor away, to `next` or whose turn it is, in a critical section.
fn go(how: impl FnOnce(&mut Threads), next: Option<ThreadId>) {
    let place = with(|table| {
        how(&mut table.threads);
        table.block(table.threads.current()).map(|block| block.stack_pointer.as_ptr())
    });
    go_to_next(place.unwrap_or(core::ptr::null_mut()), next);
}

/// Switches to `next` or whose turn it is, in a critical section. `place` is where the stack pointer of the running one goes.
fn go_to_next(place: *mut u64, next: Option<ThreadId>) {
    let (next, stack_pointer, context) = with(|table| table.choose(next));
    if next == current() {
        return;
    }
    set_current(next);
    match context {
        // SAFETY: the scheduler says that it does not run, and it gave way by `switch`. The block of the running one
        // stays where it is until its thread is reaped, or is kept in `ended`.
        None => unsafe { arch::switch(place, stack_pointer) },
        Some(context) => {
            critical::set_depth(0);
            // SAFETY: as before, but an upcall took the processor from it, outside of critical sections.
            unsafe { arch::switch_to_context(place, dispatch::frame().base(), context) };
        }
    }
}

fn set_current(id: ThreadId) {
    CURRENT.with(|current| current.store(id.bits(), Ordering::Relaxed));
}

impl Table {
    /// Makes `next`, which is ready, or whose turn it is the current thread: (its number, its stack pointer, its context if it was interrupted).
    fn choose(&mut self, next: Option<ThreadId>) -> (ThreadId, u64, Option<*const Context>) {
        // There is always one: the main thread is ready, runs, or is parked in its loop, where it waits in the kernel.
        let next = next.or_else(|| self.threads.pick()).unwrap_or(ThreadId::MAIN);
        let former = self.threads.current();
        self.threads.switch_to(next);
        if next != former && dispatch::frame().uses_fp() {
            self.switch_fp(former, next);
        }
        match self.block(next) {
            Some(block) => {
                let context = block.interrupted.replace(false).then(|| block.context.get().cast_const());
                (next, block.stack_pointer.get(), context)
            }
            None => unreachable!("a thread that is ready has a block"),
        }
    }
}

impl Table {
    /// Compiled code of this crate uses no such registers, so they are still those of the thread that ran.
    #[cold]
    fn switch_fp(&self, former: ThreadId, next: ThreadId) {
        // One that has ended has no block here any more.
        if let Some(block) = self.block(former) {
            // SAFETY: the block belongs to a thread that does not run from here on, and nobody else looks at it.
            unsafe { arch::save_fp(block.fp.get()) };
        }
        if let Some(block) = self.block(next) {
            // SAFETY: as above; this one has not run yet or was saved here.
            unsafe { arch::load_fp(block.fp.get()) };
        }
    }
}

/// Makes somebody ready who handles events, if there are any and nobody that runs will: the main thread, if it is parked, or
/// another that is parked. It is to run next, however urgent it is: who it wakes may be more urgent than all others.
fn nudge_for_events(frame: Frame) -> Option<ThreadId> {
    if !frame.any_ready() && !time::is_due() {
        return None;
    }
    with(|table| {
        let parked = table.threads.any_parked(Kind::Loop).or_else(|| table.threads.any_parked(Kind::Leaf));
        if let Some(id) = parked {
            table.threads.nudge(id);
        }
        parked
    })
}

/// An upcall took the processor from the running thread: its context is in the frame. Does not return if another thread
/// goes on. Upcalls are disabled.
pub(crate) fn preempted(frame: Frame) {
    if !has_others() {
        return;
    }
    if critical::inside() {
        critical::want();
        return;
    }
    critical::forget_want();
    if ALONE.with(Cell::get) {
        return;
    }
    let handler = nudge_for_events(frame);
    if !with(|table| table.threads.has_ready()) {
        return;
    }
    with(|table| {
        if let Some(block) = table.block(table.threads.current()) {
            // SAFETY: the block belongs to the thread that was interrupted, and nobody else looks at its context.
            unsafe { block.context.get().write(frame.context(Area::Enabled)) };
            block.interrupted.set(true);
        }
        table.threads.preempt_current();
    });
    let (next, stack_pointer, context) = with(|table| table.choose(handler));
    set_current(next);
    match context {
        None => {
            critical::set_depth(1);
            // SAFETY: it gave way by `switch`, in a critical section; upcalls are disabled.
            unsafe { arch::enter_thread(frame.base(), stack_pointer) }
        }
        // SAFETY: the context was saved above, or by an earlier upcall.
        Some(context) => unsafe { arch::resume_context(frame.base(), context) },
    }
}

/// A critical section has ended in which an upcall came.
pub(crate) fn give_way() {
    if !has_others() || ALONE.with(Cell::get) {
        return;
    }
    critical::enter();
    let handler = nudge_for_events(dispatch::frame());
    if others_ready() {
        go(Threads::yield_current, handler);
    }
    critical::leave();
}
