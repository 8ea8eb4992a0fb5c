//! Time: counter ticks, durations, and tasks that sleep.

use alloc::collections::BTreeMap;
use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use crate::arch;
use crate::heap::reserve_only;
use crate::local::local;

/// A point in time: counter ticks since boot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Instant(u64);

/// The time since boot.
pub fn now() -> Instant {
    Instant(arch::ticks())
}

impl Instant {
    /// From counter ticks since boot.
    pub(crate) const fn from_ticks(ticks: u64) -> Instant {
        Instant(ticks)
    }
    /// As counter ticks, which are what deadlines of the kernel are in.
    pub fn ticks(self) -> u64 {
        self.0
    }
    /// From boot until then.
    pub fn since_boot(self) -> Duration {
        duration(self.0)
    }
    /// From `earlier` until then; zero if that is later.
    pub fn duration_since(self, earlier: Instant) -> Duration {
        duration(self.0.saturating_sub(earlier.0))
    }
    /// From then until now.
    pub fn elapsed(self) -> Duration {
        now().duration_since(self)
    }
    /// So much later; the end of time if that is beyond it.
    pub fn after(self, time: Duration) -> Instant {
        Instant(self.0.saturating_add(ticks(time)))
    }
}

fn duration(ticks: u64) -> Duration {
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(arch::ticks_per_second());
    Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32)
}

/// Ticks of a duration, rounded up: nobody wakes too early.
fn ticks(time: Duration) -> u64 {
    let ticks = (time.as_nanos().saturating_mul(arch::ticks_per_second().into())).div_ceil(1_000_000_000);
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

struct Timers {
    /// By deadline; the number tells timers of one deadline apart.
    waiting: BTreeMap<(u64, u64), Waker>,
    numbers: u64,
}

local! {
    static TIMERS: RefCell<Timers> = RefCell::new(Timers { waiting: BTreeMap::new(), numbers: 0 });
}
local! {
    /// The earliest deadline, in ticks; `u64::MAX`: none.
    static NEXT: Cell<u64> = Cell::new(u64::MAX);
}

fn with<R>(f: impl FnOnce(&mut Timers) -> R) -> R {
    TIMERS.with(|timers| {
        let mut timers = timers.borrow_mut();
        let result = reserve_only(|| f(&mut timers));
        let next = timers.waiting.first_key_value().map_or(u64::MAX, |(&(deadline, _), _)| deadline);
        NEXT.with(|cell| cell.set(next));
        result
    })
}

/// Until when the domain can sleep.
#[inline]
pub(crate) fn next_deadline() -> u64 {
    NEXT.with(Cell::get)
}

/// Whether somebody's time has come. Costs a look at the counter only if somebody sleeps.
pub(crate) fn is_due() -> bool {
    let next = next_deadline();
    next != u64::MAX && next <= arch::ticks()
}

/// Wakes the sleepers whose time has come.
#[inline]
pub(crate) fn fire() {
    if next_deadline() != u64::MAX {
        fire_until(arch::ticks());
    }
}

#[cold]
fn fire_until(now: u64) {
    while next_deadline() <= now {
        // One at a time: waking may come back here.
        if let Some((_, waker)) = with(|timers| timers.waiting.pop_first()) {
            waker.wake();
        }
    }
}

/// A future that is ready at a deadline.
#[must_use = "a future does nothing until it is awaited"]
pub struct Sleep {
    deadline: u64,
    number: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Sleep>, context: &mut Context<'_>) -> Poll<()> {
        if arch::ticks() >= self.deadline {
            return Poll::Ready(());
        }
        let (deadline, number) = (self.deadline, self.number);
        self.number = Some(with(|timers| {
            let number = number.unwrap_or(timers.numbers);
            timers.numbers = timers.numbers.max(number + 1);
            timers.waiting.insert((deadline, number), context.waker().clone());
            number
        }));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waker = with(|timers| timers.waiting.remove(&(self.deadline, number)));
            drop(waker);
        }
    }
}

/// Ready at `deadline`.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline: deadline.0, number: None }
}

/// Ready after `time`.
pub fn sleep(time: Duration) -> Sleep {
    sleep_until(now().after(time))
}

/// What comes of `work` within `time`; none, and `work` is dropped, if nothing does.
pub async fn within<T>(time: Duration, work: impl Future<Output = T>) -> Option<T> {
    let (mut work, mut end) = (pin!(work), pin!(sleep(time)));
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => end.as_mut().poll(context).map(|()| None),
    })
    .await
}
