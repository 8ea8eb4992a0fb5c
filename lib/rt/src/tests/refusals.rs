//! Whatever is refused, wherever: nothing is lost, and a repeat succeeds.
//!
//! Each operation is tried in a fresh domain for each call that the kernel may refuse, and for each request that the memory
//! service may, until nothing is left to refuse. What the books say afterwards is compared with a domain in which nothing
//! was refused.

use alloc::boxed::Box;
use core::alloc::Layout;
use core::any::Any;
use core::ptr::NonNull;
use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

use ::vspace::Statistics;
use abi::Rights;
use abi::cap::L2_CNODE_SIZE;
use abi::layout::StartInfo;

use super::bank::{self, customer};
use super::fault;
use crate::thread::{self, Stack};
use crate::vspace::Paging;
use crate::{channel, heap, memory, pager, slots, vspace};

const KIB: usize = 1 << 10;
const MIB: u64 = 1 << 20;
const DATA: Rights = Rights::READ.or(Rights::WRITE);

/// All that can get lost.
#[derive(PartialEq, Debug)]
struct Books {
    space: Statistics,
    spare_nodes: usize,
    promised: u64,
    free_slots: usize,
    carvable: u64,
    /// By type, how many and how many bytes.
    capabilities: BTreeMap<String, (usize, u64)>,
    cnodes: usize,
    root_slots: u64,
}

impl Books {
    /// As they are when nothing is kept for later, and nothing is put off.
    fn now() -> Books {
        channel::offer_landings();
        thread::give_back_stacks();
        pager::give_back_stock();
        let mut capabilities = BTreeMap::new();
        let (cnodes, root_slots) = sys::fake::with(|fake| {
            for capability in fake.slots.values() {
                let (count, bytes) =
                    capabilities.entry(std::format!("{:?}", capability.kind)).or_insert((0, 0));
                *count += 1;
                *bytes += capability.size;
            }
            (fake.cnodes.len(), fake.root_slots)
        });
        Books {
            space: vspace::statistics(),
            spare_nodes: vspace::with(|space| space.spare_nodes()),
            promised: vspace::promised(),
            free_slots: slots::available(),
            carvable: memory::left(),
            capabilities,
            cnodes,
            root_slots,
        }
    }
}

/// What an operation has made, or nothing if it was refused.
type Made = Option<Box<dyn Any>>;

fn made<T: 'static, E>(result: Result<T, E>) -> Made {
    result.ok().map(|made| Box::new(made) as Box<dyn Any>)
}

#[derive(Clone, Copy, Debug)]
enum Refused {
    Call(usize),
    Request(usize),
}

impl Refused {
    fn begin(self) {
        match self {
            Refused::Call(number) => sys::fake::with(|fake| fake.refuse_after = Some(number)),
            Refused::Request(number) => bank::refuse_after(Some(number)),
        }
    }
    /// Nothing is refused from here on. Whether something was.
    fn end(self) -> bool {
        let call = sys::fake::with(|fake| fake.refuse_after.take());
        let request = bank::will_refuse();
        bank::refuse_after(None);
        call.is_none() && !request
    }
}

/// An operation, and the domain to try it in.
#[derive(Clone, Copy)]
struct Trial {
    /// Starts the domain.
    prepare: fn(),
    operation: fn() -> Made,
    same: Same,
}

/// When a refusal makes no difference to the books, besides when the operation has failed and is repeated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Same {
    Always,
    /// There is another way, of which nothing is left in the end.
    OnceGone,
    /// There is another way.
    Never,
}

/// What happened in one domain.
struct Outcome {
    refused: bool,
    failed: bool,
    /// What the books say before, with what was made, and after that is gone.
    books: [Books; 3],
}

impl Trial {
    /// In a domain of its own, which a host's thread is.
    fn run(self, refused: Option<Refused>) -> Outcome {
        let domain = std::thread::spawn(move || {
            (self.prepare)();
            let before = Books::now();
            if let Some(refused) = refused {
                refused.begin();
            }
            let first = (self.operation)();
            let outcome = refused.map(Refused::end);
            let failed = first.is_none();
            let last = if failed { (self.operation)() } else { first };
            assert!(last.is_some(), "{refused:?}: a repeat does not succeed");
            let with = Books::now();
            drop(last);
            Outcome { refused: outcome.unwrap_or(false), failed, books: [before, with, Books::now()] }
        });
        domain.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Refuses the first, the second, ... until there is nothing left to refuse. How often the operation failed.
    fn refuse_each(self, which: fn(usize) -> Refused) -> usize {
        let expected = self.run(None);
        let mut failures = 0;
        for number in 0.. {
            let refused = which(number);
            let outcome = self.run(Some(refused));
            let compared = match self.same {
                Same::OnceGone if !outcome.failed => 2..3,
                Same::Never if !outcome.failed => 0..0,
                _ => 0..3,
            };
            assert_eq!(outcome.books[compared.clone()], expected.books[compared], "{refused:?}");
            if !outcome.refused {
                break;
            }
            failures += usize::from(outcome.failed);
        }
        failures
    }

    /// Without any refusal, all of it goes again.
    fn leaves_nothing(self) {
        let [before, _, after] = self.run(None).books;
        assert_eq!(before, after);
    }

    /// Refuses all that can be refused: how often it failed by a call, and by a request.
    fn refuse_all(self) -> (usize, usize) {
        (self.refuse_each(Refused::Call), self.refuse_each(Refused::Request))
    }
}

/// What comes with the first CNode; all else is asked for.
fn started() {
    customer(L2_CNODE_SIZE);
}

/// Everything is there that a domain makes once.
fn settled() {
    started();
    drop(vspace::reserve(4 * MIB, DATA, Paging::Small).unwrap());
    drop(Stack::new(thread::DEFAULT_STACK).unwrap());
}

fn reserve_and_use(paging: Paging, touched: &[u64]) -> Made {
    let reserved = vspace::reserve(4 * MIB, DATA, paging).ok()?;
    for at in touched {
        fault(reserved.address() + at, false).ok()?;
    }
    made::<_, ()>(Ok(reserved))
}

#[test]
fn what_is_made_in_a_settled_domain_goes_again() {
    let small: fn() -> Made = || reserve_and_use(Paging::Small, &[0, 64 << 10, 3 * MIB]);
    let large: fn() -> Made = || reserve_and_use(Paging::Large, &[0, 3 * MIB]);
    let stack: fn() -> Made = || made(Stack::new(3 * MIB));
    for operation in [small, large, stack] {
        Trial { prepare: settled, operation, same: Same::Always }.leaves_nothing();
    }
    let operation = || block(3 * MIB as usize);
    Trial { prepare: with_a_heap, operation, same: Same::Always }.leaves_nothing();
}

#[test]
fn reservations() {
    let small: fn() -> Made = || reserve_and_use(Paging::Small, &[0, 64 << 10, 3 * MIB]);
    let large: fn() -> Made = || reserve_and_use(Paging::Large, &[0, 3 * MIB]);
    for prepare in [started as fn(), settled] {
        // A fault asks again for what was refused when the addresses were reserved.
        let (calls, _) = Trial { prepare, operation: small, same: Same::OnceGone }.refuse_all();
        assert!(calls > 3, "{calls}");
        // Without large pages there are small ones.
        Trial { prepare, operation: large, same: Same::OnceGone }.refuse_all();
    }
}

#[test]
fn filling_the_stock() {
    let operation = || {
        pager::expect_faults();
        (pager::in_stock() > 0).then(|| Box::new(()) as Box<dyn Any>)
    };
    for prepare in [started as fn(), settled] {
        let (calls, requests) = Trial { prepare, operation, same: Same::Always }.refuse_all();
        assert!(calls > 3 && requests > 3, "{calls} {requests}");
    }
}

#[test]
fn stacks() {
    let operations: [fn() -> Made; 2] =
        [|| made(Stack::new(thread::DEFAULT_STACK)), || made(Stack::new(3 * MIB))];
    for operation in operations {
        for prepare in [started as fn(), settled] {
            let (calls, requests) = Trial { prepare, operation, same: Same::Always }.refuse_all();
            assert!(calls > 1 && requests > 0, "{calls} {requests}");
        }
    }
}

#[test]
fn threads() {
    // It never runs, so it stays, and so do its stack and its place in the table.
    let operation = || made(thread::Builder::new().name("one").spawn(|| ()));
    for prepare in [started as fn(), settled] {
        let (calls, requests) = Trial { prepare, operation, same: Same::Always }.refuse_all();
        assert!(calls > 1 && requests > 0, "{calls} {requests}");
    }
}

/// A block of the heap.
struct Block(NonNull<u8>, Layout);

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: it came from there with this layout.
        unsafe { heap::deallocate(self.0, self.1) };
    }
}

fn block(bytes: usize) -> Made {
    let layout = Layout::from_size_align(bytes, 16).unwrap();
    heap::allocate(layout).map(|block| Box::new(Block(block, layout)) as Box<dyn Any>)
}

/// There is an arena, and something in it: which of two empty ones goes depends on where the host has put them.
fn with_a_heap() {
    started();
    heap::provide(64 * KIB);
    core::mem::forget(block(64));
}

#[test]
fn arenas() {
    let operation = || heap::backed(|| block(3 * MIB as usize));
    let (calls, requests) = Trial { prepare: with_a_heap, operation, same: Same::Always }.refuse_all();
    assert!(calls > 2 && requests > 0, "{calls} {requests}");
}

#[test]
fn large_blocks() {
    Trial { prepare: with_a_heap, operation: || block(3 * MIB as usize), same: Same::OnceGone }.refuse_all();
}

/// Takes slots, for good, until a CNode is due.
fn use_slots_up() {
    while slots::available() > 20 {
        slots::allocate_reserved().unwrap();
    }
}

/// CNodes are made of what the builder gave.
fn with_early_memory() {
    customer(MIB);
    use_slots_up();
}

/// And of what the memory service gives.
fn without_early_memory() {
    started();
    use_slots_up();
}

#[test]
fn another_cnode() {
    let operation = || made(slots::provide());
    let own = Trial { prepare: with_early_memory, operation, same: Same::Always };
    assert_eq!(own.refuse_all(), (1, 0), "the CNode is made by a call");
    // Memory is asked for twice: if a whole chunk is refused, just enough may do.
    let asked = Trial { prepare: without_early_memory, operation, same: Same::Never };
    asked.refuse_all();
}

/// All of the root CNode is in use.
fn fill_root() {
    let roots = sys::fake::with(|fake| fake.root_slots) as u32;
    // SAFETY: plain numbers.
    let zero: StartInfo = unsafe { core::mem::zeroed() };
    slots::take_over(&StartInfo { first_free_cnode: roots - 1, root_slots: roots, ..zero });
}

#[test]
fn a_larger_root() {
    let operation = || made(slots::provide());
    let own = Trial { prepare: || (with_early_memory(), fill_root()).1, operation, same: Same::Always };
    // The root is made, used and named, and then there is the CNode.
    assert_eq!(own.refuse_all(), (4, 0));
    let asked = Trial { prepare: || (without_early_memory(), fill_root()).1, operation, same: Same::Never };
    asked.refuse_all();
}

#[test]
fn nodes_of_the_books() {
    let operation = || {
        let reserve = || vspace::reserve(MIB, DATA, Paging::Small);
        made((0..200).map(|_| reserve()).collect::<Result<Vec<_>, _>>())
    };
    Trial { prepare: settled, operation, same: Same::Never }.refuse_all();
}
