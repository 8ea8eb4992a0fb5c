//! Refinement: every step is nothing, or exactly one send, retype, deletion or revocation on one set of capabilities of the
//! whole system.

use capops::{Active, CoreId, Holder, HolderEvent, HomeEvent, Request, ToCore, Verdict};

use super::{Cap, Set, State, World, violation};
use crate::system::Violation;

/// Who has what, for everybody to see: what a decided revocation is still deleting is gone already.
pub(super) type Abstract<const N: usize> = [[Set; N]; 2];

impl<const N: usize> World<N> {
    /// The abstract capabilities of a state. Both parts of a unit that was cut are one there.
    pub(super) fn abstraction(&self, state: &State<N>) -> Abstract<N> {
        let mut all = [[0; N]; 2];
        for (u, unit) in state.units.iter().enumerate() {
            let into = if self.config.second != 0 { u } else { 0 };
            let dead = match unit.home.active {
                Active::Sweep { by, top, .. } => Some((by, top)),
                _ => None,
            };
            for (k, held) in unit.held.iter().enumerate() {
                let mut have = held.have;
                if let Some((by, top)) = dead {
                    have &= !dying(top, by.index() == k);
                }
                all[into][k] |= have;
            }
        }
        all
    }

    fn place(&self, u: usize) -> usize {
        if self.config.second != 0 { u } else { 0 }
    }

    #[expect(clippy::too_many_arguments, reason = "one check of one step, called from one place")]
    pub(super) fn check_holder(
        &self,
        state: &State<N>,
        before: &Abstract<N>,
        u: usize,
        core: CoreId,
        event: HolderEvent<Cap>,
        holder: &Holder<Cap>,
        outcome: Option<Verdict>,
        more: bool,
    ) -> Result<(), Violation> {
        let (after, unit, u, k) = (self.abstraction(state), u, self.place(u), core.index());
        let mut want = *before;
        let mine = &mut want[u][k];
        match event {
            HolderEvent::Retype { src, new } => {
                legal_retype(&before[u], k, src, new)?;
                *mine |= new.bit();
            }
            HolderEvent::Delete(cap) => *mine &= !cap.bit(),
            HolderEvent::Revoke(top) => {
                let left = after[u][k] & dying(top, true);
                *mine = *mine & !dying(top, true) | left;
                let elsewhere = (0..N).any(|j| j != k && before[u][j] & top.inside() != 0);
                if elsewhere {
                    return Err(violation("R", format!("core {k} revokes {top} alone, but it is shared")));
                }
                if !more && left != 0 {
                    return Err(violation("R", format!("a revocation of {top} ends before its descendants")));
                }
            }
            HolderEvent::Receive { message: ToCore::Deliver { key, exclusive }, .. }
                if after[u][k] & key.bit() != 0 =>
            {
                let orphaned = self.is_orphaned(state, unit);
                legal_delivery(&before[u], key, exclusive, orphaned)?;
                *mine |= key.bit();
            }
            HolderEvent::Receive { message: ToCore::Done(_), .. } => {
                if let (Some(Request::Retype { src, new }), Some(Verdict::Granted | Verdict::GrantedAlone)) =
                    (holder.pending, outcome)
                {
                    legal_retype(&before[u], k, src, new)?;
                    *mine |= new.bit();
                }
            }
            _ => {}
        }
        same(&want, &after, || format!("core {k}: {event:?}"))
    }

    /// Whether what is on its way may have lost its source: its sender has stopped, or the home, of whom the sender waits for
    /// nothing any more then.
    fn is_orphaned(&self, state: &State<N>, unit: usize) -> bool {
        let sender = match state.units[unit].home.active {
            Active::Send { by, .. } => Some(by),
            _ => None,
        };
        state.stopped.is_some() && (state.stopped == sender || !self.home_is_up(state, unit))
    }

    pub(super) fn check_home(
        &self,
        state: &State<N>,
        before: &Abstract<N>,
        u: usize,
        old: &capops::Home<Cap, N>,
        event: HomeEvent<Cap>,
    ) -> Result<(), Violation> {
        let after = self.abstraction(state);
        let mut want = *before;
        if let Active::Sweep { by, top, .. } = state.units[u].home.active
            && !matches!(old.active, Active::Sweep { .. })
        {
            for (k, have) in want[self.place(u)].iter_mut().enumerate() {
                *have &= !dying(top, by.index() == k);
            }
        }
        if let HomeEvent::Allocate { .. } = event
            && state.units[u].dirty
        {
            return Err(violation("K7", "a unit is handed out that was not zeroed"));
        }
        same(&want, &after, || format!("home: {event:?}"))
    }
}

fn legal_delivery<const N: usize>(
    before: &[Set; N],
    key: Cap,
    exclusive: bool,
    orphaned: bool,
) -> Result<(), Violation> {
    let held = before.iter().any(|have| have & key.bit() != 0);
    let first = exclusive && before.iter().all(|have| have & key.overlap() == 0);
    if held || first || orphaned {
        return Ok(());
    }
    Err(violation("R", format!("{key} is delivered, but nobody has it")))
}

/// What dies on a core when `top` is revoked.
pub(super) fn dying(top: Cap, keeps_top: bool) -> Set {
    if keeps_top { top.inside() & !top.bit() } else { top.inside() }
}

fn legal_retype<const N: usize>(before: &[Set; N], k: usize, src: Cap, new: Cap) -> Result<(), Violation> {
    if before[k] & src.bit() == 0 {
        return Err(violation("R", format!("core {k} makes {new} of {src}, which it does not have")));
    }
    let in_the_way = new.overlap() & !src.above();
    match before.iter().position(|have| have & in_the_way != 0) {
        Some(j) => {
            Err(violation("R", format!("core {k} makes {new} of {src}, but core {j} has something there")))
        }
        None => Ok(()),
    }
}

fn same<const N: usize>(
    want: &Abstract<N>,
    got: &Abstract<N>,
    what: impl Fn() -> String,
) -> Result<(), Violation> {
    if want == got {
        return Ok(());
    }
    let show = |all: &Abstract<N>| {
        let names = |have: &Set| super::each(*have).collect::<Vec<_>>();
        all.iter().map(|unit| unit.iter().map(names).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    Err(violation("R", format!("{}: should lead to {:?}, but leads to {:?}", what(), show(want), show(got))))
}
