//! What must hold, looked at where a step has changed something.
//!
//! A step touches few regions, and what must hold is about one region at a time: so after each step the regions that it
//! touched are checked in full, over all cores. What runs over all messages (their number, and that none is about a unit that
//! came home) is checked every 256 steps, and whenever a unit comes home.
//!
//! Refinement: the abstract state is, for each core, what is held, not being emptied, and not doomed by a revocation that was decided. A step
//! changes it by nothing, or by what one operation on a single global set could: one capability more that was made of an
//! ancestor on its core, or is a copy of one elsewhere, or is the whole of a new unit; those less that somebody deleted; those less that
//! one revocation doomed.

use capops::{Active, CoreSet, Home, Key as _, MAX_IN_FLIGHT, Request};
use monitor::{Body, Message, UnitId};

use super::kernel::SimKernel;
use super::key::{Keys, PAGES, ROWS, SimKey, Type, members, within};
use super::naive::place;
use super::world::{REGIONS, World};
use crate::system::Violation;

/// What has to be remembered from step to step.
pub(super) struct Checks<const N: usize> {
    touched: u64,
    /// What each core has of each region, as one sees it from outside.
    seen: Vec<[Keys; N]>,
    /// What is held, but doomed.
    doomed: Vec<[Keys; N]>,
    /// The units whose revocation is decided, a bit each.
    decided: Vec<u8>,
    /// Memory that was handed out although it was not zero.
    not_zero: Option<String>,
    messages: Vec<u64>,
}

impl<const N: usize> Checks<N> {
    pub(super) fn new(regions: usize) -> Checks<N> {
        Checks {
            touched: 0,
            seen: vec![[0; N]; regions],
            doomed: vec![[0; N]; regions],
            decided: vec![0; regions],
            not_zero: None,
            messages: vec![],
        }
    }
    pub(super) fn touch(&mut self, region: usize) {
        self.touched |= 1 << region;
    }
    pub(super) fn handed_out(&mut self, region: usize, root: SimKey, dirty: u8) {
        self.touch(region);
        if dirty & root.pages() != 0 {
            self.not_zero =
                Some(format!("{root} is handed out, pages {dirty:#b} of its region are not zero"));
        }
    }
}

fn broken<T>(check: &'static str, text: String) -> Result<T, Violation> {
    Err(Violation { check, text })
}

/// A unit at its home.
struct UnitNow {
    unit: UnitId,
    range: Keys,
    live: bool,
    sharers: CoreSet,
}

impl<M: SimKernel, const N: usize, const HOMES: usize, const HOLDERS: usize, const OUT: usize>
    World<M, N, HOMES, HOLDERS, OUT>
{
    pub(super) fn check_touched(&mut self, acting: usize) -> Result<(), Violation> {
        let mut touched = std::mem::take(&mut self.checks.touched) | self.cores[acting].kernel.take_touched();
        if let Some(text) = self.checks.not_zero.take() {
            return broken("K7", text);
        }
        while touched != 0 {
            let region = touched.trailing_zeros() as usize;
            touched &= touched - 1;
            if region < N * REGIONS {
                self.check_region(region, acting)?;
            }
        }
        Ok(())
    }

    fn check_region(&mut self, region: usize, acting: usize) -> Result<(), Violation> {
        let held: [Keys; N] =
            std::array::from_fn(
                |c| if self.cores[c].up { self.cores[c].kernel.in_region(region) } else { 0 },
            );
        self.check_laminar(region, &held)?;
        self.check_exclusive(region, &held)?;
        let home_up = self.cores[region / REGIONS].up;
        let mut doomed = [0; N];
        if home_up {
            self.check_units(region, &held, &mut doomed)?;
        } else {
            // Whether it was decided will never be known to others, but here it is.
            doomed = std::array::from_fn(|c| self.checks.doomed[region][c] & held[c]);
        }
        self.check_refines(region, acting, &held, &doomed, home_up)
    }

    /// I1.
    fn check_laminar(&self, region: usize, held: &[Keys; N]) -> Result<(), Violation> {
        let all = held.iter().fold(0, |all, it| all | it);
        for index in members(all) {
            let conflict = all & ROWS[index as usize].conflict;
            if conflict != 0 {
                let (a, b) = (key(region, index), key(region, conflict.trailing_zeros() as u8));
                return broken("I1", format!("{a} exists beside {b}: {held:x?}"));
            }
        }
        Ok(())
    }

    /// I3, for what is held.
    fn check_exclusive(&self, region: usize, held: &[Keys; N]) -> Result<(), Violation> {
        for core in (0..N).filter(|core| self.cores[*core].up) {
            let exclusive = self.cores[core].kernel.exclusive(region) & held[core];
            if exclusive == 0 {
                continue;
            }
            let others = (0..N).filter(|other| *other != core).fold(0, |all, other| all | held[other]);
            for index in members(exclusive) {
                if others & ROWS[index as usize].inside != 0 {
                    let text = format!("{} is exclusive on core {core}: {held:x?}", key(region, index));
                    return broken("I3", text);
                }
            }
        }
        Ok(())
    }

    /// I4 to I7, for the units of a region; finds what is doomed.
    fn check_units(
        &mut self,
        region: usize,
        held: &[Keys; N],
        doomed: &mut [Keys; N],
    ) -> Result<(), Violation> {
        let all = held.iter().fold(0, |all, it| all | it);
        let mut covered = 0;
        let mut decided = 0;
        for page in 0..PAGES {
            let home = &self.cores[region / REGIONS];
            let unit = UnitId {
                home: capops::CoreId((region / REGIONS) as u8),
                page: (region * PAGES + page) as u32,
            };
            let Some((pages, idle)) = home.kernel.unit(unit) else {
                continue;
            };
            let record: Option<&Home<SimKey, N>> = home.monitor.home(unit);
            let (live, sharers) = record.map_or((idle.live, idle.sharers), |it| (it.live, it.sharers));
            let now = UnitNow { unit, range: within(page, page + pages), live, sharers };
            covered |= if live { now.range } else { 0 };
            let forgets = (0..N)
                .any(|c| sharers.has(capops::CoreId(c as u8)) && !idle.sharers.has(capops::CoreId(c as u8)));
            if live && (!idle.live || idle.zeroed || forgets) {
                return broken("I5", format!("{unit:?} is shared by {sharers:?}, its kernel knows {idle:?}"));
            }
            self.check_unit(&now, held)?;
            if let Some(record) = record {
                self.check_sends(record, region)?;
                if let Active::Sweep { by, top, .. } = record.active {
                    decided |= 1 << page;
                    if self.checks.decided[region] >> page & 1 == 0 {
                        self.check_decision(unit, top, record, held)?;
                    }
                    for core in 0..N {
                        let frozen = self.cores[core].kernel.guarded(unit).frozen.is_some();
                        let kept = if core == by.index() { top.bit() } else { 0 };
                        doomed[core] |= if frozen { top.row().inside & held[core] & !kept } else { 0 };
                    }
                }
            }
        }
        self.checks.decided[region] = decided;
        if all & !covered != 0 {
            let index = (all & !covered).trailing_zeros() as u8;
            return broken("I6", format!("{} is in no unit that is handed out", key(region, index)));
        }
        Ok(())
    }

    /// I5, I7.
    fn check_unit(&self, now: &UnitNow, held: &[Keys; N]) -> Result<(), Violation> {
        for (core, held) in held.iter().enumerate() {
            if held & now.range != 0 && !(now.live && now.sharers.has(capops::CoreId(core as u8))) {
                let text = format!("core {core} is no sharer of {:?}: {:?}", now.unit, now.sharers);
                return broken("I5", text);
            }
            let pending = self.cores[core].kernel.guarded(now.unit).pending.filter(|_| self.cores[core].up);
            let Some(request) = pending else {
                continue;
            };
            if held & request.pinned().bit() == 0 {
                return broken("I7", format!("core {core} asks {request:?}, and the capability is gone"));
            }
            if let Request::Send { key, .. } = request {
                self.check_sent(key, "is asked to be sent")?;
            }
        }
        Ok(())
    }

    /// I3, for what is on its way and what waits.
    fn check_sends(&self, record: &Home<SimKey, N>, region: usize) -> Result<(), Violation> {
        debug_assert!(region < N * REGIONS);
        if let Active::Send { key, .. } = record.active {
            self.check_sent(key, "is on its way")?;
        }
        Ok(())
    }

    fn check_sent(&self, key: SimKey, how: &str) -> Result<(), Violation> {
        for (core, it) in self.cores.iter().enumerate().filter(|(_, it)| it.up) {
            if it.kernel.exclusive(key.region as usize) & key.row().above != 0 {
                return broken("I3", format!("{key} {how}, and exclusive on core {core}, or an ancestor is"));
            }
        }
        Ok(())
    }

    /// I4.
    fn check_decision(
        &self,
        unit: UnitId,
        top: SimKey,
        record: &Home<SimKey, N>,
        held: &[Keys; N],
    ) -> Result<(), Violation> {
        for core in (0..N).filter(|core| held[*core] & top.row().inside != 0) {
            let frozen = self.cores[core].kernel.guarded(unit).frozen;
            if frozen.is_none_or(|it| it.top != top) {
                return broken("I4", format!("{top} dies, and core {core} has not frozen it"));
            }
        }
        let waits = |request: &Request<SimKey>| top.contains(&request.pinned());
        if record.waiting.iter().flatten().any(waits) {
            return broken("I4", format!("{top} dies, and a request for it waits"));
        }
        let mut delivered = None;
        self.each_message(|_, _, message| {
            if let Body::ToCore(capops::ToCore::Deliver { key, .. }) = message.body
                && message.unit == unit
                && top.contains(&key)
            {
                delivered = Some(key);
            }
        });
        delivered.map_or(Ok(()), |key| broken("I4", format!("{top} dies, and {key} is on its way")))
    }

    /// R: see the opening of this file.
    fn check_refines(
        &mut self,
        region: usize,
        acting: usize,
        held: &[Keys; N],
        doomed: &[Keys; N],
        home_up: bool,
    ) -> Result<(), Violation> {
        let deleted = self.cores[acting].kernel.take_deleted(region);
        let before = self.checks.seen[region];
        let running = |c: usize| self.cores[c].up;
        let alive = (0..N).filter(|c| running(*c)).fold(0, |all, c| all | before[c]);
        let mut more = 0;
        for core in (0..N).filter(|core| running(*core)) {
            let now = held[core] & !doomed[core] & !self.cores[core].kernel.dying(region);
            let deleted = if core == acting { deleted } else { 0 };
            let lost = before[core] & !now & !deleted & !doomed[core];
            if lost != 0 {
                let lost = key(region, lost.trailing_zeros() as u8);
                return broken("R", format!("core {core} loses {lost}, which nobody deleted or revoked"));
            }
            for index in members(now & !before[core]) {
                more += 1;
                let new = key(region, index);
                let made = before[core] & new.row().above & !new.bit() != 0;
                let sent = (0..N).any(|other| other != core && before[other] & new.bit() != 0);
                let first = new.ty() == Type::Ram && alive & within(new.first(), new.end()) == 0;
                if !(made || sent || first || !home_up) {
                    return broken("R", format!("core {core} has {new}, out of nothing"));
                }
            }
            self.checks.seen[region][core] = now;
        }
        self.checks.doomed[region] = *doomed;
        if more > 1 {
            return broken("R", format!("one step makes {more} capabilities in region {region}"));
        }
        Ok(())
    }

    /// Nobody uses what has been revoked.
    pub(super) fn check_used(&self, core: usize, used: SimKey) -> Result<(), Violation> {
        if self.checks.doomed[used.region as usize][core] & used.bit() != 0 {
            return broken("revoked", format!("core {core} uses {used}, which was revoked"));
        }
        Ok(())
    }

    /// I6: nothing is left of a unit that came home.
    pub(super) fn check_reclaimed(&self, unit: UnitId) -> Result<(), Violation> {
        let (region, first) = place(unit);
        let Some((pages, _)) = self.cores[unit.home.index()].kernel.unit(unit) else {
            return broken("I6", format!("{unit:?} comes home, and is none"));
        };
        for (core, it) in self.cores.iter().enumerate().filter(|(_, it)| it.up) {
            if it.kernel.in_region(region) & within(first, first + pages) != 0 {
                return broken("I6", format!("{unit:?} comes home, and core {core} has some of it"));
            }
            let part = |page: usize| UnitId { page: (region * PAGES + page) as u32, ..unit };
            let busy = |page: &usize| {
                let guard = it.kernel.guarded(part(*page));
                guard.pending.is_some() || guard.frozen.is_some()
            };
            if let Some(page) = (first..first + pages).find(busy) {
                let text = format!("{unit:?} comes home, and core {core} is at work on {:?}", part(page));
                return broken("I6", text);
            }
        }
        let range = unit.page..unit.page + pages as u32;
        let mut left = None;
        self.each_message(|from, to, message| {
            if range.contains(&message.unit.page) && self.cores[from].up && self.cores[to].up {
                left = Some(message);
            }
        });
        left.map_or(Ok(()), |message| {
            broken("I6", format!("{unit:?} comes home, and {message:?} is on its way"))
        })
    }

    fn each_message(&self, mut look: impl FnMut(usize, usize, Message<SimKey>)) {
        for (i, ring) in self.rings.iter().enumerate() {
            for words in ring {
                if let Some(message) = Message::decode(*words) {
                    look(i / N, i % N, message);
                }
            }
        }
        for (from, core) in self.cores.iter().enumerate() {
            for to in 0..N {
                for message in core.monitor.queued(capops::CoreId(to as u8)) {
                    look(from, to, *message);
                }
            }
        }
    }

    /// No unit has more messages under way in one direction than was promised.
    pub(super) fn check_messages(&mut self) -> Result<(), Violation> {
        let mut codes = std::mem::take(&mut self.checks.messages);
        codes.clear();
        self.each_message(|from, to, message| {
            let role = u64::from(matches!(message.body, Body::ToHome(_)));
            codes.push((from as u64) << 48 | (to as u64) << 40 | u64::from(message.unit.page) << 1 | role);
        });
        codes.sort_unstable();
        let most = codes.chunk_by(|a, b| a == b).map(<[u64]>::len).max().unwrap_or(0);
        self.checks.messages = codes;
        for core in &self.cores {
            for to in 0..N {
                let queue = core.monitor.queued(capops::CoreId(to as u8)).count() as u64;
                self.counts.queue = self.counts.queue.max(queue);
            }
        }
        if most > MAX_IN_FLIGHT {
            return broken("messages", format!("{most} messages of one unit go one way"));
        }
        Ok(())
    }

    /// L3: with nobody left, all memory is at its servers, and nothing goes on.
    pub(super) fn check_all_home(&self) -> Result<(), Violation> {
        for (core, it) in self.cores.iter().enumerate().filter(|(_, it)| it.up) {
            let regions = core * REGIONS..(core + 1) * REGIONS;
            let mut units = regions.flat_map(|region| (0..PAGES).map(move |page| region * PAGES + page));
            let out = units.find_map(|page| {
                let unit = UnitId { home: capops::CoreId(core as u8), page: page as u32 };
                it.kernel.unit(unit).map(|idle| (unit, idle, it.monitor.home(unit)))
            });
            if let Some(out) = out {
                return broken("L3", format!("all domains ended, and a unit is not home: {out:?}"));
            }
            if !it.kernel.is_empty() {
                return broken("L3", format!("all domains ended, and core {core} has capabilities"));
            }
            if !it.monitor.is_quiet() {
                return broken("L1", format!("core {core} does not come to rest"));
            }
        }
        Ok(())
    }
}

fn key(region: usize, index: u8) -> SimKey {
    SimKey { region: region as u8, index }
}
