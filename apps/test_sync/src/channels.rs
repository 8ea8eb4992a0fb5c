//! Values from thread to thread.

use alloc::string::ToString;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use barreldish::sync::mpsc::{self, RecvTimeoutError, SendError, TryRecvError, TrySendError};
use barreldish::{thread, time};

use crate::{Checked, same, spin, that};

/// Threads that send.
const SENDERS: u32 = 8;

/// Everything comes, and what one sender sends comes in its order.
pub(crate) fn many_senders(rounds: u32) -> Checked {
    let (sender, receiver) = mpsc::channel();
    let count = 100 * rounds;
    let senders: alloc::vec::Vec<_> = (0..SENDERS)
        .map(|number| {
            let sender = sender.clone();
            thread::spawn(move || {
                for value in 0..count {
                    spin(u64::from(value % 64 == number) * 6);
                    if sender.send((number, value)).is_err() {
                        return false;
                    }
                }
                true
            })
        })
        .collect();
    drop(sender);
    let mut next = [0; SENDERS as usize];
    for (number, value) in &mut receiver.iter() {
        same("order", value, next[number as usize])?;
        next[number as usize] += 1;
    }
    same("values", next, [count; SENDERS as usize])?;
    for sender in senders {
        same("sent", sender.join(), Ok(true))?;
    }
    Ok(())
}

/// A sender is never further ahead than there are places.
pub(crate) fn bounded(rounds: u32) -> Checked {
    const PLACES: u32 = 3;
    let (sender, receiver) = mpsc::sync_channel(PLACES as usize);
    let sent = Arc::new(AtomicU32::new(0));
    let counted = sent.clone();
    let count = 20 * rounds;
    let thread = thread::spawn(move || {
        for value in 0..count {
            if sender.send(value).is_err() {
                return;
            }
            counted.store(value + 1, Ordering::Relaxed);
        }
    });
    for expected in 0..count {
        spin(u64::from(expected % 8 == 0) * 12);
        // One more is with the sender, which waits.
        let ahead = sent.load(Ordering::Relaxed) - expected.min(sent.load(Ordering::Relaxed));
        that(ahead <= PLACES, || alloc::format!("{ahead} values in {PLACES} places"))?;
        same("value", receiver.recv(), Ok(expected))?;
    }
    same("end", receiver.recv().is_err(), true)?;
    thread.join().map_err(|error| error.to_string())
}

pub(crate) fn timeout(rounds: u32) -> Checked {
    let (sender, receiver) = mpsc::channel();
    let limit = Duration::from_millis(10);
    for _ in 0..rounds {
        let begin = time::now();
        same("nothing", receiver.recv_timeout(limit), Err(RecvTimeoutError::Timeout))?;
        that(begin.elapsed() >= limit, || "a wait ended too early".to_string())?;
    }
    let thread = thread::spawn(move || {
        for round in 0..rounds {
            thread::sleep(limit);
            spin(6);
            if sender.send(round).is_err() {
                return;
            }
        }
    });
    for round in 0..rounds {
        same("value", receiver.recv_timeout(Duration::from_secs(30)), Ok(round))?;
    }
    same("end", receiver.recv_timeout(Duration::from_secs(30)), Err(RecvTimeoutError::Disconnected))?;
    thread.join().map_err(|error| error.to_string())
}

/// A sender that waits gets its value back when the receiver is gone.
pub(crate) fn disconnection(_: u32) -> Checked {
    let (sender, receiver) = mpsc::sync_channel(1);
    same("first", sender.send(1), Ok(()))?;
    same("second", sender.try_send(2), Err(TrySendError::Full(2)))?;
    let other = sender.clone();
    let waiting = thread::spawn(move || other.send(3));
    thread::sleep(Duration::from_millis(20));
    same("waits", waiting.is_finished(), false)?;
    drop(receiver);
    same("back", waiting.join(), Ok(Err(SendError(3))))?;
    same("gone", sender.try_send(4), Err(TrySendError::Disconnected(4)))?;
    let (sender, receiver) = mpsc::channel::<u32>();
    same("empty", receiver.try_recv(), Err(TryRecvError::Empty))?;
    drop(sender);
    same("end", receiver.try_recv(), Err(TryRecvError::Disconnected))
}
