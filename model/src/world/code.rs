//! States as few bytes, and back.

use capops::{
    Active, CoreId, CoreSet, Finding, Frozen, Holder, MAX_IN_FLIGHT, Request, ToCore, ToHome, Verdict,
};

use super::symmetry::Renaming;
use super::{Cap, Channel, Config, Content, Set, State, Symmetry, Unit, World};

/// Writes under a renaming.
struct Writer<'a, const N: usize> {
    bytes: &'a mut Vec<u8>,
    symmetry: &'a Symmetry<N>,
    renaming: &'a Renaming<N>,
    config: &'a Config,
}

impl<const N: usize> World<N> {
    pub(super) fn write(&self, state: &State<N>, canonical: bool, bytes: &mut Vec<u8>) {
        let symmetry = &self.symmetry;
        let write = |renaming, bytes: &mut Vec<u8>| {
            bytes.clear();
            Writer { bytes, symmetry, renaming, config: &self.config }.state(state);
        };
        write(&symmetry.renamings[0], bytes);
        if !canonical || symmetry.renamings.len() == 1 {
            return;
        }
        thread_local!(static SPARE: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) });
        SPARE.with_borrow_mut(|spare| {
            // Only renamings that bring the cores into an order by what is cheap to see of them can give the least encoding.
            let mut found = false;
            for renaming in &symmetry.renamings {
                if !self.is_ordered(state, renaming) {
                    continue;
                }
                write(renaming, spare);
                if !found || *spare < *bytes {
                    std::mem::swap(spare, bytes);
                }
                found = true;
            }
        });
    }

    /// Whether the cores other than the home's stand in ascending order of a summary that no renaming of the others changes.
    fn is_ordered(&self, state: &State<N>, renaming: &Renaming<N>) -> bool {
        let summary = |new: usize| {
            let k = renaming.old(new);
            let unit = &state.units[0];
            let held = &unit.held[k];
            let holder = &unit.holders[k];
            (
                self.symmetry.set(renaming, held.have),
                self.symmetry.set(renaming, held.exclusive),
                unit.up[k].len() << 8
                    | unit.down[k].len() << 4
                    | usize::from(holder.pending.is_some()) << 2
                    | usize::from(holder.frozen.is_some()) << 1
                    | usize::from(unit.home.sharers.has(CoreId(k as u8))),
            )
        };
        (2..N).all(|new| summary(new - 1) <= summary(new))
    }

    pub(super) fn read(&self, bytes: &[u8]) -> State<N> {
        let mut reader = Reader { bytes, at: 0, config: &self.config };
        reader.state(self)
    }
}

impl<const N: usize> Writer<'_, N> {
    fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }
    fn flags<const F: usize>(&mut self, flags: [bool; F]) {
        self.byte(flags.iter().enumerate().map(|(bit, flag)| u8::from(*flag) << bit).sum());
    }
    fn set(&mut self, set: Set) {
        let set = self.symmetry.set(self.renaming, set).to_le_bytes();
        self.bytes.extend_from_slice(if self.config.typed { &set } else { &set[..2] });
    }
    fn cap(&mut self, cap: Cap) {
        let cap = self.symmetry.cap(self.renaming, cap);
        self.byte(cap.0);
    }
    fn core(&mut self, core: CoreId) {
        let core = self.renaming.core(core);
        self.byte(core.0);
    }
    fn cores(&mut self, set: CoreSet) {
        let set = self.renaming.cores(set);
        self.byte(set.0 as u8);
    }

    fn state(&mut self, state: &State<N>) {
        self.flags([state.is_cut, state.content.is_some(), state.stopped.is_some()]);
        if let Some(Content { core, object, cap, only, dying }) = state.content {
            self.core(core);
            self.cap(object);
            self.cap(cap);
            self.flags([only, dying]);
        }
        if let Some(core) = state.stopped {
            self.core(core);
            self.cores(state.bereaved);
        }
        self.unit(&state.units[0]);
        if state.is_cut || self.config.second != 0 {
            self.unit(&state.units[1]);
        }
    }

    fn unit(&mut self, unit: &Unit<N>) {
        let home = &unit.home;
        self.flags([home.live, home.zeroed, unit.dirty]);
        self.cores(home.sharers);
        self.cores(home.up);
        self.active(&home.active);
        for new in 0..N {
            let k = self.renaming.old(new);
            let (holder, held) = (&unit.holders[k], &unit.held[k]);
            let (up, down) = (&unit.up[k], &unit.down[k]);
            self.flags([
                held.have != 0,
                held.exclusive != 0,
                holder.frozen.is_some(),
                holder.pending.is_some(),
                holder.owes_gone,
                home.waiting[k].is_some(),
            ]);
            self.byte((up.len() << 4 | down.len()) as u8);
            if held.have != 0 {
                self.set(held.have);
            }
            if held.exclusive != 0 {
                self.set(held.exclusive);
            }
            if let Some(Frozen { top, keeps_top, sweeping }) = holder.frozen {
                self.cap(top);
                self.flags([keeps_top, sweeping]);
            }
            for request in holder.pending.iter().chain(&home.waiting[k]) {
                self.request(request);
            }
            up.iter().for_each(|message| self.message_up(&message));
            down.iter().for_each(|message| self.message_down(&message));
        }
    }

    fn active(&mut self, active: &Active<Cap>) {
        match *active {
            Active::Idle => self.byte(0),
            Active::Allocate { to } => {
                self.byte(1);
                self.core(to);
            }
            Active::Send { by, to, key } => {
                self.byte(2);
                self.core(by);
                self.core(to);
                self.cap(key);
            }
            Active::Check { by, src, new, wait, least } => {
                self.byte(3);
                self.core(by);
                self.cap(src);
                self.cap(new);
                self.cores(wait);
                self.byte(least as u8);
            }
            Active::Mark { by, top, wait, marked } => {
                self.byte(4);
                self.core(by);
                self.cap(top);
                self.cores(wait);
                self.cores(marked);
            }
            Active::Sweep { by, top, wait } => {
                self.byte(5);
                self.core(by);
                self.cap(top);
                self.cores(wait);
            }
            Active::Survey { wait, spanned, .. } => {
                self.byte(6);
                self.cores(wait);
                self.flags([spanned]);
            }
            Active::Cut { wait, .. } => {
                self.byte(7);
                self.cores(wait);
            }
            Active::Split => self.byte(8),
        }
    }

    fn request(&mut self, request: &Request<Cap>) {
        match *request {
            Request::Send { key, to } => {
                self.byte(0);
                self.cap(key);
                self.core(to);
            }
            Request::Retype { src, new } => {
                self.byte(1);
                self.cap(src);
                self.cap(new);
            }
            Request::Revoke { top } => {
                self.byte(2);
                self.cap(top);
            }
        }
    }

    fn message_up(&mut self, message: &ToHome<Cap>) {
        match *message {
            ToHome::Request(request) => self.request(&request),
            ToHome::Gone => self.byte(3),
            ToHome::Delivered { accepted, empty } => self.byte(4 + u8::from(accepted) + 2 * u8::from(empty)),
            ToHome::Checked(finding) => self.byte(8 + finding as u8),
            ToHome::Marked => self.byte(11),
            ToHome::Swept { empty } => self.byte(12 + u8::from(empty)),
            ToHome::Surveyed { spanned } => self.byte(14 + u8::from(spanned)),
            ToHome::IsCut { lower_empty, upper_empty } => {
                self.byte(16 + u8::from(lower_empty) + 2 * u8::from(upper_empty));
            }
        }
    }

    fn message_down(&mut self, message: &ToCore<Cap>) {
        match *message {
            ToCore::Deliver { key, exclusive } => {
                self.byte(u8::from(exclusive));
                self.cap(key);
            }
            ToCore::Check { src, new } => {
                self.byte(2);
                self.cap(src);
                self.cap(new);
            }
            ToCore::Mark { top, keeps_top } => {
                self.byte(3 + u8::from(keeps_top));
                self.cap(top);
            }
            ToCore::Sweep => self.byte(5),
            ToCore::Survey { .. } => self.byte(6),
            ToCore::Cut { .. } => self.byte(7),
            ToCore::Done(verdict) => self.byte(8 + verdict as u8),
        }
    }
}

/// Reads what a [`Writer`] wrote without renaming.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    config: &'a Config,
}

impl Reader<'_> {
    fn byte(&mut self) -> u8 {
        self.at += 1;
        self.bytes[self.at - 1]
    }
    fn flags<const F: usize>(&mut self) -> [bool; F] {
        let byte = self.byte();
        std::array::from_fn(|bit| byte >> bit & 1 != 0)
    }
    fn set(&mut self) -> Set {
        let width = if self.config.typed { 4 } else { 2 };
        (0..width).map(|i| Set::from(self.byte()) << (8 * i)).sum()
    }
    fn cap(&mut self) -> Cap {
        Cap(self.byte())
    }
    fn core(&mut self) -> CoreId {
        CoreId(self.byte())
    }
    fn cores(&mut self) -> CoreSet {
        CoreSet(self.byte().into())
    }
    fn cut(&self) -> u64 {
        self.config.cut.into()
    }

    fn state<const N: usize>(&mut self, world: &World<N>) -> State<N> {
        use crate::system::System;
        let mut state = world.initial();
        let [is_cut, content, stopped] = self.flags();
        state.is_cut = is_cut;
        if content {
            let (core, object, cap, [only, dying]) = (self.core(), self.cap(), self.cap(), self.flags());
            state.content = Some(Content { core, object, cap, only, dying });
        }
        if stopped {
            (state.stopped, state.bereaved) = (Some(self.core()), self.cores());
        }
        state.units[0] = self.unit();
        if is_cut || self.config.second != 0 {
            state.units[1] = self.unit();
        }
        state
    }

    fn unit<const N: usize>(&mut self) -> Unit<N> {
        let mut unit = Unit::new();
        [unit.home.live, unit.home.zeroed, unit.dirty] = self.flags();
        (unit.home.sharers, unit.home.up) = (self.cores(), self.cores());
        unit.home.active = self.active();
        for k in 0..N {
            let [have, exclusive, frozen, pending, owes_gone, waiting] = self.flags();
            let lengths = self.byte();
            if have {
                unit.held[k].have = self.set();
            }
            if exclusive {
                unit.held[k].exclusive = self.set();
            }
            let mut holder = Holder { owes_gone, ..Holder::IDLE };
            if frozen {
                let (top, [keeps_top, sweeping]) = (self.cap(), self.flags());
                holder.frozen = Some(Frozen { top, keeps_top, sweeping });
            }
            holder.pending = pending.then(|| self.request());
            unit.holders[k] = holder;
            unit.home.waiting[k] = waiting.then(|| self.request());
            unit.up[k] = channel(lengths >> 4, || self.message_up());
            unit.down[k] = channel(lengths & 15, || self.message_down());
        }
        unit
    }

    fn active(&mut self) -> Active<Cap> {
        match self.byte() {
            0 => Active::Idle,
            1 => Active::Allocate { to: self.core() },
            2 => Active::Send { by: self.core(), to: self.core(), key: self.cap() },
            3 => Active::Check {
                by: self.core(),
                src: self.cap(),
                new: self.cap(),
                wait: self.cores(),
                least: finding(self.byte()),
            },
            4 => Active::Mark { by: self.core(), top: self.cap(), wait: self.cores(), marked: self.cores() },
            5 => Active::Sweep { by: self.core(), top: self.cap(), wait: self.cores() },
            6 => {
                let (wait, [spanned]) = (self.cores(), self.flags());
                Active::Survey { at: self.cut(), wait, spanned }
            }
            7 => Active::Cut { at: self.cut(), wait: self.cores() },
            _ => Active::Split,
        }
    }

    fn request(&mut self) -> Request<Cap> {
        let kind = self.byte();
        self.request_of(kind)
    }

    fn request_of(&mut self, kind: u8) -> Request<Cap> {
        match kind {
            0 => Request::Send { key: self.cap(), to: self.core() },
            1 => Request::Retype { src: self.cap(), new: self.cap() },
            _ => Request::Revoke { top: self.cap() },
        }
    }

    fn message_up(&mut self) -> ToHome<Cap> {
        match self.byte() {
            kind @ 0..3 => ToHome::Request(self.request_of(kind)),
            3 => ToHome::Gone,
            kind @ 4..8 => ToHome::Delivered { accepted: kind & 1 != 0, empty: kind & 2 != 0 },
            kind @ 8..11 => ToHome::Checked(finding(kind - 8)),
            11 => ToHome::Marked,
            kind @ 12..14 => ToHome::Swept { empty: kind == 13 },
            kind @ 14..16 => ToHome::Surveyed { spanned: kind == 15 },
            kind => ToHome::IsCut { lower_empty: kind & 1 != 0, upper_empty: kind & 2 != 0 },
        }
    }

    fn message_down(&mut self) -> ToCore<Cap> {
        match self.byte() {
            kind @ 0..2 => ToCore::Deliver { key: self.cap(), exclusive: kind == 1 },
            2 => ToCore::Check { src: self.cap(), new: self.cap() },
            kind @ 3..5 => ToCore::Mark { top: self.cap(), keeps_top: kind == 4 },
            5 => ToCore::Sweep,
            6 => ToCore::Survey { at: self.cut() },
            7 => ToCore::Cut { at: self.cut() },
            8 => ToCore::Done(Verdict::Failed),
            9 => ToCore::Done(Verdict::Granted),
            _ => ToCore::Done(Verdict::GrantedAlone),
        }
    }
}

fn channel<M: Copy>(length: u8, mut read: impl FnMut() -> M) -> Channel<M> {
    let mut messages = [None; MAX_IN_FLIGHT];
    for place in messages.iter_mut().take(length.into()) {
        *place = Some(read());
    }
    Channel { messages }
}

fn finding(byte: u8) -> Finding {
    [Finding::Conflict, Finding::Inside, Finding::Nothing][usize::from(byte)]
}
