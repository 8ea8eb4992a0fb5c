//! The whole protocol between three cores over real databases: the shipped state machines, FIFO channels, the smallest steps, with
//! everybody else's operations in between. Beside each database runs a naive set of capabilities; both must always say the same.
//! `BARRELDISH_LONG=1` makes a million steps.

use std::collections::{BTreeMap, VecDeque};

use abi::{CapType, ErrorKind, PAGE_SIZE, Rights};
use capops::{CoreId, CoreSet, Facts, Held, Holder, HolderEffects, HolderEvent, Home, HomeEvent};
use capops::{Key as _, Request, ToCore, ToHome, Verdict};
use proptest::prelude::*;

use super::random::Dice;
use super::world::page;
use crate::fake::{Checker, Fake};
use crate::held::{Making, UnitView};
use crate::key::Key;
use crate::machine::Machine;
use crate::slot::{Flags, Slot, SlotRef};
use crate::{Arrival, Ask, Db, Progress, RetypeArgs, Root, cost};

const CORES: usize = 3;
const HOME: CoreId = CoreId(0);
/// The unit, in pages.
const FIRST: u64 = 16;
const PAGES: u64 = 16;
/// Slots of the users' CNode that are used, and of the monitor's.
const SLOTS: u32 = 40;

fn user(index: u32) -> SlotRef {
    SlotRef::at(page(1)).plus(1 + index)
}

fn monitor(index: u32) -> SlotRef {
    SlotRef::at(page(5)).plus(1 + index)
}

const ROOT: u32 = 0;
const UNIT: u32 = 1;
const PIN: u32 = 2;

/// What a core holds, without any structure.
#[derive(Clone, Debug, Default)]
struct Naive {
    have: BTreeMap<Name, bool>,
    /// What the database has left of it after a step of a sweep, and whether it said that it was done.
    swept: Option<(Vec<Key>, bool)>,
}

/// A key that can be sorted.
type Name = (u64, u64, u8, u32);

fn name(k: &Key) -> Name {
    (k.base, k.size, k.depth, k.index)
}

fn overlap(a: Name, b: Name) -> bool {
    a.0 < b.0 + b.1 && b.0 < a.0 + a.1
}

/// Whether `b` is `a` or a descendant. Types: 3 Ram, 4 Frame and objects, 5 what belongs to a dispatcher.
fn descends(a: Name, b: Name) -> bool {
    let nested = (a.0..=a.0 + a.1).contains(&b.0) && b.0 + b.1 <= a.0 + a.1;
    a == b
        || nested
            && match a.2 {
                3 => b.1 < a.1 || b.2 > 3,
                4 => b.2 == 4 && b.1 < a.1 || b.2 == 5,
                _ => false,
            }
}

impl Held for Naive {
    type Key = Key;
    fn is_empty(&self) -> bool {
        self.have.is_empty()
    }
    fn holds(&self, key: Key) -> bool {
        self.have.contains_key(&name(&key))
    }
    fn is_exclusive(&self, key: Key) -> bool {
        self.have.get(&name(&key)) == Some(&true)
    }
    fn holds_inside(&self, key: Key) -> bool {
        self.have.keys().any(|&k| descends(name(&key), k))
    }
    fn is_free(&self, src: Key, new: Key) -> bool {
        let beside = |k: Name| k.2 == 5 && new.depth == 5 && k.3 != new.index;
        self.have.keys().all(|&k| !overlap(k, name(&new)) || beside(k) || descends(k, name(&src)))
    }
    fn spans(&self, at: u64) -> bool {
        self.have.keys().any(|&(base, size, ..)| base < at && at < base + size)
    }
    fn insert(&mut self, key: Key, exclusive: bool) -> bool {
        *self.have.entry(name(&key)).or_insert(false) |= exclusive;
        true
    }
    fn remove(&mut self, key: Key) {
        self.have.remove(&name(&key));
    }
    fn share(&mut self, key: Key) {
        for (&k, exclusive) in &mut self.have {
            *exclusive &= !descends(k, name(&key));
        }
    }
    fn own(&mut self, key: Key) {
        self.have.insert(name(&key), true);
    }
    fn sweep(&mut self, top: Key, keeps_top: bool) -> bool {
        let (left, done) = self.swept.take().expect("a sweep that the database does not know of");
        self.have.retain(|&k, _| left.iter().any(|l| name(l) == k));
        let dying = |k: Name| descends(name(&top), k) && !(keeps_top && k == name(&top));
        assert!(!done || !self.have.keys().any(|&k| dying(k)), "a sweep ends before its end");
        done
    }
}

struct Core {
    db: Db,
    m: Fake,
    checker: Checker,
    holder: Holder<Key>,
    naive: Naive,
    naive_holder: Holder<Key>,
    /// The Unit or proxy.
    unit: SlotRef,
    /// What is pinned, and the request that waits for its ancestors to lose their marks.
    pinned: Option<(Key, Option<Request<Key>>)>,
    /// How the retype that was asked for is to be made.
    wanted: Option<RetypeArgs>,
}

impl Core {
    fn new(id: CoreId) -> Core {
        let (db, m, checker) = (Db::new(), Fake::new((FIRST + PAGES + 4) as usize), Checker::default());
        let (holder, naive_holder) = (Holder::IDLE, Holder::IDLE);
        let (unit, pinned, wanted) = (SlotRef::NONE, None, None);
        let naive = Naive::default();
        let mut c = Core { db, m, checker, holder, naive, naive_holder, unit, pinned, wanted };
        let root = |ty, base, size| Root { ty, rights: Rights::ALL, base, size };
        let l1 = SlotRef::at(page(0));
        c.db.insert_root(&mut c.m, l1.plus(9), &root(CapType::L1CNode, page(0), PAGE_SIZE)).unwrap();
        for (i, at) in [(0, 1), (1, 5)] {
            c.db.insert_root(&mut c.m, l1.plus(i), &root(CapType::L2CNode, page(at), 4 * PAGE_SIZE)).unwrap();
        }
        if id == HOME {
            let ram = root(CapType::Ram, page(FIRST - 2), (PAGES + 4) * PAGE_SIZE);
            c.db.insert_root(&mut c.m, monitor(ROOT), &ram).unwrap();
            let args = RetypeArgs {
                ty: CapType::Unit,
                offset: 2 * PAGE_SIZE,
                object_size: PAGES * PAGE_SIZE,
                count: 1,
            };
            c.db.retype(&mut c.m, monitor(ROOT), &args, monitor(UNIT)).unwrap();
            c.unit = monitor(UNIT);
        }
        c
    }

    /// What the database holds of the unit, zombies included.
    fn keys(&self) -> Vec<Key> {
        let of_unit =
            |s: &Slot| s.is(Flags::IN_TREE) && s.base >= page(FIRST) && s.base < page(FIRST + PAGES);
        let all = self.m.occupied().filter(|(_, s)| of_unit(s));
        all.filter(|(_, s)| !matches!(s.ty, CapType::Unit | CapType::Mapping))
            .map(|(_, s)| Key::of(s))
            .collect()
    }

    fn view(&mut self, making: Making, budget: u32) -> UnitView<'_, Fake> {
        UnitView { db: &mut self.db, m: &mut self.m, unit: self.unit, making, budget, refused: None }
    }

    fn facts(&self, key: &Key) -> Facts {
        let busy = self.pinned.is_some();
        Facts { busy, ..self.naive_holder.facts(&self.naive, *key) }
    }

    /// The slots of users that hold something of the unit, those in its own CNodes included.
    fn slots(&self) -> Vec<SlotRef> {
        let all = self.m.occupied().filter(|(_, s)| s.base >= page(FIRST) && s.base < page(FIRST + PAGES));
        all.filter(|(r, s)| !s.is(Flags::ZOMBIE) && (r.0 < monitor(0).0 || r.0 > monitor(300).0))
            .filter(|(_, s)| s.ty != CapType::Unit)
            .map(|(r, _)| r)
            .collect()
    }

    fn free_slot(&self, d: &mut Dice) -> SlotRef {
        let homes: Vec<SlotRef> = (self.m.occupied())
            .filter(|(_, s)| s.ty == CapType::L2CNode && !s.is(Flags::ZOMBIE) && s.base >= page(FIRST))
            .map(|(_, s)| SlotRef::at(s.base).plus(1))
            .collect();
        for _ in 0..40 {
            let cnode = if homes.is_empty() || d.one_in(2) { user(0) } else { d.pick(&homes) };
            let slot = cnode.plus(d.below(u64::from(SLOTS)) as u32);
            if self.m.slot(slot).is_empty() {
                return slot;
            }
        }
        let all = (0..240).map(user);
        all.clone().find(|s| self.m.slot(*s).is_empty()).unwrap()
    }

    /// The naive set forgets what the database deleted: nothing but what descends from `tops`, what lay in CNodes that died
    /// of it, and what died before.
    fn forget(&mut self, before: &[(SlotRef, Slot)], tops: &[Key]) {
        let keys = self.keys();
        let mut dead: Vec<Key> = tops.to_vec();
        loop {
            let count = dead.len();
            for (_, s) in before {
                let key = Key::of(s);
                if dead.contains(&key) {
                    continue;
                }
                let zombie = s.is(Flags::ZOMBIE) || dead.iter().any(|d| descends(name(d), name(&key)));
                let lost = || {
                    before
                        .iter()
                        .filter(|(_, o)| Key::of(o) == key)
                        .all(|(r, _)| dead.iter().any(|k| k.base <= r.address() && r.address() < k.end()))
                };
                if zombie || lost() {
                    dead.push(key);
                }
            }
            if dead.len() == count {
                break;
            }
        }
        let gone: Vec<Name> =
            self.naive.have.keys().copied().filter(|k| !keys.iter().any(|l| name(l) == *k)).collect();
        for k in gone {
            assert!(dead.iter().any(|d| name(d) == k), "{k:x?} has gone without a reason; {tops:x?}");
            self.naive.have.remove(&k);
            self.naive_holder.owes_gone |= self.naive.have.is_empty();
        }
    }

    fn snapshot(&self) -> Vec<(SlotRef, Slot)> {
        let of_unit = |s: &Slot| s.base >= page(FIRST) && s.base < page(FIRST + PAGES);
        let all = self.m.occupied().filter(|(_, s)| of_unit(s));
        all.filter(|(_, s)| !matches!(s.ty, CapType::Unit | CapType::Mapping)).map(|(r, s)| (r, *s)).collect()
    }

    /// Whether the Unit or proxy has become empty.
    fn pull(&mut self) -> bool {
        self.db.pull_shared(&mut self.m).is_ok()
    }
}

/// What a retype in this world may make of a type.
fn makes(ty: CapType) -> &'static [CapType] {
    use CapType::*;
    match ty {
        Ram => &[Ram, Ram, Ram, Frame, Frame, L2CNode, Dispatcher],
        Frame => &[Frame],
        Dispatcher => &[Notify],
        _ => &[],
    }
}

struct System {
    cores: Vec<Core>,
    home: Home<Key, CORES>,
    up: Vec<VecDeque<ToHome<Key>>>,
    down: Vec<VecDeque<ToCore<Key>>>,
    last: CoreId,
    /// Types and rights of what is on its way, which the protocol does not know.
    types: BTreeMap<Name, CapType>,
    tally: BTreeMap<String, u64>,
}

impl System {
    fn new() -> System {
        System {
            cores: (0..CORES).map(|i| Core::new(CoreId(i as u8))).collect(),
            home: Home::new(CoreSet::first(CORES)),
            up: vec![VecDeque::new(); CORES],
            down: vec![VecDeque::new(); CORES],
            last: HOME,
            types: BTreeMap::new(),
            tally: BTreeMap::new(),
        }
    }

    fn count(&mut self, what: impl Into<String>) {
        *self.tally.entry(what.into()).or_default() += 1;
    }

    fn retype_args(&self, d: &mut Dice, k: usize, slot: SlotRef) -> Option<(RetypeArgs, Key)> {
        let s = *self.cores[k].m.slot(slot);
        let from = makes(s.ty);
        if from.is_empty() {
            return None;
        }
        let ty = d.pick(from);
        let pages = s.size / PAGE_SIZE;
        if ty == CapType::Notify {
            let args = RetypeArgs { ty, offset: d.below(3), object_size: 0, count: 1 };
            return Some((args, Key::new(ty, s.base, s.size, args.offset as u32)));
        }
        let size = match ty {
            CapType::L2CNode => 4,
            CapType::Dispatcher => 1,
            _ => 1 + d.below(pages),
        };
        if size > pages || size == pages && ty == s.ty {
            return None;
        }
        let offset = d.below(pages - size + 1) * PAGE_SIZE;
        let args = RetypeArgs { ty, offset, object_size: size * PAGE_SIZE, count: 1 };
        Some((args, Key::new(ty, s.base + offset, size * PAGE_SIZE, 0)))
    }

    /// An operation of a user.
    fn act(&mut self, d: &mut Dice) {
        let k = d.below(CORES as u64) as usize;
        let slots = self.cores[k].slots();
        if slots.is_empty() {
            return;
        }
        let slot = d.pick(&slots);
        let budget = cost::DELETE * (1 + d.below(4) as u32);
        match d.below(20) {
            0..3 => self.copy(d, k, slot),
            3..9 => self.retype(d, k, slot),
            9 | 10 => self.revoke(k, slot, budget),
            11..13 => self.delete(k, slot, budget),
            13..16 => self.ask(d, k, slot, Ask::Send),
            16..19 => self.ask(d, k, slot, Ask::Retype),
            _ => self.ask(d, k, slot, Ask::Revoke),
        }
    }

    fn copy(&mut self, d: &mut Dice, k: usize, slot: SlotRef) {
        let dst = self.cores[k].free_slot(d);
        let c = &mut self.cores[k];
        let s = c.m.slot(slot);
        if s.is(Flags::IN_DELETE) {
            return;
        }
        let expected = c.facts(&Key::of(c.m.slot(slot))).usable().map_err(crate::frozen::refused);
        assert_eq!(c.db.copy(&mut c.m, slot, dst, Rights::ALL), expected, "copy");
    }

    fn retype(&mut self, d: &mut Dice, k: usize, slot: SlotRef) {
        let Some((args, new)) = self.retype_args(d, k, slot) else { return };
        let dst = self.cores[k].free_slot(d);
        let c = &mut self.cores[k];
        if c.m.slot(slot).is(Flags::IN_DELETE) {
            return;
        }
        let src = Key::of(c.m.slot(slot));
        let copy = args.ty == CapType::Notify && c.naive.holds(new);
        // Of two reasons the database may say the other one.
        let blocked = !copy && c.facts(&src).usable().is_ok() && !c.naive.is_free(src, new);
        let event = HolderEvent::Retype { src, new };
        let expected = match copy {
            true => c.facts(&src).local(),
            false => c.naive_holder.step(&mut c.naive, event).map(|_| ()),
        };
        let expected =
            if blocked { Err(ErrorKind::Overlap) } else { expected.map_err(crate::frozen::refused) };
        let result = c.db.retype(&mut c.m, slot, &args, dst);
        assert_eq!(result, expected, "retype {args:?} of {src:x?} on core {k}");
        let outcome = format!("retype {result:?}");
        self.count(outcome);
    }

    fn revoke(&mut self, k: usize, slot: SlotRef, budget: u32) {
        let c = &mut self.cores[k];
        if c.m.slot(slot).is(Flags::IN_DELETE) {
            return;
        }
        let (top, before) = (Key::of(c.m.slot(slot)), c.snapshot());
        let expected = c.facts(&top).revoke().map_err(crate::frozen::refused);
        let result = c.db.revoke_within(&mut c.m, slot, budget);
        assert_eq!(result.map(|_| ()), expected, "revoke");
        c.forget(&before, &[top]);
        let ended = result == Ok(Progress::Done) && c.naive.holds(top) && !c.m.slot(slot).is_empty();
        if ended {
            assert!(!c.naive.have.keys().any(|&n| descends(name(&top), n) && n != name(&top)), "descendants");
        }
        self.pulled(k, false);
        self.count(format!("revoke {result:?}"));
    }

    fn delete(&mut self, k: usize, slot: SlotRef, budget: u32) {
        let c = &mut self.cores[k];
        let (top, before) = (Key::of(c.m.slot(slot)), c.snapshot());
        let _ = c.db.delete_within(&mut c.m, slot, budget).unwrap();
        c.forget(&before, &[top]);
        self.pulled(k, false);
    }

    /// Units that have become empty. `told`: the answer that was just sent says it.
    fn pulled(&mut self, k: usize, told: bool) {
        let c = &mut self.cores[k];
        if c.pull() && !told {
            c.holder.owes_gone = true;
        }
    }

    fn ask(&mut self, d: &mut Dice, k: usize, slot: SlotRef, ask: Ask) {
        let to = CoreId(((k as u64 + 1 + d.below(CORES as u64 - 1)) % CORES as u64) as u8);
        let wanted = self.retype_args(d, k, slot);
        let c = &mut self.cores[k];
        let s = *c.m.slot(slot);
        if s.is(Flags::IN_DELETE) || ask == Ask::Retype && wanted.is_none() {
            return;
        }
        let key = Key::of(&s);
        let facts = c.facts(&key);
        let guard = if ask == Ask::Send { facts.send() } else { facts.coordinated() };
        let mut expected = guard.map_err(crate::frozen::refused);
        if ask == Ask::Send && !crate::types::travels(s.ty) {
            expected = expected.and(Err(ErrorKind::WrongType));
        }
        let result = c.db.pin(&mut c.m, slot, monitor(PIN), ask);
        assert_eq!(result, expected, "pin for {ask:?}: {facts:?}");
        self.count(format!("pin {ask:?} {result:?}"));
        if result.is_err() {
            return;
        }
        let c = &mut self.cores[k];
        let request = match ask {
            Ask::Send => Request::Send { key, to },
            Ask::Revoke => Request::Revoke { top: key },
            Ask::Retype => {
                let (args, new) = wanted.unwrap();
                c.wanted = Some(args);
                Request::Retype { src: key, new }
            }
        };
        self.types.insert(name(&key), s.ty);
        c.pinned = Some((key, Some(request)));
        if ask != Ask::Send {
            self.send_request(k);
        }
    }

    fn send_request(&mut self, k: usize) {
        let Some((_, request)) = &mut self.cores[k].pinned else { return };
        let event = HolderEvent::Ask(request.take().unwrap());
        if self.holder_step(k, event, Making::Nothing, cost::DELETE).is_none() {
            self.unpin(k);
        }
    }

    fn unpin(&mut self, k: usize) {
        let c = &mut self.cores[k];
        // The pin may have been swept, and the proxy with it.
        if !c.unit.is_none() {
            c.db.conclude(&mut c.m, c.unit).unwrap();
        }
        (c.pinned, c.wanted) = (None, None);
        if !c.m.slot(monitor(PIN)).is_empty() {
            self.delete(k, monitor(PIN), 1000);
        }
    }

    /// One step of taking marks from a pin's ancestors.
    fn share_on(&mut self, k: usize, budget: u32) {
        let c = &mut self.cores[k];
        let Some((key, Some(_))) = c.pinned else { return };
        let frozen = c.facts(&key).frozen;
        match c.db.share_within(&mut c.m, monitor(PIN), budget) {
            Err(e) => {
                // It was frozen, or even swept, before the home was asked.
                assert!(frozen || c.m.slot(monitor(PIN)).is_empty(), "{e:?}");
                self.unpin(k);
            }
            Ok(progress) => {
                let (held, naive) = (c.keys(), &mut c.naive);
                for k in held {
                    let view = UnitView {
                        db: &mut c.db,
                        m: &mut c.m,
                        unit: c.unit,
                        making: Making::Nothing,
                        budget,
                        refused: None,
                    };
                    if !view.is_exclusive(k) && naive.is_exclusive(k) {
                        assert!(descends(name(&k), name(&key)), "{k:x?} has lost its mark");
                        naive.have.insert(name(&k), false);
                    }
                }
                if progress == Progress::Done {
                    assert!(!naive.have.iter().any(|(&n, &own)| own && descends(n, name(&key))));
                    self.send_request(k);
                }
            }
        }
    }

    /// A step of the protocol on a core, on the database and on the naive set: both say the same.
    fn holder_step(
        &mut self,
        k: usize,
        event: HolderEvent<Key>,
        making: Making,
        budget: u32,
    ) -> Option<HolderEffects<Key>> {
        let c = &mut self.cores[k];
        let before = c.snapshot();
        let mut holder = c.holder;
        let mut view = c.view(making, budget);
        let effects = holder.step(&mut view, event);
        assert_eq!(view.refused, None, "{event:x?} on core {k}");
        c.unit = view.unit;
        c.holder = holder;
        let top = c.naive_holder.frozen.map(|frozen| frozen.top);
        if matches!(event, HolderEvent::SweepOn | HolderEvent::Receive { message: ToCore::Sweep, .. }) {
            c.naive.swept = Some((c.keys(), matches!(effects, Ok(e) if !e.more)));
            let mut naive = c.naive.clone();
            // Nothing but what is frozen, and what hung from it.
            c.forget(&before, &[top.unwrap()]);
            naive.swept = c.naive.swept.clone();
            c.naive = naive;
        }
        let expected = c.naive_holder.step(&mut c.naive, event);
        assert_eq!(effects, expected, "{event:x?} on core {k}");
        let effects = effects.ok()?;
        let told = matches!(effects.send, Some(ToHome::Swept { .. } | ToHome::Delivered { .. }));
        self.pulled(k, told);
        if let Some(message) = effects.send {
            self.up[k].push_back(message);
        }
        Some(effects)
    }

    /// What freezes is the database's own; so is the answer to a request.
    fn receive(&mut self, d: &mut Dice, k: usize) {
        let Some(message) = self.down[k].pop_front() else { return };
        let budget = cost::DELETE * (1 + d.below(4) as u32);
        self.count(format!("{message:?}").split([' ', '(']).next().unwrap().to_owned());
        let dst = self.cores[k].free_slot(d);
        let mut accepts = true;
        let mut making = Making::Nothing;
        match message {
            ToCore::Deliver { key, exclusive } => {
                let ty = self.types[&name(&key)];
                let unit = (page(FIRST), PAGES * PAGE_SIZE);
                let (rights, home) = (Rights::ALL, HOME);
                let Key { base, size, .. } = key;
                let arrival = Arrival { ty, rights, base, size, exclusive, unit, home };
                accepts = !d.one_in(8) || exclusive;
                making = Making::Arrival { arrival, dst, proxy: monitor(UNIT) };
            }
            ToCore::Mark { top, keeps_top } => {
                let c = &mut self.cores[k];
                if !c.unit.is_none() {
                    c.db.freeze(&mut c.m, c.unit, &top, keeps_top).unwrap();
                }
            }
            ToCore::Done(_) => {
                if let (Some(args), src) = (self.cores[k].wanted, monitor(PIN)) {
                    making = Making::Retype { src, args, dst, granted: true };
                }
            }
            _ => {}
        }
        let event = HolderEvent::Receive { message, accepts };
        let effects = self.holder_step(k, event, making, budget).expect("a message is refused");
        if let Some(outcome) = effects.outcome {
            let what = self.cores[k].wanted.is_some();
            self.count(format!("outcome {outcome:?} retype {what}"));
            // The monitor's part: the user's copies come from the pin.
            if outcome != Verdict::Failed && !self.cores[k].m.slot(monitor(PIN)).is_empty() {
                let dst = self.cores[k].free_slot(d);
                let c = &mut self.cores[k];
                let _ = c.db.copy(&mut c.m, monitor(PIN), dst, Rights::ALL);
            }
            self.unpin(k);
        }
    }

    fn home_step(&mut self, event: HomeEvent<Key>) {
        let before = self.home.sharers;
        let effects = self.home.step(event).unwrap_or_else(|e| panic!("the home refuses {event:x?}: {e:?}"));
        for (to, message) in effects.sends.into_iter().flatten() {
            for core in to.iter() {
                self.down[core.index()].push_back(message);
            }
        }
        if before != self.home.sharers {
            let c = &mut self.cores[HOME.index()];
            let sharers = self.home.sharers;
            c.db.set_sharers(&mut c.m, c.unit, sharers, HOME).unwrap();
            assert_eq!(c.db.sharers(&c.m, c.unit), Ok(sharers));
        }
        if effects.reclaimed {
            self.count("reclaimed");
            let c = &mut self.cores[HOME.index()];
            let pulled = c.db.pull_unit(&mut c.m, monitor(ROOT));
            assert_eq!(pulled, Ok((page(FIRST), PAGES * PAGE_SIZE)));
        }
    }

    fn allocate(&mut self, d: &mut Dice) {
        if self.home.live || !self.home.is_quiet() {
            return;
        }
        let c = &mut self.cores[HOME.index()];
        while c.db.zero_unit(&mut c.m, c.unit) != Ok(Progress::Done) {}
        let root = Key::new(CapType::Ram, page(FIRST), PAGES * PAGE_SIZE, 0);
        self.types.insert(name(&root), CapType::Ram);
        self.home_step(HomeEvent::Zeroed);
        let to = CoreId(d.below(CORES as u64) as u8);
        self.home_step(HomeEvent::Allocate { to, root });
    }

    /// A proxy goes when nothing is held any more and the home has been told.
    fn drop_proxy(&mut self, k: usize) {
        let c = &mut self.cores[k];
        if c.unit.is_none() {
            return;
        }
        let idle = c.naive.is_empty() && c.holder.frozen.is_none() && c.pinned.is_none();
        if idle && (c.holder.owes_gone || k == HOME.index()) {
            return;
        }
        let result = c.db.delete(&mut c.m, c.unit);
        if idle {
            assert_eq!(result, Ok(Progress::Done), "proxy of core {k}");
            c.unit = SlotRef::NONE;
        } else {
            assert_eq!(result, Err(ErrorKind::UnitBusy));
        }
    }

    fn step(&mut self, seed: u64) {
        let d = &mut Dice(seed);
        let k = d.below(CORES as u64) as usize;
        let budget = cost::DELETE * (1 + d.below(3) as u32);
        match d.below(24) {
            0..9 => self.act(d),
            9..12 => self.receive(d, k),
            12..15 => {
                if let Some(message) = self.up[k].pop_front() {
                    self.home_step(HomeEvent::Receive { from: CoreId(k as u8), message });
                }
            }
            15 | 16 => {
                if let Some(core) = self.home.next_waiting(self.last) {
                    self.last = core;
                    self.home_step(HomeEvent::Start(core));
                }
            }
            17 => {
                if matches!(self.cores[k].holder.frozen, Some(frozen) if frozen.sweeping) {
                    self.holder_step(k, HolderEvent::SweepOn, Making::Nothing, budget);
                }
            }
            18 => {
                if self.cores[k].holder.owes_gone {
                    self.holder_step(k, HolderEvent::SayGone, Making::Nothing, budget);
                }
            }
            19 => self.share_on(k, budget),
            20 => {
                let c = &mut self.cores[k];
                let before = c.snapshot();
                let _ = c.db.step(&mut c.m, d.below(40) as u32);
                c.forget(&before, &[]);
                self.pulled(k, false);
            }
            21 => self.drop_proxy(k),
            _ => self.allocate(d),
        }
        self.check(d);
    }

    /// On its way to a core, or asked for.
    fn travelling(&self) -> Vec<Key> {
        let mut all = Vec::new();
        for message in self.down.iter().flatten() {
            if let ToCore::Deliver { key, .. } = message {
                all.push(*key);
            }
        }
        let asked = self.up.iter().flatten().filter_map(|message| match message {
            ToHome::Request(request) => Some(*request),
            _ => None,
        });
        for request in asked.chain(self.home.waiting.into_iter().flatten()) {
            if let Request::Send { key, .. } = request {
                all.push(key);
            }
        }
        all
    }

    fn check(&mut self, d: &mut Dice) {
        let all: Vec<Vec<Key>> = self.cores.iter().map(Core::keys).collect();
        for (k, keys) in all.iter().enumerate() {
            let c = &mut self.cores[k];
            c.checker.check(&c.db, &mut c.m);
            assert_eq!(c.holder, c.naive_holder, "core {k}");
            let mut held: Vec<Name> = keys.iter().map(name).collect();
            held.sort();
            assert!(held.iter().eq(c.naive.have.keys()), "core {k} holds {held:x?}, not {:x?}", c.naive.have);
            self.compare(d, k, &all);
        }
        let travelling = self.travelling();
        for (k, keys) in all.iter().enumerate() {
            for a in keys {
                let exclusive = self.cores[k].naive.is_exclusive(*a);
                for (j, b) in all.iter().enumerate().flat_map(|(j, keys)| keys.iter().map(move |b| (j, b))) {
                    let nested = descends(name(a), name(b)) || descends(name(b), name(a));
                    let events = a.depth == 5 && b.depth == 5 && a.base == b.base;
                    assert!(nested || events || !overlap(name(a), name(b)), "K4: {a:x?} {b:x?}");
                    assert!(!exclusive || j == k || !descends(name(a), name(b)), "I3: {a:x?} {b:x?}");
                }
                let elsewhere = travelling.iter().any(|t| descends(name(a), name(t)));
                let alone = self.home.active == capops::Active::Allocate { to: CoreId(k as u8) };
                assert!(!exclusive || !elsewhere || alone, "I3: {a:x?} is on its way");
            }
        }
    }

    /// The database and the naive set answer alike.
    fn compare(&mut self, d: &mut Dice, k: usize, all: &[Vec<Key>]) {
        let mut keys: Vec<Key> = all.iter().flatten().copied().collect();
        for _ in 0..3 {
            let first = d.below(PAGES);
            let size = 1 + d.below(PAGES - first);
            let ty = d.pick(&[CapType::Ram, CapType::Frame]);
            let key = Key::new(ty, page(FIRST + first), size * PAGE_SIZE, 0);
            let (new, fits) = (name(&key), |a, b| !overlap(a, b) || descends(a, b) || descends(b, a));
            // Only what could exist somewhere.
            if all.iter().flatten().all(|k| fits(name(k), new)) {
                keys.push(key);
            }
        }
        let c = &mut self.cores[k];
        let facts: Vec<Facts> = keys.iter().map(|key| c.facts(key)).collect();
        let naive = c.naive.clone();
        let view = c.view(Making::Nothing, 0);
        assert_eq!(view.is_empty(), naive.is_empty());
        for (key, facts) in keys.iter().zip(facts) {
            assert_eq!(view.holds(*key), naive.holds(*key), "holds {key:x?}");
            assert_eq!(view.is_exclusive(*key), naive.is_exclusive(*key), "exclusive {key:x?}");
            assert_eq!(view.holds_inside(*key), naive.holds_inside(*key), "inside {key:x?}");
            if let Some(real) = view.facts(key) {
                assert_eq!(real, facts, "{key:x?}");
            }
            for new in keys.iter().filter(|new| key.contains(new) && *new != key) {
                assert_eq!(view.is_free(*key, *new), naive.is_free(*key, *new), "{new:x?} in {key:x?}");
            }
        }
        for at in FIRST + 1..FIRST + PAGES {
            assert_eq!(view.spans(page(at)), naive.spans(page(at)));
        }
    }
}

fn run(seeds: &[u64]) -> BTreeMap<String, u64> {
    let mut system = System::new();
    for &seed in seeds {
        system.step(seed);
    }
    system.tally
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cores_agree_with_the_naive_sets_and_with_each_other(seeds in prop::collection::vec(any::<u64>(), 0..1500)) {
        run(&seeds);
    }
}

#[test]
fn a_million_steps_of_cores_agree_with_the_naive_sets() {
    let Some(wanted) = std::env::var_os("BARRELDISH_LONG") else { return };
    let wanted = wanted.to_str().and_then(|w| w.parse().ok()).unwrap_or(1);
    let steps: u64 = if wanted > 1 { wanted } else { 1_000_000 };
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    for first in (0..steps).step_by(2000) {
        let mut d = Dice(first ^ 0x5ca1_ab1e);
        let seeds: Vec<u64> = (0..2000).map(|_| d.roll()).collect();
        for (what, count) in run(&seeds) {
            *all.entry(what).or_default() += count;
        }
    }
    for (what, count) in all {
        println!("{what}: {count}");
    }
}
