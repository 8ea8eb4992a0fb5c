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
use threads::schedule::{Fate, Full, Kind, Priority, Room, ThreadId, Threads};

use super::locals::Locals;
use super::stack::Stack;
use crate::domain::Runtime;
use crate::frame::Frame;
use crate::local::{local, raw_local};
use crate::{arch, critical, dispatch, heap, names, time};

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
    frame: Frame,
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
    /// Threads that are neither the main one nor ended, with [`STARTED`] and [`ALONE`].
    static OTHERS: AtomicU32 = AtomicU32::new(0);
}
raw_local! {
    /// The kernel makes an upcall when a slice is over.
    static SLICES: AtomicBool = AtomicBool::new(false);
}

/// Nobody else runs: the domain is making its last report.
const ALONE: u32 = 1 << 31;
/// A thread was started since the main thread last waited without others. Until it does so again, tokens are in the table
/// and slices are asked for: a thread that is started and joined, and the next, cost no system calls for that.
const STARTED: u32 = 1 << 30;

#[inline(always)]
fn with<R>(f: impl FnOnce(&mut Table) -> R) -> R {
    TABLE.with(|table| match &mut *table.borrow_mut() {
        Some(table) => f(table),
        None => unreachable!("the runtime has not started"),
    })
}

/// Starts with the main thread.
pub(crate) fn init(frame: Frame) {
    let main = Block::new(None, abi::layout::STACK_LIMIT..abi::layout::STACK_TOP, None, None);
    let table = Table {
        frame,
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

#[inline(always)]
fn others() -> u32 {
    OTHERS.with(|others| others.load(Ordering::Relaxed))
}

/// Whether there are other threads than the main one, or were until a moment ago. With none that comes to an end when the
/// main thread asks whether they are ready.
#[inline(always)]
pub(crate) fn has_others() -> bool {
    others() & !ALONE != 0
}

/// Whether there are other threads than the main one.
pub(crate) fn others_exist() -> bool {
    others() & !(ALONE | STARTED) != 0
}

/// Whether a thread waits for its turn, and may have it.
#[inline(always)]
pub(crate) fn others_ready() -> bool {
    match others() {
        0 => false,
        STARTED => {
            settle();
            false
        }
        others => others & ALONE == 0 && with(|table| table.threads.has_ready()),
    }
}

/// All other threads have ended: the main thread is by itself again.
#[cold]
fn settle() {
    critical::section(|| {
        OTHERS.with(|others| others.store(0, Ordering::Relaxed));
        // From here on nobody looks for its token in the table; it may have one there.
        MAIN_TOKEN.with(|token| token.store(true, Ordering::Relaxed));
        want_slices(false);
    });
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
        unpark_among_others(id);
    } else if id == ThreadId::MAIN {
        MAIN_TOKEN.with(|token| token.store(true, Ordering::Relaxed));
    }
}

#[inline(never)]
fn unpark_among_others(id: ThreadId) {
    with(|table| table.threads.unpark(id));
}

/// No other thread runs from now on, or others run again.
pub(crate) fn stay_alone(alone: bool) {
    OTHERS.with(|others| match alone {
        true => others.fetch_or(ALONE, Ordering::Relaxed),
        false => others.fetch_and(!ALONE, Ordering::Relaxed),
    });
}

/// Whether no other thread runs any more.
pub(crate) fn is_alone() -> bool {
    others() & ALONE != 0
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

    /// Makes a thread of `block`, without allocating.
    fn enter(&mut self, block: &mut Option<Box<Block>>, priority: Priority) -> Entered {
        // There is a place in `blocks` for each record that was ever used, one that is free too.
        let missing = self.threads.missing_room();
        if let Some(records) = missing {
            return Entered::NoRoom(records);
        }
        let Ok(id) = self.threads.create(priority) else { return Entered::Full };
        debug_assert!(id.index() < self.blocks.len() || self.blocks.len() < self.blocks.capacity());
        if self.blocks.len() <= id.index() {
            self.blocks.push(None);
        }
        self.blocks[id.index()] = block.take();
        self.threads.ready(id);
        // Counted before it can run, and end.
        OTHERS.with(|others| {
            others.fetch_or(STARTED, Ordering::Relaxed);
            others.fetch_add(1, Ordering::Relaxed);
        });
        Entered::Done(id)
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

/// As [`own_stack`], also where there is no table of threads yet.
pub(crate) fn own_stack_if_started() -> Option<Range<u64>> {
    TABLE.with(|table| table.borrow().is_some()).then(own_stack)
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
    let mut block = Some(block);
    let id = loop {
        match with(|table| table.enter(&mut block, priority)) {
            Entered::Done(id) => break id,
            Entered::Full => return Err(Full),
            Entered::NoRoom(records) => make_room(records)?,
        }
    };
    critical::section(|| want_slices(true));
    Ok(id)
}

/// Starts a thread that a test plays.
#[cfg(test)]
pub(crate) fn add_played() -> ThreadId {
    add(Box::new(Block::new(None, 0..0, None, None)), Priority::NORMAL).unwrap()
}

/// What [`Table::enter`] has done.
enum Entered {
    Done(ThreadId),
    Full,
    /// Nothing: a table of so many threads is needed.
    NoRoom(usize),
}

/// Makes the table larger. The memory service may be asked for it, so it is allocated, and what it was in is freed, where
/// nobody looks at the table. It is backed: the table is looked at in upcalls and for faults.
fn make_room(threads: usize) -> Result<(), Full> {
    names::provide_memory();
    let (mut room, mut blocks) = critical::section(|| {
        heap::backed(|| {
            let mut blocks = Vec::new();
            blocks.try_reserve_exact(threads).map_err(|_| Full)?;
            Ok((Room::new(threads)?, blocks))
        })
    })?;
    with(|table| {
        table.threads.move_into(&mut room);
        if blocks.capacity() > table.blocks.capacity() {
            blocks.append(&mut table.blocks);
            core::mem::swap(&mut blocks, &mut table.blocks);
        }
    });
    Ok(())
}

/// Asks the kernel for an upcall when a slice is over, or takes that back, unless it is so already. In a critical section,
/// or in an upcall that came outside of them.
fn want_slices(wanted: bool) {
    let set = |slices: &AtomicBool| {
        let was = slices.load(Ordering::Relaxed);
        slices.store(wanted, Ordering::Relaxed);
        was
    };
    if SLICES.with(set) == wanted {
        return;
    }
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
    critical::probe_stack();
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
    OTHERS.with(|others| others.fetch_sub(1, Ordering::Relaxed));
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
    // There is always a turn, and it is not the running thread's.
    go(|table| table.next_turn(None));
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
    // A fault in the section would leave the stock low to the next thread.
    critical::probe_stack();
    critical::enter();
    if !has_token() {
        go(|table| {
            table.threads.park_current(kind);
            table.next_turn(None)
        });
    }
    critical::leave();
}

/// Lets the next of the threads that are ready run, if there is one. Does nothing in a critical section.
pub fn yield_now() {
    // Others were started, and may run: what is below the two marks is their number.
    if others() >> STARTED.trailing_zeros() != 1 {
        return;
    }
    // A fault in the section would leave the stock low to the next thread.
    arch::touch_below_stack();
    if critical::enter() {
        let turn = TABLE.with_in_section(|table| {
            // SAFETY: the table is borrowed in critical sections alone. There is none around this one, so it is not
            // borrowed; nothing in `yield_turn` looks at `TABLE`, and the borrow ends with it. There is a table, since
            // a thread was started.
            let table = unsafe { (*table.as_ptr()).as_mut().unwrap_unchecked() };
            table.yield_turn()
        });
        if let Some(turn) = turn {
            turn.begin();
        }
    }
    critical::leave();
}

/// Gives the processor away, in a critical section, if `how` finds that it is another's turn.
fn go(how: impl FnOnce(&mut Table) -> Option<Turn>) {
    if let Some(turn) = with(how) {
        turn.begin();
    }
}

/// Another thread is the current one, and is to run.
struct Turn {
    next: ThreadId,
    /// Where the stack pointer of the one that has run goes.
    from: *mut u64,
    to: *const Block,
}

impl Turn {
    /// Runs the other thread. Returns when it is the turn of the one that calls this.
    #[inline(always)]
    fn begin(self) {
        set_current(self.next);
        // SAFETY: a thread that is alive has its block, which stays where it is.
        let to = unsafe { &*self.to };
        if to.interrupted.get() {
            return self.resume(to);
        }
        // SAFETY: the scheduler says that it does not run, and it gave way by `switch`. The block of the running one
        // stays where it is until its thread is reaped, or is kept in `ended`.
        unsafe { arch::switch(self.from, to.stack_pointer.get()) }
    }

    #[cold]
    fn resume(self, to: &Block) {
        to.interrupted.set(false);
        // SAFETY: as in `begin`, but an upcall took the processor from it, outside of critical sections.
        unsafe { arch::switch_to_context(self.from, dispatch::frame().base(), to.context.get()) };
    }
}

#[inline(always)]
fn set_current(id: ThreadId) {
    CURRENT.with(|current| current.store(id.bits(), Ordering::Relaxed));
}

impl Table {
    /// The running thread goes behind its equals: whose turn it is now, if not its own.
    #[inline(always)]
    fn yield_turn(&mut self) -> Option<Turn> {
        let next = self.threads.rotate()?;
        Some(self.turn(current(), next))
    }

    /// As [`Self::yield_turn`], but `handler`, if there is one, is to run however urgent it is.
    #[inline(never)]
    fn yield_turn_to(&mut self, handler: Option<ThreadId>) -> Option<Turn> {
        let next = self.threads.yield_to(handler)?;
        Some(self.turn(current(), next))
    }

    /// The running thread has parked, yielded or ended: makes `next`, which is ready, or whose turn it is the current one.
    /// None if it is the one that has run.
    fn next_turn(&mut self, next: Option<ThreadId>) -> Option<Turn> {
        let former = current();
        let next = self.threads.take_turn(next)?;
        Some(self.turn(former, next))
    }

    #[inline(always)]
    fn turn(&self, former: ThreadId, next: ThreadId) -> Turn {
        if self.frame.uses_fp() {
            self.switch_fp(former, next);
        }
        let Some(from) = self.block(former).or_else(|| self.block_of_ended()) else {
            unreachable!("a thread that has run has a block")
        };
        let Some(to) = self.block(next) else { unreachable!("a thread that is ready has a block") };
        Turn { next, from: from.stack_pointer.as_ptr(), to }
    }

    #[cold]
    fn block_of_ended(&self) -> Option<&Block> {
        self.ended.as_deref()
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
    let anybody = frame.any_ready() || time::is_due();
    if !anybody && !dispatch::is_something_put_off() {
        return None;
    }
    // What was put off is for the main thread alone.
    with(|table| table.threads.nudge_handler(!anybody))
}

/// An upcall took the processor from the running thread: its context is in the frame. Does not return if another thread
/// goes on. Upcalls are disabled.
pub(crate) fn preempted(frame: Frame) {
    if !others_exist() {
        if !critical::inside() {
            want_slices(false);
        }
        return;
    }
    paging::upcall::<Runtime>(|| switch_in_upcall(frame));
}

/// Runs another thread, if it is another's turn.
fn switch_in_upcall(frame: Frame) {
    let handler = nudge_for_events(frame);
    let Some(turn) = with(|table| {
        let former = table.threads.current();
        let turn = table.yield_turn_to(handler)?;
        let block = table.block(former)?;
        // SAFETY: the block belongs to the thread that was interrupted, and nobody else looks at its context.
        unsafe { block.context.get().write(frame.context(Area::Enabled)) };
        block.interrupted.set(true);
        Some(turn)
    }) else {
        return;
    };
    set_current(turn.next);
    // SAFETY: as in `Turn::begin`.
    let to = unsafe { &*turn.to };
    if to.interrupted.replace(false) {
        // SAFETY: the context was saved by an earlier upcall.
        unsafe { arch::resume_context(frame.base(), to.context.get()) }
    }
    critical::set_depth(1);
    // SAFETY: it gave way by `switch`, in a critical section; upcalls are disabled.
    unsafe { arch::enter_thread(frame.base(), to.stack_pointer.get()) }
}

/// A critical section has ended in which an upcall came.
pub(crate) fn give_way() {
    if !others_exist() || is_alone() {
        return;
    }
    critical::probe_stack();
    critical::enter();
    let handler = nudge_for_events(dispatch::frame());
    go(|table| table.yield_turn_to(handler));
    critical::leave();
}
