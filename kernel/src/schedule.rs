//! Scheduling: round robin over the ready dispatchers of a core, deadlines, and the one timer.
//!
//! A dispatcher that waits is on no queue but, if it has a deadline, the timer tree. The timer is set for
//! the earliest deadline, and for the end of a slice only when somebody else is ready or when the runtime
//! asked for a slice. With nothing to do the core sleeps.

use abi::frame::{Area, Cause, State, Upcall};
use tree::{Links, Nodes, NodesMut, Tree};

use crate::cpu::Core;
use crate::dispatcher::{DispatcherRef, Entry};
use crate::machine::Machine;
use crate::{events, fp};

/// Milliseconds of a time slice.
pub const SLICE_MS: u64 = 5;

/// The dispatchers that are ready, in the order of their turns; linked through the dispatchers.
#[derive(Default)]
pub struct RunQueue {
    first: Option<DispatcherRef>,
    last: Option<DispatcherRef>,
}

impl RunQueue {
    /// Whether nobody is ready.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

/// The dispatchers that wait for a deadline, by deadline; linked through the dispatchers.
#[derive(Default)]
pub struct Timers {
    tree: Tree,
}

/// The dispatchers of a machine as nodes of the timer tree.
struct ByDeadline<'a>(&'a mut Machine);

fn node(number: u32) -> DispatcherRef {
    match DispatcherRef::from_number(number) {
        Some(d) => d,
        None => unreachable!("the timer tree holds no null reference"),
    }
}

impl Nodes for ByDeadline<'_> {
    fn links(&self, r: u32) -> &Links {
        &self.0.dispatcher(node(r)).timer
    }
    fn height(&self, r: u32) -> u8 {
        self.0.dispatcher(node(r)).timer_height
    }
}

impl NodesMut for ByDeadline<'_> {
    fn links_mut(&mut self, r: u32) -> &mut Links {
        &mut self.0.dispatcher_mut(node(r)).timer
    }
    fn set_height(&mut self, r: u32, height: u8) {
        self.0.dispatcher_mut(node(r)).timer_height = height;
    }
}

/// Puts a dispatcher behind the others that are ready.
fn enqueue(m: &mut Machine, d: DispatcherRef) {
    let last = m.run_queue.last;
    if last.is_none() && m.current.is_some() {
        limit_slice(m);
    }
    let state = m.dispatcher_mut(d);
    state.set_state(State::Ready);
    (state.previous, state.next) = (last, None);
    match last {
        Some(last) => m.dispatcher_mut(last).next = Some(d),
        None => m.run_queue.first = Some(d),
    }
    m.run_queue.last = Some(d);
}

/// Somebody waits for the current dispatcher from now on, or the reaper does: its slice ends, also when it never leaves the
/// kernel by `next`.
#[cold]
pub fn limit_slice(m: &mut Machine) {
    let now = m.hardware.now();
    if let Some(d) = m.current {
        m.slice_end = m.slice_end.clamp(now, now + slice(m, d));
        if m.slice_end < m.timer_set_to {
            m.timer_set_to = m.slice_end;
            m.hardware.arm_timer(m.slice_end);
        }
    }
}

/// Takes a dispatcher out of the run queue, wherever it stands.
fn dequeue(m: &mut Machine, d: DispatcherRef) {
    let state = m.dispatcher_mut(d);
    let (previous, next) = (state.previous.take(), state.next.take());
    match previous {
        Some(previous) => m.dispatcher_mut(previous).next = next,
        None => m.run_queue.first = next,
    }
    match next {
        Some(next) => m.dispatcher_mut(next).previous = previous,
        None => m.run_queue.last = previous,
    }
}

/// Takes a waiting dispatcher off the timer tree.
pub fn drop_deadline(m: &mut Machine, d: DispatcherRef) {
    let state = m.dispatcher_mut(d);
    state.timed = state.slice != 0;
    if core::mem::take(&mut state.has_deadline) {
        let mut timers = core::mem::take(&mut m.timers);
        timers.tree.remove(&mut ByDeadline(m), d.number());
        m.timers = timers;
    }
}

/// Makes a waiting or fresh dispatcher ready.
pub fn wake(m: &mut Machine, d: DispatcherRef, entry: Entry) {
    drop_deadline(m, d);
    m.dispatcher_mut(d).entry = entry;
    enqueue(m, d);
}

/// The current dispatcher waits from now on, until an event or the deadline.
pub fn wait(m: &mut Machine, deadline: u64) {
    account(m);
    let Some(d) = m.current.take() else { return };
    let state = m.dispatcher_mut(d);
    state.set_state(State::Waiting);
    state.indirect = false;
    state.entry = Entry::Run(false);
    if deadline != u64::MAX {
        state.deadline = deadline;
        (state.has_deadline, state.timed) = (true, true);
        let mut timers = core::mem::take(&mut m.timers);
        let before = |nodes: &ByDeadline, other| nodes.0.dispatcher(node(other)).deadline <= deadline;
        timers.tree.insert(&mut ByDeadline(m), d.number(), before);
        m.timers = timers;
    }
}

/// The current dispatcher goes behind the others that are ready.
pub fn requeue_current(m: &mut Machine, entry: Entry) {
    account(m);
    if let Some(d) = m.current.take() {
        m.dispatcher_mut(d).entry = entry;
        enqueue(m, d);
    }
}

/// Takes a dispatcher off everything, since it ends.
pub fn forget(m: &mut Machine, d: DispatcherRef) {
    if m.current == Some(d) {
        m.current = None;
        return;
    }
    match m.dispatcher(d).state() {
        State::Ready => dequeue(m, d),
        State::Waiting => drop_deadline(m, d),
        State::Fresh | State::Ended => {}
    }
}

/// Dispatchers that one kernel entry wakes by their deadlines, or ends because they lost what they stand on (K2). The timer
/// is then due at once, and the next entry goes on.
const MOST_AT_ONCE: u32 = 16;

/// Wakes those whose deadline has come, as many as one entry may.
pub fn expire_deadlines(m: &mut Machine, now: u64) {
    for _ in 0..MOST_AT_ONCE {
        match earliest(m) {
            Some(d) if m.dispatcher(d).deadline <= now => wake(m, d, Entry::Run(false)),
            _ => return,
        }
    }
}

fn earliest(m: &mut Machine) -> Option<DispatcherRef> {
    let timers = core::mem::take(&mut m.timers);
    let first = timers.tree.first(&ByDeadline(m));
    m.timers = timers;
    DispatcherRef::from_number(first)
}

/// What the core does when it leaves the kernel.
pub enum Next {
    /// Restores the core's saved context.
    Restore,
    /// Enters user space afresh.
    Upcall {
        /// Which one.
        kind: Upcall,
        /// User address of the dispatcher frame.
        frame: u64,
        /// Address of the entry.
        pc: u64,
        /// `x1` and `x2`.
        arguments: [u64; 2],
    },
    /// Sleeps until an interrupt.
    Idle,
    /// Looks at interrupts and asks again: so much was done that they may have waited for long (K2).
    Again,
}

/// Picks who runs next and prepares its way out. The current dispatcher goes on if it still can.
pub fn next(core: &mut Core) -> Next {
    for _ in 0..MOST_AT_ONCE {
        let m = &mut core.machine;
        let d = match m.current {
            Some(d) => d,
            None => match m.run_queue.first {
                Some(d) => {
                    dequeue(m, d);
                    m.current = Some(d);
                    m.switches += 1;
                    if m.fp.is_open() {
                        fp::close(m);
                    }
                    start_slice(m, d);
                    d
                }
                None => {
                    program_timer(m, false);
                    return Next::Idle;
                }
            },
        };
        if let Some(next) = prepare(core, d) {
            let remains = events::remains(core);
            program_timer(&mut core.machine, remains);
            return next;
        }
        events::end(&mut core.machine, d, Cause::Faulted, 0, 0, 0);
    }
    Next::Again
}

/// The current dispatcher goes on after its slice, since nobody waits for it: the next one is for the reaper to come again.
pub fn renew_slice(m: &mut Machine, now: u64) {
    if let Some(d) = m.current
        && now >= m.slice_end
    {
        m.slice_end = now + slice(m, d);
    }
}

/// Begins a slice.
fn start_slice(m: &mut Machine, d: DispatcherRef) {
    let now = m.hardware.now();
    m.accounted_until = now;
    m.slice_end = now + slice(m, d);
}

/// Ticks of a slice: what the runtime asked for, but others never wait longer than [`SLICE_MS`] for it.
fn slice(m: &Machine, d: DispatcherRef) -> u64 {
    let longest = m.hardware.ticks_per_ms() * SLICE_MS;
    match m.dispatcher(d).slice {
        0 => longest,
        wanted => wanted.min(longest),
    }
}

/// The runtime of `d` wants an upcall after slices of `ticks`; 0: not for its own sake.
pub fn request_slice(m: &mut Machine, d: DispatcherRef, ticks: u64) {
    let state = m.dispatcher_mut(d);
    state.slice = ticks;
    state.timed = state.has_deadline || ticks != 0;
    if m.current == Some(d) {
        let end = m.hardware.now() + slice(m, d);
        // While others wait, asking again and again does not make a turn longer.
        m.slice_end = if m.run_queue.is_empty() { end } else { end.min(m.slice_end) };
    }
}

/// Adds the time since the last look to the current dispatcher's account.
#[inline(always)]
pub fn account(m: &mut Machine) {
    let now = m.hardware.now();
    let ran = now.wrapping_sub(m.accounted_until);
    m.accounted_until = now;
    if let Some(d) = m.current {
        m.dispatcher_mut(d).ticks += ran;
    }
}

/// Whether the current dispatcher has to make room: its slice is over and somebody, or another of its threads, can run.
pub fn slice_is_over(m: &Machine, now: u64) -> bool {
    m.current.is_some_and(|d| now >= m.slice_end && (!m.run_queue.is_empty() || m.dispatcher(d).slice != 0))
}

/// Sets the timer for the earliest deadline, and for the end of the slice if somebody waits for it: another dispatcher,
/// another thread of this one, or the reaper.
pub fn program_timer(m: &mut Machine, reaper_waits: bool) {
    let mut at = match earliest(m) {
        Some(d) => m.dispatcher(d).deadline,
        None => u64::MAX,
    };
    if let Some(d) = m.current
        && (reaper_waits || !m.run_queue.is_empty() || m.dispatcher(d).slice != 0)
    {
        at = at.min(m.slice_end);
    }
    if at != m.timer_set_to {
        m.timer_set_to = at;
        if at == u64::MAX { m.hardware.disarm_timer() } else { m.hardware.arm_timer(at) }
    }
}

/// Makes ready to enter `d`; `None` if it lacks its address space or its frame. Whatever context it has: what the way
/// out restores is masked to user mode.
fn prepare(core: &mut Core, d: DispatcherRef) -> Option<Next> {
    let (root, asid) = core.machine.address_space(d)?;
    let frame = core.machine.frame(d)?;
    let state = core.machine.dispatcher_mut(d);
    let entry = core::mem::replace(&mut state.entry, Entry::Interrupted);
    let (address, vector) = (state.frame_address, state.vector);
    let upcall = |kind: Upcall, arguments| Next::Upcall {
        kind,
        frame: address,
        pc: vector + kind as u64 * abi::frame::UPCALL_STRIDE,
        arguments,
    };
    let next = match entry {
        Entry::Interrupted => Next::Restore,
        Entry::Disabled => {
            frame.load_context(Area::Disabled, &mut core.context);
            Next::Restore
        }
        Entry::Run(preempted) => upcall(Upcall::Run, [u64::from(preempted), 0]),
        Entry::Fault(esr, far) => upcall(Upcall::Fault, [esr, far]),
    };
    if !matches!(next, Next::Restore) {
        frame.set_disabled(true);
    }
    core.machine.hardware.enter_address_space(root, asid);
    Some(next)
}
