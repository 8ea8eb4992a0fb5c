//! What must hold in every state.

use capops::{Active, CoreId, Request, ToCore, ToHome};

use super::refine::dying;
use super::step::is_cancelled;
use super::{Cap, Set, State, Unit, World, each, violation};
use crate::system::Violation;

type Outcome = Result<(), Violation>;

impl<const N: usize> World<N> {
    pub(super) fn check_state(&self, state: &State<N>) -> Outcome {
        let groups: &[&[usize]] = if self.config.second != 0 { &[&[0], &[1]] } else { &[&[0, 1]] };
        for group in groups {
            self.laminar(state, group)?;
            self.exclusive(state, group)?;
        }
        for (u, unit) in state.units.iter().enumerate() {
            self.decided(unit)?;
            self.sharers(state, unit)?;
            self.pins(unit)?;
            self.free(state, u)?;
        }
        self.quiet(state)
    }

    /// I1: capabilities are disjoint or nested, over all cores, also in the middle of a sweep.
    fn laminar(&self, state: &State<N>, group: &[usize]) -> Outcome {
        let all = group.iter().flat_map(|u| &state.units[*u].held).fold(0, |all, held| all | held.have);
        for cap in each(all) {
            if let Some(other) = each(all & cap.overlap() & !(cap.inside() | cap.above())).next() {
                return Err(violation("I1", format!("{cap} and {other} exist at once")));
            }
        }
        Ok(())
    }

    /// I3: what is marked exclusive has no copy or descendant on another core, on its way, or asked for.
    fn exclusive(&self, state: &State<N>, group: &[usize]) -> Outcome {
        let marked = |held: &super::Holding| held.exclusive;
        if group.iter().all(|u| state.units[*u].held.iter().all(|held| marked(held) == 0)) {
            return Ok(());
        }
        let mut travelling: Set = 0;
        let mut have = [0; N];
        for unit in group.iter().map(|u| &state.units[*u]) {
            for (k, have) in have.iter_mut().enumerate() {
                *have |= unit.held[k].have;
                travelling |= on_the_way(unit, k);
                if marked(&unit.held[k]) & !unit.held[k].have != 0 {
                    return Err(violation("I3", "a capability that is not held is marked exclusive"));
                }
            }
        }
        for unit in group.iter().map(|u| &state.units[*u]) {
            for k in 0..N {
                let mut inside: Set = 0;
                let mut left = marked(&unit.held[k]);
                while left != 0 {
                    inside |= Cap(left.trailing_zeros() as u8).inside();
                    left &= left - 1;
                }
                let elsewhere = (0..N).filter(|j| *j != k).fold(travelling, |all, j| all | have[j]);
                if inside & elsewhere != 0 {
                    let cap = Cap((inside & elsewhere).trailing_zeros() as u8);
                    let text =
                        format!("{cap} is exclusive on core {k}, or in what is, but it is elsewhere too");
                    return Err(violation("I3", text));
                }
            }
        }
        Ok(())
    }

    /// I4: when a revocation is decided all that dies is frozen, and nothing of it is on its way or asked about.
    fn decided(&self, unit: &Unit<N>) -> Outcome {
        let Active::Sweep { by, top, .. } = unit.home.active else {
            return Ok(());
        };
        for k in 0..N {
            let dead = dying(top, by.index() == k);
            let frozen = matches!(unit.holders[k].frozen, Some(frozen) if frozen.top == top);
            if unit.held[k].have & dead != 0 && !frozen {
                return Err(violation("I4", format!("core {k} can use what has been revoked")));
            }
            let delivered = unit.down[k].iter().any(
                |message| matches!(message, ToCore::Deliver { key, .. } if top.inside() & key.bit() != 0),
            );
            let asked = unit.home.waiting[k].into_iter().chain(requests(unit, k));
            if delivered || asked.into_iter().any(|request| dead & request.pinned().bit() != 0) {
                return Err(violation("I4", format!("core {k} is about to work on what has been revoked")));
            }
        }
        Ok(())
    }

    /// I5: who holds something, or is about to, is a sharer.
    fn sharers(&self, state: &State<N>, unit: &Unit<N>) -> Outcome {
        for k in (0..N).filter(|k| state.stopped != Some(CoreId(*k as u8))) {
            let comes = unit.down[k].iter().any(|message| matches!(message, ToCore::Deliver { .. }));
            if (comes || unit.held[k].have != 0) && !unit.home.sharers.has(CoreId(k as u8)) {
                return Err(violation("I5", format!("core {k} holds something and is no sharer")));
            }
        }
        Ok(())
    }

    /// I7: what a request works on stays until the request is cancelled.
    fn pins(&self, unit: &Unit<N>) -> Outcome {
        for k in 0..N {
            if let Some(request) = unit.holders[k].pending
                && unit.held[k].have & request.pinned().bit() == 0
                && !is_cancelled(unit, k)
            {
                return Err(violation(
                    "I7",
                    format!("{} is gone while core {k} has asked about it", request.pinned()),
                ));
            }
        }
        Ok(())
    }

    /// I6: of a free unit there are no capabilities, messages, or anything under way.
    fn free(&self, state: &State<N>, u: usize) -> Outcome {
        let unit = &state.units[u];
        if unit.home.live {
            return Ok(());
        }
        let busy = |k: usize| {
            let holder = &unit.holders[k];
            unit.held[k].have != 0
                || unit.down[k].front().is_some()
                || (unit.up[k].front().is_some() && self.home_is_up(state, u))
                || holder.pending.is_some()
                || holder.frozen.is_some()
                || holder.owes_gone
        };
        match (0..N).find(|k| state.stopped != Some(CoreId(*k as u8)) && busy(*k)) {
            Some(k) => {
                Err(violation("I6", format!("the unit is free, but core {k} has something to do with it")))
            }
            None => Ok(()),
        }
    }

    /// L1 and L3 where nothing goes on any more: all requests are answered, nothing stays frozen, and what nobody has a
    /// capability to has come back.
    fn quiet(&self, state: &State<N>) -> Outcome {
        let mut actions = Vec::new();
        self.internal_actions(state, &mut actions);
        if !actions.is_empty() {
            return Ok(());
        }
        for u in 0..self.unit_count(state) {
            let unit = &state.units[u];
            for k in (0..N).filter(|k| state.stopped != Some(CoreId(*k as u8))) {
                if unit.holders[k].pending.is_some() {
                    return Err(violation("L1", format!("the request of core {k} is never answered")));
                }
                if unit.holders[k].frozen.is_some() && self.home_is_up(state, u) {
                    return Err(violation("L1", format!("core {k} stays frozen")));
                }
            }
            if !self.home_is_up(state, u) {
                continue;
            }
            if unit.home.active != Active::Idle || unit.home.waiting.iter().any(Option::is_some) {
                return Err(violation("L1", "the home waits for what never comes"));
            }
            if unit.home.live && unit.held.iter().all(|held| held.have == 0) {
                return Err(violation("L3", "nobody holds anything of the unit, and it does not come back"));
            }
        }
        Ok(())
    }
}

/// Requests of a core that have not arrived.
fn requests<const N: usize>(unit: &Unit<N>, k: usize) -> impl Iterator<Item = Request<Cap>> {
    unit.up[k].iter().filter_map(|message| match message {
        ToHome::Request(request) => Some(request),
        _ => None,
    })
}

/// What is on its way to a core, or a core has asked to be sent.
fn on_the_way<const N: usize>(unit: &Unit<N>, k: usize) -> Set {
    let mut set = 0;
    for message in unit.down[k].iter() {
        if let ToCore::Deliver { key, .. } = message {
            set |= key.bit();
        }
    }
    for request in requests(unit, k).chain(unit.home.waiting[k]) {
        if let Request::Send { key, .. } = request {
            set |= key.bit();
        }
    }
    set
}
