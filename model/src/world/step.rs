//! Taking a step: the protocol's own code, and what lies around it.

use std::collections::VecDeque;

use capops::{Active, CoreId, CoreSet, Holder, HolderEvent, HomeEvent, Request, ToCore, ToHome, Verdict};

use super::{Action, Bug, Cap, Channel, Content, Holding, State, Unit, View, World, is_refused, violation};
use crate::system::Violation;

type Outcome = Result<(), Violation>;

/// What the home's core and the home say to each other within a step.
enum Inline {
    ToHome(ToHome<Cap>),
    ToCore(ToCore<Cap>),
}

/// What is left to do within a step: messages that arrive at once.
struct Rest {
    inline: VecDeque<(usize, Inline)>,
    accepts: bool,
}

impl<const N: usize> World<N> {
    pub(super) fn apply(&self, state: &mut State<N>, action: Action) -> Outcome {
        let mut rest = Rest { inline: VecDeque::new(), accepts: true };
        self.begin(state, action, &mut rest)?;
        while let Some((unit, message)) = rest.inline.pop_front() {
            let core = self.home_of(unit);
            match message {
                Inline::ToHome(message) => {
                    self.home_step(state, unit, HomeEvent::Receive { from: core, message }, &mut rest)?;
                }
                Inline::ToCore(message) => {
                    let accepts = rest.accepts;
                    self.holder_step(
                        state,
                        unit,
                        core,
                        HolderEvent::Receive { message, accepts },
                        &mut rest,
                    )?;
                }
            }
        }
        Ok(())
    }

    fn begin(&self, state: &mut State<N>, action: Action, rest: &mut Rest) -> Outcome {
        match action {
            Action::Zero { unit } => {
                self.home_step(state, unit, HomeEvent::Zeroed, rest)?;
                state.units[unit].dirty = false;
            }
            Action::Allocate { unit, to } => {
                let root = self.root(state, unit);
                let home = &mut state.units[unit].home;
                home.zeroed |= self.config.bug == Some(Bug::NotZeroed);
                self.home_step(state, unit, HomeEvent::Allocate { to, root }, rest)?;
            }
            Action::Cut => {
                self.home_step(state, 0, HomeEvent::Cut { at: self.config.cut as u64 }, rest)?;
            }
            Action::User { unit, core, event } => self.user(state, unit, core, event, rest)?,
            Action::Down { unit, core, accepts } => {
                if let Some(message) = state.units[unit].down[core.index()].pop() {
                    self.holder_step(state, unit, core, HolderEvent::Receive { message, accepts }, rest)?;
                }
            }
            Action::Up { unit, core } => {
                if let Some(message) = state.units[unit].up[core.index()].pop() {
                    self.home_step(state, unit, HomeEvent::Receive { from: core, message }, rest)?;
                }
            }
            Action::Start { unit, core, accepts } => {
                rest.accepts = accepts;
                self.home_step(state, unit, HomeEvent::Start(core), rest)?;
            }
            Action::SweepOn { unit, core } => {
                self.holder_step(state, unit, core, HolderEvent::SweepOn, rest)?;
            }
            Action::SayGone { unit, core } => {
                self.holder_step(state, unit, core, HolderEvent::SayGone, rest)?;
            }
            Action::Store { core, object, cap } => {
                state.content = Some(Content { core, object, cap, only: false, dying: false });
            }
            Action::DeleteOutside => self.change_content(state, |content| content.only = true),
            Action::Bury => self.change_content(state, |content| content.dying = true),
            Action::Reap => self.reap(state, rest)?,
            Action::Stop { core } => self.stop(state, core),
            Action::Notice { core } => self.notice(state, core, rest)?,
        }
        Ok(())
    }

    fn change_content(&self, state: &mut State<N>, change: impl Fn(&mut Content)) {
        if let Some(content) = &mut state.content {
            change(content);
        }
    }

    /// What a core holds, as the protocol sees it.
    pub fn view<'a>(&self, holding: &'a mut Holding) -> View<'a> {
        let bug = self.config.bug.filter(|bug| matches!(bug, Bug::ShareItselfOnly | Bug::OnlyInside));
        View { holding, stepped: self.config.stepped, marks_inside: self.config.marks_inside, bug }
    }

    /// A domain's step; some mistakes are to go past the guards.
    fn user(
        &self,
        state: &mut State<N>,
        u: usize,
        core: CoreId,
        event: HolderEvent<Cap>,
        rest: &mut Rest,
    ) -> Outcome {
        let k = core.index();
        let unit = &mut state.units[u];
        match (self.config.bug, event) {
            (Some(Bug::RetypeShared), HolderEvent::Retype { src, .. }) => {
                let shared = src.bit() & !unit.held[k].exclusive;
                unit.held[k].exclusive |= shared;
                self.holder_step(state, u, core, event, rest)?;
                state.units[u].held[k].exclusive &= !shared;
                Ok(())
            }
            (Some(Bug::UseFrozen), _) => {
                let frozen = unit.holders[k].frozen.take();
                self.holder_step(state, u, core, event, rest)?;
                state.units[u].holders[k].frozen = frozen;
                Ok(())
            }
            (Some(Bug::DeletePinned), HolderEvent::Delete(_)) => {
                let pending = unit.holders[k].pending.take();
                self.holder_step(state, u, core, event, rest)?;
                state.units[u].holders[k].pending = pending;
                Ok(())
            }
            _ => self.holder_step(state, u, core, event, rest),
        }
    }

    /// A step of the protocol at a core, checked against what it may do to the capabilities of the whole system.
    fn holder_step(
        &self,
        state: &mut State<N>,
        u: usize,
        core: CoreId,
        event: HolderEvent<Cap>,
        rest: &mut Rest,
    ) -> Outcome {
        let k = core.index();
        if self.cascade(state, u, core, event, rest)? {
            return Ok(());
        }
        let before = self.abstraction(state);
        let unit = &mut state.units[u];
        let holder = unit.holders[k];
        let mut view = self.view(&mut unit.held[k]);
        if matches!(event, HolderEvent::Receive { message: ToCore::Done(_), .. }) {
            view.bug = self.config.bug;
        }
        let effects = unit.holders[k].step(&mut view, event).map_err(|refusal| {
            violation("sense", format!("core {} refuses {event:?}: {refusal:?}", core.0))
        })?;
        let (mut send, mut more) = (effects.send, effects.more);
        if self.config.bug == Some(Bug::SweptEarly) && more && unit.holders[k].frozen.is_some() {
            unit.holders[k].frozen = None;
            (send, more) = (Some(ToHome::Swept { empty: false }), false);
        }
        if self.config.bug == Some(Bug::GoneTwice) && unit.held[k].have == 0 {
            unit.holders[k].owes_gone |= holder.owes_gone && !matches!(event, HolderEvent::SayGone);
        }
        unit.dirty |= unit.held[k].have != 0;
        let _ = more;
        if let Some(at) = effects.cut {
            send = Some(cut_here(state, k, at));
        }
        self.check_holder(state, &before, u, core, event, &holder, effects.outcome, effects.more)?;
        self.forget_content(state, rest)?;
        if let Some(message) = send {
            self.tell_home(state, u, core, message, rest)?;
        }
        if !self.config.owed && state.units[u].holders[k].owes_gone {
            return self.holder_step(state, u, core, HolderEvent::SayGone, rest);
        }
        Ok(())
    }

    fn tell_home(
        &self,
        state: &mut State<N>,
        u: usize,
        core: CoreId,
        message: ToHome<Cap>,
        rest: &mut Rest,
    ) -> Outcome {
        if self.is_inline(u, core) {
            rest.inline.push_back((u, Inline::ToHome(message)));
            return Ok(());
        }
        state.units[u].up[core.index()].push(message)
    }

    /// A step of the protocol at the home.
    fn home_step(&self, state: &mut State<N>, u: usize, event: HomeEvent<Cap>, rest: &mut Rest) -> Outcome {
        let before = self.abstraction(state);
        let old = state.units[u].home;
        let event = self.mistaken(&mut state.units[u], event);
        let home = &mut state.units[u].home;
        let mut effects = home
            .step(event)
            .map_err(|refusal| violation("sense", format!("the home refuses {event:?}: {refusal:?}")))?;
        self.mistake_after(&mut state.units[u], &old, event, &mut effects.sends);
        if let HomeEvent::Receive { from, message: ToHome::IsCut { upper_empty, .. } } = event {
            let [lower, upper] = &mut state.units;
            let waiting = (lower.home.waiting, upper.home.waiting);
            upper.home.upper_is_cut(&mut lower.home, from, upper_empty);
            if self.config.bug == Some(Bug::CutForgets) {
                (lower.home.waiting, upper.home.waiting) = waiting;
            }
        }
        if effects.splits {
            state.units[1] =
                Unit { home: state.units[0].home.split(), dirty: state.units[0].dirty, ..Unit::new() };
            state.is_cut = true;
        }
        let mut reclaimed = [false; 2];
        reclaimed[u] = effects.reclaimed;
        if effects.parts {
            let [lower, upper] = &mut state.units;
            reclaimed = lower.home.part(&mut upper.home);
        }
        self.check_home(state, &before, u, &old, event)?;
        for (unit, _) in reclaimed.iter().enumerate().filter(|(_, reclaimed)| **reclaimed) {
            self.reclaimed(state, unit)?;
        }
        for (to, message) in effects.sends.into_iter().flatten() {
            for core in to.iter() {
                if self.is_inline(u, core) {
                    rest.inline.push_back((u, Inline::ToCore(message)));
                } else {
                    state.units[u].down[core.index()].push(message)?;
                }
            }
        }
        Ok(())
    }

    /// A unit is the memory server's again; two neighbours that are become one.
    fn reclaimed(&self, state: &mut State<N>, u: usize) -> Outcome {
        let unit = &mut state.units[u];
        if unit.held.iter().any(|held| held.have != 0) {
            return Err(violation("I6", "the unit comes back while a core holds something of it"));
        }
        if !self.config.zeroing {
            (unit.home.zeroed, unit.dirty) = (true, false);
        }
        if state.is_cut && state.units.iter().all(|unit| !unit.home.live) {
            let upper = state.units[1];
            state.units[0].home.zeroed &= upper.home.zeroed;
            state.units[0].dirty |= upper.dirty;
            state.units[1] = Unit::new();
            state.units[1].home.zeroed = true;
            state.is_cut = false;
        }
        Ok(())
    }

    /// Before a sweep or local revocation deletes an object, what lies in it goes: the object dies in one step, and is emptied
    /// in the next. Says whether that was this step.
    fn cascade(
        &self,
        state: &mut State<N>,
        u: usize,
        core: CoreId,
        event: HolderEvent<Cap>,
        rest: &mut Rest,
    ) -> Result<bool, Violation> {
        let Some(content) = state.content else { return Ok(false) };
        if u != 0 || content.core != core {
            return Ok(false);
        }
        let top = match (event, state.units[0].holders[core.index()].frozen) {
            (HolderEvent::Revoke(top), _) => top,
            (HolderEvent::SweepOn, Some(frozen)) => frozen.top,
            (HolderEvent::Receive { message: ToCore::Sweep, .. }, Some(frozen)) => frozen.top,
            _ => return Ok(false),
        };
        if top.inside() & content.object.bit() == 0 {
            return Ok(false);
        }
        let first = matches!(event, HolderEvent::Receive { .. });
        if self.config.stepped && !content.dying {
            self.change_content(state, |content| content.dying = true);
            if first && let Some(frozen) = &mut state.units[0].holders[core.index()].frozen {
                frozen.sweeping = true;
            }
            return Ok(true);
        }
        self.empty_object(state, content, rest)?;
        Ok(self.config.stepped && !first)
    }

    /// Deletes what lies in an object.
    fn empty_object(&self, state: &mut State<N>, content: Content, rest: &mut Rest) -> Outcome {
        state.content = None;
        let pinned = state.units[1].holders[content.core.index()].pins(content.cap);
        if content.only && !pinned {
            self.holder_step(state, 1, content.core, HolderEvent::Delete(content.cap), rest)?;
        }
        Ok(())
    }

    fn reap(&self, state: &mut State<N>, rest: &mut Rest) -> Outcome {
        let Some(content) = state.content else { return Ok(()) };
        self.empty_object(state, content, rest)?;
        self.holder_step(state, 0, content.core, HolderEvent::Delete(content.object), rest)
    }

    /// What was in an object may have been swept.
    fn forget_content(&self, state: &mut State<N>, rest: &mut Rest) -> Outcome {
        let Some(content) = state.content else { return Ok(()) };
        let k = content.core.index();
        if state.units[1].held[k].have & content.cap.bit() != 0 {
            return Ok(());
        }
        state.content = None;
        if content.dying && state.units[0].held[k].have & content.object.bit() != 0 {
            return self.holder_step(state, 0, content.core, HolderEvent::Delete(content.object), rest);
        }
        Ok(())
    }

    /// What a core that has stopped held is out of everybody's reach.
    fn stop(&self, state: &mut State<N>, core: CoreId) {
        state.stopped = Some(core);
        for unit in &mut state.units {
            unit.held[core.index()] = Holding::default();
            unit.holders[core.index()] = Holder::IDLE;
        }
        if matches!(state.content, Some(content) if content.core == core) {
            state.content = None;
        }
    }

    fn notice(&self, state: &mut State<N>, core: CoreId, rest: &mut Rest) -> Outcome {
        state.bereaved = state.bereaved.with(core);
        let home_runs = state.stopped == Some(core);
        for u in (0..self.unit_count(state)).rev() {
            let unit = &mut state.units[u];
            unit.up[core.index()] = Channel::EMPTY;
            unit.down[core.index()] = Channel::EMPTY;
            if !home_runs {
                self.holder_step(state, u, core, HolderEvent::HomeStopped, rest)?;
            } else if self.config.bug != Some(Bug::StoppedShares) {
                self.home_step(state, u, HomeEvent::Stopped(core), rest)?;
            }
        }
        Ok(())
    }

    /// Mistakes in how the home is called.
    fn mistaken(&self, unit: &mut Unit<N>, event: HomeEvent<Cap>) -> HomeEvent<Cap> {
        let home = &mut unit.home;
        match (self.config.bug, event) {
            (Some(Bug::GoneDespiteDelivery), HomeEvent::Receive { from, message: ToHome::Gone }) => {
                home.sharers = home.sharers.without(from);
            }
            (
                Some(Bug::ForgetEmpty),
                HomeEvent::Receive { from, message: ToHome::Delivered { accepted, .. } },
            ) => {
                let message = ToHome::Delivered { accepted, empty: false };
                return HomeEvent::Receive { from, message };
            }
            (Some(Bug::CommitEarly), HomeEvent::Receive { from, message: ToHome::Marked }) => {
                if let Active::Mark { wait, .. } = &mut home.active {
                    *wait = wait.and(CoreSet::only(from));
                }
            }
            (Some(Bug::CutBlind), HomeEvent::Receive { from, message: ToHome::Surveyed { .. } }) => {
                return HomeEvent::Receive { from, message: ToHome::Surveyed { spanned: false } };
            }
            _ => {}
        }
        event
    }

    /// Mistakes in what the home does.
    fn mistake_after(
        &self,
        unit: &mut Unit<N>,
        old: &capops::Home<Cap, N>,
        event: HomeEvent<Cap>,
        sends: &mut [Option<(CoreSet, ToCore<Cap>)>; 2],
    ) {
        let home = &mut unit.home;
        let commits =
            matches!(old.active, Active::Mark { .. }) && matches!(home.active, Active::Sweep { .. });
        match self.config.bug {
            Some(Bug::NoCancel | Bug::CancelEarly) if commits => {
                home.waiting = old.waiting;
                for send in sends.iter_mut() {
                    send.take_if(|(_, message)| matches!(message, ToCore::Done(_)));
                }
            }
            Some(Bug::CancelEarly) => {
                if let (HomeEvent::Start(_), Active::Mark { top, .. }) = (event, home.active) {
                    let mut cancelled = CoreSet::NONE;
                    for (k, place) in home.waiting.iter_mut().enumerate() {
                        if matches!(place, Some(request) if top.inside() & request.pinned().bit() != 0) {
                            *place = None;
                            cancelled = cancelled.with(CoreId(k as u8));
                        }
                    }
                    let refused = (cancelled, ToCore::Done(Verdict::Failed));
                    // The core is told in place of being asked to mark itself twice: one message at a time.
                    if !cancelled.is_empty()
                        && let Some(free) = sends.iter_mut().find(|send| send.is_none())
                    {
                        *free = Some(refused);
                    }
                }
            }
            Some(Bug::SweepToday) if commits => {
                for (to, message) in sends.iter_mut().flatten() {
                    if *message == ToCore::Sweep {
                        *to = home.sharers;
                    }
                }
                if let Active::Sweep { wait, .. } = &mut home.active {
                    *wait = home.sharers;
                }
            }
            Some(Bug::GrantAlone) => {
                for (_, message) in sends.iter_mut().flatten() {
                    let retypes = matches!(old.active, Active::Check { .. })
                        || matches!(event, HomeEvent::Start(by) if matches!(old.waiting[by.index()], Some(Request::Retype { .. })));
                    if *message == ToCore::Done(Verdict::Granted) && retypes {
                        *message = ToCore::Done(Verdict::GrantedAlone);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Cuts unit 0 on a core: what lies above belongs to unit 1.
fn cut_here<const N: usize>(state: &mut State<N>, k: usize, at: u64) -> ToHome<Cap> {
    let [lower, upper] = &mut state.units;
    let above: u32 =
        super::each(lower.held[k].have).filter(|cap| u64::from(cap.range().0) >= at).map(Cap::bit).sum();
    let held = &mut lower.held[k];
    upper.held[k] = Holding { have: held.have & above, exclusive: held.exclusive & above };
    (held.have, held.exclusive) = (held.have & !above, held.exclusive & !above);
    let (mut below, mut high) = (lower.held[k], upper.held[k]);
    let view = |holding| View { holding, stepped: false, marks_inside: false, bug: None };
    let (holder, message) = lower.holders[k].cut(at, &view(&mut below), &view(&mut high));
    upper.holders[k] = holder;
    message
}

/// Whether a request was refused but the core has not heard of it.
pub(super) fn is_cancelled<const N: usize>(unit: &Unit<N>, k: usize) -> bool {
    is_refused(&unit.down[k])
}
