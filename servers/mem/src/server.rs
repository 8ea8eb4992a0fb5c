//! The server over its books: system calls on units, and requests.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use core::future::poll_fn;
use core::task::Poll;

use abi::{CapAddr, PAGE_SIZE, Syscall};
use domain::servers::MEMORY_CLIENTS;
use domain::servers::mem::{EXTRA_CORE, EXTRA_ROOTS, root};
use interfaces::{CoreMemory, Memory, MemoryError, MemoryServer, Service, ServiceError, ServiceServer};
use ipc::{Caller, Capability};
use rt::{OwnedCap, RtError, slots};
use sys::{Cap, Ram, Syscalls, Unit};

use crate::books::{Books, Grant};

/// Number that the server's own memory is booked under: no domain has it.
const OWN: u64 = 0;
/// Bytes left to live on at which the server takes more of its own roots.
const LOW_WATER: u64 = 256 * 1024;
/// Bytes that it takes then.
const OWN_CHUNK: u64 = 1 << 20;
/// Units that are taken back before others are served.
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
    let store = Store { books: Rc::new(RefCell::new(books)), core: info.extra[EXTRA_CORE] as u32 };
    let (taker, way_in) = (store.clone(), store.clone());
    let memory = MemoryServer::new(store);
    rt::spawn(async move {
        loop {
            bell.wait().await;
            taker.take_back().await;
        }
    });
    way_in.provide_own();
    rt::names::serve(MEMORY_CLIENTS, ServiceServer::new(WayIn(memory.clone())))?;
    rt::names::serve(rt::names::MEMORY, memory)?;
    rt::run()
}

/// The memory of this core.
#[derive(Clone)]
struct Store {
    books: Rc<RefCell<Books>>,
    core: u32,
}

/// An allocation on its way out. Dropped before it is done, because it failed or its client is gone, it is undone.
struct Making {
    store: Store,
    base: u64,
    unit: Option<OwnedCap<Unit>>,
}

impl Drop for Making {
    fn drop(&mut self) {
        // The Unit goes first: until then the region is not free.
        drop(self.unit.take());
        self.store.books.borrow_mut().take_back(self.base);
    }
}

impl Making {
    fn begin(store: &Store, grant: &Grant) -> Result<Making, RtError> {
        let mut making = Making { store: store.clone(), base: grant.base, unit: None };
        let slot = slots::allocate()?;
        let root = Cap::<Ram>::new(grant.root);
        if let Err(error) = root.retype::<Unit>(grant.offset, grant.size, 1, slot) {
            slots::release(slot);
            return Err(error.into());
        }
        making.unit = Some(OwnedCap::new(slot));
        Ok(making)
    }

    fn unit(&self) -> Result<Cap<Unit>, RtError> {
        self.unit.as_ref().map(OwnedCap::cap).ok_or(RtError::NotAvailable)
    }

    /// Zeroes the next part; whether that was the last.
    fn zero_step(&self) -> Result<bool, RtError> {
        let unit = self.unit()?.address().0;
        let answer = sys::native().call(Syscall::UnitZero, [unit, 0, 0, 0, 0, 0, 0])?;
        Ok(answer[1] == 0)
    }

    /// The Ram capability over all of it, in a slot of the caller's. From now on the unit ends with its last capability.
    fn finish(mut self, bytes: u64) -> Result<CapAddr, RtError> {
        let slot = slots::allocate()?;
        if let Err(error) = self.unit()?.retype::<Ram>(0, bytes, 1, slot) {
            slots::release(slot);
            return Err(error.into());
        }
        if let Some(unit) = self.unit.take() {
            self.store.books.borrow_mut().set_unit(self.base, unit.into_cap().address());
        }
        core::mem::forget(self);
        Ok(slot)
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
        self.provide_own();
        let mut granted = self.grant(bytes, align, domain);
        if granted == Err(MemoryError::OutOfMemory) {
            // What has just come back may be what is missing.
            self.take_back().await;
            granted = self.grant(bytes, align, domain);
        }
        let grant = granted?;
        let making = Making::begin(self, &grant).map_err(exhausted)?;
        let mut steps = 0;
        while !making.zero_step().map_err(exhausted)? {
            steps += 1;
            if steps % ZERO_STEPS == 0 {
                give_way().await;
            }
        }
        making.finish(grant.size).map_err(exhausted)
    }

    fn grant(&self, bytes: u64, align: u64, domain: u64) -> Result<Grant, MemoryError> {
        self.books.borrow_mut().grant(bytes, align, domain)
    }

    /// Takes back the memory of all units that have no capabilities left.
    async fn take_back(&self) {
        while self.take_some_back() {
            give_way().await;
        }
    }

    /// Takes back the memory of some units; whether there may be more.
    fn take_some_back(&self) -> bool {
        let roots: Vec<CapAddr> = self.books.borrow().roots().collect();
        let mut count = 0;
        for root in roots {
            // The only error is that there is none (any more).
            while let Ok(sys::EmptyUnit { base, .. }) = Cap::<Ram>::new(root).pull_unit() {
                self.forget(base);
                count += 1;
                if count == UNITS_AT_ONCE {
                    return true;
                }
            }
        }
        false
    }

    fn forget(&self, base: u64) {
        let unit = self.books.borrow().unit(base);
        if let Some(unit) = unit {
            slots::discard(unit);
            self.books.borrow_mut().take_back(base);
        }
    }

    /// Takes memory for the server itself before what it lives on runs out.
    fn provide_own(&self) {
        if rt::memory::left() >= LOW_WATER {
            return;
        }
        let Ok(grant) = self.books.borrow_mut().grant(OWN_CHUNK, PAGE_SIZE, OWN) else { return };
        // Whatever fails here will fail again, and then there is no room for the request that needs it.
        let _ = self.keep(&grant);
    }

    fn keep(&self, grant: &Grant) -> Result<(), RtError> {
        let making = Making::begin(self, grant)?;
        while !making.zero_step()? {}
        rt::memory::donate(making.finish(grant.size)?)
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

    fn status(&self, _: &Caller) -> Result<Vec<CoreMemory>, MemoryError> {
        // Whoever ended a domain before the question sees its memory free.
        let _ = self.take_some_back();
        let now = self.books.borrow().status();
        Ok(vec![CoreMemory {
            core: self.core,
            total_kib: now.total / 1024,
            used_kib: now.used / 1024,
            free_kib: now.free / 1024,
        }])
    }
}

/// Lets the name service bring clients.
struct WayIn(MemoryServer<Store>);

impl Service for WayIn {
    async fn accept(
        &self,
        _: &Caller,
        domain: u64,
        endpoint: Capability,
    ) -> Result<Capability, ServiceError> {
        match rt::names::accept(domain, endpoint.address(), self.0.clone()) {
            Ok(copy) => Ok(Capability::give(copy.into_cap().address())),
            Err(RtError::Kernel(_)) => Err(ServiceError::BadEndpoint),
            Err(_) => Err(ServiceError::Exhausted),
        }
    }
}
