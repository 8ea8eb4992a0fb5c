//! This core as a holder of units: requests that are started, messages of homes, what comes of both.

use capops::{Holder, HolderEffects, HolderEvent, Refusal, Request, ToCore, Verdict};

use crate::monitor::Monitor;
use crate::wire::{Body, Message, WireKey};
use crate::{Ask, Copied, DomainId, Kernel, Taker, UnitId};

/// A unit in which something is frozen or asked on this core.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Busy<K> {
    pub(crate) holder: Holder<K>,
    /// Who asked what is unanswered.
    asked: Option<Asked<K>>,
}

#[derive(Clone, Copy, Debug)]
struct Asked<K> {
    ask: Ask<K>,
    /// The domain has ended: nobody is told.
    orphan: bool,
}

impl<K: WireKey> Busy<K> {
    const IDLE: Busy<K> = Busy { holder: Holder::IDLE, asked: None };

    fn is_idle(&self) -> bool {
        self.holder.frozen.is_none() && self.holder.pending.is_none()
    }
    /// Whether a sweep has to go on: whatever else happens in the unit between its steps.
    pub(crate) fn is_sweeping(&self) -> bool {
        self.holder.frozen.is_some_and(|frozen| frozen.sweeping)
    }
    fn place(&self) -> Option<u32> {
        self.asked.map(|asked| asked.ask.place)
    }
}

impl<
    K: WireKey,
    const N: usize,
    const HOMES: usize,
    const HOLDERS: usize,
    const CLIENTS: usize,
    const SHARE: usize,
    const OUT: usize,
> Monitor<K, N, HOMES, HOLDERS, CLIENTS, SHARE, OUT>
{
    /// Starts the request of the domain whose turn it is, or finds that it cannot be started yet.
    pub(crate) fn start_ask<M: Kernel<Key = K>>(&mut self, kernel: &mut M) -> bool {
        let Some((place, mut ask)) = self.clients.next() else {
            return false;
        };
        let found = kernel.pinned(ask.place);
        ask.unit = found.unwrap_or(ask.unit);
        let started = if !self.may_ask(&ask) {
            Err(Refusal::Stopped)
        } else if found.is_none() {
            // Others may hold copies, but this request has nothing any more that would stay until it ends.
            Err(Refusal::NotHeld)
        } else if self.credits[ask.unit.home.index()] == 0 {
            Err(Refusal::Busy)
        } else {
            self.holder_step(kernel, ask.unit, HolderEvent::Ask(ask.request), Some(ask))
        };
        match started {
            // Its unit has got another name meanwhile: it is looked at again.
            Err(Refusal::NotHeld) if kernel.pinned(ask.place).is_some_and(|unit| unit != ask.unit) => {}
            Ok(()) => {
                self.credits[ask.unit.home.index()] -= 1;
                self.clients.served(place);
            }
            Err(Refusal::Busy) => self.clients.block(place),
            Err(why) => {
                self.clients.served(place);
                kernel.discard(Copied::Pinned(ask.place));
                kernel.reply(ask.domain, ask.token, Err(why));
            }
        }
        true
    }

    /// Whether the cores that a request needs exist and run.
    fn may_ask(&self, ask: &Ask<K>) -> bool {
        let taker = match ask.request {
            Request::Send { to, .. } => to,
            Request::Retype { .. } | Request::Revoke { .. } => self.core,
        };
        [ask.unit.home, taker].iter().all(|core| core.index() < N && self.up.has(*core))
    }

    /// A message of a home.
    pub(crate) fn take_from_home<M: Kernel<Key = K>>(
        &mut self,
        kernel: &mut M,
        unit: UnitId,
        message: ToCore<K>,
        tag: u64,
    ) -> Result<(), Refusal> {
        let ToCore::Deliver { key, exclusive } = message else {
            let event = HolderEvent::Receive { message, accepts: false };
            return self.holder_step(kernel, unit, event, None);
        };
        let accepts = kernel.accepts(unit, key, tag);
        self.holder_step(kernel, unit, HolderEvent::Receive { message, accepts }, None)?;
        if accepts || exclusive {
            let fresh = Copied::Fresh { unit, key };
            if !(accepts && kernel.give(fresh, Taker::Tag(tag))) {
                kernel.discard(fresh);
            }
        }
        Ok(())
    }

    /// One event of this core's part in a unit, and all that follows from it. With [`HolderEvent::Ask`] comes who asks.
    pub(crate) fn holder_step<M: Kernel<Key = K>>(
        &mut self,
        kernel: &mut M,
        unit: UnitId,
        event: HolderEvent<K>,
        ask: Option<Ask<K>>,
    ) -> Result<(), Refusal> {
        let makes_sense = match event {
            HolderEvent::Ask(_) | HolderEvent::Receive { message: ToCore::Mark { .. }, .. } => {
                self.holders.fits(unit)
            }
            HolderEvent::Receive { message: ToCore::Cut { at }, .. } => unit.at(at).is_some(),
            _ => true,
        };
        if !makes_sense {
            return Err(Refusal::Nonsense);
        }
        let mut busy = self.holders.get(unit).copied().unwrap_or(Busy::IDLE);
        let place = ask.map(|ask| ask.place).or(busy.place());
        let effects = kernel.step(unit, &mut busy.holder, event, place)?;
        if let Some(ask) = ask {
            busy.asked = Some(Asked { ask, orphan: false });
        }
        let ended = if effects.outcome.is_some() { busy.asked.take() } else { None };
        self.keep(unit, busy);
        self.follow(kernel, unit, effects, ask);
        if let (Some(verdict), Some(asked)) = (effects.outcome, ended) {
            self.end(kernel, asked, verdict);
        }
        Ok(())
    }

    fn follow<M: Kernel<Key = K>>(
        &mut self,
        kernel: &mut M,
        unit: UnitId,
        effects: HolderEffects<K>,
        ask: Option<Ask<K>>,
    ) {
        if let Some(message) = effects.send {
            let tag = ask.map_or(0, |ask| if let Request::Send { .. } = ask.request { ask.tag } else { 0 });
            self.push(unit.home, Message { unit, body: Body::ToHome(message), tag });
        }
        if let Some(at) = effects.cut {
            self.cut_here(kernel, unit, at);
        }
    }

    /// Keeps the record of a unit as long as there is something to keep. What is owed the kernel remembers.
    fn keep(&mut self, unit: UnitId, mut busy: Busy<K>) {
        busy.holder.owes_gone = false;
        let before = self.holders.get(unit).copied().unwrap_or(Busy::IDLE);
        self.sweeping = self.sweeping + usize::from(busy.is_sweeping()) - usize::from(before.is_sweeping());
        if busy.is_idle() {
            self.holders.remove(unit);
        } else {
            let kept = self.holders.put(unit, busy);
            debug_assert!(kept, "there is room for what was let in");
        }
    }

    /// The unit is two units from now on.
    fn cut_here<M: Kernel<Key = K>>(&mut self, kernel: &mut M, unit: UnitId, at: u64) {
        let Some(upper) = unit.at(at) else {
            return;
        };
        let mut below = self.holders.get(unit).copied().unwrap_or(Busy::IDLE);
        let place = below.place();
        let (above, answer) = kernel.cut(unit, at, upper, &mut below.holder, place);
        let mut above = Busy { holder: above, ..Busy::IDLE };
        if above.holder.pending.is_some() {
            above.asked = below.asked.take();
            if let Some(asked) = &mut above.asked {
                asked.ask.unit = upper;
            }
        }
        self.keep(unit, below);
        self.keep(upper, above);
        self.clients.cut(unit, at, upper);
        self.push(unit.home, Message { unit, body: Body::ToHome(answer), tag: 0 });
    }

    /// A request has ended: its credit comes back, the pin goes, the domain gets what it asked for.
    fn end<M: Kernel<Key = K>>(&mut self, kernel: &mut M, asked: Asked<K>, verdict: Verdict) {
        let Asked { ask, orphan } = asked;
        self.credits[ask.unit.home.index()] += 1;
        debug_assert!(self.credits[ask.unit.home.index()] <= self.limits.credits, "credits come back once");
        self.clients.unblock(ask.unit.home);
        let pinned = Copied::Pinned(ask.place);
        let result = match ask.request {
            _ if verdict == Verdict::Failed => None,
            Request::Send { .. } => None,
            Request::Retype { new, .. } => Some(Copied::Fresh { unit: ask.unit, key: new }),
            Request::Revoke { .. } => Some(pinned),
        };
        let taker = Taker::Asker { domain: ask.domain, token: ask.token };
        let given = result.is_some_and(|copy| !orphan && kernel.give(copy, taker));
        let mut how = Ok(verdict);
        if let Some(copy) = result.filter(|_| !given && !orphan) {
            if copy == pinned {
                // What is revoked is revoked, and this may be the only copy of the top.
                kernel.leave(ask.place, ask.domain, ask.token);
            } else {
                how = Err(Refusal::NoRoom);
            }
        }
        if let Some(copy) = result.filter(|copy| !given && *copy != pinned) {
            kernel.discard(copy);
        }
        if orphan || result != Some(pinned) {
            kernel.discard(pinned);
        }
        if !orphan {
            kernel.reply(ask.domain, ask.token, how);
        }
    }

    /// The outcome of what this domain has asked is nobody's any more.
    pub(crate) fn forget_asker(&mut self, domain: DomainId) {
        for asked in self.holders.iter_mut().filter_map(|it| it.asked.as_mut()) {
            asked.orphan |= asked.ask.domain == domain;
        }
    }

    /// The home of a unit has stopped. What is frozen stays so: the kernel remembers it, here nothing is left to do.
    pub(crate) fn home_stopped<M: Kernel<Key = K>>(&mut self, kernel: &mut M, unit: UnitId) {
        let stepped = self.holder_step(kernel, unit, HolderEvent::HomeStopped, None);
        debug_assert!(stepped.is_ok(), "it can always be told");
        if let Some(busy) = self.holders.remove(unit) {
            self.sweeping -= usize::from(busy.is_sweeping());
        }
    }
}
