//! This core as a home: its units, what goes on with them, and what its memory server asks for.

use capops::{Active, CoreId, CoreSet, Home, HomeEffects, HomeEvent, Refusal, ToCore, ToHome};

use crate::monitor::Monitor;
use crate::wire::{Body, Message, WireKey};
use crate::{Idle, Kernel, UnitId};

/// A unit of this home with which something goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnderWay<K, const N: usize> {
    pub(crate) home: Home<K, N>,
    /// What came with the waiting request of each core, for the one who will get the capability.
    tags: [u64; N],
    /// Whose request was begun last.
    last: CoreId,
}

impl<K: WireKey, const N: usize> UnderWay<K, N> {
    /// Whether a request can be begun.
    pub(crate) fn is_ready(&self) -> bool {
        self.home.next_waiting(self.last).is_some()
    }

    /// How much of what its memory server may have under way this is.
    fn weight(&self) -> u8 {
        match self.home.active {
            Active::Survey { .. } => 2,
            Active::Allocate { .. } | Active::Cut { .. } | Active::Split => 1,
            _ => 0,
        }
    }
}

impl<
    K: WireKey,
    const N: usize,
    const HOMES: usize,
    const HOLDERS: usize,
    const CLIENTS: usize,
    const SHARE: usize,
    const OUT: usize,
> Monitor<K, N, HOMES, HOLDERS, CLIENTS, SHARE, OUT>
{
    /// Hands a unit out: to a core, and there to whom the tag names.
    ///
    /// # Errors
    /// [`Refusal::Busy`]: too much is under way, to be tried again when something ended. [`Refusal::Nonsense`]: there is no such free
    /// unit, or it is not zero. [`Refusal::Stopped`]: that core has.
    pub fn allocate<M: Kernel<Key = K>>(
        &mut self,
        kernel: &mut M,
        unit: UnitId,
        to: CoreId,
        root: K,
        tag: u64,
    ) -> Result<(), Refusal> {
        self.require_server(1)?;
        self.home_step(kernel, unit, HomeEvent::Allocate { to, root }, tag)
    }

    /// Zeroes the next part of a free unit. Says whether all is zero.
    ///
    /// # Errors
    /// [`Refusal::Nonsense`]: there is no such free unit.
    pub fn zero<M: Kernel<Key = K>>(&mut self, kernel: &mut M, unit: UnitId) -> Result<bool, Refusal> {
        match kernel.idle(unit) {
            Some(idle) if !idle.live && unit.home == self.core => {}
            _ => return Err(Refusal::Nonsense),
        }
        if !kernel.zero(unit) {
            return Ok(false);
        }
        self.home_step(kernel, unit, HomeEvent::Zeroed, 0).map(|()| true)
    }

    /// Cuts a unit in two, if no capability spans the cut. [`Kernel::cut_ended`] tells.
    ///
    /// # Errors
    /// [`Refusal::Busy`]: something goes on with the unit, or too much is under way. [`Refusal::Nonsense`]: there is no such unit that
    /// is handed out, or none can begin at this address.
    pub fn cut<M: Kernel<Key = K>>(&mut self, kernel: &mut M, unit: UnitId, at: u64) -> Result<(), Refusal> {
        let upper = unit.at(at).ok_or(Refusal::Nonsense)?;
        if upper.page <= unit.page || kernel.idle(upper).is_some() {
            return Err(Refusal::Nonsense);
        }
        self.require_server(2)?;
        self.home_step(kernel, unit, HomeEvent::Cut { at }, 0)
    }

    fn require_server(&self, weight: u8) -> Result<(), Refusal> {
        let fits = self.server.checked_add(weight).is_some_and(|sum| sum <= self.limits.server);
        if fits { Ok(()) } else { Err(Refusal::Busy) }
    }

    /// Begins the request of the core whose turn it is.
    pub(crate) fn start_turn<M: Kernel<Key = K>>(&mut self, kernel: &mut M, unit: UnitId) {
        self.catch_up(kernel, unit);
        let Some(record) = self.homes.get_mut(unit) else {
            return;
        };
        let Some(next) = record.home.next_waiting(record.last) else {
            return;
        };
        record.last = next;
        let tag = record.tags[next.index()];
        let started = self.step_one(kernel, unit, HomeEvent::Start(next), tag);
        debug_assert!(started.is_ok(), "what waits at an idle unit can be begun");
    }

    /// One event of a unit of this home, and all that follows from it. The tag is what came with the event.
    pub(crate) fn home_step<M: Kernel<Key = K>>(
        &mut self,
        kernel: &mut M,
        unit: UnitId,
        event: HomeEvent<K>,
        tag: u64,
    ) -> Result<(), Refusal> {
        if let HomeEvent::Receive { from, message: ToHome::Request(request) } = event {
            self.may_request(from, request)?;
        }
        self.catch_up(kernel, unit);
        self.step_one(kernel, unit, event, tag)
    }

    /// A core has no more requests unanswered than its credit, and sends to cores that exist.
    fn may_request(&self, from: CoreId, request: capops::Request<K>) -> Result<(), Refusal> {
        let exists = |core: CoreId| core.index() < N;
        let sends_well = !matches!(request, capops::Request::Send { to, .. } if !exists(to));
        if exists(from) && self.served[from.index()] < self.limits.credits && sends_well {
            return Ok(());
        }
        Err(Refusal::Nonsense)
    }

    /// Tells a unit which cores have stopped since it last was told, or since it was put away.
    pub(crate) fn catch_up<M: Kernel<Key = K>>(&mut self, kernel: &mut M, unit: UnitId) {
        while let Some(record) = self.load(kernel, unit) {
            let Some(core) = record.home.up.iter().find(|core| !self.up.has(*core)) else {
                return;
            };
            let told = self.step_one(kernel, unit, HomeEvent::Stopped(core), 0);
            debug_assert!(told.is_ok(), "a core stops once");
        }
    }

    /// A unit as it is under way, or as it was put away: then with the cores that it does not know to have stopped.
    fn load<M: Kernel<Key = K>>(&self, kernel: &M, unit: UnitId) -> Option<UnderWay<K, N>> {
        if let Some(record) = self.homes.get(unit) {
            return Some(*record);
        }
        let Idle { live, zeroed, sharers } = kernel.idle(unit)?;
        let up = CoreSet(self.up.0 | sharers.0);
        Some(UnderWay {
            home: Home { live, zeroed, sharers, ..Home::new(up) },
            tags: [0; N],
            last: self.core,
        })
    }

    fn step_one<M: Kernel<Key = K>>(
        &mut self,
        kernel: &mut M,
        unit: UnitId,
        event: HomeEvent<K>,
        tag: u64,
    ) -> Result<(), Refusal> {
        let mut record = self.load(kernel, unit).ok_or(Refusal::Nonsense)?;
        let at = match (event, record.home.active) {
            (HomeEvent::Cut { at }, _) | (_, Active::Survey { at, .. }) => Some(at),
            _ => None,
        };
        let effects = record.home.step(event)?;
        if !record.home.is_quiet() && !self.homes.fits(unit) {
            debug_assert!(false, "credits bound what is under way");
            return Err(Refusal::Busy);
        }
        self.announce(kernel, unit, &record.home);
        match event {
            HomeEvent::Receive { from, message: ToHome::Request(_) } => {
                self.served[from.index()] += 1;
                record.tags[from.index()] = tag;
            }
            HomeEvent::Receive { from, message: ToHome::IsCut { upper_empty, .. } } => {
                self.upper_is_cut(kernel, unit, &mut record, from, upper_empty);
            }
            _ => {}
        }
        self.send(unit, &effects, tag);
        if effects.splits {
            self.split(kernel, unit, &record);
        }
        if effects.parts {
            self.part(kernel, unit, record);
        } else {
            self.store(kernel, unit, record);
        }
        if effects.reclaimed {
            kernel.reclaimed(unit);
        }
        if let (true, Some(at)) = (effects.spanned, at) {
            kernel.cut_ended(unit, at, false);
        }
        Ok(())
    }

    /// Before anything is sent the kernel knows who will share the unit.
    fn announce<M: Kernel<Key = K>>(&self, kernel: &mut M, unit: UnitId, home: &Home<K, N>) {
        let Some(known) = kernel.idle(unit).filter(|_| home.live) else {
            return;
        };
        let sharers = CoreSet(known.sharers.0 | home.sharers.0);
        let idle = Idle { live: true, zeroed: home.zeroed, sharers };
        if known != idle {
            kernel.will_share(unit, idle);
        }
    }

    fn send(&mut self, unit: UnitId, effects: &HomeEffects<K>, tag: u64) {
        for (cores, message) in effects.sends.into_iter().flatten() {
            let tag = if let ToCore::Deliver { .. } = message { tag } else { 0 };
            for core in cores.iter() {
                self.push(core, Message { unit, body: Body::ToCore(message), tag });
            }
        }
    }

    /// Keeps the record of a unit as long as something goes on; puts it away otherwise.
    fn store<M: Kernel<Key = K>>(&mut self, kernel: &mut M, unit: UnitId, record: UnderWay<K, N>) {
        if let Some(old) = self.homes.get(unit) {
            self.ready -= usize::from(old.is_ready());
            self.server -= old.weight();
        }
        self.ready += usize::from(record.is_ready());
        self.server += record.weight();
        if !record.home.is_quiet() {
            let kept = self.homes.put(unit, record);
            assert!(kept, "there is room for what was let in");
            return;
        }
        self.homes.remove(unit);
        let Home { live, zeroed, sharers, .. } = record.home;
        let idle = Some(Idle { live, zeroed, sharers });
        if kernel.idle(unit) != idle {
            kernel.set_idle(unit, Idle { live, zeroed, sharers });
        }
    }

    fn split<M: Kernel<Key = K>>(&mut self, kernel: &mut M, unit: UnitId, lower: &UnderWay<K, N>) {
        let Some((at, upper)) = upper_of(unit, lower) else {
            return;
        };
        kernel.split(unit, at, upper);
        self.store(kernel, upper, UnderWay { home: lower.home.split(), ..*lower });
    }

    fn upper_is_cut<M: Kernel<Key = K>>(
        &mut self,
        kernel: &mut M,
        unit: UnitId,
        lower: &mut UnderWay<K, N>,
        from: CoreId,
        empty: bool,
    ) {
        let Some((_, upper)) = upper_of(unit, lower) else {
            return;
        };
        if let Some(mut above) = self.homes.get(upper).copied() {
            let waited = above.home.waiting[from.index()].is_some();
            above.home.upper_is_cut(&mut lower.home, from, empty);
            if !waited {
                above.tags[from.index()] = lower.tags[from.index()];
            }
            self.store(kernel, upper, above);
        }
    }

    /// The cut is done: each part is on its own, with the requests that are about it.
    fn part<M: Kernel<Key = K>>(&mut self, kernel: &mut M, unit: UnitId, mut lower: UnderWay<K, N>) {
        let Some((at, upper)) = upper_of(unit, &lower) else {
            return;
        };
        self.catch_up(kernel, upper);
        let Some(mut above) = self.homes.get(upper).copied() else {
            return;
        };
        let free = lower.home.part(&mut above.home);
        self.store(kernel, unit, lower);
        self.store(kernel, upper, above);
        kernel.cut_ended(unit, at, true);
        for (part, _) in [unit, upper].into_iter().zip(free).filter(|(_, free)| *free) {
            kernel.reclaimed(part);
        }
    }
}

/// Where a unit is being cut, and what the upper part is called.
fn upper_of<K: WireKey, const N: usize>(unit: UnitId, lower: &UnderWay<K, N>) -> Option<(u64, UnitId)> {
    match lower.home.active {
        Active::Cut { at, .. } => Some((at, unit.at(at)?)),
        _ => None,
    }
}
