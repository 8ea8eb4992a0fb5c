//! A memory service that the world plays while a test domain waits. It can refuse any request.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::cell::{Cell, RefCell};
use std::vec::Vec;

use abi::CapAddr;
use interfaces::{Account, CoreMemory, Memory, MemoryClient, MemoryError, MemoryServer};
use ipc::port::Outcome;
use ipc::{Caller, Capability, Client, Stub};
use sys::{Cap, CapType, EndPoint};

use super::domain_that_asks;
use crate::arch::world;
use crate::channel::{Channel, LmpPort};
use crate::{names, slots};

/// Where its memory begins, far from that of the builder.
const BASE: u64 = 0x10_0000_0000;
/// What a domain may have.
const LIMIT: u64 = 1 << 30;
/// A slot for what is on its way.
const PARCEL: CapAddr = CapAddr::new(0, 250);

std::thread_local! {
    static NEXT: Cell<u64> = const { Cell::new(BASE) };
    static REFUSE_AFTER: Cell<Option<usize>> = const { Cell::new(None) };
    static BEFORE_ANSWER: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// After so many more requests, one is refused.
pub(super) fn refuse_after(requests: Option<usize>) {
    REFUSE_AFTER.set(requests);
}

/// Whether a refusal is still to come.
pub(super) fn will_refuse() -> bool {
    REFUSE_AFTER.get().is_some()
}

/// What happens to the domain while it waits for the next allocation.
pub(super) fn before_answer(f: impl FnOnce() + 'static) {
    BEFORE_ANSWER.set(Some(Box::new(f)));
}

#[derive(Clone)]
struct Bank;

fn admit() -> Result<(), MemoryError> {
    let Some(left) = REFUSE_AFTER.get() else { return Ok(()) };
    REFUSE_AFTER.set(left.checked_sub(1));
    if left == 0 { Err(MemoryError::OutOfMemory) } else { Ok(()) }
}

impl Memory for Bank {
    async fn allocate(&self, _: &Caller, bytes: u64, align: u64) -> Result<Capability, MemoryError> {
        if let Some(f) = BEFORE_ANSWER.take() {
            f();
        }
        admit()?;
        let base = NEXT.get().next_multiple_of(align);
        NEXT.set(base + bytes);
        sys::fake::with(|fake| fake.install(PARCEL, CapType::Ram, base, bytes));
        Ok(Capability::lend(PARCEL))
    }
    /// It takes nothing back, so there is nothing to cut.
    async fn trim(&self, _: &Caller, _: u64, _: u64) -> Result<(), MemoryError> {
        Err(MemoryError::NotAllocated)
    }
    async fn status(&self, _: &Caller) -> Result<Vec<CoreMemory>, MemoryError> {
        admit()?;
        let kib = LIMIT / 1024;
        Ok(std::vec![CoreMemory { core: 0, total_kib: kib, used_kib: 0, free_kib: kib }])
    }
    async fn account(&self, _: &Caller) -> Result<Account, MemoryError> {
        admit()?;
        Ok(Account { used: 0, limit: LIMIT })
    }
}

fn endpoint() -> Cap<EndPoint> {
    let slot = slots::allocate().unwrap();
    sys::fake::with(|fake| fake.install(slot, CapType::EndPoint, 0, 0));
    Cap::new(slot)
}

/// Starts a domain with `ram` bytes of early Ram that is connected to a memory service.
pub(super) fn customer(ram: u64) {
    domain_that_asks(ram);
    let (own, other) = (Channel::create(8).unwrap(), Channel::create(8).unwrap());
    let (to_bank, to_domain) = (endpoint(), endpoint());
    own.set_peer(to_bank);
    other.set_peer(to_domain);
    let bank = MemoryServer::new(Bank).open(LmpPort::new(other), Caller { channel: 1, domain: 2 });
    let event = own.event();
    world(move || {
        let sent: Vec<_> = sys::fake::with(|fake| fake.sent.drain(..).collect());
        for mut sent in sent.into_iter() {
            assert_eq!(sent.endpoint, to_bank.address());
            let Outcome::Reply(capability) = bank.on_packet(&mut sent.packet, None) else { continue };
            let capability = capability.and_then(|at| sys::fake::with(|fake| fake.slots.remove(&at.0)));
            sys::fake::with(|fake| fake.deliver(event.into(), sent.packet, capability)).unwrap();
        }
        true
    });
    let (interface, limit) = (MemoryClient::<LmpPort>::INTERFACE, MemoryClient::<LmpPort>::LIMIT);
    let client = Arc::new(Client::new(LmpPort::new(own), interface, limit));
    client.port().attach_client(&client);
    names::set_memory_service(Stub::over(client));
}
