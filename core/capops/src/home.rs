//! The home's part in a unit: who shares it, which operation goes on, who waits.

use crate::{CoreId, CoreSet, Finding, Key, Refusal, Request, ToCore, ToHome, Verdict};

/// The operation that goes on: one at a time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Active<K> {
    /// None.
    Idle,
    /// The whole unit is on its way to its first holder.
    Allocate {
        /// Who gets it.
        to: CoreId,
    },
    /// A copy is on its way.
    Send {
        /// Who asked.
        by: CoreId,
        /// For whom it is.
        to: CoreId,
        /// What is sent.
        key: K,
    },
    /// The others are asked whether they hold something in the way.
    Check {
        /// Who asked.
        by: CoreId,
        /// The source.
        src: K,
        /// What is to be made of it.
        new: K,
        /// Who has not answered.
        wait: CoreSet,
        /// The least answer so far.
        least: Finding,
    },
    /// The sharers freeze what dies.
    Mark {
        /// Who asked.
        by: CoreId,
        /// What is revoked.
        top: K,
        /// Who has not answered.
        wait: CoreSet,
        /// All who were asked.
        marked: CoreSet,
    },
    /// It is decided: what is frozen is being deleted.
    Sweep {
        /// Who asked.
        by: CoreId,
        /// What is revoked.
        top: K,
        /// Who has not answered.
        wait: CoreSet,
    },
    /// The memory server wants to cut the unit: the sharers are asked whether a capability is in the way.
    Survey {
        /// Where.
        at: u64,
        /// Who has not answered.
        wait: CoreSet,
        /// Whether somebody holds one.
        spanned: bool,
    },
    /// The sharers cut it. None that spans the cut can appear any more: it would be made of one that does.
    Cut {
        /// Where.
        at: u64,
        /// Who has not answered.
        wait: CoreSet,
    },
    /// This is the upper part of a unit that is being cut.
    Split,
}

/// The state of a unit at its home, on a machine of `N` cores.
///
/// A unit without an operation is told by `live`, `zeroed` and `sharers` alone: the rest of it can be dropped and made again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Home<K, const N: usize> {
    /// Whether it is handed out.
    pub live: bool,
    /// Whether its memory is zero, while it is not handed out.
    pub zeroed: bool,
    /// The cores that hold something of it, or are about to.
    pub sharers: CoreSet,
    /// The cores that run.
    pub up: CoreSet,
    /// The operation that goes on.
    pub active: Active<K>,
    /// The request of each core that waits for its turn.
    pub waiting: [Option<Request<K>>; N],
}

/// What happens to a unit at its home.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HomeEvent<K> {
    /// A message has arrived.
    Receive {
        /// Whose.
        from: CoreId,
        /// The message.
        message: ToHome<K>,
    },
    /// Begin with the request of this core. [`Home::next_waiting`] says whose turn it is.
    Start(CoreId),
    /// The memory of the free unit is zero.
    Zeroed,
    /// Hand the unit out.
    Allocate {
        /// To which core.
        to: CoreId,
        /// The capability of the whole.
        root: K,
    },
    /// The memory server asks to have the unit cut.
    Cut {
        /// First address of the upper part.
        at: u64,
    },
    /// A core has stopped, for good: it does nothing any more, and what it sent is to be thrown away.
    Stopped(CoreId),
}

/// What follows from an event: at most two messages, each to some cores, in this order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct HomeEffects<K> {
    /// To whom, and what.
    pub sends: [Option<(CoreSet, ToCore<K>)>; 2],
    /// Nobody holds anything of the unit any more: it is the memory server's again.
    pub reclaimed: bool,
    /// The cut is decided: [`Home::split`] has to follow at once, before any other event.
    pub splits: bool,
    /// The cut is done: [`Home::part`] has to follow at once, before any other event.
    pub parts: bool,
    /// The answer to [`HomeEvent::Cut`] is no: a capability is in the way.
    pub spanned: bool,
}

impl<K> HomeEffects<K> {
    const NONE: HomeEffects<K> =
        HomeEffects { sends: [None, None], reclaimed: false, splits: false, parts: false, spanned: false };
}

impl<K: Copy> HomeEffects<K> {
    fn send(&mut self, to: CoreSet, message: ToCore<K>) {
        if to.is_empty() {
            return;
        }
        let free = self.sends.iter_mut().find(|send| send.is_none());
        debug_assert!(free.is_some(), "an event sends at most two messages");
        if let Some(free) = free {
            *free = Some((to, message));
        }
    }
}

impl<K: Key, const N: usize> Home<K, N> {
    /// A free unit whose memory has not been zeroed.
    pub const fn new(up: CoreSet) -> Home<K, N> {
        Home {
            live: false,
            zeroed: false,
            sharers: CoreSet::NONE,
            up,
            active: Active::Idle,
            waiting: [None; N],
        }
    }

    /// Takes one event.
    ///
    /// # Errors
    /// [`Refusal::Nonsense`] for a message or event that does not belong here, [`Refusal::Stopped`] for one that comes from
    /// or concerns a core that does not run, [`Refusal::Busy`] for a cut while another operation goes on. Nothing has
    /// changed.
    pub fn step(&mut self, event: HomeEvent<K>) -> Result<HomeEffects<K>, Refusal> {
        let mut effects = HomeEffects::NONE;
        match event {
            HomeEvent::Receive { from, message } => {
                self.require_up(from)?;
                self.receive(from, message, &mut effects)?;
            }
            HomeEvent::Start(core) => self.start(core, &mut effects)?,
            HomeEvent::Zeroed if !self.live => self.zeroed = true,
            HomeEvent::Zeroed => return Err(Refusal::Nonsense),
            HomeEvent::Allocate { to, root } => self.allocate(to, root, &mut effects)?,
            HomeEvent::Cut { at } => self.survey(at, &mut effects)?,
            HomeEvent::Stopped(core) => self.stopped(core, &mut effects)?,
        }
        for (to, _) in effects.sends.iter_mut().flatten() {
            *to = to.and(self.up);
        }
        self.reclaim(&mut effects);
        Ok(effects)
    }

    /// Whose request comes next, if one can be begun: the first core behind `last`, in a circle, that has one. Taking them in
    /// turn is what keeps a core from starving.
    pub fn next_waiting(&self, last: CoreId) -> Option<CoreId> {
        if self.active != Active::Idle {
            return None;
        }
        let turn = |i: usize| (last.index() + 1 + i) % N;
        (0..N).map(turn).find(|&core| self.waiting[core].is_some()).map(|core| CoreId(core as u8))
    }

    /// Whether nothing goes on and nobody waits: only `live`, `zeroed` and `sharers` matter.
    pub fn is_quiet(&self) -> bool {
        self.active == Active::Idle && self.waiting.iter().all(Option::is_none)
    }

    fn require_up(&self, core: CoreId) -> Result<(), Refusal> {
        if core.index() >= N {
            return Err(Refusal::Nonsense);
        }
        if self.up.has(core) { Ok(()) } else { Err(Refusal::Stopped) }
    }

    fn allocate(&mut self, to: CoreId, root: K, effects: &mut HomeEffects<K>) -> Result<(), Refusal> {
        self.require_up(to)?;
        if self.live || !self.zeroed || !self.is_quiet() {
            return Err(Refusal::Nonsense);
        }
        (self.live, self.zeroed, self.sharers) = (true, false, CoreSet::only(to));
        self.active = Active::Allocate { to };
        effects.send(CoreSet::only(to), ToCore::Deliver { key: root, exclusive: true });
        Ok(())
    }

    fn start(&mut self, by: CoreId, effects: &mut HomeEffects<K>) -> Result<(), Refusal> {
        self.require_up(by)?;
        if self.active != Active::Idle {
            return Err(Refusal::Nonsense);
        }
        match self.waiting[by.index()].take().ok_or(Refusal::Nonsense)? {
            Request::Send { key, to } => self.start_send(by, key, to, effects),
            Request::Retype { src, new } => self.start_check(by, src, new, effects),
            Request::Revoke { top } => self.start_mark(by, top, effects),
        }
        Ok(())
    }

    fn start_send(&mut self, by: CoreId, key: K, to: CoreId, effects: &mut HomeEffects<K>) {
        if self.require_up(to).is_err() {
            return effects.send(CoreSet::only(by), ToCore::Done(Verdict::Failed));
        }
        self.sharers = self.sharers.with(to);
        self.active = Active::Send { by, to, key };
        effects.send(CoreSet::only(to), ToCore::Deliver { key, exclusive: false });
    }

    fn start_check(&mut self, by: CoreId, src: K, new: K, effects: &mut HomeEffects<K>) {
        let wait = self.sharers.without(by);
        self.active = Active::Check { by, src, new, wait, least: Finding::Nothing };
        effects.send(wait, ToCore::Check { src, new });
        self.finish_check(effects);
    }

    fn start_mark(&mut self, by: CoreId, top: K, effects: &mut HomeEffects<K>) {
        let marked = self.sharers;
        self.active = Active::Mark { by, top, wait: marked, marked };
        effects.send(marked.and(CoreSet::only(by)), ToCore::Mark { top, keeps_top: true });
        effects.send(marked.without(by), ToCore::Mark { top, keeps_top: false });
        self.commit(effects);
    }

    fn receive(
        &mut self,
        from: CoreId,
        message: ToHome<K>,
        effects: &mut HomeEffects<K>,
    ) -> Result<(), Refusal> {
        match message {
            ToHome::Request(request) => {
                let place = &mut self.waiting[from.index()];
                if !self.sharers.has(from) || place.is_some() {
                    return Err(Refusal::Nonsense);
                }
                *place = Some(request);
            }
            ToHome::Gone if !self.live => return Err(Refusal::Nonsense),
            ToHome::Gone => {
                // What is on its way will be answered, and the answer tells.
                if !self.is_delivering(from) {
                    self.sharers = self.sharers.without(from);
                }
            }
            ToHome::Delivered { accepted, empty } => self.delivered(from, accepted, empty, effects)?,
            ToHome::Checked(finding) => self.checked(from, finding, effects)?,
            ToHome::Marked => self.marked(from, effects)?,
            ToHome::Swept { empty } => self.swept(from, empty, effects)?,
            ToHome::Surveyed { spanned } => self.surveyed(from, spanned, effects)?,
            ToHome::IsCut { lower_empty, .. } => self.is_cut(from, lower_empty, effects)?,
        }
        Ok(())
    }

    fn is_delivering(&self, core: CoreId) -> bool {
        matches!(self.active, Active::Send { to, .. } | Active::Allocate { to } if to == core)
    }

    fn delivered(
        &mut self,
        from: CoreId,
        accepted: bool,
        empty: bool,
        effects: &mut HomeEffects<K>,
    ) -> Result<(), Refusal> {
        if !self.is_delivering(from) {
            return Err(Refusal::Nonsense);
        }
        if empty {
            self.sharers = self.sharers.without(from);
        }
        if let Active::Send { by, .. } = self.active {
            let verdict = if accepted { Verdict::Granted } else { Verdict::Failed };
            effects.send(CoreSet::only(by), ToCore::Done(verdict));
        }
        self.active = Active::Idle;
        Ok(())
    }

    fn checked(
        &mut self,
        from: CoreId,
        finding: Finding,
        effects: &mut HomeEffects<K>,
    ) -> Result<(), Refusal> {
        match &mut self.active {
            Active::Check { wait, least, .. } if wait.has(from) => {
                *wait = wait.without(from);
                *least = finding.min(*least);
            }
            _ => return Err(Refusal::Nonsense),
        }
        self.finish_check(effects);
        Ok(())
    }

    fn finish_check(&mut self, effects: &mut HomeEffects<K>) {
        let Active::Check { by, wait: CoreSet::NONE, least, .. } = self.active else {
            return;
        };
        let verdict = match least {
            Finding::Conflict => Verdict::Failed,
            Finding::Inside => Verdict::Granted,
            Finding::Nothing => Verdict::GrantedAlone,
        };
        self.active = Active::Idle;
        effects.send(CoreSet::only(by), ToCore::Done(verdict));
    }

    fn marked(&mut self, from: CoreId, effects: &mut HomeEffects<K>) -> Result<(), Refusal> {
        match &mut self.active {
            Active::Mark { wait, .. } if wait.has(from) => *wait = wait.without(from),
            _ => return Err(Refusal::Nonsense),
        }
        self.commit(effects);
        Ok(())
    }

    /// The revocation is decided when all have frozen what dies: what they had asked before is here by now, in order, and
    /// nothing more can come.
    fn commit(&mut self, effects: &mut HomeEffects<K>) {
        let Active::Mark { by, top, wait: CoreSet::NONE, marked } = self.active else {
            return;
        };
        let mut cancelled = CoreSet::NONE;
        for (core, place) in self.waiting.iter_mut().enumerate() {
            if matches!(place, Some(request) if top.contains(&request.pinned())) {
                *place = None;
                cancelled = cancelled.with(CoreId(core as u8));
            }
        }
        effects.send(cancelled, ToCore::Done(Verdict::Failed));
        self.active = Active::Sweep { by, top, wait: marked };
        // Those who share it now may be fewer than those who froze it.
        effects.send(marked, ToCore::Sweep);
        self.finish_sweep(effects);
    }

    fn swept(&mut self, from: CoreId, empty: bool, effects: &mut HomeEffects<K>) -> Result<(), Refusal> {
        match &mut self.active {
            Active::Sweep { wait, .. } if wait.has(from) => *wait = wait.without(from),
            _ => return Err(Refusal::Nonsense),
        }
        if empty {
            self.sharers = self.sharers.without(from);
        }
        self.finish_sweep(effects);
        Ok(())
    }

    fn finish_sweep(&mut self, effects: &mut HomeEffects<K>) {
        if let Active::Sweep { by, wait: CoreSet::NONE, .. } = self.active {
            self.active = Active::Idle;
            effects.send(CoreSet::only(by), ToCore::Done(Verdict::Granted));
        }
    }

    fn survey(&mut self, at: u64, effects: &mut HomeEffects<K>) -> Result<(), Refusal> {
        if !self.live {
            return Err(Refusal::Nonsense);
        }
        if self.active != Active::Idle {
            return Err(Refusal::Busy);
        }
        self.active = Active::Survey { at, wait: self.sharers, spanned: false };
        effects.send(self.sharers, ToCore::Survey { at });
        self.decide_cut(effects);
        Ok(())
    }

    fn surveyed(&mut self, from: CoreId, found: bool, effects: &mut HomeEffects<K>) -> Result<(), Refusal> {
        match &mut self.active {
            Active::Survey { wait, spanned, .. } if wait.has(from) => {
                *wait = wait.without(from);
                *spanned |= found;
            }
            _ => return Err(Refusal::Nonsense),
        }
        self.decide_cut(effects);
        Ok(())
    }

    fn decide_cut(&mut self, effects: &mut HomeEffects<K>) {
        let Active::Survey { at, wait: CoreSet::NONE, spanned } = self.active else {
            return;
        };
        if spanned {
            self.active = Active::Idle;
            effects.spanned = true;
            return;
        }
        self.active = Active::Cut { at, wait: self.sharers };
        effects.splits = true;
        effects.send(self.sharers, ToCore::Cut { at });
        effects.parts = self.sharers.is_empty();
    }

    /// Makes the upper part, after [`HomeEffects::splits`] said so. Until [`Home::part`] it takes messages, but begins nothing.
    pub fn split(&self) -> Home<K, N> {
        Home { active: Active::Split, waiting: [None; N], ..*self }
    }

    /// [`Home::upper_is_cut`] has to follow at once: from here on the core may ask about both parts.
    fn is_cut(
        &mut self,
        from: CoreId,
        lower_empty: bool,
        effects: &mut HomeEffects<K>,
    ) -> Result<(), Refusal> {
        let Active::Cut { wait, .. } = &mut self.active else {
            return Err(Refusal::Nonsense);
        };
        if !wait.has(from) {
            return Err(Refusal::Nonsense);
        }
        *wait = wait.without(from);
        effects.parts = wait.is_empty();
        if lower_empty {
            self.sharers = self.sharers.without(from);
        }
        Ok(())
    }

    /// Takes a core's [`ToHome::IsCut`] to the upper part, which this is, as soon as the lower one has taken it. The request of the
    /// core goes along, if it is about this part: it is the last one that came from before the cut, and from now on the core may
    /// have one unanswered in each part.
    pub fn upper_is_cut(&mut self, lower: &mut Home<K, N>, from: CoreId, upper_empty: bool) {
        let Active::Cut { at, .. } = lower.active else {
            return;
        };
        if upper_empty {
            self.sharers = self.sharers.without(from);
        }
        let place = &mut lower.waiting[from.index()];
        if matches!(place, Some(request) if request.pinned().is_above(at)) {
            debug_assert!(self.waiting[from.index()].is_none(), "a core has one request a unit");
            self.waiting[from.index()] = place.take();
        }
    }

    /// Ends a cut, after [`HomeEffects::parts`] said so: each part is on its own. Says of the lower and the upper one whether it is
    /// the memory server's again.
    pub fn part(&mut self, upper: &mut Home<K, N>) -> [bool; 2] {
        [self, upper].map(|home| {
            home.active = Active::Idle;
            let mut effects = HomeEffects::NONE;
            home.reclaim(&mut effects);
            effects.reclaimed
        })
    }

    /// What it would have been asked it answers by silence: it holds nothing, and takes nothing.
    fn stopped(&mut self, core: CoreId, effects: &mut HomeEffects<K>) -> Result<(), Refusal> {
        self.require_up(core)?;
        self.up = self.up.without(core);
        self.sharers = self.sharers.without(core);
        self.waiting[core.index()] = None;
        match &mut self.active {
            Active::Idle | Active::Split => {}
            Active::Allocate { to } if *to == core => self.active = Active::Idle,
            Active::Send { by, to, .. } if *to == core => {
                effects.send(CoreSet::only(*by), ToCore::Done(Verdict::Failed));
                self.active = Active::Idle;
            }
            Active::Allocate { .. } | Active::Send { .. } => {}
            Active::Check { wait, .. } => {
                *wait = wait.without(core);
                self.finish_check(effects);
            }
            Active::Mark { wait, marked, .. } => {
                (*wait, *marked) = (wait.without(core), marked.without(core));
                self.commit(effects);
            }
            Active::Sweep { wait, .. } => {
                *wait = wait.without(core);
                self.finish_sweep(effects);
            }
            Active::Survey { wait, .. } => {
                *wait = wait.without(core);
                self.decide_cut(effects);
            }
            Active::Cut { wait, .. } => {
                *wait = wait.without(core);
                effects.parts = wait.is_empty();
            }
        }
        Ok(())
    }

    /// A unit that nobody shares, and about which nothing goes on, is free again.
    fn reclaim(&mut self, effects: &mut HomeEffects<K>) {
        if self.live && self.sharers.is_empty() && self.is_quiet() {
            self.live = false;
            effects.reclaimed = true;
        }
    }
}
