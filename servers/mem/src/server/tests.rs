//! The server over the model of the kernel: what it gives, what comes back, and that a failure at any call leaves nothing behind.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};

use abi::CapType;
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
const PROGRAM: u64 = FIRST_PROCESS;
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
    let all: Vec<CapAddr> =
        (0..4).map(|_| now(store.make(8 * MIB, PAGE_SIZE, MEM_DOMAIN)).unwrap()).collect();
    assert_eq!(now(store.make(PAGE_SIZE, PAGE_SIZE, MEM_DOMAIN)), Err(MemoryError::OverQuota));
    all.into_iter().for_each(lose);
    assert!(now(store.make(16 * MIB, PAGE_SIZE, MEM_DOMAIN)).is_ok());
}

/// Says that a domain has ended.
fn forget(store: &Store, domain: u64) {
    let caller = Caller { channel: 1, domain: 5 };
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
    let caller = Caller { channel: 1, domain: 5 };
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
    store.books.borrow_mut().set_limit(MEM_DOMAIN, 0);
    let before = store.picture();
    assert_eq!(now(store.make(PAGE_SIZE, PAGE_SIZE, PROGRAM)), Err(MemoryError::Exhausted));
    assert_eq!(store.picture(), before);
    store.books.borrow_mut().set_limit(MEM_DOMAIN, 4 * MIB);
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
    let all: Vec<CapAddr> =
        (0..512).map(|_| now(store.make(32 * 1024, PAGE_SIZE, MEM_DOMAIN)).unwrap()).collect();
    let rest = now(store.make(8 * MIB, PAGE_SIZE, MEM_DOMAIN)).unwrap();
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
    let whole = ROOTS.map(|(_, _, size)| now(store.make(size, PAGE_SIZE, MEM_DOMAIN)).is_ok());
    assert_eq!(whole, [true, true]);
}

/// What clients do, with a call that may be refused.
#[derive(Clone, Debug)]
enum Step {
    Allocate { pages: u64, align: u32, domain: u64, refuse: Option<usize> },
    Lose { pick: prop::sample::Index },
    GiveUp { pages: u64, polls: usize },
    TakeBack,
}

fn step() -> impl Strategy<Value = Step> {
    let pages = || prop_oneof![8 => 1u64..64, 2 => 1u64..1024, 1 => 1000u64..6000];
    let domain = prop_oneof![1 => Just(MEM_DOMAIN), 6 => PROGRAM..PROGRAM + 4];
    prop_oneof![
        8 => (pages(), 12u32..22, domain, prop::option::weighted(0.3, 0usize..8))
            .prop_map(|(pages, align, domain, refuse)| Step::Allocate { pages, align, domain, refuse }),
        6 => any::<prop::sample::Index>().prop_map(|pick| Step::Lose { pick }),
        1 => (pages(), 0usize..4).prop_map(|(pages, polls)| Step::GiveUp { pages, polls }),
        2 => Just(Step::TakeBack),
    ]
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
            let mut held: BTreeMap<CapAddr, (u64, u64)> = BTreeMap::new();
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
                            held.insert(ram, (domain, bytes));
                        }
                    }
                    Step::Lose { pick } => {
                        if !held.is_empty() {
                            let ram = *held.keys().nth(pick.index(held.len())).unwrap();
                            held.remove(&ram);
                            lose(ram);
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
                        for domain in [MEM_DOMAIN, PROGRAM, PROGRAM + 1, PROGRAM + 2, PROGRAM + 3] {
                            let has: u64 = held.values().filter(|it| it.0 == domain).map(|it| it.1).sum();
                            assert_eq!(store.books.borrow().account(domain).used, has);
                        }
                    }
                }
                let account = store.books.borrow().account(PROGRAM);
                assert!(account.used <= account.limit);
            }
            held.into_keys().for_each(lose);
            now(store.take_back());
            assert_eq!(store.picture().status, before.status);
            store.clear_stock();
            assert_eq!(store.picture(), before);
            // The roots are whole, and still two.
            let whole = ROOTS.map(|(_, _, size)| now(store.make(size, PAGE_SIZE, MEM_DOMAIN)).is_ok());
            assert_eq!(whole, [true, true]);
        };
        prop_assert!(std::thread::spawn(run).join().is_ok());
    }
}
