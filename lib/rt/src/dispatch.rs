//! The event loop: what a thread does while it waits.
//!
//! Upcalls only carry packets and wake-ups to the waiting thread (`arch`); receivers, handlers and tasks run here, on
//! the stack of the thread that is parked, one at a time. To them it makes no difference from running in the
//! upcall; but a fault in a handler is reported, since upcalls are enabled, and the upcall stack stays small.
//!
//! ```text
//!             ┌───────────────────────────────────────────────────────┐
//!   park ──►  │ tasks, put-off packets ──► unparked? ──yes──► return   │
//!             │        ▲                      │ no                    │
//!             │  ready events, timers ◄── Wait or SendWait(answer)    │
//!             └───────────────────────────────────────────────────────┘
//! ```
//!
//! No wake-up is lost: events stay in the ready map until this loop takes them, and `Wait` returns at once while any
//! bit is set; bits that an upcall took over are looked at after upcalls are disabled (`arch`).
//!
//! A *leaf* wait is the one exception to "handlers never wait": a call to the memory service out of an allocation,
//! wherever that happens. It delivers the packets of its own channel alone and puts everything else off. The memory
//! service is nobody's client, so such a wait ends.

use alloc::rc::Rc;
use core::cell::{Cell, OnceCell, RefCell};

use abi::CapAddr;
use abi::frame::MAX_EVENTS;
use abi::packet::{HEADER_CAPABILITY, Packet};
use ipc::port::{Receiver, SendError};

use crate::arch::{self, Wake};
use crate::channel::{self, Channel};
use crate::events::{self, Event};
use crate::frame::Frame;
use crate::local::local;
use crate::{executor, time};

/// A thread of this domain. There is one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ThreadId(u32);

impl ThreadId {
    /// The thread that `main` runs on.
    pub(crate) const MAIN: ThreadId = ThreadId(0);
}

/// Packets that came directly while a leaf waited for something else; when it is full the leaf yields instead of
/// waiting, and packets go to their rings.
const STASH: usize = 16;

struct Stashed {
    event: u32,
    packet: Packet,
    capability: Option<CapAddr>,
}

struct Core {
    frame: Frame,
    /// The thread was unparked since it last returned from `park`.
    unparked: Cell<bool>,
    /// The loop runs: what it calls must not park.
    running: Cell<bool>,
    /// Something can be done without waiting for an event: tasks, put-off packets, burials.
    work: Cell<bool>,
    stash: RefCell<[Option<Stashed>; STASH]>,
    stashed: Cell<usize>,
    /// Servers' ends to let go of, as a map of events.
    dead: EventSet,
    /// Ready events that a leaf put off.
    put_off: EventSet,
}

local! {
    static CORE: OnceCell<Core> = OnceCell::new();
}

/// Starts the loop's state over `frame`.
pub(crate) fn init(frame: Frame) {
    CORE.with(|core| {
        let fresh = Core {
            frame,
            unparked: Cell::new(false),
            running: Cell::new(false),
            work: Cell::new(false),
            stash: RefCell::new([const { None }; STASH]),
            stashed: Cell::new(0),
            dead: EventSet::new(),
            put_off: EventSet::new(),
        };
        assert!(core.set(fresh).is_ok(), "the runtime starts once");
    });
}

#[inline(always)]
fn with<R>(f: impl FnOnce(&Core) -> R) -> R {
    CORE.with(|core| f(core.get().expect("the runtime has not started")))
}

/// The dispatcher frame.
pub(crate) fn frame() -> Frame {
    with(|core| core.frame)
}

/// Whether this code runs in a handler or task, where it must not park.
pub fn in_handler() -> bool {
    CORE.with(|core| core.get().is_none_or(|core| core.running.get()))
}

/// Parks until unparked; may return spuriously. Runs handlers and tasks meanwhile.
///
/// # Panics
/// In a handler or task (invariant M2).
#[inline]
pub(crate) fn park() {
    with(|core| core.run());
}

/// As [`Channel::send`], then [`park`]. `receiver` is who gets the packets of `channel`.
#[inline]
pub(crate) fn send_and_park<R: Receiver>(
    channel: &Rc<Channel>,
    packet: &Packet,
    capability: Option<CapAddr>,
    receiver: &R,
) -> Result<(), SendError> {
    with(|core| {
        if core.work.get() {
            channel.send(packet, capability)?;
            core.run();
            return Ok(());
        }
        let mut buffer = Packet::default();
        core.enter();
        match core.send_wait(channel, Some(packet), capability, &mut buffer) {
            Ok(wake) => {
                let mut answer = Answer::default();
                match wake {
                    // Nearly always: what was waited for.
                    Wake::Message(event) if event == channel.event() => {
                        channel.drain_older();
                        if let Some(capability) = channel.deliver_to(receiver, &mut buffer) {
                            answer = Answer { channel: Some(channel.clone()), capability };
                        }
                    }
                    wake => core.handle(wake, None, &mut buffer, &mut answer),
                }
                core.go_on(answer, &mut buffer);
                Ok(())
            }
            Err(error) => {
                core.running.set(false);
                Err(error)
            }
        }
    })
}

/// Waits until unparked, delivering the packets of `channel` only. That may have been meant for a wait around this one:
/// when the caller is through, it calls [`unpark`], so that that one looks again.
pub(crate) fn park_leaf(channel: &Rc<Channel>) {
    with(|core| core.run_leaf(channel));
}

/// Makes `thread` return from its present or next [`park`].
#[inline]
pub(crate) fn unpark(_thread: ThreadId) {
    with(|core| core.unparked.set(true));
}

/// Lets go of the server's end with this event index as soon as nothing runs in it.
pub(crate) fn bury(event: u32) {
    with(|core| {
        core.dead.insert(event);
        core.work.set(true);
    });
}

/// There is a task to poll.
pub(crate) fn note_task() {
    CORE.with(|core| {
        if let Some(core) = core.get() {
            core.work.set(true);
        }
    });
}

impl Core {
    #[inline]
    fn enter(&self) {
        assert!(!self.running.replace(true), "a handler must not wait: answer later, or use async");
    }

    fn run(&self) {
        self.enter();
        self.go_on(Answer::default(), &mut Packet::default());
    }

    /// The loop. An answer in `buffer` goes out with the next wait, or before anything else runs.
    #[inline]
    fn go_on(&self, mut answer: Answer, buffer: &mut Packet) {
        loop {
            if self.work.get() {
                answer.flush(buffer);
                self.do_work();
            }
            if self.unparked.replace(false) {
                answer.flush(buffer);
                break;
            }
            if self.work.get() {
                // A task woke itself or another: no wait, but events get their turn.
                if self.frame.any_ready() {
                    self.handle_ready();
                }
                time::fire();
                continue;
            }
            let answered = answer.channel.take();
            let wake = match &answered {
                None => arch::wait(self.frame, time::next_deadline(), buffer),
                Some(channel) => {
                    let capability = answer.capability;
                    self.send_wait(channel, None, capability, buffer).unwrap_or_else(|error| {
                        channel.unsent(buffer, capability, error);
                        Wake::Run
                    })
                }
            };
            self.handle(wake, answered, buffer, &mut answer);
        }
        self.running.set(false);
    }

    #[inline(always)]
    fn send_wait(
        &self,
        channel: &Channel,
        packet: Option<&Packet>,
        capability: Option<CapAddr>,
        buffer: &mut Packet,
    ) -> Result<Wake, SendError> {
        let (endpoint, capability) = (channel.peer().address(), capability.unwrap_or(CapAddr::NULL));
        arch::send_wait(self.frame, endpoint, capability, packet, time::next_deadline(), buffer)
            .map_err(channel::refusal)
    }

    /// Put-off packets, then tasks, then burials.
    #[cold]
    fn do_work(&self) {
        self.work.set(false);
        self.deliver_stash();
        executor::run_ready();
        if executor::has_ready() {
            self.work.set(true);
        }
        self.dead.take(|event| {
            if let Some(channel) = events::channel(event) {
                channel.release_server();
            }
        });
    }

    /// Handles what a wait brought. The answer to a direct packet is left in `buffer`, and `answer` says so.
    ///
    /// After a direct packet nothing else is looked at: with an event ready or a deadline passed, the next wait ends at
    /// once by `Run`.
    ///
    /// `answered` is the channel that the wait sent to; often the next packet comes over it again.
    #[inline(always)]
    fn handle(&self, wake: Wake, answered: Option<Rc<Channel>>, buffer: &mut Packet, answer: &mut Answer) {
        match wake {
            Wake::Message(event) => {
                let answered = answered.filter(|channel| channel.event() == event);
                if let Some(channel) = answered.or_else(|| events::channel(event)) {
                    self.handle_message(channel, buffer, answer);
                }
            }
            Wake::Run => {
                self.handle_ready();
                time::fire();
            }
        }
    }

    #[inline(always)]
    fn handle_message(&self, channel: Rc<Channel>, buffer: &mut Packet, answer: &mut Answer) {
        channel.drain_older();
        if let Some(capability) = channel.deliver(buffer) {
            *answer = Answer { channel: Some(channel), capability };
        }
    }

    #[cold]
    fn handle_ready(&self) {
        self.frame.take_ready(|event| match events::get(event) {
            Event::Channel(channel) => channel.drain(self.frame),
            Event::Bell(bell) => bell.ring(),
            Event::Free | Event::Reserved => {}
        });
    }

    /// Packets that a leaf put off, oldest first. They are older than what is in the rings.
    fn deliver_stash(&self) {
        for index in 0..self.stashed.replace(0) {
            let Some(mut stashed) = self.stash.borrow_mut()[index].take() else { continue };
            match events::channel(stashed.event) {
                Some(channel) => channel.deliver_late(&mut stashed.packet, stashed.capability),
                None => stashed.capability.into_iter().for_each(crate::slots::discard),
            }
        }
    }

    fn run_leaf(&self, channel: &Rc<Channel>) {
        let mut buffer = Packet::default();
        loop {
            self.take_ready_leaf(channel);
            if self.unparked.replace(false) {
                break;
            }
            if self.stashed.get() == STASH {
                arch::yield_now(self.frame);
            } else if let Wake::Message(event) = arch::wait(self.frame, u64::MAX, &mut buffer) {
                self.handle_leaf_message(channel, event, &mut buffer);
            }
        }
        self.put_off.take(|event| self.frame.set_ready(event));
    }

    fn take_ready_leaf(&self, channel: &Channel) {
        self.frame.take_ready(|event| {
            if event == channel.event() { channel.drain(self.frame) } else { self.put_off.insert(event) }
        });
    }

    fn handle_leaf_message(&self, own: &Channel, event: u32, buffer: &mut Packet) {
        if event == own.event() {
            own.drain_older();
            if let Some(capability) = own.deliver(buffer) {
                own.answer(buffer, capability);
            }
            return;
        }
        let landed = buffer.header & HEADER_CAPABILITY != 0;
        let capability = landed.then(|| events::channel(event)).flatten().and_then(|c| c.take_landed_only());
        let index = self.stashed.get();
        self.stash.borrow_mut()[index] = Some(Stashed { event, packet: *buffer, capability });
        self.stashed.set(index + 1);
        self.work.set(true);
    }
}

/// An answer that waits in the buffer to be sent, if there is a channel.
#[derive(Default)]
struct Answer {
    channel: Option<Rc<Channel>>,
    capability: Option<CapAddr>,
}

impl Answer {
    /// Sends it without waiting.
    #[inline(always)]
    fn flush(&mut self, packet: &Packet) {
        if let Some(channel) = self.channel.take() {
            Answer::send(&channel, self.capability, packet);
        }
    }

    #[cold]
    fn send(channel: &Channel, capability: Option<CapAddr>, packet: &Packet) {
        channel.answer(packet, capability);
    }
}

const WORDS: usize = MAX_EVENTS / 64;

/// A set of event indices that needs no allocation.
struct EventSet {
    summary: Cell<u64>,
    words: [Cell<u64>; WORDS],
}

impl EventSet {
    const fn new() -> EventSet {
        EventSet { summary: Cell::new(0), words: [const { Cell::new(0) }; WORDS] }
    }
    fn insert(&self, event: u32) {
        let word = event as usize / 64 % WORDS;
        self.words[word].set(self.words[word].get() | 1 << (event % 64));
        self.summary.set(self.summary.get() | 1 << word);
    }
    fn take(&self, mut f: impl FnMut(u32)) {
        let mut words = self.summary.replace(0);
        while words != 0 {
            let word = words.trailing_zeros();
            words &= words - 1;
            let mut bits = self.words[word as usize].replace(0);
            while bits != 0 {
                f(word * 64 + bits.trailing_zeros());
                bits &= bits - 1;
            }
        }
    }
}
