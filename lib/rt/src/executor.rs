//! Tasks: futures that the event loop polls when they are woken. Nothing is polled without a reason.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::Future;
use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};

use ipc::port::Task;

use crate::dispatch;
use crate::heap::{self, reserve_only};
use crate::local::local;
use crate::thread::{self, ThreadId};

/// Bytes of heap that a server has free when it begins to serve.
const FOR_REQUESTS: usize = 32 * 1024;

/// What a waker holds: a number, so that it may outlive its task.
struct Handle {
    task: usize,
    queued: AtomicBool,
}

impl Wake for Handle {
    fn wake(self: Arc<Handle>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Handle>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            enqueue(self.clone());
        }
    }
}

enum Entry {
    Free,
    /// It is being polled.
    Taken,
    Waiting(Task),
}

struct Tasks {
    entries: Vec<Entry>,
    free: Vec<usize>,
    ready: VecDeque<Arc<Handle>>,
}

local! {
    static TASKS: RefCell<Tasks> =
        RefCell::new(Tasks { entries: Vec::new(), free: Vec::new(), ready: VecDeque::new() });
}
local! {
    /// How many tasks are ready, to be looked at without borrowing.
    static READY: Cell<usize> = Cell::new(0);
}

fn with<R>(f: impl FnOnce(&mut Tasks) -> R) -> R {
    TASKS.with(|tasks| reserve_only(|| f(&mut tasks.borrow_mut())))
}

fn enqueue(handle: Arc<Handle>) {
    with(|tasks| tasks.ready.push_back(handle));
    READY.with(|ready| ready.set(ready.get() + 1));
    dispatch::note_task();
}

/// Whether a task waits to be polled.
#[inline]
pub(crate) fn has_ready() -> bool {
    READY.with(|ready| ready.get() != 0)
}

/// Hands a future to the event loop, which polls it soon, on the main thread.
///
/// # Panics
/// On another thread: the future need not be `Send`.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    assert_eq!(thread::current(), ThreadId::MAIN, "tasks belong to the main thread");
    spawn_boxed(Box::pin(future));
}

pub(crate) fn spawn_boxed(task: Task) {
    let task = with(|tasks| match tasks.free.pop() {
        Some(index) => {
            tasks.entries[index] = Entry::Waiting(task);
            index
        }
        None => {
            tasks.entries.push(Entry::Waiting(task));
            tasks.entries.len() - 1
        }
    });
    enqueue(Arc::new(Handle { task, queued: AtomicBool::new(true) }));
}

/// Polls the tasks that are ready now; those that become ready meanwhile wait for the next round.
pub(crate) fn run_ready() {
    for _ in 0..READY.with(Cell::get) {
        let Some(handle) = with(|tasks| tasks.ready.pop_front()) else { return };
        READY.with(|ready| ready.set(ready.get() - 1));
        poll(handle);
    }
}

fn poll(handle: Arc<Handle>) {
    let index = handle.task;
    handle.queued.store(false, Ordering::Relaxed);
    let taken = with(|tasks| match &mut tasks.entries[index] {
        entry @ Entry::Waiting(_) => core::mem::replace(entry, Entry::Taken),
        // An old waker of a task that is done.
        Entry::Free | Entry::Taken => Entry::Free,
    });
    let Entry::Waiting(mut task) = taken else { return };
    let waker = Waker::from(handle);
    match task.as_mut().poll(&mut Context::from_waker(&waker)) {
        Poll::Pending => with(|tasks| tasks.entries[index] = Entry::Waiting(task)),
        Poll::Ready(()) => {
            // Dropping may run code of all kinds: before the entry is free, and with nothing borrowed.
            drop(task);
            with(|tasks| {
                tasks.entries[index] = Entry::Free;
                tasks.free.push(index);
            });
        }
    }
}

/// Wakes the thread that waits in [`block_on`].
struct ThreadWaker(ThreadId);

impl Wake for ThreadWaker {
    fn wake(self: Arc<ThreadWaker>) {
        dispatch::unpark(self.0);
    }
    fn wake_by_ref(self: &Arc<ThreadWaker>) {
        dispatch::unpark(self.0);
    }
}

/// Waits for a future, running handlers and tasks meanwhile.
///
/// # Panics
/// In a handler or task (invariant M2).
pub fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(ThreadWaker(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        dispatch::park();
    }
}

/// The results of all futures, in their order.
pub async fn join_all<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut results: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut done = true;
        for (future, result) in futures.iter_mut().zip(&mut results) {
            if result.is_none() {
                match Pin::new(future).poll(context) {
                    Poll::Ready(value) => *result = Some(value),
                    Poll::Pending => done = false,
                }
            }
        }
        if done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    results.into_iter().flatten().collect()
}

/// Lets other tasks and handlers have their turn.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if core::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Parks until unparked or until `future` is ready; may return spuriously.
///
/// # Panics
/// In a handler or task (invariant M2).
pub(crate) fn park_beside(future: impl Future<Output = ()>) {
    let waker = Waker::from(Arc::new(ThreadWaker(thread::current())));
    // It lives until the end of the wait: a timer that is dropped wakes nobody.
    let future = pin!(future);
    if future.poll(&mut Context::from_waker(&waker)).is_pending() {
        dispatch::park();
    }
}

/// Serves for ever: the main thread does nothing but run handlers and tasks.
pub fn run() -> ! {
    // What requests need is there before the first comes, so that a server is not seen growing by whoever asks it.
    heap::provide(FOR_REQUESTS);
    loop {
        dispatch::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn every_result_of_a_join_comes_in_its_place() {
        let slow = Cell::new(2);
        let later = poll_fn(|_| match slow.replace(slow.get() - 1) {
            0 => Poll::Ready(1),
            _ => Poll::Pending,
        });
        let ready = core::future::ready(2);
        let mut all =
            pin!(join_all(vec![Box::pin(later) as Pin<Box<dyn Future<Output = i32>>>, Box::pin(ready)]));
        assert_eq!(poll(all.as_mut()), Poll::Pending);
        assert_eq!(poll(all.as_mut()), Poll::Pending);
        assert_eq!(poll(all.as_mut()), Poll::Ready(vec![1, 2]));
        assert_eq!(poll(join_all(Vec::<core::future::Ready<()>>::new())), Poll::Ready(vec![]));
    }
}
