//! The server over the model of the kernel: what it gives, what comes back, and that a failure at any call leaves nothing behind.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};

use abi::CapType;
use abi::domain::FIRST_PROGRAM;
use proptest::prelude::*;
use sys::Any;

use super::*;
use crate::Status;

const MIB: u64 = 1 << 20;
/// What the server lives on at first.
const OWN: CapAddr = CapAddr::new(0, 40);
/// Two roots that touch.
const ROOTS: [(CapAddr, u64, u64); 2] =
    [(CapAddr::new(0, 41), 1 << 30, 16 * MIB), (CapAddr::new(0, 42), (1 << 30) + 16 * MIB, 16 * MIB)];
const PROGRAM: u64 = FIRST_PROGRAM;
/// The server itself.
const MEM: u64 = Role::Mem.on(0);
/// Bytes that are zeroed in three calls, the last of them for a part only.
const BYTES: u64 = 160 * 1024;

/// A server that has begun, with `own` bytes to live on; this thread's domain and model are its own.
fn store(own: u64) -> Store {
    sys::fake::reset();
    let mut books = Books::new().unwrap();
    sys::fake::with(|fake| fake.install(OWN, CapType::Ram, 2 << 30, own));
    for (root, base, size) in ROOTS {
        sys::fake::with(|fake| fake.install(root, CapType::Ram, base, size));
        books.add_root(root, base, size).unwrap();
    }
    rt::memory::live_on_own();
    rt::memory::donate(OWN).unwrap();
    Store { books: Rc::new(RefCell::new(books)), core: 0, own: Rc::default() }
}

/// What there is, as far as it must be the same again: the books, and all capabilities in their slots.
#[derive(Clone, PartialEq, Debug)]
struct Picture {
    status: Status,
    program: Account,
    capabilities: BTreeMap<u64, sys::fake::Capability>,
    /// Slots that are in use.
    slots: usize,
}

impl Store {
    fn picture(&self) -> Picture {
        let books = self.books.borrow();
        let (capabilities, cnodes) = sys::fake::with(|fake| (fake.slots.clone(), fake.cnodes.len()));
        // Two CNodes are the builder's, and of each slot 0 is the kernel's.
        let slots = (cnodes - 2) * 255 - slots::available();
        Picture { status: books.status(), program: books.account(PROGRAM), capabilities, slots }
    }
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// The result of a future that waits for nothing but its turn.
fn now<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = poll(future.as_mut()) {
            return output;
        }
    }
}

/// As a client that has the only capability to the memory, and deletes it.
fn lose(ram: CapAddr) {
    Cap::<Any>::new(ram).delete().unwrap();
    slots::release(ram);
}

fn calls() -> usize {
    sys::fake::with(|fake| fake.calls.len())
}

fn refuse_after(calls: usize) {
    sys::fake::with(|fake| fake.refuse_after = Some(calls));
}

#[test]
fn memory_is_given_as_one_capability_and_comes_back_with_it() {
    let store = store(2 * MIB);
    let before = store.picture();
    let ram = now(store.make(BYTES, PAGE_SIZE, PROGRAM)).unwrap();
    let identity = Cap::<Ram>::new(ram).identify().unwrap();
    assert_eq!((identity.kind, identity.base, identity.size), (CapType::Ram, 1 << 30, BYTES));
    assert_eq!(store.picture().program.used, BYTES);
    now(store.take_back());
    assert_eq!(store.picture().program.used, BYTES, "it is in use");
    lose(ram);
    now(store.take_back());
    assert_eq!(store.picture(), before);
}

#[test]
fn memory_that_is_missing_is_looked_for_among_what_came_back() {
    let store = store(2 * MIB);
    let all: Vec<CapAddr> = (0..4).map(|_| now(store.make(8 * MIB, PAGE_SIZE, MEM)).unwrap()).collect();
    assert_eq!(now(store.make(PAGE_SIZE, PAGE_SIZE, MEM)), Err(MemoryError::OverQuota));
    all.into_iter().for_each(lose);
    assert!(now(store.make(16 * MIB, PAGE_SIZE, MEM)).is_ok());
}

/// Says that a domain has ended.
fn forget(store: &Store, domain: u64) {
    let caller = Caller { channel: 1, domain: Role::Spawn.on(0) };
    now(store.forget(&caller, domain)).unwrap();
}

#[test]
fn what_a_domain_has_comes_back_when_it_ends_wherever_it_is_used() {
    let store = store(2 * MIB);
    let before = store.picture();
    let other = now(store.make(BYTES, PAGE_SIZE, PROGRAM + 1)).unwrap();
    let during = store.picture();
    // So many that the books are looked through in parts, pages and more, each with a copy elsewhere.
    let mut slots = Vec::new();
    for number in 0..600 {
        let ram = now(store.make(PAGE_SIZE << (number % 2), PAGE_SIZE, PROGRAM)).unwrap();
        let copy = slots::allocate().unwrap();
        Cap::<Ram>::new(ram).copy_to(copy, sys::Rights::ALL).unwrap();
        slots.extend([ram, copy]);
    }
    forget(&store, PROGRAM);
    assert!(slots.iter().all(|&slot| Cap::<Any>::new(slot).identify().is_err()));
    assert!(Cap::<Any>::new(other).identify().is_ok());
    slots.into_iter().for_each(slots::release);
    store.clear_stock();
    let after = store.picture();
    assert_eq!(
        (after.status, after.program, after.capabilities.len()),
        (during.status, during.program, during.capabilities.len())
    );
    lose(other);
    now(store.take_back());
    assert_eq!(store.picture().status, before.status);
}

#[test]
fn others_are_served_while_the_memory_of_a_domain_is_taken_back() {
    let store = store(2 * MIB);
    let ram = now(store.make(BYTES, PAGE_SIZE, PROGRAM)).unwrap();
    for _ in 0..20 {
        Cap::<Ram>::new(ram).copy_to(slots::allocate().unwrap(), sys::Rights::ALL).unwrap();
    }
    let caller = Caller { channel: 1, domain: Role::Spawn.on(0) };
    let mut ending = Box::pin(store.forget(&caller, PROGRAM));
    let mut made = Vec::new();
    while poll(ending.as_mut()).is_pending() {
        // What comes back in between may go to somebody else at once, in the same slots and at the same place.
        now(store.take_back());
        made.push(now(store.make(BYTES, PAGE_SIZE, PROGRAM + 1)).unwrap());
    }
    assert!(made.len() > 10, "{}", made.len());
    assert!(made.iter().all(|&ram| Cap::<Any>::new(ram).identify().is_ok()));
    assert_eq!(store.books.borrow().account(PROGRAM).used, 0);
}

#[test]
fn a_failure_at_any_call_of_an_allocation_leaves_nothing_behind() {
    let (begin, _) = {
        let store = store(2 * MIB);
        (calls(), now(store.make(BYTES, PAGE_SIZE, PROGRAM)).unwrap())
    };
    // A CNode for the slots, the Unit, three times zero, the Ram.
    let number = calls() - begin;
    assert_eq!(number, 6, "the test reaches every call");
    for at in 0..number {
        // A thread each: the runtime's state is a thread's.
        let run = move || {
            let store = store(2 * MIB);
            let before = store.picture();
            refuse_after(at);
            assert_eq!(now(store.make(BYTES, PAGE_SIZE, PROGRAM)), Err(MemoryError::Exhausted), "call {at}");
            assert_eq!(store.picture(), before, "after refusing call {at}");
            let ram = now(store.make(BYTES, PAGE_SIZE, PROGRAM)).expect("the next one is made");
            lose(ram);
            now(store.take_back());
            assert_eq!(store.picture(), before, "all is back after refusing call {at}");
        };
        std::thread::spawn(run).join().unwrap();
    }
}

#[test]
fn a_failure_while_the_server_provides_for_itself_leaves_nothing_behind() {
    let used = |store: &Store| store.picture().status.used;
    for at in 0.. {
        let run = move || {
            let store = store(LOW_WATER - PAGE_SIZE);
            let before = store.picture();
            refuse_after(at);
            let outcome = now(store.make(PAGE_SIZE, PAGE_SIZE, PROGRAM));
            if let Ok(ram) = outcome {
                assert_eq!(used(&store), OWN_CHUNK + PAGE_SIZE);
                sys::fake::with(|fake| fake.refuse_after.take()).is_none() && ram != CapAddr::NULL
            } else {
                assert_eq!(outcome, Err(MemoryError::Exhausted));
                assert!([0, OWN_CHUNK].contains(&used(&store)), "call {at}");
                assert_eq!(store.picture().program, before.program);
                true
            }
        };
        if !std::thread::spawn(run).join().unwrap() {
            assert!(at > 6, "the test reaches every call: {at}");
            return;
        }
    }
}

#[test]
fn a_server_without_memory_for_itself_refuses_and_stays() {
    let store = store(LAST_WATER - PAGE_SIZE);
    store.books.borrow_mut().set_limit(MEM, 0);
    let before = store.picture();
    assert_eq!(now(store.make(PAGE_SIZE, PAGE_SIZE, PROGRAM)), Err(MemoryError::Exhausted));
    assert_eq!(store.picture(), before);
    store.books.borrow_mut().set_limit(MEM, 4 * MIB);
    assert!(now(store.make(PAGE_SIZE, PAGE_SIZE, PROGRAM)).is_ok());
}

#[test]
fn a_request_that_is_given_up_is_undone() {
    let store = store(2 * MIB);
    let before = store.picture();
    {
        let mut making = pin!(store.make(4 * MIB, PAGE_SIZE, PROGRAM));
        assert!(poll(making.as_mut()).is_pending(), "others are served while it is zeroed");
        assert_eq!(store.picture().program.used, 4 * MIB);
    }
    assert_eq!(store.picture(), before);
}

#[test]
fn memory_whose_unit_cannot_be_deleted_is_not_free() {
    let store = store(2 * MIB);
    let ram = now(store.make(BYTES, PAGE_SIZE, PROGRAM)).unwrap();
    lose(ram);
    // One that nobody can have.
    sys::fake::with(|fake| fake.install(CapAddr::new(0, 50), CapType::Frame, 1 << 30, PAGE_SIZE));
    let before = store.picture();
    now(store.take_back());
    assert_eq!(store.picture(), before);
}

#[test]
fn more_units_than_one_look_come_back_from_all_roots() {
    let store = store(4 * MIB);
    let before = store.picture().status;
    let all: Vec<CapAddr> = (0..512).map(|_| now(store.make(32 * 1024, PAGE_SIZE, MEM)).unwrap()).collect();
    let rest = now(store.make(8 * MIB, PAGE_SIZE, MEM)).unwrap();
    all.into_iter().chain([rest]).for_each(lose);
    now(store.take_back());
    assert_eq!(store.picture().status, before);
}

#[test]
fn a_page_that_came_back_is_the_next_that_goes_out() {
    let store = store(2 * MIB);
    let page = |domain| now(store.make(PAGE_SIZE, PAGE_SIZE, domain));
    let before = store.picture();
    lose(page(PROGRAM).unwrap());
    now(store.take_back());
    let stocked = store.picture();
    assert_eq!((stocked.status, stocked.program), (before.status, before.program), "it is free");
    let begin = calls();
    let ram = page(PROGRAM + 1).unwrap();
    assert_eq!(calls() - begin, 2, "it is zeroed and given");
    assert_eq!(store.books.borrow().account(PROGRAM + 1).used, PAGE_SIZE);
    assert_eq!(store.picture().status.used, PAGE_SIZE);
    lose(ram);
    now(store.take_back());
    for at in 0..2 {
        refuse_after(at);
        assert_eq!(page(PROGRAM), Err(MemoryError::Exhausted), "call {at}");
        assert_eq!(store.picture(), stocked, "after refusing call {at}");
    }
    store.books.borrow_mut().set_limit(PROGRAM, 0);
    assert_eq!(page(PROGRAM), Err(MemoryError::OverQuota));
}

#[test]
fn the_stock_is_in_nobodys_way() {
    let store = store(4 * MIB);
    let before = store.picture();
    let pages: Vec<CapAddr> =
        (0..100).map(|_| now(store.make(PAGE_SIZE, PAGE_SIZE, PROGRAM)).unwrap()).collect();
    pages.into_iter().for_each(lose);
    now(store.take_back());
    assert_eq!(store.picture().status, before.status);
    let whole = ROOTS.map(|(_, _, size)| now(store.make(size, PAGE_SIZE, MEM)).is_ok());
    assert_eq!(whole, [true, true]);
}

fn trim(store: &Store, base: u64, bytes: u64) -> Result<(), MemoryError> {
    now(store.trim(&Caller { channel: 1, domain: PROGRAM }, base, bytes))
}

fn base_of(ram: CapAddr) -> u64 {
    Cap::<Ram>::new(ram).identify().unwrap().base
}

/// As a client that makes frames of parts, from a page on so many, of its only capability to the memory, and loses that.
fn keep_parts<const N: usize>(ram: CapAddr, parts: [(u64, u64); N]) -> [CapAddr; N] {
    let frames = parts.map(|(first, pages)| {
        let slot = slots::allocate().unwrap();
        Cap::<Ram>::new(ram).retype::<sys::Frame>(first * PAGE_SIZE, pages * PAGE_SIZE, 1, slot).unwrap();
        slot
    });
    lose(ram);
    frames
}

#[test]
fn what_is_kept_of_an_allocation_does_not_keep_all_of_it() {
    let store = store(2 * MIB);
    let before = store.picture();
    let ram = now(store.make(4 * MIB, PAGE_SIZE, PROGRAM)).unwrap();
    let base = base_of(ram);
    let [page, end] = keep_parts(ram, [(100, 1), (1000, 24)]);
    trim(&store, base + 101 * PAGE_SIZE, 899 * PAGE_SIZE).unwrap();
    trim(&store, base, 100 * PAGE_SIZE).unwrap();
    assert_eq!(store.books.borrow().account(PROGRAM).used, 25 * PAGE_SIZE);
    assert_eq!(store.picture().status.used, 25 * PAGE_SIZE);
    // What came back is handed out to others.
    let other = now(store.make(899 * PAGE_SIZE, PAGE_SIZE, PROGRAM + 1)).unwrap();
    assert_eq!(base_of(other), base + 101 * PAGE_SIZE);
    assert_eq!(trim(&store, base + 101 * PAGE_SIZE, PAGE_SIZE), Err(MemoryError::NotYours));
    lose(end);
    now(store.take_back());
    assert_eq!(store.books.borrow().account(PROGRAM).used, PAGE_SIZE, "each part for itself");
    lose(page);
    lose(other);
    now(store.take_back());
    store.clear_stock();
    assert_eq!(store.picture(), before);
}

#[test]
fn what_is_covered_or_not_there_is_not_taken_back() {
    let store = store(2 * MIB);
    let ram = now(store.make(MIB, PAGE_SIZE, PROGRAM)).unwrap();
    let base = base_of(ram);
    let before = store.picture();
    assert_eq!(trim(&store, base, PAGE_SIZE), Err(MemoryError::InUse), "by the capability over all of it");
    assert_eq!(trim(&store, base, MIB), Err(MemoryError::InUse));
    assert_eq!(trim(&store, base + 100, PAGE_SIZE), Err(MemoryError::BadSize));
    assert_eq!(trim(&store, base + MIB, PAGE_SIZE), Err(MemoryError::NotAllocated));
    assert_eq!(trim(&store, 0, PAGE_SIZE), Err(MemoryError::NotManaged));
    assert_eq!(store.picture(), before);
    let [frame] = keep_parts(ram, [(10, 20)]);
    let before = store.picture();
    for (first, pages) in [(10, 20), (9, 2), (29, 2), (0, 255), (15, 1)] {
        let part = trim(&store, base + first * PAGE_SIZE, pages * PAGE_SIZE);
        assert_eq!(part, Err(MemoryError::InUse), "{first} {pages}");
    }
    assert_eq!(store.picture(), before);
    trim(&store, base, 10 * PAGE_SIZE).unwrap();
    assert_eq!(trim(&store, base, 10 * PAGE_SIZE), Err(MemoryError::NotAllocated), "free already");
    lose(frame);
    assert_eq!(
        trim(&store, base + 10 * PAGE_SIZE, PAGE_SIZE),
        Err(MemoryError::NotAllocated),
        "it has come back"
    );
}

#[test]
fn what_is_not_given_yet_cannot_be_trimmed() {
    let store = store(2 * MIB);
    let before = store.picture();
    {
        let mut making = pin!(store.make(4 * MIB, PAGE_SIZE, PROGRAM));
        assert!(poll(making.as_mut()).is_pending());
        let (base, _) = store.books.borrow().of_domain(PROGRAM, 0).0.unwrap();
        assert_eq!(trim(&store, base, PAGE_SIZE), Err(MemoryError::NotAllocated));
        assert_eq!(trim(&store, base, 4 * MIB), Err(MemoryError::InUse));
        let ram = now(making).expect("it is made");
        assert_eq!(Cap::<Ram>::new(ram).identify().unwrap().size, 4 * MIB);
        lose(ram);
    }
    now(store.take_back());
    assert_eq!(store.picture(), before);
}

#[test]
fn a_failure_at_any_call_of_a_trim_leaves_nothing_behind() {
    // The first has slots left; the others need a CNode for them, without which the reserve serves.
    for (at, full) in [(0, false), (1, true), (2, true)] {
        let run = move || {
            let store = store(2 * MIB);
            let ram = now(store.make(MIB, PAGE_SIZE, PROGRAM)).unwrap();
            let base = base_of(ram);
            let frames = keep_parts(ram, [(0, 1), (255, 1)]);
            let taken: Vec<CapAddr> =
                (32..if full { slots::available() } else { 0 }).map(|_| slots::allocate().unwrap()).collect();
            let before = store.picture();
            let begin = calls();
            refuse_after(at);
            let cut = trim(&store, base + PAGE_SIZE, 254 * PAGE_SIZE);
            let number = calls() - begin - 2;
            if (at, full) == (2, true) {
                assert_eq!(
                    (cut, number),
                    (Ok(()), 2),
                    "a CNode for the slots, and the call: all are reached"
                );
                return;
            }
            assert_eq!(cut, Err(MemoryError::Exhausted), "call {at}");
            let after = store.picture();
            assert_eq!(
                (after.status, after.program, after.slots),
                (before.status, before.program, before.slots)
            );
            assert_eq!(after.capabilities, before.capabilities, "after refusing call {at}");
            trim(&store, base + PAGE_SIZE, 254 * PAGE_SIZE).expect("the next one is done");
            assert_eq!(store.books.borrow().account(PROGRAM).used, 2 * PAGE_SIZE);
            frames.into_iter().for_each(lose);
            now(store.take_back());
            store.clear_stock();
            taken.into_iter().for_each(slots::release);
            assert_eq!(store.picture().status.used, 0);
            assert_eq!(sys::fake::with(|fake| fake.count(CapType::Unit)), 0);
        };
        std::thread::spawn(run).join().unwrap();
    }
}

#[test]
fn the_end_of_a_domain_finds_what_is_left_of_its_allocations_even_if_they_are_trimmed_meanwhile() {
    for first in [1, 0] {
        let run = move || {
            let store = store(2 * MIB);
            let ram = now(store.make(MIB, PAGE_SIZE, PROGRAM)).unwrap();
            let base = base_of(ram);
            let parts = if first == 0 { [(1, 1), (255, 1)] } else { [(0, 1), (255, 1)] };
            let frames = keep_parts(ram, parts);
            let copies: Vec<CapAddr> = (0..8).map(|_| slots::allocate().unwrap()).collect();
            for (number, &copy) in copies.iter().enumerate() {
                Cap::<Any>::new(frames[number % 2]).copy_to(copy, sys::Rights::ALL).unwrap();
            }
            let caller = Caller { channel: 1, domain: Role::Spawn.on(0) };
            let mut ending = Box::pin(store.forget(&caller, PROGRAM));
            assert!(poll(ending.as_mut()).is_pending());
            assert!(poll(ending.as_mut()).is_pending());
            let (from, pages) = if first == 0 { (0, 1) } else { (1, 254) };
            trim(&store, base + from * PAGE_SIZE, pages * PAGE_SIZE).unwrap();
            now(ending).unwrap();
            assert_eq!(store.books.borrow().account(PROGRAM).used, 0, "trimmed from page {first} on");
            assert!(frames.iter().chain(&copies).all(|&it| Cap::<Any>::new(it).identify().is_err()));
        };
        std::thread::spawn(run).join().unwrap();
    }
}

/// What clients do, with a call that may be refused.
#[derive(Clone, Debug)]
enum Step {
    Allocate {
        pages: u64,
        align: u32,
        domain: u64,
        refuse: Option<usize>,
    },
    Lose {
        pick: prop::sample::Index,
    },
    /// Two frames, of some pages at the start and at the end, instead of what there was.
    Keep {
        pick: prop::sample::Index,
        start: u64,
        end: u64,
    },
    Trim {
        pick: prop::sample::Index,
        first: u64,
        pages: u64,
        refuse: Option<usize>,
    },
    GiveUp {
        pages: u64,
        polls: usize,
    },
    TakeBack,
}

fn step() -> impl Strategy<Value = Step> {
    let pages = || prop_oneof![8 => 1u64..64, 2 => 1u64..1024, 1 => 1000u64..6000];
    let domain = prop_oneof![1 => Just(MEM), 6 => PROGRAM..PROGRAM + 4];
    prop_oneof![
        8 => (pages(), 12u32..22, domain, prop::option::weighted(0.3, 0usize..8))
            .prop_map(|(pages, align, domain, refuse)| Step::Allocate { pages, align, domain, refuse }),
        6 => any::<prop::sample::Index>().prop_map(|pick| Step::Lose { pick }),
        4 => (any::<prop::sample::Index>(), 0u64..4, 0u64..4)
            .prop_map(|(pick, start, end)| Step::Keep { pick, start, end }),
        6 => (any::<prop::sample::Index>(), 0u64..20, 1u64..20, prop::option::weighted(0.3, 0usize..3))
            .prop_map(|(pick, first, pages, refuse)| Step::Trim { pick, first, pages, refuse }),
        1 => (pages(), 0usize..4).prop_map(|(pages, polls)| Step::GiveUp { pages, polls }),
        2 => Just(Step::TakeBack),
    ]
}

/// What the clients think: their capabilities, by where they lie, and the allocations of which there are any.
#[derive(Default)]
struct Clients {
    /// Base and bytes of each.
    held: BTreeMap<CapAddr, (u64, u64)>,
    /// By base: the domain, and bytes.
    allocations: BTreeMap<u64, (u64, u64)>,
}

impl Clients {
    fn pick(&self, pick: &prop::sample::Index) -> Option<CapAddr> {
        (!self.held.is_empty()).then(|| *self.held.keys().nth(pick.index(self.held.len())).unwrap())
    }

    fn covers(&self, base: u64, bytes: u64) -> bool {
        self.held.values().any(|&(at, size)| at < base + bytes && base < at + size)
    }

    fn lose(&mut self, ram: CapAddr) {
        self.held.remove(&ram);
        lose(ram);
        self.settle();
    }

    /// Allocations without capabilities are none any more.
    fn settle(&mut self) {
        let gone = |base: &u64, size: u64| !self.covers(*base, size);
        let empty: Vec<u64> =
            self.allocations.iter().filter(|(base, it)| gone(base, it.1)).map(|(&base, _)| base).collect();
        self.allocations.retain(|base, _| !empty.contains(base));
    }

    fn used(&self, domain: u64) -> u64 {
        self.allocations.values().filter(|it| it.0 == domain).map(|it| it.1).sum()
    }

    /// Trims, if the allocation that has the address is the domain's.
    fn trim(&mut self, base: u64, bytes: u64, domain: u64) -> Result<(), MemoryError> {
        let below = self.allocations.range(..=base).next_back().map(|(&at, &it)| (at, it));
        let (at, (owner, size)) =
            below.filter(|(at, it)| base < at + it.1).ok_or(MemoryError::NotAllocated)?;
        if owner != domain {
            return Err(MemoryError::NotYours);
        }
        if base + bytes > at + size {
            return Err(MemoryError::BeyondAllocation);
        }
        if self.covers(base, bytes) {
            return Err(MemoryError::InUse);
        }
        self.allocations.remove(&at);
        // Where nothing is left behind the part, another's allocation may begin.
        for (base, bytes) in [(at, base - at), (base + bytes, at + size - base - bytes)] {
            if bytes != 0 {
                self.allocations.insert(base, (domain, bytes));
            }
        }
        self.settle();
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn after_any_run_all_that_was_lost_is_free_and_as_it_was(
        steps in prop::collection::vec(step(), 1..120)
    ) {
        let run = move || {
            let store = store(4 * MIB);
            store.books.borrow_mut().set_limit(PROGRAM, 2 * MIB);
            let before = store.picture();
            let mut clients = Clients::default();
            for step in steps {
                match step {
                    Step::Allocate { pages, align, domain, refuse } => {
                        let bytes = pages * PAGE_SIZE;
                        sys::fake::with(|fake| fake.refuse_after = refuse);
                        let made = now(store.make(bytes, 1 << align, domain));
                        sys::fake::with(|fake| fake.refuse_after = None);
                        if let Ok(ram) = made {
                            let identity = Cap::<Ram>::new(ram).identify().unwrap();
                            assert_eq!((identity.size, identity.base % (1 << align)), (bytes, 0));
                            clients.held.insert(ram, (identity.base, bytes));
                            clients.allocations.insert(identity.base, (domain, bytes));
                        }
                    }
                    Step::Lose { pick } => {
                        if let Some(ram) = clients.pick(&pick) {
                            clients.lose(ram);
                        }
                    }
                    Step::Keep { pick, start, end } => {
                        let Some(ram) = clients.pick(&pick) else { continue };
                        let (base, bytes) = clients.held[&ram];
                        let pages = bytes / PAGE_SIZE;
                        if Cap::<Any>::new(ram).identify().unwrap().kind != CapType::Ram || start + end >= pages {
                            continue;
                        }
                        for (first, count) in [(0, start), (pages - end, end)].into_iter().filter(|it| it.1 != 0) {
                            let (slot, bytes) = (slots::allocate().unwrap(), count * PAGE_SIZE);
                            Cap::<Ram>::new(ram).retype::<sys::Frame>(first * PAGE_SIZE, bytes, 1, slot).unwrap();
                            clients.held.insert(slot, (base + first * PAGE_SIZE, bytes));
                        }
                        clients.lose(ram);
                    }
                    Step::Trim { pick, first, pages, refuse } => {
                        let Some(near) = clients.pick(&pick) else { continue };
                        // From the start of the allocation, or the end of what is held, or around that.
                        let (at, size) = clients.held[&near];
                        let start = *clients.allocations.range(..=at).next_back().unwrap().0;
                        let base = match first {
                            0..6 => start,
                            6..12 => at + size,
                            _ => (at + first * PAGE_SIZE).saturating_sub(16 * PAGE_SIZE).max(1 << 30),
                        };
                        if base >= ROOTS[1].1 + ROOTS[1].2 {
                            continue;
                        }
                        let bytes = pages * PAGE_SIZE;
                        now(store.take_back());
                        let before = store.picture();
                        sys::fake::with(|fake| fake.refuse_after = refuse);
                        let done = trim(&store, base, bytes);
                        let refused = refuse.is_some() && sys::fake::with(|fake| fake.refuse_after.take()).is_none();
                        if refused {
                            assert_eq!(done, Err(MemoryError::Exhausted));
                        } else {
                            assert_eq!(done, clients.trim(base, bytes, PROGRAM));
                        }
                        if done.is_err() {
                            let after = store.picture();
                            assert_eq!((after.status, after.program), (before.status, before.program));
                        }
                    }
                    Step::GiveUp { pages, polls } => {
                        let mut making = Box::pin(store.make(pages * PAGE_SIZE, PAGE_SIZE, PROGRAM));
                        let made = (0..polls).find_map(|_| match poll(making.as_mut()) {
                            Poll::Ready(made) => Some(made),
                            Poll::Pending => None,
                        });
                        drop(making);
                        made.into_iter().flatten().for_each(lose);
                    }
                    Step::TakeBack => {
                        now(store.take_back());
                        for domain in [MEM, PROGRAM, PROGRAM + 1, PROGRAM + 2, PROGRAM + 3] {
                            assert_eq!(store.books.borrow().account(domain).used, clients.used(domain));
                        }
                    }
                }
                let account = store.books.borrow().account(PROGRAM);
                assert!(account.used <= account.limit);
            }
            clients.held.into_keys().for_each(lose);
            now(store.take_back());
            assert_eq!(store.picture().status, before.status);
            store.clear_stock();
            assert_eq!(store.picture(), before);
            // The roots are whole, and still two.
            let whole = ROOTS.map(|(_, _, size)| now(store.make(size, PAGE_SIZE, MEM)).is_ok());
            assert_eq!(whole, [true, true]);
        };
        prop_assert!(std::thread::spawn(run).join().is_ok());
    }
}
