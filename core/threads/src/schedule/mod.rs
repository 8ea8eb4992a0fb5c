//! The thread table: what state each thread is in, and whose turn it is.
//!
//! ```text
//!                 ready               pick, switch_to
//!    create ──► Parked ──────► Ready ────────────────► Running ──► end_current ──► Ended ──► reap
//!                  ▲   unpark,   ▲ ▲   yield, preempt   │ │ │
//!                  │   nudge     │ └────────────────────┘ │ │
//!                  │             └─ fault_done ─ Faulted ◄┘ │ fault_current
//!                  └────────────────────────────────────────┘ park_current
//! ```
//!
//! Ready threads wait in a queue for each priority, first come, first served; a more urgent one always goes first.
//! Parked threads are in two lists ([`Kind`]), so that one that may run the event loop is found at once.
//!
//! **The current thread** is whose stack is in use. It stays current after it has parked, yielded, faulted or ended,
//! until the next [`Threads::switch_to`], which may choose the same one.
//!
//! **The token.** [`Threads::unpark`] leaves a token with the thread, whatever it does. One who wants to park looks
//! for it ([`Threads::take_token`]) in the same critical section as it parks: so an unpark that comes between the look
//! at a condition and the parking is not lost.
//!
//! **Cost.** Every operation takes constant time, but for [`Threads::create`], which may move the table, for the
//! end of a thread, which wakes each of its joiners, and for [`Threads::unpark_all`]. Memory is allocated by
//! [`Threads::new`] and [`Threads::create`] alone, and by the latter not while there is room: who must not allocate where
//! the table is asks [`Threads::missing_room`] there, makes a [`Room`] elsewhere, and comes back with it.
//!
//! ```
//! use threads::schedule::{Kind, Priority, State, ThreadId, Threads};
//!
//! let mut threads = Threads::new();
//! let worker = threads.create(Priority::NORMAL)?;
//! threads.ready(worker);
//! threads.park_current(Kind::Loop);
//!
//! let next = threads.pick().expect("the worker is ready");
//! threads.switch_to(next);
//! threads.unpark(ThreadId::MAIN);
//! assert_eq!((threads.current(), threads.state(ThreadId::MAIN)), (worker, Some(State::Ready)));
//! # Ok::<(), threads::schedule::Full>(())
//! ```

mod id;
mod join;
mod list;
mod state;
#[cfg(test)]
mod tests;

use alloc::vec;
use alloc::vec::Vec;

pub use id::{MAX_THREADS, PRIORITIES, Priority, ThreadId};
pub use join::{Fate, Joined};
use list::{BY_JOIN, BY_STATE, Index, LINKS, Link, List, NIL};
pub use state::{Full, Kind, State};

/// The list that a record is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// None: it runs, is picked, not yet started, faulted, ended, or retired.
    Nowhere,
    /// The queue of its priority.
    Ready,
    Parked(Kind),
}

#[derive(Clone, Debug)]
struct Record {
    generation: u16,
    /// None: nobody's.
    state: Option<State>,
    place: Place,
    priority: Priority,
    /// It was unparked since it last took the token.
    token: bool,
    detached: bool,
    links: [Link; LINKS],
    /// Who waits for its end.
    joiners: List<BY_JOIN>,
    /// Whose end it waits for.
    joins: Index,
}

impl Record {
    const fn new(generation: u16, state: State, priority: Priority) -> Record {
        Record {
            generation,
            state: Some(state),
            place: Place::Nowhere,
            priority,
            token: false,
            detached: false,
            links: [Link::NONE; LINKS],
            joiners: List::EMPTY,
            joins: NIL,
        }
    }
}

/// All threads of a core, and their queues.
#[derive(Clone, Debug)]
pub struct Threads {
    records: Vec<Record>,
    current: Index,
    ready: [List<BY_STATE>; PRIORITIES],
    /// Bit p is set while `ready[p]` is not empty.
    occupied: u8,
    ready_count: usize,
    parked: [List<BY_STATE>; 2],
    /// Records that are nobody's, oldest first.
    free: List<BY_STATE>,
}

/// Memory for a table of threads.
#[derive(Debug)]
pub struct Room(Vec<Record>);

impl Room {
    /// For so many threads.
    ///
    /// # Errors
    /// [`Full`]: there is no memory.
    pub fn new(threads: usize) -> Result<Room, Full> {
        let mut records = Vec::new();
        records.try_reserve_exact(threads).map_err(|_| Full)?;
        Ok(Room(records))
    }
}

impl Default for Threads {
    fn default() -> Self {
        Self::new()
    }
}

impl Threads {
    /// A table with [`ThreadId::MAIN`], which runs.
    #[must_use]
    pub fn new() -> Threads {
        Threads {
            records: vec![Record::new(0, State::Running, Priority::NORMAL)],
            current: 0,
            ready: [List::EMPTY; PRIORITIES],
            occupied: 0,
            ready_count: 0,
            parked: [List::EMPTY; 2],
            free: List::EMPTY,
        }
    }

    /// How many records a [`Room`] needs for the next thread, of those there are about as many as now to come; none if
    /// [`Self::create`] need not allocate.
    #[must_use]
    pub fn missing_room(&self) -> Option<usize> {
        let len = self.records.len();
        let full = len == self.records.capacity() && len < MAX_THREADS && self.free.is_empty();
        full.then(|| (2 * len).clamp(8, MAX_THREADS))
    }

    /// Moves the table into `room`, if that is larger than what it has; what is left in `room` is to be dropped. Allocates
    /// and frees nothing.
    pub fn move_into(&mut self, room: &mut Room) {
        if room.0.capacity() > self.records.capacity() {
            room.0.append(&mut self.records);
            core::mem::swap(&mut room.0, &mut self.records);
        }
    }

    /// A new thread. It is parked until [`Self::ready`], and neither [`Self::unpark`] nor [`Self::any_parked`] starts it.
    ///
    /// # Errors
    /// [`Full`], and nothing has changed.
    pub fn create(&mut self, priority: Priority) -> Result<ThreadId, Full> {
        if let Some(index) = self.free.pop_front(&mut self.records) {
            let generation = self.records[index as usize].generation;
            self.records[index as usize] = Record::new(generation, State::Parked, priority);
            return Ok(ThreadId::new(index, generation));
        }
        if self.records.len() == MAX_THREADS {
            return Err(Full);
        }
        self.records.try_reserve(1).map_err(|_| Full)?;
        self.records.push(Record::new(0, State::Parked, priority));
        Ok(ThreadId::new(self.records.len() as Index - 1, 0))
    }

    /// Starts a thread that was created: it is ready from now on. Does nothing to any other.
    pub fn ready(&mut self, id: ThreadId) {
        if let Some(index) = self.find(id)
            && self.state_at(index) == Some(State::Parked)
            && self.record(index).place == Place::Nowhere
        {
            self.make_ready(index);
        }
    }

    /// Whose stack is in use.
    #[must_use]
    pub fn current(&self) -> ThreadId {
        self.id(self.current)
    }

    /// What a thread does; none if the id is stale.
    #[must_use]
    pub fn state(&self, id: ThreadId) -> Option<State> {
        self.state_at(self.find(id)?)
    }

    /// Whether a thread may run again: not if it has ended or the id is stale.
    #[must_use]
    pub fn is_alive(&self, id: ThreadId) -> bool {
        self.state(id).is_some_and(|state| state != State::Ended)
    }

    /// Whether anybody waits for a turn.
    #[must_use]
    pub const fn has_ready(&self) -> bool {
        self.occupied != 0
    }

    /// How many wait for a turn.
    #[must_use]
    pub const fn ready_count(&self) -> usize {
        self.ready_count
    }

    /// Takes the most urgent thread that is ready, the one among equals that has waited longest, out of its queue. It is
    /// to be switched to, or to be put back by [`Self::put_back`].
    pub fn pick(&mut self) -> Option<ThreadId> {
        let level = self.occupied.checked_ilog2()?;
        let index = self.ready[level as usize].first();
        self.unlink(index);
        Some(self.id(index))
    }

    /// Puts a thread that was picked first in its queue again. Does nothing to any other.
    pub fn put_back(&mut self, id: ThreadId) {
        if let Some(index) = self.find(id)
            && self.state_at(index) == Some(State::Ready)
            && self.record(index).place == Place::Nowhere
        {
            self.enqueue(index, |queue, records| queue.push_front(records, index));
        }
    }

    /// Makes a thread the current one, which runs. It was picked, or is ready, or parked (to run the event loop; it
    /// keeps its token).
    ///
    /// # Panics
    /// If another thread runs, or the thread is neither ready nor parked.
    pub fn switch_to(&mut self, id: ThreadId) {
        assert_ne!(self.state_at(self.current), Some(State::Running), "the current thread still runs");
        let index = self.find(id).expect("a thread that was reaped cannot run");
        let state = self.state_at(index);
        assert!(matches!(state, Some(State::Ready | State::Parked)), "a thread that is {state:?} cannot run");
        self.unlink(index);
        self.record_mut(index).state = Some(State::Running);
        self.current = index;
    }

    /// The current thread lets the others of its priority go first.
    ///
    /// # Panics
    /// If it does not run; so do all that follow.
    pub fn yield_current(&mut self) {
        let index = self.running();
        self.make_ready(index);
    }

    /// The current thread lets others go first, and the one whose turn it is becomes the current one: as
    /// [`Self::yield_current`], [`Self::pick`] and [`Self::switch_to`] in one step. None, and nothing has changed, if it
    /// is its own turn again.
    #[inline(always)]
    pub fn rotate(&mut self) -> Option<ThreadId> {
        let level = u32::from(self.occupied).checked_ilog2()? as u8;
        let (former, queue) = (self.current, &mut self.ready[usize::from(level) % PRIORITIES]);
        let next = queue.first();
        let pair = self.records.get_disjoint_mut([former as usize, next as usize]);
        let Ok([before, after]) = pair else {
            unreachable!("a queue holds threads, and not the one that runs")
        };
        assert!(before.state == Some(State::Running), "the current thread does not run");
        if before.priority.level() != level {
            return self.rotate_unequal(next, level);
        }
        (before.state, before.place) = (Some(State::Ready), Place::Ready);
        (after.state, after.place) = (Some(State::Running), Place::Nowhere);
        let id = ThreadId::new(next, after.generation);
        queue.rotate(&mut self.records, former);
        self.current = next;
        Some(id)
    }

    /// [`Self::rotate`] where the most urgent that are ready, of which `next` is the first, are not the current one's equals.
    #[cold]
    fn rotate_unequal(&mut self, next: Index, level: u8) -> Option<ThreadId> {
        if self.record(self.current).priority.level() > level {
            return None;
        }
        self.make_ready(self.current);
        let id = self.id(next);
        self.switch_to(id);
        Some(id)
    }

    /// The current thread has parked, yielded or ended: `next`, if it is one and ready, or whose turn it is becomes the
    /// current one. None if it is the one that has run.
    ///
    /// If nobody is ready that is the main thread: it is parked in its loop, where it waits in the kernel.
    #[inline]
    pub fn take_turn(&mut self, next: Option<ThreadId>) -> Option<ThreadId> {
        let former = self.current();
        let next = next.or_else(|| self.pick()).unwrap_or(ThreadId::MAIN);
        self.switch_to(next);
        (next != former).then_some(next)
    }

    /// As [`Self::rotate`], but `handler`, if there is one, which is ready, is the current one then, however urgent it is.
    pub fn yield_to(&mut self, handler: Option<ThreadId>) -> Option<ThreadId> {
        if handler.is_none() {
            return self.rotate();
        }
        self.yield_current();
        self.take_turn(handler)
    }

    /// Makes somebody ready who handles events: the main thread, if it is parked, or, unless only that can, another one that
    /// is parked.
    pub fn nudge_handler(&mut self, only_main: bool) -> Option<ThreadId> {
        let leaf = if only_main { None } else { self.any_parked(Kind::Leaf) };
        let handler = self.any_parked(Kind::Loop).or(leaf);
        if let Some(id) = handler {
            self.nudge(id);
        }
        handler
    }

    /// The current thread has had its time: it queues behind the others of its priority.
    pub fn preempt_current(&mut self) {
        self.yield_current();
    }

    /// The current thread parks. The caller has looked for a token ([`Self::take_token`]) just before, in the same
    /// critical section.
    pub fn park_current(&mut self, kind: Kind) {
        let index = self.running();
        self.parked[kind as usize].push_front(&mut self.records, index);
        let record = self.record_mut(index);
        (record.state, record.place) = (Some(State::Parked), Place::Parked(kind));
    }

    /// The thread that parked last among those of a kind.
    #[must_use]
    pub fn any_parked(&self, kind: Kind) -> Option<ThreadId> {
        let list = &self.parked[kind as usize];
        (!list.is_empty()).then(|| self.id(list.first()))
    }

    /// Leaves a token with a thread, and makes it ready if it is parked. Does nothing if it has ended.
    pub fn unpark(&mut self, id: ThreadId) {
        if let Some(index) = self.find(id) {
            self.unpark_at(index);
        }
    }

    /// Makes a parked thread ready without leaving a token. Does nothing to any other.
    pub fn nudge(&mut self, id: ThreadId) {
        if let Some(index) = self.find(id) {
            self.nudge_at(index);
        }
    }

    /// Unparks all threads, in linear time; the current one too, which may be about to park. What [`crate::sync`] asks for
    /// after a thread ended that may have held a lock.
    pub fn unpark_all(&mut self) {
        for index in 0..self.records.len() as Index {
            self.unpark_at(index);
        }
    }

    /// Whether the current thread was unparked since this was last asked.
    pub fn take_token(&mut self) -> bool {
        let current = self.current;
        core::mem::take(&mut self.record_mut(current).token)
    }

    /// The current thread waits for memory.
    pub fn fault_current(&mut self) {
        let index = self.running();
        self.record_mut(index).state = Some(State::Faulted);
    }

    /// The memory that a thread waits for is there: it is ready. Does nothing to one that is not faulted.
    pub fn fault_done(&mut self, id: ThreadId) {
        if let Some(index) = self.find(id)
            && self.state_at(index) == Some(State::Faulted)
        {
            self.make_ready(index);
        }
    }

    /// How urgent a thread is; none if the id is stale.
    #[must_use]
    pub fn priority(&self, id: ThreadId) -> Option<Priority> {
        Some(self.record(self.find(id)?).priority)
    }

    /// Makes a thread more or less urgent; if it is ready, it queues behind its new peers. Does nothing if it has no new
    /// priority, or the id is stale.
    pub fn set_priority(&mut self, id: ThreadId, priority: Priority) {
        let Some(index) = self.find(id).filter(|&index| self.record(index).priority != priority) else {
            return;
        };
        let queued = self.record(index).place == Place::Ready;
        if queued {
            self.unlink(index);
        }
        self.record_mut(index).priority = priority;
        if queued {
            self.make_ready(index);
        }
    }

    fn record(&self, index: Index) -> &Record {
        &self.records[index as usize]
    }

    fn record_mut(&mut self, index: Index) -> &mut Record {
        &mut self.records[index as usize]
    }

    fn state_at(&self, index: Index) -> Option<State> {
        self.record(index).state
    }

    fn id(&self, index: Index) -> ThreadId {
        ThreadId::new(index, self.record(index).generation)
    }

    /// The record of a thread that has not been reaped.
    fn find(&self, id: ThreadId) -> Option<Index> {
        let record = self.records.get(id.index())?;
        let found = record.generation == id.generation() && record.state.is_some();
        found.then_some(id.index() as Index)
    }

    /// The current thread, which must run.
    fn running(&self) -> Index {
        let state = self.state_at(self.current);
        assert_eq!(state, Some(State::Running), "the current thread does not run");
        self.current
    }

    /// Puts a thread that is in no list last in its queue.
    fn make_ready(&mut self, index: Index) {
        self.enqueue(index, |queue, records| queue.push_back(records, index));
    }

    fn enqueue(&mut self, index: Index, push: impl FnOnce(&mut List<BY_STATE>, &mut [Record])) {
        let level = self.record(index).priority.level();
        push(&mut self.ready[usize::from(level)], &mut self.records);
        self.occupied |= 1 << level;
        self.ready_count += 1;
        let record = self.record_mut(index);
        (record.state, record.place) = (Some(State::Ready), Place::Ready);
    }

    /// Takes a thread out of the list that it is in.
    fn unlink(&mut self, index: Index) {
        let level = self.record(index).priority.level();
        match core::mem::replace(&mut self.record_mut(index).place, Place::Nowhere) {
            Place::Nowhere => {}
            Place::Parked(kind) => self.parked[kind as usize].remove(&mut self.records, index),
            Place::Ready => {
                let queue = &mut self.ready[usize::from(level)];
                queue.remove(&mut self.records, index);
                self.occupied &= !(u8::from(queue.is_empty()) << level);
                self.ready_count -= 1;
            }
        }
    }

    fn nudge_at(&mut self, index: Index) {
        if matches!(self.record(index).place, Place::Parked(_)) {
            self.unlink(index);
            self.make_ready(index);
        }
    }

    fn unpark_at(&mut self, index: Index) {
        if !matches!(self.state_at(index), None | Some(State::Ended)) {
            self.record_mut(index).token = true;
            self.nudge_at(index);
        }
    }
}
