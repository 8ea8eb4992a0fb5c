//! A domain without hardware. Its threads are coroutines, of which the one runs that the shipped table says.
//!
//! Modelled are upcalls (at every [`point`] while they are enabled), page tables, threads' stacks, which are backed by faults
//! as far as they are needed, the memory service, and packets that come while that is waited for. What is done about them is
//! the shipped code: `paging`, the books, the table of threads.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::Range;
use std::ptr::{self, NonNull};

use abi::{CapAddr, PAGE_SIZE, Rights};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use paging::{CHUNK, Domain, LEAST, PutOff, Section, Stock, Unbacked, Unmended};
use threads::schedule::{Kind, Priority, ThreadId, Threads};
use vspace::{Area, Attributes, Backing, LARGE_PAGE, Node, Piece, Space};

use crate::explore::choose;

/// What a thread does, step by step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Writes to this chunk of the heap.
    Touch(u64),
    /// As often in one critical section.
    Section(&'static [u64]),
    /// Reserves addresses.
    Reserve,
    /// Takes memory from the memory service.
    Allocate,
    /// Gives up an arena.
    Free,
    Yield,
    /// Sends a request to a service, and waits for the answer.
    Call,
    /// Computes for so many slices, and longer until the main thread has handled what it was sent.
    ComputeUntilServed(u32),
    /// Writes to this chunk with upcalls disabled.
    TouchDisabled(u64),
    /// Writes to an address that is not reserved.
    TouchNothing,
}

/// How far a thread is from the end of what is backed of its stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stack {
    Far,
    /// A call to the memory service goes beyond it.
    ForACall,
    /// Whatever it calls does.
    AtTheEdge,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    /// The first is the main thread, which then waits for the others.
    pub(crate) threads: &'static [(Stack, &'static [Step])],
    /// Instead of what is said of each.
    pub(crate) stacks: Option<Stack>,
    /// Upcalls that come at most, besides those of computing.
    pub(crate) upcalls: u32,
    /// Packets for the main thread's server that come at most.
    pub(crate) requests: u64,
    /// Frames that the memory service has.
    pub(crate) frames: u32,
    /// Slots that are free at first.
    pub(crate) slots: u32,
    /// Whether the stock is filled at the start, and the memory service connected.
    pub(crate) prepared: bool,
    /// Whether taking in an answer takes memory.
    pub(crate) answers_allocate: bool,
    /// Chunks of the heap that are used where a frame is made, but not in faults.
    pub(crate) frames_use: &'static [u64],
    /// A mistake, to see whether it is found.
    pub(crate) seeded: Option<Seeded>,
}

impl Scenario {
    pub(crate) const USUAL: Scenario = Scenario {
        threads: &[],
        stacks: None,
        upcalls: 2,
        requests: 0,
        frames: 40,
        slots: 40,
        prepared: true,
        answers_allocate: false,
        frames_use: &[],
        seeded: None,
    };
}

/// Mistakes in what the protocol is done with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seeded {
    /// A fault takes one frame more than the threshold allows for.
    ThresholdTooLow,
    /// An upcall in a section is forgotten.
    WantDropped,
    /// The stack is not probed before a switch.
    NoProbeBeforeSwitch,
    /// While the memory service is waited for, others run.
    GivingWay,
    /// The stack is not probed before the stock is filled up.
    NoProbe,
    /// A call to the memory service in a fault takes a frame from the stock.
    FillingFromStock,
    /// Nobody is told of what was put off.
    NoNudge,
    /// The heap is not trimmed at the end of the section.
    TrimDropped,
    /// The end of a handled fault ends all sections.
    DepthLost,
}

/// Why a domain ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Report {
    /// By the kernel.
    Disabled,
    FaultInFault,
    Unmended(Unmended),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    number: u64,
    /// The thread that waits for it; none: a request to the main thread's server.
    client: Option<ThreadId>,
}

const HEAP: u64 = (1 << 30) + LARGE_PAGE - 2 * CHUNK;
/// The first two are under one table, the 32 behind under another, and so on.
const HEAP_CHUNKS: u64 = 40;
/// Where stacks end; one every 2 MiB.
const STACKS: u64 = 3 << 30;
const DATA: Rights = Rights::READ.or(Rights::WRITE);
const NODES: usize = 128;
/// Free slots at which more are made.
const RESERVE: u32 = 4;

struct World {
    scenario: Scenario,
    threads: Threads,
    others: u32,
    alone: bool,
    disabled: bool,
    in_fault: bool,
    connected: bool,
    mapped: Vec<Range<u64>>,
    next_cap: u64,
    frames: u32,
    slots: u32,
    growing: bool,
    upcalls: u32,
    /// Others are to run at the end of the section.
    turn_due: bool,
    tables_given: Vec<CapAddr>,
    requests: u64,
    answers: VecDeque<Packet>,
    served: u64,
    sent: u64,
    received: u64,
    answered: Vec<ThreadId>,
    work: bool,
    trim: bool,
    report: Option<Report>,
    /// The service has refused.
    dry: bool,
}

type Thread = Coroutine<(), (), (), DefaultStack>;

thread_local! {
    static STATE: Section = const { Section::new() };
    static STOCK: RefCell<Stock> = const { RefCell::new(Stock::new()) };
    static BOOKS: RefCell<Space<'static>> = const { RefCell::new(Space::new()) };
    static PUT_OFF: RefCell<PutOff<Packet>> = const { RefCell::new(PutOff::new()) };
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
    static YIELDER: Cell<*const Yielder<(), ()>> = const { Cell::new(ptr::null()) };
    static STACK_POOL: RefCell<Vec<DefaultStack>> = const { RefCell::new(Vec::new()) };
    static NODE_POOL: Cell<Option<NonNull<[Node]>>> = const { Cell::new(None) };
}

fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with_borrow_mut(|world| f(world.as_mut().expect("a world")))
}

fn seeded(mistake: Seeded) -> bool {
    // Not while a run is set up.
    !YIELDER.get().is_null() && with(|world| world.scenario.seeded == Some(mistake))
}

fn current() -> ThreadId {
    with(|world| world.threads.current())
}

/// Here an upcall may come.
fn point() {
    let may = with(|world| !world.disabled && world.upcalls > 0);
    if may && choose(2) == 1 {
        with(|world| world.upcalls -= 1);
        upcall();
    }
}

/// An upcall, as `thread::preempted` of the runtime.
fn upcall() {
    if with(|world| world.disabled || world.others == 0) {
        return;
    }
    with(|world| world.disabled = true);
    let depth = STATE.with(Section::depth);
    with(|world| world.turn_due = depth != 0);
    paging::upcall::<Model>(|| {
        let handler = nudge();
        if table(|threads| threads.yield_to(handler)).is_some() {
            switch();
        }
    });
    if seeded(Seeded::WantDropped) && depth != 0 {
        STATE.with(Section::forget_want);
    }
    with(|world| world.disabled = false);
}

/// As `thread::nudge_for_events`, where no events are ready.
fn nudge() -> Option<ThreadId> {
    let put_off = with(|world| world.work) || Model::put_off(|queue| !queue.is_empty());
    if put_off && !seeded(Seeded::NoNudge) { table(|threads| threads.nudge_handler(true)) } else { None }
}

/// Looks at the table of threads, in a section.
fn table<R>(f: impl FnOnce(&mut Threads) -> R) -> R {
    paging::section::<Model, _>(|| with(|world| f(&mut world.threads)))
}

/// The coroutine of the current thread goes on; this one when it is its turn again.
fn switch() {
    let yielder = YIELDER.get();
    // SAFETY: set by the driver to that of the coroutine which runs, and that is this one.
    unsafe { (*yielder).suspend(()) };
}

/// Gives the processor away in a section, as `thread::go`.
fn go(how: impl FnOnce(&mut Threads) -> Option<ThreadId>) {
    // The stack of one at the edge is not backed where its registers go.
    use_stack(Stack::AtTheEdge);
    if table(how).is_some() {
        let depth = STATE.with(Section::depth);
        assert_eq!(depth, 1, "who gives way is in one section");
        switch();
        STATE.with(|state| state.set_depth(1));
        with(|world| world.disabled = false);
    }
}

fn has_token() -> bool {
    table(|threads| {
        let token = threads.take_token();
        if token {
            threads.unpark(threads.current());
        }
        token
    })
}

fn park_as(kind: Kind) {
    probe_before_switch();
    paging::enter::<Model>();
    point();
    if !has_token() {
        go(|threads| {
            threads.park_current(kind);
            threads.take_turn(None)
        });
    }
    paging::leave::<Model>();
}

fn probe_before_switch() {
    if !seeded(Seeded::NoProbeBeforeSwitch) {
        Model::probe_stack();
    }
}

/// Parks as `dispatch::park` does.
fn park() {
    if current() != ThreadId::MAIN {
        loop {
            point();
            if table(Threads::take_token) {
                return;
            }
            park_as(Kind::Leaf);
        }
    }
    loop {
        if with(|world| std::mem::take(&mut world.work)) {
            paging::deliver_put_off::<Model>();
        }
        point();
        if table(Threads::take_token) {
            return;
        }
        if with(|world| world.work) {
            continue;
        }
        if with(|world| world.threads.has_ready()) {
            park_as(Kind::Loop);
            continue;
        }
        paging::enter::<Model>();
        if !(with(|world| world.work || world.threads.has_ready()) || has_token()) {
            wait_in_loop();
        }
        paging::leave::<Model>();
    }
}

/// Nobody can run: the main thread waits in the kernel for what is still to come.
fn wait_in_loop() {
    let answer = with(|world| world.answers.pop_front());
    let Some(answer) = answer else { panic!("deadlock: nobody can go on") };
    Model::deliver(answer);
}

fn page_of(thread: ThreadId, chunk: u64) -> u64 {
    STACKS + (thread.index() as u64 + 1) * LARGE_PAGE - (chunk + 1) * CHUNK
}

/// Uses the running thread's stack, or that of faults, as much as one that is so far from the edge has not backed.
fn use_stack(least: Stack) {
    let (in_fault, stack) = with(|world| {
        let index = world.threads.current().index();
        (world.in_fault, world.scenario.stacks.unwrap_or(world.scenario.threads[index].0))
    });
    let beyond = stack == Stack::AtTheEdge || stack == Stack::ForACall && least == Stack::ForACall;
    if beyond && !in_fault {
        touch(page_of(current(), 1));
    }
}

fn is_mapped(address: u64) -> bool {
    with(|world| world.mapped.iter().any(|range| range.contains(&address)))
}

fn touch(address: u64) {
    point();
    while !is_mapped(address) {
        fault(address);
    }
}

/// A fault, as the entry of the upcall vector and `thread::faulted`.
fn fault(address: u64) {
    let (disabled, in_fault) = with(|world| (world.disabled, world.in_fault));
    if disabled {
        report(Report::Disabled);
    }
    if in_fault {
        report(Report::FaultInFault);
    }
    with(|world| (world.disabled, world.in_fault) = (true, true));
    let outside = STATE.with(Section::depth) == 0;
    match paging::mend::<Model>(address, Some(DATA)) {
        Ok(()) => {
            assert!(is_mapped(address), "a fault that was mended is not");
            with(|world| {
                assert!(world.disabled, "nobody comes between the end of a fault and its thread");
                (world.disabled, world.in_fault) = (false, false);
            });
            if outside && seeded(Seeded::ThresholdTooLow) {
                STOCK.with_borrow_mut(|stock| {
                    stock.give_back();
                });
            }
            if seeded(Seeded::DepthLost) {
                STATE.with(|state| state.set_depth(0));
            }
            point();
        }
        Err(why) => report(Report::Unmended(why)),
    }
}

/// The domain ends.
fn report(report: Report) -> ! {
    with(|world| world.report = Some(report));
    switch();
    unreachable!("a domain that has ended goes on")
}

/// Asks the memory service, as `memory::allocate`. False: it has nothing.
fn ask() -> bool {
    if with(|world| !world.connected) {
        return false;
    }
    if STATE.with(Section::depth) == 0 {
        Model::probe_stack_for_call();
    }
    paging::section::<Model, _>(|| {
        let _ = provide_slots();
        use_stack(Stack::ForACall);
        if with(|world| world.in_fault) && seeded(Seeded::FillingFromStock) {
            STOCK.with_borrow_mut(Stock::give_back);
        }
        if seeded(Seeded::GivingWay) {
            let me = current();
            with(|world| world.threads.yield_to(None)).is_some().then(switch);
            assert_eq!(me, current());
        }
        paging::wait_as_leaf::<Model>(&());
        with(|world| {
            let current = world.threads.current();
            world.threads.unpark(current);
            let granted = world.frames > 0;
            world.frames -= u32::from(granted);
            world.dry |= !granted;
            granted
        })
    })
}

/// As `slots::provide`: grows while a few are left, once at a time.
fn provide_slots() -> Result<(), ()> {
    if with(|world| world.slots > RESERVE || std::mem::replace(&mut world.growing, true)) {
        return Ok(());
    }
    let grown = paging::section::<Model, _>(ask);
    with(|world| {
        world.growing = false;
        world.slots += if grown { 12 } else { 0 };
    });
    if grown { Ok(()) } else { Err(()) }
}

fn new_cap() -> CapAddr {
    with(|world| {
        world.next_cap += 1;
        CapAddr(world.next_cap)
    })
}

/// Something of the memory service, in a slot.
fn new_object() -> Result<CapAddr, ()> {
    point();
    if ask() { Model::new_slot() } else { Err(()) }
}

pub(crate) struct Model;

impl Domain for Model {
    type Error = ();
    type Packet = Packet;
    type Leaf = ();

    fn state<R>(f: impl FnOnce(&Section) -> R) -> R {
        STATE.with(f)
    }
    fn stock<R>(f: impl FnOnce(&mut Stock) -> R) -> R {
        paging::section::<Model, _>(|| {
            point();
            STOCK.with_borrow_mut(f)
        })
    }
    fn books<R>(f: impl FnOnce(&mut Space<'static>) -> R) -> R {
        Self::probe_stack();
        paging::section::<Model, _>(|| BOOKS.with_borrow_mut(f))
    }
    fn put_off<R>(f: impl FnOnce(&mut PutOff<Packet>) -> R) -> R {
        paging::section::<Model, _>(|| PUT_OFF.with_borrow_mut(f))
    }

    fn probe_stack() {
        use_stack(Stack::AtTheEdge);
    }
    fn probe_stack_for_call() {
        if STATE.with(Section::depth) == 0 && !seeded(Seeded::NoProbe) {
            use_stack(Stack::ForACall);
        }
    }

    fn new_nodes() -> Result<(), ()> {
        // Tens of thousands come at once; what there is suffices here.
        Ok(())
    }
    fn new_slot() -> Result<CapAddr, ()> {
        point();
        let provided = provide_slots();
        if with(|world| world.slots) == 0 {
            provided?;
        }
        let taken = with(|world| world.slots.checked_sub(1).map(|left| world.slots = left));
        taken.ok_or(()).map(|()| new_cap())
    }
    fn new_table(_: u8) -> Result<CapAddr, ()> {
        new_object()
    }
    fn new_frame() -> Result<CapAddr, ()> {
        let (used, in_fault) = with(|world| (world.scenario.frames_use, world.in_fault));
        if !in_fault {
            used.iter().for_each(|&chunk| touch(heap(chunk)));
        }
        new_object()
    }
    fn new_large_page(_: u64, _: &Area) -> Result<(), ()> {
        Err(())
    }
    fn discard(_: CapAddr) {
        with(|world| {
            world.frames += 1;
            world.slots += 1;
        });
    }

    fn map(table: CapAddr, piece: Piece, _: &Area, _: Rights) -> Result<(), ()> {
        let entered = Self::books(|books| {
            assert_eq!(books.table(3, piece.base), Some(table), "mapped by the table over it");
            books.insert_piece(piece)
        });
        point();
        entered.map_err(|_| ())?;
        with(|world| {
            let range = piece.base..piece.end();
            let twice = world.mapped.iter().any(|it| it.start < range.end && range.start < it.end);
            assert!(!twice, "a page is backed twice");
            world.mapped.push(range);
        });
        Ok(())
    }
    fn install(level: u8, address: u64, table: CapAddr, slot: CapAddr) -> Result<(), ()> {
        point();
        with(|world| {
            assert!(!world.tables_given.contains(&table), "a table is installed twice");
            world.tables_given.push(table);
        });
        Self::books(|books| books.insert_table(level, address, table, slot, true)).map_err(|_| ())
    }
    fn zero(_: u64, _: u64) {}

    fn enable() {
        with(|world| world.disabled = false);
        point();
    }
    fn disable() {
        with(|world| world.disabled = true);
    }
    fn has_memory() -> bool {
        with(|world| world.connected)
    }
    fn provide_memory() {
        point();
        with(|world| world.connected = true);
    }
    fn stay_alone(alone: bool) -> bool {
        with(|world| std::mem::replace(&mut world.alone, alone))
    }

    fn others_exist() -> bool {
        with(|world| world.others > 0)
    }
    fn is_alone() -> bool {
        with(|world| world.alone)
    }
    fn trim() {
        if !seeded(Seeded::TrimDropped) {
            with(|world| world.trim = false);
        }
    }
    fn let_others_run() {
        with(|world| world.turn_due = false);
        if with(|world| world.others == 0 || world.alone) {
            return;
        }
        probe_before_switch();
        paging::enter::<Model>();
        point();
        let handler = nudge();
        go(|threads| threads.yield_to(handler));
        paging::leave::<Model>();
    }
    fn note_work() {
        if !seeded(Seeded::NoNudge) {
            with(|world| world.work = true);
        }
    }

    fn is_for_main(packet: &Packet) -> bool {
        packet.client.is_none()
    }
    fn deliver(packet: Packet) {
        let Some(client) = packet.client else {
            assert_eq!(current(), ThreadId::MAIN, "requests are for the main thread");
            point();
            return with(|world| {
                assert_eq!(packet.number, world.served, "requests are handled in order");
                world.served += 1;
            });
        };
        if with(|world| world.scenario.answers_allocate) {
            ask();
        }
        with(|world| {
            assert_eq!(packet.number, world.received, "answers are taken in in order");
            world.received += 1;
            world.answered.push(client);
            world.threads.unpark(client);
        });
    }

    fn take_ready(_: &()) {
        point();
    }
    fn take_token() -> bool {
        table(Threads::take_token)
    }
    fn wait(_: &()) -> Option<Packet> {
        // What comes: the answer that is waited for, somebody else's, a request.
        let (answers, requests) = with(|world| (!world.answers.is_empty(), world.requests > 0));
        let others = usize::from(answers) + usize::from(requests);
        let choice = if others > 0 { choose(1 + others) } else { 0 };
        with(|world| {
            if choice == 0 {
                let current = world.threads.current();
                world.threads.unpark(current);
                return None;
            }
            if answers && choice == 1 {
                return world.answers.pop_front();
            }
            world.requests -= 1;
            let number = world.scenario.requests - world.requests - 1;
            Some(Packet { number, client: None })
        })
    }
    fn yield_to_others() {
        panic!("more is put off than there is room for")
    }
    fn restore_ready() {}
}

fn heap(chunk: u64) -> u64 {
    HEAP + chunk * CHUNK
}

fn step(step: Step) {
    match step {
        Step::Touch(chunk) => touch(heap(chunk)),
        Step::Section(chunks) => {
            let (suffices, dry) =
                (STOCK.with_borrow(|stock| stock.suffices_for(LEAST)), with(|world| world.dry));
            assert!(suffices || dry, "a section begins with too little in stock");
            paging::section::<Model, _>(|| {
                let me = current();
                for &chunk in chunks {
                    touch(heap(chunk));
                    assert_eq!(current(), me, "nobody comes between in a section");
                }
            });
            // Its end has done what was put off.
            assert!(!with(|world| world.turn_due), "an upcall in a section is forgotten");
            let sufficed = STOCK.with_borrow(|stock| stock.suffices_for(LEAST));
            assert!(sufficed || with(|world| world.dry), "the stock is not filled up after a section");
        }
        Step::Reserve => paging::expect_faults::<Model>(),
        Step::Allocate => {
            ask();
        }
        Step::Free => paging::section::<Model, _>(|| {
            with(|world| world.trim = true);
            STATE.with(Section::want);
        }),
        Step::Yield => {
            probe_before_switch();
            paging::enter::<Model>();
            point();
            go(Threads::rotate);
            paging::leave::<Model>();
        }
        Step::Call => {
            let me = current();
            with(|world| {
                world.answers.push_back(Packet { number: world.sent, client: Some(me) });
                world.sent += 1;
            });
            while !with(|world| {
                let at = world.answered.iter().position(|&it| it == me);
                at.map(|at| world.answered.remove(at)).is_some()
            }) {
                park();
            }
        }
        Step::ComputeUntilServed(slices) => {
            for slice in 0.. {
                let put_off = PUT_OFF.with_borrow(|queue| queue.any(Model::is_for_main));
                if slice >= slices && !put_off {
                    return;
                }
                assert!(slice < slices + 4, "what was put off does not reach the main thread");
                upcall();
            }
        }
        Step::TouchDisabled(chunk) => {
            with(|world| world.disabled = true);
            touch(heap(chunk));
        }
        Step::TouchNothing => touch(PAGE_SIZE),
    }
}

fn body(index: usize, steps: &'static [Step]) {
    if index != 0 {
        // A thread begins in a section.
        STATE.with(|state| state.set_depth(1));
        with(|world| world.disabled = false);
        paging::leave::<Model>();
    }
    for &it in steps {
        point();
        step(it);
        let depth = STATE.with(Section::depth);
        assert_eq!(depth, 0, "every section has ended");
    }
    if index == 0 {
        while with(|world| world.others > 0) {
            park();
        }
        return;
    }
    // As `thread::end_now`.
    paging::enter::<Model>();
    let me = current();
    with(|world| {
        world.others -= 1;
        world.threads.unpark(ThreadId::MAIN);
        world.threads.end_current();
        let next = world.threads.take_turn(None);
        assert!(next.is_some_and(|next| next != me));
    });
    switch();
    unreachable!("a thread that has ended runs again")
}

fn stack_area(books: &mut Space<'static>, thread: ThreadId) {
    let attributes = Attributes { rights: DATA, backing: Backing::Lazy { chunk: CHUNK }, tag: 0 };
    let top = page_of(thread, 0);
    books.reserve_at(page_of(thread, 3), 4 * CHUNK, attributes).unwrap();
    books.insert_table(3, top, new_cap(), CapAddr::NULL, true).unwrap();
    let piece = Piece { base: top, size: CHUNK, mapping: new_cap(), frame: new_cap(), large: false };
    books.insert_piece(piece).unwrap();
    with(|world| world.mapped.push(piece.base..piece.end()));
}

fn nodes() -> &'static mut [Node] {
    let pool = NODE_POOL.get().unwrap_or_else(|| NonNull::from(vec![Node::EMPTY; NODES].leak()));
    NODE_POOL.set(Some(pool));
    // SAFETY: leaked, and the books of the run before, who had it, are gone.
    unsafe { &mut *pool.as_ptr() }
}

fn set_up(scenario: Scenario) {
    let mut threads = Threads::new();
    let mut ids = vec![ThreadId::MAIN];
    for _ in &scenario.threads[1..] {
        let id = threads.create(Priority::NORMAL).unwrap();
        threads.ready(id);
        ids.push(id);
    }
    YIELDER.set(ptr::null());
    STATE.with(|state| {
        state.set_depth(0);
        state.forget_want();
    });
    STOCK.set(Stock::new());
    PUT_OFF.set(PutOff::new());
    BOOKS.set(Space::new());
    WORLD.set(Some(World {
        scenario,
        threads,
        others: ids.len() as u32 - 1,
        alone: false,
        disabled: true,
        in_fault: false,
        connected: scenario.prepared,
        mapped: vec![],
        next_cap: 100,
        frames: scenario.frames,
        slots: scenario.slots,
        growing: false,
        upcalls: 0,
        turn_due: false,
        tables_given: vec![],
        requests: 0,
        answers: VecDeque::new(),
        served: 0,
        sent: 0,
        received: 0,
        answered: vec![],
        work: false,
        trim: false,
        report: None,
        dry: false,
    }));
    BOOKS.with_borrow_mut(|books| {
        books.add_nodes(nodes()).unwrap();
        books.add_window(1 << 30..4 << 30).unwrap();
        books.insert_table(1, 0, new_cap(), CapAddr::NULL, true).unwrap();
        books.insert_table(2, STACKS, new_cap(), CapAddr::NULL, true).unwrap();
        let attributes = Attributes { rights: DATA, backing: Backing::Lazy { chunk: CHUNK }, tag: 0 };
        books.reserve_at(HEAP, HEAP_CHUNKS * CHUNK, attributes).unwrap();
        ids.iter().for_each(|&id| stack_area(books, id));
    });
    with(|world| world.in_fault = true);
    if scenario.prepared {
        paging::expect_faults::<Model>();
    }
    with(|world| {
        (world.disabled, world.in_fault) = (false, false);
        world.threads.take_token();
        (world.upcalls, world.requests) = (scenario.upcalls, scenario.requests);
    });
}

/// One run. How it ended, if by a report.
fn run(scenario: Scenario) -> Option<Report> {
    set_up(scenario);
    let mut coroutines: Vec<Thread> = scenario
        .threads
        .iter()
        .enumerate()
        .map(|(index, &(_, steps))| {
            let stack = STACK_POOL.with_borrow_mut(Vec::pop);
            let stack = stack.unwrap_or_else(|| DefaultStack::new(256 * 1024).unwrap());
            Coroutine::with_stack(stack, move |yielder, ()| {
                YIELDER.set(yielder);
                body(index, steps);
            })
        })
        .collect();
    let mut yielders = vec![ptr::null(); coroutines.len()];
    loop {
        let index = current().index();
        YIELDER.set(yielders[index]);
        let result = coroutines[index].resume(());
        yielders[index] = YIELDER.get();
        if let Some(report) = with(|world| world.report) {
            give_back(coroutines);
            return Some(report);
        }
        if let CoroutineResult::Return(()) = result {
            break;
        }
    }
    give_back(coroutines);
    with(|world| {
        assert_eq!(world.others, 0, "the main thread was last");
        assert!(!world.trim, "the heap was not trimmed");
        assert_eq!(world.received, world.sent, "no answer is lost");
    });
    None
}

fn give_back(coroutines: Vec<Thread>) {
    for mut coroutine in coroutines {
        coroutine.force_unwind();
        STACK_POOL.with_borrow_mut(|pool| pool.push(coroutine.into_stack()));
    }
}

/// All runs of a scenario, each of which ends as it should.
pub(crate) fn check(name: &str, scenario: Scenario, expected: Option<Report>) {
    let runs = crate::explore::all(|| {
        let report = run(scenario);
        assert_eq!(report, expected, "the domain ended otherwise");
    });
    println!("{name}: {runs} runs");
}

/// The report of an access that cannot be served.
pub(crate) const fn unmended(why: Unbacked, depth: u32) -> Option<Report> {
    Some(Report::Unmended(Unmended { why, depth }))
}
