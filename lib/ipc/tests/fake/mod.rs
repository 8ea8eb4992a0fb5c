//! Two ends of a channel and their executor in one thread: what happens next is what the test says.
//!
//! `park` delivers one packet, polls one woken task or runs the next scripted event, in this order; if there is
//! nothing of these, the call would hang, and the test fails.
#![allow(dead_code, unreachable_pub)]

use abi::CapAddr;
use abi::packet::{HEADER_CAPABILITY, HEADER_LOST, Packet};
use ipc::{Lock, Outcome, Port, Receiver, SendError, Task};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

/// The client's end and the server's.
pub const CLIENT: usize = 0;
pub const SERVER: usize = 1;

/// What is added to a capability's address on its way.
pub const COPY: u64 = 1000;

/// Panics when entered twice, as the runtime's may.
pub struct FakeLock<T>(RefCell<T>);

impl<T> Lock<T> for FakeLock<T> {
    fn new(value: T) -> Self {
        FakeLock(RefCell::new(value))
    }
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.borrow_mut())
    }
}

struct Wakeups {
    task: usize,
    queue: Arc<Mutex<VecDeque<usize>>>,
}

impl Wake for Wakeups {
    fn wake(self: Arc<Self>) {
        self.queue.lock().unwrap().push_back(self.task);
    }
}

/// Packets in flight, each with the capability that lands with it.
pub type Ring = VecDeque<(Packet, Option<CapAddr>)>;

#[derive(Default)]
pub struct World {
    capacity: Cell<usize>,
    /// Packets on their way to this end.
    pub rings: [RefCell<Ring>; 2],
    /// A sender to this end met a full ring.
    blocked: [Cell<bool>; 2],
    receivers: [RefCell<Option<Arc<dyn Receiver>>>; 2],
    gone: [Cell<bool>; 2],
    /// The receiver at this end has no landing slot.
    pub no_landing: [Cell<bool>; 2],
    /// Capabilities to this end are lost on the way.
    pub loses: [Cell<bool>; 2],
    pub discarded: RefCell<Vec<CapAddr>>,
    pub sent: Cell<usize>,
    pub parked: Cell<usize>,
    unparked: RefCell<Vec<u32>>,
    thread: Cell<u32>,
    upcall: Cell<bool>,
    tasks: RefCell<Vec<Option<Task>>>,
    woken: Arc<Mutex<VecDeque<usize>>>,
    script: RefCell<VecDeque<Box<dyn FnOnce()>>>,
}

impl World {
    /// Rings of `capacity` packets.
    pub fn new(capacity: usize) -> Rc<World> {
        let world = World::default();
        world.capacity.set(capacity);
        Rc::new(world)
    }

    pub fn port(self: &Rc<Self>, end: usize) -> FakePort {
        FakePort { world: self.clone(), end }
    }

    pub fn attach(&self, end: usize, receiver: Arc<dyn Receiver>) {
        *self.receivers[end].borrow_mut() = Some(receiver);
    }

    /// Something that happens when nothing else does.
    pub fn then(&self, event: impl FnOnce() + 'static) {
        self.script.borrow_mut().push_back(Box::new(event));
    }

    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.add_task(Box::pin(future));
    }

    fn add_task(&self, task: Task) {
        let mut tasks = self.tasks.borrow_mut();
        self.woken.lock().unwrap().push_back(tasks.len());
        tasks.push(Some(task));
    }

    /// Tasks that are not done.
    pub fn tasks(&self) -> usize {
        self.tasks.borrow().iter().flatten().count()
    }

    /// The end `end` dies: nothing reaches it any more, and its peer hears of it behind its last packet.
    pub fn kill(&self, end: usize) {
        self.gone[end].set(true);
        self.rings[end].borrow_mut().clear();
        *self.receivers[end].borrow_mut() = None;
        while self.deliver(1 - end) {}
        let peer = self.receivers[1 - end].borrow().clone();
        self.in_upcall(|| {
            if let Some(peer) = &peer {
                peer.on_peer_gone();
            }
        });
    }

    pub fn receiver(&self, end: usize) -> Option<Arc<dyn Receiver>> {
        self.receivers[end].borrow().clone()
    }

    pub fn forget_receivers(&self) {
        self.receivers.iter().for_each(|receiver| drop(receiver.take()));
    }

    fn in_upcall<R>(&self, f: impl FnOnce() -> R) -> R {
        let before = self.upcall.replace(true);
        let result = f();
        self.upcall.set(before);
        result
    }

    /// Delivers one packet to `end`, if there is one.
    pub fn deliver(&self, end: usize) -> bool {
        let Some((mut packet, capability)) = self.rings[end].borrow_mut().pop_front() else {
            return false;
        };
        if capability.is_some() {
            packet.header |= HEADER_CAPABILITY;
        }
        if let Some(receiver) = self.receivers[end].borrow().clone() {
            self.in_upcall(|| match receiver.on_packet(&mut packet, capability) {
                Outcome::None => {}
                Outcome::Reply(capability) => {
                    if let Err(SendError::Full | SendError::NoLandingSlot) =
                        self.push(1 - end, &packet, capability)
                    {
                        receiver.on_unsent(&packet, capability);
                    }
                }
            });
        }
        self.offer_room(end);
        true
    }

    /// Tells a sender that waits for room at `end`.
    pub fn offer_room(&self, end: usize) {
        if self.blocked[end].replace(false)
            && let Some(sender) = self.receivers[1 - end].borrow().clone()
        {
            self.in_upcall(|| sender.on_writable());
        }
    }

    fn poll_one(&self) -> bool {
        let Some(index) = self.woken.lock().unwrap().pop_front() else { return false };
        let Some(mut task) = self.tasks.borrow_mut()[index].take() else { return true };
        let waker = Waker::from(Arc::new(Wakeups { task: index, queue: self.woken.clone() }));
        let ready = self.in_upcall(|| task.as_mut().poll(&mut Context::from_waker(&waker)));
        if ready.is_pending() {
            self.tasks.borrow_mut()[index] = Some(task);
        }
        true
    }

    /// One thing happens. `false`: nothing is left to happen.
    pub fn step(&self) -> bool {
        if self.deliver(SERVER) || self.deliver(CLIENT) || self.poll_one() {
            return true;
        }
        let event = self.script.borrow_mut().pop_front();
        event.map(|event| event()).is_some()
    }

    /// Everything happens.
    pub fn run(&self) {
        while self.step() {}
    }

    fn push(&self, to: usize, packet: &Packet, capability: Option<CapAddr>) -> Result<(), SendError> {
        if self.gone[to].get() {
            return Err(SendError::PeerGone);
        }
        if capability == Some(CapAddr::NULL) {
            return Err(SendError::BadCapability);
        }
        let mut ring = self.rings[to].borrow_mut();
        if ring.len() >= self.capacity.get() {
            self.blocked[to].set(true);
            return Err(SendError::Full);
        }
        if capability.is_some() && self.no_landing[to].get() {
            self.blocked[to].set(true);
            return Err(SendError::NoLandingSlot);
        }
        self.sent.set(self.sent.get() + 1);
        if capability.is_some() && self.loses[to].get() {
            ring.push_back((Packet { header: packet.header | HEADER_LOST, ..*packet }, None));
            return Ok(());
        }
        ring.push_back((*packet, capability.map(|address| CapAddr(address.0 + COPY))));
        Ok(())
    }
}

pub struct FakePort {
    world: Rc<World>,
    end: usize,
}

impl Port for FakePort {
    type Thread = u32;
    type Lock<T> = FakeLock<T>;

    fn send(&self, packet: &Packet, capability: Option<CapAddr>) -> Result<(), SendError> {
        self.world.push(1 - self.end, packet, capability)
    }
    fn send_and_park<R: Receiver>(
        &self,
        packet: &Packet,
        capability: Option<CapAddr>,
        _: &R,
    ) -> Result<(), SendError> {
        self.send(packet, capability)?;
        self.park();
        Ok(())
    }
    fn park(&self) {
        assert!(!self.world.upcall.get(), "parked in an upcall");
        self.world.parked.set(self.world.parked.get() + 1);
        let thread = self.current();
        let mut unparked = self.world.unparked.borrow_mut();
        if let Some(at) = unparked.iter().position(|other| *other == thread) {
            unparked.swap_remove(at);
            return;
        }
        drop(unparked);
        assert!(self.world.step(), "parked for ever");
    }
    fn current(&self) -> u32 {
        self.world.thread.get()
    }
    fn unpark(&self, thread: u32) {
        self.world.unparked.borrow_mut().push(thread);
    }
    fn discard(&self, capability: CapAddr) {
        self.world.discarded.borrow_mut().push(capability);
    }
    fn spawn(&self, task: Task) {
        self.world.add_task(task);
    }
}
