//! More threads than one, of which a test plays each in turn; and what may come between while memory is asked for.

use abi::packet::HEADER_CAPABILITY;
use abi::{PAGE_SIZE, Rights};
use sys::CapType;
use sys::fake::Capability;
use threads::schedule::Kind;

use super::bank::{before_answer, customer};
use super::events::channel;
use super::{domain, fault, packet};
use crate::arch::{Wake, script};
use crate::thread::{self, ThreadId};
use crate::vspace::{self, Paging};
use crate::{critical, dispatch, memory, pager, slots};

const MIB: u64 = 1 << 20;
const DATA: Rights = Rights::READ.or(Rights::WRITE);
const LANDED: Capability =
    Capability { kind: CapType::Frame, rights: Rights::ALL, base: 0x9000_0000, size: PAGE_SIZE };

/// Starts another thread, and lets it run while the main thread is parked in its loop.
fn another_runs() -> ThreadId {
    let other = thread::add_played();
    thread::park_as(Kind::Loop);
    assert_eq!(thread::current(), other);
    other
}

/// A packet with a capability comes directly.
fn packet_comes(event: u32, number: u64) {
    script(move |buffer| {
        sys::fake::with(|fake| fake.land(event.into(), LANDED)).unwrap();
        *buffer = packet(number);
        buffer.header |= HEADER_CAPABILITY;
        Wake::Message(event)
    });
}

#[test]
fn a_thread_that_waits_alone_keeps_what_is_for_servers() {
    domain(MIB);
    let (server, log) = channel(4);
    another_runs();
    thread::stay_alone(true);
    packet_comes(server.event(), 7);
    dispatch::park();
    assert!(log.numbers.borrow().is_empty(), "servers are the main thread's");
    thread::stay_alone(false);
    thread::park_as(Kind::Leaf);
    assert_eq!(thread::current(), ThreadId::MAIN);
    log.unpark_at.set(7);
    dispatch::park();
    assert_eq!((log.numbers.borrow().as_slice(), log.capabilities.borrow().len()), (&[7][..], 1));
}

#[test]
fn what_was_put_off_for_a_channel_that_is_closed_is_for_nobody() {
    domain(MIB);
    let (server, log) = channel(4);
    another_runs();
    thread::stay_alone(true);
    packet_comes(server.event(), 7);
    dispatch::park();
    assert!(!dispatch::with_put_off(|queue| queue.is_empty()), "it waits for the main thread");
    let event = server.event();
    server.close();
    let (next, _) = channel(4);
    assert_eq!(next.event(), event, "the next channel has the number of the one before");
    assert!(dispatch::with_put_off(|queue| queue.is_empty()), "and would get what is not for it");
    assert!(log.numbers.borrow().is_empty());
    thread::stay_alone(false);
}

#[test]
fn what_a_leaf_puts_off_brings_the_main_thread_back() {
    domain(MIB);
    let ((server, _), (leaf, answer)) = (channel(4), channel(4));
    let (other, own) = (another_runs(), leaf.event());
    packet_comes(server.event(), 7);
    script(move |buffer| {
        *buffer = packet(100);
        dispatch::unpark(other);
        Wake::Message(own)
    });
    dispatch::park_leaf(&leaf);
    assert_eq!(*answer.numbers.borrow(), [100]);
    assert_eq!(thread::current(), ThreadId::MAIN, "it was parked, and nothing is ready that would wake it");
}

#[test]
fn a_page_table_that_came_while_one_was_asked_for_is_used() {
    customer(MIB);
    let frame = memory::frame(PAGE_SIZE).unwrap();
    let address = vspace::map(frame.cap(), 0, PAGE_SIZE, DATA).unwrap().address();
    assert_eq!(vspace::statistics().tables, 1, "those that were made are gone");
    before_answer(move || {
        let [table, mapping] = [(); 2].map(|()| slots::allocate_reserved().unwrap());
        sys::fake::with(|fake| fake.install(table, CapType::VNodeL2, 0x5000_0000, PAGE_SIZE));
        vspace::install(2, address, table, mapping).unwrap();
    });
    let mapped = vspace::map(frame.cap(), 0, PAGE_SIZE, DATA).unwrap();
    assert_eq!(mapped.address(), address);
    assert_eq!(sys::fake::with(|fake| fake.count(CapType::VNodeL2)), 1, "the other one went back");
}

#[test]
fn a_page_table_that_went_while_the_stock_was_filled_is_not_used() {
    customer(MIB);
    let reserve = |bytes| vspace::reserve(bytes, DATA, Paging::Small).unwrap();
    let touch = |address: u64, inside| fault(address, inside).unwrap();
    let [first, second, elsewhere] = [MIB, MIB, 4 * MIB].map(reserve);
    touch(first.address(), false);
    let table = |address| vspace::with(|space| space.table(3, address));
    assert!(table(second.address()).is_some(), "both are in one");
    drop(first);
    assert!(table(second.address()).is_some(), "an empty one stays for a while");
    // One section, at whose end the stock would be filled up.
    critical::section(|| {
        for chunk in 0..pager::in_stock() as u64 {
            touch(elsewhere.address() + chunk * pager::CHUNK, true);
        }
        before_answer(vspace::drop_empty_tables);
        touch(second.address(), false);
    });
    assert!(table(second.address()).is_some());
}
