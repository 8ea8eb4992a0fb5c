//! A core's part in a unit: what is frozen, and the one request that is unanswered.

use crate::{Facts, Finding, Held, Key, Refusal, Request, ToCore, ToHome, Verdict};

/// What a revocation has frozen on this core.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Frozen<K> {
    /// It and all its descendants.
    pub top: K,
    /// Whether this core is the revoker's, which keeps `top`.
    pub keeps_top: bool,
    /// Whether the deletions have begun.
    pub sweeping: bool,
}

/// The state of a core for a unit, beside its mapping database. Idle where the core has nothing to do with the unit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Holder<K> {
    /// What a revocation has frozen. Nothing frozen can be used; deleting goes on.
    pub frozen: Option<Frozen<K>>,
    /// The request that is unanswered. It pins its capability.
    pub pending: Option<Request<K>>,
    /// Nothing is held any more, and the home has not been told: the message waits until there is room for it.
    pub owes_gone: bool,
}

/// What happens to a holder. The first four are what domains do, by way of the kernel or the monitor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HolderEvent<K> {
    /// Make `new` of `src`, here.
    Retype {
        /// The source.
        src: K,
        /// What to make of it. That the types allow it is the caller's matter.
        new: K,
    },
    /// Delete the descendants of a capability, here: one step of that.
    Revoke(K),
    /// Delete the last copy on this core.
    Delete(K),
    /// Ask the home.
    Ask(Request<K>),
    /// A message of the home has arrived.
    Receive {
        /// The message.
        message: ToCore<K>,
        /// Whether there is somebody to take what is delivered.
        accepts: bool,
    },
    /// Go on with a sweep.
    SweepOn,
    /// There is room for [`ToHome::Gone`].
    SayGone,
    /// The home's core has stopped.
    HomeStopped,
}

/// What follows from an event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct HolderEffects<K> {
    /// To be sent to the home.
    pub send: Option<ToHome<K>>,
    /// The pending request has ended: the requester learns, the pin goes.
    pub outcome: Option<Verdict>,
    /// Deletions go on: [`HolderEvent::SweepOn`], or the same [`HolderEvent::Revoke`], has to follow.
    pub more: bool,
    /// The unit is cut here: [`Holder::cut`] has to follow at once, before any other event.
    pub cut: Option<u64>,
}

impl<K> HolderEffects<K> {
    const NONE: HolderEffects<K> = HolderEffects { send: None, outcome: None, more: false, cut: None };

    const fn send(message: ToHome<K>) -> HolderEffects<K> {
        HolderEffects { send: Some(message), ..HolderEffects::NONE }
    }
}

type Step<K> = Result<HolderEffects<K>, Refusal>;

impl<K: Key> Holder<K> {
    /// Nothing frozen, nothing asked, nothing owed.
    pub const IDLE: Holder<K> = Holder { frozen: None, pending: None, owes_gone: false };

    /// Takes one event.
    ///
    /// # Errors
    /// For what a domain asks: that it cannot be done, or not in this way. For messages and the monitor's own events
    /// [`Refusal::Nonsense`]. In both cases nothing has changed.
    pub fn step<H: Held<Key = K>>(&mut self, held: &mut H, event: HolderEvent<K>) -> Step<K> {
        match event {
            HolderEvent::Retype { src, new } => self.retype(held, src, new),
            HolderEvent::Revoke(top) => self.revoke(held, top),
            HolderEvent::Delete(key) => self.delete(held, key),
            HolderEvent::Ask(request) => self.ask(held, request),
            HolderEvent::Receive { message, accepts } => self.receive(held, message, accepts),
            HolderEvent::SweepOn => self.sweep_on(held),
            HolderEvent::SayGone => self.say_gone(),
            HolderEvent::HomeStopped => Ok(self.home_stopped()),
        }
    }

    /// What the guards look at.
    pub fn facts<H: Held<Key = K>>(&self, held: &H, key: K) -> Facts {
        Facts {
            held: held.holds(key),
            frozen: matches!(self.frozen, Some(frozen) if frozen.top.contains(&key)),
            exclusive: held.is_exclusive(key),
            busy: self.pending.is_some(),
        }
    }

    fn retype<H: Held<Key = K>>(&mut self, held: &mut H, src: K, new: K) -> Step<K> {
        self.facts(held, src).local()?;
        if !held.is_free(src, new) {
            return Err(Refusal::Conflict);
        }
        if !held.insert(new, true) {
            return Err(Refusal::NoRoom);
        }
        Ok(HolderEffects::NONE)
    }

    /// What is exclusive here has no descendant elsewhere. Between two steps others may go on: what they make of a descendant is
    /// found by the next step, and if they share it the guard stops the revocation, which then takes the home.
    fn revoke<H: Held<Key = K>>(&mut self, held: &mut H, top: K) -> Step<K> {
        self.facts(held, top).revoke()?;
        Ok(HolderEffects { more: !held.sweep(top, true), ..HolderEffects::NONE })
    }

    fn delete<H: Held<Key = K>>(&mut self, held: &mut H, key: K) -> Step<K> {
        if !held.holds(key) {
            return Err(Refusal::NotHeld);
        }
        if self.pins(key) {
            return Err(Refusal::Pinned);
        }
        held.remove(key);
        self.owes_gone |= held.is_empty();
        Ok(HolderEffects::NONE)
    }

    fn ask<H: Held<Key = K>>(&mut self, held: &mut H, request: Request<K>) -> Step<K> {
        let facts = self.facts(held, request.pinned());
        match request {
            Request::Send { key, .. } => {
                facts.send()?;
                held.share(key);
            }
            Request::Retype { src, new } => {
                facts.coordinated()?;
                if !held.is_free(src, new) {
                    return Err(Refusal::Conflict);
                }
            }
            Request::Revoke { .. } => facts.coordinated()?,
        }
        self.pending = Some(request);
        Ok(HolderEffects::send(ToHome::Request(request)))
    }

    fn receive<H: Held<Key = K>>(&mut self, held: &mut H, message: ToCore<K>, accepts: bool) -> Step<K> {
        match message {
            ToCore::Deliver { key, exclusive } => self.deliver(held, key, exclusive, accepts),
            ToCore::Check { src, new } => Ok(HolderEffects::send(ToHome::Checked(finding(held, src, new)))),
            ToCore::Mark { top, keeps_top } => self.mark(top, keeps_top),
            ToCore::Sweep => self.sweep(held),
            ToCore::Survey { at } => Ok(HolderEffects::send(ToHome::Surveyed { spanned: held.spans(at) })),
            ToCore::Cut { at } => self.begin_cut(held, at),
            ToCore::Done(verdict) => self.done(held, verdict),
        }
    }

    fn deliver<H: Held<Key = K>>(&mut self, held: &mut H, key: K, exclusive: bool, accepts: bool) -> Step<K> {
        if self.frozen.is_some() || (exclusive && !held.is_empty()) {
            return Err(Refusal::Nonsense);
        }
        let accepted = (accepts || exclusive) && held.insert(key, exclusive);
        let empty = held.is_empty();
        // If a `Gone` was due, this answer says it, or it is not true any more.
        self.owes_gone = false;
        Ok(HolderEffects::send(ToHome::Delivered { accepted, empty }))
    }

    fn mark(&mut self, top: K, keeps_top: bool) -> Step<K> {
        if self.frozen.is_some() {
            return Err(Refusal::Nonsense);
        }
        self.frozen = Some(Frozen { top, keeps_top, sweeping: false });
        Ok(HolderEffects::send(ToHome::Marked))
    }

    fn sweep<H: Held<Key = K>>(&mut self, held: &mut H) -> Step<K> {
        match &mut self.frozen {
            Some(frozen) if !frozen.sweeping => frozen.sweeping = true,
            _ => return Err(Refusal::Nonsense),
        }
        self.sweep_on(held)
    }

    fn sweep_on<H: Held<Key = K>>(&mut self, held: &mut H) -> Step<K> {
        let Some(Frozen { top, keeps_top, sweeping: true }) = self.frozen else {
            return Err(Refusal::Nonsense);
        };
        if !held.sweep(top, keeps_top) {
            return Ok(HolderEffects { more: true, ..HolderEffects::NONE });
        }
        self.frozen = None;
        // If a `Gone` was due, this answer says it.
        self.owes_gone = false;
        Ok(HolderEffects::send(ToHome::Swept { empty: held.is_empty() }))
    }

    fn begin_cut<H: Held<Key = K>>(&mut self, held: &mut H, at: u64) -> Step<K> {
        if self.frozen.is_some() || held.spans(at) {
            return Err(Refusal::Nonsense);
        }
        Ok(HolderEffects { cut: Some(at), ..HolderEffects::NONE })
    }

    /// Cuts the unit on this core, after [`HolderEffects::cut`] said so: this is the lower one from now on. Returns the holder
    /// of the upper one and the answer to send; `lower` and `upper` are what the core holds of the two.
    pub fn cut<H: Held<Key = K>>(&mut self, at: u64, lower: &H, upper: &H) -> (Holder<K>, ToHome<K>) {
        self.cut_knowing(at, lower.is_empty(), upper.is_empty())
    }

    /// [`Holder::cut`] for a caller that cannot look at both parts at once: whether the core holds nothing of each.
    pub fn cut_knowing(&mut self, at: u64, lower_empty: bool, upper_empty: bool) -> (Holder<K>, ToHome<K>) {
        let mut above = Holder::IDLE;
        if matches!(self.pending, Some(request) if request.pinned().is_above(at)) {
            above.pending = self.pending.take();
        }
        // If a `Gone` was due, this answer says it.
        self.owes_gone = false;
        (above, ToHome::IsCut { lower_empty, upper_empty })
    }

    fn done<H: Held<Key = K>>(&mut self, held: &mut H, verdict: Verdict) -> Step<K> {
        let request = self.pending.ok_or(Refusal::Nonsense)?;
        let mut outcome = verdict;
        match (request, verdict) {
            (_, Verdict::Failed) | (Request::Send { .. }, _) => {}
            // What belongs to an object ends with it on its core, a pin included.
            _ if !held.holds(request.pinned()) => outcome = Verdict::Failed,
            (Request::Retype { src, new }, _) => {
                if verdict == Verdict::GrantedAlone {
                    held.own(src);
                }
                // Others on this core may have used the time to make something of what is exclusive to it.
                if !(held.is_free(src, new) && held.insert(new, true)) {
                    outcome = Verdict::Failed;
                }
            }
            (Request::Revoke { top }, _) => held.own(top),
        }
        self.pending = None;
        Ok(HolderEffects { outcome: Some(outcome), ..HolderEffects::NONE })
    }

    fn say_gone(&mut self) -> Step<K> {
        if !self.owes_gone {
            return Err(Refusal::Nonsense);
        }
        self.owes_gone = false;
        Ok(HolderEffects::send(ToHome::Gone))
    }

    /// Nothing of the unit can be shared or revoked over cores any more. What is frozen stays so: whether the revocation was
    /// decided is unknown, and nobody may use what may have been revoked. What is exclusive stays usable.
    fn home_stopped(&mut self) -> HolderEffects<K> {
        self.owes_gone = false;
        let outcome = self.pending.take().map(|_| Verdict::Failed);
        HolderEffects { outcome, ..HolderEffects::NONE }
    }

    /// Whether the monitor's own copy keeps this capability here.
    pub fn pins(&self, key: K) -> bool {
        matches!(self.pending, Some(request) if request.pinned() == key)
    }
}

fn finding<H: Held>(held: &H, src: H::Key, new: H::Key) -> Finding {
    if !held.is_free(src, new) {
        Finding::Conflict
    } else if held.holds_inside(src) {
        Finding::Inside
    } else {
        Finding::Nothing
    }
}
