//! The typed primitives, as far as one thread goes; what several threads do with them, `apps/test_sync` shows.

use alloc::string::String;
use alloc::sync::Arc;
use core::cell::Cell;
use core::time::Duration;
use std::vec::Vec;

use super::domain;
use crate::sync::mpsc::{self, RecvTimeoutError, SendError, TryRecvError, TrySendError};
use crate::sync::{Barrier, Condvar, LazyLock, Mutex, Once, OnceLock, RwLock, Semaphore, TryLockError};
use crate::thread::ThreadId;
use crate::{critical, dispatch, executor, thread, time};

const MIB: u64 = 1 << 20;
const MS: Duration = Duration::from_millis(1);

/// Runs `f` as a task, while the main thread is parked.
fn in_task(f: impl FnOnce() + 'static) {
    executor::spawn(async {
        f();
        dispatch::unpark(ThreadId::MAIN);
    });
    thread::park();
}

#[test]
fn a_mutex_has_one_guard_at_a_time() {
    domain(MIB);
    let mutex = Mutex::new(1);
    let mut guard = mutex.lock();
    *guard += 1;
    assert_eq!(mutex.try_lock().err(), Some(TryLockError::WouldBlock));
    assert_eq!(std::format!("{mutex:?}"), "Mutex { value: <another thread holds the lock> }");
    drop(guard);
    assert_eq!(*mutex.try_lock().unwrap(), 2);
    assert!(!mutex.is_abandoned());
    assert_eq!(mutex.into_inner(), 2);
}

#[test]
#[should_panic(expected = "a thread locks a mutex that it holds")]
fn a_thread_that_waits_for_itself_is_told() {
    domain(MIB);
    let mutex = Mutex::new(());
    let _guard = mutex.lock();
    drop(mutex.lock());
}

#[test]
fn in_a_task_a_free_lock_is_got() {
    domain(MIB);
    let mutex = Arc::new(Mutex::new(0));
    let other = mutex.clone();
    in_task(move || *other.lock() = 5);
    assert_eq!(*mutex.lock(), 5);
}

#[test]
#[should_panic(expected = "a handler must not wait for a mutex")]
fn in_a_task_a_lock_that_is_held_panics() {
    domain(MIB);
    let mutex = Arc::new(Mutex::new(0));
    let other = mutex.clone();
    let _guard = mutex.lock();
    in_task(move || *other.lock() = 5);
}

#[test]
#[should_panic(expected = "a handler must not wait for a semaphore")]
fn in_a_critical_section_nobody_waits() {
    domain(MIB);
    let semaphore = Semaphore::new(0);
    critical::section(|| semaphore.acquire().keep());
}

#[test]
fn a_condition_is_waited_for() {
    domain(MIB);
    let shared = Arc::new((Mutex::new(0), Condvar::new()));
    let other = shared.clone();
    executor::spawn(async move {
        for number in 1..=3 {
            time::sleep(MS).await;
            *other.0.lock() = number;
            other.1.notify_one();
        }
    });
    let guard = shared.1.wait_while(shared.0.lock(), |value| *value < 3);
    assert_eq!(*guard, 3);
}

#[test]
fn a_wait_for_a_condition_has_a_limit() {
    domain(MIB);
    let (mutex, condition) = (Mutex::new(0), Condvar::new());
    let begin = time::now();
    let (guard, result) = condition.wait_timeout(mutex.lock(), 5 * MS);
    assert!(result.timed_out() && begin.elapsed() >= 5 * MS);
    let (guard, result) = condition.wait_timeout_while(guard, 5 * MS, |value| *value == 0);
    assert!(result.timed_out() && begin.elapsed() >= 10 * MS);
    let (guard, result) = condition.wait_timeout_while(guard, 5 * MS, |value| *value == 1);
    assert!(!result.timed_out() && *guard == 0);
}

#[test]
fn readers_are_many_and_a_writer_is_alone() {
    domain(MIB);
    let lock = RwLock::new(String::from("a"));
    let (first, second) = (lock.read(), lock.try_read().unwrap());
    assert_eq!((first.as_str(), second.as_str()), ("a", "a"));
    assert_eq!(lock.try_write().err(), Some(TryLockError::WouldBlock));
    drop((first, second));
    lock.write().push('b');
    let guard = lock.try_write().unwrap();
    assert_eq!(lock.try_read().err(), Some(TryLockError::WouldBlock));
    drop(guard);
    assert_eq!(lock.into_inner(), "ab");
}

#[test]
fn permits_come_back_unless_they_are_kept() {
    domain(MIB);
    let semaphore = Semaphore::new(2);
    let first = semaphore.acquire();
    semaphore.acquire().keep();
    assert!(semaphore.try_acquire().is_none() && semaphore.acquire_timeout(MS).is_none());
    drop(first);
    assert_eq!(semaphore.available(), 1);
    semaphore.release();
    assert_eq!(semaphore.available(), 2);
}

#[test]
fn what_is_done_once_is_done_once() {
    domain(MIB);
    let (once, count) = (Once::new(), Cell::new(0));
    for _ in 0..3 {
        once.call_once(|| count.set(count.get() + 1));
    }
    assert!(once.is_completed() && count.get() == 1);
}

#[test]
fn a_value_is_made_once() {
    domain(MIB);
    let mut cell = OnceLock::new();
    assert!(cell.get().is_none() && cell.get_mut().is_none());
    assert_eq!(cell.get_or_init(|| 1), &1);
    assert_eq!((cell.get_or_init(|| 2), cell.set(3)), (&1, Err(3)));
    assert_eq!(cell.into_inner(), Some(1));
    let other = OnceLock::new();
    assert_eq!((other.set(4), other.get()), (Ok(()), Some(&4)));
    static LAZY: LazyLock<Vec<u8>> = LazyLock::new(|| std::vec![1, 2]);
    assert_eq!((LAZY.len(), LAZY[1]), (2, 2));
}

#[test]
#[should_panic(expected = "what is done once needs its own result")]
fn a_value_that_needs_itself_is_told() {
    domain(MIB);
    let cell: OnceLock<u8> = OnceLock::new();
    cell.get_or_init(|| *cell.get_or_init(|| 1));
}

#[test]
fn a_barrier_for_one_holds_nobody_up() {
    domain(MIB);
    let barrier = Barrier::new(1);
    assert!(barrier.wait().is_leader() && barrier.wait().is_leader());
}

#[test]
fn values_come_in_order_until_the_senders_are_gone() {
    domain(MIB);
    let (sender, receiver) = mpsc::channel();
    let other = sender.clone();
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    executor::spawn(async move {
        for number in 1..=3 {
            time::sleep(MS).await;
            other.send(number).unwrap();
        }
    });
    sender.send(0).unwrap();
    drop(sender);
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(receiver.recv_timeout(MS), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn a_receiver_waits_for_so_long() {
    domain(MIB);
    let (sender, receiver) = mpsc::channel::<u8>();
    let begin = time::now();
    assert_eq!(receiver.recv_timeout(5 * MS), Err(RecvTimeoutError::Timeout));
    assert!(begin.elapsed() >= 5 * MS);
    drop(receiver);
    assert_eq!(sender.send(1), Err(SendError(1)));
}

#[test]
fn a_full_channel_says_so_and_values_are_dropped_with_it() {
    domain(MIB);
    let (sender, receiver) = mpsc::sync_channel(1);
    let value = Arc::new(());
    sender.send(value.clone()).unwrap();
    assert!(matches!(sender.try_send(value.clone()), Err(TrySendError::Full(_))));
    drop(receiver);
    assert_eq!(Arc::strong_count(&value), 1);
    assert!(matches!(sender.try_send(value), Err(TrySendError::Disconnected(_))));
}
