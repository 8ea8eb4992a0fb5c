//! The server over its books: system calls on units, and requests.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::poll_fn;
use core::task::Poll;

use abi::domain::{Role, is_program};
use abi::{CapAddr, ErrorKind, PAGE_SIZE, Syscall};
use domain::servers::mem::{EXTRA_CORE, EXTRA_ROOTS, root};
use domain::servers::{ACCOUNT_CLIENTS, MEMORY_ACCOUNTS, MEMORY_CLIENTS};
use interfaces::{
    Account, Accounts, AccountsServer, CoreMemory, Memory, MemoryError, MemoryServer, ServiceServer,
};
use ipc::{Caller, Capability};
use rt::names::{Acceptor, Clients};
use rt::{RtError, slots};
use sys::{Cap, Ram, Syscalls, Unit};

use crate::books::{Books, Cut, Grant};

#[cfg(test)]
mod tests;

/// Bytes left to live on at which the server takes more of its own roots.
const LOW_WATER: u64 = 256 * 1024;
/// Bytes left to live on without which it serves nobody.
const LAST_WATER: u64 = 64 * 1024;
/// Bytes that it takes then, at least.
const OWN_CHUNK: u64 = 1 << 20;
/// Bytes of an allocation as the runtimes of programs make them when they need memory.
const USUAL_PIECE: u64 = 64 * 1024;
/// Bytes that the server needs for each: a slot, nodes of the regions, a record; measured with 70,000 of them.
const BOOKS_OF_A_PIECE: u64 = 512;
/// Units that are taken back before others are served. The kernel looks at twice as many, so one that it does not find is
/// not the last.
const UNITS_AT_ONCE: usize = 16;
/// Steps of zeroing (64 KiB each) before others are served.
const ZERO_STEPS: usize = 8;

/// Why the server cannot start.
#[derive(Debug)]
pub enum StartError {
    /// A root that the builder promised is none.
    Root(u64, sys::Error),
    /// A root that cannot be managed.
    Region(region::Error),
    /// The runtime failed.
    Runtime(RtError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Root(number, error) => write!(f, "root {number}: {error}"),
            StartError::Region(error) => error.fmt(f),
            StartError::Runtime(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for StartError {}

impl From<RtError> for StartError {
    fn from(error: RtError) -> StartError {
        StartError::Runtime(error)
    }
}

impl From<sys::Error> for StartError {
    fn from(error: sys::Error) -> StartError {
        StartError::Runtime(error.into())
    }
}

/// Serves memory for ever.
///
/// # Errors
/// [`StartError`]; afterwards nothing can fail.
pub fn serve() -> Result<core::convert::Infallible, StartError> {
    rt::console::use_log();
    rt::memory::live_on_own();
    let info = rt::start::info().ok_or(RtError::NotAvailable)?;
    let bell = rt::Notify::new()?;
    let mut books = Books::new().map_err(StartError::Region)?;
    for number in 0..info.extra[EXTRA_ROOTS] {
        let root = Cap::<Ram>::new(root(number));
        let identity = root.identify().map_err(|error| StartError::Root(number, error))?;
        books.add_root(root.address(), identity.base, identity.size).map_err(StartError::Region)?;
        root.watch_units(bell.capability()).map_err(|error| StartError::Root(number, error))?;
    }
    let store = Store {
        books: Rc::new(RefCell::new(books)),
        core: info.extra[EXTRA_CORE] as u32,
        own: Rc::default(),
    };
    let taker = store.clone();
    rt::spawn(async move {
        loop {
            bell.wait().await;
            taker.take_back().await;
        }
    });
    // Without memory of its own from the start it will say so to whoever asks.
    let _ = store.provide_at_start();
    let memory = Acceptor::new(Clients::new(), MemoryServer::new(store.clone()));
    let accounts = Acceptor::new(Clients::new(), AccountsServer::new(store));
    let accounts = accounts.admitting(|domain| !is_program(domain));
    rt::names::serve(MEMORY_CLIENTS, ServiceServer::new(memory.clone()))?;
    rt::names::serve(ACCOUNT_CLIENTS, ServiceServer::new(accounts.clone()))?;
    memory.serve(rt::names::MEMORY)?;
    accounts.serve(MEMORY_ACCOUNTS)?;
    rt::run()
}

/// The memory of this core.
#[derive(Clone)]
struct Store {
    books: Rc<RefCell<Books>>,
    core: u32,
    /// Bytes that the server has taken for itself.
    own: Rc<Cell<u64>>,
}

/// An allocation on its way out, in the books already. Dropped before it is done, because its client is gone, it is undone.
struct Making {
    store: Store,
    grant: Grant,
    unit: Cap<Unit>,
    /// Where the Ram capability will lie.
    ram: CapAddr,
}

impl Drop for Making {
    fn drop(&mut self) {
        slots::release(self.ram);
        self.store.free(self.grant.base);
    }
}

impl Making {
    /// Makes the Unit, and enters the allocation into the books last: all that can fail comes before.
    fn begin(store: &Store, grant: Grant, domain: u64) -> Result<Making, RtError> {
        let unit = slots::allocate()?;
        let ram = slots::allocate().inspect_err(|_| slots::release(unit))?;
        if let Err(error) = Cap::<Ram>::new(grant.root).retype::<Unit>(grant.offset, grant.size, 1, unit) {
            slots::release(unit);
            slots::release(ram);
            return Err(error.into());
        }
        // Not refused: it was found with nothing in between.
        if store.books.borrow_mut().enter(&grant, domain, unit).is_err() {
            slots::discard(unit);
            slots::release(ram);
            return Err(RtError::OutOfMemory);
        }
        Ok(Making { store: store.clone(), grant, unit: Cap::new(unit), ram })
    }

    /// Zeroes the next part; whether that was the last.
    fn zero_step(&self) -> Result<bool, RtError> {
        let answer = sys::native().call(Syscall::UnitZero, [self.unit.address().0, 0, 0, 0, 0, 0, 0])?;
        Ok(answer[1] == 0)
    }

    /// The Ram capability over all of it. From now on the unit ends with its last capability.
    fn finish(self) -> Result<CapAddr, RtError> {
        // Refused only if the unit is not what it was made as.
        self.unit.retype::<Ram>(0, self.grant.size, 1, self.ram)?;
        let ram = self.ram;
        core::mem::forget(self);
        Ok(ram)
    }
}

/// Lets handlers and other tasks run.
async fn give_way() {
    let mut gone = false;
    poll_fn(|context| {
        if core::mem::replace(&mut gone, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Store {
    async fn make(&self, bytes: u64, align: u64, domain: u64) -> Result<CapAddr, MemoryError> {
        if (bytes, align) == (PAGE_SIZE, PAGE_SIZE)
            && let Some(page) = self.make_of_stock(domain)
        {
            return page.map_err(exhausted);
        }
        // In a box, so that what is copied for a page stays small.
        Box::pin(self.make_new(bytes, align, domain)).await
    }

    /// A page of the stock, if there is one that the domain may have. The books change last.
    fn make_of_stock(&self, domain: u64) -> Option<Result<CapAddr, RtError>> {
        let mut books = self.books.borrow_mut();
        let (_, unit) = books.stocked()?;
        books.admit(PAGE_SIZE, domain).ok()?;
        let ram = slots::allocate().and_then(|slot| {
            let unit = Cap::<Unit>::new(unit);
            let made = unit.zero().and_then(|()| unit.retype::<Ram>(0, PAGE_SIZE, 1, slot));
            made.inspect_err(|_| slots::release(slot))?;
            Ok(slot)
        });
        if ram.is_ok() {
            books.hand_out(domain);
        }
        Some(ram)
    }

    async fn make_new(&self, bytes: u64, align: u64, domain: u64) -> Result<CapAddr, MemoryError> {
        self.provide_own()?;
        let mut found = self.find(bytes, align, domain);
        if let Err(MemoryError::OutOfMemory | MemoryError::OverQuota) = found {
            // What has just come back may be what is missing.
            self.take_back().await;
            self.clear_stock();
            found = self.find(bytes, align, domain);
        }
        let making = Making::begin(self, found?, domain).map_err(exhausted)?;
        let mut steps = 0;
        while !making.zero_step().map_err(exhausted)? {
            steps += 1;
            if steps % ZERO_STEPS == 0 {
                give_way().await;
            }
        }
        making.finish().map_err(exhausted)
    }

    /// Gives the pages of the stock back to the regions.
    fn clear_stock(&self) {
        while let Some(base) = { self.books.borrow_mut().unstock() } {
            self.free(base);
        }
    }

    fn find(&self, bytes: u64, align: u64, domain: u64) -> Result<Grant, MemoryError> {
        self.books.borrow_mut().find(bytes, align, domain)
    }

    /// Takes back the memory of all units that have no capabilities left.
    async fn take_back(&self) {
        while self.take_some_back() {
            give_way().await;
        }
    }

    /// Takes back the memory of some units; whether there may be more.
    fn take_some_back(&self) -> bool {
        let mut count = 0;
        let root = |number| self.books.borrow().root(number);
        for root in (0..).map_while(root) {
            // The only error is that there is none of this root.
            while let Ok(unit) = Cap::<Ram>::new(root).pull_unit() {
                if !self.books.borrow_mut().stock(unit.base) {
                    self.free(unit.base);
                }
                count += 1;
                if !unit.more || count == UNITS_AT_ONCE {
                    return unit.more;
                }
            }
        }
        false
    }

    /// Revokes all memory of a domain that has ended: what it is used for elsewhere ends with it. Mostly there is nothing
    /// left to revoke.
    async fn revoke_all(&self, domain: u64) {
        self.take_back().await;
        let mut from = Some(0);
        while let Some(base) = from
            && self.books.borrow().account(domain).used > 0
        {
            let (found, next) = self.books.borrow().of_domain(domain, base);
            from = next;
            if let Some((base, unit)) = found {
                self.revoke(base, unit, domain).await;
            }
            give_way().await;
        }
        self.take_back().await;
    }

    /// Revokes an allocation in steps. Others are served between them, and the unit may be gone and its slot in use for
    /// something else after any: so it is looked at again before each.
    async fn revoke(&self, base: u64, unit: CapAddr, domain: u64) {
        while self.books.borrow().is_of(base, domain, unit) {
            let step = sys::native().call(Syscall::CapRevoke, [0, unit.0, 0, 0, 0, 0, 0]);
            // The only error is that there is no such unit.
            if !step.is_ok_and(|answer| answer[1] != 0) {
                return;
            }
            give_way().await;
        }
    }

    /// Deletes the Unit of an allocation that has no capabilities, and makes it free again.
    fn free(&self, base: u64) {
        let Some(unit) = self.books.borrow().unit(base) else { return };
        // Not refused. If it were, the memory would not be free.
        if Cap::<Unit>::new(unit).delete().is_ok() {
            slots::release(unit);
            self.books.borrow_mut().take_back(base);
        }
    }

    /// Takes back a part of an allocation that no capability covers.
    async fn trim_part(&self, base: u64, bytes: u64, domain: u64) -> Result<(), MemoryError> {
        // What the domain gave up before it asked is not allocated any more.
        self.take_back().await;
        self.provide_own()?;
        let cut = self.books.borrow_mut().part(base, bytes, domain)?;
        if cut.before == 0 && cut.behind == 0 {
            // It would have come back by itself.
            return Err(MemoryError::InUse);
        }
        self.cut(&cut)
    }

    /// Cuts the Unit first, which is done or refused at once, and then the books, where nothing is refused any more.
    fn cut(&self, cut: &Cut) -> Result<(), MemoryError> {
        let behind = slots::allocate().map_err(exhausted)?;
        if let Err(error) = Cap::<Unit>::new(cut.unit).trim(cut.before, cut.bytes, behind) {
            slots::release(behind);
            return Err(match error.kind {
                ErrorKind::Overlap => MemoryError::InUse,
                // It is not given yet, or has come back and waits to be pulled.
                ErrorKind::UnitNotZeroed => MemoryError::NotAllocated,
                _ => MemoryError::Exhausted,
            });
        }
        if cut.before == 0 || cut.behind == 0 {
            slots::release(behind);
        }
        self.books.borrow_mut().cut(cut, behind);
        Ok(())
    }

    /// Takes memory for the server itself before what it lives on runs out.
    fn provide_own(&self) -> Result<(), MemoryError> {
        // The heap takes a piece that is a little larger than what it is asked for.
        let piece = 2 * self.books.borrow().appetite();
        if rt::memory::left() >= LOW_WATER && rt::memory::largest() >= piece {
            return Ok(());
        }
        // A part of what it has: then the number of pieces stays small, whatever it comes to.
        let part = self.own.get() / 4;
        match self.keep(piece.max(part).next_multiple_of(PAGE_SIZE).max(OWN_CHUNK)) {
            Err(MemoryError::OutOfMemory) if rt::memory::left() >= LAST_WATER => Ok(()),
            Err(_) => Err(MemoryError::Exhausted),
            Ok(()) => Ok(()),
        }
    }

    /// Takes what the books of usual programs need, so that `free` is the same before and after them: they take memory in
    /// pieces of 64 KiB.
    fn provide_at_start(&self) -> Result<(), MemoryError> {
        let pieces = self.books.borrow().status().total / USUAL_PIECE;
        self.keep((pieces * BOOKS_OF_A_PIECE).next_multiple_of(OWN_CHUNK))
    }

    /// Takes so much for the server itself.
    fn keep(&self, bytes: u64) -> Result<(), MemoryError> {
        let domain = Role::Mem.on(self.core);
        let grant = self.find(bytes, PAGE_SIZE, domain)?;
        let making = Making::begin(self, grant, domain).map_err(exhausted)?;
        while !making.zero_step().map_err(exhausted)? {}
        rt::memory::donate(making.finish().map_err(exhausted)?).map_err(exhausted)?;
        self.own.set(self.own.get() + bytes);
        Ok(())
    }
}

/// What the server lacked was its own: slots, or memory to make them of.
fn exhausted(_: RtError) -> MemoryError {
    MemoryError::Exhausted
}

impl Memory for Store {
    async fn allocate(&self, caller: &Caller, bytes: u64, align: u64) -> Result<Capability, MemoryError> {
        self.make(bytes, align, caller.domain).await.map(Capability::give)
    }

    async fn trim(&self, caller: &Caller, base: u64, bytes: u64) -> Result<(), MemoryError> {
        self.trim_part(base, bytes, caller.domain).await
    }

    async fn status(&self, _: &Caller) -> Result<Vec<CoreMemory>, MemoryError> {
        // Whoever ended a domain before the question sees its memory free.
        self.take_back().await;
        let now = self.books.borrow().status();
        Ok(vec![CoreMemory {
            core: self.core,
            total_kib: now.total / 1024,
            used_kib: now.used / 1024,
            free_kib: now.free / 1024,
        }])
    }

    async fn account(&self, caller: &Caller) -> Result<Account, MemoryError> {
        self.take_back().await;
        Ok(self.books.borrow().account(caller.domain))
    }
}

impl Accounts for Store {
    async fn allocate_for(
        &self,
        _: &Caller,
        domain: u64,
        bytes: u64,
        align: u64,
    ) -> Result<Capability, MemoryError> {
        self.make(bytes, align, domain).await.map(Capability::give)
    }

    fn set_limit(&self, _: &Caller, domain: u64, bytes: u64) -> Result<(), MemoryError> {
        self.books.borrow_mut().set_limit(domain, bytes);
        Ok(())
    }

    async fn accounts(&self, _: &Caller, domains: Vec<u64>) -> Result<Vec<Account>, MemoryError> {
        self.take_back().await;
        let books = self.books.borrow();
        Ok(domains.into_iter().map(|domain| books.account(domain)).collect())
    }

    async fn forget(&self, _: &Caller, domain: u64) -> Result<(), MemoryError> {
        self.revoke_all(domain).await;
        self.books.borrow_mut().forget(domain);
        Ok(())
    }
}
