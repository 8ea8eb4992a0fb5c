//! A kernel that is simple enough to be seen right: sets of bits, a list of slots, and walks over it.

use capops::{CoreId, CoreSet, Held, Holder, HolderEffects, HolderEvent, Refusal, ToHome, Verdict};
use monitor::{Copied, DomainId, Idle, Kernel, Nonsense, PAGE, Taker, UnitId};

use super::Mistake;
use super::kernel::{Cap, DOMAINS, SLOTS, SimKernel, SlotId, Told};
use super::key::{BEGINS, KEYS, Keys, PAGES, SPANS, SimKey, Type};
use super::rng::Rng;

/// Slots of the monitor for what was asked.
const PLACES: usize = 24;
const FIRST_PLACE: usize = DOMAINS * SLOTS;
/// The monitor's slot for what an event has made.
const FRESH: usize = FIRST_PLACE + PLACES;
const FIRST_CNODE: usize = FRESH + 1;
/// CNodes with slots. More can exist, without.
const CNODES: usize = 4;
const CNODE_SLOTS: usize = 2;
const ALL_SLOTS: usize = FIRST_CNODE + CNODES * CNODE_SLOTS;
/// Capabilities that a step of a sweep deletes.
const SWEEP_STEP: usize = 2;
/// Pages that a step zeroes.
const ZERO_STEP: u32 = 2;

#[derive(Clone)]
struct Region {
    held: Keys,
    exclusive: Keys,
    /// CNodes without a capability that are not empty yet.
    zombies: Keys,
    copies: [u8; KEYS],
    /// Where the unit of each page begins, as far as this core knows.
    unit_at: [u8; PAGES],
    /// The units that owe their home a word, a bit each.
    owes: u8,
    deleted: Keys,
    /// What of each unit is frozen and asked.
    guards: [(Holder<SimKey>, Option<u32>); PAGES],
    /// At the home: the units, by their first page.
    units: [Option<(usize, Idle)>; PAGES],
    dirty: u8,
}

#[derive(Clone, Copy, Default)]
struct Domain {
    id: Option<DomainId>,
    dying: bool,
}

/// The naive kernel.
pub struct Naive {
    core: CoreId,
    regions_a_core: usize,
    regions: Vec<Region>,
    slots: [Option<Cap>; ALL_SLOTS],
    domains: [Domain; DOMAINS],
    cnodes: [Option<SimKey>; CNODES],
    /// Slots of the monitor that belong to a request, a bit each. A revocation may have emptied them.
    places: u32,
    told: Vec<Told>,
    touched: u64,
    mistake: Option<Mistake>,
    /// Slots of the monitor with what is left to a domain that had no room.
    left: Vec<(u32, DomainId)>,
    /// What domains do between two calls of the monitor, if they do anything.
    rng: Option<Rng>,
}

impl Naive {
    /// The kernel of a core.
    pub fn new(core: CoreId, cores: usize, regions_a_core: usize, mistake: Option<Mistake>) -> Naive {
        let region = Region {
            held: 0,
            exclusive: 0,
            zombies: 0,
            copies: [0; KEYS],
            unit_at: std::array::from_fn(|page| page as u8),
            owes: 0,
            deleted: 0,
            guards: [(Holder::IDLE, None); PAGES],
            units: [None; PAGES],
            dirty: 0xff,
        };
        Naive {
            core,
            regions_a_core,
            regions: vec![region; cores * regions_a_core],
            slots: [None; ALL_SLOTS],
            domains: [Domain::default(); DOMAINS],
            cnodes: [None; CNODES],
            places: 0,
            told: Vec::new(),
            touched: 0,
            mistake,
            left: vec![],
            rng: None,
        }
    }

    /// Lets domains run between the calls that one event of the monitor makes.
    #[must_use]
    pub fn preempting(self, seed: u64) -> Naive {
        Naive { rng: Some(Rng::new(seed)), ..self }
    }

    /// Where the monitor is between two calls: now and then domains do something. They make nothing new here, because a step
    /// that makes several capabilities could not be told from one that makes them of nothing.
    fn between(&mut self) {
        let Some(mut rng) = self.rng.take() else {
            return;
        };
        while rng.one_in(3) {
            let slot = rng.below(FIRST_PLACE);
            match rng.below(5) {
                0 => _ = self.reap(),
                1 => _ = self.free_slot(slot / SLOTS).map(|to| self.copy(slot, to, false)),
                // What is fresh is not the domains' yet, but a revocation may take it.
                2 if self.slots[slot].is_some_and(|cap| cap.revoke) => _ = SimKernel::revoke(self, slot),
                _ if rng.one_in(2) => SimKernel::delete(self, slot),
                _ => {}
            }
        }
        self.rng = Some(rng);
    }

    fn guard(&mut self, unit: UnitId, holder: &Holder<SimKey>, pinned: Option<u32>) {
        let (region, page) = place(unit);
        self.region(region as u8).guards[page] = (*holder, pinned);
    }
    fn owes_gone(&self, unit: UnitId) -> bool {
        let (region, page) = place(unit);
        self.regions[region].owes >> page & 1 != 0
    }
    fn set_owes_gone(&mut self, unit: UnitId, owes: bool) {
        let (region, page) = place(unit);
        if owes != self.owes_gone(unit) {
            let region = self.region(region as u8);
            region.owes = region.owes & !(1 << page) | u8::from(owes) << page;
        }
    }

    fn region(&mut self, region: u8) -> &mut Region {
        self.touched |= 1 << region;
        &mut self.regions[region as usize]
    }

    fn view(&mut self, unit: UnitId, keep: Option<usize>, wanted: bool) -> View<'_> {
        let (region, page) = place(unit);
        let mask = self.mask(region, page);
        View { kernel: self, unit, region: region as u8, mask, keep, wanted }
    }

    fn mask(&self, region: usize, page: usize) -> Keys {
        let unit_at = &self.regions[region].unit_at;
        (0..PAGES).filter(|&p| unit_at[p] as usize == page).fold(0, |set, p| set | BEGINS[p])
    }

    fn usable(&self, slot: SlotId) -> Result<Cap, Refusal> {
        let cap = self.slots[slot].ok_or(Refusal::NotHeld)?;
        let holder = self.guarded(self.unit_of(cap.key));
        let frozen = holder.frozen.is_some_and(|it| capops::Key::contains(&it.top, &cap.key));
        if frozen && self.mistake != Some(Mistake::FrozenIsUsed) { Err(Refusal::Frozen) } else { Ok(cap) }
    }

    /// The state that the guards of `capops` look at.
    fn guard_of(&self, unit: UnitId) -> Holder<SimKey> {
        let mut holder = self.guarded(unit);
        if self.mistake == Some(Mistake::FrozenIsUsed) {
            holder.frozen = None;
        }
        holder
    }

    fn put(&mut self, slot: usize, cap: Cap) {
        debug_assert!(self.slots[slot].is_none());
        self.slots[slot] = Some(cap);
        self.region(cap.key.region).copies[cap.key.index as usize] += 1;
    }

    fn drop_slot(&mut self, slot: usize, wanted: bool) {
        let Some(cap) = self.slots[slot].take() else {
            return;
        };
        let key = cap.key;
        let region = self.region(key.region);
        region.copies[key.index as usize] -= 1;
        if region.copies[key.index as usize] > 0 {
            return;
        }
        if wanted {
            region.deleted |= key.bit();
        }
        if key.ty() == Type::CNode {
            region.zombies |= key.bit();
            if self.mistake == Some(Mistake::ZombieIsForgotten) {
                self.finish(key);
            }
        } else {
            self.finish(key);
        }
    }

    /// Nothing is left of a capability.
    fn finish(&mut self, key: SimKey) {
        let (_, page) = place(self.unit_of(key));
        let mask = self.mask(key.region as usize, page);
        let region = self.region(key.region);
        region.held &= !key.bit();
        region.exclusive &= !key.bit();
        if region.held & mask == 0 {
            region.owes |= 1 << page;
        }
    }

    /// One step towards the end of a CNode without a capability. Says whether there was one, inside `among`.
    fn reap_cnode(&mut self, region: usize, among: Keys) -> bool {
        let zombies = self.regions[region].zombies & among;
        if zombies == 0 {
            return false;
        }
        let key = SimKey { region: region as u8, index: zombies.trailing_zeros() as u8 };
        let object = self.cnodes.iter().position(|it| *it == Some(key));
        if let Some(object) = object {
            let first = FIRST_CNODE + object * CNODE_SLOTS;
            if let Some(slot) = (first..first + CNODE_SLOTS).find(|&slot| self.slots[slot].is_some()) {
                self.drop_slot(slot, true);
                return true;
            }
            self.cnodes[object] = None;
        }
        self.region(key.region).zombies &= !key.bit();
        if self.mistake != Some(Mistake::ZombieIsForgotten) {
            self.finish(key);
        }
        true
    }

    /// Brings one copy that was left to its domain, if that has room, or deletes it with the domain.
    fn fetch_left(&mut self) -> bool {
        for (i, (place, id)) in self.left.iter().copied().enumerate() {
            let slot = FIRST_PLACE + place as usize;
            let domain = self.domain_of(id);
            let to = domain.and_then(|domain| self.free_slot(domain));
            let Some(cap) = self.slots[slot].filter(|_| domain.is_some()) else {
                self.drop_slot(slot, true);
                self.places &= !(1 << place);
                self.left.swap_remove(i);
                return true;
            };
            if let Some(to) = to {
                self.slots[slot] = None;
                self.slots[to] = Some(cap);
                self.places &= !(1 << place);
                self.left.swap_remove(i);
                return true;
            }
        }
        false
    }

    fn free_place(&mut self, copy: Copied<SimKey>) {
        if let Copied::Pinned(place) = copy {
            self.places &= !(1 << place);
        }
    }

    fn domain_of(&self, id: DomainId) -> Option<usize> {
        (0..DOMAINS).find(|&d| self.domains[d].id == Some(id) && !self.domains[d].dying)
    }
}

/// Region and page in it where a unit begins.
pub(super) fn place(unit: UnitId) -> (usize, usize) {
    (unit.page as usize / PAGES, unit.page as usize % PAGES)
}

fn page_in_region(at: u64) -> usize {
    (at / PAGE) as usize % PAGES
}

/// What a core holds of a unit.
struct View<'a> {
    kernel: &'a mut Naive,
    unit: UnitId,
    region: u8,
    mask: Keys,
    /// The slot that a sweep leaves.
    keep: Option<usize>,
    /// Whether deletions are what a domain of this core wants.
    wanted: bool,
}

impl View<'_> {
    fn all(&self) -> Keys {
        self.kernel.regions[self.region as usize].held & self.mask
    }
    fn region(&mut self) -> &mut Region {
        self.kernel.region(self.region)
    }
}

impl Held for View<'_> {
    type Key = SimKey;

    fn is_empty(&self) -> bool {
        self.all() == 0
    }
    fn holds(&self, key: SimKey) -> bool {
        let zombies = self.kernel.regions[self.region as usize].zombies;
        key.region == self.region && self.all() & !zombies & key.bit() != 0
    }
    fn is_exclusive(&self, key: SimKey) -> bool {
        self.holds(key) && self.kernel.regions[self.region as usize].exclusive & key.bit() != 0
    }
    fn holds_inside(&self, key: SimKey) -> bool {
        self.all() & key.row().inside != 0
    }
    fn is_free(&self, src: SimKey, new: SimKey) -> bool {
        let blind = self.kernel.mistake == Some(Mistake::ConflictIsNotSeen) && new.ty() == Type::Frame;
        blind || self.all() & !src.row().above & !new.row().disjoint == 0
    }
    fn spans(&self, at: u64) -> bool {
        self.all() & SPANS[page_in_region(at)] != 0
    }

    fn insert(&mut self, key: SimKey, exclusive: bool) -> bool {
        let (_, page) = place(self.unit);
        self.mask |= (key.first()..key.end()).fold(0, |set, page| set | BEGINS[page]);
        let region = self.region();
        region.unit_at[key.first()..key.end()].fill(page as u8);
        if region.held & key.bit() == 0 {
            region.held |= key.bit();
            region.exclusive &= !key.bit();
            region.exclusive |= if exclusive { key.bit() } else { 0 };
            if key.ty() == Type::CNode
                && let Some(object) = self.kernel.cnodes.iter_mut().find(|it| it.is_none())
            {
                *object = Some(key);
            }
        }
        self.kernel.put(FRESH, Cap { key, revoke: true });
        true
    }
    fn remove(&mut self, _: SimKey) {
        unreachable!("the kernel deletes by slot");
    }
    fn share(&mut self, key: SimKey) {
        let forgets = self.kernel.mistake == Some(Mistake::AncestorsStayExclusive);
        self.region().exclusive &= if forgets { !key.bit() } else { !key.row().above };
    }
    fn own(&mut self, key: SimKey) {
        self.region().exclusive |= key.bit();
    }
    fn sweep(&mut self, top: SimKey, keeps_top: bool) -> bool {
        let keep = if keeps_top { self.keep } else { None };
        let inside = top.row().inside;
        let skips_cnodes = self.kernel.mistake == Some(Mistake::SweepSkipsCNodes);
        let end = if skips_cnodes { FIRST_CNODE } else { ALL_SLOTS };
        let mut budget = SWEEP_STEP;
        for slot in (0..end).filter(|slot| Some(*slot) != keep) {
            let dies = |cap: Cap| cap.key.region == self.region && inside & cap.key.bit() != 0;
            if budget > 0 && self.kernel.slots[slot].is_some_and(dies) {
                self.kernel.drop_slot(slot, self.wanted);
                budget -= 1;
            }
        }
        if budget == SWEEP_STEP {
            self.kernel.reap_cnode(self.region as usize, inside);
        }
        let kept = if keeps_top { top.bit() } else { 0 };
        let copies = self.kernel.regions[self.region as usize].copies[top.index as usize];
        let alone = !keeps_top || copies <= 1;
        skips_cnodes && budget > 0 || self.all() & inside & !kept == 0 && alone
    }
}

impl Kernel for Naive {
    type Key = SimKey;

    fn step(
        &mut self,
        unit: UnitId,
        holder: &mut Holder<SimKey>,
        event: HolderEvent<SimKey>,
        pinned: Option<u32>,
    ) -> Result<HolderEffects<SimKey>, Refusal> {
        self.between();
        if let HolderEvent::Ask(_) = event
            && pinned.and_then(|place| self.pinned(place)) != Some(unit)
        {
            return Err(Refusal::NotHeld);
        }
        if self.mistake == Some(Mistake::BusyComesLate) {
            self.between();
        }
        let mut after = *holder;
        after.owes_gone = self.owes_gone(unit);
        let keep = pinned.map(|place| FIRST_PLACE + place as usize);
        let effects = after.step(&mut self.view(unit, keep, false), event)?;
        if self.mistake == Some(Mistake::StepIsSeveralCalls) {
            self.between();
        }
        // The deletions of a sweep have set it, too, and its answer says it.
        self.set_owes_gone(unit, after.owes_gone);
        self.guard(unit, &after, pinned);
        *holder = after;
        Ok(effects)
    }
    fn cut(
        &mut self,
        unit: UnitId,
        at: u64,
        upper: UnitId,
        holder: &mut Holder<SimKey>,
        pinned: Option<u32>,
    ) -> (Holder<SimKey>, ToHome<SimKey>) {
        self.between();
        let (region, page) = place(unit);
        let page_at = page_in_region(at);
        for unit_at in &mut self.region(region as u8).unit_at[page_at..] {
            if *unit_at as usize == page {
                *unit_at = page_at as u8;
            }
        }
        let lower_empty = self.view(unit, None, false).is_empty();
        let upper_empty = self.view(upper, None, false).is_empty();
        let (above, answer) = holder.cut_knowing(at, lower_empty, upper_empty);
        if self.mistake == Some(Mistake::StepIsSeveralCalls) {
            self.between();
        }
        for (part, holder) in [(unit, &*holder), (upper, &above)] {
            self.set_owes_gone(part, false);
            self.guard(part, holder, pinned.filter(|_| holder.pending.is_some()));
        }
        (above, answer)
    }
    fn next_emptied(&self, home: CoreId) -> Option<UnitId> {
        let first = home.index() * self.regions_a_core;
        let region = (first..first + self.regions_a_core).find(|&it| self.regions[it].owes != 0)?;
        let page = self.regions[region].owes.trailing_zeros() as usize;
        Some(UnitId { home, page: (region * PAGES + page) as u32 })
    }
    fn pinned(&self, place: u32) -> Option<UnitId> {
        self.slots[FIRST_PLACE + place as usize].map(|cap| self.unit_of(cap.key))
    }

    fn idle(&self, unit: UnitId) -> Option<Idle> {
        self.unit(unit).map(|(_, idle)| idle)
    }
    fn will_share(&mut self, unit: UnitId, idle: Idle) {
        self.set_idle(unit, idle);
    }
    fn set_idle(&mut self, unit: UnitId, idle: Idle) {
        let (region, page) = place(unit);
        if let Some((_, old)) = &mut self.region(region as u8).units[page] {
            *old = idle;
        }
    }
    fn next_unit(&self, after: Option<UnitId>) -> Option<UnitId> {
        let first = self.core.index() * self.regions_a_core * PAGES;
        let from = after.map_or(first, |unit| unit.page as usize + 1);
        let mut pages = from..first + self.regions_a_core * PAGES;
        let page = pages.find(|page| self.regions[page / PAGES].units[page % PAGES].is_some())?;
        Some(UnitId { home: self.core, page: page as u32 })
    }
    fn split(&mut self, unit: UnitId, at: u64, _: UnitId) {
        let (region, page) = place(unit);
        let at = page_in_region(at);
        let region = self.region(region as u8);
        if let Some((pages, idle)) = region.units[page] {
            region.units[page] = Some((at - page, idle));
            region.units[at] = Some((page + pages - at, idle));
        }
    }
    fn zero(&mut self, unit: UnitId) -> bool {
        if self.mistake == Some(Mistake::MemoryStaysDirty) {
            return true;
        }
        let (region, page) = place(unit);
        let pages = self.unit(unit).map_or(0, |(pages, _)| pages);
        let mask = ((1u16 << (page + pages)) - (1u16 << page)) as u8;
        let dirty = &mut self.region(region as u8).dirty;
        for _ in 0..ZERO_STEP {
            let left = *dirty & mask;
            *dirty &= !(left & left.wrapping_neg());
        }
        *dirty & mask == 0
    }
    fn reclaimed(&mut self, unit: UnitId) {
        self.told.push(Told::Reclaimed(unit));
    }
    fn cut_ended(&mut self, unit: UnitId, _: u64, done: bool) {
        self.told.push(Told::CutEnded(unit, done));
    }

    fn accepts(&mut self, _: UnitId, _: SimKey, tag: u64) -> bool {
        self.between();
        let domain = tag as usize % DOMAINS;
        self.lives(domain) && self.free_slot(domain).is_some()
    }
    fn give(&mut self, copy: Copied<SimKey>, to: Taker) -> bool {
        self.between();
        let (domain, revoke) = match to {
            Taker::Asker { domain, .. } => (self.domain_of(domain), true),
            Taker::Tag(tag) => (Some(tag as usize % DOMAINS), tag & 1 << 32 == 0),
        };
        let Some(domain) = domain.filter(|&it| self.lives(it)) else {
            return false;
        };
        let from = slot_of(copy);
        let (Some(to), Some(cap)) = (self.free_slot(domain), self.slots[from]) else {
            return false;
        };
        self.slots[from] = None;
        self.free_place(copy);
        self.slots[to] = Some(Cap { revoke: cap.revoke && revoke, ..cap });
        true
    }
    fn leave(&mut self, place: u32, domain: DomainId, _: u64) {
        self.left.push((place, domain));
        self.between();
    }
    fn discard(&mut self, copy: Copied<SimKey>) {
        self.between();
        if self.mistake == Some(Mistake::OrphanIsKept) && matches!(copy, Copied::Fresh { .. }) {
            // Its count stays, and nobody will find it.
            self.slots[FRESH] = None;
        }
        self.drop_slot(slot_of(copy), true);
        self.free_place(copy);
    }
    fn reply(&mut self, domain: DomainId, token: u64, how: Result<Verdict, Refusal>) {
        self.between();
        self.told.push(Told::Reply(domain, token, how));
    }
    fn report(&mut self, nonsense: Nonsense) {
        self.told.push(Told::Nonsense(nonsense));
    }
}

fn slot_of(copy: Copied<SimKey>) -> usize {
    match copy {
        Copied::Fresh { .. } => FRESH,
        Copied::Pinned(place) => FIRST_PLACE + place as usize,
    }
}

impl SimKernel for Naive {
    fn cap(&self, slot: SlotId) -> Option<Cap> {
        self.slots[slot]
    }
    fn lives(&self, domain: usize) -> bool {
        self.domains[domain].id.is_some() && !self.domains[domain].dying
    }
    fn free_slot(&self, domain: usize) -> Option<SlotId> {
        (domain * SLOTS..(domain + 1) * SLOTS).find(|&slot| self.slots[slot].is_none())
    }
    fn unit_of(&self, key: SimKey) -> UnitId {
        let region = key.region as usize;
        let page = region * PAGES + self.regions[region].unit_at[key.first()] as usize;
        UnitId { home: CoreId((region / self.regions_a_core) as u8), page: page as u32 }
    }

    fn spawn(&mut self, domain: usize, id: DomainId) -> bool {
        let empty = (domain * SLOTS..(domain + 1) * SLOTS).all(|slot| self.slots[slot].is_none());
        if self.lives(domain) || !empty {
            return false;
        }
        self.domains[domain] = Domain { id: Some(id), dying: false };
        true
    }
    fn kill(&mut self, domain: usize) {
        self.domains[domain].dying = true;
    }
    fn copy(&mut self, from: SlotId, to: SlotId, mint: bool) -> Result<(), Refusal> {
        let cap = self.usable(from)?;
        self.put(to, Cap { revoke: cap.revoke && !mint, ..cap });
        Ok(())
    }
    fn store(&mut self, from: SlotId, which: usize) -> Result<(), Refusal> {
        let cap = self.usable(from)?;
        let slot = FIRST_CNODE + which % (CNODES * CNODE_SLOTS);
        let object = self.cnodes[(slot - FIRST_CNODE) / CNODE_SLOTS].ok_or(Refusal::NotHeld)?;
        let dies = self.regions[object.region as usize].zombies & object.bit() != 0;
        if dies || cap.key.ty() == Type::CNode || self.slots[slot].is_some() {
            return Err(Refusal::Conflict);
        }
        self.put(slot, cap);
        Ok(())
    }
    fn fetch(&mut self, which: usize, to: SlotId) -> Result<(), Refusal> {
        let cap = self.usable(FIRST_CNODE + which % (CNODES * CNODE_SLOTS))?;
        self.put(to, cap);
        Ok(())
    }
    fn retype(&mut self, from: SlotId, new: SimKey, to: SlotId) -> Result<(), Refusal> {
        let src = self.slots[from].ok_or(Refusal::NotHeld)?.key;
        let unit = self.unit_of(src);
        let mut holder = self.guard_of(unit);
        holder.step(&mut self.view(unit, None, true), HolderEvent::Retype { src, new })?;
        self.slots[to] = self.slots[FRESH].take();
        Ok(())
    }
    fn revoke(&mut self, slot: SlotId) -> Result<bool, Refusal> {
        let top = self.slots[slot].ok_or(Refusal::NotHeld)?.key;
        let unit = self.unit_of(top);
        let mut holder = self.guard_of(unit);
        let effects = holder.step(&mut self.view(unit, Some(slot), true), HolderEvent::Revoke(top))?;
        Ok(effects.more)
    }
    fn delete(&mut self, slot: SlotId) {
        self.drop_slot(slot, true);
    }
    fn pin(&mut self, slot: SlotId) -> Option<u32> {
        let cap = self.slots[slot]?;
        let place = (0..PLACES).find(|place| self.places >> place & 1 == 0)?;
        self.places |= 1 << place;
        self.put(FIRST_PLACE + place, cap);
        Some(place as u32)
    }
    fn reap(&mut self) -> bool {
        let dying = (0..DOMAINS).filter(|&domain| self.domains[domain].dying);
        let mut slots = dying.flat_map(|domain| domain * SLOTS..(domain + 1) * SLOTS);
        if let Some(slot) = slots.find(|&slot| self.slots[slot].is_some()) {
            self.drop_slot(slot, true);
            return true;
        }
        (0..self.regions.len()).any(|region| self.reap_cnode(region, Keys::MAX)) || self.fetch_left()
    }

    fn make_unit(&mut self, unit: UnitId, pages: usize) -> bool {
        let (region, first) = place(unit);
        let region = self.region(region as u8);
        let overlaps = |(page, unit): (usize, &Option<(usize, Idle)>)| {
            unit.is_some_and(|(pages_of, _)| page < first + pages && first < page + pages_of)
        };
        if first + pages > PAGES || region.units.iter().enumerate().any(overlaps) {
            return false;
        }
        region.units[first] = Some((pages, Idle { live: false, zeroed: false, sharers: CoreSet::NONE }));
        true
    }
    fn unmake_unit(&mut self, unit: UnitId) {
        let (region, page) = place(unit);
        self.region(region as u8).units[page] = None;
    }
    fn unit(&self, unit: UnitId) -> Option<(usize, Idle)> {
        let (region, page) = place(unit);
        self.regions.get(region)?.units[page]
    }
    fn dirty(&mut self, region: usize) -> &mut u8 {
        &mut self.regions[region].dirty
    }

    fn in_region(&self, region: usize) -> Keys {
        self.regions[region].held
    }
    fn dying(&self, region: usize) -> Keys {
        self.regions[region].zombies
    }
    fn exclusive(&self, region: usize) -> Keys {
        self.regions[region].exclusive
    }
    fn guarded(&self, unit: UnitId) -> Holder<SimKey> {
        let (region, page) = place(unit);
        self.regions[region].guards[page].0
    }
    fn take_deleted(&mut self, region: usize) -> Keys {
        std::mem::take(&mut self.regions[region].deleted)
    }
    fn take_touched(&mut self) -> u64 {
        std::mem::take(&mut self.touched)
    }
    fn told(&mut self) -> &mut Vec<Told> {
        &mut self.told
    }
    fn is_empty(&self) -> bool {
        self.places == 0
            && self.slots.iter().all(Option::is_none)
            && self.regions.iter().all(|region| region.held == 0)
    }
}
