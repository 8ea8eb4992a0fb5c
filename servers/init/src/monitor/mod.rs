//! The monitor of this core: it joins channels whose ends are on different cores.
//!
//! ```text
//!   domains ──LMP──► proxies ──┐                    ┌── link ──► monitor of core 1
//!                              ├──► core/routes ◄───┤
//!   services (names) ◄─────────┘                    └── link ──► monitor of core 2
//! ```
//!
//! What a message means and what follows is `core/routes`; here are the rings, the endpoints and the calls of the kernel. One task a
//! link takes in what comes; whatever has happened, what can be sent is sent at once.

mod below;
mod link;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Poll, Waker};

use abi::boot::MAX_CORES;
use abi::packet::Packet;
use routes::{CoreId, Line, Routes, packet_follows};
use rt::{ProxyEvent, RtError, slots};
use sys::{Cap, EndPoint, Frame};

pub(crate) use below::Held;
use below::Proxies;
pub(crate) use link::FRAME_BYTES;
use link::Link;

/// Routes that a core has an end of, at a time.
const ROUTES: usize = 512;
/// Packets of a route that may be under way in one direction.
const WINDOW: usize = 4;
/// Lines of one link that are taken in before others get their turn.
const LINES_AT_ONCE: usize = 32;

/// Numbers of services that domains of other cores can ask for.
pub(crate) mod well_known {
    /// The name service of the first core, for those of other cores: `interfaces::RootNames`.
    pub(crate) const NAMES: u64 = 1;
}

/// Kinds of lines that are no route's.
mod kind {
    /// The monitor is ready for all that others may ask.
    pub(super) const READY: u8 = 1;
}

type Service = Rc<dyn Fn(u64, Held)>;

/// What is shared by tasks, proxies and services.
pub(crate) struct Inner {
    core: u32,
    routes: RefCell<Box<Routes<Held, MAX_CORES, ROUTES, WINDOW>>>,
    proxies: RefCell<Proxies>,
    links: RefCell<[Option<Rc<Link>>; MAX_CORES]>,
    /// By number.
    services: RefCell<BTreeMap<u64, Service>>,
    opening: RefCell<BTreeMap<u64, Opening>>,
    next_token: Cell<u64>,
    /// Monitors that have said that they are ready, and who waits for one.
    ready: Cell<u32>,
    waiting: RefCell<Vec<Waker>>,
}

/// What has become of a request for a service of another core.
enum Opening {
    Asked(Option<Waker>),
    Answered(Option<Held>),
}

/// The monitor.
#[derive(Clone)]
pub(crate) struct Monitor(Rc<Inner>);

impl Monitor {
    /// The monitor of core `core`, without links.
    pub(crate) fn new(core: u32) -> Monitor {
        let inner = Rc::new_cyclic(|monitor| Inner {
            core,
            routes: RefCell::new(Box::new(Routes::new(CoreId(core as u8)))),
            proxies: RefCell::new(Proxies::new(monitor.clone())),
            links: RefCell::new([const { None }; MAX_CORES]),
            services: RefCell::default(),
            opening: RefCell::default(),
            next_token: Cell::new(0),
            ready: Cell::new(0),
            waiting: RefCell::default(),
        });
        Monitor(inner)
    }

    /// Begins to talk to the monitor of another core, in a frame for both that is all zero.
    ///
    /// # Errors
    /// Those of the runtime and of the kernel.
    pub(crate) fn link(&self, other: u32, frame: Cap<Frame>) -> Result<(), RtError> {
        let link = Rc::new(Link::new(self.0.core, other, frame)?);
        self.0.links.borrow_mut()[other as usize] = Some(link.clone());
        let monitor = self.0.clone();
        rt::spawn(async move { monitor.serve_link(other, &link).await });
        Ok(())
    }

    /// Tells another monitor that it may ask this one for anything.
    pub(crate) fn say_ready(&self, other: u32) {
        let packet = Packet { header: kind::READY.into(), words: [0; 7] };
        if let Some(link) = self.0.link(other) {
            // It is the first that is said there.
            link.send(&packet, None);
            link.wake();
        }
    }

    /// Waits until the monitor of a core has said that it is ready.
    pub(crate) async fn is_ready(&self, other: u32) {
        poll_fn(|context| {
            if self.0.ready.get() >> other & 1 != 0 {
                return Poll::Ready(());
            }
            self.0.waiting.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Offers a service to domains of other cores, by number. It is called with a domain's number and endpoint, and answers by
    /// [`Monitor::answer`] when it has connected that.
    pub(crate) fn offer(&self, number: u64, service: impl Fn(u64, Held) + 'static) {
        self.0.services.borrow_mut().insert(number, Rc::new(service));
    }

    /// What a service has connected with an endpoint that it was called with.
    pub(crate) fn answer(&self, endpoint: Held) {
        self.0.routes.borrow_mut().answered(&mut *self.0.proxies.borrow_mut(), endpoint);
        self.0.pump();
    }

    /// Asks for a service of another core, for a domain whose endpoint goes with it: what sends to the service.
    ///
    /// # Errors
    /// `NoService`; `Refused` when no route is free.
    pub(crate) async fn open(
        &self,
        core: u32,
        service: u64,
        domain: u64,
        endpoint: Held,
    ) -> Result<Cap<EndPoint>, RtError> {
        let token = self.0.next_token.replace(self.0.next_token.get() + 1);
        self.0.opening.borrow_mut().insert(token, Opening::Asked(None));
        let (to, what) = (CoreId(core as u8), (service, domain));
        let begun = {
            let proxies = &mut *self.0.proxies.borrow_mut();
            self.0.routes.borrow_mut().open(proxies, to, what, endpoint, token)
        };
        if let Err(endpoint) = begun {
            self.0.opening.borrow_mut().remove(&token);
            slots::discard(endpoint.0);
            return Err(RtError::Refused);
        }
        self.0.pump();
        let answer = poll_fn(|context| self.0.poll_opening(token, context.waker())).await;
        answer.map(|held| Cap::new(held.0)).ok_or(RtError::NoService)
    }
}

impl Inner {
    fn link(&self, core: u32) -> Option<Rc<Link>> {
        self.links.borrow().get(core as usize)?.clone()
    }

    fn service(&self, number: u64) -> Option<Service> {
        self.services.borrow().get(&number).cloned()
    }

    fn poll_opening(&self, token: u64, waker: &Waker) -> Poll<Option<Held>> {
        let mut opening = self.opening.borrow_mut();
        match opening.remove(&token) {
            Some(Opening::Answered(endpoint)) => Poll::Ready(endpoint),
            _ => {
                opening.insert(token, Opening::Asked(Some(waker.clone())));
                Poll::Pending
            }
        }
    }

    fn opened(&self, token: u64, endpoint: Option<Held>) {
        let former = self.opening.borrow_mut().insert(token, Opening::Answered(endpoint));
        if let Some(Opening::Asked(Some(waker))) = former {
            waker.wake();
        }
    }

    fn proxy_event(&self, proxy: routes::Proxy, event: ProxyEvent) {
        {
            let (routes, proxies) = (&mut *self.routes.borrow_mut(), &mut *self.proxies.borrow_mut());
            match event {
                ProxyEvent::Connected => routes.connected(proxy),
                ProxyEvent::Ready => routes.ready(proxies, proxy),
                ProxyEvent::Writable => routes.writable(proxies, proxy),
                ProxyEvent::PeerGone => routes.peer_gone(proxies, proxy),
                ProxyEvent::NoSenders => routes.no_senders(proxies, proxy),
            }
        }
        self.pump();
    }

    /// Does what is left over, and sends what can be sent to every other core.
    fn pump(&self) {
        while self.routes.borrow_mut().work(&mut *self.proxies.borrow_mut()) {}
        for core in 0..MAX_CORES as u32 {
            if let Some(link) = self.link(core) {
                self.pump_link(core, &link);
                link.wake();
            }
        }
    }

    /// Says whether something may be left, for which there is no room.
    fn pump_link(&self, core: u32, link: &Link) -> bool {
        while link.has_room() {
            let taken = {
                let proxies = &mut *self.proxies.borrow_mut();
                self.routes.borrow_mut().take(proxies, CoreId(core as u8))
            };
            let Some(message) = taken else { return false };
            let (first, second) = message.encode();
            link.send(&packet_of(&first), second.as_ref().map(packet_of).as_ref());
        }
        true
    }

    /// Takes in what another monitor sends, for ever.
    async fn serve_link(&self, core: u32, link: &Link) {
        let mut first = None;
        loop {
            let mut lines = 0;
            while lines < LINES_AT_ONCE
                && let Some(packet) = link.receive()
            {
                lines += 1;
                self.take_in(core, line_of(&packet), &mut first);
            }
            let more = self.pump_link(core, link);
            self.pump();
            if lines < LINES_AT_ONCE {
                link.wait(more).await;
            } else {
                rt::yield_now().await;
            }
        }
    }

    /// One line; the first of a message that has two waits in `kept`.
    fn take_in(&self, core: u32, line: Line, kept: &mut Option<Line>) {
        if let Some(first) = kept.take() {
            self.take_message(core, &first, Some(&line));
        } else if packet_follows(&line) {
            *kept = Some(line);
        } else if line[0] as u8 == kind::READY {
            self.ready.set(self.ready.get() | 1 << core);
            self.waiting.take().into_iter().for_each(Waker::wake);
        } else {
            self.take_message(core, &line, None);
        }
    }

    fn take_message(&self, core: u32, first: &Line, second: Option<&Line>) {
        let proxies = &mut *self.proxies.borrow_mut();
        self.routes.borrow_mut().receive(proxies, CoreId(core as u8), first, second);
    }
}

fn packet_of(line: &Line) -> Packet {
    let [header, words @ ..] = *line;
    Packet { header, words }
}

fn line_of(packet: &Packet) -> Line {
    let [a, b, c, d, e, f, g] = packet.words;
    [packet.header, a, b, c, d, e, f, g]
}
