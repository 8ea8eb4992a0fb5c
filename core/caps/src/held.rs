//! What a core holds of a unit, as the protocol sees it: `capops` over the real database.

use abi::ErrorKind;
use capops::{Facts, Held, Key as _};
use tree::NONE;

use crate::db::View;
use crate::deliver::Arrival;
use crate::key::Key;
use crate::machine::Machine;
use crate::slot::{Flags, SlotRef};
use crate::{Db, Progress, RetypeArgs, frozen, types};

/// How a capability is made that the protocol inserts. It knows keys alone, and neither types, rights nor slots.
#[derive(Clone, Copy, Debug)]
pub enum Making {
    /// None will be.
    Nothing,
    /// It comes from another core, into `dst`; a proxy, if one is needed, into `proxy`.
    Arrival {
        /// What comes.
        arrival: Arrival,
        /// Where to.
        dst: SlotRef,
        /// For the proxy.
        proxy: SlotRef,
    },
    /// It is made of `src`, which is pinned if the home has `granted` it.
    Retype {
        /// A capability to the source.
        src: SlotRef,
        /// What to make.
        args: RetypeArgs,
        /// Where to.
        dst: SlotRef,
        /// Whether the home was asked.
        granted: bool,
    },
}

/// One unit in the database of a core.
#[derive(Debug)]
pub struct UnitView<'a, M> {
    /// The database.
    pub db: &'a mut Db,
    /// The machine.
    pub m: &'a mut M,
    /// The Unit or proxy, [`SlotRef::NONE`] when there is none.
    pub unit: SlotRef,
    /// What is inserted.
    pub making: Making,
    /// For each step of a deletion, in units of [`crate::cost`].
    pub budget: u32,
    /// Why what the protocol found right was refused after all, or a later part of it. Deletions that were refused are not done, and
    /// do not go on by being asked for again.
    pub refused: Option<ErrorKind>,
}

impl<M: Machine> UnitView<'_, M> {
    /// The facts that the kernel's guards look at, [`None`] when it does not hold the capability.
    pub fn facts(&self, key: &Key) -> Option<Facts> {
        let node = self.db.find(self.m, key);
        let exclusive = node != NONE && self.m.slot(SlotRef(node)).is(Flags::EXCL);
        (node != NONE).then(|| self.db.facts(self.m, self.m.slot(SlotRef(node)), exclusive))
    }

    /// The representative of a key, if it is held.
    fn node(&self, key: &Key) -> Option<SlotRef> {
        let node = self.db.find(self.m, key);
        (node != NONE).then_some(SlotRef(node))
    }

    fn note<T>(&mut self, result: Result<T, ErrorKind>) -> Option<T> {
        if let Err(e) = result {
            self.refused.get_or_insert(e);
        }
        result.ok()
    }
}

impl<M: Machine> Held for UnitView<'_, M> {
    type Key = Key;

    fn is_empty(&self) -> bool {
        self.unit.is_none() || self.db.is_unit_empty(self.m, self.unit)
    }
    fn holds(&self, key: Key) -> bool {
        self.node(&key).is_some()
    }
    fn is_exclusive(&self, key: Key) -> bool {
        self.node(&key).is_some_and(|node| self.m.slot(node).is(Flags::EXCL))
    }
    fn holds_inside(&self, key: Key) -> bool {
        self.db.holds_inside(self.m, &key)
    }
    fn is_free(&self, src: Key, new: Key) -> bool {
        self.db.is_free(self.m, &src, &new)
    }
    fn spans(&self, at: u64) -> bool {
        !self.unit.is_none() && self.db.spans(self.m, self.unit, at)
    }

    fn insert(&mut self, _key: Key, _exclusive: bool) -> bool {
        let UnitView { db, m, .. } = self;
        let result = match &self.making {
            Making::Nothing => Err(ErrorKind::BadState),
            Making::Arrival { arrival, dst, proxy } => db.deliver(*m, arrival, *dst, *proxy).map(Some),
            Making::Retype { src, args, dst, granted } => {
                db.retype_as(*m, *src, args, *dst, *granted).map(|()| None)
            }
        };
        let made = self.note(result);
        if let Some(Some(unit)) = made {
            self.unit = unit;
        }
        made.is_some()
    }
    fn remove(&mut self, key: Key) {
        while let Some(node) = self.node(&key) {
            if self.m.slot(node).is(Flags::ZOMBIE) && self.db.is_parked(self.m, node) {
                break;
            }
            self.db.end_action(self.m, node, self.budget);
        }
    }
    fn share(&mut self, key: Key) {
        while let Some(pin) = self.node(&key) {
            let result = self.db.share(self.m, pin);
            if self.note(result) != Some(Progress::More) {
                break;
            }
        }
    }
    fn own(&mut self, key: Key) {
        let pin = self.node(&key).unwrap_or(SlotRef::NONE);
        if !pin.is_none() {
            let result = self.db.own(self.m, pin);
            self.note(result);
        }
    }
    fn sweep(&mut self, top: Key, _keeps_top: bool) -> bool {
        // What else is frozen is not decided yet.
        let frozen = !self.unit.is_none() && {
            let u = self.m.slot(self.unit);
            u.is(Flags::FROZEN) && frozen::top(u) == top
        };
        let result = match self.node(&top) {
            _ if frozen => self.db.sweep_within(self.m, self.unit, self.budget),
            Some(node) => self.db.revoke_within(self.m, node, self.budget),
            None => return true,
        };
        self.note(result) == Some(Progress::Done)
    }
}

impl Db {
    /// Whether a capability or a descendant of it is on this core.
    pub fn holds_inside<M: Machine>(&self, m: &M, key: &Key) -> bool {
        let first = self.lower_bound(m, key);
        first != NONE && key.contains(&Key::of(m.slot(SlotRef(first))))
    }

    /// Whether `new`, inside `src`, is free on this core: each capability that overlaps it contains `src`.
    ///
    /// The last in the order that overlaps it tells: if that contains `src`, all others lie around it.
    pub fn is_free<M: Machine>(&self, m: &M, src: &Key, new: &Key) -> bool {
        if new.depth == types::DEPENDANT {
            return self.is_event_free(m, src, new);
        }
        let (_, overlapping) = self.around(m, new.base, new.end());
        overlapping == NONE || Key::of(m.slot(SlotRef(overlapping))).contains(src)
    }

    /// Events of one dispatcher are not in each other's way.
    fn is_event_free<M: Machine>(&self, m: &M, src: &Key, new: &Key) -> bool {
        let around = self.innermost(m, &Key { index: 0, ..*new }, new.base);
        let free = around.is_none() || Key::of(m.slot(around)).contains(src);
        free && self.find(m, new) == NONE
    }

    /// The last before a place in the order that lies over `base` or ends behind it, so the innermost that does.
    pub(crate) fn innermost<M: Machine>(&self, m: &M, place: &Key, base: u64) -> SlotRef {
        let (_, over) = self.tree.predecessor_and_hit(
            &View(m),
            |v, n| place.cmp_slot(v.0.slot(SlotRef(n))).is_lt(),
            |v, n| v.0.slot(SlotRef(n)).end() > base,
            |v, n| v.0.slot(SlotRef(n)).max_end > base,
        );
        SlotRef(over)
    }
}
