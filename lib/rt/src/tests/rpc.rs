//! The runtime under real clients and servers of `ipc`: both ends in one domain, the model's wires between them.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use ipc::{CallError, Caller, Client, Stub};
use sys::{Cap, CapType};

use super::domain;
use crate::arch::world;
use crate::channel::{Channel, LmpPort, attach_server};
use crate::{slots, time};

#[ipc::interface]
trait Math {
    fn add(&self, a: u64, b: u64) -> u64;
    async fn slow_double(&self, a: u64) -> u64;
    fn reverse(&self, text: &str) -> String;
}

struct Calculator;

impl Math for Calculator {
    fn add(&self, _: &Caller, a: u64, b: u64) -> u64 {
        a + b
    }
    async fn slow_double(&self, _: &Caller, a: u64) -> u64 {
        time::sleep(Duration::from_millis(3)).await;
        2 * a
    }
    fn reverse(&self, _: &Caller, text: String) -> String {
        text.chars().rev().collect()
    }
}

/// Carries what was sent to the other end.
fn wire(ends: [(u32, Cap<sys::EndPoint>); 2]) {
    world(move || {
        let sent: Vec<_> = sys::fake::with(|fake| fake.sent.drain(..).collect());
        for packet in &sent {
            let to = if packet.endpoint == ends[0].1.address() { ends[1].0 } else { ends[0].0 };
            sys::fake::with(|fake| fake.deliver(to.into(), packet.packet, None)).unwrap();
        }
        !sent.is_empty()
    });
}

fn endpoint(number: u64) -> Cap<sys::EndPoint> {
    let slot = slots::allocate().unwrap();
    sys::fake::with(|fake| fake.install(slot, CapType::EndPoint, number, 0));
    Cap::new(slot)
}

fn connected() -> MathClient<LmpPort> {
    let (ours, theirs) = (Channel::create(32).unwrap(), Channel::create(32).unwrap());
    let (to_theirs, to_ours) = (endpoint(700), endpoint(701));
    ours.set_peer(to_theirs);
    theirs.set_peer(to_ours);
    wire([(ours.event(), to_theirs), (theirs.event(), to_ours)]);
    let server =
        MathServer::new(Calculator).open(LmpPort::new(theirs.clone()), Caller { channel: 1, domain: 2 });
    attach_server(&theirs, server);
    let client = alloc::sync::Arc::new(Client::new(
        LmpPort::new(ours),
        <MathClient<LmpPort> as Stub<LmpPort>>::INTERFACE,
        <MathClient<LmpPort> as Stub<LmpPort>>::LIMIT,
    ));
    client.port().attach_client(&client);
    Stub::over(client)
}

#[test]
fn a_call_comes_back_with_its_result() {
    domain(1 << 20);
    let math = connected();
    assert_eq!(math.add(2, 3), Ok(5));
    assert_eq!(math.add(40, 2), Ok(42));
}

#[test]
fn long_messages_go_in_parts() {
    domain(1 << 20);
    let math = connected();
    let text: String = ('a'..='z').cycle().take(1000).collect();
    let expected: String = text.chars().rev().collect();
    assert_eq!(math.reverse(&text), Ok(expected));
}

#[test]
fn a_handler_that_waits_lets_others_pass() {
    domain(1 << 20);
    let math = connected();
    assert_eq!(math.add(1, 1), Ok(2));
    let slow = math.slow_double_async(21);
    let both = crate::block_on(async {
        let fast = math.add_async(2, 2).await;
        (fast, slow.await)
    });
    assert_eq!(both, (Ok(4), Ok(42)));
}

#[test]
fn calls_to_a_peer_that_is_gone_fail() {
    domain(1 << 20);
    let math = connected();
    assert_eq!(math.add(1, 1), Ok(2));
    let event = math.client().port().channel().event();
    sys::fake::with(|fake| fake.peer_gone(event.into()));
    crate::block_on(time::sleep(Duration::ZERO));
    let mut result = math.add(1, 1);
    if result.is_ok() {
        result = math.add(1, 1);
    }
    assert_eq!(result, Err(CallError::PeerGone));
}
