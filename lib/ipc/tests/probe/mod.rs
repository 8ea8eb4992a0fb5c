//! An interface with a method of every shape, and its server.
#![allow(dead_code, unreachable_pub)]

use crate::fake::{CLIENT, FakePort, SERVER, World};
use ipc::{CallError, Caller, Capability, Reply, Stub, Wire};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

#[derive(Debug, PartialEq, Clone, Wire)]
pub enum ProbeError {
    Refused { code: u32 },
    Call(CallError),
}

impl From<CallError> for ProbeError {
    fn from(error: CallError) -> Self {
        ProbeError::Call(error)
    }
}

#[derive(Debug, PartialEq, Clone, Wire)]
pub struct Item {
    pub name: String,
    pub size: u64,
    pub tag: Option<i16>,
    pub more: Vec<(u8, bool)>,
}

/// A method of every shape.
#[ipc::interface(limit = 20_000)]
pub trait Probe {
    /// At once, in words.
    fn add(&self, a: u64, b: u64) -> u64;
    /// As many words as fit.
    fn seven(&self, words: [u64; 7]) -> [u64; 7];
    /// In bytes both ways.
    fn echo(&self, bytes: &[u8]) -> Vec<u8>;
    /// Structures.
    fn items(&self, count: u32, like: &Item) -> Result<Vec<Item>, ProbeError>;
    /// Fails as the interface says.
    fn refuse(&self, code: u32) -> Result<(), ProbeError>;
    /// Ready at once, though it could wait.
    async fn soon(&self, value: u32) -> u32;
    /// Waits until the gate of this number is open.
    async fn gate(&self, number: u32) -> Result<u32, ProbeError>;
    /// Answered when the test says.
    #[deferred]
    fn later(&self, key: u32) -> Result<String, ProbeError>;
    /// No answer.
    #[one_way]
    fn note(&self, text: &str);
    /// A capability there and back.
    fn pass(&self, text: &str, capability: Capability) -> Result<Capability, ProbeError>;
    /// A capability that the server gives away, or not.
    fn give(&self, address: u64) -> Result<Option<Capability>, ProbeError>;
    /// Who the server thinks we are.
    fn whoami(&self) -> (u64, u64);
}

/// A stored reply.
pub type Later = Reply<Result<String, ProbeError>>;

#[derive(Default)]
pub struct State {
    pub open: Cell<u32>,
    pub at_gate: RefCell<Vec<Waker>>,
    pub gates_dropped: Cell<u32>,
    pub replies: RefCell<Vec<(u32, Later)>>,
    pub notes: RefCell<Vec<String>>,
    pub gone: RefCell<Vec<Caller>>,
    pub calls: Cell<u32>,
    /// Capabilities that handlers gave away.
    pub given: RefCell<Vec<abi::CapAddr>>,
    /// Capabilities that handlers were handed.
    pub received: RefCell<Vec<abi::CapAddr>>,
}

impl State {
    pub fn open_gate(&self, number: u32) {
        self.open.set(number);
        self.at_gate.take().into_iter().for_each(Waker::wake);
    }
}

pub struct Prober(pub Rc<State>);

struct CountDrop(Rc<State>);
impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.gates_dropped.set(self.0.gates_dropped.get() + 1);
    }
}

impl Probe for Prober {
    fn add(&self, _caller: &Caller, a: u64, b: u64) -> u64 {
        self.0.calls.set(self.0.calls.get() + 1);
        a.wrapping_add(b)
    }
    fn seven(&self, _caller: &Caller, mut words: [u64; 7]) -> [u64; 7] {
        words.reverse();
        words
    }
    fn echo(&self, _caller: &Caller, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }
    fn items(&self, _: &Caller, count: u32, like: Item) -> Result<Vec<Item>, ProbeError> {
        Ok(vec![like; count as usize])
    }
    fn refuse(&self, _caller: &Caller, code: u32) -> Result<(), ProbeError> {
        Err(ProbeError::Refused { code })
    }
    async fn soon(&self, _caller: &Caller, value: u32) -> u32 {
        value + 1
    }
    async fn gate(&self, _caller: &Caller, number: u32) -> Result<u32, ProbeError> {
        let guard = CountDrop(self.0.clone());
        std::future::poll_fn(|context| {
            if self.0.open.get() >= number {
                return Poll::Ready(());
            }
            self.0.at_gate.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
        std::mem::forget(guard);
        Ok(number)
    }
    fn later(&self, _: &Caller, key: u32, reply: Later) {
        self.0.replies.borrow_mut().push((key, reply));
    }
    fn note(&self, _caller: &Caller, text: String) {
        self.0.notes.borrow_mut().push(text);
    }
    fn pass(&self, _: &Caller, _text: String, cap: Capability) -> Result<Capability, ProbeError> {
        self.0.received.borrow_mut().push(cap.address());
        Ok(Capability::lend(cap.address()))
    }
    fn give(&self, _caller: &Caller, address: u64) -> Result<Option<Capability>, ProbeError> {
        match address {
            1 => Ok(None),
            _ => {
                self.0.given.borrow_mut().push(abi::CapAddr(address));
                Ok(Some(Capability::give(abi::CapAddr(address))))
            }
        }
    }
    fn whoami(&self, caller: &Caller) -> (u64, u64) {
        (caller.channel, caller.domain)
    }
    fn client_gone(&self, caller: &Caller) {
        self.0.gone.borrow_mut().push(*caller);
    }
}

pub const CALLER: Caller = Caller { channel: 4, domain: 17 };

pub fn connect(capacity: usize) -> (Rc<World>, Rc<State>, ProbeClient<FakePort>) {
    let world = World::new(capacity);
    let state = Rc::new(State::default());
    let server = ProbeServer::new(Prober(state.clone()));
    world.attach(SERVER, server.open(world.port(SERVER), CALLER));
    let client = ProbeClient::new(world.port(CLIENT));
    let receiver: Arc<ipc::Client<FakePort>> = client.client().clone();
    world.attach(CLIENT, receiver);
    (world, state, client)
}
