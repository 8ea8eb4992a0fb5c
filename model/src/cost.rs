//! Messages that an operation takes, counted on the state machine.

use capops::{CoreId, HolderEvent, Request};

use crate::system::{Fairness, System, Violation};
use crate::world::{Action, Cap, Config, State, Type, World};

/// Cores of the machine on which is counted.
pub const CORES: usize = 16;

/// Messages between cores for one operation on a capability that `sharers` cores hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// Cores that hold it, 2 to [`CORES`].
    pub sharers: usize,
    /// Whether the home is one of them.
    pub home_shares: bool,
    /// Whether the home is the requester.
    pub home_asks: bool,
    /// To send it to one more core (to one that holds it already, when all do).
    pub send: usize,
    /// To make something of it.
    pub retype: usize,
    /// To revoke it.
    pub revoke: usize,
    /// To delete it on a core other than the home, where it is the last of the unit.
    pub delete: usize,
}

impl Row {
    /// What the book says that it takes.
    pub fn formula(&self) -> Row {
        let n = self.sharers;
        let rest = if self.home_shares { n - 1 } else { n };
        let (retype, revoke) = match (self.home_shares, self.home_asks) {
            (true, true) => (2 * rest, 4 * rest),
            (true, false) => (2 * rest, 4 * rest + 2),
            (false, _) => (2 * n, 4 * n + 2),
        };
        Row { send: if self.home_asks { 2 } else { 4 }, retype, revoke, delete: 1, ..*self }
    }
}

type Machine = World<CORES>;

/// Counts for all numbers of sharers, for the home and for another core as the requester.
///
/// # Errors
/// A property of the protocol does not hold on the way.
pub fn rows() -> Result<Vec<Row>, Violation> {
    let world = Machine::new(Config::plain(2));
    let mut rows = Vec::new();
    for (home_shares, home_asks) in [(true, true), (true, false), (false, false)] {
        let most = if home_shares { CORES } else { CORES - 1 };
        for sharers in 2..=most {
            rows.push(row(&world, sharers, home_shares, home_asks)?);
        }
    }
    Ok(rows)
}

fn row(world: &Machine, sharers: usize, home_shares: bool, home_asks: bool) -> Result<Row, Violation> {
    let root = Cap::new(Type::Ram, 0, 2);
    let asker = CoreId(u8::from(!home_asks));
    let first = u8::from(!home_shares);
    let holders = (first..first + sharers as u8).map(CoreId);
    let mut state = world.initial();
    run(world, &mut state, Action::Allocate { unit: 0, to: asker })?;
    for to in holders.clone().filter(|core| *core != asker) {
        run(world, &mut state, ask(asker, Request::Send { key: root, to }))?;
    }
    let count = |action| run(world, &mut state.clone(), action);
    let last = CoreId(first + sharers as u8 - 1);
    // The new one is no end that would spare a message.
    let stranger = CoreId((CORES - 1) as u8);
    let send = count(ask(asker, Request::Send { key: root, to: stranger }))?;
    let new = Cap::new(Type::Ram, 0, 1);
    let retype = count(ask(asker, Request::Retype { src: root, new }))?;
    let revoke = count(ask(asker, Request::Revoke { top: root }))?;
    let delete = count(Action::User { unit: 0, core: last, event: HolderEvent::Delete(root) })?;
    Ok(Row { sharers, home_shares, home_asks, send, retype, revoke, delete })
}

fn ask(core: CoreId, request: Request<Cap>) -> Action {
    Action::User { unit: 0, core, event: HolderEvent::Ask(request) }
}

/// Takes a step and all that follows from it. Says how many messages went between cores.
fn run(world: &Machine, state: &mut State<CORES>, first: Action) -> Result<usize, Violation> {
    let (mut action, mut messages) = (first, 0);
    let mut actions = Vec::new();
    loop {
        *state = world.step(state, action)?;
        world.check(state)?;
        actions.clear();
        world.actions(state, false, &mut actions);
        match actions.iter().find(|action| world.fairness(**action) != Fairness::None) {
            Some(next) => action = *next,
            None => return Ok(messages),
        }
        messages += usize::from(matches!(action, Action::Up { .. } | Action::Down { .. }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_take_the_messages_that_the_book_says() {
        for row in rows().unwrap() {
            assert_eq!(row, row.formula());
        }
    }
}
