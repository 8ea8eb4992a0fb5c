//! The event loop: what a thread does while it waits.
//!
//! Upcalls only carry packets and wake-ups to the waiting thread (`arch`); receivers, handlers and tasks run here, on
//! the stack of a thread that is parked, one at a time. To them it makes no difference from running in the
//! upcall; but a fault in a handler is reported, since upcalls are enabled, and the upcall stack stays small.
//!
//! ```text
//!             ┌────────────────────────────────────────────────────────────────────┐
//!   park ──►  │ tasks, put-off packets ──► unparked? ──yes──► return                │
//!   (main     │        ▲                      │ no                                  │
//!    thread)  │        │                 another thread ready? ──yes──► it runs ──┐ │
//!             │        │                      │ no                               │ │
//!             │  ready events, timers ◄── Wait or SendWait(answer) ◄─────────────┘ │
//!             └────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Handlers and tasks run on the main thread alone, so they never see each other, or the rest of `main`, half-way. Other
//! threads that park let somebody else run; only if nobody can but the main thread's loop, that waits in the kernel.
//! While the main thread computes, a parked thread takes in what concerns clients: answers, doorbells, timers; what is for
//! servers is put off until the main thread parks.
//!
//! No wake-up is lost: events stay in the ready map until a loop takes them, and `Wait` returns at once while any
//! bit is set; bits that an upcall took over are looked at after upcalls are disabled (`arch`).
//!
//! A *leaf* wait is the one exception to "handlers never wait": a call to the memory service out of an allocation or a
//! fault, wherever that happens. It delivers the packets of its own channel alone, puts everything else off, and lets no
//! other thread run. The memory service is nobody's client, so such a wait ends.

use alloc::sync::Arc;
use core::cell::{Cell, OnceCell, RefCell};

use abi::CapAddr;
use abi::packet::{HEADER_CAPABILITY, Packet};
use ipc::port::{Receiver, SendError};
use paging::PutOff;
use threads::schedule::Kind;

use crate::arch::{self, Wake};
use crate::channel::{self, Channel};
use crate::domain::Runtime;
use crate::event_set::EventSet;
use crate::events::{self, Event};
use crate::frame::Frame;
use crate::local::{local, raw_local};
use crate::thread::{self, ThreadId};
use crate::{critical, executor, slots, time};

/// A packet that came directly while a leaf waited for something else.
pub(crate) struct Stashed {
    event: u32,
    packet: Packet,
    capability: Option<CapAddr>,
}

impl Stashed {
    fn new(event: u32, packet: Packet) -> Stashed {
        let landed = packet.header & HEADER_CAPABILITY != 0;
        let capability = landed.then(|| events::channel(event)).flatten().and_then(|c| c.take_landed_only());
        Stashed { event, packet, capability }
    }

    /// Whether only the main thread takes it: it is for a server, or for nobody.
    pub(crate) fn is_for_main(&self) -> bool {
        events::channel(self.event).is_none_or(|channel| channel.is_server())
    }

    pub(crate) fn deliver(mut self) {
        match events::channel(self.event) {
            Some(channel) => channel.deliver_late(&mut self.packet, self.capability),
            None => self.capability.into_iter().for_each(slots::discard),
        }
    }
}

local! {
    static STASH: RefCell<PutOff<Stashed>> = RefCell::new(PutOff::new());
}

/// Drops what was put off for a channel that is being closed: its event may soon be another's, with another peer.
pub(crate) fn forget_put_off(event: u32) {
    while let Some(stashed) = with_put_off(|queue| queue.take_first(|it| it.event == event)) {
        stashed.capability.into_iter().for_each(slots::discard);
    }
}

/// Looks at the packets that were put off.
#[inline(always)]
pub(crate) fn with_put_off<R>(f: impl FnOnce(&mut PutOff<Stashed>) -> R) -> R {
    STASH.with(|stash| f(&mut stash.borrow_mut()))
}

struct Core {
    frame: Frame,
    /// The loop runs: what it calls must not park.
    running: Cell<bool>,
    /// Something can be done without waiting for an event: tasks, put-off packets, burials.
    work: Cell<bool>,
    /// Servers' ends to let go of, as a map of events.
    dead: EventSet,
    /// Ready events that a leaf put off, or that are for the main thread.
    put_off: EventSet,
}

raw_local! {
    /// Set once, before there is a second thread. The cells in it belong to the main thread, but for `work`, which others
    /// only set, and those that are looked at in critical sections: `dead`, `put_off`.
    static CORE: OnceCell<Core> = OnceCell::new();
}

/// Starts the loop's state over `frame`, and the table of threads.
pub(crate) fn init(frame: Frame) {
    thread::init(frame);
    CORE.with(|core| {
        let fresh = Core {
            frame,
            running: Cell::new(false),
            work: Cell::new(false),
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
    thread::current() == ThreadId::MAIN && CORE.with(|core| core.get().is_none_or(|core| core.running.get()))
}

/// Parks until unparked; may return spuriously. Runs handlers and tasks meanwhile, if it is the main thread that parks.
///
/// # Panics
/// In a handler or task (invariant M2).
#[inline]
pub(crate) fn park() {
    if thread::current() == ThreadId::MAIN {
        with(|core| core.run());
    } else {
        with(Core::park_other);
    }
}

/// As [`Channel::send`], then [`park`]. `receiver` is who gets the packets of `channel`.
#[inline]
pub(crate) fn send_and_park<R: Receiver>(
    channel: &Arc<Channel>,
    packet: &Packet,
    capability: Option<CapAddr>,
    receiver: &R,
) -> Result<(), SendError> {
    with(|core| {
        if core.work.get() || thread::has_others() {
            channel.send(packet, capability)?;
            park();
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

/// Waits until unparked, delivering the packets of `channel` only; no other thread runs. The token that it takes may have
/// been meant for a wait around this one: when the caller is through, it calls [`unpark`], so that that one looks again.
pub(crate) fn park_leaf(channel: &Arc<Channel>) {
    critical::section(|| paging::wait_as_leaf::<Runtime>(channel));
}

/// Makes `thread` return from its present or next [`park`].
#[inline]
pub(crate) fn unpark(id: ThreadId) {
    thread::unpark(id);
}

/// Whether packets of this channel were put off: later ones have to wait for them.
pub(crate) fn has_put_off(event: u32) -> bool {
    with_put_off(|stash| stash.any(|stashed| stashed.event == event))
}

/// Whether there is something that only the main thread's loop will do.
pub(crate) fn is_something_put_off() -> bool {
    with(|core| core.work.get() || !core.put_off.is_empty()) || with_put_off(|stash| !stash.is_empty())
}

/// Takes in what is ready for the leaf; the rest is put off.
pub(crate) fn take_ready_leaf(channel: &Channel) {
    with(|core| {
        core.frame.take_ready(|event| {
            if event == channel.event() { channel.drain(core.frame) } else { core.put_off.insert(event) }
        });
    });
}

/// Events that were put off are ready again.
pub(crate) fn restore_put_off() {
    with(Core::restore_put_off);
}

/// One wait in the kernel for a leaf: a packet of its own is taken in, another one handed over.
pub(crate) fn wait_leaf(own: &Arc<Channel>) -> Option<Stashed> {
    let mut packet = Packet::default();
    let Wake::Message(event) = arch::wait(frame(), u64::MAX, &mut packet) else { return None };
    if event == own.event() {
        take_in(own, &mut packet);
        return None;
    }
    Some(Stashed::new(event, packet))
}

/// Lets go of the server's end with this event index as soon as nothing runs in it.
pub(crate) fn bury(event: u32) {
    with(|core| {
        critical::section(|| core.dead.insert(event));
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
            if thread::take_token() {
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
            if thread::has_others() {
                answer.flush(buffer);
                self.wait_with_others(buffer, &mut answer);
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

    /// Lets another thread run, or waits in the kernel if none is ready, and handles what that brought.
    ///
    /// The looks at what there is to do and the wait are one critical section, or another thread could come between and
    /// leave a token that nobody looks for any more. Packets for clients are delivered in it too, since other threads
    /// deliver those that come later.
    #[cold]
    fn wait_with_others(&self, buffer: &mut Packet, answer: &mut Answer) {
        if thread::others_ready() {
            thread::park_as(Kind::Loop);
            self.handle_ready();
            time::fire();
            return;
        }
        critical::enter();
        if self.work.get() || thread::has_token() || thread::others_ready() {
            critical::leave();
            return;
        }
        let mut wake = arch::wait(self.frame, time::next_deadline(), buffer);
        if let Wake::Message(event) = wake
            && let Some(channel) = events::channel(event)
            && !channel.is_server()
        {
            self.handle_message(channel, buffer, answer);
            wake = Wake::Run;
        }
        critical::leave();
        self.handle(wake, None, buffer, answer);
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
        paging::deliver_put_off::<Runtime>();
        executor::run_ready();
        if executor::has_ready() {
            self.work.set(true);
        }
        self.dead.take(|event| {
            if let Some(channel) = events::channel(event) {
                channel.release_server();
            }
        });
        // If it fails there is the reserve, and the next one tries again.
        let _ = slots::provide();
        channel::offer_landings();
    }

    /// Handles what a wait brought. The answer to a direct packet is left in `buffer`, and `answer` says so.
    ///
    /// After a direct packet nothing else is looked at: with an event ready or a deadline passed, the next wait ends at
    /// once by `Run`.
    ///
    /// `answered` is the channel that the wait sent to; often the next packet comes over it again.
    #[inline(always)]
    fn handle(&self, wake: Wake, answered: Option<Arc<Channel>>, buffer: &mut Packet, answer: &mut Answer) {
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
    fn handle_message(&self, channel: Arc<Channel>, buffer: &mut Packet, answer: &mut Answer) {
        channel.drain_older();
        if let Some(capability) = channel.deliver(buffer) {
            *answer = Answer { channel: Some(channel), capability };
        }
    }

    /// All that is ready. On the main thread.
    #[cold]
    fn handle_ready(&self) {
        self.restore_put_off();
        self.frame.take_ready(|event| match events::get(event) {
            Event::Channel(channel) => channel.drain(self.frame),
            Event::Bell(bell) => bell.ring(),
            Event::Proxy(proxy) => proxy.happened(),
            Event::Free | Event::Reserved => {}
        });
    }

    fn restore_put_off(&self) {
        critical::section(|| self.put_off.take(|event| self.frame.set_ready(event)));
    }

    /// Parks a thread that is not the main one.
    fn park_other(&self) {
        loop {
            if thread::take_token() {
                return;
            }
            if self.frame.any_ready() {
                self.handle_ready_for_clients();
                continue;
            }
            if thread::is_alone() {
                return self.wait_alone();
            }
            time::fire();
            // Unless there is a token now: somebody who is ready, or the main thread, whose loop waits in the kernel.
            thread::park_as(Kind::Leaf);
        }
    }

    /// What is ready while the main thread is busy: all but what is for servers, which is put off until it parks.
    fn handle_ready_for_clients(&self) {
        self.frame.take_ready(|event| match events::get(event) {
            Event::Channel(channel) if channel.is_server() => {
                critical::section(|| self.put_off.insert(event))
            }
            Event::Channel(channel) => channel.drain(self.frame),
            Event::Bell(bell) => bell.ring(),
            Event::Proxy(_) => critical::section(|| self.put_off.insert(event)),
            Event::Free | Event::Reserved => {}
        });
    }

    /// One wait in the kernel by a thread while no other runs: it makes a report, or connects to the memory service. What is
    /// for servers is put off until the main thread runs again, if ever.
    fn wait_alone(&self) {
        paging::wait_with_room::<Runtime>(|| {
            let mut packet = Packet::default();
            let Wake::Message(event) = arch::wait(self.frame, time::next_deadline(), &mut packet) else {
                return None;
            };
            match events::channel(event) {
                Some(channel) if !channel.is_server() => take_in(&channel, &mut packet),
                _ => return Some(Stashed::new(event, packet)),
            }
            None
        });
        time::fire();
    }
}

/// A packet came directly, out of the loop: its answer goes out at once.
fn take_in(channel: &Channel, buffer: &mut Packet) {
    channel.drain_older();
    if let Some(capability) = channel.deliver(buffer) {
        channel.answer(buffer, capability);
    }
}

/// An answer that waits in the buffer to be sent, if there is a channel.
#[derive(Default)]
struct Answer {
    channel: Option<Arc<Channel>>,
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
