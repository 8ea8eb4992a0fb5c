//! What can happen in a world.

use std::fmt;

use capops::{Active, CoreId, Facts, Held, HolderEvent, Request, ToCore, ToHome, Verdict};

use super::{Bug, Cap, Config, Holding, State, Type, World, each};
use crate::system::Fairness;

/// A step. `unit` is 0 or 1.
#[expect(missing_docs, reason = "the fields say whose step it is, and about what")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// The memory server zeroes a free unit.
    Zero { unit: usize },
    /// The memory server hands a unit out.
    Allocate { unit: usize, to: CoreId },
    /// The memory server asks to have unit 0 cut.
    Cut,
    /// A domain, by way of the kernel or its monitor.
    User { unit: usize, core: CoreId, event: HolderEvent<Cap> },
    /// A core takes the next message of the home.
    Down { unit: usize, core: CoreId, accepts: bool },
    /// The home takes the next message of a core.
    Up { unit: usize, core: CoreId },
    /// The home begins with the request of a core.
    Start { unit: usize, core: CoreId, accepts: bool },
    /// A core goes on with a sweep.
    SweepOn { unit: usize, core: CoreId },
    /// A core says that it holds nothing any more.
    SayGone { unit: usize, core: CoreId },
    /// A domain puts a copy of a capability of unit 1 into an object of unit 0.
    Store { core: CoreId, object: Cap, cap: Cap },
    /// The copy outside the object is deleted.
    DeleteOutside,
    /// The last capability to an object that holds something is deleted.
    Bury,
    /// What lies in a dying object is deleted, and then the object.
    Reap,
    /// A core stops.
    Stop { core: CoreId },
    /// A core, or the home, learns that the other has stopped.
    Notice { core: CoreId },
}

impl Action {
    /// Which steps must not be put off for ever.
    pub(super) fn fairness(self, cores: usize, unfair: bool) -> Fairness {
        let label = |kind: usize, unit: usize, core: CoreId| ((kind * 2 + unit) * cores) as u8 + core.0;
        match self {
            Action::Down { unit, core, .. } => Fairness::Weak(label(0, unit, core)),
            Action::Up { unit, core } => Fairness::Weak(label(1, unit, core)),
            Action::SweepOn { unit, core } => Fairness::Weak(label(2, unit, core)),
            Action::SayGone { unit, core } => Fairness::Weak(label(3, unit, core)),
            Action::Start { unit, core, .. } if unfair => Fairness::Weak(label(4, unit, core)),
            Action::Start { unit, core, .. } => Fairness::Strong(label(4, unit, core)),
            Action::Reap => Fairness::Weak(label(5, 0, CoreId(0))),
            Action::Notice { core } => Fairness::Weak(label(6, 0, core)),
            _ => Fairness::None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = |unit: &usize| if *unit == 0 { "" } else { " (unit 1)" };
        match self {
            Action::Zero { unit: u } => write!(f, "the memory server zeroes the unit{}", unit(u)),
            Action::Allocate { unit: u, to } => {
                write!(f, "the memory server hands the unit to core {}{}", to.0, unit(u))
            }
            Action::Cut => write!(f, "the memory server asks for the unit to be cut"),
            Action::User { unit: u, core, event } => {
                write!(f, "core {}: a domain ", core.0)?;
                wants(f, event)?;
                f.write_str(unit(u))
            }
            Action::Down { unit: u, core, accepts } => {
                let how = if *accepts { "" } else { ", refusing a delivery" };
                write!(f, "core {} takes the next message of the home{how}{}", core.0, unit(u))
            }
            Action::Up { unit: u, core } => {
                write!(f, "the home takes the next message of core {}{}", core.0, unit(u))
            }
            Action::Start { unit: u, core, accepts } => {
                let how = if *accepts { "" } else { ", refusing a delivery" };
                write!(f, "the home begins with the request of core {}{how}{}", core.0, unit(u))
            }
            Action::SweepOn { unit: u, core } => write!(f, "core {} goes on sweeping{}", core.0, unit(u)),
            Action::SayGone { unit: u, core } => write!(f, "core {} says Gone{}", core.0, unit(u)),
            Action::Store { core, object, cap } => {
                write!(f, "core {}: a domain puts {cap} of unit 1 into {object}", core.0)
            }
            Action::DeleteOutside => write!(f, "a domain deletes the copy outside the object"),
            Action::Bury => write!(f, "a domain deletes the object that holds a capability"),
            Action::Reap => write!(f, "the reaper goes on with the dying object"),
            Action::Stop { core } => write!(f, "core {} stops", core.0),
            Action::Notice { core } => {
                write!(f, "core {} and the home notice that the other has stopped", core.0)
            }
        }
    }
}

/// What a domain does, or asks for.
fn wants(f: &mut fmt::Formatter<'_>, event: &HolderEvent<Cap>) -> fmt::Result {
    match event {
        HolderEvent::Retype { src, new } => write!(f, "makes {new} of {src}"),
        HolderEvent::Revoke(top) => write!(f, "revokes {top}, which is exclusive"),
        HolderEvent::Delete(cap) => write!(f, "deletes {cap}"),
        HolderEvent::Ask(Request::Send { key, to }) => write!(f, "asks to send {key} to core {}", to.0),
        HolderEvent::Ask(Request::Retype { src, new }) => write!(f, "asks to make {new} of {src}"),
        HolderEvent::Ask(Request::Revoke { top }) => write!(f, "asks to revoke {top}"),
        other => write!(f, "wants {other:?}"),
    }
}

impl<const N: usize> World<N> {
    /// An internal step that commutes with every other that is possible and changes no property: it can be taken first.
    pub(super) fn eager(&self, state: &State<N>) -> Option<Action> {
        let Config { core_stops, home_stops, cut, second, bug, .. } = self.config;
        if core_stops || home_stops || cut != 0 || second != 0 || bug.is_some() {
            return None;
        }
        let unit = &state.units[0];
        for core in (0..N as u8).map(CoreId).filter(|core| !self.is_inline(0, *core)) {
            let k = core.index();
            let waits = match unit.up[k].front() {
                None
                | Some(
                    ToHome::Gone | ToHome::Swept { empty: true } | ToHome::Delivered { empty: true, .. },
                ) => false,
                Some(_) => true,
            };
            if waits {
                return Some(Action::Up { unit: 0, core });
            }
            let retypes = matches!(unit.holders[k].pending, Some(Request::Retype { .. }));
            match unit.down[k].front() {
                Some(ToCore::Done(verdict)) if verdict == Verdict::Failed || !retypes => {
                    return Some(Action::Down { unit: 0, core, accepts: true });
                }
                _ => {}
            }
        }
        None
    }

    /// Steps of cores and homes.
    pub(super) fn internal_actions(&self, state: &State<N>, actions: &mut Vec<Action>) {
        for u in 0..self.unit_count(state) {
            let unit = &state.units[u];
            let linked = |core: &CoreId| self.is_linked(state, *core);
            for core in (0..N as u8).map(CoreId) {
                let (k, up) = (core.index(), self.is_up(state, core));
                if self.home_is_up(state, u) && linked(&core) {
                    if unit.up[k].front().is_some() {
                        actions.push(Action::Up { unit: u, core });
                    }
                    self.starts(state, u, core, actions);
                }
                if !up {
                    continue;
                }
                if linked(&core)
                    && let Some(message) = unit.down[k].front()
                {
                    actions.push(Action::Down { unit: u, core, accepts: true });
                    if self.config.refusals && matches!(message, ToCore::Deliver { exclusive: false, .. }) {
                        actions.push(Action::Down { unit: u, core, accepts: false });
                    }
                }
                if matches!(unit.holders[k].frozen, Some(frozen) if frozen.sweeping)
                    && self.may_sweep(state, u, core)
                {
                    actions.push(Action::SweepOn { unit: u, core });
                }
                if unit.holders[k].owes_gone && linked(&core) {
                    actions.push(Action::SayGone { unit: u, core });
                }
            }
        }
        if matches!(state.content, Some(content) if content.dying) && self.may_reap(state) {
            actions.push(Action::Reap);
        }
        self.notices(state, actions);
    }

    fn starts(&self, state: &State<N>, u: usize, core: CoreId, actions: &mut Vec<Action>) {
        let home = &state.units[u].home;
        let Some(request) = home.waiting[core.index()] else { return };
        if home.active != Active::Idle {
            return;
        }
        actions.push(Action::Start { unit: u, core, accepts: true });
        let inline = matches!(request, Request::Send { to, .. } if self.is_inline(u, to));
        if self.config.refusals && inline {
            actions.push(Action::Start { unit: u, core, accepts: false });
        }
    }

    fn notices(&self, state: &State<N>, actions: &mut Vec<Action>) {
        let Some(stopped) = state.stopped else { return };
        if stopped != self.home_of(0) {
            if !state.bereaved.has(stopped) {
                actions.push(Action::Notice { core: stopped });
            }
            return;
        }
        for core in (0..N as u8).map(CoreId) {
            if core != stopped && !state.bereaved.has(core) {
                actions.push(Action::Notice { core });
            }
        }
    }

    /// Steps of users, of the memory server, and of fate.
    pub(super) fn user_actions(&self, state: &State<N>, actions: &mut Vec<Action>) {
        for unit in 0..self.unit_count(state) {
            self.server_actions(state, unit, actions);
            for core in (0..N as u8).map(CoreId).filter(|core| self.is_up(state, *core)) {
                self.domain_actions(state, unit, core, actions);
            }
        }
        self.object_actions(state, actions);
        if state.stopped.is_some() {
            return;
        }
        for core in (0..N as u8).map(CoreId) {
            let may = if core == self.home_of(0) { self.config.home_stops } else { self.config.core_stops };
            if may && (self.config.second == 0 || core != self.home_of(1)) {
                actions.push(Action::Stop { core });
            }
        }
    }

    fn server_actions(&self, state: &State<N>, unit: usize, actions: &mut Vec<Action>) {
        let home = &state.units[unit].home;
        if !self.home_is_up(state, unit) {
            return;
        }
        if !home.live && !home.zeroed {
            actions.push(Action::Zero { unit });
        }
        if !home.live && (home.zeroed || self.config.bug == Some(Bug::NotZeroed)) {
            for to in home.up.iter() {
                actions.push(Action::Allocate { unit, to });
            }
        }
        let cuts = self.config.cut != 0 && !state.is_cut && unit == 0;
        if cuts && home.live && home.active == Active::Idle {
            actions.push(Action::Cut);
        }
    }

    fn domain_actions(&self, state: &State<N>, u: usize, core: CoreId, actions: &mut Vec<Action>) {
        let unit = &state.units[u];
        let held = unit.held[core.index()].have;
        let room = self.operations(state) < self.config.operations && self.is_linked(state, core);
        for cap in each(held) {
            if self.is_dying(state, u, core, cap) {
                continue;
            }
            let facts = self.facts(state, u, core, cap);
            let mut push = |event| actions.push(Action::User { unit: u, core, event });
            if (facts.usable().is_ok() || self.config.forced_deletes) && self.may_delete(state, u, core, cap)
            {
                push(HolderEvent::Delete(cap));
            }
            if facts.revoke().is_ok() && held & cap.inside() & !cap.bit() != 0 {
                push(HolderEvent::Revoke(cap));
            }
            if room && facts.coordinated().is_ok() {
                push(HolderEvent::Ask(Request::Revoke { top: cap }));
            }
            if room && facts.send().is_ok() && cap.ty() != Type::Object {
                for to in (0..N as u8).map(CoreId).filter(|to| *to != core) {
                    push(HolderEvent::Ask(Request::Send { key: cap, to }));
                }
            }
            for new in each(cap.inside() & !cap.bit()).filter(|new| self.exists(state, u, *new)) {
                if !self.is_free(unit.held[core.index()], cap, new) {
                    continue;
                }
                if facts.local().is_ok() {
                    push(HolderEvent::Retype { src: cap, new });
                }
                if room && facts.coordinated().is_ok() {
                    push(HolderEvent::Ask(Request::Retype { src: cap, new }));
                }
            }
        }
    }

    /// The facts of a capability, or what a mistake takes for them.
    pub(super) fn facts(&self, state: &State<N>, u: usize, core: CoreId, cap: Cap) -> Facts {
        let mut unit = state.units[u];
        let holder = unit.holders[core.index()];
        let mut facts = holder.facts(&self.view(&mut unit.held[core.index()]), cap);
        facts.exclusive |= self.config.bug == Some(Bug::RetypeShared);
        facts.frozen &= self.config.bug != Some(Bug::UseFrozen);
        facts
    }

    fn is_free(&self, mut holding: Holding, src: Cap, new: Cap) -> bool {
        self.view(&mut holding).is_free(src, new)
    }

    /// Whether a user can delete the last copy: not what a request has pinned.
    fn may_delete(&self, state: &State<N>, u: usize, core: CoreId, cap: Cap) -> bool {
        let pinned = state.units[u].holders[core.index()].pins(cap);
        let holds_something =
            u == 0 && matches!(state.content, Some(content) if content.core == core && content.object == cap);
        let outside = u == 1
            && matches!(state.content, Some(content) if content.core == core && content.cap == cap && !content.only);
        (!pinned || self.config.bug == Some(Bug::DeletePinned)) && !holds_something && !outside
    }

    fn exists(&self, state: &State<N>, unit: usize, cap: Cap) -> bool {
        let (start, end) = self.root(state, unit).range();
        let (from, to) = cap.range();
        (self.config.typed || cap.ty() == Type::Ram) && start <= from && to <= end
    }

    fn object_actions(&self, state: &State<N>, actions: &mut Vec<Action>) {
        if self.config.second == 0 {
            return;
        }
        if let Some(content) = state.content {
            let frozen = self.facts(state, 0, content.core, content.object).frozen;
            if !content.dying && self.is_up(state, content.core) {
                if !content.only {
                    actions.push(Action::DeleteOutside);
                }
                if !frozen || self.config.forced_deletes {
                    actions.push(Action::Bury);
                }
            }
            return;
        }
        for core in (0..N as u8).map(CoreId).filter(|core| self.is_up(state, *core)) {
            let objects = each(state.units[0].held[core.index()].have).filter(|cap| cap.ty() == Type::Object);
            for object in objects.filter(|object| self.facts(state, 0, core, *object).usable().is_ok()) {
                for cap in each(state.units[1].held[core.index()].have) {
                    if self.facts(state, 1, core, cap).usable().is_ok() {
                        actions.push(Action::Store { core, object, cap });
                    }
                }
            }
        }
    }

    /// Requests that are under way in the whole system.
    fn operations(&self, state: &State<N>) -> u8 {
        let pending =
            |unit: &super::Unit<N>| unit.holders.iter().filter(|h| h.pending.is_some()).count() as u8;
        state.units.iter().map(pending).sum()
    }

    /// Whether the object is being emptied.
    pub(super) fn is_dying(&self, state: &State<N>, u: usize, core: CoreId, cap: Cap) -> bool {
        u == 0
            && matches!(state.content, Some(content) if content.dying && content.core == core && content.object == cap)
    }

    fn may_reap(&self, state: &State<N>) -> bool {
        let Some(content) = state.content else { return false };
        let waits = self.config.bug == Some(Bug::CascadeWaits);
        self.is_up(state, content.core) && !(waits && self.facts(state, 1, content.core, content.cap).frozen)
    }

    fn may_sweep(&self, state: &State<N>, u: usize, core: CoreId) -> bool {
        let waits = self.config.bug == Some(Bug::CascadeWaits) && u == 1;
        !(waits && matches!(state.content, Some(content) if content.core == core))
    }
}
